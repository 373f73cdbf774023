"""The configuration of a Keras model as plain data: its layers, in the order of their use."""

from .door_keras_file import KerasFile
from .errors import ImportRefused, quote
from .onnx_file import MAX_ELEMENTS

__all__ = ["Layer", "input_shape", "series"]

_AGAIN = "save the model again"


class Layer:
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

    def inner(self, key: str = "layer") -> "Layer":
        made = Layer(self.config.get(key))
        made.what = f"{self.what}, {made.what}"
        return made


def _inbound(layer: Layer) -> str:
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


def series(file: KerasFile) -> list:
    """All layers of a model, in the order in which they follow each other."""
    model = Layer(file.model)
    records = model.config.get("layers")
    if model.kind not in ("Sequential", "Functional", "Model") or not isinstance(records, list) \
            or not records:
        raise ImportRefused(model.what, "is neither Sequential nor functional",
                            "build it from Keras's own layers and save it again")
    layers = [Layer(record) for record in records]
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
    chain = [ends[1]]
    while chain[0] is not ends[0] and len(chain) < len(layers):
        before = _inbound(chain[0])
        if before not in by_name:
            raise chain[0].refuse(f"reads {quote(before)}, which is no layer", _AGAIN)
        chain.insert(0, by_name[before])
    if chain[0] is not ends[0] or len(chain) != len(layers) or len(by_name) != len(layers):
        aside = next((layer for layer in layers if layer not in chain), chain[0])
        raise aside.refuse("does not lie in the series from the input to the result",
                           "only layers in series are supported")
    return chain


def input_shape(layers: list) -> tuple:
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
