"""Recurrent nodes that cannot be; groups 23, 28 to 32, 34 to 39, 43 to 47."""

import re

import numpy as np
import onnx_models as build
import pytest
from bad_files import IMPORT, attribute, edited, place, refused, rows, run, weight
from onnx import AttributeProto, TensorProto, helper

PROJ = "proj_size"


def _shape(index, *shape, kind="LSTM"):
    return lambda: weight(index, np.zeros(shape, np.float32), kind=kind)


def _x(*dims):
    return lambda: build.bare(dims=list(dims))


def _inputs(change, kind="LSTM"):
    """A lone cell whose list of inputs ``change`` (net, list) changes in place."""
    def make():
        net = build.bare(kind)
        node = net.nodes[-1]
        names = list(node.input)
        change(net, names)
        node.ClearField("input")
        node.input.extend(names)
        return net
    return make


def _outputs(*names, kind="LSTM", graph=("Y",)):
    def make():
        net = build.bare(kind)
        net.nodes[-1].ClearField("output")
        net.nodes[-1].output.extend(names)
        net.outputs.clear()
        for name in graph:
            net.output(name)
        return net
    return make


def _replaced(index, make):
    def change(net, names):
        names[index] = make(net)
    return _inputs(change)


def _computed(net):
    return net.op("Add", net.input("w", [1, 12, 4]), net.weight(1, 12, 4), name="maker")


def _projection(*, kind="LSTM", states=5):
    """PyTorch's default exporter: W cut to proj_size rows, the states keep the true H."""
    net = build.Net(opset=18, producer="pytorch")
    h = net.const(np.zeros((1, 1, 3)), np.float32)
    c = net.const(np.zeros((1, 1, states)), np.float32)
    net.cell(kind, net.input("x", [4, 1, 2]), 2, 3, h=h, c=c, direction="forward", layout=0)
    net.nodes[-1].output[:] = ["Y", "", ""]
    net.output("Y")
    return net


def _stateful(shape, kind="GRU"):
    net = build.Net()
    net.cell(kind, net.input("x", [4, 1, 2]), 2, 3, h=net.input("s", list(shape)))
    net.nodes[-1].output[:] = ["Y", ""]
    net.output("Y")
    return net


def _listed(*names):
    """An LSTM with these activations."""
    def make():
        net = attribute("LSTM")
        net.nodes[-1].attribute.append(helper.make_attribute(
            "activations", names, attr_type=AttributeProto.STRINGS))
        return net
    return make


def _reference():
    net = build.bare()
    net.nodes[-1].attribute[0].ref_attr_name = "outer"
    return net


def _again():
    net = build.bare()
    net.nodes[-1].attribute.append(net.nodes[-1].attribute[0])
    return net


def _graph_attribute():
    net = build.bare()
    net.nodes[-1].attribute.append(helper.make_attribute(
        "direction", helper.make_graph([], "body", [], [])))
    return net


def _no_axes(model):
    model.graph.input[0].type.tensor_type.shape.ClearField("dim")


