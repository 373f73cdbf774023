"""Coverage: what the control never is; each with a core in which it can be."""

import pytest

from tests.signoff.control_credits import credit_facts
from tests.signoff.control_never import never_in
from tests.signoff.control_states import find_parts, states_of
from tests.signoff.induction import Induction
from tests.signoff.netlist import read_netlist

# Steps of three cycles, with a result each, which comes to the output some cycles later.
CREDITS = r"""module \top.sequencer (clk, rst, step_ready, step_start, loaded);
  input clk;
  input rst;
  input step_ready;
  output step_start;
  output loaded;
  reg armed = 1'h0;
  reg [1:0] left = 2'h0;
  assign step_start = armed & ~(|left);
  assign loaded = LOADED;
  always @(posedge clk) begin
    armed <= rst ? 1'h0 : step_ready;
    left <= rst ? 2'h0 : step_start ? 2'h3 : left - (|left);
  end
endmodule
module \top.drain (clk, rst, loaded, active);
  input clk;
  input rst;
  input loaded;
  output active;
  reg active = 1'h0;
  wire \tag.valid ;
  wire \tag.anchor ;
  wire \tag.to_output ;
  assign \tag.valid = active;
  assign \tag.anchor = active;
  assign \tag.to_output = 1'h1;
  always @(posedge clk) active <= rst ? 1'h0 : loaded;
endmodule
module \top.output.buffer (clk, rst, w_en, ready, some);
  input clk;
  input rst;
  input w_en;
  input ready;
  output some;
  reg [1:0] level = 2'h0;
  assign some = |level;
  always @(posedge clk) level <= rst ? 2'h0 : level + w_en - (some & ready);
endmodule
module \top.output (clk, rst, result_en, step_start, step_last, ready, room);
  input clk;
  input rst;
  input result_en;
  input step_start;
  input step_last;
  input ready;
  output room;
  reg [1:0] credit = 2'h2;
  reg [1:0] \$17 ;
  wire some;
  wire state_en;
  wire leaves;
  wire [2:0] \$11 ;
  wire [4:0] \$12 ;
  assign state_en = STATES;
  assign leaves = some & ready;
  assign room = step_start ? credit[1] : |credit;
  assign \$11  = credit + 1'h1;
  assign \$12  = credit + 5'h1f;
  \top.output.buffer buffer (.clk(clk), .rst(rst), .w_en(result_en), .ready(ready), .some(some));
  always @* begin
    \$17 = credit;
    casez ({ step_last, step_start, leaves })
      3'h1, 3'h5:
          \$17  = \$11 [1:0];
      3'h2:
          \$17  = \$12 [1:0];
      3'h6:
          \$17  = \$12 [1:0];
    endcase
    if (rst) \$17 = 2'h2;
  end
  always @(posedge clk) credit <= \$17 ;
endmodule
module top (clk, rst, step_ready, step_last, ready, other);
  input clk;
  input rst;
  input step_ready;
  input step_last;
  input ready;
  input other;
  reg sent_q1 = 1'h0;
  reg sent_q2 = 1'h0;
  wire start;
  wire loaded;
  wire active;
  wire room;
  always @(posedge clk) begin
    sent_q1 <= rst ? 1'h0 : active;
    sent_q2 <= rst ? 1'h0 : sent_q1;
  end
  \top.sequencer sequencer (.clk(clk), .rst(rst), .step_ready(step_ready ROOM),
                            .step_start(start), .loaded(loaded));
  \top.drain drain (.clk(clk), .rst(rst), .loaded(loaded), .active(active));
  \top.output \output (.clk(clk), .rst(rst), .result_en(sent_q2 OTHER), .step_start(start),
                      .step_last(step_last), .ready(ready), .room(room));
endmodule
"""
GOOD = {"LOADED": "left == 2'h2", "ROOM": "& room", "OTHER": "", "STATES": "1'h0"}


