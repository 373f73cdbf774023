"""The weight memory: strictly in order, step by step, never out of range, each word as it was."""

from amaranth import *

from hw.blocks import delay
from hw.image import weight_image
from hw.layout import Layout
from hw.mac import group_size
from hw.pipeline import SHALLOW
from hw.weights import WeightMemory

from .bench import Bench, Proof, aged
from .layouts import layout_of

__all__ = ["PROOFS"]


def _ends(program, last: bool) -> list:
    """The last word of a step, of each sweep."""
    ends = []
    for first, phases in zip(program.sweep_words, program.sweeps, strict=True):
        there = [phase for phase in phases if last or not phase.last_only] or phases
        ends.append(first - 1 + sum(phase.passes(program.lanes) * phase.length(program.cols)
                                    for phase in there))
    return ends


def _loaded(bench: Bench, layout: Layout, shares: list) -> tuple:
    """Words come over the stream; returns whether all are there, and one of them that is followed:
    whether, its number and the word.
    """
    m, dut, program = bench.m, bench.dut, layout.program
    depth, pieces, width = program.weight_words, program.pieces, program.input_width
    word, piece, followed = Signal(range(depth + 1)), Signal(range(pieces)), Signal()
    at, before, kept = Signal.like(word), Signal(pieces * width), Signal(pieces * width)
    there, whole = word == depth, piece == pieces - 1
    now = Cat(before[width:], dut.load_data)
    m.d.comb += dut.load_en.eq(bench.free("load") & ~there)
    with m.If(dut.load_en):
        m.d.sync += [before.eq(now), piece.eq(Mux(whole, 0, piece + 1)), word.eq(word + whole)]
        with m.If(whole & bench.free("follow") & ~followed):
            m.d.sync += [followed.eq(1), at.eq(word), kept.eq(now)]
    bench.claim("loaded once all words are there", dut.loaded == there)
    bench.invariant((word <= depth) & (piece < pieces) & (bench.inner("target") == word))
    bench.invariant((bench.inner("piece") == piece) & (~followed | (at < word)))
    bench.invariant((piece == 0) | (bench.inner("earlier")[-width:] == before[-width:]))
    for k, (low, high) in enumerate(shares):
        bench.invariant(~followed | (bench.memory_word(at, k) == kept[low:high]))
    bench.cover("all words are there", there & followed)
    return there, (followed, at, kept)


def _weights(layout: Layout) -> Bench:
    """Words are taken as the sequencer takes them: a step's one after the other, with any pauses;
    from the sweep's first one on, in each step and at each turn of the sweeps."""
    program, pipeline, family = layout.program, layout.program.pipeline, layout.family
    bench = Bench(WeightMemory(layout))
    m, dut, depth = bench.m, bench.dut, program.weight_words
    lanes = group_size(program.posts, family, program.packing)
    width = len(dut.data) // program.lanes * lanes
    shares = [(low, min(low + width, len(dut.data))) for low in range(0, len(dut.data), width)]
    there, (followed, at, kept) = C(1), (C(0), C(0), C(0))
    if program.load_weights:
        there, (followed, at, kept) = _loaded(bench, layout, shares)

    number, kind, sweep, turns = (Signal(range(depth)), Signal(),
                                  Signal(range(program.n_sweeps)), Signal())
    first = Array(program.sweep_words)[sweep]
    begins = number == first
    last = Mux(begins, bench.free("last_step"), kind)
    final = number == Mux(last, Array(_ends(program, True))[sweep],
                          Array(_ends(program, False))[sweep])
    # No core issues a column in the first cycle behind a reset.
    awake, take, turn = aged(m, 1), bench.free("take"), bench.free("turn_now")
    m.d.comb += [dut.sweep.eq(sweep), dut.advance.eq(take & there & awake & ~turns),
                 dut.restart.eq((dut.advance & final) | turns)]
    m.d.sync += [kind.eq(last), turns.eq(0)]
    with m.If(turns):
        m.d.sync += number.eq(first)
    with m.Elif(dut.advance):
        m.d.sync += number.eq(Mux(final, first, number + 1))
    if program.n_sweeps > 1:
        with m.If(turn & there & begins & ~dut.advance & ~turns):
            m.d.sync += [turns.eq(1), sweep.eq(Mux(sweep == program.n_sweeps - 1, 0, sweep + 1))]

    stepped = Signal()
    m.d.sync += stepped.eq(stepped | dut.restart)
    latency = pipeline.vector + pipeline.broadcast
    for k, (low, high) in enumerate(shares):
        valid, which = (delay(m, value, latency + k, name=name, reset_less=False)
                        for value, name in ((dut.advance, "valid"), (number, "which")))
        if program.load_weights:
            right = ~followed | (which != at) | (dut.data[low:high] == kept[low:high])
        else:
            image = [word >> low & (1 << (high - low)) - 1 for word in weight_image(program)]
            right = dut.data[low:high] == Array(image)[which]
        bench.claim(f"the word whose turn it was, lanes of group {k}", ~valid | right)
        bench.cover(f"the last word of all, lanes of group {k}", valid & (which == depth - 1))
    bench.invariant((number < depth) & (turns | (bench.inner("address") == number)))
    inside = (number >= first) & (number <= Array(_ends(program, True))[sweep])
    bench.invariant(turns | inside & (begins | kind | (
        number <= Array(_ends(program, False))[sweep])))
    bench.invariant((sweep < program.n_sweeps) & (there | (number == 0)))
    bench.cover("a step behind a step, or a sweep behind a sweep", dut.restart & stepped)
    return bench


def _proof(name: str, says: str, layout: Layout, **more) -> Proof:
    program = layout.program
    if program.weight_words & (program.weight_words - 1):
        raise ValueError(f"The memory must have 2^n words, or some have no driver, not "
                         f"{program.weight_words}")
    latency = program.pipeline.vector + program.pipeline.broadcast + 2
    return Proof(name=f"weights.WeightMemory, {name}", says=says, depth=latency + 4, mutants=30,
                 reach=program.weight_words + program.load_words + latency + program.n_sweeps + 4,
                 build=lambda: _weights(layout), **more)


PROOFS = [
    _proof("GRU and a head at the end", "in order, in range, each word as written, in its cycle",
           layout_of(("gru", 3), ("linear", 2, "last"), inputs=2, lanes=9)),
    _proof("two sweeps", "the same; each sweep from its first word",
           layout_of(("rnn", 2, (-1,)), ("rnn", 2, "reverse", (-1,)), ("linear", 4, (0, 1)),
                     inputs=2, lanes=2, max_steps=3, pipeline=SHALLOW), quick=True),
    _proof("loaded", "the same, for words that come over the stream",
           layout_of(("rnn", 3), inputs=1, lanes=3, load_weights=True,
                     pipeline=SHALLOW)),
]
