"""A straight line of layers, written down as an ONNX model: what the PyTorch and Keras doors make.

Every door leads through the ONNX importer, so what an engine can do, what is refused and how it is
said stands in one place, and onnxruntime can run what was made of any file. B batch, T steps,
I inputs, H units, G gates, D directions (1 or 2), O outputs, V tokens, E embedding width.
"""

import math

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .errors import ImportRefused, quote
from .onnx_file import MAX_ELEMENTS

__all__ = ["FUNCTIONS", "Line", "weights"]

OPSET, IR_VERSION = 17, 8
MAX_LAYERS = 256
# Words for element-wise functions and those over the features -> operator.
FUNCTIONS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "softmax": "Softmax",
             "log_softmax": "LogSoftmax", "argmax": "ArgMax", "hard_sigmoid": "HardSigmoid",
             "softsign": "Softsign", "softplus": "Softplus", "elu": "Elu",
             "leaky_relu": "LeakyRelu"}
_AXIS = {"Softmax": {"axis": -1}, "LogSoftmax": {"axis": -1}, "ArgMax": {"axis": -1, "keepdims": 0}}


def weights(values: np.ndarray, what: str, shape: tuple | None = None) -> np.ndarray:
    """Weights of a file as float32.

    Parameters
    ----------
    values : array
    what : str
        The tensor, for messages.
    shape : tuple of (int or None), or None
        The shape wanted; None in it fits anything.

    Raises
    ------
    ImportRefused
        If the values are no floats, not finite, too many, or of another shape.
    """
    if values.dtype.kind != "f":
        raise ImportRefused(what, f"holds {values.dtype} values",
                            "weights must be floats: save the model before it is quantised")
    if shape is not None and (values.ndim != len(shape) or any(
            want not in (None, have) for want, have in zip(shape, values.shape))):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ImportRefused(what, f"has the shape {values.shape}, not ({wanted})",
                            "the file is damaged, or its layers are not what it says")
    if not 0 < values.size <= MAX_ELEMENTS:
        raise ImportRefused(what, f"has the shape {values.shape}",
                            f"1 to {MAX_ELEMENTS} elements are possible")
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    if not np.isfinite(single).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(single))[0])
        raise ImportRefused(what, f"is {values[index]} at index {list(index)}",
                            "the training diverged, or the file is damaged: weights must be finite")
    return single