def _credits(tmp_path, **wrong):
    text = CREDITS
    for name, what in (GOOD | wrong).items():
        text = text.replace(name, what)
    return read_netlist(text, "top", tmp_path), text


def test_credits_bound_the_buffer(tmp_path):
    """Two credits: never three words in the buffer, and never three credits."""
    netlist, text = _credits(tmp_path)
    level, credit = (netlist.names[name] for name in ("output.buffer.level", "output.credit"))
    facts = credit_facts(netlist, text, "top", set())
    assert ((level[0], 1), (level[1], 1)) in facts and ((credit[0], 1), (credit[1], 1)) in facts
    assert ((level[0], 1),) not in facts and ((level[1], 1),) not in facts
    alone = Induction(netlist, [((level[0], 1), (level[1], 1))])
    assert not alone.never      # the output by itself does not know
    alone.close()


@pytest.mark.parametrize("wrong", [
    {"LOADED": "left != 2'h0"},          # three results a step
    {"OTHER": "| other"},                # results from elsewhere
    {"OTHER": "| (sent_q1 & other)"},    # now and then one of them twice
    {"STATES": "ready"},                 # states that nothing is known to send
    {"ROOM": ""}])                       # steps start without room
def test_credits_that_are_not_kept(tmp_path, wrong):
    netlist, text = _credits(tmp_path, **wrong)
    assert not credit_facts(netlist, text, "top", set())


# Two banks: filled in turn, run in turn, free again once they have run.
BANKS = r"""module \top.loader (clk, rst, valid, start, release, step_ready, twice);
  input clk;
  input rst;
  input valid;
  input start;
  input release;
  output step_ready;
  output twice;
  reg [1:0] full = 2'h0;
  reg write = 1'h0;
  reg run = 1'h0;
  reg [1:0] waiting = 2'h0;
  wire complete;
  assign complete = valid & ~full[write];
  assign step_ready = |waiting;
  assign twice = complete & waiting[1];
  always @(posedge clk) begin
    if (complete) begin full[write] <= 1'h1; write <= ~write; end
    if (release) begin full[run] <= 1'h0; run <= ~run; end
    waiting <= waiting + complete - start;
    if (rst) begin full <= 2'h0; write <= 1'h0; run <= 1'h0; waiting <= 2'h0; end
  end
endmodule
module \top.sequencer (clk, rst, step_ready, start, step_end);
  input clk;
  input rst;
  input step_ready;
  output start;
  output step_end;
  reg [2:0] left = 3'h0;
  assign start = step_ready & ~(|left);
  assign step_end = END;
  always @(posedge clk) left <= rst ? 3'h0 : start ? 3'h5 : left - (|left);
endmodule
module top (clk, rst, s_axis_tdata, s_axis_tvalid, room, twice);
  input clk;
  input rst;
  input s_axis_tdata;
  input s_axis_tvalid;
  input room;
  output twice;
  wire step_ready;
  wire start;
  wire step_end;
  \top.loader loader (.clk(clk), .rst(rst), .valid(s_axis_tvalid), .start(start),
                      .release(step_end), .step_ready(step_ready), .twice(twice));
  \top.sequencer sequencer (.clk(clk), .rst(rst), .step_ready(step_ready & room),
                            .start(start), .step_end(step_end));
endmodule
"""


@pytest.mark.parametrize("end, never", [("left == 3'h1", True), ("left == 3'h1 || left == 3'h3",
                                                                  False)])
def test_banks_and_steps_together(tmp_path, end, never):
    """No bank is filled while two wait: only while a step frees a bank once, when it has run."""
    text = BANKS.replace("END", end)
    netlist = read_netlist(text, "top", tmp_path)
    known = set()
    for parts in find_parts(netlist, text, "top"):
        for part in parts:
            known |= never_in(netlist, part, states_of(netlist, part))
    proof = Induction(netlist, [((netlist.names["twice"][0], 1),)], known)
    assert bool(proof.never - known) is never
    proof.close()
