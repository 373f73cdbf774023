"""Figures read from the tools' reports, without running a tool."""

import json

import pytest

from synth import DoesNotFit, SynthError, report, target_named
from synth.images import split_images
from synth.tools import find_tool, run_tool

ECP5, UP5K = target_named("ecp5-25f"), target_named("up5k")


def usage(target, **used):
    return {name: {"used": used.get(name, 0), "available": block.available}
            for name, block in target.blocks.items()}


def doubts(target, *, mhz=100.0, cells=None, memories=None, products=0, **used):
    return report.doubts(usage=usage(target, **used), cells=cells or {}, memories=memories or {},
                         products=products, reported_mhz=mhz, target=target)


def test_no_doubts():
    assert doubts(ECP5, dsp=21, bram=23, products=16, mhz=179.9, memories={"tanh": 2048},
                  cells={"TRELLIS_DPR16X4": 288}) == []


@pytest.mark.parametrize(("case", "message"), [
    ({"products": 16, "dsp": 15}, "the array has 16 multipliers but only 15 DSP blocks"),
    ({"memories": {"core.weights": 2049}}, "memory core.weights (2049 bits) is built from LUTs"),
    ({"memories": {f"core.w{k}.m": 4096 for k in range(3)}},
     "3 memories core.w*.m (4096 bits each) are built from LUTs"),
    ({"cells": {"TRELLIS_DPR16X4": 289}}, "18496 bits are in LUT RAM"),
    ({"mhz": 180.1}, "nextpnr does not time the inside"),
])
def test_doubt(case, message):
    warnings = doubts(ECP5, **case)
    assert len(warnings) == 1 and warnings[0].startswith(message)


def test_doubts_without_placement():
    xilinx = target_named("xc7a35t")
    assert doubts(xilinx, mhz=None, dsp=2, products=2) == [
        "XC7A35T: resources as Yosys counts them; nothing was placed, so that no clock is known"]
    assert len(doubts(xilinx, mhz=None, dsp=1, products=2, cells={"RAM64M8": 37})) == 3


@pytest.mark.parametrize(("target", "cells", "want"), [
    ("xc7a35t", {"LUT2": 3, "LUT6": 4, "INV": 1, "RAM32M": 1, "RAM64M": 1, "SRL16E": 2,
                 "SRLC32E": 1, "MUXF7": 5, "CARRY4": 6}, {"lut": 19}),
    ("xczu3eg", {"LUT5": 1, "RAM32M16": 1, "RAM64M8": 1, "SRL16E": 1}, {"lut": 18}),
    ("xc7a35t", {"FDRE": 5, "FDSE": 1, "RAMB36E1": 2, "RAMB18E1": 1, "DSP48E1": 3},
     {"ff": 6, "bram": 5, "dsp": 3}),
    ("gw1nr-9c", {"LUT4": 7, "MUX2_LUT5": 3, "ALU": 2, "RAM16SDP4": 1, "DFFRE": 4, "DFF": 1,
                  "SPX9": 1, "SDPX9B": 2, "DPX9B": 1, "pROM": 1, "MULT9X9": 3, "MULT18X18": 1,
                  "MULT36X36": 1}, {"lut": 15, "ff": 5, "bram": 5, "dsp": 7}),
    ("ecp5-25f", {"LUT4": 3, "CCU2C": 2, "TRELLIS_DPR16X4": 1, "TRELLIS_FF": 9, "DP16KD": 2,
                  "MULT18X18D": 1}, {"lut": 13, "ff": 9, "bram": 2, "dsp": 1}),
])
def test_netlist_counts(target, cells, want):
    found = report.usage_of({}, cells, target_named(target))
    assert {name: found[name]["used"] for name in want} == want


def test_counts_of_one_resource_add_up():
    counts = {"LUT4": {"used": 100, "available": 8640}, "ALU": {"used": 10, "available": 6480},
              "RAM16SDP4": {"used": 2, "available": 270},
              "MULT18X18": {"used": 3, "available": 20}, "MULT9X9": {"used": 3, "available": 40}}
    found = report.usage_of({"utilization": counts}, {}, target_named("gw1nr-9c"))
    assert found["lut"] == {"used": 122, "available": 8640, "share": round(122 / 8640, 4),
                            "cell": "LUT4"}
    assert found["dsp"]["used"] == 5 and found["bram"]["used"] == 0


def test_bigger_device_is_of_the_same_kind():
    for name, bigger in (("xc7a35t", "xc7a100t"), ("gw1nr-9c", "gw2ar-18c"),
                         ("ecp5-25f-8", "ecp5-45f-8"), ("xczu3eg", "none is known")):
        target = target_named(name)
        cell = {"xc7": "DSP48E1", "xcup": "DSP48E2", "gowin": "MULT18X18",
                "ecp5": "MULT18X18D"}[target.family]
        with pytest.raises(DoesNotFit, match=rf"device \({bigger}\)$"):
            report.check_fit({cell: target.blocks["dsp"].available + 1}, target, "core")


