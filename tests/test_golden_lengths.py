"""Sequences of several lengths in one batch: each is what it is alone, and zeros behind its end."""

import numpy as np
import pytest
from networks import make_batch, make_integer, make_network

from golden.lengths import at_end, check_lengths, for_each_length, mask, once
from golden.model import Codes, run_golden

LENGTHS = np.array([3, 1, 5, 3, 2])
LAYERS = {"lstm": (("lstm", 4), ("linear", 2, "tanh")), "last": (("gru", 3), ("linear", 2, "last")),
          "mean": (("rnn", 4), ("mean", 4)), "max": (("gru", 3), ("max", 3), ("linear", 2, "last"))}
ONCE = {"lstm": [False, False], "last": [False, True], "mean": [False, True],
        "max": [False, True, True]}  # which give one result a sequence


@pytest.mark.parametrize("name", LAYERS)
def test_each_as_alone(name):
    net = make_network(*LAYERS[name], scale=3.0, inputs=3)
    integer, codes = make_integer(net, make_batch(net, 5, 5))
    assert codes.steps == 25 and once(net.layers) == once(integer.layers) == ONCE[name]
    assert Codes(x=codes.x[:, :2]).steps == 10
    codes.lengths = LENGTHS
    whole = run_golden(integer, codes, keep=None)
    assert codes.steps == LENGTHS.sum() and len(codes) == 5
    for k, steps in enumerate(LENGTHS):
        alone = run_golden(integer, Codes(x=codes.x[k:k + 1, :steps]), keep=None)
        for got, single, wanted in zip(whole.signals, ONCE[name], alone.signals, strict=True):
            assert got.keys() == wanted.keys()
            for signal, values in wanted.items():
                assert got[signal].shape[1] == (1 if single else 5)
                assert np.array_equal(got[signal][k, :values.shape[1]], values[0]), signal
                assert not got[signal][k, values.shape[1]:].any()
        assert whole.saturations[k] == alone.saturations[0]


def test_states_of_each_length():
    net = make_network(("lstm", 4), loads=True)
    integer, codes = make_integer(net, make_batch(net, 5, 5))
    codes.lengths = LENGTHS
    whole = run_golden(integer, codes)
    alone = run_golden(integer, Codes(x=codes.x[2:3], h0={0: codes.h0[0][2:3]},
                                      c0={0: codes.c0[0][2:3]}))
    assert np.array_equal(whole.signals[0]["c"][2], alone.signals[0]["c"][0])


def test_where_a_sequence_is():
    values = np.arange(5 * 5 * 2).reshape(5, 5, 2) + 1
    assert at_end(values, LENGTHS).tolist() == [values[k, n - 1].tolist()
                                                for k, n in enumerate(LENGTHS)]
    assert np.array_equal(at_end(values, None), values[:, 4])
    assert np.array_equal(at_end(values[:, :1], LENGTHS), values[:, 0])
    assert mask(LENGTHS, values.shape).tolist() == [[t < n for t in range(5)] for n in LENGTHS]
    assert mask(None, values.shape).all() and mask(None, values.shape).shape == (5, 5)
    assert mask(LENGTHS, (5, 1, 2)).tolist() == [[True]] * 5
    assert mask(LENGTHS, (5, 5, 1)).tolist() == mask(LENGTHS, (5, 5)).tolist()
    assert mask(np.array([1, 2]), (2, 2, 3)).tolist() == [[True, False], [True, True]]
    assert mask(np.array([2]), (1, 4, 3)).tolist() == [[True, True, False, False]]


def test_runs_of_each_length():
    """Every length once, its sequences together, in the batch's order."""
    seen = []

    def run(index, steps):
        seen.append((index.tolist(), steps))
        return [{"a": np.ones((len(index), steps, 1), np.int64) * steps}, {"n": index * 10}]

    a, n = for_each_length(LENGTHS, 5, [False, False], run)
    assert seen == [([1], 1), ([4], 2), ([0, 3], 3), ([2], 5)]
    assert a["a"][:, :, 0].tolist() == [[n] * n + [0] * (5 - n) for n in LENGTHS.tolist()]
    assert n["n"].tolist() == [0, 10, 20, 30, 40]
    with pytest.raises(ValueError, match="zip"):
        for_each_length(LENGTHS, 5, [False] * 3, run)


@pytest.mark.parametrize("lengths", [[0, 1], [1, 6], [[1, 2]], [1.0, 2.0], [],
                                     np.array([], dtype=np.int64), [0], [6], 3])
def test_lengths_wrong(lengths):
    with pytest.raises(ValueError, match=r"^Lengths must be integers from 1 to 5, one a sequence"):
        check_lengths(lengths, 5)
    assert check_lengths([1, 5], 5).tolist() == [1, 5]
    assert check_lengths([4], 5).tolist() == [4] and check_lengths([1], 1).dtype == np.int64
    assert check_lengths(np.array([2], dtype=np.uint8), 5).dtype == np.int64
