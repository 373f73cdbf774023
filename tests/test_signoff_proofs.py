"""Proofs of what never is: each one holds where it must, and refuses what can be."""

import subprocess
from itertools import product as every

import pytest
from pysat.solvers import Solver

from sim.build import find_simulator
from sim.fast_build import COUNT_WIDE, include_folder
from tests.signoff.control_never import never_in
from tests.signoff.control_states import Part, find_parts, states_of
from tests.signoff.coverage_points import Point
from tests.signoff.coverage_waived import waive
from tests.signoff.induction import Induction
from tests.signoff.netlist import read_netlist
from tests.signoff.pipelines import carried
from tests.signoff.products import Logic, bound_product, find_products
from tests.signoff.waivers import PASSED
from tests.signoff.window import Window
from tests.signoff.windows import FROM, in_windows

# Counts to 4 while it goes; the copy comes two cycles later. What is looked up is at most 9, and
# 9 of 16 parts of it are added to another such number.
CORE = r"""module top(input clk, input rst, input go, input [1:0] at, input [3:0] part,
                     output [8:0] line, output reg [15:0] clipped);
  wire five;
  \top.sequencer sequencer (.clk(clk), .rst(rst), .go(go), .five(five));
  reg [3:0] slope;
  reg [4:0] a;
  reg [4:0] b;
  wire [9:0] p;
  reg [9:0] p_q1 = 0;
  initial clipped = 0;
  always @*
    case (at)
      2'h0: slope = 4'h0;
      2'h1: slope = 4'h9;
      2'h2: slope = 4'h3;
      2'h3: slope = 4'h7;
    endcase
  always @(posedge clk) begin
    a <= { 1'h0, slope };
    b <= { 1'h0, part };
    p_q1 <= p;
    clipped <= rst ? 16'h0 : clipped + (five | line[8] | p_q1[8]);
  end
  assign p = $signed(a) * $signed(b);
  assign line = p_q1[7:0] + 9'h05;
endmodule

module \top.sequencer (input clk, input rst, input go, output five);
  reg [2:0] count = 3'h0;
  reg [2:0] count_q1 = 3'h0;
  reg [2:0] count_q2 = 3'h1;
  assign five = count_q2 == 3'h5;
  always @(posedge clk) begin
    if (go) count <= (count == 3'h4) ? 3'h0 : count + 3'h1;
    if (rst) count <= 3'h0;
    count_q1 <= rst ? 3'h0 : count;
    count_q2 <= count_q1;
  end
endmodule
"""


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    return read_netlist(CORE, "top", tmp_path_factory.mktemp("core"))


def _is(nets, value):
    return tuple((net, value >> k & 1) for k, net in enumerate(nets))


def _counter(core):
    count = core.names["sequencer.count"]
    return Part(registers=tuple(sorted(count)), cut=frozenset())


def test_states(core):
    """Five of eight; the others are never there, and none of the five is said not to be."""
    part, count = _counter(core), core.names["sequencer.count"]
    states = states_of(core, part)
    order = [part.registers.index(net) for net in count]
    assert (states.high ^ states.low).all()             # no reset leaves one open
    assert sorted((states.high[:, order] @ [1, 2, 4]).tolist()) == [0, 1, 2, 3, 4]
    never = never_in(core, part, states)
    for value in range(8):
        there = dict(_is(count, value))
        assert any(all(there[net] == bit for net, bit in cube) for cube in never) == (value > 4)
    assert states_of(core, part, most=2) is None        # too many


def test_undefined_state(tmp_path):
    """What a case leaves open may be either value in a register."""
    text = """module top(input clk, input rst, input go);
  reg n = 1'h0;
  always @(posedge clk) n <= go ? 1'hx : n;
endmodule
"""
    netlist = read_netlist(text, "top", tmp_path)
    part = Part(registers=(netlist.names["n"][0],), cut=frozenset())
    states = states_of(netlist, part)
    assert (states.high & states.low).any() and not never_in(netlist, part, states)


def test_parts(core):
    text = CORE.replace("(input clk, input rst, input go, output five);",
                        "(clk, rst, go, five);\n  input clk;\n  input rst;\n  input go;")
    found = [part for parts in find_parts(core, text, "top") for part in parts]
    assert found and set(core.names["sequencer.count"]) <= set(found[0].registers)
    assert core.names["go"][0] in found[0].cut


def test_carried(core):
    """The first copy has a reset to 0, which the counter may have; the second begins with 1."""
    count, one, two = (core.names[f"sequencer.{name}"] for name in ("count", "count_q1",
                                                                    "count_q2"))
    found = carried(core, {_is(count, 6), _is(count, 0)})
    assert found == {_is(one, 6), _is(two, 6)}
    assert not carried(core, {_is(one, 1)})     # were it never so: at power-up the second is
    assert not carried(core, {((count[0], 0), (core.names["go"][0], 1))})


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 3), (3, 3), (4, 2)])
def test_bounds_of_a_product(n, m):
    """Every product is within them, and most others are not."""
    with Solver(name="cadical195") as solver:
        free = iter(range(2, 10_000))
        solver.add_clause([1])
        a, b, p = ([next(free) for _ in range(k)] for k in (n, m, n + m))
        bound_product(Logic(solver.add_clause, lambda: next(free)), a, b, p)
        allowed = 0
        for x, y, z in every(range(-1 << n - 1, 1 << n - 1), range(-1 << m - 1, 1 << m - 1),
                             range(-1 << n + m - 1, 1 << n + m - 1)):
            there = solver.solve(assumptions=[
                bit if value >> k & 1 else -bit
                for word, value in ((a, x), (b, y), (p, z)) for k, bit in enumerate(word)])
            assert there or z != x * y
            allowed += there
        assert allowed < 20 << n + m


