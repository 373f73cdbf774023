"""iCE40 UltraPlus: the single-port memories, which no bitstream can fill, as a weight memory."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .blocks import Ram
from .pipeline import DEEP

__all__ = ["PRIMITIVES", "SpramRam", "make_ram"]

PRIMITIVES = ("SB_SPRAM256KA",)

WORDS, WIDTH = 16384, 16  # of one SB_SPRAM256KA
SPRAM_FROM = 16384        # bits: four block RAMs


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


def make_ram(*, width: int, depth: int, init=(), latency: int = DEEP.ram, **options):
    """SPRAM for a large memory that starts empty, block RAM for all others; as ``blocks.Ram``."""
    plain = not init and options.keys() <= {"writable"} and latency == DEEP.ram
    if plain and width * depth >= SPRAM_FROM:
        return SpramRam(width=width, depth=depth)
    return Ram(width=width, depth=depth, init=init, latency=latency, **options)
