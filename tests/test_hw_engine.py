"""The engine against golden, word for word and cycle for cycle, in the Amaranth simulator.

Every case runs one engine through three scenarios: a run that a reset cuts off in mid-sequence, a
run without a pause whose cycle count must be the schedule's, and a run with random pauses on both
sides. All must show the same words, traces and counters.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from networks import make_batch, make_integer, make_network
from simulate import (
    Scenario,
    expected_trace,
    expected_words,
    input_words,
    simulate_engine,
    thinned,
)

from golden.model import encode, run_golden
from hw.engine import make_layout
from hw.image import load_words
from hw.pipeline import pipeline_named
from hw.program import make_program

LSTM, GRU, GRU_BEFORE = ("lstm", 6), ("gru", 5), ("gru_reset_before", 5)
RNN, RNN_RELU, HEAD, LAST = ("rnn", 7), ("rnn", 5, "relu"), ("linear", 4), ("linear", 3, "last")
RELU, RELU_LAST = ("linear", 5, "relu"), ("linear", 5, "relu", "last")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network, an array, and how much to run."""

    layers: tuple
    lanes: int = 4
    cols: int = 1
    posts: int = 1
    pipeline: str = "deep"
    wide: bool = False
    pack: bool = False
    argmax: bool = False
    load_weights: bool = False
    max_steps: int = 0
    sequences: int = 2
    steps: int = 4
    network: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)


def _case(*layers, options=None, **more):
    own = {name: more.pop(name) for name in list(more) if name in Case.__dataclass_fields__}
    return Case(layers=layers, network=more, options=options or {}, **own)


