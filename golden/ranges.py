"""Fractions from observed values: how many fractional bits a range leaves."""

from enum import StrEnum

import numpy as np

__all__ = ["Method", "choose_frac", "largest_frac"]


class Method(StrEnum):
    """How a range is taken from observed values."""

    MINMAX = "minmax"                # everything observed fits
    PERCENTILE = "percentile"        # 99.9 % of the magnitudes fit
    LEAST_SQUARES = "least-squares"  # smallest sum of squared errors, clipping included


def largest_frac(limit, width: int) -> np.ndarray:
    """Most fractional bits with which +-limit still fits; zeros give the width itself.

    Parameters
    ----------
    limit : float64, any shape, not negative
    width : int

    Returns
    -------
    int64 array, at least one-dimensional
    """
    limit = np.atleast_1d(np.asarray(limit, dtype=np.float64))
    top = (1 << (width - 1)) - 1
    safe = np.where(limit > 0, limit, 1.0)
    frac = np.floor(np.log2((top + 0.5) / safe))
    frac = frac - (np.rint(np.ldexp(safe, frac.astype(np.int64))) > top)
    return np.where(limit > 0, frac, width).astype(np.int64)


def choose_frac(values, width: int, method: Method) -> np.ndarray:
    """Fraction for each row of ``values`` (float64 (R, N)) -> int64 (R,)."""
    magnitude = np.abs(values)
    if method is Method.PERCENTILE:
        return largest_frac(np.percentile(magnitude, 99.9, axis=1), width)
    frac = largest_frac(magnitude.max(axis=1), width)
    if method is Method.MINMAX:
        return frac
    best, chosen = np.full(len(values), np.inf), frac
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    for extra in range(5):
        step = 2.0 ** -(frac + extra).astype(np.float64)[:, None]
        error = ((values - np.clip(np.rint(values / step), low, high) * step) ** 2).sum(axis=1)
        chosen = np.where(error < best, frac + extra, chosen)
        best = np.minimum(best, error)
    return chosen
