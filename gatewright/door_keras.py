"""Keras models, from the configuration and the weights of a .keras file to an ONNX model.

Sequential models, and functional ones without branches. Keras keeps kernels as (I, G*H) and
(H, G*H), its gates in the order i, f, c, o (LSTM) and z, r, h (GRU); ONNX transposes them, and its
LSTM has i, o, f, c. I inputs, H units, G gates.
"""

import numpy as np

from .door_keras_config import Layer, input_shape, series
from .door_keras_file import KerasFile, is_keras
from .door_line import FUNCTIONS, Line, weights
from .errors import quote

__all__ = ["is_keras", "keras_line"]

_OPS = {"LSTM": ("LSTM", (0, 3, 1, 2)), "GRU": ("GRU", (0, 1, 2)), "SimpleRNN": ("RNN", (0,))}
# What is not there when a trained model runs.
_NOTHING = {"InputLayer", "Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise",
            "AlphaDropout", "ActivityRegularization"}
_OVER_TIME = {"GlobalAveragePooling1D": "mean", "GlobalMaxPooling1D": "max"}
_FUNCTION_LAYERS = {"ReLU": "relu", "Softmax": "softmax"}
# Functions in a cell, by ONNX's names; with alpha and beta where they have some.
_IN_CELL = {word: (FUNCTIONS[word],) for word in ("tanh", "sigmoid", "relu", "softsign",
                                                  "softplus")}
_IN_CELL |= {"linear": ("Affine", 1.0, 0.0), "elu": ("Elu", 1.0), "leaky_relu": ("LeakyRelu", 0.2)}
_DEFAULTS = {"LSTM": ("sigmoid", "tanh", "tanh"), "GRU": ("sigmoid", "tanh"),
             "SimpleRNN": ("tanh",)}
_AGAIN = "save the model again"


def keras_line(data: bytes) -> tuple:
    """A .keras file as an ONNX model.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    (bytes, tuple of str)
        The .onnx file, and what a user should know.

    Raises
    ------
    ImportRefused
        In one line: what is wrong with the file, or what in it is not supported.
    """
    file = KerasFile(data)
    layers = series(file)
    steps, inputs, tokens = input_shape(layers)
    if tokens:
        inputs = next(layer for layer in layers if layer.kind == "Embedding").count("input_dim")
    # In a Sequential model the weights are numbered without its Input.
    held = [layer for layer in layers if file.model["class_name"] != "Sequential"
            or layer.kind != "InputLayer"]
    places = dict(zip(map(id, held), file.places([(one.name, one.kind) for one in held])))
    line = Line(inputs=inputs, steps=steps, tokens=tokens)
    notes = []
    for layer in layers:
        _append(line, file, layer, places.get(id(layer), ""), notes)
    version = ".".join(map(str, file.version))
    return line.finish(f"Keras {version}"), tuple(dict.fromkeys(notes))


def _append(line: Line, file: KerasFile, layer: Layer, place: str, notes: list) -> None:
    """One layer at the end of the line."""
    kind = layer.kind
    if kind in _NOTHING:
        return
    if kind in _OPS:
        _recurrent(line, file, layer, [(layer, place)], notes)
    elif kind == "Bidirectional":
        _bidirectional(line, file, layer, place, notes)
    elif kind == "Embedding":
        if layer.flag("mask_zero"):
            raise layer.refuse("has mask_zero: steps would be skipped where the id is 0",
                               "train it without, or cut the sequences")
        table, = _arrays(file, layer, place, 1)
        line.embedding(layer.name, weights(table, layer.what, (layer.count("input_dim"),
                                                               layer.count("output_dim"))))
    elif kind == "Dense":
        _dense(line, file, layer, place)
    elif kind == "TimeDistributed":
        inner = layer.inner()
        if inner.kind in _NOTHING or inner.kind in ("Activation", *_FUNCTION_LAYERS):
            return _append(line, file, inner, "", notes)
        if inner.kind != "Dense":
            raise layer.refuse(f"applies {quote(inner.kind)} to every step", "only Dense is "
                               "supported in it")
        _dense(line, file, inner, f"{place}/layer")
    elif kind == "Activation":
        _function(line, file, layer, "activation")
    elif kind in _FUNCTION_LAYERS:
        plain = {"axis": -1, "max_value": None, "negative_slope": 0.0, "threshold": 0.0}
        if other := [k for k, value in plain.items() if layer.config.get(k, value) != value]:
            raise layer.refuse(f"{other[0]} is {quote(layer.config[other[0]])}",
                               f"only {plain[other[0]]} is supported")
        line.function(_FUNCTION_LAYERS[kind], layer.name)
    elif kind in _OVER_TIME:
        if layer.flag("keepdims") or layer.config.get("data_format") == "channels_first":
            raise layer.refuse("keeps its axis, or has the channels first", "leave both out")
        line.over_time(_OVER_TIME[kind], layer.name)
    elif kind == "BatchNormalization":
        _normalise(line, file, layer, place)
    else:
        raise layer.refuse("is not supported", "leave it out or do it outside of the model (LSTM, "
                           "GRU, SimpleRNN, Bidirectional, Embedding, Dense, TimeDistributed(Dense)"
                           ", Activation, BatchNormalization and pooling over time are read)")


