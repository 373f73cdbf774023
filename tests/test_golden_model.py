"""The golden model: against exact rationals below, against float64 above, and against itself."""

from dataclasses import replace

import numpy as np
import pytest
from networks import make_batch, make_integer, make_network
from scalar_model import run_scalar

from golden import model
from golden.model import Codes, encode, run_golden
from golden.network import Initial
from golden.quantise import QuantOptions, quantise_network
from golden.reference import run_float

LSTM, GRU, GRU_BEFORE, RNN = ("lstm", 4), ("gru", 3), ("gru_reset_before", 3), ("rnn", 4)
PARAMETERS = {"hard_sigmoid": (0.2, 0.5), "leaky_relu": (0.1,), "elu": (1.3,), "affine": (0.7, 0.1),
              "thresholded_relu": (0.3,), "scaled_tanh": (0.9, 1.4)}


def own(*functions) -> dict:
    """A layer's functions, each with its parameters."""
    return {"functions": [(f, *PARAMETERS.get(f, ())) for f in functions]}


EXACT = {
    "rnn": ((RNN,), {}, {}),
    "rnn_relu": ((("rnn", 4, "relu"), ("linear", 2, "relu")), {}, {}),
    "lstm": ((LSTM,), {}, {}),
    "gru": ((GRU,), {}, {}),
    "gru_reset_before": ((GRU_BEFORE,), {}, {}),
    "heads": ((LSTM, ("linear", 3, "tanh"), ("linear", 3, "sigmoid"), ("linear", 2, "last")),
              {}, {}),
    "product": ((("product", 4), LSTM, ("product", 3), ("product", 2, "last")), {}, {}),
    "product_narrow": ((LSTM, ("product", 3)), {"scale": 9.0}, {"act_width": 4}),
    "stack": ((GRU, LSTM, GRU_BEFORE, RNN), {}, {}),
    "states": ((LSTM, GRU, GRU_BEFORE), {"loads": True}, {}),
    "embedding": ((GRU,), {"embedding": (7, 3)}, {}),
    "w2_a4": ((LSTM, GRU, GRU_BEFORE), {}, {"weight_width": 2, "act_width": 4, "cell_width": 8}),
    "w16_a18": ((LSTM, GRU, GRU_BEFORE), {},
                {"weight_width": 16, "act_width": 18, "cell_width": 24}),
    "w3_a9_per_tensor": ((GRU, LSTM), {}, {"weight_width": 3, "act_width": 9, "per_row": False}),
    "nearest": ((GRU, LSTM), {}, {"rounding": "nearest", "operand_width": 27}),
    "steep": ((GRU, LSTM, GRU_BEFORE), {"scale": 20.0}, {"cell_width": 8}),
    "x_shift": ((LSTM, GRU, GRU_BEFORE, RNN), {"balance": 16.0}, {}),
    "h_shift": ((LSTM, GRU, GRU_BEFORE, RNN), {"balance": 1 / 256}, {}),
    "far_shift": ((LSTM, GRU, GRU_BEFORE), {"balance": 1 / 512},
                  {"act_width": 12, "operand_width": 27}),
    "huge": ((RNN, GRU), {"scale": 1e6}, {}),
    "tiny": ((RNN, LSTM), {"scale": 1e-5}, {}),
    "clip": (((*LSTM, {"clip": 0.7}), (*GRU, {"clip": 0.3}), (*GRU_BEFORE, {"clip": 0.5}),
              (*RNN, {"clip": 0.2})), {"scale": 3.0}, {}),
    "clip_relu": ((("rnn", 4, "relu", {"clip": 0.8}),), {"scale": 3.0}, {}),
    "clip_far": (((*LSTM, {"clip": 100.0}),), {}, {}),
    "clip_tiny": (((*LSTM, {"clip": 1e-9}), (*GRU, {"clip": 1e-9})), {}, {"act_width": 6}),
    "coupled": (((*LSTM, {"coupled": True}),), {"scale": 3.0}, {}),
    "peepholes": (((*LSTM, {"peephole": 1.0}),), {"loads": True}, {}),
    "peepholes_tiny": (((*LSTM, {"peephole": 1e-4}),), {"loads": True}, {"weight_width": 5}),
    "peepholes_huge": (((*LSTM, {"peephole": 1e4}),), {"scale": 1e-3}, {"cell_width": 24}),
    "lstm_all": (((*LSTM, {"peephole": 2.0, "coupled": True, "clip": 1.5}), LSTM),
                 {"loads": True, "scale": 2.0}, {"act_width": 12}),
    **{f"functions_{k}": case for k, case in enumerate([
        (((*LSTM, own("hard_sigmoid", "relu", "relu")),), {}, {}),
        (((*LSTM, own("sigmoid", "tanh", "relu")), LSTM), {}, {}),
        (((*GRU, own("hard_sigmoid", "relu")), GRU), {}, {}),
        (((*GRU_BEFORE, own("hard_sigmoid", "relu")), (*RNN, own("softsign"))), {}, {}),
        (((*LSTM, own("tanh", "elu", "softsign")), (*GRU, own("softsign", "tanh"))), {}, {}),
        (((*LSTM, own("relu", "identity", "softplus"), ),), {"scale": 0.5, "loads": True}, {}),
        (((*GRU, own("relu", "tanh")), (*GRU_BEFORE, own("softplus", "elu"))), {"scale": .5}, {}),
        (((*RNN, own("leaky_relu")), ("linear", 3, own("elu")), ("linear", 3, own("softplus"))),
         {}, {}),
        (((*RNN, own("affine")), (*RNN, own("thresholded_relu"))), {"scale": 0.5}, {}),
        (((*LSTM, own("scaled_tanh", "thresholded_relu", "affine") | {
            "clip": 0.8, "peephole": 1.0, "coupled": True}),), {}, {"act_width": 11}),
        (((*LSTM, own("hard_sigmoid", "tanh", "leaky_relu")),), {"scale": 9.0},
         {"act_width": 5, "cell_width": 8}),
        (((*GRU, own("affine", "scaled_tanh") | {"clip": 0.5}),), {}, {"act_width": 18}),
    ])},
}


