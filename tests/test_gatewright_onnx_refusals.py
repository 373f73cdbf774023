"""What cannot be built is refused in one line that names the object, the reason and the remedy."""

import re

import numpy as np
import onnx_models as build
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import refused

from gatewright.onnx_import import import_onnx


@pytest.mark.parametrize("kind, attrs, words", [
    ("LSTM", {"direction": "sideways"}, "direction 'sideways'"),
    ("LSTM", {"clip": -0.5}, "clip"), ("LSTM", {"input_forget": 2}, "input_forget"),
    ("LSTM", {"activations": ["Sigmoid", "Tanh", "Mish"]}, "activation 'Mish' is not known"),
    ("LSTM", {"activations": ["Sigmoid", "Tanh"]}, "has 2 activations, not 3"),
    ("RNN", {"activations": ["Affine"]}, "Affine has no alpha"),
    ("GRU", {"linear_before_reset": 2}, "linear_before_reset must be 0 or 1, not 2"),
    ("GRU", {"hidden_dim": 3}, "unknown attribute 'hidden_dim'"),
    ("GRU", {"hidden_size": -1}, "hidden_size must be 1 to"),
    ("GRU", {"hidden_size": 4}, "proj_size"), ("GRU", {"linear_before_reset": 1.0}, "integer"),
    ("LSTM", {"layout": 2}, "layout")])
def test_recurrent_attributes(tmp_path, kind, attrs, words):
    net = build.bare(kind)
    node = net.nodes[-1]
    for name, value in attrs.items():
        for old in [a for a in node.attribute if a.name == name]:
            node.attribute.remove(old)
        node.attribute.append(helper.make_attribute(name, value))
    text = refused(net, tmp_path)
    assert re.search(words, text) and f"node '{node.name}' ({kind})" in text


def test_bidirectional_with_the_weights_of_one_direction(tmp_path):
    net = build.bare("GRU")
    net.nodes[-1].attribute.append(helper.make_attribute("direction", "bidirectional"))
    assert "has the shape (1, 9, 4), but hidden_size asks for (2, 9, 4)" in refused(net, tmp_path)


def test_lengths(tmp_path):
    net = build.bare()
    net.nodes[-1].input.append(net.const([5], np.int32))
    assert "sequence_lens 'const_3': holds lengths from 5 to 5" in refused(net, tmp_path)


def test_projection_fault(tmp_path):
    """PyTorch's exporter cuts W and sets hidden_size to proj_size; initial_c keeps the true H."""
    net = build.Net()
    x = net.input("x", [4, 1, 2])
    net.cell("LSTM", x, 2, 3, h=net.const(np.zeros((1, 1, 3)), np.float32),
             c=net.const(np.zeros((1, 1, 5)), np.float32))
    net.nodes[-1].output[:] = ["Y", "", ""]
    net.output("Y")
    assert "initial_c" in (text := refused(net, tmp_path)) and "proj_size" in text


@pytest.mark.parametrize("index, shape", [(0, (1, 9, 4)), (0, (2, 12, 4)), (1, (1, 12, 4)),
                                          (2, (1, 12)), (0, (1, 12, 5)), (0, (12, 4))])
def test_weight_shapes(tmp_path, index, shape):
    net = build.bare()
    net.inits[index] = numpy_helper.from_array(np.zeros(shape, np.float32), net.inits[index].name)
    text = refused(net, tmp_path)
    assert "(LSTM)" in text and f"const_{index}" in text


def test_all_unsupported_nodes_at_once(tmp_path):
    net = build.torch_legacy()
    y = net.op("Erf", net.nodes[-1].output[0], name="err")
    y = net.op("Mish", y, name="leak")
    net.op("Gelu", y, name="twice")
    net.nodes[-1].output[0] = "out"
    net.outputs.clear()
    net.output("out")
    text = refused(net, tmp_path)
    assert "3 unsupported nodes" in text
    assert all(name in text for name in ("'err' (Erf)", "'leak' (Mish)", "'twice' (Gelu)"))


