"""Reverse and bidirectional layers from ONNX files, in exporters' spellings."""

import numpy as np
import pytest
from onnx import TensorProto
from onnx_models import Net, refused

from gatewright.onnx_check import check_against_onnx
from gatewright.onnx_import import import_onnx
from golden.network import Cell
from golden.reference import Batch

CELLS = ("RNN", "GRU", "LSTM")
T, I, H = 6, 4, 3


def imported(net, tmp_path, *, tokens=0, lengths=None):
    """The network of a file, after its float reference has been held against onnxruntime."""
    path = net.save(tmp_path / "net.onnx")
    network = import_onnx(path)
    rng = np.random.default_rng(5)
    x = (rng.integers(0, tokens, (3, T)) if tokens
         else rng.normal(size=(3, T, network.inputs)))
    batch = Batch(x=x, lengths=lengths)
    for binding in network.state_inputs:
        states = batch.h0 if binding.kind == "h" else batch.c0
        for layer in binding.layers:
            states[layer] = rng.uniform(-1, 1, (3, network.layers[layer].units))
    difference = check_against_onnx(network, path, batch)
    assert difference is not None and difference < 2e-6
    return network


def bidirectional(kind, *, opset=17, batch_first=False, **attrs):
    """(net, Y, Y_h, ...) of one bidirectional node."""
    net = Net(opset=opset)
    x = net.input("x", [1, T, I] if batch_first else [T, 1, I])
    return net, *net.cell(kind, x, I, H, direction="bidirectional", **attrs)


def dense(net, name, width, units=2):
    net.op("MatMul", name, net.weight(width, units), outputs=["out"])
    net.output("out")
    return net


def concat(net, y):
    """As PyTorch writes it: (T, 2, B, H) to (T, B, 2H)."""
    return net.op("Reshape", net.op("Transpose", y, perm=[0, 2, 1, 3]), net.ints(0, 0, -1))


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("outputs", [("Y",), ("Y_h",), ("Y", "Y_h"), ("Y", "Y_h", "Y_c")])
@pytest.mark.parametrize("direction", ["reverse", "bidirectional"])
@pytest.mark.parametrize("layout", [0, 1])
def test_a_bare_node(tmp_path, kind, outputs, direction, layout):
    net = Net()
    x = net.input("x", [1, T, I] if layout else [T, 1, I])
    made = net.cell(kind, x, I, H, direction=direction, **({"layout": 1} if layout else {}))
    outputs = outputs[:len(made)]
    net.nodes[-1].output[:] = [name if name in outputs else ""
                               for name in ("Y", "Y_h", "Y_c")[:len(made)]]
    for name in outputs:
        net.output(name)
    network = imported(net, tmp_path)
    assert [layer.reverse for layer in network.layers if layer.cell is not Cell.LINEAR] == (
        [True] if direction == "reverse" else [False, True])


@pytest.mark.parametrize("kind", CELLS)
def test_every_step_into_a_dense_layer(tmp_path, kind):
    net, y, *_ = bidirectional(kind)
    network = imported(dense(net, concat(net, y), 2 * H), tmp_path)
    assert [layer.reads for layer in network.layers] == [(), (-1,), (0, 1)]
    assert [layer.reverse for layer in network.layers] == [False, True, False]


@pytest.mark.parametrize("step", [-1, 0])
def test_one_step_of_both_directions(tmp_path, step):
    """y[:, -1] holds the reverse layer's first computed state; y[:, 0] is no last state."""
    net, y, *_ = bidirectional("GRU")
    picked = net.op("Gather", concat(net, y), net.const(step, np.int64))
    if step == 0:
        assert "reads step 0 of 6 alone" in refused(dense(net, picked, 2 * H), tmp_path)
        return
    network = imported(dense(net, picked, 2 * H), tmp_path)
    assert network.layers[-1].last_only and not network.layers[-1].reads_final


@pytest.mark.parametrize("spelling", ["states", "slices", "turned"])
def test_the_last_states_side_by_side(tmp_path, spelling):
    net, y, h, *_ = bidirectional("LSTM")
    if spelling == "states":
        pair = net.op("Reshape", net.op("Transpose", h, perm=[1, 0, 2]), net.ints(1, -1))
    elif spelling == "slices":               # Keras: the last step of one, the first of the other
        forward = net.op("Gather", net.op("Gather", y, net.const(0, np.int64), axis=1),
                         net.const(-1, np.int64))
        backward = net.op("Gather", net.op("Gather", y, net.const(1, np.int64), axis=1),
                          net.const(0, np.int64))
        pair = net.op("Concat", forward, backward, axis=-1)
    else:
        pair = net.op("Concat", *(net.op("Gather", h, net.const(k, np.int64)) for k in (1, 0)),
                      axis=1)
    network = imported(dense(net, pair, 2 * H), tmp_path)
    head = network.layers[-1]
    assert head.last_only and head.reads_final and len(network.layers) == 3


@pytest.mark.parametrize("merge", ["Add", "Sub", "ave"])
@pytest.mark.parametrize("behind", [True, False])
def test_merges(tmp_path, merge, behind):
    """Sums are multiplied into the layer behind, or become one where the graph ends."""
    net, y, *_ = bidirectional("GRU")
    one, other = (net.op("Gather", y, net.const(k, np.int64), axis=1) for k in (0, 1))
    both = net.op("Add" if merge == "ave" else merge, one, other)
    if merge == "ave":
        both = net.op("Mul", both, net.const(0.5, np.float32))
    if behind:
        network = imported(dense(net, both, H), tmp_path)
        assert network.layers[-1].inputs == 2 * H
    else:
        net.op("Identity", both, outputs=["out"])
        net.output("out")
        network = imported(net, tmp_path)
        assert network.layers[-1].cell is Cell.LINEAR
    assert len(network.layers) == 3


