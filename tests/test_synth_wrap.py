"""The pins around a core: nothing of the core may get lost in them."""

import json

import pytest

from synth.tools import find_tool, run_tool
from synth.wrap import WRAPPER, wrapper_luts, wrapper_verilog

# Unconditional input register, four products, equal output bits (a sign extension), a debug port.
CORE = """
module core(input clk, input rst, input [15:0] s_axis_tdata, input s_axis_tvalid,
            output s_axis_tready, output reg [63:0] m_axis_tdata, output reg [63:0] trace_y);
  reg signed [15:0] x; reg signed [7:0] w; reg valid; reg signed [31:0] y;
  reg [31:0] memory [0:511]; reg [31:0] word; reg [8:0] address;
  assign s_axis_tready = ~valid;
  always @(posedge clk) begin
    x <= s_axis_tdata; valid <= s_axis_tvalid & ~rst; word <= memory[address];
    if (valid) begin address <= address + 1; memory[address + 3] <= {word, x}; end
    y <= x * $signed(word[7:0]) + x * $signed(word[15:8]) + x * $signed(word[23:16])
       + x * $signed(word[31:24]);
    m_axis_tdata <= {{32{y[31]}}, {16{y[30]}}, {8{y[29]}}, {4{y[28]}}, y[27], y[27], y[26], y[26]};
    trace_y <= y * y;
  end
endmodule
"""
PORTS = [{"name": name, "direction": direction, "width": width} for name, direction, width in (
    ("clk", "in", 1), ("rst", "in", 1), ("s_axis_tdata", "in", 16), ("s_axis_tvalid", "in", 1),
    ("s_axis_tready", "out", 1), ("m_axis_tdata", "out", 64), ("trace_y", "out", 64))]
MANIFEST = {"name": "core", "ports": PORTS}


def port(name, direction="in", width=1):
    return {"name": name, "direction": direction, "width": width}


def cells(folder, sources, top):
    """Cells after synthesis for ECP5, by type."""
    for name, text in sources.items():
        (folder / name).write_text(text)
    script = (f"read_verilog {' '.join(sources)}; synth_ecp5 -top {top}; "
              f"tee -q -o stat.json stat -json")
    status, _, tail = run_tool(find_tool("yosys"), ["-q", "-p", script], folder=folder)
    assert status == 0, tail
    return json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]


def test_core_is_whole_behind_the_pins(tmp_path):
    alone = cells(tmp_path, {"core.v": CORE}, "core")
    pins = wrapper_verilog(MANIFEST, drop=())
    wrapped = cells(tmp_path, {"core.v": CORE, "pins.v": pins}, WRAPPER)
    for kind in ("MULT18X18D", "DP16KD"):
        assert wrapped[kind] == alone[kind] > 0
    assert wrapped["TRELLIS_FF"] > alone["TRELLIS_FF"] + 2 * 17


def test_no_register_of_the_core_is_merged(tmp_path):
    # Two unconditional input stages: delayed copies of each other behind a plain shift register.
    small = """module small(input clk, input [15:0] a, output reg [15:0] y);
      reg [15:0] b, c; always @(posedge clk) begin b <= a; c <= b; y <= c ^ {b[0], b[15:1]}; end
    endmodule"""
    ports = [port("clk"), port("a", width=16), port("y", "out", 16)]
    pins = wrapper_verilog({"name": "small", "ports": ports})
    wrapped = cells(tmp_path, {"small.v": small, "pins.v": pins}, WRAPPER)
    assert wrapped["TRELLIS_FF"] == 3 * 16 + 1 + 2 * 16 + 2 * 16 + 1  # core, inputs, outputs


def test_luts_of_the_wrapper_alone(tmp_path):
    plain = """module plain(input clk, input [6:0] a, output reg [8:0] y);
      reg [6:0] b; always @(posedge clk) begin b <= a; y <= {b[0], b, b[6]}; end
    endmodule"""
    ports = {"name": "plain", "ports": [port("clk"), port("a", width=7), port("y", "out", 9)]}
    found = cells(tmp_path, {"plain.v": plain, "pins.v": wrapper_verilog(ports)}, WRAPPER)
    assert found["LUT4"] == wrapper_luts(ports) == 6 + 8


def test_debug_logic_goes(tmp_path):
    sources = {"core.v": CORE, "pins.v": wrapper_verilog(MANIFEST)}
    assert cells(tmp_path, sources, WRAPPER)["MULT18X18D"] == 4
    # The same test on a wrapper that looks at no result: it must be able to fail.
    blind = wrapper_verilog(MANIFEST, drop=("trace_", "m_axis_tdata"))
    assert "MULT18X18D" not in cells(tmp_path, {"core.v": CORE, "pins.v": blind}, WRAPPER)


def test_text_is_reproducible_and_short():
    text = wrapper_verilog(MANIFEST)
    assert text == wrapper_verilog(json.loads(json.dumps(MANIFEST)))
    assert text.count("\n") < 40 and max(map(len, text.splitlines())) <= 100
    assert ".trace_y()" in text and ".clk(clk)" in text and ".rst(rst_q)" in text
    assert ".s_axis_tdata(core_i[15:0])" in text and ".s_axis_tvalid(core_i[16:16])" in text
    assert ".m_axis_tdata(core_o[64:1])" in text


@pytest.mark.parametrize(("ports", "message"), [
    ([port("clk"), port("a", width=0)], r"Port must have a name, a direction in or out, and a"),
    ([port("clk"), port("a", "inout")], r"Port must have a name, a direction in or out, and a"),
    ([port("clk"), port("a b")], r"Port must have a name, a direction in or out, and a"),
    ([port("clk"), "a"], r"Port must have a name, .*, not 'a'"),
    ([port("a"), port("y", "out")], r"Ports of 'core' must hold one clock .*, not \[\]"),
    ([port("clk"), port("a"), port("a")], r"Port names must differ, not 'a' twice"),
    ([port("clk"), port("a")], r"Ports of 'core' must hold data inputs and outputs, not 1 bits in"),
    ([port("clk"), port("a"), port("trace_y", "out")], r".*not 1 bits in and 0 bits out"),
    (None, r"Manifest's ports must be a list with entries, not None"),
])
def test_ports_wrong(ports, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        wrapper_verilog({"name": "core", "ports": ports})


def test_name_wrong():
    with pytest.raises(ValueError, match=r"^Manifest's name must be a Verilog .*, not 'a;'"):
        wrapper_verilog({"name": "a;", "ports": PORTS})
