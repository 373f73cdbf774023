"""The golden model: the integer network over whole batches, every intermediate by name.

This is the arithmetic contract in NumPy. It shares formats, integer weights and table contents with
the hardware and none of its structure: no lanes, no passes, no cycles.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from .cells import PLACES, Place
from .curves import make_curve, trace_curve
from .fixed import Fixed, bound, quantise, round_shift, saturate
from .functions import TABLED, Activation
from .lengths import for_each_length, once
from .network import Cell, FloatNetwork, IntLayer, IntNetwork
from .pool import pool_codes
from .reads import gather, in_order
from .reference import Batch
from .tables import TanhTable, activate, make_table

__all__ = ["Codes", "GoldenRun", "encode", "run_golden"]


@dataclass(kw_only=True)
class Codes:
    """A batch as the hardware receives it.

    Parameters
    ----------
    x : int64 (B, T, I), format ``network.layers[0].x``; or token ids (B, T, 1)
    h0, c0 : dict of recurrent layer index to int64 (B, H)
        Present for every recurrent layer if ``network.loads_state``, else empty.
    lengths : int64 (B,) or None
        Steps of each sequence; None: T for all.
    """

    x: np.ndarray
    h0: dict = field(default_factory=dict)
    c0: dict = field(default_factory=dict)
    lengths: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def steps(self) -> int:
        """Of all sequences together."""
        whole = self.x.shape[0] * self.x.shape[1]
        return whole if self.lengths is None else int(np.sum(self.lengths))

    def of_length(self, index, steps: int) -> "Codes":
        """The sequences of ``index``, the first ``steps`` steps of each: codes of one length."""
        return Codes(x=self.x[index, :steps], h0={k: v[index] for k, v in self.h0.items()},
                     c0={k: v[index] for k, v in self.c0.items()})


@dataclass(kw_only=True)
class GoldenRun:
    """What the golden model computed.

    Parameters
    ----------
    signals : list of dict, one a layer
        Signal name to int64 (B, T, H); T = 1 for last-step layers. "h" is always there, "c" for
        LSTM. Behind the end of a sequence all are zero.
    saturated : list of dict, one a layer
        Signal name to int64 (B,): how many codes were clipped in each sequence.
    """

    signals: list
    saturated: list

    @property
    def y(self) -> np.ndarray:
        """Result of the last layer, int64 (B, T, H)."""
        return self.signals[-1]["h"]

    def of_length(self, index, steps: int) -> "GoldenRun":
        """The sequences of ``index``, the first ``steps`` steps of each."""
        return GoldenRun(
            signals=[{k: v[index, :steps] for k, v in layer.items()} for layer in self.signals],
            saturated=[{k: v[index] for k, v in layer.items()} for layer in self.saturated])

    @property
    def saturations(self) -> np.ndarray:
        """Clipped results and cell states of each sequence, int64 (B,): the hardware counts these.

        Pre-activations are left out: clipping them at +-16 is how the tables work.
        """
        counts = np.zeros(len(self.y), dtype=np.int64)
        return sum((layer[name] for layer in self.saturated for name in ("h", "c")
                    if name in layer), start=counts)


def encode(network: FloatNetwork, integer: IntNetwork, batch: Batch) -> Codes:
    """Quantise a batch to the codes that enter the core.

    Initial states are encoded for every recurrent layer as soon as one of them has to be loaded.
    """
    if network.embedding is not None:
        x = np.asarray(batch.x, dtype=np.int64)[:, :, None]
    else:
        x = quantise(batch.x, integer.layers[0].x)
    codes = Codes(x=x, lengths=batch.lengths)
    if integer.loads_state:
        for idx in integer.recurrent:
            h, c = batch.initial(network.layers[idx], idx)
            codes.h0[idx] = quantise(h, integer.layers[idx].h)
            if integer.layers[idx].cell is Cell.LSTM:
                codes.c0[idx] = quantise(c, integer.cell)
    return codes


def _by_length(network: IntNetwork, codes: Codes, **options) -> "GoldenRun":
    """A run for the sequences of each length."""
    singles = once(network.layers)

    def both(index, steps):
        run = run_golden(network, codes.of_length(index, steps), **options)
        return run.signals + run.saturated

    made = for_each_length(codes.lengths, codes.x.shape[1], 2 * singles, both)
    return GoldenRun(signals=made[:len(singles)], saturated=made[len(singles):])


class _Counter:
    """Saturate, and count what was clipped in each sequence."""

    def __init__(self):
        self.counts = {}

    def __call__(self, name: str, values, width: int) -> np.ndarray:
        clipped = saturate(values, width)
        count = np.count_nonzero(clipped != values, axis=1)
        self.counts[name] = self.counts.get(name, 0) + count
        return clipped


def dot(vectors, weights) -> np.ndarray:
    """Exact integer product. vectors (B, I), weights (R, I), both int64 -> int64 (B, R).

    float64 matrix products are exact while no partial sum can reach 2**53; the bound is checked,
    and the fast product is used under it.
    """
    bound = np.abs(weights).sum(axis=1).max(initial=0) * np.abs(vectors).max(initial=0)
    if bound < 2 ** 53:
        return (vectors.astype(np.float64) @ weights.T.astype(np.float64)).astype(np.int64)
    return vectors @ weights.T


def _apply(pre, place: Place, table: TanhTable, count: _Counter) -> np.ndarray:
    """A place's function. pre: int64 (B, H), format ``place.pre`` -> format ``place.out``."""
    function = place.function.activation
    if place.is_curve:
        return trace_curve(pre, make_curve(place.function, place.pre, place.out))
    if function in TABLED:
        return activate(pre, table, function)
    if function is Activation.RELU:
        pre = np.maximum(pre, 0)
    return count("h", pre, place.out.width)


