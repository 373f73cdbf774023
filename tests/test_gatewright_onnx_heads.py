"""Graphs with several results: each is a slice of what one last layer gives."""

import numpy as np
import onnx_models as build
import pytest
from onnx import TensorProto
from onnx_models import Net, refused
from test_gatewright_onnx_reverse import H, I, T, bidirectional, concat, imported

from golden.network import Final

LAST, EVERY = "last", "every"


def recurrent(kind="GRU", *, dims=None):
    """(net, result of every step (T, H), of the last one (1, H))."""
    net = Net()
    y, h, *_ = net.cell(kind, net.input("x", dims or [T, 1, I]), I, H)
    return net, net.op("Squeeze", y, net.ints(1)), net.op("Squeeze", h, net.ints(0))


def head(net, x, units, name, *, function="", width=H, **attrs):
    """x W + b, a function behind it, as a graph output."""
    y = net.op("Add", net.op("MatMul", x, net.weight(width, units)), net.weight(units))
    if function:
        y = net.op(function, y, **attrs)
    net.nodes[-1].output[0] = name
    integer = function == "ArgMax"
    net.output(name, kind=TensorProto.INT64 if integer else TensorProto.FLOAT)
    return name


def slices(network):
    return [(b.name, b.start, b.width, str(b.final)) for b in network.outputs if b.kind == "y"]


@pytest.mark.parametrize("when", [LAST, EVERY])
def test_two_linear_heads_are_one_layer(tmp_path, when):
    net, every, last = recurrent()
    x = last if when is LAST else every
    head(net, x, 4, "a", function="Softmax")
    head(net, x, 6, "b")
    network = imported(net, tmp_path)
    assert [layer.units for layer in network.layers] == [H, 10]
    assert slices(network) == [("a", 0, 4, "softmax"), ("b", 4, 6, "none")]
    assert network.last_step_only is (when is LAST) and network.final is Final.NONE
    assert network.layers[-1].last_only is (when is LAST)
    assert any("words 0 to 3 are 'a'" in note and "4 to 9 are 'b'" in note
               for note in network.notes)


def test_every_function_behind_a_head(tmp_path):
    net, _, last = recurrent("LSTM")
    head(net, last, 3, "classes", function="ArgMax", axis=-1)
    head(net, last, 2, "share", function="Sigmoid")
    head(net, last, 1, "value")
    head(net, last, 5, "log", function="LogSoftmax")
    network = imported(net, tmp_path)
    assert slices(network) == [("classes", 0, 3, "argmax"), ("share", 3, 2, "sigmoid"),
                               ("value", 5, 1, "none"), ("log", 6, 5, "log_softmax")]
    assert len(network.layers) == 2


def test_one_layer_under_two_names(tmp_path):
    """Logits and their softmax are the same words."""
    net = build.torch_legacy(layers=1)
    net.op("Softmax", "logits", outputs=["p"])
    net.output("p")
    network = imported(net, tmp_path)
    assert slices(network) == [("logits", 0, 2, "none"), ("p", 0, 2, "softmax")]
    assert len(network.layers) == 2


def test_heads_of_different_depth(tmp_path):
    """A policy beside a value behind a layer of its own: both are copied, in one format."""
    net, _, last = recurrent()
    head(net, last, 4, "policy", function="Softmax")
    hidden = net.op("Relu", net.op("MatMul", last, net.weight(H, 5)))
    head(net, hidden, 1, "value", width=5)
    network = imported(net, tmp_path)
    assert [layer.units for layer in network.layers] == [H, 4, 5, 1, 5]
    assert np.array_equal(network.layers[-1].w, np.eye(5)) and network.layers[-1].last_only
    assert network.layers[-1].reads == (1, 3)


def test_a_hidden_state_beside_a_linear_head(tmp_path):
    """The features that a head reads are a result too: they are read as they are."""
    net, every, _ = recurrent("LSTM")
    net.op("Identity", every, outputs=["features"])
    net.output("features")
    head(net, every, 2, "logits")
    network = imported(net, tmp_path)
    assert [layer.units for layer in network.layers] == [H, H + 2]
    assert np.array_equal(network.layers[-1].w[:H], np.eye(H))


def test_a_bounded_head_beside_a_linear_one(tmp_path):
    net, every, _ = recurrent()
    head(net, every, 2, "gate", function="Tanh")
    head(net, every, 3, "y")
    network = imported(net, tmp_path)
    read = {str(network.layers[k].activation) for k in network.layers[-1].reads}
    assert read == {"tanh", "identity"} and len(network.layers) == 4


@pytest.mark.parametrize("names", [("steps", "end"), ("end", "steps")])
def test_every_step_and_the_last_one(tmp_path, names):
    """A head of the last step is computed in every step; the host takes the last."""
    net, every, last = recurrent()
    for name in names:
        head(net, every if name == "steps" else last, 2 + len(name), name)
    network = imported(net, tmp_path)
    assert not network.last_step_only and not network.layers[-1].last_only
    assert len(network.layers) == 2
    axes = {b.name: b.axes for b in network.outputs}
    assert "time" in axes["steps"] and "time" not in axes["end"]
    assert any("'end'" in note and "last step" in note for note in network.notes)


