"""Mean and maximum over the steps, in both arithmetics."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from networks import make_batch, make_integer, make_network

from golden.cells import Cell
from golden.model import run_golden
from golden.pool import MAX_MEAN_STEPS, RECIPROCAL, pool_codes, reciprocal
from golden.reference import run_float

NETWORK = (("rnn", 4, "relu"), ("mean", 4, (0,)), ("max", 4, (0,)), ("linear", 3, "last", (1, 2)))


@pytest.mark.parametrize("width", [4, 8, 12, 16, 18])
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7, 64, 100, 129, 1000, 4097])
def test_mean_is_within_one_of_the_exact_one(width, steps):
    rng = np.random.default_rng(steps)
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    codes = rng.integers(low, high + 1, size=(6, steps, 5))
    codes[0], codes[1] = low, high             # the ends are reached
    codes[2] = np.where(codes[2] < 0, low, high)
    mean = pool_codes(codes, Cell.MEAN, width)
    exact = codes.sum(axis=1) / steps
    assert np.abs(mean - exact).max() <= 1.0
    assert (mean[0] == low).all() and (mean[1] == high).all()


@pytest.mark.parametrize("steps", [3, 5, 6, 7, 100, 129])
def test_mean_is_the_product_that_the_hardware_forms(steps):
    """The sum over 2**e with 2 more bits, times the reciprocal's 17 bits; each rounded half up."""
    def nearest(value):
        return floor(value + Fraction(1, 2))

    codes = np.random.default_rng(steps).integers(-(1 << 17), 1 << 17, size=(40, steps, 5))
    power = next(2 ** e for e in range(9) if 2 ** e >= steps)
    inverse = Fraction(nearest(Fraction(power << 17, steps)), 1 << 17)
    for total, mean in zip(codes.sum(axis=1).ravel(), pool_codes(codes, Cell.MEAN, 18).ravel(),
                           strict=True):
        assert mean == nearest(Fraction(nearest(Fraction(int(total) * 4, power)), 4) * inverse)


def test_reciprocals():
    """Each fits its bits, and is the nearest one."""
    for steps in [*range(1, 3000), 65535, 65536]:
        exponent, fraction = reciprocal(steps)
        assert 2 ** exponent >= steps > 2 ** exponent / 2
        assert 0 <= fraction < 1 << RECIPROCAL
        error = 2 ** exponent / steps - 1 - fraction * 2 ** -RECIPROCAL
        assert abs(error) <= 2 ** -(RECIPROCAL + 1)


def test_too_many_steps():
    with pytest.raises(ValueError, match="at most 65536 steps, not 65537"):
        pool_codes(np.zeros((1, MAX_MEAN_STEPS + 1, 1), np.int64), Cell.MEAN, 8)
    assert pool_codes(np.full((1, 1 << 16, 1), 7), Cell.MEAN, 8).tolist() == [[7]]
    assert pool_codes(np.full((1, MAX_MEAN_STEPS + 1, 1), 7), Cell.MAX, 8).tolist() == [[7]]


def test_pools_in_a_network():
    network = make_network(*NETWORK)
    batch = make_batch(network, 3, 11)
    traces = run_float(network, batch)
    assert np.allclose(traces[1]["h"][:, 0], traces[0]["h"].mean(axis=1))
    assert np.array_equal(traces[2]["h"][:, 0], traces[0]["h"].max(axis=1))
    integer, codes = make_integer(network, batch)
    assert integer.layers[0].h == integer.layers[1].h == integer.layers[2].h == integer.layers[3].x
    run = run_golden(integer, codes)
    h = run.signals[0]["h"]
    assert np.array_equal(run.signals[2]["h"][:, 0], h.max(axis=1))
    assert np.abs(run.signals[1]["h"][:, 0] - h.mean(axis=1)).max() <= 1
    error = run.y[:, 0] * integer.layers[-1].h.step - traces[-1]["h"][:, 0]
    assert np.abs(error).max() < 0.05 * np.abs(traces[-1]["h"]).max()


def test_a_pool_is_of_one_layer():
    with pytest.raises(ValueError, match="of one layer"):
        make_network(("gru", 3), ("gru", 3, (-1,)), ("mean", 6, (0, 1)))
