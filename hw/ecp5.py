"""Lattice ECP5: multipliers and memories with the registers inside the blocks.

Synthesis infers the blocks but none of their registers, which leaves 4 to 6 ns of a block's own
delay in the path. Here the blocks are instantiated. ``sim/models`` has a behavioural model of each
with exactly the modes that are used, for simulation.
"""

from amaranth import *

from . import blocks
from .pipeline import DEEP

__all__ = ["PRIMITIVES", "Multiplier", "Ram", "make_multiplier", "make_ram"]

PRIMITIVES = ("DP16KD", "MULT18X18D")

OPERAND_WIDTH = 18           # of either operand of MULT18X18D
BLOCK_DEPTHS = {1024: 18, 2048: 9, 4096: 4, 8192: 2, 16384: 1}  # width of DP16KD at each depth
ADDRESS_SHIFTS = {18: 4, 9: 3, 4: 2, 2: 1, 1: 0}
MIN_DEPTH = 33               # shallower memories are cheap in logic


def make_multiplier(a_width: int, b_width: int, *, latency: int = DEEP.multiplier):
    """A product in one MULT18X18D; a wider one, or one with fewer registers, is left to synthesis.
    """
    if max(a_width, b_width) > OPERAND_WIDTH or latency != DEEP.multiplier:
        return blocks.Multiplier(a_width, b_width, latency=latency)
    return Multiplier(a_width, b_width)


def make_ram(*, width: int, depth: int, latency: int = DEEP.ram, **shape):
    """A memory in blocks of DP16KD; what is too shallow or too deep, or has no output register, is
    left to synthesis.
    """
    if not MIN_DEPTH <= depth <= max(BLOCK_DEPTHS) or latency != DEEP.ram:
        return blocks.Ram(width=width, depth=depth, latency=latency, **shape)
    return Ram(width=width, depth=depth, **shape)


def _bits(name: str, direction: str, value, n: int) -> dict:
    """Ports of an instance bit by bit, as the primitives have them."""
    return {f"{direction}_{name}{k}": value[k] for k in range(n)}