STATES = {"loads": True, "returns": True}
CASES = {
    # every cell, alone and with a head
    "rnn": _case(RNN), "rnn_relu": _case(RNN_RELU, HEAD), "lstm": _case(LSTM),
    "gru": _case(GRU), "gru_reset_before": _case(GRU_BEFORE), "linear": _case(HEAD),
    "lstm_sigmoid_head": _case(LSTM, ("linear", 3, "sigmoid")),
    "gru_tanh_head": _case(GRU, ("linear", 3, "tanh", "last")),
    # stacks, in every order that shares the element-wise unit
    "lstm_x2": _case(LSTM, LSTM), "gru_x2": _case(GRU, GRU),
    "lstm_gru": _case(LSTM, GRU, HEAD), "gru_lstm": _case(GRU, LSTM, HEAD),
    "gru_reset_before_x2": _case(GRU_BEFORE, GRU_BEFORE, LAST),
    "all_cells": _case(RNN, LSTM, GRU, GRU_BEFORE, RNN_RELU, HEAD, lanes=8, steps=3),
    "linear_between": _case(LSTM, RELU, GRU, HEAD),
    "linear_first": _case(RELU, LSTM, HEAD),
    # heads
    "last_head": _case(LSTM, LAST), "last_heads": _case(LSTM, RELU_LAST, LAST),
    "last_step_only": _case(LSTM, GRU, last_step_only=True),
    "every_step_heads": _case(GRU, RELU, HEAD),
    "argmax_last": _case(LSTM, LAST, argmax=True), "argmax": _case(GRU, HEAD, argmax=True),
    "argmax_ties": _case(RNN_RELU, ("linear", 9, "relu"), argmax=True, options={"act_width": 4}),
    "argmax_one": _case(GRU, ("linear", 1), argmax=True),
    # embedding and states
    "embedding": _case(LSTM, HEAD, embedding=(11, 5)),
    "embedding_cols": _case(GRU, HEAD, embedding=(9, 6), cols=4),
    "embedding_one": _case(RNN, embedding=(1, 1)),
    "states_lstm": _case(LSTM, LSTM, HEAD, **STATES),
    "states_mixed": _case(GRU, RNN, GRU_BEFORE, HEAD, **STATES),
    "states_in": _case(LSTM, LAST, loads=True), "states_out": _case(GRU, LSTM, returns=True),
    "states_last_step": _case(LSTM, returns=True, last_step_only=True, steps=1, sequences=4),
    "states_everything": _case(GRU, GRU_BEFORE, LSTM, HEAD, lanes=5, cols=2, embedding=(9, 6),
                               argmax=True, **STATES),
    "states_one_step": _case(LSTM, HEAD, steps=1, sequences=5, **STATES),
    # weights over the stream
    "load": _case(LSTM, HEAD, load_weights=True),
    "load_narrow": _case(GRU, embedding=(3, 5), load_weights=True, cols=2),
    "load_states": _case(GRU, LSTM, load_weights=True, lanes=3, **STATES),
    "load_wide": _case(RNN, LAST, load_weights=True, lanes=8, options={"weight_width": 13}),
    # shapes of the array
    "lanes_1": _case(GRU, LAST, lanes=1, steps=3), "lanes_1_lstm": _case(LSTM, HEAD, lanes=1),
    "lanes_2": _case(GRU, LSTM, lanes=2, steps=3), "lanes_3": _case(GRU, GRU, lanes=3),
    "lanes_5": _case(GRU, LSTM, lanes=5), "lanes_7": _case(GRU, GRU, HEAD, lanes=7),
    "lanes_beyond_rows": _case(GRU, LSTM, HEAD, lanes=40),
    "cols_2": _case(LSTM, GRU, HEAD, cols=2), "cols_4": _case(GRU, RNN, LAST, lanes=8, cols=4),
    "cols_4_states": _case(LSTM, GRU_BEFORE, cols=4, lanes=3, **STATES),
    "cols_8_beyond_inputs": _case(("lstm", 3), HEAD, lanes=6, cols=8),
    "one_neuron": _case(("lstm", 1), ("gru", 1), ("rnn", 1), ("linear", 1), inputs=1, lanes=1),
    "one_neuron_before": _case(("gru_reset_before", 1), inputs=1, lanes=2),
    "one_neuron_wide": _case(("gru", 1), ("lstm", 1), inputs=1, lanes=16, cols=4),
    "one_step": _case(LSTM, GRU, LAST, steps=1, sequences=6),
    "many_inputs": _case(("gru", 2), inputs=70, lanes=8, cols=8, steps=6),
    "small_steps_deep_pipe": _case(("rnn", 2), ("linear", 1), inputs=1, lanes=2, steps=12),
    "many_steps": _case(("rnn", 1), inputs=1, lanes=1, steps=400, sequences=1),
    # several posts: short last groups, in memory words wider or narrower than a column
    "posts_2": _case(LSTM, GRU, HEAD, posts=2),
    "posts_3": _case(GRU, LSTM, posts=3, cols=3, lanes=6),
    "posts_4": _case(GRU_BEFORE, RNN, LAST, posts=4, cols=4, lanes=8),
    "posts_4_cols_2": _case(LSTM, RNN_RELU, HEAD, posts=4, cols=2, lanes=12),
    "posts_2_cols_8": _case(GRU, LSTM, HEAD, posts=2, cols=8, lanes=4),
    "posts_5_cols_20": _case(LSTM, GRU, posts=5, cols=20, lanes=5),
    "posts_lanes": _case(RNN, LSTM, GRU, posts=4, lanes=4),
    "posts_beyond_units": _case(LSTM, GRU, HEAD, posts=8, lanes=32, steps=3),
    "posts_states": _case(GRU, GRU_BEFORE, LSTM, HEAD, lanes=8, posts=4, cols=2, argmax=True,
                          embedding=(9, 6), **STATES),
    "posts_states_last_step": _case(LSTM, returns=True, last_step_only=True, steps=1, sequences=4,
                                    posts=4),
    "posts_burst": _case(("rnn", 40), inputs=1, lanes=40, posts=40, cols=40, steps=12),
    "posts_burst_last": _case(("rnn", 3), ("linear", 40, "last"), inputs=1, lanes=8, posts=8,
                              steps=1, sequences=8),
    "posts_argmax": _case(RNN, ("linear", 9, "sigmoid"), posts=4, argmax=True),
    "posts_load": _case(GRU, HEAD, posts=2, load_weights=True, **STATES),
    # words of several elements
    "wide": _case(LSTM, GRU, posts=4, cols=4, lanes=8, wide=True),
    "wide_states": _case(LSTM, GRU_BEFORE, posts=4, cols=2, lanes=8, wide=True, **STATES),
    "wide_in": _case(LSTM, HEAD, cols=4, wide=True),
    "wide_last": _case(GRU, LAST, posts=2, wide=True),
    "wide_argmax": _case(GRU, HEAD, posts=2, cols=2, wide=True, argmax=True),
    "wide_embedding": _case(LSTM, posts=3, cols=3, lanes=12, wide=True, embedding=(5, 4)),
    "wide_load": _case(LSTM, posts=2, cols=4, wide=True, load_weights=True),
    # few registers
    **{f"{pipeline}_{name}": _case(*layers, pipeline=pipeline, **more) for name, layers, more in (
        ("lstm", (LSTM, HEAD), {}), ("gru", (GRU, GRU), {"cols": 4}), ("rnn", (RNN, LAST), {}),
        ("gru_before", (GRU_BEFORE, RNN), {"cols": 2}), ("linear", (RELU, HEAD), {}),
        ("mixed", (LSTM, GRU, RNN, HEAD), {"lanes": 8, "posts": 4, "cols": 4}),
        ("states", (LSTM, GRU), {"posts": 2, **STATES}),
        ("embedding", (LSTM, LAST), {"embedding": (7, 5), "argmax": True}),
        ("load", (GRU, HEAD), {"load_weights": True, "lanes": 3}),
        ("wide", (LSTM,), {"posts": 6, "cols": 6, "lanes": 24, "wide": True, "steps": 9}),
        ("wide_gru", (GRU,), {"posts": 5, "cols": 5, "lanes": 15, "wide": True, "steps": 9}))
       for pipeline in ("shallow", "flat")},
    # of the flat pipeline: results that come as fast as they leave, input that is the slower one
    **{f"flat_{name}": _case(*layers, pipeline="flat", **more) for name, layers, more in (
        ("posts", (GRU, HEAD), {"posts": 4}), ("argmax", (RNN, HEAD), {"posts": 2, "argmax": True}),
        ("one_step", (LSTM, LAST), {"steps": 1, "sequences": 6}),
        ("one_word", (RNN,), {"inputs": 1, "lanes": 7, "steps": 7}),
        ("long_input", (RNN_RELU,), {"inputs": 29, "cols": 8, "lanes": 5, "steps": 7}),
        ("same_input", (("linear", 3),), {"inputs": 6, "lanes": 3, "steps": 9}),
        ("one_word_states", (LSTM, GRU), {"inputs": 1, "lanes": 6, "steps": 2, "sequences": 4,
                                          **STATES}),
        ("wide_states", (LSTM, GRU_BEFORE), {"posts": 4, "cols": 2, "lanes": 8, "wide": True,
                                             **STATES}),
        ("wide_load", (LSTM,), {"posts": 2, "cols": 4, "wide": True, "load_weights": True}))},
    # two weights to a multiplier
    **{f"pack_{name}": _case(*layers, pack=True, **more) for name, layers, more in (
        ("8_8", (LSTM, GRU, HEAD), {"options": {"act_width": 8, "operand_width": 8}}),
        ("8_16", (GRU, LSTM, LAST), {"cols": 2, "lanes": 6}),
        ("4_8", (LSTM, RNN_RELU), {"options": {"weight_width": 4, "act_width": 8}}),
        ("posts", (GRU, HEAD), {"posts": 3, "cols": 3, "lanes": 12}),
        ("load", (LSTM, HEAD), {"load_weights": True, **STATES}),
        ("shallow", (LSTM, GRU), {"pipeline": "shallow", "posts": 2, "cols": 4}),
        ("flat", (GRU, LSTM), {"pipeline": "flat", "posts": 2, "cols": 4}))},
    # widths
    "w2_a4": _case(LSTM, GRU, HEAD, options={"weight_width": 2, "act_width": 4}),
    "w3_a8": _case(GRU, LAST, options={"weight_width": 3, "act_width": 8, "cell_width": 8}),
    "w4_a18": _case(LSTM, GRU, options={"weight_width": 4, "act_width": 18, "cell_width": 24}),
    "w16_a18": _case(LSTM, GRU_BEFORE, HEAD,
                     options={"weight_width": 16, "act_width": 18, "cell_width": 18}),
    "w16_a5": _case(RNN_RELU, LSTM, options={"weight_width": 16, "act_width": 5}),
    "w5_a11_c8": _case(LSTM, GRU, options={"weight_width": 5, "act_width": 11, "cell_width": 8}),
    "x_shift": _case(LSTM, GRU, GRU_BEFORE, balance=16.0),
    "h_shift": _case(LSTM, GRU, GRU_BEFORE, balance=1 / 256),
    "far_shift": _case(GRU_BEFORE, GRU, cols=2, balance=1 / 512,
                       options={"act_width": 12, "operand_width": 27}),
    "per_tensor": _case(GRU, LSTM, options={"per_row": False}),
    "steep": _case(GRU, LSTM, GRU_BEFORE, scale=12.0),
    "huge_weights": _case(RNN, LSTM, scale=3e5),
    "tiny_weights": _case(GRU, HEAD, scale=1e-4),
}


