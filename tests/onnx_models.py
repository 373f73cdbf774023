"""Small ONNX files in the spellings that exporters use, built with onnx.helper alone.

T steps, I inputs, H units, O outputs, V tokens.
"""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gatewright.errors import ImportRefused
from gatewright.onnx_import import import_onnx

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


class Net:
    """A graph under construction; nodes return the names of their outputs."""

    def __init__(self, *, opset: int = 17, producer: str = "", seed: int = 1):
        self.opset, self.producer = opset, producer
        self.rng = np.random.default_rng(seed)
        self.nodes, self.inits, self.inputs, self.outputs = [], [], [], []

    def input(self, name: str, dims: list, kind: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, dims))
        return name

    def output(self, name: str, dims: list | None = None, kind: int = TensorProto.FLOAT):
        self.outputs.append(helper.make_tensor_value_info(name, kind, dims))

    def const(self, values, dtype=None, name: str = "") -> str:
        name = name or f"const_{len(self.inits)}"
        self.inits.append(numpy_helper.from_array(np.array(values, dtype=dtype), name))
        return name

    def weight(self, *shape, name: str = "") -> str:
        return self.const(self.rng.normal(0, 0.6, shape), np.float32, name)

    def ints(self, *values) -> str:
        return self.const(list(values), np.int64)

    def op(self, kind: str, *inputs, outputs=1, name: str = "", **attrs):
        names = outputs if isinstance(outputs, list) else \
            [f"{kind.lower()}_{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names,
                                           name=name or f"{kind}_{len(self.nodes)}", **attrs))
        return names[0] if len(names) == 1 else names

    def cell(self, kind: str, x: str, inputs: int, units: int, *, h: str = "", c: str = "",
             bias: bool = True, lengths: str = "", name: str = "", **attrs):
        """A recurrent node: (Y, Y_h) or (Y, Y_h, Y_c)."""
        rows = GATES[kind] * units
        dirs = 2 if attrs.get("direction") == "bidirectional" else 1
        args = [x, self.weight(dirs, rows, inputs), self.weight(dirs, rows, units),
                self.weight(dirs, 2 * rows) if bias else "", lengths, h]
        args += [c] if kind == "LSTM" else []
        while not args[-1]:
            args.pop()
        return self.op(kind, *args, outputs=3 if kind == "LSTM" else 2, name=name,
                       hidden_size=units, **attrs)

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "graph", self.inputs, self.outputs, self.inits)
        return helper.make_model(graph, producer_name=self.producer, ir_version=8,
                                 opset_imports=[helper.make_opsetid("", self.opset)])

    def save(self, path):
        onnx.save(self.model(), str(path))
        return path


def _rename_last(net: Net, name: str, dims=None, kind=TensorProto.FLOAT) -> Net:
    net.nodes[-1].output[0] = name
    net.output(name, dims, kind)
    return net


def torch_legacy(kind="LSTM", *, layers=2, steps=5, dynamic=False, head="last", **attrs) -> Net:
    """TorchScript exporter: Transpose, zero state by Expand of a shape, Squeeze, Gather, Gemm."""
    net = Net(producer="pytorch")
    x = net.input("x", ["batch_size", "T", 4] if dynamic else [1, steps, 4])
    x, width, units = net.op("Transpose", x, perm=[1, 0, 2]), 4, 3
    for _ in range(layers):
        batch = net.op("Gather", net.op("Shape", x), net.const(1, np.int64))
        shape = net.op("Concat", net.ints(1), net.op("Unsqueeze", batch, net.ints(0)),
                       net.ints(units), axis=0)
        if dynamic:
            zero = net.op("ConstantOfShape", shape,
                          value=helper.make_tensor("v", TensorProto.FLOAT, [1], [0.0]))
        else:
            zero = net.op("Expand", net.const(np.zeros((1, 1, units)), np.float32), shape)
        y, h, *_ = net.cell(kind, x, width, units, h=zero, c=zero if kind == "LSTM" else "",
                            **attrs)
        x, width = net.op("Squeeze", y, net.ints(1)), units
    if head == "h_n":
        last = net.op("Gather", h, net.const(-1, np.int64), axis=0)
    else:
        last = net.op("Gather", net.op("Transpose", x, perm=[1, 0, 2]), net.const(-1, np.int64),
                      axis=1)
    net.op("Gemm", last, net.weight(2, units), net.weight(2), transB=1, alpha=1.0, beta=1.0)
    return _rename_last(net, "logits", ["batch_size" if dynamic else 1, 2])


def torch_dynamo(kind="LSTM", *, layers=2, steps=5, dynamic=False, **attrs) -> Net:
    """Default exporter: Transpose(0,2,1,3) and Reshape behind each node, bias-first Add, all steps.
    """
    net = Net(opset=18, producer="pytorch")
    x = net.input("x", ["s0", "s1", 4] if dynamic else [1, steps, 4])
    sizes = net.op("Shape", x)
    x, width, units = net.op("Transpose", x, perm=[1, 0, 2]), 4, 3
    zero = net.const(np.zeros((1, 1, units)), np.float32)
    for _ in range(layers):
        start = zero
        if dynamic:
            one = net.op("Slice", sizes, net.ints(0), net.ints(1), net.ints(0))
            start = net.op("Expand", zero, net.op("Concat", net.ints(1), one, net.ints(units),
                                                  axis=0))
        y = net.cell(kind, x, width, units, h=start, c=start if kind == "LSTM" else "",
                     direction="forward", layout=0, **attrs)[0]
        y = net.op("Transpose", y, perm=[0, 2, 1, 3])
        x, width = net.op("Reshape", y, net.ints(0, 0, -1), allowzero=0), units
    y = net.op("MatMul", net.op("Transpose", x, perm=[1, 0, 2]), net.weight(units, 2))
    net.op("Add", net.weight(2), y)
    return _rename_last(net, "logits")


