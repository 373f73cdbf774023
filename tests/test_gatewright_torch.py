"""PyTorch's state dicts give the numbers that PyTorch itself computed."""

import json

import numpy as np
import onnxruntime
import pytest
from torch_models import DESCRIPTIONS, FIXTURES, case, written

from gatewright.doors import import_model, onnx_form
from gatewright.onnx_check import float_outputs
from golden.network import Activation, Cell, Final
from golden.reference import Batch


def both(name: str, cell: Cell) -> list:
    """Both directions of a layer."""
    return [(name, cell), (f"{name}_reverse", cell)]


IMPORTED = {
    "lstm": [("lstm", Cell.LSTM)], "gru": [("gru_0", Cell.GRU), ("gru_1", Cell.GRU)],
    "rnn": [("rnn_0", Cell.RNN), ("rnn_1", Cell.RNN)], "nobias": [("lstm", Cell.LSTM)],
    "relu": [("rnn", Cell.RNN), ("fc", Cell.LINEAR)], "cell": [("cell_", Cell.LSTM)],
    "deep": [("inner", Cell.LINEAR), ("lstm_0", Cell.LSTM), ("lstm_1", Cell.LSTM),
             ("gru", Cell.GRU), ("head_0", Cell.LINEAR), ("head_3", Cell.LINEAR)],
    "tagger": [("gru_0", Cell.GRU), ("gru_1", Cell.GRU), ("out", Cell.LINEAR)],
    "states": [("lstm_0", Cell.LSTM), ("lstm_1", Cell.LSTM)],
    "projection": [("rnn_0", Cell.LSTM), ("rnn_0_projection", Cell.LINEAR), ("rnn_1", Cell.LSTM),
                   ("rnn_1_projection", Cell.LINEAR), ("fc", Cell.LINEAR)],
    "bidirectional": [*both("rnn_0", Cell.GRU), *both("rnn_1", Cell.GRU), ("fc", Cell.LINEAR)],
    "ends": [*both("rnn_0", Cell.LSTM), *both("rnn_1", Cell.LSTM), ("fc", Cell.LINEAR)],
    "mean": [("rnn", Cell.LSTM), ("mean", Cell.MEAN), ("fc", Cell.LINEAR)],
    "projections": [*both("lstm_0", Cell.LSTM), ("lstm_0_projection", Cell.LINEAR),
                    *both("lstm_1", Cell.LSTM), ("lstm_1_projection", Cell.LINEAR)],
}
TOLERANCE = 1e-6                # float32's own, relative to the largest result


def model(folder, name: str):
    state, _ = case(name)
    return written(folder, state, DESCRIPTIONS[name])


def differ(ours, theirs) -> float:
    """Largest difference, relative to the largest value."""
    return float(np.abs(ours.reshape(theirs.shape) - theirs).max() / max(1, np.abs(theirs).max()))


def batch(arrays: dict) -> Batch:
    x = arrays["x"]
    states = [{k: arrays[key][k].astype(float) for k in range(2)} if key in arrays else {}
              for key in ("h0", "c0")]
    return Batch(x=x if x.dtype.kind == "i" else x.astype(float), h0=states[0], c0=states[1])


@pytest.mark.parametrize("name", IMPORTED)
def test_network(tmp_path, name):
    """Float reference of the import against PyTorch, last states included."""
    network = import_model(model(tmp_path, name))
    assert [(one.name, one.cell) for one in network.layers] == IMPORTED[name]
    _, arrays = case(name)
    ours = float_outputs(network, batch(arrays))
    y = ours.pop("output")
    assert differ(y, arrays["y"]) < TOLERANCE
    assert ours.keys() == {"hn", "cn"} & arrays.keys()
    for key, values in ours.items():       # (n, layers, 1, H) beside PyTorch's (layers, n, H)
        assert differ(values[:, :, 0].swapaxes(0, 1), arrays[key]) < TOLERANCE
    assert network.source == "net.safetensors, PyTorch state dict" and network.name == "net"


@pytest.mark.parametrize("name", IMPORTED)
def test_lowered(tmp_path, name):
    """The ONNX form of every module, run by onnxruntime, against PyTorch."""
    _, arrays = case(name)
    feeds = {"input": arrays["x"]} | {key: arrays[key] for key in ("h0", "c0") if key in arrays}
    with onnx_form(model(tmp_path, name)) as file:
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        found = session.run(None, feeds)
    wanted = [arrays[key] for key in ("y", "hn", "cn") if key in arrays]
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted):
        assert ours.shape == theirs.shape and differ(ours, theirs) < TOLERANCE


@pytest.mark.parametrize("name", IMPORTED)
def test_results_differ(name):
    """The fixtures are no constants: what the sequences do to them is a thousand tolerances."""
    assert np.ptp(case(name)[1]["y"], axis=0).max() > 1000 * TOLERANCE


def test_chunks_of_a_stream(tmp_path):
    """States handed on from piece to piece give what one piece gives."""
    network = import_model(model(tmp_path, "states"))
    x = np.random.default_rng(3).normal(size=(2, 9, 5))
    whole = float_outputs(network, Batch(x=x))
    first = float_outputs(network, Batch(x=x[:, :4]))
    h, c = ({k: first[key][:, k, 0] for k in range(2)} for key in ("hn", "cn"))
    second = float_outputs(network, Batch(x=x[:, 4:], h0=h, c0=c))
    joined = np.concatenate([first["output"], second["output"]], axis=2)
    assert np.abs(joined - whole["output"]).max() < 1e-12
    assert np.abs(second["cn"] - whole["cn"]).max() < 1e-12


