"""The output buffer's queue: no word is lost, doubled or out of order, none comes of nothing."""

from types import SimpleNamespace

from amaranth import *

from hw.families import PORTABLE
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

    Members
    -------
    count : Signal, words there are
    caught : Signal(1), the word that comes in is the one to be followed
    at_head : Signal(1), the word followed is the next to leave; word : Signal, that word
    """

    def __init__(self, bench: Bench, *, written, takes, word, most: int, number: int = 0):
        m = bench.m
        self.count, ahead = Signal(range(most + 1)), Signal(range(most + 1))
        followed, self.at_head, self.word = Signal(), Signal(), Signal(len(Value.cast(word)))
        self.caught, follow = Signal(), bench.free("follow")
        m.d.comb += [self.at_head.eq(followed & (ahead == 0)),
                     self.caught.eq(written & follow & ~followed)]
        m.d.sync += self.count.eq(self.count + written - takes)
        with m.If(followed & takes):
            m.d.sync += [ahead.eq(ahead - 1), followed.eq(ahead != 0)]
        with m.If(self.caught):
            m.d.sync += [followed.eq(1), ahead.eq(self.count - takes), self.word.eq(word)]

        level, some, fetched, valid, read, write = (bench.inner(name, "Buffer") for name in (
            "level", "some", "fetched", "valid", "read", "write"))
        bench.invariant(self.count <= most)
        bench.invariant(level + fetched + valid == self.count)
        bench.invariant(some == (level != 0))
        bench.invariant((write - read)[:len(read)] == level[:len(read)])
        bench.invariant(~followed | (ahead < self.count))
        place = (read + (ahead - fetched - valid)[:len(read)])[:len(read)]
        memory, out = bench.memory_word(place, number), bench.inner("memory", "Buffer").r_data
        held = Mux((ahead == 0) & valid, out,
                   Mux((ahead == valid) & fetched, bench.memory_output(number), memory))
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


PROOFS = [
    Proof(name="queue.Buffer, 4 words of 3 bits", build=lambda: _queue(3, 4), depth=4, reach=16,
          says="order, count, stable while it waits, there in three cycles", quick=True),
    Proof(name="queue.Buffer, 11 words of 2 bits", build=lambda: _queue(2, 11), depth=4, reach=18,
          says="the same where the depth is no power of two"),
]
