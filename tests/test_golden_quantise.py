"""The quantiser: formats that cover, parts that line up, sums that cannot overflow, refusals."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from networks import make_batch, make_integer, make_network
from scalar_model import run_scalar

from golden.model import run_golden
from golden.network import Cell
from golden.quantise import QuantOptions, Rounding, quantise_network
from golden.ranges import Method, choose_frac, largest_frac
from golden.reference import Batch

CELLS = [("rnn", 4), ("lstm", 4), ("gru", 4), ("gru_reset_before", 4), ("linear", 4)]
ROWS = {"rnn": 1, "linear": 1, "lstm": 4, "gru": 3, "gru_reset_before": 3}


@given(limit=st.floats(1e-9, 1e9), width=st.integers(2, 24))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_largest_frac_is_the_largest(limit, width):
    """+-limit fits, rounded to the nearest code; with one more fractional bit it does not."""
    frac, top = int(largest_frac(limit, width)[0]), 2 ** (width - 1) - 1
    assert round(limit * 2.0 ** frac) <= top
    assert round(limit * 2.0 ** (frac + 1)) > top


@pytest.mark.parametrize(("limit", "width", "frac"), [
    (1.0, 8, 6), (127 / 128, 8, 7), (0.9999, 8, 6), (127.4, 8, 0), (127.5, 8, -1), (0.0, 8, 8),
    (1.0, 2, 0), (1.4, 2, 0), (2.0, 2, -1), (1e-6, 16, 34)])
def test_largest_frac_borders(limit, width, frac):
    assert largest_frac(limit, width).tolist() == [frac]


def test_choose_frac_methods():
    """Percentile lets one outlier of thousands go; least squares is never worse than min-max."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 4000)) * np.array([[1.0], [0.1], [8.0]])
    values[:, 7] *= 200
    chosen = {method: choose_frac(values, 8, method) for method in Method}
    assert (chosen[Method.MINMAX] < chosen[Method.LEAST_SQUARES]).any()
    assert (chosen[Method.MINMAX] < chosen[Method.PERCENTILE]).all()
    errors = {}
    for method, fracs in chosen.items():
        scale = 2.0 ** fracs[:, None]
        codes = np.clip(np.rint(values * scale), -128, 127)
        errors[method] = ((values - codes / scale) ** 2).sum(axis=1)
    assert (errors[Method.LEAST_SQUARES] <= errors[Method.MINMAX]).all()
    assert (np.abs(values) <= 127.5 / 2.0 ** chosen[Method.MINMAX][:, None]).all()


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("per_row", [True, False], ids=["per_row", "per_tensor"])
@pytest.mark.parametrize("width", [2, 5, 8, 16])
def test_weights_within_width(method, per_row, width, rounding):
    net = make_network(*CELLS)
    integer, _ = make_integer(net, make_batch(net, 4, 4), weight_width=width, method=method,
                              per_row=per_row, rounding=rounding)
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    for layer, source in zip(integer.layers, net.layers, strict=True):
        for codes in (layer.w, layer.r):
            if codes is not None:
                assert codes.dtype == np.int64
                assert codes.min() >= low and codes.max() <= high
        if not per_row:
            assert len(set(layer.acc_frac.tolist())) == 1
        # Most of the range is used by some weight.
        assert max(np.abs(m).max() for m in (layer.w, layer.r) if m is not None) > high // 2
        assert layer.w.shape == source.w.shape


