"""Networks as plain records: the float one that was imported, the integer one that is built.

Dimensions: T steps, I inputs, H units, G gates (rows per unit), V tokens, E embedding width.
Gate order is fixed in ``golden.cells`` and nowhere else: i, f, g, o for LSTM; r, z, n for GRU.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from .cells import GATES, Cell, FloatCell, IntCell
from .fixed import Fixed
from .functions import Activation

__all__ = ["Activation", "Cell", "GATES", "Final", "Binding", "Initial", "FloatLayer",
           "FloatNetwork", "IntLayer", "IntNetwork"]


class Final(StrEnum):
    """Function of the graph behind the last layer; the hardware outputs what stands before it."""

    NONE = "none"
    SOFTMAX = "softmax"
    LOG_SOFTMAX = "log_softmax"
    SIGMOID = "sigmoid"
    ARGMAX = "argmax"


@dataclass(frozen=True, kw_only=True)
class Binding:
    """How a tensor of the graph is laid out.

    Parameters
    ----------
    name : str
        The graph's own name of the tensor.
    axes : tuple of str
        The role of each axis: "batch", "time", "feature", "direction" (in front of the features
        of each), "layer" (stacked states) or "one" (an axis of length 1 that means nothing). An
        axis that is missing is not there: ("batch", "feature") is one vector a sequence.
    dtype : str
        NumPy dtype name, as "float32" or "int64".
    shape : tuple of (int or None)
        The declared shape; None where the file leaves it open.
    layers : tuple of int
        For states: the network's layer of each index of the "layer" axis; one entry without it.
    kind : str
        "x" (input), "y" (last layer's result), "h" or "c" (a state), "n" (lengths).
    start, width : int
        Of "y": the values of the result that it takes; width 0: all of them.
    final : Final
        Of "y" with a width: the function behind them.
    """

    name: str
    axes: tuple
    dtype: str = "float32"
    shape: tuple = ()
    layers: tuple = ()
    kind: str = "x"
    start: int = 0
    width: int = 0
    final: Final = Final.NONE


@dataclass(frozen=True, kw_only=True)
class Initial:
    """The state before the first step: a constant of the file, or a graph input.

    Parameters
    ----------
    value : float64 (H,) or None
        The constant; zeros where the file gives none.
    source : str or None
        Name of the graph input (see ``FloatNetwork.state_inputs``) that carries it instead.
    """

    value: np.ndarray | None = None
    source: str | None = None

    @property
    def is_zero(self) -> bool:
        """True where the state starts from zeros, so that nothing has to be loaded."""
        return self.source is None and (self.value is None or not np.any(self.value))


@dataclass(frozen=True, kw_only=True)
class FloatLayer(FloatCell):
    """One layer with float64 weights, rows gate-major in the order of ``GATES``.

    Clip, coupled gates and peepholes: see ``FloatCell``.

    Parameters
    ----------
    name : str
        For people: the file's node name, or made from its place.
    cell : Cell
    units : int
        H.
    activation : Activation
        Of RNN (tanh, relu) and LINEAR; LSTM and GRU leave it IDENTITY.
    w : float64 (G*H, I)
    r : float64 (G*H, H) or None for LINEAR
    bias_x, bias_h : float64 (G*H,)
        The two biases of the source, kept apart (the reset-after GRU needs that).
    initial_h, initial_c : Initial
    last_only : bool
        LINEAR only: evaluated on the last step of a sequence, not on every one.
    reads : tuple of int
        Layers whose results, one behind the other, are the input vector; -1 is the network's
        input. Empty: the layer before.
    reverse : bool
        Recurrent only: goes through the sequence from its last step to its first. Each result
        stands at the step whose input it has read (ONNX ``direction``).
    reads_final : bool
        ``last_only`` only: of each layer it reads the result computed last (of a reverse layer
        that of the first step), not the one at the sequence's last step.
    """

    name: str
    cell: Cell
    units: int
    activation: Activation = Activation.IDENTITY
    w: np.ndarray
    r: np.ndarray | None = None
    bias_x: np.ndarray
    bias_h: np.ndarray
    initial_h: Initial = field(default_factory=Initial)
    initial_c: Initial = field(default_factory=Initial)
    last_only: bool = False
    reads: tuple = ()
    reverse: bool = False
    reads_final: bool = False

    def __post_init__(self):
        super().__post_init__()
        rows = len(GATES[self.cell]) * self.units
        if self.w.ndim != 2 or self.w.shape[0] != rows:
            raise ValueError(f"Layer {self.name!r}: W must have {rows} rows, not {self.w.shape}")
        if (self.r is None) == self.cell.recurrent:
            raise ValueError(f"Layer {self.name!r}: R belongs to recurrent layers, and to each")
        if self.r is not None and self.r.shape != (rows, self.units):
            raise ValueError(
                f"Layer {self.name!r}: R must be {(rows, self.units)}, not {self.r.shape}")
        for name, bias in (("bias_x", self.bias_x), ("bias_h", self.bias_h)):
            if bias.shape != (rows,):
                raise ValueError(f"Layer {self.name!r}: {name} must be ({rows},), not {bias.shape}")
        if self.last_only and self.cell.recurrent:
            raise ValueError(f"Layer {self.name!r}: only a linear layer can be last-step only")
        if self.cell is Cell.PRODUCT and (self.activation is not Activation.IDENTITY
                                          or self.own_functions or self.clip is not None):
            raise ValueError(f"Layer {self.name!r}: a product is of sums as they are")
        if self.cell.pools and not (self.last_only and len(self.reads) < 2):
            raise ValueError(f"Layer {self.name!r}: a mean or maximum is of one layer, and has one "
                             "result a sequence")
        if self.reverse and not self.cell.recurrent:
            raise ValueError(f"Layer {self.name!r}: only a recurrent layer can be reverse")
        if self.reads_final and not self.last_only:
            raise ValueError(f"Layer {self.name!r}: only a last-step layer can read final states")

    @property
    def inputs(self) -> int:
        """I, the width of the layer's input vector."""
        return self.w.shape[1]


class _Network:
    """What both kinds of network answer alike."""

    @property
    def inputs(self) -> int:
        """Words of the input stream a step: I, or 1 (a token id) behind an embedding."""
        return self.layers[0].inputs if self.embedding is None else 1

    @property
    def recurrent(self) -> tuple:
        """Indices of the recurrent layers."""
        return tuple(i for i, layer in enumerate(self.layers) if layer.cell.recurrent)

    def reads(self, idx: int) -> tuple:
        """Layers whose results are the input of layer ``idx``; -1 is the network's input."""
        return self.layers[idx].reads or (idx - 1,)

    @property
    def buffered(self) -> bool:
        """True where a layer needs the sequence's end before its first step can be computed."""
        return any(layer.reverse for layer in self.layers)


@dataclass(frozen=True, kw_only=True)
class FloatNetwork(_Network):
    """A trained network as it was imported.

    Parameters
    ----------
    name : str
        A legal, short identifier made from the file's name.
    source : str
        What it came from, for the manifest (file name and producer).
    model_sha256 : str
    layers : tuple of FloatLayer
        Applied in order, each to the result of the one before; last-step layers at the end.
    embedding : float64 (V, E) or None
        Token table in front; the input is then one token id a step.
    input : Binding
    state_inputs, outputs : tuple of Binding
    final : Final
        The function behind the result, where there is one result.
    notes : tuple of str
        What a user should know about the import, a sentence each.
    last_step_only : bool
        True where the graph reads the result of the last step alone.
    lengths : Binding or None
        The graph input (kind "n") that carries the steps of each sequence (``sequence_lens``).
    fixed_lengths : tuple of int
        The same as a constant of the file, for the sequences of its batch in turn; empty: no such.
    """

    name: str
    source: str
    model_sha256: str
    layers: tuple
    embedding: np.ndarray | None = None
    input: Binding
    state_inputs: tuple = ()
    outputs: tuple = ()
    final: Final = Final.NONE
    notes: tuple = ()
    last_step_only: bool = False
    lengths: Binding | None = None
    fixed_lengths: tuple = ()

    def __post_init__(self):
        if not self.layers:
            raise ValueError("A network must have at least one layer")
        first = self.layers[0].inputs if self.embedding is None else self.embedding.shape[1]
        seen_last = False
        for idx, layer in enumerate(self.layers):
            if any(not -1 <= read < idx for read in self.reads(idx)):
                raise ValueError(f"Layer {layer.name!r} can read only layers before it, "
                                 f"not {self.reads(idx)}")
            width = sum(first if read < 0 else self.layers[read].units
                        for read in self.reads(idx))
            if layer.inputs != width:
                raise ValueError(f"Layer {layer.name!r} takes {layer.inputs} inputs, "
                                 f"but {width} values reach it")
            if seen_last and not layer.last_only:
                raise ValueError(f"Layer {layer.name!r} follows a last-step layer but is not one")
            seen_last = layer.last_only

    @property
    def heads(self) -> tuple:
        """A binding of kind "y" for each result, with its width and last function filled in."""
        found = tuple(binding for binding in self.outputs if binding.kind == "y")
        if any(binding.width for binding in found):
            return found
        axes = ("batch", "feature") if self.last_step_only else ("batch", "time", "feature")
        first = found[0] if found else Binding(name="", axes=axes, kind="y")
        return (replace(first, start=0, width=self.layers[-1].units, final=self.final),)

    @property
    def loads_state(self) -> bool:
        """True where a sequence starts from a state that has to be loaded."""
        return any(not layer.initial_h.is_zero or not layer.initial_c.is_zero
                   for layer in self.layers)

    @property
    def returns_state(self) -> bool:
        """True where the graph has last states as outputs."""
        return any(binding.kind in "hc" for binding in self.outputs)


@dataclass(frozen=True, kw_only=True)
class IntLayer(IntCell):
    """One layer in integers; shapes as in ``FloatLayer``.

    Functions with their formats, coupled gates and peepholes: see ``IntCell``.

    Parameters
    ----------
    w : int64 (G*H, I), weight_width bits, row k has frac ``acc_frac[k] - x.frac - x_shift``
    r : int64 (G*H, H) or None, row k has frac ``acc_frac[k] - h.frac - h_shift``
    bias_x, bias_h : int64 (G*H,), in the accumulator format of their row
        ``bias_h`` is zero except in the candidate rows (n) of a reset-after GRU.
    acc_frac : int64 (G*H,)
        Fractional bits of each row's accumulator.
    x, h, pre : Fixed
        Formats of the input vector, the result, and the pre-activation. Where results of several
        formats make the vector, x is the coarsest, and codes of the others are taken for its.
    x_shift, h_shift : int >= 0
        Left shift of x and of h(t-1) in front of the multipliers, so that both parts of a row can
        use all bits of their weights although they share an accumulator; at most one is not 0.
    """

    name: str
    cell: Cell
    units: int
    activation: Activation
    w: np.ndarray
    r: np.ndarray | None
    bias_x: np.ndarray
    bias_h: np.ndarray
    acc_frac: np.ndarray
    x: Fixed
    h: Fixed
    pre: Fixed
    x_shift: int = 0
    h_shift: int = 0
    last_only: bool = False
    reads: tuple = ()
    reverse: bool = False
    reads_final: bool = False

    @property
    def inputs(self) -> int:
        """I, the width of the layer's input vector."""
        return self.w.shape[1]

    @property
    def acc_bound(self) -> int:
        """Largest magnitude that a row's sum, bias included, can reach for any input at all."""
        total = np.abs(self.w).sum(axis=1) * (-self.x.min << self.x_shift)
        if self.r is not None:
            total = total + np.abs(self.r).sum(axis=1) * (-self.h.min << self.h_shift)
        return int((total + np.abs(self.bias_x) + np.abs(self.bias_h)).max())


@dataclass(frozen=True, kw_only=True)
class IntNetwork(_Network):
    """The network that golden runs and hardware implements: integers and formats only.

    Parameters
    ----------
    name, model_sha256 : str
    layers : tuple of IntLayer
    embedding : int64 (V, E) or None, format ``layers[0].x``
    act_width, weight_width : int
    gate : Fixed
        Of gates and bounded hidden states: frac = act_width - 1.
    pre : Fixed
        Input of the sigmoid and tanh tables.
    cell : Fixed
        Of the LSTM's c, one format for all layers.
    loads_state, returns_state, last_step_only : bool
        As in ``FloatNetwork``.
    max_steps : int
        The longest sequence that hardware must store, where a layer is reverse; 0 without one.
    """

    name: str
    model_sha256: str
    layers: tuple
    embedding: np.ndarray | None
    act_width: int
    weight_width: int
    gate: Fixed
    pre: Fixed
    cell: Fixed
    loads_state: bool = False
    returns_state: bool = False
    last_step_only: bool = False
    max_steps: int = 0

    @property
    def operand_width(self) -> int:
        """Bits of a vector element in front of the multipliers, shifts included."""
        return self.act_width + max(max(la.x_shift, la.h_shift) for la in self.layers)

    @property
    def acc_width(self) -> int:
        """Accumulator bits: no input can overflow them, by the rows' own weights."""
        return max(layer.acc_bound for layer in self.layers).bit_length() + 1
