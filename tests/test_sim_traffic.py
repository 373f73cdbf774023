"""The named patterns: that they are what they say, and find what only they can find."""

import re

import numpy as np
import pytest
from sim_standin import Fault, emit, golden

from sim import Sequence, Stimulus
from sim.fast import FastSimulator, Patterns
from sim.traffic import ALWAYS, PATTERNS

LENGTHS = [1, 4, 12, 7]
# Takes any word at once, and tells its source's valid as steps; behind a last word, which is a
# sequence's only one, the ready of its sink, to which it offers without end.
PROBE = """
module standin(input clk, input rst, {ports});
  reg behind = 0;
  always @(posedge clk) behind <= !rst && (behind || (s_axis_tvalid && s_axis_tlast));
  assign s_axis_tready = 1;
  assign m_axis_tvalid = behind;
  assign trace_step = behind ? m_axis_tready : s_axis_tvalid;
  assign {{m_axis_tdata, m_axis_tlast, trace_h_valid, trace_c_valid, idle}} = 0;
  assign {{trace_h_index, trace_h_data, trace_c_index, trace_c_data}} = 0;
  assign {{status_errors, status_saturations}} = 0;
endmodule
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traffic")
    text, manifest = emit()
    (folder / "standin.v").write_text(text)
    ports = ", ".join(f"{port['direction']}put [{port['width'] - 1}:0] {port['name']}"
                      for port in manifest["ports"] if port["name"] not in ("clk", "rst"))
    (folder / "probe.v").write_text(PROBE.format(ports=ports))
    return folder, manifest


@pytest.fixture(scope="module")
def core(place):
    folder, manifest = place
    with FastSimulator(folder / "standin.v", manifest, folder / "build") as simulator:
        yield simulator


@pytest.fixture(scope="module")
def moves(place):
    """Function of a side and a pattern: bool (cycles,), in which of them the side moved."""
    folder, manifest = place
    trace = {(e["signal"], e["layer"]): np.zeros((1, e["units"])).astype(int)
             for e in manifest["trace"]}
    with FastSimulator(folder / "probe.v", manifest, folder / "build") as probe:
        def seen(side: str, name: str) -> np.ndarray:
            count = 20_000 if side == "source" else 1
            given = Stimulus(output_units=1, sequences=[Sequence(
                steps=1, inputs=np.arange(count), outputs=[1], trace=trace)])
            starts = probe.run(given, seed=7, pauses=Patterns(**{side: name})).starts
            starts = starts[1:] if side == "sink" else starts[:count]  # the word before it
            assert len(starts) > 2000
            moved = np.zeros(starts[-1] - starts[0] + 1, bool)
            moved[starts - starts[0]] = True
            return moved

        yield seen


def spells(moved: np.ndarray) -> tuple:
    """Lengths of the spells (moving, still); the first and the last of all are left out."""
    edges = np.flatnonzero(np.diff(moved.astype(int)))
    lengths, begins = np.diff(edges), moved[edges[:-1] + 1]
    return lengths[begins], lengths[~begins]


@pytest.mark.parametrize("side", ["source", "sink"])
@pytest.mark.parametrize("name", PATTERNS)
def test_pattern_is_what_it_says(moves, side, name):
    moved = moves(side, name)
    going, still = spells(moved)
    share = moved.mean()
    if name == ALWAYS:
        assert share == 1
    elif name == "starved":
        assert set(still) == {1000} and going.min() < 300 and going.max() > 700
    elif name in ("alternate", "follows"):
        assert set(going) == set(still) == {1}
    elif name == "pulses":
        assert set(going) == {1} and set(still) == set(range(3, 19))
    elif name == "bursts":
        assert set(going) == set(still) == set(range(1, 33))
    else:
        chance = int(re.search(r"\d+", name)[0]) / 100
        assert abs(share - chance) < 0.02
        assert abs(going.mean() * (1 - chance) - 1) < 0.1  # each cycle by itself


@pytest.mark.parametrize("sink", PATTERNS)
def test_every_pair_is_equal(core, sink):
    given = golden(LENGTHS)
    for source in PATTERNS:
        result = core.run(given, seed=1, pauses=Patterns(source=source, sink=sink))
        assert result.passed, (source, result.difference)
        assert result.cycles >= given.predicted_cycles
    assert core.run(golden(LENGTHS, predicted_cycles=1), seed=1,
                    pauses=Patterns()).difference["kind"] == "cycles"


@pytest.mark.parametrize("sink", PATTERNS)
def test_withdrawn_word(core, sink):
    """Each pattern but "always" shows a word that is withdrawn before it is taken."""
    given = golden([60], predicted_cycles=None)
    given.sequences[0].inputs[::2] |= Fault.DROP_VALID.value << 8
    difference = core.run(given, seed=1, pauses=Patterns(sink=sink)).difference
    assert (difference is None) == (sink == ALWAYS)
    assert difference is None or "tvalid fell" in difference["message"]


def test_stop(core):
    """The source stops where it is told to, for as long as it is told to."""
    given, patterns = golden(LENGTHS), Patterns(stop=(9, 5000))
    result = core.run(given, seed=1, pauses=patterns)
    assert result.passed
    free = core.run(given, seed=1)
    late = result.starts - free.starts
    step = 1 + 4  # words 8 and 9 are the last step of the second sequence
    assert set(late[:step - 1]) == {0} and 4900 < late[step - 1] <= 5000
    cut = core.begin(given, cycles=3000, seed=1, pauses=patterns)
    assert (cut.accepted, cut.cycles, cut.idle, cut.waiting) == (9, 3000, True, False)
    assert core.run(given, seed=1).passed


def test_cut_is_told(core):
    """Where the runs stood that a reset cut off."""
    result = core.run(golden(LENGTHS), seed=1, resets=[0, 1, 25, 1 << 20],
                      pauses=Patterns(sink="starved"))
    assert result.passed and result.resets == 4
    none, one, waits, everything = result.cuts
    assert none.accepted == none.cycles == 0 and one.accepted == 1
    assert waits.accepted == 2 and waits.waiting and not waits.emitted
    assert everything.accepted == 2 * sum(LENGTHS) and everything.idle
    assert not any(cut.violations for cut in result.cuts)


def test_goes_on(core):
    """Without a reset: what the counters have grown by is compared, and states go on."""
    given = golden(LENGTHS)
    assert core.run(given, seed=1).passed and core.run(given, seed=1, reset=False).passed
    wrong = golden(LENGTHS, fault=Fault.STATUS, at=(2, 3))
    assert core.run(wrong, seed=1, reset=False, errors=4).passed
    assert core.run(given, seed=1, reset=False).passed
    difference = core.run(given, seed=1, errors=1).difference
    assert difference["message"] == "status_errors at the end: is 0, expected 1"


def test_wrong_arguments(core):
    with pytest.raises(ValueError, match="must be one of always, starved, .*, not 'never'"):
        Patterns(sink="never")
    with pytest.raises(ValueError, match=r"before word 1 or later, .*, not \(0, 5\)"):
        Patterns(stop=(0, 5))
    with pytest.raises(ValueError, match=r"Last must have 48 flags, not shape \(1,\)"):
        core.run(golden(LENGTHS), seed=1, last=[True])
