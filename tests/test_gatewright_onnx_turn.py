"""``layout`` 1 for onnxruntime; and what onnx.reference must not be asked."""

import numpy as np
import onnx_models as build
import pytest

from gatewright import onnx_check
from gatewright.errors import GatewrightError
from gatewright.onnx_import import import_onnx
from gatewright.onnx_turn import time_first
from golden.reference import Batch

pytest.importorskip("onnxruntime")


def layouts(kind="LSTM", **attrs):
    """A node with layout 1 whose states come from the graph, and another behind it."""
    net = build.Net(opset=22)
    x, h = net.input("x", ["N", 5, 4]), net.input("h0", ["N", 1, 3])
    y = net.cell(kind, x, 4, 3, h=h, layout=1, **attrs)[0]
    net.cell(kind, net.op("Squeeze", y, net.ints(2)), 3, 2, layout=1, **attrs)
    net.nodes[-1].output[0] = "Y"
    net.output("Y", ["N", 5, 1, 2])
    return net


@pytest.mark.parametrize("attrs", [{}, {"clip": 1.5}], ids=["plain", "clip"])
@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_onnxruntime_runs_layout_1(tmp_path, monkeypatch, kind, attrs):
    path = layouts(kind, **attrs).save(tmp_path / "net.onnx")
    network = import_onnx(path)
    rng = np.random.default_rng(1)
    batch = Batch(x=rng.normal(size=(3, 5, 4)), h0={0: rng.normal(size=(3, 3))})
    monkeypatch.setattr(onnx_check, "_reference_outputs", None)      # it is not needed
    assert onnx_check.check_against_onnx(network, path, batch) < 1e-5
    network.layers[-1].w[:] += 0.1
    assert onnx_check.check_against_onnx(network, path, batch) > 1e-5


def test_names_that_are_taken_and_nodes_that_stay(tmp_path):
    net = build.bare(layout=1, outputs=("Y", "Y_h"))
    net.nodes.append(build.helper.make_node("Identity", ["Y"], ["x_turned"]))
    net.output("x_turned")
    model = net.model()
    turned = time_first(model)
    names = [name for node in turned.graph.node for name in node.output if name]
    assert len(set(names)) == len(names) and "x_turned_" in names
    assert [n.op_type for n in turned.graph.node] == ["Transpose", "LSTM", "Transpose",
                                                      "Transpose", "Identity"]
    plain = build.torch_legacy().model()
    assert time_first(plain) == plain


@pytest.mark.parametrize("change", [
    lambda net: net.nodes[-1].attribute.append(build.helper.make_attribute("clip", 0.2)),
    lambda net: net.nodes[-1].attribute.append(build.helper.make_attribute(
        "activations", ["Sigmoid", "Softsign", "Tanh"])),
    lambda net: net.nodes[-1].input.append(net.const([2], np.int32))],
    ids=["clip", "activations", "lengths"])
def test_reference_is_not_asked_what_it_ignores(tmp_path, monkeypatch, change):
    """It would run the file as if there were no such thing, and a sound import would be refused."""
    net = build.bare()
    change(net)
    path = net.save(tmp_path / "net.onnx")
    network = import_onnx(path)
    batch = Batch(x=np.random.default_rng(1).normal(size=(3, 4, 4)) * 3,
                  lengths=np.array([2, 2, 2]) if network.fixed_lengths else None)
    assert onnx_check.check_against_onnx(network, path, batch) < 1e-5
    monkeypatch.setattr(onnx_check, "_session", lambda path: None)   # no onnxruntime
    assert onnx_check.check_against_onnx(network, path, batch) is None


def test_without_onnxruntime_reference_runs_the_rest(tmp_path, monkeypatch):
    def fails(*_):
        raise GatewrightError("onnxruntime", "cannot")

    path = build.bare("GRU").save(tmp_path / "net.onnx")
    network = import_onnx(path)
    monkeypatch.setattr(onnx_check, "onnxruntime_outputs", fails)
    batch = Batch(x=np.random.default_rng(1).normal(size=(3, 4, 4)))
    assert onnx_check.check_against_onnx(network, path, batch) < 1e-5


def test_what_leaves_float32_is_left_out(tmp_path):
    net = build.bare("RNN", steps=40, activations=["Relu"])
    for k, init in enumerate(net.inits):
        values = np.full(tuple(init.dims), 20.0, np.float32)
        net.inits[k] = build.numpy_helper.from_array(values, init.name)
    path = net.save(tmp_path / "net.onnx")
    network, batch = import_onnx(path), Batch(x=np.ones((2, 40, 4)))
    theirs, *_ = onnx_check.onnxruntime_outputs(network, path, batch)
    assert np.isinf(theirs["Y"]).any()
    largest = theirs["Y"][np.isfinite(theirs["Y"])].max()
    assert onnx_check.check_against_onnx(network, path, batch) < 1e-5 * largest
