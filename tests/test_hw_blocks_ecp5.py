"""ECP5 blocks against the portable ones: same inputs, same outputs, every cycle, in Verilator.

The models of the vendor's cells (``sim/models/ecp5.v``) stand behind the instances; one program
holds a pair of every kind of block, and a fault that it puts into each pair on request must show.
"""

import os
import subprocess

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw import blocks, ecp5
from hw.emit import to_verilog
from sim.build import find_simulator
from sim.models import with_models

CYCLES = 60_000
MULTIPLIERS = ((18, 18), (18, 8), (16, 17), (9, 18), (2, 3))
# Every width of DP16KD, words that end within a slice, and all kinds of ports.
RAMS = (
    {"width": 36, "depth": 200, "writable": False}, {"width": 19, "depth": 1024},
    {"width": 17, "depth": 64}, {"width": 16, "depth": 40, "gated": True},
    {"width": 20, "depth": 1025, "writable": False}, {"width": 9, "depth": 2048},
    {"width": 11, "depth": 3000}, {"width": 5, "depth": 8192, "writable": False},
    {"width": 3, "depth": 5000}, {"width": 2, "depth": 16384}, {"width": 2, "depth": 9000,
                                                               "gated": True},
    {"width": 7, "depth": 100, "cols": 4}, {"width": 10, "depth": 50, "cols": 2, "gated": True},
)

BENCH = """
module bench;
  reg clk = 0, fault;
  reg [95:0] random;
  wire [{n}-1:0] differ, moved;
  reg [{n}-1:0] wrong = 0, alive = 0;
  integer k;
  pairs dut(.clk(clk), .rst(1'b0), .random(random), .fault(fault), .differ(differ), .moved(moved));
  initial begin
    fault = $test$plusargs("fault") != 0;
    for (k = 0; k < {cycles}; k = k + 1) begin
      random = {{$urandom, $urandom, $urandom}};
      #1 clk = 1;
      #1 clk = 0;
      // The first words pass through registers that start with no defined value.
      if (k > 100) begin wrong = wrong | differ; alive = alive | moved; end
    end
    $display("wrong %b alive %b", wrong, alive);
    $finish;
  end
endmodule
"""


def contents(width: int, depth: int, seed: int) -> list:
    """Random words, with edges at both ends of the memory."""
    rng = np.random.default_rng(seed)
    full = (1 << width) - 1
    words = [int.from_bytes(rng.bytes(16), "little") & full for _ in range(depth)]
    words[0], words[-1], words[1] = full, full, 0
    return words


class Pairs(wiring.Component):
    """A portable and an ECP5 block of each kind on the same random inputs."""

    def __init__(self):
        n = len(MULTIPLIERS) + len(RAMS)
        super().__init__({"random": In(96), "fault": In(1), "differ": Out(n), "moved": Out(n)})

    def elaborate(self, platform):
        m = Module()
        outputs = []
        for k, widths in enumerate(MULTIPLIERS):
            m.submodules[f"portable_mul{k}"] = one = blocks.Multiplier(*widths)
            m.submodules[f"ecp5_mul{k}"] = other = ecp5.make_multiplier(*widths)
            assert type(other) is ecp5.Multiplier
            m.d.comb += [one.a.eq(self.random), one.b.eq(self.random[30:]),
                         other.a.eq(one.a ^ self.fault), other.b.eq(one.b)]
            outputs.append((one.p, other.p))
        for k, shape in enumerate(RAMS):
            total = shape["width"] * shape.get("cols", 1)
            init = contents(total, shape["depth"], k)
            m.submodules[f"portable_ram{k}"] = one = blocks.Ram(**shape, init=init)
            m.submodules[f"ecp5_ram{k}"] = other = ecp5.make_ram(**shape, init=init)
            assert type(other) is ecp5.Ram
            self._drive(m, one, other, shape)
            outputs.append((one.r_data, other.r_data))
        for k, (one, other) in enumerate(outputs):
            before = Signal.like(one)
            m.d.sync += before.eq(one)
            m.d.comb += [self.differ[k].eq(one != other), self.moved[k].eq(one != before)]
        return m

    def _drive(self, m: Module, one, other, shape: dict):
        """Addresses within the memory; no word is read in the cycle that writes it."""
        depth = shape["depth"]

        def address(bits):
            return Mux(bits[:len(one.r_addr)] < depth, bits[:len(one.r_addr)], depth - 1)

        m.d.comb += [
            one.r_addr.eq(address(self.random)), other.r_addr.eq(one.r_addr ^ self.fault),
            one.w_data.eq(Cat(self.random[40:], ~self.random)), other.w_data.eq(one.w_data),
            one.w_addr.eq(address(self.random[16:])),
            one.w_en.eq(Mux(one.w_addr != one.r_addr, self.random[90:] & self.random[60:], 0)),
            other.w_addr.eq(one.w_addr), other.w_en.eq(one.w_en)]
        if shape.get("gated"):
            m.d.comb += [one.r_en.eq(self.random[94]), one.o_en.eq(self.random[93]),
                         other.r_en.eq(one.r_en), other.o_en.eq(one.o_en)]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The pairs and their bench, compiled."""
    simulator = find_simulator()
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "pairs.v").write_text(to_verilog(Pairs(), "pairs"))
    rtl = with_models(folder / "pairs.v", {"family": "ecp5", "primitives": ecp5.PRIMITIVES}, folder)
    (folder / "bench.v").write_text(BENCH.format(n=len(MULTIPLIERS) + len(RAMS), cycles=CYCLES))

    done = subprocess.run(
        [simulator.folder / "verilator", "--binary", "--timing", "-O3", "-Wno-fatal", "-Wno-lint",
         "-Wno-style", "--top-module", "bench", "--Mdir", "obj", "bench.v", rtl],
        cwd=folder, env=os.environ | simulator.environment(), capture_output=True, text=True,
        check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "obj" / "Vbench"


def run(program, *arguments) -> tuple:
    """(pairs that ever differed, pairs whose output ever moved), a bit each."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    line = next(x for x in done.stdout.splitlines() if x.startswith("wrong"))
    _, wrong, _, alive = line.split()
    return wrong, alive


def test_blocks_equal(program):
    wrong, alive = run(program)
    assert set(alive) == {"1"}
    assert set(wrong) == {"0"}, f"pairs that differ, last first: {wrong}"


def test_fault_is_seen(program):
    """The comparison can fail, in every pair."""
    wrong, _ = run(program, "+fault")
    assert set(wrong) == {"1"}, f"pairs whose fault stays hidden, last first: {wrong}"


@pytest.mark.parametrize("widths", [(19, 8), (8, 19)])
def test_wide_product_is_left_to_synthesis(widths):
    assert "MULT18X18D" not in to_verilog(ecp5.make_multiplier(*widths), "product")


@pytest.mark.parametrize("depth", [32, 16385])
def test_shallow_and_deep_memories_are_left_to_synthesis(depth):
    assert "DP16KD" not in to_verilog(ecp5.make_ram(width=8, depth=depth), "memory")
