"""Operators in front of, between and behind the recurrent nodes, on numbers in place of data.

Each function computes one node for a ``Trace`` (``walk``), or makes it remember a refusal.
"""

import numpy as np
import onnx

from golden.functions import IDENTITY
from golden.network import Cell, Final

from .errors import ImportRefused, quote
from .onnx_cells import Draft, check_weights, linear
from .onnx_index import Tracked
from .onnx_node import attributes, evaluate, label
from .onnx_operand import operand as read, vectors

__all__ = ["FINALS", "INPUT_TYPES", "POOLS", "arithmetic", "embed", "final", "move", "normalise",
           "pool", "product"]

POOLS = {"ReduceMean": Cell.MEAN, "ReduceMax": Cell.MAX, "GlobalAveragePool": Cell.MEAN,
         "GlobalMaxPool": Cell.MAX}
FINALS = {"Softmax": Final.SOFTMAX, "LogSoftmax": Final.LOG_SOFTMAX, "ArgMax": Final.ARGMAX}

# Element types of data, and whether they are integers.
INPUT_TYPES = {onnx.TensorProto.FLOAT: False, onnx.TensorProto.DOUBLE: False,
               onnx.TensorProto.FLOAT16: False, onnx.TensorProto.INT64: True,
               onnx.TensorProto.INT32: True}


def move(walk, node: onnx.NodeProto, inputs: list):
    """An operator that moves elements, run on their numbers."""
    op = node.op_type
    data = [v for v in inputs if isinstance(v, Tracked)]
    integer = data[0].integer
    if op in ("Identity", "Dropout", "Cast"):
        if op == "Cast":
            to = attributes(node).get("to")
            if INPUT_TYPES.get(to) is not integer:
                return walk.refuse(node, "(between floats and integers)")
        if op == "Dropout" and len(inputs) > 2 and inputs[2] is not None and np.any(inputs[2]):
            return walk.refuse(node, "(in training mode)")
        return walk.store(node, [data[0]] * len([n for n in node.output if n]))
    if op == "Concat":
        arrays = [_number(walk, v) if v is not None else None for v in inputs]
    elif any(isinstance(v, Tracked) for v in inputs[1:]):
        return walk.refuse(node, "(its indices or its shape depend on the data)")
    else:
        arrays = [data[0].ids, *inputs[1:]]
        if op == "Reshape" and walk.batch > 1:
            arrays[1] = _of_one(arrays[1], data[0].ids.size, walk.batch)
    moved = evaluate(node, arrays, walk.graph.file)
    if any(ids.size == 0 for ids in moved):
        return walk.refuse(node, "(its result is empty)")
    return walk.store(node, [Tracked(ids=ids, integer=integer) for ids in moved])


def _of_one(target: np.ndarray, size: int, batch: int) -> np.ndarray:
    """A Reshape's target for one sequence, from that for ``batch`` of them.

    Parameters
    ----------
    target : int64 (R,)
    size : int
        Elements of one sequence.

    Where several entries could be the one that counts sequences the first that is ``batch`` itself
    is taken; the comparison with the file's own results tells if that was wrong.
    """
    known = int(np.prod(target[target > 0]))
    if np.any(target == 0) or known <= 1 or (np.all(target > 0) and known == size):
        return target
    whole = size * batch
    for k in sorted(range(len(target)), key=lambda k: target[k] != batch):
        rest = known // max(1, int(target[k]))
        if target[k] % batch == 0 and target[k] > 0 and (
                whole % known == 0 if np.any(target < 0) else whole == known) and rest:
            made = target.copy()
            made[k] //= batch
            return made
    return target


def _number(walk, value) -> np.ndarray:
    """Numbers of a tensor; a constant that meets data gets numbers of its own."""
    if isinstance(value, Tracked):
        return value.ids
    return walk.index.add("constant", value.size).ids.reshape(value.shape)


