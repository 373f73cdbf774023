"""The activation unit: sigmoid and tanh by one interpolated table, or straight through."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.network import Activation
from golden.tables import TanhTable

from .arith import saturate
from .blocks import Multiplier, Ram, delay
from .families import PORTABLE, Family
from .layout import Function

__all__ = ["ActivationUnit"]


class ActivationUnit(wiring.Component):
    """out = function(pre), one a cycle; ``golden.tables.activate`` is the specification.

    Latency 11: magnitude, argument, table (2), product (4), line, function, saturate.

    Parameters
    ----------
    table : TanhTable
    tanh_only : bool
        Build neither sigmoid nor the straight path.
    family : Family

    Members
    -------
    pre : In(signed(table.pre.width))
    function : In(2), code of ``Function``
    out : Out(signed(table.out.width))
    clipped : Out(1), an identity or ReLU result was saturated; aligned with ``out``
    """

    latency = 5 + Ram.latency + Multiplier.latency

    def __init__(self, table: TanhTable, *, tanh_only: bool = False,
                 family: Family = PORTABLE):
        self._table, self._tanh_only, self._family = table, tanh_only, family
        super().__init__({
            "pre": In(signed(table.pre.width)), "function": In(2),
            "out": Out(signed(table.out.width)), "clipped": Out(1)})

    def elaborate(self, platform):
        m = Module()
        table = self._table
        width, bits = table.out.width, table.offset_bits
        is_tanh = C(1) if self._tanh_only else self.function == Function[Activation.TANH]

        # |a| on [0, 8), one fractional bit more than pre: the sigmoid's a/2 is the same integer.
        magnitude = Signal(unsigned(table.pre.width), reset_less=True)
        m.d.sync += magnitude.eq(Mux(self.pre[-1], -self.pre, self.pre))
        doubled = Mux(C(1) if self._tanh_only else delay(m, is_tanh, 1, name="double"),
                      magnitude << 1, magnitude)
        arg = Signal(table.arg_bits, reset_less=True)
        m.d.sync += arg.eq(Mux(doubled[table.arg_bits:].any(), (1 << table.arg_bits) - 1, doubled))

        words = [b | s << table.base_bits for b, s in zip(table.base.tolist(),
                                                         table.slope.tolist(), strict=True)]
        m.submodules.lines = lines = self._family.ram(
            width=table.base_bits + table.slope_bits, depth=len(words), init=words, writable=False)
        m.submodules.rise = rise = self._family.multiplier(table.slope_bits + 1, bits + 1)
        offset = delay(m, arg[:bits], Ram.latency, name="offset")
        m.d.comb += [lines.r_addr.eq(arg[bits:]), rise.b.eq(offset),
                     rise.a.eq(lines.r_data[table.base_bits:])]
        base = delay(m, lines.r_data[:table.base_bits], Multiplier.latency, name="base")
        line = Signal(signed(table.base_bits + bits + 2), reset_less=True)
        m.d.sync += line.eq((base << bits) + rise.p)

        sign = delay(m, self.pre[-1], self.latency - 2, name="sign")
        tanh_q = C(1) if self._tanh_only else delay(m, is_tanh, self.latency - 2, name="tanh")
        # tanh: 2*line; sigmoid: 1 + line; half of the last place kept comes with the constant.
        half = 1 << (table.shift - 1)
        operand = Mux(tanh_q, line << 1, line)
        turned = Mux(sign, ~operand, operand)
        constant = Mux(tanh_q, half, table.one + half)
        # The sign comes in as a carry, from a place below both.
        value = Signal(signed(len(operand) + 3), reset_less=True)
        m.d.sync += value.eq(Cat(sign, turned).as_signed()
                             + Cat(sign, constant, C(0, 1)).as_signed())
        result, _ = saturate(value >> (table.shift + 1), width)
        out = Signal.like(self.out, reset_less=True)
        if self._tanh_only:
            m.d.sync += out.eq(result)
        else:
            rectify = (self.function == Function[Activation.RELU]) & self.pre[-1]
            straight, clipped = saturate(Mux(rectify, 0, self.pre).as_signed(), width)
            direct = self.function[1] == 0  # IDENTITY, RELU
            straight = delay(m, straight, self.latency - 1, name="straight")
            direct_q = delay(m, direct, self.latency - 1, name="direct")
            clipped_q = delay(m, clipped & direct, self.latency, name="clipped")
            m.d.sync += out.eq(Mux(direct_q, straight, result))
            m.d.comb += self.clipped.eq(clipped_q)
        m.d.comb += self.out.eq(out)
        return m
