"""RNN, GRU, LSTM, MatMul and Gemm nodes as drafts of layers, in the house's gate order.

H units, I inputs, G gates, T steps, O outputs. ONNX keeps W as (dirs, G*H, I), R as
(dirs, G*H, H), B as (dirs, 2*G*H); its gates are i, o, f, c (LSTM) and z, r, h (GRU).
"""

from dataclasses import dataclass, field, replace

import numpy as np
import onnx

from golden.cells import default_functions
from golden.functions import PLAIN, Activation
from golden.network import GATES, Cell, FloatLayer, Initial

from .errors import ImportRefused, quote
from .onnx_functions import node_functions
from .onnx_node import attributes, label
from .onnx_operand import Operand

__all__ = ["LARGEST", "Draft", "Recurrent", "check_weights", "linear", "recurrent"]

# Row blocks of the file that make the house's order.
_BLOCKS = {"RNN": (0,), "GRU": (1, 0, 2), "LSTM": (0, 2, 3, 1)}
_DEFAULTS = {"RNN": ("tanh",), "GRU": ("sigmoid", "tanh"), "LSTM": ("sigmoid", "tanh", "tanh")}
_REVERSE = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
MAX_UNITS = 65536
LARGEST = 1e18                  # float32 still multiplies it by a million
SMALLEST = 1e-45                # float32 has nothing below


@dataclass(frozen=True, eq=False, kw_only=True)
class Draft:
    """A layer whose place in the network is not known yet: what it reads, and its numbers.

    Parameters
    ----------
    sources : tuple of Source
        Their results, one behind the other, are the input vector.
    when : str
        Which steps of them, as in ``Operand``.
    inserted : bool
        Stands for element-wise operators, not for a matrix product.
    own : dict
        What is out of the ordinary in its cell, by the names of ``FloatCell``.
    """

    sources: tuple
    when: str
    cell: Cell
    name: str
    w: np.ndarray
    bias_x: np.ndarray
    r: np.ndarray | None = None
    bias_h: np.ndarray | None = None
    activation: Activation = Activation.IDENTITY
    initial_h: Initial = Initial()
    initial_c: Initial = Initial()
    inserted: bool = False
    reverse: bool = False
    own: dict = field(default_factory=dict)

    @property
    def folds(self) -> bool:
        """True where the layer can be multiplied into the one that reads it."""
        return (self.inserted and self.cell is Cell.LINEAR and self.when == "every"
                and self.activation is Activation.IDENTITY)

    @property
    def once(self) -> bool:
        """True for one result a sequence."""
        return (self.cell.pools or self.when != "every"
                or all(source.once for source in self.sources))

    @property
    def units(self) -> int:
        """H (or O)."""
        return self.w.shape[0] // len(GATES[self.cell])

    def affine(self, scale: np.ndarray, offset: np.ndarray) -> "Draft":
        """The linear draft with its result scaled and shifted."""
        return replace(self, w=self.w * scale[:, None], bias_x=self.bias_x * scale + offset)

    def layer(self, name: str, last_only: bool, reads: tuple) -> FloatLayer:
        """The finished layer."""
        bias_h = np.zeros_like(self.bias_x) if self.bias_h is None else self.bias_h
        w, r, bias_x, bias_h = (
            None if part is None else np.where(np.abs(part) < SMALLEST, 0.0, part)
            for part in (self.w, self.r, self.bias_x, bias_h))
        return FloatLayer(name=name, cell=self.cell, units=self.units, activation=self.activation,
                          w=w, r=r, bias_x=bias_x, bias_h=bias_h,
                          initial_h=self.initial_h, initial_c=self.initial_c, last_only=last_only,
                          reads=reads, reverse=self.reverse, reads_final=self.when == "final",
                          **self.own)


@dataclass(frozen=True, kw_only=True)
class Recurrent:
    """The attributes of a recurrent node, checked; ``functions`` and ``reverse`` have an entry a
    direction.
    """

    op: str
    cell: Cell
    units: int
    functions: tuple
    layout: int
    reverse: tuple
    own: dict


def check_weights(values, what: str) -> np.ndarray:
    """Weights as float64, after every one has been found finite and of a possible size."""
    if values is None:
        raise ImportRefused(what, "depends on the graph's inputs",
                            "weights must be constants of the file")
    if values.dtype.kind != "f":
        raise ImportRefused(what, f"has type {values.dtype}", "weights must be floats")
    if values.size == 0:
        raise ImportRefused(what, f"has the shape {values.shape}", "no dimension may be zero")
    if not np.isfinite(values).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise ImportRefused(what, f"is {values[index]} at index {list(index)}",
                            "the training diverged, or the file is damaged: weights must be finite")
    values = values.astype(np.float64)
    if (largest := np.abs(values).max()) > LARGEST:
        raise ImportRefused(what, f"holds values up to {largest:.3g}", "no number format reaches "
                            f"them: weights must be within {LARGEST:.1g}")
    return values


