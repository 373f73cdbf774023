"""Keras's own files give the numbers that Keras itself computed, in every cell and spelling."""

import io
import json
import zipfile

import h5py
import numpy as np
import onnx
import onnxruntime
import pytest
from keras_models import FIXTURES, changed, layer, weight

from gatewright.doors import import_model, onnx_form
from gatewright.onnx_check import float_outputs
from golden.network import Activation, Cell, Final
from golden.reference import Batch, run_float


def both(name: str, cell: Cell, units: int) -> list:
    """Both directions of a layer."""
    return [(name, cell, units), (f"{name}_reverse", cell, units)]


# What the engine computes, by the layers that must come out.
IMPORTED = {
    "sequential": [("lstm", Cell.LSTM, 4), ("lstm_1", Cell.LSTM, 3), ("dense", Cell.LINEAR, 2)],
    "functional": [("lstm_b", Cell.LSTM, 4), ("lstm_a", Cell.LSTM, 4), ("head", Cell.LINEAR, 3)],
    "gru": [("gru", Cell.GRU, 4), ("gru_1", Cell.GRU_RESET_BEFORE, 3), ("dense", Cell.LINEAR, 3),
            ("gru_2", Cell.GRU, 3)],
    "rnn": [("simple_rnn", Cell.RNN, 4), ("simple_rnn_1", Cell.RNN, 8), ("dense", Cell.LINEAR, 2),
            ("dense_1", Cell.LINEAR, 1)],
    "concat": [*both("bidirectional", Cell.LSTM, 3),
               *both("bidirectional_1", Cell.GRU_RESET_BEFORE, 2), ("dense", Cell.LINEAR, 2)],
    "merges": [*both("bidirectional", Cell.LSTM, 3), *both("bidirectional_1", Cell.GRU, 3),
               ("bidirectional_1_merge", Cell.PRODUCT, 3), *both("bidirectional_2", Cell.RNN, 3),
               *both("bidirectional_3", Cell.GRU, 2), ("bidirectional_3_merge", Cell.LINEAR, 2)],
    "backwards": [("gru", Cell.GRU, 3), ("dense", Cell.LINEAR, 2)],
    "mean": [("lstm", Cell.LSTM, 3), ("global_average_pooling1d", Cell.MEAN, 3),
             ("dense", Cell.LINEAR, 2)],
    "max": [("lstm", Cell.LSTM, 3), ("global_max_pooling1d", Cell.MAX, 3),
            ("dense", Cell.LINEAR, 2)],
    "functions": [("lstm", Cell.LSTM, 3), ("gru", Cell.GRU, 3), ("simple_rnn", Cell.RNN, 3),
                  ("dense", Cell.LINEAR, 3), ("dense_1", Cell.LINEAR, 3)],
}
IMPORTED |= dict.fromkeys(("keras2", "keras34"), IMPORTED["functional"])


def recorded(name: str) -> tuple:
    with np.load(FIXTURES / f"keras_{name}.npz") as file:
        return file["x"], file["y"]


@pytest.mark.parametrize("name", IMPORTED)
def test_network(name):
    """Float reference of the import against Keras, to float32's precision."""
    network = import_model(FIXTURES / f"{name}.keras")
    assert [(one.name, one.cell, one.units) for one in network.layers] == IMPORTED[name]
    x, y = recorded(name)
    ours, = float_outputs(network, Batch(x=x if x.dtype.kind == "i" else x.astype(float))).values()
    assert np.abs(ours.reshape(y.shape) - y).max() < 1e-6
    assert network.name == name and network.source.startswith(f"{name}.keras, Keras ")


@pytest.mark.parametrize("name", IMPORTED)
def test_lowered(name):
    """The ONNX form of every layer, run by onnxruntime, against Keras."""
    x, y = recorded(name)
    with onnx_form(FIXTURES / f"{name}.keras") as file:
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        ours, = session.run(None, {"input": x.astype(np.int64) if x.dtype.kind == "i" else x})
    assert ours.shape == y.shape and np.abs(ours - y).max() < 1e-6


def test_results_differ():
    """The fixtures are no constants: what the sequences do to them is a thousand tolerances."""
    for name in IMPORTED:
        _, y = recorded(name)
        assert np.ptp(y, axis=0).max() > 1e-3, name


def test_lengths_and_inputs():
    """A fixed length stays fixed, an open one open; token ids are integers."""
    assert import_model(FIXTURES / "sequential.keras").input.shape == (None, 7, 5)
    assert import_model(FIXTURES / "gru.keras").input.shape == (None, None, 5)
    network = import_model(FIXTURES / "functional.keras")
    assert network.input.dtype == "int64" and network.embedding.shape == (11, 6)


