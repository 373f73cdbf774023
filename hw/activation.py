"""The activation unit: sigmoid, tanh and other functions by straight lines, or straight through."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from golden.functions import PLAIN, Activation
from golden.tables import GUARD, TanhTable

from .arith import saturate
from .blocks import delay
from .families import PORTABLE, Family
from .guard import Watch
from .layout import Function
from .lines import lines_of
from .parity import count_where
from .pipeline import DEEP, Pipeline

__all__ = ["ActivationUnit"]


class ActivationUnit(wiring.Component):
    """out = function(pre), one a cycle; ``golden.tables.activate`` is the specification, that of
    curves ``golden.curves.trace_curve``.

    Stations: magnitude, argument, table, product, line, function, saturate; all but the table, the
    product and the last can do without a register.

    Parameters
    ----------
    table : TanhTable
    tanh_only : bool
        Build neither sigmoid nor the straight path.
    curves : tuple of golden.curves.Curve
        Functions with lines of their own; curve k has the code 4 + k.
    family : Family
    pipeline : Pipeline
    watch : Watch or None
        As of ``Layout``.

    Members
    -------
    pre : In(signed(table.pre.width))
    function : In, code of ``Function``, or of a curve
    out : Out(signed(table.out.width))
    clipped : Out(1), an identity or ReLU result was saturated; aligned with ``out``
    valid : In(1), only in a protected core: ``pre`` is one
    """

    @staticmethod
    def latency(pipeline: Pipeline) -> int:
        """Cycles from ``pre`` to ``out``: 11 in the deep pipeline, 3 in the shallow one."""
        return 4 * pipeline.stage + pipeline.ram + pipeline.multiplier + 1

    def __init__(self, table: TanhTable, *, tanh_only: bool = False, curves: tuple = (),
                 family: Family = PORTABLE, pipeline: Pipeline = DEEP,
                 watch: Watch | None = None):
        self.watch = watch
        self._table, self._tanh_only, self._curves = table, tanh_only, curves
        self._family, self._pipeline = family, pipeline
        super().__init__({
            "pre": In(signed(table.pre.width)),
            "function": In(bits_for(len(PLAIN) + len(curves) - 1)),
            "out": Out(signed(table.out.width)), "clipped": Out(1),
            **({"valid": In(1)} if watch else {})})

    def elaborate(self, platform):
        m = Module()
        table, curves = self._table, self._curves
        contents = lines_of(table, curves)
        width, bits = table.out.width, contents.offset_bits
        is_tanh = C(1) if self._tanh_only else self.function == Function[Activation.TANH]

        pipeline, latency = self._pipeline, self.latency(self._pipeline)
        stage, behind = pipeline.stage, latency - 1 - pipeline.stage  # up to the last adder

        def step(value, name):
            return delay(m, value, stage, name=name)

        # |a| on [0, 8), one fractional bit more than pre: the sigmoid's a/2 is the same integer.
        sign, magnitude = self._magnitude(m)
        magnitude = step(magnitude, "magnitude")
        doubled = Mux(C(1) if self._tanh_only else step(is_tanh, "double"),
                      magnitude << 1, magnitude)
        arg = Signal(table.arg_bits)
        m.d.comb += arg.eq(Mux(doubled[table.arg_bits:].any(), (1 << table.arg_bits) - 1, doubled))
        if curves:
            address, position = self._find(m, contents, arg, magnitude,
                                           step(self.function, "code"), step(sign, "below"))
            address, position = step(address, "address"), step(position, "position")
        else:
            arg = step(arg, "arg")
            address, position = arg[bits:], arg[:bits]

        m.submodules.lines = lines = self._family.ram(
            width=contents.width, depth=len(contents.words), init=contents.words,
            writable=False, latency=pipeline.ram)
        if self.watch:
            count_where(m, self, lines, self.valid, cycles=2 * stage + pipeline.ram)
        m.submodules.rise = rise = self._family.multiplier(*contents.operands,
                                                           latency=pipeline.multiplier)
        offset = delay(m, position, pipeline.ram, name="offset")
        m.d.comb += [lines.r_addr.eq(address), rise.b.eq(offset),
                     rise.a.eq(lines.r_data[contents.base_bits:])]
        base = delay(m, lines.r_data[:contents.base_bits], pipeline.multiplier, name="base")
        base = base.as_signed() if contents.signed else base
        line = Signal(signed(contents.base_bits + bits + 2))
        m.d.comb += line.eq((base << bits) + rise.p)
        line = step(line, "line")

        is_curve = self.function[2:].any() if curves else C(0)
        turns = sign & ~is_curve if curves else self.pre[-1]
        sign = delay(m, turns, behind, name="sign")
        tanh_q = C(1) if self._tanh_only else delay(m, is_tanh | is_curve if curves else is_tanh,
                                                    behind, name="tanh")
        # tanh: 2*line; sigmoid: 1 + line; half of the last place kept comes with the constant.
        shift = bits + GUARD + 1
        half = 1 << (shift - 1)
        operand = Mux(tanh_q, line << 1, line)
        turned = Mux(sign, ~operand, operand)
        constant = Mux(tanh_q, half, (table.one << (bits - table.offset_bits)) + half)
        # The sign comes in as a carry, from a place below both.
        value = Signal(signed(len(operand) + 3))
        m.d.comb += value.eq(Cat(sign, turned).as_signed()
                             + Cat(sign, constant, C(0, 1)).as_signed())
        value = step(value, "value")
        result, _ = saturate(value >> (shift + 1), width)
        if any(curve.floor for curve in curves):
            floors = Cat(self.function == len(PLAIN) + k for k, curve in enumerate(curves)
                         if curve.floor).any()
            result = Mux(value[-1] & delay(m, floors, latency - 1, name="floors"), 0, result)
        if not self._tanh_only:
            rectify = (self.function == Function[Activation.RELU]) & self.pre[-1]
            straight, clipped = saturate(Mux(rectify, 0, self.pre).as_signed(), width)
            direct = self.function[1:] == 0  # IDENTITY, RELU
            straight = delay(m, straight, latency - 1, name="straight")
            direct_q = delay(m, direct, latency - 1, name="direct")
            m.d.comb += self.clipped.eq(delay(m, clipped & direct, latency, name="clipped"))
            result = Mux(direct_q, straight, result)
        out = Signal.like(self.out, reset_less=True)
        m.d.sync += out.eq(result)
        m.d.comb += self.out.eq(out)
        return m

    def _magnitude(self, m: Module) -> tuple:
        """Sign and size of the argument; curves count the distance from their border.

        Below a border -1 is the distance 0, so that no distance needs a bit more than the others.
        """
        magnitude = Signal(unsigned(self._table.pre.width))
        if not self._curves:
            m.d.comb += magnitude.eq(Mux(self.pre[-1], -self.pre, self.pre))
            return self.pre[-1], magnitude
        distance = self.pre
        if any(curve.split for curve in self._curves):
            splits = Array(C(split, signed(len(self.pre) + 1)) for split in (
                [0] * len(PLAIN) + [curve.split for curve in self._curves]))
            distance = Signal(signed(len(self.pre) + 1))
            m.d.comb += distance.eq(self.pre - splits[self.function])
            magnitude = Signal(unsigned(len(self.pre)))
        sign = distance[-1]
        m.d.comb += magnitude.eq((distance ^ sign.replicate(len(distance)))
                                 + (sign & ~self.function[2:].any()))
        return sign, magnitude

    def _find(self, m: Module, contents, arg, magnitude, function, below) -> tuple:
        """Address of the line, and the position on it at the widest segments' scale."""
        address = Signal(ceil_log2(len(contents.words)))
        position = Signal(contents.offset_bits)

        def take(start, value, bits):
            return [address.eq(start | value >> bits),
                    position.eq(value << (contents.offset_bits - bits))]

        with m.Switch(Cat(below, function)):
            for k, (curve, starts) in enumerate(zip(self._curves, contents.starts, strict=True)):
                for is_below, (side, start) in enumerate(zip(curve.sides, starts, strict=True)):
                    with m.Case((len(PLAIN) + k) << 1 | is_below):
                        value = magnitude[:curve.distance_bits]
                        m.d.comb += take(start, value, side.offset_bits)
            with m.Default():
                m.d.comb += take(contents.table_start, arg, self._table.offset_bits)
        return address, position
