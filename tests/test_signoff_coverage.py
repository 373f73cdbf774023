"""Coverage: its file is read, its rules have caps, what is missing is named, proofs can fail."""

import numpy as np
import pytest

from gatewright.campaign_networks import Config
from sim.fast import FastSimulator
from tests.signoff import coverage, functional, windows
from tests.signoff.coverage_points import KINDS, Point, read_points
from tests.signoff.coverage_runs import case_to_cover, cover
from tests.signoff.coverage_text import Situations
from tests.signoff.coverage_waived import waive
from tests.signoff.functional_points import POINTS, counted, watched
from tests.signoff.induction import Induction
from tests.signoff.netlist import Netlist, read_netlist
from tests.signoff.waivers import CONSTANT, NEVER, RULES, START, broken, useless

TINY = Config(seed=3, layers=(("rnn", 2, "relu", False),), inputs=2, act_width=6, weight_width=4,
              cell_width=8, lanes=2, batches=((1, 1),))

COUNTER = """module top(input clk, input up, output reg [2:0] n, output wide);
  initial n = 0;
  wire odd;
  assign odd = n[0];
  assign wide = n[2];
  always @(posedge clk) begin
    if (up) begin
      n <= (n == 3'd2) ? 3'd0 : n + 3'd1;
    end
  end
  always @* begin
    if (odd) begin
    end else if (wide) begin
    end
    casez (n)
      3'h0, 3'h1:
          ;
      3'h7:
          ;
      default:
          ;
    endcase
  end
endmodule
"""


def point(kind="branch", line=1, what="if", module="a", column=1):
    return Point(kind=kind, module=module, line=line, column=column, what=what)


def _line(count=3, **fields):
    fields = {"f": "core.v", "l": "10", "n": "8", "page": "v_toggle/net", "h": "net.a.b",
              "o": "x__02ey[3]:0->1"} | fields
    return "C '" + "".join(f"\1{k}\2{v}" for k, v in fields.items()) + f"' {count}\n"


def test_file_is_read(tmp_path):
    path = tmp_path / "coverage.dat"
    path.write_text("# SystemC::Coverage-3\n" + _line() + _line(count=4)
                    + _line(l="11", h="net.*.block") + _line(page="v_branch/net", h="net", o="if"))
    points = read_points(path, lines=10)
    toggle, branch = points
    assert points == {toggle: 7, branch: 3} and (toggle.module, branch.module) == ("a.b", "")
    assert toggle.net == ("a.b.x.y", 3) and toggle.rises and str(branch) == "branch top:10: if"
    for wrong in ("C 'x' many\n", _line(page="v_fsm/net"), _line(h="net.*.a")):
        path.write_text(wrong)
        with pytest.raises(ValueError, match="coverage.dat"):
            read_points(path, lines=10)


def test_rules_have_caps():
    totals = dict.fromkeys(KINDS, 100)
    assert not broken(totals, {(NEVER, "expr"): RULES[NEVER].caps["expr"]}, {})
    assert "more than" in broken(totals, {(NEVER, "expr"): 40}, {})[0]
    assert "more than 0 %" in broken(totals, {(CONSTANT, "line"): 1}, {})[0]
    assert broken(totals, {}, {START: ["branch a:1: if"], CONSTANT: []}) == [
        "rule start waives what is reached: branch a:1: if"]
    used = {(rule, "toggle"): 1 for rule in RULES}
    assert not useless([used]) and useless([used | {(START, "toggle"): 0}]) == [START]


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    return read_netlist(COUNTER, "top", tmp_path_factory.mktemp("counter"))


def test_what_never_is(counter):
    """n counts 0, 1, 2: it is never 3 or more, and that needs the values together."""
    n = counter.names["n"]
    cubes = [tuple((net, value >> k & 1) for k, net in enumerate(n)) for value in range(8)]
    proof = Induction(counter, [*cubes, ((n[2], 1),), ((n[1], 0),), ((0, 1),)])
    assert [proof.impossible(cube) for cube in cubes] == [False] * 3 + [True] * 5
    assert proof.impossible(((n[2], 1),)) and not proof.impossible(((n[1], 0),))
    assert proof.impossible(((0, 1),)) and proof.impossible(((n[0], 1), (n[0], 0)))
    assert not proof.follows(n[2], 1) and proof.follows(n[1], 1)
    proof.close()
    alone = Induction(counter, [((n[2], 1),)])      # not by itself: 3 + 1 is 4
    assert not alone.never
    alone.close()


def test_power_up_counts():
    """A register that holds what it had at power-up."""
    held = {2: (2, 1), 3: (3, None)}
    proof = Induction(Netlist(gates=[], registers=held, names={}),
                      [((net, value),) for net in held for value in (0, 1)])
    assert proof.never == {((2, 0),)}       # 3 may be anything at power-up
    proof.close()


