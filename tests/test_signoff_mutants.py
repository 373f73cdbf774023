"""The mutants' own tools: one that is another core is told, one that is none is proved to be none.
"""

import pytest

from tests.signoff import golden_mutants, mutants
from tests.signoff.golden_reasons import REASONS
from tests.signoff.golden_sources import changes_of
from tests.signoff.mutant_netlists import SELECT, yosys
from tests.signoff.mutant_proofs import OTHER, Prover
from tests.signoff.mutant_windows import Windows

# 1: a bit that is always low, so no other core; 2: another reset value, seen at once; 3: a register
# that differs, and is looked at only once it cannot; 4: the same, looked at too early.
CORE = f"""module net(input clk, input rst, input en, input [9:0] {SELECT}, output [3:0] count);
  reg [3:0] count_q = 0; reg [1:0] age = 0; reg flag = 0;
  wire high = {SELECT} == 1 ? 1'b0 : count_q == 12;
  always @(posedge clk) begin
    if (count_q == 9 || high) count_q <= 0; else if (en) count_q <= count_q + 1;
    if (age != 3) age <= age + 1;
    flag <= age == 0 ? {SELECT} >= 3 : 1;
    if (rst) begin count_q <= {SELECT} == 2 ? 4 : 0; age <= 0; flag <= 0; end
  end
  assign count = count_q ^ ((age >= ({SELECT} == 4 ? 1 : 2)) ? {{3'b0, flag}} : 4'd0);
endmodule
"""
PORTS = [{"name": name, "direction": direction, "width": width} for name, direction, width in (
    ("clk", "in", 1), ("rst", "in", 1), ("en", "in", 1), ("count", "out", 4))]


def test_proofs(tmp_path):
    (tmp_path / "core.v").write_text(CORE)
    (tmp_path / "mutants.txt").write_text("")
    yosys("read_verilog core.v; hierarchy -top net; proc; opt; write_rtlil mutants.il", tmp_path)
    told = Prover(tmp_path, "net", PORTS).prove([1, 2, 3, 4])
    assert told[1] == "state for state"
    assert told[2] == told[4] == OTHER
    assert told[3] == "1 registers of its own"


def test_quick_case(tmp_path):
    """Twelve mutants of one block: most are told, the others proved."""
    (case,) = mutants.cases(True)
    record = mutants.measure(case | {"mutants": 12}, tmp_path, None, {"seed": 1})
    assert record["failure"] is None and record["mutants"] == 12 and record["golden"] >= 8
    assert record["golden"] + len(record["same"]) + record["told"].get("broken input", 0) == 12
    (claim,) = mutants.claims({"a": record})
    assert not claim.passed  # one block is not all
    assert "dump" in mutants.section({"a": record})


def test_changes():
    text = "def f(a, b):\n    return min(a + 1, saturate(b, 3))\n"
    found = {change.name.partition(" | ")[2] for change in changes_of(text, 99, 1)}
    assert found == {"min(a + 1, saturate(b, 3)) -> max(a + 1, saturate(b, 3))", "a + 1 -> a - 1",
                     "1 -> 2", "1 -> 0", "saturate(b, 3) -> b", "3 -> 4", "3 -> 2"}
    assert changes_of(text, 2, 1) == changes_of(text, 2, 1) and len(changes_of(text, 2, 1)) == 2


@pytest.mark.parametrize("name", sorted(REASONS))
def test_reasons_are_of_changes(name):
    """A reason whose change is no longer there is none."""
    text = golden_mutants.source_of(f"golden.{name}").read_text(encoding="utf-8")
    assert REASONS[name].keys() <= {change.name for change in changes_of(text, 10 ** 6, 1)}
    assert sum(map(len, REASONS.values())) <= golden_mutants.MOST_REASONS


def test_reasons_are_of_mutants():
    """They are few, of cases that there are; one of a mutant that is told is a failure."""
    cases = {case["name"]: case for case in mutants.cases(quick=False)}
    assert mutants.REASONS.keys() <= cases.keys()
    assert sum(map(len, mutants.REASONS.values())) <= mutants.MOST_REASONS
    record = mutants._record(cases["dump of lstm2"], left=[], wrong=["inv dump.count"], mutants=1)
    assert "a reason for what is told, or is no mutant: inv dump.count" in record["failure"]
    assert mutants._record(cases["dump of lstm2"], left=[], wrong=[])["failure"] is None


# 1: differs where nothing is valid; 2: where something is; 3, 4: what is not written, and where;
# 5: where it is written; 6, 7: what is read and not looked at, and looked at; 8, 9: the same of a
# product; 10, 12: what is written, and when; 11: five cycles after power-up, and of few words, so
# that no random run tells it.
PIPELINE = f"""module net(input clk, input rst, input s_axis_tvalid, input s_axis_tlast,
    input [3:0] s_axis_tdata, input m_axis_tready, input [9:0] {SELECT},
    output m_axis_tvalid, output [15:0] m_axis_tdata);
  reg [3:0] data_q1 = 0, data_q2 = 0; reg valid_q1 = 0, valid_q2 = 0;
  reg [3:0] age = 0; reg [15:0] words = 0;
  reg [7:0] read_q2 = 0; reg signed [7:0] product_q2 = 0; reg [7:0] memory [0:15];
  wire signed [3:0] factor = {SELECT} == (valid_q1 ? 9 : 8) ? ~data_q1 : data_q1;
  wire signed [7:0] product = factor * factor;
  always @(posedge clk) begin
    data_q1 <= s_axis_tdata ^ ({SELECT} == (s_axis_tvalid ? 2 : 1) && s_axis_tdata == 9);
    valid_q1 <= s_axis_tvalid; valid_q2 <= valid_q1; data_q2 <= data_q1; product_q2 <= product;
    read_q2 <= memory[data_q1 ^ ({SELECT} == (valid_q1 ? 7 : 6))];
    if (s_axis_tlast || {SELECT} == 12 && s_axis_tvalid)
      memory[s_axis_tdata ^ ({SELECT} == (s_axis_tlast ? 5 : 4))] <= {{s_axis_tdata,
        s_axis_tdata ^ ({SELECT} == (s_axis_tlast ? 10 : 3))}};
    if (rst) begin valid_q1 <= 0; valid_q2 <= 0; end
    if (age != 15) age <= age + 1;
    words <= {{words, s_axis_tdata}};
  end
  assign m_axis_tvalid = valid_q2;
  assign m_axis_tdata = {{product_q2[3:0] ^ data_q2,
    data_q2 ^ ({SELECT} == 11 && age == 5 && words == 16'h9a3c), read_q2}};
endmodule
"""


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("windows")
    (folder / "mutants.v").write_text(PIPELINE)
    (folder / "mutants.txt").write_text("")
    core = PIPELINE.replace(f", input [9:0] {SELECT}", "").replace(SELECT, "10'd0")
    return Windows(folder, "net", core, {"m_axis_tvalid": None, "m_axis_tdata": "m_axis_tvalid"})


@pytest.mark.parametrize("mutant, own", [(k, k in (1, 3, 4, 6, 8)) for k in range(1, 13)])
def test_windows(windows, mutant, own):
    told = windows.prove([mutant])[mutant]
    assert (told is not None) == own


def test_windows_that_cannot_be_prove_nothing(windows, monkeypatch):
    """What is known holds in no cycle at all, and every mutant would be the core."""
    names = windows._pair._netlist.names
    a, b = names["valid_q1"][0], names["valid_q2"][0]
    monkeypatch.setattr(windows, "_known", {((a, x), (b, y)) for x in (0, 1) for y in (0, 1)})
    assert windows.prove([11]) == {11: None}
