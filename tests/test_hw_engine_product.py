"""Products of two results in the Amaranth simulator: every word, state and cycle."""

from dataclasses import replace

import pytest
from simulate import thinned
from test_hw_engine import STATES, _case
from test_hw_engine_reverse import both, run_case

PRODUCT, LAST = ("product", 4), ("linear", 3, "last")
GRU, LSTM, GRU_BEFORE, RELU = ("gru", 5), ("lstm", 5), ("gru_reset_before", 5), ("rnn", 5, "relu")
CASES = {
    "alone": _case(PRODUCT), "lstm": _case(LSTM, PRODUCT), "gru": _case(GRU, PRODUCT, LAST),
    "gru_before": _case(GRU_BEFORE, PRODUCT, LAST), "relu": _case(RELU, PRODUCT, LAST),
    "below": _case(PRODUCT, LSTM, ("linear", 3)), "between": _case(GRU, PRODUCT, LSTM),
    "last": _case(LSTM, ("product", 4, "last"), LAST), "input": _case(GRU, ("product", 3, (-1,))),
    "every_cell": _case(LSTM, PRODUCT, GRU, PRODUCT, GRU_BEFORE, ("product", 3), RELU, LAST),
    "one_neuron": _case(("rnn", 1), ("product", 1), inputs=1, lanes=1),
    "one_step": _case(LSTM, PRODUCT, steps=1, sequences=5),
    "peepholes": _case((*LSTM, {"peephole": 1.0}), PRODUCT, LAST),
    "clip": _case((*GRU, {"clip": 0.5}), PRODUCT, LAST),
    "curves": _case((*LSTM, {"functions": [("softsign",), ("elu", 1.2), ("tanh",)]}), PRODUCT),
    "posts": _case(LSTM, ("product", 5), LAST, lanes=8, posts=4, cols=2),
    "posts_3": _case(GRU, ("product", 7), lanes=6, posts=3, cols=3),
    "wide": _case(GRU, PRODUCT, lanes=8, posts=2, cols=4, wide=True),
    "shallow": _case(LSTM, PRODUCT, LAST, pipeline="shallow"),
    "shallow_gru": _case(GRU, PRODUCT, lanes=2, pipeline="shallow"),
    "shallow_alone": _case(PRODUCT, pipeline="shallow"),
    "flat": _case(GRU, PRODUCT, LAST, pipeline="flat", lanes=3),
    "flat_alone": _case(PRODUCT, pipeline="flat"),
    "argmax": _case(GRU, PRODUCT, argmax=True), "embedding": _case(GRU, PRODUCT, embedding=(7, 3)),
    "states": _case(GRU, PRODUCT, LSTM, LAST, **STATES),
    "narrow": _case(LSTM, PRODUCT, LAST, options={"act_width": 4}, scale=6.0),
    "broad": _case(GRU, PRODUCT, options={"act_width": 18, "weight_width": 12}),
    "saturates": _case(RELU, PRODUCT, PRODUCT, scale=20.0, options={"headroom": 0}),
    "pooled": _case(GRU, PRODUCT, ("mean", 4, (1,)), LAST, steps=5),
    "both_directions": _case(*both("gru", 5), ("product", 5, (0, 1)), ("linear", 3)),
    "both_directions_final": _case(*both("lstm", 5), ("product", 5, "final", (0, 1)), LAST),
    "above": _case(*both("lstm", 4), ("product", 4, (0, 1)), *both("gru", 3, (2,)),
                   ("linear", 2, (3, 4)), posts=2, **STATES),
}


@pytest.mark.parametrize("case", thinned(CASES, 3))
def test_bit_and_cycle_exact(case):
    run_case(case)


def _finer(fmt, bits):
    return replace(fmt, frac=fmt.frac + bits)


@pytest.mark.parametrize("posts", [1, 2])
def test_saturations_are_counted(posts):
    """Of both factors and of the product, and none of the units that fill up a last group."""
    def change(integer):
        first, product = integer.layers
        place, = product.places
        place = replace(place, pre=_finer(place.pre, 1), out=_finer(place.out, 1))
        return replace(integer, layers=(first, replace(
            product, h=_finer(product.h, 2), places=(place,))))

    golden = run_case(_case(GRU, ("product", 3), lanes=4, posts=posts, cols=posts, scale=3.0),
                      change=change)
    assert golden.saturated[1]["h"].sum() > 0
    assert abs(golden.y).max() == 1 << 15