@pytest.mark.parametrize("act_width", [4, 8, 16, 18])
@pytest.mark.parametrize("operand_width", [16, 18, 27])
def test_parts_of_a_row_line_up(act_width, operand_width):
    """frac(W) + frac(x) = frac(R) + frac(h) row by row, shifts included; and the values are right.

    With nearest rounding each code is the weight at its row's fraction, which tells the fraction.
    """
    net = make_network(*CELLS, seed=4)
    integer, _ = make_integer(net, make_batch(net, 4, 4), act_width=act_width, weight_width=10,
                              operand_width=operand_width, rounding=Rounding.NEAREST)
    x = integer.layers[0].x
    for layer, source in zip(integer.layers, net.layers, strict=True):
        assert layer.x == x
        x = layer.h
        assert min(layer.x_shift, layer.h_shift) == 0
        assert act_width + max(layer.x_shift, layer.h_shift) <= max(operand_width, act_width)
        for codes, values, fmt, shift in ((layer.w, source.w, layer.x, layer.x_shift),
                                          (layer.r, source.r, layer.h, layer.h_shift)):
            if codes is None:
                continue
            step = 2.0 ** -(layer.acc_frac - fmt.frac - shift)[:, None]
            assert (np.abs(codes * step - values) <= step / 2).all()
    assert integer.operand_width <= max(operand_width, act_width)


def _worst_inputs(layer, row: int):
    """(x, h) codes that drive one row's sum as far from zero as any input can."""
    sign = 1 if layer.bias_x[row] + layer.bias_h[row] >= 0 else -1
    pick = [np.where(sign * matrix[row] > 0, fmt.max, fmt.min)
            for matrix, fmt in ((layer.w, layer.x), (layer.r, layer.h)) if matrix is not None]
    return pick[0], pick[1] if len(pick) > 1 else None


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell[0])
def test_accumulator_bound_reached(cell):
    """The worst input comes within an LSB for each weight of the bound, and never beyond it."""
    net = make_network(cell, seed=2)
    integer, _ = make_integer(net, make_batch(net, 4, 4))
    (layer,) = integer.layers
    largest = 0
    for row in range(len(layer.acc_frac)):
        for flip in (1, -1):
            x, h = _worst_inputs(layer, row)
            x = x if flip == 1 else np.where(x == layer.x.max, layer.x.min, layer.x.max)
            total = sum(int(w) * (int(v) << layer.x_shift)
                        for w, v in zip(layer.w[row], x, strict=True))
            if h is not None:
                h = h if flip == 1 else np.where(h == layer.h.max, layer.h.min, layer.h.max)
                total += sum(int(w) * (int(v) << layer.h_shift)
                             for w, v in zip(layer.r[row], h, strict=True))
            for bias in (layer.bias_x[row], layer.bias_h[row]):
                total += int(bias)
            assert abs(total) <= layer.acc_bound
            largest = max(largest, abs(total))
    slack = int(np.abs(layer.w).sum(axis=1).max()) << layer.x_shift
    slack += 0 if layer.r is None else int(np.abs(layer.r).sum(axis=1).max()) << layer.h_shift
    assert layer.acc_bound - slack - 2 * abs(int(layer.bias_h.min())) <= largest
    assert -(1 << (integer.acc_width - 1)) <= -layer.acc_bound
    assert layer.acc_bound < 1 << (integer.acc_width - 1)
    # One bit less would not do for these weights.
    assert largest >= 1 << (integer.acc_width - 3)


@pytest.mark.parametrize(("headroom", "act_width", "spare"), [
    (None, 16, 1), (None, 8, 0), (0, 16, 0), (3, 16, 3)])
def test_input_format_covers(headroom, act_width, spare):
    """Everything calibration saw fits, with the spare bits on top."""
    net = make_network(("linear", 3))
    batch = make_batch(net, 8, 8)
    integer, reports = quantise_network(net, batch, QuantOptions(act_width=act_width,
                                                                 headroom=headroom))
    largest = np.abs(batch.x).max()
    fmt = integer.layers[0].x
    assert fmt.frac == int(largest_frac(largest, act_width)[0]) - spare
    report = next(r for r in reports if r.name == "input")
    assert (report.saturated, report.count) == (0, batch.x.size)
    assert (report.min, report.max) == (batch.x.min(), batch.x.max())
    assert report.format == str(fmt)