def test_conditions_of_the_text(counter):
    situations, n = Situations(COUNTER, counter.names), counter.names["n"]
    lines = COUNTER.splitlines()

    def of(text, what, kind="branch"):
        number = next(k for k, line in enumerate(lines, 1) if text in line)
        return situations.of(point(kind=kind, line=number, what=what, module=""))

    assert of("if (up)", "if") == [((counter.names["up"][0], 1),)]
    assert of("else if (wide)", "if") == [((n[0], 0), (n[2], 1))]
    assert of("else if (wide)", "else") == [((n[0], 0), (n[2], 0))]
    assert of("3'h7:", "case", "line") == [tuple((net, 1) for net in n)]
    assert len(of("3'h0, 3'h1:", "case", "line")) == 2 and len(of("default:", "case", "line")) == 5
    expression = point(kind="expr", what="(n[2:1][1]==1 && odd==0) => 1", module="")
    assert situations.of(expression) == [((n[2], 1), (n[0], 0))]
    joined = point(kind="expr", what="({32'h1{{{odd, up}, wide}}}[1]==1) => 1", module="")
    assert situations.of(joined) == [((counter.names["up"][0], 1),)]
    for what in ("(nobody==1) => 1", "({32'h1{{odd, n}}}[1]==1) => 1"):
        assert situations.of(point(kind="expr", what=what, module="")) is None
    with pytest.raises(ValueError, match="do not close"):
        Situations("module m;\n  always @* begin\nendmodule", {})


def test_small_core(tmp_path, monkeypatch):
    """With every run all lines are reached or proved out of reach; with few, lines are named."""
    monkeypatch.setattr(windows, "PLAN", windows.PLAN[:1])    # the others take minutes
    case = case_to_cover(TINY)
    rtl = tmp_path / f"{case.core.name}.v"
    rtl.write_text(case.core.verilog)
    with FastSimulator(rtl, case.core.manifest, tmp_path, optimise=False, coverage=True) as core:
        few = cover(case, core, tmp_path, extremes=False)
        every = cover(case, core, tmp_path)
    waived, hit = waive(every, case.core.verilog, "", case.core.name, tmp_path)
    assert not any(hit.values())
    missed = [p for p, count in every.items() if not count and p not in waived]
    assert not [p for p in missed if p.kind == "line"]
    # Nobody made the output wait: the branch of its queue that is for that is named.
    late = [str(p) for p, count in few.items() if not count and every[p] and p.kind == "branch"]
    assert any(name.startswith("branch output.buffer:") for name in late), late
    # The counters' highest bits have changed by counting, from presets.
    (top,) = (p for p in every if p.what == "status_saturations[31]:0->1")
    assert not few[top] and every[top]


def test_missing_point_is_a_failure():
    """In the claim, in the section."""
    record = {"failure": None, "configuration": "gru", "verilog": "0", "seconds": 1,
              "points": dict.fromkeys(KINDS, 10), "reached": dict.fromkeys(KINDS, 9),
              "missed": dict.fromkeys(KINDS, 0), "unreached": [],
              "waived": {rule: dict.fromkeys(RULES[rule].caps, 1) for rule in RULES}}
    (claim,) = coverage.claims({"gru": record})
    assert claim.passed and "100.00 %" in claim.figure
    bad = record | {"failure": "1 points are not reached, as line a:7: case",
                    "missed": dict.fromkeys(KINDS, 1), "unreached": ["line a:7: case"]}
    assert not coverage.claims({"gru": bad})[0].passed
    assert "line a:7: case" in coverage.section({"gru": bad}) and "90.00 %" in coverage.section(
        {"gru": bad})
    idle = record | {"waived": record["waived"] | {NEVER: dict.fromkeys(RULES[NEVER].caps, 0)}}
    assert not coverage.claims({"gru": idle})[0].passed


def test_golden_is_watched():
    with watched() as found:
        case = case_to_cover(TINY, search=False)
    points = counted(found)
    assert points["rounding tie"]["pre-activation"] > 0 and points["saturation"]["h high"] > 0
    assert points["saturation"]["h high"] + points["saturation"]["h low"] == sum(case.saturations)
    with pytest.raises(KeyError):
        counted({("cell", "nothing"): 1})


def test_functional_bins():
    full = {"failure": None, "points": counted({(p, b): 1 for p, bins in POINTS.items()
                                                for b in bins})}
    assert functional.claims({"a": full})[0].passed
    few = {"failure": None, "points": counted({("stall", "for room"): np.int64(2)})}
    claim = functional.claims({"a": few})[0]
    assert not claim.passed and "stall: for input" in claim.figure
    assert "**for input (0)**" in functional.section({"a": few})
