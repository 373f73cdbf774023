"""The input side: two banks that never overflow, each word at its place, errors told."""

from amaranth import *

from hw.layout import Layout
from hw.loader import Loader
from hw.pipeline import FLAT

from .bench import Bench, Proof
from .layouts import layout_of

__all__ = ["Banks", "PROOFS", "states_in"]


def states_in(bench: Bench, layout: Layout, dut, finish) -> Signal:
    """Claims about initial states; returns whether they are expected. finish: a sequence is in."""
    program, m = layout.program, bench.m
    # (post, group, cell, sweep) of each, and where the loader's counters stand, in order.
    words = [((base + unit) % program.posts, (base + unit) // program.posts, int(signal == "c"),
              program.sweep_of(layer), idx, unit, unit // program.posts)
             for idx, (signal, layer, base, units) in enumerate(program.states)
             for unit in range(units)]
    posts, groups, cells, sweeps, idxs, units, parts = (
        Array(values) for values in zip(*words, strict=True))
    number, expected, taken = Signal(range(len(words))), Signal(init=1), Signal()
    m.d.comb += taken.eq(dut.valid & dut.ready & dut.weights_loaded & expected)
    whole = number == len(words) - 1
    with m.If(taken):
        m.d.sync += [number.eq(Mux(whole | dut.last, 0, number + 1)),
                     expected.eq(~whole | dut.last)]
    with m.If(finish):
        m.d.sync += expected.eq(1)
    bench.claim("states until all are there, in front of each sequence",
                dut.loading == expected)
    bench.claim("each state to its post", dut.state_en == Mux(taken, 1 << posts[number], 0))
    bench.claim("each state to its place, as it came", ~taken | (
        (dut.state_group == groups[number]) & (dut.state_cell == cells[number])
        & (dut.state_sweep == sweeps[number])
        & (dut.state_data == dut.data.as_signed()[:len(dut.state_data)].as_signed())))
    bench.invariant((number < len(words)) & (expected | (number == 0)))
    for name, values in (("idx", idxs), ("unit", units), ("group", parts)):
        value, = bench.calls("_states", name)
        bench.invariant(value == values[number])
    turn, = bench.calls("_states", "turn")
    bench.invariant(turn == (1 << units[number] % program.posts)[:program.posts])
    bench.cover("the last state", taken & whole & ~dut.last)
    bench.cover("a sequence's end among the states", taken & dut.last & (number != 0))
    return expected


class Banks:
    """Claims about the two banks of a loader, ``dut``; the steps come from whoever drives it.

    Members
    -------
    running : Signal(1), a step runs, that has not let its bank go
    waiting : Signal, banks that are full and whose step has not started; full : all that are full
    lasts : Signal(2), of those that wait, which hold a sequence's last step
    loading : Value, states are expected
    """

    def __init__(self, bench: Bench, layout: Layout, dut, *, alone: bool = False):
        program = layout.program
        network, words, cols = program.network, program.input_words, program.cols
        m = bench.m
        running, banks = Signal(), Signal(range(3))     # banks that are full
        place = Signal(range(words + 1))                # words of the step so far
        first, lasts = Signal(init=1), Signal(2)        # of the bank that fills; of those that wait
        firsts = Signal(2)
        filling, taken, waiting = Signal(), Signal(), Signal(range(3))
        loading, finish = C(0), Signal()
        if network.loads_state:
            loading = states_in(bench, layout, dut, finish)
        self.running, self.waiting, self.full, self.lasts = running, waiting, banks, lasts
        self.loading = loading
        # Of a step that starts with its last word no bank ever waits.
        self.startable = (waiting != 0) | (C(0) if program.start else filling)
        loaded = Signal()
        m.d.comb += [
            taken.eq(dut.valid & dut.ready & dut.weights_loaded & ~loading),
            filling.eq(taken & (dut.last | (place == words - 1))), finish.eq(taken & dut.last)]
        m.d.sync += [
            loaded.eq(dut.weights_loaded),
            running.eq(dut.start | (running & ~dut.release)),
            banks.eq(banks + filling - dut.release), waiting.eq(waiting + filling - dut.start)]
        bench.assume(~loaded | dut.weights_loaded)  # once they are, they stay
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
        bench.claim("ready where a bank is free, or weights come; for states where none is full",
                    dut.ready == (~dut.weights_loaded | Mux(loading, dut.idle & (banks == 0),
                                                            banks < 2)))
        bench.claim("waiting where a full bank has not started", dut.waiting == (waiting != 0))
        if program.start:
            bench.claim("step_ready tells it a cycle ahead",
                        dut.step_ready == (waiting + filling - dut.start != 0))
        else:
            bench.claim("step_ready in the cycle of the last word",
                        dut.step_ready == self.startable)
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
        full, inside, following, write, run = (bench.inner(name, "Loader") for name in (
            "full", "waiting", "following", "write", "run"))
        bench.invariant((banks == waiting + running) & (waiting <= 2))
        bench.invariant(full[0] + full[1] == banks)
        bench.invariant((banks != 1) | full[run])
        bench.invariant(Mux(banks == 1, write != run, write == run))
        bench.invariant((inside[0] == (waiting != 0)) & (inside[1] == (waiting == 2)))
        bench.invariant(following == (run ^ running))
        bench.invariant(bench.inner("word", "Loader") == place)
        bench.invariant(bench.inner("word_last", "Loader") == (place == words - 1))
        bench.invariant(bench.inner("starting", "Loader") == first)
        flags = [(bench.inner("first", "Loader"), firsts), (bench.inner("last", "Loader"), lasts)]
        bench.invariant(Cat((waiting == 0) | (one[following] == model[0])
                            for one, model in flags).all())
        bench.invariant(Cat((waiting != 2) | (one[~following] == model[1])
                            for one, model in flags).all())
        if network.embedding is None:
            bench.invariant(bench.inner("column", "Loader") == column)
            if program.input_elements != cols:
                bench.invariant(bench.inner("turn", "Loader") == (1 << (place % cols))[:cols])

        if not alone:
            return      # covers are of a loader whose steps come at any time
        bench.cover("both banks full, one runs", (banks == 2) & running & dut.valid)
        bench.cover("a bank goes, and the other starts", dut.release & dut.start)
        bench.cover("one starts, the other fills", dut.start & filling)
        bench.cover("a step cut short", taken & dut.last & dut.error)
        bench.cover("a sequence's last step waits",
                    (waiting == 1) & dut.step_last & ~dut.step_first)
        if network.loads_state:
            bench.cover("states are in, and a step", ~loading & (waiting == 1))


def _loader(layout: Layout) -> Bench:
    """A step starts where one waits, and lets its bank go before the next one starts, or then."""
    bench = Bench(Loader(layout))
    dut, model = bench.dut, Banks(bench, layout, bench.dut, alone=True)
    start, end = bench.free("start_it"), bench.free("end_it")
    bench.m.d.comb += [
        dut.release.eq(end & model.running),
        dut.start.eq(start & model.startable & (~model.running | dut.release))]
    if layout.program.network.loads_state:
        # The engine is idle where nothing runs.
        bench.assume(~model.running | ~dut.idle)
    return bench


def _proof(name: str, says: str, layout: Layout, **more) -> Proof:
    reach = 3 * layout.program.input_words + 4 + layout.program.state_words
    return Proof(name=f"loader.Loader, {name}", says=says, depth=3, reach=reach, mutants=30,
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