def embed(walk, node: onnx.NodeProto, table: np.ndarray, tokens: Tracked):
    """Gather of a constant table by the token ids of a graph input."""
    what = label(node)
    if table.ndim != 2 or attributes(node).get("axis", 0) != 0 or not tokens.integer:
        return walk.refuse(node, "(an embedding is a table of two axes, indexed on the first)")
    found = read(walk.index, tokens.ids.reshape(-1, 1), what).parts[0].source
    if found.kind != "input" or walk.embedding is not None:
        return walk.refuse(node, "(more than one embedding, or one behind a layer)")
    walk.embedding = check_weights(table, f"{what}, table {quote(node.input[0])}")
    width = table.shape[1]
    source = walk.index.add("y", tokens.ids.size * width, steps=tokens.ids.size, width=width)
    walk.embedded = found
    return walk.store(node, [Tracked(ids=source.ids.reshape(*tokens.ids.shape, width))])


def arithmetic(walk, node: onnx.NodeProto, inputs: list, tracked: list):
    """Add, Sub, Mul, Div of data and a constant; Add, Sub and Mul of two layers' results."""
    if len(inputs) != 2 or (all(tracked) and node.op_type == "Div"):
        return walk.refuse(node, "(of two computed tensors)")
    if all(tracked):
        return _merge(walk, node, *inputs)
    op, first = node.op_type, tracked[0]
    data, constant = inputs if first else inputs[::-1]
    if data.integer or (op == "Div" and not first):
        return walk.refuse(node)
    values = check_weights(constant, f"{label(node)}, constant "
                           f"{quote(node.input[1 if first else 0])}")
    try:
        ids, values = np.broadcast_arrays(data.ids, values)
    except ValueError:
        raise ImportRefused(label(node), f"cannot combine the shapes {data.ids.shape} and "
                            f"{values.shape}", "export the model again") from None
    walk.graph.file.spend(ids.size, label(node))
    if op == "Div" and not np.all(values):
        raise ImportRefused(label(node), "divides by zero", "export the model again")
    if op == "Add":
        new = walk.index.derive(ids, 1.0, values)
    elif op == "Sub":
        new = walk.index.derive(ids, 1.0 if first else -1.0, -values if first else values)
    else:
        new = walk.index.derive(ids, values if op == "Mul" else 1.0 / values, 0.0)
    return walk.store(node, [Tracked(ids=np.array(new))])


def normalise(walk, node: onnx.NodeProto, inputs: list):
    """BatchNormalization as it runs after training: a factor and an offset for each channel."""
    data, values, what = inputs[0], attributes(node), label(node)
    if values.get("training_mode", 0) or any(node.output[1:]) or not values.get("spatial", 1):
        return walk.refuse(node, "(in training mode: export the model after model.eval())")
    if not isinstance(data, Tracked) or any(isinstance(v, Tracked) for v in inputs[1:]):
        return walk.refuse(node, "(its statistics are computed)")
    scale, offset, mean, variance = (
        check_weights(v, f"{what}, {word} {quote(name)}") for v, word, name in
        zip(inputs[1:], ("scale", "bias", "mean", "variance"), node.input[1:]))
    shape = data.ids.shape
    if data.integer or len(shape) < 2 or any(v.shape != shape[1:2] for v in (
            scale, offset, mean, variance)):
        raise ImportRefused(what, f"normalises a tensor of the shape {shape} by statistics of "
                            f"{scale.shape[0] if scale.ndim else 0} channels",
                            "the channels must be axis 1: export the model again")
    variance = variance + float(values.get("epsilon", 1e-5))
    if np.any(variance <= 0):
        raise ImportRefused(what, "has a variance that is not above zero", "export it again")
    walk.graph.file.spend(data.ids.size, what)
    factor = scale / np.sqrt(variance)
    across = (-1, *[1] * (len(shape) - 2))
    ids = walk.index.derive(data.ids, factor.reshape(across),
                            (offset - mean * factor).reshape(across))
    return walk.store(node, [Tracked(ids=ids)])


