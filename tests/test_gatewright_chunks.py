"""A stream in pieces: states out of one run go into the next, and nothing changes.

In the float reference, in golden and in the core; from files whose states are inputs and outputs.
"""

import numpy as np
import pytest
from fast_cores import prove
from onnx_models import Net, char_model

import gatewright as gw
from gatewright.onnx_check import float_outputs
from golden.network import Cell
from golden.reference import Batch

N, T, I, H = 3, 11, 4, 3
CUTS = {"two": (5,), "single": tuple(range(1, T)), "uneven": (1, 8)}


def stream(kind: str, path):
    """Two layers, states of each in and out, a head on every step; open in time."""
    net = Net()
    x, width = net.input("x", ["T", 1, I]), I
    names = ("h", "c") if kind == "LSTM" else ("h",)
    for k in range(2):
        given = {name: net.input(f"{name}0_{k}", [1, 1, H]) for name in names}
        y, *ends = net.cell(kind, x, width, H, **given)
        for name, end in zip(names, ends):
            net.op("Identity", end, outputs=[f"{name}n_{k}"])
            net.output(f"{name}n_{k}")
        x, width = net.op("Squeeze", y, net.ints(1)), H
    net.op("MatMul", x, net.weight(H, 2), outputs=["out"])
    net.output("out")
    return net.save(path)


def chars(path):
    """An embedding, and the states of both layers stacked."""
    return char_model(dynamic=True).save(path)


MODELS = {"LSTM": lambda path: stream("LSTM", path), "GRU": lambda path: stream("GRU", path),
          "RNN": lambda path: stream("RNN", path), "chars": chars}


@pytest.fixture(params=MODELS)
def network(request, tmp_path):
    return gw.import_model(MODELS[request.param](tmp_path / "net.onnx"))


@pytest.fixture(params=CUTS)
def pieces(request):
    ends = (0, *CUTS[request.param], T)
    return list(zip(ends, ends[1:]))


def whole_batch(network) -> Batch:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(N, T, network.inputs)) if network.embedding is None \
        else rng.integers(0, len(network.embedding), (N, T))
    batch = Batch(x=x)
    for idx in network.recurrent:
        batch.h0[idx] = rng.uniform(-0.9, 0.9, (N, network.layers[idx].units))
        if network.layers[idx].cell is Cell.LSTM:
            batch.c0[idx] = rng.normal(size=(N, network.layers[idx].units))
    return batch


def test_float(network, pieces):
    """By the names of the graph: what comes out as hn goes in as h0."""
    batch = whole_batch(network)
    whole, parts = float_outputs(network, batch), []
    states = {"h": batch.h0, "c": batch.c0}
    result = next(binding for binding in network.outputs if binding.kind == "y")
    for begin, end in pieces:
        found = float_outputs(network, Batch(x=batch.x[:, begin:end], h0=states["h"],
                                             c0=states["c"]))
        parts.append(found[result.name])
        states = {kind: {layer: found[b.name].reshape(N, len(b.layers), -1)[:, k]
                         for b in network.outputs if b.kind == kind
                         for k, layer in enumerate(b.layers)} for kind in "hc"}
    joined = np.concatenate(parts, axis=1 + result.axes.index("time"))
    assert np.abs(joined - whole[result.name]).max() < 1e-12
    for name, values in found.items():
        if name != result.name:
            assert np.abs(values - whole[name]).max() < 1e-12


def after(quantised, result) -> tuple:
    """(h, c) behind a golden run, in floats: each is a code of the format in which it goes in."""
    integer, states = quantised.integer, ({}, {})
    for idx in integer.recurrent:
        for kind, fmt, found in (("h", integer.layers[idx].h, states[0]),
                                 ("c", integer.cell, states[1])):
            if kind in result.run.signals[idx]:
                found[idx] = fmt.to_float(result.run.signals[idx][kind][:, -1])
    return states


def in_pieces(quantised, batch, pieces):
    """Golden runs of the pieces, each from the states behind the one before."""
    h, c = batch.h0, batch.c0
    for begin, end in pieces:
        result = gw.golden(quantised, Batch(x=batch.x[:, begin:end], h0=h, c0=c))
        yield result
        h, c = after(quantised, result)


@pytest.mark.parametrize("widths", [{}, {"weight_width": 4, "act_width": 7, "cell_width": 9}])
def test_golden(network, pieces, widths):
    """Code for code: results, every state, and the last ones."""
    batch = whole_batch(network)
    quantised = gw.quantise(network, batch, **widths)
    whole = gw.golden(quantised, batch)
    found = list(in_pieces(quantised, batch, pieces))
    for idx, signals in enumerate(whole.run.signals):
        for signal, codes in signals.items():
            joined = np.concatenate([part.run.signals[idx][signal] for part in found], axis=1)
            assert np.array_equal(joined, codes)
    assert sum(part.run.saturations for part in found).tolist() == whole.run.saturations.tolist()
    assert np.ptp(whole.run.y) > 0


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "chars"])
def test_core(tmp_path, kind):
    """The words of the core, last states included, are golden's in every piece and as a whole."""
    network = gw.import_model(MODELS[kind](tmp_path / "net.onnx"))
    batch = whole_batch(network)
    quantised = gw.quantise(network, batch)
    whole = gw.golden(quantised, batch)
    joined = []
    for number, part in enumerate(in_pieces(quantised, batch, [(0, 4), (4, 5), (5, T)])):
        prove(quantised, part, tmp_path / f"piece{number}", lanes=6)
        joined.append(part.run.y)
    prove(quantised, whole, tmp_path / "whole", lanes=6)
    assert np.array_equal(np.concatenate(joined, axis=1), whole.run.y)


def test_a_state_that_is_lost_is_noticed(tmp_path):
    """The check above can fail: the second piece from zeros gives other words."""
    network = gw.import_model(stream("LSTM", tmp_path / "net.onnx"))
    batch = whole_batch(network)
    quantised = gw.quantise(network, batch)
    whole = gw.golden(quantised, batch)
    late = gw.golden(quantised, Batch(x=batch.x[:, 5:]))
    assert not np.array_equal(late.run.y, whole.run.y[:, 5:])
