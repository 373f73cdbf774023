"""What a recurrent node can say about its cell: each compared with onnxruntime, step by step.

onnx.reference has no part in this: it looks at neither ``clip`` nor ``input_forget``.
"""

import re

import numpy as np
import onnx_models as build
import pytest
from onnx_models import refused
from test_gatewright_onnx_import import random_batch

from gatewright.onnx_check import check_against_onnx, onnxruntime_outputs
from gatewright.onnx_import import import_onnx

pytest.importorskip("onnxruntime")

OUTPUTS = {"LSTM": ("Y", "Y_h", "Y_c"), "GRU": ("Y", "Y_h"), "RNN": ("Y", "Y_h")}


def matched(path, kind, *, large_state=False, small=False, change=None, **attrs):
    """Import one node; its results, of wild inputs and states, are onnxruntime's.

    ``small`` is for functions that let a state grow from step to step.
    """
    net = build.bare(kind, steps=7, outputs=OUTPUTS[kind])
    node = net.nodes[-1]
    node.attribute.extend(build.helper.make_attribute(k, v) for k, v in attrs.items())
    if large_state:
        node.input.extend([""] * (5 - len(node.input)) + [net.input("h", [1, 1, 3])])
        if kind == "LSTM":
            node.input.append(net.input("c", [1, 1, 3]))
    if small:
        net.inits[:] = [build.numpy_helper.from_array(build.numpy_helper.to_array(t) * 0.3, t.name)
                        for t in net.inits]
    if change:
        change(net)
    network = import_onnx(net.save(path / "net.onnx"))
    batch = random_batch(network, 20)
    for states in (batch.h0, batch.c0):
        for values in states.values():
            values *= 6
    batch.x *= 0.3 if small else 3
    assert check_against_onnx(network, path / "net.onnx", batch) < 1e-5
    return network.layers[0], onnxruntime_outputs(network, path / "net.onnx", batch)[0]


@pytest.mark.parametrize("large_state", [False, True])
@pytest.mark.parametrize("clip", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("kind, attrs", [
    ("RNN", {}), ("RNN", {"activations": ["Relu"]}), ("LSTM", {}), ("GRU", {}),
    ("GRU", {"linear_before_reset": 1})])
def test_clip(tmp_path, kind, attrs, clip, large_state):
    """The sums of all gates, and in a reset-after GRU the candidate's only as a whole; never c."""
    layer, found = matched(tmp_path, kind, clip=clip, large_state=large_state, **attrs)
    assert layer.clip == np.float32(clip)
    _, plain = matched(tmp_path, kind, large_state=large_state, **attrs)
    assert np.abs(found["Y"] - plain["Y"]).max() > 1e-3


@pytest.mark.parametrize("clip", [0.0, -1.0, float("nan"), float("inf")])
def test_clip_wrong(tmp_path, clip):
    net = build.bare("GRU")
    net.nodes[-1].attribute.append(build.helper.make_attribute("clip", clip))
    assert "clip must be above 0 and finite, not " in refused(net, tmp_path)


def peepholes(*, zero=False):
    """A change to a net: P at its node."""
    def add(net):
        node = net.nodes[-1]
        node.input.extend([""] * (7 - len(node.input)))
        node.input.append(net.const(np.zeros((1, 9)), np.float32) if zero else net.weight(1, 9))
    return add


@pytest.mark.parametrize("large_state", [False, True])
@pytest.mark.parametrize("attrs", [{}, {"clip": 0.5}])
@pytest.mark.parametrize("coupled, with_peepholes", [(1, False), (0, True), (1, True)])
def test_coupled_and_peepholes(tmp_path, coupled, with_peepholes, attrs, large_state):
    """f = 1 - i; i and f see the old cell state, o the new one. The bound comes behind it."""
    change = peepholes() if with_peepholes else None
    layer, found = matched(tmp_path, "LSTM", input_forget=coupled, change=change,
                           large_state=large_state, **attrs)
    assert layer.coupled is bool(coupled) and (layer.peephole is not None) is with_peepholes
    _, plain = matched(tmp_path, "LSTM", large_state=large_state, **attrs)
    for name in ("Y", "Y_c"):
        assert np.abs(found[name] - plain[name]).max() > 1e-2


def test_peepholes_of_zeros(tmp_path):
    """Nothing is built for them."""
    layer, _ = matched(tmp_path, "LSTM", change=peepholes(zero=True))
    assert layer.peephole is None


def test_two_directions(tmp_path):
    """Each direction has peepholes of its own."""
    net = build.Net()
    x = net.input("x", [6, 1, 4])
    y = net.op("LSTM", x, net.weight(2, 12, 4), net.weight(2, 12, 3), net.weight(2, 24), "", "",
               "", net.weight(2, 9), outputs=["y"], hidden_size=3, direction="bidirectional",
               input_forget=1, clip=0.7)
    y = net.op("Reshape", net.op("Transpose", y, perm=[0, 2, 1, 3]), net.ints(0, 0, -1))
    net.op("MatMul", y, net.weight(6, 2), outputs=["out"])
    net.output("out")
    network = import_onnx(net.save(tmp_path / "net.onnx"))
    assert check_against_onnx(network, tmp_path / "net.onnx", random_batch(network)) < 1e-5
    first, second = (layer.peephole for layer in network.layers[:2])
    assert not np.array_equal(first, second) and not first[1].any() and not second[1].any()


PARAMETERS = {"Affine": (0.7, 0.1), "ThresholdedRelu": (0.3, None), "ScaledTanh": (0.9, 1.4),
              "HardSigmoid": (0.3, 0.45), "LeakyRelu": (0.1, None), "Elu": (1.3, None)}
PLAIN = ("Relu", "Tanh", "Sigmoid", "Softsign", "Softplus")


def functions_of(*names, given=True) -> dict:
    """Attributes: alpha and beta of those that have them, in order."""
    values = [PARAMETERS[name] for name in names if name in PARAMETERS and given]
    found = {"activations": list(names), "activation_alpha": [a for a, _ in values],
             "activation_beta": [b for _, b in values if b is not None]}
    return {key: value for key, value in found.items() if value}


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("name", [*PLAIN, *PARAMETERS])
@pytest.mark.parametrize("kind, attrs", [
    ("RNN", {}), ("LSTM", {}), ("GRU", {}), ("GRU", {"linear_before_reset": 1})],
    ids=["rnn", "lstm", "gru_before", "gru"])
def test_every_function_at_every_place(tmp_path, kind, attrs, name, place):
    names = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}[kind]
    if place >= len(names):
        return
    names[place] = name
    grows = place == 0 and kind != "RNN" and name not in ("Sigmoid", "Tanh", "Softsign",
                                                          "HardSigmoid", "ScaledTanh")
    matched(tmp_path, kind, small=grows or kind == "RNN", **functions_of(*names), **attrs)