def test_loop_and_unrolled(tmp_path):
    net = build.Net()
    x = net.input("x", [1, 4])
    body = helper.make_graph([], "body", [], [])
    net.op("Loop", "", "", x, outputs=["y"], body=body)
    net.output("y")
    assert "became a loop" in refused(net, tmp_path)
    net = build.Net(producer="pytorch")
    x = net.input("x", [3, 1, 4])
    h = net.const(np.zeros((1, 3)), np.float32)
    w, r = net.weight(4, 3), net.weight(3, 3)
    for k in range(3):
        step = net.op("Gather", x, net.const(k, np.int64))
        h = net.op("Tanh", net.op("Add", net.op("MatMul", step, w), net.op("MatMul", h, r)))
    net.output(h)
    assert "unrolled over its steps" in (text := refused(net, tmp_path)) and "dynamo=False" in text


def test_foreign_domains_and_functions(tmp_path):
    net = build.bare()
    net.nodes[-1].domain = "com.example"
    assert "domain 'com.example'" in refused(net, tmp_path)
    model = build.bare().model()
    model.functions.append(helper.make_function("", "LSTM", ["a"], ["b"], [
        helper.make_node("Identity", ["a"], ["b"])], [helper.make_opsetid("", 17)]))
    assert "local functions ('LSTM')" in refused(model, tmp_path)


@pytest.mark.parametrize("case, words", [
    ("sum", "only ReduceMean and ReduceMax"), ("quotient", "two computed tensors"),
    ("backwards", "backwards"), ("middle", "step 2 of 5 alone"), ("flat", "flattened sequence"),
    ("mixed", "another order"), ("part", "3 of 5 steps")])
def test_selections(tmp_path, case, words):
    net = build.Net()
    y = net.op("Squeeze", net.cell("GRU", net.input("x", [5, 1, 4]), 4, 3)[0], net.ints(1))
    steps = {"backwards": [4, 3, 2, 1, 0], "part": [0, 1, 2]}.get(case)
    if steps:
        y = net.op("Gather", y, net.ints(*steps))
    elif case == "sum":
        y = net.op("ReduceSum", y, net.ints(0), keepdims=0)
    elif case == "quotient":
        y = net.op("Div", y, y)
    elif case == "middle":
        y = net.op("Gather", y, net.const(2, np.int64))
    elif case == "flat":
        y = net.op("Reshape", y, net.ints(1, -1))
    else:
        y = net.op("Reshape", net.op("Transpose", y, perm=[2, 0, 1]), net.ints(5, 1, 3))
    net.op("MatMul", y, net.weight(15 if case == "flat" else 3, 2), outputs=["out"])
    net.output("out")
    assert words in refused(net, tmp_path)


def test_wrong_axes_between_layers(tmp_path):
    net = build.Net()
    y = net.cell("RNN", net.input("x", [3, 1, 3]), 3, 3)[0]           # T = H hides it from shapes
    y = net.op("Transpose", net.op("Squeeze", y, net.ints(1)), perm=[2, 1, 0])
    net.cell("RNN", y, 3, 3)
    net.output(net.nodes[-1].output[0])
    assert "another order" in refused(net, tmp_path)