def test_datasheet_limit_is_of_the_blocks_in_use():
    assert report.limit_mhz(usage(ECP5, lut=9), ECP5) is None
    assert report.limit_mhz(usage(ECP5, bram=1), ECP5) == 272
    assert report.limit_mhz(usage(ECP5, bram=1, dsp=1), ECP5) == 225
    assert report.limit_mhz(usage(UP5K, spram=1), UP5K) == 70
    assert report.limit_mhz(usage(UP5K, spram=1, dsp=1), UP5K) == 50
    assert "data sheet allows 50 MHz" in doubts(UP5K, dsp=4, mhz=65.0)[0]


def test_fit_counts_every_cell_kind():
    cells = {"LUT4": 24000, "CCU2C": 100, "TRELLIS_DPR16X4": 10, "TRELLIS_FF": 24288,
             "DP16KD": 56, "MULT18X18D": 28}
    report.check_fit(cells, ECP5, "core")
    for cell, message in (
            ("CCU2C", r"needs 24290 LUT4s and the device has 24288; choose fewer lanes or"),
            ("TRELLIS_FF", r"needs 24\d89 flip-flops"),
            ("DP16KD", r"needs 57 block RAMs and the device has 56; choose smaller weights .*45f"),
            ("MULT18X18D", r"needs 29 DSP blocks")):
        more = cells | {cell: cells[cell] + (15 if cell == "CCU2C" else 1)}
        with pytest.raises(DoesNotFit, match=message):
            report.check_fit(more, ECP5, "core")


def test_bigger_device_keeps_the_speed_grade():
    with pytest.raises(DoesNotFit, match=r"a bigger device \(ecp5-85f-8\)$"):
        report.check_fit({"MULT18X18D": 73}, target_named("ecp5-25f-8"), "core")


def test_overflow_in_placement():
    log = "Info: Device utilisation:\nInfo: \t ICESTORM_LC:    7695/   5280   145%\n"
    said = "ERROR: Unable to place cell 'a', no BELs remaining to implement cell type 'ICESTORM_LC'"
    with pytest.raises(DoesNotFit, match=r"^core does not fit up5k: it needs 7695 logic cells and "
                       r"the device has 5280; choose fewer lanes or a bigger device \(none is"):
        report.check_placed(said, log, UP5K, "core")
    report.check_placed("ERROR: something else", log, UP5K, "core")


def test_clock_wrong():
    assert report.clock_of({"fmax": {"a": {"achieved": 9.0}, "b": {"achieved": 7.5}}}) == 7.5
    with pytest.raises(SynthError, match=r"^No clocked path is left after synthesis"):
        report.clock_of({"fmax": {}})


def test_report_file_wrong(tmp_path):
    with pytest.raises(SynthError, match=r"^report\.json was not written whole by the tool"):
        report.read_json(tmp_path / "report.json")
    (tmp_path / "report.json").write_text('{"fmax": ')
    with pytest.raises(SynthError, match=r"^report\.json was not written whole by the tool"):
        report.read_json(tmp_path / "report.json")
    with pytest.raises(SynthError, match=r"^Yosys statistics hold no cell counts"):
        report.cells_of({"modules": {}})


def memory(depth=100, name="w", last=""):
    rows = "".join(f"    {name}[{idx}] = 12'h{idx * 37 % 4096:03x};\n" for idx in range(depth))
    return (f"module top(input clk, input [6:0] a, output reg [11:0] y);\n"
            f"  reg [11:0] {name} [{depth - 1}:0];\n  initial begin\n{rows}{last}  end\n"
            f"  always @(posedge clk) y <= {name}[a];\nendmodule\n")


@pytest.mark.parametrize("name", ["w", "\\w.0 "])
def test_images_hold_the_same_words(tmp_path, name):
    text = memory(name=name)
    moved, images = split_images(text)
    assert set(images) == {"image_0.hex"} and "12'h" not in moved
    contents = []
    for source in (text, moved):
        for file, content in ({"top.v": source} | images).items():
            (tmp_path / file).write_text(content)
        status, _, tail = run_tool(
            find_tool("yosys"), ["-q", "-p", "read_verilog top.v; proc; memory -nomap; "
                                 "write_json top.json"], folder=tmp_path)
        assert status == 0, tail
        cells = json.loads((tmp_path / "top.json").read_text())["modules"]["top"]["cells"]
        contents.append([cell["parameters"]["INIT"] for cell in cells.values()
                         if cell["type"] == "$mem_v2"])
    assert contents[0] == contents[1] and len(contents[0]) == 1 and "1" in contents[0][0]


def test_images_leave_other_blocks():
    for text in (memory(depth=10), memory(last="    y = 3;\n"),
                 memory(last="    v[0] = 12'h003;\n"), "module top(); endmodule\n"):
        assert split_images(text) == (text, {})
