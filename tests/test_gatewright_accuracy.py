"""Metrics against figures worked out by hand, and labels that fit no result."""

import math

import numpy as np
import pytest
from networks import make_batch, make_integer, make_network

from gatewright import steps
from gatewright.accuracy import measure, signal_errors, top1_agreement
from gatewright.errors import DataRefused
from golden.model import encode, run_golden
from golden.network import Final
from golden.reference import run_float


def network(outputs: int = 3, *, last: bool = False, final: Final = Final.NONE):
    words = ("last",) if last else ()
    made = make_network(("rnn", 4), ("linear", outputs, *words), last_step_only=last)
    return type(made)(**{**vars(made), "final": final})


# Three sequences of two steps and three classes; the larger number wins.
Y = np.array([[[1, 2, 3], [9, 1, 1]], [[5, 2, 2], [1, 7, 1]], [[0, 1, 0], [0, 0, 2]]], float)


def test_top1_of_the_last_step():
    """Labels (n,): the last step alone counts, whether the graph gives one result or all."""
    worse = Y.copy()
    worse[1, 1] = [8, 7, 1]
    for net, y_float, y_fixed in ((network(), Y, worse), (network(last=True), Y, worse),
                                  (network(last=True), Y[:, -1:], worse[:, -1:])):
        metric, = measure(net, y_float, y_fixed, np.array([0, 1, 1]))
        assert (metric.name, metric.higher_is_better) == ("top1_accuracy", True)
        assert (metric.float_value, metric.fixed_value) == (2 / 3, 1 / 3)
        assert metric.loss == pytest.approx(1 / 3)


def test_bits_and_top1_of_every_step():
    labels = np.array([[2, 0], [0, 1], [1, 2]], dtype=np.uint8)
    bits, top1 = measure(network(final=Final.SOFTMAX), Y, Y[:, ::-1] * 0, labels)
    assert (bits.name, top1.name) == ("bits_per_label", "top1_accuracy")
    assert bits.fixed_value == pytest.approx(math.log2(3))  # all three alike
    exact = [math.log2(sum(math.exp(v - y[k]) for v in y))
             for y, k in zip(Y.reshape(-1, 3), labels.ravel())]
    assert bits.float_value == pytest.approx(sum(exact) / 6) and len(exact) == 6
    assert bits.loss == pytest.approx(bits.fixed_value - bits.float_value) and bits.loss > 0
    assert (top1.float_value, top1.fixed_value) == (1.0, 2 / 6)


def test_rmse():
    """Targets of every step, or of the last one; behind the graph's own last function."""
    y = np.array([[[1.0], [2.0]], [[3.0], [-1.0]]])
    metric, = measure(network(1), y, y + 0.5, np.array([[1.0, 2.0], [3.0, 1.0]]))
    assert (metric.name, metric.higher_is_better) == ("rmse", False)
    assert metric.float_value == pytest.approx(1.0)
    assert metric.fixed_value == pytest.approx(math.sqrt((3 * 0.25 + 1.5 ** 2) / 4))
    metric, = measure(network(1), y, y, np.array([2.0, -1.0]))
    assert metric.float_value == 0 and metric.loss == 0
    metric, = measure(network(1, last=True, final=Final.SIGMOID), y * 0, y * 0, np.zeros(2))
    assert metric.float_value == 0.5
    metric, = measure(network(1), y, y, np.array([2, -1]))  # whole numbers are no classes here
    assert metric.name == "rmse" and metric.float_value == 0


@pytest.mark.parametrize(("net", "labels", "words"), [
    (network(), [0, 1, 3], r"values 0 to 3, but the network gives 1 result\(s\) of 3 classes"),
    (network(), [0, -1, 2], "values -1 to 2"),
    (network(), [[0], [1], [2]], r"\(3, 1\) .* 2 result\(s\) of 3 classes"),
    (network(last=True), [[0, 1], [1, 2], [2, 0]], r"\(3, 2\) .* 1 result\(s\) of 3 classes"),
    (network(), [[0.0] * 5] * 3, r"\(3, 5\), but the network gives 2 result\(s\) of 3 value"),
    (network(final=Final.ARGMAX), [0.0, 1.0, 2.0], "are float64 values, but the network gives c"),
], ids=["too large", "negative", "one step", "many steps", "targets", "float classes"])
def test_labels_wrong(net, labels, words):
    with pytest.raises(DataRefused, match=words):
        measure(net, Y, Y, np.array(labels))


def test_top1_agreement():
    other = Y.copy()
    other[0, 0] = [4, 2, 3]
    assert top1_agreement(network(), Y, other) == 5 / 6
    assert top1_agreement(network(last=True), Y, other) == 1
    assert top1_agreement(network(1), Y[..., :1], Y[..., :1]) is None


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "gru_reset_before"])
def test_signal_errors(cell):
    """Each signal's largest error is the one a plain loop finds, in its own last places."""
    net = make_network((cell, 3), ("linear", 2))
    batch = make_batch(net, sequences=4, steps=6)
    integer, _ = make_integer(net, batch)
    run = run_golden(integer, encode(net, integer, batch), keep=None)
    floats = run_float(net, batch)
    errors = {(e.layer, e.signal): e for e in signal_errors(integer, run, floats)}
    wanted = {"rnn": {"h"}, "lstm": {"i", "f", "g", "o", "c", "h"}}.get(cell, {"r", "z", "n", "h"})
    first, head = (layer.name for layer in integer.layers)
    assert wanted <= {signal for layer, signal in errors if layer == first}
    assert (head, "h") in errors
    for signal in wanted:
        fmt = {"c": integer.cell, "h": integer.layers[0].h}.get(signal, integer.gate)
        worst = total = 0.0
        for code, exact in zip(run.signals[0][signal].ravel().tolist(),
                               floats[0][signal].ravel().tolist(), strict=True):
            worst = max(worst, abs(code * 2.0 ** -fmt.frac - exact))
            total += (code * 2.0 ** -fmt.frac - exact) ** 2
        error = errors[first, signal]
        assert error.max_error == pytest.approx(worst) and worst > 0
        assert error.max_error_lsb == pytest.approx(worst * 2 ** fmt.frac)
        power = float(np.sum(floats[0][signal] ** 2))
        assert error.sqnr_db == pytest.approx(10 * math.log10(power / total))
        assert error.format == str(fmt)


def test_golden_step_reports_all():
    net = make_network(("gru", 3), ("linear", 4))
    batch = make_batch(net, sequences=steps.DETAIL_SEQUENCES + 3, steps=5)
    quantised = steps.quantise(net, batch)
    labels = np.zeros((len(batch), 5), dtype=np.int64)
    result = steps.golden(quantised, batch, labels)
    assert [m.name for m in result.metrics] == ["bits_per_label", "top1_accuracy"]
    assert (result.sequences, result.steps) == (len(batch), 5 * len(batch))
    assert result.agreement > 0.9 and result.errors
    assert steps.golden(quantised, batch).metrics == ()