def _merge(walk, node: onnx.NodeProto, a: Tracked, b: Tracked):
    """a + b or a - b, as a linear layer of two identities that what reads it may swallow; a * b."""
    if a.integer or b.integer:
        return walk.refuse(node, "(of two computed tensors of different kinds)")
    try:
        shape = np.broadcast_shapes(a.ids.shape, b.ids.shape)
    except ValueError:
        return walk.refuse(node, "(of two computed tensors of different shapes)")
    walk.graph.file.spend(int(np.prod(shape)), label(node))
    a, b = (np.broadcast_to(v.ids, shape) for v in (a, b))
    order, other = vectors(walk.index, a), vectors(walk.index, b)
    if order is None or other is None or not np.array_equal(order, other):
        return walk.refuse(node, "(of two tensors that are not layers' results)")
    rows = np.concatenate([ids.ravel()[order] for ids in (a, b)], axis=1)
    if node.op_type == "Mul":
        ids = walk.insert(a, order, rows, node.name, cell=Cell.PRODUCT)
    else:
        ids = walk.insert(a, order, rows, node.name,
                          (1.0, 1.0 if node.op_type == "Add" else -1.0))
    return walk.store(node, [Tracked(ids=ids)])


def pool(walk, node: onnx.NodeProto, inputs: list):
    """ReduceMean, ReduceMax and the global pools over the steps of layers' results."""
    ids, values, cell = inputs[0].ids, attributes(node), POOLS[node.op_type]
    rank, shape = ids.ndim, ids.shape
    if node.op_type.startswith("Global"):  # of (batch, channel, ...), over all axes behind
        axes, keep = list(range(2, rank)), True
    else:
        axes = values.get("axes") if len(inputs) < 2 or inputs[1] is None else inputs[1].tolist()
        keep = values.get("keepdims", 1)
        if not axes and values.get("noop_with_empty_axes", 0):
            return walk.store(node, [inputs[0]])
        axes = axes or list(range(rank))
    if inputs[0].integer or not all(-rank <= axis < rank for axis in axes):
        return walk.refuse(node)
    axes = tuple({axis % rank for axis in axes})
    over = [axis for axis in axes if shape[axis] > 1]
    if len(over) > 1:
        return walk.refuse(node, "(over several axes: it must be over the steps alone)")
    if over:
        ids = _pooled(walk, node, ids, over[0], cell)
        if ids is None:
            return walk.refuse(node, "(not over the steps of a layer's results)")
    return walk.store(node, [Tracked(ids=ids if keep else np.squeeze(ids, axis=axes))])


def _pooled(walk, node: onnx.NodeProto, ids: np.ndarray, axis: int, cell: Cell):
    """Numbers of a pool over one axis, which stays with one element; None where it is no pool."""
    order, what = vectors(walk.index, ids), label(node)
    rows = np.moveaxis(ids, axis, 0).reshape(ids.shape[axis], -1)
    if order is None or not np.array_equal(rows, ids.ravel()[order]):
        return None
    found = read(walk.index, rows, what)
    if cell is Cell.MAX and np.any(found.scale <= 0):    # of these it would be a minimum
        plain = walk.materialise(ids, IDENTITY, node.name)
        return None if plain is None else _pooled(walk, node, plain, axis, cell)
    if any(lengths is not None for lengths in walk.lengths):
        raise ImportRefused(what, "goes over all steps of a layer with sequence_lens, though "
                            "sequences may have ended before", "pool outside of the model, or "
                            "export it without lengths")
    if found.when != "every" or any(part.source.draft is None for part in found.parts):
        return None
    made = np.empty(found.width, dtype=np.int64)
    for part in found.parts:
        width = part.source.width
        walk.graph.file.spend(width ** 2, what)
        draft = Draft(sources=(part.source,), when="every", cell=cell, name=node.name,
                      w=np.zeros((width, width)), bias_x=np.zeros(width))
        made[part.columns] = walk.linear_source(1, draft).base + part.features
    made = walk.index.derive(made, found.scale, found.offset)
    return np.expand_dims(made.reshape(np.delete(ids.shape, axis)), axis)


