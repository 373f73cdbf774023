"""From a walk over the graph to the parts of a network: the chain of layers and the bindings."""

from dataclasses import dataclass, replace

import numpy as np

from golden.network import Binding, Final

from .errors import ImportRefused, quote
from .onnx_graph import GraphInput
from .onnx_heads import Head, follow, join
from .onnx_index import Source, all_differ, axis_roles
from .onnx_trace import Trace

__all__ = ["Chain", "bind_input", "bind_outputs", "bind_states", "build_chain"]

MAX_LAYERS = 256
_RETURNED = ("results of every step or of the last one and last states can be returned: export "
             "with fewer outputs")


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The layers from the input to the result, each behind those that it reads.

    Parameters
    ----------
    drafts : tuple of Draft
    reads : tuple of tuple of int, one a draft
        Places of those that it reads; -1 is the network's input.
    last_only : tuple of bool, one a draft
    root : Source
        The graph input that the first layer (or the embedding) reads.
    heads : tuple of Head
        The results, slices of what the last layer gives; one at least.
    """

    drafts: tuple
    reads: tuple
    last_only: tuple
    root: Source
    heads: tuple

    @property
    def final(self) -> Final:
        """The function behind the result, where there is one result."""
        return self.heads[0].final if len(self.heads) == 1 else Final.NONE

    @property
    def last(self) -> bool:
        """True where the graph reads the last step alone."""
        return all(head.last for head in self.heads)

    @property
    def signature(self) -> tuple:
        """What must not depend on the length of the sequence."""
        return (tuple((d.name, d.cell, d.units, d.when) for d in self.drafts), self.reads,
                self.last_only, tuple((head.final, head.last, head.start) for head in self.heads))


def _is_recurrent(source: Source) -> bool:
    return source.draft is not None and source.draft.cell.recurrent


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
        last = 0 if source.draft.reverse else source.steps - 1   # the step computed last
        at = found.at if source.kind == "c" else found.at - last * source.width
        if at.size != source.width or np.any(at < 0) or not all_differ(at):
            return None
        parts.append((source.draft, "c" if source.kind == "c" else "h", mask, at))
    return parts


def _behind(draft) -> list:
    """The drafts that a draft depends on and itself, each behind those that it reads."""
    ordered, seen, stack = [], set(), [(draft, False)]
    while stack:
        draft, done = stack.pop()
        if done:
            ordered.append(draft)
        elif id(draft) not in seen:
            seen.add(id(draft))
            stack.append((draft, True))
            stack += [(source.draft, False) for source in reversed(draft.sources)
                      if source.draft is not None]
    return ordered


def build_chain(walk: Trace) -> Chain:
    """Find the result among the graph's outputs, and the layers behind it."""
    strong, weak, states = [], [], []
    for name, value in walk.outputs.items():
        parts = _parts(walk, value.ids)
        ids = value.ids if parts is not None else walk.joined(value.ids, name)
        found = None if ids is None else walk.index.resolve(ids)
        if found is not None and found.source.kind in ("y", "final") and \
                (found.source.draft or found.source.of):
            (strong if parts is None else weak).append((name, ids))
        elif parts is None:
            what = f"graph output {quote(name)}"
            raise ImportRefused(what, "is neither the result of a layer nor a last state",
                                _RETURNED)
        states += parts or []
    if strong:
        heads = [follow(walk, *head) for head in strong]
        behind = {id(draft) for head in heads for draft in _behind(head.draft)}
        # The state of a layer that no result needs is a result too.
        heads += [follow(walk, name, ids) for name, ids in weak
                  if any(id(part[0]) not in behind for part in _parts(walk, ids))]
        return _chain(walk, heads)
    # Only states: what no other of their layers needs is computed last.
    drafts = list({id(part[0]): part[0] for part in states}.values())
    needed = {id(other) for draft in drafts for other in _behind(draft)[:-1]}
    ends = [draft for draft in drafts if id(draft) not in needed]
    for name, ids in weak:
        if len(ends) == 1 and walk.index.resolve(ids).source.draft is ends[0] \
                and not ends[0].reverse:
            return _chain(walk, [follow(walk, name, ids)])
    final = []
    for draft in ends:
        source = next(s for s in walk.index.sources if s.kind == "y" and s.draft is draft)
        step = 0 if draft.reverse else source.steps - 1
        final.append(source.base + step * source.width + np.arange(source.width))
    return _chain(walk, [follow(walk, None, np.concatenate(final))])


