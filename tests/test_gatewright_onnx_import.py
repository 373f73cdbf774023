"""Every spelling becomes the same network, and computes what another program says it does."""

import numpy as np
import onnx
import onnx_models as build
import pytest
from onnx import TensorProto

from gatewright.errors import ImportRefused
from gatewright.onnx_check import check_against_onnx, onnxruntime_outputs
from gatewright.onnx_import import import_onnx
from golden.network import Activation, Cell, Final
from golden.reference import Batch, run_float


def random_batch(network, n=3, steps=None, seed=5):
    """Sequences and initial states of the right shapes."""
    rng = np.random.default_rng(seed)
    axes = dict(zip(network.input.axes, network.input.shape))
    steps = steps or axes.get("time") or 6
    x = rng.integers(0, len(network.embedding), (n, steps)) if network.embedding is not None \
        else rng.normal(0, 1, (n, steps, network.inputs))
    states = {"h": {}, "c": {}}
    for binding in network.state_inputs:
        for k in binding.layers:
            states[binding.kind][k] = rng.normal(0, 0.5, (n, network.layers[k].units))
    return Batch(x=x, h0=states["h"], c0=states["c"])


def imported(net, path, **kwargs):
    """Import a net and hold it against onnxruntime (or onnx.reference)."""
    network = import_onnx(net.save(path / "net.onnx"), **kwargs)
    difference = check_against_onnx(network, path / "net.onnx", random_batch(network))
    assert difference is not None and difference < 1e-5
    return network


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind, attrs, cell", [
    ("LSTM", {}, Cell.LSTM), ("RNN", {"activations": ["Tanh"]}, Cell.RNN),
    ("GRU", {"linear_before_reset": 1}, Cell.GRU), ("GRU", {}, Cell.GRU_RESET_BEFORE)],
    ids=["lstm", "rnn", "gru", "gru_reset_before"])
@pytest.mark.parametrize("spelling", [build.torch_legacy, build.torch_dynamo])
def test_torch_spellings(tmp_path, spelling, kind, attrs, cell, layers, dynamic):
    network = imported(spelling(kind, layers=layers, dynamic=dynamic, **attrs), tmp_path)
    last = spelling is build.torch_legacy
    assert [layer.cell for layer in network.layers] == [cell] * layers + [Cell.LINEAR]
    assert network.last_step_only is last and network.layers[-1].last_only is last
    assert network.input.axes == ("batch", "time", "feature")
    assert network.input.shape == ((None, None, 4) if dynamic else (1, 5, 4))
    assert network.outputs[0].axes == (("batch", "feature") if last
                                       else ("batch", "time", "feature"))
    assert not network.loads_state and not network.state_inputs
    assert any("SUSPICIOUS" in n for n in network.notes) is (cell is Cell.GRU_RESET_BEFORE)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_keras_spelling(tmp_path, kind):
    network = imported(build.keras(kind), tmp_path)
    assert [layer.units for layer in network.layers] == [3, 2, 3]
    assert network.final is Final.SOFTMAX and network.last_step_only
    assert network.input.shape == (None, 6, 4)
    assert not network.loads_state


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("layers", [1, 2])
def test_embedding_and_states(tmp_path, layers, dynamic):
    network = imported(build.char_model(layers=layers, dynamic=dynamic), tmp_path)
    assert network.embedding.shape == (7, 4) and network.inputs == 1
    assert network.input.axes == ("batch", "time")
    assert [(b.name, b.kind, b.layers, b.axes) for b in network.state_inputs] == [
        (name, name[0], tuple(range(layers)), ("layer", "batch", "feature"))
        for name in ("h0", "c0")]
    assert [(b.name, b.kind) for b in network.outputs] == [
        ("logits", "y"), ("hn", "h"), ("cn", "c")]
    assert network.outputs[1].layers == tuple(range(layers))
    assert network.loads_state and network.returns_state and not network.last_step_only
    # declared without shapes in these files: the time axis is as open as the input's
    assert network.outputs[0].shape == (1, None if dynamic else 5, 7)
    assert [layer.initial_c.source for layer in network.layers] == ["c0"] * layers + [None]


