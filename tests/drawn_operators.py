"""RNN, GRU and LSTM nodes drawn at random: attributes, inputs, sizes, lengths, weights, opsets.

ONNX's own 18 tests have constant weights and miss most attributes. T steps, B sequences, I inputs,
H units, D directions, G gates.
"""

from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import gatewright as gw
from gatewright.layout import joined
from gatewright.onnx_check import float_outputs
from gatewright.onnx_import import import_onnx
from golden.reference import Batch

__all__ = ["COUNT", "Drawn", "compare", "draw", "expected", "imported", "make"]

SEED, COUNT = 4, 330
TOLERANCE = 1e-5                # of float32, and of the largest value where that is above 1
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
PLACES = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
OPSETS = (7, 9, 11, 13, 14, 15, 17, 19, 21, 22, 24, onnx.defs.onnx_opset_version())
WITH_ALPHA = ("LeakyRelu", "ThresholdedRelu", "Elu")
WITH_BOTH = ("HardSigmoid", "ScaledTanh", "Affine")


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One node; how each optional input comes: "" (missing), "constant" or "input"."""

    index: int
    op: str
    steps: int
    batch: int
    inputs: int
    units: int
    opset: int
    attributes: dict
    outputs: tuple
    weights: str
    bias: str
    lengths: str
    initial_h: str
    initial_c: str
    peephole: str
    open_axes: bool

    @property
    def layout(self) -> int:
        return self.attributes.get("layout", 0)

    @property
    def dirs(self) -> int:
        return 1 + (self.attributes.get("direction") == "bidirectional")

    @property
    def title(self) -> str:
        given = " ".join(f"{k}={v}" for k, v in self.attributes.items())
        ports = " ".join(f"{k}:{v}" for k in ("bias", "lengths", "initial_h", "initial_c",
                                              "peephole") if (v := getattr(self, k)))
        return (f"{self.index}: {self.op} T{self.steps} B{self.batch} I{self.inputs} H{self.units} "
                f"opset {self.opset} weights:{self.weights} {given} {ports} -> "
                f"{'+'.join(self.outputs)}")


def _activations(rng, op: str, dirs: int) -> dict:
    """Attributes for other functions than the default; most of the time none."""
    dice = rng.random()
    if op == "RNN" and dice < 0.3:
        return {"activations": ["Relu"] * dirs}
    if dice < 0.8:
        return {}
    if dice < 0.85:
        return {"activations": list(PLACES[op]) * dirs}
    plain = ("Sigmoid", "Tanh", "Relu", "Softsign", "Softplus")
    if dice < 0.9:
        return {"activations": [str(rng.choice(plain)) for _ in PLACES[op]] * dirs}
    name = str(rng.choice([*WITH_ALPHA, *WITH_BOTH]))
    made = {"activations": [name, *PLACES[op][1:]] * dirs,
            "activation_alpha": [round(float(rng.uniform(0.05, 0.4)), 3)] * dirs}
    if name in WITH_BOTH:
        made["activation_beta"] = [round(float(rng.uniform(0.2, 0.6)), 3)] * dirs
    return made


def draw(index: int) -> Drawn:
    """Node ``index``: always the same."""
    rng = np.random.default_rng([SEED, index])
    op, opset = str(rng.choice(list(GATES))), int(rng.choice(OPSETS))
    direction = str(rng.choice(["forward", "reverse", "bidirectional"], p=(0.5, 0.2, 0.3)))
    dirs = 1 + (direction == "bidirectional")
    attributes = {"hidden_size": int(rng.integers(1, 6))}
    if direction != "forward" or rng.random() < 0.5:
        attributes["direction"] = direction
    if opset >= 14 and rng.random() < 0.5:
        attributes["layout"] = int(rng.random() < 0.6)
    if rng.random() < 0.2:
        attributes["clip"] = round(float(rng.uniform(0.2, 3)), 3)
    if op == "LSTM" and rng.random() < 0.3:
        attributes["input_forget"] = int(rng.random() < 0.7)
    if op == "GRU" and rng.random() < 0.7:
        attributes["linear_before_reset"] = int(rng.random() < 0.7)
    attributes |= _activations(rng, op, dirs)

    def port(missing):
        return str(rng.choice(["", "constant", "input"],
                              p=(missing, (1 - missing) / 2, (1 - missing) / 2)))

    names = ["Y", "Y_h", "Y_c"][:3 if op == "LSTM" else 2]
    wanted = [name for name in names if rng.random() < 0.6] or ["Y"]
    return Drawn(
        index=index, op=op, opset=opset, steps=int(rng.integers(1, 8)),
        batch=int(rng.choice([1, 2, 3])), inputs=int(rng.integers(1, 6)),
        units=attributes["hidden_size"], attributes=attributes, outputs=tuple(wanted),
        weights=str(rng.choice(["constant", "input", "node"], p=(0.6, 0.2, 0.2))),
        bias=port(0.25), lengths=port(0.6), initial_h=port(0.5),
        initial_c=port(0.5) if op == "LSTM" else "",
        peephole=port(0.6) if op == "LSTM" else "", open_axes=bool(rng.random() < 0.25))


class _Maker:
    """Collects the parts of a model; ``values`` are all of its graph inputs."""

    def __init__(self, case: Drawn):
        self.case, self.nodes, self.stored, self.infos, self.values = case, [], [], [], {}

    def add(self, how: str, name: str, values: np.ndarray, dims=None) -> str:
        """An input of the node: missing, constant (in one of two ways), or of the graph."""
        if not how:
            return ""
        if how == "input":
            self.values[name] = values
            kind = TensorProto.INT32 if values.dtype == np.int32 else TensorProto.FLOAT
            self.infos.append(helper.make_tensor_value_info(name, kind, dims or values.shape))
        elif how == "node":
            self.nodes.append(helper.make_node("Constant", [], [name],
                                               value=numpy_helper.from_array(values)))
        else:
            self.stored.append(numpy_helper.from_array(values, name))
        return name


def make(case: Drawn) -> tuple:
    """(onnx.ModelProto, dict of graph input to array, names of those that are weights)."""
    rng, maker = np.random.default_rng([SEED, case.index, 1]), _Maker(case)
    t, b, i, h, d = case.steps, case.batch, case.inputs, case.units, case.dirs
    rows, first = GATES[case.op] * h, case.layout

    def floats(*shape, scale=0.7):
        return rng.normal(0, scale, shape).astype(np.float32)

    x = floats(*((b, t, i) if first else (t, b, i)), scale=1.0)
    time = "T" if case.open_axes and case.lengths != "constant" else t
    batch = "B" if case.open_axes and b == 1 else b
    names = [maker.add("input", "X", x, [batch, time, i] if first else [time, batch, i])]
    names += [maker.add(case.weights, "W", floats(d, rows, i)),
              maker.add(case.weights, "R", floats(d, rows, h)),
              maker.add(case.bias and case.weights, "B", floats(d, 2 * rows, scale=0.4)),
              maker.add(case.lengths, "lengths",
                        rng.integers(1, t, b, endpoint=True).astype(np.int32), [batch])]
    shape = (b, d, h) if first else (d, b, h)
    dims = [batch, d, h] if first else [d, batch, h]
    for kind in "hc":
        state = floats(*((b, d, h) if first else (d, b, h)), scale=0.5)
        how = getattr(case, f"initial_{kind}")
        if how == "constant":              # of all sequences alike
            axis = 0 if first else 1
            state = np.repeat(state.take([0], axis), b, axis)
        names.append(maker.add(how, f"initial_{kind}", state, dims))
    names.append(maker.add(case.peephole and case.weights, "P", floats(d, 3 * h)))
    while not names[-1]:
        names.pop()
    every = ["Y", "Y_h", "Y_c"][:3 if case.op == "LSTM" else 2]
    made = [name if name in case.outputs else "" for name in every]
    while not made[-1]:
        made.pop()
    maker.nodes.append(helper.make_node(case.op, names, made, name="cell", **case.attributes))
    whole = [batch, time, d, h] if first else [time, d, batch, h]
    outputs = [helper.make_tensor_value_info(
        name, TensorProto.FLOAT, whole if name == "Y" else dims) for name in case.outputs]
    graph = helper.make_graph(maker.nodes, "drawn", maker.infos, outputs, maker.stored)
    model = helper.make_model(graph, ir_version=8,
                              opset_imports=[helper.make_opsetid("", case.opset)])
    assert shape == tuple(n if isinstance(n, int) else 1 for n in dims)
    return model, maker.values, [n for n in ("W", "R", "B", "P") if n in maker.values]


def expected(case: Drawn) -> dict:
    """The outputs by onnxruntime, which has neither ``layout`` 1 nor the newest operator sets.

    So the same node is run with ``layout`` 0, in opset 14 where the case's is newer (the operators'
    meaning did not change), its tensors transposed.
    """
    import onnxruntime
    attributes = {k: v for k, v in case.attributes.items() if k != "layout"}
    model, values, _ = make(case)
    twin = replace(case, opset=min(case.opset, 14), attributes=attributes)
    turned = onnx.ModelProto.FromString(make(twin)[0].SerializeToString())
    # the drawn values do not depend on the layout's order of axes: take the case's own
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for tensor in turned.graph.initializer:
        array = numpy_helper.to_array(stored[tensor.name])
        if case.layout and tensor.name.startswith("initial"):
            array = np.ascontiguousarray(array.swapaxes(0, 1))
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    for node in turned.graph.node[:-1]:
        source = next(n for n in model.graph.node if n.output[0] == node.output[0])
        node.CopyFrom(source)
    feeds = {name: np.ascontiguousarray(array.swapaxes(0, 1))
             if case.layout and (name == "X" or name.startswith("initial")) else array
             for name, array in values.items()}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(turned.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    found = dict(zip(case.outputs, session.run(list(case.outputs), feeds), strict=True))
    if case.layout:                        # (T, D, B, H) -> (B, T, D, H), (D, B, H) -> (B, D, H)
        found = {name: array.transpose(2, 0, 1, 3) if name == "Y" else array.swapaxes(0, 1)
                 for name, array in found.items()}
    return found


def imported(case, folder) -> tuple:
    """(network, its data), from files as a user has them."""
    model, values, weights = make(case)
    folder.mkdir(exist_ok=True)
    path = folder / f"case_{case.index}.onnx"
    path.write_bytes(model.SerializeToString())
    network = import_onnx(path, weights={name: values[name] for name in weights})
    data = path.with_suffix(".npz")
    np.savez(data, **{k: v[None] for k, v in values.items() if k not in weights})
    batch: Batch = gw.load_batch(network, data)
    return network, batch


def compare(case, folder) -> None:
    """Fails unless the case is imported, and computes what onnxruntime computes."""
    network, batch = imported(case, folder)
    ours, theirs = float_outputs(network, batch), expected(case)
    assert [binding.name for binding in network.outputs] == list(case.outputs)
    for binding in network.outputs:
        a, b = joined(ours[binding.name], binding), theirs[binding.name]
        assert a.shape == b.shape, case.title
        assert np.abs(a - b).max() <= TOLERANCE * max(1.0, np.abs(b).max()), case.title
