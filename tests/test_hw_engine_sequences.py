"""Stored sequences: lengths that change, lengths beyond the store, words that break the rules."""

from dataclasses import replace

import pytest
from simulate import Scenario, expected_trace, expected_words, input_words, simulate_engine
from test_hw_engine_reverse import both
from test_hw_engine_streams import LENGTHS, _build

from golden.model import run_golden
from hw.engine import make_layout
from hw.program import make_program

HEAD = ("linear", 3, (0, 1))
NETWORKS = {
    "one_sweep": (*both("gru", 4), ("linear", 3, "final", (0, 1))),
    "two_sweeps": (*both("lstm", 4), HEAD),
    "last_step_alone": (*both("gru", 3), *both("lstm", 2, (0, 1)), ("linear", 3, "last", (2, 3))),
    "mean": (*both("gru", 4), ("mean", 4, (0,)), ("linear", 2, "last")),
}


def _parts(layout, codes, lengths):
    """(input words, expected words, golden runs) of sequences cut to these lengths."""
    words, expected, runs = [], [], []
    for s, steps in enumerate(lengths):
        part = codes.of_length(slice(s, s + 1), steps)
        runs.append(run_golden(layout.program.network, part))
        words += input_words(layout, part)
        expected += expected_words(layout, runs[-1])
    return words, expected, runs


@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("states", [{}, {"loads": True, "returns": True}], ids=["plain", "states"])
@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_mixed_lengths(layers, states, pause):
    layout, codes = _build(*layers, steps=max(LENGTHS), sequences=len(LENGTHS), **states)
    words, expected, runs = _parts(layout, codes, LENGTHS)
    total = layout.schedule.total_cycles(LENGTHS)
    (observed,) = simulate_engine(layout, [Scenario(
        words=words, outputs=len(expected), limit=6 * total + 500, pause=pause, seed=3)])
    assert observed.words == expected
    for signal in "hc":
        assert getattr(observed, signal) == [
            record for run, steps in zip(runs, LENGTHS, strict=True)
            for record in expected_trace(layout, run, signal, steps)]
    assert observed.errors == 0
    assert observed.cycles == total if pause == 0 else observed.cycles >= total


@pytest.mark.parametrize("beyond", [1, 7])
def test_a_sequence_beyond_the_store(beyond):
    """It is cut at ``max_steps``; each word that is lost is an error; the next one is exact."""
    layout, codes = _build(*both("gru", 4), HEAD, steps=5 + beyond, sequences=2)
    program = layout.program
    layout = make_layout(make_program(replace(program.network, max_steps=5), lanes=program.lanes))
    words = input_words(layout, codes, [0])
    kept, after = codes.of_length(slice(0, 1), 5), codes.of_length(slice(1, 2), 4)
    expected = sum((expected_words(layout, run_golden(layout.program.network, part))
                    for part in (kept, after)), start=[])
    (observed,) = simulate_engine(layout, [Scenario(
        words=words + input_words(layout, after), outputs=len(expected), limit=9000)])
    assert observed.words == expected
    assert observed.errors == beyond * layout.program.network.inputs


def test_short_step():
    """``last`` inside a step: one error, as many words as ever, and the sequence after it exact."""
    layout, codes = _build(*both("lstm", 5), HEAD, inputs=4)
    golden = run_golden(layout.program.network, codes)
    broken = input_words(layout, codes, [0])[:-3]
    broken[-1] = (broken[-1][0], True)
    whole = input_words(layout, codes, [1, 2])
    first, after = expected_words(layout, golden, [0]), expected_words(layout, golden, [1, 2])
    (observed,) = simulate_engine(layout, [Scenario(
        words=broken + whole, outputs=len(first) + len(after), limit=5000)])
    assert observed.errors == 1
    assert len(observed.words) == len(first) + len(after)
    assert observed.words[len(first) - 1][1]
    assert observed.words[len(first):] == after


@pytest.mark.parametrize("at", [0, 3, -1])
def test_last_among_states(at):
    """``last`` on a state word: one error, and the states start over."""
    layout, codes = _build(*both("lstm", 3), HEAD, loads=True, returns=True)
    golden = run_golden(layout.program.network, codes)
    words = input_words(layout, codes)
    states = words[:layout.program.state_words]
    cut = states[:at] + states[at:at + 1] if at >= 0 else states[:]
    cut[-1] = (cut[-1][0], True)
    expected = expected_words(layout, golden)
    (observed,) = simulate_engine(layout, [Scenario(
        words=cut + words, outputs=len(expected), limit=5000)])
    assert observed.errors == 1
    assert observed.words == expected


def test_stuck_output():
    """A sink that takes nothing stops the engine and loses nothing."""
    layout, codes = _build(*both("gru", 4), ("linear", 9, (0, 1)), steps=12)
    expected = expected_words(layout, run_golden(layout.program.network, codes))
    words, total = input_words(layout, codes), layout.schedule.total_cycles([12] * 3)
    (observed,) = simulate_engine(layout, [Scenario(
        words=words, outputs=len(expected), limit=5 * total, stuck=2 * total)])
    assert observed.words == expected
    assert observed.sent[0] == 2 * total and observed.errors == 0