@pytest.mark.parametrize("behind", [True, False])
def test_products(tmp_path, behind):
    """Keras's merge_mode "mul": a layer of two rows a neuron."""
    net, y, *_ = bidirectional("LSTM")
    one, other = (net.op("Gather", y, net.const(k, np.int64), axis=1) for k in (0, 1))
    both = net.op("Mul", one, other)
    if not behind:
        net.nodes[-1].output[0] = "out"
        net.output("out")
    network = imported(dense(net, both, H) if behind else net, tmp_path)
    product = network.layers[2]
    assert product.cell is Cell.PRODUCT and np.array_equal(product.w, np.eye(2 * H))
    assert len(network.layers) == 3 + behind


def test_products_of_anything(tmp_path):
    """Scales are multiplied in; a squeezed gate is spread; a square reads one layer twice."""
    net = Net()
    y = net.op("Squeeze", net.cell("GRU", net.input("x", [T, 1, I]), I, H)[0], net.ints(1))
    gate = net.op("Sigmoid", net.op("MatMul", y, net.weight(H, 1)))
    scaled = net.op("Add", net.op("Mul", y, net.const(0.5, np.float32)), net.weight(H))
    square = net.op("Mul", net.op("Mul", scaled, gate), scaled)
    network = imported(dense(net, net.op("Mul", square, square), H), tmp_path)
    assert [layer.cell for layer in network.layers].count(Cell.PRODUCT) == 3


def test_products_of_last_states(tmp_path):
    net, _, h = bidirectional("GRU")
    one, other = (net.op("Gather", h, net.const(k, np.int64)) for k in (0, 1))
    network = imported(dense(net, net.op("Mul", one, other), H), tmp_path)
    assert network.layers[2].last_only and network.layers[2].reads_final


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("end", ["every", "final"])
def test_stacks(tmp_path, kind, end):
    net, y, *_ = bidirectional(kind)
    y, h, *_ = net.cell(kind, concat(net, y), 2 * H, 2, direction="bidirectional")
    last = concat(net, y) if end == "every" else net.op(
        "Reshape", net.op("Transpose", h, perm=[1, 0, 2]), net.ints(1, -1))
    network = imported(dense(net, last, 4), tmp_path)
    assert [layer.reads for layer in network.layers] == [(), (-1,), (0, 1), (0, 1), (2, 3)]


def test_forward_above_and_reverse_alone(tmp_path):
    net, y, *_ = bidirectional("LSTM")
    y = net.op("Squeeze", net.cell("GRU", concat(net, y), 2 * H, 4)[0], net.ints(1))
    y = net.op("Squeeze", net.cell("RNN", y, 4, 2, direction="reverse")[0], net.ints(1))
    imported(dense(net, y, 2), tmp_path)


def test_functions_between(tmp_path):
    net, y, *_ = bidirectional("GRU")
    y = net.op("Relu", net.op("MatMul", net.op("Tanh", concat(net, y)), net.weight(2 * H, 5)))
    y = concat(net, net.cell("GRU", y, 5, 2, direction="bidirectional")[0])
    y = net.op("Add", net.op("Mul", y, net.weight(4)), net.weight(4))
    network = imported(dense(net, y, 4), tmp_path)
    assert [layer.cell for layer in network.layers].count(Cell.LINEAR) == 3


def test_branches_of_one_direction(tmp_path):
    net = Net()
    x = net.input("x", [T, 1, I])
    ends = [net.cell(kind, x, I, units)[0] for kind, units in (("GRU", 3), ("LSTM", 2))]
    imported(dense(net, net.op("Concat", *ends, axis=3), 5), tmp_path)


def test_a_residual_connection(tmp_path):
    net = Net()
    y = net.cell("GRU", net.input("x", [T, 1, I]), I, H)[0]
    y = net.op("Squeeze", y, net.ints(1))
    upper = net.op("Squeeze", net.cell("GRU", y, H, H)[0], net.ints(1))
    imported(dense(net, net.op("Add", y, upper), H), tmp_path)


def test_an_embedding(tmp_path):
    net = Net()
    ids = net.input("ids", [1, T], TensorProto.INT64)
    x = net.op("Transpose", net.op("Gather", net.weight(9, I), ids), perm=[1, 0, 2])
    y = net.cell("LSTM", x, I, H, direction="bidirectional")[0]
    imported(dense(net, concat(net, y), 2 * H), tmp_path, tokens=9)


@pytest.mark.parametrize("layout", [0, 1])
def test_states_in_and_out(tmp_path, layout):
    net = Net()
    x = net.input("x", [1, T, I] if layout else [T, 1, I])
    shape = [1, 2, H] if layout else [2, 1, H]
    h, c = net.input("h0", shape), net.input("c0", shape)
    y, hn, cn = net.cell("LSTM", x, I, H, h=h, c=c, direction="bidirectional",
                         **({"layout": 1} if layout else {}))
    for name, tensor in (("y", y), ("hn", hn), ("cn", cn)):
        net.op("Identity", tensor, outputs=[name])
        net.output(name)
    network = imported(net, tmp_path)
    assert [b.layers for b in network.state_inputs] == [(0, 1), (0, 1)]
    assert {b.name: b.layers for b in network.outputs} == {"y": (), "hn": (0, 1), "cn": (0, 1)}


def test_initial_states_of_each_direction(tmp_path):
    net = Net()
    x = net.input("x", [T, 1, I])
    y = net.cell("GRU", x, I, H, h=net.weight(2, 1, H), direction="bidirectional")[0]
    network = imported(dense(net, concat(net, y), 2 * H), tmp_path)
    first, second, _ = network.layers
    assert not np.array_equal(first.initial_h.value, second.initial_h.value)
