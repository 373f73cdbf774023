"""The tests' own test: bugs of the kind people make, each put into the source and caught.

A bug is a text of one source file and what stands there instead. The text must be there once, so
that a bug stays one while the code changes.
"""

import importlib
from dataclasses import dataclass, replace

import pytest

from gatewright.campaign_check import PAUSES, Case
from hw.emit import generate
from sim.build import find_simulator
from sim.fast import FastSimulator
from tests.patched import edited, patched
from tests.signoff.configurations import SMOKE

# Codes of four bits, so that the largest result of a step is often there twice.
NARROW = {"narrow-argmax": replace(SMOKE["tokens-argmax"], act_width=4)}
CONFIGS = SMOKE | NARROW
# The runs of a core, in this order.
RUNS = {"plain": {}, "paused": {"pauses": PAUSES[2]}, "reset": {"resets": range(50, 1000, 37)}}


@dataclass(frozen=True)
class Bug:
    """What is changed, and the first check that must tell: (run, kind, signal)."""

    config: str
    module: str
    old: str
    new: str
    told: tuple


HARDWARE = {
    "rounding constant off by one": Bug(
        "lstm", "hw.activation", "half = 1 << (shift - 1)", "half = (1 << (shift - 1)) - 1",
        ("plain", "value", "c")),
    "saturates at the largest code less one": Bug(
        "lstm", "hw.arith", "edge = Cat((~sign).replicate(width - 1), sign)",
        "edge = Cat(C(0, 1), (~sign).replicate(width - 2), sign)", ("plain", "value", "h")),
    "gates f and g swapped": Bug(
        "lstm", "hw.combine", "LSTM_I, LSTM_F, LSTM_G = 0, 1, 2",
        "LSTM_I, LSTM_F, LSTM_G = 0, 2, 1", ("plain", "value", "c")),
    "stale state after last": Bug(
        "lstm", "hw.combine", "old = Mux(tags[0].masked, 0, cells.r_data)", "old = cells.r_data",
        ("plain", "value", "c")),
    "register without its reset": Bug(
        "lstm", "hw.loader", "starting = Signal(init=1)",
        "starting = Signal(init=1, reset_less=True)", ("reset", "value", "c")),
    "beat dropped under back-pressure": Bug(
        "lstm", "hw.output", "move.eq(self.ready)]", "move.eq(1)]", ("paused", "value", "output")),
    "valid a cycle early": Bug(
        "lstm", "hw.queue", "valid.eq(fetched)", "valid.eq(some)", ("plain", "value", "output")),
    "columns off by one": Bug(
        "gru", "hw.sequencer", "near.eq(left == 2)]", "near.eq(left == 3)]",
        ("plain", "value", "h")),
    "bank of the vector memory not swapped": Bug(
        "gru", "hw.engine", "sequencer.bank ^ old", "sequencer.bank", ("plain", "value", "h")),
    "bias of the neighbouring row": Bug(
        "gru", "hw.drain", 'row_addr.eq(values["row_base"])', 'row_addr.eq(values["row_base"] + 1)',
        ("plain", "value", "h")),
    "reset gate after the product, not before": Bug(
        "gru-before", "hw.builder", "reset = (Source.NEW, gated,",
        "reset = (Source.OLD, self.bases[idx],", ("plain", "value", "h")),
    "negative argument looked up by its complement": Bug(
        "gru", "hw.activation", "magnitude.eq(Mux(self.pre[-1], -self.pre, self.pre))",
        "magnitude.eq(Mux(self.pre[-1], ~self.pre, self.pre))", ("plain", "value", "h")),
    "the last of equal results is the largest": Bug(
        "narrow-argmax", "hw.output", "(value > best)", "(value >= best)",
        ("plain", "value", "output")),
}


@pytest.fixture(scope="module")
def simulator():
    return find_simulator()


def first_told(case: Case, folder, simulator) -> tuple | None:
    """The first run that shows a difference, with its kind and signal."""
    rtl = folder / f"{case.core.name}.v"
    rtl.write_text(case.core.verilog)
    given = case.stimulus(range(len(case.sequences)))
    with FastSimulator(rtl, case.core.manifest, folder, simulator=simulator,
                       optimise=False) as core:
        for run, how in RUNS.items():
            difference = core.run(given, seed=1, **how).difference
            if difference is not None:
                return run, difference["kind"], difference["signal"]
    return None


@pytest.mark.parametrize("config", sorted({bug.config for bug in HARDWARE.values()}))
def test_without_a_bug(config, tmp_path, simulator):
    assert first_told(Case(CONFIGS[config], generate=generate), tmp_path, simulator) is None


@pytest.mark.parametrize("bug", HARDWARE.values(), ids=HARDWARE)
def test_caught_in_hardware(bug, tmp_path, simulator):
    """Only hw is changed: golden, the bench and the test are what they always are."""
    with patched(bug.module, edited(bug.module, bug.old, bug.new)):
        case = Case(CONFIGS[bug.config], generate=importlib.import_module("hw.emit").generate)
    assert first_told(case, tmp_path, simulator) == bug.told


# Golden's own bugs: (module, old, new, test that must fail, its arguments); the last one is told by
# golden itself, which measures its tables.
MODEL = "test_golden_model"
GOLDEN = {
    "a tie rounded down": (
        "golden.fixed", "(values << (left + 1)) >> right",
        "((values << (left + 1)) - (right > 0)) >> right",
        "test_golden_fixed", "test_round_shift_ties", ()),
    "saturates one code too far": (
        "golden.fixed", "-top, top - 1)", "-top, top)",
        "test_golden_fixed", "test_saturate_every_value", (4,)),
    "gates f and g swapped": (
        "golden.model", '"ifgo".index(gate)', '"igfo".index(gate)',
        MODEL, "test_equals_exact_rationals", "lstm"),
    "update gate the wrong way round": (
        "golden.model", "z * (h - n)", "z * (n - h)",
        MODEL, "test_equals_exact_rationals", "gru"),
    "reset gate after the product, not before": (
        "golden.model", "recurrent(rh, last)", "recurrent(h, last)",
        MODEL, "test_equals_exact_rationals", "gru_reset_before"),
    "cell state that is not carried on": (
        "golden.model", 'h, c = signals["h"], signals.get("c")', 'h = signals["h"]',
        MODEL, "test_equals_exact_rationals", "lstm"),
    "sign of the table's argument": (
        "golden.tables", "np.where(codes < 0, -line, line)", "np.where(codes < 0, line, -line)",
        MODEL, "test_equals_exact_rationals", "rnn"),
}
IMPORTING = ("networks", "scalar_model", MODEL, "test_golden_fixed")


def run_golden_test(name: str, function: str, given) -> None:
    module = importlib.import_module(name)
    getattr(module, function)(*(module.EXACT[given] if isinstance(given, str) else given))


@pytest.mark.parametrize("bug", GOLDEN.values(), ids=GOLDEN)
def test_caught_in_golden(bug):
    module, old, new, *check = bug
    run_golden_test(*check)
    with (patched(module, edited(module, old, new), also=IMPORTING),
          pytest.raises((AssertionError, ValueError))):
        run_golden_test(*check)
    run_golden_test(*check)  # what was patched is gone


def test_enough():
    assert len(HARDWARE) >= 10 and len(GOLDEN) >= 3


@pytest.mark.parametrize("old", ["no such text", "m.d.sync"])
def test_text_that_is_not_there_once_wrong(old):
    with pytest.raises(ValueError, match=r"^hw.drain must hold the text .* once, not"):
        edited("hw.drain", old, "")
