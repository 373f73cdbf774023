"""Tables of straight lines for any function: one set of lines above a border, one below.

Each side is cut into segments of equal width, as few as it takes: a side that is straight has one
segment, and is exact but for the rounding of its ends. The border is 0, or where the function jumps
or bends, so that no segment has a kink inside; a floor at 0 makes the lower kink of a hard sigmoid,
and saturation the upper one.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .fixed import Fixed, round_shift, saturate
from .functions import Activation, Function, evaluate
from .tables import GUARD, MAX_LOG2_SEGMENTS

__all__ = ["Curve", "Side", "make_curve", "trace_curve"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """Lines of one side; a line's value: (base * 2**offset_bits + slope * offset) / 2**offset_bits.

    Parameters
    ----------
    offset_bits : int
        Bits of the position inside a segment.
    base : int64 (segments,), frac = out.frac + GUARD
    slope : int64 (segments,), rise over one segment, same frac
    """

    offset_bits: int
    base: np.ndarray
    slope: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """A function in integers.

    Parameters
    ----------
    function : Function
    pre, out : Fixed
    split : int
        First code of the upper side. A code's distance is code - split above, split - 1 - code
        below.
    sides : (Side, Side)
        Above, below.
    floor : bool
        Nothing below 0 comes out.
    """

    function: Function
    pre: Fixed
    out: Fixed
    split: int
    sides: tuple
    floor: bool

    @property
    def distance_bits(self) -> int:
        """Bits of a distance from the border."""
        return self.pre.width - (self.split == 0)


def trace_curve(codes, curve: Curve) -> np.ndarray:
    """A function's codes.

    Parameters
    ----------
    codes : int64 array, format ``curve.pre``
    curve : Curve

    Returns
    -------
    int64 array, format ``curve.out``; at most 1 LSB from the correctly rounded, saturated value.
    """
    distance = np.asarray(codes, dtype=np.int64) - curve.split
    below = distance < 0
    distance = np.where(below, ~distance, distance)
    values = [_value(distance, side) for side in curve.sides]
    return _bounded(np.where(below, values[1], values[0]), curve.floor, curve.out)


def _bounded(value, floor: bool, out: Fixed) -> np.ndarray:
    value = saturate(value, out.width)
    return np.maximum(value, 0) if floor else value


def _value(distance, side: Side) -> np.ndarray:
    idx = np.minimum(distance >> side.offset_bits, len(side.base) - 1)
    offset = distance & ((1 << side.offset_bits) - 1)
    line = (side.base[idx] << side.offset_bits) + side.slope[idx] * offset
    return round_shift(line, side.offset_bits + GUARD)


def _branches(function: Function) -> tuple:
    """What goes on above and below the border, each without the other's kink."""
    a, b = function.alpha, function.beta
    straight = {Activation.AFFINE: (a, b, a, b), Activation.HARD_SIGMOID: (a, b, a, b),
                Activation.LEAKY_RELU: (1.0, 0.0, a, 0.0),
                Activation.THRESHOLDED_RELU: (1.0, 0.0, 0.0, 0.0)}
    if function.activation in straight:
        up, up_at_0, low, low_at_0 = straight[function.activation]
        return (lambda x: up * x + up_at_0), (lambda x: low * x + low_at_0)

    def whole(x):
        return evaluate(function, x)

    return (lambda x: x) if function.activation is Activation.ELU else whole, whole


def _side(branch, curve: dict, below: bool, log2_segments: int, bits: int) -> Side:
    """Lines through ``branch`` at so many segments' ends, moved by half of what the chords miss."""
    pre, out, first = curve["pre"], curve["out"], curve["split"] - below
    sign = -1 if below else 1
    segments, offset_bits = 1 << log2_segments, bits - log2_segments
    width = 1 << offset_bits
    ends = branch((first + sign * np.arange(segments + 1) * width) * pre.step)
    middle = branch((first + sign * (np.arange(segments) + 0.5) * width) * pre.step)
    half = 0.5 * (middle - 0.5 * (ends[:-1] + ends[1:]))
    ends[1:-1] += 0.5 * (half[:-1] + half[1:])
    ends[-1] += half[-1]
    nodes = np.rint(np.clip(np.ldexp(ends, out.frac + GUARD), -2.0 ** 52, 2.0 ** 52)
                    ).astype(np.int64)
    base, slope = nodes[:-1].copy(), np.diff(nodes)
    # Where a whole line is out of range, the end of the range is as good.
    top = 1 << (out.width - 1 + GUARD)
    for beyond, end in ((np.minimum(nodes[:-1], nodes[1:]) >= top, top),
                        (np.maximum(nodes[:-1], nodes[1:]) <= -top, -top)):
        base[beyond], slope[beyond] = end, 0
    return Side(offset_bits=offset_bits, base=base, slope=slope)


def exact(codes, function: Function, pre: Fixed, out: Fixed) -> np.ndarray:
    """The function's values, rounded to the nearest code and saturated."""
    scaled = np.rint(np.ldexp(evaluate(function, pre.to_float(codes)), out.frac))
    return np.clip(scaled, out.min, out.max).astype(np.int64)


def _fits(side: Side, distances, wanted, floor: bool, out: Fixed) -> bool:
    """Within 1 LSB everywhere, with slopes that a multiplier of the usual width takes."""
    if np.abs(side.slope).max() >= 1 << (out.width + 1):
        return False
    got = _bounded(_value(distances, side), floor, out)
    return bool(np.abs(got - wanted).max() <= 1)


@lru_cache
def make_curve(function: Function, pre: Fixed, out: Fixed) -> Curve:
    """The curve of a function with the fewest lines that are within 1 LSB over every input code.

    Raises
    ------
    ValueError
        If no 2**12 lines a side are.
    """
    split = 0
    if function.activation is Activation.THRESHOLDED_RELU:
        split = int(np.clip(np.ceil(np.ldexp(function.alpha, pre.frac)), pre.min, pre.max + 1))
    floor = function.activation is Activation.HARD_SIGMOID
    made = {"function": function, "pre": pre, "out": out, "split": split, "floor": floor}
    bits, sides = pre.width - (split == 0), []
    for below, branch in zip((False, True), _branches(function), strict=True):
        count = split - pre.min if below else pre.max + 1 - split
        if not count:                             # the border lies beyond the codes
            sides.append(_side(np.zeros_like, made, below, 0, bits))
            continue
        distances = np.arange(count, dtype=np.int64)
        codes = split - 1 - distances if below else split + distances
        wanted = exact(codes, function, pre, out)
        for log2_segments in range(min(MAX_LOG2_SEGMENTS, bits) + 1):
            side = _side(branch, made, below, log2_segments, bits)
            if _fits(side, distances, wanted, floor, out):
                break
        else:
            raise ValueError(f"no table of up to {1 << MAX_LOG2_SEGMENTS} lines a side is within "
                             f"1 LSB for {function} from {pre} to {out}")
        sides.append(side)
    return Curve(**made, sides=tuple(sides))
