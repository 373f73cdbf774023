"""From a row's sum to its pre-activation: bias, rounding shift, saturation."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arith import saturate
from .image import RowFormat

__all__ = ["Requantise"]


class Requantise(wiring.Component):
    """pre = saturate((acc * 2**lift + bias) >> (base_shift + shift)), one a cycle.

    Half of the last place kept is in the bias already (``hw.image``), so this is round half up.
    Latency 4: add, two steps of the shift, saturate.

    Parameters
    ----------
    fmt : RowFormat
    acc_width, pre_width : int

    Members
    -------
    acc : In(signed(acc_width))
    bias : In(signed(fmt.bias_width))
    shift : In(fmt.shift_width)
    pre : Out(signed(pre_width))
    """

    latency = 4

    def __init__(self, fmt: RowFormat, *, acc_width: int, pre_width: int):
        self._fmt = fmt
        super().__init__({
            "acc": In(signed(acc_width)), "bias": In(signed(fmt.bias_width)),
            "shift": In(fmt.shift_width), "pre": Out(signed(pre_width))})

    def elaborate(self, platform):
        m = Module()
        fmt = self._fmt
        total_width = max(len(self.acc) + fmt.lift, fmt.bias_width) + 1
        total = Signal(signed(total_width), reset_less=True)
        m.d.sync += total.eq(self.acc.shift_left(fmt.lift) + self.bias)
        # What every row shifts by costs nothing.
        base = (total >> fmt.base_shift) if fmt.base_shift else total
        low = min(2, fmt.shift_width)
        shift_q = Signal(fmt.shift_width, reset_less=True)
        shift_qq = Signal(fmt.shift_width, reset_less=True)
        m.d.sync += [shift_q.eq(self.shift), shift_qq.eq(shift_q)]
        coarse = Signal(signed(len(base)), reset_less=True)
        fine = Signal(signed(len(base)), reset_less=True)
        m.d.sync += [
            coarse.eq(base >> (shift_q[low:] << low) if fmt.shift_width > low else base),
            fine.eq(coarse >> shift_qq[:low] if low else coarse)]
        value, _ = saturate(fine, len(self.pre))
        pre = Signal.like(self.pre, reset_less=True)
        m.d.sync += pre.eq(value)
        m.d.comb += self.pre.eq(pre)
        return m
