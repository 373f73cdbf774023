"""What is out of the ordinary in a cell, word for word and cycle for cycle: see
``test_hw_engine``, whose runs these are.
"""

import pytest
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
    check_case,
)

CLIP, TIGHT = {"clip": 0.7}, {"clip": 0.1}
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
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_exact(case):
    check_case(case)