@pytest.mark.parametrize(("layers", "network", "options"), EXACT.values(), ids=EXACT)
def test_equals_exact_rationals(layers, network, options):
    """Every intermediate of every cell, against one-number-at-a-time rational arithmetic."""
    net = make_network(*layers, **network)
    integer, codes = make_integer(net, make_batch(net, 2, 5), **options)
    # Inputs three times as large as calibration saw: saturation takes part.
    if net.embedding is None:
        codes.x = np.clip(codes.x * 3, integer.layers[0].x.min, integer.layers[0].x.max)
    run = run_golden(integer, codes, keep=None)
    compared = 0
    for s in range(2):
        expected = run_scalar(integer, codes.x[s], {k: v[s] for k, v in codes.h0.items()},
                              {k: v[s] for k, v in codes.c0.items()})
        for got, trace in zip(run.signals, expected, strict=True):
            assert got.keys() - {"acc"} == trace.keys()
            for name, values in trace.items():
                assert got[name][s].tolist() == values, name
                compared += len(values)
    assert compared >= 2 * 5 * len(layers)


@pytest.mark.parametrize("layers", [(RNN,), (LSTM,), (GRU,), (GRU_BEFORE,), (LSTM, GRU)],
                         ids=["rnn", "lstm", "gru", "gru_reset_before", "stack"])
def test_close_to_float(layers):
    """At 16-bit weights and 18-bit activations the state stays within some dozens of LSB.

    A step adds at most: the table's 1.5 LSB (interpolation and rounding, 2**-17 each) for each of
    up to four functions, half an LSB a rounding, and for the weights 2**-16 of a row's widest
    weight for each of its inputs, about 3 LSB at these sizes. The recurrence, whose gain is near
    one here, sums that over the 10 steps: 10 * (4 * 1.5 + 1.5 + 3) < 128 LSB a layer.
    """
    net = make_network(*layers, scale=0.8)
    batch = make_batch(net, 8, 10)
    integer, codes = make_integer(net, batch, weight_width=16, act_width=18, cell_width=20)
    run, trace = run_golden(integer, codes), run_float(net, batch)
    for depth, (layer, got, expected) in enumerate(zip(integer.layers, run.signals, trace,
                                                       strict=True), start=1):
        error = np.abs(layer.h.to_float(got["h"]) - expected["h"]).max()
        assert error <= depth * 128 * layer.h.step
        # Not equal by accident of a constant: the values are spread over the range.
        assert expected["h"].std() > 0.1
        if "c" in got:
            error = np.abs(integer.cell.to_float(got["c"]) - expected["c"]).max()
            assert error <= 2 * depth * 128 * layer.h.step + 5 * integer.cell.step


def test_error_shrinks_with_width():
    """Four more bits everywhere take the worst error down by five at least; sixteen is ideal."""
    net = make_network(LSTM, GRU, scale=0.8)
    batch = make_batch(net, 16, 8)
    expected, errors = run_float(net, batch)[-1]["h"], []
    for width in (6, 10, 14):
        integer, codes = make_integer(net, batch, weight_width=width, act_width=width + 2,
                                      cell_width=width + 4)
        got = integer.layers[-1].h.to_float(run_golden(integer, codes).y)
        errors.append(np.abs(got - expected).max())
    assert errors[0] > 5 * errors[1] > 25 * errors[2] > 0


def test_shifted_parts_are_covered():
    """The cases above do shift each part of a row, and by more than one bit."""
    for name, field in (("x_shift", "x_shift"), ("h_shift", "h_shift"), ("far_shift", "h_shift")):
        layers, network, options = EXACT[name]
        net = make_network(*layers, **network)
        integer, _ = make_integer(net, make_batch(net, 2, 5), **options)
        shifts = [getattr(layer, field) for layer in integer.layers]
        assert min(shifts) >= 2, name
        assert name != "far_shift" or max(shifts) >= 5


