"""Two narrow products by one wide multiplier, for devices whose multipliers run short.

A word of two weights, w = w1 * 2**K + w0, times b is p1 * 2**K + p0. Its low K bits are p0's; above
them lies p1 + h0, where h0 is p0's upper part. Two things are known of these without the wide
product: whether h0 is negative, from the signs of w0 and b; and the low L bits of p1, a small
product, where L is how many bits h0 has below its sign. Subtracting both from p1 + h0,

    (p1 + h0) - (low - 2**L * negative) = 2**L * (p1 // 2**L) + h0 mod 2**L,

leaves the missing bits of p1 and of p0 side by side. Where p0 ends below bit K, there is no h0 but
its sign, which is p0's bit K - 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .blocks import Multiplier, delay

__all__ = ["PackedMultiplier", "Packing"]


@dataclass(frozen=True, kw_only=True)
class Packing:
    """Where two weights lie in one word, and how far their products overlap.

    Parameters
    ----------
    weight_width : int, at least 2
    operand_width : int, at least 2
        Bits of what both weights are multiplied by.
    symmetric : bool
        No weight is -2**(weight_width - 1). Without that value the weights lie a bit further
        apart and their products are a bit shorter: two bits less to be told apart.
    word_width : int
        Bits of the multiplier's operand and of the memory's word; weights that do not fit twice
        raise ValueError.
    """

    weight_width: int
    operand_width: int
    symmetric: bool = True
    word_width: int = 18

    def __post_init__(self):
        for name in ("weight_width", "operand_width", "word_width"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, not {value!r}")
            if value < 2:
                raise ValueError(f"{name} must be at least 2 bits, not {value!r}")
        if self.shift < self.weight_width:
            raise ValueError("word_width must be at least "
                             f"{2 * self.weight_width + (not self.symmetric)} bits, not "
                             f"{self.word_width!r}")

    @property
    def shift(self) -> int:
        """K: bits from one weight to the other; the largest for which every word fits."""
        return self.word_width - self.weight_width - (not self.symmetric)

    @property
    def lowest(self) -> int:
        """The lowest weight; the highest is 2**(weight_width - 1) - 1."""
        return int(self.symmetric) - (1 << (self.weight_width - 1))

    @property
    def product_width(self) -> int:
        """Bits that every product fits in."""
        return self.weight_width + self.operand_width - self.symmetric

    @property
    def overlap(self) -> int:
        """L: bits of p0 above bit K, its sign not counted; what logic has to multiply."""
        return max(0, self.product_width - 1 - self.shift)

    def packable(self, weights) -> bool:
        """Whether every pair of these weights (any shape, integers) may share a word."""
        weights = np.asarray(weights)
        return bool(np.all((weights >= self.lowest) & (weights < 1 << (self.weight_width - 1))))

    def pack(self, w0, w1) -> np.ndarray:
        """Words of pairs of weights.

        Parameters
        ----------
        w0, w1 : integers of one shape

        Returns
        -------
        int64 of that shape, signed, ``word_width`` bits

        Raises
        ------
        ValueError
            If a weight is out of range.
        """
        w0, w1 = np.asarray(w0, dtype=np.int64), np.asarray(w1, dtype=np.int64)
        for weights in (w0, w1):
            if not self.packable(weights):
                raise ValueError(f"Weights must be {self.lowest} to "
                                 f"{(1 << (self.weight_width - 1)) - 1}, not {weights.min()} to "
                                 f"{weights.max()}")
        return (w1 << self.shift) + w0


class Overlap(wiring.Component):
    """What tells two packed products apart, ``latency`` cycles after their factors.

    Parameters
    ----------
    packing : Packing
    latency : int, at least 1

    Members
    -------
    b : In(signed(operand_width)), w : In(word_width)
    low : Out(overlap), w1 * b modulo 2**overlap
    negative : Out(1), whether w0 * b < 0
    """

    def __init__(self, packing: Packing, latency: int):
        self._packing, self._latency = packing, latency
        super().__init__({"b": In(signed(packing.operand_width)), "w": In(packing.word_width),
                          "low": Out(packing.overlap), "negative": Out(1)})

    def elaborate(self, platform):
        m = Module()
        k, n = self._packing.shift, self._packing.overlap
        width, half = self._packing.weight_width, self._packing.weight_width // 2
        # Where w0 is negative, what stands above it is w1 - 1.
        w1 = Signal(n)
        m.d.comb += w1.eq(self.w[k:].as_signed() + self.w[k - 1])
        # Whether w0 has a one, half by half: a wide OR behind a memory would be the longest path.
        w_ones = Cat(self.w[:half].any(), self.w[half:width].any())
        early = int(self._latency > 2)
        w1, b, w_ones, w_negative, b_negative, b_positive = (
            delay(m, value, early, name=name) for name, value in (
                ("w1", w1), ("b", self.b[:n]), ("w_ones", w_ones), ("w_negative", self.w[k - 1]),
                ("b_negative", self.b < 0), ("b_positive", self.b > 0)))
        levels = self._latency - early
        m.d.comb += self.negative.eq(delay(
            m, Mux(w_negative, b_positive, b_negative & w_ones.any()), levels, name="negative"))
        # Rows of the small product, two of them added in each cycle, what is left in the last.
        terms = [Mux(w1[row], b << row, 0) for row in range(n)]
        for level in reversed(range(levels)):
            size = 2 if level else max(1, n)
            groups = [terms[first:first + size] for first in range(0, len(terms), size)]
            terms = [Signal(n, name=f"sum{level}_{g}", reset_less=True) for g in range(len(groups))]
            m.d.sync += [total.eq(sum(group)) for total, group in zip(terms, groups)]
        m.d.comb += self.low.eq(Cat(terms))
        return m


class PackedMultiplier(wiring.Component):
    """Two signed products, a pair a cycle, ``latency`` cycles after their factors.

    That is ``extra`` cycles more than the wide multiplier takes.

    Parameters
    ----------
    packing : Packing
    multiplier : callable of (a_width, b_width)
        Makes the wide multiplier, with ports and latency as ``blocks.Multiplier`` has them.

    Members
    -------
    b : In(signed(operand_width))
    w : In(word_width), as ``Packing.pack`` makes it
    p0, p1 : Out(signed(weight_width + operand_width)), w0 * b and w1 * b
    """

    extra = 1

    def __init__(self, packing: Packing, multiplier: Callable = Multiplier):
        self._packing = packing
        self._wide = multiplier(packing.word_width, packing.operand_width)
        self.latency = self._wide.latency + self.extra
        product = signed(packing.weight_width + packing.operand_width)
        super().__init__({"b": In(signed(packing.operand_width)), "w": In(packing.word_width),
                          "p0": Out(product), "p1": Out(product)})

    def elaborate(self, platform):
        m = Module()
        packing, k = self._packing, self._packing.shift
        m.submodules.wide = wide = self._wide
        m.d.comb += [wide.a.eq(self.w.as_signed()), wide.b.eq(self.b)]
        low, negative = Const(0, 0), wide.p[k - 1]
        if packing.product_width > k:
            m.submodules.overlap = overlap = Overlap(packing, wide.latency)
            m.d.comb += [overlap.w.eq(self.w), overlap.b.eq(self.b)]
            low, negative = overlap.low, overlap.negative
        apart = Signal(packing.product_width, reset_less=True)
        m.d.sync += apart.eq(wide.p[k:] - Cat(low, negative).as_signed())
        below, low, negative = (delay(m, value, 1, name=name) for name, value in (
            ("below", wide.p[:k]), ("low", low), ("negative", negative)))
        n = packing.overlap
        m.d.comb += [self.p0.eq(Cat(below, apart[:n], negative).as_signed()),
                     self.p1.eq(Cat(low, apart[n:]).as_signed())]
        return m
