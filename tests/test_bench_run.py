"""The benchmark measures: cores against golden, processors, devices; and runs as a command."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import synth
from bench import cores, cpu, deepbench, grid, routed
from bench.models import lstm_network, onnx_model, random_batch
from bench.run import _work
from bench.store import Store
from gatewright.campaign_networks import make_codes
from gatewright.onnx_import import import_onnx
from golden.reference import run_float
from hw.emit import generate
from sim.fast import FastSimulator

ROOT = Path(__file__).parents[1]
CASE = {"name": "LSTM 3→4 on 4", "cell": "lstm", "inputs": 3, "units": 4, "array": {"lanes": 4}}


def bench(*arguments: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    return subprocess.run([sys.executable, "-m", "bench", *arguments], cwd=ROOT, env=environment,
                          capture_output=True, text=True, check=False)


def test_quick_grid(tmp_path):
    """One tiny net from the command line: measured, written, and not measured again."""
    done = bench("grid", "--quick", "--match", "LSTM", "--out", str(tmp_path), "--jobs", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = Store(tmp_path / "benchmarks.json").records("grid").values()
    assert record["failure"] is None and record["words"] == 3 * 8 * (48 + 1)  # h, c, y
    assert record["where"]["cores"] == os.cpu_count()
    for name in ("step", "exposed", "total", "alone"):
        assert record[name][0] == record[name][1]
    text = (tmp_path / "benchmarks.md").read_text()
    assert f"| LSTM 5→8 | 4 | 104.0 | {record['step'][1]:,} |" in text and "FAILED" not in text
    again = bench("grid", "--quick", "--match", "LSTM", "--out", str(tmp_path), "--jobs", "1")
    assert again.returncode == 0 and "as before" in again.stdout
    assert (tmp_path / "benchmarks.md").read_text() == text


@pytest.mark.parametrize("arguments,said", [
    (("nothing",), "Parts must be among"), (("--match", "nothing"), "no case holds 'nothing'")])
def test_command_wrong(tmp_path, arguments, said):
    done = bench(*arguments, "--out", str(tmp_path))
    assert done.returncode == 2 and said in done.stderr and not list(tmp_path.iterdir())


def test_list():
    done = bench("--list")
    names = done.stdout.splitlines()
    assert done.returncode == 0 and len(names) == len(set(names)) > 80
    assert "routed: LSTM 64→64 on 16, ecp5-25f, vendor" in names
    assert "deepbench: full: LSTM 256" in names and "cpu: LSTM 128→256" in names


def test_difference_is_a_failure(tmp_path):
    """One weight more than the simulated core holds, or one cycle less, must not pass."""
    config, network = cores.random_network("lstm", 3, 4)
    (codes,) = make_codes(replace(config, batches=((2, 6),)), network)
    core = generate(network, name="net", lanes=4)
    (tmp_path / "net.v").write_text(core.verilog)
    with FastSimulator(tmp_path / "net.v", core.manifest, tmp_path) as simulator:
        good = cores.run_core(core, codes, simulator)
        assert good["failure"] is None and good["words"] == 3 * 4 * (12 + 1)
        assert good["step"][0] == good["step"][1] == core.layout.schedule.interval
        assert good["utilisation"] == 4 * 4 * 7 / 4 / good["step"][1]
        assert good["alone"] == [core.layout.schedule.total_cycles([1])] * 2

        def changed(**fields):
            program = replace(core.layout.program, **fields.pop("program", {}))
            schedule = replace(core.layout.schedule, program=program, **fields)
            return replace(core, layout=replace(core.layout, program=program, schedule=schedule))

        (layer,) = network.layers
        w = layer.w.copy()
        w[0, 0] ^= 64
        other = replace(network, layers=(replace(layer, w=w),))
        bad = cores.run_core(changed(program={"network": other}), codes, simulator)
        assert "expected" in bad["failure"] and bad["utilisation"] is None
        (sweep,) = core.layout.schedule.sweeps
        shorter = replace(sweep, length=sweep.length - 1)
        bad = cores.run_core(changed(sweeps=(shorter,)), codes, simulator)
        assert "cycles" in bad["failure"]


def test_failure_is_a_record(tmp_path):
    """Whatever a case runs into is told in its record and ends no other."""
    case = CASE | {"array": {"lanes": 0}}
    record, _ = _work("bench.grid", case, None, {}, str(tmp_path))
    assert record["failure"].startswith("ValueError: Lanes must be")


def test_full_rows_within_the_limit(tmp_path):
    """A row with more weights than the limit is left out, and says so."""
    case = next(case for case in deepbench.cases(False) if case["name"] == "full: GRU 1024")
    record = deepbench.measure(case, tmp_path, None, {})
    assert record == {"failure": None, "skipped": "6,291,456 weights"}
    kinds = [case["kind"] for case in deepbench.cases(False)]
    assert [kinds.count(kind) for kind in ("model", "same M/P", "full")] == [11, 11, 11]


def test_rows_of_one_step_have_a_steady_state(tmp_path, monkeypatch):
    """A row of a single step is simulated over as many as show the distance of two."""
    asked = []
    monkeypatch.setattr(deepbench, "simulate",
                        lambda *_, most_steps, **__: asked.append(most_steps) or {})
    for name in ("full: GRU 512", "full: LSTM 256"):
        case = next(case for case in deepbench.cases(False) if case["name"] == name)
        deepbench.measure(case, tmp_path, None, {})
    assert asked == [cores.LEAST, 150]


def test_names_are_unique():
    for part in (grid, deepbench, routed, cpu):
        for quick in (False, True):
            names = [case["name"] for case in part.cases(quick)]
            assert names and len(set(names)) == len(names)


@pytest.mark.parametrize("states", [False, True])
def test_onnx_model(tmp_path, states):
    """The file that onnxruntime is timed on, and that the tool imports, is our network."""
    network = lstm_network(3, 4)
    (tmp_path / "lstm.onnx").write_bytes(onnx_model(network, states=states))
    read = import_onnx(tmp_path / "lstm.onnx")
    assert read.returns_state == states
    for name in ("w", "r", "bias_x", "bias_h"):
        np.testing.assert_array_equal(getattr(read.layers[0], name),
                                      getattr(network.layers[0], name))


def test_processor(tmp_path, monkeypatch):
    """Programs are timed on the same network, or not at all."""
    find = cpu.util.find_spec
    monkeypatch.setattr(cpu.util, "find_spec", lambda n: None if n == "torch" else find(n))
    case = {"cell": "lstm", "inputs": 3, "units": 4, "calls": 5}
    record = cpu.measure(case, tmp_path, None, {})
    assert record["failure"] is None and record["torch"] is None
    for kind in ("step", "sequence"):
        times = record["onnxruntime"][kind]
        assert 0 < times["median_us"] <= times["p99_us"]
    other = lstm_network(3, 4, seed=9)
    monkeypatch.setattr(cpu, "run_float", lambda network, batch: run_float(other, batch))
    with pytest.raises(ValueError, match="another network"):
        cpu.measure(case, tmp_path, None, {})


def test_steps_are_handed_on():
    """A call a step goes through the same states as a call of the whole sequence."""
    network = lstm_network(3, 4)
    x = np.repeat(random_batch(network, 1, 1).x[0], 6, axis=0).astype(np.float32)
    _, step, sequence = cpu._onnxruntime(network, x)
    states = [step() for _ in range(6)]
    np.testing.assert_allclose(states[-1], sequence()[1], atol=1e-6)
    assert np.abs(states[-1] - states[-2]).max() > 1e-5


@pytest.fixture
def placing(monkeypatch):
    """Generating, simulating and placing replaced: what was asked to be placed."""
    asked = []

    def make(case):
        text = json.dumps([case["array"], case["form"]])
        return SimpleNamespace(verilog_sha256=text, verilog=text, manifest={}), None

    def place(verilog, manifest, target, *, seeds, build_dir):
        asked.append((target.name, tuple(seeds)))
        if target.name == "up5k":
            raise synth.DoesNotFit("too big")
        return {"fmax_mhz": 100.0}

    monkeypatch.setattr(synth, "place_and_route_seeds", place)
    monkeypatch.setattr(routed, "_core", make)
    monkeypatch.setattr(routed, "_compared", lambda *_: {"failure": None, "step": [9, 9]})
    return asked


PLACED = CASE | {"target": "ecp5-25f", "form": "vendor", "goal": 100, "goal_luts": None,
                 "seeds": [1, 2]}


def test_routed_is_restartable(tmp_path, placing):
    """Nothing is placed twice, unless Verilog, seeds or target are other ones."""
    record = routed.measure(PLACED, tmp_path, None, {})
    assert placing == [("ecp5-25f", (1, 2))] and record["fmax_mhz"] == 100.0
    old = json.loads(json.dumps(record))
    assert routed.measure(PLACED, tmp_path, old, {}) == old and len(placing) == 1
    assert routed.measure(PLACED | {"goal": 200}, tmp_path, old, {}) == old | {"goal": 200}
    for change in ({"seeds": [1, 2, 3]}, {"form": "portable"}, {"target": "ecp5-25f-8"},
                   {"array": {"lanes": 8}}):
        assert routed.measure(PLACED | change, tmp_path, old, {})["key"] != old["key"]
    assert len(placing) == 5
    refused = routed.measure(PLACED | {"target": "up5k"}, tmp_path, None, {})
    assert refused["refused"] == "too big" and refused["failure"] is None


def test_routed_differs(tmp_path, placing, monkeypatch):
    """A core that differs from golden is not placed."""
    monkeypatch.setattr(routed, "_compared", lambda *_: {"failure": "h differs"})
    assert routed.measure(PLACED, tmp_path, None, {})["failure"] == "h differs" and not placing


@pytest.mark.parametrize("target,form,family", [
    ("ecp5-25f", "vendor", "ecp5"), ("ecp5-25f", "portable", "portable"),
    ("gw1nr-9c", "vendor", "portable")])
def test_routed_core(target, form, family):
    core, network = routed._core(PLACED | {"target": target, "form": form})
    assert core.manifest["family"] == family and core.layout.program.lanes == 4
    assert network.layers[0].units == 4
