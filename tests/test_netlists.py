"""A small core's gates: equal to golden, and not so with a single bit of them flipped.

ECP5 with inferred block RAM, which holds the weights, and inferred multipliers.
"""

import random
import re
from dataclasses import replace

import pytest

from gatewright.campaign_check import Case, simulate
from gatewright.campaign_networks import Config
from gatewright.gates import gate_simulator
from sim.fast import FastSimulator
from synth.gates import Gates, write_gates
from tests.signoff import netlists

CONFIG = Config(seed=5, layers=(("gru", 8, "identity", False),), inputs=6, lanes=1, act_width=6,
                cell_width=8, pipeline="shallow", random_table=True, batches=((2, 2), (1, 9)),
                resets=3)
# Weights that are loaded into SPRAM, which none of the named configurations is large enough for.
SPRAM = Config(seed=6, layers=(("gru", 24, "identity", False),), inputs=12, lanes=4,
               operand_width=16, load_weights=True, family="ice40", random_table=True,
               batches=((2, 2), (1, 9)), resets=3)
FLIPS = 40
# A LUT with one row of its table inverted in one run: every run begins with one reset.
COUNTER = ");\n  reg [7:0] run = 0;\n  always @(posedge rst) run <= run + 1;"
FLIPPED = """
module FLIPPED #(parameter [15:0] INIT = 0, parameter RUN = 0, parameter [3:0] ROW = 0) (
    input A, B, C, D, output Z);
  assign Z = INIT[{D, C, B, A}] ^ (net.run == RUN && {D, C, B, A} == ROW);
endmodule
"""


@pytest.fixture(scope="module")
def case() -> Case:
    return Case(CONFIG)


@pytest.fixture(scope="module")
def gates(case, tmp_path_factory) -> Gates:
    made = write_gates(case.core.verilog, case.core.manifest, "ecp5-25f",
                       build_dir=tmp_path_factory.mktemp("synth"))
    assert made.usage["bram"]["used"] and made.usage["dsp"]["used"]
    return made


def difference(case: Case, core: FastSimulator) -> str | None:
    """Of all sequences without pauses: the first, in words."""
    given = case.stimulus(range(len(case.sequences)))
    return (core.run(given, seed=1).difference or {}).get("message")


def test_gates_are_the_core(case, gates, tmp_path):
    """Without pauses, with pauses, behind resets: words, states, counters, cycles."""
    with gate_simulator(gates, case.core.manifest, tmp_path) as core:
        assert simulate(case, core) is None
    assert case.outcome.resets == CONFIG.resets and case.outcome.words > 500


@pytest.mark.slow
def test_gates_with_spram(tmp_path):
    case = Case(SPRAM)
    made = write_gates(case.core.verilog, case.core.manifest, "up5k", build_dir=tmp_path)
    assert all(made.usage[kind]["used"] for kind in ("bram", "dsp", "spram"))
    with gate_simulator(made, case.core.manifest, tmp_path) as core:
        assert simulate(case, core) is None
    assert case.outcome.words > 500


@pytest.mark.parametrize("target,family,said", [
    ("gw1nr-9c", "portable", "whose gates have models"),
    ("up5k", "ecp5", "holds cells of ecp5 and has no gates of ice40")])
def test_gates_wrong(tmp_path, target, family, said):
    manifest = {"name": "net", "family": family, "primitives": ["DP16KD"]}
    with pytest.raises(ValueError, match=said):
        write_gates("module net; endmodule", manifest, target, build_dir=tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_flipped_weight_bit(case, gates, tmp_path):
    """One bit of a block RAM's contents: the highest of the eleventh weight, one of h."""
    found = re.search(r"DP16KD #\([^;]*\.INITVAL_00\(320'h(\w+)\)[^;]*\) \\weights", gates.verilog)
    text, (begin, end) = gates.verilog, found.span(1)
    wrong = replace(gates, verilog=f"{text[:begin]}{int(found[1], 16) ^ 1 << 107:x}{text[end:]}")
    with gate_simulator(wrong, case.core.manifest, tmp_path) as core:
        assert " of layer 0 (l0) is " in difference(case, core)


def test_flipped_lut_bits(case, gates, tmp_path):
    """One bit of one LUT at a time; a flip in a row that never comes cannot show."""
    luts = re.finditer(r"LUT4 #\(\s*\.INIT\((16'h\w+)\)\s*\)([^;]*);", gates.verilog)
    rng, text, at = random.Random(1), "", 0
    chosen = sorted(rng.sample(list(luts), FLIPS), key=re.Match.start)
    for run, lut in enumerate(chosen, 2):
        tied = dict(re.findall(r"\.([A-D])\(1'h([01])\)", lut[2]))
        row = "".join(tied.get(pin, str(rng.randrange(2))) for pin in "DCBA")
        text += (f"{gates.verilog[at:lut.start()]}FLIPPED #(.INIT({lut[1]}), .RUN({run}), "
                 f".ROW(4'b{row})){lut[2]};")
        at = lut.end()
    text = (text + gates.verilog[at:] + FLIPPED).replace(");", COUNTER, 1)
    with gate_simulator(replace(gates, verilog=text), case.core.manifest, tmp_path) as core:
        assert difference(case, core) is None
        found = [difference(case, core) is not None for _ in range(FLIPS)]
    assert FLIPS // 8 < sum(found), f"{sum(found)} of {FLIPS} found"


def test_claim_needs_every_netlist():
    """With RAM and DSP blocks in both families; none that is missing or failed is passed over."""
    good = {case["name"]: {"failure": None, "family": case["family"], "bram": 1, "dsp": 2,
                           "words": 3, "cycles": 4, "resets": 5} for case in netlists.cases(False)}
    (claim,) = netlists.claims(good)
    assert claim.passed and claim.figure.startswith("11 ECP5 netlists with 11 RAM and 22 DSP")
    name, *others = good
    assert not netlists.claims({other: good[other] for other in others})[0].passed
    assert not netlists.claims(good | {name: {"failure": "the process died"}})[0].passed
    without = {key: record | {"bram": 0} if record["family"] == "ice40" else record
               for key, record in good.items()}
    assert not netlists.claims(without)[0].passed