def test_rnn_relu(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnx.reference has no RNN with Relu")
    network = imported(build.torch_legacy("RNN", layers=1, activations=["Relu"]), tmp_path)
    assert network.layers[0].activation is Activation.RELU


def test_activation_names_in_any_case(tmp_path):
    net = build.bare("RNN", activations=["rELU"])
    layer = import_onnx(net.save(tmp_path / "net.onnx")).layers[0]
    assert layer.activation is Activation.RELU


@pytest.mark.parametrize("dims, axes", [
    ([4, 1, 4], ("time", "batch", "feature")), ([1, 1, 4], ("batch", "time", "feature"))],
    ids=["as_many_steps_as_inputs", "one_step"])
def test_sizes_that_coincide(tmp_path, dims, axes):
    network = imported(build.bare("GRU", dims=dims, linear_before_reset=1), tmp_path)
    assert network.input.axes == axes and not network.last_step_only


def test_one_input_one_unit(tmp_path):
    net = build.Net()
    net.cell("LSTM", net.op("Transpose", net.input("x", ["N", 6, 1]), perm=[1, 0, 2]), 1, 1)
    net.output(net.nodes[-1].output[0])
    network = imported(net, tmp_path)
    assert network.input.axes == ("batch", "time", "feature")
    assert network.input.shape == (None, 6, 1) and network.layers[0].units == 1


def test_wrong_length_baked_in(tmp_path):
    """The time axis is declared open, but a constant picks step 4 of 5."""
    net = build.Net()
    y = net.cell("GRU", net.input("x", ["T", 1, 4]), 4, 3)[0]
    net.op("Gather", y, net.const(4, np.int64), outputs=["out"])
    net.output("out")
    with pytest.raises(ImportRefused, match="neither the last step nor every step"):
        import_onnx(net.save(tmp_path / "net.onnx"))


def test_h_n_is_the_last_step(tmp_path):
    network = imported(build.torch_legacy(head="h_n"), tmp_path)
    assert network.last_step_only and network.layers[-1].last_only


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("outputs, kinds, last", [
    (("Y",), "y", False), (("Y_h",), "y", True), (("Y", "Y_h", "Y_c"), "yhc", False),
    (("Y_h", "Y_c"), "yc", True)])
def test_lone_node(tmp_path, outputs, kinds, last, layout):
    network = imported(build.bare(outputs=outputs, layout=layout), tmp_path)
    assert "".join(b.kind for b in network.outputs) == kinds
    assert network.last_step_only is last
    assert network.input.axes == (("batch", "time", "feature") if layout
                                  else ("time", "batch", "feature"))


def test_time_major_and_open_time(tmp_path):
    network = imported(build.bare(dims=["T", 1, 4]), tmp_path)
    assert network.input.axes == ("time", "batch", "feature") and not network.last_step_only
    y = network.outputs[0]
    assert y.axes == ("time", "one", "batch", "feature")


def test_missing_bias_is_zero(tmp_path):
    network = imported(build.bare("GRU", bias=False, linear_before_reset=1), tmp_path)
    assert not network.layers[0].bias_x.any() and not network.layers[0].bias_h.any()


@pytest.mark.parametrize("kind, rows", [("LSTM", "ifgo"), ("GRU", "rzn")])
def test_gate_order(tmp_path, kind, rows):
    """Rows of the file's gate k hold the value k; the house's order is read off them."""
    net = build.bare(kind)
    order = {"LSTM": "iofg", "GRU": "zrn"}[kind]
    values = np.repeat(np.arange(len(order)), 3).astype(np.float32)
    net.inits[0] = onnx.numpy_helper.from_array(np.tile(values[None, :, None], (1, 1, 4)),
                                                net.inits[0].name)
    layer = import_onnx(net.save(tmp_path / "net.onnx")).layers[0]
    assert "".join(order[int(v)] for v in layer.w[::3, 0]) == rows


def test_constant_initial_state(tmp_path):
    net = build.Net()
    x = net.input("x", [4, 1, 2])
    net.cell("LSTM", x, 2, 3, h=net.const([[[0.5, -0.25, 1.0]]], np.float32))
    net.nodes[-1].output[:] = ["Y", "", ""]
    net.output("Y")
    network = imported(net, tmp_path)
    np.testing.assert_array_equal(network.layers[0].initial_h.value, [0.5, -0.25, 1.0])
    assert network.loads_state and not network.state_inputs


def test_sequence_lens_of_full_length(tmp_path):
    net = build.Net()
    x = net.input("x", [4, 1, 2])
    net.cell("GRU", x, 2, 3, lengths=net.const([4], np.int32), linear_before_reset=1)
    net.nodes[-1].output[:] = ["Y", ""]
    net.output("Y")
    imported(net, tmp_path)


def gemm(**attrs):
    def head(net, h):
        w = net.weight(2, 3) if attrs.get("transB") else net.weight(3, 2)
        bias = [net.weight(1, 2)] if attrs.pop("bias", True) else []
        net.op("Gemm", h, w, *bias, **attrs)
    return head


def gemm_turned(net, h):
    """Weights on the left, data transposed on the right."""
    net.op("Gemm", net.weight(2, 3), h, net.weight(2, 1), transB=1)


def matmul_turned(net, h):
    net.op("MatMul", net.weight(2, 3), net.op("Transpose", h, perm=[1, 0]))


def gemm_trans_a(net, h):
    net.op("Gemm", net.op("Transpose", h, perm=[1, 0]), net.weight(3, 2), transA=1)


def chain(net, h):
    for kind, i, o in (("Relu", 3, 5), ("Sigmoid", 5, 4), ("Tanh", 4, 2)):
        h = net.op("Add", net.op("MatMul", h, net.weight(i, o)), net.weight(o))
        h = net.op(kind, h)
    net.op("MatMul", h, net.weight(2, 2))


def relu_first(net, h):
    net.op("MatMul", net.op("Relu", h), net.weight(3, 2))


def scaled(net, h):
    """Element-wise constants around the matrix product."""
    h = net.op("Mul", net.op("Sub", h, net.weight(3)), net.weight(1))
    h = net.op("Div", net.op("Sub", net.weight(2), net.op("MatMul", h, net.weight(3, 2))),
               net.const([2.0, -4.0], np.float32))
    net.op("Relu", h)


def reshaped(net, h):
    """A reshuffle that comes back to the start."""
    h = net.op("Reshape", net.op("Flatten", h, axis=0), net.ints(3, 1))
    h = net.op("Concat", *net.op("Split", h, net.ints(1, 2), outputs=2, axis=0), axis=0)
    h = net.op("Dropout", net.op("Cast", net.op("Transpose", h), to=TensorProto.FLOAT))
    net.op("MatMul", net.op("Identity", h), net.weight(3, 2))


@pytest.mark.parametrize("head, cells, activations", [
    (gemm(), 1, ["identity"]), (gemm(transB=1, alpha=0.5, beta=2.0), 1, ["identity"]),
    (gemm(bias=False), 1, ["identity"]), (gemm_turned, 1, ["identity"]),
    (matmul_turned, 1, ["identity"]), (gemm_trans_a, 1, ["identity"]),
    (chain, 4, ["relu", "sigmoid", "tanh", "identity"]), (relu_first, 2, ["relu", "identity"]),
    (scaled, 1, ["relu"]), (reshaped, 1, ["identity"])],
    ids=lambda v: getattr(v, "__name__", None))
def test_heads(tmp_path, head, cells, activations):
    network = imported(build.headed(head), tmp_path)
    assert [layer.activation for layer in network.layers[1:]] == activations
    assert all(layer.last_only for layer in network.layers[1:]) and network.last_step_only


def linear_then(*kinds, **attrs):
    def head(net, h):
        h = net.op("MatMul", h, net.weight(3, 2))
        for kind in kinds:
            h = net.op(kind, h, **(attrs if kind == kinds[-1] else {}))
    return head


@pytest.mark.parametrize("last", [True, False], ids=["last", "every"])
@pytest.mark.parametrize("head, final, opset", [
    (linear_then("Softmax", axis=-1), Final.SOFTMAX, 17),
    (linear_then("LogSoftmax", axis=-1), Final.LOG_SOFTMAX, 17),
    (linear_then("Sigmoid"), Final.SIGMOID, 17),
    (linear_then("ArgMax", axis=-1), Final.ARGMAX, 17),
    (linear_then("ArgMax", axis=-1, keepdims=0), Final.ARGMAX, 17),
    (linear_then("Softmax", "ArgMax", axis=-1, keepdims=0), Final.ARGMAX, 17),
    (lambda net, h: net.op("Sigmoid", h), Final.SIGMOID, 17),
    (lambda net, h: net.op("Softmax", h, axis=-1), Final.SOFTMAX, 17)])
def test_finals(tmp_path, head, final, opset, last):
    network = imported(build.headed(head, last=last, opset=opset), tmp_path)
    assert network.final is final and network.last_step_only is last
    assert all(layer.activation is Activation.IDENTITY for layer in network.layers)


def test_softmax_of_old_opsets_takes_all_axes_behind(tmp_path):
    net = build.headed(linear_then("Softmax", axis=1), opset=11)
    assert imported(net, tmp_path).final is Final.SOFTMAX
    net = build.headed(linear_then("Softmax", axis=0), opset=11, last=False)
    with pytest.raises(ImportRefused, match="Softmax.*axis 0"):
        import_onnx(net.save(tmp_path / "net.onnx"))


def test_linear_layers_in_front_and_between(tmp_path):
    net = build.Net()
    x = net.op("Transpose", net.input("x", [1, 5, 4]), perm=[1, 0, 2])
    x = net.op("Sub", x, net.weight(4))                          # folded into the product
    x = net.op("Relu", net.op("Add", net.op("MatMul", x, net.weight(4, 6)), net.weight(6)))
    y = net.op("Squeeze", net.cell("RNN", x, 6, 3)[0], net.ints(1))
    y = net.op("Tanh", net.op("MatMul", y, net.weight(3, 2)))
    net.cell("LSTM", y, 2, 3)
    net.nodes[-1].output[:] = ["", "Y_h", ""]
    net.output("Y_h")
    network = imported(net, tmp_path)
    assert [layer.cell for layer in network.layers] == ["linear", "rnn", "linear", "lstm"]
    assert not any(layer.last_only for layer in network.layers) and network.last_step_only


def test_scaled_input_is_folded(tmp_path):
    net = build.Net()
    x = net.op("Div", net.op("Sub", net.input("x", [5, 1, 4]), net.weight(4)), net.weight(1))
    net.cell("GRU", x, 4, 3)
    net.nodes[-1].output[:] = ["Y", ""]
    net.output("Y")
    assert len(imported(net, tmp_path).layers) == 1


def test_states_alone_as_outputs(tmp_path):
    net = build.char_model()
    del net.outputs[0]                     # only hn and cn are left
    network = imported(net, tmp_path)
    assert [b.kind for b in network.outputs] == ["h", "c"]
    assert len(network.layers) == 2 and network.last_step_only


def test_one_step_graph_runs_every_step(tmp_path):
    network = imported(build.char_model(layers=1, steps=1), tmp_path)
    assert not network.last_step_only
    assert run_float(network, random_batch(network, steps=9))[-1]["h"].shape == (3, 9, 7)


def test_weights_of_other_types(tmp_path):
    net = build.bare("RNN")
    for k, init in enumerate(net.inits):
        values = onnx.numpy_helper.to_array(init).astype(np.float16)
        net.inits[k] = onnx.numpy_helper.from_array(values, init.name)
    network = import_onnx(net.save(tmp_path / "net.onnx"))
    assert network.layers[0].w.dtype == np.float64
    assert any("float16" in note for note in network.notes)


def test_computed_weights_are_folded(tmp_path):
    net = build.Net()
    x = net.input("x", [4, 1, 2])
    w = net.op("Unsqueeze", net.op("Transpose", net.weight(2, 3), perm=[1, 0]), net.ints(0))
    net.op("RNN", x, w, net.weight(1, 3, 3), outputs=["Y"], hidden_size=3)
    net.output("Y")
    imported(net, tmp_path)


def test_nodes_in_any_order_and_unused_parts(tmp_path):
    net = build.torch_legacy()
    net.op("Conv", net.weight(1, 1, 3), net.weight(1, 1, 2))     # nothing reads it
    net.input("spare", [1, 2])
    net.nodes.reverse()
    network = import_onnx(net.save(tmp_path / "net.onnx"))
    assert len(network.layers) == 3 and any("'spare'" in note for note in network.notes)


def test_external_data(tmp_path):
    net = build.torch_legacy()
    plain = import_onnx(net.save(tmp_path / "net.onnx"))
    onnx.save(net.model(), str(tmp_path / "ext.onnx"), save_as_external_data=True,
              location="ext.onnx.data", size_threshold=100)
    network = import_onnx(tmp_path / "ext.onnx")
    np.testing.assert_array_equal(network.layers[0].w, plain.layers[0].w)
    before = network.model_sha256
    side = tmp_path / "ext.onnx.data"
    data = bytearray(side.read_bytes())
    data[0] ^= 1
    side.write_bytes(data)
    assert import_onnx(tmp_path / "ext.onnx").model_sha256 != before


@pytest.mark.parametrize("file, name", [
    ("net.onnx", "net"), ("Modèle final (2).onnx", "modele_final_2"), ("module.onnx", "module_"),
    ("3layers.onnx", "network_3layers"), ("..onnx", "network"), ("x" * 90 + ".onnx", "x" * 40)])
def test_names_are_identifiers(tmp_path, file, name):
    assert import_onnx(build.bare().save(tmp_path / file)).name == name


def test_node_names_do_not_pass_through(tmp_path):
    net = build.torch_legacy()
    for node in net.nodes:
        node.name = "endmodule\n`include \"/etc/passwd\" ../../" + "x" * 200
    names = [layer.name for layer in import_onnx(net.save(tmp_path / "net.onnx")).layers]
    assert len(set(names)) == 3
    assert all(name.isidentifier() and name.isascii() and len(name) <= 40 for name in names)


def test_whole_batch_at_once(tmp_path):
    pytest.importorskip("onnxruntime")
    for net, together in ((build.keras(), True), (build.char_model(dynamic=True), False),
                          (build.torch_legacy(), False)):
        network = import_onnx(net.save(tmp_path / "net.onnx"))
        outputs, seconds, at_once = onnxruntime_outputs(network, tmp_path / "net.onnx",
                                                        random_batch(network))
        assert at_once is together and seconds > 0
        assert all(len(array) == 3 for array in outputs.values())


def test_check_sees_a_wrong_weight(tmp_path):
    network = import_onnx(build.torch_legacy().save(tmp_path / "net.onnx"))
    network.layers[0].w[0, 0] += 0.01
    assert check_against_onnx(network, tmp_path / "net.onnx", random_batch(network)) > 1e-5
