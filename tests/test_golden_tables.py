"""The tanh table over every input code of every activation width, and the finest tables' lines."""

from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

import numpy as np
import pytest
from scalar_model import table_value

from golden.fixed import Fixed
from golden.network import Activation
from golden.tables import MAX_LOG2_SEGMENTS, TanhTable, activate, line_error, make_table

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
    # Three bits beyond the results', and the lines end at the largest number of those below 1.
    assert table.base_bits == act_width + 2
    assert table.base[-1] + table.slope[-1] == (1 << act_width + 2) - 1
    assert table.reach == 8.0 and table.one == 1 << act_width + 2 + table.offset_bits


# (input's width and fraction, output's width) -> log2 of the lines; None: there is no such table.
SIZES = {(10, 20, 2): 1, (6, 1, 7): 4, (6, 1, 8): None, (8, 3, 11): 6, (8, 3, 12): None,
         (8, 7, 4): None, (16, 11, 21): 11, (16, 11, 22): 12, (16, 11, 24): None,
         (22, 20, 22): 12, (22, 16, 22): 13, (26, 20, 24): 14, (26, 20, 26): 15, (30, 24, 27): 15,
         (30, 24, 28): 16, (30, 24, 29): 16, (30, 24, 30): None, (24, 21, 28): 13}


@pytest.mark.parametrize(("width", "frac", "out_width"), SIZES)
def test_sizes(width, frac, out_width):
    """Fewest lines; of words that only golden runs up to 2**16 of them."""
    formats = Fixed(width=width, frac=frac), Fixed(width=out_width, frac=out_width - 1)
    if log2_segments := SIZES[width, frac, out_width]:
        table = make_table(*formats)
        assert table.log2_segments == log2_segments and len(table.base) == 1 << log2_segments
        assert table.base[0] == 0 and table.reach == 2.0 ** (width - frac - 2)
    else:
        most = 4096 if width <= 20 else 65536
        with pytest.raises(ValueError, match=f"^No table of up to {most} segments is within 1 LSB "
                                             f"for input {formats[0]} and output {formats[1]}$"):
            make_table(*formats)


def distances(table: TanhTable) -> np.ndarray:
    """From tanh to the lines, in LSB, at every argument; none is rounded."""
    width = 1 << table.pre.width - 1 - table.log2_segments
    k, offset = np.divmod(np.arange(width << table.log2_segments), width)
    line = (table.base[k] + table.slope[k] * (offset / width)) / 8
    return line - np.tanh((k * width + offset) / 2.0 ** (table.pre.frac + 1)) * (
        1 << table.out.frac)


@pytest.mark.parametrize(("width", "frac", "out_width"), [(22, 20, 30), (22, 16, 26), (21, 19, 32)])
def test_finest_tables(width, frac, out_width):
    """Within one LSB at every argument; each border half of its chords' error above tanh."""
    table = make_table(Fixed(width=width, frac=frac), Fixed(width=out_width, frac=out_width - 1))
    assert line_error(table) == pytest.approx(np.abs(distances(table)).max(), rel=1e-6)
    assert line_error(table) < 1.0
    edges = np.linspace(0.0, table.reach, len(table.base) + 1)
    share = np.linspace(0.0, 1.0, 101)[:, None]
    chords = np.tanh(edges[:-1]) * (1 - share) + np.tanh(edges[1:]) * share
    miss = (np.tanh(edges[:-1] + share * (edges[1] - edges[0])) - chords).max(axis=0)
    lift = np.concatenate([[0], 0.25 * (miss[:-1] + miss[1:]), 0.5 * miss[-1:]])
    nodes = np.append(table.base, table.base[-1] + table.slope[-1])
    wanted = (np.tanh(edges) + lift) * 2.0 ** (out_width + 2)
    assert np.abs(nodes - np.minimum(wanted, 2.0 ** (out_width + 2) - 1)).max() < 0.51


def test_line_error_of_any_lines():
    """Its own search for the worst place finds what a look at every argument does."""
    rng = np.random.default_rng(3)
    for _ in range(200):
        frac, log2_segments = int(rng.integers(2, 8)), int(rng.integers(1, 5))
        width = log2_segments + int(rng.integers(1, 6)) + 1
        reach, out = 2.0 ** (width - frac - 2), Fixed(width=8, frac=int(rng.integers(2, 12)))
        nodes = np.tanh(np.linspace(0, reach, (1 << log2_segments) + 1)) * 8 * 2 ** out.frac
        nodes = np.rint(nodes).astype(np.int64)
        table = TanhTable(pre=Fixed(width=width, frac=frac), out=out, log2_segments=log2_segments,
                          base=nodes[:-1] + rng.integers(-8, 9, size=len(nodes) - 1),
                          slope=np.diff(nodes) + rng.integers(-8, 9, size=len(nodes) - 1))
        assert line_error(table) == pytest.approx(np.abs(distances(table)).max(), abs=1e-9)


def test_nothing_is_not_negative():
    """Of a table whose first line does not start at 0, it is the line at 0, not its mirror."""
    table = make_table(*formats(8))
    table = replace(table, base=table.base + 64)
    for function, wanted in ((Activation.TANH, 64 / 8), (Activation.SIGMOID, (8 * 128 + 64) / 16)):
        assert activate(np.array([0]), table, function) == wanted
