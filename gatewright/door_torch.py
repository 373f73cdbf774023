"""PyTorch's recurrent modules, from the tensors of a state dict to an ONNX model.

A state dict holds tensors, not what happens between them. Tensor names and shapes tell the cells,
their layers and directions; the rest is said by a ``Description``.
"""

from dataclasses import dataclass

from .door_line import FUNCTIONS, Line, weights
from .door_torch_state import RecurrentTensors, is_matrix, modules
from .errors import ImportRefused, quote

__all__ = ["Description", "describe", "line_of"]

_OVER_TIME = ("last", "mean", "max")


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a state dict leaves open.

    Parameters
    ----------
    layers : tuple of str, or None
        In order: names of modules, the functions between them ("relu", "softmax", ...), and where
        a sequence becomes one vector: "last" (step), "state" (the last states, of both directions),
        "mean" or "max" over all steps. None where one recurrent module is all there is.
    nonlinearity : str or None
        Of nn.RNN: "tanh" or "relu".
    tokens : bool or None
        The input is token ids; None where shapes tell.
    states : bool
        The initial states become inputs h0 and c0 of the network, the last ones outputs hn and cn,
        in PyTorch's layout, so that a stream can be run in pieces.
    """

    layers: tuple | None = None
    nonlinearity: str | None = None
    tokens: bool | None = None
    states: bool = False


def describe(values, what: str) -> Description:
    """A description from the plain data of a file, checked."""
    kinds = {"layers": (list, "a list of names"), "nonlinearity": (str, "'tanh' or 'relu'"),
             "tokens": (bool, "true or false"), "states": (bool, "true or false")}
    if not isinstance(values, dict):
        raise ImportRefused(what, "is not a table of settings", f"it may set {', '.join(kinds)}")
    for key, value in values.items():
        if key not in kinds:
            raise ImportRefused(what, f"sets {quote(key)}", f"it may set {', '.join(kinds)}")
        kind, form = kinds[key]
        if not isinstance(value, kind) or (key == "nonlinearity" and value not in ("tanh", "relu")):
            raise ImportRefused(what, f"{key} is {quote(value)}", f"it must be {form}")
    layers = values.get("layers")
    if layers is not None:
        if not layers or not all(isinstance(word, str) for word in layers):
            raise ImportRefused(what, "layers must be a list of names", "name at least one module")
        layers = tuple(layers)
    return Description(**(values | {"layers": layers}))


def _proposal(recurrent: dict, others: dict) -> list:
    """Layers in an order that their shapes allow, for a message; empty where there is none."""
    names, words = sorted(recurrent), []
    first = min(names, key=lambda n: (recurrent[n].inputs in {r.width for r in recurrent.values()},
                                      names.index(n)))
    left = {name for name, parts in others.items() if is_matrix(parts)}
    for name in sorted(left):
        if "bias" not in others[name] and others[name]["weight"].shape[1] \
                == recurrent[first].inputs:
            words.append(name)
            left.discard(name)
            break
    width = recurrent[first].inputs
    while names:
        name = first if first in names else next(
            (n for n in names if recurrent[n].inputs == width), None)
        if name is None:
            return []
        names.remove(name)
        words.append(name)
        width = recurrent[name].width
    words.append("last")
    while left:
        name = next((n for n in sorted(left) if others[n]["weight"].shape[1] == width), None)
        if name is None:
            return []
        left.discard(name)
        words.append(name)
        width = others[name]["weight"].shape[0]
    return words


def _order(recurrent: dict, others: dict, description: Description, where: str) -> list:
    """The words of the line, from the description or where there is no choice."""
    if not recurrent:
        raise ImportRefused("the state dict", "has no weights of nn.RNN, nn.GRU or nn.LSTM "
                            "(no weight_hh_l0)", "save the state dict of the whole model")
    lacks_function = description.nonlinearity is None and any(
        one.op == "RNN" for one in recurrent.values())
    words = list(description.layers or ())
    if description.layers is None and len(recurrent) == 1 and not others:
        words = list(recurrent)
    if words and not lacks_function:
        return words
    lines = []
    if not words and (proposal := _proposal(recurrent, others)):
        listed = ", ".join(f'"{word}"' for word in proposal)
        lines.append(f"layers = [{listed}] (with the functions between them; without "
                     '"last" every step is a result)')
    elif not words:
        lines.append('layers = ["name", "last", "name", "relu", ...]')
    if lacks_function:
        lines.append('nonlinearity = "tanh" (or "relu")')
    open_ = " and ".join(["which function its nn.RNN applies"] * lacks_function
                         + ["what happens between its modules"] * (not words))
    raise ImportRefused("the state dict", f"does not say {open_}",
                        f"write into {where}: {' and '.join(lines)}")


def line_of(tensors: dict, description: Description, *, where: str, producer: str) -> tuple:
    """A state dict as an ONNX model.

    Parameters
    ----------
    tensors : dict of str to array
    description : Description
    where : str
        The file that a description could stand in, for messages.
    producer : str
        Who wrote the tensors, for the model's own record.

    Returns
    -------
    (bytes, tuple of str)
        The .onnx file, and what a user should know.

    Raises
    ------
    ImportRefused
        If tensors are missing, wrong or not understood, or the description leaves something open.
    """
    recurrent, others = modules(tensors)
    words = _order(recurrent, others, description, where)
    for word in words:
        if word in others and not is_matrix(others[word]):
            raise ImportRefused(f"module {quote(word)}", "has the tensors "
                                f"{', '.join(quote(part) for part in sorted(others[word])[:6])}, "
                                "which are those of no module that is supported",
                                "nn.RNN, nn.GRU, nn.LSTM, nn.Linear and nn.Embedding are read; "
                                "fold or remove the others")
    tokens = _has_tokens(words, recurrent, others, description, where)
    line = Line(inputs=_first_inputs(words, recurrent, others, tokens), tokens=tokens)
    used = [recurrent[word] for word in words if word in recurrent]
    states = _state_inputs(line, used) if description.states else None
    for at, word in enumerate(words):
        if word in recurrent:
            every = words[at + 1:at + 2] != ["state"]
            _append(line, word, recurrent[word], description, every, states)
        elif word in others:
            _append_matrix(line, word, others[word], embedding=tokens and at == 0)
        elif word == "state" and at and words[at - 1] in recurrent:
            pass                           # the module in front of it has handed them over
        elif word in _OVER_TIME:
            line.over_time(word, word)
        elif word in FUNCTIONS:
            line.function(word)
        else:
            known = ", ".join(quote(name) for name in [*recurrent, *others][:8])
            raise ImportRefused(where, f"names {quote(word)}, which is no module of the state dict "
                                f"({known})", 'functions are "relu", "tanh", "sigmoid", "softmax", '
                                '..., and "last", "state", "mean", "max"')
    if states:
        for name, kind in (("hn", 0), ("cn", 1)):
            if states["last"][kind]:
                line.state_output(name, states["last"][kind], states["rows"], used[0].units)
    notes = [f"The projection of {one.what} became a linear layer and part of the recurrent "
             f"matrix, which has {one.units} columns, not {one.projection}."
             for one in used if one.projection]
    unused = [name for name in [*recurrent, *others] if name not in words]
    if unused:
        notes.append("Modules of the state dict that the description leaves out: "
                     f"{', '.join(quote(name) for name in unused[:6])}.")
    return line.finish(producer), tuple(notes)


def _has_tokens(words, recurrent, others, description, where) -> bool:
    """True where the first module is an embedding rather than a linear layer without a bias."""
    first = words[0]
    if first not in others or "bias" in others[first]:
        if description.tokens:
            raise ImportRefused(where, f"says tokens, but {quote(first)} is no embedding",
                                "name the embedding first")
        return False
    if description.tokens is not None:
        return description.tokens
    rows, columns = others[first]["weight"].shape
    follows = next((w for w in words[1:] if w in recurrent or w in others), None)
    inputs = recurrent[follows].inputs if follows in recurrent else (
        others[follows]["weight"].shape[1] if follows else None)
    if (rows == inputs) == (columns == inputs):
        raise ImportRefused(f"module {quote(first)}", "may be an embedding or a linear layer",
                            f"write tokens = true, or false, into {where}")
    return columns == inputs


def _first_inputs(words, recurrent, others, tokens: bool) -> int:
    for word in words:
        if word in recurrent:
            return recurrent[word].inputs
        if word in others:
            return others[word]["weight"].shape[0 if tokens else 1]
    raise ImportRefused("the description", "names no module", "name the modules in order")


def _state_inputs(line: Line, used: list) -> dict:
    """Graph inputs h0 and c0 for all recurrent layers, in order, and a place for the last ones."""
    if len({(one.units, one.op) for one in used}) > 1:
        raise ImportRefused("the description", "asks for states, but the recurrent modules differ "
                            "in kind or size", "leave states out")
    if used[0].projection:
        raise ImportRefused("the description", "asks for states, but those of an LSTM with a "
                            "projection (proj_size) cannot be handed over", "leave states out")
    counts = [one.directions for one in used for _ in range(one.layers)]
    kinds = ("h0", "c0")[:1 + (used[0].op == "LSTM")]
    return {"first": [line.state_input(name, counts, used[0].units) for name in kinds],
            "last": [[], []], "rows": sum(counts)}


def _append(line: Line, name: str, module: RecurrentTensors, description: Description, every: bool,
            states: dict | None) -> None:
    """All layers of a recurrent module; ``every`` False: only the last one's last states go on."""
    more = {}
    if module.op == "GRU":
        more["linear_before_reset"] = 1
    elif module.op == "RNN":
        more["activations"] = [description.nonlinearity.capitalize()] * module.directions
    for k in range(module.layers):
        first = () if states is None else [chunks.pop(0) for chunks in states["first"]]
        called = name if module.layers == 1 else f"{name}.{k}"
        w, r, bias, projection = module.layer(k)
        last = line.recurrent(called, module.op, w, r, bias,
                              every=every or k < module.layers - 1, initial=first, **more)
        if projection is not None:
            line.linear(f"{called}.projection", projection, None)
        for kept, tensor in zip(states["last"] if states else (), last):
            kept.append(tensor)


def _append_matrix(line: Line, name: str, parts: dict, *, embedding: bool) -> None:
    what = f"tensor {quote(f'{name}.weight')}"
    w = weights(parts["weight"], what)
    if embedding:
        return line.embedding(name, w)
    bias = parts.get("bias")
    if bias is not None:
        bias = weights(bias, f"tensor {quote(f'{name}.bias')}", (len(w),))
    return line.linear(name, w, bias)
