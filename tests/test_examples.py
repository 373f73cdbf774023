"""The bundled examples: files, shapes, accuracy and origin are what their cards say."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NAMES = ["digits_lstm", "digits_gru", "digits_rnn"]
FLOORS = {"digits_lstm": 0.97, "digits_gru": 0.96, "digits_rnn": 0.95}
ARRAYS = {
    "calib_inputs.npy": ((128, 1, 8, 8), np.float32),
    "inputs.npy": ((450, 1, 8, 8), np.float32),
    "labels.npy": ((450,), np.int64),
    "float_outputs.npy": ((450, 1, 10), np.float32),
}


def array(name, file):
    return np.load(EXAMPLES / name / file, allow_pickle=False)


def card(name):
    return json.loads((EXAMPLES / name / "card.json").read_text())


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def model(name):
    return onnx.load(EXAMPLES / name / "model.onnx", load_external_data=False)


def test_folder_holds_exactly_its_files(name):
    found = {path.name for path in (EXAMPLES / name).iterdir()}
    assert found == {"model.onnx", "card.json", *ARRAYS}


@pytest.mark.parametrize("file", ARRAYS)
def test_array_shape_and_dtype(name, file):
    values = array(name, file)
    assert (values.shape, values.dtype) == (ARRAYS[file][0], np.dtype(ARRAYS[file][1]))


@pytest.mark.parametrize("file", ["calib_inputs.npy", "inputs.npy"])
def test_pixels_are_sixteenths(name, file):
    codes = array(name, file).astype(np.float64) * 16
    assert np.array_equal(codes, np.round(codes))
    assert (codes.min(), codes.max()) == (0, 16)


def test_labels_cover_every_digit(name):
    assert sorted(set(array(name, "labels.npy").tolist())) == list(range(10))


def test_calibration_is_not_test_data(name):
    tested = {picture.tobytes() for picture in array(name, "inputs.npy")}
    calibration = [picture.tobytes() for picture in array(name, "calib_inputs.npy")]
    assert len(tested) == 450 and not tested.intersection(calibration)


def test_accuracy_is_the_cards(name):
    outputs, labels = array(name, "float_outputs.npy"), array(name, "labels.npy")
    facts = card(name)["float_accuracy"]
    reached = float(np.mean(outputs[:, 0].argmax(axis=1) == labels))
    assert facts["n"] == len(labels)
    assert round(reached, 5) == facts["value"]
    assert reached >= FLOORS[name]
    majority = np.bincount(labels).max() / len(labels)
    assert round(float(majority), 5) == facts["majority_class"]


def test_onnxruntime_gives_the_stored_outputs(name):
    session = onnxruntime.InferenceSession(
        str(EXAMPLES / name / "model.onnx"), providers=["CPUExecutionProvider"])
    outputs = np.stack([session.run(["logits"], {"rows": rows})[0]
                        for rows in array(name, "inputs.npy")])
    stored = array(name, "float_outputs.npy")
    # Equal up to the order of float32 additions, which differs between processors.
    np.testing.assert_allclose(outputs, stored, rtol=0, atol=1e-4)
    assert outputs.std() > 0.5
    # A pair of logits closer than that tolerance may change places; no other pair may.
    first, second = np.sort(stored[:, 0], axis=1)[:, :-3:-1].T
    clear = first - second > 2e-4
    assert clear.sum() >= 445
    assert np.array_equal(outputs[clear, 0].argmax(1), stored[clear, 0].argmax(1))


def test_graph_is_what_the_card_says(name, model):
    onnx.checker.check_model(model, full_check=True)
    facts = card(name)
    cells = [node for node in model.graph.node if node.op_type in ("LSTM", "GRU", "RNN")]
    sizes = [attribute.i for node in cells for attribute in node.attribute
             if attribute.name == "hidden_size"]
    assert {node.op_type for node in cells} == {facts["cell"]}
    assert (sizes, len(cells)) == (facts["H"], facts["layers"])
    assert [v.name for v in model.graph.input] == ["rows"]
    assert [v.name for v in model.graph.output] == ["logits"]
    for value, shape in ((model.graph.input[0], [1, 8, 8]), (model.graph.output[0], [1, 10])):
        assert [axis.dim_value for axis in value.type.tensor_type.shape.dim] == shape
    assert model.opset_import[0].version == facts["onnx"]["opset"]


def test_file_is_the_one_the_card_describes(name):
    data = (EXAMPLES / name / "model.onnx").read_bytes()
    assert hashlib.sha256(data).hexdigest() == card(name)["onnx"]["sha256"]


def test_model_holds_no_trace_of_the_machine(name, model):
    graph = model.graph
    parts = [model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output,
             *graph.value_info]
    assert not model.functions
    assert not any(part.doc_string or part.metadata_props for part in parts)
    data = model.SerializeToString()
    for trace in (b".py", b"site-packages", b"/home/", b"/usr/", b"/tmp/", b"C:\\"):
        assert trace not in data


def test_weights_are_inside_and_finite(model):
    tensors = [*model.graph.initializer,
               *(a.t for node in model.graph.node for a in node.attribute if a.HasField("t"))]
    assert tensors
    for tensor in tensors:
        assert tensor.data_location != onnx.TensorProto.EXTERNAL
        assert np.isfinite(numpy_helper.to_array(tensor)).all()


def test_rnn_fits_the_smallest_device():
    facts = card("digits_rnn")
    units, = facts["H"]
    assert units * (facts["I"] + units + facts["classes"]) <= 3000


@pytest.mark.parametrize("word", ["CC BY 4.0", "UCI", "scikit-learn", "BSD-3-Clause"])
def test_licence_is_stated(name, word):
    assert word in card(name)["licence"]
    assert word in (EXAMPLES / "README.md").read_text()


def test_card_tells_how_to_regenerate(name):
    training = card(name)["training"]
    assert training["regenerate"] == (
        f"python examples/train_digits.py {name.removeprefix('digits_')} "
        f"--seed {training['seed']} --split-seed {training['split_seed']}")
    assert (EXAMPLES / "train_digits.py").is_file()


def test_readme_figures_are_the_cards(name):
    facts = card(name)
    row, = (line for line in (EXAMPLES / "README.md").read_text().splitlines()
            if line.startswith(f"| `{name}` |"))
    assert f"| {facts['onnx']['parameters']} |" in row
    assert f"| {100 * facts['float_accuracy']['value']:.2f} % |" in row
    assert f"opset {facts['onnx']['opset']}," in row


def test_examples_are_small():
    """Equal files count once: Git stores them once, and the three share their pictures."""
    files = [path for name in NAMES for path in (EXAMPLES / name).iterdir()]
    unique = {path.read_bytes() for path in files}
    assert len(files) == 18
    assert sum(map(len, unique)) < 400_000