def _lstm(layer: IntLayer, pre, c, network: IntNetwork, table: TanhTable,
          count: _Counter) -> dict:
    """pre(gate, c) gives a gate's int64 (B, H); c (B, H). c' = f*c + i*g, exact, rounded once."""
    cell, places = network.cell, [layer.place(idx) for idx in range(3)]
    gate, g_frac, last_frac = (place.out.frac for place in places)

    def function(codes, idx):
        return _apply(codes, places[idx], table, count)

    pre_i, pre_g = pre("i", c), pre("g", c)
    i, g, signals = function(pre_i, 0), function(pre_g, 1), {}
    if layer.coupled:
        f = saturate((1 << gate) - i, layer.h.width)
    else:
        signals["pre_f"] = pre("f", c)
        f = function(signals["pre_f"], 0)
    fc, ig = f * c, i * g
    frac = gate + max(cell.frac, g_frac)
    total = (fc << (frac - gate - cell.frac)) + (ig << (frac - gate - g_frac))
    c = count("c", round_shift(total, frac - cell.frac), cell.width)
    pre_o = pre("o", c)
    o = function(pre_o, 0)
    pre = places[2].pre
    tanh_c = function(saturate(round_shift(c, cell.frac - pre.frac), pre.width), 2)
    h = count("h", round_shift(o * tanh_c, gate + last_frac - layer.h.frac), layer.h.width)
    return signals | {"pre_i": pre_i, "pre_g": pre_g, "pre_o": pre_o, "i": i, "f": f, "g": g,
                      "o": o, "c": c, "tanh_c": tanh_c, "h": h}


def _blend(n, z, h, layer: IntLayer, count: _Counter) -> np.ndarray:
    """h' = n + z*(h - n), exact, rounded once."""
    gate = layer.place(0).out.frac
    return count("h", round_shift((n << gate) + z * (h - n), gate), layer.h.width)


def _peephole(layer: IntLayer, acc, c, gate: str) -> tuple:
    """(sum with P*c of a gate, fractional bits that it has more than acc). All int64 (B, H)."""
    if layer.peephole is None or gate == "g":
        return acc, 0
    lift = layer.peephole_lift
    product = layer.peephole["ifo".index(gate)] * c
    return (acc << max(lift, 0)) + (product << max(-lift, 0)), max(lift, 0)


