"""The weight memory's counters once more, for cores that tell of upsets."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["WeightCounters"]


class WeightCounters(wiring.Component):
    """Counts what ``WeightMemory`` counts, from the same inputs a cycle later.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    restart, sweep, advance, load_en : In, as those of ``WeightMemory``
    address : Out, of the word to be taken next
    target, piece : Out, of the word that is loaded next; piece of it
    """

    def __init__(self, layout):
        self._layout = layout
        program = layout.program
        super().__init__({
            "restart": In(1), "sweep": In(layout.sweep), "advance": In(1), "load_en": In(1),
            "address": Out(range(max(2, program.weight_words))),
            "target": Out(ceil_log2(program.weight_words + 1)),
            "piece": Out(range(max(2, program.pieces)))})

    @property
    def counters(self) -> tuple:
        return self.address, self.target, self.piece

    def elaborate(self, platform):
        m = Module()
        program = self._layout.program
        first = Array(program.sweep_words)[self.sweep] if program.n_sweeps > 1 else 0
        m.d.sync += self.address.eq(Mux(self.restart, first, self.address + self.advance))
        with m.If(self.load_en):
            m.d.sync += self.piece.eq(self.piece + 1)
            with m.If(self.piece == program.pieces - 1):
                m.d.sync += [self.piece.eq(0), self.target.eq(self.target + 1)]
        return m
