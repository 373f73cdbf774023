"""A stream in pieces: last states out, the same states in, and no bit differs from one piece.

T steps, H units.
"""

import numpy as np
import onnx_models as build
import pytest
from fast_cores import prove

import gatewright as gw
from gatewright.onnx_import import import_onnx
from golden.model import encode, run_golden
from golden.network import Cell
from golden.reference import Batch, run_float

CUTS = (0, 1, 5, 12)            # pieces of 1, 4 and 7 steps


def streaming(kind, tmp_path, layers=2, **attrs):
    """Layers whose states come from and go to graph tensors; every step's result goes out."""
    net = build.Net()
    x, width = net.input("x", ["T", 1, 4]), 4
    for k in range(layers):
        states = {c: net.input(f"{c}0_{k}", [1, 1, 3]) for c in ("hc" if kind == "LSTM" else "h")}
        y, *last = net.cell(kind, x, width, 3, **states, **attrs)
        for c, name in zip("hc", last):
            net.op("Identity", name, outputs=[f"{c}n_{k}"])
            net.output(f"{c}n_{k}", [1, 1, 3])
        x, width = net.op("Squeeze", y, net.ints(1)), 3
    net.op("MatMul", x, net.weight(3, 2), outputs=["y"])
    net.output("y", ["T", 1, 2])
    return import_onnx(net.save(tmp_path / "net.onnx"))


def start(network, n):
    rng = np.random.default_rng(3)
    h = {k: rng.uniform(-0.8, 0.8, (n, 3)) for k in network.recurrent}
    c = {k: rng.normal(size=(n, 3)) for k in network.recurrent
         if network.layers[k].cell is Cell.LSTM}
    return Batch(x=rng.normal(size=(n, CUTS[-1], 4)), h0=h, c0=c)


@pytest.mark.parametrize("kind, attrs", [
    ("RNN", {}), ("RNN", {"activations": ["Relu"]}), ("GRU", {}),
    ("GRU", {"linear_before_reset": 1}), ("LSTM", {}), ("LSTM", {"clip": 0.9, "input_forget": 1})],
    ids=["rnn", "relu", "gru_reset_before", "gru", "lstm", "lstm_coupled"])
def test_pieces_make_the_whole(tmp_path, kind, attrs):
    network = streaming(kind, tmp_path, **attrs)
    whole = start(network, 3)
    quantised = gw.quantise(network, whole)
    integer = quantised.integer
    once = run_golden(integer, encode(network, integer, whole)).signals
    floats = run_float(network, whole)
    h, c = whole.h0, whole.c0
    for first, end in zip(CUTS, CUTS[1:]):
        piece = Batch(x=whole.x[:, first:end], h0=h, c0=c)
        result = gw.golden(quantised, piece)
        found = result.run.signals
        for layer, signals in enumerate(found):
            for name, values in signals.items():
                np.testing.assert_array_equal(values, once[layer][name][:, first:end])
        np.testing.assert_allclose(run_float(network, Batch(
            x=whole.x[:, first:end],
            h0=whole.h0 if not first else {k: floats[k]["h"][:, first - 1] for k in h},
            c0=whole.c0 if not first else {k: floats[k]["c"][:, first - 1] for k in c}))[-1]["h"],
            floats[-1]["h"][:, first:end], atol=1e-12)
        h = {k: integer.layers[k].h.to_float(found[k]["h"][:, -1]) for k in h}
        c = {k: integer.cell.to_float(found[k]["c"][:, -1]) for k in c}
    prove(quantised, result, tmp_path, lanes=3, pauses=False)        # the last piece, as a core
