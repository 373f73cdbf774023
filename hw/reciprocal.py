"""The reciprocal of the number of steps, for means over a sequence."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.pool import MAX_MEAN_STEPS, RECIPROCAL

__all__ = ["LOG2_STEPS", "Reciprocal"]

LOG2_STEPS = (MAX_MEAN_STEPS - 1).bit_length()


class Reciprocal(wiring.Component):
    """Counts steps, and divides a power of two by their number, a bit a cycle.

    ``golden.pool.reciprocal`` is the specification. What is put out changes only when a division
    ends, ``latency`` cycles after ``step``: what is still on its way sees the number before.

    Members
    -------
    step : In(1), a step more; first : In(1), it is a sequence's first
    exponent : Out, e; half : Out, 2**e / 2 without its fraction; fraction : Out(RECIPROCAL)
    """

    latency = RECIPROCAL + 4

    def __init__(self):
        super().__init__({
            "step": In(1), "first": In(1), "exponent": Out(range(LOG2_STEPS + 1)),
            "half": Out(LOG2_STEPS), "fraction": Out(RECIPROCAL)})

    def elaborate(self, platform):
        m = Module()
        count, power = (Signal(LOG2_STEPS + 1, name=name) for name in ("count", "power"))
        exponent = Signal.like(self.exponent)
        left = Signal(range(RECIPROCAL + 3))
        rest = Signal(LOG2_STEPS + 2)      # below twice the count
        quotient, begin = Signal(RECIPROCAL + 2), Signal()
        fits = Signal()
        m.d.comb += fits.eq(rest >= count)
        m.d.sync += begin.eq(self.step)
        with m.If(self.step):
            grows = (count == power) & ~self.first
            m.d.sync += [count.eq(Mux(self.first, 1, count + 1)),
                         power.eq(Mux(self.first, 1, Mux(grows, power << 1, power))),
                         exponent.eq(Mux(self.first, 0, exponent + grows))]
        with m.If(begin):
            m.d.sync += [rest.eq(power), left.eq(RECIPROCAL + 2)]
        with m.Elif(left != 0):
            m.d.sync += [rest.eq(Mux(fits, rest - count, rest) << 1), left.eq(left - 1),
                         quotient.eq(Cat(fits, quotient))]
            with m.If(left == 1):
                # The bit below the last one rounds; the one above the fraction is always set.
                m.d.sync += [self.fraction.eq(quotient + fits), self.half.eq(power >> 1),
                             self.exponent.eq(exponent)]
        return m
