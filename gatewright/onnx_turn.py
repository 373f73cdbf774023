"""Recurrent nodes with ``layout`` 1 as nodes with ``layout`` 0 between transposes.

onnxruntime has the first in no version; with the second it runs the same file.
"""

import onnx
from onnx import helper

__all__ = ["time_first"]

_STATE, _INPUT, _RESULT = [1, 0, 2], [1, 0, 2], [2, 0, 1, 3]


def _fresh(name: str, taken: set) -> str:
    """A name like this one that no tensor has; it is taken from then on."""
    name += "_turned"
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def time_first(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model in which no recurrent node has ``layout`` 1; inputs and outputs are the same.

    Parameters
    ----------
    model : onnx.ModelProto
        Stays as it is.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    taken = {item.name for part in (model.graph.input, model.graph.output, model.graph.initializer)
             for item in part}
    taken |= {name for node in model.graph.node for name in (*node.input, *node.output)}
    nodes = []
    for node in model.graph.node:
        layout = next((a for a in node.attribute if a.name == "layout"), None)
        if node.op_type not in ("RNN", "GRU", "LSTM") or layout is None or layout.i != 1:
            nodes.append(node)
            continue
        turned, before, behind = onnx.NodeProto(), [], []
        turned.CopyFrom(node)
        turned.attribute.remove(layout)
        for k, axes in ((0, _INPUT), (5, _STATE), (6, _STATE)):
            if k < len(node.input) and node.input[k]:
                turned.input[k] = _fresh(node.input[k], taken)
                before.append(helper.make_node("Transpose", [node.input[k]], [turned.input[k]],
                                               perm=axes))
        for k, axes in ((0, _RESULT), (1, _STATE), (2, _STATE)):
            if k < len(node.output) and node.output[k]:
                turned.output[k] = _fresh(node.output[k], taken)
                behind.append(helper.make_node("Transpose", [turned.output[k]], [node.output[k]],
                                               perm=axes))
        nodes += [*before, turned, *behind]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made
