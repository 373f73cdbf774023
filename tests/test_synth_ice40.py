"""SB_MAC16 blocks that a core instantiates, through synthesis and placement, with real tools."""

import dataclasses
import json
import os
import re
import subprocess

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw import blocks, ice40
from hw.emit import to_verilog
from sim.build import find_simulator
from synth import place_and_route, target_named
from synth.targets import _ICE40_SECOND_REGISTERS
from synth.tools import find_tool, run_tool
from synth.wrap import WRAPPER

UP5K = target_named("up5k")
MULTIPLIERS = ((16, 16, 4), (9, 12, 4), (16, 8, 3))  # widths of both operands, latency

# The netlist with Yosys' models of the cells. The pin falls silent where all products are equal.
FLATTEN = f"""
read_json netlist.json
write_verilog -noattr cells.v
design -reset
read_verilog cells.v
read_verilog -defer +/ice40/cells_sim.v
hierarchy -top {WRAPPER}
proc
flatten
write_verilog -noattr gates.v
"""
BENCH = f"""
module bench;
  reg clk = 0, serial_i, differed = 0;
  wire serial_o;
  integer k;
  {WRAPPER} gates(.clk(clk), .rst(1'b0), .serial_i(serial_i), .serial_o(serial_o));
  initial begin
    for (k = 0; k < 20000; k = k + 1) begin
      serial_i = $urandom;
      #1 clk = 1;
      #1 clk = 0;
      // Until then the pipelines hold what they started with.
      if (k > 200) differed = differed | serial_o;
    end
    $display("differed %b", differed);
    $finish;
  end
endmodule
"""


class Compared(wiring.Component):
    """Instantiated products beside those that synthesis finds: a bit each, 1 where they differ."""

    x: In(32)
    y: Out(len(MULTIPLIERS))

    def elaborate(self, platform):
        m = Module()
        for k, (a_width, b_width, latency) in enumerate(MULTIPLIERS):
            products = []
            for maker in (ice40.Multiplier, blocks.Multiplier):
                name = f"{maker.__module__.split('.')[1]}{k}"
                m.submodules[name] = product = maker(a_width, b_width, latency=latency)
                m.d.comb += [product.a.eq(self.x[:16]), product.b.eq(self.x[16:])]
                products.append(product.p)
            m.d.sync += self.y[k].eq(products[0] != products[1])
        return m


def place(folder, target):
    """The result, and the instances' parameters as written and as they are in the netlist."""
    text = to_verilog(Compared(), "compared")
    ports = [{"name": name, "direction": direction, "width": width} for name, direction, width in
             (("clk", "in", 1), ("rst", "in", 1), ("x", "in", 32), ("y", "out", len(MULTIPLIERS)))]
    result = place_and_route(text, {
        "name": "compared", "ports": ports, "cycles_per_step": 1, "lanes": 2 * len(MULTIPLIERS),
        "family": "ice40", "primitives": ice40.PRIMITIVES}, target, build_dir=folder)
    written = [{name: f"{int(value):0{width}b}" for name, width, value in
                re.findall(r"\.(\w+)\((\d)'h(\d)\)", instance.partition(") block (")[0])}
               for instance in text.split("SB_MAC16 #(")[1:]]
    netlist = json.loads((folder / "netlist.json").read_text())
    placed = [cell["parameters"] for name, cell in netlist["modules"][WRAPPER]["cells"].items()
              if cell["type"] == "SB_MAC16" and name.endswith(".block")]
    return result, written, placed


def gates_differ(folder) -> bool:
    """Whether any two products of the placed netlist ever differ, in Verilator."""
    (folder / "flatten.ys").write_text(FLATTEN)
    (folder / "bench.v").write_text(BENCH)
    status, _, tail = run_tool(find_tool("yosys"), ["-q", "flatten.ys"], folder=folder)
    assert status == 0, tail
    simulator = find_simulator()
    done = subprocess.run(
        [simulator.folder / "verilator", "--binary", "--timing", "-Wno-fatal", "-Wno-lint",
         "-Wno-style", "--top-module", "bench", "--Mdir", "obj", "bench.v", "gates.v"],
        cwd=folder, env=os.environ | simulator.environment(), capture_output=True, text=True,
        check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    done = subprocess.run([folder / "obj" / "Vbench"], capture_output=True, text=True, check=True)
    return re.search(r"differed (\d)", done.stdout)[1] == "1"


def test_instances_stay_as_they_are(tmp_path):
    """Their modes, and their products in the netlist; the clock printed is the data sheet's."""
    result, written, placed = place(tmp_path, UP5K)
    assert result["dsp"]["used"] == 2 * len(MULTIPLIERS)
    assert len(written) == len(MULTIPLIERS) and written[0]["PIPELINE_16x16_MULT_REG2"] == "1"
    assert placed == written
    assert not gates_differ(tmp_path)
    assert result["reported_mhz"] > 50 == result["fmax_mhz"]
    assert any("data sheet allows 50 MHz" in warning for warning in result["warnings"])


def test_instances_that_are_not_hidden_lose_their_registers(tmp_path):
    """What Yosys does to them where nothing holds it back; once it does not, hide them no more."""
    bare = dataclasses.replace(UP5K, before_coarse=_ICE40_SECOND_REGISTERS, after_coarse="")
    _, written, placed = place(tmp_path, bare)
    assert written[0]["A_REG"] == "1" and placed[0]["A_REG"] == "0"
    assert gates_differ(tmp_path)
