"""First in, first out: the memory behind the output port."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .layout import Layout
from .parity import count_where
from .pipeline import DEEP

__all__ = ["Buffer"]


class Buffer(wiring.Component):
    """First in, first out, in one memory whose own registers are the last places of the queue.

    A word stands at the output ``latency`` cycles after its write if it finds the buffer empty: in
    the cycle of the write itself where that is 0, and then the memory is one that reads without a
    clock. Who writes knows that there is room.

    Parameters
    ----------
    layout : Layout
    width, depth : int
    latency : int, 0 or 3

    Members
    -------
    w_en : In(1), w_data : In(width)
    valid : Out(1), r_data : Out(width), ready : In(1)
    """

    def __init__(self, layout: Layout, *, width: int, depth: int, latency: int = DEEP.output):
        self._family, self._width, self._depth = layout.family, width, depth
        self._layout, self._latency = layout, latency
        super().__init__({"w_en": In(1), "w_data": In(width), "valid": Out(1),
                          "r_data": Out(width), "ready": In(1)})

    def elaborate(self, platform):
        m = Module()
        if not self._latency:
            self._at_once(m)
            return m
        depth = 1 << ceil_log2(self._depth)
        m.submodules.memory = memory = self._family.ram(width=self._width, depth=depth, gated=True)
        write, read = Signal(range(depth)), Signal(range(depth))
        level, some = Signal(range(depth + 1)), Signal()  # words in the memory alone
        fetched, valid = Signal(), Signal()  # the steps of a read hold a word
        fetch, move = Signal(), Signal()
        m.d.comb += [
            move.eq(~valid | self.ready), fetch.eq(~fetched | move),
            memory.r_addr.eq(read), memory.r_en.eq(fetch), memory.o_en.eq(move),
            memory.w_addr.eq(write), memory.w_en.eq(self.w_en), memory.w_data.eq(self.w_data),
            self.r_data.eq(memory.r_data), self.valid.eq(valid)]
        count_where(m, self._layout, memory, valid)
        if self._layout.watch:
            self._invariant(m, write - read, level, some)
        with m.If(move):
            m.d.sync += valid.eq(fetched)
        with m.If(fetch):
            m.d.sync += [fetched.eq(some), read.eq(read + some)]
        with m.If(self.w_en):
            m.d.sync += write.eq(write + 1)
        with m.If(self.w_en & ~(fetch & some)):
            m.d.sync += [level.eq(level + 1), some.eq(1)]
        with m.Elif(~self.w_en & fetch & some):
            m.d.sync += [level.eq(level - 1), some.eq(level != 1)]
        return m

    def _at_once(self, m: Module):
        """A word that finds nothing before it passes the memory by; written it is all the same, so
        that it stands still until it is taken."""
        depth = 1 << ceil_log2(self._depth)
        m.submodules.memory = memory = self._family.ram(width=self._width, depth=depth, latency=0)
        write, read, level = Signal(range(depth)), Signal(range(depth)), Signal(range(depth + 1))
        some, takes = Signal(), Signal()
        m.d.comb += [
            self.valid.eq(some | self.w_en), takes.eq(self.valid & self.ready),
            self.r_data.eq(Mux(some, memory.r_data, self.w_data)),
            memory.r_addr.eq(read), memory.w_addr.eq(write),
            memory.w_en.eq(self.w_en), memory.w_data.eq(self.w_data)]
        m.d.sync += [read.eq(read + takes), write.eq(write + self.w_en)]
        with m.If(self.w_en & ~takes):
            m.d.sync += [level.eq(level + 1), some.eq(1)]
        with m.Elif(~self.w_en & takes):
            m.d.sync += [level.eq(level - 1), some.eq(level != 1)]
        count_where(m, self._layout, memory, some)
        if self._layout.watch:
            self._invariant(m, write - read, level, some)

    def _invariant(self, m: Module, distance, level, some):
        """What holds in every cycle: the level is the pointers' distance, and told."""
        wrong, apart = Signal(), Signal(len(level) - 1)
        level_q, some_q = Signal.like(level), Signal()
        m.d.sync += [
            apart.eq(distance), level_q.eq(level), some_q.eq(some),
            wrong.eq((apart != level_q[:-1]) | (some_q != level_q.any())
                     | (level_q[-1] & level_q[:-1].any()))]
        self._layout.watch.control.append(wrong)