def test_window(core):
    """At most 9 * 15 + 5, so bit 8 never is; bit 7 can be, and only behind two cycles."""
    products = find_products(CORE, "top", core.names)
    assert len(products) == 1
    line, n = core.names["line"], core.names["p_q1"]
    asked = [((line[8], 1),), ((line[7], 1),), ((n[9], 1),), ((n[0], 1), (n[7], 1))]
    short, long = (Window(core, products, (), depth) for depth in (1, 3))
    assert not short.never(asked)       # it begins with anything in the registers
    assert long.never(asked) == {asked[0], asked[2]}
    assert long.still([(line[8], 1), (line[7], 1), (line[7], 0)]) == {(line[8], 1)}
    assert not Window(core, [], {((n[9], 1),)}, 3).never([((line[7], 1),)])
    for window in (short, long):
        window.close()


def test_lasting(tmp_path):
    """Two that hold each other down; not one that a reset alone holds, nor one that begins high."""
    netlist = read_netlist("""module top(input clk, input rst, input go);
  reg a = 0;
  reg b = 0;
  reg held = 0;
  reg high = 1;
  always @(posedge clk) begin
    a <= b;
    b <= a & go;
    held <= go & ~rst;
    high <= high | go;
  end
endmodule
""", "top", tmp_path)
    a, b, held, high = asked = [((netlist.names[name][0], 1),) for name in ("a", "b", "held",
                                                                            "high")]
    reset, window = Window(netlist, [], (), 8, powered=True, reset=True), Window(netlist, [], (), 4)
    assert reset.absent(asked, 4) == {a, b, held}
    assert window.lasting([a, b, held]) == {a, b} and not window.never([a, b, held])
    for one in (reset, window):
        one.close()
    assert in_windows(netlist, [], set(), asked, [])[0] == {a, b}


def test_windows_in_a_row(core):
    """With what is known; and the sum of what never was, from a reset on."""
    products, clipped = find_products(CORE, "top", core.names), core.names["clipped"]
    known = {_is(core.names["sequencer.count"], value) for value in (5, 6, 7)}
    known |= carried(core, known)
    line, n = core.names["line"], core.names["p_q1"]
    asked = [((line[8], 1),), ((n[8], 1),), ((n[7], 1),)]
    passed, still = in_windows(core, products, known, asked, [(line[8], 1), (n[7], 1)])
    assert passed == set(asked[:2]) and still == {(line[8], 1)} and FROM > 1
    zero = [((net, 1),) for net in clipped]
    proof = Induction(core, zero, known | passed, core.names["rst"][0])
    assert all(map(proof.impossible, zero))
    proof.close()
    proof = Induction(core, zero, known, core.names["rst"][0])    # it may count then
    assert not any(map(proof.impossible, zero))
    proof.close()


def test_reached_points_are_no_waivers(tmp_path):
    """Only what never is, is waived; and another name of it that was reached is told."""
    text = CORE.replace("input go, input [1:0] at,", "input go, input [1:0] at, output again, input"
                        " s_axis_tvalid, input s_axis_tlast, input m_axis_tready,").replace(
        "  assign p =", "  assign again = line[8];\n  assign p =")

    def point(what):
        return Point(kind="toggle", module="", line=1, column=1, what=what)

    high, low, again = map(point, ("line[8]:0->1", "line[7]:0->1", "again:0->1"))
    waived, hit = waive({high: 0, low: 0, again: 0}, text, "", "top", tmp_path)
    assert waived == {high: PASSED, again: PASSED} and not any(hit.values())
    waived, hit = waive({high: 0, low: 0, again: 1}, text, "", "top", tmp_path)
    assert hit[PASSED] == [str(again)]


def test_wide_vectors_are_counted_bit_by_bit(tmp_path):
    """Only bits 1 and 69 change, of 70; Verilator's own count has more of them."""
    (tmp_path / "count.cpp").write_text('#include "verilated.h"\n' + COUNT_WIDE + r"""
#include <cstdio>
int main() {
    uint32_t count[140] = {};
    const EData now[] = {2, 0, 32}, old[] = {0, 0, 0};
    VL_COV_TOGGLE_CHG_ST_W(70, count, now, old);
    VL_COV_TOGGLE_CHG_ST_W(70, count, old, now);
    for (int k = 0; k < 140; ++k)
        if (count[k]) std::printf("%d:%u ", k, count[k]);
}
""")
    include = include_folder(find_simulator())
    subprocess.run(["c++", "-std=gnu++20", "-w", "-DVM_COVERAGE=1", f"-I{include}",
                    f"-I{include}/vltstd", "count.cpp", include / "verilated.cpp",
                    include / "verilated_cov.cpp", include / "verilated_threads.cpp", "-pthread",
                    "-o", "count", *(f"-DVM_{name}=0" for name in (
                        "SC", "TIMING", "TRACE", "TRACE_FST", "TRACE_VCD", "TRACE_SAIF"))],
                   cwd=tmp_path, check=True)
    seen = subprocess.run([tmp_path / "count"], capture_output=True, text=True, check=True).stdout
    assert seen.split() == ["2:1", "3:1", "138:1", "139:1"]
