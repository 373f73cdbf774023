"""Models of ECP5 blocks in the modes that synthesis infers, against plain Verilog, every cycle.

What one port reads while the other writes it must come out as all ones. For the modes that the
generator instantiates see ``test_hw_blocks_ecp5``.
"""

import os
import re
import subprocess

import numpy as np
import pytest

from hw.ecp5 import ADDRESS_SHIFTS, _init_values
from sim.build import find_simulator
from sim.models import block_models

WORDS = 16   # of each memory: few, so that the ports often meet
# Width of DP16KD's words at ports A and B, registers behind both, what a port that writes shows.
RAMS = ((36, 36, "NOREG", "NORMAL"), (36, 36, "OUTREG", "NORMAL"), (18, 18, "NOREG", "NORMAL"),
        (18, 18, "OUTREG", "READBEFOREWRITE"), (9, 9, "NOREG", "READBEFOREWRITE"),
        (4, 4, "NOREG", "NORMAL"), (2, 2, "NOREG", "READBEFOREWRITE"), (1, 1, "NOREG", "NORMAL"),
        (9, 18, "NOREG", "READBEFOREWRITE"))
SIGNS = ((1, 1), (1, 0), (0, 1), (0, 0))   # of the operands of MULT18X18D


def pins(bus: str, n: int, value: str, low: int = 0) -> str:
    return ", ".join(f".{bus}{k}({value}[{low + k}])" for k in range(n))


PAIRS = f"""
module ram_pair #(parameter A = 18, parameter B = 18, parameter LOW = 4,
                  parameter REGISTER = "NOREG", parameter MODE = "NORMAL",
                  parameter [319:0] INIT0 = 0, parameter [319:0] INIT1 = 0,
                  parameter [36*{WORDS}-1:0] CONTENTS = 0) (
    input clk, input [95:0] random, input fault, output differ, output moved);
  localparam PART = A > 9 ? 9 : A, BYTES = A / PART, RATIO = B / A, WIDE = A == 36;
  wire [3:0] w_addr = random[3:0], r_addr = random[7:4];
  wire [3:0] enables = BYTES > 1 ? random[11:8] & (1 << BYTES) - 1 : 1;
  wire write = random[12], read = random[13] | random[14], take = random[15] | random[16];
  wire [35:0] data = random[95:60];
  wire [13:0] ada = w_addr << LOW | (BYTES > 1 ? enables : 0), adb = (r_addr ^ 8 * fault) << LOW;
  wire [17:0] doa, dob;
  DP16KD #(.DATA_WIDTH_A(A), .DATA_WIDTH_B(B), .REGMODE_A(REGISTER), .REGMODE_B(REGISTER),
           .WRITEMODE_A(MODE), .WRITEMODE_B(MODE), .RESETMODE("ASYNC"), .INITVAL_00(INIT0),
           .INITVAL_01(INIT1)) block (
    .CLKA(clk), .CEA(1'b1), .WEA(write), .OCEA(take), .RSTA(1'b0), .CSA0(1'b0), .CSA1(1'b0),
    .CLKB(clk), .CEB(read), .WEB(1'b0), .OCEB(take), .RSTB(1'b0), .CSB0(1'b0), .CSB1(1'b0),
    .CSA2(1'b0), .CSB2(1'b0),
    {pins("ADA", 14, "ada")}, {pins("DIA", 18, "data")}, {pins("DOA", 18, "doa")},
    {pins("ADB", 14, "adb")}, {pins("DIB", 18, "data", 18)}, {pins("DOB", 18, "dob")});

  reg [A-1:0] memory [0:{WORDS - 1}];
  integer k;
  initial for (k = 0; k < {WORDS}; k = k + 1) memory[k] = CONTENTS[36 * k +: A];
  wire meets = write & |enables & w_addr / RATIO == r_addr / RATIO;
  reg [A-1:0] a = 0, a_q = 0;
  reg [B-1:0] b = 0, b_q = 0;
  always @(posedge clk) begin
    if (take) begin a_q <= a; b_q <= b; end
    if (~write | MODE == "READBEFOREWRITE") a <= memory[w_addr];
    for (k = 0; k < RATIO; k = k + 1)
      if (read) b[A * k +: A] <= meets ? {{A{{1'b1}}}} : memory[r_addr / RATIO * RATIO + k];
    for (k = 0; k < BYTES; k = k + 1)
      if (write & enables[k]) memory[w_addr][PART * k +: PART] <= data[PART * k +: PART];
  end
  wire [A-1:0] want_a = REGISTER == "OUTREG" ? a_q : a;
  wire [B-1:0] want_b = REGISTER == "OUTREG" ? b_q : b, shown_b = {{dob, WIDE ? doa : 18'b0}}
                                                        >> (WIDE ? 0 : 18);
  assign differ = shown_b !== want_b | (!WIDE & doa[(WIDE ? 0 : A - 1):0] !== want_a);
  reg [B-1:0] last;
  always @(posedge clk) last <= shown_b;
  assign moved = last != shown_b;
endmodule

module product_pair #(parameter A_SIGNED = 0, parameter B_SIGNED = 0) (
    input clk, input [95:0] random, input fault, output differ, output moved);
  wire [17:0] a = random[17:0] ^ fault, b = random[50:33] | 1;
  wire [35:0] p;
  MULT18X18D block ({pins("A", 18, "a")}, {pins("B", 18, "b")}, {pins("P", 36, "p")},
                    .SIGNEDA(A_SIGNED[0]), .SIGNEDB(B_SIGNED[0]), .SOURCEA(1'b0), .SOURCEB(1'b0));
  // A signed operand is worth 2^18 less where its highest bit is set; 2^36 is beyond the product.
  wire [35:0] unsigned_a = random[17:0], unsigned_b = b;
  wire [35:0] want = unsigned_a * unsigned_b
                     - (A_SIGNED && unsigned_a[17] ? unsigned_b << 18 : 36'b0)
                     - (B_SIGNED && unsigned_b[17] ? unsigned_a << 18 : 36'b0);
  assign differ = p !== want, moved = |p;
endmodule
"""
BENCH = """
module bench;
  reg clk = 0, fault;
  reg [95:0] random;
  wire [{n}-1:0] differ, moved;
  reg [{n}-1:0] wrong = 0, alive = 0;
  integer t;
{pairs}
  initial begin
    fault = $test$plusargs("fault") != 0;
    for (t = 0; t < 20000; t = t + 1) begin
      random = {{$urandom, $urandom, $urandom}};
      #1 wrong = wrong | differ; alive = alive | moved;
      clk = 1;
      #1 clk = 0;
    end
    $display("wrong %b alive %b", wrong, alive);
    $finish;
  end
endmodule
"""


