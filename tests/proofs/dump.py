"""The last states on their way out: which, in which cycle, and when the engine is idle again."""

from amaranth import *

from hw.dump import Dump
from hw.layout import Layout
from hw.pipeline import SHALLOW

from .bench import Bench, Proof
from .layouts import layout_of

__all__ = ["PROOFS", "Reading"]


class Reading:
    """Claims about a dump, whose starts come from whoever drives it, only while it is idle.

    Members
    -------
    age : Signal, cycles since the sequence's last issue; 0 where it is idle
    states : int, words that are read, from the cycle behind ``flush`` on
    """

    def __init__(self, bench: Bench, layout: Layout, dut):
        program, flush, m = layout.program, layout.schedule.flush, bench.m
        # (cell, sweep, group, post) of each state word, in the order of ``Program.states``.
        words = [(int(signal == "c"), program.sweep_of(layer),
                  *divmod(base + unit, program.posts))
                 for signal, layer, base, units in program.states for unit in range(units)]
        self.states, self.age = len(words), Signal(range(flush + len(words) + 2))
        age = self.age
        with m.If(dut.start):
            m.d.sync += age.eq(1)
        with m.Elif(age != 0):
            m.d.sync += age.eq(Mux(age == flush + len(words), 0, age + 1))

        bench.claim("idle again after all is flushed and read, not earlier",
                    dut.idle == (age == 0))
        bench.claim("reads as many words as there are states", dut.reading == (age > flush))
        bench.claim("the last one is told", dut.final == (age == flush + len(words)))
        read = Signal(range(len(words) + 2))
        m.d.comb += read.eq(Mux(age > flush, age - flush - 1, len(words)))
        for name, values in zip(("cell", "sweep", "group", "post"), zip(*words, strict=True),
                                strict=True):
            want = Array([*values, 0, 0])[read]
            bench.claim(f"{name}, in the order of the states",
                        ~dut.reading | (getattr(dut, name) == want))
        bench.invariant(age <= flush + len(words))
        bench.invariant(bench.inner("count", "Dump") == Mux(
            (age != 0) & (age <= flush), flush + 1 - age, 0))
        counts = [(idx, left) for idx, (*_, units) in enumerate(program.states)
                  for left in reversed(range(units))]
        for name, values in zip(("idx", "left"), zip(*counts, strict=True), strict=True):
            bench.invariant(~dut.reading | (bench.inner(name, "Dump")
                                            == Array([*values, 0, 0])[read]))


def _dump(layout: Layout) -> Bench:
    """A sequence ends only while the dump is idle; cycles are counted from there."""
    bench = Bench(Dump(layout))
    m, dut, model = bench.m, bench.dut, Reading(bench, layout, bench.dut)
    m.d.comb += dut.start.eq(bench.free("end") & dut.idle)
    again = Signal()
    m.d.sync += again.eq(again | dut.final)
    bench.cover("a second sequence behind the first", dut.start & again)
    bench.cover("a cycle before idle", model.age == layout.schedule.flush + model.states)
    return bench


def _proof(layout: Layout, name: str, says: str, **more) -> Proof:
    cycles = layout.schedule.flush + layout.program.state_words
    return Proof(name=f"dump.Dump, {name}", says=says, depth=3, reach=cycles + 4, mutants=8,
                 build=lambda: _dump(layout), **more)


PROOFS = [
    _proof(layout_of(("lstm", 3), ("gru", 2), returns=True, pipeline=SHALLOW), "LSTM and GRU",
           "which state in which cycle, idle again at once behind the last"),
]
