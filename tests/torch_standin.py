"""A stand-in for the package torch: as much of it as ``from_torch`` and the tests' modules touch.

Tensors are NumPy arrays that tell a function mode of every call, modules compute PyTorch's
equations in its gate order. tests/fixtures/make_torch.py checks the same with the real package.
"""

import contextlib
import sys
import types
from collections import OrderedDict

import numpy as np

__all__ = ["install"]

_modes = []


def _told(func):
    """A function that an active mode sees, as torch's own are."""
    def call(*args, **kwargs):
        if not _modes:
            return func(*args, **kwargs)
        mode = _modes.pop()                # a mode does not see itself
        try:
            return mode.__torch_function__(call, (), args, kwargs)
        finally:
            _modes.append(mode)
    call.__name__ = func.__name__
    return call


class Tensor:
    """An array whose methods are functions of this module."""

    def __init__(self, values):
        self.values = np.asarray(values)

    shape = property(lambda self: self.values.shape)
    ndim = property(lambda self: self.values.ndim)
    dtype = property(lambda self: self.values.dtype)

    def __len__(self):
        return len(self.values)

    def numpy(self):
        return self.values

    def numel(self):
        return self.values.size

    def long(self):
        return Tensor(self.values.astype(np.int64))

    def any(self):
        return self.values.any()


def _method(name: str, function) -> None:
    def method(*args, **kwargs):
        return Tensor(function(*(a.values if isinstance(a, Tensor) else a for a in args), **kwargs))
    method.__name__ = name
    setattr(Tensor, name, _told(method))


def _softmax(a, dim=None):
    e = np.exp(a - a.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)


for _name, _function in {
        "__getitem__": lambda a, index: a[index], "__add__": lambda a, b: a + b,
        "reshape": lambda a, *shape: a.reshape(*shape),
        "transpose": lambda a, i, j: a.swapaxes(i, j), "contiguous": lambda a: a,
        "movedim": np.moveaxis, "squeeze": lambda a, dim: a.squeeze(dim), "tanh": np.tanh,
        "relu": lambda a: np.maximum(a, 0), "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
        "mean": lambda a, dim: a.mean(axis=dim), "softmax": _softmax,
        "argmax": lambda a, dim: a.argmax(axis=dim),
        "new_zeros": lambda a, *shape: np.zeros(shape)}.items():
    _method(_name, _function)


@_told
def cat(tensors, dim=0):
    return Tensor(np.concatenate([t.values for t in tensors], axis=dim))


class Module:
    """Children and parameters are attributes, in the order in which they were set."""

    def __init__(self):
        self.before, self.after = [], []

    def _parts(self, kind):
        return {k: v for k, v in vars(self).items() if isinstance(v, kind)}

    def named_modules(self, prefix=""):
        yield prefix, self
        for name, part in self._parts(Module).items():
            yield from part.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self):
        return (part for _, part in self.named_modules())

    def state_dict(self):
        return OrderedDict((f"{path}.{name}" if path else name, value)
                           for path, part in self.named_modules()
                           for name, value in part._parts(Tensor).items())

    def to(self, kind):
        for part in self.modules():
            for value in part._parts(Tensor).values():
                value.values = value.values.astype(kind)
        return self

    def float(self):
        return self.to(np.float32)

    def cpu(self):
        return self

    eval = cpu

    def _hook(self, hooks, hook):
        hooks.append(hook)
        return types.SimpleNamespace(remove=lambda: hooks.remove(hook))

    def register_forward_pre_hook(self, hook):
        return self._hook(self.before, hook)

    def register_forward_hook(self, hook, with_kwargs):
        return self._hook(self.after, hook)

    def __call__(self, *args, **kwargs):
        for hook in self.before:
            hook(self, args)
        result = self.forward(*args, **kwargs)
        for hook in self.after:
            hook(self, args, kwargs, result)
        return result


class Linear(Module):
    def __init__(self, inputs, outputs, bias=True):
        super().__init__()
        self.in_features = inputs
        self.weight = _random(outputs, inputs)
        if bias:
            self.bias = _random(outputs)

    def forward(self, x):
        return Tensor(x.values @ self.weight.values.T
                      + (self.bias.values if hasattr(self, "bias") else 0))


class Embedding(Module):
    def __init__(self, count, width, max_norm=None):
        super().__init__()
        self.weight, self.max_norm = _random(count, width), max_norm

    def forward(self, ids):
        return Tensor(self.weight.values[ids.values])


class Tanh(Module):
    def forward(self, x):
        return x.tanh()


class Dropout(Module):
    def forward(self, x):
        return x


