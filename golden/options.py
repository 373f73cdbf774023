"""Widths and methods of a quantisation, and the widest words that there are."""

from dataclasses import dataclass

from .ranges import Method
from .rounding import Rounding

__all__ = ["GOLDEN_WIDTHS", "MAX_ACCUMULATOR", "MAX_LIFTED", "WIDTHS", "QuantOptions"]

MAX_LIFTED = 62          # bits of a sum at its pre-activation's scale: golden's int64 holds it
MAX_ACCUMULATOR = 48     # bits: the widest accumulator that the array is built with
# Least and most bits, of networks that are built and of those that only golden runs.
WIDTHS = {"weight_width": (2, 16), "act_width": (4, 18), "cell_width": (8, 24),
          "operand_width": (4, 27)}
GOLDEN_WIDTHS = WIDTHS | {"weight_width": (2, 24), "act_width": (4, 26), "cell_width": (8, 30)}


@dataclass(frozen=True, kw_only=True)
class QuantOptions:
    """Widths and methods.

    Parameters
    ----------
    weight_width : int, 2 to 16
    act_width : int, 4 to 18
        Inputs, hidden states, gates and results.
    cell_width : int, 8 to 24
        The LSTM's c, whatever the weights' width.
    method : Method
    rounding : Rounding
    per_row : bool
        One weight fraction a row (True) or a matrix.
    operand_width : int, 4 to 27
        Bits that the multipliers take of a vector element; what ``act_width`` leaves of it is there
        to line up the two parts of a row. 18 is what most DSP blocks have, 16 the iCE40's.
    headroom : int or None
        Spare integer bits of inputs and unbounded results beyond the calibration data; None: one
        bit from 12-bit words on, where it costs nothing that can be seen, none below.
    golden_only : bool
        Allows words wider than any hardware has, up to ``GOLDEN_WIDTHS``: to see what the
        arithmetic does by itself. All sums still fit int64, which is checked.
    """

    weight_width: int = 8
    act_width: int = 16
    cell_width: int = 16
    method: Method = Method.MINMAX
    rounding: Rounding = Rounding.CALIBRATED
    per_row: bool = True
    operand_width: int = 18
    headroom: int | None = None
    golden_only: bool = False

    def __post_init__(self):
        widest = GOLDEN_WIDTHS if self.golden_only else WIDTHS
        for name, (low, high) in widest.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, not {value!r}")
            if not low <= value <= high:
                raise ValueError(f"{name} must be {low} to {high} bits, not {value!r}")
        if self.headroom is not None and not 0 <= self.headroom <= 4:
            raise ValueError(f"headroom must be 0 to 4 bits, not {self.headroom!r}")

    @property
    def max_accumulator(self) -> int:
        """Bits that a sum may need."""
        return MAX_LIFTED if self.golden_only else MAX_ACCUMULATOR

    @property
    def spare_bits(self) -> int:
        """Headroom with its default put in."""
        if self.headroom is not None:
            return self.headroom
        return 1 if self.act_width >= 12 else 0
