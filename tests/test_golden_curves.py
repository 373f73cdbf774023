"""Functions with lines of their own: over every input code, and in networks against float."""

import numpy as np
import pytest
from networks import make_batch, make_integer, make_network

from golden.curves import make_curve, trace_curve
from golden.fixed import Fixed
from golden.functions import Activation, Function, evaluate, limits_of
from golden.model import run_golden
from golden.reference import run_float

# Written down a second time, from the text of the ONNX operators.
TEXT = {
    "affine": lambda x, a, b: a * x + b,
    "leaky_relu": lambda x, a, b: x if x >= 0 else a * x,
    "thresholded_relu": lambda x, a, b: x if x >= a else 0.0,
    "scaled_tanh": lambda x, a, b: a * np.tanh(b * x),
    "hard_sigmoid": lambda x, a, b: min(max(a * x + b, 0.0), 1.0),
    "elu": lambda x, a, b: x if x >= 0 else a * (np.exp(x) - 1),
    "softsign": lambda x, a, b: x / (1 + abs(x)),
    "softplus": lambda x, a, b: np.log(1 + np.exp(x)),
    "sigmoid": lambda x, a, b: 1 / (1 + np.exp(-x)), "tanh": lambda x, a, b: np.tanh(x),
    "relu": lambda x, a, b: max(0.0, x), "identity": lambda x, a, b: x,
}
UNIT = ("scaled_tanh", "hard_sigmoid", "softsign")  # within -1 and 1: the gates' format
ROWS = [("hard_sigmoid", 0.2, 0.5), ("hard_sigmoid", 1 / 6, 0.5), ("hard_sigmoid", -3.0, 0.1),
        ("hard_sigmoid", 0.0, 0.25), ("softsign", 0, 0), ("scaled_tanh", 0.8, 1.3),
        ("scaled_tanh", -1.0, 0.1), ("leaky_relu", 0.01, 0), ("leaky_relu", -2.5, 0),
        ("affine", 0.7, 0.1), ("affine", -3.3, -2.0), ("affine", 0.0, 0.3), ("elu", 1.0, 0),
        ("elu", 2.5, 0), ("softplus", 0, 0), ("thresholded_relu", 1.0, 0),
        ("thresholded_relu", -0.3, 0), ("thresholded_relu", 1000.0, 0),
        ("thresholded_relu", -1000.0, 0)]


def function_of(name, alpha, beta) -> Function:
    return Function(activation=Activation(name), alpha=alpha, beta=beta)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "_".join(map(str, row)))
@pytest.mark.parametrize("act_width", [4, 5, 8, 10, 11, 12, 14, 16, 18])
def test_within_one_lsb(row, act_width):
    """One unit from the correctly rounded, saturated value, for every input code."""
    function, frac = function_of(*row), max(act_width, 10) - 3
    pre = Fixed(width=frac + 5, frac=frac)
    unit = row[0] in UNIT and abs(row[1]) <= (1.0 if row[0] == "scaled_tanh" else np.inf)
    for whole in (0,) if unit else (1, 3, 5):
        out = Fixed(width=act_width, frac=act_width - 1 - whole)
        curve = make_curve(function, pre, out)
        codes = np.arange(pre.min, pre.max + 1)
        wanted = np.rint(np.ldexp(evaluate(function, pre.to_float(codes)), out.frac))
        wanted = np.clip(wanted, out.min, out.max)
        got = trace_curve(codes, curve)
        assert len(codes) == 1 << pre.width and np.abs(got - wanted).max() <= 1
        assert np.mean(got != wanted) < 0.5
        for side in curve.sides:
            assert np.abs(side.slope).max() < 1 << (act_width + 1)


