"""Files that take several sequences at once: the core runs them one after another.

B sequences, T steps, I inputs, H units.
"""

import numpy as np
import onnx_models as build
import pytest

from gatewright.data import load_batch, load_float_outputs
from gatewright.errors import DataRefused
from gatewright.layout import single
from gatewright.onnx_check import check_against_onnx, float_outputs
from gatewright.onnx_import import import_onnx
from golden.reference import Batch

B, T, I, H = 3, 5, 4, 2


def of_batch(kind="LSTM", *, layout=0, states=False, head="", dims=None, outputs=("Y", "Y_h")):
    """One node for three sequences; its states are graph inputs or not."""
    net = build.Net(opset=14 if layout else 17)
    x = net.input("x", dims or ([B, T, I] if layout else [T, B, I]))
    shape = [B, 1, H] if layout else [1, B, H]
    h = net.input("h0", shape) if states else net.const(np.zeros(shape), np.float32)
    net.cell(kind, x, I, H, h=h, **({"layout": 1} if layout else {}))
    net.nodes[-1].output[:] = ["Y", "Y_h", "Y_c"][:len(net.nodes[-1].output)]
    if head:
        flat = net.op("Reshape", "Y", net.ints(*{
            "triple": (T, B, H), "rows": (T * B, H), "wild": (T, B, -1)}[head]))
        net.op("MatMul", flat, net.weight(H, 2), outputs=["out"])
        net.output("out", [T * B, 2] if head == "rows" else [T, B, 2])
        return net
    whole = {"Y": [B, T, 1, H] if layout else [T, 1, B, H], "Y_h": shape, "Y_c": shape}
    for name in outputs:
        net.output(name, whole[name])
    return net


def checked(net, path):
    network = import_onnx(net.save(path / "net.onnx"))
    rng = np.random.default_rng(2)
    states = {k: rng.normal(size=(7, H)) for s in network.state_inputs for k in s.layers}
    batch = Batch(x=rng.normal(size=(7, T, I)), h0=states)
    assert check_against_onnx(network, path / "net.onnx", batch) < 1e-5
    return network


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("states", [False, True], ids=["zero", "given"])
@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_three_sequences_at_once(tmp_path, kind, states, layout):
    network = checked(of_batch(kind, states=states, layout=layout), tmp_path)
    time_first = ("time", "batch", "feature")
    assert network.input.axes == (("batch", "time", "feature") if layout else time_first)
    assert network.input.shape == ((B, T, I) if layout else (T, B, I))
    y, y_h = network.outputs
    assert y.axes == (("batch", "time", "one", "feature") if layout
                      else ("time", "one", "batch", "feature"))
    assert y_h.shape == ((B, 1, H) if layout else (1, B, H))
    assert [s.shape for s in network.state_inputs] == ([y_h.shape] if states else [])
    assert "The file runs 3 sequences at once" in network.notes[0]
    assert not any("SUSPICIOUS" in note for note in network.notes)


@pytest.mark.parametrize("head", ["triple", "wild"])
def test_reshapes_with_the_batch_in_them(tmp_path, head):
    network = checked(of_batch("GRU", head=head), tmp_path)
    assert network.outputs[0].axes == ("time", "batch", "feature")


def test_a_result_that_joins_batch_and_time(tmp_path):
    text = build.refused(of_batch("GRU", head="rows"), tmp_path)
    assert "graph output 'out'" in text and "sequences of the batch apart" in text


def test_exported_with_a_batch(tmp_path):
    """PyTorch's way: the zero state by Expand of a shape, Squeeze, Gather, Gemm."""
    net = build.torch_legacy()                 # of 3 units
    net.inputs.clear()
    net.input("x", [B, T, I])
    net.outputs.clear()
    net.output("logits", [B, 2])
    network = checked(net, tmp_path)
    assert network.outputs[0].axes == ("batch", "feature") and network.last_step_only


def test_square_shapes_are_told_apart(tmp_path):
    net = build.Net()
    net.cell("GRU", net.input("x", [3, 3, 3]), 3, 3)
    net.nodes[-1].output[:] = ["Y", ""]
    net.output("Y", [3, 1, 3, 3])
    network = import_onnx(net.save(tmp_path / "net.onnx"))
    assert network.input.axes == ("time", "batch", "feature")


def test_outputs_without_a_declared_shape(tmp_path):
    net = of_batch(layout=1)
    net.outputs.clear()
    net.output("Y")
    assert checked(net, tmp_path).outputs[0].axes == ("batch", "time", "one", "feature")


def test_one_step_of_many_sequences_is_suspicious(tmp_path):
    network = import_onnx(of_batch(dims=[1, B, I], outputs=("Y_h",)).save(tmp_path / "net.onnx"))
    assert any("SUSPICIOUS: each of them is one step long. If 3" in note for note in network.notes)


def test_constant_states_must_be_alike(tmp_path):
    net = build.Net()
    x = net.input("x", [T, B, I])
    net.cell("GRU", x, I, H, h=net.const(np.arange(B * H).reshape(1, B, H), np.float32))
    net.output(net.nodes[-1].output[1], [1, B, H])
    assert "initial_h 'const_0': differs between the 3 sequences" in build.refused(net, tmp_path)


def test_data_in_the_graphs_own_layout(tmp_path):
    network = import_onnx(of_batch(states=True).save(tmp_path / "net.onnx"))
    x = np.random.default_rng(3).normal(size=(2, T, B, I))
    h = np.random.default_rng(4).normal(size=(2, 1, B, H))
    np.savez(tmp_path / "all.npz", x=x, h0=h)
    batch = load_batch(network, tmp_path / "all.npz")
    np.testing.assert_array_equal(batch.x[4], x[1, :, 1])
    np.testing.assert_array_equal(batch.h0[0][4], h[1, 0, 1])
    assert len(batch) == 6 and len(load_batch(network, tmp_path / "all.npz", limit=2)) == 2
    np.savez(tmp_path / "one.npz", x=x[0], h0=h[0])             # one run of the graph
    np.testing.assert_array_equal(load_batch(network, tmp_path / "one.npz").x, batch.x[:3])
    np.savez(tmp_path / "plain.npz", x=batch.x, h0=batch.h0[0])  # sequences alone
    np.testing.assert_array_equal(load_batch(network, tmp_path / "plain.npz").x, batch.x)


def test_recorded_outputs(tmp_path):
    network = import_onnx(of_batch().save(tmp_path / "net.onnx"))
    batch = Batch(x=np.random.default_rng(5).normal(size=(6, T, I)))
    ours = float_outputs(network, batch)
    joined = {"Y": np.moveaxis(ours["Y"].reshape(2, B, T, 1, H), 1, 3),
              "Y_h": np.moveaxis(ours["Y_h"].reshape(2, B, 1, H), 1, 2)}
    np.savez(tmp_path / "out.npz", **joined)
    for n in (6, 4):
        found = load_float_outputs(network, tmp_path / "out.npz", n)
        for name, array in ours.items():
            np.testing.assert_array_equal(found[name], array[:n])


def test_a_shape_that_could_mean_two_things(tmp_path):
    """An open time axis, and as many sequences as steps."""
    network = import_onnx(of_batch(dims=["T", B, I], outputs=("Y_h",)).save(tmp_path / "net.onnx"))
    with pytest.raises(DataRefused, match="give it a first axis: .n, time=any, batch=1 or 3, fea"):
        single(np.zeros((T, B, I)), network.input, "'x.npy'")