@pytest.mark.parametrize("layers", [(LSTM, ("linear", 2, "last")), (GRU, GRU_BEFORE, RNN)])
def test_batch_equals_one_by_one(layers):
    net = make_network(*layers, loads=True)
    integer, codes = make_integer(net, make_batch(net, 6, 4))
    whole = run_golden(integer, codes, keep=None)
    for s in range(6):
        one = Codes(x=codes.x[s:s + 1], h0={k: v[s:s + 1] for k, v in codes.h0.items()},
                    c0={k: v[s:s + 1] for k, v in codes.c0.items()})
        alone = run_golden(integer, one, keep=None)
        for all_signals, signals in zip(whole.signals, alone.signals, strict=True):
            assert all_signals.keys() == signals.keys()
            for name, values in signals.items():
                assert np.array_equal(all_signals[name][s], values[0]), name
        assert alone.saturations[0] == whole.saturations[s]


def test_states_carry_on():
    """A sequence in two halves, the second from the first one's last states, is the whole."""
    net = make_network(LSTM, GRU, loads=True)
    integer, codes = make_integer(net, make_batch(net, 3, 6))
    whole = run_golden(integer, codes)
    first = run_golden(integer, Codes(x=codes.x[:, :2], h0=codes.h0, c0=codes.c0))
    states = {idx: first.signals[idx]["h"][:, -1] for idx in (0, 1)}
    second = run_golden(integer, Codes(x=codes.x[:, 2:], h0=states,
                                       c0={0: first.signals[0]["c"][:, -1]}))
    assert np.array_equal(np.concatenate([first.y, second.y], axis=1), whole.y)
    from_zero = run_golden(integer, Codes(x=codes.x[:, 2:]))
    assert not np.array_equal(from_zero.y, second.y)


def test_initial_states_encoded():
    """Constants of the file and inputs of the graph reach the codes, in the states' formats."""
    net = make_network(LSTM, GRU)
    constant = np.array([0.5, -0.25, 0.125, -2.0])
    first = replace(net.layers[0], initial_h=Initial(value=constant / 4),
                    initial_c=Initial(value=constant))
    net = replace(net, layers=(first, net.layers[1]))
    batch = make_batch(net, 2, 3)
    batch.h0.clear()
    batch.c0.clear()
    integer, _ = quantise_network(net, batch, QuantOptions())
    assert integer.loads_state
    codes = encode(net, integer, batch)
    assert codes.h0.keys() == {0, 1} and codes.c0.keys() == {0}
    assert np.array_equal(integer.gate.to_float(codes.h0[0]), [constant / 4] * 2)
    assert np.array_equal(integer.cell.to_float(codes.c0[0]), [constant] * 2)
    assert not codes.h0[1].any()
    batch.h0[1] = np.full((2, 3), 0.75)
    assert np.array_equal(integer.gate.to_float(encode(net, integer, batch).h0[1]),
                          batch.h0[1])


def test_embedding_is_a_table():
    """Token ids give what their rows of the table give as inputs."""
    net = make_network(GRU, embedding=(7, 3))
    integer, codes = make_integer(net, make_batch(net, 4, 5))
    assert codes.x.shape == (4, 5, 1)
    direct = replace(integer, embedding=None)
    rows = Codes(x=integer.embedding[codes.x[:, :, 0]])
    assert np.array_equal(run_golden(integer, codes).y, run_golden(direct, rows).y)


@pytest.mark.parametrize("magnitude", [1 << 17, 1 << 24, 1 << 29])
def test_dot_paths_agree(magnitude):
    """The float64 product under its bound, the int64 one above it, and Python's integers."""
    rng = np.random.default_rng(5)
    vectors = rng.integers(-magnitude, magnitude, size=(6, 40))
    weights = rng.integers(-magnitude // 4, magnitude // 4, size=(9, 40)) // 3
    weights[0], vectors[0] = -(magnitude // 12), -magnitude
    expected = [[sum(int(a) * int(w) for a, w in zip(row, column, strict=True))
                 for column in weights] for row in vectors]
    assert model.dot(vectors, weights).tolist() == expected
    # Values whose sum is odd and just under 2**53 are what a float product would get wrong above.
    odd = np.array([[(1 << 26) + 1] * 2]), np.array([[(1 << 26) - 1, (1 << 26) - 2]])
    assert model.dot(*odd).tolist() == [[((1 << 26) + 1) * ((1 << 27) - 3)]]


def test_tables_cannot_saturate():
    net = make_network(("linear", 2, "tanh"))
    integer, codes = make_integer(net, make_batch(net, 3, 2))
    run = run_golden(integer, codes)
    assert run.saturations.shape == (3,) and not run.saturations.any()
