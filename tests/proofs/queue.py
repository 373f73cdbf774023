"""The output buffer's queue: no word is lost, doubled or out of order, none comes of nothing."""

from types import SimpleNamespace

from amaranth import *

from hw.families import PORTABLE
from hw.pipeline import DEEP
from hw.queue import Buffer

from .bench import Bench, Proof

__all__ = ["PROOFS", "Followed"]


class Followed:
    """Counts the words of a ``Buffer`` in a bench, and follows one of them, any, on its way.

    Parameters
    ----------
    bench : Bench
        Of a module that is a Buffer or has one.
    written, takes : Value, 1 bit
        A word comes in, in this cycle; one leaves.
    word : Value
        The one that comes in, as the memory holds it.
    most : int
        Words that there may be.
    number : int
        Which of the bench's memories is the Buffer's.
    latency : int
        Of the ``Buffer``.

    Members
    -------
    count : Signal, words there are
    caught : Signal(1), the word that comes in is the one to be followed
    at_head : Signal(1), the word followed is the next to leave; word : Signal, that word
    """

    def __init__(self, bench: Bench, *, written, takes, word, most: int, number: int = 0,
                 latency: int = DEEP.output):
        m = bench.m
        self.count, ahead = Signal(range(most + 1)), Signal(range(most + 1))
        followed, self.at_head, self.word = Signal(), Signal(), Signal(len(Value.cast(word)))
        self.caught, follow = Signal(), bench.free("follow")
        passes = C(0) if latency else takes & (self.count == 0)  # it is never in the memory
        m.d.comb += [self.at_head.eq(followed & (ahead == 0)),
                     self.caught.eq(written & follow & ~followed & ~passes)]
        m.d.sync += self.count.eq(self.count + written - takes)
        with m.If(followed & takes):
            m.d.sync += [ahead.eq(ahead - 1), followed.eq(ahead != 0)]
        with m.If(self.caught):
            m.d.sync += [followed.eq(1), ahead.eq(self.count - takes), self.word.eq(word)]

        level, some, read, write = (bench.inner(name, "Buffer") for name in (
            "level", "some", "read", "write"))
        fetched, valid = (bench.inner(name, "Buffer") if latency else C(0, 1)
                          for name in ("fetched", "valid"))
        bench.invariant(self.count <= most)
        bench.invariant(level + fetched + valid == self.count)
        bench.invariant(some == (level != 0))
        bench.invariant((write - read)[:len(read)] == level[:len(read)])
        bench.invariant(~followed | (ahead < self.count))
        place = (read + (ahead - fetched - valid)[:len(read)])[:len(read)]
        held = bench.memory_word(place, number)
        if latency:
            held = Mux((ahead == 0) & valid, bench.inner("memory", "Buffer").r_data,
                       Mux((ahead == valid) & fetched, bench.memory_output(number), held))
        bench.invariant(~followed | (held == self.word))


def _queue(width: int, depth: int) -> Bench:
    layout = SimpleNamespace(family=PORTABLE, watch=None)
    bench = Bench(Buffer(layout, width=width, depth=depth))
    m, dut = bench.m, bench.dut
    offer, takes = bench.free("offer"), Signal()
    m.d.comb += takes.eq(dut.valid & dut.ready)
    words = Followed(bench, written=dut.w_en, takes=takes, word=dut.w_data, most=depth)
    m.d.comb += dut.w_en.eq(offer & (words.count < depth))
    waited, shown, late = Signal(), Signal(width), Signal(2)
    m.d.sync += [waited.eq(dut.valid & ~dut.ready), shown.eq(dut.r_data),
                 late.eq(Mux(dut.valid | (words.count == 0), 0, late + 1))]

    bench.claim("a word only where one was written", ~dut.valid | (words.count != 0))
    bench.claim("the word followed comes in its turn, as it was written",
                ~(words.at_head & dut.valid) | (dut.r_data == words.word))
    bench.claim("valid and data stay until taken",
                ~waited | (dut.valid & (dut.r_data == shown)))
    bench.claim("a word stands at the output three cycles after it was written",
                (late < 2) | dut.valid)
    bench.invariant((late < 3) & ((late != 1) | bench.inner("fetched") | dut.valid))

    bench.cover("full", words.count == depth)
    bench.cover("a full queue runs empty, the word followed last",
                takes & words.at_head & (words.count == 1)
                & (bench.inner("read") == depth % (1 << len(bench.inner("read")))))
    bench.cover("taken and written in one cycle", takes & dut.w_en)
    return bench


def _at_once(width: int, depth: int) -> Bench:
    """The queue that lets a word pass where nothing is before it."""
    layout = SimpleNamespace(family=PORTABLE, watch=None)
    bench = Bench(Buffer(layout, width=width, depth=depth, latency=0))
    m, dut = bench.m, bench.dut
    offer, takes = bench.free("offer"), Signal()
    m.d.comb += takes.eq(dut.valid & dut.ready)
    words = Followed(bench, written=dut.w_en, takes=takes, word=dut.w_data, most=depth, latency=0)
    m.d.comb += dut.w_en.eq(offer & (words.count < depth))
    waited, shown = Signal(), Signal(width)
    m.d.sync += [waited.eq(dut.valid & ~dut.ready), shown.eq(dut.r_data)]

    bench.claim("a word wherever there is one, or one comes",
                dut.valid == ((words.count != 0) | dut.w_en))
    bench.claim("one that finds nothing before it is there at once",
                (words.count != 0) | ~dut.w_en | (dut.r_data == dut.w_data))
    bench.claim("the word followed comes in its turn, as it was written",
                ~words.at_head | (dut.r_data == words.word))
    bench.claim("valid and data stay until taken",
                ~waited | (dut.valid & (dut.r_data == shown)))
    # A word that waits is what stood at the port in the cycle before.
    bench.invariant(~waited | ((words.count != 0) & (
        bench.memory_word(bench.inner("read")) == shown)))

    bench.cover("full", words.count == depth)
    bench.cover("a full queue runs empty, the word followed last",
                takes & words.at_head & (words.count == 1)
                & (bench.inner("read") == depth % (1 << len(bench.inner("read")))))
    bench.cover("taken as it comes", takes & dut.w_en & (words.count == 0))
    bench.cover("taken and written in one cycle", takes & dut.w_en & (words.count == 2))
    return bench


PROOFS = [
    Proof(name="queue.Buffer, flat, 4 words of 3 bits", build=lambda: _at_once(3, 4), depth=4,
          reach=16, says="order, count, stable while it waits, there at once", quick=True),
    Proof(name="queue.Buffer, 4 words of 3 bits", build=lambda: _queue(3, 4), depth=4, reach=16,
          says="order, count, stable while it waits, there in three cycles", quick=True),
    Proof(name="queue.Buffer, 11 words of 2 bits", build=lambda: _queue(2, 11), depth=4, reach=18,
          says="the same where the depth is no power of two"),
]