def _chain(walk: Trace, heads: list) -> Chain:
    """The layers behind the last one, and which of them one result a sequence is enough of."""
    draft, heads = join(walk, heads)
    drafts, last = _behind(draft), all(head.last for head in heads)
    if len(drafts) > MAX_LAYERS:
        raise ImportRefused("the graph", f"has {len(drafts)} layers, more than {MAX_LAYERS}",
                            "is a loop over time unrolled? Export it as an RNN, GRU or LSTM node")
    if not any(d.cell.recurrent for d in drafts):
        raise ImportRefused("the graph", "has no recurrent layer between its input and its result",
                            "Gatewright builds networks with RNN, GRU or LSTM layers")
    flags = {}
    for number, d in reversed(list(enumerate(drafts))):
        readers = [other for other in drafts[number + 1:]
                   if any(source.draft is d for source in other.sources)]
        needed = all(flags[id(other)] and not other.cell.pools
                     for other in readers) if readers else last
        flags[id(d)] = not d.cell.recurrent and (needed or d.once)
    drafts.sort(key=lambda d: flags[id(d)])  # what runs once a sequence runs last
    places = {id(d): k for k, d in enumerate(drafts)}
    reads = tuple(tuple(-1 if source.draft is None else places[id(source.draft)]
                        for source in d.sources) for d in drafts)
    root = next(source for d in drafts for source in d.sources if source.draft is None)
    return Chain(drafts=tuple(drafts), reads=reads, heads=heads,
                 last_only=tuple(flags[id(d)] for d in drafts),
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


def _bind_head(walk: Trace, item: GraphInput, head: Head, several: bool) -> Binding:
    """Binding of a result; its own place and function only where there are several."""
    found, shape = walk.index.resolve(head.ids), head.ids.shape
    width = found.source.width
    roles = {} if head.last else {"time": found.at // width}
    if head.final is not Final.ARGMAX:
        roles["feature"] = found.at % width
    if width % 2 == 0 and axis_roles(roles, shape, item.dims or (), state=False) is None:
        half = width // 2          # both directions of a layer, on an axis of their own
        roles |= {"direction": found.at % width // half, "feature": found.at % half}
    own = {"start": head.start, "width": head.width, "final": head.final} if several else {}
    return _binding(item, roles, shape, f"graph output {quote(item.name)}", kind="y",
                    batch=walk.batch, time_open=any(n > 1 for n in walk.sizes.values()), **own)


def bind_outputs(walk: Trace, chain: Chain) -> tuple:
    """Bindings of the graph's outputs, in the graph's order."""
    bindings = []
    for item in walk.graph.outputs:
        what, ids = f"graph output {quote(item.name)}", walk.outputs[item.name].ids
        item = replace(item, elem_type=item.elem_type or 1, dims=item.dims or (
            walk.graph.inferred(item.name) if walk.batch > 1 else None))
        head = next((head for head in chain.heads if head.name == item.name), None)
        if head is not None:
            bindings.append(_bind_head(walk, item, head, len(chain.heads) > 1))
            continue
        parts = _parts(walk, ids)
        kinds = {kind for _, kind, _, _ in parts or ()}
        if len(kinds) != 1 or any(draft not in chain.drafts for draft, *_ in parts):
            raise ImportRefused(what, "is not a last state of a layer in front of the result",
                                _RETURNED)
        layer, feature, layers = np.zeros_like(ids), np.zeros_like(ids), []
        for number, (draft, _, mask, at) in enumerate(parts):
            layer[mask], feature[mask] = number, at
            layers.append(chain.drafts.index(draft))
        bindings.append(_binding(item, {"feature": feature, "layer": layer}, ids.shape, what,
                                 kind=kinds.pop(), layers=tuple(layers), batch=walk.batch))
    return tuple(bindings)
