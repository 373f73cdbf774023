"""A slice of the campaign, and the campaign itself: it fails when it must, and says what to do."""

import json
import re
from dataclasses import replace

import pytest
from typer import Typer
from typer.testing import CliRunner

from gatewright.campaign import main
from gatewright.campaign_check import check, shrink
from gatewright.campaign_networks import Config, draw, make_network
from golden.network import Cell
from hw.families import FAMILIES
from hw.pipeline import PIPELINES
from hw.program import make_program

SEED = 2026  # of the slice; `make campaign SEED=...` takes others
TINY = Config(seed=5, layers=(("gru", 3, "identity", False), ("linear", 2, "identity", True)),
              inputs=2, lanes=3, batches=((2, 1), (3, 5)), resets=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("campaign")


@pytest.mark.parametrize("index", range(12))
def test_slice(folder, index):
    config = draw(SEED, index, cycles=150_000, steps=3000, multipliers=48)
    outcome = check(config, folder)
    assert outcome.passed, (outcome.failure, config.to_json())
    assert outcome.words > outcome.steps > 50
    assert outcome.resets == config.resets >= 10 and outcome.runs > 8


def test_drawn_networks_cover_what_they_should():
    """Every cell, every option and both ends of the widths, and sums that often saturate."""
    drawn = [draw(SEED, index) for index in range(150)]
    assert drawn[:5] == [draw(SEED, index) for index in range(5)]
    assert draw(SEED + 1, 0) != drawn[0] != drawn[1]
    assert {layer[0] for c in drawn for layer in c.layers} == set(map(str, Cell))
    assert 30 < sum(bool(c.links) for c in drawn) < 90 and any(c.max_steps for c in drawn)
    for flag in ("loads", "returns", "last_step_only", "argmax", "load_weights", "tokens",
                 "random_table", "wide", "pack"):
        assert 5 < sum(bool(getattr(c, flag)) for c in drawn) < 100, flag
    assert {c.family for c in drawn} == set(FAMILIES)
    assert {c.pipeline for c in drawn} == set(PIPELINES)
    assert {c.cols for c in drawn} > {1, 2, 3, 4, 5, 6, 8, 16}
    assert {c.posts for c in drawn} == set(range(1, 13))
    several = [c for c in drawn if c.posts > 1]
    for kind in (int.__lt__, int.__eq__, int.__gt__):
        assert sum(kind(c.posts, c.cols) for c in several) > 10
    for pipeline, least in (("shallow", 4), ("flat", 1)):
        assert sum(c.wide and c.pipeline == pipeline for c in several) > least
    vendor = [c.pipeline for c in drawn if c.family != "portable"]
    assert vendor.count("deep") > 3 * vendor.count("shallow")
    assert {c.act_width for c in drawn} == set(range(4, 19))
    assert {c.weight_width for c in drawn} == set(range(2, 17))
    assert min(c.lanes for c in drawn) == 1 and max(c.lanes for c in drawn) > 80
    for config in drawn:
        assert any(steps == 1 for _, steps in config.batches)
        network = make_network(config)
        assert network.acc_width <= 48
        for layer in network.layers:  # what the engine is promised of weights and shifts
            limit = 1 << (config.weight_width - 1)
            assert -limit <= layer.w.min() and layer.w.max() < limit
            assert (layer.acc_frac - layer.pre.frac).max() <= 20


def test_json_round_trip():
    for index in range(30):
        config = draw(SEED, index, special=index % 2 == 1)
        assert bool(config.special) is (index % 2 == 1)
        for same in (config, replace(config, batches=((1, 1),))):
            assert Config.from_json(same.to_json()) == same
    for text in ("{", "[]", '{"seed":1}', '{"seed":1,"layers":[],"inputs":2,"colour":1}', "7x"):
        with pytest.raises(ValueError, match="A configuration must be JSON as the campaign"):
            Config.from_json(text)


def _flip_weight(text: str) -> str:
    """The Verilog with the sign of one weight flipped, in the first word of its memory."""
    depth = make_program(make_network(TINY), lanes=TINY.lanes).weight_words
    found = re.search(rf"memory \[{depth - 1}:0\];\s+initial begin\s+memory\[0\] = "
                      r"\d+'([hd])(\w+);", text)
    word = int(found[2], 16 if found[1] == "h" else 10) ^ 0x80
    return text[:found.start(2)] + format(word, "x" if found[1] == "h" else "d") \
        + text[found.end(2):]


def test_output_that_takes_as_long_as_a_step_holds_none_back(folder):
    """Results leave all the time, and the array as well works all the time (campaign 1, 221)."""
    config = Config(seed=5, layers=(("gru", 1, "identity", False),
                                    ("linear", 28, "identity", False)), inputs=1, lanes=4, posts=2,
                    act_width=8, pipeline="shallow", batches=((20, 1), (3, 2), (2, 30)), resets=5)
    outcome = check(config, folder, optimise=False)
    assert outcome.passed, outcome.failure


def test_changed_core_is_noticed(folder):
    assert check(TINY, folder).passed
    wrong = check(TINY, folder, mutate=_flip_weight)
    assert not wrong.passed
    assert re.match(r"unpaused: sequence \d+, ", wrong.failure)


def test_shrink():
    """Fails from 5 LSTM units on with more than one step: nothing else is left over."""
    config = draw(SEED, next(k for k in range(200) if any(
        cell == "lstm" and units > 30 for cell, units, _, _ in draw(SEED, k).layers)))

    def failing(config: Config) -> str | None:
        wide = any(cell == "lstm" and units >= 5 for cell, units, _, _ in config.layers)
        return "wide" if wide and any(steps > 1 for _, steps in config.batches) else None

    least, failure, trials = shrink(config, failing, trials=200)
    assert failure == "wide" and 5 < trials <= 200
    ((cell, units, _, _),), ((sequences, steps),) = least.layers, least.batches
    assert cell == "lstm" and 5 <= units < 10
    assert (sequences, least.inputs, least.lanes, least.cols) == (1, 1, 1, 1) and 2 <= steps < 4
    assert not (least.loads or least.returns or least.argmax or least.tokens or least.resets)
    assert shrink(config, lambda config: None, trials=3)[1:] == (None, 3)


def _cli(*arguments):
    app = Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_command(tmp_path):
    result = _cli("--only", TINY.to_json(), "--out", tmp_path / "a.jsonl")
    assert result.exit_code == 0, result.output
    assert re.search(r"^1 configurations, 7 runs, 5 resets, .*: 0 failed$", result.output, re.M)
    (line,) = (tmp_path / "a.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert record["passed"] and record["words"] > 100
    assert Config.from_json(record["config"]) == TINY


def test_failing_command(tmp_path):
    """A network that cannot be generated is a failure, and its command is printed."""
    broken = replace(TINY, lanes=5000)
    result = _cli("--only", broken.to_json(), "--no-shrink", "--out", tmp_path / "a.jsonl")
    assert result.exit_code == 1
    assert "ValueError: Lanes must be an integer from 1 to 4096, not 5000" in result.output
    again = re.search(r"--only '(.*)'", result.output)[1]
    assert Config.from_json(again) == broken


def test_nothing_run_is_no_pass(tmp_path):
    result = _cli("--minutes", 0, "--out", tmp_path / "a.jsonl")
    assert result.exit_code == 2 and "nothing was run" in result.output
    result = _cli("--only", "{}", "--out", tmp_path / "a.jsonl")
    assert result.exit_code == 2 and "A configuration must be JSON" in result.output
