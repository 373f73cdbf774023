"""A small core's gates: equal to golden, and not so with a single bit of them flipped.

ECP5 with inferred block RAM, which holds the weights, and inferred multipliers.
"""

import random
import re
from dataclasses import replace

import pytest

from gatewright.campaign_check import Case, _simulate
from gatewright.campaign_networks import Config
from gatewright.gates import gate_simulator
from sim.fast import FastSimulator
from synth.gates import Gates, write_gates

CONFIG = Config(seed=5, layers=(("gru", 8, "identity", False),), inputs=6, lanes=1, act_width=6,
                cell_width=8, pipeline="shallow", random_table=True, batches=((2, 2), (1, 9)),
                resets=3)
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
        assert _simulate(case, core) is None
    assert case.outcome.resets == CONFIG.resets and case.outcome.words > 500


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
