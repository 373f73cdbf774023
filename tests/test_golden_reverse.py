"""Reverse layers and layers with several inputs, in the float reference and the golden model."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from networks import make_batch, make_integer, make_network

from golden.model import run_golden
from golden.quantise import Rounding
from golden.reads import gather
from golden.reference import run_float

CELLS = ("rnn", "lstm", "gru", "gru_reset_before")


def both(cell, units=5):
    """A bidirectional layer: two layers that read the input."""
    return ((cell, units), (cell, units, "reverse", (-1,)))


@pytest.mark.parametrize("cell", CELLS)
def test_reverse_is_forward_over_the_reversed_sequence(cell):
    network = make_network(*both(cell), ("linear", 3, (0, 1)), loads=True)
    batch = make_batch(network, 3, 7)
    integer, codes = make_integer(network, batch)
    layer = dataclasses.replace(network.layers[1], reverse=False, reads=())
    forward = dataclasses.replace(network, layers=(layer,))
    turned = dataclasses.replace(batch, x=batch.x[:, ::-1], h0={0: batch.h0[1]},
                                 c0={0: batch.c0[1]} if cell == "lstm" else {})
    for signal, values in run_float(forward, turned)[0].items():
        assert np.array_equal(run_float(network, batch)[1][signal], values[:, ::-1])
    alone = dataclasses.replace(integer, layers=(
        dataclasses.replace(integer.layers[1], reverse=False, reads=()),))
    codes_alone = dataclasses.replace(codes, x=codes.x[:, ::-1], h0={0: codes.h0[1]},
                                      c0={0: codes.c0[1]} if cell == "lstm" else {})
    expected = run_golden(alone, codes_alone, keep=None).signals[0]
    for signal, values in run_golden(integer, codes, keep=None).signals[1].items():
        assert np.array_equal(values, expected[signal][:, ::-1])


@pytest.mark.parametrize(("word", "step"), [("last", -1), ("final", 0)])
def test_a_last_layer_reads_the_last_step_or_the_last_states(word, step):
    network = make_network(*both("gru"), ("linear", 3, word, (0, 1)))
    batch = make_batch(network, 2, 6)
    integer, codes = make_integer(network, batch)
    for run in (run_float(network, batch), run_golden(integer, codes).signals):
        forward, backward, head = (signals["h"] for signals in run)
        assert head.shape == (2, 1, 3)
        seen = np.concatenate([forward[:, -1], backward[:, step]], axis=1)
        if run[0].get("x") is not None:
            assert np.array_equal(run[2]["x"][:, 0], seen)
            assert np.allclose(head[:, 0], seen @ network.layers[2].w.T
                               + network.layers[2].bias_x)
        else:
            layer = integer.layers[2]
            acc = (seen << layer.x_shift) @ layer.w.T + layer.bias_x
            exact = acc * 2.0 ** (layer.h.frac - layer.acc_frac)
            assert np.array_equal(head[:, 0], np.floor(exact + 0.5).astype(int))


def test_results_that_are_read_as_one_vector_share_a_format():
    network = make_network(("rnn", 5, "relu"), ("rnn", 5, "relu", "reverse", (-1,)),
                           ("linear", 3, (0, 1)))
    network.layers[1].w[:] *= 9
    integer, _ = make_integer(network, make_batch(network, 4, 9))
    first, second, head = integer.layers
    assert first.h == second.h and head.x == first.h and first.x == second.x


@pytest.mark.parametrize("reads", [(0, 1), (1, 0)])
def test_results_of_unlike_ranges_are_joined(reads):
    """A bounded result keeps its format; its weights are those of codes that look larger."""
    network = make_network(("lstm", 5), ("rnn", 5, "relu", (-1,)), ("linear", 3, reads))
    network.layers[1].w[:] *= 9
    batch = make_batch(network, 4, 9)
    integer, codes = make_integer(network, batch, weight_width=16,
                                  rounding=Rounding.NEAREST)
    lstm, relu, head = integer.layers
    assert lstm.h.frac == 15 > relu.h.frac + 3 and head.x == relu.h
    float_head, run = network.layers[2], run_golden(integer, codes)
    fracs = np.repeat([integer.layers[k].h.frac for k in reads], 5)
    step = 2.0 ** (fracs - head.acc_frac[:, None])
    w = head.w * step
    assert (np.abs(w - float_head.w) <= step / 2).all()
    seen = np.concatenate([run.signals[k]["h"] * integer.layers[k].h.step for k in reads], axis=2)
    y = run.y * head.h.step
    assert np.abs(y - seen @ w.T - float_head.bias_x).max() < head.h.step
    assert np.abs(y - run_float(network, batch)[2]["h"]).max() < 0.01 * np.abs(y).max()


def test_a_residual_of_an_lstm_and_a_linear_layer():
    """The identity of a copy is exact, whatever its columns' formats are."""
    network = make_network(("linear", 4), ("lstm", 4), ("linear", 4, (0, 1)))
    network.layers[2].w[:] = np.concatenate([np.eye(4), np.eye(4)], axis=1)
    network.layers[2].bias_x[:] = 0
    network.layers[0].w[:] *= 20
    batch = make_batch(network, 3, 8)
    with pytest.raises(ValueError, match=r"'l2' adds up results of different ranges \(Q0.15 and "
                       "Q7.8.*, which takes weights of 12 bits"):
        make_integer(network, batch)
    integer, codes = make_integer(network, batch, weight_width=12)
    below, lstm, both = integer.layers
    run = run_golden(integer, codes)
    exact = run.signals[0]["h"] * below.h.step + run.signals[1]["h"] * lstm.h.step
    assert np.abs(run.y * both.h.step - exact).max() <= both.h.step / 2


def test_networks_that_make_no_sense():
    with pytest.raises(ValueError, match="only a recurrent layer"):
        make_network(("linear", 3, "reverse"))
    network = make_network(("lstm", 3), ("linear", 2))
    head = dataclasses.replace(network.layers[1], reads=(1,))
    with pytest.raises(ValueError, match="only layers before it"):
        dataclasses.replace(network, layers=(network.layers[0], head))


@pytest.mark.parametrize("read", [-1, 0, 1])
def test_final_step_is_the_read_layers_own(read):
    """Of a reverse layer its first step in time, the first layer's too; of the input the last."""
    layers = [SimpleNamespace(reverse=True), SimpleNamespace(reverse=False)]
    reader = SimpleNamespace(reverse=True, last_only=True, reads_final=True,
                             cell=SimpleNamespace(pools=False))
    network = SimpleNamespace(layers=[*layers, reader], reads=lambda idx: (read,))
    x, first, second = (np.arange(12).reshape(1, 4, 3) + 100 * k for k in range(3))
    wanted = {-1: x[:, -1:], 0: first[:, :1], 1: second[:, -1:]}[read]
    assert np.array_equal(gather(network, 2, x, [first, second]), wanted)