def keras(kind="LSTM", *, layers=2, steps=6, final="Softmax") -> Net:
    """tf2onnx: open batch, zero state by Cast/Slice/Concat/Expand, last step by Slice and Squeeze.
    """
    net = Net(opset=15, producer="tf2onnx")
    x, width = net.input("rows", ["unk__1", steps, 4]), 4
    names = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
    for units in [3, 2][:layers]:
        shape = net.op("Cast", net.op("Shape", x), to=TensorProto.INT32)
        batch = net.op("Slice", shape, net.ints(0), net.ints(1), net.ints(0))
        shape = net.op("Concat", batch, net.const([units], np.int32), axis=0)
        zero = net.op("Expand", net.const(0.0, np.float32),
                      net.op("Cast", shape, to=TensorProto.INT64))
        zero = net.op("Unsqueeze", zero, net.ints(0))
        y = net.cell(kind, net.op("Transpose", x, perm=[1, 0, 2]), width, units, h=zero,
                     c=zero if kind == "LSTM" else "", activations=names[kind],
                     direction="forward", **({"linear_before_reset": 1} if kind == "GRU" else {}))
        steps_first = net.op("Squeeze", y[0], net.ints(1))
        x, width = net.op("Transpose", steps_first, perm=[1, 0, 2]), units
    last = net.op("Slice", steps_first, net.ints(-1), net.ints(2**31 - 1), net.ints(0))
    last = net.op("Squeeze", last, net.ints(0))
    net.op("Add", net.op("MatMul", last, net.weight(units, 3)), net.weight(3))
    if final:
        net.op(final, net.nodes[-1].output[0])
    return _rename_last(net, "dense", ["unk__2", 3])


def char_model(*, layers=2, steps=5, tokens=7, dynamic=False) -> Net:
    """Embedding, LSTMs whose states come from and go to one stacked tensor each, every step out."""
    net = Net()
    batch = "N" if dynamic else 1
    ids = net.input("ids", [batch, "L" if dynamic else steps], TensorProto.INT64)
    states = [net.input(name, [layers, batch, 3]) for name in ("h0", "c0")]
    x = net.op("Gather", net.weight(tokens, 4, name="emb.weight"), ids)
    x, width, last = net.op("Transpose", x, perm=[1, 0, 2]), 4, ([], [])
    for k in range(layers):
        h, c = (net.op("Slice", s, net.ints(k), net.ints(k + 1), net.ints(0)) for s in states)
        y, *ends = net.cell("LSTM", x, width, 3, h=h, c=c)
        for ends_of_kind, end in zip(last, ends):
            ends_of_kind.append(end)
        x, width = net.op("Squeeze", y, net.ints(1)), 3
    for name, ends in zip(("hn", "cn"), last):
        net.op("Concat", *ends, outputs=[name], axis=0)
    y = net.op("MatMul", net.op("Transpose", x, perm=[1, 0, 2]), net.weight(3, tokens))
    net.op("Add", net.weight(tokens), y, outputs=["logits"])
    for name, dims in (("logits", None), ("hn", None), ("cn", None)):
        net.output(name, dims)
    return net


def bare(kind="LSTM", *, steps=4, layout=0, outputs=("Y",), opset=17, dims=None, **attrs) -> Net:
    """One node and nothing else; its own outputs are the graph's."""
    net = Net(opset=opset)
    x = net.input("x", dims or ([1, steps, 4] if layout else [steps, 1, 4]))
    net.cell(kind, x, 4, 3, layout=layout, **attrs) if layout else net.cell(kind, x, 4, 3, **attrs)
    names = ["Y", "Y_h", "Y_c"][:len(net.nodes[-1].output)]
    net.nodes[-1].output[:] = [name if name in outputs else "" for name in names]
    for name in outputs:
        net.output(name)
    return net


def headed(head, kind="GRU", *, steps=5, opset=17, last=True) -> Net:
    """A time-major GRU, then ``head(net, name)`` on (1, H) of the last step or (T, 1, H)."""
    net = Net(opset=opset)
    x = net.input("x", [steps, 1, 4])
    y, h = net.cell(kind, x, 4, 3, linear_before_reset=1)
    axes = 0 if last else 1
    picked = net.op("Squeeze", h if last else y, net.ints(axes)) if opset >= 13 \
        else net.op("Squeeze", h if last else y, axes=[axes])
    head(net, picked)
    return _rename_last(net, "out", kind=TensorProto.INT64 if net.nodes[-1].op_type == "ArgMax"
                        else TensorProto.FLOAT)


def refusal(path) -> str:
    """The message of a refused file: one line that starts with the file."""
    with pytest.raises(ImportRefused) as caught:
        import_onnx(path)
    text = str(caught.value)
    assert "\n" not in text and text.startswith("'") and len(text) < 1500
    assert caught.value.exit_code == 2
    return text


def refused(net, tmp_path) -> str:
    model = net if isinstance(net, onnx.ModelProto) else net.model()
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return refusal(path)
