"""Parity of memory words, for cores that tell of upsets; see ``hw.guard``."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .blocks import delay

__all__ = ["CHUNK", "Checked", "ParityCheck", "count_where", "or_latency",
           "pipelined_differ", "pipelined_or"]

CHUNK = 16      # bits whose parity, or agreement, is found between two registers


def count_where(m: Module, layout, memory, used, *, cycles: int = 0) -> None:
    """In a protected core, the word that a memory shows counts where it is ``used``: a word that is
    read in the cycle of its write, or from behind the last one, has no parity.

    Parameters
    ----------
    layout : Layout
    memory : Checked
    used : Value, 1 bit
    cycles : int
        That ``used`` comes before the word.
    """
    if layout.watch:
        name = f"{memory.check.name}_used"
        m.d.comb += memory.check.eq(delay(m, used, cycles + 1, name=name, reset_less=False))


def or_latency(n: int) -> int:
    """Cycles that ``pipelined_or`` takes for ``n`` bits."""
    return 1 if n <= CHUNK else 1 + or_latency(-(-n // CHUNK))


def pipelined_or(m: Module, bits: list, name: str) -> Signal:
    """The OR of any number of bits, a register behind each ``CHUNK`` of them."""
    level = 0
    while True:
        level += 1
        joined = []
        for k in range(0, len(bits), CHUNK):
            joined.append(Signal(name=f"{name}{level}_{k}"))
            m.d.sync += joined[-1].eq(Cat(bits[k:k + CHUNK]).any())
        bits = joined
        if len(bits) == 1:
            return bits[0]


def pipelined_differ(m: Module, one, other, name: str, *, counts=1) -> Signal:
    """Whether two values of the same width differ where that ``counts``, in pieces."""
    parts = []
    for low in range(0, len(one), CHUNK // 2):
        piece = slice(low, low + CHUNK // 2)
        parts.append(Signal(name=f"{name}{low}"))
        m.d.sync += parts[-1].eq((one[piece] != other[piece]) & counts)
    return pipelined_or(m, parts, f"{name}_any")


class ParityCheck(wiring.Component):
    """Whether each element of a word has even parity, its own parity bit included.

    Parameters
    ----------
    width : int
        Bits of an element, its parity bit included.
    cols : int
        Elements of the word.

    Members
    -------
    word : In(cols * width)
    check : In(1), fold : In(1), in the cycle after ``word``: it counts, and what its parity is if
        nothing is wrong, always 0 but where the address has its part in it
    alarm : Out(1), ``latency`` cycles after ``word``
    """

    latency = 2

    def __init__(self, width: int, cols: int):
        self._width, self._cols = width, cols
        super().__init__({"word": In(cols * width), "check": In(1), "fold": In(1), "alarm": Out(1)})

    def elaborate(self, platform):
        m = Module()
        wrong = []
        for k in range(self._cols):
            element, parts = self.word.word_select(k, self._width), []
            for low in range(0, self._width, CHUNK):
                part = Signal(name=f"part{k}_{low}", reset_less=True)
                m.d.sync += part.eq(element[low:low + CHUNK].xor())
                parts.append(part)
            wrong.append(Cat(*parts, self.fold).xor())
        m.d.sync += self.alarm.eq(self.check & Cat(wrong).any())
        return m


class Checked(wiring.Component):
    """``blocks.Ram`` whose words carry a parity bit an element, and a check of what is read.

    The bit goes into the memory's own words, where a block has often room for it; but not into
    those of a memory with one port, whose blocks are few and 16 bits wide.

    Parameters
    ----------
    make : callable
        As ``Family.ram``.
    addressed : bool
        The word's address has its part in the bit: whoever reads says by ``fold`` the parity of the
        address it means.
    shape : keywords of ``blocks.Ram``

    Members
    -------
    Those of ``blocks.Ram``, and

    check, fold : In(1), as those of ``ParityCheck``, the cycle after the data; ``count_where``
    alarm : Out(1), two cycles after the data
    """

    def __init__(self, make, *, width: int, depth: int, cols: int = 1, init=(),
                 addressed: bool = False, one_port: bool = False, **shape):
        self._width, self._cols, self._addressed = width, cols, addressed
        self._apart = one_port
        if self._apart:
            self._memory = make(width=width, depth=depth, cols=cols, one_port=True, **shape)
            self._bits = make(width=1, depth=depth, cols=cols, **shape)
        else:
            # Contents are whole words: those that are written by elements begin as zeros.
            words = [word | ((word.bit_count() + address.bit_count() * addressed) & 1) << width
                     for address, word in enumerate(init)]
            self._memory = make(width=width + 1, depth=depth, cols=cols, init=words, **shape)
        super().__init__({
            "r_addr": In(max(1, ceil_log2(depth))), "r_data": Out(cols * width),
            "w_en": In(cols), "w_addr": In(max(1, ceil_log2(depth))), "w_data": In(cols * width),
            "check": In(1), "fold": In(1), "alarm": Out(1),
            **({"r_en": In(1), "o_en": In(1)} if shape.get("gated") else {})})

    def elaborate(self, platform):
        m = Module()
        width, cols = self._width, self._cols
        m.submodules.memory = memory = self._memory
        m.submodules.parity = parity = ParityCheck(width + 1, cols)
        memories = [memory]
        if self._apart:
            m.submodules.bits = self._bits
            memories.append(self._bits)
        turned = self.w_addr.xor() if self._addressed else C(0)
        elements = [self.w_data.word_select(k, width) for k in range(cols)]
        bits = [element.xor() ^ turned for element in elements]
        for one in memories:
            for name in ("r_addr", "w_addr", "w_en", "r_en", "o_en"):
                if name in self.signature.members and name in one.signature.members:
                    m.d.comb += getattr(one, name).eq(getattr(self, name))
        if self._apart:
            m.d.comb += [memory.w_data.eq(self.w_data), self._bits.w_data.eq(Cat(bits))]
            read = [(memory.r_data.word_select(k, width), self._bits.r_data[k])
                    for k in range(cols)]
        else:
            m.d.comb += memory.w_data.eq(Cat(Cat(pair) for pair in zip(elements, bits,
                                                                       strict=True)))
            words = [memory.r_data.word_select(k, width + 1) for k in range(cols)]
            read = [(word[:width], word[width]) for word in words]
        m.d.comb += [self.r_data.eq(Cat(element for element, _ in read)),
                     parity.word.eq(Cat(Cat(pair) for pair in read)),
                     parity.check.eq(self.check), parity.fold.eq(self.fold),
                     self.alarm.eq(parity.alarm)]
        return m
