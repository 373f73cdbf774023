"""What a live PyTorch module does with its input, as the words of a line of layers.

The module runs on a short sequence of one batch. Beside every tensor goes one of numbers that say
where its elements come from; reshapes and selections move both alike, so that any spelling of them
is reduced to which steps a layer reads. T steps, H units, D directions.
"""

from dataclasses import dataclass

import numpy as np

from .errors import ImportRefused, quote

__all__ = ["WrongLayout", "trace"]

_PLACE = "torch.nn.modules."    # of PyTorch's own modules
_CONTAINERS = {"Sequential", "ModuleList", "ModuleDict"}
_NOTHING = {"Dropout", "Dropout1d", "AlphaDropout", "FeatureAlphaDropout", "Identity", "Flatten"}
_RECURRENT = {"RNN", "GRU", "LSTM"}
# Functions that only move elements about.
_MOVES = {"__getitem__", "transpose", "permute", "swapaxes", "swapdims", "movedim", "moveaxis",
          "reshape", "view", "view_as", "flatten", "unflatten", "squeeze", "unsqueeze", "expand",
          "contiguous", "clone", "detach", "select", "narrow", "chunk", "split", "unbind",
          "index_select", "cat", "concat", "stack", "flip", "to", "float", "double", "t", "__get__"}
_FUNCTIONS = {"relu": "relu", "relu_": "relu", "tanh": "tanh", "sigmoid": "sigmoid",
              "softmax": "softmax", "log_softmax": "log_softmax", "argmax": "argmax",
              "ReLU": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "Softmax": "softmax",
              "LogSoftmax": "log_softmax"}
_OVER_FEATURES = {"softmax", "log_softmax", "argmax"}
_OVER_TIME = {"mean": "mean", "amax": "max", "max": "max"}
# Tensors made after the pattern of another one, without its values.
_MADE = {"new_zeros", "new_ones", "new_full", "new_empty", "zeros_like", "ones_like", "full_like",
         "requires_grad_"}
_SERIES = "only layers in series are supported"


class WrongLayout(ImportRefused):
    """The module does not take its steps on the axis on which they were given."""


@dataclass(frozen=True, eq=False)
class _Source:
    """Where numbers come from: the input, a layer or a function.

    ``words`` lead from the input to it; ``kind`` is "y" (T steps of ``width`` values), "state" (the
    last states of a recurrent module's last layer, one step) or "other" (what nothing may read).
    """

    words: tuple
    steps: int
    width: int
    base: int
    kind: str