@pytest.mark.parametrize("name", Activation)
def test_float_values(name):
    x = np.array([-300.0, -4.0, -1.0, -0.25, -1e-9, 0.0, 1e-9, 0.3, 1.0, 2.0, 7.0, 300.0])
    for alpha, beta in ((0.3, 0.7), (-1.5, 0.2)):
        function = function_of(name, alpha, beta)
        with np.errstate(all="raise"):
            got = evaluate(function, x)
        wanted = np.array([TEXT[name](v, alpha, beta) for v in x])
        assert np.allclose(got, wanted, rtol=1e-12, atol=1e-15)
        low, high = limits_of(function)
        assert (got >= low).all() and (got <= high).all()
        if np.isfinite(high):                          # and no further away than it comes
            far = [TEXT[name](v, alpha, beta) for v in (-500.0, 500.0)]
            assert (low, high) == pytest.approx((min(far), max(far)), abs=0.01)


def test_exact_where_straight():
    """ReLU's kin and the identity: no error at all where the slope is a power of two."""
    pre, out = Fixed(width=18, frac=11), Fixed(width=16, frac=11)
    codes = np.arange(pre.min, pre.max + 1)
    for row, factor in ((("affine", 0.5, 0.0), 0.5), (("leaky_relu", 0.25, 0), None)):
        got = trace_curve(codes, make_curve(function_of(*row), pre, out))
        slopes = np.where(codes < 0, 0.25, 1.0) if factor is None else factor
        wanted = np.floor(codes * slopes + 0.5)
        assert np.array_equal(got, np.clip(wanted, out.min, out.max))


def nodes_of(side) -> np.ndarray:
    """Where lines meet, and both ends."""
    assert np.array_equal(side.base[:-1] + side.slope[:-1], side.base[1:])
    return np.append(side.base, side.base[-1] + side.slope[-1]) / 8


@pytest.mark.parametrize("row", [("softplus", 0, 0), ("scaled_tanh", 0.8, 1.3), ("elu", 1.0, 0)])
def test_borders(row):
    """The first is the function; the others half of what the chords beside them miss away from it.
    """
    pre, out = Fixed(width=13, frac=11), Fixed(width=16, frac=13)
    curve, (name, alpha, beta) = make_curve(function_of(*row), pre, out), row
    for side, first, sign in zip(curve.sides, (0, -1), (1, -1), strict=True):
        def at(segments, side=side, first=first, sign=sign):
            code = first + sign * segments * 2 ** side.offset_bits
            return TEXT[name](code * 2.0 ** -pre.frac, alpha, beta) * 2 ** out.frac

        lines = len(side.base)
        miss = [at(k + 0.5) - (at(k) + at(k + 1)) / 2 for k in range(lines)]
        moved = [0.0, *((a + b) / 4 for a, b in zip(miss, miss[1:], strict=False)), miss[-1] / 2]
        wanted = [at(k) + by for k, by in enumerate(moved)]
        assert np.abs(nodes_of(side) - wanted).max() < 0.51 / 8
        assert max(map(abs, miss)) > 0.5 or not any(miss)  # a straight side


@pytest.mark.parametrize("alpha", [1.0, -0.3, 0.0, 2.0 ** -8, -(2.0 ** -8), 3.99, -4.0, 1e3, -1e3])
def test_distances(alpha):
    """Those of every code from the border fit the bits there are for them, of which none is spare.
    """
    pre = Fixed(width=11, frac=8)
    curve = make_curve(function_of("thresholded_relu", alpha, 0), pre, Fixed(width=11, frac=8))
    codes = np.arange(pre.min, pre.max + 1)
    assert curve.split == min(max(np.ceil(alpha * 256), -1024), 1024)
    farthest = np.where(codes < curve.split, curve.split - 1 - codes, codes - curve.split).max()
    assert curve.distance_bits == int(farthest).bit_length()
    assert np.array_equal(trace_curve(codes, curve), np.where(codes < alpha * 256, 0, codes))
    for side in curve.sides:
        assert len(side.base) << side.offset_bits == 1 << curve.distance_bits
    for side, there in zip(curve.sides, (codes >= curve.split, codes < curve.split), strict=True):
        assert there.any() or side.base.tolist() == side.slope.tolist() == [0]