def _arrays(file: KerasFile, layer: Layer, place: str, count: int) -> list:
    found = file.arrays(place, layer.what)
    if len(found) != count:
        raise layer.refuse(f"has {len(found)} arrays of weights, not {count}", "the file is "
                           "damaged or the model was quantised: save it again")
    return found


def _function(line: Line, file: KerasFile, layer: Layer, key: str) -> None:
    word = layer.function(key)
    slopes = {"hard_sigmoid": {"alpha": 1 / 6 if file.version[0] == 3 else 0.2, "beta": 0.5},
              "leaky_relu": {"alpha": 0.2}}
    line.function(word, f"{layer.name}.{word}", **slopes.get(word, {}))


def _dense(line: Line, file: KerasFile, layer: Layer, place: str) -> None:
    units, biased = layer.count("units"), layer.flag("use_bias", True)
    kernel, *bias = _arrays(file, layer, place, 1 + biased)
    line.linear(layer.name, weights(kernel, f"{layer.what}, kernel", (None, units)).T,
                weights(bias[0], f"{layer.what}, bias", (units,)) if biased else None)
    _function(line, file, layer, "activation")


def _normalise(line: Line, file: KerasFile, layer: Layer, place: str) -> None:
    """Batch normalisation of a trained model: a factor and an offset for each feature."""
    scaled, centred = layer.flag("scale", True), layer.flag("center", True)
    axis, epsilon = layer.config.get("axis", -1), layer.config.get("epsilon", 1e-3)
    if axis not in (-1, [-1], 2 if line.sequence else 1, [2 if line.sequence else 1]):
        raise layer.refuse(f"is over axis {quote(axis)}", "only the features' axis is supported")
    if not isinstance(epsilon, float) or not 0 <= epsilon < 1:
        raise layer.refuse(f"epsilon is {quote(epsilon)}", "it must be 0 to 1")
    arrays = [weights(array, layer.what, (line.width,)).astype(np.float64)
              for array in _arrays(file, layer, place, 2 + scaled + centred)]
    gamma = arrays.pop(0) if scaled else 1.0
    beta = arrays.pop(0) if centred else 0.0
    mean, variance = arrays
    if np.any(variance + epsilon <= 0):
        raise layer.refuse("has a variance that is not positive", _AGAIN)
    factor = gamma / np.sqrt(variance + epsilon)
    line.scale(layer.name, weights(factor, layer.what), weights(beta - mean * factor, layer.what))


def _activations(file: KerasFile, layer: Layer) -> dict:
    """The functions of a cell as attributes of its ONNX node, for one direction."""
    words = [layer.function("activation")]
    if layer.kind != "SimpleRNN":
        words = [layer.function("recurrent_activation"), *words]
    if layer.kind == "LSTM":
        words.append(words[-1])            # of the candidate and of the cell state alike
    known = _IN_CELL | {"hard_sigmoid": ("HardSigmoid", 1 / 6 if file.version[0] == 3 else 0.2,
                                         0.5)}
    if other := [word for word in words if word not in known]:
        raise layer.refuse(f"the function {quote(other[0])} in a cell is not supported",
                           f"use {', '.join(known)}")
    functions = [known[word] for word in words]
    return {"activations": [function[0] for function in functions],
            "activation_alpha": [function[1] for function in functions if len(function) > 1],
            "activation_beta": [function[2] for function in functions if len(function) > 2]}


