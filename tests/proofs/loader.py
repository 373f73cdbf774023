"""The input side: two banks that never overflow, each word at its place, errors told."""

from amaranth import *

from hw.layout import Layout
from hw.loader import Loader
from hw.pipeline import FLAT

from .bench import Bench, Proof
from .layouts import layout_of

__all__ = ["PROOFS"]


def _loader(layout: Layout) -> Bench:
    """A step starts where one waits, and lets its bank go before the next one starts, or then."""
    program = layout.program
    network, words, cols = program.network, program.input_words, program.cols
    bench = Bench(Loader(layout))
    m, dut = bench.m, bench.dut
    start, end = bench.free("start_it"), bench.free("end_it")
    running, banks = Signal(), Signal(range(3))     # a step runs; banks that are full
    place = Signal(range(words + 1))                # words of the step so far
    first, lasts = Signal(init=1), Signal(2)        # of the bank that fills; of those that wait
    firsts = Signal(2)
    filling, taken, waiting = Signal(), Signal(), Signal(range(3))
    loading = dut.loading if network.loads_state else C(0)
    loaded, at_once = Signal(), C(0) if program.start else filling
    m.d.comb += [
        taken.eq(dut.valid & dut.ready & dut.weights_loaded & ~loading),
        filling.eq(taken & (dut.last | (place == words - 1))),
        dut.release.eq(end & running),
        dut.start.eq(start & ((waiting != 0) | at_once) & (~running | dut.release))]
    m.d.sync += [
        loaded.eq(dut.weights_loaded),
        running.eq(dut.start | (running & ~dut.release)),
        banks.eq(banks + filling - dut.release), waiting.eq(waiting + filling - dut.start)]
    bench.assume(~loaded | dut.weights_loaded)  # once they are, they stay
    if network.loads_state:
        # The engine is idle where nothing runs.
        bench.assume(~running | ~dut.idle)
    with m.If(taken):
        m.d.sync += place.eq(Mux(filling, 0, place + 1))
    after = Mux(dut.start, waiting - 1, waiting)
    with m.If(dut.start):
        m.d.sync += [firsts.eq(firsts >> 1), lasts.eq(lasts >> 1)]
    with m.If(filling):
        m.d.sync += [first.eq(dut.last)]
        for k in range(2):
            with m.If(after == k):
                m.d.sync += [firsts[k].eq(first), lasts[k].eq(dut.last)]

    bench.claim("two banks, not more", banks <= 2)
    if not network.loads_state:
        bench.claim("ready where a bank is free, or weights come", dut.ready == (
            (banks < 2) | ~dut.weights_loaded))
    else:
        bench.claim("states only where nothing runs or waits",
                    ~(dut.weights_loaded & loading & dut.ready) | (~running & (banks == 0)))
    bench.claim("waiting where a full bank has not started", dut.waiting == (waiting != 0))
    if program.start:
        bench.claim("step_ready tells it a cycle ahead",
                    dut.step_ready == (waiting + filling - dut.start != 0))
    else:
        bench.claim("step_ready in the cycle of the last word",
                    dut.step_ready == ((waiting != 0) | filling))
        bench.claim("first and last of a step that starts with its last word",
                    (waiting != 0) | ~filling | (
                        (dut.step_first == first) & (dut.step_last == dut.last)))
        bench.cover("a step starts with its last word", dut.start & filling & (waiting == 0))
    bench.claim("first and last of the bank that is next",
                (waiting == 0) | ((dut.step_first == firsts[0]) & (dut.step_last == lasts[0])))
    accepted = dut.valid & (dut.ready & dut.weights_loaded)
    wrong = (accepted & dut.last & (loading | (place != words - 1))) | (
        dut.valid & ~dut.weights_loaded & dut.last)
    if network.embedding is not None:
        wrong |= taken & (dut.data >= len(network.embedding))
    bench.claim("an error for each word that breaks the protocol, for no other",
                dut.error == wrong)
    if network.embedding is None:
        bench.claim("written only where a word is taken", dut.x_en.any() == taken)
        column = (place * program.input_elements) // cols
        bench.claim("each element at its place, in a bank that nothing runs from",
                    ~taken | ((dut.x_addr[:-1] == column)
                              & (~running | (dut.x_addr[-1] != dut.run_bank))
                              & (1 if program.input_elements == cols else
                                 dut.x_en == (1 << (place % cols))[:cols])))
    bench.invariant(place < words)
    full, inside, following, write, run = (bench.inner(name) for name in (
        "full", "waiting", "following", "write", "run"))
    bench.invariant((banks == waiting + running) & (waiting <= 2))
    bench.invariant(full[0] + full[1] == banks)
    bench.invariant((banks != 1) | full[run])
    bench.invariant(Mux(banks == 1, write != run, write == run))
    bench.invariant((inside[0] == (waiting != 0)) & (inside[1] == (waiting == 2)))
    bench.invariant(following == (run ^ running))
    bench.invariant(bench.inner("word") == place)
    bench.invariant(bench.inner("word_last") == (place == words - 1))
    bench.invariant(bench.inner("starting") == first)
    flags = [(bench.inner("first"), firsts), (bench.inner("last"), lasts)]
    bench.invariant(Cat((waiting == 0) | (one[following] == model[0])
                        for one, model in flags).all())
    bench.invariant(Cat((waiting != 2) | (one[~following] == model[1])
                        for one, model in flags).all())
    if network.embedding is None:
        bench.invariant(bench.inner("column") == column)
        if program.input_elements != cols:
            bench.invariant(bench.inner("turn") == (1 << (place % cols))[:cols])

    bench.cover("both banks full, one runs", (banks == 2) & running & dut.valid)
    bench.cover("a bank goes, and the other starts", dut.release & dut.start)
    bench.cover("one starts, the other fills", dut.start & filling)
    bench.cover("a step cut short", taken & dut.last & dut.error)
    bench.cover("a sequence's last step waits", (waiting == 1) & dut.step_last & ~dut.step_first)
    if network.loads_state:
        bench.cover("states are in", ~loading & (place == 1))
    return bench


def _proof(name: str, says: str, layout: Layout, **more) -> Proof:
    reach = 3 * layout.program.input_words + 4 + layout.program.state_words
    return Proof(name=f"loader.Loader, {name}", says=says, depth=3, reach=reach, mutants=10,
                 build=lambda: _loader(layout), **more)


PROOFS = [
    _proof("5 elements by 2", "two banks, ready only with room, places, first and last, errors",
           layout_of(("rnn", 4), inputs=5, cols=2), quick=True),
    _proof("flat, 5 elements by 2", "the same where a step may start with its last word",
           layout_of(("rnn", 4), inputs=5, cols=2, pipeline=FLAT), quick=True),
    _proof("flat, initial states", "the same; states only where nothing runs",
           layout_of(("lstm", 2), inputs=2, loads=True, pipeline=FLAT)),
    _proof("tokens", "the same; ids outside the table too",
           layout_of(("rnn", 4), embedding=(5, 3))),
    _proof("initial states", "the same; states only where nothing runs",
           layout_of(("lstm", 2), inputs=2, loads=True)),
]
