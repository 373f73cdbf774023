"""The sequencer: every cycle of a step is the schedule's, and the next one starts when it may.

The schedule is spread out here from the program's phases a second time, cycle by cycle. Inside a
step the sequencer's registers depend on how long the step runs and on whether it is its sequence's
last; what they hold then is recorded in a simulation, and carries the induction.
"""

from amaranth import *
from amaranth.sim import Simulator

from hw.layout import Layout
from hw.pipeline import FLAT, SHALLOW
from hw.program import Source
from hw.sequencer import Sequencer

from .bench import Bench, Proof
from .layouts import layout_of

__all__ = ["PROOFS", "Steps"]

NOTHING = {"valid": 0}
INSIDE = ("segment", "left", "address", "source", "shift", "passes", "wait", "tail", "residue",
          "first_pass", "going", "segment_end", "near", "last_pass", "final", "pass_end", "more",
          "step_end", "free", "phase", "upcoming", "busy")


def _timeline(layout: Layout, last: bool) -> list:
    """What is issued in each cycle of a step: fields of ``Layout.issue``, flat."""
    program, schedule, cycles = layout.program, layout.schedule, []
    for number, phase in enumerate(program.phases):
        if phase.last_only and not last:
            continue
        cycles += [NOTHING] * schedule.waits[number]
        for turn in range(phase.passes(program.lanes)):
            cycles += [NOTHING] * (schedule.gaps[number] if turn else 0)
            columns = [(segment, k) for segment in phase.segments
                       for k in range(segment.words(program.cols))]
            border = phase.segments[0].words(program.cols) if phase.split else 0
            cycles += [{
                "valid": 1, "source": int(segment.source), "shift": segment.shift,
                "address": segment.base // program.cols + k, "border": int(n + 1 == border),
                "residue": turn * program.slots % 3, "last": int(n + 1 == len(columns)),
                "phase": number, "first_pass": int(turn == 0),
            } for n, (segment, k) in enumerate(columns)]
    return cycles


