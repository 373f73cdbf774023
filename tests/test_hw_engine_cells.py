"""What is out of the ordinary in a cell, word for word and cycle for cycle: see
``test_hw_engine``, whose runs these are.
"""

from dataclasses import replace

import pytest
from networks import make_batch, make_integer, make_network
from simulate import Scenario, expected_words, input_words, simulate_engine, thinned
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
    check,
    check_case,
)
from test_hw_engine_reverse import run_case

from golden.model import encode, run_golden
from hw.engine import make_layout
from hw.program import make_program
from hw.schedule import make_schedule

CLIP, TIGHT = {"clip": 0.7}, {"clip": 0.1}
COUPLED, PEEPHOLE = {"coupled": True}, {"peephole": 1.0}
HUGE, TINY = {"peephole": 1e3}, {"peephole": 1e-3, "coupled": True}
ALL = {"peephole": 2.0, "coupled": True, "clip": 1.5}
CASES = {
    "sigmoid_of_c": _case(("lstm", 5, {"functions": ["sigmoid", "tanh", "sigmoid"]}), posts=2),
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
    "coupled_flat": _case((*LSTM, COUPLED), (*GRU, CLIP), pipeline="flat", lanes=3),
    "coupled_posts": _case((*LSTM, COUPLED), RNN, posts=4, cols=4, lanes=8),
    "peephole": _case((*LSTM, PEEPHOLE), HEAD),
    "peephole_one": _case(("lstm", 1, PEEPHOLE), inputs=1, lanes=1, steps=6),
    "peephole_lanes": _case((*LSTM, PEEPHOLE), LAST, lanes=40, **STATES),
    "peephole_mixed": _case((*LSTM, PEEPHOLE), GRU, LSTM, (*LSTM, HUGE), GRU_BEFORE, HEAD,
                            lanes=8, steps=3, **STATES),
    "peephole_alone": _case((*LSTM, PEEPHOLE), GRU, lanes=6, cols=2),
    "peephole_shallow": _case((*LSTM, PEEPHOLE), (*LSTM, TINY), pipeline="shallow", cols=4,
                              lanes=7),
    "peephole_flat": _case((*LSTM, PEEPHOLE), (*LSTM, TINY), pipeline="flat", lanes=9),
    "peephole_posts": _case((*LSTM, PEEPHOLE), (*LSTM, ALL), posts=4, cols=2, lanes=12),
    "peephole_wide": _case(("lstm", 20, PEEPHOLE), inputs=30, lanes=80, cols=8, posts=8, wide=True,
                           sequences=1),
    "peephole_many_rows": _case(("lstm", 30, PEEPHOLE), inputs=3, lanes=7, sequences=1, steps=5),
    "peephole_pack": _case((*LSTM, PEEPHOLE), HEAD, pack=True, options={"weight_width": 5}),
    "peephole_coupled": _case((*LSTM, ALL), HEAD, scale=2.0, options={"act_width": 9}),
    "peephole_embedding": _case((*LSTM, ALL), embedding=(7, 3), load_weights=True,
                                options={"weight_width": 12, "cell_width": 24}),
}


def own(*functions, **more) -> dict:
    """A layer's functions, each with its parameters."""
    parameters = {"hard_sigmoid": (0.2, 0.5), "leaky_relu": (0.1,), "elu": (1.3,),
                  "affine": (0.7, 0.1), "thresholded_relu": (0.3,), "scaled_tanh": (0.9, 1.4)}
    return more | {"functions": [(f, *parameters.get(f, ())) for f in functions]}