def build(case: Case, *, seed: int = 0, change=lambda integer: integer):
    """(layout, codes, golden run) of a case, whose integer network is changed first."""
    network = make_network(*case.layers, seed=seed, **case.network)
    integer, codes = make_integer(network, make_batch(network, case.sequences, case.steps),
                                  **case.options)
    integer = change(integer)
    if case.max_steps:
        integer = replace(integer, max_steps=case.max_steps)
    program = make_program(integer, lanes=case.lanes, cols=case.cols, posts=case.posts,
                           argmax=case.argmax, load_weights=case.load_weights, wide=case.wide,
                           pack=case.pack,
                           pipeline=pipeline_named(case.pipeline))
    return make_layout(program), codes, run_golden(integer, codes)


def check(layout, observed, golden, words, steps: int):
    """One whole run: outputs, traces, counters."""
    assert observed.words == words
    for signal in "hc":
        expected = expected_trace(layout, golden, signal, steps)
        assert getattr(observed, signal) == expected
    assert observed.h
    assert observed.saturations == golden.saturations.sum()
    assert observed.errors == 0
    assert observed.idle


def check_case(case: Case):
    """One network on one array, in three scenarios."""
    layout, codes, golden = build(case)
    schedule, steps = layout.schedule, case.steps
    offered, words = input_words(layout, codes), expected_words(layout, golden)
    total = schedule.total_cycles([steps] * case.sequences)
    assert words and any(last for _, last in words)
    # A reset asks for the weights again; the run after it needs them no more.
    program = layout.program
    weights = [(word, False) for word in load_words(program)] if case.load_weights else []
    assert len(weights) == program.load_words
    whole = {"words": weights + offered, "outputs": len(words)}
    cut = min((len(weights) + total) // 2, len(weights) + 700)
    broken, plain, paused = simulate_engine(layout, [
        Scenario(**whole, limit=total, reset_at=cut),
        Scenario(**whole, limit=total + 100),
        Scenario(words=offered, outputs=len(words), limit=8 * total + 1000, pause=0.4, seed=11)])

    assert 0 < len(broken.accepted)
    check(layout, plain, golden, words, steps)
    assert len(plain.accepted) == len(weights) + len(offered)
    assert plain.cycles == total
    starts = np.array(plain.starts).reshape(case.sequences, steps)
    if steps >= 4:
        assert set(np.diff(starts[:, 2:], axis=1).ravel().tolist()) == {schedule.interval}
    check(layout, paused, golden, words, steps)
    assert len(paused.accepted) == len(offered)


@pytest.mark.parametrize("case", thinned(CASES, 2))
def test_bit_and_cycle_exact(case):
    check_case(case)


@pytest.mark.slow
def test_sixteen_cycles_from_port_to_port():
    """hls4ml's net at its largest setting, all of it parallel: from x in to h out, both included,
    and less from step to step."""
    case = _case(("lstm", 20), inputs=6, lanes=80, cols=20, posts=20, wide=True, pipeline="flat",
                 steps=1)
    layout, codes, golden = build(case)
    words = expected_words(layout, golden)
    (observed,) = simulate_engine(layout, [Scenario(
        words=input_words(layout, codes)[:1], outputs=20, limit=100)])
    assert observed.words == words[:20]
    assert observed.cycles == layout.schedule.total_cycles([1]) <= 16
    assert layout.schedule.interval <= 14


@pytest.mark.parametrize(("layers", "options", "clipped"), [
    ((("lstm", 4), ("linear", 3, "last")), {}, {"c"}),
    ((("lstm", 4), ("linear", 3, "relu")), {"act_width": 9, "cell_width": 8}, {"c", "h"}),
    ((("rnn", 5, "relu"), ("gru", 2)), {"act_width": 8}, {"h"}),
], ids=["lstm_last", "lstm_relu_8_bit_cell", "rnn_relu"])
def test_saturations_counted(layers, options, clipped):
    """Ranges from one gentle step, then many rough ones: results and cell states are clipped."""
    network = make_network(*layers, scale=2.5)
    gentle = make_batch(network, 2, 1)
    gentle.x *= 0.2
    integer, _ = make_integer(network, gentle, headroom=0, **options)
    rough = make_batch(network, 3, 8, seed=4)
    rough.x *= 4
    codes = encode(network, integer, rough)
    golden = run_golden(integer, codes)
    kinds = {name for layer in golden.saturated for name in ("h", "c")
             if name in layer and layer[name].sum()}
    assert kinds == clipped
    layout = make_layout(make_program(integer, lanes=4))
    words = expected_words(layout, golden)
    (observed,) = simulate_engine(layout, [Scenario(
        words=input_words(layout, codes), outputs=len(words), limit=20_000)])
    check(layout, observed, golden, words, 8)