def read_attributes(node: onnx.NodeProto) -> Recurrent:
    """Check the values of an RNN, GRU or LSTM node's attributes; names and kinds are right."""
    what, op, values = label(node), node.op_type, attributes(node)
    direction = values.get("direction", "forward")
    if direction not in _REVERSE:
        raise ImportRefused(what, f"direction {quote(direction)} is not one of "
                            f"{', '.join(_REVERSE)}", "export the model again")
    own = {}
    if "clip" in values:
        own["clip"] = float(values["clip"])
        if not 0 < own["clip"] <= LARGEST:
            raise ImportRefused(what, f"clip must be above 0 and finite, not {own['clip']:.4g}",
                                "leave it out, or give the bound that the model was trained with")
    coupled = values.get("input_forget", 0)
    if coupled not in (0, 1):
        raise ImportRefused(what, f"input_forget must be 0 or 1, not {coupled}",
                            "export the model again")
    if coupled:
        own["coupled"] = True
    reset = values.get("linear_before_reset", 0)
    if reset not in (0, 1):
        raise ImportRefused(what, f"linear_before_reset must be 0 or 1, not {reset}",
                            "export the model again")
    layout = values.get("layout", 0)
    if layout not in (0, 1):
        raise ImportRefused(what, f"layout must be 0 or 1, not {layout}", "export the model again")
    units = values.get("hidden_size", 0)
    if not 1 <= units <= MAX_UNITS:
        raise ImportRefused(what, f"hidden_size must be 1 to {MAX_UNITS}, not {units}",
                            "export the model again")
    reverse = _REVERSE[direction]
    functions = node_functions(node, _DEFAULTS[op], len(reverse))
    gru = Cell.GRU if reset else Cell.GRU_RESET_BEFORE
    cell = {"RNN": Cell.RNN, "LSTM": Cell.LSTM, "GRU": gru}[op]
    return Recurrent(op=op, cell=cell, units=units, functions=functions, layout=layout,
                     reverse=reverse, own=own)


def _named(cell: Cell, functions: tuple) -> tuple:
    """(activation, own functions or none) of a direction: how ``FloatLayer`` says it."""
    if cell is not Cell.RNN:
        return Activation.IDENTITY, () if functions == default_functions(cell) else functions
    activation = functions[0].activation
    return activation, () if activation in PLAIN else functions


def _shape(values: np.ndarray, wanted: tuple, what: str, node: onnx.NodeProto):
    if values.shape != wanted:
        raise ImportRefused(label(node), f"{what} has the shape {values.shape}, but hidden_size "
                            f"asks for {wanted}", "is a projection (proj_size) in the model? "
                            "ONNX has none: give PyTorch's module or state dict instead")


def recurrent(node: onnx.NodeProto, spec: Recurrent, operand: Operand, weights: tuple,
              initial: tuple) -> list:
    """The drafts of a recurrent node, one a direction.

    Parameters
    ----------
    operand : Operand
        What it reads; its scale and offset are folded into W and the bias.
    weights : (W, R, B, P), arrays as in the file; B and P may be None
    initial : tuple of (Initial, Initial), of h and c, one a direction
    """
    inputs, units, dirs = operand.width, spec.units, len(spec.reverse)
    blocks = _BLOCKS[spec.op]
    rows = len(blocks) * units
    names = [quote(node.input[i]) if i < len(node.input) else "B" for i in (1, 2, 3)]
    w, r = (check_weights(weights[k], f"{label(node)}, weight {names[k]}") for k in (0, 1))
    if w.ndim != 3 or w.shape[:2] != (dirs, rows):
        _shape(w, (dirs, rows, inputs), f"W ({names[0]})", node)
    if w.shape[2] != inputs:
        raise ImportRefused(label(node), f"W ({names[0]}) takes {w.shape[2]} inputs, but "
                            f"{inputs} values a step reach it", "export the model again")
    _shape(r, (dirs, rows, units), f"R ({names[1]})", node)
    bias = np.zeros((dirs, 2 * rows))
    if weights[2] is not None:
        bias = check_weights(weights[2], f"{label(node)}, bias {names[2]}")
        _shape(bias, (dirs, 2 * rows), f"B ({names[2]})", node)
    if weights[3] is not None:
        weights[3] = check_weights(weights[3], f"{label(node)}, peepholes {quote(node.input[7])}")
        _shape(weights[3], (dirs, 3 * units), f"P ({quote(node.input[7])})", node)
    order = np.concatenate([np.arange(b * units, (b + 1) * units) for b in blocks])
    drafts = []
    for k, reverse in enumerate(spec.reverse):
        activation, functions = _named(spec.cell, spec.functions[k])
        own = spec.own | ({"own_functions": functions} if functions else {})
        parts = [w[k][order], r[k][order], *bias[k].reshape(2, rows)[:, order]]
        if weights[3] is not None and weights[3][k].any():
            own["peephole"] = weights[3][k].reshape(3, units)[[0, 2, 1]]  # i, o, f in the file
        if own.get("coupled"):             # f is 1 - i, whatever its rows say
            for values in parts:
                values[units:2 * units] = 0
            if "peephole" in own:
                own["peephole"][1] = 0
        placed, own_r, bias_x, bias_h = parts
        sources, placed, bias_x = operand.place(placed, bias_x)
        drafts.append(Draft(
            sources=sources, when="every", cell=spec.cell, activation=activation,
            name=node.name + "_reverse" * (k and bool(node.name)), w=placed, bias_x=bias_x,
            r=own_r, bias_h=bias_h, initial_h=initial[k][0], initial_c=initial[k][1],
            reverse=reverse, own=own))
    return drafts


def linear(name: str, operand: Operand, w: np.ndarray, bias: np.ndarray, **fields) -> Draft:
    """A linear draft; w : float64 (O, F), bias : float64 (O,)."""
    sources, w, bias = operand.place(w, bias)
    return Draft(**({"cell": Cell.LINEAR} | fields), sources=sources, when=operand.when, name=name,
                 w=w, bias_x=bias)
