"""Two narrow products by one wide multiplier: for devices whose multipliers run short.

A word of two weights, ``w1 * 2**K + w0``, times ``b`` is ``p1 * 2**K + p0``. The low K bits are p0's;
above them p1 lies on p0's upper part, h0. Two facts tell them apart: p0's sign follows from the
signs of its factors, and p1 modulo 2**L, for the L bits of h0 below its sign, is a small product of
low bits. The product's upper part minus {sign of p0, that small product} is then {p1 without its
low bits, h0 without its sign}: one subtraction gives both. Where p0 ends below bit K there is
nothing to tell apart, and its sign alone is taken back.
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
            raise ValueError(f"word_width must be at least {self.word_width - self.shift} + "
                             f"{self.weight_width} bits, not {self.word_width!r}")

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
        k, overlap = self._packing.shift, self._packing.overlap
        w0, w1 = self.w[:self._packing.weight_width].as_signed(), Signal(overlap)
        # Where w0 is negative, what stands above it is w1 - 1.
        m.d.comb += w1.eq(self.w[k:].as_signed() + self.w[k - 1])
        early = int(self._latency > 2)
        levels = self._latency - early
        w1, b = delay(m, w1, early, name="w1"), delay(m, self.b[:overlap], early, name="b")
        w_negative, w_positive, b_negative, b_positive = (
            delay(m, value, early, name=name) for name, value in (
                ("w_negative", w0 < 0), ("w_positive", w0 > 0),
                ("b_negative", self.b < 0), ("b_positive", self.b > 0)))
        m.d.comb += self.negative.eq(delay(
            m, (w_negative & b_positive) | (w_positive & b_negative), levels, name="negative"))
        terms = [Mux(w1[row], b << row, 0) for row in range(overlap)]
        for level in reversed(range(levels)):
            size, sums = 2 if level else overlap, []
            for first in range(0, len(terms), size or 1):
                total = Signal(overlap, name=f"sum{level}_{first}", reset_less=True)
                m.d.sync += total.eq(sum(terms[first:first + size]))
                sums.append(total)
            terms = sums
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
