"""``sequence_lens``: how long each sequence of a batch is, as a constant or a graph input.

Every recurrent node of a graph must have the same, so that a sequence of the network has one
length. Behind its end ONNX's results are zero; Y_h and Y_c are those of its own last step.
"""

import numpy as np
import onnx

from golden.network import Binding

from .errors import ImportRefused, quote
from .onnx_index import Tracked
from .onnx_node import label

__all__ = ["bind_lengths", "fixed_lengths", "lengths_of"]


def lengths_of(walk, node: onnx.NodeProto, value, steps: int):
    """What the input ``sequence_lens`` of a node says.

    Parameters
    ----------
    walk : Trace
    value : Tracked, ndarray or None
        The input.
    steps : int
        T.

    Returns
    -------
    None, str or tuple of int
        None: every sequence runs to its end. The name of a graph input, or a length for each
        sequence of the file's batch.
    """
    what = f"{label(node)}, sequence_lens {quote(node.input[4]) if len(node.input) > 4 else ''}"
    if value is None:
        return None
    if isinstance(value, Tracked):
        found = walk.index.resolve(value.ids)
        if value.ids.shape != (1,) or not value.integer or found is None \
                or found.source.kind != "input" or not found.plain:
            raise ImportRefused(what, "is computed from the data, or is not one integer a sequence",
                                "it must be a constant or a graph input of its own")
        return found.source.name
    if value.dtype.kind not in "iu" or value.shape not in ((walk.batch,), (1,)):
        raise ImportRefused(what, f"is {value.dtype} of the shape {value.shape}",
                            f"it must hold integers, one for each of {walk.batch} sequence(s)")
    if value.min() < 1 or value.max() > steps:
        raise ImportRefused(what, f"holds lengths from {value.min()} to {value.max()}",
                            f"they must be 1 to {steps}, the steps of X")
    return None if np.all(value == steps) else tuple(value.tolist())


def _common(walk):
    """The lengths of all recurrent nodes, which must be one."""
    found = list(dict.fromkeys(walk.lengths))
    if len(found) > 1:
        raise ImportRefused("the graph", "has recurrent layers with different sequence_lens, or "
                            "some of them without", "give all of them the same")
    return found[0] if found else None


def fixed_lengths(walk) -> tuple:
    """Constant lengths of the sequences of the file's batch; empty where there are none."""
    common = _common(walk)
    return common if isinstance(common, tuple) else ()


def bind_lengths(walk) -> Binding | None:
    """Where the graph input with the lengths lies, if there is one."""
    name = _common(walk)
    if not isinstance(name, str):
        return None
    item = next(i for i in walk.graph.inputs if i.name == name)
    size = None if isinstance(item.dims[0], str) else walk.batch
    return Binding(name=name, axes=("batch",), dtype=item.dtype, shape=(size,), kind="n")
