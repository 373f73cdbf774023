"""Protected cores: equal to golden, upsets in them told; and what is not asked for adds nothing."""

import json
from collections import Counter
from functools import partial

import numpy as np
import pytest

from hw.emit import generate
from hw.guard import FAULTS
from tests.commands import command, example
from tests.signoff import faults
from tests.signoff.configurations import SMOKE, case_of
from tests.signoff.upsets import OUTCOMES, Upsets, kind_of
from tests.signoff.weight_bits import flip_weights

NAMES = "gru", "lstm2"     # without states in the stream, and with


@pytest.fixture(scope="module")
def cores(tmp_path_factory):
    made = {}
    for name in NAMES:
        case = case_of(name, generate=partial(generate, protect=True))
        made[name] = case, Upsets(case, tmp_path_factory.mktemp(name), (0, 3, 4))
    yield made
    for _, core in made.values():
        core.close()


def find(core: Upsets, scope: str, name: str):
    found, = (bits for bits in core.state if bits.scope.endswith(scope) and bits.name == name)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_equal_to_golden(cores, name):
    """The same words in the same cycles as without protection, and no fault."""
    case, core = cores[name]
    given = case.stimulus(range(len(case.sequences)))
    result = core.run(given, seed=1)
    assert result.passed, result.difference
    assert result.cycles == given.predicted_cycles and result.words > 500
    assert case.layout.schedule.interval == case_of(name).layout.schedule.interval
    again = core.run(case.stimulus([3, 0, 6]), seed=2, pauses=True, resets=(40, 200))
    assert again.passed, again.difference


@pytest.mark.parametrize("name", ["gru-before", "bidirectional", "ice40"])
def test_off_adds_nothing(name):
    plain, off, on = (case_of(name, generate=one).core for one in (
        generate, partial(generate, protect=False), partial(generate, protect=True)))
    assert plain.verilog == off.verilog != on.verilog
    assert plain.manifest == off.manifest and not plain.manifest["protected"]
    assert on.manifest["protected"] and on.manifest["cycles"]["watchdog"] > 0
    for word in ("status_faults", "twin", "guard", "parity"):
        assert word not in plain.verilog and word in on.verilog
    ports = [port["name"] for port in on.manifest["ports"]]
    assert set(ports) - {port["name"] for port in plain.manifest["ports"]} == {"status_faults"}


@pytest.mark.parametrize("name", NAMES)
def test_weight_bits(cores, name):
    """Each flipped bit is told in the predicted cycle, before a wrong word leaves."""
    case, core = cores[name]
    seen = flip_weights(core, case, every=11)
    assert seen["failure"] is None and seen["bits"] == seen["detected"] > 200


def test_two_flips_cancel(cores):
    """Parity is what it is: the checks above would not pass if everything raised an alarm."""
    _, core = cores["gru"]
    weights = find(core, "weights.group0.memory", "memory")
    core.flip(weights, 5, 0)
    result = core.inject(weights, 5, 1, 1)
    core.flip(weights, 5, 0)
    core.flip(weights, 5, 1)
    assert result["outcome"] in ("masked", "silent")
    assert core.recovers()


@pytest.mark.parametrize(("scope", "name", "fault"), [
    (".weights.group0.memory", "memory", "parity"), (".sequencer", "busy", "control"),
    (".output.buffer", "valid", "watchdog")])
