"""The results of a graph: one, or several that become the slices of one last layer.

Heads that are plain linear layers of the same results are stacked; others are copied, each by its
rows of an identity. What stands behind a head (softmax, argmax, ...) is left to the host.

T steps, F features of a head.
"""

from dataclasses import dataclass, replace

import numpy as np

from golden.functions import IDENTITY, Activation
from golden.network import Cell, Final

from .errors import ImportRefused, quote
from .onnx_cells import Draft
from .onnx_index import Source, all_differ
from .onnx_trace import Trace

__all__ = ["Head", "follow", "join"]

NAME = "heads"                  # of the layer that joins them


@dataclass(frozen=True, eq=False, kw_only=True)
class Head:
    """One result.

    Parameters
    ----------
    name : str or None
        Of the graph output; None where only states are returned.
    ids : int64 array
        Its elements, in the shape of the output.
    source : Source
        The result of its layer, in front of the last function.
    draft : Draft
        The layer, without that function.
    final : Final
    last : bool
        The last step alone.
    start, width : int
        Its values among those that the hardware sends; width 0: all of them.
    """

    name: str | None
    ids: np.ndarray
    source: Source
    draft: Draft
    final: Final
    last: bool
    start: int = 0
    width: int = 0


def follow(walk: Trace, name: str | None, ids: np.ndarray) -> Head:
    """The layer and the last function behind a graph output."""
    what = f"graph output {quote(name)}"
    ids = walk.joined(ids, name or "states")
    source, final = walk.index.resolve(ids).source, Final.NONE
    if source.kind == "final":
        if not walk.index.resolve(ids).plain:
            raise ImportRefused(what, f"scales or shifts the result of the {source.final} before",
                                "leave that out of the exported model")
        found = walk.index.resolve(ids)
        source, final = source.of, source.final
    else:
        ids = walk.materialise(ids, IDENTITY, "scale")
        if ids is None:
            raise ImportRefused(what, "is scaled or shifted differently in different steps",
                                "scale it alike in every step")
        ids = walk.in_time(ids, name or "states")
        found = walk.index.resolve(ids)
        source = found.source
    steps = np.flatnonzero(np.bincount((found.at // found.source.width).ravel()))
    whole = found.at.size == len(steps) * found.source.width and all_differ(found.at)
    every = len(steps) == source.steps
    if not whole or not (every or steps.tolist() == [source.steps - 1]):
        raise ImportRefused(what, "is neither the last step nor every step of a layer's result",
                            "return one of the two")
    draft = source.draft
    if draft is None:
        raise ImportRefused(what, "does not come out of a layer", "export the whole network")
    if final is Final.NONE and draft.cell is Cell.LINEAR \
            and draft.activation is Activation.SIGMOID:
        final, draft = Final.SIGMOID, replace(draft, activation=Activation.IDENTITY)
        if draft.inserted and np.array_equal(draft.w, np.eye(draft.units)) \
                and not np.any(draft.bias_x) and len(draft.sources) == 1 \
                and not draft.sources[0].draft.reverse:
            source, draft = draft.sources[0], draft.sources[0].draft
    return Head(name=name, ids=ids, source=source, draft=draft, final=final,
                last=source.once or not every)


def join(walk: Trace, heads: list) -> tuple:
    """(last draft, heads with their slices of its result) of the heads of a graph."""
    if len(heads) == 1:
        return heads[0].draft, tuple(heads)
    last = all(head.last for head in heads)
    if not last:
        heads = [_in_every_step(walk, head) for head in heads]
    drafts = list({id(head.draft): head.draft for head in heads}.values())
    sources = {id(head.draft): head.source for head in heads}
    parts = [_stacked(draft, sources[id(draft)], last) for draft in drafts]
    if len({(frozenset(part.sources), part.when) for part in parts}) > 1:
        parts = _copied(walk, drafts, sources, last)
    starts = dict(zip(map(id, drafts), np.cumsum([0] + [draft.units for draft in drafts])))
    heads = [replace(head, start=int(starts[id(head.draft)]), width=head.draft.units)
             for head in heads]
    return (drafts[0] if len(drafts) == 1 else _beside(walk, parts)), tuple(heads)


def _in_every_step(walk: Trace, head: Head) -> Head:
    """A head of the last step as one of every step, of which the host takes the last."""
    made = {}

    def every(source: Source) -> Source:
        if not source.once:
            return source
        if source.base not in made:
            draft = source.draft
            if draft.when == "final" or draft.cell.pools:
                raise ImportRefused(
                    f"graph output {quote(head.name)}", "is of the whole sequence, but another "
                    "output is of every step", "export the two as models of their own")
            draft = replace(draft, when="every", sources=tuple(map(every, draft.sources)))
            steps = max(s.steps for s in draft.sources)
            made[source.base] = walk.linear_source(steps, draft)
        return made[source.base]

    source = every(head.source)
    draft = head.draft
    if source is not head.source:
        draft = replace(source.draft, activation=head.draft.activation)
    return replace(head, source=source, draft=draft)


def _plain(draft: Draft) -> bool:
    """True for a linear layer of layers: its matrix can stand in another layer."""
    return (draft.cell is Cell.LINEAR and draft.activation is Activation.IDENTITY
            and not any(source.draft is None for source in draft.sources))


def _copy(source: Source, draft: Draft, when: str) -> Draft:
    return Draft(sources=(source,), when=when, cell=Cell.LINEAR, name=NAME, inserted=True,
                 w=np.eye(draft.units), bias_x=np.zeros(draft.units))


def _stacked(draft: Draft, source: Source, last: bool) -> Draft:
    """A head as rows of a matrix of what it reads; of one that is not plain a copy."""
    if not _plain(draft):
        return _copy(source, draft, "last" if last else "every")
    return replace(draft, when="last") if last and draft.when == "every" else draft


def _copied(walk: Trace, drafts: list, sources: dict, last: bool) -> list:
    """Each head computed by its own layer, and copied."""
    parts = []
    for draft in drafts:
        source = sources[id(draft)]
        if source.draft is not draft:      # its last function was taken off
            source = walk.linear_source(source.steps, draft)
        parts.append(_copy(source, draft, "last" if last else "every"))
    return parts


def _beside(walk: Trace, parts: list) -> Draft:
    """One linear layer whose rows are those of several."""
    sources = tuple(dict.fromkeys(source for part in parts for source in part.sources))
    rows, columns = sum(part.units for part in parts), sum(source.width for source in sources)
    walk.graph.file.spend(rows * columns, "the graph's outputs together")
    w, row = np.zeros((rows, columns)), 0
    begins = dict(zip(sources, np.cumsum([0] + [source.width for source in sources])))
    for part in parts:
        column = 0
        for source in part.sources:
            block = part.w[:, column:column + source.width]
            w[row:row + part.units, begins[source]:][:, :source.width] = block
            column += source.width
        row += part.units
    return Draft(sources=sources, when=parts[0].when, cell=Cell.LINEAR, name=NAME,
                 w=w, bias_x=np.concatenate([part.bias_x for part in parts]))
