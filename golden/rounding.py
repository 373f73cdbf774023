"""Weights to integers: to the nearest, or so that the rows' sums on calibration data suffer least.

The second rounds column by column and moves each column's rounding error onto the columns not yet
rounded, weighted by how the inputs move together: the solver of GPTQ (Frantar et al., arXiv
2210.17323), a form of the Optimal Brain Surgeon (Hassibi and Stork, 1993). The bias, finer than
any weight, comes last and takes what is left of the mean.
"""

from enum import StrEnum

import numpy as np

__all__ = ["Rounding", "round_rows"]

DAMPING = 0.01         # of the mean power: keeps the inverse tame where data is scarce
MAX_SAMPLES = 20_000   # rows of data: enough for the moments of any layer this is built for


class Rounding(StrEnum):
    """How weights become integers."""

    CALIBRATED = "calibrated"
    NEAREST = "nearest"


def _nearest(weights, step, width: int) -> np.ndarray:
    limit = 1 << (width - 1)
    return np.clip(np.rint(weights / step), -limit, limit - 1)


def round_rows(weights, step, bias, samples, *, width: int, rounding: Rounding) -> tuple:
    """Integers for the rows of one matrix.

    Parameters
    ----------
    weights : float64 (R, N)
    step : float64 (R, N)
        Value of one LSB of each weight.
    bias : float64 (R,)
    samples : float64 (S, N)
        Inputs as calibration saw them.
    width : int
        Bits of a weight; codes are saturated, and the error of that is moved on as well.
    rounding : Rounding

    Returns
    -------
    (int64 (R, N), float64 (R,))
        Codes and the corrected bias.
    """
    if rounding is Rounding.NEAREST or not len(samples):
        return _nearest(weights, step, width).astype(np.int64), bias
    samples = samples[::-(-len(samples) // MAX_SAMPLES)]
    inputs = np.concatenate([samples, np.ones((len(samples), 1))], axis=1)
    power = inputs.T @ inputs / len(inputs)
    power += np.eye(len(power)) * DAMPING * np.mean(np.diag(power))
    factor = np.linalg.cholesky(np.linalg.inv(power)).T
    left = np.concatenate([weights, bias[:, None]], axis=1)
    codes = np.empty(weights.shape, dtype=np.int64)
    for k in range(weights.shape[1]):
        code = _nearest(left[:, k], step[:, k], width)
        error = (left[:, k] - code * step[:, k]) / factor[k, k]
        left[:, k + 1:] -= error[:, None] * factor[k, k + 1:]
        codes[:, k] = code
    return codes, left[:, -1]
