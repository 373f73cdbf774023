"""Both runners on a core with four posts and words beyond 64 bits: right, and with each fault.

A module around the core commits the faults. One is ordered by the highest element of an input word,
which the network has no weights for, and holds until a word of three elements has gone out.
"""

import re
from dataclasses import replace
from enum import IntEnum

import numpy as np
import pytest
from networks import make_batch, make_integer, make_network

from gatewright.steps import Golden, stimulus
from golden.model import run_golden
from hw.emit import generate
from sim import verify
from sim.fast import FastSimulator

POSTS, COLS, UNITS, STEPS = 4, 8, 7, 5  # a step's seven results: four elements, then three


class Fault(IntEnum):
    NONE = 0
    MORE = 1           # tkeep shows an element that there is not
    LESS = 2           # and hides one that there is
    HOLE = 3
    NOTHING = 4
    KEEP_MOVES = 5     # tkeep changes while the word waits
    HIGHEST = 6        # a wrong bit in the highest element of a full word
    TRACED_H = 7       # a wrong bit in the highest value of a record
    TRACED_C = 8
    NO_RECORD = 9      # the second record of a step is not there
    TWICE = 10         # the first record of a step has the second's index


def around(core) -> str:
    """The core's text, renamed, inside a module of its name that commits the faults."""
    ports = {port["name"]: port for port in core.manifest["ports"]}
    width = {name: port["width"] for name, port in ports.items()}
    value = {signal: width[f"trace_{signal}_data"] // POSTS for signal in "hc"}
    code = width["s_axis_tdata"] - 4
    changed = {
        "m_axis_tkeep": "fault == 1 ? 4'b1111 : fault == 2 ? own >> 1 : fault == 3 ? own & 4'b1110 "
                        ": fault == 4 ? 4'b0 : fault == 5 ? own ^ {3'b0, waits} : own",
        "m_axis_tdata": f"own ^ ({width['m_axis_tdata']}'(fault == 6 & &keep)"
                        f" << {width['m_axis_tdata'] // POSTS * 3})",
        **{f"trace_{s}_data": f"own ^ ({value[s] * POSTS}'(fault == {k}) << {value[s] * 3})"
           for s, k in (("h", 7), ("c", 8))},
        "trace_h_valid": "own & ~(fault == 9 & trace_h_index[0])",
        "trace_h_index": "own | fault == 10"}
    inner = core.verilog.replace(f"module {core.name}(", "module inner(", 1)
    inner = inner.replace(f"\\{core.name}.", "\\inner.")
    lines = [f"{inner}\nmodule {core.name}("
             + ", ".join(f"{port['direction']}put [{port['width'] - 1}:0] {name}"
                         for name, port in ports.items()) + ");",
             "  reg [3:0] fault = 0; reg waits = 0;"]
    for name, text in changed.items():
        lines += [f"  wire [{width[name] - 1}:0] own_{name};",
                  f"  assign {name} = {re.sub('own', f'own_{name}', text)};"]
    lines[-1] += "\n  wire [3:0] keep = own_m_axis_tkeep;"
    lines += ["  inner core (" + ", ".join(
        f".{name}({f'own_{name}' if name in changed else name})" for name in ports) + ");",
        "  always @(posedge clk) begin",
        "    waits <= m_axis_tvalid & ~m_axis_tready;",
        "    if (rst) fault <= 0;",
        f"    else if (s_axis_tvalid & s_axis_tready & |s_axis_tdata[{code} +: 4])",
        f"      fault <= s_axis_tdata[{code} +: 4];",
        "    else if (m_axis_tvalid & m_axis_tready & keep == 4'b0111) fault <= 0;",
        "  end", "endmodule", ""]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folder with the Verilog, the manifest, and the stimulus without a fault."""
    network = make_network(("lstm", UNITS), inputs=COLS - 2, loads=True, returns=True)
    integer, codes = make_integer(network, make_batch(network, 3, STEPS), act_width=18,
                                  cell_width=24)
    core = generate(integer, lanes=8, cols=COLS, posts=POSTS, wide=True)
    assert {port["name"]: port["width"] for port in core.manifest["ports"]
            if port["name"].endswith("data")} == {
        "s_axis_tdata": 24 * COLS, "m_axis_tdata": 24 * POSTS, "trace_h_data": 18 * POSTS,
        "trace_c_data": 24 * POSTS}
    run = run_golden(integer, codes)
    folder = tmp_path_factory.mktemp("wide")
    (folder / "net.v").write_text(around(core))
    return folder, core.manifest, stimulus(
        core, Golden(codes=codes, run=run, y_float=run.y, y_fixed=run.y))


@pytest.fixture(scope="module")
def fast(place):
    folder, manifest, _ = place
    with FastSimulator(folder / "net.v", manifest, folder / "fast") as simulator:
        yield simulator


def ordered(right, fault: Fault, sequence: int = 1, step: int = 2):
    """The stimulus with a fault ordered in a step, up to two before which it strikes."""
    made = list(right.sequences)
    inputs = made[sequence].inputs.copy()
    inputs[len(inputs) - STEPS + step, -1] = fault << 20  # a step is one word
    made[sequence] = replace(made[sequence], inputs=inputs)
    return replace(right, sequences=tuple(made))


def test_equal(place, fast):
    folder, manifest, right = place
    # h, c and result of every step; two states in and out
    words = 3 * (STEPS * 3 * UNITS + 2 * UNITS)
    assert right.words == words
    assert [sequence.inputs.shape for sequence in right.sequences] == [
        (STEPS + 2 * UNITS, COLS)] * 3
    result = fast.run(right, seed=1)
    assert result.passed and result.words == words
    assert result.cycles == right.predicted_cycles
    for seed in range(20):
        paused = fast.run(right, seed=seed, pauses=True, resets=[40 + 9 * seed])
        assert paused.passed, paused.difference
    bench = verify(folder / "net.v", manifest, right, build_dir=folder / "bench", seed=1)
    assert bench.passed, bench.first_difference
    assert bench.words == words and bench.cycles_measured == right.predicted_cycles


@pytest.mark.parametrize(("fault", "expected"), [
    (Fault.MORE, {"signal": "output"}),
    (Fault.LESS, {"kind": "tkeep", "neuron": 2, "expected": 0, "actual": 1}),
    (Fault.HOLE, {"kind": "tkeep"}), (Fault.NOTHING, {"kind": "tkeep"}),
    (Fault.HIGHEST, {"kind": "value", "signal": "output", "neuron": 3}),
    (Fault.TRACED_H, {"kind": "value", "signal": "h", "layer": 0, "neuron": 3}),
    (Fault.TRACED_C, {"kind": "value", "signal": "c", "layer": 0, "neuron": 3}),
    (Fault.NO_RECORD, {"kind": "missing_record", "signal": "h", "neuron": 4}),
    (Fault.TWICE, {"kind": "missing_record", "signal": "h"}),
], ids=lambda value: getattr(value, "name", ""))
def test_fault_is_found_by_both(place, fast, fault, expected):
    folder, manifest, right = place
    wrong = ordered(right, fault)
    result = fast.run(wrong, seed=1)
    assert not result.passed
    expected = {"sequence": 1} | expected
    assert {name: result.difference.get(name) for name in expected} == expected
    bench = verify(folder / "net.v", manifest, wrong, build_dir=folder / "bench", seed=1)
    assert not bench.passed
    assert {name: bench.first_difference.get(name) for name in expected} == expected


def test_moving_tkeep(place, fast):
    """tkeep that changes while its word waits breaks the protocol, which only pauses show."""
    folder, manifest, right = place
    made = right
    for sequence in range(3):
        for step in range(STEPS):
            made = ordered(made, Fault.KEEP_MOVES, sequence, step)
    assert fast.run(made, seed=1).passed
    found = [fast.run(made, seed=seed, pauses=True).difference for seed in range(5)]
    bench = verify(folder / "net.v", manifest, made, build_dir=folder / "bench", seed=1)
    assert bench.first_difference["pass"] == "paused"
    for difference in (*found, bench.first_difference):
        assert "tkeep" in difference["message"], difference


def test_each_element_counts(place, fast):
    """A wrong code in any element of an input word that the network looks at is noticed."""
    _, _, right = place
    noticed = 0
    for element in range(COLS - 2):
        made = list(right.sequences)
        inputs = made[0].inputs.copy()
        inputs[2 * UNITS, element] ^= 1 << 16
        made[0] = replace(made[0], inputs=inputs)
        noticed += not fast.run(replace(right, sequences=tuple(made)), seed=1).passed
    assert noticed == COLS - 2
    with pytest.raises(ValueError, match=r"^Input words must have 8 element\(s\), not 1$"):
        fast.run(replace(right, sequences=tuple(
            replace(s, inputs=np.zeros(5, np.int64)) for s in right.sequences)), seed=1)
