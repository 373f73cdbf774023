"""From a walk over the graph to the parts of a network: the chain of layers and the bindings."""

from dataclasses import dataclass, replace

import numpy as np

from golden.network import Activation, Binding, Cell, Final

from .errors import ImportRefused, quote
from .onnx_graph import GraphInput
from .onnx_index import Resolved, Source, all_differ, axis_roles
from .onnx_trace import Trace

__all__ = ["Chain", "bind_input", "bind_outputs", "bind_states", "build_chain"]

MAX_LAYERS = 256
_ONE_HEAD = "one result and the last states can be returned: export with fewer outputs"


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The layers from the input to the result.

    Parameters
    ----------
    drafts : tuple of Draft
    last_only : tuple of bool, one a draft
    root : Source
        The graph input that the first layer (or the embedding) reads.
    final : Final
    last : bool
        The graph reads the last step alone.
    result : str or None
        Name of the graph output that carries the result; None where only states are returned.
    """

    drafts: tuple
    last_only: tuple
    root: Source
    final: Final
    last: bool
    result: str | None

    @property
    def signature(self) -> tuple:
        """What must not depend on the length of the sequence."""
        return (tuple((d.name, d.cell, d.units) for d in self.drafts), self.last_only, self.final,
                self.last)


def _is_recurrent(source: Source) -> bool:
    return source.draft is not None and source.draft.cell is not Cell.LINEAR


def _parts(walk: Trace, ids: np.ndarray) -> list | None:
    """(draft, kind, mask, offset in the state) of each state in ``ids``; None if it is no state."""
    parts = []
    starts = np.searchsorted(walk.index.starts, ids, side="right") - 1
    for number in dict.fromkeys(starts.ravel().tolist()):
        mask = starts == number
        found = walk.index.resolve(ids[mask])
        source = found.source
        if not found.plain or source.kind not in ("y", "c") or not _is_recurrent(source):
            return None
        at = found.at if source.kind == "c" else found.at - (source.steps - 1) * source.width
        if at.size != source.width or np.any(at < 0) or not all_differ(at):
            return None
        parts.append((source.draft, "c" if source.kind == "c" else "h", mask, at))
    return parts


def _depth(draft) -> int:
    depth = 0
    while draft is not None:
        draft, depth = draft.operand.source.draft, depth + 1
    return depth


def build_chain(walk: Trace) -> Chain:
    """Find the result among the graph's outputs, and the layers behind it."""
    strong, weak, states = [], [], []
    for name, value in walk.outputs.items():
        found = walk.index.resolve(value.ids)
        parts = _parts(walk, value.ids)
        if found is not None and found.source.kind in ("y", "final") and \
                (found.source.draft or found.source.of):
            (strong if parts is None else weak).append((name, found))
        elif parts is None:
            what = f"graph output {quote(name)}"
            raise ImportRefused(what, "is neither the result of a layer nor a last state",
                                _ONE_HEAD)
        states += parts or []
    if len(strong) > 1:
        names = ", ".join(quote(name) for name, _ in strong[:6])
        raise ImportRefused(f"graph outputs {names}", "are several results", _ONE_HEAD)
    if strong or weak:
        name, found = strong[0] if strong else max(weak, key=lambda w: _depth(w[1].source.draft))
        return _follow(walk, name, walk.outputs[name].ids, found)
    draft = max((part[0] for part in states), key=_depth)
    source = next(s for s in walk.index.sources if s.kind == "y" and s.draft is draft)
    at = np.arange(source.size - source.width, source.size)
    return _follow(walk, None, source.base + at, walk.index.resolve(source.base + at))


