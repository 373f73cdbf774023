"""Graphs that hold something else, or nothing that can be built; groups 46 to 53."""


import numpy as np
import onnx_models as build
from bad_files import IMPORT, edited, headed, place, refused, rows
from onnx import TensorProto, helper

ONES = np.ones((3, 2), np.float32)
LOOP = "the recurrent layer became a loop: export it as an RNN, GRU or LSTM node"


def _loop(op, cell=False):
    """A control-flow node, with or without a recurrent node in front."""
    net = build.Net()
    x = net.input("x", [4, 1, 4])
    if cell:
        x = net.cell("GRU", x, 4, 3)[0]
    body = helper.make_graph([], "body", [], [])
    names = {"If": ("then_branch", "else_branch")}.get(op, ("body",))
    inputs = {"Loop": ["", "", x], "Scan": [x], "If": [net.const(True)]}[op]
    extra = {"num_scan_inputs": 1} if op == "Scan" else {}
    net.op(op, *inputs, outputs=["y"], name="the loop", **dict.fromkeys(names, body), **extra)
    net.output("y")
    return net


def _of_ids(op, *weights):
    """An operator for floats on token ids, and a cell behind it."""
    net = build.Net()
    x = net.op(op, net.input("x", [4, 3], TensorProto.INT64), *map(net.const, weights),
               name="the op")
    net.cell("GRU", net.op("Unsqueeze", x, net.ints(1)), 3 if op == "Relu" else 2, 3)
    net.output(net.nodes[-1].output[0])
    return net


def _unrolled(steps, producer="pytorch"):
    net = build.Net(producer=producer)
    x, h = net.input("x", [steps, 1, 4]), net.const(np.zeros((1, 3)), np.float32)
    w, r = net.weight(4, 3), net.weight(3, 3)
    for k in range(steps):
        step = net.op("Gather", x, net.const(k, np.int64))
        h = net.op("Tanh", net.op("Add", net.op("MatMul", step, w), net.op("MatMul", h, r)))
    net.output(h)
    return net


def _cycle(count):
    """Identity nodes in a ring; the first also feeds the output."""
    net = build.Net()
    net.input("x", [1])
    for k in range(count):
        net.op("Identity", f"n{(k + 1) % count}", outputs=[f"n{k}"], name=f"ring{k}")
    net.output("n0")
    return net


def _cell_cycle():
    """The cell's own result is its initial state."""
    net = build.Net()
    y, h = net.cell("GRU", net.input("x", [4, 1, 4]), 4, 3, h="again")
    net.op("Identity", h, outputs=["again"])
    net.output(y)
    return net


def _named(change):
    """A lone cell after ``change`` (net)."""
    def make():
        net = build.bare()
        change(net)
        return net
    return make


def _shadow(net):
    net.const(np.zeros((4, 1, 4)), np.float32, name="Y")


def _shadow_input(net):
    net.const(np.zeros((4, 1, 4)), np.float32, name="x")


def _made_input(net):
    net.op("Identity", net.const([1.0]), outputs=["x"])


def _two_inputs(net):
    net.input("x", [4, 1, 4])


def _only_states(net):
    net.nodes[-1].input[0] = net.const(np.zeros((4, 1, 4)), np.float32)


def _domain(name):
    return _named(lambda net: setattr(net.nodes[-1], "domain", name))


def _function(model):
    model.functions.append(helper.make_function("", "LSTM", ["a"], ["b"], [
        helper.make_node("Identity", ["a"], ["b"])], [helper.make_opsetid("", 17)]))


def _output_type(kind):
    return lambda: edited(lambda m: setattr(m.graph.output[0].type.tensor_type, "elem_type", kind))


def _same_symbol(model):
    for k in (0, 1):
        model.graph.input[0].type.tensor_type.shape.dim[k].dim_param = "n"


def _quantised(scale, zero=None):
    """Weights behind a DequantizeLinear, as static quantisers write them."""
    net = build.bare()
    cell = net.nodes[-1]
    net.const(np.ones((1, 12, 4)), np.int8, name="codes")
    given = ["codes", net.const(scale, np.float32), *([] if zero is None else [net.const(zero)])]
    cell.input[1] = net.op("DequantizeLinear", *given, name="the scale")
    return net


