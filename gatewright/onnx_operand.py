"""What a layer reads: the vectors of its steps, put together from the results of other layers.

N vectors, F values in each, T steps of a source.
"""

from dataclasses import dataclass

import numpy as np

from .errors import ImportRefused
from .onnx_index import Index, Source, all_differ, per_feature

__all__ = ["Operand", "Part", "operand", "vectors"]

_REMEDY = ("a layer can read every step of the layers before, in order, their last step, or their "
           "last states")


@dataclass(frozen=True, eq=False, kw_only=True)
class Part:
    """The values of one source.

    Parameters
    ----------
    source : Source
    columns, features : int64 (n,)
        Places in the vector, and which value of the source's step stands at each.
    """

    source: Source
    columns: np.ndarray
    features: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class Operand:
    """The sequence that a layer reads.

    Parameters
    ----------
    parts : tuple of Part
    when : str
        "every" step; the "last" step of the sequence; or of each source what it has computed last
        ("final"), which of a reverse layer is the first step.
    scale, offset : float64 (F,)
        To be applied to each vector first.
    """

    parts: tuple
    when: str
    scale: np.ndarray
    offset: np.ndarray

    @property
    def width(self) -> int:
        """F."""
        return len(self.scale)

    @property
    def once(self) -> bool:
        """True for one vector a sequence."""
        return self.when != "every" or all(part.source.once for part in self.parts)

    @property
    def steps(self) -> int:
        """N."""
        return 1 if self.once else self.parts[0].source.steps

    def place(self, w: np.ndarray, bias: np.ndarray) -> tuple:
        """(sources, W, bias) of a layer, so that W multiplies its sources' results as they are.

        A linear layer that only stands for element-wise operators is multiplied into W.

        Parameters
        ----------
        w : float64 (R, F)
        bias : float64 (R,)
        """
        bias, blocks = bias + w @ self.offset, {}
        w = w * self.scale
        for part in self.parts:
            block = np.zeros((len(w), part.source.width))
            np.add.at(block.T, part.features, w[:, part.columns].T)
            sources, draft = (part.source,), part.source.draft
            if draft is not None and draft.folds:
                bias, block, sources = bias + block @ draft.bias_x, block @ draft.w, draft.sources
            start = 0
            for source in sources:
                piece = block[:, start:start + source.width]
                blocks[source] = blocks[source] + piece if source in blocks else piece
                start += source.width
        parts = list(blocks.values())
        return tuple(blocks), parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1), bias


def vectors(index: Index, ids: np.ndarray) -> np.ndarray | None:
    """Where in a tensor of layers' results each step's vector stands.

    Returns
    -------
    int64 (N, F), places in the flattened tensor; None where it does not fall into vectors
    """
    flat = ids.ravel()
    number, at, _, _ = index.roots(flat)
    steps, several = np.zeros(flat.shape, dtype=np.int64), False
    for k in np.flatnonzero(np.bincount(number)):
        source, mask = index.sources[k], number == k
        if source.kind != "y":
            return None
        steps[mask] = at[mask] // source.width
        several |= bool(np.ptp(steps[mask]))
    if not several:                        # one vector, whichever step each source gives
        return np.arange(flat.size)[None]
    count = np.bincount(steps)
    if not np.all(count == count[0]):
        return None
    return np.argsort(steps, kind="stable").reshape(len(count), -1)


def operand(index: Index, rows: np.ndarray, what: str) -> Operand:
    """What a layer reads, from the numbers of its vectors.

    Parameters
    ----------
    index : Index
    rows : int64 (N, F)
    what : str
        The reader, for messages.
    """
    number, at, scale, offset = index.roots(rows)
    if np.any(number != number[0]):
        raise ImportRefused(what, "reads a mixture of several tensors",
                            "each value of the vectors that it reads must come from one layer")
    parts, found = [], set()
    for k in dict.fromkeys(number[0].tolist()):
        columns = np.flatnonzero(number[0] == k)
        source, own = index.sources[k], at[:, columns]
        if source.kind == "input":
            _whole_input(source, own, at.shape[1], what)
            features = np.arange(len(columns))
            found.add("every")
        elif source.kind == "y":
            found.add(_steps(source, own, what))
            features = own[0] % source.width
        else:
            kinds = {"c": "a cell state", "final": "the result of a softmax or argmax",
                     "constant": "a constant"}
            raise ImportRefused(what, f"reads {kinds[source.kind]}",
                                "a layer can read the input or other layers' results")
        parts.append(Part(source=source, columns=columns, features=features))
    places = np.broadcast_to(np.arange(at.shape[1]), at.shape)
    scale, offset = (per_feature(v, places, at.shape[1]) for v in (scale, offset))
    if scale is None or offset is None:
        raise ImportRefused(what, "reads values that are scaled or shifted differently in "
                            "different steps", "scale them alike in every step")
    return Operand(parts=tuple(parts), when=_when(found, what), scale=scale, offset=offset)


def _when(found: set, what: str) -> str:
    """One word for what the parts say: "end" fits the last step and the last states."""
    found = found - {"once"} or {"end"}
    if found - {"end"}:
        found = found - ({"end"} if "every" not in found else set())
    if len(found) > 1:
        raise ImportRefused(what, "reads different steps of several layers at once", _REMEDY)
    return "last" if found == {"end"} else found.pop()


def _whole_input(source: Source, at: np.ndarray, width: int, what: str) -> None:
    """Note in which order the first layer reads a graph input; every other must do the same."""
    if source.view is None and source.size == at.size and at.shape[1] == width and all_differ(at):
        source.view, source.steps, source.width = at, *at.shape
    elif source.view is None or not np.array_equal(source.view, at):
        raise ImportRefused(what, f"reads a part of the graph input {source.name!r}, or reads it "
                            "in another order than the layer before",
                            "the first layer must read the whole input, step by step")


def _steps(source: Source, at: np.ndarray, what: str) -> str:
    """Which steps of a source stand in the rows: every, last, final, end (both), once."""
    rows, width = at.shape
    steps = at[:, 0] // source.width
    if np.any(at // source.width != steps[:, None]) and width > source.width:
        raise ImportRefused(what, f"reads {width} values at once (a flattened sequence) of a layer "
                            f"that has {source.width}", _REMEDY)
    if not np.array_equal(at, steps[:, None] * source.width + at[0] % source.width):
        raise ImportRefused(what, "reads the values of a layer in another order (a transpose "
                            "or reshape mixes steps and values)", _REMEDY)
    if source.once:
        return "once"
    if np.array_equal(steps, np.arange(source.steps)):
        return "every"
    reverse = source.draft is not None and source.draft.reverse
    if rows == 1 and steps[0] == source.steps - 1:
        return "last" if reverse else "end"
    if rows == 1 and reverse and steps[0] == 0:
        return "final"
    if rows == 1:
        reason = f"reads step {steps[0]} of {source.steps} alone"
    elif np.array_equal(steps, np.arange(source.steps)[::-1]):
        reason = "reads the steps backwards"
    else:
        reason = f"reads {rows} of {source.steps} steps, or reads them in another order"
    raise ImportRefused(what, reason, _REMEDY)
