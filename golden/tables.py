"""One table of tanh segments that serves both tanh and the logistic function, in integers.

tanh is held on [0, 8) as 2**log2_segments straight lines of equal width; negative arguments use
its odd symmetry, and sigmoid(a) = (1 + tanh(a/2)) / 2. Lines meet at the segments' borders, so both
functions are monotone over all codes and tanh(0) = 0; each border lies above tanh by half of the
error that the chords beside it have. Outside [-8, 8) tanh is within 2.3e-7 of +-1, less than a
quarter of the finest output step, so the argument is clamped there.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .fixed import Fixed, round_shift, saturate
from .network import Activation

__all__ = ["TanhTable", "activate", "make_table"]

GUARD = 3  # extra fractional bits of the table's entries
MAX_LOG2_SEGMENTS = 12
EXHAUSTIVE = 20   # bits of a pre-activation up to which every code is tried
FINE_LOG2_SEGMENTS = 16


@dataclass(frozen=True, kw_only=True)
class TanhTable:
    """Contents and widths of the table; value of a line: base * 2**offset_bits + slope * offset.

    Parameters
    ----------
    pre : Fixed
        Input codes; the range is [-16, 16).
    out : Fixed
        Output codes, frac = width - 1.
    log2_segments : int
    base : int64 (segments,), unsigned, frac = out.frac + GUARD
    slope : int64 (segments,), unsigned, rise over one segment, same frac
    """

    pre: Fixed
    out: Fixed
    log2_segments: int
    base: np.ndarray
    slope: np.ndarray

    @property
    def arg_bits(self) -> int:
        """Bits of the clamped argument |a|, frac = pre.frac + 1; of the codes' range, half."""
        return self.pre.width - 1

    @property
    def reach(self) -> float:
        """Where the lines end: 8 for the codes of hardware, which reach to 16."""
        return 2.0 ** (self.arg_bits - self.pre.frac - 1)

    @property
    def offset_bits(self) -> int:
        """Bits of the position inside a segment."""
        return self.arg_bits - self.log2_segments

    @property
    def base_bits(self) -> int:
        return int(self.base.max()).bit_length()

    @property
    def slope_bits(self) -> int:
        return max(1, int(self.slope.max()).bit_length())

    @property
    def shift(self) -> int:
        """Right shift from the interpolated sum of either function to ``out``."""
        return self.offset_bits + GUARD + 1

    @property
    def one(self) -> int:
        """The number 1 in the scale of the interpolated value."""
        return 1 << (self.out.frac + GUARD + self.offset_bits)


def activate(codes, table: TanhTable, function: Activation) -> np.ndarray:
    """Table sigmoid or tanh of pre-activation codes.

    Parameters
    ----------
    codes : int64 array, format ``table.pre``
    table : TanhTable
    function : Activation
        SIGMOID or TANH.

    Returns
    -------
    int64 array, format ``table.out``; at most 1 LSB from the correctly rounded value.
    """
    codes = np.asarray(codes, dtype=np.int64)
    is_tanh = function is Activation.TANH
    # The same integer reads as a/2 with one more fractional bit: that is the sigmoid's argument.
    arg = np.minimum(np.abs(codes) << int(is_tanh), (1 << table.arg_bits) - 1)
    idx = arg >> table.offset_bits
    offset = arg & ((1 << table.offset_bits) - 1)
    line = (table.base[idx] << table.offset_bits) + table.slope[idx] * offset
    line = np.where(codes < 0, -line, line)
    value = line << 1 if is_tanh else table.one + line
    return saturate(round_shift(value, table.shift), table.out.width)


