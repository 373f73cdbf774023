"""``sequence_lens``: sequences of several lengths in a batch, from the file to the core.

B sequences, T steps, I inputs, H units.
"""

import numpy as np
import onnx_models as build
import pytest
from fast_cores import prove
from networks import make_network
from onnx import TensorProto

import gatewright as gw
from gatewright.accuracy import measure
from gatewright.data import load_batch
from gatewright.errors import DataRefused
from gatewright.onnx_check import check_against_onnx, onnxruntime_outputs
from gatewright.onnx_import import import_onnx
from golden.model import encode, run_golden
from golden.reference import Batch, run_float

B, T, I, H = 3, 6, 4, 2
LENGTHS = np.array([6, 2, 1, 5, 2, 4, 3])


def net_of(kind="LSTM", *, lengths="input", head=None, batch=B, outputs=("Y", "Y_h"), **attrs):
    """One node whose sequences have lengths: a graph input, or these constants."""
    net = build.Net()
    x = net.input("x", [T, batch, I])
    n = net.input("n", [batch], TensorProto.INT32) if lengths == "input" \
        else net.const(lengths, np.int32)
    net.cell(kind, x, I, H, lengths=n, **attrs)
    net.nodes[-1].output[:] = ["Y", "Y_h", "Y_c"][:len(net.nodes[-1].output)]
    if head:
        net.op("MatMul", head(net), net.weight(H, 2), outputs=["out"])
        net.output("out")
        return net
    for name in outputs:
        net.output(name, [T, 1, batch, H] if name == "Y" else [1, batch, H])
    return net


def made(net, path, lengths=LENGTHS):
    network = import_onnx(net.save(path / "net.onnx"))
    x = np.random.default_rng(1).normal(size=(len(lengths), T, I))
    return network, Batch(x=x, lengths=lengths)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_as_onnxruntime_has_it(tmp_path, kind):
    pytest.importorskip("onnxruntime", reason="onnx.reference ignores sequence_lens")
    outputs = ("Y", "Y_h", "Y_c")[:3 if kind == "LSTM" else 2]
    network, batch = made(net_of(kind, outputs=outputs), tmp_path)
    assert (network.lengths.name, network.lengths.shape) == ("n", (B,))
    assert check_against_onnx(network, tmp_path / "net.onnx", batch) < 1e-5
    theirs, *_ = onnxruntime_outputs(network, tmp_path / "net.onnx", batch)
    assert not theirs["Y"][1, 2:].any() and theirs["Y"][1, 1].any()
    batch.lengths = np.where(batch.lengths == 2, 3, batch.lengths)
    other, *_ = onnxruntime_outputs(network, tmp_path / "net.onnx", batch)
    assert np.any(other["Y_h"][1] != theirs["Y_h"][1])


def test_constant_lengths_of_the_files_batch(tmp_path):
    network, batch = made(net_of("GRU", lengths=[2, 6, 3]), tmp_path)
    assert network.lengths is None and network.fixed_lengths == (2, 6, 3)
    np.save(tmp_path / "x.npy", batch.x)
    batch = load_batch(network, tmp_path / "x.npy")
    assert batch.lengths.tolist() == [2, 6, 3, 2, 6, 3, 2]
    assert check_against_onnx(network, tmp_path / "net.onnx", batch) < 1e-5


def test_lengths_that_say_nothing(tmp_path):
    network, _ = made(net_of("GRU", lengths=[T] * B), tmp_path)
    assert network.lengths is None and not network.fixed_lengths


def test_a_head_on_the_last_states(tmp_path):
    network, batch = made(net_of("GRU", head=lambda net: net.op("Squeeze", "Y_h", net.ints(0))),
                          tmp_path)
    assert network.last_step_only
    assert check_against_onnx(network, tmp_path / "net.onnx", batch) < 1e-5


def test_a_head_on_every_step_is_compared_where_there_are_steps(tmp_path):
    net = net_of("GRU", head=lambda net: net.op("Squeeze", "Y", net.ints(1)))
    net.op("Add", net.nodes[-1].output[0], net.weight(2), outputs=["biased"])
    net.outputs.clear()
    net.output("biased")
    network, batch = made(net, tmp_path)
    assert check_against_onnx(network, tmp_path / "net.onnx", batch) < 1e-5


@pytest.mark.parametrize("change, words", [
    (lambda net: net.op("Gather", "Y", net.const(-1, np.int64)),
     "the result Y of a layer with sequence_lens: is read at single steps.*from Y_h"),
    (lambda net: net.op("ReduceMean", net.op("Squeeze", "Y", net.ints(1)), axes=[0]),
     "goes over all steps of a layer with sequence_lens"),
    (lambda net: net.op("Squeeze", net.cell("GRU", net.op("Squeeze", "Y", net.ints(1)), H, H)[1],
                        net.ints(0)), "different sequence_lens, or some of them without")])
def test_what_a_graph_may_not_do_with_them(tmp_path, change, words):
    net = net_of("GRU")
    last = change(net)
    net.outputs.clear()
    net.op("MatMul", last, net.weight(H, 2), outputs=["out"])
    net.output("out")
    with pytest.raises(gw.GatewrightError, match=words):
        import_onnx(net.save(tmp_path / "net.onnx"))