def product(walk, node: onnx.NodeProto, inputs: list):
    """MatMul and Gemm of data and constant weights: a linear layer."""
    gemm, what = node.op_type == "Gemm", label(node)
    values = attributes(node) if gemm else {}
    a, b = inputs[:2]
    if isinstance(a, Tracked) == isinstance(b, Tracked):
        return walk.refuse(node, "(of two computed tensors)")
    turned = isinstance(b, Tracked)    # weights on the left: y = W x for column vectors x
    if (b if turned else a).integer:
        return walk.refuse(node, "(of integers)")
    data, weights = (b.ids, a) if turned else (a.ids, b)
    weights = check_weights(weights, f"{what}, weight {quote(node.input[0 if turned else 1])}")
    while weights.ndim > 2 and weights.shape[0] == 1:
        weights = weights[0]
    if gemm and values.get("transB" if turned else "transA", 0):
        data = data.swapaxes(-1, -2)
    if gemm and values.get("transA" if turned else "transB", 0):
        weights = weights.T
    if weights.ndim != 2 or data.ndim < (2 if turned or gemm else 1):
        return walk.refuse(node, "(weights must have two axes)")
    if turned:
        data, weights = data.swapaxes(-1, -2), weights.T
    if data.shape[-1] != weights.shape[0]:
        raise ImportRefused(what, f"multiplies vectors of {data.shape[-1]} by a matrix of "
                            f"{weights.shape[0]} rows", "export the model again")
    operand = read(walk.index, data.reshape(-1, data.shape[-1]), what)
    scale = float(values.get("alpha", 1.0))
    walk.spend_on(operand, weights.shape[1], what)
    draft = linear(node.name, operand, scale * weights.T, np.zeros(weights.shape[1]))
    source = walk.linear_source(operand.steps, draft)
    ids = source.ids.reshape(*data.shape[:-1], -1)
    if turned:
        ids = ids.swapaxes(-1, -2)
    if gemm and len(inputs) > 2 and inputs[2] is not None:
        if isinstance(inputs[2], Tracked):
            return walk.refuse(node, "(its bias is computed)")
        bias = check_weights(inputs[2], f"{what}, bias {quote(node.input[2])}")
        try:
            bias = np.broadcast_to(bias, ids.shape) * float(values.get("beta", 1.0))
        except ValueError:
            raise ImportRefused(what, f"cannot add a bias of the shape {bias.shape} to results of "
                                f"{ids.shape}", "export the model again") from None
        ids = walk.index.derive(ids, 1.0, bias)
    return walk.store(node, [Tracked(ids=ids)])


def final(walk, node: onnx.NodeProto, data: Tracked):
    """Softmax, LogSoftmax, ArgMax over the features."""
    kind, values = FINALS[node.op_type], attributes(node)
    old = walk.graph.file.opset < 13 and kind is not Final.ARGMAX
    axis = values.get("axis", 0 if kind is Final.ARGMAX else 1 if old else -1)
    shape = data.ids.shape
    if not -len(shape) <= axis < len(shape) or values.get("select_last_index", 0):
        return walk.refuse(node)
    axis %= len(shape)
    found = walk.index.resolve(data.ids)
    if kind is Final.ARGMAX and found and found.source.kind == "final" and found.plain \
            and found.source.final is not Final.ARGMAX:
        base = found.source.of         # the largest logit is the largest probability
        ids = base.base + found.at
    else:
        ids = walk.materialise(data.ids, IDENTITY, node.name)
        base = None if ids is None else walk.index.resolve(ids).source
    if base is None:
        return walk.refuse(node, "(not of a layer's result)")
    at = ids - base.base
    # before opset 13 the axis and all behind it were one
    rows = at.reshape(int(np.prod(shape[:axis])), -1) if old \
        else np.moveaxis(at, axis, -1).reshape(-1, shape[axis])
    steps = rows[:, :1] // base.width
    if rows.shape[1] != base.width \
            or not np.array_equal(rows, steps * base.width + np.arange(base.width)):
        return walk.refuse(node, f"(axis {axis} is not the axis of one step's values)")
    width = 1 if kind is Final.ARGMAX else base.width
    source = walk.index.add("final", base.steps * width, steps=base.steps, width=width,
                            once=base.once, of=base, final=kind)
    if kind is not Final.ARGMAX:
        return walk.store(node, [Tracked(ids=source.base + at)])
    new = source.base + (np.take(at, 0, axis=axis) // base.width)
    if values.get("keepdims", 1):
        new = np.expand_dims(new, axis)
    return walk.store(node, [Tracked(ids=new, integer=True)])
