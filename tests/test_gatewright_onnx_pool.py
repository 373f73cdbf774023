"""Means and maxima over the steps from ONNX files, in exporters' spellings, against onnxruntime."""

import numpy as np
import pytest
from onnx_models import Net, refused
from test_gatewright_onnx_reverse import H, I, T, concat, dense, imported

from golden.network import Cell

MEAN, MAX = Cell.MEAN, Cell.MAX


def gru(*, batch_first=False, opset=17, direction="forward"):
    net = Net(opset=opset)
    x = net.input("x", [1, T, I] if batch_first else [T, 1, I])
    x = net.op("Transpose", x, perm=[1, 0, 2]) if batch_first else x
    y = net.cell("GRU", x, I, H, direction=direction, linear_before_reset=1)[0]
    y = concat(net, y) if direction == "bidirectional" else net.op("Squeeze", y, net.ints(1))
    return net, net.op("Transpose", y, perm=[1, 0, 2]) if batch_first else y


@pytest.mark.parametrize(("op", "cell"), [("ReduceMean", MEAN), ("ReduceMax", MAX)])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("opset", [13, 18])
def test_over_the_steps(tmp_path, op, cell, batch_first, keepdims, opset):
    net, y = gru(batch_first=batch_first, opset=opset)
    axis = 1 if batch_first else 0
    if opset < 18:
        pooled = net.op(op, y, axes=[axis], keepdims=keepdims)
    else:
        pooled = net.op(op, y, net.ints(axis), keepdims=keepdims)
    network = imported(dense(net, pooled, H), tmp_path)
    assert [layer.cell for layer in network.layers] == [Cell.GRU, cell, Cell.LINEAR]
    assert [layer.last_only for layer in network.layers] == [False, True, True]


@pytest.mark.parametrize(("op", "cell"), [("GlobalAveragePool", MEAN), ("GlobalMaxPool", MAX)])
def test_global_pools(tmp_path, op, cell):
    """PyTorch's adaptive pools, over (batch, channel, step)."""
    net, y = gru(batch_first=True)
    pooled = net.op(op, net.op("Transpose", y, perm=[0, 2, 1]))
    network = imported(dense(net, net.op("Reshape", pooled, net.ints(1, -1)), H), tmp_path)
    assert network.layers[1].cell is cell


def test_both_directions(tmp_path):
    """One pool for each direction; the layer behind reads both."""
    net, y = gru(direction="bidirectional")
    network = imported(dense(net, net.op("ReduceMean", y, axes=[0], keepdims=0), 2 * H), tmp_path)
    assert [layer.reads for layer in network.layers][2:] == [(0,), (1,), (2, 3)]


def test_mean_and_maximum_and_last_step_side_by_side(tmp_path):
    net, y = gru()
    parts = [net.op(op, y, axes=[0], keepdims=0) for op in ("ReduceMean", "ReduceMax")]
    parts.append(net.op("Gather", y, net.const(-1, np.int64)))
    network = imported(dense(net, net.op("Concat", *parts, axis=1), 3 * H), tmp_path)
    assert network.layers[-1].inputs == 3 * H


@pytest.mark.parametrize("factor", [2.0, -0.5])
@pytest.mark.parametrize("op", ["ReduceMean", "ReduceMax"])
def test_scaled_before(tmp_path, factor, op):
    net, y = gru()
    y = net.op("Add", net.op("Mul", y, net.const(factor, np.float32)), net.weight(H))
    imported(dense(net, net.op(op, y, axes=[0], keepdims=0), H), tmp_path)


def test_of_a_dense_layer(tmp_path):
    """The layer below the pool keeps all its steps, although only one result leaves."""
    net, y = gru()
    y = net.op("Relu", net.op("MatMul", y, net.weight(H, 4)))
    network = imported(dense(net, net.op("ReduceMax", y, axes=[0], keepdims=0), 4), tmp_path)
    assert [layer.last_only for layer in network.layers] == [False, False, True, True]


def test_the_mean_is_the_result(tmp_path):
    net, y = gru()
    net.op("ReduceMean", y, axes=[0], keepdims=0, outputs=["out"])
    net.output("out")
    network = imported(net, tmp_path)
    assert network.layers[-1].cell is MEAN and network.last_step_only


@pytest.mark.parametrize(("axes", "said"), [
    ([1, 2], "not over the steps"), ([0, 2], "over several axes"), ([7], "ReduceMean")])
def test_other_axes_are_refused(tmp_path, axes, said):
    net, y = gru()
    net.op("ReduceMean", y, axes=axes, keepdims=1, outputs=["out"])
    net.output("out")
    assert said in refused(net, tmp_path)


def test_of_the_input_is_refused(tmp_path):
    net = Net()
    x = net.input("x", [T, 1, I])
    net.cell("GRU", x, I, H)
    mean = net.op("ReduceMean", x, axes=[0], keepdims=0)
    assert "not over the steps of a layer" in refused(dense(net, mean, I), tmp_path)
