"""Layers to phases: which rows, which vectors, where results go.

The rows of a phase stand in groups of as many neurons as there are element-wise pipelines (posts):
gate 0 of each of the group's neurons, gate 1 of each, and so on. A last group that is short is
filled up with rows of zeros.
"""

import numpy as np

from golden.network import GATES, Activation, Cell, IntLayer, IntNetwork

from .phase import Op, Phase, Segment, Source
from .style import style_of
from .sweeps import assign_sweeps

__all__ = ["Builder"]


def _interleave(values, units: int, posts: int, fill: int = 0) -> np.ndarray:
    """Gate-major rows (G*H, ...) to rows in groups of ``posts`` neurons, filled up with ``fill``.

    Row (j*G + k)*posts + p is gate k of neuron j*posts + p.
    """
    gates, groups = len(values) // units, -(-units // posts)
    full = np.full((gates, groups * posts, *values.shape[1:]), fill, dtype=values.dtype)
    full[:, :units] = values.reshape(gates, units, *values.shape[1:])
    grouped = full.reshape(gates, groups, posts, *values.shape[1:])
    return np.swapaxes(grouped, 0, 1).reshape(-1, *values.shape[1:])


class Builder:
    """Collects phases while bases are handed out.

    Parameters
    ----------
    network : IntNetwork
    word : int
        Elements of a word of the vector memory; bases are multiples of it.
    posts : int
    """

    def __init__(self, network: IntNetwork, *, word: int, posts: int):
        self.network, self.word, self.posts = network, word, posts
        self.sweeps = assign_sweeps(network)
        self.phases, self.n_units = [], 0
        self.bases = [0] * len(network.layers)
        # Results of a sweep stand side by side, so that one stretch of columns can read them.
        for idx in sorted(range(len(self.bases)), key=lambda idx: self.sweeps[idx]):
            self.bases[idx] = self.allocate(network.layers[idx].units)

    def allocate(self, units: int) -> int:
        base = self.n_units
        self.n_units += -(-units // self.word) * self.word
        return base

    def _read(self, idx: int, source: Source) -> bool:
        """True if some layer reads the results of layer ``idx`` from there."""
        later = source is Source.KEPT
        return any(idx in self.network.reads(k) and self.sweeps[k] == self.sweeps[idx] + later
                   for k in range(idx + 1, len(self.bases)))

    def kept(self, sweep: int) -> list:
        """Layers of a sweep whose results the next one reads."""
        return [idx for idx, own in enumerate(self.sweeps)
                if own == sweep and self._read(idx, Source.KEPT)]

    def input_segment(self, idx: int) -> tuple:
        """(source, base, W, shift) of what a layer reads: one stretch, zeros for what it skips."""
        layer, reads = self.network.layers[idx], self.network.reads(idx)
        if reads[0] < 0:
            return Source.INPUT, 0, layer.w, layer.x_shift
        source, origin = Source.NEW, 0
        if self.sweeps[reads[0]] != self.sweeps[idx]:
            source = Source.KEPT
            origin = min(self.bases[k] for k in self.kept(self.sweeps[reads[0]]))
        ends = [self.bases[k] + self.network.layers[k].units for k in reads]
        base, column = min(self.bases[k] for k in reads), 0
        w = np.zeros((len(layer.w), max(ends) - base), dtype=np.int64)
        for k in reads:
            units = self.network.layers[k].units
            w[:, self.bases[k] - base:][:, :units] = layer.w[:, column:column + units]
            column += units
        return source, base - origin, w, layer.x_shift

    def phase(self, idx: int, layer: IntLayer, op: Op, gates, segments, *, output: bool,
              dest: int | None = None, to_vector: bool = True, function=Activation.IDENTITY):
        """``gates`` are those of the cell that it has; ``segments`` are (source, base, matrix,
        shift).
        """
        units = np.arange(layer.units)
        rows = np.concatenate([gate * layer.units + units for gate in gates])

        def pick(values, fill=0):
            return _interleave(values[rows], layer.units, self.posts, fill)

        named = op in (Op.LSTM, Op.CELL, Op.HIDDEN) and tuple(gates) != tuple(range(4))
        peephole = None
        if layer.peephole is not None:
            i, f, o = layer.peephole
            peephole = pick(np.concatenate([i, f, np.zeros_like(i), o]))
        last = idx == len(self.network.layers) - 1
        self.phases.append(Phase(
            layer=idx, op=op, function=function, units=layer.units, posts=self.posts,
            rows_per_unit=len(gates), gates=tuple(gates) if named else (),
            peephole=peephole, peephole_lift=layer.peephole_lift,
            segments=tuple(Segment(source=s, base=b, weights=pick(w), shift=k)
                           for s, b, w, k in segments),
            bias=pick(layer.bias_x), split_bias=pick(layer.bias_h),
            # A shift of its own for the rows that fill up could make the shifter wider.
            shift=pick(layer.row_shift, layer.row_shift[rows][0]), unit_base=self.bases[idx],
            dest_base=self.bases[idx] if dest is None else dest, to_vector=to_vector,
            to_output=output and last, output_last_only=self.network.last_step_only,
            last_only=layer.last_only, sweep=self.sweeps[idx], reverse=layer.reverse,
            to_sequence=output and self._read(idx, Source.KEPT), style=style_of(layer),
            pools=layer.cell if layer.cell.pools else None))

    def layer(self, idx: int) -> None:
        """The phases of one layer."""
        layer, x = self.network.layers[idx], self.input_segment(idx)
        every = range(len(GATES[layer.cell]))
        if layer.cell.pools and x[0] is not Source.NEW:
            raise ValueError(f"Layer {layer.name!r}: a mean or maximum must be of a layer, not of "
                             "the input")
        if not layer.cell.recurrent:
            op = Op.PRODUCT if layer.cell is Cell.PRODUCT else Op.RESULT
            self.phase(idx, layer, op, every, [x], output=True,
                       to_vector=self._read(idx, Source.NEW), function=layer.activation)
            return
        own = (Source.OLD, self.bases[idx], layer.r, layer.h_shift)
        # The oldest vector goes first: an input, or what the sweep before has kept, is there before
        # h(t-1), a lower layer's h(t) after.
        segments = [own, x] if x[0] is Source.NEW else [x, own]
        if layer.peephole is not None:
            self.phase(idx, layer, Op.CELL, (0, 2) if layer.coupled else (0, 1, 2), segments,
                       output=False, to_vector=False)
            self.phase(idx, layer, Op.HIDDEN, (3,), segments, output=True)
            return
        if layer.cell is not Cell.GRU_RESET_BEFORE:
            every = (0, 2, 3) if layer.coupled else every
            op = {Cell.RNN: Op.RESULT, Cell.LSTM: Op.LSTM, Cell.GRU: Op.GRU}[layer.cell]
            self.phase(idx, layer, op, every, segments, output=True, function=layer.activation)
            return
        gated = self.allocate(layer.units)
        self.phase(idx, layer, Op.RESET, (0,), segments, output=False, dest=gated)
        self.phase(idx, layer, Op.UPDATE, (1,), segments, output=False, to_vector=False)
        reset = (Source.NEW, gated, layer.r, layer.h_shift)
        self.phase(idx, layer, Op.CANDIDATE, (2,), [x, reset], output=True)
