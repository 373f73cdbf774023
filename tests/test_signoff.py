"""The sign-off: its parts, its document, and that it fails when it must."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.store import Store
from tests.signoff import campaign, smoke
from tests.signoff.configurations import SMOKE, case_of
from tests.signoff.document import PARTS, STAGES, document, load

ROOT = Path(__file__).parents[1]


def signoff(*arguments: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    return subprocess.run([sys.executable, "-m", "tests.signoff", *arguments], cwd=ROOT,
                          env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("part", PARTS)
def test_parts_are_whole(part):
    module = load(part)
    assert module.STAGE in STAGES and module.TITLE
    assert isinstance(module.PER_CONFIGURATION, bool)
    for quick in (True, False):
        cases = module.cases(quick)
        names = [case["name"] for case in cases]
        assert names and len(set(names)) == len(names)
        assert not module.PER_CONFIGURATION or {c["configuration"] for c in cases} <= set(SMOKE)
    if module.PER_CONFIGURATION:
        assert {case["configuration"] for case in module.cases(False)} == set(SMOKE)


def test_quick_smoke(tmp_path):
    done = signoff("smoke", "--quick", "--match", "gru", "--out", str(tmp_path), "--jobs", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    record = Store(tmp_path / "verification.json").records("smoke")["gru"]
    given = case_of("gru")
    assert record["words"] == given.stimulus(range(len(given.sequences))).words > 500
    assert record["cycles"][0] == record["cycles"][1]
    text = (tmp_path / "verification.md").read_text()
    assert f"{record['words']:,}" in text and "FAILED" not in text
    again = signoff("smoke", "--quick", "--missing", "--list", "--out", str(tmp_path))
    assert again.stdout.splitlines() == ["smoke: shallow-wide"]


@pytest.mark.parametrize("arguments,said", [
    (("nothing",), "Parts must be among"), (("--match", "nothing"), "no case holds 'nothing'")])
def test_command_wrong(tmp_path, arguments, said):
    done = signoff(*arguments, "--out", str(tmp_path))
    assert done.returncode == 2 and said in done.stderr and not list(tmp_path.iterdir())


def test_failure_is_told():
    """In the plan, in the section, and as a stage that is not reached."""
    where = {"commit": "c", "date": "d", "processor": "p", "cores": 2}
    good = {name: {"failure": None, "configuration": name, "words": 5, "steps": 1,
                   "cycles": [3, 3], "where": where} for name in SMOKE}
    parts = {name: {} for name in PARTS} | {"smoke": good}
    assert "FAILED" not in document(parts) and "`lstm2` | lstm6+lstm5" in document(parts)
    bad = good | {"lstm2": good["lstm2"] | {"failure": "h differs"}}
    text = document(parts | {"smoke": bad})
    assert "**FAILED** lstm2: h differs" in text and "| **FAILED** 12 configurations" in text
    (line,) = (line for line in text.splitlines() if line.startswith("| `lstm2` | lstm6"))
    assert "| not: smoke |" in line and line.endswith("| – |")


def test_campaign_that_is_not_whole_fails():
    passed = {"passed": True}
    assert campaign._failure([passed] * 2, 3) == "only 2 of 3 were run"
    assert campaign._failure([passed] * 3, 3) is None
    wrong = {"passed": False, "title": "t", "failure": "f", "config": "{}"}
    assert "t: f; again: python -m gatewright.campaign --only" in campaign._failure(
        [passed, wrong], 2)
    few = {"a": {"failure": None, "configurations": 500, **dict.fromkeys(campaign.SUMS, 9)}}
    assert not campaign.claims(few)[0].passed
    enough = {"a": few["a"] | {"steps": 10_000_000}}
    assert campaign.claims(enough)[0].passed


def test_smoke_has_everything():
    """Every cell, family, stream form and option is in one of the named configurations."""
    configs = SMOKE.values()
    cells = {layer[0] for config in configs for layer in config.layers}
    assert cells >= {"rnn", "lstm", "gru", "gru_reset_before", "linear"}
    assert {config.family for config in configs} == {"portable", "ecp5", "ice40"}
    assert {config.pipeline for config in configs} == {"deep", "shallow"}
    for flag in ("wide", "pack", "argmax", "load_weights", "loads", "returns", "tokens", "links",
                 "special", "random_table"):
        assert any(getattr(config, flag) for config in configs), flag
    assert any(config.posts > 1 for config in configs) and any(c.cols > 1 for c in configs)
    assert {case["name"] for case in smoke.cases(True)} < set(SMOKE)
