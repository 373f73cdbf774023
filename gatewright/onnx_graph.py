"""The graph of a file: what the outputs need, in order, with constants folded.

Tensors are either constants (NumPy arrays) or depend on the data. This module knows nothing of
recurrent networks; ``onnx_trace`` walks its nodes.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from .errors import GatewrightError, ImportRefused, quote
from .onnx_file import MAX_ELEMENTS, MAX_RANK, ModelFile

__all__ = ["FOLDABLE", "STRUCTURAL", "Graph", "GraphInput", "ProbeRefused", "attributes",
           "evaluate", "label", "probes"]

MAX_NODES = 4000
MAX_SYMBOLS = 6
MAX_NAME = 200

# Operators that only move elements about.
STRUCTURAL = frozenset({
    "Transpose", "Squeeze", "Unsqueeze", "Reshape", "Slice", "Gather", "Expand", "Concat", "Split",
    "Identity", "Cast", "Flatten", "Dropout", "Tile"})

# Operators evaluated while importing when all their inputs are constants (shapes, weights).
FOLDABLE = STRUCTURAL | {
    "Shape", "Size", "ConstantOfShape", "Range", "Where", "Not", "And", "Or", "Equal", "Less",
    "Greater", "LessOrEqual", "GreaterOrEqual", "Add", "Sub", "Mul", "Div", "Mod", "Neg", "Abs",
    "Min", "Max", "Floor", "Ceil", "Sqrt", "ReduceProd"}

_SPECIAL = {"FLOAT": "f", "INT": "i", "STRING": "s", "FLOATS": "floats", "INTS": "ints",
            "STRINGS": "strings", "TENSOR": "t"}


class ProbeRefused(ImportRefused):
    """A refusal that may only mean that the wrong open dimension was taken for the time axis."""


def label(node: onnx.NodeProto) -> str:
    """A node as messages name it."""
    name = node.name or next((o for o in node.output if o), "")
    return f"node {quote(name)} ({quote(node.op_type, 30)[1:-1]})"


def attributes(node: onnx.NodeProto) -> dict:
    """Attribute values by name; strings are decoded, tensors stay ``TensorProto``."""
    values = {}
    for attribute in node.attribute:
        kind = onnx.AttributeProto.AttributeType.Name(attribute.type)
        if kind not in _SPECIAL or attribute.ref_attr_name or attribute.name in values:
            raise ImportRefused(label(node), f"its attribute {quote(attribute.name)} is of a kind "
                                "that is not read, or is there twice", "export the model again")
        value = getattr(attribute, _SPECIAL[kind])
        if kind == "STRING":
            value = value.decode("utf-8", "replace")
        elif kind == "STRINGS":
            value = [text.decode("utf-8", "replace") for text in value]
        elif kind in ("FLOATS", "INTS"):
            value = list(value)
        values[attribute.name] = value
    return values


def _result_size(node: onnx.NodeProto, inputs: list) -> int:
    """An upper bound of the elements that a node would allocate."""
    shapes = [np.shape(value) for value in inputs if value is not None]
    if node.op_type == "ConstantOfShape":
        return math.prod(int(n) for n in inputs[0].ravel())
    if node.op_type == "Expand":
        target = tuple(int(n) for n in inputs[1].ravel())
        if any(n < 0 for n in target) or math.prod(target) > MAX_ELEMENTS:
            return MAX_ELEMENTS + 1
        return math.prod(np.broadcast_shapes(shapes[0], target))
    if node.op_type == "Tile":
        return math.prod(shapes[0]) * math.prod(int(n) for n in inputs[1].ravel())
    if node.op_type == "Range":
        start, limit, delta = (float(value.reshape(())) for value in inputs)
        return math.ceil(max(0.0, (limit - start) / delta))
    if node.op_type == "Gather":
        axis = attributes(node).get("axis", 0)
        return math.prod(shapes[0]) // max(1, shapes[0][axis]) * math.prod(shapes[1])
    if node.op_type in STRUCTURAL or node.op_type in ("Shape", "Size"):
        return sum(math.prod(shape) for shape in shapes)
    return math.prod(np.broadcast_shapes(*shapes)) if shapes else 1


def evaluate(node: onnx.NodeProto, inputs: list, opset: int) -> list:
    """Run one operator on arrays.

    Parameters
    ----------
    inputs : list of (ndarray or None)
        In the order of the node's inputs; None for one that is left out.

    Returns
    -------
    list of ndarray, one for each output that has a name
    """
    try:
        if not 0 <= _result_size(node, inputs) <= MAX_ELEMENTS:
            raise ImportRefused(label(node), f"makes a tensor of more than {MAX_ELEMENTS} elements",
                                "no network of that size fits a device")
        # as a model, since the evaluator reads a lone node in the newest opset
        infos = [[onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name]
                 for names in (node.input, node.output)]
        run = ReferenceEvaluator(onnx.helper.make_model(
            onnx.helper.make_graph([node], "one", *infos),
            opset_imports=[onnx.helper.make_opsetid("", opset)]))
        feeds = {name: value for name, value in zip(node.input, inputs) if name}
        values = [np.asarray(value) for value in run.run(None, feeds)]
    except GatewrightError:
        raise
    except Exception as error:             # whatever a malformed node makes the evaluator raise
        raise ProbeRefused(label(node), f"cannot be evaluated ({str(error)[:120]})",
                           "export the model again, with a batch of 1 and a fixed length") from None
    if any(value.ndim > MAX_RANK for value in values):
        raise ImportRefused(label(node), f"makes a tensor of more than {MAX_RANK} axes",
                            "export the model again")
    return values


@dataclass(frozen=True, kw_only=True)
class GraphInput:
    """A graph input or output: dims are integers, or names where the file leaves them open."""

    name: str
    elem_type: int
    dims: tuple | None

    @property
    def dtype(self) -> str:
        """NumPy's name of the element type."""
        return str(onnx.helper.tensor_dtype_to_np_dtype(self.elem_type))


