"""iCE40 multipliers against the portable ones and against Yosys' model of the block, in Verilator;
and what goes into the single-port memories.

One program holds a pair of each width twice: with our model of SB_MAC16 (``sim/models/ice40.v``),
and with the one that Yosys brings along. Same operands, same products, every cycle.
"""

import os
import re
import subprocess

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from networks import make_batch, make_integer, make_network

from hw import blocks, ice40
from hw.emit import generate, to_verilog
from sim.build import find_simulator
from sim.models import with_models
from synth.tools import find_tool, run_tool

CYCLES = 1 << 16  # every pair of operands of 8 bits once
# Widths of both operands, and latency: 4 in the engine, 3 where nothing stands behind the block.
MULTIPLIERS = ((8, 8, 4), (4, 4, 4), (3, 5, 3), (6, 10, 4), (16, 8, 4), (8, 16, 4), (16, 16, 4),
               (16, 16, 3), (16, 2, 4), (2, 9, 4), (13, 11, 4))
MANIFEST = {"family": "ice40", "primitives": ice40.PRIMITIVES}

BENCH = """
module bench;
  reg clk = 0, fault;
  reg [15:0] count = 0;
  reg [95:0] random;
  reg [4:0] control;
  wire [{n}-1:0] differ, moved, lowest, their_differ, their_moved;
  reg [{n}-1:0] wrong = 0, alive = 0, their_wrong = 0, their_alive = 0;
  integer k, flip;
  pairs ours(.clk(clk), .rst(1'b0), .count(count), .random(random), .fault(fault),
             .differ(differ), .moved(moved), .lowest(lowest));
  their_pairs theirs(.clk(clk), .rst(1'b0), .count(count), .random(random), .fault(fault),
                     .differ(their_differ), .moved(their_moved), .lowest());
  SB_MAC16 #(.A_REG(1), .B_REG(1), .TOP_8x8_MULT_REG(1), .BOT_8x8_MULT_REG(1),
             .PIPELINE_16x16_MULT_REG1(1), .PIPELINE_16x16_MULT_REG2(1), .TOPOUTPUT_SELECT(3),
             .BOTOUTPUT_SELECT(3), .A_SIGNED(1), .B_SIGNED(1))
    lone(.CLK(clk), .CE(control[4]), .AHOLD(control[3]), .BHOLD(control[2]),
         .IRSTTOP(control[1]), .IRSTBOT(control[0]), .A(count), .B(count));
  initial begin
    fault = $test$plusargs("fault") != 0;
    control = 5'b10000;
    if ($value$plusargs("flip=%d", flip)) control[flip] = ~control[flip];
    for (k = 0; k < {cycles}; k = k + 1) begin
      random = {{$urandom, $urandom, $urandom}};
      #1 clk = 1;
      #1 clk = 0;
      count = count + 1;
      wrong = wrong | differ; alive = alive | moved;
      their_wrong = their_wrong | their_differ; their_alive = their_alive | their_moved;
    end
    $display("seen %b %b %b %b %b", wrong, their_wrong, alive, their_alive, lowest);
    $finish;
  end
endmodule
"""


class Pairs(wiring.Component):
    """A portable and an iCE40 multiplier of each kind on the same operands.

    ``lowest`` remembers the product of the two lowest numbers, the only one that needs every bit.
    """

    def __init__(self):
        n = len(MULTIPLIERS)
        super().__init__({"count": In(16), "random": In(96), "fault": In(1), "differ": Out(n),
                          "moved": Out(n), "lowest": Out(n)})

    def _operand(self, m: Module, width: int, low: int):
        """Random; one in four is an end of the range, -1 or 0."""
        bits, lowest = self.random[low:], 1 << (width - 1)
        ends = Array(C(value, width) for value in (lowest, lowest - 1, (1 << width) - 1, 0))
        operand = Signal(width)
        m.d.comb += operand.eq(Mux(bits[:2] == 0, ends[bits[2:4]], bits[4:]))
        return operand

    def elaborate(self, platform):
        m = Module()
        for k, (a_width, b_width, latency) in enumerate(MULTIPLIERS):
            shape = {"a_width": a_width, "b_width": b_width, "latency": latency}
            m.submodules[f"portable{k}"] = one = blocks.Multiplier(**shape)
            m.submodules[f"ice40_{k}"] = other = ice40.Multiplier(**shape)
            if a_width + b_width <= len(self.count):
                a, b = self.count[:a_width], self.count[a_width:]
            else:
                a, b = self._operand(m, a_width, 0), self._operand(m, b_width, 24)
            m.d.comb += [one.a.eq(a), one.b.eq(b), other.a.eq(one.a ^ self.fault),
                         other.b.eq(one.b)]
            before = Signal.like(one.p)
            m.d.sync += before.eq(one.p)
            m.d.comb += [self.differ[k].eq(one.p != other.p), self.moved[k].eq(other.p != before)]
            with m.If((one.a == -1 << (a_width - 1)) & (one.b == -1 << (b_width - 1))):
                m.d.sync += self.lowest[k].eq(1)
        return m


@pytest.fixture(scope="module")
def simulator():
    found = find_simulator()

    def verilator(folder, *args):
        return subprocess.run([found.folder / "verilator", *args], cwd=folder, text=True,
                              env=os.environ | found.environment(), capture_output=True,
                              check=False)

    return verilator