def test_parameters_are_taken_in_order(tmp_path):
    """By the functions that have one; what is left out has its default."""
    layer, _ = matched(tmp_path, "LSTM", activations=["HardSigmoid", "tanh", "LEAKYRELU"],
                       activation_alpha=[0.3, 0.25], activation_beta=[0.4])
    assert [str(f) for f in layer.functions] == ["hard_sigmoid(0.3, 0.4)", "tanh",
                                                 "leaky_relu(0.25)"]
    layer, _ = matched(tmp_path, "LSTM", activations=["HardSigmoid", "Elu", "LeakyRelu"])
    assert [str(f) for f in layer.functions] == ["hard_sigmoid(0.2, 0.5)", "elu(1)",
                                                 "leaky_relu(0.01)"]


def test_functions_that_are_plain(tmp_path):
    """No lines are built for a function that another name stands for."""
    attrs = functions_of("Sigmoid", "Affine", "ScaledTanh") | {
        "activation_alpha": [1.0, 1.0], "activation_beta": [0.0, 1.0]}
    layer, _ = matched(tmp_path, "LSTM", **attrs)
    assert [str(f) for f in layer.functions] == ["sigmoid", "identity", "tanh"]
    layer, _ = matched(tmp_path, "LSTM", activations=["Sigmoid", "Tanh", "Tanh"])
    assert layer.own_functions == ()


@pytest.mark.parametrize("attrs, words", [
    ({"activations": ["Sigmoid", "Tanh", "Swish"]}, "the activation 'Swish' is not known; it must"),
    ({"activations": ["Sigmoid", "Tanh"]}, "has 2 activations, not 3; name all"),
    ({"activations": ["Affine", "Tanh", "Tanh"]}, "Affine has no alpha, and programs disagree"),
    ({"activations": ["Sigmoid", "ScaledTanh", "Tanh"], "activation_alpha": [1.0]},
     "ScaledTanh has no beta"),
    ({"activations": ["Sigmoid", "Elu", "Tanh"], "activation_alpha": [float("nan")]},
     "alpha of the activation Elu is nan"),
    ({"activations": ["Sigmoid", "Elu", "Tanh"], "activation_alpha": [1e9]}, "within 1e.06")])
def test_functions_wrong(tmp_path, attrs, words):
    net = build.bare("LSTM")
    net.nodes[-1].attribute.extend(build.helper.make_attribute(k, v) for k, v in attrs.items())
    text = refused(net, tmp_path)
    assert re.search(words, text) and "node 'LSTM_0' (LSTM)" in text


@pytest.mark.parametrize("op, attrs", [
    ("HardSigmoid", {}), ("HardSigmoid", {"alpha": 0.4, "beta": 0.3}), ("Softsign", {}),
    ("Softplus", {}), ("Elu", {}), ("Elu", {"alpha": 0.5}), ("LeakyRelu", {}),
    ("LeakyRelu", {"alpha": 0.3}), ("ThresholdedRelu", {"alpha": 0.1})])
def test_behind_a_linear_layer(tmp_path, op, attrs):
    """The same functions as operators of the graph, with the operators' own defaults."""
    def head(net, x):
        y = net.op("Add", net.op("MatMul", x, net.weight(3, 4)), net.weight(4))
        net.op(op, y, **attrs)

    net = build.headed(head)
    network = import_onnx(net.save(tmp_path / "net.onnx"))
    assert check_against_onnx(network, tmp_path / "net.onnx", random_batch(network)) < 1e-5
    assert str(network.layers[-1].functions[0].activation) == op.lower().replace(
        "hardsigmoid", "hard_sigmoid").replace("leakyrelu", "leaky_relu").replace(
        "thresholdedrelu", "thresholded_relu")
