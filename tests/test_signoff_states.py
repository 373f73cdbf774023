"""Control and mutants gone through together, state by state: what is open, what is left out."""

from dataclasses import replace

import pytest

from gatewright.campaign_networks import make_codes, make_network, make_table
from golden.model import run_golden
from tests.signoff import mutant_runs
from tests.signoff.configurations import SMOKE
from tests.signoff.control_never import never_in
from tests.signoff.control_states import Part, states_of
from tests.signoff.control_walks import fold, follow
from tests.signoff.mutant_netlists import SELECT
from tests.signoff.mutant_states import differences
from tests.signoff.mutant_windows import Windows
from tests.signoff.netlist import read_netlist

# A tag without a reset, taken whenever something starts, and looked at only behind that.
OPEN = """module top(input clk, input rst, input go, input [1:0] in, output [1:0] out);
  reg busy = 1'h0;
  reg [1:0] tag = 2'h0;
  assign out = busy ? tag : 2'h0;
  always @(posedge clk) begin
    if (go) begin busy <= 1'h1; tag <= in == 2'h3 ? 2'h0 : in; end
    if (rst) busy <= 1'h0;
  end
endmodule
"""


def test_a_reset_leaves_open_what_it_does_not_reset(tmp_path):
    """The tag may be 3 while nothing is busy, as far as a reset tells; then it never is."""
    netlist = read_netlist(OPEN, "top", tmp_path)
    busy, tag = netlist.names["busy"][0], netlist.names["tag"]
    part = Part(registers=tuple(sorted((busy, *tag))), cut=frozenset())
    states = states_of(netlist, part)
    assert (states.high & states.low).any()
    never = {frozenset(cube) for cube in never_in(netlist, part, states)}
    assert {frozenset({(busy, 1), (tag[0], 1), (tag[1], 1)})} == never


# Which walk runs hangs on a counter and on how many steps are left; that on how long a sequence is.
WALK = r"""module top(input clk, input rst, input valid, input end_, output go);
  wire sweep;
  \top.loader loader (.clk(clk), .rst(rst), .valid(valid), .end_(end_), .sweep(sweep));
  reg step = 1'h0;
  assign go = step;
  always @(posedge clk) step <= rst ? 1'h0 : sweep;
endmodule
module \top.loader (clk, rst, valid, end_, sweep);
  input clk;
  input rst;
  input valid;
  input end_;
  output reg sweep = 1'h0;
  reg [5:0] flush = 6'h00;
  reg [5:0] total = 6'h00;
  reg [5:0] left = 6'h00;
  reg full = 1'h0;
  always @(posedge clk) begin
    full <= rst ? 1'h0 : valid | full;
    total <= rst ? 6'h00 : total + valid;
    left <= rst ? 6'h00 : flush == 6'h01 ? total : left - 6'h01;
    flush <= rst ? 6'h00 : flush == 6'h00 ? 6'h20 : flush - 6'h01;
    sweep <= rst ? 1'h0 : flush == 6'h01 && left == 6'h05 && full ? ~sweep : sweep;
  end
endmodule
"""


def test_walks(tmp_path):
    """The counter is followed; what is loaded is not, nor what hangs on a port."""
    netlist = read_netlist(WALK, "top", tmp_path)
    names, step = netlist.names, netlist.names["step"][0]
    free = {net for name, nets in names.items() if name.startswith("loader.")
            for net in nets if net in netlist.registers}
    found = follow(netlist, {step}, "loader", free)
    assert found == {*names["loader.sweep"], *names["loader.flush"]}
    (cut,) = fold(netlist, {step, *found})      # left is 5
    assert cut not in names["loader.left"] and cut not in names["loader.full"]
    part = Part(registers=tuple(sorted({step, *found})), cut=frozenset({cut}))
    assert 60 < len(states_of(netlist, part).high) < 200


# What is seen, 90 cycles after it differed, no window of cycles tells. 1: earlier, not seen;
# 2: too late; 3: a high bit of a counter that no run reaches.
LATE = rf"""module net(clk, rst, en, {SELECT}, seen, status_errors);
  input clk;
  input rst;
  input en;
  input [9:0] {SELECT};
  output seen;
  output [15:0] status_errors;
  reg [15:0] errors = 16'h0000;
  assign status_errors = {{ errors[15] & {SELECT} != 10'd3, errors[14:0] }};
  always @(posedge clk) errors <= rst ? 16'h0000 : errors + en;
  \net.sequencer sequencer (.clk(clk), .rst(rst), .{SELECT}({SELECT}), .seen(seen));
endmodule
module \net.sequencer (clk, rst, {SELECT}, seen);
  input clk;
  input rst;
  input [9:0] {SELECT};
  output seen;
  reg [7:0] count = 8'h00;
  reg late = 1'h0;
  assign seen = late & count == 8'd190;
  always @(posedge clk) begin
    count <= rst || count == 8'd199 ? 8'h00 : count + 8'h01;
    late <= rst || count == 8'h00 ? 1'h0
      : late | count == ({SELECT} == 10'd1 ? 8'd90 : {SELECT} == 10'd2 ? 8'd191 : 8'd100);
  end
endmodule
"""


@pytest.fixture(scope="module")
def late(tmp_path_factory):
    folder = tmp_path_factory.mktemp("late")
    (folder / "mutants.v").write_text(LATE)
    (folder / "mutants.txt").write_text("mutate 1 -mode inv -module net.sequencer -cell late\n")
    core = LATE.replace(f", {SELECT},", ",").replace(f"  input [9:0] {SELECT};\n", "")
    core = core.replace(f", .{SELECT}({SELECT})", "").replace(SELECT, "10'd0")
    return Windows(folder, "net", core, dict.fromkeys(("seen", "status_errors")))