def _value_info(info: onnx.ValueInfoProto, what: str) -> GraphInput:
    if len(info.name) > MAX_NAME or not info.name.isprintable() or not info.name:
        raise ImportRefused(f"{what} {quote(info.name)}", "has no usable name",
                            f"rename it: 1 to {MAX_NAME} printable characters")
    what = f"{what} {quote(info.name)}"
    if info.type.WhichOneof("value") not in ("tensor_type", None):
        raise ImportRefused(what, "is not a tensor", "export the model with tensors only")
    tensor = info.type.tensor_type
    dims = None
    if tensor.HasField("shape"):
        dims = []
        for axis, dim in enumerate(tensor.shape.dim):
            if dim.HasField("dim_value") and dim.dim_value <= 0:
                raise ImportRefused(what, f"has dimension {dim.dim_value}", "it must be positive")
            dims.append(dim.dim_value if dim.HasField("dim_value")
                        else dim.dim_param or f"{info.name}?{axis}")     # no two axes alike
        if len(dims) > MAX_RANK:
            raise ImportRefused(what, f"has {len(dims)} axes", f"at most {MAX_RANK} are possible")
        dims = tuple(dims)
    return GraphInput(name=info.name, elem_type=tensor.elem_type, dims=dims)


class Graph:
    """The checked part of a file's graph that its outputs depend on.

    Parameters
    ----------
    file : ModelFile

    Members
    -------
    nodes : list of NodeProto, in an order in which they can be computed
    inputs : list of GraphInput, those that the outputs depend on
    unused : list of str, names of the other inputs
    outputs : list of GraphInput
    """

    def __init__(self, file: ModelFile):
        self.file = file
        graph = file.model.graph
        self._initializers = self._by_name(
            [(t.name, t) for t in graph.initializer if t.name], "initialiser")
        self._constants = {}
        infos = self._by_name([(i.name, i) for i in graph.input], "graph input")
        self.outputs = [_value_info(info, "graph output") for info in graph.output]
        self._by_name([(o.name, o) for o in self.outputs], "graph output")
        produced = self._by_name([(name, node) for node in graph.node for name in node.output
                                  if name], "tensor")
        for name in produced:
            if name in self._initializers or name in infos:
                raise ImportRefused(f"tensor {quote(name)}", "is made twice",
                                    "the file is damaged: export the model again")
        needed, self.nodes = self._order(produced, set(infos))
        if len(self.nodes) > MAX_NODES:
            raise ImportRefused("the graph", f"has {len(self.nodes)} nodes in use, more than "
                                f"{MAX_NODES} (is a loop over time unrolled?)",
                                "export the recurrent layers as RNN, GRU or LSTM nodes "
                                "(PyTorch: torch.onnx.export(..., dynamo=False))")
        data = [info for name, info in infos.items() if name not in self._initializers]
        self.inputs = [_value_info(i, "graph input") for i in data if i.name in needed]
        self.unused = [i.name for i in data if i.name not in needed]

    @staticmethod
    def _by_name(pairs: list, what: str) -> dict:
        table = dict(pairs)
        if len(table) != len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise ImportRefused(f"{what} {quote(twice)}", "is there twice",
                                "the file is damaged: export the model again")
        return table

    def _order(self, produced: dict, inputs: set) -> tuple:
        """Names that the outputs need, and their nodes sorted; without recursion."""
        needed, nodes, done, open_nodes = set(), [], set(), set()
        stack = [(output.name, "the graph") for output in reversed(self.outputs)]
        while stack:
            name, user = stack.pop()
            if user is None:               # all inputs of this node have been dealt with
                node = produced[name]
                open_nodes.discard(id(node))
                done.add(id(node))
                nodes.append(node)
                continue
            needed.add(name)
            if name not in produced:
                if name not in inputs and name not in self._initializers:
                    raise ImportRefused(f"tensor {quote(name)}", f"is wanted by {user} but nothing "
                                        "makes it", "the file is damaged: export the model again")
                continue
            node = produced[name]
            if id(node) in done:
                continue
            if id(node) in open_nodes:
                raise ImportRefused(label(node), "depends on itself (a cycle)",
                                    "the file is damaged: export the model again")
            open_nodes.add(id(node))
            stack.append((name, None))
            # a tensor twice in one node would look like a cycle if it went on the stack twice
            stack.extend((i, label(node)) for i in dict.fromkeys(node.input) if i)
        return needed, nodes

    def constant(self, name: str) -> np.ndarray | None:
        """The values of an initialiser, or None where ``name`` is none."""
        if name in self._initializers and name not in self._constants:
            self._constants[name] = self.file.tensor(self._initializers[name],
                                                     f"tensor {quote(name)}")
        return self._constants.get(name)

    def constant_node(self, node: onnx.NodeProto) -> np.ndarray:
        """The value of a Constant node."""
        values = attributes(node)
        if len(values) == 1:
            (key, value), = values.items()
            if key == "value" and isinstance(value, onnx.TensorProto):
                return self.file.tensor(value, label(node))
            if key in ("value_int", "value_ints"):
                return np.array(value, dtype=np.int64)
            if key in ("value_float", "value_floats"):
                return np.array(value, dtype=np.float32)
        raise ImportRefused(label(node), f"has the attributes {sorted(values)[:4]}",
                            "it must have one dense numeric value")


def probes(inputs: list) -> list:
    """Ways to fix the open dimensions, the likelier first.

    Each is a list of {symbol: size} to be tried: one open dimension is the time axis and gets
    two odd lengths in turn, all others are batches of 1. The last way has no open time axis.
    """
    places = {}
    for item in inputs:
        for axis, dim in enumerate(item.dims or ()):
            if isinstance(dim, str):
                places.setdefault(dim, axis)
    if len(places) > MAX_SYMBOLS:
        raise ImportRefused("the graph inputs", f"have {len(places)} open dimensions",
                            "export with a batch of 1 and at most the time axis open")

    def order(symbol):
        time = re.search(r"seq|time|step|len|^t$", symbol, re.IGNORECASE)
        batch = re.search(r"batch|^[bn]$", symbol, re.IGNORECASE)
        return bool(batch), not time, places[symbol] != 1, places[symbol]

    ones = dict.fromkeys(places, 1)
    return [[ones | {symbol: 7}, ones | {symbol: 5}]
            for symbol in sorted(places, key=order)] + [[ones]]
