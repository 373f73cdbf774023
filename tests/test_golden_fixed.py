"""Formats and the three functions that narrow a number, against rational arithmetic."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from golden.fixed import Fixed, quantise, round_shift, saturate


@pytest.mark.parametrize("width", range(1, 9))
@pytest.mark.parametrize("shift", range(-3, 11))
def test_round_shift_every_value(width, shift):
    values = np.arange(-(1 << (width - 1)), 1 << (width - 1))
    expected = [floor(Fraction(int(v)) / Fraction(2) ** shift + Fraction(1, 2)) for v in values]
    assert round_shift(values, shift).tolist() == expected


def test_round_shift_ties():
    """Half goes towards plus infinity, on both sides of zero."""
    assert round_shift(np.array([-3, -1, 1, 3, 5]), 1).tolist() == [-1, 0, 1, 2, 3]
    assert round_shift(np.array([-6, -2, 2, 6]), 2).tolist() == [-1, 0, 1, 2]


def test_round_shift_row_by_row():
    values = np.array([[5, 5, 5, 5], [-5, -5, -5, -5]])
    assert round_shift(values, np.array([-2, 0, 1, 3])).tolist() == [[20, 5, 3, 1],
                                                                     [-20, -5, -2, -1]]


@given(value=st.integers(-(1 << 55), (1 << 55) - 1), shift=st.integers(-6, 60))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_round_shift_wide(value, shift):
    expected = floor(Fraction(value) / Fraction(2) ** shift + Fraction(1, 2))
    assert int(round_shift(value, shift)) == expected


@pytest.mark.parametrize("shift", [61, 62, 63, 64, 65, 66, 80, 127, 300])
def test_round_shift_beyond_the_word(shift):
    """As cells of tiny values have it: nothing is left, of -1 neither."""
    ends = [-(1 << 61), -(1 << 60) - 1, -(1 << 60), -5, -1, 0, 1, 5, 1 << 60, (1 << 61) - 1]
    expected = [floor(Fraction(v, 1 << shift) + Fraction(1, 2)) for v in ends]
    assert round_shift(np.array(ends), shift).tolist() == expected


@pytest.mark.parametrize("width", range(1, 9))
def test_saturate_every_value(width):
    values = np.arange(-600, 600)
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    got = saturate(values, width)
    assert got.tolist() == [low if v < low else high if v > high else int(v) for v in values]
    assert got.min() == low and got.max() == high


@pytest.mark.parametrize(("value", "expected"), [
    (0.5, 0), (1.5, 2), (2.5, 2), (-0.5, 0), (-1.5, -2), (-2.5, -2), (0.50001, 1), (-0.50001, -1),
    (7.4, 7), (7.5, 7), (7.6, 7), (1e30, 7), (-8.4, -8), (-8.6, -8), (-1e30, -8)])
def test_quantise_ties_and_ends(value, expected):
    assert int(quantise(value, Fixed(width=4, frac=0))) == expected


@given(value=st.floats(-1e6, 1e6), width=st.integers(1, 24), frac=st.integers(-8, 30))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_quantise_nearest(value, width, frac):
    """Nearest code, ties to even, clipped to the range: by Python's own rounding of a fraction."""
    fmt = Fixed(width=width, frac=frac)
    code = round(Fraction(value) * Fraction(2) ** frac)
    assert int(quantise(value, fmt)) == min(max(code, fmt.min), fmt.max)


@given(code=st.integers(-(1 << 23), (1 << 23) - 1), frac=st.integers(-40, 60))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_quantise_of_to_float(code, frac):
    fmt = Fixed(width=24, frac=frac)
    assert int(quantise(fmt.to_float(code), fmt)) == code


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_quantise_wrong(value):
    with pytest.raises(ValueError, match=r"^Values must be finite, not NaN or infinity$"):
        quantise(np.array([0.0, value]), Fixed(width=8, frac=4))


def test_fixed_names():
    fmt = Fixed(width=16, frac=12)
    assert (fmt.min, fmt.max, fmt.step) == (-32768, 32767, 2 ** -12)
    assert (fmt.q, str(fmt), fmt.ap_fixed) == ("Q3.12", "Q3.12", "fixed<16,4>")
    assert Fixed(width=8, frac=10).q == "Q-3.10"
    assert Fixed(width=1, frac=0).max == 0 and Fixed(width=62, frac=0).max == (1 << 61) - 1
    assert fmt.to_float(np.array([4096, -2048])).tolist() == [1.0, -0.5]


@pytest.mark.parametrize(("width", "frac", "kind", "message"), [
    (0, 0, ValueError, r"^Width must be 1 to 62 bits, not 0$"),
    (63, 0, ValueError, r"^Width must be 1 to 62 bits, not 63$"),
    (8.0, 0, TypeError, r"^Width and frac must be integers, not 8\.0, 0$"),
    (8, "4", TypeError, r"^Width and frac must be integers, not 8, '4'$"),
])
def test_fixed_wrong(width, frac, kind, message):
    with pytest.raises(kind, match=message):
        Fixed(width=width, frac=frac)