class Line:
    """An ONNX model in the making: one value that passes from layer to layer.

    Parameters
    ----------
    inputs : int
        I, or V where token ids come in and an embedding follows.
    steps : int or None
        T where it is fixed.
    tokens : bool

    Members
    -------
    width : int
        Values a step at this point of the line.
    sequence : bool
        The value is (B, T, width) here; (B, width) behind the last step, a mean or a maximum.
    """

    def __init__(self, *, inputs: int, steps: int | None = None, tokens: bool = False):
        dims = ["batch", steps or "time"] + ([] if tokens else [inputs])
        kind = TensorProto.INT64 if tokens else TensorProto.FLOAT
        self._inputs = [helper.make_tensor_value_info("input", kind, dims)]
        self._outputs, self._nodes, self._constants = [], [], []
        self._at, self._shape, self._names = "input", dims, {"input", "output"}
        self._tokens, self.width, self.sequence = tokens, inputs, True

    def _constant(self, values, dtype=np.float32) -> str:
        name = f"const_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.array(values, dtype=dtype), name))
        return name

    def _node(self, op: str, inputs: list, name: str = "", outputs: int = 1, **attributes) -> list:
        """Add a node; its results are named after it, so that messages name the user's layer."""
        if len(self._nodes) > MAX_LAYERS * 8:
            raise ImportRefused("the model", f"has more than {MAX_LAYERS} layers",
                                "no network of that size fits a device")
        made = [f"t{len(self._nodes)}_{k}" for k in range(outputs)]
        self._nodes.append(helper.make_node(op, inputs, made, name=name, **attributes))
        return made

    def _then(self, op: str, *others: str, name: str = "", **attributes) -> None:
        """Replace the value by an operator's result."""
        self._at, = self._node(op, [self._at, *others], name, **attributes)

    def embedding(self, name: str, table: np.ndarray) -> None:
        """Token ids -> rows of a table, float32 (V, E)."""
        if self._at != "input" or not self._tokens:
            raise ImportRefused(f"layer {quote(name)}", "is an embedding behind other layers",
                                "an embedding must come first")
        self._at, = self._node("Gather", [self._constant(table), "input"], name, axis=0)
        self._tokens, self.width = False, table.shape[1]

    def _wanted(self, name: str, inputs: int, sequence: bool = False) -> None:
        what = f"layer {quote(name)}"
        if self._tokens:
            raise ImportRefused(what, "reads token ids", "an embedding must come first")
        if sequence and not self.sequence:
            raise ImportRefused(what, "reads one vector, not a sequence",
                                "the layer in front of it must hand over every step")
        if inputs != self.width:
            raise ImportRefused(what, f"takes {inputs} inputs, but {self.width} values reach it",
                                "the file is damaged, or its layers are in another order")

    def linear(self, name: str, w: np.ndarray, bias: np.ndarray | None) -> None:
        """y = W x + b on every step. w : float32 (O, I), bias : float32 (O,)."""
        self._wanted(name, w.shape[1])
        self._then("MatMul", self._constant(w.T), name=name)
        if bias is not None:
            self._then("Add", self._constant(bias), name=f"{name}.bias")
        self.width = w.shape[0]

    def scale(self, name: str, factor: np.ndarray, offset: np.ndarray) -> None:
        """y = factor * x + offset, each float32 (width,) or ()."""
        self._wanted(name, max(factor.size, offset.size) if factor.ndim else self.width)
        self._then("Mul", self._constant(factor), name=name)
        self._then("Add", self._constant(offset), name=f"{name}.offset")

    def function(self, word: str, name: str = "", **attributes) -> None:
        """One of ``FUNCTIONS``; "linear" and "identity" are nothing at all."""
        if word in ("linear", "identity"):
            return
        if word not in FUNCTIONS:
            raise ImportRefused(f"layer {quote(name or word)}", f"the function {quote(word)} is "
                                "not supported", f"use one of {', '.join(FUNCTIONS)}")
        op = FUNCTIONS[word]
        self._then(op, name=name or word, **_AXIS.get(op, {}), **attributes)
        if op == "ArgMax":
            self.width = 0

    def over_time(self, what: str, name: str = "") -> None:
        """(B, T, width) -> (B, width): the "last" step, the "mean" or the "max" over all."""
        self._wanted(name or what, self.width, sequence=True)
        if what == "last":
            self._then("Gather", self._constant(-1, np.int64), name=name, axis=1)
        else:
            self._then({"mean": "ReduceMean", "max": "ReduceMax"}[what], name=name, axes=[1],
                       keepdims=0)
        self.sequence = False

    def recurrent(self, name: str, op: str, w: np.ndarray, r: np.ndarray,
                  bias: np.ndarray | None, *, every: bool = True, merge: str | None = "concat",
                  initial: tuple = (), **attributes) -> list:
        """An RNN, GRU or LSTM node, in ONNX's own layouts and gate order.

        Parameters
        ----------
        op : str
        w, r : float32 (D, G*H, I), (D, G*H, H)
        bias : float32 (D, 2*G*H) or None
        every : bool
            The result of every step goes on; else the last states, D of them side by side.
        merge : str or None
            Of two directions: concat, sum, mul, ave.
        initial : tuple of str
            Tensors (D, B, H) that carry h and c before the first step.
        **attributes
            Of the node.

        Returns
        -------
        list of str
            Y_h and, of an LSTM, Y_c.
        """
        directions, _, units = r.shape
        self._wanted(name, w.shape[2], sequence=True)
        if directions == 2:
            attributes["direction"] = "bidirectional"
        x, = self._node("Transpose", [self._at], perm=[1, 0, 2])
        inputs = [x, self._constant(w), self._constant(r),
                  "" if bias is None else self._constant(bias), "", *initial]
        while not inputs[-1]:
            inputs.pop()
        y, *states = self._node(op, inputs, name, outputs=3 if op == "LSTM" else 2,
                                hidden_size=units, **attributes)
        # behind this: (B, T, D, H), or (B, D, H)
        self._at = y if every else states[0]
        self._then("Transpose", perm=[2, 0, 1, 3] if every else [1, 0, 2])
        axis = 2 if every else 1
        if directions == 1:
            self._then("Squeeze", self._constant([axis], np.int64))
        elif merge == "concat":
            self._then("Reshape", self._constant([0, 0, -1] if every else [0, -1], np.int64))
        else:
            both = [self._node("Gather", [self._at, self._constant(k, np.int64)], axis=axis)[0]
                    for k in (0, 1)]
            self._at, = self._node("Mul" if merge == "mul" else "Add", both, f"{name}.merge")
            if merge == "ave":
                self._then("Mul", self._constant(0.5))
        self.width = units * (directions if merge == "concat" else 1)
        self.sequence = every
        return states

    def state_input(self, name: str, counts: list, units: int) -> list:
        """A graph input (sum of counts, B, H) of initial states, cut into (count, B, H) each."""
        ends = np.cumsum([0, *counts])
        self._inputs.append(helper.make_tensor_value_info(
            name, TensorProto.FLOAT, [int(ends[-1]), "batch", units]))
        return [self._node("Slice", [name, *(self._constant([n], np.int64)
                                             for n in (start, end, 0))])[0]
                for start, end in zip(ends, ends[1:])]

    def state_output(self, name: str, states: list, rows: int, units: int) -> None:
        """Last states, (D, B, H) each, as one graph output (rows, B, H)."""
        self._nodes.append(helper.make_node("Concat", states, [name], axis=0))
        self._outputs.append(helper.make_tensor_value_info(
            name, TensorProto.FLOAT, [rows, "batch", units]))

    def finish(self, producer: str) -> bytes:
        """The whole line as the bytes of an .onnx file."""
        if self._at == "input":
            raise ImportRefused("the model", "has no layers", "save the whole model")
        self._nodes.append(helper.make_node("Identity", [self._at], ["output"]))
        dims = self._shape[:2 if self.sequence else 1] + ([self.width] if self.width else [])
        output = helper.make_tensor_value_info(
            "output", TensorProto.FLOAT if self.width else TensorProto.INT64, dims)
        graph = helper.make_graph(self._nodes, "line", self._inputs, [output, *self._outputs],
                                  self._constants)
        size = sum(math.prod(tensor.dims) for tensor in self._constants)
        if size > 2 * MAX_ELEMENTS:
            raise ImportRefused("the model", f"has {size} weights, more than {2 * MAX_ELEMENTS}",
                                "no network of that size fits a device")
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)],
                                  ir_version=IR_VERSION, producer_name=producer)
        return model.SerializeToString()
