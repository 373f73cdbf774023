"""How much a run has clipped: each count anew, from the numbers that stand before the clipping."""

import numpy as np
import pytest
from networks import make_batch, make_integer, make_network

from golden.fixed import Fixed
from golden.model import run_golden

RELUS = ("hard_sigmoid", 0.2, 0.5), "relu", "relu"


def clipped(values, fmt: Fixed) -> np.ndarray:
    """How many of each sequence's values (B, T, H), exact in float64, no code of the format is."""
    codes = np.floor(np.ldexp(values, fmt.frac) + 0.5)
    return ((codes < fmt.min) | (codes > fmt.max)).sum(axis=(1, 2))


def before(values, start=0.0) -> np.ndarray:
    """What stood there one step before."""
    return np.concatenate([np.full_like(values[:, :1], start), values[:, :-1]], axis=1)


def make(*layers, scale: float = 1.5):
    """(integer network, its run on inputs six times as large as expected)."""
    network = make_network(*layers, scale=scale)
    integer, codes = make_integer(network, make_batch(network, 6, 9), act_width=8, cell_width=12)
    x = integer.layers[0].x
    codes.x = np.clip(codes.x * 6, x.min, x.max)
    return integer, run_golden(integer, codes, keep=None)


@pytest.mark.parametrize("spec", [("rnn", 5, "relu"), ("linear", 5), ("linear", 5, "relu")])
def test_of_rows(spec):
    integer, run = make(spec)
    (layer,), (signals,), (counts,) = integer.layers, run.signals, run.saturated
    sums = np.ldexp(signals["acc"].astype(float), -layer.acc_frac)
    pre = layer.place(0).pre
    assert np.array_equal(counts["pre"], clipped(sums, pre))
    values = pre.to_float(signals["pre"])
    values = np.maximum(values, 0) if "relu" in spec else values
    assert np.array_equal(counts["h"], clipped(values, layer.h))
    assert np.array_equal(run.saturations, counts["h"]) and counts["h"].any()
    assert len(set(counts["h"].tolist())) > 1


@pytest.mark.parametrize("spec", [("rnn", 5), ("linear", 5, "sigmoid")])
def test_of_tables(spec):
    """What goes into a table is counted by name, and in no sum: that is how tables work."""
    integer, run = make(spec, scale=30.0)
    (layer,), (signals,), (counts,) = integer.layers, run.signals, run.saturated
    sums = np.ldexp(signals["acc"].astype(float), -layer.acc_frac)
    assert np.array_equal(counts["pre"], clipped(sums, layer.pre)) and counts["pre"].any()
    assert counts.keys() == {"pre"} and run.saturations.tolist() == [0] * 6


def test_of_states():
    """An LSTM's c and h both count, its pre-activations do not."""
    integer, run = make(("lstm", 5, {"functions": RELUS}))
    (layer,), (signals,), (counts,) = integer.layers, run.signals, run.saturated
    i, f, g, o, c, tanh_c = (layer.format_of(name, integer.cell).to_float(signals[name])
                             for name in ("i", "f", "g", "o", "c", "tanh_c"))
    of_c = clipped(f * before(c) + i * g, integer.cell)
    assert np.array_equal(counts["c"], of_c) and of_c.any()
    # relu's own results are clipped to the same format, and counted with those of h.
    into = layer.place(2)
    codes = np.clip(np.floor(np.ldexp(c, into.pre.frac) + 0.5), into.pre.min, into.pre.max)
    of_h = clipped(o * tanh_c, layer.h) + clipped(
        np.maximum(np.ldexp(codes, -into.pre.frac), 0), into.out)
    relu_g = layer.place(1)
    of_h += clipped(np.maximum(relu_g.pre.to_float(signals["pre_g"]), 0), relu_g.out)
    assert np.array_equal(counts["h"], of_h)
    assert np.array_equal(run.saturations, of_c + of_h)


def test_of_a_blend():
    integer, run = make(("gru", 5, {"functions": ["sigmoid", "relu"]}))
    (layer,), (signals,), (counts,) = integer.layers, run.signals, run.saturated
    z, n, h = (layer.format_of(name, integer.cell).to_float(signals[name])
               for name in ("z", "n", "h"))
    candidate = layer.place(1)
    of_h = clipped(n + z * (before(h) - n), layer.h) + clipped(
        np.maximum(candidate.pre.to_float(signals["pre_n"]), 0), candidate.out)
    assert np.array_equal(counts["h"], of_h) and of_h.any()
    assert np.array_equal(run.saturations, of_h)


def test_of_several_layers():
    """Those of all layers together; a pool has none."""
    _, run = make(("lstm", 5, {"functions": RELUS}), ("rnn", 4, "relu"), ("mean", 4))
    first, second, pool = run.saturated
    assert pool == {} and first["c"].any() and second["h"].any()
    assert np.array_equal(run.saturations, first["h"] + first["c"] + second["h"])
