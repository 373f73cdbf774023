"""What is out of the ordinary in a cell, word for word and cycle for cycle: see
``test_hw_engine``, whose runs these are.
"""

from dataclasses import replace

import pytest
from simulate import Scenario, expected_words, input_words, simulate_engine
from test_hw_engine import (
    GRU,
    GRU_BEFORE,
    HEAD,
    LAST,
    LSTM,
    RNN,
    RNN_RELU,
    STATES,
    _case,
    build,
    check_case,
)

from hw.schedule import make_schedule

CLIP, TIGHT = {"clip": 0.7}, {"clip": 0.1}
COUPLED, PEEPHOLE = {"coupled": True}, {"peephole": 1.0}
HUGE, TINY = {"peephole": 1e3}, {"peephole": 1e-3, "coupled": True}
ALL = {"peephole": 2.0, "coupled": True, "clip": 1.5}
CASES = {
    "clip_lstm": _case((*LSTM, CLIP), HEAD, scale=3.0),
    "clip_gru": _case((*GRU, CLIP), scale=3.0),
    "clip_gru_reset_before": _case((*GRU_BEFORE, CLIP), LAST, scale=3.0),
    "clip_rnn": _case((*RNN, CLIP), (*RNN_RELU, CLIP), scale=3.0),
    "clip_mixed": _case((*GRU, TIGHT), LSTM, (*LSTM, CLIP), GRU, (*RNN, CLIP), HEAD, scale=3.0,
                        lanes=8, steps=3),
    "clip_shallow": _case((*LSTM, CLIP), (*GRU, TIGHT), scale=3.0, pipeline="shallow", cols=4),
    "clip_posts": _case((*GRU, CLIP), (*GRU_BEFORE, TIGHT), scale=3.0, posts=4, cols=2, lanes=8,
                        **STATES),
    "coupled": _case((*LSTM, COUPLED), HEAD, scale=3.0),
    "coupled_mixed": _case((*LSTM, COUPLED), LSTM, (*GRU, CLIP), (*LSTM, COUPLED), lanes=5,
                           **STATES),
    "coupled_shallow": _case(LSTM, (*LSTM, COUPLED), pipeline="shallow", lanes=3),
    "coupled_posts": _case((*LSTM, COUPLED), RNN, posts=4, cols=4, lanes=8),
    "peephole": _case((*LSTM, PEEPHOLE), HEAD),
    "peephole_one": _case(("lstm", 1, PEEPHOLE), inputs=1, lanes=1, steps=6),
    "peephole_lanes": _case((*LSTM, PEEPHOLE), LAST, lanes=40, **STATES),
    "peephole_mixed": _case((*LSTM, PEEPHOLE), GRU, LSTM, (*LSTM, HUGE), GRU_BEFORE, HEAD,
                            lanes=8, steps=3, **STATES),
    "peephole_alone": _case((*LSTM, PEEPHOLE), GRU, lanes=6, cols=2),
    "peephole_shallow": _case((*LSTM, PEEPHOLE), (*LSTM, TINY), pipeline="shallow", cols=4,
                              lanes=7),
    "peephole_posts": _case((*LSTM, PEEPHOLE), (*LSTM, ALL), posts=4, cols=2, lanes=12),
    "peephole_wide": _case(("lstm", 20, PEEPHOLE), inputs=30, lanes=80, cols=8, posts=8, wide=True,
                           sequences=1),
    "peephole_many_rows": _case(("lstm", 30, PEEPHOLE), inputs=3, lanes=7, sequences=1, steps=5),
    "peephole_pack": _case((*LSTM, PEEPHOLE), HEAD, pack=True, options={"weight_width": 5}),
    "peephole_coupled": _case((*LSTM, ALL), HEAD, scale=2.0, options={"act_width": 9}),
    "peephole_embedding": _case((*LSTM, ALL), embedding=(7, 3), load_weights=True,
                                options={"weight_width": 12, "cell_width": 24}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_exact(case):
    check_case(case)


@pytest.mark.parametrize("pipeline", ["deep", "shallow"])
def test_wait_for_the_cell_state(pipeline):
    """A cycle less between the two phases of an LSTM with peepholes, and its words are wrong."""
    layout, codes, golden = build(_case(("lstm", 3, PEEPHOLE), lanes=9, inputs=1, steps=6,
                                        pipeline=pipeline))
    words, results = expected_words(layout, golden), []
    for less in (0, 1):
        latencies = layout.schedule.latencies
        latencies = replace(latencies, cell=latencies.cell - less)
        early = replace(layout, schedule=make_schedule(layout.program, latencies))
        assert early.schedule.waits[1] == layout.schedule.waits[1] - less > 0
        (observed,) = simulate_engine(early, [Scenario(
            words=input_words(early, codes), outputs=len(words), limit=5000)])
        results.append(observed.words == words)
    assert results == [True, False]