def pair(k: int) -> str:
    """Instance number ``k``: products first."""
    if k < len(SIGNS):
        kind, values = "product", ", ".join(map(str, SIGNS[k]))
    else:
        width, other, register, mode = RAMS[k - len(SIGNS)]
        rng = np.random.default_rng(k)
        words = [int(x) % (1 << width) for x in rng.integers(0, 1 << 36, WORDS)]
        halves = [half for word in words for half in (word % (1 << 18), word >> 18)]
        init = _init_values(*((halves, 18) if width == 36 else (words, width)))
        contents = sum(word << (36 * at) for at, word in enumerate(words))
        low = 5 if width == 36 else ADDRESS_SHIFTS[width]
        kind, values = "ram", (f'{width}, {other}, {low}, "{register}", "{mode}", '
                               f"320'h{init[0]:x}, 320'h{init[1]:x}, {36 * WORDS}'h{contents:x}")
    return f"  {kind}_pair #({values}) pair{k} (clk, random, fault, differ[{k}], moved[{k}]);"


def build(folder, text: str) -> subprocess.CompletedProcess:
    simulator = find_simulator()
    (folder / "bench.v").write_text(text + block_models("ecp5"))
    return subprocess.run(
        [simulator.folder / "verilator", "--binary", "--timing", "-O3", "-Wno-fatal", "-Wno-lint",
         "-Wno-style", "--top-module", "bench", "--Mdir", "obj", "bench.v"],
        cwd=folder, env=os.environ | simulator.environment(), capture_output=True, text=True,
        check=False)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder, n = tmp_path_factory.mktemp("modes"), len(SIGNS) + len(RAMS)
    pairs = "\n".join(pair(k) for k in range(n))
    done = build(folder, PAIRS + BENCH.format(n=n, pairs=pairs))
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "obj" / "Vbench"


def run(program, *arguments) -> tuple:
    """(pairs that ever differed, pairs whose output ever moved), a bit each, the last first."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    return re.search("wrong ([01]+) alive ([01]+)", done.stdout).groups()


def test_inferred_modes(program):
    wrong, alive = run(program)
    assert set(alive) == {"1"} and set(wrong) == {"0"}, wrong


def test_fault_is_seen(program):
    assert set(run(program, "+fault")[0]) == {"1"}


@pytest.mark.parametrize("instance", [
    "MULT18X18D #(.REG_OUTPUT_CLK(\"CLK0\")) block ();", "DP16KD #(.DATA_WIDTH_A(36)) block ();",
    "DP16KD #(.WRITEMODE_A(\"WRITETHROUGH\")) block ();"])
def test_other_modes_are_refused(tmp_path, instance):
    done = build(tmp_path, f"module bench; {instance} endmodule\n")
    assert done.returncode and "in_a_mode_without_a_model" in done.stderr