def test_each_fault_has_its_bit(cores, scope, name, fault):
    """A flip of each kind sets its bit, stops the streams until a reset, and is gone behind it."""
    _, core = cores["gru"]
    bits, seen = find(core, scope, name), Counter()
    for cycle in range(*core.cycles(False)):
        result = core.inject(bits, bits.depth // 2, 0, cycle)
        if bits.depth > 1:
            core.flip(bits, bits.depth // 2, 0)
        seen[result["faults"]] += 1
        assert result["outcome"] != "hung"
        if result["faults"] == 1 << FAULTS.index(fault):
            break
    else:
        pytest.fail(f"no flip of {scope} {name} was told as {fault}: {seen}")
    assert core.recovers()


@pytest.mark.parametrize("name", NAMES)
def test_every_memory_is_checked(cores, name):
    """Of each memory some flipped bit is told: none was forgotten."""
    _, core = cores[name]
    rng, left = np.random.default_rng(5), []
    memories = [bits for bits in core.state if bits.depth > 1]
    assert len(memories) >= 9
    for bits in memories:
        for _ in range(400):
            element, bit = int(rng.integers(bits.depth)), int(rng.integers(bits.width))
            cycle = int(rng.integers(*core.cycles(True)))
            result = core.inject(bits, element, bit, cycle, paused=True)
            if result["outcome"] == "detected":
                break
            core.renew()
        else:
            left.append(bits.scope)
        core.renew()
    assert not left


@pytest.mark.parametrize("name", NAMES)
def test_upsets(cores, name):
    """A few dozen of each sort: none hangs unseen, and a reset brings every one back."""
    _, core = cores[name]
    seen = {sort: core.campaign(np.random.default_rng(4), 25, chosen)
            for sort, chosen in faults.DRAWN.items()}
    assert faults._failure(seen, True) is None
    total = sum(seen.values(), Counter())
    assert sum(n for (_, outcome), n in total.items() if outcome in OUTCOMES) == 75
    assert sum(n for (_, outcome), n in total.items() if outcome == "detected") > 10
    # What stands in a memory is masked or told.
    assert not any(outcome in ("silent", "hung") for _, outcome in seen["memories"])
    assert {kind_of(bits) for bits in core.state} >= {*faults.CONTROL, "weight memory"}


def test_what_fails():
    """Hung and unseen, or lost for good, is a failure; and of both kinds there must be enough."""
    hung, lost = Counter({("loader", "hung"): 1}), Counter({("", "lost"): 1})
    assert faults._failure({"control": hung}, True) == "1 upset(s) that hang and are not flagged"
    assert faults._failure({"control": hung}, False) is None
    assert "does not bring back" in faults._failure({"memories": lost}, False)

    def records(**changed):
        seen = {"array": {"masked": 6000, "detected": 4000}, "": {"reset": 4000}} | changed
        counts = {"control": seen, "memories": {}, "flip-flops": {}}
        made = {form: {"kind": "upsets", "form": form, "failure": None, "bits": {"array": 9},
                       "seen": counts} for form in faults.FORMS}
        return made | {name: {"kind": "weights", "failure": None, "bits": 5, "detected": 5}
                       for name in SMOKE}

    assert all(claim.passed for claim in faults.claims(records()))
    assert "40.0%" in faults.section(records())
    for wrong in (records(array={"masked": 9999}), records(array={"masked": 9999, "hung": 1})):
        assert not faults.claims(wrong)[0].passed
    assert not faults.claims(records() | {"lstm": {"kind": "weights", "failure": "told late",
                                                   "bits": 5, "detected": 4}})[1].passed
    assert not faults.claims(records(**{"": {"lost": 1}}))[2].passed


def test_command(tmp_path):
    """--protect, from the command line to the folder, and from the folder to what is simulated."""
    folder = example(tmp_path)
    for words in (["quantise", "model.onnx", "--calibration", "c.npy", "--out", "out"],
                  ["generate", "out", "--lanes", "4", "--protect"]):
        done = command(*words, cwd=folder)
        assert done.status == 0, done
    assert "sets a bit of status_faults" in done.out
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    text = (folder / "out" / "rtl" / f"{manifest['name']}.v").read_text()
    assert manifest["protected"] and "status_faults" in text
    plain = command("generate", "out", "--lanes", "4", cwd=folder)
    assert plain.status == 0 and "status_faults" not in plain.out
    assert not json.loads((folder / "out" / "manifest.json").read_text())["protected"]
    (folder / "o.toml").write_text("protect = true\nlanes = 4\n")
    done = command("generate", "out", "--config", "o.toml", "--json", cwd=folder)
    assert json.loads(done.out)["verilog_sha256"] == manifest["verilog_sha256"]