def test_a_copy_that_differs_for_longer_than_a_window(late):
    own = set(late._pair._netlist.names["sequencer.late"])
    assert late._same(1, own, None) is None and late._same(1, own, late._of_flags) is None
    told = late.prove([1, 2])
    assert told[1] == "1 registers of its own, over 60 cycles, behind all states"
    assert told[2] is None and late._same(2, own, late._of_states) is None


# 1: a word changes while nothing runs; 2: while something does. It is looked at by and by alone.
HELD = f"""module net(input clk, input rst, input s_axis_tvalid, input s_axis_tlast,
    input m_axis_tready, input [3:0] s_axis_tdata, input [9:0] {SELECT}, output m_axis_tvalid);
  loader loader(.clk(clk), .rst(rst), .start(s_axis_tvalid), .stop(s_axis_tlast),
    .data(s_axis_tdata), .{SELECT}({SELECT}), .seen(m_axis_tvalid));
endmodule
module loader(input clk, input rst, input start, input stop, input [3:0] data,
    input [9:0] {SELECT}, output seen);
  reg running = 1'h0;
  reg [3:0] held = 4'h0;
  assign seen = running & stop & held == 4'h9;
  always @(posedge clk) begin
    if (~running & (start | {SELECT} == 10'd1) | running & {SELECT} == 10'd2 & data == 4'h3)
      held <= data;
    running <= ~rst & (running ? ~stop : start);
  end
endmodule
"""


def test_a_copy_that_differs_while_a_flag_is_low(tmp_path):
    (tmp_path / "mutants.v").write_text(HELD)
    (tmp_path / "mutants.txt").write_text("mutate 1 -mode inv -module net.loader -cell held\n")
    core = HELD.replace(f", input [9:0] {SELECT}", "").replace(f"\n    input [9:0] {SELECT},", "")
    core = core.replace(f", .{SELECT}({SELECT})", "").replace(SELECT, "10'd0")
    pair = Windows(tmp_path, "net", core, {"m_axis_tvalid": None})
    own = set(pair._pair._netlist.names["loader.held"])
    assert pair._same(1, own, None) is None
    assert pair._same(1, own, pair._of_flags) == "4 registers of its own, over 60 cycles, by flags"
    assert pair._same(2, own, pair._of_flags) is None


def test_a_condition_and_its_opposite_are_one_thing(tmp_path):
    """Where a walk's words are left open, what they are compared with is left open once."""
    netlist = read_netlist("""
    module top(input clk, input rst, input [3:0] word, output reg [1:0] out);
      reg [3:0] left = 4'h0;
      reg last = 1'h0, more = 1'h0;
      always @(posedge clk) begin
        left <= word; last <= left == 4'h1; more <= left != 4'h1; out <= {last, more};
      end
    endmodule""", "top", tmp_path)
    last, more = (netlist.names[name][0] for name in ("last", "more"))
    kept = {last, more}
    cut = fold(netlist, kept)
    assert len(cut) == 1
    states = states_of(netlist, Part(registers=(last, more), cut=frozenset(cut)))
    known = {tuple(row) for row in states.high.tolist()}
    assert known == {(0, 0), (0, 1), (1, 0)}


def test_a_difference_that_two_conditions_rule_out(tmp_path):
    """A copy differs in states 1 and 2: with each bit of the state, but not with both."""
    netlist = read_netlist("""
    module top(input clk, input rst, output never, output now_and_then);
      reg [1:0] state = 2'h0;
      reg value = 1'h0, copy = 1'h0;
      assign never = &state & value != copy, now_and_then = state[0] & value != copy;
      always @(posedge clk) begin
        state <= rst ? 2'h0 : state + 2'h1;
        copy <= ~rst & ~state[1];
        value <= rst & value;
      end
    endmodule""", "top", tmp_path)
    state, (value,), (copy,), (never,), (now_and_then,), (reset,) = (
        netlist.names[name] for name in ("state", "value", "copy", "never", "now_and_then", "rst"))
    part = Part(registers=(*state, value), cut=frozenset())
    facts = differences(netlist, part, {value: copy}, frozenset(), 60.0, (never, now_and_then))
    assert ((reset, 0), (never, 1)) in facts
    assert ((reset, 0), (now_and_then, 1)) not in facts
    assert not any((value, 0) in cube and (copy, 1) in cube for cube in facts)


def test_counters_from_presets(late):
    assert late.counted([1, 3]) == {3}


def test_nearly_equal_results(monkeypatch):
    monkeypatch.setattr(mutant_runs, "DRAWN", 1000)
    monkeypatch.setattr(mutant_runs, "TIES", 2)
    config = SMOKE["tokens-argmax"]
    network = make_network(config)
    near, = mutant_runs._near_ties(config, network)
    drawn, = make_codes(replace(config, seed=config.seed + 99, batches=(
        (mutant_runs.DRAWN, mutant_runs.STEPS),)), network)
    assert 50 < len(near.x) < len(drawn.x) / 2
    kinds = []
    for codes in (near, drawn):
        run = run_golden(network, codes, table=make_table(config, network))
        kinds.append(set())
        for results in run.signals[-1]["h"].reshape(-1, 5).tolist():
            second, first = sorted(range(5), key=results.__getitem__)[-2:]
            highest = ((results[first] ^ results[second]) & 0xFFFF).bit_length()
            kinds[-1].add((highest, first, second))
            kinds[-1] |= {(highest, bit, results[first] >> bit & 1) for bit in range(16)}
    assert kinds[0] == kinds[1]
