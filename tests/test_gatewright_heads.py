"""A graph with several results, from its file to a proven core: every word has a name."""

import json

import numpy as np
import pytest
from commands import command
from fast_cores import prove
from onnx_models import Net
from test_gatewright_onnx_heads import H, I, T, head, recurrent

import gatewright as gw
from gatewright.data import load_float_outputs, load_labels
from gatewright.errors import DataRefused, GatewrightError
from gatewright.onnx_check import float_outputs

N = 5


@pytest.fixture
def model(tmp_path):
    """Classes behind a softmax, and a value behind a layer of its own; data and labels."""
    net, _, last = recurrent("LSTM")
    head(net, last, 4, "policy", function="Softmax")
    hidden = net.op("Relu", net.op("MatMul", last, net.weight(H, 5)))
    head(net, hidden, 1, "value", width=5)
    rng = np.random.default_rng(4)
    np.save(tmp_path / "x.npy", rng.normal(size=(N, T, I)).astype(np.float32))
    np.savez(tmp_path / "labels.npz", policy=np.arange(N) % 4, value=np.full(N, 0.25))
    return net.save(tmp_path / "actor.onnx")


def data(model):
    return ["--calibration", model.with_name("x.npy"), "--inputs", model.with_name("x.npy"),
            "--out", model.with_name("out"), "--no-synth", "--lanes", "6"]


def test_run(model):
    done = command("run", model, *data(model), "--labels", model.with_name("labels.npz"))
    assert done.status == 0, done.err
    told = " ".join(done.out.split())
    assert "words 0 to 3 are 'policy' in front of its softmax, word 4 is 'value'" in told
    assert "'policy', top-1 accuracy: float" in told and "'value', RMSE: float" in told
    out = model.with_name("out")
    golden, proven, manifest = (json.loads((out / f"{name}.json").read_text())
                                for name in ("golden", "verify", "manifest"))
    assert golden["metrics"].keys() == {"policy.top1_accuracy", "value.rmse"}
    assert 0 <= golden["top1_agreement"] <= 1
    assert proven["passed"] and proven["cycles_measured"] == proven["cycles_predicted"] > 0
    assert manifest["graph"]["heads"] == [
        {"name": "policy", "start": 0, "width": 4, "final": "softmax"},
        {"name": "value", "start": 4, "width": 1, "final": "none"}]
    assert manifest["stream"]["output_words_last_step"] == 5


def test_argmax_is_of_one_result(model):
    done = command("run", model, *data(model), "--argmax")
    assert done.status == 2
    assert "argmax: is of one result, but the graph has 'policy', 'value'" in done.err
    network = gw.import_model(model)
    quantised = gw.quantise(network, gw.load_batch(network, model.with_name("x.npy")))
    with pytest.raises(GatewrightError, match="is of one result"):
        gw.generate(quantised, lanes=4, argmax=True)


def test_labels(model):
    network = gw.import_model(model)
    found = load_labels(model.with_name("labels.npz"), 3, network)
    assert found.keys() == {"policy", "value"} and found["value"].shape == (3,)
    batch = gw.load_batch(network, model.with_name("x.npy"))
    quantised = gw.quantise(network, batch)
    alone = gw.golden(quantised, batch, found["policy"].repeat(2)[:N])
    assert [metric.output for metric in alone.metrics] == ["policy"]
    both = gw.golden(quantised, batch, {"value": np.zeros(N)})
    assert [(metric.name, metric.output) for metric in both.metrics] == [("rmse", "value")]
    with pytest.raises(DataRefused, match="are named 'other'"):
        gw.golden(quantised, batch, {"other": np.zeros(N)})


@pytest.mark.parametrize("form", ["npz", "files"])
def test_recorded_outputs(model, form):
    network = gw.import_model(model)
    ours = float_outputs(network, gw.load_batch(network, model.with_name("x.npy")))
    assert ours["policy"].shape == (N, 1, 4) and ours["value"].shape == (N, 1, 1)
    assert np.allclose(ours["policy"].sum(axis=-1), 1)
    path = model.with_name("out.npz")
    if form == "npz":
        np.savez(path, **ours)
    else:
        path = path.with_suffix(".npy")
        np.save(path, ours["policy"])
        np.save(path.with_name("out_value.npy"), ours["value"])
    read = load_float_outputs(network, path, N)
    assert read.keys() == ours.keys()
    assert all(np.array_equal(read[name], ours[name]) for name in ours)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_every_step_the_last_one_and_states(tmp_path, kind):
    """A mixture of all that a graph can return, word for word in the core."""
    net = Net()
    y, h, *c = net.cell(kind, net.input("x", ["T", 1, I]), I, H)
    head(net, net.op("Squeeze", y, net.ints(1)), 3, "tags", function="Softmax")
    head(net, net.op("Squeeze", h, net.ints(0)), 2, "end")
    for name, tensor in zip(("hn", "cn"), (h, *c)):
        net.op("Identity", tensor, outputs=[name])
        net.output(name)
    network = gw.import_model(net.save(tmp_path / "net.onnx"))
    batch = gw.load_batch(network, _saved(tmp_path / "x.npy", (4, 7, 1, I)))
    quantised = gw.quantise(network, batch)
    result = gw.golden(quantised, batch)
    assert result.y_fixed.shape == (4, 7, 5)
    prove(quantised, result, tmp_path / "core", lanes=6)


def _saved(path, shape):
    np.save(path, np.random.default_rng(1).normal(size=shape))
    return path
