"""Mean and maximum over the steps of a sequence (ONNX ReduceMean, ReduceMax), in both arithmetics.

The mean's division is a product: with 2**e the power of two at or above the number of steps T, the
sum is brought to 2**-e with ``GUARD`` more fractional bits, and 2**e / T, which is 1 to 2, has
``RECIPROCAL`` fractional bits. Against the exact mean of the codes the result is off by at most one
unit in the last place.
"""

import numpy as np

from .cells import Cell
from .fixed import round_shift, saturate

__all__ = ["GUARD", "MAX_MEAN_STEPS", "RECIPROCAL", "pool_codes", "pool_values", "reciprocal"]

GUARD = 2
RECIPROCAL = 17             # so that both factors fit the 18 bits of a multiplier
MAX_MEAN_STEPS = 1 << 16    # steps that the hardware's sums hold


def reciprocal(steps: int) -> tuple:
    """(e, fraction): 2**e / steps = 1 + fraction * 2**-RECIPROCAL, rounded half up."""
    exponent = (steps - 1).bit_length()
    doubled = (1 << (exponent + RECIPROCAL + 1)) // steps
    return exponent, ((doubled + 1) >> 1) - (1 << RECIPROCAL)


def pool_values(values: np.ndarray, cell: Cell) -> np.ndarray:
    """float64 (B, T, H) -> (B, H)."""
    return values.mean(axis=1) if cell is Cell.MEAN else values.max(axis=1)


def pool_codes(codes: np.ndarray, cell: Cell, width: int) -> np.ndarray:
    """int64 (B, T, H), ``width`` bits -> int64 (B, H) in the same format.

    Raises
    ------
    ValueError
        If there are more steps than a mean is built for.
    """
    if cell is Cell.MAX:
        return codes.max(axis=1)
    steps = codes.shape[1]
    if steps > MAX_MEAN_STEPS:
        raise ValueError(f"A mean is over at most {MAX_MEAN_STEPS} steps, not {steps}")
    exponent, fraction = reciprocal(steps)
    scaled = round_shift(codes.sum(axis=1) << GUARD, exponent)
    total = (scaled << RECIPROCAL) + scaled * fraction
    return saturate(round_shift(total, RECIPROCAL + GUARD), width)
