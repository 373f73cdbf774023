"""Registers in a row, multipliers and memories: the blocks that device families differ in.

Each is behind one interface with the same latency, so that a vendor's primitive can take its place.
"""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .pipeline import DEEP

__all__ = ["Multiplier", "Ram", "delay", "stages"]


def stages(m: Module, value, n: int, *, name: str, reset_less: bool = True) -> list:
    """``value`` and its copies 1 to ``n`` cycles later.

    Payload needs no reset: nothing looks at it before its valid bit, which is reset.
    """
    shape, copies = value.shape(), [value]
    for k in range(n):
        copy = Signal(shape, name=f"{name}_q{k + 1}", reset_less=reset_less)
        m.d.sync += copy.eq(copies[-1])
        copies.append(copy)
    return copies


def delay(m: Module, value, n: int, *, name: str, reset_less: bool = True):
    """``value`` as it was ``n`` cycles ago."""
    return stages(m, value, n, name=name, reset_less=reset_less)[-1]


class Multiplier(wiring.Component):
    """Signed product, one a cycle, ``latency`` cycles after its operands.

    Parameters
    ----------
    a_width, b_width : int
    latency : int, 0 to 4

    Members
    -------
    a : In(signed(a_width))
    b : In(signed(b_width))
    p : Out(signed(a_width + b_width))
    """

    def __init__(self, a_width: int, b_width: int, *, latency: int = DEEP.multiplier):
        self.latency = latency
        super().__init__({"a": In(signed(a_width)), "b": In(signed(b_width)),
                          "p": Out(signed(a_width + b_width))})

    def elaborate(self, platform):
        m = Module()
        if not self.latency:
            m.d.comb += self.p.eq(self.a * self.b)
            return m
        # Input, product and output registers, which every DSP block has inside; and one for the way
        # from there to the carry chain of an adder, which is long. Fewer: the product's goes last.
        inputs, behind = int(self.latency > 2), (0, 0, 1, 1, 2)[self.latency]
        a = delay(m, self.a, inputs, name="a")
        b = delay(m, self.b, inputs, name="b")
        p = Signal.like(self.p, reset_less=True)
        m.d.sync += p.eq(a * b)
        m.d.comb += self.p.eq(delay(m, p, behind, name="p"))
        return m


class Ram(wiring.Component):
    """One read port and one write port; data stands at the output ``latency`` cycles after its
    address.

    A word that is read in the cycle in which it is written is undefined: the schedule never does
    that, and the attribute ``no_rw_check`` tells synthesis so.

    Parameters
    ----------
    width : int
        Bits of an element.
    depth : int
        Words.
    cols : int
        Elements a word, written one by one or together.
    init : list of int
        Unsigned words, element 0 lowest.
    writable : bool
    gated : bool
        Both steps of a read have an enable; latency 2.
    one_port : bool
        Whoever uses it never reads in a cycle in which it writes, so that a family may put it into
        a memory with one port for both.
    latency : int, 0 to 2

    Members
    -------
    r_addr : In, word address
    r_en, o_en : In(1), only where gated: take the address; move its word to the output
    r_data : Out(cols * width)
    w_en : In(cols), elements to write
    w_addr : In, word address
    w_data : In(cols * width)
    """

    def __init__(self, *, width: int, depth: int, cols: int = 1, init=(), writable: bool = True,
                 gated: bool = False, one_port: bool = False, latency: int = DEEP.ram):
        self._width, self._depth, self._cols = width, depth, cols
        self._init, self._writable, self._gated = list(init), writable, gated
        self.latency = latency
        addr = max(1, ceil_log2(depth))
        super().__init__({
            "r_addr": In(addr), "r_data": Out(cols * width),
            "w_en": In(cols), "w_addr": In(addr), "w_data": In(cols * width),
            **({"r_en": In(1), "o_en": In(1)} if gated else {})})

    def elaborate(self, platform):
        m = Module()
        width, cols = self._width, self._cols
        shape = data.ArrayLayout(unsigned(width), cols) if cols > 1 else unsigned(width)
        init = self._init
        if cols > 1:
            mask = (1 << width) - 1
            init = [[(word >> (k * width)) & mask for k in range(cols)] for word in init]
        # A single word as well has an address, of a bit.
        m.submodules.memory = memory = Memory(shape=shape, depth=max(2, self._depth), init=init,
                                              attrs={"no_rw_check": 1})
        read = memory.read_port(domain="sync" if self.latency else "comb")
        m.d.comb += read.addr.eq(self.r_addr)
        out = Value.cast(read.data)
        if self._gated:
            m.d.comb += read.en.eq(self.r_en)
        if self.latency == 2:
            out = Signal(cols * width, reset_less=True)
            with m.If(self.o_en if self._gated else 1):
                m.d.sync += out.eq(read.data)
        m.d.comb += self.r_data.eq(out)
        if self._writable:
            write = memory.write_port(granularity=1 if cols > 1 else None)
            m.d.comb += [write.addr.eq(self.w_addr), write.en.eq(self.w_en),
                         Value.cast(write.data).eq(self.w_data)]
        return m