def test_batch_and_rank(tmp_path):
    assert "three axes" in refused(build.bare(dims=[5, 4]), tmp_path)
    assert "takes 4 inputs, but 3" in refused(build.bare(dims=[5, 1, 3]), tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers(tmp_path, value):
    net = build.bare()
    weights = numpy_helper.to_array(net.inits[1]).copy()
    weights[0, 7, 2] = value
    net.inits[1] = numpy_helper.from_array(weights, "recurrent")
    net.nodes[-1].input[2] = "recurrent"
    text = refused(net, tmp_path)
    assert "weight 'recurrent'" in text and "[0, 7, 2]" in text and str(value) in text


def _tensor(net, **changes):
    """The first weight's proto, with fields replaced."""
    tensor = net.inits[0]
    for key, value in changes.items():
        if key == "dims":
            del tensor.dims[:]
            tensor.dims.extend(value)
        elif key == "floats":
            tensor.float_data.extend(value)
        else:
            setattr(tensor, key, value)
    return net


@pytest.mark.parametrize("changes, words", [
    ({"raw_data": b"\0" * 8}, "8 bytes, not 192"), ({"dims": [1 << 30, 1 << 10]}, "elements"),
    ({"dims": [1 << 40, 1 << 40]}, "elements"), ({"dims": [1, -12, -4]}, "dimensions"),
    ({"dims": [1] * 9}, "dimensions"), ({"floats": [1.0]}, "twice"),
    ({"data_type": TensorProto.STRING}, "type STRING"), ({"data_type": 99}, "type 99"),
    ({"data_type": TensorProto.BFLOAT16}, "type BFLOAT16"),
    ({"data_type": TensorProto.INT32}, "must be floats"),
    ({"dims": [1, 0, 4], "raw_data": b""}, "zero")])
def test_tensors(tmp_path, changes, words):
    text = refused(_tensor(build.bare(), **changes), tmp_path)
    assert words in text and "const_0" in text


def test_graph_faults(tmp_path):
    net = build.bare()
    net.inits.append(net.inits[0])
    assert "initialiser 'const_0': is there twice" in refused(net, tmp_path)
    net = build.bare()
    net.output("Y")
    assert "graph output 'Y': is there twice" in refused(net, tmp_path)
    net = build.bare()
    net.nodes[-1].input[0] = "nowhere"
    assert "'nowhere'" in (text := refused(net, tmp_path)) and "nothing makes it" in text
    net = build.bare()
    net.op("Identity", "Y", outputs=["Y"])
    assert "tensor 'Y': is there twice" in refused(net, tmp_path)
    net = build.Net()
    net.op("Identity", "b", outputs=["a"])
    net.op("Identity", "a", outputs=["b"])
    net.output("a")
    assert "cycle" in refused(net, tmp_path)
    net = build.bare(dims=[0, 1, 4])
    assert "dimension 0" in refused(net, tmp_path)
    net = build.bare()
    net.nodes[-1].input[1] = net.input("w", [1, 12, 4])
    assert "its weights are graph inputs (W is 'w')" in refused(net, tmp_path)
    net.nodes[0].input[1] = net.op("Identity", "w")
    assert "W must be a constant" in refused(net, tmp_path)
    net = build.bare()
    net.nodes[-1].attribute.append(net.nodes[-1].attribute[0])
    assert "hidden_size" in refused(net, tmp_path)


def test_a_long_chain_needs_no_recursion(tmp_path):
    net, y = build.bare(), "Y"
    for _ in range(3000):
        y = net.op("Identity", y)
    net.outputs.clear()
    net.output(y)
    assert len(import_onnx(net.save(tmp_path / "net.onnx")).layers) == 1
    for _ in range(3000):
        y = net.op("Identity", y)
    net.outputs.clear()
    net.output(y)
    assert "6001 nodes in use" in refused(net, tmp_path)


@pytest.mark.parametrize("kind", ["Expand", "ConstantOfShape", "Tile", "Range"])
def test_bombs_are_not_evaluated(tmp_path, kind):
    net = build.Net()
    x = net.input("x", [4, 1, 2])
    big = net.ints(1 << 31, 1 << 31, 2)
    if kind == "Range":
        h = net.op("Range", *(net.const(v, np.float32) for v in (0.0, 1e12, 1.0)))
    elif kind == "ConstantOfShape":
        h = net.op(kind, big)
    else:
        h = net.op(kind, net.const(np.zeros((1, 1, 1)), np.float32), big)
    net.cell("GRU", x, 2, 3, h=h)
    net.output(net.nodes[-1].output[0])
    text = refused(net, tmp_path)
    assert f"({kind})" in text and "elements" in text


@pytest.mark.parametrize("name", ["line\nbreak", "x" * 300, "\x1b[31mred"])
def test_names_of_inputs(tmp_path, name):
    net = build.bare()
    net.inputs[0].name = net.nodes[-1].input[0] = name
    assert "no usable name" in (text := refused(net, tmp_path)) and "\x1b" not in text


def test_states_that_do_not_fit(tmp_path):
    def net_with(wire):
        net = build.Net()
        x, s = net.input("x", [4, 1, 2]), net.input("s", [2, 1, 3])
        net.cell("LSTM", x, 2, 3, **wire(net, s))
        net.output(net.nodes[-1].output[0])
        return net

    def row(net, s, k):
        return net.op("Slice", s, net.ints(k), net.ints(k + 1), net.ints(0))

    assert "only partly used" in refused(net_with(lambda n, s: {"h": row(n, s, 0)}), tmp_path)
    assert "several layers or cells" in refused(
        net_with(lambda n, s: {"h": row(n, s, 0), "c": row(n, s, 1)}), tmp_path)
    assert "computed from the data" in refused(
        net_with(lambda n, s: {"h": n.op("Add", row(n, s, 0), n.weight(3))}), tmp_path)
    assert "has the shape (2, 1, 3)" in refused(net_with(lambda n, s: {"h": s}), tmp_path)