class _Walk:
    """The tensors that depend on the input, each with its numbers."""

    def __init__(self, torch, module):
        self.torch = torch
        self.names = {id(part): name for name, part in module.named_modules()}
        self.sources, self.next = [], 0
        self.known = {}                    # id of a tensor -> (the tensor, its numbers)

    def add(self, words: tuple, steps: int, width: int, kind: str = "y") -> np.ndarray:
        """Numbers of a new source, int64 (steps, width)."""
        self.sources.append(_Source(words, steps, width, self.next, kind))
        self.next += steps * width
        return np.arange(self.next - steps * width, self.next).reshape(steps, width)

    def read(self, ids: np.ndarray, what: str) -> tuple:
        """(words so far, steps) of what reads the numbers (steps, width) of one source."""
        source = next(s for s in self.sources if s.base <= ids.min() < s.base + s.steps * s.width)
        every = np.arange(source.steps * source.width).reshape(source.steps, source.width)
        at = ids - source.base
        if source.kind != "other" and np.array_equal(at, every):
            return source.words + ("state",) * (source.kind == "state"), source.steps
        if source.kind == "y" and np.array_equal(at, every[-1:]):
            return (*source.words, "last"), 1
        raise ImportRefused(what, "reads something else than every step, the last step or the last "
                            "states of one layer before it", _SERIES)

    def keep(self, tensor, ids) -> None:
        self.known[id(tensor)] = (tensor, self.torch.as_tensor(ids).reshape(tensor.shape))

    def ids(self, value):
        """Numbers of a tensor that depends on the input, else None."""
        found = self.known.get(id(value))
        return found[1] if found else None

    def tracked(self, value) -> bool:
        """True where a tensor in ``value`` depends on the input."""
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, (tuple, list)):
            return any(self.tracked(item) for item in value)
        return id(value) in self.known

    def _swapped(self, value):
        """Arguments with numbers in the place of tensors."""
        if isinstance(value, (tuple, list)):
            return type(value)(self._swapped(item) for item in value)
        ids = self.ids(value)
        return value if ids is None else ids

    def function(self, func, args: tuple, kwargs: dict, result) -> None:
        """A function was applied to data, outside of any module of PyTorch's own."""
        name, what = func.__name__, f"the function {quote(func.__name__)}"
        results = list(result) if isinstance(result, (tuple, list)) else [result]
        if name in _MADE or not isinstance(results[0], self.torch.Tensor):
            return
        dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
        if name == "dropout":
            self.keep(result, self.ids(args[0]))
        elif name in _MOVES:
            moved = func(*self._swapped(args), **{k: self._swapped(v) for k, v in kwargs.items()})
            for tensor, ids in zip(results, moved if isinstance(moved, (tuple, list)) else [moved]):
                self.keep(tensor, ids.long())
        elif name in _OVER_TIME:
            self._pool(_OVER_TIME[name], what, args[0], dim, results[0])
        elif name in _FUNCTIONS:
            self._apply(_FUNCTIONS[name], what, args[0], dim, result)
        else:
            raise ImportRefused(what, "is applied to data outside of a module", "modules of "
                                "torch.nn in series are supported, and reshapes, activations, the "
                                "mean and the maximum over time between them")

    def _rows(self, ids) -> np.ndarray:
        """Numbers of values whose features lie on the last axis, as (steps, width)."""
        return ids.reshape(-1, ids.shape[-1]).numpy()

    def _apply(self, word: str, what: str, value, dim, result) -> None:
        ids = self.ids(value)
        if word in _OVER_FEATURES and dim not in (-1, ids.ndim - 1):
            raise ImportRefused(what, f"is over axis {dim}", "only the last axis is supported: "
                                "give dim=-1")
        words, steps = self.read(self._rows(ids), what)
        width = 1 if word == "argmax" else ids.shape[-1]
        self.keep(result, self.add((*words, word), steps, width))

    def _pool(self, word: str, what: str, value, dim, result) -> None:
        dim = dim[0] if isinstance(dim, (tuple, list)) and len(dim) == 1 else dim
        if not isinstance(dim, int):
            raise ImportRefused(what, "is not over the time axis", "give dim")
        ids = self.ids(value).movedim(dim, 0)
        rows = ids.reshape(len(ids), -1).numpy()
        words, steps = self.read(rows, what)
        if steps == 1:
            raise ImportRefused(what, "is not over the time axis", "pool over every step")
        self.keep(result, self.add((*words, word), 1, rows.shape[1]))

    def module(self, part, args: tuple, kwargs: dict, result) -> None:
        """One of PyTorch's own modules has run."""
        if not self.tracked([args, kwargs]):
            return
        kind = type(part).__name__
        name = self.names.get(id(part)) or kind.lower()
        what = f"module {quote(name)} (nn.{kind})"
        ids = self.ids(args[0]) if args else None
        if ids is None or self.tracked([args[1:], kwargs]):
            raise ImportRefused(what, "reads several tensors, a packed sequence or computed states",
                                "only layers in series, one sequence at a time, are supported")
        if kind in _NOTHING:
            self.keep(result, ids)
        elif kind in _FUNCTIONS:
            self._apply(_FUNCTIONS[kind], what, args[0], getattr(part, "dim", None), result)
        elif kind in ("Linear", "Embedding"):
            if getattr(part, "max_norm", None) is not None:
                raise ImportRefused(what, "has max_norm", "train it without")
            rows = self._rows(ids) if kind == "Linear" else ids.reshape(-1, 1).numpy()
            words, steps = self.read(rows, what)
            self.keep(result, self.add((*words, name), steps, result.shape[-1]))
        elif kind in _RECURRENT:
            self._recurrent(part, name, what, ids, [*args[1:], *kwargs.values()], result)
        else:
            raise ImportRefused(what, "is not supported", "nn.RNN, nn.GRU, nn.LSTM, nn.Linear, "
                                "nn.Embedding, activations and dropout are (in place of a loop over"
                                " a cell use the layer, which has the same weights)")

    def _recurrent(self, part, name: str, what: str, ids, given: list, result) -> None:
        states = [s for item in given for s in (item if isinstance(item, tuple) else (item,))]
        if any(state is not None and bool(state.any()) for state in states):
            raise ImportRefused(what, "starts from a state that is not zero",
                                "leave the state out of its call: it starts from zeros then")
        if ids.ndim == 3:
            ids = ids.transpose(0, 1) if part.batch_first else ids
            if ids.shape[1] != 1:
                raise WrongLayout(what, f"reads {ids.shape[1]} sequences at once",
                                  "is batch_first as it should be?")
            ids = ids[:, 0]
        words, steps = self.read(ids.numpy(), what)
        words = (*words, name)
        y, last = result
        last = last if isinstance(last, tuple) else (last,)
        units = y.shape[-1] // (2 if part.bidirectional else 1)
        self.keep(y, self.add(words, steps, y.shape[-1]))
        other = self.add(words, last[0].numel() // units, units, "other")
        if part.bidirectional:
            other[-2:] = self.add(words, 1, 2 * units, "state").reshape(2, units)
        else:                              # the last state is the last step
            other[-1] = self._rows(self.ids(y))[-1]
        self.keep(last[0], other)
        for cell in last[1:]:
            self.keep(cell, self.add(words, 1, cell.numel(), "other"))


def trace(torch, module, x, time: int) -> tuple:
    """Run a module and follow its input.

    Parameters
    ----------
    torch
        The package, which the caller has imported.
    module : torch.nn.Module
        In ``eval`` mode.
    x : torch.Tensor
        One sequence.
    time : int
        The axis of x on which its steps lie.

    Returns
    -------
    tuple of str
        As in ``Description.layers``.

    Raises
    ------
    ImportRefused
        At the first thing that is no line of layers.
    """
    walk = _Walk(torch, module)
    walk.keep(x, walk.add((), x.shape[time], x.numel() // x.shape[time]))
    inside = []                            # modules of PyTorch's own that are running

    class Seen(torch.overrides.TorchFunctionMode):
        """Tells the walk of every function between the modules, and of none in them."""

        def __torch_function__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if not inside and walk.tracked([args, kwargs]):
                inside.append(func)
                walk.function(func, args, kwargs or {}, result)
                inside.pop()
            return result

    def leave(part, args, kwargs, result):
        if len(inside) == 1:
            walk.module(part, args, kwargs, result)
        inside.pop()

    layers = [part for part in module.modules() if type(part).__module__.startswith(_PLACE)
              and type(part).__name__ not in _CONTAINERS]
    hooks = [hook for part in layers for hook in (
        part.register_forward_pre_hook(lambda part, args: inside.append(part)),
        part.register_forward_hook(leave, with_kwargs=True))]
    try:
        with torch.no_grad(), Seen():
            result = module(x)
    finally:
        for hook in hooks:
            hook.remove()
    while isinstance(result, (tuple, list)) and result:
        result = result[0]
    ids = walk.ids(result)
    if ids is None:
        raise ImportRefused("the module", "does not return a tensor made of its input",
                            "return the result, or a tuple that begins with it")
    width = 1 if result.dtype == torch.int64 else ids.shape[-1]
    return walk.read(ids.reshape(-1, width).numpy(), "the result")[0]