@pytest.fixture(scope="module")
def program(tmp_path_factory, simulator):
    """The pairs with either model and their bench, compiled."""
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "pairs.v").write_text(to_verilog(Pairs(), "pairs"))
    (folder / "flat.ys").write_text(
        "read_verilog pairs.v\nread_verilog -defer +/ice40/cells_sim.v\nhierarchy -top pairs\n"
        "proc\nflatten\nopt_clean\nrename pairs their_pairs\n"
        "write_verilog -noattr their_pairs.v\n")
    status, _, tail = run_tool(find_tool("yosys"), ["-q", "flat.ys"], folder=folder)
    assert status == 0, tail
    assert "SB_MAC16 #" not in (folder / "their_pairs.v").read_text()
    rtl = with_models(folder / "pairs.v", MANIFEST, folder)
    (folder / "bench.v").write_text(BENCH.format(n=len(MULTIPLIERS), cycles=CYCLES))
    done = simulator(folder, "--binary", "--timing", "-O3", "-Wno-fatal", "-Wno-lint", "-Wno-style",
                     "--top-module", "bench", "--Mdir", "obj", "bench.v", "their_pairs.v", rtl)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "obj" / "Vbench"


def run(program, *arguments) -> dict:
    """What the pairs showed: a bit each, the last pair first."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    line = next(x for x in done.stdout.splitlines() if x.startswith("seen"))
    names = ("wrong", "their_wrong", "alive", "their_alive", "lowest")
    return dict(zip(names, line.split()[1:], strict=True))


def test_products_equal(program):
    seen = run(program)
    none, every = "0" * len(MULTIPLIERS), "1" * len(MULTIPLIERS)
    assert seen == {"wrong": none, "their_wrong": none, "alive": every, "their_alive": every,
                    "lowest": every}


def test_fault_is_seen(program):
    """The comparison can fail, in every pair, with either model."""
    seen = run(program, "+fault")
    assert set(seen["wrong"] + seen["their_wrong"]) == {"1"}


@pytest.mark.parametrize("pin", range(5))
def test_registers_that_hold_or_are_reset_stop_the_simulation(program, pin):
    done = subprocess.run([program, f"+flip={pin}"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "must neither hold nor be reset" in done.stdout + done.stderr


MODES = ("NEG_TRIGGER", "A_REG", "B_REG", "C_REG", "D_REG", "TOP_8x8_MULT_REG",
         "BOT_8x8_MULT_REG", "PIPELINE_16x16_MULT_REG1", "PIPELINE_16x16_MULT_REG2",
         "TOPOUTPUT_SELECT", "BOTOUTPUT_SELECT", "TOPADDSUB_LOWERINPUT", "BOTADDSUB_LOWERINPUT",
         "TOPADDSUB_UPPERINPUT", "BOTADDSUB_UPPERINPUT", "TOPADDSUB_CARRYSELECT",
         "BOTADDSUB_CARRYSELECT", "MODE_8x8", "A_SIGNED", "B_SIGNED")


@pytest.mark.parametrize("mode", [None, *MODES])
def test_modes_without_a_model_are_refused(simulator, tmp_path, mode):
    """Each parameter changed alone; unchanged, the model is built."""
    text = to_verilog(ice40.make_multiplier(16, 16), "product")
    if mode is not None:
        text, n = re.subn(rf"\.{mode}\(\d'h[13]\)", f".{mode}(2'h0)", text)
        if not n:  # not among the instance's: the default is 0
            text, n = re.subn(r"SB_MAC16 #\(", f"SB_MAC16 #(.{mode}(1'h1),", text)
        assert n == 1
    (tmp_path / "product.v").write_text(text)
    rtl = with_models(tmp_path / "product.v", MANIFEST, tmp_path)
    # As loose as the benches are about everything that can be a warning.
    done = simulator(tmp_path, "--lint-only", "-Wno-fatal", "-Wno-lint", "-Wno-style",
                     "--top-module", "product", rtl)
    if mode is None:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode != 0
        assert "SB_MAC16_in_a_mode_without_a_model" in done.stderr


@pytest.mark.parametrize(("a_width", "b_width", "latency", "named"), [
    (16, 16, 4, True), (9, 2, 4, True), (16, 8, 3, True), (17, 8, 4, False), (8, 17, 4, False),
    (5, 5, 4, False), (16, 1, 4, False), (16, 8, 2, False)])
def test_what_is_left_to_synthesis(a_width, b_width, latency, named):
    made = ice40.make_multiplier(a_width, b_width, latency=latency)
    assert made.latency == latency
    assert ("SB_MAC16 #" in to_verilog(made, "product")) == named


@pytest.mark.parametrize(("depth", "options", "single"), [
    (1024, {"one_port": True}, True), (1023, {"one_port": True}, False), (1024, {}, False),
    (16384, {"writable": True}, False), (1024, {"one_port": True, "init": [1]}, False),
    (1024, {"one_port": True, "latency": 1}, False)])
def test_memories_with_one_port(depth, options, single):
    """SPRAM serves only whoever never reads and writes in one cycle, and brings no contents."""
    made = ice40.make_ram(width=16, depth=depth, **options)
    assert ("SB_SPRAM256KA" in to_verilog(made, "memory")) == single


@pytest.mark.parametrize("cell", ["lstm", "gru", "gru_reset_before"])
def test_states_need_two_ports(monkeypatch, cell):
    """However large it is: a state is read while another is written. Weights are not."""
    monkeypatch.setattr(ice40, "SPRAM_FROM", 1)
    network = make_network((cell, 8), inputs=3)
    integer, _ = make_integer(network, make_batch(network, 2, 3), operand_width=16)
    core = generate(integer, lanes=4, load_weights=True, family="ice40")
    assert core.layout.program.weight_bits == 2 * ice40.WIDTH
    assert len(re.findall(r"^ *SB_SPRAM256KA ", core.verilog, re.MULTILINE)) == 2