def test_reports_cover_every_tensor():
    net = make_network(("lstm", 4), ("gru", 3), ("linear", 2))
    _, reports = quantise_network(net, make_batch(net, 4, 4), QuantOptions())
    names = [report.name for report in reports]
    assert len(names) == len(set(names))
    expected = {"input"} | {f"l{k}.{m}" for k in range(3) for m in ("W", "B", "h")}
    expected |= {"l0.R", "l1.R", "l0.c", "l2.a"} | {f"l0.{s}" for s in "ifgo"}
    expected |= {f"l1.{s}" for s in ("r", "z", "n", "pre_nx", "pre_nh")}
    assert expected <= set(names)
    for report in reports:
        assert report.count > 0 and report.min <= report.max
        assert report.sqnr_db is None or report.sqnr_db > 15


def test_saturated_weights_counted():
    """The percentile clips an outlier, and the table says so."""
    net = make_network(("linear", 2), inputs=3000)
    w = net.layers[0].w.copy()
    w[0, 0], w[1, 5] = 40 * w[0].std(), -40 * w[1].std()
    net = replace(net, layers=(replace(net.layers[0], w=w),))
    _, reports = quantise_network(net, make_batch(net, 2, 2), QuantOptions(
        weight_width=3, method=Method.PERCENTILE, rounding=Rounding.NEAREST))
    assert next(r for r in reports if r.name == "l0.W").saturated == 2


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell[0])
def test_zero_rows_and_zero_data(cell):
    """Dead rows, a dead network and silent calibration data: all exact, nothing divides by zero."""
    net = make_network(cell, seed=3)
    layer = net.layers[0]
    w, bias = layer.w.copy(), layer.bias_x.copy()
    w[1] = 0
    bias[1] = 0
    partly = replace(layer, w=w, bias_x=bias)
    nothing = replace(layer, w=0 * w, r=None if layer.r is None else 0 * layer.r, bias_x=0 * bias,
                      bias_h=0 * layer.bias_h)
    for changed in (partly, nothing):
        changed_net = replace(net, layers=(changed,))
        for batch in (make_batch(net, 2, 3), Batch(x=np.zeros((2, 3, 5)))):
            integer, codes = make_integer(changed_net, batch)
            run = run_golden(integer, codes)
            assert run.y[0].tolist() == run_scalar(integer, codes.x[0])[0]["h"]
            if changed is nothing:
                assert not integer.layers[0].w.any() and not run.y.any()
            else:
                assert not integer.layers[0].w[1].any()


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell[0])
@pytest.mark.parametrize("scale", [1e-12, 1e-7, 1e-3, 1e3, 1e6, 1e9])
def test_any_scale_of_weights(cell, scale):
    """From weights that vanish to weights that overwhelm: golden stays exact."""
    net = make_network(cell, scale=scale)
    net = replace(net, layers=(replace(net.layers[0], bias_x=net.layers[0].bias_x * scale,
                                       bias_h=net.layers[0].bias_h * scale),))
    integer, codes = make_integer(net, make_batch(net, 2, 3))
    trace = run_scalar(integer, codes.x[1])[0]
    run = run_golden(integer, codes, keep=None)
    for name, values in trace.items():
        assert run.signals[0][name][1].tolist() == values, name
    if scale >= 1e3 and net.layers[0].cell is not Cell.LINEAR:
        assert (integer.layers[0].acc_frac < integer.pre.frac).any()


