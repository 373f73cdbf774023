"""The output buffer's queue: no word is lost, doubled or out of order, none comes of nothing."""

from types import SimpleNamespace

from amaranth import *

from hw.families import PORTABLE
from hw.queue import Buffer

from .bench import Bench, Proof

__all__ = ["PROOFS"]


def _queue(width: int, depth: int) -> Bench:
    """Words are counted, and one of them, any, is followed on its way."""
    bench = Bench(Buffer(SimpleNamespace(family=PORTABLE), width=width, depth=depth))
    m, dut = bench.m, bench.dut
    count, ahead, followed = Signal(range(depth + 1)), Signal(range(depth + 1)), Signal()
    word = Signal(width)
    offer, follow = bench.free("offer"), bench.free("follow")
    takes = Signal()
    m.d.comb += [dut.w_en.eq(offer & (count < depth)), takes.eq(dut.valid & dut.ready)]
    m.d.sync += count.eq(count + dut.w_en - takes)
    with m.If(followed & takes):
        m.d.sync += [ahead.eq(ahead - 1), followed.eq(ahead != 0)]
    with m.If(dut.w_en & follow & ~followed):
        m.d.sync += [followed.eq(1), ahead.eq(count - takes), word.eq(dut.w_data)]
    waited, shown = Signal(), Signal(width)
    m.d.sync += [waited.eq(dut.valid & ~dut.ready), shown.eq(dut.r_data)]

    bench.claim("a word only where one was written", ~dut.valid | (count != 0))
    bench.claim("the word followed comes in its turn, as it was written",
                ~(followed & (ahead == 0) & dut.valid) | (dut.r_data == word))
    bench.claim("valid and data stay until taken",
                ~waited | (dut.valid & (dut.r_data == shown)))
    late = Signal(2)
    m.d.sync += late.eq(Mux(dut.valid | (count == 0), 0, late + 1))
    bench.claim("a word stands at the output three cycles after it was written",
                (late < 2) | dut.valid)

    level, fetched = bench.inner("level"), bench.inner("fetched")
    read, write = bench.inner("read"), bench.inner("write")
    bench.invariant(level + fetched + dut.valid == count)
    bench.invariant(bench.inner("some") == (level != 0))
    bench.invariant((write - read)[:len(read)] == level[:len(read)])
    bench.invariant(~followed | (ahead < count))
    behind = Signal.like(read)
    place = Signal.like(read)
    m.d.comb += [behind.eq(ahead - fetched - dut.valid), place.eq(read + behind)]
    held = Mux((ahead == dut.valid) & fetched, bench.memory_output(), bench.memory_word(place))
    bench.invariant(~followed | ((ahead == 0) & dut.valid) | (held == word))
    bench.invariant((late != 1) | fetched | dut.valid)
    bench.invariant(late < 3)

    bench.cover("full", count == depth)
    bench.cover("a full queue runs empty, the word followed last",
                takes & followed & (ahead == 0) & (count == 1))
    bench.cover("taken and written in one cycle", takes & dut.w_en)
    return bench


PROOFS = [
    Proof(name="queue.Buffer, 4 words of 3 bits", build=lambda: _queue(3, 4), depth=4, reach=16,
          says="order, count, stable while it waits, there in three cycles", quick=True),
    Proof(name="queue.Buffer, 11 words of 2 bits", build=lambda: _queue(2, 11), depth=4, reach=18,
          says="the same where the depth is no power of two"),
]
