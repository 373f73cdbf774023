"""One node: how messages name it, whether it is as ONNX defines it, what it makes of arrays."""

import math

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from .errors import GatewrightError, ImportRefused, quote
from .onnx_file import MAX_ELEMENTS, MAX_RANK, READABLE, ModelFile

__all__ = ["FOLDABLE", "STRUCTURAL", "ProbeRefused", "attributes", "check_node", "evaluate",
           "label"]

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

# The same kinds in messages.
_NAMES = {"FLOAT": "a float", "INT": "an integer", "STRING": "a text", "FLOATS": "floats",
          "INTS": "integers", "STRINGS": "texts", "TENSOR": "a tensor", "GRAPH": "a graph"}


class ProbeRefused(ImportRefused):
    """A refusal that may only mean that the wrong dimension was taken for time or batch.

    ``batch`` is the number of sequences that a recurrent node runs at once, where that is why.
    """

    def __init__(self, what: str, reason: str = "", remedy: str = "", *, batch: int = 1):
        super().__init__(what, reason, remedy)
        self.batch = batch


def label(node: onnx.NodeProto) -> str:
    """A node as messages name it."""
    name = node.name or next((o for o in node.output if o), "")
    return f"node {quote(name)} ({quote(node.op_type, 30)[1:-1]})"


def check_node(node: onnx.NodeProto, opset: int) -> None:
    """Refuse a node of a standard operator that is not as the operator set defines it.

    Which operators are supported is not judged here.
    """
    what, remedy = label(node), "the file is damaged: export the model again"
    try:
        schema = onnx.defs.get_schema(node.op_type, opset)
    except onnx.defs.SchemaError:
        raise ImportRefused(what, f"is no operator of opset {opset}",
                            "export with a newer opset") from None
    for part, given, formal, least, most in (
            ("input", node.input, schema.inputs, schema.min_input, schema.max_input),
            ("output", node.output, schema.outputs, schema.min_output, schema.max_output)):
        if len(given) > most:
            raise ImportRefused(what, f"has {len(given)} {part}s, more than the {most} of a "
                                f"{node.op_type}", remedy)
        for k in range(least):
            wanted = formal[min(k, len(formal) - 1)]     # a variadic one stands for all that follow
            if k >= len(given) or not given[k] and part == "input" and \
                    wanted.option.name == "Single":
                raise ImportRefused(what, f"lacks its {part} {wanted.name}", remedy)
    names = [attribute.name for attribute in node.attribute]
    for attribute in node.attribute:
        name, given = quote(attribute.name), onnx.AttributeProto.AttributeType.Name(attribute.type)
        if attribute.name not in schema.attributes:
            raise ImportRefused(what, f"has the unknown attribute {name}, for opset {opset}",
                                remedy)
        wanted = schema.attributes[attribute.name].type.name
        if given != wanted:
            raise ImportRefused(what, f"its attribute {name} must be {_NAMES.get(wanted, wanted)}, "
                                f"not {_NAMES.get(given, given)}", remedy)
        if names.count(attribute.name) > 1 or attribute.ref_attr_name:
            raise ImportRefused(what, f"has the attribute {name} twice, or by reference", remedy)
    for name, definition in schema.attributes.items():
        if definition.required and name not in names:
            raise ImportRefused(what, f"lacks its attribute {quote(name)}", remedy)


def attributes(node: onnx.NodeProto) -> dict:
    """Attribute values of a checked node by name; tensors stay ``TensorProto``."""
    values = {}
    for attribute in node.attribute:
        kind = onnx.AttributeProto.AttributeType.Name(attribute.type)
        if kind not in _SPECIAL:
            raise ImportRefused(label(node), f"its attribute {quote(attribute.name)} is of a kind "
                                "that is not read", "export the model again")
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
    if node.op_type in ("Shape", "Size"):
        return MAX_RANK
    if node.op_type in STRUCTURAL:
        return sum(math.prod(shape) for shape in shapes)
    return math.prod(np.broadcast_shapes(*shapes)) if shapes else 1


def _filled(node: onnx.NodeProto, shape: np.ndarray, file: ModelFile) -> np.ndarray:
    """ConstantOfShape, whose value is a tensor that must be checked like any other."""
    value = attributes(node).get("value")
    values = np.zeros(1, np.float32) if value is None else file.tensor(value, label(node))
    return np.full([int(n) for n in shape], values.reshape(()))


def evaluate(node: onnx.NodeProto, inputs: list, file: ModelFile) -> list:
    """Run one operator on arrays.

    Parameters
    ----------
    inputs : list of (ndarray or None)
        In the order of the node's inputs; None for one that is left out.
    file : ModelFile
        Whose operator set is meant, and who accounts for what is made.

    Returns
    -------
    list of ndarray, one for each output that has a name
    """
    try:
        size = _result_size(node, inputs)
        if not 0 <= size <= MAX_ELEMENTS:
            raise ImportRefused(label(node), f"makes a tensor of more than {MAX_ELEMENTS} elements",
                                "no network of that size fits a device")
        file.spend(size, label(node))
        if node.op_type == "ConstantOfShape":
            return [_filled(node, inputs[0], file)]
        if node.op_type == "Cast" and attributes(node)["to"] not in READABLE:
            raise ImportRefused(label(node), "makes values of a type that is not read",
                                "export it as float32 (weights) or int64 (shapes)")
        # as a model, since the evaluator reads a lone node in the newest opset
        infos = [[onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name]
                 for names in (node.input, node.output)]
        run = ReferenceEvaluator(onnx.helper.make_model(
            onnx.helper.make_graph([node], "one", *infos),
            opset_imports=[onnx.helper.make_opsetid("", file.opset)]))
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
