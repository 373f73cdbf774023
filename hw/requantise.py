"""From a row's sum to its pre-activation: bias, rounding shift, saturation."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arith import saturate
from .blocks import delay
from .image import RowFormat
from .pipeline import DEEP, Pipeline

__all__ = ["Requantise"]


class Requantise(wiring.Component):
    """pre = saturate((acc * 2**lift + bias) >> (base_shift + shift)), one a cycle.

    Half of the last place kept is in the bias already (``hw.image``), so this is round half up.
    Stations: add, two steps of the shift, saturate; the first three can do without a register.

    Parameters
    ----------
    fmt : RowFormat
    acc_width, pre_width : int
    pipeline : Pipeline

    Members
    -------
    acc : In(signed(acc_width))
    bias : In(signed(fmt.bias_width))
    shift : In(fmt.shift_width), only where rows shift differently
    pre : Out(signed(pre_width))
    """

    def __init__(self, fmt: RowFormat, *, acc_width: int, pre_width: int,
                 pipeline: Pipeline = DEEP):
        self._fmt, self._stage = fmt, pipeline.stage
        super().__init__({
            "acc": In(signed(acc_width)), "bias": In(signed(fmt.bias_width)),
            **({"shift": In(fmt.shift_width)} if fmt.shift_width else {}),
            "pre": Out(signed(pre_width))})

    @staticmethod
    def latency(pipeline: Pipeline) -> int:
        """Cycles from ``acc`` to ``pre``."""
        return 3 * pipeline.stage + 1

    def elaborate(self, platform):
        m = Module()
        fmt = self._fmt
        def step(value, name):
            return delay(m, value, self._stage, name=name)

        total = step(self.acc.shift_left(fmt.lift) + self.bias, "total")
        # What every row shifts by costs nothing.
        base = (total >> fmt.base_shift) if fmt.base_shift else total
        low = fmt.shift_width // 2
        if fmt.shift_width:
            shift_q = step(self.shift, "shift")
            shift_qq = step(shift_q, "coarse_shift")
        coarse = step(base >> (shift_q[low:] << low) if fmt.shift_width > low else base, "coarse")
        fine = step(coarse >> shift_qq[:low] if low else coarse, "fine")
        value, _ = saturate(fine, len(self.pre))
        m.d.comb += self.pre.eq(delay(m, value, 1, name="pre"))
        return m
