"""The whole flow on the tanh RNN of the examples: files, fields, repeats, stops, and mutations."""

import hashlib
import json
import os
import re
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from commands import command, example, files, program, refusal

import sim
import synth
from gatewright import artefacts, cli_run, steps
from gatewright.errors import GatewrightError
from gatewright.flow import Flow, Mismatch

RUN = ["run", "model.onnx", "--calibration", "c.npy", "--inputs", "x.npy", "--lanes", "8",
       "--sequences", "6"]
PLAIN = [*RUN, "--no-synth", "--out", "out"]
PROVED = re.compile(r"^bit-exact: (\d+)/(\d+) words$", re.MULTILINE)

# The table of output files: what other tools read.
FIELDS = {
    "manifest.json": ["name", "model_sha256", "verilog_sha256", "cell", "layers", "formats",
                      "lanes", "cols", "posts", "pipeline", "packed", "ports", "cycles_per_step",
                      "versions"],
    "golden.json": ["sequences", "float_metric", "fixed_metric", "top1_agreement", "max_error_lsb"],
    "verify.json": ["sequences", "steps", "words", "mismatches", "cycles_predicted",
                    "cycles_measured", "mac_utilisation", "simulator", "seed", "wall_seconds"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Data and ``out``, the folder of a whole run without place and route."""
    folder = example(tmp_path_factory.mktemp("digits"))
    done = command(*PLAIN, cwd=folder)
    assert done.status == 0, done
    (folder / "printed.txt").write_text(done.out)
    return folder


@pytest.fixture
def copy(place, tmp_path):
    shutil.copytree(place, tmp_path / "copy")
    return tmp_path / "copy"


def read(folder: Path, name: str) -> dict:
    return json.loads((folder / "out" / name).read_text())


def timeless(folder: Path) -> dict:
    """The files of ``out``; JSON parsed, without what a clock measured or a run alone can know."""
    found = {}
    for name, data in files(folder / "out").items():
        if name.endswith(".json"):
            data = json.loads(data)
            for key in ("wall_seconds", "cycles_per_second", "speed"):
                data.pop(key, None)
        found[name] = data
    return found


# ---- what a run leaves ---------------------------------------------------------------------------

def test_files_and_fields(place):
    name = read(place, "manifest.json")["name"]
    assert sorted(files(place / "out")) == sorted([
        "network.npz", "quantisation.json", "golden.json", "manifest.json", "verify.json",
        "rtl", f"rtl/{name}.v"])
    for file, fields in FIELDS.items():
        assert set(fields) <= set(read(place, file)), file
    tensors = read(place, "quantisation.json")["tensors"]
    assert len(tensors) > 5
    for entry in tensors.values():
        assert {"format", "min", "max", "saturated", "sqnr_db"} <= set(entry)
        assert entry["min"] <= entry["max"] and 0 <= entry["saturated"] <= entry["count"]
    golden, verify = read(place, "golden.json"), read(place, "verify.json")
    assert golden["sequences"] == 12 and 0.8 <= golden["fixed_metric"] <= 1
    assert golden["top1_agreement"] > 0.9 and all(v >= 0 for v in golden["max_error_lsb"].values())
    assert (verify["sequences"], verify["steps"], verify["mismatches"]) == (6, 48, 0)
    # h of 32 units a step; the head's 10 h and 10 words a sequence
    assert verify["words"] == 48 * 32 + 6 * 20 and verify["passed"] is True
    assert verify["cycles_measured"] == verify["cycles_predicted"] > 0
    assert "Verilator" in verify["simulator"] and verify["seed"] == 1


def test_manifest_tells_the_truth(place):
    manifest = read(place, "manifest.json")
    rtl = (place / "out" / "rtl" / f"{manifest['name']}.v").read_text()
    assert manifest["verilog_sha256"] == hashlib.sha256(rtl.encode()).hexdigest()
    model = (place / "model.onnx").read_bytes()
    assert manifest["model_sha256"] == hashlib.sha256(model).hexdigest()
    assert manifest["lanes"] == 8 and [layer["units"] for layer in manifest["layers"]] == [32, 10]
    ports = {port["name"]: port for port in manifest["ports"]}
    head = re.search(rf"^module {manifest['name']}\((.*?)\);", rtl, re.MULTILINE | re.DOTALL)
    assert set(ports) == {name.strip() for name in head[1].split(",")}
    assert ports["s_axis_tdata"]["width"] == manifest["formats"]["input"]["width"]
    assert {"amaranth", "numpy", "onnx", "gatewright", "python"} <= set(manifest["versions"])
    assert str(place) not in json.dumps(manifest)


def test_printed(place):
    text = (place / "printed.txt").read_text()
    words, of = PROVED.search(text).groups()
    assert words == of == str(read(place, "verify.json")["words"])
    cycles = read(place, "manifest.json")["cycles_per_step"]
    assert f"cycles per step: predicted {cycles}, measured {cycles}" in text
    for title in ("1 import", "2 quantise", "3 golden", "4 generate", "5 verify"):
        assert f"\n{title}  " in text
    for line in text.splitlines():
        assert len(line) <= 80 or "/" in line or "float check" in line, line


def test_steps_one_by_one_are_a_run(place, tmp_path):
    """The same files from six commands as from one; the second time, the same bytes."""
    folder = example(tmp_path / "steps")
    for words in (["quantise", "model.onnx", "--calibration", "c.npy", "--out", "out"],
                  ["golden", "out", "--inputs", "x.npy"], ["generate", "out", "--lanes", "8"],
                  ["verify", "out", "--inputs", "x.npy", "--sequences", "6"]):
        done = command(*words, cwd=folder)
        assert done.status == 0, done
    name = read(place, "manifest.json")["name"]
    ours, theirs = timeless(folder), timeless(place)
    own = read(folder, "manifest.json")["name"]  # model.onnx is named after its folder
    assert own == "steps"
    texts = [ours.pop(f"rtl/{own}.v"), theirs.pop(f"rtl/{name}.v")]
    assert texts[0].replace(b"steps", name.encode()) == texts[1]
    for data in (ours, theirs):
        data["manifest.json"].pop("verilog_sha256")
        assert data["manifest.json"].pop("name") in (own, name)
        data.pop("network.npz")
    assert ours == theirs


def test_same_bytes_twice(copy, monkeypatch):
    """Model and options decide the files, not the hour and not the folder's name."""
    monkeypatch.setattr(Flow, "verify", lambda *_, **__: None)
    monkeypatch.setattr(cli_run, "_summary", lambda *_: None)
    for out in ("one", "two"):
        done = command(*PLAIN[:-1], out, cwd=copy)
        assert done.status == 0, done
        time.sleep(1.1)  # the steps of a clock in an archive
    one, two = files(copy / "one"), files(copy / "two")
    assert one.pop("golden.json") and two.pop("golden.json")  # with seconds in it
    assert one == two and len(one) == 5


# ---- place and route -----------------------------------------------------------------------------

def test_run_with_place_and_route(tmp_path):
    """On the iCE40, from and into folders whose names need care."""
    folder = example(tmp_path / "Modèle n° 1")
    done = command(*RUN[:-4], "--sequences", "2", "--target", "up5k", "--out", "a b/ü", "--json",
                   cwd=folder)
    assert done.status == 0, done
    report = json.loads((folder / "a b" / "ü" / "synth" / "up5k.json").read_text())
    assert report["fmax_mhz"] > 5 and report["seed"] == 1 and report["tool_versions"]
    for resource in ("lut", "ff", "bram", "dsp"):
        assert 0 < report[resource]["used"] <= report[resource]["available"]
    manifest = json.loads((folder / "a b" / "ü" / "manifest.json").read_text())
    us = manifest["cycles_per_step"] / report["fmax_mhz"]
    assert report["us_per_step"] == pytest.approx(us, rel=1e-3)
    printed = json.loads(done.out)
    assert printed["synth"] == [report] and printed["manifest"] == manifest
    assert printed["verify"]["passed"] and "golden" in printed and "quantisation" in printed
    assert sorted(path.name for path in (folder / "a b" / "ü" / "synth").iterdir()) == \
        ["up5k.json"]


# ---- what fails ----------------------------------------------------------------------------------

FAILURES = {
    "quantise": (steps, "quantise", ValueError("too wide")),
    "generate": (steps, "generate", GatewrightError("generation", "no", "do this")),
    "write": (artefacts, "save_core", OSError(28, "No space left on device")),
    "simulate": (steps, "verify", sim.SimulationError("The simulation gave no verdict; see log")),
    "interrupt": (steps, "verify", KeyboardInterrupt()),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("force", [False, True], ids=["new", "force"])
def test_failing_step_leaves_nothing(copy, monkeypatch, name, force):
    module, function, error = FAILURES[name]
    monkeypatch.setattr(module, function, lambda *_, **__: (_ for _ in ()).throw(error))
    before = files(copy)
    words = [*PLAIN, "--force"] if force else [*PLAIN[:-1], "some/new"]
    done = command(*words, cwd=copy)
    # what nobody foresaw is a fault of ours, with its own status; the folder is clean anyhow
    assert done.status == {"interrupt": 130, "quantise": 70}.get(name, 2), done
    assert len(done.err.splitlines()) == 1 and "Traceback" not in done.err
    assert files(copy) == before


@pytest.mark.parametrize(("error", "status"), [
    (Mismatch("h differs"), 1), (synth.DoesNotFit("needs 99 DSP, has 28; take fewer lanes"), 2),
], ids=["mismatch", "does not fit"])
def test_result_of_a_failed_proof_or_fit(copy, monkeypatch, error, status):
    """What led there is kept for a look, but never in the place of a folder that was whole."""
    monkeypatch.setattr(Flow, "verify", lambda *_, **__: (_ for _ in ()).throw(error))
    done = command(*PLAIN[:-1], "new", cwd=copy)
    assert done.status == status and str(error) in done.err and "what was made is in new" in \
        done.err
    assert (copy / "new" / "rtl").is_dir() and (copy / "new" / "golden.json").is_file()
    before = files(copy)
    done = command(*PLAIN, "--force", cwd=copy)
    assert done.status == status and "out is left as it was" in done.err
    assert len(done.err.splitlines()) == 1
    assert files(copy) == before


def test_force_replaces(copy, monkeypatch):
    before = files(copy / "out")
    monkeypatch.setattr(Flow, "verify", lambda *_, **__: None)
    monkeypatch.setattr(cli_run, "_summary", lambda *_: None)
    (copy / "out" / "verify.json").write_text("stale")
    assert "exists already" in refusal(command(*PLAIN, cwd=copy))
    done = command(*PLAIN, "--force", "--lanes", "3", cwd=copy)
    assert done.status == 0, done
    assert read(copy, "manifest.json")["lanes"] == 3 and "verify.json" in before
    assert not (copy / "out" / "verify.json").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
@pytest.mark.parametrize("moment", ["2 quantise", "5 verify"])
def test_stopped(copy, moment, number):
    """Nothing stays: no folder, no scratch, no file elsewhere, no tool that goes on."""
    (copy / "tmp").mkdir()
    before = files(copy)
    words = PLAIN[:-1] + ["deep/new"] if number == signal.SIGTERM else [*PLAIN, "--force"]
    run = program(*words, cwd=copy, TMPDIR=str(copy / "tmp"), PYTHONUNBUFFERED="1")
    for line in run.stdout:
        if line.startswith(moment):
            break
    if moment == "5 verify":  # into the build, whose compilers are other processes
        give_up = time.monotonic() + 60
        while not list((copy / "tmp").rglob("*.cpp")) and time.monotonic() < give_up:
            time.sleep(0.05)
        time.sleep(0.3)
    run.send_signal(number)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert err == "error: stopped; nothing half-made was left\n"
    # onnxruntime notes its first start
    assert {n: d for n, d in files(copy).items() if n != "tmp/.ses"} == before
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            assert not os.readlink(entry / "cwd").startswith(str(copy)), entry
        except OSError:
            continue


def test_two_runs_into_one_folder(copy):
    """One wins and is whole; the other says in a line why it has nothing to show."""
    words = ["quantise", "model.onnx", "--calibration", "c.npy", "--out", "both"]
    runs = [program(*words, cwd=copy) for _ in range(3)]
    ended = [(*run.communicate(timeout=120), run.returncode) for run in runs]
    assert sorted(status for *_, status in ended) == [0, 2, 2], ended
    for _, err, status in ended:
        assert status == 0 or re.fullmatch(r"error: '\S+both': exists already; give another "
                                           r"--out, or --force to replace it\n", err), err
    assert set(files(copy / "both")) == {"network.npz", "quantisation.json"}
    assert not [name for name in files(copy) if name.startswith(".")]


# ---- mutations of the hardware -------------------------------------------------------------------

def rtl_of(folder: Path) -> Path:
    rtl, = (folder / "out" / "rtl").glob("*.v")
    return rtl


def change_word(rtl: Path, memory: dict, word: int, change) -> None:
    """Change one word of a memory of the manifest, or of the first piece that it is built from."""
    text = rtl.read_text()
    pieces = [piece for piece in re.finditer(
        rf"^  reg \[(\d+):0\] \w+ \[{memory['words'] - 1}:0\];$", text, re.MULTILINE)
        if memory["width"] % (int(piece[1]) + 1) == 0]
    assert pieces, "no memory of the Verilog has the manifest's words"
    width = int(pieces[0][1]) + 1
    found = re.compile(rf"\[{word}\] = {width}'([hd])([0-9a-f]+);").search(text, pieces[0].end())
    value = change(int(found[2], 16 if found[1] == "h" else 10)) % (1 << width)
    rtl.write_text(f"{text[:found.start(1)]}h{value:x}{text[found.end(2):]}")


def mismatch(folder: Path, *words) -> tuple:
    done = command("verify", "out", "--inputs", "x.npy", *words, cwd=folder)
    assert done.status == 1, done
    lines = done.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("mismatch: ")
    assert "bit-exact" not in done.out
    verdict = read(folder, "verify.json")
    assert verdict["passed"] is False and verdict["first_difference"]
    return lines[0], verdict


def test_one_weight_bit(copy):
    """The lowest bit of one recurrent weight, of the 1,600 that the file holds."""
    manifest = read(copy, "manifest.json")
    # lane 1 of the first pass: neuron 1; word 8 + 5: its weight of h[5]
    change_word(rtl_of(copy), manifest["memory"]["weights"], 8 + 5, lambda word: word ^ 1 << 8)
    line, verdict = mismatch(copy)
    difference = verdict["first_difference"]
    for key, value in (("kind", "value"), ("signal", "h"), ("layer", 0), ("neuron", 1),
                       ("sequence", 0)):
        assert difference[key] == value, difference
    assert difference["step"] >= 1 and difference["expected"] != difference["actual"]
    name = manifest["layers"][0]["name"]
    for words in ("sequence 0", f"step {difference['step']}", name, "neuron 1", "h"):
        assert words in line
    assert str(difference["expected"]) in line and str(difference["actual"]) in line
    assert verdict["mismatches"] > 0


def test_one_rounding_constant(copy):
    """Neuron 0 rounds down instead of to nearest: half of its last place taken from its bias."""
    layer = artefacts.load_quantised(copy / "out").integer.layers[0]
    shift = int(layer.acc_frac[0]) - layer.pre.frac
    assert shift > 0
    rows = read(copy, "manifest.json")["memory"]["rows"]
    change_word(rtl_of(copy), rows, 0, lambda word: word - (1 << (shift - 1)))
    line, verdict = mismatch(copy, "--sequences", "12")
    difference = verdict["first_difference"]
    assert (difference["signal"], difference["layer"], difference["neuron"]) == ("h", 0, 0), line


def wrapped(folder: Path, **ties: str) -> None:
    """Put the core inside a module of the same name that ties some of its outputs."""
    manifest, rtl = read(folder, "manifest.json"), rtl_of(folder)
    name, ports = manifest["name"], manifest["ports"]
    inner = rtl.read_text().replace(f"module {name}(", "module inner_core(", 1)
    inner = inner.replace(f"\\{name}.", "\\inner_core.")
    declared = ", ".join(f"{port['direction']}put [{port['width'] - 1}:0] {port['name']}"
                         for port in ports)
    wires = ", ".join(f".{port['name']}({'' if port['name'] in ties else port['name']})"
                      for port in ports)
    tied = "\n".join(f"  assign {port} = {value};" for port, value in ties.items())
    rtl.write_text(f"{inner}\nmodule {name}({declared});\n  inner_core core ({wires});\n{tied}\n"
                   "endmodule\n")


def test_no_output(copy):
    """A core that never gives a word is told so; its states alone, all equal, prove nothing."""
    wrapped(copy, m_axis_tvalid="1'b0")
    line, verdict = mismatch(copy, "--sequences", "2")
    assert verdict["first_difference"]["kind"] == "no_output" and "output" in line


def test_zero_words_prove_nothing(copy, monkeypatch):
    """Whatever the bench says, no verdict over nothing is a pass."""
    real = {"verdict": None}

    def nothing(core, result, **_):
        fields = read(copy, "verify.json")
        fields.pop("passed")
        fields |= {"words": 0, "mismatches": 0, "first_difference": None,
                   "passes": tuple(fields["passes"])}
        real["verdict"] = sim.VerifyResult(**fields)
        return real["verdict"]

    monkeypatch.setattr(steps, "verify", nothing)
    done = command("verify", "out", "--inputs", "x.npy", cwd=copy)
    assert done.status == 1 and "the bench compared nothing" in done.err
    verdict = real["verdict"]
    assert not verdict.passed and replace(verdict, words=1).passed
    assert not replace(verdict, words=1, passes=("unpaused",)).passed


def test_json_of_a_mismatch(copy, monkeypatch):
    def differs(self, core, result, folder, rtl, **_):
        raise Mismatch("h: expected 1, not 2")

    monkeypatch.setattr(Flow, "verify", differs)
    done = command("verify", "out", "--inputs", "x.npy", "--json", cwd=copy)
    assert done.status == 1 and json.loads(done.out)["words"] > 0
    assert done.err.splitlines()[-1] == "mismatch: h: expected 1, not 2"


def test_waves(copy, monkeypatch):
    """The wave file goes from the simulation's folder, which goes away, into ours."""
    def with_waves(core, result, *, build_dir, waves, **_):
        assert waves
        (build_dir / "dump.vcd").write_text("$end")
        fields = read(copy, "verify.json") | {"waves": str(build_dir / "dump.vcd")}
        fields["passes"] = tuple(fields["passes"])
        del fields["passed"]
        return sim.VerifyResult(**fields)

    monkeypatch.setattr(steps, "verify", with_waves)
    done = command("verify", "out", "--inputs", "x.npy", "--waves", cwd=copy)
    name = read(copy, "verify.json")["waves"]
    assert name == f"{read(copy, 'manifest.json')['name']}.vcd" and f"waves: {name}" in done.out
    assert (copy / "out" / name).read_text() == "$end"
