"""Fixed-point formats and the functions that may narrow or bound a number.

``quantise``, ``round_shift``, ``saturate`` and ``bound`` exist once here, over int64 arrays, and
once in ``hw.arith``, over Amaranth values. No other place in the project narrows a number.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Fixed", "bound", "quantise", "round_shift", "saturate"]


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """A signed two's complement format: value = integer * 2**-frac.

    Parameters
    ----------
    width : int, 1 to 62
        Bits, the sign included.
    frac : int
        Fractional bits; negative and larger than ``width`` are both legal.
    """

    width: int
    frac: int

    def __post_init__(self):
        if not isinstance(self.width, int) or not isinstance(self.frac, int):
            raise TypeError(f"Width and frac must be integers, not {self.width!r}, {self.frac!r}")
        if not 1 <= self.width <= 62:
            raise ValueError(f"Width must be 1 to 62 bits, not {self.width!r}")

    @property
    def min(self) -> int:
        """Smallest integer code."""
        return -(1 << (self.width - 1))

    @property
    def max(self) -> int:
        """Largest integer code."""
        return (1 << (self.width - 1)) - 1

    @property
    def step(self) -> float:
        """Value of one unit in the last place (LSB)."""
        return 2.0 ** -self.frac

    @property
    def q(self) -> str:
        """Qm.n notation, the sign bit not counted in m."""
        return f"Q{self.width - 1 - self.frac}.{self.frac}"

    @property
    def ap_fixed(self) -> str:
        """The HLS notation ``fixed<W,I>``, the sign bit counted in I."""
        return f"fixed<{self.width},{self.width - self.frac}>"

    def __str__(self) -> str:
        return self.q

    def to_float(self, codes) -> np.ndarray:
        """Values of integer codes. codes : int array, any shape -> float64, same shape."""
        return np.asarray(codes, dtype=np.float64) * self.step


def quantise(values, fmt: Fixed) -> np.ndarray:
    """Nearest code of each value: ties to even in float64, then saturated.

    Parameters
    ----------
    values : float array, any shape
    fmt : Fixed

    Returns
    -------
    int64 array, same shape

    Raises
    ------
    ValueError
        If a value is NaN or infinite.
    """
    values = np.asarray(values, dtype=np.float64)
    if not np.all(np.isfinite(values)):
        raise ValueError("Values must be finite, not NaN or infinity")
    with np.errstate(over="ignore"):
        scaled = np.rint(np.ldexp(values, fmt.frac))
    return np.clip(scaled, fmt.min, fmt.max).astype(np.int64)


def round_shift(values, shift) -> np.ndarray:
    """floor(v / 2**shift + 1/2): arithmetic right shift, ties towards plus infinity.

    Parameters
    ----------
    values : int64 array, at most 62 bits, shifted to the left or not
    shift : int or int64 array that broadcasts
        A negative shift multiplies by 2**-shift, exactly.

    Returns
    -------
    int64 array
    """
    values = np.asarray(values, dtype=np.int64)
    shift = np.asarray(shift, dtype=np.int64)
    right, left = np.maximum(shift, 0), np.maximum(-shift, 0)
    # One more bit is kept and rounded away: right for any shift, beyond a word's bits too.
    return (((values << (left + 1)) >> right) + 1) >> 1


def saturate(values, width: int) -> np.ndarray:
    """Clip to the range of ``width`` bits; -2**(width-1) and 2**(width-1)-1 are both reached.

    Parameters
    ----------
    values : int64 array
    width : int

    Returns
    -------
    int64 array
    """
    top = 1 << (width - 1)
    return np.clip(np.asarray(values, dtype=np.int64), -top, top - 1)


def bound(values, limit: int | None) -> np.ndarray:
    """Clip to [-limit, limit]; None leaves the values alone.

    Parameters
    ----------
    values : int64 array
    limit : int >= 0 or None

    Returns
    -------
    int64 array
    """
    values = np.asarray(values, dtype=np.int64)
    return values if limit is None else np.clip(values, -limit, limit)
