"""The tensors of a PyTorch state dict as modules: what their names and shapes tell.

G gates, H units, I inputs, D directions. PyTorch's gates are i, f, g, o (LSTM) and r, z, n (GRU),
ONNX's i, o, f, c and z, r, h.
"""

import re
from collections import defaultdict

import numpy as np

from .door_line import weights
from .errors import ImportRefused, quote

__all__ = ["RecurrentTensors", "is_matrix", "modules"]

_BLOCKS = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}    # of ONNX, by PyTorch's numbers
_OPS = {4: "LSTM", 3: "GRU", 1: "RNN"}
_KEY = re.compile(r"(?:(.+)\.)?(weight|bias)_(ih|hh|hr)(?:_l(\d{1,3}))?(_reverse)?")
MAX_TENSORS = 2000


class RecurrentTensors:
    """nn.RNN, nn.GRU or nn.LSTM (or one of their cells), as its tensors tell.

    Members
    -------
    op : str
        Of ONNX.
    units, layers, directions : int
        H, how many, D.
    projection : int
        proj_size; 0 without.
    inputs, width : int
        Values a step of its input and of its result.
    """

    def __init__(self, name: str, parts: dict):
        self.what = f"module {quote(name)}" if name else "the module"
        self._parts = parts
        first = parts.get((0, False), {})
        if missing := {"weight_ih", "weight_hh"} - first.keys():
            raise ImportRefused(self.what, f"has no {min(missing)}_l0",
                                "save the whole state dict")
        # a projection has one row an output and one column a unit
        told = first.get("weight_hr", first["weight_hh"])
        self.units = told.shape[1] if told.ndim == 2 else 0
        self.projection = len(told) if "weight_hr" in first else 0
        rows = len(first["weight_hh"]) if self.units else 0
        gates = rows // self.units if self.units else 0
        if gates * self.units != rows or gates not in _OPS or (self.projection and gates != 4):
            raise ImportRefused(f"{self.what}, tensor 'weight_hh'", f"has the shape "
                                f"{first['weight_hh'].shape}", "it must be (4H, H) for an LSTM, "
                                "(3H, H) for a GRU, (H, H) for an RNN")
        self.op = _OPS[gates]
        self.directions = 2 if (0, True) in parts else 1
        self.layers = 1 + max(layer for layer, _ in parts)
        wanted = {(k, d) for k in range(self.layers) for d in (False, True)[:self.directions]}
        if wanted != parts.keys():
            layer, reverse = min(wanted ^ parts.keys())
            raise ImportRefused(self.what, f"lacks or exceeds layer {layer}"
                                f"{' in reverse' if reverse else ''}", "save the whole state dict")
        self.inputs = first["weight_ih"].shape[-1] if first["weight_ih"].ndim else 0
        self.width = (self.projection or self.units) * self.directions

    def layer(self, k: int) -> tuple:
        """(W, R, B or None, P or None) of layer k: three as an ONNX node takes them, and P.

        The gates of a projected LSTM read W_hh of P h, the result is P h. So it is an LSTM without
        a projection, whose R is W_hh P, and a linear layer P behind it; P is float32
        (D * proj_size, D * H), a block for each direction.
        """
        order = np.concatenate([np.arange(b * self.units, (b + 1) * self.units)
                                for b in _BLOCKS[self.op]])
        rows = len(order)
        shapes = {"weight_ih": (rows, self.width if k else self.inputs),
                  "weight_hh": (rows, self.projection or self.units),
                  "weight_hr": (self.projection, self.units),
                  "bias_ih": (rows,), "bias_hh": (rows,)}
        found = {name: [] for name in shapes}
        for reverse in (False, True)[:self.directions]:
            part = self._parts[k, reverse]
            for name in part:
                label = f"{name}_l{k}{'_reverse' if reverse else ''}"
                found[name].append(weights(part[name], f"{self.what}, tensor {quote(label)}",
                                           shapes[name]))
        counts = {name: len(arrays) for name, arrays in found.items()}
        if min(counts["weight_ih"], counts["weight_hh"]) < self.directions \
                or not counts["bias_ih"] == counts["bias_hh"] in (0, self.directions) \
                or counts["weight_hr"] != self.directions * bool(self.projection):
            raise ImportRefused(self.what, f"lacks weights or biases of layer {k}",
                                "save the whole state dict")
        r, p = found["weight_hh"], None
        if self.projection:
            r = [(a.astype(np.float64) @ b).astype(np.float32)
                 for a, b in zip(r, found["weight_hr"])]
            p = np.zeros((self.width, self.units * self.directions), np.float32)
            for d, block in enumerate(found["weight_hr"]):
                p[d * self.projection:(d + 1) * self.projection,
                  d * self.units:(d + 1) * self.units] = block
        bias = None
        if found["bias_ih"]:
            bias = np.concatenate([np.stack(found["bias_ih"])[:, order],
                                   np.stack(found["bias_hh"])[:, order]], axis=1)
        return np.stack(found["weight_ih"])[:, order], np.stack(r)[:, order], bias, p


def modules(tensors: dict) -> tuple:
    """(recurrent modules by name, {"weight", "bias"} tensors of the others by name)."""
    if len(tensors) > MAX_TENSORS:
        raise ImportRefused("the state dict", f"has {len(tensors)} tensors, more than "
                            f"{MAX_TENSORS}", "no network of that size fits a device")
    recurrent, others = defaultdict(lambda: defaultdict(dict)), defaultdict(dict)
    for key, values in tensors.items():
        if match := _KEY.fullmatch(key):
            name, kind, part, layer, reverse = match.groups()
            recurrent[name or ""][int(layer or 0), bool(reverse)][f"{kind}_{part}"] = values
        else:
            name, _, part = key.rpartition(".")
            others[name][part] = values
    made = {}
    for name, parts in recurrent.items():
        one = RecurrentTensors(name, dict(parts))
        if name in others:
            raise ImportRefused(one.what, f"also has the tensor {quote(min(others[name]))}, which "
                                "no nn.RNN, nn.GRU or nn.LSTM has",
                                "save the state dict of a plain module")
        if made.setdefault(name or one.op.lower(), one) is not one:
            raise ImportRefused(one.what, f"would have the name of another, {one.op.lower()}",
                                "rename one of the two")
    return made, dict(others)


def is_matrix(parts: dict) -> bool:
    """The tensors are those of nn.Linear or nn.Embedding."""
    return set(parts) <= {"weight", "bias"} and parts.get("weight", np.zeros(0)).ndim == 2
