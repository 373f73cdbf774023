"""The Amaranth twins of ``golden.fixed``: every small value, corners and random at large."""

import numpy as np
import pytest
from amaranth import *
from amaranth.sim import Simulator

from golden import fixed
from hw.arith import bound, round_shift, saturate


def evaluate(width: int, functions, values) -> list:
    """Results of combinational functions of one signed input, a list for each value."""
    m = Module()
    operand = Signal(signed(width))
    outputs = []
    for function in functions:
        result = function(operand)
        output = Signal(Value.cast(result).shape())
        m.d.comb += output.eq(result)
        outputs.append(output)
    rows = []

    async def bench(ctx):
        for value in values:
            ctx.set(operand, int(value))
            rows.append([ctx.get(output) for output in outputs])

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return rows


def corners(width: int, *, seed: int = 0, count: int = 60) -> np.ndarray:
    """Ends, zero, powers of two and their neighbours, then random values."""
    top = 1 << (width - 1)
    powers = [sign * (1 << k) + near for k in range(width - 1) for sign in (1, -1)
              for near in (-1, 0, 1)]
    rng = np.random.default_rng(seed)
    values = np.array([-top, -top + 1, top - 1, top - 2, 0, *powers,
                       *rng.integers(-top, top, count)], dtype=np.int64)
    return np.unique(np.clip(values, -top, top - 1))


@pytest.mark.parametrize("width", range(1, 9))
def test_round_shift_every_value(width):
    values = np.arange(-(1 << (width - 1)), 1 << (width - 1))
    shifts = range(-3, width + 4)
    got = evaluate(width, [lambda v, s=s: round_shift(v, s) for s in shifts], values)
    assert np.array_equal(got, np.stack([fixed.round_shift(values, s) for s in shifts], axis=1))


@pytest.mark.parametrize("width", [12, 17, 24, 33, 40, 48])
def test_round_shift_wide(width):
    values = corners(width)
    shifts = [-8, -1, 0, 1, 2, 7, 15, width - 2, width - 1, width, width + 3]
    got = evaluate(width, [lambda v, s=s: round_shift(v, s) for s in shifts], values)
    assert np.array_equal(got, np.stack([fixed.round_shift(values, s) for s in shifts], axis=1))


@pytest.mark.parametrize("width", range(1, 9))
def test_saturate_every_value(width):
    """The clipped value, and the bit that says so, for every narrower and wider result."""
    values = np.arange(-(1 << (width - 1)), 1 << (width - 1))
    targets = range(1, width + 3)
    clipped = evaluate(width, [lambda v, t=t: saturate(v, t)[0] for t in targets], values)
    flags = evaluate(width, [lambda v, t=t: saturate(v, t)[1] for t in targets], values)
    expected = np.stack([fixed.saturate(values, t) for t in targets], axis=1)
    assert np.array_equal(clipped, expected)
    assert np.array_equal(flags, expected != values[:, None])


@pytest.mark.parametrize(("width", "target"), [(20, 4), (20, 18), (33, 16), (48, 24), (48, 47)])
def test_saturate_wide(width, target):
    values = np.union1d(corners(width), corners(target + 2))
    values = values[np.abs(values) < 1 << (width - 1)]
    got = evaluate(width, [lambda v: saturate(v, target)[0], lambda v: saturate(v, target)[1]],
                   values)
    expected = fixed.saturate(values, target)
    assert np.array_equal(got, np.stack([expected, expected != values], axis=1))
    assert 0 < np.count_nonzero(expected != values) < len(values)


@pytest.mark.parametrize("width", [2, 5, 8])
def test_shift_then_saturate(width):
    """As the pipeline uses them, one behind the other, for every value."""
    values = np.arange(-256, 256)
    got = evaluate(9, [lambda v, s=s: saturate(round_shift(v, s), width)[0] for s in range(9)],
                   values)
    expected = [fixed.saturate(fixed.round_shift(values, s), width) for s in range(9)]
    assert np.array_equal(got, np.stack(expected, axis=1))


@pytest.mark.parametrize("function", [round_shift, saturate])
def test_unsigned_wrong(function):
    with pytest.raises(TypeError, match=r"^Value must be signed, not unsigned\(4\)$"):
        function(Signal(4), 2)


@pytest.mark.parametrize("width", range(1, 8))
def test_bound_every_value(width):
    """Limits from 0 to beyond the width: constants, and values that come from elsewhere."""
    values = np.arange(-(1 << (width - 1)), 1 << (width - 1))
    limits = range((1 << (width - 1)) + 3)
    expected = np.stack([fixed.bound(values, limit) for limit in limits], axis=1)
    got = evaluate(width, [lambda v, k=k: bound(v, k) for k in limits], values)
    assert np.array_equal(got, expected)
    got = evaluate(width, [lambda v, k=k: bound(v, C(k, width + 2)) for k in limits], values)
    assert np.array_equal(got, expected)
    assert np.array_equal(fixed.bound(values, None), values)


def test_bound_wrong():
    with pytest.raises(TypeError, match=r"^Value must be signed, not unsigned\(4\)$"):
        bound(Signal(4), 3)
