"""One memory of straight lines: those of the tanh table, and behind them those of other functions.
"""

from dataclasses import dataclass

from amaranth.utils import bits_for

from golden.tables import TanhTable

__all__ = ["Lines", "lines_of"]


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Contents and widths.

    Parameters
    ----------
    words : list of int
        base lowest, then slope.
    base_bits, slope_bits : int
    signed : bool
        Of both; tanh's alone are not.
    offset_bits : int
        Of the position inside a segment, the widest segments': others are lined up with it.
    table_start : int
        First word of the tanh table: like all starts a multiple of the lines there.
    starts : tuple of (int, int)
        First words of each curve's upper and lower side.
    """

    words: list
    base_bits: int
    slope_bits: int
    signed: bool
    offset_bits: int
    table_start: int = 0
    starts: tuple = ()

    @property
    def width(self) -> int:
        """Bits of a word."""
        return self.base_bits + self.slope_bits

    @property
    def operands(self) -> tuple:
        """Widths of the multiplier's operands: slope, position."""
        return self.slope_bits + (not self.signed), self.offset_bits + 1


def lines_of(table: TanhTable, curves: tuple = ()) -> Lines:
    """The lines of a table and of ``golden.curves.Curve``s."""
    if not curves:
        words = [b | s << table.base_bits
                 for b, s in zip(table.base.tolist(), table.slope.tolist(), strict=True)]
        return Lines(words=words, base_bits=table.base_bits, slope_bits=table.slope_bits,
                     signed=False, offset_bits=table.offset_bits)
    sides = {(k, below): side for k, curve in enumerate(curves)
             for below, side in enumerate(curve.sides)}
    parts = {None: table} | sides
    bases, slopes, starts = [], [], {}
    # The longest first: each length is a power of two, so that every start is a multiple of it.
    for key in sorted(parts, key=lambda key: (-len(parts[key].base), key is not None)):
        starts[key] = len(bases)
        bases += parts[key].base.tolist()
        slopes += parts[key].slope.tolist()

    def bits(values):
        return max(bits_for(min(values), True), bits_for(max(values), True))

    base_bits, slope_bits = bits(bases), bits(slopes)
    words = [b & ((1 << base_bits) - 1) | (s & ((1 << slope_bits) - 1)) << base_bits
             for b, s in zip(bases, slopes, strict=True)]
    return Lines(words=words, base_bits=base_bits, slope_bits=slope_bits, signed=True,
                 offset_bits=max(part.offset_bits for part in parts.values()),
                 table_start=starts[None],
                 starts=tuple((starts[k, 0], starts[k, 1]) for k in range(len(curves))))
