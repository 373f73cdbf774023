"""iCE40 UltraPlus: multipliers with the registers inside the blocks, and the single-port memories,
which no bitstream can fill, as a weight memory. ``sim/models`` has a behavioural model of each.
"""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from . import blocks
from .blocks import Ram
from .pipeline import DEEP

__all__ = ["PRIMITIVES", "Multiplier", "SpramRam", "make_multiplier", "make_ram"]

PRIMITIVES = ("SB_MAC16", "SB_SPRAM256KA")

OPERAND_WIDTH = 16        # of either operand of SB_MAC16
PRODUCT_FROM = 11         # bits: narrower products are cheap in logic, and blocks are few

WORDS, WIDTH = 16384, 16  # of one SB_SPRAM256KA
SPRAM_FROM = 16384        # bits: four block RAMs


def make_multiplier(a_width: int, b_width: int, *, latency: int = DEEP.multiplier):
    """A product in one SB_MAC16; left to synthesis are a wider one, one with fewer registers than
    the block's, and one that is small in logic.
    """
    narrow, wide = sorted((a_width, b_width))
    small = narrow < 2 or narrow + wide < PRODUCT_FROM
    if small or wide > OPERAND_WIDTH or latency < Multiplier.REGISTERS:
        return blocks.Multiplier(a_width, b_width, latency=latency)
    return Multiplier(a_width, b_width, latency=latency)


class Multiplier(blocks.Multiplier):
    """``blocks.Multiplier`` of latency 3 or more: an SB_MAC16 with its three registers, and others
    behind it.

    The block's accumulator has a fourth, but the vendor lists no product that ends there. Yosys'
    ``synth_ice40 -dsp`` would take the three away: see ``synth.targets``.
    """

    REGISTERS = 3  # operands, partial products, their sum

    def elaborate(self, platform):
        m = Module()
        a, b = Signal(signed(OPERAND_WIDTH)), Signal(signed(OPERAND_WIDTH))
        p = Signal(signed(2 * OPERAND_WIDTH))
        modes = {f"p_{name}": Const(1) for name in (
            "A_REG", "B_REG", "TOP_8x8_MULT_REG", "BOT_8x8_MULT_REG", "PIPELINE_16x16_MULT_REG1",
            "PIPELINE_16x16_MULT_REG2", "A_SIGNED", "B_SIGNED")}
        unused = ["AHOLD", "BHOLD", "CHOLD", "DHOLD", "CI", "ACCUMCI", "SIGNEXTIN"]
        unused += [name + half for name in ("IRST", "ORST", "OLOAD", "OHOLD", "ADDSUB")
                   for half in ("TOP", "BOT")]
        m.submodules.block = Instance(
            "SB_MAC16", **modes, p_TOPOUTPUT_SELECT=Const(3, 2), p_BOTOUTPUT_SELECT=Const(3, 2),
            i_CLK=ClockSignal(), i_CE=Const(1), i_A=a, i_B=b, i_C=Const(0, 16), i_D=Const(0, 16),
            **{f"i_{name}": Const(0) for name in unused}, o_O=p)
        product = Signal.like(self.p)
        m.d.comb += [a.eq(self.a), b.eq(self.b), product.eq(p), self.p.eq(
            blocks.delay(m, product, self.latency - self.REGISTERS, name="product"))]
        return m


class SpramRam(wiring.Component):
    """``blocks.Ram`` without contents, in SB_SPRAM256KA blocks; reads and writes share the port.

    A write takes the port's cycle: what is read in that cycle is undefined. Latency 2, like Ram.

    Parameters
    ----------
    width, depth : int

    Members
    -------
    r_addr : In, r_data : Out(width), w_en : In(1), w_addr : In, w_data : In(width)
    """

    latency = DEEP.ram

    def __init__(self, *, width: int, depth: int):
        self._width, self._depth = width, depth
        addr = max(1, ceil_log2(depth))
        super().__init__({"r_addr": In(addr), "r_data": Out(width),
                          "w_en": In(1), "w_addr": In(addr), "w_data": In(width)})

    @staticmethod
    def blocks(width: int, depth: int) -> int:
        """SB_SPRAM256KA blocks that a memory takes."""
        return -(-width // WIDTH) * -(-depth // WORDS)

    def elaborate(self, platform):
        m = Module()
        columns, rows = -(-self._width // WIDTH), -(-self._depth // WORDS)
        address = Signal.like(self.r_addr)
        m.d.comb += address.eq(Mux(self.w_en, self.w_addr, self.r_addr))
        within = Signal(ceil_log2(WORDS))
        m.d.comb += within.eq(address)
        row = address[ceil_log2(WORDS):]
        row_q = Signal(max(1, ceil_log2(rows)), reset_less=True)
        m.d.sync += row_q.eq(row)
        words = Array(Signal(columns * WIDTH, name=f"row{k}") for k in range(rows))
        for k in range(rows):
            for column in range(columns):
                part = slice(column * WIDTH, (column + 1) * WIDTH)
                data_in = Signal(WIDTH, name=f"in{k}_{column}")
                m.d.comb += data_in.eq(self.w_data[part])
                m.submodules[f"spram{k}_{column}"] = Instance(
                    "SB_SPRAM256KA", i_CLOCK=ClockSignal(), i_ADDRESS=within, i_DATAIN=data_in,
                    i_MASKWREN=C(0b1111, 4), i_WREN=self.w_en & (row == k), i_CHIPSELECT=C(1, 1),
                    i_STANDBY=C(0, 1), i_SLEEP=C(0, 1), i_POWEROFF=C(1, 1),
                    o_DATAOUT=words[k][part])
        out = Signal(self._width, reset_less=True)
        m.d.sync += out.eq(words[row_q])
        m.d.comb += self.r_data.eq(out)
        return m


def make_ram(*, width: int, depth: int, init=(), one_port: bool = False,
             latency: int = DEEP.ram, **options):
    """SPRAM for a large memory that starts empty and is never read and written in the same cycle,
    block RAM for all others; as ``blocks.Ram``.
    """
    if one_port and not init and latency == DEEP.ram and width * depth >= SPRAM_FROM:
        return SpramRam(width=width, depth=depth)
    return Ram(width=width, depth=depth, init=init, latency=latency, **options)
