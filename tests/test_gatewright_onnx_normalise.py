"""Batch normalisation, wherever it stands, becomes part of a layer's weights.

B sequences, T steps, C channels.
"""

import numpy as np
import onnx_models as build
import pytest
from test_gatewright_onnx_import import imported

from gatewright.onnx_import import import_onnx


def norm(net, x, channels, **attrs):
    """A BatchNormalization of drawn statistics; channels are axis 1."""
    statistics = [net.weight(channels) for _ in range(3)]
    variance = net.const(net.rng.uniform(0.3, 2, channels), np.float32)
    return net.op("BatchNormalization", x, *statistics, variance, **attrs)


def network(place, *, epsilon=None, opset=17):
    """(B, T, C) -> GRU -> GRU -> linear, normalised in one place as BatchNorm1d does."""
    net = build.Net(opset=opset)
    attrs = {} if epsilon is None else {"epsilon": epsilon}
    x, width = net.input("x", ["N", 5, 4]), 4
    for k in range(2):
        if place == k:
            x = net.op("Transpose", norm(net, net.op("Transpose", x, perm=[0, 2, 1]), width,
                                         **attrs), perm=[0, 2, 1])
        y, h = net.cell("GRU", net.op("Transpose", x, perm=[1, 0, 2]), width, 3,
                        linear_before_reset=1)
        x = net.op("Transpose", net.op("Squeeze", y, net.ints(1)), perm=[1, 0, 2])
        width = 3
    last = net.op("Squeeze", h, net.ints(0))
    if place == "last":
        last = norm(net, last, 3, **attrs)
    out = net.op("MatMul", last, net.weight(3, 2))
    if place == "after":
        out = norm(net, out, 2, **attrs)
    net.op("Identity", out, outputs=["out"])
    net.output("out")
    return net


@pytest.mark.parametrize("epsilon", [None, 0.1])
@pytest.mark.parametrize("place", [0, 1, "last", "after"],
                         ids=["before", "between", "last", "after"])
def test_in_every_place(tmp_path, place, epsilon):
    made = imported(network(place, epsilon=epsilon), tmp_path)
    assert [layer.cell for layer in made.layers] == ["gru", "gru", "linear"]     # no layer more


@pytest.mark.parametrize("opset", [13, 14, 15])
def test_in_other_opsets(tmp_path, opset):
    imported(network(0, opset=opset), tmp_path)


def test_as_the_result(tmp_path):
    """Nothing behind it: a linear layer with a diagonal matrix."""
    net = build.headed(lambda net, h: norm(net, h, 3))
    made = imported(net, tmp_path)
    assert [layer.cell for layer in made.layers] == ["gru", "linear"]
    assert np.count_nonzero(made.layers[1].w) == 3


def test_dropout_and_identity_between(tmp_path):
    net = network(1)
    for node in list(net.nodes):
        if node.op_type == "Squeeze":
            place = net.nodes.index(node)
            name = node.output[0]
            node.output[0] = f"{name}_in"
            net.nodes.insert(place + 1, build.helper.make_node("Dropout", [f"{name}_in"],
                                                               [f"{name}_mid"]))
            net.nodes.insert(place + 2, build.helper.make_node("Identity", [f"{name}_mid"], [name]))
    made = imported(net, tmp_path)
    assert [layer.cell for layer in made.layers] == ["gru", "gru", "linear"]


@pytest.mark.parametrize("change, words", [
    (lambda net, node: node.attribute.append(build.helper.make_attribute("training_mode", 1)),
     "in training mode: export the model after model.eval"),
    (lambda net, node: node.input.__setitem__(4, net.const([-1.0] * 4, np.float32)),
     "has a variance that is not above zero"),
    (lambda net, node: node.input.__setitem__(1, net.weight(3)), "by statistics of 3 channels"),
    (lambda net, node: node.input.__setitem__(2, net.const([np.nan] * 4, np.float32)), "is nan"),
    (lambda net, node: node.input.__setitem__(3, net.input("m", [4])), "statistics are computed")])
def test_what_is_refused(tmp_path, change, words):
    net = network(0)
    change(net, next(node for node in net.nodes if node.op_type == "BatchNormalization"))
    with pytest.raises(build.ImportRefused, match=words):
        import_onnx(net.save(tmp_path / "net.onnx"))
