"""Float64 reference: what the imported network computes, with every intermediate by name.

Equations: the ONNX operators RNN, GRU and LSTM, T steps over B sequences. Where their text leaves
room (what ``clip`` bounds, what ``input_forget`` couples), it is onnxruntime's reading.
"""

from dataclasses import dataclass, field

import numpy as np

from .functions import Activation, Function, evaluate
from .lengths import for_each_length, once
from .network import Cell, Final, FloatLayer, FloatNetwork
from .pool import pool_values
from .reads import gather, in_order

__all__ = ["Batch", "apply_final", "run_float"]


@dataclass(kw_only=True)
class Batch:
    """Sequences, in floats.

    Parameters
    ----------
    x : float64 (B, T, I), or int64 (B, T) token ids in front of an embedding
    h0, c0 : dict of layer index to float64 (B, H)
        Initial states that are graph inputs. What is missing starts from the layer's constant.
    lengths : int64 (B,) or None
        Steps of each sequence, 1 to T; None: T for all.
    """

    x: np.ndarray
    h0: dict = field(default_factory=dict)
    c0: dict = field(default_factory=dict)
    lengths: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index) -> "Batch":
        """The sequences of ``index`` (a slice or an integer array)."""
        return Batch(x=self.x[index], h0={k: v[index] for k, v in self.h0.items()},
                     c0={k: v[index] for k, v in self.c0.items()},
                     lengths=None if self.lengths is None else self.lengths[index])

    def of_length(self, index, steps: int) -> "Batch":
        """The sequences of ``index``, the first ``steps`` steps of each: a batch of one length."""
        some = self.take(index)
        return Batch(x=some.x[:, :steps], h0=some.h0, c0=some.c0)

    def initial(self, layer: FloatLayer, idx: int) -> tuple:
        """(h, c) of layer ``idx`` before the first step, each float64 (B, H)."""
        states = []
        for given, default in ((self.h0, layer.initial_h), (self.c0, layer.initial_c)):
            if idx in given:
                states.append(np.asarray(given[idx], dtype=np.float64))
            else:
                value = np.zeros(layer.units) if default.value is None else default.value
                states.append(np.tile(value, (len(self), 1)))
        return tuple(states)


def _place(layer: FloatLayer, idx: int):
    """The function of a place, what goes into it bounded as the layer says."""
    clip = np.inf if layer.clip is None else layer.clip
    return lambda a: evaluate(layer.functions[idx], np.clip(a, -clip, clip))


def _lstm(layer: FloatLayer, a, c):
    """One step from the rows' sums a (B, 4*H) and c (B, H)."""
    gate, candidate = _place(layer, 0), _place(layer, 1)
    ai, af, ag, ao = np.split(a, 4, axis=1)
    peep_i, peep_f, peep_o = np.zeros((3, 1)) if layer.peephole is None else layer.peephole
    ai, af = ai + peep_i * c, af + peep_f * c
    i, g = gate(ai), candidate(ag)
    f = 1.0 - i if layer.coupled else gate(af)
    c = f * c + i * g
    ao = ao + peep_o * c
    # Not bounded by the layer's clip.
    o, tanh_c = gate(ao), evaluate(layer.functions[2], c)
    return {"pre_i": ai, **({} if layer.coupled else {"pre_f": af}), "pre_g": ag, "pre_o": ao,
            "i": i, "f": f, "g": g, "o": o, "c": c, "tanh_c": tanh_c, "h": o * tanh_c}


def _step(layer: FloatLayer, x, h, c):
    """One step: x (B, I), h and c (B, H) -> named signals, each (B, H)."""
    ax = x @ layer.w.T + layer.bias_x
    gate = _place(layer, 0)
    if layer.cell is Cell.LINEAR:
        return {"a": ax, "h": gate(ax)}
    if layer.cell is Cell.RNN:
        a = ax + h @ layer.r.T + layer.bias_h
        return {"a": a, "h": gate(a)}
    if layer.cell is Cell.LSTM:
        return _lstm(layer, ax + h @ layer.r.T + layer.bias_h, c)
    if layer.cell is Cell.PRODUCT:
        a, b = np.split(ax, 2, axis=1)
        return {"a": a, "b": b, "h": a * b}
    units, candidate = layer.units, _place(layer, 1)
    xr, xz, xn = np.split(ax, 3, axis=1)
    rz = h @ layer.r[:2 * units].T + layer.bias_h[:2 * units]
    ar, az = xr + rz[:, :units], xz + rz[:, units:]
    r, z = gate(ar), gate(az)
    r_n, bias_n = layer.r[2 * units:], layer.bias_h[2 * units:]
    if layer.cell is Cell.GRU:
        hn = h @ r_n.T + bias_n
        an = xn + r * hn
        signals = {"pre_nx": xn, "pre_nh": hn}
    else:
        rh = r * h
        an = xn + rh @ r_n.T + bias_n
        signals = {"rh": rh}
    n = candidate(an)
    return signals | {"pre_r": ar, "pre_z": az, "pre_n": an, "r": r, "z": z, "n": n,
                      "h": n + z * (h - n)}


def run_float(network: FloatNetwork, batch: Batch) -> list:
    """Run the network in float64.

    Parameters
    ----------
    network : FloatNetwork
    batch : Batch

    Returns
    -------
    list of dict, one a layer
        Signal name to float64 (B, T, H); a last-step layer has T = 1. "x" is the layer's input.
        Behind the end of a sequence all signals are zero.
    """
    if batch.lengths is not None:
        return for_each_length(
            batch.lengths, batch.x.shape[1], once(network.layers),
            lambda index, steps: run_float(network, batch.of_length(index, steps)))
    x = batch.x
    if network.embedding is not None:
        x = network.embedding[x]
    traces = []
    for idx, layer in enumerate(network.layers):
        vectors = gather(network, idx, x, [trace["h"] for trace in traces])
        if layer.cell.pools:
            signals = {"h": pool_values(vectors, layer.cell)[:, None]}
        elif not layer.cell.recurrent:
            flat = _step(layer, vectors.reshape(-1, vectors.shape[2]), None, None)
            signals = {k: v.reshape(*vectors.shape[:2], -1) for k, v in flat.items()}
        else:
            h, c = batch.initial(layer, idx)
            steps = []
            for t in in_order(layer, vectors.shape[1]):
                steps.append(_step(layer, vectors[:, t], h, c))
                h, c = steps[-1]["h"], steps[-1].get("c")
            signals = {k: np.stack([steps[t][k] for t in in_order(layer, len(steps))], axis=1)
                       for k in steps[0]}
        signals["x"] = vectors
        traces.append(signals)
    return traces


def apply_final(y: np.ndarray, final: Final) -> np.ndarray:
    """The graph's last function, over the last axis. y : float64 (..., O) -> same, or (...)."""
    if final is Final.SIGMOID:
        return evaluate(Function(activation=Activation.SIGMOID), y)
    if final in (Final.SOFTMAX, Final.LOG_SOFTMAX):
        shifted = y - y.max(axis=-1, keepdims=True)
        log = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        return log if final is Final.LOG_SOFTMAX else np.exp(log)
    if final is Final.ARGMAX:
        return y.argmax(axis=-1)
    return y
