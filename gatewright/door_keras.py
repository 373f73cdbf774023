"""Keras models, from the configuration and the weights of a .keras file to an ONNX model.

Sequential models, and functional ones without branches. Keras keeps kernels as (I, G*H) and
(H, G*H), its gates in the order i, f, c, o (LSTM) and z, r, h (GRU); ONNX transposes them, and its
LSTM has i, o, f, c. I inputs, H units, G gates.
"""

import numpy as np

from .door_keras_file import KerasFile, is_keras
from .door_line import FUNCTIONS, Line, weights
from .errors import ImportRefused, quote
from .onnx_file import MAX_ELEMENTS

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


class _Layer:
    """A layer's configuration.

    Members
    -------
    name, kind, what : str
        The last one for messages.
    """

    def __init__(self, record):
        config = record.get("config") if isinstance(record, dict) else None
        if not isinstance(config, dict) or not isinstance(record.get("class_name"), str):
            raise ImportRefused("member 'config.json'", "has a layer without class or settings",
                                _AGAIN)
        self.record, self.config, self.kind = record, config, record["class_name"]
        self.name = str(config.get("name") or record.get("name") or self.kind)
        self.what = f"layer {quote(self.name)} ({quote(self.kind, 40)[1:-1]})"

    def refuse(self, reason: str, remedy: str) -> ImportRefused:
        return ImportRefused(self.what, reason, remedy)

    def count(self, key: str) -> int:
        value = self.config.get(key)
        if type(value) is not int or not 1 <= value <= MAX_ELEMENTS:
            raise self.refuse(f"{key} is {quote(value)}",
                              f"it must be a whole number from 1 to {MAX_ELEMENTS}")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        value = self.config.get(key, default)
        if not isinstance(value, bool):
            raise self.refuse(f"{key} is {quote(value)}", "it must be true or false")
        return value

    def function(self, key: str) -> str:
        """The word of an element-wise function."""
        value = self.config.get(key, "linear")
        if value is None:
            return "linear"
        if not isinstance(value, str):
            raise self.refuse(f"{key} is not one of Keras's own functions, but "
                              f"{quote(value, 80)}", "use one that has a name, as 'tanh'")
        return value

    def inner(self, key: str = "layer") -> "_Layer":
        made = _Layer(self.config.get(key))
        made.what = f"{self.what}, {made.what}"
        return made


def _inbound(layer: _Layer) -> str:
    """The layer that a functional layer reads: its only input."""
    try:
        node, = layer.record["inbound_nodes"]
        if isinstance(node, dict):         # Keras 3
            tensor, = node["args"]
            history, given = tensor["config"]["keras_history"], node.get("kwargs", {})
        else:                              # Keras 2
            (*history, given), = node
        name, number, index = history
        given = [key for key, value in given.items() if key != "training" and value is not None]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise layer.refuse("reads several tensors, or is used several times",
                           "only layers in series are supported") from None
    if given:
        raise layer.refuse(f"is called with {quote(given[0])}", "masks and initial states that are "
                           "handed over are not supported: call it with its input alone")
    if (number, index) != (0, 0):
        raise layer.refuse("reads a result that is not the first of its layer",
                           "leave return_state out")
    return str(name)


def _series(file: KerasFile) -> list:
    """All layers of a model, in the order in which they follow each other."""
    model = _Layer(file.model)
    records = model.config.get("layers")
    if model.kind not in ("Sequential", "Functional", "Model") or not isinstance(records, list) \
            or not records:
        raise ImportRefused(model.what, "is neither Sequential nor functional",
                            "build it from Keras's own layers and save it again")
    layers = [_Layer(record) for record in records]
    if model.kind == "Sequential":
        return layers
    by_name = {layer.name: layer for layer in layers}
    ends = []
    for key in ("input_layers", "output_layers"):
        end = model.config.get(key)
        while isinstance(end, list) and len(end) == 1:
            end = end[0]
        if not isinstance(end, list) or len(end) != 3 or end[1:] != [0, 0] \
                or str(end[0]) not in by_name:
            raise ImportRefused(model.what, f"has several inputs or outputs ({key})",
                                "one input and one result are supported")
        ends.append(by_name[str(end[0])])
    series = [ends[1]]
    while series[0] is not ends[0] and len(series) < len(layers):
        before = _inbound(series[0])
        if before not in by_name:
            raise series[0].refuse(f"reads {quote(before)}, which is no layer", _AGAIN)
        series.insert(0, by_name[before])
    if series[0] is not ends[0] or len(series) != len(layers) or len(by_name) != len(layers):
        aside = next((layer for layer in layers if layer not in series), series[0])
        raise aside.refuse("does not lie in the series from the input to the result",
                           "only layers in series are supported")
    return series


def _shape(file: KerasFile, layers: list) -> tuple:
    """(steps or None, inputs or None, token ids) of the model's input."""
    first, built = layers[0].config, layers[0].record.get("build_config")
    shape = first.get("batch_shape") or first.get("batch_input_shape") \
        or (built.get("input_shape") if isinstance(built, dict) else None)
    tokens = any(layer.kind == "Embedding" for layer in layers)
    if not isinstance(shape, list) or len(shape) != (2 if tokens else 3) \
            or not all(size is None or type(size) is int and 0 < size <= MAX_ELEMENTS
                       for size in shape):
        raise layers[0].refuse(f"has the input shape {quote(shape)}, not (batch, time"
                               f"{'' if tokens else ', features'})",
                               "the model must read sequences")
    if not tokens and shape[2] is None:
        raise layers[0].refuse("leaves the number of features open", "give it in the Input")
    return shape[1], None if tokens else shape[2], tokens


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
    layers = _series(file)
    steps, inputs, tokens = _shape(file, layers)
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


def _append(line: Line, file: KerasFile, layer: _Layer, place: str, notes: list) -> None:
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


def _arrays(file: KerasFile, layer: _Layer, place: str, count: int) -> list:
    found = file.arrays(place, layer.what)
    if len(found) != count:
        raise layer.refuse(f"has {len(found)} arrays of weights, not {count}", "the file is "
                           "damaged or the model was quantised: save it again")
    return found


def _function(line: Line, file: KerasFile, layer: _Layer, key: str) -> None:
    word = layer.function(key)
    slopes = {"hard_sigmoid": {"alpha": 1 / 6 if file.version[0] == 3 else 0.2, "beta": 0.5},
              "leaky_relu": {"alpha": 0.2}}
    line.function(word, f"{layer.name}.{word}", **slopes.get(word, {}))


def _dense(line: Line, file: KerasFile, layer: _Layer, place: str) -> None:
    units, biased = layer.count("units"), layer.flag("use_bias", True)
    kernel, *bias = _arrays(file, layer, place, 1 + biased)
    line.linear(layer.name, weights(kernel, f"{layer.what}, kernel", (None, units)).T,
                weights(bias[0], f"{layer.what}, bias", (units,)) if biased else None)
    _function(line, file, layer, "activation")


def _normalise(line: Line, file: KerasFile, layer: _Layer, place: str) -> None:
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


def _activations(file: KerasFile, layer: _Layer) -> dict:
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


def _cell(file: KerasFile, layer: _Layer, place: str) -> tuple:
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


def _recurrent(line: Line, file: KerasFile, layer: _Layer, parts: list, notes: list,
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


def _bidirectional(line: Line, file: KerasFile, layer: _Layer, place: str, notes: list) -> None:
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
