"""Coverage: sequences that are searched, what never comes to be, and points by name."""

import numpy as np
import pytest

from gatewright.campaign_networks import Config, make_codes, make_network, make_table
from golden.model import run_golden
from tests.signoff import windows
from tests.signoff.coverage_points import Point
from tests.signoff.coverage_search import farthest
from tests.signoff.coverage_text import whole_memories
from tests.signoff.induction import Induction
from tests.signoff.netlist import read_netlist
from tests.signoff.products import find_products, without_products
from tests.signoff.waivers import NAMED, Named, named_for, waive_named


def test_behind_a_memorys_last_word():
    """A memory that nothing writes has zeros there; one that is written, and its text, stay."""
    lines = ["  reg [3:0] memory [4:0];", "  initial begin", "    memory[0] = 4'h1;", "  end",
             "  reg [3:0] kept [2:0];"]
    text = whole_memories(lines, {5}).splitlines()
    assert text[:2] == ["  reg [3:0] memory [7:0];", "  initial begin"] and text[-1] == lines[-1]
    assert [line.strip() for line in text[2:5]] == [f"memory[{k}] = 0;" for k in (5, 6, 7)]


STUCK = """module top(input clk, input rst, input up, output reg kept, output out);
  initial kept = 0;
  reg [9:0] late = 0;
  assign out = kept;
  always @(posedge clk) begin
    late <= {late[8:0], up & ~up_too};
    if (up & late[9]) kept <= 1; else if (rst) kept <= KEPT;
  end
  wire up_too = up;
endmodule
"""


@pytest.mark.parametrize("kept, never", [("kept", True), ("1", False)])
def test_what_never_comes_to_be(tmp_path, kept, never):
    """A bit that is not there, and does not come, is never there; one that a reset sets, is."""
    netlist = read_netlist(STUCK.replace("KEPT", kept), "top", tmp_path)
    bit = netlist.names["kept"][0]
    passed, still = windows.in_windows(netlist, [], set(), [((bit, 1),)], [(bit, 1), (bit, 0)])
    assert (((bit, 1),) in passed) is never and ((bit, 1) in still) is never


def test_named_points(tmp_path):
    """A name waives what fits it and is not reached; what it fits otherwise is told."""
    def bit(number):
        return Point(kind="toggle", module="a", line=number, column=1, what=f"x[{number}]:0->1")

    points = {bit(1): 0, bit(2): 0, bit(3): 5}

    def named(text):
        return [Named(configurations=("gru",), points=text, reason="")]

    assert waive_named(points, {}, named(r"toggle a x\[[12]\]:.*")) == (
        {bit(1): NAMED, bit(2): NAMED}, [], [])
    assert waive_named(points, {bit(2): "never"}, named(r"toggle a x\[2\]:.*"))[2]    # no need
    assert waive_named(points, {}, named(r"toggle a y.*"))[2]                         # no point
    assert waive_named(points, {}, named(r"toggle a x.*"))[1] == ["toggle a:3: x[3]:0->1"]
    path = tmp_path / "waivers.toml"
    path.write_text('[[point]]\nconfigurations = ["gru"]\npoints = "x"\nreason = "y"\n')
    assert [one.points for one in named_for("gru", path)] == ["x"] and not named_for("lstm", path)
    for name in ("gru", "lstm"):
        assert all(one.reason for one in named_for(name))


def test_search_goes_far():
    """Farther than random sequences, for every value of every unit; and within the codes."""
    config = Config(seed=5, layers=(("lstm", 3, "identity", False),), inputs=2, act_width=8,
                    weight_width=6, cell_width=10, lanes=2, loads=True, batches=((300, 20),))
    network, table = make_network(config), make_table(config, make_network(config))
    codes = farthest(np.random.default_rng(1), network, config, table)
    (found,), (drawn,) = (run_golden(network, some, table=table, keep=None).signals
                          for some in (codes, *make_codes(config, network)))
    assert len(codes.x) < 300 and codes.x.min() >= -128 and codes.x.max() <= 127
    for name, values in found.items():
        assert np.all(values.max(axis=(0, 1)) >= drawn[name].max(axis=(0, 1))), name
        assert np.all(values.min(axis=(0, 1)) <= drawn[name].min(axis=(0, 1))), name


PRODUCT = """module top(input clk, input [3:0] a, output [7:0] p, output reg small);
  wire [3:0] b;
  initial small = 0;
  assign b = 4'h0;
  assign p = $signed(a) * $signed(b);
  always @(posedge clk) small <= b[0];
endmodule
"""


def test_without_the_gates_of_products(tmp_path):
    """A product may be anything then; what does not come of it is what it was."""
    whole = read_netlist(PRODUCT, "top", tmp_path)
    text = PRODUCT.replace("  assign p = ", "  assign p  = ")
    less = without_products(whole, find_products(text, "top", whole.names))
    assert len(less.gates) < len(whole.gates)
    p, small = whole.names["p"][1], whole.names["small"][0]
    for netlist, never in ((whole, {((small, 1),), ((p, 1),)}), (less, {((small, 1),)})):
        proof = Induction(netlist, [((small, 1),), ((p, 1),)])
        assert proof.never == never
        proof.close()