@pytest.mark.parametrize("lengths, words", [
    ([1, 2], "int32 of the shape \\(2,\\)"), ([0, 1, 2], "lengths from 0 to 2; they must be 1 to"),
    ([1, 2, 7], "lengths from 1 to 7")])
def test_constants_that_cannot_be(tmp_path, lengths, words):
    with pytest.raises(gw.GatewrightError, match=words):
        import_onnx(net_of(lengths=lengths).save(tmp_path / "net.onnx"))


def test_data_files(tmp_path):
    network, batch = made(net_of(), tmp_path)
    np.savez(tmp_path / "all.npz", x=batch.x, n=LENGTHS)
    loaded = load_batch(network, tmp_path / "all.npz")
    np.testing.assert_array_equal(loaded.lengths, LENGTHS)
    assert not loaded.x[1, 2:].any() and np.array_equal(loaded.x[1, :2], batch.x[1, :2])
    np.save(tmp_path / "x.npy", batch.x)
    assert "every sequence runs to its end" in load_batch(network, tmp_path / "x.npy").notes[0]
    np.save(tmp_path / "x_n.npy", LENGTHS[:-1])
    with pytest.raises(DataRefused, match="6 lengths for 7 sequences"):
        load_batch(network, tmp_path / "x.npy")
    for wrong in (LENGTHS - 1, LENGTHS + 1, LENGTHS * 1.0):
        np.save(tmp_path / "x_n.npy", wrong)
        with pytest.raises(DataRefused, match="they must be integers from 1 to 6"):
            load_batch(network, tmp_path / "x.npy")


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_each_sequence_is_as_if_it_were_alone(tmp_path, kind):
    network, batch = made(net_of(kind), tmp_path)
    quantised = gw.quantise(network, batch)
    codes = encode(network, quantised.integer, batch)
    whole, floats = run_golden(quantised.integer, codes, keep=None), run_float(network, batch)
    for k, steps in enumerate(LENGTHS):
        alone = run_golden(quantised.integer, codes.of_length([k], steps), keep=None)
        single = run_float(network, batch.of_length([k], steps))
        for name, values in alone.signals[0].items():
            np.testing.assert_array_equal(whole.signals[0][name][k, :steps], values[0])
            assert not whole.signals[0][name][k, steps:].any()
        # a matrix product of another batch rounds otherwise
        np.testing.assert_allclose(floats[0]["h"][k, :steps], single[0]["h"][0], atol=1e-14)
        assert whole.saturations[k] == alone.saturations[0]


@pytest.mark.parametrize("outputs", [("Y",), ("Y_h",), ("Y", "Y_h")], ids="+".join)
@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_in_hardware(tmp_path, kind, outputs):
    """Every sequence goes in with its own length: words, states and cycles."""
    network, batch = made(net_of(kind, outputs=outputs), tmp_path)
    quantised = gw.quantise(network, batch)
    result = gw.golden(quantised, batch)
    assert result.steps == LENGTHS.sum()
    units = 2 * H if kind == "LSTM" else H
    words = LENGTHS.sum() * units + (H * LENGTHS.sum() if "Y" in outputs else H * len(LENGTHS))
    words += units * len(LENGTHS) if len(outputs) > 1 else 0     # last states of their own
    assert prove(quantised, result, tmp_path, lanes=4).words == words


@pytest.mark.parametrize("direction", ["reverse", "bidirectional"])
def test_directions(tmp_path, direction):
    """A reverse layer begins at each sequence's own end."""
    net = build.Net()
    x, n = net.input("x", [T, B, I]), net.input("n", [B], TensorProto.INT32)
    many = 2 if direction == "bidirectional" else 1
    net.op("GRU", x, net.weight(many, 3 * H, I), net.weight(many, 3 * H, H), "", n,
           hidden_size=H, direction=direction, outputs=["Y", "Y_h"])
    net.output("Y", [T, many, B, H])
    net.output("Y_h", [many, B, H])
    network, batch = made(net, tmp_path)
    assert check_against_onnx(network, tmp_path / "net.onnx", batch) < 1e-5
    quantised = gw.quantise(network, batch)
    # a linear layer behind the directions puts their results in the order of time
    words = H * many * (3 * LENGTHS.sum() + len(LENGTHS))
    assert prove(quantised, gw.golden(quantised, batch), tmp_path, lanes=4).words == words


def test_metrics_end_where_the_sequences_end():
    network = make_network(("gru", 2), ("linear", 4))
    rng = np.random.default_rng(5)
    y = rng.normal(size=(len(LENGTHS), T, 4))
    labels = y.argmax(axis=-1)
    for k, steps in enumerate(LENGTHS):
        labels[k, steps:] = (labels[k, steps:] + 1) % 4          # wrong, but never reached
    bits, found = measure(network, y, y, labels, LENGTHS)
    assert bits.name == "bits_per_label"
    assert (found.name, found.float_value) == ("top1_accuracy", 1.0)
    ends = labels[np.arange(len(LENGTHS)), LENGTHS - 1]
    assert measure(network, y, y, ends, LENGTHS)[0].float_value == 1.0
    assert measure(network, y, y, labels)[1].float_value < 1.0