def _build(pre: Fixed, out: Fixed, log2_segments: int) -> TanhTable:
    segments, reach = 1 << log2_segments, 2.0 ** (pre.width - pre.frac - 2)
    edges = np.arange(segments + 1) * (reach / segments)
    values = np.tanh(edges)
    # A chord's largest error lies where tanh' equals the chord's slope.
    slope = np.diff(values) / (reach / segments)
    touch = np.arctanh(np.sqrt(np.clip(1.0 - slope, 0.0, 1.0 - 1e-15)))
    half = 0.5 * (np.tanh(touch) - (values[:-1] + slope * (touch - edges[:-1])))
    values[1:-1] += 0.5 * (half[:-1] + half[1:])
    values[-1] += half[-1]
    scale = 2.0 ** (out.frac + GUARD)
    nodes = np.minimum(np.rint(values * scale), scale - 1).astype(np.int64)
    return TanhTable(pre=pre, out=out, log2_segments=log2_segments, base=nodes[:-1],
                     slope=np.diff(nodes))


def worst_error(table: TanhTable, function: Activation) -> int:
    """Largest distance in LSB from the correctly rounded, saturated value, over all codes."""
    codes = np.arange(table.pre.min, table.pre.max + 1, dtype=np.int64)
    value = np.tanh(table.pre.to_float(codes) * (1.0 if function is Activation.TANH else 0.5))
    if function is Activation.SIGMOID:
        value = 0.5 * (1.0 + value)
    exact = saturate(np.rint(np.ldexp(value, table.out.frac)).astype(np.int64), table.out.width)
    return int(np.abs(activate(codes, table, function) - exact).max())


def line_error(table: TanhTable) -> float:
    """Largest distance in LSB between the lines and tanh where they are, not yet rounded.

    Below 1, so is the distance of each result from the correctly rounded one at most 1 LSB; the
    sigmoid's is half of it. tanh is concave there, so a line is furthest from it at one of its ends
    or where their slopes are equal.
    """
    ends = (1 << table.offset_bits) - 1
    rise = table.slope / 2.0 ** (table.out.frac + GUARD) * (1 << table.log2_segments) / table.reach
    touch = np.arctanh(np.sqrt(np.clip(1.0 - rise, 0.0, 1.0 - 1e-15)))
    first = np.arange(1 << table.log2_segments) << table.offset_bits
    at = np.clip(np.floor(np.ldexp(touch, table.pre.frac + 1)), first, first + ends)
    worst = 0.0
    for offset in (0 * first, 0 * first + ends, at.astype(np.int64) - first,
                   np.minimum(at.astype(np.int64) - first + 1, ends)):
        value = (table.base << table.offset_bits) + table.slope * offset
        exact = np.tanh(np.ldexp((first + offset).astype(np.float64), -table.pre.frac - 1))
        got = np.ldexp(value.astype(np.float64), -table.offset_bits - GUARD)
        worst = max(worst, float(np.abs(got - np.ldexp(exact, table.out.frac)).max()))
    return worst


@lru_cache
def make_table(pre: Fixed, out: Fixed) -> TanhTable:
    """The smallest table, of two lines at least and two codes a line, that is within 1 LSB for both
    functions over every input code.

    For words wider than any hardware takes, which only golden runs, ``line_error`` shows it, up to
    the table's reach.

    Raises
    ------
    ValueError
        If none with up to 2**12 segments (2**16 for golden alone) is.
    """
    if pre.width > EXHAUSTIVE:
        for log2_segments in range(MAX_LOG2_SEGMENTS, FINE_LOG2_SEGMENTS + 1):
            table = _build(pre, out, log2_segments)
            if line_error(table) < 1.0:
                return table
        raise ValueError(f"No table of up to {1 << FINE_LOG2_SEGMENTS} segments is within 1 LSB "
                         f"for input {pre} and output {out}")
    for log2_segments in range(1, min(MAX_LOG2_SEGMENTS, pre.width - 2) + 1):
        table = _build(pre, out, log2_segments)
        if all(worst_error(table, f) <= 1 for f in (Activation.TANH, Activation.SIGMOID)):
            return table
    raise ValueError(f"No table of up to {1 << MAX_LOG2_SEGMENTS} segments is within 1 LSB "
                     f"for input {pre} and output {out}")