def _dynamic_quantised():
    net = build.bare()
    net.nodes[-1].op_type, net.nodes[-1].domain = "DynamicQuantizeLSTM", "com.microsoft"
    return net


def _between(*ops):
    """Two RNNs with T = H, so that shapes alone do not show what is between them."""
    net = build.Net()
    y = net.cell("RNN", net.input("x", [3, 1, 3]), 3, 3)[0]
    for op, attrs in ops:
        given = [net.ints(*attrs.pop("ints"))] if "ints" in attrs else []
        y = net.op(op, y, *given, **attrs)
    net.cell("RNN", y, 3, 3)
    net.output(net.nodes[-1].output[0])
    return net


def _wide(count):
    """So many layers, all of one name."""
    net = build.Net()
    x = net.input("x", [2, 1, 1])
    given = net.weight(1, 1, 1), net.weight(1, 1, 1)
    for _ in range(count):
        x = net.op("RNN", x, *given, name="same", hidden_size=1)
        x = net.op("Squeeze", x, net.ints(1), name="same")
    net.output(x)
    return net


CASES = [
    *((f"{op}", lambda op=op: _loop(op), rf"'the loop' \({op}\).*{LOOP}")
      for op in ("Loop", "Scan", "If")),
    ("Loop behind a cell", lambda: _loop("Loop", cell=True), rf"'the loop' \(Loop\).*{LOOP}"),
    ("unrolled, 3 steps", lambda: _unrolled(3), "unrolled over its steps: .*dynamo=False"),
    ("unrolled, 900 steps", lambda: _unrolled(900), "4500 nodes in use, more than 4000 .is a loop"),
    ("Conv", lambda: headed(("Conv", np.ones((1, 3, 1), np.float32), {})),
     r"1 unsupported node: node 'the Conv' \(Conv\)"),
    ("three at once", lambda: headed(("Erf", {}), ("Sin", {}), ("Cos", {})),
     "3 unsupported nodes: node 'the Erf' .Erf., node 'the Sin' .Sin., node 'the Cos' .Cos."),
    ("100 at once", lambda: headed(*[("Sin", {})] * 100), "100 unsupported nodes: .* and 88 more"),
    ("no such operator", lambda: headed(("Magic", {})), r"node 'the Magic' \(Magic\)"),
    ("operator of a newer opset", lambda: headed(("Squeeze", {"axes": [0]}), opset=17),
     r"'the Squeeze' \(Squeeze\): has the unknown attribute 'axes', for opset 17"),
    ("mean over the values", lambda: headed(("ReduceMean", {"axes": [1]})),
     r"ReduceMean. .not over the steps of a layer"),
    ("Softmax without axis", lambda: headed(("Softmax", {"axis": 7})), r"'the Softmax' \(Softmax"),
    ("Transpose of other rank", lambda: headed(("Transpose", {"perm": [1, 0, 2]})),
     r"'the Transpose' \(Transpose\): cannot be evaluated"),
    ("Transpose without an axis", lambda: headed(("Transpose", {"perm": [0, 0]})), "'the Transpos"),
    ("Reshape to another size", lambda: headed(("Reshape", [7, 7], {})), r"\(Reshape\): cannot be"),
    ("Reshape to -1 -1", lambda: headed(("Reshape", [-1, -1], {})), r"\(Reshape\): cannot be"),
    ("Gather beyond the end", lambda: headed(("Gather", 5, {"axis": 1})), r"\(Gather\): cannot be"),
    ("Slice to nothing", lambda: headed(("Slice", [0], [0], {})), r"Slice.*its result is empty"),
    ("Slice of step 0", lambda: headed(("Slice", [0], [1], [0], [0], {})), r"\(Slice\): cannot be"),
    ("Cast to text", lambda: headed(("Cast", {"to": TensorProto.STRING})), r"\(Cast\)"),
    ("Cast to 99", lambda: headed(("Cast", {"to": 99})), r"'the Cast' \(Cast\)"),
    ("Cast to nothing", lambda: headed(("Cast", {})), "lacks its attribute 'to'"),
    ("MatMul of other rows", lambda: headed(("MatMul", np.ones((4, 2), np.float32), {})),
     "multiplies vectors of 3 by a matrix of 4 rows"),
    ("MatMul of integers", lambda: headed(("MatMul", np.ones((3, 2), np.int64), {})),
     "weights must be floats"),
    *((f"{op} of token ids", lambda op=op, w=w: _of_ids(op, *w), rf"'the op' \({op}\)")
      for op, w in (("MatMul", [ONES]), ("Gemm", [ONES]), ("Relu", []), ("Add", [ONES]))),
    ("MatMul of one input", lambda: headed(("MatMul", {})), "lacks its input B"),
    ("Gemm with a bias of six rows", lambda: headed(("Gemm", ONES, np.ones((6, 2), "f4"), {})),
     "cannot add a bias of the shape"),
    ("Gemm with alpha nan", lambda: headed(("Gemm", ONES, {"alpha": float("nan")})),
     "weights that overflow"),
    ("Gemm with alpha 1e30", lambda: headed(("Gemm", ONES, {"alpha": 1e30})),
     "weights that overflow"),
    ("Add of other size", lambda: headed(("Add", np.ones(4, "f4"), {})), "cannot combine the shap"),
    ("Div by zero", lambda: headed(("Div", np.zeros(3, "f4"), {})), "divides by zero"),
    ("Div by next to nothing", lambda: headed(("Div", np.full(3, 1e-30, "f4"), {})),
     "weights that overflow"),
    ("foreign LSTM", _domain("com.example"), r"\(LSTM\) of domain 'com.example'"),
    ("ML domain", _domain("ai.onnx.ml"), "of domain 'ai.onnx.ml'"),
    ("quantised LSTM", _dynamic_quantised, r"\(DynamicQuantizeLSTM\) of domain 'com.microsoft'"),
    ("LSTM as a function", lambda: edited(_function), "local functions .'LSTM'.; inline them"),
    *((f"{count} nodes in a ring", lambda n=count: _cycle(n), r"'ring\d+' .Identity.: depends on "
       r"itself \(a cycle\)") for count in (1, 2, 3000)),
    ("cell in a ring", _cell_cycle, "depends on itself"),
    ("initialiser over a result", _named(_shadow), "tensor 'Y': is made twice"),
    ("node over an input", _named(_made_input), "tensor 'x': is made twice"),
    ("initialiser over the input", _named(_shadow_input), "its input X must be data"),
    ("input twice", _named(_two_inputs), "graph input 'x': is there twice"),
    ("nothing but constants", _named(_only_states), "its input X must be data"),
    ("output that is a constant", _named(lambda net: net.output("const_0")),
     "graph output 'const_0': does not depend on the inputs"),
    ("output that is the input", _named(lambda net: net.output("x")),
     "graph output 'x': is neither the result of a layer nor a last state"),
    ("output of type 99", _output_type(99), "graph output 'Y': has the type 99"),
    ("output of texts", _output_type(TensorProto.STRING), "'Y': has the type STRING"),
    ("one symbol on two axes", lambda: edited(_same_symbol), "dimension 'n' on two axes"),
    ("unnamed output", _named(lambda net: net.output("")), r"output '\(no name\)': has no us"),
    *((f"QDQ weights, scale {scale}", lambda s=scale: _quantised(s),
       r"1 unsupported node: node 'the scale' \(DequantizeLinear\)")
      for scale in (0.1, 0.0, -1.0, float("nan"))),
    ("QDQ, a scale an axis of another length", lambda: _quantised([0.1] * 5), "'the scale'"),
    ("QDQ, zero point of another type", lambda: _quantised(0.1, 3), "'the scale'"),
    ("transpose between layers", lambda: _between(("Squeeze", {"ints": [1]}),
                                                  ("Transpose", {"perm": [2, 1, 0]})), "another"),
    ("batch axis kept", lambda: _between(), "three axes"),
    ("wrong axis squeezed", lambda: _between(("Squeeze", {"ints": [2]}),
                                             ("Transpose", {"perm": [2, 0, 1]})), "'RNN_3'"),
    ("1900 layers of one name", lambda: _wide(1900), "has 1900 layers, more than 256"),
]


@rows(CASES)
def test_graph(tmp_path, make, said):
    place(tmp_path, make())
    refused(tmp_path, said, *IMPORT)