class Multiplier(blocks.Multiplier):
    """``blocks.Multiplier``: a MULT18X18D with its three registers, and the one behind it."""

    def elaborate(self, platform):
        m = Module()
        a, b = Signal(signed(OPERAND_WIDTH)), Signal(signed(OPERAND_WIDTH))
        p = Signal(signed(2 * OPERAND_WIDTH))
        registers = {f"p_REG_{name}_{pin}": f"{pin}0" for pin in ("CLK", "CE", "RST")
                     for name in ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT")}
        m.submodules.block = Instance(
            "MULT18X18D", **registers, p_RESETMODE="SYNC", p_GSR="DISABLED",
            **_bits("A", "i", a, OPERAND_WIDTH), **_bits("B", "i", b, OPERAND_WIDTH),
            **_bits("C", "i", Const(0, OPERAND_WIDTH), OPERAND_WIDTH),
            i_SIGNEDA=Const(1), i_SIGNEDB=Const(1), i_SOURCEA=Const(0), i_SOURCEB=Const(0),
            i_CLK0=ClockSignal(), i_CE0=Const(1), i_RST0=Const(0),
            **_bits("P", "o", p, 2 * OPERAND_WIDTH))
        product = Signal.like(self.p)
        m.d.comb += [a.eq(self.a), b.eq(self.b), product.eq(p),
                     self.p.eq(blocks.delay(m, product, 1, name="product"))]
        return m


class Ram(blocks.Ram):
    """``blocks.Ram`` in DP16KD: port A writes, port B reads through its output register.

    Words are cut into slices of a block's width; no multiplexer is needed at any depth.
    """

    def elaborate(self, platform):
        m = Module()
        if self._writable and self._cols > 1:
            self._elements(m)
            return m
        depth = self._depth
        block_depth = min(d for d in BLOCK_DEPTHS if d >= depth)
        width = BLOCK_DEPTHS[block_depth]
        total = self._cols * self._width
        for low in range(0, total, width):
            n = min(width, total - low)
            words = [(word >> low) & ((1 << n) - 1) for word in self._init]
            m.submodules[f"block{low // width}"] = self._block(words, width, low, n)
        return m

    def _elements(self, m: Module):
        """A memory for each element of a word, since elements are written one by one."""
        width = self._width
        mask = (1 << width) - 1
        for k in range(self._cols):
            init = [(word >> (k * width)) & mask for word in self._init]
            m.submodules[f"element{k}"] = ram = Ram(width=width, depth=self._depth, init=init,
                                                    gated=self._gated)
            m.d.comb += [
                ram.r_addr.eq(self.r_addr), self.r_data.word_select(k, width).eq(ram.r_data),
                ram.w_en.eq(self.w_en[k]), ram.w_addr.eq(self.w_addr),
                ram.w_data.eq(self.w_data.word_select(k, width))]
            if self._gated:
                m.d.comb += [ram.r_en.eq(self.r_en), ram.o_en.eq(self.o_en)]

    def _block(self, words: list, width: int, low: int, n: int) -> Instance:
        """One block: bits ``low`` to ``low + n`` of every word."""
        # A word's address stands above the bits that would choose a part of it; the lowest two
        # pins of a writing port enable the bytes of 18-bit words.
        shift = ADDRESS_SHIFTS[width]
        enables = C(3 if width == 18 else 0, shift)
        w_addr = Cat(enables, self.w_addr, C(0, 14))[:14] if self._writable else C(0, 14)
        r_addr = Cat(C(0, shift), self.r_addr, C(0, 14))[:14]
        data = Cat(self.w_data[low:low + n], C(0, 18))[:18] if self._writable else C(0, 18)
        ports = {}
        for side, address, written in (("A", w_addr, data), ("B", r_addr, C(0, 18))):
            ports |= {f"i_CLK{side}": ClockSignal(), f"i_RST{side}": C(0),
                      **_bits(f"CS{side}", "i", C(0, 3), 3), **_bits(f"AD{side}", "i", address, 14),
                      **_bits(f"DI{side}", "i", written, 18)}
        return Instance(
            "DP16KD", p_DATA_WIDTH_A=width, p_DATA_WIDTH_B=width,
            p_REGMODE_A="NOREG", p_REGMODE_B="OUTREG", p_RESETMODE="SYNC",
            p_ASYNC_RESET_RELEASE="SYNC", p_CSDECODE_A="0b000", p_CSDECODE_B="0b000",
            p_WRITEMODE_A="NORMAL", p_WRITEMODE_B="NORMAL", p_GSR="DISABLED",
            **{f"p_INITVAL_{k:02X}": C(value, 320)
               for k, value in enumerate(_init_values(words, width)) if value},
            **ports, **{f"o_DOB{k}": self.r_data[low + k] for k in range(n)},
            i_WEA=self.w_en if self._writable else C(0), i_WEB=C(0),
            i_CEA=C(int(self._writable)), i_OCEA=C(1),
            i_CEB=self.r_en if self._gated else C(1), i_OCEB=self.o_en if self._gated else C(1))


def _init_values(words: list, width: int) -> list:
    """The INITVAL parameters of words of ``width`` bits.

    A block is 2048 bytes of 9 bits; words below 9 bits lie in the lower 8 of each. A parameter
    holds 32 bytes, each pair of them in 20 bits.
    """
    per_byte = max(1, 8 // width)
    values = [0] * 64
    for k, word in enumerate(words):
        if width == 18:
            pair, offset = k, 0
        else:
            byte, part = divmod(k, per_byte)
            pair, offset = byte // 2, byte % 2 * 9 + part * width
        values[pair // 16] |= word << (pair % 16 * 20 + offset)
    return values
