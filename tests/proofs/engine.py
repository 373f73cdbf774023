"""A whole small core: what leaves it, who writes its vector memory, and when its steps start.

Inputs are free in every cycle. A step's results come a fixed number of cycles behind its start: the
starts of the last cycles, kept in a register beside the core, say what is on its way.
"""

from amaranth import *
from amaranth.lib import data
from amaranth.utils import ceil_log2

from hw.engine import Engine
from hw.layout import Layout
from hw.pipeline import SHALLOW

from .bench import Bench, Proof
from .dump import Reading
from .layouts import layout_of
from .loader import Banks
from .queue import Followed
from .sequencer import Steps

__all__ = ["PROOFS"]


def _results(layout: Layout) -> list:
    """(cycles from the step's start to its write, phase, group) of each group of results.

    Each phase has one pass: its sums are there ``mac`` cycles after its last issue, then a row of
    each post enters the element-wise pipeline in each cycle.
    """
    latencies, found, issued = layout.schedule.latencies, [], 0
    for phase, wait in zip(layout.program.phases, layout.schedule.waits, strict=True):
        if (passes := phase.passes(layout.program.lanes)) != 1:
            raise ValueError(f"A phase must have one pass, not {passes}")
        issued += wait + phase.length(layout.program.cols)
        for group in range(phase.groups):
            row = (group + 1) * phase.rows_per_unit - 1
            found.append((issued + latencies.mac + row + latencies.post, phase, group))
    return found


def _states(bench: Bench, layout: Layout, steps: Steps, banks: Banks, starts, lasts) -> Value:
    """Claims about states on their way in and out; returns how many words of them are promised.

    The vector memory has one port to write, for results and for states that come in, and one to
    read, for columns and for states that go out; the output buffer takes results and states.
    """
    sweep, = layout.schedule.sweeps
    length, flush, m = sweep.length_last, layout.schedule.flush, bench.m
    loader, sequencer, output, dump, posts = (bench.inner(name, "Engine") for name in (
        "loader", "sequencer", "output", "dump", "posts"))
    tag, reading = posts[0].result_tag, Reading(bench, layout, dump)
    comes_in = loader.state_en.any()
    bench.claim("a state comes in only while no result is written", ~comes_in | ~tag.valid)
    bench.claim("a state comes in only while none is read, and nothing runs",
                ~comes_in | ~(dump.reading | sequencer.busy | sequencer.issue.valid))
    bench.claim("a state is read only while no column is, and no result is written",
                ~dump.reading | ~(sequencer.issue.valid | tag.valid | sequencer.busy))
    bench.claim("results and states do not come at once", ~(output.result_en & output.state_en))
    bench.claim("no step starts while states are flushed and read",
                ~sequencer.step_start | dump.idle)
    bench.cover("a state is read", dump.reading)
    bench.cover("a state comes in behind another sequence", comes_in & steps.last)

    running = (steps.age != 0) & (steps.age <= steps.length)
    bench.invariant(~running | dump.idle)
    for k in range(len(starts)):
        newest = starts[k] & ~starts[:k].any()
        bench.invariant(~newest | (lasts[k] == steps.last))
        # The dump counts from the last step's end.
        bench.invariant(~(starts[k] & lasts[k]) | (reading.age == max(0, k + 1 - length)))
    bench.invariant(dump.idle | (steps.last & ~banks.running))
    # Where states are expected, the newest bank that is full is a sequence's last step's.
    bench.invariant(~banks.loading | Mux(
        banks.full == 0, steps.last | ~starts.any(),
        Mux(banks.waiting == 0, steps.last, Mux(banks.waiting == 1, banks.lasts[0],
                                                banks.lasts[1]))))
    late = Signal()      # the read of a state takes a cycle
    m.d.sync += late.eq(dump.reading)
    bench.invariant(late == output.state_en)
    left = Mux(dump.reading, flush + 1 + reading.states - reading.age,
               Mux(~dump.idle | (running & steps.last), reading.states, 0))
    return left + late