def test_several_layers_of_the_last_step_become_layers_of_every_step(tmp_path):
    net, every, last = recurrent()
    head(net, every, 2, "steps")
    head(net, net.op("Tanh", net.op("MatMul", last, net.weight(H, 4))), 3, "end", width=4)
    network = imported(net, tmp_path)
    assert not any(layer.last_only for layer in network.layers)


@pytest.mark.parametrize("spelling", ["final", "last"])
def test_both_directions(tmp_path, spelling):
    net, y, h, *_ = bidirectional("LSTM")
    pair = net.op("Reshape", net.op("Transpose", h, perm=[1, 0, 2]), net.ints(1, -1)) \
        if spelling == "final" else net.op("Gather", concat(net, y), net.const(-1, np.int64))
    head(net, pair, 2, "a", width=2 * H)
    head(net, pair, 3, "b", width=2 * H, function="Softmax")
    network = imported(net, tmp_path)
    assert len(network.layers) == 3 and network.layers[-1].reads_final is (spelling == "final")


def test_every_step_of_both_directions(tmp_path):
    net, y, *_ = bidirectional("GRU")
    both = concat(net, y)
    head(net, both, 2, "a", width=2 * H)
    hidden = net.op("Relu", net.op("MatMul", both, net.weight(2 * H, 4)))
    head(net, hidden, 3, "b", width=4)
    imported(net, tmp_path)


def test_the_whole_sequence_and_every_step_is_refused(tmp_path):
    """The last state of a reverse layer has seen everything: it cannot be made step by step."""
    net, y, h, *_ = bidirectional("GRU")
    head(net, concat(net, y), 2, "steps", width=2 * H)
    pair = net.op("Reshape", net.op("Transpose", h, perm=[1, 0, 2]), net.ints(1, -1))
    head(net, pair, 3, "whole", width=2 * H)
    assert "graph output 'whole': is of the whole sequence" in refused(net, tmp_path)


@pytest.mark.parametrize("dims", [None, ["T", "N", I]])
def test_with_last_states(tmp_path, dims):
    """Two heads, and states of both layers, of which the lower one is no head's."""
    net = Net()
    y, hn, cn = net.cell("LSTM", net.input("x", dims or [T, 1, I]), I, H)
    y, upper = net.cell("GRU", net.op("Squeeze", y, net.ints(1)), H, 4)
    flat = net.op("Squeeze", y, net.ints(1))
    head(net, flat, 2, "a", width=4)
    head(net, flat, 3, "b", width=4)
    for name, tensor in (("hn", hn), ("cn", cn), ("upper", upper)):
        net.op("Identity", tensor, outputs=[name])
        net.output(name)
    network = imported(net, tmp_path)
    assert {b.name: (b.kind, b.layers) for b in network.outputs if b.kind != "y"} == {
        "hn": ("h", (0,)), "cn": ("c", (0,)), "upper": ("h", (1,))}
    assert slices(network) == [("a", 0, 2, "none"), ("b", 2, 3, "none")]


def test_the_state_of_a_branch_that_no_result_needs(tmp_path):
    net = Net()
    x = net.input("x", [T, 1, I])
    _, h = net.cell("GRU", x, I, H)
    _, other = net.cell("GRU", x, I, 2)
    head(net, net.op("Squeeze", h, net.ints(0)), 4, "a")
    net.op("Identity", other, outputs=["state"])
    net.output("state")
    network = imported(net, tmp_path)
    assert slices(network) == [("a", 0, 4, "none"), ("state", 4, 2, "none")]


def test_sequences_of_several_lengths(tmp_path):
    net = Net()
    x, lengths = net.input("x", [T, 1, I]), net.input("lengths", [1], TensorProto.INT32)
    y, h = net.cell("GRU", x, I, H, lengths=lengths)
    head(net, net.op("Squeeze", y, net.ints(1)), 2, "steps")
    head(net, net.op("Squeeze", h, net.ints(0)), 3, "end")
    network = imported(net, tmp_path, lengths=np.array([6, 2, 4]))
    assert network.lengths is not None


def test_an_embedding(tmp_path):
    net = Net()
    ids = net.input("ids", [1, T], TensorProto.INT64)
    x = net.op("Transpose", net.op("Gather", net.weight(9, I), ids), perm=[1, 0, 2])
    y = net.op("Squeeze", net.cell("RNN", x, I, H)[0], net.ints(1))
    head(net, y, 4, "tags")
    head(net, y, 1, "score")
    imported(net, tmp_path, tokens=9)


def test_rows_are_the_heads_own(tmp_path):
    """The joined layer holds each head's matrix and bias unchanged."""
    net, _, last = recurrent()
    head(net, last, 2, "a")
    head(net, last, 3, "b")
    network = imported(net, tmp_path)
    weights = [np.asarray(t.float_data or np.frombuffer(t.raw_data, np.float32)).reshape(t.dims)
               for t in net.inits if list(t.dims) in ([H, 2], [H, 3])]
    assert np.array_equal(network.layers[-1].w, np.concatenate(weights, axis=1).T)
