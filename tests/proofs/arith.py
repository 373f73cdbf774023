"""The two functions that narrow numbers, and the one that bounds them, for all inputs."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.arith import bound, round_shift, saturate

from .bench import Bench, Proof

__all__ = ["PROOFS"]

SHIFTS = (-2, 0, 1, 7)


class Narrow(wiring.Component):
    """``saturate(round_shift(value, shift), width)`` for each of ``SHIFTS``; ``bound``.

    Parameters
    ----------
    value_width, width : int
    """

    def __init__(self, value_width: int, width: int):
        self._width = width
        super().__init__({
            "value": In(signed(value_width)), "limit": In(value_width - 1),
            "bounded": Out(signed(value_width)),
            **{f"out{k}": Out(signed(width)) for k in range(len(SHIFTS))},
            **{f"clipped{k}": Out(1) for k in range(len(SHIFTS))}})

    def elaborate(self, platform):
        m = Module()
        for k, shift in enumerate(SHIFTS):
            out, clipped = saturate(round_shift(self.value, shift), self._width)
            m.d.comb += [getattr(self, f"out{k}").eq(out), getattr(self, f"clipped{k}").eq(clipped)]
        m.d.comb += self.bounded.eq(bound(self.value, self.limit))
        return m


def _narrow(value_width: int, width: int) -> Bench:
    bench = Bench(Narrow(value_width, width))
    dut = bench.dut
    top, bottom = (1 << (width - 1)) - 1, -(1 << (width - 1))
    for k, shift in enumerate(SHIFTS):
        out, clipped = getattr(dut, f"out{k}"), getattr(dut, f"clipped{k}")
        # Twice the value in units of the last place kept: its nearest even number is 2 * out,
        # and of two equally near ones the larger.
        twice = (dut.value << 1) << max(0, -shift)
        one = 1 << max(0, shift)
        above, below = twice >= (2 * out + 1) * one, twice < (2 * out - 1) * one
        bench.claim(f"shift {shift}: nearest, ties up, or an end",
                    ~(above | below) | (above & (out == top)) | (below & (out == bottom)))
        bench.claim(f"shift {shift}: clipped tells", clipped == (above | below))
        bench.cover(f"shift {shift}: clipped above", clipped & (out == top))
        bench.cover(f"shift {shift}: clipped below", clipped & (out == bottom))
    bench.cover("a tie", (dut.value == -192) & (dut.out3 == -1))
    inside = (dut.value <= dut.limit) & (dut.value >= -dut.limit)
    bench.claim("bounded to the limit", Mux(inside, dut.bounded == dut.value, Mux(
        dut.value > 0, dut.bounded == dut.limit, dut.bounded == -dut.limit)))
    bench.cover("bounded below", ~inside & (dut.bounded < 0))
    return bench


PROOFS = [Proof(name="arith.saturate, round_shift, bound, 24 to 16 bits", depth=1, reach=1,
                build=lambda: _narrow(24, 16), quick=True,
                says="round half up, saturate, clipped told, for all inputs")]