def _engine(layout: Layout) -> Bench:
    program, depth = layout.program, layout.fifo_depth
    bench = Bench(Engine(layout))
    m, dut = bench.m, bench.dut
    loader, sequencer, output, posts = (bench.inner(name, "Engine") for name in (
        "loader", "sequencer", "output", "posts"))
    buffer, tag = bench.inner("buffer", "Output"), posts[0].result_tag
    steps, banks = Steps(bench, layout, sequencer), Banks(bench, layout, loader)
    start, results = sequencer.step_start, _results(layout)

    span = max(delay for delay, *_ in results)
    starts, lasts = Signal(span), Signal(span)      # bit k: k + 1 cycles ago; of a last step
    m.d.sync += [starts.eq(Cat(start, starts)), lasts.eq(Cat(sequencer.step_last, lasts))]

    def comes(phase, k, *, out: bool):
        """Whether a result is of the step that has started k + 1 cycles ago."""
        only_last = phase.last_only or (out and phase.output_last_only)
        return starts[k] & (lasts[k] if only_last else 1)

    def now(wanted, out=True, last=False):
        return Cat(comes(phase, delay - 1, out=out) & (lasts[delay - 1] if last else 1)
                   for delay, phase, group in results if wanted(phase, group)).any()

    entries = [program.output_entries(last) for last in (False, True)]
    takes, owed, due = Signal(), Signal(range(depth + 1)), Signal(range(max(entries) + 1))
    m.d.comb += [takes.eq(buffer.valid & buffer.ready),
                 due.eq(Mux(start, Mux(sequencer.step_last, entries[1], entries[0]), 0))]
    m.d.sync += owed.eq(owed + due - buffer.w_en)
    states = C(0)
    if program.network.returns_state:
        states = _states(bench, layout, steps, banks, starts, lasts)
    number, = (k for k, memory in enumerate(bench._memories)
               if memory._data.depth == 1 << ceil_log2(depth)
               and Shape.cast(memory._data.shape).width == len(buffer.w_data))
    words = Followed(bench, written=buffer.w_en, takes=takes, word=buffer.w_data, most=depth,
                     number=number)
    ends, ended = Signal(), Signal()
    if program.network.returns_state:
        m.d.comb += ends.eq(output.state_en & (states == 1))
    else:
        m.d.comb += ends.eq(now(lambda phase, group: phase is program.phases[-1]
                                and group == phase.groups - 1, last=True))
    with m.If(words.caught):
        m.d.sync += ended.eq(ends)

    port = Cat(dut.m_axis_tdata, dut.m_axis_tlast)
    waited, shown = Signal(), Signal.like(port)
    m.d.sync += [waited.eq(dut.m_axis_tvalid & ~dut.m_axis_tready), shown.eq(port)]
    bench.claim("valid, data and last stay until taken",
                ~waited | (dut.m_axis_tvalid & (port == shown)))
    bench.claim("a word only where a step has promised one",
                ~dut.m_axis_tvalid | (words.count != 0))
    bench.claim("last with the last word of a sequence, with no other",
                ~(words.at_head & dut.m_axis_tvalid) | (dut.m_axis_tlast == ended))
    bench.claim("a step starts only with room for all its results",
                owed + words.count + due <= depth)
    bench.claim("idle once the step's cycles are over",
                sequencer.busy == ((steps.age != 0) & (steps.age <= steps.length)))
    bench.claim("a step starts only with its input complete", ~start | (banks.waiting != 0))
    bench.claim("results are written in their cycles, in no other",
                output.result_en == now(lambda phase, _: phase.to_output))
    bench.claim("the vector memory is written in its cycles, in no other",
                (tag.valid & tag.to_vector) == now(lambda phase, _: phase.to_vector, False))
    on_the_way = sum((comes(phase, k, out=True) for delay, phase, _ in results if phase.to_output
                      for k in range(delay)), start=C(0))
    credit = bench.inner("credit", "Output")
    bench.invariant(owed == on_the_way + states)
    bench.invariant(credit + owed + words.count == depth)
    bench.invariant(~steps.armed | ((credit >= max(entries)) & (banks.waiting != 0)))
    entry = bench.inner("entry", "Output")
    bench.invariant(data.View(entry, words.word).end == ended)
    bench.invariant(~buffer.w_en | (data.View(entry, buffer.w_data).end == ends))
    bench.invariant(banks.running == ((steps.age != 0) & (steps.age <= steps.length)))
    sweep, = layout.schedule.sweeps
    for k in range(span):
        # Until a step of its kind is over, it is the last one that has started.
        end = Mux(lasts[k], sweep.length_last + sweep.tail_last, sweep.length + sweep.tail)
        there = steps.age == k + 1
        bench.invariant(there == (starts[k] & (k + 1 <= end)))
        bench.invariant(~there | (lasts[k] == steps.last))

    bench.cover("the last word of a sequence of two steps waits", waited & dut.m_axis_tlast
                & words.at_head)
    bench.cover("two steps' results are on their way", owed > max(entries))
    return bench


def _proof(name: str, says: str, layout: Layout, **more) -> Proof:
    return Proof(name=f"engine.Engine, {name}", says=says, depth=16, start=8, mutants=12,
                 parts=("loader", "sequencer", "drain", "output", "dump"),
                 build=lambda: _engine(layout), **more)


PROOFS = [
    _proof("RNN", "AXI4-Stream and last at the top; a step only with input and room; idle again",
           layout_of(("rnn", 2, "relu"), inputs=2, lanes=2, pipeline=SHALLOW), reach=24),
    _proof("states in and out", "the same; the vector memory's ports: one user at a time",
           layout_of(("rnn", 2, "relu"), inputs=2, lanes=2, loads=True, returns=True,
                     pipeline=SHALLOW), reach=28),
]
