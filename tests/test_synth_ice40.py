"""SB_MAC16 blocks that a core instantiates, through synthesis and placement, with real tools."""

import dataclasses
import json
import re

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw import blocks, ice40
from hw.emit import to_verilog
from synth import place_and_route, target_named
from synth.wrap import WRAPPER

UP5K = target_named("up5k")


class Products(wiring.Component):
    """Products between registers and an accumulator each."""

    x: In(32)
    y: Out(32)

    def __init__(self, *multipliers):
        self.multipliers = multipliers
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        x = Signal.like(self.x)
        m.d.sync += x.eq(self.x)
        y = C(0, 32)
        for k, multiplier in enumerate(self.multipliers):
            m.submodules[f"product{k}"] = multiplier
            total = Signal(32, name=f"total{k}")
            m.d.comb += [multiplier.a.eq(x[k:]), multiplier.b.eq(x[16 - k:])]
            m.d.sync += total.eq(total + multiplier.p)
            y = y ^ total
        m.d.comb += self.y.eq(y)
        return m


def place(folder, target, *multipliers):
    """The result, and the instances' parameters as written and as they are in the netlist."""
    text = to_verilog(Products(*multipliers), "products")
    ports = [{"name": name, "direction": direction, "width": width} for name, direction, width in
             (("clk", "in", 1), ("rst", "in", 1), ("x", "in", 32), ("y", "out", 32))]
    result = place_and_route(text, {
        "name": "products", "ports": ports, "cycles_per_step": 1, "lanes": len(multipliers),
        "family": "ice40", "primitives": ice40.PRIMITIVES}, target, build_dir=folder)
    written = [{name: f"{int(value):0{width}b}" for name, width, value in
                re.findall(r"\.(\w+)\((\d)'h(\d)\)", instance.partition(") block (")[0])}
               for instance in text.split("SB_MAC16 #(")[1:]]
    netlist = json.loads((folder / "netlist.json").read_text())
    placed = [cell["parameters"] for name, cell in netlist["modules"][WRAPPER]["cells"].items()
              if cell["type"] == "SB_MAC16" and name.endswith(".block")]
    return result, written, placed


def test_instances_stay_as_they_are(tmp_path):
    """Also beside a product that is found; and the clock printed is the data sheet's."""
    result, written, placed = place(tmp_path, UP5K, ice40.Multiplier(16, 16),
                                    ice40.Multiplier(9, 12), blocks.Multiplier(16, 16))
    assert result["dsp"]["used"] == 3
    assert len(written) == 2 and written[0]["PIPELINE_16x16_MULT_REG2"] == "1"
    assert placed == written
    assert result["reported_mhz"] > 50 == result["fmax_mhz"]
    assert any("data sheet allows 50 MHz" in warning for warning in result["warnings"])


def test_instances_that_are_not_hidden_lose_their_registers(tmp_path):
    """What Yosys does to them where nothing holds it back; once it does not, hide them no more."""
    bare = dataclasses.replace(UP5K, before_coarse="", after_coarse="")
    _, written, placed = place(tmp_path, bare, ice40.Multiplier(16, 16))
    assert written[0]["A_REG"] == "1" and placed[0]["A_REG"] == "0"