def _follow(walk: Trace, name: str | None, ids: np.ndarray, found: Resolved) -> Chain:
    """Layers from a result back to the graph input."""
    what = f"graph output {quote(name)}"
    source, final = found.source, Final.NONE
    if source.kind == "final":
        if not found.plain:
            raise ImportRefused(what, f"scales or shifts the result of the {source.final} before",
                                "leave that out of the exported model")
        source, final = source.of, source.final
    else:
        ids = walk.materialise(ids, Activation.IDENTITY, "scale")
        if ids is None:
            raise ImportRefused(what, "is scaled or shifted differently in different steps",
                                "scale it alike in every step")
        found = walk.index.resolve(ids)
        source = found.source
    steps = np.flatnonzero(np.bincount((found.at // found.source.width).ravel()))
    whole = found.at.size == len(steps) * found.source.width and all_differ(found.at)
    every = len(steps) == source.steps
    if not whole or not (every or steps.tolist() == [source.steps - 1]):
        raise ImportRefused(what, "is neither the last step nor every step of a layer's result",
                            "return one of the two")
    draft, last = source.draft, source.once or not every
    if final is Final.NONE and draft.cell is Cell.LINEAR \
            and draft.activation is Activation.SIGMOID:
        final, draft = Final.SIGMOID, replace(draft, activation=Activation.IDENTITY)
        if draft.inserted and np.array_equal(draft.w, np.eye(draft.units)) \
                and not np.any(draft.bias_x):
            draft = draft.operand.source.draft
    drafts = []
    while draft is not None:
        drafts.insert(0, draft)
        root = draft.operand.source
        draft = root.draft
    if len(drafts) > MAX_LAYERS:
        raise ImportRefused("the graph", f"has {len(drafts)} layers, more than {MAX_LAYERS}",
                            "is a loop over time unrolled? Export it as an RNN, GRU or LSTM node")
    if not drafts:
        raise ImportRefused(what, "does not come out of a layer", "export the whole network")
    if not any(d.cell is not Cell.LINEAR for d in drafts):
        raise ImportRefused("the graph", "has no recurrent layer between its input and its result",
                            "Gatewright builds networks with RNN, GRU or LSTM layers")
    flags, need = [], last
    for draft in reversed(drafts):
        need = need and draft.cell is Cell.LINEAR
        flags.insert(0, need)
    return Chain(drafts=tuple(drafts), last_only=tuple(flags), final=final, last=last, result=name,
                 root=root if root.kind == "input" else walk.embedded)


def _binding(item: GraphInput, roles: dict, shape: tuple, what: str, *, time_open=False,
             batch: int = 1, **fields) -> Binding:
    axes = axis_roles(roles, shape, item.dims or (), state=fields["kind"] in "hc")
    if axes is None:
        names = ", ".join(roles)
        raise ImportRefused(what, f"does not keep {names} on an axis each",
                            "leave reshapes of it out of the exported model")
    if item.dims is not None and len(item.dims) != len(shape):
        raise ImportRefused(what, f"is declared with {len(item.dims)} axes, but has {len(shape)}",
                            "export the model again")
    # an output may be declared without a shape: its time axis is then as open as the input's
    opened = [role == "time" and time_open if item.dims is None else isinstance(dim, str)
              for role, dim in zip(axes, item.dims or shape)]
    sizes = [batch if role == "batch" else size for role, size in zip(axes, shape)]
    if batch > 1 and [size for size, o in zip(sizes, opened) if not o] != [
            d for d in item.dims or shape if isinstance(d, int)]:
        raise ImportRefused(what, f"does not keep the {batch} sequences of the batch apart",
                            "export with a batch of 1")
    return Binding(name=item.name, axes=axes, dtype=item.dtype,
                   shape=tuple(None if o else size for o, size in zip(opened, sizes)), **fields)


def bind_input(walk: Trace, chain: Chain) -> Binding:
    """Where time and features lie in the graph input."""
    item = next(i for i in walk.graph.inputs if i.name == chain.root.name)
    shape = walk.values[item.name].ids.shape
    view = chain.root.view
    time, feature = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    time.ravel()[view] = np.arange(view.shape[0])[:, None]
    feature.ravel()[view] = np.arange(view.shape[1])
    roles = {"time": time} if walk.embedded is not None else {"time": time, "feature": feature}
    return _binding(item, roles, shape, f"graph input {quote(item.name)}", kind="x",
                    batch=walk.batch)


def bind_states(walk: Trace, chain: Chain) -> tuple:
    """Bindings of the graph inputs that carry initial states."""
    bindings = []
    for item in walk.graph.inputs:
        uses = [use for use in walk.states if use[0] == item.name]
        if not uses or item.name == chain.root.name:
            continue
        what = f"graph input {quote(item.name)}"
        shape = walk.values[item.name].ids.shape
        layer, feature = (np.full(shape, -1, dtype=np.int64) for _ in range(2))
        kinds, layers = {use[3] for use in uses}, []
        uses.sort(key=lambda use: int(use[1].min()))
        for _, at, draft, _ in uses:
            if np.any(layer.ravel()[at] >= 0) or len(kinds) > 1:
                raise ImportRefused(what, "is the initial state of several layers or cells at once",
                                    "give each state its own input, or its own index of an axis")
            layer.ravel()[at] = len(layers)
            feature.ravel()[at] = np.arange(len(at))
            layers.append(chain.drafts.index(draft))
        if np.any(layer < 0):
            raise ImportRefused(what, "is only partly used as an initial state",
                                "leave out what no layer reads")
        bindings.append(_binding(item, {"feature": feature, "layer": layer}, shape, what,
                                 kind=kinds.pop(), layers=tuple(layers), batch=walk.batch))
    return tuple(bindings)


def bind_outputs(walk: Trace, chain: Chain) -> tuple:
    """Bindings of the graph's outputs, in the graph's order."""
    bindings = []
    for item in walk.graph.outputs:
        what, ids = f"graph output {quote(item.name)}", walk.outputs[item.name].ids
        item = replace(item, elem_type=item.elem_type or 1, dims=item.dims or (
            walk.graph.inferred(item.name) if walk.batch > 1 else None))
        if item.name == chain.result:
            found = walk.index.resolve(ids)
            width = found.source.width
            roles = {} if chain.last else {"time": found.at // width}
            if chain.final is not Final.ARGMAX:
                roles["feature"] = found.at % width
            bindings.append(_binding(item, roles, ids.shape, what, kind="y", batch=walk.batch,
                                     time_open=any(n > 1 for n in walk.sizes.values())))
            continue
        parts = _parts(walk, ids)
        kinds = {kind for _, kind, _, _ in parts or ()}
        if len(kinds) != 1 or any(draft not in chain.drafts for draft, *_ in parts):
            raise ImportRefused(what, "is not a last state of a layer in front of the result",
                                _ONE_HEAD)
        layer, feature, layers = np.zeros_like(ids), np.zeros_like(ids), []
        for number, (draft, _, mask, at) in enumerate(parts):
            layer[mask], feature[mask] = number, at
            layers.append(chain.drafts.index(draft))
        bindings.append(_binding(item, {"feature": feature, "layer": layer}, ids.shape, what,
                                 kind=kinds.pop(), layers=tuple(layers), batch=walk.batch))
    return tuple(bindings)
