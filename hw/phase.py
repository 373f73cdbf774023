"""Rows of the layer table: one matrix-vector product and the element-wise step behind it."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from golden.network import Activation, Cell

from .style import Style

__all__ = ["Op", "Phase", "Segment", "Source"]


class Op(IntEnum):
    """Element-wise step of a phase."""

    RESULT = 0     # h = function(a): RNN, linear
    LSTM = 1       # four rows a neuron
    GRU = 2        # three rows a neuron, the candidate's split into its two parts
    RESET = 3      # rh = sigmoid(a) * h: first phase of a reset-before GRU
    UPDATE = 4     # z = sigmoid(a), kept: second phase
    CANDIDATE = 5  # h = n + z*(h - n), n = tanh(a): third phase
    CELL = 6       # LSTM with peepholes: c of the rows i, f, g; first phase
    HIDDEN = 7     # h of the row o, which sees the new c: second phase
    PRODUCT = 8    # h = a*b, two rows a neuron


class Source(IntEnum):
    """Where a segment's vector comes from."""

    INPUT = 0  # this step's input: x, or the token's row of the embedding
    OLD = 1    # vector memory, the bank of the step before
    NEW = 2    # vector memory, the bank of this step
    KEPT = 3   # sequence memory: the result of the sweep before, at this step


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One stretch of a phase's columns, and the weights that meet it.

    Parameters
    ----------
    source : Source
    base : int
        First element in the vector memory; a multiple of cols.
    weights : int64 (rows, length)
        In the phase's row order.
    shift : int
        Left shift of the vector's elements in front of the multipliers.
    """

    source: Source
    base: int
    weights: np.ndarray
    shift: int = 0

    def words(self, cols: int) -> int:
        """Cycles that the segment takes a pass."""
        return -(-self.weights.shape[1] // cols)


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One row of the layer table, before it is timed.

    Parameters
    ----------
    layer : int
        Index in the network.
    op : Op
    function : Activation
        Of RESULT.
    rows_per_unit : int
    units : int
    posts : int
    segments : tuple of Segment
        Oldest vector first.
    bias, split_bias : int64 (rows,)
        ``split_bias`` belongs to the recurrent part of a split row.
    shift : int64 (rows,)
        Right shift from accumulator to pre-activation.
    unit_base : int
        Index of neuron 0 in the numbering of all units: address of h, c and trace records.
    dest_base : int
        Where results are written in the vector memory.
    to_vector, to_output, output_last_only, last_only : bool
    sweep : int
        The walk over the sequence in which it runs (see ``hw.sweeps``).
    reverse : bool
        It stands at step T - 1 - s in the sweep's step s.
    to_sequence : bool
        Its results are kept, step by step, for the next sweep.
    pools : Cell or None
        MEAN or MAX: its sums are zero, and its results are those of the layer it reads, pooled.
    style : Style
    gates : tuple of int
        Which of its cell's gates a neuron's rows are, in order. Empty: all of them.
    peephole : int64 (rows,) or None
    peephole_lift : int
        As ``IntCell``'s.
    """

    layer: int
    op: Op
    function: Activation
    rows_per_unit: int
    units: int
    posts: int
    segments: tuple
    bias: np.ndarray
    split_bias: np.ndarray
    shift: np.ndarray
    unit_base: int
    dest_base: int
    to_vector: bool
    to_output: bool
    output_last_only: bool
    last_only: bool
    sweep: int = 0
    reverse: bool = False
    to_sequence: bool = False
    pools: Cell | None = None
    style: Style = Style()
    gates: tuple = ()
    peephole: np.ndarray | None = None
    peephole_lift: int = 0

    @property
    def row_gates(self) -> tuple:
        """The gate of each of a neuron's rows."""
        return self.gates or tuple(range(self.rows_per_unit))

    @property
    def rows(self) -> int:
        """Rows of the product, those of a short last group included."""
        return len(self.bias)

    @property
    def turns(self) -> int:
        """Rows that each post takes."""
        return self.rows // self.posts

    @property
    def groups(self) -> int:
        """Neurons that each post takes."""
        return self.turns // self.rows_per_unit

    @property
    def split(self) -> bool:
        """True where the candidate rows are captured at the segments' border as well."""
        return self.op is Op.GRU

    @property
    def macs(self) -> int:
        """Useful products; padding is not counted."""
        return self.units * self.rows_per_unit * sum(segment.weights.shape[1]
                                                     for segment in self.segments)

    def passes(self, lanes: int) -> int:
        return -(-self.rows // lanes)

    def length(self, cols: int) -> int:
        """N: cycles of one pass."""
        return sum(segment.words(cols) for segment in self.segments)