def _cell(file: KerasFile, layer: Layer, place: str) -> tuple:
    """(W, R, B or None) of one direction, as ONNX has them, without the axis of directions."""
    units, biased = layer.count("units"), layer.flag("use_bias", True)
    op, blocks = _OPS[layer.kind]
    rows = len(blocks) * units
    kernel, recurrent, *bias = _arrays(file, layer, f"{place}/cell", 2 + biased)
    w = weights(kernel, f"{layer.what}, kernel", (None, rows)).T
    r = weights(recurrent, f"{layer.what}, recurrent kernel", (units, rows)).T
    order = np.concatenate([np.arange(b * units, (b + 1) * units) for b in blocks])
    w, r = w[order], r[order]
    if not biased:
        return w, r, None
    both = op == "GRU" and layer.flag("reset_after", True)
    b = weights(bias[0], f"{layer.what}, bias", (2, rows) if both else (rows,))
    b = b if both else np.stack([b, np.zeros_like(b)])
    return w, r, b[:, order].ravel()


def _recurrent(line: Line, file: KerasFile, layer: Layer, parts: list, notes: list,
               merge: str | None = None) -> None:
    """A recurrent layer of one or two directions; parts: (layer, place) of each."""
    made = [_cell(file, part, place) for part, place in parts]
    if len({tuple(np.shape(array) for array in arrays) for arrays in made}) > 1:
        raise layer.refuse("has directions of different shapes", "make both alike")
    first, every = parts[0][0], parts[0][0].flag("return_sequences")
    for part, _ in parts:
        if part.flag("return_state"):
            raise part.refuse("returns its states", "set return_state=False")
        if part.flag("time_major"):
            raise part.refuse("has time in front (time_major)", "set time_major=False")
        if part.flag("stateful"):
            notes.append(f"{layer.what} is stateful: every sequence starts from zeros here.")
    backwards = len(parts) == 1 and first.flag("go_backwards")
    if backwards and every:
        raise first.refuse("goes backwards and returns every step, in reversed order",
                           "use Bidirectional, or return_sequences=False")
    more = {"linear_before_reset": 1} if first.kind == "GRU" and first.flag("reset_after", True) \
        else {}
    if backwards:
        more["direction"] = "reverse"
    for key in ("activations", "activation_alpha", "activation_beta"):
        values = [value for part, _ in parts for value in _activations(file, part)[key]]
        plain = [FUNCTIONS[word] for word in _DEFAULTS[first.kind]] * len(parts)
        if values and values != plain:
            more[key] = values
    w, r, bias = ([arrays[k] for arrays in made] for k in range(3))
    line.recurrent(layer.name, _OPS[first.kind][0], np.stack(w), np.stack(r),
                   None if bias[0] is None else np.stack(bias), every=every,
                   merge=merge or "concat", **more)


def _bidirectional(line: Line, file: KerasFile, layer: Layer, place: str, notes: list) -> None:
    forward, merge = layer.inner(), layer.config.get("merge_mode")
    backward = layer.inner("backward_layer") if layer.config.get("backward_layer") else forward
    if forward.flag("go_backwards"):
        raise layer.refuse("wraps a layer that goes backwards", "wrap one that goes forward")
    if forward.kind not in _OPS or backward.kind != forward.kind:
        raise layer.refuse(f"wraps {quote(forward.kind)} and {quote(backward.kind)}",
                           "LSTM, GRU and SimpleRNN are supported in it")
    if merge not in ("concat", "sum", "mul", "ave"):
        raise layer.refuse(f"merge_mode is {quote(merge)}", "concat, sum, mul and ave are possible")
    _recurrent(line, file, layer, [(forward, f"{place}/forward_layer"),
                                   (backward, f"{place}/backward_layer")], notes, merge)
