"""The activation unit: sigmoid and tanh by one interpolated table, or straight through."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.network import Activation
from golden.tables import TanhTable

from .arith import saturate
from .blocks import delay
from .families import PORTABLE, Family
from .layout import Function
from .pipeline import DEEP, Pipeline

__all__ = ["ActivationUnit"]


class ActivationUnit(wiring.Component):
    """out = function(pre), one a cycle; ``golden.tables.activate`` is the specification.

    Stations: magnitude, argument, table, product, line, function, saturate; all but the table, the
    product and the last can do without a register.

    Parameters
    ----------
    table : TanhTable
    tanh_only : bool
        Build neither sigmoid nor the straight path.
    family : Family
    pipeline : Pipeline

    Members
    -------
    pre : In(signed(table.pre.width))
    function : In(2), code of ``Function``
    out : Out(signed(table.out.width))
    clipped : Out(1), an identity or ReLU result was saturated; aligned with ``out``
    """

    @staticmethod
    def latency(pipeline: Pipeline) -> int:
        """Cycles from ``pre`` to ``out``: 11 in the deep pipeline, 3 in the shallow one."""
        return 4 * pipeline.stage + pipeline.ram + pipeline.multiplier + 1

    def __init__(self, table: TanhTable, *, tanh_only: bool = False,
                 family: Family = PORTABLE, pipeline: Pipeline = DEEP):
        self._table, self._tanh_only = table, tanh_only
        self._family, self._pipeline = family, pipeline
        super().__init__({
            "pre": In(signed(table.pre.width)), "function": In(2),
            "out": Out(signed(table.out.width)), "clipped": Out(1)})

    def elaborate(self, platform):
        m = Module()
        table = self._table
        width, bits = table.out.width, table.offset_bits
        is_tanh = C(1) if self._tanh_only else self.function == Function[Activation.TANH]

        pipeline, latency = self._pipeline, self.latency(self._pipeline)
        stage, behind = pipeline.stage, latency - 1 - pipeline.stage  # up to the last adder

        def step(value, name):
            return delay(m, value, stage, name=name)

        # |a| on [0, 8), one fractional bit more than pre: the sigmoid's a/2 is the same integer.
        magnitude = Signal(unsigned(table.pre.width))
        m.d.comb += magnitude.eq(Mux(self.pre[-1], -self.pre, self.pre))
        magnitude = step(magnitude, "magnitude")
        doubled = Mux(C(1) if self._tanh_only else step(is_tanh, "double"),
                      magnitude << 1, magnitude)
        arg = Signal(table.arg_bits)
        m.d.comb += arg.eq(Mux(doubled[table.arg_bits:].any(), (1 << table.arg_bits) - 1, doubled))
        arg = step(arg, "arg")

        words = [b | s << table.base_bits for b, s in zip(table.base.tolist(),
                                                         table.slope.tolist(), strict=True)]
        m.submodules.lines = lines = self._family.ram(
            width=table.base_bits + table.slope_bits, depth=len(words), init=words,
            writable=False, latency=pipeline.ram)
        m.submodules.rise = rise = self._family.multiplier(table.slope_bits + 1, bits + 1,
                                                           latency=pipeline.multiplier)
        offset = delay(m, arg[:bits], pipeline.ram, name="offset")
        m.d.comb += [lines.r_addr.eq(arg[bits:]), rise.b.eq(offset),
                     rise.a.eq(lines.r_data[table.base_bits:])]
        base = delay(m, lines.r_data[:table.base_bits], pipeline.multiplier, name="base")
        line = Signal(signed(table.base_bits + bits + 2))
        m.d.comb += line.eq((base << bits) + rise.p)
        line = step(line, "line")

        sign = delay(m, self.pre[-1], behind, name="sign")
        tanh_q = C(1) if self._tanh_only else delay(m, is_tanh, behind, name="tanh")
        # tanh: 2*line; sigmoid: 1 + line; half of the last place kept comes with the constant.
        half = 1 << (table.shift - 1)
        operand = Mux(tanh_q, line << 1, line)
        turned = Mux(sign, ~operand, operand)
        constant = Mux(tanh_q, half, table.one + half)
        # The sign comes in as a carry, from a place below both.
        value = Signal(signed(len(operand) + 3))
        m.d.comb += value.eq(Cat(sign, turned).as_signed()
                             + Cat(sign, constant, C(0, 1)).as_signed())
        value = step(value, "value")
        result, _ = saturate(value >> (table.shift + 1), width)
        if not self._tanh_only:
            rectify = (self.function == Function[Activation.RELU]) & self.pre[-1]
            straight, clipped = saturate(Mux(rectify, 0, self.pre).as_signed(), width)
            direct = self.function[1] == 0  # IDENTITY, RELU
            straight = delay(m, straight, latency - 1, name="straight")
            direct_q = delay(m, direct, latency - 1, name="direct")
            m.d.comb += self.clipped.eq(delay(m, clipped & direct, latency, name="clipped"))
            result = Mux(direct_q, straight, result)
        out = Signal.like(self.out, reset_less=True)
        m.d.sync += out.eq(result)
        m.d.comb += self.out.eq(out)
        return m
