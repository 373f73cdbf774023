"""The fuzzer: a slice of it, that a seed is always the same, and that it sees what it is for."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest
from commands import ROOT, files

from gatewright import doors, flow, fuzz, fuzz_case
from gatewright.errors import GatewrightError
from gatewright.fuzz_case import run_case
from gatewright.fuzz_files import bases, write_case

SEED, CASES = 20, 300


@pytest.fixture
def folder(tmp_path):
    """A maker of empty folders."""
    def make(name):
        (tmp_path / str(name)).mkdir()
        return tmp_path / str(name)
    return make


def test_slice(folder):
    outcomes = [run_case(SEED, k, folder(k)) for k in range(CASES)]
    assert not [(o.index, o.fault) for o in outcomes if o.fault]
    refusals = {o.said for o in outcomes if o.status == 2}
    assert len(refusals) > 80                  # no two alike, mostly
    assert sum(o.status == 0 for o in outcomes) > 20
    for part in ("'model.onnx': node", "'model.onnx': tensor", "'c.npy'", "'o.toml'"):
        assert any(part in line for line in refusals), part


@pytest.mark.parametrize("name", bases())
def test_bases_are_valid(folder, name):
    place = folder("base")
    base = bases()[name]
    (place / "model.onnx").write_bytes(base.model)
    np.save(place / "c.npy", base.data)
    for words in (["import", "model.onnx"],
                  ["quantise", "model.onnx", "--calibration", "c.npy", "--out", "out"]):
        assert fuzz_case._call(words, place) == (0, "")


def test_seed_is_always_the_same(folder):
    drawn = []
    for k in range(40):
        places = folder(f"a{k}"), folder(f"b{k}")
        words = [write_case(1, k, place) for place in places]
        assert words[0] == words[1] and files(places[0]) == files(places[1])
        drawn.append(files(places[0]))
    assert sum(drawn[0] != other for other in drawn) > 30


def _fails(error):
    def import_model(*_):
        raise error
    return import_model


FAULTS = {
    "exception": (lambda *_: 1 / 0, "exit code 70: .*ZeroDivisionError"),
    "slow": (lambda *_: time.sleep(30), "not done in 0.3 s"),
    "exit code": (lambda *_: sys.exit(3), "exit code 3"),
    "talk": (lambda *_: print("Traceback", file=sys.stderr) or sys.exit(2), "not one line with"),
    "no remedy": (_fails(GatewrightError("file", "is bad")), "not one line with a remedy"),
    "caught": (_fails(GatewrightError(
        "'model.onnx'", "cannot be read as a network (KeyError: 3)", "export it again")),
        "nobody expected this: .*KeyError"),
    "litter": (lambda *_: open("litter", "w").close() or sys.exit(0), "left behind: .'litter'"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_seen(folder, monkeypatch, name):
    acts, said = FAULTS[name]
    monkeypatch.setattr(flow.Flow, "import_model", acts)
    monkeypatch.setattr(fuzz_case, "LIMIT_S", 0.3)
    monkeypatch.setattr(tempfile, "tempdir", str(folder("tmp")))
    outcome = run_case(SEED, 0, folder("case"))
    assert re.search(said, outcome.fault), outcome


def test_wrong_numbers_are_seen(folder, monkeypatch):
    """An import that changes the numbers is a fault too; the command itself compares them."""
    real = doors.import_onnx

    def wrong(path, **more):
        network = real(path, **more)
        network.layers[0].w[0, 0] += 0.5
        return network

    monkeypatch.setattr(doors, "import_onnx", wrong)
    monkeypatch.setattr(fuzz_case, "write_case", lambda *_: (["import", "model.onnx"],))
    place = folder("case")
    (place / "model.onnx").write_bytes(bases()["rnn"].model)
    assert "the import differs from its file" in run_case(SEED, 0, place).fault


def test_process_that_dies(tmp_path):
    worker = fuzz._Worker(SEED, str(tmp_path))
    try:
        os.kill(worker.process.pid, signal.SIGKILL)
        worker.process.join()
        worker.give(5)
        assert worker.take().fault == "the process died (-9)"
        worker.give(6)                         # there is another
        while (outcome := worker.take()) is None:
            time.sleep(0.05)
        assert outcome.index == 6 and not outcome.fault
    finally:
        worker.close()


def test_command(tmp_path):
    run = subprocess.run(
        [sys.executable, "-P", "-m", "gatewright.fuzz", "--seed", "3", "--cases", "30", "--jobs",
         "2", "--out", "kept"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run
    assert run.stdout.startswith("30 cases of seed 3 in ") and " 0 failed" in run.stdout
    assert not run.stderr and not files(tmp_path)
