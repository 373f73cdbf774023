"""What tells of upsets: no false alarm, and none is left out."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.drain import Drain
from hw.dump import Dump
from hw.engine import make_layout
from hw.families import PORTABLE
from hw.guard import Guard, Twin, watch_limit
from hw.layout import Layout
from hw.loader import Loader
from hw.parity import Checked, ParityCheck
from hw.pipeline import SHALLOW
from hw.sequencer import Sequencer

from .bench import Bench, Proof, aged
from .layouts import layout_of

__all__ = ["PROOFS"]


def _parity(width: int, cols: int) -> Bench:
    """Words of even parity, and one of their bits flipped, or none."""
    bench = Bench(ParityCheck(width, cols))
    m, dut = bench.m, bench.dut
    flip, turned = Signal(width * cols), bench.free("turned")
    at, flips = bench.free("at", range(width * cols)), bench.free("flips")
    elements = []
    for k in range(cols):
        element = bench.free(f"element{k}", width - 1)
        elements.append(Cat(element, element.xor() ^ turned))
    m.d.comb += [flip.eq(Mux(flips, 1 << at, 0)), dut.word.eq(Cat(elements) ^ flip)]
    flipped = Signal(2)
    m.d.sync += [dut.fold.eq(turned), flipped.eq(Cat(flips & (at < width * cols), flipped))]
    asked = Signal()
    m.d.sync += asked.eq(dut.check)
    known = Signal(2)       # cycles since a reset
    m.d.sync += known.eq(Mux(known == 2, 2, known + 1))
    bench.claim("an alarm for each flipped bit of a word that counts, for nothing else",
                (known < 2) | (dut.alarm == (flipped[1] & asked)))
    bench.invariant(known <= 2)
    bench.invariant((known < 1) | (Cat(bench.inner("wrong")).any() == flipped[0]))
    bench.cover("the last bit is flipped", dut.alarm & asked)
    bench.cover("a word that does not count", flipped[1] & ~asked)
    return bench


def _checked(**shape) -> Bench:
    """A memory that is written and read at will."""
    width, depth, cols = shape["width"], shape["depth"], shape["cols"]
    bench = Bench(Checked(PORTABLE.ram, latency=1, **shape))
    dut = bench.dut
    # What a memory shows at power-up is no word of it.
    bench.assume(~dut.fold & (aged(bench.m, 3) | ~dut.check))
    bench.claim("never an alarm", ~dut.alarm)

    def even(word):
        return ~Cat(word.word_select(k, width + 1).xor() for k in range(cols)).any()

    for address in range(depth):
        bench.invariant(even(bench.memory_word(Const(address, range(depth)))))
    bench.invariant(~aged(bench.m, 1) | even(bench.memory_output()))
    bench.invariant(~aged(bench.m, 2) | ~Cat(bench.inner("wrong", "ParityCheck")).any())
    bench.cover("a word that was written", dut.r_data.all())
    return bench


def _guard(layout: Layout) -> Bench:
    """Steps start only with room for their words; all else comes as it likes."""
    layout = make_layout(layout.program, protect=True)
    program, limit, most = layout.program, watch_limit(layout), layout.fifo_depth
    bench = Bench(Guard(layout))
    m, dut = bench.m, bench.dut

    def past(value, n: int = 1, init: int = 0):
        for _ in range(n):
            late = Signal.like(Value.cast(value), name="past", init=init)
            m.d.sync += late.eq(value)
            value = late
        return value

    words, sequences = Signal(range(most + 1)), Signal(range(most + 1))
    wrong, broken, loaded = Signal(), Signal(), Signal()   # something was; is, in this cycle
    takes = Mux(dut.start_last, program.output_words(True), program.output_words(False))
    begins, leaves, ends = Signal(), Signal(), Signal()
    m.d.comb += [
        dut.start.eq(bench.free("offer") & (words + takes <= most)),
        begins.eq(dut.start & dut.start_last), leaves.eq(dut.valid & dut.ready),
        ends.eq(leaves & dut.last), broken.eq((leaves & (words == 0)) | (ends & (sequences == 0))
                                              | (loaded & ~dut.loaded))]
    m.d.sync += [words.eq(words + Mux(dut.start, takes, 0) - leaves), loaded.eq(dut.loaded),
                 sequences.eq(sequences + begins - ends), wrong.eq(wrong | broken)]
    since = past(wrong), past(wrong, 2), past(wrong, 3)
    bench.claim("no control fault where each word, and each end, was owed",
                wrong | ~dut.faults[1])
    bench.claim("one where a word or an end was not owed, or weights are gone",
                ~since[2] | dut.faults.any())

    # Words count as owed from the cycle after the step's start on.
    owed = past((words != 0) | (sequences != 0))
    rests, calm, reached = Signal(), Signal(range(limit + 1)), Signal()
    m.d.comb += rests.eq(dut.event | dut.valid | ~(dut.pending | owed))
    m.d.sync += [calm.eq(Mux(rests, 0, Mux(calm == limit, limit, calm + 1))),
                 reached.eq(reached | (calm == limit))]
    bench.claim("no watchdog before the schedule's longest silence is over",
                wrong | reached | ~dut.faults[2])
    bench.claim("the watchdog behind it", wrong | ~past(reached, 3) | dut.faults[2])
    bench.claim("any fault halts, and stays", (dut.halt == past(dut.faults.any()))
                & ((past(dut.faults) & ~dut.faults) == 0))

    for name, value in (("start", dut.start), ("start_last", begins), ("leaves", leaves),
                        ("ends", ends), ("event", dut.event), ("pending", dut.pending),
                        ("was_loaded", dut.loaded), ("blocked", dut.valid & ~dut.ready)):
        bench.invariant(bench.inner(name) == past(value))
    own = [bench.inner(name) for name in ("words", "sequences")]    # what is told of them
    counts = [signal for fragment in [bench.fragment] for signal in _registers(fragment)
              if signal.name in ("words", "sequences")]
    for told, count, model in zip(own, counts, (words, sequences), strict=True):
        bench.invariant(since[0] | (count == past(model)))
        bench.invariant(told == past(count != 0))
    bench.invariant(((words <= most) | wrong) & ~dut.faults[0])     # no memory, no parity
    alarms = Cat(bench.inner(name) for name in ("unloaded", "words_wrong", "ends_wrong")).any()
    control = bench.inner("control")
    bench.invariant(wrong | ~(alarms | control))
    now = (bench.inner("leaves") & (counts[0] == 0)) | (bench.inner("ends") & (counts[1] == 0))
    bench.invariant(~wrong | since[0] | now | alarms)
    bench.invariant(~since[0] | since[1] | alarms | control)
    bench.invariant(~since[1] | since[2] | control | dut.faults.any())
    left = bench.inner("left")
    bench.invariant(wrong | (left == limit - past(calm, 2)))
    bench.invariant(wrong | (bench.inner("rests") == past(rests, 2, init=1)))
    bench.invariant(wrong | (bench.inner("late") == past(left == 0)))
    bench.cover("the last word that is owed leaves", ends & (words == 1) & (sequences == 1))
    bench.cover("the watchdog", dut.faults[2] & ~wrong)
    bench.cover("a word too many", dut.faults[1] & past(wrong, 2) & ~reached)
    return bench


class _Both(wiring.Component):
    """A module and its twin; whatever drives the one, drives both."""

    def __init__(self, original, copy, ignore):
        self.original = original
        self.twin = Twin(original, copy, ignore=ignore)
        ports = {"_".join(map(str, path)): In(Value.cast(value).shape())
                 for path, member, value in original.signature.flatten(original)
                 if member.flow is In}
        super().__init__({**ports, "alarm": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.original, m.submodules.twin = self.original, self.twin
        for path, member, value in self.original.signature.flatten(self.original):
            if member.flow is In:
                m.d.comb += Value.cast(value).eq(getattr(self, "_".join(map(str, path))))
        m.d.comb += self.alarm.eq(self.twin.alarm)
        return m


def _registers(fragment) -> list:
    """Every register of a module without memories, in the order in which they were made."""
    found = {}
    for statement in fragment.statements.get("sync", ()):
        found |= {id(signal): signal for signal in statement._lhs_signals()}
    return sorted(found.values(), key=lambda signal: signal.duid)


def _twin(kind, layout: Layout, *ignore: str) -> Bench:
    """Whatever comes in: the twin's registers are the module's, a cycle later."""
    bench = Bench(_Both(kind(layout), kind(layout), ignore))
    m, dut = bench.m, bench.dut
    (original, *_), (twin, *_) = bench.fragment.subfragments
    (copy, *_), = twin.subfragments
    for one, other in zip(_registers(original), _registers(copy), strict=True):
        late = Signal.like(one, name=f"late_{one.name}")
        m.d.sync += late.eq(one)
        bench.invariant(other == late)
    # What is compared: the same of both modules' ports, a cycle later, but in the first cycle.
    mine, theirs = bench.inner("mine", "Twin"), bench.inner("theirs", "Twin")
    bench.invariant(bench.inner("behind", "Twin") | (mine == theirs))
    pieces = [signal for signal in _registers(twin) if signal.name.startswith("differ")]
    bench.invariant(~Cat(pieces).any())
    bench.claim("never an alarm", ~dut.alarm)
    bench.cover("something comes out", mine.any())
    return bench


PROOFS = [
    Proof(name="parity.ParityCheck, two elements of 5 bits", build=lambda: _parity(5, 2), depth=3,
          reach=6, says="an alarm for each single bit that is flipped, and for nothing else",
          quick=True),
    Proof(name="parity.ParityCheck, an element of 21 bits", build=lambda: _parity(21, 1), depth=3,
          reach=6, says="the same where the parity is found in parts"),
    Proof(name="parity.Checked, 4 words of two elements of 3 bits", depth=3, reach=6, mutants=8,
          build=lambda: _checked(width=3, depth=4, cols=2), says="never a false alarm"),
    Proof(name="guard.Guard, an RNN and a head at the end", depth=6, reach=120, mutants=12,
          says="each word and end that leaves is owed, or told; a silence is told if it is longer "
               "than the schedule's longest",
          build=lambda: _guard(layout_of(("rnn", 2), ("linear", 2, "last"), inputs=2, lanes=2,
                                         pipeline=SHALLOW))),
    Proof(name="guard.Twin of Drain", depth=3, reach=10, mutants=10, quick=True,
          says="never a false alarm, whatever comes in",
          build=lambda: _twin(Drain, layout_of(("gru", 3), ("linear", 2, "last"), inputs=3, lanes=4,
                                               pipeline=SHALLOW))),
    Proof(name="guard.Twin of Dump", depth=3, reach=10, mutants=10, says="the same",
          build=lambda: _twin(Dump, layout_of(("lstm", 3), ("gru", 2), returns=True,
                                              pipeline=SHALLOW))),
    Proof(name="guard.Twin of Loader", depth=3, reach=10, mutants=10, says="the same",
          build=lambda: _twin(Loader, layout_of(("lstm", 2), inputs=2, loads=True),
                              "x_data", "state_data")),
    Proof(name="guard.Twin of Sequencer", depth=3, reach=10, mutants=10, says="the same",
          build=lambda: _twin(Sequencer, layout_of(("gru", 3), ("linear", 2, "last"), inputs=3,
                                                   lanes=6, pipeline=SHALLOW))),
]