CASES |= {
    "relu_lstm": _case((*LSTM, own("sigmoid", "relu", "relu")), HEAD),
    "old_keras": _case((*LSTM, own("hard_sigmoid", "tanh", "tanh")), HEAD, scale=2.0),
    "relu_gru": _case((*GRU, own("sigmoid", "relu")), LAST, **STATES),
    "old_keras_gru": _case((*GRU, own("hard_sigmoid", "tanh")),
                           (*GRU_BEFORE, own("hard_sigmoid", "relu")), lanes=6),
    "softsign": _case((*RNN, own("softsign")), (*LSTM, own("sigmoid", "softsign", "softsign"))),
    "curves_mixed": _case((*LSTM, own("tanh", "elu", "softplus")), (*GRU, own("softsign", "elu")),
                          LSTM, (*GRU_BEFORE, own("tanh", "softplus")), HEAD, lanes=8, steps=3),
    "relu_gates": _case((*LSTM, own("relu", "identity", "softplus")), (*GRU, own("relu", "tanh")),
                        (*GRU_BEFORE, own("softplus", "affine")), LSTM, GRU, scale=0.5, steps=3),
    "curve_heads": _case(LSTM, ("linear", 5, own("elu")), ("linear", 4, own("softplus")),
                         ("linear", 4, "relu")),
    "curve_posts": _case((*LSTM, own("sigmoid", "softplus", "relu")), (*GRU, own("tanh", "affine")),
                         (*RNN, own("thresholded_relu")), posts=4, cols=2, lanes=8),
    "curve_shallow": _case((*LSTM, own("hard_sigmoid", "leaky_relu", "relu")),
                           (*GRU, own("hard_sigmoid", "relu")), pipeline="shallow", cols=4),
    "curve_flat": _case((*GRU, own("hard_sigmoid", "relu")), (*GRU_BEFORE, own("tanh", "softplus")),
                        pipeline="flat", posts=2, cols=4, **STATES),
    "curve_everything": _case(
        (*LSTM, own("scaled_tanh", "thresholded_relu", "affine", clip=0.8, peephole=1.0,
                    coupled=True)), (*LSTM, own("hard_sigmoid", "relu", "elu", peephole=0.5)),
        GRU, lanes=7, options={"act_width": 11}, **STATES),
    "curve_w16_a18": _case((*LSTM, own("hard_sigmoid", "softplus", "relu")),
                           options={"weight_width": 16, "act_width": 18, "cell_width": 24}),
    "curve_w3_a4": _case((*LSTM, own("hard_sigmoid", "relu", "relu")), (*GRU, own("relu", "relu")),
                         options={"weight_width": 3, "act_width": 4, "cell_width": 8}),
}


@pytest.mark.parametrize("case", thinned(CASES, 3))
def test_exact(case):
    check_case(case)


def both(cell: tuple, *words) -> tuple:
    """Both directions of a layer."""
    return (*cell, (-1,), *words), (*cell, "reverse", (-1,), *words)


REVERSED = {
    "peepholes": _case(*both(LSTM, PEEPHOLE), ("linear", 3, (0, 1)), **STATES),
    "peepholes_final": _case(*both(LSTM, ALL), ("linear", 3, "final", (0, 1)), posts=2, cols=2),
    "relu": _case(*both(LSTM, own("sigmoid", "relu", "relu")),
                  ("gru", 4, (0, 1), own("hard_sigmoid", "elu", clip=1.0)),
                  ("gru", 4, "reverse", (0, 1), own("hard_sigmoid", "elu", clip=1.0)),
                  ("linear", 3, (2, 3)), lanes=8),
    "shallow": _case(*both(GRU_BEFORE, own("softsign", "softplus")), ("linear", 3, (0, 1)),
                     pipeline="shallow"),
    "flat": _case(*both(LSTM, PEEPHOLE), ("linear", 3, (0, 1)), pipeline="flat"),
}


@pytest.mark.parametrize("case", thinned(REVERSED, 3))
def test_reversed(case):
    run_case(case)


@pytest.mark.parametrize("pipeline", ["deep", "shallow", "flat"])
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


@pytest.mark.parametrize("layers", [
    (("lstm", 5, {"functions": ["sigmoid", ("affine", 0.1, 3.0), "relu"]}),),
    (("lstm", 5, own("sigmoid", "softplus", "relu")),), (("gru", 5, own("relu", "relu")),),
    (("lstm", 5, own("relu", "relu", "identity", coupled=True)), ("gru", 3)),
    (("gru_reset_before", 5, own("affine", "relu")),)],
    ids=["affine", "softplus", "gru", "relu_gates", "gru_reset_before"])
def test_clipped_codes_are_counted(layers):
    """Ranges from one gentle step, then eight; units that only fill up a group count nothing."""
    network = make_network(*layers, scale=4.0)
    gentle = make_batch(network, 2, 1)
    gentle.x *= 0.1
    integer, _ = make_integer(network, gentle, headroom=0, act_width=9, cell_width=8)
    rough = make_batch(network, 3, 8, seed=4)
    rough.x *= 10
    codes = encode(network, integer, rough)
    golden = run_golden(integer, codes)
    assert golden.saturations.sum() > 20
    layout = make_layout(make_program(integer, lanes=16, posts=8, cols=2))
    words = expected_words(layout, golden)
    (observed,) = simulate_engine(layout, [Scenario(
        words=input_words(layout, codes), outputs=len(words), limit=20_000)])
    check(layout, observed, golden, words, 8)