@pytest.mark.parametrize(("options", "kind", "message"), [
    ({"weight_width": 1}, ValueError, r"^weight_width must be 2 to 16 bits, not 1$"),
    ({"weight_width": 17}, ValueError, r"^weight_width must be 2 to 16 bits, not 17$"),
    ({"weight_width": True}, TypeError, r"^weight_width must be an integer, not True$"),
    ({"act_width": 3}, ValueError, r"^act_width must be 4 to 18 bits, not 3$"),
    ({"act_width": 19}, ValueError, r"^act_width must be 4 to 18 bits, not 19$"),
    ({"act_width": 16.0}, TypeError, r"^act_width must be an integer, not 16\.0$"),
    ({"cell_width": 7}, ValueError, r"^cell_width must be 8 to 24 bits, not 7$"),
    ({"cell_width": 25}, ValueError, r"^cell_width must be 8 to 24 bits, not 25$"),
    ({"operand_width": 3}, ValueError, r"^operand_width must be 4 to 27 bits, not 3$"),
    ({"headroom": 5}, ValueError, r"^headroom must be 0 to 4 bits, not 5$"),
    ({"headroom": -1}, ValueError, r"^headroom must be 0 to 4 bits, not -1$"),
])
def test_options_wrong(options, kind, message):
    with pytest.raises(kind, match=message):
        QuantOptions(**options)


def test_bias_beyond_the_accumulator_wrong():
    net = make_network(("lstm", 2))
    huge = replace(net.layers[0], bias_x=net.layers[0].bias_x + 1e12)
    with pytest.raises(ValueError, match=r"^layer 'l0': a bias needs accumulator bits more than 48;"
                                         r" lower --weight-width or --act-width$"):
        make_integer(replace(net, layers=(huge,)), make_batch(net, 1, 2))


def test_sums_beyond_the_accumulator_wrong():
    """Sixteen-bit weights on 27-bit operands, some hundreds of them."""
    net = make_network(("rnn", 600), inputs=600)
    flat = replace(net.layers[0], w=np.full((600, 600), 0.9) / 600, r=np.full((600, 600), 60.0))
    with pytest.raises(ValueError, match=r"^layer 'l0': its sums need 5\d accumulator bits, "
                                         r"more than 48; lower --weight-width or --act-width$"):
        make_integer(replace(net, layers=(flat,)), make_batch(net, 1, 2), weight_width=16,
                     act_width=18, operand_width=27)


def test_sums_beyond_64_bits_wrong():
    net = make_network(("gru", 2), scale=1e15)
    with pytest.raises(ValueError, match=r"^layer 'l0': its sums need \d+ bits at the scale of its "
                                         r"results, more than 62; its weights must be smaller$"):
        make_integer(net, make_batch(net, 1, 2))


@pytest.mark.parametrize("per_row", [True, False], ids=["per_row", "per_tensor"])
def test_small_weights_keep_their_bits(per_row):
    """Inputs in thousands, weights in thousandths: as good as at the usual scale."""
    net, batch = make_network(("linear", 4), seed=5), make_batch(make_network(("linear", 4)), 4, 4)
    small = replace(net, layers=(replace(net.layers[0], w=net.layers[0].w / 1024),))
    large = replace(batch, x=batch.x * 1024)
    usual, _ = make_integer(net, batch, per_row=per_row)
    scaled, _ = make_integer(small, large, per_row=per_row)
    assert np.array_equal(usual.layers[0].w, scaled.layers[0].w)
    assert scaled.layers[0].x.frac == usual.layers[0].x.frac - 10


def test_zero_rows_cost_nothing():
    """A recurrence without weights leaves the input part its fraction."""
    net = make_network(("rnn", 4), scale=0.01)
    batch = make_batch(net, 4, 4)
    alone = replace(net, layers=(replace(net.layers[0], r=0 * net.layers[0].r),))
    integer, _ = make_integer(alone, batch, rounding=Rounding.NEAREST)
    layer = integer.layers[0]
    assert np.abs(layer.w).max(axis=1).min() >= 64


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell[0])
def test_dead_weights_with_live_bias(cell):
    """Weights decayed to nothing do not ask for an accumulator as fine as they are small."""
    net = make_network(cell, scale=1e-30)
    integer, codes = make_integer(net, make_batch(net, 2, 3))
    trace = run_scalar(integer, codes.x[0])[0]
    assert run_golden(integer, codes).y[0].tolist() == trace["h"]
    assert run_golden(integer, codes).y.any()
