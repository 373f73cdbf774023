"""The last states of a sequence on their way out."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .layout import Layout

__all__ = ["Dump"]


class Dump(wiring.Component):
    """Reads the last states out, one word a cycle, once nothing is in flight.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    start : In(1), the cycle of a sequence's last issue
    idle : Out(1), low from the cycle after ``start`` until all is flushed and read
    reading : Out(1), an address is out; cell : Out(1), it is a cell state's
    group : Out, the unit's group; post : Out, its place in there; sweep : Out, its layer's sweep
    final : Out(1), the last one
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        super().__init__({
            "start": In(1), "idle": Out(1), "reading": Out(1), "cell": Out(1),
            "group": Out(layout.group_bits), "post": Out(range(max(2, layout.program.posts))),
            "sweep": Out(layout.sweep), "final": Out(1)})

    def elaborate(self, platform):
        m = Module()
        program, flush = self._layout.program, self._layout.schedule.flush
        count = Signal(range(flush + 1))
        reading, idle, flushed = Signal(), Signal(init=1), Signal()
        m.d.comb += [self.idle.eq(idle), flushed.eq(count == 1)]
        with m.If(count != 0):
            m.d.sync += count.eq(count - 1)
        with m.If(self.final if program.network.returns_state else flushed):
            m.d.sync += idle.eq(1)
        with m.If(self.start):
            m.d.sync += [count.eq(flush), idle.eq(0)]
        if not program.network.returns_state:
            return m
        states = program.states
        idx = Signal(range(max(2, len(states))))
        left = Signal(range(max(2, max(units for *_, units in states))))
        following = Signal.like(idx)
        m.d.comb += [self.reading.eq(reading),
                     self.final.eq(reading & (left == 0) & (idx == len(states) - 1)),
                     following.eq(Mux(reading, idx + 1, 0))]
        with m.If(reading):
            wraps = self.post == program.posts - 1
            m.d.sync += [self.post.eq(Mux(wraps, 0, self.post + 1)),
                         self.group.eq(self.group + wraps), left.eq(left - 1)]
        with m.If(flushed | (reading & (left == 0))):
            m.d.sync += [reading.eq(~self.final), idx.eq(following)]
            with m.Switch(following):
                for k, (signal, layer, base, units) in enumerate(states):
                    with m.Case(k):
                        m.d.sync += [self.group.eq(base // program.posts), self.post.eq(0),
                                     left.eq(units - 1), self.cell.eq(int(signal == "c")),
                                     self.sweep.eq(program.sweep_of(layer))]
        return m