def _integers(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64


def _no_shape(model):
    model.graph.input[0].type.tensor_type.ClearField("shape")


def _sequence(model):
    model.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = 1


def _absurd(units):
    return lambda: attribute(hidden_size=units)


CASES = [
    ("W of three gates", _shape(0, 1, 9, 4), rf"W \('const_0'\) has the shape \(1, 9, 4\).*{PROJ}"),
    ("W transposed", _shape(0, 1, 4, 12), r"has the shape \(1, 4, 12\), but .* \(1, 12, 4\)"),
    ("W of two axes", _shape(0, 12, 4), r"has the shape \(12, 4\)"),
    ("W of four axes", _shape(0, 1, 1, 12, 4), r"has the shape \(1, 1, 12, 4\)"),
    ("W of other inputs", _shape(0, 1, 12, 5), r"takes 5 inputs, but 4 values a step"),
    ("R of W's shape", _shape(1, 1, 12, 4), rf"R \('const_1'\) has the shape .*{PROJ}"),
    ("R of a projection", _shape(1, 1, 12, 2), rf"asks for \(1, 12, 3\).*{PROJ}"),
    ("B of one half", _shape(2, 1, 12), r"B \('const_2'\) has the shape \(1, 12\), .*\(1, 24\)"),
    ("B of one axis", _shape(2, 24), r"has the shape \(24,\)"),
    ("B of a GRU in an RNN", _shape(2, 1, 18, kind="RNN"), r"has the shape \(1, 18\), .*\(1, 6\)"),
    ("scalar W", _shape(0), r"has the shape \(\)"),
    ("GRU with an LSTM's R", _shape(1, 1, 12, 3, kind="GRU"), r"\(1, 12, 3\), .*\(1, 9, 3\)"),
    ("proj_size, as torch exports it", _projection, rf"initial_c .*\(1, 1, 5\), not .*{PROJ}"),
    ("hidden_size missing", lambda: attribute(remove=["hidden_size"]), "hidden_size must be 1 to"),
    *((f"hidden_size {n}", _absurd(n), f"hidden_size must be 1 to 65536, not {n}")
      for n in (0, -1, -1 << 63, 65537, 1 << 31, (1 << 63) - 1)),
    ("hidden_size 65536", _absurd(65536), PROJ), ("hidden_size 4", _absurd(4), PROJ),
    ("hidden_size 3.0", lambda: attribute(hidden_size=3.0), "'hidden_size' must be an integer, no"),
    ("hidden_size '3'", lambda: attribute(hidden_size="3"), "'hidden_size' must be an integer, no"),
    ("hidden_size [3]", lambda: attribute(hidden_size=[3]), "must be an integer, not integers"),
    ("hidden_size twice", _again, "has the attribute 'hidden_size' twice"),
    ("hidden_size by reference", _reference, "'hidden_size' twice, or by reference"),
    ("direction a graph", _graph_attribute, "'direction' must be a text, not a graph"),
    ("unknown attribute", lambda: attribute(dropout=0.5), "unknown attribute 'dropout'"),
    ("proj_size as an attribute", lambda: attribute(proj_size=2), "unknown attribute 'proj_size'"),
    ("layout in opset 13", lambda: attribute(opset=13, layout=1), "unknown attribute 'layout', for "
     "opset 13"),
    ("layout 2", lambda: attribute(layout=2), "layout must be 0 or 1, not 2"),
    ("layout -1", lambda: attribute(layout=-1), "layout must be 0 or 1, not -1"),
    ("direction sideways", lambda: attribute(direction="sideways"), "direction 'sideways'"),
    ("direction empty", lambda: attribute(direction=""), r"direction '\(no name\)'"),
    ("direction FORWARD", lambda: attribute(direction="FORWARD"), "direction 'FORWARD'"),
    ("direction not UTF-8", lambda: attribute(direction=b"\xff\xfe"), "direction '"),
    ("clip not a number", lambda: attribute(clip="1"), "'clip' must be a float, not a text"),
    ("input_forget 0.0", lambda: attribute(input_forget=0.0), "'input_forget' must be an integer"),
    ("reset 2", lambda: attribute("GRU", linear_before_reset=2), "must be 0 or 1, not 2"),
    ("reset -1", lambda: attribute("GRU", linear_before_reset=-1), "must be 0 or 1, not -1"),
    ("reset of an LSTM", lambda: attribute(linear_before_reset=1), "unknown attribute"),
    ("two activations", _listed("Sigmoid", "Tanh"), "has 2 activations, not 3; name all of each"),
    ("no activations", _listed(), "has 0 activations, not 3; name all of each direction"),
    ("four activations", _listed(*["Tanh"] * 4), "activations"),
    ("unknown activation", _listed("Sigmoid", "Tanh", "Magic"), "'Magic' is not known"),
    ("5000 activations", _listed(*["Tanh"] * 5000), "activations"),
    ("X of two axes", _x(4, 4), "its input X must be data of three axes"),
    ("X of four axes", _x(4, 1, 1, 4), "data of three axes"),
    ("X of no axes", lambda: edited(_no_axes), "data of three axes"),
    ("X of integers", lambda: edited(_integers), "its input X holds integers; export the model"),
    ("X of no shape", lambda: edited(_no_shape), "'x': has no declared shape"),
    ("X that is no tensor", lambda: edited(_sequence), "'x': is not a tensor"),
    ("X of nine axes", _x(*[1] * 9), "has 9 axes"),
    ("X of three values", _x(4, 1, 3), "takes 4 inputs, but 3 values a step"),
    ("X of no steps", _x(0, 1, 4), "'x': has dimension 0; it must be positive"),
    ("X of no values", _x(4, 1, 0), "'x': has dimension 0"),
    ("X of -1 steps", _x(-1, 1, 4), "'x': has dimension -1"),
    ("batch of 0", _x(4, 0, 4), "'x': has dimension 0"),
    ("batch and values open", _x(4, "B", "I"), "takes 4 inputs, but 7 values a step"),
    ("open values", _x(4, 1, "features"), r"takes 4 inputs, but \d values a step"),
    ("seven open axes", lambda: _open_axes(7), "have 7 open dimensions; export with a batch of 1"),
    ("2^17 steps", _x(1 << 17, 1, 4), "steps of all layers to 131072, more than 65536; export"),
    ("2^40 steps", _x(1 << 40, 1, 4), "4398046511104 elements, more than"),
    ("2^63 - 1 steps", _x((1 << 63) - 1, 1, 4), "elements, more than"),
    ("W missing", _inputs(lambda net, names: names.__setitem__(1, "")), "lacks its input W"),
    ("R missing", _inputs(lambda net, names: names.__setitem__(2, "")), "lacks its input R"),
    ("X missing", _inputs(lambda net, names: names.__setitem__(0, "")), "lacks its input X"),
    ("one input", _inputs(lambda net, names: names.__delitem__(slice(1, None))), "lacks its in"),
    ("no inputs", _inputs(lambda net, names: names.clear()), "lacks its input X"),
    ("nine inputs", _inputs(lambda net, names: names.extend([""] * 9)), "13 inputs, more than the"),
    ("W from nowhere", _replaced(1, lambda net: "ghost"), "tensor 'ghost': is wanted by node 'LST"),
    ("W at run time", _replaced(1, lambda net: net.input("w", [1, 12, 4])),
     "its weights are graph inputs .W is 'w'.; give their values: --weights FILE.npz"),
    ("R at run time", _replaced(2, lambda net: net.input("r", [1, 12, 3])), ".R is 'r'."),
    ("B at run time", _replaced(3, lambda net: net.input("b", [1, 24])), ".B is 'b'."),
    ("W computed from data", _replaced(1, _computed), "W must be a constant of the file"),
    ("X constant", _replaced(0, lambda net: net.const(np.zeros((4, 1, 4)), np.float32)),
     "its input X must be data"),
    ("four outputs", _outputs("Y", "Y_h", "Y_c", "Z"), "has 4 outputs, more than the 3"),
    ("Y_c of a GRU", _outputs("Y", "Y_h", "Z", kind="GRU"), "has 3 outputs, more than the 2"),
    ("output twice", _outputs("Y", "Y"), "tensor 'Y': is there twice"),
    ("output from nowhere", _outputs("Y", graph=("Q",)), "tensor 'Q': is wanted by the graph"),
    ("graph output twice", _outputs("Y", graph=("Y", "Y")), "graph output 'Y': is there twice"),
    ("state of two axes", lambda: _stateful([1, 3]), r"initial_h 's': has the shape \(1, 3\), not"),
    ("state of other units", lambda: _stateful([1, 1, 4]), rf"\(1, 1, 4\), not .*{PROJ}"),
    ("state of two layers", lambda: _stateful([2, 1, 3]), r"\(2, 1, 3\), not \(1, 1, 3\)"),
]


def _open_axes(count):
    net = build.bare()
    net.input("spare", [f"d{k}" for k in range(count)])
    net.op("Identity", "spare", outputs=["used"])
    net.output("used")
    return net


@rows(CASES)
def test_cell(tmp_path, make, said):
    place(tmp_path, make())
    line = refused(tmp_path, said, *IMPORT)
    assert re.search(r"node '\w+' \((LSTM|GRU|RNN|Add)\)|graph (in|out)put|tensor '", line), line


LEGAL = {
    "no bias": lambda: build.bare(bias=False),
    "lower-case activations": lambda: attribute(activations=["sigmoid", "tanh", "TANH"]),
    "reset before": lambda: attribute("GRU", linear_before_reset=0),
    "reset after": lambda: attribute("GRU", linear_before_reset=1),
    "relu": lambda: attribute("RNN", activations=["relu"]),
    "Y_h alone": _outputs("", "last", graph=("last",)),
    "Y_c alone": _outputs("", "", "last", graph=("last",)),
    "renamed": _outputs("endmodule", "", "", graph=("endmodule",)),
    "open batch": _x(4, "batch", 4), "open everything": _x("T", "N", 4),
}


@pytest.mark.parametrize("name", LEGAL)
def test_legal(tmp_path, name):
    place(tmp_path, LEGAL[name]())
    run(tmp_path, *IMPORT, status=0)
