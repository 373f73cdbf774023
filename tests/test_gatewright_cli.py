"""Bad input of every kind: exit code 2, one line with object, reason, remedy; nothing written."""

import io
import re

import numpy as np
import onnx
import onnx_models as build
import pytest
from commands import example, full, unchanged

from gatewright.flow import Flow


@pytest.fixture
def place(tmp_path):
    """Model and data in a folder whose name has a space; cwd of the commands."""
    return example(tmp_path / "my files")


# ---- models --------------------------------------------------------------------------------------

def _nan(path):
    model = onnx.load(path)
    weights = model.graph.initializer[0]
    values = onnx.numpy_helper.to_array(weights).copy()
    values.flat[5] = np.nan
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    return model.SerializeToString()


def _bidirectional():
    net = build.bare("GRU")
    net.nodes[-1].attribute.append(onnx.helper.make_attribute("direction", "bidirectional"))
    return net.model().SerializeToString()


def _node(kind):
    net = build.headed(lambda net, x: net.op(kind, x, name="odd one"))
    return net.model().SerializeToString()


MODELS = {
    "empty": (lambda whole: b"", "is empty"),
    "text": (lambda whole: b"hello\n" * 50, "not an ONNX file|is not|damaged"),
    "html": (lambda whole: b"<!DOCTYPE html><html>404</html>", "model.onnx': "),
    "lfs": (lambda whole: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "a git-LFS pointer, not the model itself; run `git lfs pull`"),
    "truncated": (lambda whole: whole[:len(whole) // 2], "model.onnx': "),
    "one byte short": (lambda whole: whole[:-1], "model.onnx': "),
    "node": (lambda whole: _node("Sin"), r"'odd one' \(Sin\)"),
    "bidirectional": (lambda whole: _bidirectional(),
                      r"W \('const_0'\) has the shape \(1, 9, 4\), but .* \(2, 9, 4\)"),
    "NaN": (None, "nan"),
}


@pytest.mark.parametrize("step", ["import", "quantise", "run"])
@pytest.mark.parametrize("name", MODELS)
def test_model(place, name, step):
    make, words = MODELS[name]
    path = place / "model.onnx"
    data = _nan(path) if make is None else make(path.read_bytes())
    path.write_bytes(data)
    words_of = {"import": ["import", "model.onnx"], "run": full(),
                "quantise": ["quantise", "model.onnx", "--calibration", "c.npy", "--out", "out"]}
    line = unchanged(place, *words_of[step])
    assert "'model.onnx': " in line
    assert re.search(words, line, re.IGNORECASE), line


@pytest.mark.parametrize(("model", "words"), [
    ("none.onnx", "'none.onnx': no such file; check the path"), (".", "'.': is a folder; give the"),
    ("x.npy", "'x.npy': "), ("no/such/model.onnx", "no such file"),
    ("a\n\x1b[31mb.onnx", r"'a\n\x1b[31mb.onnx': no such file"), ("[/red].onnx", "'[/red].onnx'"),
    ("x" * 300 + ".onnx", "cannot be read"),
], ids=["missing", "folder", "array", "no folder", "control characters", "markup", "long"])
def test_model_path(place, model, words):
    assert words in unchanged(place, *full(model=model))


# ---- data ----------------------------------------------------------------------------------------

def _save(array):
    return lambda path: np.save(path, array, allow_pickle=array.dtype.hasobject)


def _nan_at(*index):
    array = np.zeros((4, 8, 8), np.float32)
    array[index] = np.nan
    return array


DATA = {
    "missing": (None, "no such file"),
    "folder": (lambda path: path.mkdir(), "is not a file; give a .npy or .npz file"),
    "empty": (lambda path: path.write_bytes(b""), "'bad.npy': is empty; save it"),
    "csv": (lambda path: path.write_text("1,2,3\n4,5,6\n"), "is not a NumPy array file"),
    "pickle": (_save(np.array([{"a": 1}], dtype=object)), "holds object values, not numbers"),
    "text": (_save(np.array(["a", "b"])), "holds <U1 values, not numbers"),
    "complex": (_save(np.zeros((2, 8, 8), complex)), "holds complex128 values, not numbers"),
    "no sequence": (_save(np.zeros((0, 8, 8))), "is empty (shape (0, 8, 8)); give at least one"),
    "no step": (_save(np.zeros((3, 0, 8))), "(3, 0, 8)"),
    "one number": (_save(np.zeros(())), "has the shape (), but "),
    "one axis": (_save(np.zeros(8)), "has the shape (8,), but "),
    "features": (_save(np.zeros((3, 8, 5))), "(3, 8, 5), but "),
    "steps": (_save(np.zeros((3, 9, 8))), "(3, 9, 8), but "),
    "NaN": (_save(_nan_at(3, 2, 1)), "is nan at index [3, 2, 1]; all values must be finite"),
    "infinity": (_save(np.full((2, 8, 8), np.inf)), "is inf at index [0, 0, 0]"),
    "cut": (lambda path: path.write_bytes(_bytes(np.zeros((3, 8, 8)))[:-8]), "cut short or dama"),
}


def _bytes(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize("option", ["--calibration", "--inputs"])
@pytest.mark.parametrize("name", DATA)
def test_data(place, name, option):
    make, words = DATA[name]
    if make is not None:
        make(place / "bad.npy")
    line = unchanged(place, *full(**{option: "bad.npy"}))
    assert "'bad.npy'" in line and words in line, line


@pytest.mark.parametrize("option", ["--calibration", "--inputs"])
def test_data_left_out(place, option):
    words = full()
    at = words.index(option)
    line = unchanged(place, *words[:at], *words[at + 2:])
    assert line.startswith(f"error: {option}: is missing; give ")


@pytest.mark.parametrize(("labels", "words"), [
    (np.zeros(11, int), "has the shape (11,) for 12 sequences"),
    (np.zeros(13, int), "has 13 labels for 12 sequences; give one a sequence"),
    (np.full(12, 10), "values 10 to 10, but the network gives 1 result(s) of 10 classes"),
    (np.full(12, -1), "values -1 to -1"), (np.zeros((12, 8), int), "(12, 8)"),
    (np.full(12, np.nan), "is nan at index [0]"), (np.zeros(12), "have the shape (12,), but the"),
    (np.array([None] * 12), "holds object values"),
], ids=["few", "many", "class 10", "class -1", "a step", "NaN", "floats", "objects"])
def test_labels(place, labels, words):
    np.save(place / "l.npy", labels, allow_pickle=labels.dtype.hasobject)
    line = unchanged(place, *full(**{"--labels": "l.npy"}))
    assert words in line and "labels" in line + words or "'l.npy'" in line, line


@pytest.mark.parametrize(("array", "words"), [
    (None, "'f.npy': no such file"), (np.zeros((11, 1, 10)), "for 12 sequences"),
    (np.zeros((12, 1, 9)), "(12, 1, 9)"), (np.full((12, 1, 10), np.nan), "is nan"),
], ids=["missing", "few", "shape", "NaN"])
def test_float_outputs(place, array, words):
    if array is not None:
        np.save(place / "f.npy", array)
    assert words in unchanged(place, *full(**{"--float-outputs": "f.npy"}))


# ---- options -------------------------------------------------------------------------------------

@pytest.mark.parametrize(("words", "said"), [
    (["--weight-width", "1"], "--weight-width: must be an integer from 2 to 16"),
    (["--weight-width", "17"], ", not 17;"), (["--act-width", "3"], ", not 3;"),
    (["--act-width", "19"], "--act-width: must be an integer from 4 to 18"),
    (["--act-width", "eight"], "'--act-width'"), (["--act-width", "8.5"], "'--act-width'"),
    (["--weight-width", "9" * 400], "--weight-width: "),
    (["--weight-width", "9" * 9000], "--weight-width"),
    (["--lanes", "0"], "--lanes: must be auto or an integer from 1 to 4096"),
    (["--lanes", "many"], "--lanes: must be auto or an integer"),
    (["--lanes", "16", "--posts", "3"], "a divisor of the lanes), not 3;"),
    (["--posts", "3", "--cols", "4"], "--cols: must be an integer from 1 to 1024"),
    (["--pipeline", "round"], "--pipeline: must be one of deep, shallow, flat"),
    (["--deadline", "10"], "--deadline: must be a time above zero with its unit"),
    (["--max-dsp", "0"], "--max-dsp: must be an integer of 1 or more"),
    (["--clock", "-1"], "--clock: must be above 0 and at most 2000 (MHz"),
    (["--lanes", "-1"], ", not -1;"), (["--lanes", "100000"], ", not 100000;"),
    (["--lanes", "4", "--cols", "3"], "a power of two), not 3;"),
    (["--target", "stratix"], ", not stratix;"),
    (["--target", "up5k", "--target", "nope"], "--target: must be one or more of ecp5-25f"),
    (["--sequences", "0"], "--sequences: must be"), (["--seed", "-1"], "--seed: must be"),
    (["--method", "best"], "--method: must be one of minmax"), (["--lanes"], "'--lanes' requires"),
    (["--lane", "3"], "No such option: --lane"), (["extra.onnx"], "extra.onnx"),
    (["--config", "none.toml"], "'none.toml': no such file"),
    (["--config", "bad.toml"], "'bad.toml': is not TOML"),
    (["--config", "key.toml"], "'key.toml', key 'lines': is unknown; choose"),
], ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "")
def test_option(place, words, said):
    (place / "bad.toml").write_text("lanes 4\n")
    (place / "key.toml").write_text("lines = 4\n")
    assert said in unchanged(place, *full(), *words)


def test_words_that_are_no_command(tmp_path):
    assert "No such command 'simulate'; see 'gatewright --help'" in unchanged(tmp_path, "simulate")
    assert "see 'gatewright quantise --help'" in unchanged(tmp_path, "quantise")


# ---- output folders ------------------------------------------------------------------------------

@pytest.mark.parametrize(("out", "words", "said"), [
    ("file", [], "'file': is a file; name a folder"),
    ("file", ["--force"], "'file': is a file; name a folder"),
    ("link", [], "is a symbolic link; name the folder itself"),
    ("link", ["--force"], "is a symbolic link"),
    ("mine", [], "'mine': exists already; give another --out, or --force to replace it"),
    ("mine", ["--force"], "was not made by gatewright, and will not be replaced; give another"),
    ("file/out", [], "is not a folder; give another --out"),
    ("/proc/none/out", [], "cannot be made"), ("x" * 300, [], "cannot be made (File name too l"),
], ids=["file", "file, force", "link", "link, force", "folder", "folder, force", "below a file",
        "unwritable", "long"])
@pytest.mark.parametrize("step", ["run", "quantise"])
def test_out(place, monkeypatch, step, out, words, said):
    """Refused before a single sequence is looked at."""
    (place / "mine").mkdir()
    (place / "mine" / "thesis.tex").write_text("x")
    (place / "file").write_text("x")
    (place / "link").symlink_to(place / "mine")
    monkeypatch.setattr(Flow, "load", lambda *_: pytest.fail("work was begun"))
    start = full(**{"--out": out}) if step == "run" else [
        "quantise", "model.onnx", "--calibration", "c.npy", "--out", out]
    line = unchanged(place, *start, *words)
    assert said in line.replace(str(place) + "/", ""), line
