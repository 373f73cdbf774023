"""The engine's streams: sequences of any length, and words that break the protocol."""

import numpy as np
import pytest
from networks import make_batch, make_integer, make_network
from simulate import (
    Scenario,
    expected_trace,
    expected_words,
    input_words,
    simulate_engine,
)

from golden.model import Codes, run_golden
from hw.engine import make_layout
from hw.program import make_program

LENGTHS = [1, 4, 1, 1, 7, 2, 1, 12]


def _build(*layers, steps: int = 4, sequences: int = 3, lanes: int = 4, cols: int = 1, **network):
    net = make_network(*layers, **network)
    integer, codes = make_integer(net, make_batch(net, sequences, steps))
    return make_layout(make_program(integer, lanes=lanes, cols=cols)), codes


@pytest.mark.parametrize(("layers", "network"), [
    ((("lstm", 6), ("linear", 3, "last")), {}),
    ((("gru", 2),), {"cols": 4, "lanes": 8}),
    ((("gru_reset_before", 1), ("linear", 1)), {"inputs": 1, "lanes": 2}),
    ((("gru", 5), ("lstm", 3)), {"loads": True, "returns": True}),
    ((("rnn", 1), ("linear", 9, "last")), {"inputs": 30, "lanes": 12}),
], ids=["last_head", "wide", "short_steps", "states", "input_bound"])
@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_mixed_lengths(layers, network, pause):
    """Short after long after short: nothing of one sequence is left in the next."""
    layout, codes = _build(*layers, steps=max(LENGTHS), sequences=len(LENGTHS), **network)
    words, expected, trace = [], [], {"h": [], "c": []}
    for s, steps in enumerate(LENGTHS):
        part = Codes(x=codes.x[s:s + 1, :steps],
                     h0={k: v[s:s + 1] for k, v in codes.h0.items()},
                     c0={k: v[s:s + 1] for k, v in codes.c0.items()})
        golden = run_golden(layout.program.network, part)
        words += input_words(layout, part)
        expected += expected_words(layout, golden)
        for signal in trace:
            trace[signal] += expected_trace(layout, golden, signal, steps)
    total = layout.schedule.total_cycles(LENGTHS)
    (observed,) = simulate_engine(layout, [Scenario(
        words=words, outputs=len(expected), limit=6 * total + 500, pause=pause, seed=3)])
    assert observed.words == expected
    assert observed.h == trace["h"] and observed.c == trace["c"]
    assert len(observed.starts) == sum(LENGTHS)
    assert observed.errors == 0
    if pause == 0:
        assert observed.cycles == total
    else:
        assert observed.cycles >= total


def test_stuck_output():
    """A sink that takes nothing stops the engine and loses nothing."""
    layout, codes = _build(("gru", 4), ("linear", 9), steps=12)
    golden = run_golden(layout.program.network, codes)
    expected = expected_words(layout, golden)
    assert len(expected) > layout.fifo_depth
    words = input_words(layout, codes)
    total = layout.schedule.total_cycles([12] * 3)
    (observed,) = simulate_engine(layout, [Scenario(
        words=words, outputs=len(expected), limit=4 * total, stuck=2 * total)])
    assert observed.words == expected
    assert observed.sent[0] == 2 * total
    # What started before the sink came to life is what the buffer holds.
    held = sum(start < 2 * total for start in observed.starts)
    assert held == layout.fifo_depth // 9


def test_short_step():
    """``last`` inside a step: one error, as many words as ever, and the sequence after it exact."""
    layout, codes = _build(("lstm", 5), ("linear", 3), inputs=4)
    golden = run_golden(layout.program.network, codes)
    broken = input_words(layout, codes, [0])[:-3]
    broken[-1] = (broken[-1][0], True)
    whole = input_words(layout, codes, [1, 2])
    first, after = expected_words(layout, golden, [0]), expected_words(layout, golden, [1, 2])
    (observed,) = simulate_engine(layout, [Scenario(
        words=broken + whole, outputs=len(first) + len(after), limit=5000)])
    assert observed.errors == 1
    assert len(observed.words) == len(first) + len(after)
    assert observed.words[:len(first) - 3] == first[:-3]
    assert observed.words[len(first) - 1][1]
    assert observed.words[len(first):] == after


@pytest.mark.parametrize("at", [0, 3, -1])
def test_last_among_states(at):
    """``last`` on a state word: one error, and the states start over."""
    layout, codes = _build(("lstm", 3), ("gru", 2), loads=True, returns=True)
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


@pytest.mark.parametrize("cols", [1, 2])
def test_unknown_token(cols):
    """An id outside the table counts as an error and reads row 0; the rest stays exact."""
    layout, codes = _build(("gru", 4), ("linear", 2), embedding=(11, 3), cols=cols)
    assert layout.program.input_width == 4
    told = codes.x.copy()
    told[0, 1], told[1, 3], told[2, 0] = 11, 15, 10
    meant = np.where(told > 10, 0, told)
    golden = run_golden(layout.program.network, Codes(x=meant))
    expected = expected_words(layout, golden)
    (observed,) = simulate_engine(layout, [Scenario(
        words=input_words(layout, Codes(x=told)), outputs=len(expected), limit=5000)])
    assert observed.errors == 2
    assert observed.words == expected


def test_cut_sequence_counted_once():
    """A wrong ``last`` on the final word of a step is none: a sequence may end at any step."""
    layout, codes = _build(("rnn", 3))
    words = input_words(layout, codes, [0])
    inputs = layout.program.network.inputs
    words[inputs - 1] = (words[inputs - 1][0], True)
    golden = run_golden(layout.program.network, Codes(x=codes.x[:1, :1]))
    rest = run_golden(layout.program.network, Codes(x=codes.x[:1, 1:]))
    expected = expected_words(layout, golden) + expected_words(layout, rest)
    (observed,) = simulate_engine(layout, [Scenario(
        words=words, outputs=len(expected), limit=3000)])
    assert observed.words == expected
    assert observed.errors == 0
