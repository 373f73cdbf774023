"""The weight memory: read strictly in order, one word a cycle, from a ROM or loaded at start."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .blocks import delay, stages
from .counters import WeightCounters
from .image import weight_image
from .layout import Layout
from .mac import group_size
from .parity import pipelined_differ

__all__ = ["WeightMemory"]


class WeightMemory(wiring.Component):
    """One word of ``lanes * cols`` weights for each column word that is issued.

    A core whose weights are loaded takes them from its input stream, before the first sequence
    after a reset: each word of the memory in pieces of the stream's width, lowest piece first
    (``hw.image.load_words``). Memories that a bitstream cannot fill need that.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    restart : In(1), the word of this cycle is a step's last: the sweep's first one comes next
    sweep : In, which sweep runs
    advance : In(1), the word of this cycle is taken
    data : Out(program.weight_bits), as many cycles after its turn as the vector takes
        from issue to array; the lanes of the array's group g another g cycles later
    load_en : In(1), load_data : In(input_width), a piece of a word
    loaded : Out(1), all weights are there
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        program = layout.program
        super().__init__({
            "restart": In(1), "sweep": In(layout.sweep), "advance": In(1),
            "data": Out(program.weight_bits), "loaded": Out(1),
            "load_en": In(1), "load_data": In(program.input_width)})
        # The parity of a word that tells of upsets includes its address.
        self._shape = {"addressed": True} if layout.watch else {}

    def elaborate(self, platform):
        m = Module()
        program, family = self._layout.program, self._layout.family
        pipeline, group_lanes = program.pipeline, group_size(
            program.posts, family, program.packing)
        depth, total = program.weight_words, len(self.data)
        width = total // program.lanes * group_lanes  # of a group's share of a word
        n_groups = -(-program.lanes // group_lanes)
        image = () if program.load_weights else weight_image(program)
        # The address after this cycle is known in it; where the vector takes less time than a
        # memory with a clock, that one is read.
        address = Signal(range(max(2, depth)))
        following = Signal.like(address)
        first = Array(program.sweep_words)[self.sweep] if program.n_sweeps > 1 else 0
        m.d.comb += following.eq(Mux(self.restart, first, address + self.advance))
        m.d.sync += address.eq(following)
        early = pipeline.vector < pipeline.ram
        addresses = stages(m, following if early else address, n_groups - 1, name="address")
        memories = []
        for group in range(n_groups):
            low, high = group * width, min((group + 1) * width, total)
            mask = (1 << (high - low)) - 1
            m.submodules[f"group{group}"] = memory = family.ram(
                width=high - low, depth=depth, init=[(word >> low) & mask for word in image],
                writable=program.load_weights, one_port=program.load_weights,
                latency=pipeline.ram, **self._shape)
            m.d.comb += [memory.r_addr.eq(addresses[group]),
                         self.data[low:high].eq(
                             # Memories and multipliers may lie far apart.
                             delay(m, memory.r_data, pipeline.broadcast, name=f"data{group}"))]
            memories.append((memory, low, high))
        m.d.comb += self.loaded.eq(1)
        if not program.load_weights:
            self._watch(m, memories, [address])
            return m
        pieces, piece_width = program.pieces, program.input_width
        piece = Signal(range(max(2, pieces)))
        target = Signal(ceil_log2(depth + 1))
        earlier = Signal(pieces * piece_width, reset_less=True)
        word, whole = Signal.like(earlier), Signal()
        m.d.comb += [word.eq(Cat(earlier[piece_width:], self.load_data)),
                     whole.eq(self.load_en & (piece == pieces - 1)),
                     self.loaded.eq(target == depth)]
        for memory, low, high in memories:
            m.d.comb += [memory.w_en.eq(whole), memory.w_addr.eq(target),
                         memory.w_data.eq(word[low:high])]
        with m.If(self.load_en):
            m.d.sync += [earlier.eq(word), piece.eq(Mux(whole, 0, piece + 1))]
        with m.If(whole):
            m.d.sync += target.eq(target + 1)
        self._watch(m, memories, [address, target, piece])
        return m

    def _watch(self, m: Module, memories: list, counters: list):
        """Each word against the address that it should be read from; the counters' own twin."""
        watch, vector = self._layout.watch, self._layout.program.pipeline.vector
        if watch is None:
            return
        m.submodules.counters = twin = WeightCounters(self._layout)
        for name in ("restart", "sweep", "advance", "load_en"):
            value = getattr(self, name)
            m.d.comb += getattr(twin, name).eq(delay(m, value, 1, name=f"late_{name}",
                                                     reset_less=False))
        late = delay(m, Cat(counters), 1, name="late", reset_less=False)
        own = Cat(twin.counters[:len(counters)])
        watch.control.append(pipelined_differ(m, late, own, "differ"))
        # A word's data follow its turn by ``vector`` cycles, and count in the cycle behind them.
        taken = stages(m, twin.advance, vector + len(memories) - 1, name="taken",
                       reset_less=False)[vector:]
        parity = stages(m, twin.address.xor(), vector + len(memories) - 1, name="fold")[vector:]
        for (memory, _, _), check, fold in zip(memories, taken, parity, strict=True):
            m.d.comb += [memory.check.eq(check), memory.fold.eq(fold)]