def test_what_is_inferred(tmp_path):
    """Functions, heads and the token table, without a word about them in the state dict."""
    network = import_model(model(tmp_path, "deep"))
    assert network.final is Final.SOFTMAX and network.last_step_only
    assert [one.last_only for one in network.layers] == [False] * 4 + [True] * 2
    assert [one.activation for one in network.layers if one.cell is Cell.LINEAR] == [
        Activation.TANH, Activation.RELU, Activation.IDENTITY]
    tagger = import_model(model(tmp_path, "tagger"))
    assert tagger.embedding.shape == (11, 6) and tagger.input.dtype == "int64"
    assert import_model(model(tmp_path, "relu")).layers[0].activation is Activation.RELU


def test_projection_is_told(tmp_path):
    """proj_size costs more multipliers here than in PyTorch, and a note says so."""
    network = import_model(model(tmp_path, "projection"))
    assert any("'rnn' became a linear layer" in note and "4 columns, not 3" in note
               for note in network.notes)
    assert network.layers[0].r.shape == (16, 4) and network.layers[1].w.shape == (3, 4)


def test_description_in_json_and_metadata(tmp_path):
    """The same words in a JSON file, or in the .safetensors file itself."""
    state, _ = case("deep")
    plain = import_model(written(tmp_path, state, DESCRIPTIONS["deep"]))
    (tmp_path / "json").mkdir()
    path = written(tmp_path / "json", state)
    path.with_name("net.layers.json").write_text(json.dumps(DESCRIPTIONS["deep"]))
    (tmp_path / "inside").mkdir()
    inside = written(tmp_path / "inside", state,
                     metadata={"gatewright": json.dumps(DESCRIPTIONS["deep"]), "format": "pt"})
    for other in (import_model(path), import_model(inside)):
        assert [one.name for one in other.layers] == [one.name for one in plain.layers]
        assert all(np.array_equal(a.w, b.w) for a, b in zip(other.layers, plain.layers))
        assert other.model_sha256 != plain.model_sha256    # other bytes were read


def test_hash_counts_the_description(tmp_path):
    state, _ = case("relu")
    path = written(tmp_path, state, DESCRIPTIONS["relu"])
    first = import_model(path).model_sha256
    assert import_model(path).model_sha256 == first
    written(tmp_path, state, DESCRIPTIONS["relu"] | {"nonlinearity": "tanh"})
    assert import_model(path).model_sha256 != first


def test_embedding_or_linear(tmp_path):
    """A first matrix without a bias: its shape tells, or the description."""
    rng = np.random.default_rng(1)
    lstm, _ = case("lstm")
    state = {f"rnn.{key}": value for key, value in lstm.items()}
    layers = {"layers": ["first", "rnn"]}
    table = written(tmp_path, state | {"first.weight": rng.normal(size=(9, 5))}, layers)
    assert import_model(table).embedding.shape == (9, 5)
    linear = written(tmp_path, state | {"first.weight": rng.normal(size=(5, 9))}, layers)
    assert import_model(linear).embedding is None and import_model(linear).inputs == 9
    square = state | {"first.weight": rng.normal(size=(5, 5))}
    for tokens in (True, False):
        path = written(tmp_path, square, layers | {"tokens": tokens})
        assert (import_model(path).embedding is not None) is tokens


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_dtypes(tmp_path, dtype):
    """Half precision is exact; double precision is rounded to float32 once."""
    state, _ = case("lstm")
    values = {key: value.astype(dtype) for key, value in state.items()}
    network = import_model(written(tmp_path, values))
    r = values["weight_hh_l0"].astype(np.float32).astype(np.float64)
    assert np.array_equal(network.layers[0].r, r)      # i, f, g, o in both


# What torch.save writes.
def test_pt(tmp_path):
    """A state dict in PyTorch's own archive gives what it gives in .safetensors."""
    state, arrays = case("deep")
    path = tmp_path / "net.pt"
    path.write_bytes((FIXTURES / "state.pt").read_bytes())
    written(tmp_path, state, DESCRIPTIONS["deep"])
    network = import_model(path)
    y, = float_outputs(network, batch(arrays)).values()
    assert differ(y, arrays["y"]) < TOLERANCE


def test_pt_checkpoint(tmp_path):
    """The state dict among epochs and optimisers; bfloat16 is the upper half of float32."""
    state, _ = case("deep")
    path = tmp_path / "net.pth"
    path.write_bytes((FIXTURES / "checkpoint.pt").read_bytes())
    written(tmp_path, state, DESCRIPTIONS["deep"])
    for ours, theirs in ((import_model(path).layers[0].w, state["inner.weight"]),
                         (import_model(path).layers[1].r, state["lstm.weight_hh_l0"])):
        assert np.all(ours.astype(np.float32).view(np.uint32) & 0xFFFF == 0)
        assert 0 < np.abs(ours - theirs).max() < 2.0 ** -8


def test_pt_strides(tmp_path):
    """Parameters that are views with other strides, under a prefix."""
    from gatewright.door_torch_files import read_pt
    state, _ = case("deep")
    tensors, _ = read_pt((FIXTURES / "transposed.pt").read_bytes())
    assert tensors.keys() == {f"m.{key}" for key in state}
    for key, value in state.items():
        assert np.array_equal(tensors[f"m.{key}"], value.T)
