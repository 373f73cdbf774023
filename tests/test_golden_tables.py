"""The tanh table over every input code of every activation width."""

from fractions import Fraction
from functools import lru_cache

import numpy as np
import pytest
from scalar_model import table_value

from golden.fixed import Fixed
from golden.network import Activation
from golden.tables import MAX_LOG2_SEGMENTS, activate, make_table

WIDTHS = range(4, 19)
# log2 of the lines that are enough: every two bits of output double them.
SEGMENTS = dict(zip(WIDTHS, [3, 4, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10]))
FUNCTIONS = [Activation.TANH, Activation.SIGMOID]


def formats(act_width: int):
    """Input and output of the tables as the quantiser chooses them."""
    frac = max(act_width, 10) - 3
    return Fixed(width=frac + 5, frac=frac), Fixed(width=act_width, frac=act_width - 1)


@lru_cache
def _all(act_width: int, function: Activation):
    """(table, every input code, its output)."""
    table = make_table(*formats(act_width))
    codes = np.arange(table.pre.min, table.pre.max + 1)
    return table, codes, activate(codes, table, function)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("act_width", WIDTHS)
def test_within_one_lsb(act_width, function):
    """One unit in the last place from the correctly rounded value, for every input code.

    exp and expm1 in float64 are right to 1e-15; a value that near to a tie would still be within
    one of both its neighbours.
    """
    table, codes, got = _all(act_width, function)
    a = codes / 2.0 ** table.pre.frac
    # Not golden's own expression: from the exponential.
    small = np.exp(-np.abs(a))
    if function is Activation.TANH:
        exact = np.sign(a) * -np.expm1(-2 * np.abs(a)) / (1 + small ** 2)
    else:
        exact = np.where(a < 0, small, 1.0) / (1 + small)
    scale = 1 << (act_width - 1)
    rounded = np.clip(np.floor(exact * scale + 0.5), -scale, scale - 1)
    assert len(codes) == 32 << table.pre.frac
    assert np.abs(got - rounded).max() <= 1
    # And close in the mean: half an LSB of rounding at most, the lines' error on top.
    assert np.abs(got - np.clip(exact * scale, -scale, scale - 1)).mean() < 0.5


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("act_width", WIDTHS)
def test_monotone(act_width, function):
    _, _, got = _all(act_width, function)
    assert np.diff(got).min() >= 0


@pytest.mark.parametrize("act_width", WIDTHS)
def test_symmetry(act_width):
    """tanh(-a) = -tanh(a), sigmoid(-a) = 1 - sigmoid(a), but for the last place of a tie."""
    table, codes, tanh = _all(act_width, Activation.TANH)
    *_, sigmoid = _all(act_width, Activation.SIGMOID)
    top = 1 << (act_width - 1)
    middle = len(codes) // 2
    assert tanh[middle] == 0 and sigmoid[middle] == top // 2
    inner = np.arange(1, middle)
    # Round half up sends a tie and its mirror image the same way: they differ by one then.
    for values, mirror in ((tanh, -tanh[middle - inner]), (sigmoid, top - sigmoid[middle - inner])):
        difference = values[middle + inner] - np.minimum(mirror, top - 1)
        assert set(np.unique(difference)) <= {0, 1}
        assert np.count_nonzero(difference) < len(inner) / 4


@pytest.mark.parametrize("act_width", WIDTHS)
def test_ends(act_width):
    """Both functions reach what their format has: +-1 less an LSB, 0 and 1 less an LSB."""
    _, _, tanh = _all(act_width, Activation.TANH)
    _, _, sigmoid = _all(act_width, Activation.SIGMOID)
    top = 1 << (act_width - 1)
    assert tanh[-1] == top - 1 and tanh[0] in (-top, -top + 1)
    assert sigmoid[-1] == top - 1 and sigmoid[0] == 0


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("act_width", [4, 8, 11, 16, 18])
def test_equals_exact_lines(act_width, function):
    """The integer evaluation is the straight line itself, rounded once."""
    table, codes, got = _all(act_width, function)
    rng = np.random.default_rng(act_width)
    middle = len(codes) // 2
    picked = np.concatenate([np.arange(3), middle + np.arange(-40, 40), [len(codes) - 1],
                             rng.integers(0, len(codes), 300)])
    for k in picked:
        value = table_value(Fraction(int(codes[k]), 1 << table.pre.frac), table, function)
        assert value * (1 << table.out.frac) == got[k]


@pytest.mark.parametrize("act_width", WIDTHS)
def test_smallest_table(act_width):
    """Two 18 Kb block RAMs at most, and what the hardware's widths assume of the contents."""
    table = make_table(*formats(act_width))
    assert len(table.base) == len(table.slope) == 1 << table.log2_segments
    assert table.log2_segments <= SEGMENTS[act_width] <= MAX_LOG2_SEGMENTS
    assert table.base.min() >= 0 and table.slope.min() >= 0
    assert int(table.base.max()) < 1 << table.base_bits
    assert int(table.slope.max()) < 1 << table.slope_bits
    assert len(table.base) * (table.base_bits + table.slope_bits) <= 36 * 1024


def test_make_table_wrong():
    message = (r"^No table of up to 4096 segments is within 1 LSB for input Q4\.3 and output "
               r"Q0\.17$")
    with pytest.raises(ValueError, match=message):
        make_table(Fixed(width=8, frac=3), Fixed(width=18, frac=17))