def _step(layer: IntLayer, x, h, c, network: IntNetwork, table: TanhTable,
          count: _Counter) -> dict:
    """One step. x: int64 (B, I); h, c: int64 (B, H) or None -> named signals, int64 (B, H)."""
    units, shift = layer.units, layer.row_shift

    def pre(name, acc, rows, place, lift=0):
        codes = count(name, round_shift(acc, shift[rows] + lift), place.pre.width)
        return bound(codes, place.limit)

    acc = dot(x << layer.x_shift, layer.w) + layer.bias_x
    every = slice(None)

    def recurrent(vector, rows):
        return dot(vector << layer.h_shift, layer.r[rows])

    if layer.cell in (Cell.LINEAR, Cell.RNN):
        if layer.cell is Cell.RNN:
            acc = acc + recurrent(h, every)
        a = pre("pre", acc, every, layer.place(0))
        return {"acc": acc, "pre": a, "h": _apply(a, layer.place(0), table, count)}
    if layer.cell is Cell.PRODUCT:
        place = layer.place(0)
        codes = _apply(pre("pre", acc, every, place), place, table, count)
        a, b = codes[:, :units], codes[:, units:]
        shift = 2 * place.out.frac - layer.h.frac
        return {"acc": acc, "a": a, "b": b,
                "h": count("h", round_shift(a * b, shift), layer.h.width)}
    if layer.cell is Cell.LSTM:
        acc = acc + recurrent(h, every)

        def gate_pre(gate, c):
            k = "ifgo".index(gate)
            rows = slice(k * units, (k + 1) * units)
            total, lift = _peephole(layer, acc[:, rows], c, gate)
            return pre(f"pre_{gate}", total, rows, layer.place(PLACES[Cell.LSTM][k]), lift)

        return _lstm(layer, gate_pre, c, network, table, count)

    rz, last = slice(0, 2 * units), slice(2 * units, None)
    gates, candidate = layer.place(0), layer.place(1)
    a = pre("pre_rz", acc[:, rz] + recurrent(h, rz), rz, gates)
    r = _apply(a[:, :units], gates, table, count)
    z = _apply(a[:, units:], gates, table, count)
    gate = gates.out.frac
    if layer.cell is Cell.GRU:
        whole = replace(candidate, limit=None)  # the two parts: only their sum is bounded
        nx = pre("pre_nx", acc[:, last], last, whole)
        nh = pre("pre_nh", recurrent(h, last) + layer.bias_h[last], last, whole)
        total = round_shift((nx << gate) + r * nh, gate)
        pre_n = bound(count("pre_n", total, candidate.pre.width), candidate.limit)
        extra = {"pre_nx": nx, "pre_nh": nh}
    else:
        rh = saturate(round_shift(r * h, gate), layer.h.width)
        pre_n = pre("pre_n", acc[:, last] + recurrent(rh, last), last, candidate)
        extra = {"rh": rh}
    n = _apply(pre_n, candidate, table, count)
    return extra | {"pre_r": a[:, :units], "pre_z": a[:, units:], "pre_n": pre_n, "r": r, "z": z,
                    "n": n, "h": _blend(n, z, h, layer, count)}


def run_golden(network: IntNetwork, codes: Codes, *, keep=("h", "c"),
               table: TanhTable | None = None) -> GoldenRun:
    """Run the integer network over a batch of sequences.

    Parameters
    ----------
    network : IntNetwork
    codes : Codes
    keep : tuple of str, or None
        The signals to return ("h" and "c" by default); None keeps every intermediate.
    table : TanhTable or None
        In place of the network's own: other contents, to see that the hardware uses them.

    Returns
    -------
    GoldenRun
    """
    table = table or make_table(network.pre, network.gate)
    if codes.lengths is not None:
        return _by_length(network, codes, keep=keep, table=table)
    x = codes.x if network.embedding is None else network.embedding[codes.x[:, :, 0]]
    run = GoldenRun(signals=[], saturated=[])
    for idx, layer in enumerate(network.layers):
        vectors = gather(network, idx, x, [signals["h"] for signals in run.signals])
        batch, steps, _ = vectors.shape
        if layer.cell.pools:
            pooled = pool_codes(vectors, layer.cell, layer.h.width)
            run.signals.append({"h": pooled[:, None]})
            run.saturated.append({})
            continue
        zeros = np.zeros((batch, layer.units), dtype=np.int64)
        h, c = codes.h0.get(idx, zeros), codes.c0.get(idx, zeros)
        count, kept = _Counter(), []
        for t in in_order(layer, steps):
            signals = _step(layer, vectors[:, t], h, c, network, table, count)
            h, c = signals["h"], signals.get("c")
            kept.append({k: v for k, v in signals.items()
                         if keep is None or k in keep or k == "h"})
        run.signals.append({k: np.stack([kept[t][k] for t in in_order(layer, steps)], axis=1)
                            for k in kept[0]})
        run.saturated.append(count.counts)
    return run


def cell_format(network: IntNetwork, signal: str, layer: IntLayer) -> Fixed:
    """The format of a named signal of a layer."""
    return layer.format_of(signal, network.cell)
