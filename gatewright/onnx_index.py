"""Which element of which tensor: index tensors in place of data.

Every element that depends on the data has a number. A *source* is a block of such numbers: a graph
input, or the results of a layer. Operators that only move elements are run on the numbers, so any
spelling of a reshuffle reduces to "these elements, in this order".

T steps, F features (values of one step).
"""

from bisect import bisect_right
from dataclasses import dataclass, field

import numpy as np

from .errors import ImportRefused

__all__ = ["MAX_NUMBERS", "Index", "Resolved", "Source", "Tracked", "all_differ", "axis_roles",
           "per_feature"]

MAX_NUMBERS = 1 << 23           # of all tensors together: some 100 MiB, a second


@dataclass(eq=False, kw_only=True)
class Source:
    """A block of numbered elements.

    Parameters
    ----------
    kind : str
        "input" (graph input), "y" (results of a layer, step-major), "c" (last cell state), "final"
        (result of a last function) or "derived" (elements of others, scaled and shifted).
    base, size : int
        The block's numbers: base to base + size - 1.
    name : str
        Of the graph input.
    steps, width : int
        T and F of "y" and "final".
    once : bool
        A result of the last step alone; steps is then 1.
    draft : object
        What made a "y" or "c"; see ``onnx_cells``.
    parent, scale, offset : int64 and float64 (size,)
        "derived": element k is ``scale[k] * element[parent[k]] + offset[k]``.
    of : Source
        "final": what the function was applied to.
    view : int64 (T, F)
        "input": offsets of its elements as the first layer reads them.
    ending : bool
        "derived", of a whole result: a sequence may end before its last step.
    """

    kind: str
    base: int
    size: int
    name: str = ""
    steps: int = 0
    width: int = 0
    once: bool = False
    draft: object = None
    parent: np.ndarray | None = None
    scale: np.ndarray | None = None
    offset: np.ndarray | None = None
    of: "Source | None" = None
    final: object = None
    view: np.ndarray | None = None
    ending: bool = False

    def check_whole(self, at: np.ndarray) -> None:
        """Refuse offsets of some steps alone where a sequence may end before them."""
        if self.ending and len(np.unique(at // self.width)) < self.steps:
            raise ImportRefused("the result Y of a layer with sequence_lens", "is read at single "
                                "steps, though sequences may have ended there",
                                "read the state of each sequence's own last step from Y_h")

    @property
    def ids(self) -> np.ndarray:
        """All its numbers, in order."""
        return np.arange(self.base, self.base + self.size)


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """A tensor that depends on the data: one number an element, and whether it holds integers."""

    ids: np.ndarray
    integer: bool = False


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """Elements of one root source: offsets in it, and what was done to each on the way."""

    source: Source
    at: np.ndarray
    scale: np.ndarray
    offset: np.ndarray

    @property
    def plain(self) -> bool:
        """True where the elements are unchanged."""
        return bool(np.all(self.scale == 1.0) and not np.any(self.offset))


@dataclass(kw_only=True)
class Index:
    """All sources of one trace."""

    sources: list = field(default_factory=list)
    starts: list = field(default_factory=list)
    total: int = 0

    def add(self, kind: str, size: int, **fields) -> Source:
        """Number ``size`` new elements."""
        if self.total + size > MAX_NUMBERS:
            raise ImportRefused("the graph", f"has more than {MAX_NUMBERS} elements in the "
                                "tensors of one sequence", "export with a shorter sequence")
        source = Source(kind=kind, base=self.total, size=size, **fields)
        self.sources.append(source)
        self.starts.append(source.base)
        self.total += size
        return source

    def derive(self, ids: np.ndarray, scale, offset) -> np.ndarray:
        """Numbers of ``scale * element + offset``; arrays of the shape of ``ids``."""
        scale, offset = (np.broadcast_to(np.asarray(v, dtype=np.float64), ids.shape)
                         for v in (scale, offset))
        if np.all(scale == 1.0) and not np.any(offset):
            return ids
        source = self.add("derived", ids.size, parent=ids.ravel(), scale=scale.ravel(),
                          offset=offset.ravel())
        return source.ids.reshape(ids.shape)

    def ending(self, source: Source) -> np.ndarray:
        """Other numbers of a source's elements, for results behind which a sequence may end."""
        return self.add("derived", source.size, parent=source.ids, scale=np.ones(source.size),
                        offset=np.zeros(source.size), steps=source.steps, width=source.width,
                        ending=True).ids

    def resolve(self, ids: np.ndarray) -> Resolved | None:
        """The root source of ``ids``; None where they come from several."""
        scale, offset = np.ones(ids.shape), np.zeros(ids.shape)
        while True:
            low, high = int(ids.min()), int(ids.max())
            source = self.sources[bisect_right(self.starts, low) - 1]
            if high >= source.base + source.size:
                return None
            at = ids - source.base
            source.check_whole(at)
            if source.kind != "derived":
                return Resolved(source=source, at=at, scale=scale, offset=offset)
            offset = offset + scale * source.offset[at]
            scale = scale * source.scale[at]
            ids = source.parent[at]

    def roots(self, ids: np.ndarray) -> tuple:
        """The root source of each element: its number, the offset in it, and scale and offset.

        Returns
        -------
        (int64, int64, float64, float64), each of the shape of ``ids``
        """
        starts = np.array(self.starts)
        derived = np.array([source.kind == "derived" for source in self.sources])
        ids, scale, offset = ids.copy(), np.ones(ids.shape), np.zeros(ids.shape)
        while True:
            number = np.searchsorted(starts, ids, side="right") - 1
            if not derived[number].any():
                return number, ids - starts[number], scale, offset
            for k in np.flatnonzero(np.bincount(number.ravel())):
                source = self.sources[k]
                if source.kind == "derived":
                    mask = number == k
                    at = ids[mask] - source.base
                    source.check_whole(at)
                    offset[mask] += scale[mask] * source.offset[at]
                    scale[mask] *= source.scale[at]
                    ids[mask] = source.parent[at]


def all_differ(at: np.ndarray) -> bool:
    """True where no offset occurs twice. at : int64, none negative."""
    return at.size > 0 and int(np.bincount(at.ravel()).max()) == 1    # np.unique is 20 times slower


def per_feature(values: np.ndarray, features: np.ndarray, width: int) -> np.ndarray | None:
    """``values`` as one number a feature, (width,); None where they differ within a feature.

    Features that do not occur get 0.
    """
    table = np.zeros(width)
    table[features.ravel()] = values.ravel()
    return table if np.array_equal(table[features], values) else None


def axis_roles(roles: dict, shape: tuple, dims: tuple, *, state: bool) -> tuple | None:
    """The role of each axis of a graph tensor.

    Parameters
    ----------
    roles : dict of str to int64 array
        For each role ("time", "feature", "layer") its coordinate at every element of the tensor,
        in an array of the tensor's own shape.
    shape : tuple of int
    dims : tuple
        As declared: of the length-1 axes, one that is an open dimension (a str), or declared with
        another length, is the batch.
    state : bool
        Of a state, so that a spare length-1 axis in front is the layer axis.

    Returns
    -------
    tuple of str, or None where the roles do not belong to one axis each
    """
    found = [None] * len(shape)
    for role, coordinate in roles.items():
        for axis, size in enumerate(shape):
            along = np.arange(size).reshape([-1 if a == axis else 1 for a in range(len(shape))])
            if size > 1 and np.array_equal(coordinate, np.broadcast_to(along, shape)):
                found[axis] = role
        if np.any(coordinate) and role not in found:
            return None
    spare = [axis for axis, role in enumerate(found) if role is None]
    if any(shape[axis] > 1 for axis in spare):
        return None
    if "feature" not in found and "feature" in roles and spare:
        found[spare.pop()] = "feature"
    opened = [axis for axis in spare if axis < len(dims) and dims[axis] != shape[axis]]
    if spare:
        single_step = "time" in roles and "time" not in found and len(spare) > 1
        batch = (opened or [spare[0] if single_step else spare[-1]])[0]
        spare.remove(batch)
        found[batch] = "batch"
        if single_step:
            found[spare.pop(0)] = "time"
    if state and spare and "layer" not in found:
        found[spare.pop(0)] = "layer"
    return tuple(role or "one" for role in found)
