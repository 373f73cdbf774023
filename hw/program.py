"""From an integer network to the engine's program: phases, address map, memory images.

A phase is one matrix-vector product and the element-wise step behind it. Its rows stand neuron by
neuron, all gates of a neuron together, and fill the lanes without gaps: pass p of P lanes holds
rows p*P to p*P + P - 1, so a phase takes ceil(rows / P) passes whatever the number of units.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from amaranth.utils import bits_for

from golden.network import Activation, Cell, IntLayer, IntNetwork
from golden.tables import TanhTable, make_table

__all__ = ["Op", "Phase", "Program", "Segment", "Source", "make_program"]


class Op(IntEnum):
    """Element-wise step of a phase."""

    RESULT = 0     # h = function(a): RNN, linear
    LSTM = 1       # four rows a neuron
    GRU = 2        # three rows a neuron, the candidate's split into its two parts
    RESET = 3      # rh = sigmoid(a) * h: first phase of a reset-before GRU
    UPDATE = 4     # z = sigmoid(a), kept: second phase
    CANDIDATE = 5  # h = n + z*(h - n), n = tanh(a): third phase


class Source(IntEnum):
    """Where a segment's vector comes from."""

    INPUT = 0  # this step's input: x, or the token's row of the embedding
    OLD = 1    # vector memory, the bank of the step before
    NEW = 2    # vector memory, the bank of this step


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
    """

    layer: int
    op: Op
    function: Activation
    rows_per_unit: int
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

    @property
    def rows(self) -> int:
        return len(self.bias)

    @property
    def units(self) -> int:
        return self.rows // self.rows_per_unit

    @property
    def split(self) -> bool:
        """True where the candidate rows are captured at the segments' border as well."""
        return self.op is Op.GRU

    def passes(self, lanes: int) -> int:
        return -(-self.rows // lanes)

    def length(self, cols: int) -> int:
        """N: cycles of one pass."""
        return sum(segment.words(cols) for segment in self.segments)


@dataclass(frozen=True, kw_only=True)
class Program:
    """A network laid out for an array of lanes x cols.

    Parameters
    ----------
    network : IntNetwork
    lanes, cols : int
    phases : tuple of Phase
        Last-step phases at the end.
    unit_base : tuple of int
        Base of each layer in the numbering of all units (a multiple of cols).
    n_units : int
        Units, alignment and the vectors between phases included: depth of the state memories.
    table : TanhTable
    argmax : bool
        True: the output is the index of the largest result instead of the results.
    load_weights : bool
        True: the weights come over the input stream after a reset, not from a ROM.
    """

    network: IntNetwork
    lanes: int
    cols: int
    phases: tuple
    unit_base: tuple
    n_units: int
    table: TanhTable
    argmax: bool = False
    load_weights: bool = False

    def uses(self, *ops) -> bool:
        """True if a phase has one of the element-wise steps."""
        return any(phase.op in ops for phase in self.phases)

    @property
    def macs_per_step(self) -> int:
        """Useful products of a step that is not the last; padding is not counted."""
        return sum(segment.weights.size for phase in self.phases if not phase.last_only
                   for segment in phase.segments)

    @property
    def macs_last_step(self) -> int:
        """Useful products of the last step of a sequence."""
        return sum(segment.weights.size for phase in self.phases for segment in phase.segments)

    @property
    def weight_words(self) -> int:
        """Depth of the weight memory."""
        return sum(phase.passes(self.lanes) * phase.length(self.cols) for phase in self.phases)

    @property
    def input_width(self) -> int:
        """Bits of an input word: an element, a token id or an initial state."""
        network = self.network
        width = network.act_width
        if network.embedding is not None:
            width = bits_for(len(network.embedding) - 1)
        if network.loads_state:
            width = max(width, network.act_width, network.cell.width)
        return width

    @property
    def pieces(self) -> int:
        """Input words that a word of loaded weights takes."""
        return -(-self.lanes * self.cols * self.network.weight_width // self.input_width)

    @property
    def load_words(self) -> int:
        """Input words in front of the first sequence: the weights, if they are loaded."""
        return self.weight_words * self.pieces if self.load_weights else 0

    @property
    def states(self) -> tuple:
        """(signal, layer, unit base, units) of every state, in the order in which they travel."""
        layers = self.network.layers
        order = [("h", idx) for idx in self.network.recurrent]
        order += [("c", idx) for idx in self.network.recurrent if layers[idx].cell is Cell.LSTM]
        return tuple((s, idx, self.unit_base[idx], layers[idx].units) for s, idx in order)

    @property
    def state_words(self) -> int:
        """Words of all states together."""
        return sum(units for _, _, _, units in self.states)

    def output_words(self, last: bool) -> int:
        """Words that a step sends out, the dump of the last states included."""
        words = sum(1 if self.argmax else phase.units for phase in self.phases
                    if phase.to_output and (last or not (phase.last_only
                                                         or phase.output_last_only)))
        return words + (self.state_words if last and self.network.returns_state else 0)


def _interleave(values, units: int) -> np.ndarray:
    """Gate-major rows (G*H, ...) to neuron-major: row j*G + k is gate k of neuron j."""
    gates = len(values) // units
    grouped = values.reshape(gates, units, *values.shape[1:])
    return np.swapaxes(grouped, 0, 1).reshape(values.shape)


class _Builder:
    """Collects phases while bases are handed out."""

    def __init__(self, network: IntNetwork, cols: int):
        self.network, self.cols = network, cols
        self.phases, self.bases, self.n_units = [], [], 0

    def allocate(self, units: int) -> int:
        base = self.n_units
        self.n_units += -(-units // self.cols) * self.cols
        return base

    def phase(self, idx: int, layer: IntLayer, op: Op, rows, segments, *, dest: int,
              to_vector: bool, output: bool, function=Activation.IDENTITY):
        """``rows`` selects gate-major rows; ``segments`` are (source, base, matrix, shift)."""
        def pick(values):
            return _interleave(values[rows], layer.units)

        last = idx == len(self.network.layers) - 1
        self.phases.append(Phase(
            layer=idx, op=op, function=function, rows_per_unit=len(layer.bias_x[rows])
            // layer.units,
            segments=tuple(Segment(source=s, base=b, weights=pick(w), shift=k)
                           for s, b, w, k in segments),
            bias=pick(layer.bias_x), split_bias=pick(layer.bias_h),
            shift=pick(layer.acc_frac - layer.pre.frac), unit_base=self.bases[idx],
            dest_base=dest, to_vector=to_vector, to_output=output and last,
            output_last_only=self.network.last_step_only, last_only=layer.last_only))


def make_program(network: IntNetwork, *, lanes: int, cols: int = 1, argmax: bool = False,
                 load_weights: bool = False, table: TanhTable | None = None) -> Program:
    """Lay a network out.

    Parameters
    ----------
    network : IntNetwork
    lanes : int, 1 to 1024
        Rows that are worked on at once.
    cols : int, a power of two
        Vector elements a cycle.
    argmax, load_weights : bool
        See ``Program``.
    table : TanhTable or None
        In place of the network's own, as in ``golden.model.run_golden``.

    Returns
    -------
    Program

    Raises
    ------
    ValueError
        If lanes or cols are out of range.
    """
    if not isinstance(lanes, int) or not 1 <= lanes <= 1024:
        raise ValueError(f"Lanes must be an integer from 1 to 1024, not {lanes!r}")
    if not isinstance(cols, int) or cols not in (1, 2, 4, 8, 16, 32, 64):
        raise ValueError(f"Cols must be a power of two up to 64, not {cols!r}")
    build = _Builder(network, cols)
    every = slice(None)
    for idx, layer in enumerate(network.layers):
        base = build.allocate(layer.units)
        build.bases.append(base)
        source = ((Source.INPUT, 0) if idx == 0 else (Source.NEW, build.bases[idx - 1]))
        x = (*source, layer.w, layer.x_shift)
        if layer.cell is Cell.LINEAR:
            build.phase(idx, layer, Op.RESULT, every, [x], dest=base, output=True,
                        to_vector=idx + 1 < len(network.layers), function=layer.activation)
            continue
        own = (Source.OLD, base, layer.r, layer.h_shift)
        # The oldest vector goes first: an input is there before h(t-1), a lower layer's h(t) after.
        segments = [x, own] if idx == 0 else [own, x]
        if layer.cell is Cell.GRU_RESET_BEFORE:
            units = layer.units
            reset_base = build.allocate(units)
            parts = [slice(k * units, (k + 1) * units) for k in range(3)]
            build.phase(idx, layer, Op.RESET, parts[0], segments, dest=reset_base,
                        to_vector=True, output=False)
            build.phase(idx, layer, Op.UPDATE, parts[1], segments, dest=base,
                        to_vector=False, output=False)
            gated = (Source.NEW, reset_base, layer.r, layer.h_shift)
            build.phase(idx, layer, Op.CANDIDATE, parts[2], [x, gated], dest=base,
                        to_vector=True, output=True)
            continue
        op = {Cell.RNN: Op.RESULT, Cell.LSTM: Op.LSTM, Cell.GRU: Op.GRU}[layer.cell]
        build.phase(idx, layer, op, every, segments, dest=base, to_vector=True, output=True,
                    function=layer.activation)
    return Program(network=network, lanes=lanes, cols=cols, phases=tuple(build.phases),
                   unit_base=tuple(build.bases), n_units=build.n_units,
                   table=table or make_table(network.pre, network.gate), argmax=argmax,
                   load_weights=load_weights)
