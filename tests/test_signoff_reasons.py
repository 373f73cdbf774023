"""The numbers in the reasons for mutants of the core, from the networks and their schedules."""

import numpy as np
import pytest

from gatewright.campaign_check import Case
from gatewright.campaign_networks import make_network, make_table
from golden.curves import make_curve, trace_curve
from golden.network import Activation
from golden.tables import activate
from tests.signoff.configurations import SMOKE
from tests.signoff.mutant_reasons import REASONS
from tests.signoff.mutants import OTHERS


def codes(fixed) -> np.ndarray:
    """All codes of a format."""
    return np.arange(-(1 << (fixed.width - 1)), 1 << (fixed.width - 1))


def furthest(weights, fixed) -> np.ndarray:
    """The largest sum of a row's products, without its sign."""
    return np.abs(weights).astype(np.int64).sum(axis=1) << (fixed.width - 1)


def test_sums_of_the_requantiser():
    whole, parts = 0, 0
    for layer in make_network(OTHERS["gru-gru-gru"]).layers:
        shift = layer.acc_frac - layer.pre.frac
        x = furthest(layer.w, layer.x) + np.abs(layer.bias_x)
        h = 0 if layer.r is None else furthest(layer.r, layer.h) + np.abs(layer.bias_h)
        whole = max(whole, ((x + h) >> shift).max())
        if layer.r is not None:
            candidates = slice(2 * layer.units, None)
            parts = max(parts, (x >> shift)[candidates].max())
    text = " ".join(REASONS["requantiser of gru-gru-gru"].values())
    assert f"{whole:,}" in text and f"{parts:,}" in text
    assert whole < 1 << 25 and parts < 1 << 21


def test_parts_of_lane_0_and_z_of_the_gru():
    network = make_network(OTHERS["gru-4"])
    layer, = (layer for layer in network.layers if layer.r is not None)
    rows = [3 * unit + 2 for unit in range(layer.units)]    # r, z and the candidate, unit by unit
    units = [unit for unit, row in enumerate(rows) if row % 4 == 0]
    biases = layer.bias_x[[2 * layer.units + unit for unit in units]]
    assert units == [2, 6] and not (biases % 2).any()
    lost = (layer.acc_frac - layer.pre.frac)[2 * layer.units:]
    assert set(lost[units]) == {4, 5}
    z = activate(codes(layer.pre), make_table(OTHERS["gru-4"], network), Activation.SIGMOID)
    assert (z.min(), z.max()) == (15, 32753)


def test_softplus():
    place = make_network(SMOKE["lstm-peephole"]).layers[0].places[2]
    assert place.function.activation is Activation.SOFTPLUS
    values = trace_curve(codes(place.pre), make_curve(place.function, place.pre, place.out))
    assert values.min() >= 0 and values.max() == 2048


def test_results_of_argmax():
    """Intervals of each neuron's h, with any r and z: they hold what they lead to."""
    config = SMOKE["tokens-argmax"]
    network = make_network(config)
    gru, linear = network.layers
    arguments = codes(gru.pre)
    tanh = activate(arguments, make_table(config, network), Activation.TANH)
    candidates = slice(2 * gru.units, None)
    shift = (gru.acc_frac - gru.pre.frac)[candidates]
    x = (network.embedding.astype(int) @ gru.w.T + gru.bias_x)[:, candidates] >> shift

    def sums(weights, low, high):
        ends = weights * low, weights * high
        return np.minimum(*ends).sum(axis=1), np.maximum(*ends).sum(axis=1)

    low = high = np.zeros(gru.units, int)
    for _ in range(100):
        least, most = (total + gru.bias_h[candidates] >> shift for total in sums(
            gru.r[candidates].astype(int), low, high))
        # Two more at each end: what is rounded, whatever way.
        begin = np.clip(x + np.minimum(least, 0) - 2, arguments[0], arguments[-1]) - arguments[0]
        end = np.clip(x + np.maximum(most, 0) + 2, arguments[0], arguments[-1]) - arguments[0]
        reached = [[tanh[b:e + 1] for b, e in zip(*both, strict=True)]
                   for both in zip(begin.T, end.T, strict=True)]
        before = low, high
        low = np.minimum(low, [min(map(np.min, some)) - 2 for some in reached])
        high = np.maximum(high, [max(map(np.max, some)) + 2 for some in reached])
        if (low == before[0]).all() and (high == before[1]).all():
            break
    else:
        pytest.fail("the intervals do not come to rest")
    least, most = (total + linear.bias_x >> linear.acc_frac - linear.pre.frac
                   for total in sums(linear.w.astype(int), low, high))
    assert -7278 < least.min() and most.max() < 5743


@pytest.mark.parametrize("name, wanted", [("bidirectional", [[3, 5], [3, 5], [10, 4], [4]]),
                                          ("gru-4", [[3, 5], [5]])])
def test_passes(name, wanted):
    """Columns of each phase's segments; no phase waits between its passes."""
    config = (SMOKE | OTHERS)[name]
    layout = Case(config).layout
    assert not any(layout.schedule.gaps)
    assert [[segment.words(config.cols) for segment in phase.segments]
            for phase in layout.program.phases] == wanted
