"""Means and maxima over the steps in the Amaranth simulator: every word, state and cycle."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from simulate import thinned
from test_hw_engine import STATES, _case
from test_hw_engine_reverse import both, run_case

from golden.pool import reciprocal
from hw.reciprocal import Reciprocal

MEAN, MAX = ("mean", 5, (0,)), ("max", 5, (0,))
GRU, LSTM, RELU, LAST = ("gru", 5), ("lstm", 5), ("rnn", 5, "relu"), ("linear", 3, "last")
CASES = {
    "mean": _case(GRU, MEAN, LAST, steps=5), "max": _case(LSTM, MAX, LAST, steps=5),
    "mean_alone": _case(GRU, MEAN, steps=7), "max_alone": _case(RELU, MAX, steps=3),
    "both": _case(LSTM, MEAN, MAX, ("linear", 3, "last", (1, 2)), steps=6),
    "both_and_last": _case(GRU, MEAN, MAX, ("linear", 3, "last", (0, 1, 2)), steps=6),
    "of_relu": _case(RELU, MEAN, MAX, ("linear", 3, "last", (1, 2)), steps=9),
    "of_linear": _case(GRU, ("linear", 4, "tanh"), ("mean", 4, (1,)), LAST, steps=5),
    "of_lower": _case(GRU, LSTM, MEAN, ("max", 5, (1,)), ("linear", 3, "last", (2, 3))),
    "of_reset_before": _case(("gru_reset_before", 5), MEAN, LAST, steps=5),
    "one_step": _case(GRU, MEAN, LAST, steps=1, sequences=6),
    "two_steps": _case(GRU, MEAN, MAX, ("linear", 2, "last", (1, 2)), steps=2, sequences=4),
    "many_steps": _case(("rnn", 1), ("mean", 1, (0,)), inputs=1, lanes=1, steps=130),
    "argmax": _case(GRU, MEAN, LAST, argmax=True), "embedding": _case(GRU, MEAN, embedding=(7, 3)),
    "states": _case(GRU, MEAN, LAST, steps=5, **STATES),
    "posts": _case(GRU, LSTM, ("mean", 5, (1,)), MAX, ("linear", 4, "last", (2, 3)), lanes=8,
                   posts=4, cols=2, steps=5),
    "posts_3": _case(LSTM, MEAN, LAST, lanes=6, posts=3, cols=3, steps=6),
    "wide": _case(GRU, MEAN, lanes=8, posts=2, cols=4, wide=True, steps=5),
    "shallow": _case(GRU, MEAN, MAX, ("linear", 3, "last", (1, 2)), pipeline="shallow", steps=5),
    "shallow_one_neuron": _case(("rnn", 1), ("mean", 1, (0,)), inputs=1, lanes=1, steps=6,
                                pipeline="shallow", sequences=4),
    "shallow_max": _case(("rnn", 2), ("max", 2, (0,)), inputs=1, lanes=2, pipeline="shallow"),
    "flat": _case(GRU, MEAN, MAX, ("linear", 3, "last", (1, 2)), pipeline="flat", steps=5),
    "flat_one_neuron": _case(("rnn", 1), ("mean", 1, (0,)), inputs=1, lanes=1, steps=6,
                             pipeline="flat", sequences=4),
    "narrow": _case(GRU, MEAN, MAX, ("linear", 3, "last", (1, 2)), options={"act_width": 4}),
    "broad": _case(LSTM, MEAN, LAST, options={"act_width": 18, "weight_width": 12}),
    "both_directions": _case(*both("gru", 5), MEAN, ("mean", 5, (1,)),
                             ("linear", 3, "last", (2, 3)), steps=5),
    "both_directions_max": _case(*both("lstm", 5), MAX, ("max", 5, (1,)), ("mean", 5, (1,)),
                                 ("linear", 3, "last", (2, 3, 4)), steps=6, posts=2, **STATES),
    "above_both_directions": _case(*both("lstm", 5), ("gru", 4, (0, 1)), ("mean", 4, (2,)), LAST),
}


@pytest.mark.parametrize("case", thinned(CASES, 3))
def test_bit_and_cycle_exact(case):
    run_case(case)


def test_sequences_of_many_lengths():
    """The number of steps is each sequence's own."""
    for steps in (1, 2, 3, 4, 8, 9):
        run_case(_case(GRU, MEAN, MAX, ("linear", 3, "last", (1, 2)), steps=steps, sequences=2))


def test_reciprocal():
    """Against golden, for every number of steps of some sequences."""
    unit, found = Reciprocal(), []

    async def bench(ctx):
        for count in (5, 1, 70):
            for number in range(count):
                ctx.set(unit.step, 1)
                ctx.set(unit.first, number == 0)
                await ctx.tick()
                ctx.set(unit.step, 0)
                await ctx.tick().repeat(Reciprocal.latency - 1)
                found.append((number + 1, ctx.get(unit.exponent), ctx.get(unit.fraction),
                              ctx.get(unit.half)))

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(found) == 76
    for steps, exponent, fraction, half in found:
        assert (exponent, fraction) == reciprocal(steps) and half == (1 << exponent) >> 1
    assert np.ptp([steps for steps, *_ in found]) == 69
