"""Walk a graph once, for one choice of its open dimensions, and collect what it computes."""

from dataclasses import dataclass, field, replace

import numpy as np
import onnx

from golden.functions import PLAIN, Activation, Function
from golden.network import Cell, Initial

from . import onnx_ops as ops
from .errors import ImportRefused, quote
from .onnx_cells import Draft, check_weights, linear, read_attributes, recurrent
from .onnx_functions import ELEMENTWISE, element_function
from .onnx_graph import Graph
from .onnx_index import MAX_NUMBERS, Index, Source, Tracked, per_feature
from .onnx_lengths import lengths_of
from .onnx_node import FOLDABLE, STRUCTURAL, ProbeRefused, check_node, evaluate, label
from .onnx_operand import Operand, operand, vectors

__all__ = ["Trace", "trace"]

_RECURRENT = ("RNN", "GRU", "LSTM")
_ARITHMETIC = ("Add", "Sub", "Mul", "Div")
_READ = FOLDABLE | ops.FINALS.keys() | ops.POOLS.keys() | ELEMENTWISE.keys() | set(_RECURRENT) | {
    "Constant", "MatMul", "Gemm", "BatchNormalization"}
MAX_STEPS = 1 << 16
READING = 8                     # looking at so many elements costs what making one does


@dataclass(kw_only=True)
class Trace:
    """What one walk found.

    Members
    -------
    outputs : dict of str to Tracked
        The graph's outputs.
    states : list of (input name, int64 (H,) offsets in it, Draft, "h" or "c")
    steps : int
        Of all recurrent layers together.
    lengths : list of what ``lengths_of`` gives, one a recurrent node
    batch : int
        Sequences that the file runs at once; the walk follows one of them.
    """

    graph: Graph
    sizes: dict
    batch: int = 1
    index: Index = field(default_factory=Index)
    values: dict = field(default_factory=dict)
    outputs: dict = field(default_factory=dict)
    states: list = field(default_factory=list)
    embedding: np.ndarray | None = None
    embedded: Source | None = None
    refused: list = field(default_factory=list)
    steps: int = 0
    lengths: list = field(default_factory=list)
    made: dict = field(default_factory=dict)

    # ---- values -------------------------------------------------------------------------------

    def value(self, name: str):
        """ndarray, Tracked, or None for a tensor that came out of a refused node."""
        if name not in self.values:
            self.values[name] = self.graph.constant(name)
        return self.values[name]

    def start(self):
        """Number the elements of the graph's inputs."""
        for item in self.graph.inputs:
            what = f"graph input {quote(item.name)}"
            if item.elem_type not in ops.INPUT_TYPES:
                raise ImportRefused(what, "has a type that is not read",
                                    "inputs must be float32 values or int64 token ids")
            if item.dims is None:
                raise ImportRefused(what, "has no declared shape", "export the model again")
            shape = tuple(self.sizes.get((item.name, axis), d) if isinstance(d, int)
                          else self.sizes[d] for axis, d in enumerate(item.dims))
            size = 1
            for dim in shape:              # Python integers: a product that cannot overflow
                size *= dim
            if size > MAX_NUMBERS:
                raise ImportRefused(what, f"has {size} elements, more than {MAX_NUMBERS}",
                                    "export with a shorter sequence")
            source = self.index.add("input", size, name=item.name)
            self.values[item.name] = Tracked(ids=source.ids.reshape(shape),
                                             integer=ops.INPUT_TYPES[item.elem_type])

    def refuse(self, node: onnx.NodeProto, reason: str = ""):
        """Remember a node that is not supported; the walk goes on, to name them all at once."""
        self.refused.append(label(node) + (f" {reason}" if reason else ""))
        self.values.update({name: None for name in node.output if name})

    def linear_source(self, steps: int, draft: Draft) -> Source:
        return self.index.add("y", steps * draft.units, steps=steps, width=draft.units,
                              once=draft.once, draft=draft)

    def spend_on(self, read: Operand, rows: int, what: str):
        """Pay for a layer of so many rows before its matrix is made."""
        self.graph.file.spend(rows * (read.width + sum(
            part.source.width * (1 + (part.source.draft.w.shape[1] if part.source.draft else 0))
            for part in read.parts)), what)

    def insert(self, ids: np.ndarray, order: np.ndarray, rows: np.ndarray, name: str,
               factors: tuple = (1.0,), cell: Cell = Cell.LINEAR) -> np.ndarray:
        """Numbers, in the shape of ``ids``, of a layer that adds parts of its vectors, or of one
        that multiplies two.

        Parameters
        ----------
        order : int64 (N, F)
            Places in the flattened ``ids`` where the layer's results stand.
        rows : int64 (N, parts * F)
            What it reads: parts of F elements, each with its factor.
        cell : Cell
            LINEAR, or PRODUCT, which has no factors.
        """
        what = f"node {quote(name)}"
        width = order.shape[1] if cell is Cell.LINEAR else rows.shape[1]
        read = operand(self.index, rows, what)
        self.spend_on(read, width, what)
        one = np.eye(width)
        w = one if cell is not Cell.LINEAR else np.concatenate([f * one for f in factors], axis=1)
        draft = linear(name, read, w, np.zeros(width), inserted=True, cell=cell)
        made = np.empty(ids.size, dtype=np.int64)
        made[order.ravel()] = self.linear_source(len(order), draft).ids
        return made.reshape(ids.shape)

    def joined(self, ids: np.ndarray, name: str) -> np.ndarray | None:
        """Numbers of the same elements as the result of one layer; None where they make none."""
        if self.index.resolve(ids) is not None:
            return ids
        order = vectors(self.index, ids)
        return None if order is None else self.insert(ids, order, ids.ravel()[order], name)

    def in_time(self, ids: np.ndarray, name: str) -> np.ndarray:
        """The same elements from a layer that is computed in the order of time."""
        source = self.index.resolve(ids).source
        if source.draft is None or not source.draft.reverse:
            return ids
        order = vectors(self.index, ids)
        return self.insert(ids, order, ids.ravel()[order], name)

    def materialise(self, ids: np.ndarray, function: Function, name: str):
        """Numbers of ``function(ids)``; scales and shifts go into a linear layer's weights.

        Returns None where that cannot be a layer.
        """
        ids = self.joined(ids, name)
        found = None if ids is None else self.index.resolve(ids)
        if found is None or found.source.kind != "y":
            return None
        source = found.source
        if function.activation is Activation.IDENTITY and found.plain:
            return ids
        features = found.at % source.width
        scale, offset = (per_feature(v, features, source.width)
                         for v in (found.scale, found.offset))
        if scale is None or offset is None:
            return None
        draft = source.draft
        said = {"activation": function.activation}
        if function.activation not in PLAIN:
            said["own"] = {"own_functions": (function,)}
        self.graph.file.spend(source.width * (source.width if draft is None else
                                              max(source.width, draft.w.shape[1])),
                              f"node {quote(name)}")
        if draft is not None and draft.cell is Cell.LINEAR \
                and draft.activation is Activation.IDENTITY:
            draft = replace(draft.affine(scale, offset), **said)
        else:
            draft = Draft(sources=(source,), when="every", cell=Cell.LINEAR, name=name,
                          w=np.diag(scale), bias_x=offset, inserted=True, **said)
        key = source.base, function, scale.tobytes(), offset.tobytes()
        if key not in self.made:           # a result and its softmax are of one layer
            self.made[key] = self.linear_source(source.steps, draft)
        return self.made[key].base + found.at

    # ---- nodes --------------------------------------------------------------------------------

    def visit(self, node: onnx.NodeProto):
        """Compute, on numbers, what one node makes."""
        op, inputs = node.op_type, [self.value(name) if name else None for name in node.input]
        if node.domain not in ("", "ai.onnx"):
            return self.refuse(node, f"of domain {quote(node.domain)}")
        if op in _READ:
            check_node(node, self.graph.file.opset)
        if op == "Constant":
            return self.store(node, [self.graph.constant_node(node)])
        if any(value is None and name for value, name in zip(inputs, node.input)):
            if op not in _READ:
                return self.refuse(node)
            self.values.update({name: None for name in node.output if name})
            return None
        tracked = [isinstance(value, Tracked) for value in inputs]
        self.graph.file.spend(sum(
            value.ids.size if isinstance(value, Tracked) else value.size
            for value in inputs if value is not None) // READING, label(node))
        if op in _RECURRENT:
            return self.recurrent(node, inputs)
        if op in ("Shape", "Size") and any(tracked):
            return self.store(node, evaluate(node, [inputs[0].ids], self.graph.file))
        if not any(tracked):
            if op not in FOLDABLE:
                return self.refuse(node)
            return self.store(node, evaluate(node, inputs, self.graph.file))
        if op == "Gather" and tracked == [False, True]:
            return ops.embed(self, node, *inputs)
        if op in STRUCTURAL:
            return ops.move(self, node, inputs)
        if op in ("MatMul", "Gemm"):
            return ops.product(self, node, inputs)
        if op == "BatchNormalization":
            return ops.normalise(self, node, inputs)
        if op in _ARITHMETIC:
            return ops.arithmetic(self, node, inputs, tracked)
        if op in ELEMENTWISE and not inputs[0].integer:
            ids = self.materialise(inputs[0].ids, element_function(node), node.name)
            return self.refuse(node) if ids is None else self.store(node, [Tracked(ids=ids)])
        if op in ops.FINALS:
            return ops.final(self, node, inputs[0])
        if op in ops.POOLS:
            return ops.pool(self, node, inputs)
        reason = "(over the steps only ReduceMean and ReduceMax)" if op.startswith("Reduce") else ""
        return self.refuse(node, reason)

    def store(self, node: onnx.NodeProto, values: list):
        """Keep a node's results under the names of its outputs."""
        names = [name for name in node.output if name]
        if len(names) != len(values):
            raise ImportRefused(label(node), f"has {len(names)} outputs, not {len(values)}",
                                "the file is damaged: export the model again")
        self.values.update(zip(names, values))

    def recurrent(self, node: onnx.NodeProto, inputs: list):
        """RNN, GRU, LSTM."""
        what, spec = label(node), read_attributes(node)
        inputs = inputs + [None] * (8 - len(inputs))
        x, w, r, b, lengths, *initial, peephole = inputs
        if not isinstance(x, Tracked) or x.ids.ndim != 3:
            raise ImportRefused(what, "its input X must be data of three axes",
                                "export the model again")
        if x.integer:
            raise ImportRefused(what, "its input X holds integers", "export the model with float32 "
                                "inputs, or with its embedding")
        self.constants(node, {1: w, 2: r, 3: b, 7: peephole})
        ids = x.ids.swapaxes(0, 1) if spec.layout else x.ids
        steps, batch = ids.shape[:2]
        if batch != 1:
            raise ProbeRefused(what, f"runs {batch} sequences at once, in a graph of "
                               f"{steps} steps", "export with a batch of 1 (PyTorch: is "
                               "batch_first right?)", batch=batch)
        self.lengths.append(lengths_of(self, node, lengths, steps))
        self.steps += steps
        if self.steps > MAX_STEPS:         # the import is compared with the file, step by step
            raise ImportRefused(what, f"brings the steps of all layers to {self.steps}, more than "
                                f"{MAX_STEPS}", "export with a shorter sequence, or with an open "
                                "time axis, which has no limit")
        read = operand(self.index, ids.reshape(steps, -1), what)
        if read.once:
            raise ImportRefused(what, "reads only the last step of the layer before",
                                "a recurrent layer must read every step of the one before")
        starts, used, dirs = [()] * len(spec.reverse), [], len(spec.reverse)
        for kind, value, name in zip("hc", initial, node.input[5:7] + [""] * 2):
            if kind == "c" and spec.cell is not Cell.LSTM and value is not None:
                raise ImportRefused(what, "has too many inputs", "export the model again")
            for k in range(dirs):
                start, places = self.initial(spec, value, k,
                                             f"{what}, initial_{kind} {quote(name)}")
                starts[k] += (start,)
                used += [(start.source, places, k, kind)] if places is not None else []
        self.graph.file.spend(2 * (w.size + r.size), what)
        self.spend_on(read, w.shape[1] if w.ndim > 1 else 0, what)
        drafts = recurrent(node, spec, read, [w, r, b, peephole], tuple(starts))
        self.states += [(name, places, drafts[k], kind) for name, places, k, kind in used]
        width = spec.units
        sources = [self.index.add("y", steps * width, steps=steps, width=width, draft=draft)
                   for draft in drafts]
        cells = [self.index.add("c", width, width=width, draft=draft) for draft in drafts]
        y = np.stack([source.ids.reshape(steps, 1, width) for source in sources], axis=1)
        whole = y
        if self.lengths[-1] is not None:   # step T - 1 is not every sequence's last one
            whole = np.stack([self.index.ending(source).reshape(steps, 1, width)
                              for source in sources], axis=1)
        last = np.stack([y[0 if reverse else -1, k] for k, reverse in enumerate(spec.reverse)])
        results = [whole, last, np.stack([cell.ids.reshape(1, width) for cell in cells])]
        if spec.layout:                    # batch first
            results = [whole.transpose(2, 0, 1, 3), *(v.swapaxes(0, 1) for v in results[1:])]
        results = [Tracked(ids=ids) for ids in results]
        if len(node.output) > (3 if spec.cell is Cell.LSTM else 2):
            raise ImportRefused(what, "has too many outputs", "export the model again")
        self.values.update({name: v for name, v in zip(node.output, results) if name})

    def alike(self, values: np.ndarray, axis: int, what: str) -> np.ndarray:
        """A constant of the whole batch as that of one sequence, if it is the same for all."""
        if self.batch == 1 or values.ndim <= axis or values.shape[axis] != self.batch:
            return values
        one = values.take([0], axis)
        if not np.array_equal(np.broadcast_to(one, values.shape), values):
            raise ImportRefused(what, f"differs between the {self.batch} sequences of the file's "
                                "batch", "make it a graph input, or export with a batch of 1")
        return one

    def constants(self, node: onnx.NodeProto, weights: dict):
        """Refuse weights that depend on data. weights: place among the node's inputs to value."""
        names = {1: "W", 2: "R", 3: "B", 7: "P"}
        wrong = [k for k, value in weights.items()
                 if isinstance(value, Tracked) or (value is None and k < 3)]
        inputs = {item.name for item in self.graph.inputs}
        if wrong and all(node.input[k] in inputs for k in wrong):
            listed = ", ".join(f"{names[k]} is {quote(node.input[k])}" for k in wrong)
            raise ImportRefused(label(node), f"its weights are graph inputs ({listed})",
                                "give their values: --weights FILE.npz with arrays of these names, "
                                "import_onnx(..., weights={name: array})")
        if wrong:
            raise ImportRefused(label(node), f"{names[wrong[0]]} must be a constant of the file, "
                                "not computed from its inputs",
                                "export the model with its weights inside")

    def initial(self, spec, value, direction: int, what: str) -> tuple:
        """(Initial, offsets in the graph input or None) of a state before the first step."""
        if value is None:
            return Initial(), None
        array = value.ids if isinstance(value, Tracked) else value
        wanted = (len(spec.reverse), 1, spec.units)
        if spec.layout and array.ndim == 3:
            array = array.swapaxes(0, 1)
        if not isinstance(value, Tracked):
            array = self.alike(array, 1, what)
        if array.shape != wanted:
            raise ImportRefused(what, f"has the shape {array.shape}, not {wanted}",
                                "is a projection (proj_size) in the model? ONNX has none: give "
                                "PyTorch's module or state dict instead")
        if not isinstance(value, Tracked):
            values = check_weights(array, what)[direction].reshape(-1)
            return (Initial(value=values) if np.any(values) else Initial()), None
        found = self.index.resolve(array[direction].reshape(-1))
        if found is None or found.source.kind != "input" or not found.plain or value.integer:
            raise ImportRefused(what, "is computed from the data",
                                "it must be a constant or a graph input of its own")
        return Initial(source=found.source.name), found.at


def trace(graph: Graph, sizes: dict, batch: int = 1) -> Trace:
    """Walk the graph with the open dimensions fixed to ``sizes``, for one sequence of a batch."""
    walk = Trace(graph=graph, sizes=sizes, batch=batch)
    walk.start()
    refusal = None
    for node in graph.nodes:
        try:
            walk.visit(node)
        except ImportRefused as error:     # kept, in case unsupported nodes explain it better
            refusal = refusal or error
            walk.values.update({name: None for name in node.output if name})
    kinds = [node.op_type for node in graph.nodes]
    if walk.refused or (refusal is not None and not set(kinds) & set(_RECURRENT)):
        raise ImportRefused(_unsupported(kinds, walk.refused), "", _remedy(kinds))
    if refusal is not None:
        raise refusal
    for output in graph.outputs:
        value = walk.value(output.name)
        if not isinstance(value, Tracked):
            raise ImportRefused(f"graph output {quote(output.name)}",
                                "does not depend on the inputs", "drop it and export again")
        walk.outputs[output.name] = value
    return walk


def _unsupported(kinds: list, refused: list) -> str:
    """All nodes that stand in the way, in one message."""
    parts = []
    if not set(kinds) & set(_RECURRENT):
        parts.append("the graph has no RNN, GRU or LSTM node")
    if refused:
        more = f" and {len(refused) - 12} more" if len(refused) > 12 else ""
        parts.append(f"{len(refused)} unsupported node{'s' * (len(refused) > 1)}: "
                     + ", ".join(refused[:12]) + more)
    return ", and ".join(parts)


def _remedy(kinds: list) -> str:
    """What to do about unsupported nodes, as far as their pattern shows it."""
    if any(op in ("Loop", "Scan", "If") for op in kinds):
        return ("the recurrent layer became a loop: export it as an RNN, GRU or LSTM node "
                "(Keras: LSTM layers, or GRU through tf2onnx from_keras)")
    if not set(kinds) & set(_RECURRENT) and set(kinds) & {"Tanh", "Sigmoid", "Relu"} \
            and sum(op in ("MatMul", "Gemm") for op in kinds) > 1:
        return ("the recurrent layer was unrolled over its steps: export it again (PyTorch: "
                "torch.onnx.export(..., dynamo=False), and nn.LSTM, not nn.LSTMCell), or give "
                "PyTorch's state dict")
    return "leave them out of the exported model, or use RNN, GRU, LSTM and linear layers"