def test_lines_out_of_range():
    """A line that is out of range as a whole is the range's end: however steep, it costs nothing.
    """
    pre, out = Fixed(width=15, frac=10), Fixed(width=8, frac=7)
    above = make_curve(function_of("softplus", 0, 0), pre, out).sides[0]
    below = make_curve(function_of("elu", 2.5, 0), pre, out).sides[1]
    for side, name, sign in ((above, "softplus", 1), (below, "elu", -1)):
        starts = sign * np.arange(len(side.base)) * 2.0 ** (side.offset_bits - pre.frac)
        beyond = [abs(TEXT[name](x, 2.5, 0)) >= 1.0 for x in starts]
        assert side.slope.astype(bool).tolist() == np.logical_not(beyond).tolist()
        assert (side.base[beyond] == sign * 1024).all() and 0 < sum(beyond) < len(beyond)
    assert len(above.base) == 32         # at half a unit each, a slope of 1 is too steep by itself


@pytest.mark.parametrize("beta", [1e30, -1e30, 3.0, -3.0])
@pytest.mark.parametrize("width", [8, 16, 50])
def test_far_beyond_the_range(beta, width):
    """Values that no integer of the machine holds come out as the ends of the range."""
    pre, out = Fixed(width=6, frac=3), Fixed(width=width, frac=min(width - 1, 48))
    got = trace_curve(np.arange(-32, 32), make_curve(function_of("affine", 0.0, beta), pre, out))
    assert (got == (out.max if beta > 0 else out.min)).all()


def test_too_steep():
    fine = Fixed(width=20, frac=15)
    with pytest.raises(ValueError, match=r"^no table of up to 4096 lines a side is within 1 LSB "
                                         r"for scaled_tanh\(1, 800\) from Q4.15 to Q0.17$"):
        make_curve(function_of("scaled_tanh", 1.0, 800.0), fine, Fixed(width=18, frac=17))


@pytest.mark.parametrize(("beta", "width", "lines"), [(3.0, 20, 12), (6.0, 20, None),
                                                      (4.0, 8, None)])
def test_most_lines(beta, width, lines):
    """2**12 a side, however many codes there are, and no more than there are codes."""
    function, pre = function_of("scaled_tanh", 1.0, beta), Fixed(width=width, frac=width - 5)
    if lines:
        curve = make_curve(function, pre, Fixed(width=18, frac=17))
        assert len(curve.sides[0].base) == 1 << lines
    else:
        with pytest.raises(ValueError, match="^no table of up to 4096 lines a side is within"):
            make_curve(function, pre, Fixed(width=18, frac=17))


CELLS = {
    "keras_relu": ("lstm", 6, {"functions": ["sigmoid", "relu", "relu"]}),
    "old_keras": ("lstm", 6, {"functions": [("hard_sigmoid", 0.2, 0.5), "tanh", "tanh"]}),
    "gru_relu": ("gru", 6, {"functions": ["sigmoid", "relu"]}),
    "gru_tanh_gates": ("gru", 6, {"functions": ["tanh", "tanh"]}),
    "gru_before": ("gru_reset_before", 6, {"functions": [("hard_sigmoid", 0.2, 0.5), "softsign"]}),
    "softplus": ("rnn", 6, {"functions": ["softplus"]}),
    "elu": ("lstm", 6, {"functions": ["softsign", ("elu", 1.0), "softplus"]}),
    "relu_gates": ("lstm", 6, {"functions": ["relu", "tanh", "identity"]}),
}


@pytest.mark.parametrize("layer", CELLS.values(), ids=CELLS)
def test_error_shrinks_with_width(layer):
    """Four more bits everywhere take the worst error down by five at least; sixteen is ideal."""
    net = make_network(layer, scale=0.5)
    batch = make_batch(net, 16, 8)
    expected, errors = run_float(net, batch)[-1]["h"], []
    for width in (6, 10, 14):
        integer, codes = make_integer(net, batch, weight_width=width, act_width=width + 2,
                                      cell_width=width + 4)
        got = integer.layers[-1].h.to_float(run_golden(integer, codes).y)
        errors.append(np.abs(got - expected).max())
    assert errors[0] > 5 * errors[1] > 25 * errors[2] > 0
    assert errors[2] < 0.005 * np.abs(expected).max()
