"""Networks with reverse layers in the Amaranth simulator: every word, state and cycle."""

import numpy as np
import pytest
from simulate import Scenario, expected_words, input_words, simulate_engine, thinned
from test_hw_engine import STATES, _case, build, check

from hw.image import load_words

INPUT = (-1,)
HEAD, LAST, FINAL = ("linear", 4, (0, 1)), ("linear", 3, "last", (0, 1)), ("linear", 3, "final",
                                                                          (0, 1))


def both(cell, units, reads=INPUT):
    """Both directions of a layer."""
    return (cell, units, reads), (cell, units, "reverse", reads)


LSTM, GRU, GRU_BEFORE = both("lstm", 6), both("gru", 5), both("gru_reset_before", 5)
RNN = both("rnn", 7)
UPPER = (2, 3)
CASES = {
    "lstm": _case(*LSTM, HEAD), "gru": _case(*GRU, HEAD), "rnn": _case(*RNN, HEAD),
    "gru_before": _case(*GRU_BEFORE, HEAD),
    "relu": _case(("rnn", 5, "relu"), ("rnn", 5, "relu", "reverse", INPUT), HEAD),
    "final": _case(*LSTM, FINAL), "last": _case(*GRU, LAST), "argmax": _case(*LSTM, FINAL,
                                                                             argmax=True),
    "reverse_alone": _case(("gru", 5, "reverse"), ("linear", 3)),
    "reverse_final": _case(("lstm", 5, "reverse"), ("linear", 3, "final")),
    "reverse_stack": _case(("lstm", 5, "reverse"), ("gru", 4, "reverse"), ("linear", 3)),
    "alternate": _case(("gru", 5), ("gru", 4, "reverse"), ("gru", 3), ("linear", 2)),
    "two": _case(*LSTM, *both("lstm", 4, (0, 1)), ("linear", 4, UPPER)),
    "two_final": _case(*GRU, *both("gru", 4, (0, 1)), ("linear", 4, "final", UPPER)),
    "two_last": _case(*GRU, *both("gru_reset_before", 4, (0, 1)), ("linear", 4, "last", UPPER),
                      ("linear", 2, "last")),
    "three": _case(*RNN, *both("gru", 4, (0, 1)), *both("lstm", 3, UPPER), ("linear", 4, (4, 5))),
    "forward_above": _case(*LSTM, ("gru", 5, (0, 1)), ("linear", 3)),
    "linear_between": _case(*LSTM, ("linear", 5, "relu", (0, 1)), ("lstm", 4),
                            ("lstm", 4, "reverse", (2,)), ("linear", 3, (3, 4))),
    "linear_below": _case(("linear", 4, "tanh"), ("gru", 5), ("gru", 5, "reverse", (0,)),
                          ("linear", 3, (1, 2))),
    "embedding": _case(*LSTM, HEAD, embedding=(11, 5)),
    "embedding_final": _case(*GRU, FINAL, embedding=(9, 6), cols=4, steps=7),
    "states": _case(*LSTM, HEAD, **STATES), "states_final": _case(*GRU, FINAL, **STATES),
    "states_two": _case(*LSTM, *both("gru_reset_before", 4, (0, 1)), ("linear", 4, UPPER),
                        embedding=(9, 6), lanes=8, posts=4, cols=2, **STATES),
    "one_step": _case(*LSTM, *both("gru", 4, (0, 1)), ("linear", 4, UPPER), steps=1, sequences=5),
    "one_step_final": _case(*LSTM, FINAL, steps=1, sequences=5, **STATES),
    "two_steps": _case(*GRU, HEAD, steps=2, sequences=4),
    "fits_no_power": _case(*LSTM, HEAD, steps=5, max_steps=13, sequences=3, lanes=3),
    "posts": _case(*LSTM, *both("gru", 3, (0, 1)), ("linear", 5, UPPER), lanes=8, posts=4, cols=2),
    "posts_3": _case(*GRU, HEAD, lanes=6, posts=3, cols=3),
    "cols": _case(*GRU, *both("gru", 3, (0, 1)), ("linear", 5, UPPER), lanes=4, cols=4),
    "wide": _case(*LSTM, HEAD, lanes=8, posts=2, cols=4, wide=True),
    "one_neuron": _case(*both("lstm", 1), ("linear", 1, (0, 1)), inputs=1, lanes=1),
    "array_beyond": _case(*both("gru", 3), ("linear", 2, (0, 1)), inputs=2, lanes=32, cols=8),
    "many_inputs": _case(*both("gru", 2), HEAD, inputs=70, lanes=8, cols=8),
    "many_results": _case(*both("rnn", 2), ("linear", 40, (0, 1)), inputs=1, lanes=40, posts=8,
                          steps=9),
    "load": _case(*GRU, FINAL, load_weights=True),
    "shallow": _case(*LSTM, *both("gru", 4, (0, 1)), ("linear", 4, UPPER), pipeline="shallow"),
    "shallow_embedding": _case(*GRU, FINAL, pipeline="shallow", embedding=(5, 4), posts=2, cols=4),
    "flat": _case(*LSTM, *both("gru", 4, (0, 1)), ("linear", 4, UPPER), pipeline="flat"),
    "flat_embedding": _case(*GRU, FINAL, pipeline="flat", embedding=(5, 4), posts=2, cols=4),
    "pack": _case(*LSTM, HEAD, pack=True),
    "branch_beside": _case(*GRU, HEAD, ("rnn", 4, INPUT), ("linear", 3, (2, 3))),
    "branches_beside": _case(*GRU, ("lstm", 3, (0, 1)), ("rnn", 4, INPUT), ("gru", 3, (3,)),
                             ("linear", 3, "last", (2, 4)), **STATES),
    "residual": _case(("gru", 4), ("gru", 4, "reverse", (0,)), ("lstm", 4, (1,)),
                      ("rnn", 3, INPUT), ("linear", 3, (2, 3))),
}


def run_case(case, **how):
    """One case cut off by a reset, without a pause, and with pauses: as in ``test_hw_engine``.

    The golden run that all of them have met.
    """
    layout, codes, golden = build(case, **how)
    program, steps = layout.program, case.steps
    offered, words = input_words(layout, codes), expected_words(layout, golden)
    loads = [(word, False) for word in load_words(program)] if case.load_weights else []
    total = layout.schedule.total_cycles([steps] * case.sequences)
    broken, plain, paused = simulate_engine(layout, [
        Scenario(words=loads + offered, outputs=len(words), limit=total, reset_at=total // 2),
        Scenario(words=loads + offered, outputs=len(words), limit=total + 100),
        Scenario(words=offered, outputs=len(words), limit=8 * total + 1000, pause=0.4, seed=11)])
    assert 0 < len(broken.accepted)
    check(layout, plain, golden, words, steps)
    assert plain.cycles == total
    walks = [sweep.steps(steps) for sweep in layout.schedule.sweeps]
    assert len(plain.starts) == case.sequences * sum(walks)
    starts, first = np.array(plain.starts).reshape(case.sequences, -1), 0
    for count, sweep in zip(walks, layout.schedule.sweeps, strict=True):
        gaps = np.diff(starts[:, first:first + count], axis=1)
        assert set(gaps.ravel().tolist()) <= {sweep.length + sweep.tail}
        first += count
    check(layout, paused, golden, words, steps)
    return golden


@pytest.mark.parametrize("case", thinned(CASES, 3))
def test_bit_and_cycle_exact(case):
    run_case(case)