class LayerNorm(Dropout):
    pass


class LSTMCell(Dropout):
    input_size = 5


class Sequential(Module):
    def __init__(self, *parts):
        super().__init__()
        for k, part in enumerate(parts):
            setattr(self, str(k), part)

    def forward(self, x):
        for part in self._parts(Module).values():
            x = part(x)
        return x


class _Recurrent(Module):
    gates = 1

    def __init__(self, inputs, units, num_layers=1, *, batch_first=False, bidirectional=False,
                 nonlinearity="tanh"):
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = inputs, units, num_layers
        self.batch_first, self.bidirectional = batch_first, bidirectional
        self.nonlinearity = nonlinearity
        for k in range(num_layers):
            for end in ("", "_reverse")[:1 + bidirectional]:
                width = inputs if k == 0 else units * (1 + bidirectional)
                for name, shape in (("weight_ih", (width,)), ("weight_hh", (units,)),
                                    ("bias_ih", ()), ("bias_hh", ())):
                    setattr(self, f"{name}_l{k}{end}", _random(self.gates * units, *shape))

    def _run(self, x, end):
        """One layer and direction over x (T, B, I): (T, B, H) and the last states."""
        w, r, bw, br = (getattr(self, f"{name}_l{end}").values
                        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        h = c = np.zeros((x.shape[1], self.hidden_size))
        steps = []
        for row in x[::-1] if end.endswith("reverse") else x:
            h, c = self.step(row @ w.T + bw, h @ r.T + br, h, c)
            steps.append(h)
        return np.stack(steps[::-1] if end.endswith("reverse") else steps), h, c

    def forward(self, x, states=None):
        y = x.values[:, None] if x.ndim == 2 else x.values
        y = y.swapaxes(0, 1) if self.batch_first and x.ndim == 3 else y
        last = []
        for k in range(self.num_layers):
            ends = (f"{k}", f"{k}_reverse")[:1 + self.bidirectional]
            found = [self._run(y, end) for end in ends]
            y = np.concatenate([one[0] for one in found], axis=2)
            last += found
        y = y.swapaxes(0, 1) if self.batch_first and x.ndim == 3 else y
        h, c = (Tensor(np.stack([one[k] for one in last])) for k in (1, 2))
        return Tensor(y[:, 0] if x.ndim == 2 else y), (h, c) if self.gates == 4 else h


def _s(a):
    return 1 / (1 + np.exp(-a))


class RNN(_Recurrent):
    def step(self, a, b, h, c):
        return (np.tanh(a + b) if self.nonlinearity == "tanh" else np.maximum(a + b, 0)), c


class GRU(_Recurrent):
    gates = 3

    def step(self, a, b, h, c):
        (ra, za, na), (rb, zb, nb) = np.split(a, 3, axis=1), np.split(b, 3, axis=1)
        z = _s(za + zb)
        return (1 - z) * np.tanh(na + _s(ra + rb) * nb) + z * h, c


class LSTM(_Recurrent):
    gates = 4

    def step(self, a, b, h, c):
        i, f, g, o = np.split(a + b, 4, axis=1)
        c = _s(f) * c + _s(i) * np.tanh(g)
        return _s(o) * np.tanh(c), c


_rng = np.random.default_rng(5)


def _random(*shape):
    return Tensor((_rng.normal(size=shape) * 0.5).astype(np.float32))


class _Mode:
    def __enter__(self):
        _modes.append(self)

    def __exit__(self, *error):
        _modes.remove(self)


def install(monkeypatch):
    """Put the stand-in where the package torch would be; returns it, with its modules as ``nn``."""
    layers = (Linear, Embedding, Tanh, Dropout, LayerNorm, LSTMCell, Sequential, RNN, GRU, LSTM)
    for layer in layers:
        monkeypatch.setattr(layer, "__module__", "torch.nn.modules.all")
    torch = types.SimpleNamespace(
        __version__="stand-in", Tensor=Tensor, cat=cat, int64=np.dtype(np.int64),
        float32=np.dtype(np.float32), float64=np.dtype(np.float64),
        nn=types.SimpleNamespace(Module=Module, **{layer.__name__: layer for layer in layers}),
        overrides=types.SimpleNamespace(TorchFunctionMode=_Mode),
        no_grad=contextlib.nullcontext,
        as_tensor=lambda values: values if isinstance(values, Tensor) else Tensor(values),
        zeros=lambda *shape, dtype=np.float32: Tensor(np.zeros(shape, dtype)))
    monkeypatch.setitem(sys.modules, "torch", torch)
    Tensor.to = lambda self, kind: Tensor(self.values.astype(kind))
    return torch
