"""The graph of a file: what the outputs need, in order, with constants folded.

Tensors are either constants (NumPy arrays) or depend on the data. This module knows nothing of
recurrent networks; ``onnx_trace`` walks its nodes.
"""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice, product

import numpy as np
import onnx

from .errors import ImportRefused, quote
from .onnx_file import MAX_ELEMENTS, MAX_RANK, READABLE, ModelFile, type_name
from .onnx_node import attributes, label

__all__ = ["Graph", "GraphInput", "batch_probes", "probes"]

MAX_NODES = 4000
MAX_SYMBOLS = 6
MAX_NAME = 200
MAX_PROBES = 64


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
        if twice := next((d for d in dims if isinstance(d, str) and dims.count(d) > 1), None):
            raise ImportRefused(what, f"has the open dimension {quote(twice)} on two axes",
                                "name the batch and the time axis differently")
    if tensor.elem_type and tensor.elem_type not in READABLE:
        raise ImportRefused(what, f"has the type {type_name(tensor.elem_type)}",
                            "inputs must be float32 values or int64 token ids, results float32")
    return GraphInput(name=info.name, elem_type=tensor.elem_type, dims=dims)


class Graph:
    """The checked part of a file's graph that its outputs depend on.

    Parameters
    ----------
    file : ModelFile
    weights : dict of str to array, or None
        Values of graph inputs, which are constants from then on.

    Members
    -------
    nodes : list of NodeProto, in an order in which they can be computed
    inputs : list of GraphInput, those that the outputs depend on
    unused : list of str, names of the other inputs
    outputs : list of GraphInput
    """

    def __init__(self, file: ModelFile, weights: dict | None = None):
        self.file = file
        graph = file.model.graph
        self._initializers = self._by_name(
            [(t.name, t) for t in graph.initializer if t.name], "initialiser")
        infos = self._by_name([(i.name, i) for i in graph.input], "graph input")
        self._given = self._bound(weights or {}, infos)
        self._constants = dict(self._given)
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
        self._needed = needed
        data = [info for name, info in infos.items()
                if name not in self._initializers and name not in self._given]
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

    def _bound(self, weights: dict, infos: dict) -> dict:
        """The arrays that were given for graph inputs, in the types and shapes declared there."""
        bound, remedy = {}, "give the arrays under the names of the file's inputs"
        for name, given in sorted(weights.items()):
            what, values = f"weights, array {quote(name)}", np.asarray(given)
            if name not in infos:
                listed = ", ".join(quote(n, 30) for n in list(infos)[:8])
                raise ImportRefused(what, f"is no graph input of the file (it has {listed})",
                                    remedy)
            item = _value_info(infos[name], "graph input")
            if values.dtype.kind not in "fiu" or values.size > MAX_ELEMENTS or not item.elem_type \
                    or (values.dtype.kind == "f") != (np.dtype(item.dtype).kind == "f"):
                raise ImportRefused(what, f"holds {values.size} values of type {values.dtype} for "
                                    f"an input of type {type_name(item.elem_type)}", remedy)
            dims = item.dims or ()
            if len(dims) != values.ndim or any(isinstance(want, int) and want != have
                                               for want, have in zip(dims, values.shape)):
                raise ImportRefused(what, f"has the shape {values.shape}, but the input is "
                                    f"declared as {dims}", remedy)
            self.file.spend(values.size, what)
            bound[name] = values.astype(item.dtype)
            self.file.digest.update(name.encode() + bound[name].tobytes())
        return bound

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

    def model(self) -> onnx.ModelProto:
        """The part that the outputs need as a model of its own, with all its weights inside.

        For other programs: they would run what nothing reads as well, a loop without end included.
        """
        source, made = self.file.model, onnx.ModelProto()
        made.ir_version = source.ir_version
        made.opset_import.extend(source.opset_import)
        made.graph.name = "needed"
        made.graph.node.extend(self.nodes)
        made.graph.input.extend(i for i in source.graph.input
                                if i.name in self._needed and i.name not in self._given)
        made.graph.output.extend(source.graph.output)
        made.graph.initializer.extend(self._inside(t, f"tensor {quote(t.name)}")
                                      for t in source.graph.initializer
                                      if t.name in self._needed and t.name not in self._given)
        made.graph.initializer.extend(onnx.numpy_helper.from_array(values, name)
                                      for name, values in self._given.items()
                                      if name in self._needed)
        for node in made.graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    attribute.t.CopyFrom(self._inside(attribute.t, label(node)))
        return made

    def _inside(self, proto: onnx.TensorProto, what: str) -> onnx.TensorProto:
        """The tensor itself, or where its bytes lie beside the model, one with them inside."""
        if proto.data_location != onnx.TensorProto.EXTERNAL:
            return proto
        return onnx.numpy_helper.from_array(self.file.tensor(proto, what), proto.name)

    def inferred(self, name: str) -> tuple | None:
        """The shape of a tensor by ONNX's own rules, where the file declares none."""
        try:
            made = onnx.shape_inference.infer_shapes(self.model())
        except Exception:                  # what it makes of damaged nodes has no common base
            return None
        infos = (*made.graph.output, *made.graph.value_info)
        info = next((i for i in infos if i.name == name), None)
        return None if info is None else _value_info(info, "tensor").dims

    def constant(self, name: str) -> np.ndarray | None:
        """The values of an initialiser or of a given input; None where ``name`` is neither."""
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


def batch_probes(inputs: list, batch: int) -> list:
    """Ways to run a graph that is declared for ``batch`` sequences at once with one of them.

    As ``probes``, with one axis of that length a graph input set to 1: (input's name, axis) -> 1.
    """
    places = [[(item.name, axis) for axis, dim in enumerate(item.dims or ()) if dim == batch]
              for item in inputs]
    chosen = islice(product(*(axes for axes in places if axes)), MAX_PROBES)
    return [[sizes | dict.fromkeys(axes, 1) for sizes in attempt]
            for axes in chosen if axes for attempt in probes(inputs)]
