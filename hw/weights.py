"""The weight memory: read strictly in order, one word a cycle, from a ROM or loaded at start."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .blocks import Ram
from .image import weight_image
from .layout import Layout

__all__ = ["WeightMemory"]


class WeightMemory(wiring.Component):
    """One word of ``lanes * cols`` weights for each column that is issued.

    A core whose weights are loaded takes them from its input stream, before the first sequence
    after a reset: each word of the memory in pieces of the stream's width, lowest piece first
    (``hw.image.load_words``). Memories that a bitstream cannot fill need that.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    restart : In(1), a step starts: the first word comes next
    advance : In(1), the word of this cycle is taken
    data : Out(lanes * cols * weight_width), ``Ram.latency`` cycles after its turn
    load_en : In(1), load_data : In(input_width), a piece of a word
    loaded : Out(1), all weights are there
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        program = layout.program
        width = program.lanes * program.cols * program.network.weight_width
        super().__init__({
            "restart": In(1), "advance": In(1), "data": Out(width),
            "load_en": In(1), "load_data": In(program.input_width), "loaded": Out(1)})

    def elaborate(self, platform):
        m = Module()
        program = self._layout.program
        width, depth = len(self.data), program.weight_words
        m.submodules.memory = memory = Ram(
            width=width, depth=depth, init=() if program.load_weights else weight_image(program),
            writable=program.load_weights)
        address = Signal(range(max(2, depth)))
        with m.If(self.advance):
            m.d.sync += address.eq(address + 1)
        with m.If(self.restart):
            m.d.sync += address.eq(0)
        m.d.comb += [memory.r_addr.eq(address), self.data.eq(memory.r_data), self.loaded.eq(1)]
        if not program.load_weights:
            return m
        pieces, piece_width = program.pieces, program.input_width
        piece = Signal(range(max(2, pieces)))
        target = Signal(ceil_log2(depth + 1))
        earlier = Signal(pieces * piece_width, reset_less=True)
        word, whole = Signal.like(earlier), Signal()
        m.d.comb += [word.eq(Cat(earlier[piece_width:], self.load_data)),
                     whole.eq(self.load_en & (piece == pieces - 1)),
                     self.loaded.eq(target == depth), memory.w_en.eq(whole),
                     memory.w_addr.eq(target), memory.w_data.eq(word)]
        with m.If(self.load_en):
            m.d.sync += [earlier.eq(word), piece.eq(Mux(whole, 0, piece + 1))]
        with m.If(whole):
            m.d.sync += target.eq(target + 1)
        return m