def test_last_step_and_softmax():
    network = import_model(FIXTURES / "sequential.keras")
    assert network.last_step_only and network.final is Final.SOFTMAX
    assert [one.last_only for one in network.layers] == [False, False, True]
    assert import_model(FIXTURES / "rnn.keras").layers[1].activation is Activation.RELU
    assert not import_model(FIXTURES / "gru.keras").last_step_only


def test_directions():
    """Which layers go backwards, and whose results a sum or an average takes in."""
    assert [one.reverse for one in import_model(FIXTURES / "backwards.keras").layers] == [
        True, False]
    network = import_model(FIXTURES / "merges.keras")
    assert [one.reverse for one in network.layers] == [False, True] * 2 + [False] + [
        False, True] * 2 + [False]
    assert [one.reads for one in network.layers] == [
        (), (-1,), (0, 1), (0, 1), (2, 3), (), (4,), (5, 6), (5, 6), (7, 8)]
    assert import_model(FIXTURES / "concat.keras").layers[-1].reads_final


def test_weights_by_name_not_place(tmp_path):
    """Groups of one class change places: the names that are written beside them count."""
    def swap(file):
        file.move("layers/lstm", "layers/kept")
        file.move("layers/lstm_1", "layers/lstm")
        file.move("layers/kept", "layers/lstm_1")

    x, y = recorded("functional")
    network = import_model(changed(tmp_path, "functional", weights=swap))
    ours, = float_outputs(network, Batch(x=x)).values()
    assert np.abs(ours.reshape(y.shape) - y).max() < 1e-6


def test_version_of_hard_sigmoid(tmp_path):
    """Keras 2 cuts x/5 + 1/2, Keras 3 x/6 + 1/2."""

    def slopes(path):
        with onnx_form(path) as file:
            model = onnx.load(file)
        return [a.f for node in model.graph.node if node.op_type == "HardSigmoid"
                for a in node.attribute if a.name == "alpha"]

    def older(parts):
        parts["metadata.json"] = json.dumps({"keras_version": "2.15.0"}).encode()

    assert slopes(FIXTURES / "functions.keras") == pytest.approx([1 / 6])
    assert slopes(changed(tmp_path, "functions", members=older)) == pytest.approx([0.2])


def test_stateful_is_told(tmp_path):
    def stateful(model):
        layer(model, "lstm_1")["config"]["stateful"] = True
    network = import_model(changed(tmp_path, config=stateful))
    assert any("stateful" in note and "'lstm_1'" in note for note in network.notes)


def test_hash_is_of_the_file(tmp_path):
    """Another weight is another model; another place of the file is the same."""
    first = import_model(FIXTURES / "sequential.keras").model_sha256
    copy = tmp_path / "other.keras"
    copy.write_bytes((FIXTURES / "sequential.keras").read_bytes())
    assert import_model(copy).model_sha256 == first and len(first) == 64
    moved = changed(tmp_path, weights=weight("layers/dense/vars/1", np.ones(2, np.float32)))
    assert import_model(moved).model_sha256 != first


def test_content_decides(tmp_path):
    """A .keras file under another name is still one."""
    path = tmp_path / "model.onnx"
    path.write_bytes((FIXTURES / "rnn.keras").read_bytes())
    assert [one.cell for one in import_model(path).layers][0] is Cell.RNN


def test_fixtures_are_keras_own():
    """Files as Keras wrote them: three versions, one with the layers' names beside the weights."""
    found = {}
    for path in FIXTURES.glob("*.keras"):
        with zipfile.ZipFile(path) as file:
            found[path.stem] = json.loads(file.read("metadata.json"))["keras_version"]
    assert found.keys() == set(IMPORTED)
    assert {version[:4] for version in found.values()} >= {"2.15", "3.4.", "3.15"}


def test_one_step_is_the_equations():
    """The first step of a reset-before GRU, written out in Keras's own layout."""
    with zipfile.ZipFile(FIXTURES / "gru.keras") as file:
        h5 = h5py.File(io.BytesIO(file.read("model.weights.h5")))
        kernel, _, bias = (h5[f"layers/gru_1/cell/vars/{k}"][()].astype(float) for k in range(3))
    network = import_model(FIXTURES / "gru.keras")
    x, _ = recorded("gru")
    trace = run_float(network, Batch(x=x.astype(float)))
    a = trace[0]["h"][:, 0] @ kernel + bias
    z, n = 1 / (1 + np.exp(-a[:, :3])), np.tanh(a[:, 6:])
    assert np.abs(trace[1]["h"][:, 0] - (1 - z) * n).max() < 1e-12