def _recorded(layout: Layout, last: bool, cycles: int) -> dict:
    """Values of the registers in the ``cycles`` cycles from a step's start on."""
    bench = Bench(Sequencer(layout))
    dut, found = bench.dut, []
    registers = _registers(bench)

    async def steps(ctx):
        ctx.set(dut.step_last, last)
        ctx.set(dut.step_ready, 1)
        await ctx.tick()
        ctx.set(dut.step_ready, 0)
        if layout.program.start:
            await ctx.tick()
        for _ in range(cycles):
            found.append([ctx.get(register) for register in registers.values()])
            await ctx.tick()

    simulator = Simulator(bench.m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(steps)
    simulator.run()
    return dict(zip(registers, zip(*found, strict=True), strict=True))


def _registers(bench: Bench) -> dict:
    registers = {name: Value.cast(bench.inner(name, "Sequencer")) for name in INSIDE}
    return registers | {f"row_{key}": value
                        for key, value in bench.inner("row", "Sequencer").items()}


class Steps:
    """Counts the cycles of a sequencer's steps, and says what its registers hold in each.

    Members
    -------
    age : Signal, cycles since the last step's start; 0 where none runs and the next one may start
    last, first, bank : Signal(1), of that step
    armed, may : Signal(1), there is a step; the one before is over
    length, end : Value, cycles of a step of this kind, and with its tail
    """

    def __init__(self, bench: Bench, layout: Layout, dut):
        m, (sweep,) = bench.m, layout.schedule.sweeps
        lengths, tails = (sweep.length, sweep.length_last), (sweep.tail, sweep.tail_last)
        ends = [length + tail for length, tail in zip(lengths, tails, strict=True)]
        self.most, self.shortest = max(ends), ends[0]
        age, last, first = Signal(range(max(ends) + 1)), Signal(), Signal()
        bank, armed, may = Signal(), Signal(), Signal()
        length, end = Mux(last, lengths[1], lengths[0]), Mux(last, ends[1], ends[0])
        self.age, self.last, self.first, self.bank = age, last, first, bank
        self.armed, self.may, self.length, self.end = armed, may, length, end
        m.d.comb += may.eq((age == 0) | (age == end))
        m.d["sync" if layout.program.start else "comb"] += armed.eq(dut.step_ready)
        m.d.sync += age.eq(Mux(may, 0, age + 1))
        with m.If(dut.step_start):
            m.d.sync += [age.eq(1), last.eq(dut.step_last), first.eq(dut.step_first),
                         bank.eq(~bank)]

        records = [_recorded(layout, kind, end) for kind, end in enumerate(ends)]
        for name, register in _registers(bench).items():
            values = [record[name] for record in records]
            bench.invariant((age == 0) | (register == self.now(values)))

        def inner(name):
            return bench.inner(name, "Sequencer")

        for name in ("busy", "going", "pass_end", "more", "step_end", "tail", "upcoming"):
            bench.invariant((age != 0) | (inner(name) == 0))
        bench.invariant((age != 0) | inner("free"))
        bench.invariant((age <= end) & (inner("armed") == armed))
        bench.invariant((age == 0) | ((inner("last") == last) & (inner("first") == first)))

    def now(self, values):
        """Of two lists by cycle, the value of this cycle of this kind of step."""
        return Mux(self.last, *(Array([0, *part, *[0] * (self.most - len(part))])[self.age]
                                for part in reversed(values)))


def _sequencer(layout: Layout) -> Bench:
    """Steps are counted in cycles; ``step_ready``, ``hold`` and the steps' kinds are free."""
    bench = Bench(Sequencer(layout))
    m, dut, issue = bench.m, bench.dut, bench.dut.issue
    lines = [_timeline(layout, last) for last in (False, True)]
    sweep, = layout.schedule.sweeps
    if (lengths := (sweep.length, sweep.length_last)) != tuple(map(len, lines)):
        raise ValueError(f"Steps must be {lengths} cycles, not {tuple(map(len, lines))}")
    m.d.comb += dut.sweep.eq(0)  # the engine drives ``sweep`` only where there are several
    steps = Steps(bench, layout, dut)
    age, last, first, bank, armed = steps.age, steps.last, steps.first, steps.bank, steps.armed
    may, length, end, now = steps.may, steps.length, steps.end, steps.now

    bench.claim("a step starts where there is one and it may, only there",
                dut.step_start == (armed & ~dut.hold & may))
    bench.claim("idle again after the schedule's cycles",
                dut.busy == ((age != 0) & (age <= length)))
    bench.claim("the end is told", dut.step_end == ((age != 0) & (age == length)))
    bench.claim("its kind is told", (age == 0) | (dut.running_last == last))
    bench.claim("a column in each cycle of the schedule, in no other", issue.valid == now(
        [[cycle["valid"] for cycle in line] for line in lines]))
    for name in ("source", "address", "shift", "border", "residue", "last", "phase", "first_pass"):
        shown = Value.cast(getattr(issue.pass_tag if name in ("phase", "first_pass") else issue,
                                   name))
        want = now([[cycle.get(name, 0) for cycle in line] for line in lines])
        bench.claim(f"{name} of the column", ~issue.valid | (shown == want))
    bench.claim("marks outside of columns are low", issue.valid | ~(issue.last | issue.border))
    bench.claim("the first step reads no old state",
                ~issue.valid | (issue.masked == (first & (issue.source == Source.OLD))))
    tag = issue.pass_tag
    bench.claim("the tags are the step's", ~issue.valid | (
        (tag.bank == bank) & (tag.first_step == first) & (tag.last_step == last)))
    bench.claim("the banks turn with each step", (dut.bank == bank) & (dut.banks == bank))

    bench.cover("the last step's end", dut.step_end & last)
    bench.cover("the next step starts at once behind a step",
                dut.step_start & (age == steps.shortest) & ~last)
    bench.cover("a step is held back", armed & dut.hold & (age == end))
    return bench


def _proof(layout: Layout, name: str, says: str, **more) -> Proof:
    sweep, = layout.schedule.sweeps
    reach = max(sweep.length + sweep.tail, sweep.length_last + sweep.tail_last) + 5
    return Proof(name=f"sequencer.Sequencer, {name}", says=says, depth=2, reach=reach, mutants=10,
                 build=lambda: _sequencer(layout), **more)


PROOFS = [
    _proof(layout_of(("gru", 3), ("linear", 2, "last"), inputs=3, lanes=6, pipeline=SHALLOW),
           "GRU and a head at the end",
           "each cycle of a step is the schedule's: addresses, marks, end, idle, next start"),
    _proof(layout_of(("rnn", 4), ("lstm", 2), inputs=3, cols=2, posts=2, lanes=4,
                     pipeline=SHALLOW), "RNN and LSTM, two columns", "the same", quick=True),
    _proof(layout_of(("lstm", 2), inputs=2, lanes=8, cols=2, posts=2, pipeline=FLAT),
           "flat, LSTM", "the same where a step starts as soon as there is one", quick=True),
]
