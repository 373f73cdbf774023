"""From an integer network to the engine's program: phases, address map, memory images.

A phase is one matrix-vector product and the element-wise step behind it. Its rows stand in groups
of as many neurons as there are element-wise pipelines (posts): gate 0 of each of the group's
neurons, gate 1 of each, and so on. They fill the lanes without gaps: pass p of P lanes holds rows
p*P to p*P + P - 1, so a phase takes ceil(rows / P) passes whatever the number of units. A last
group that is short is filled up with rows of zeros.
"""

from dataclasses import dataclass

import numpy as np
from amaranth.utils import bits_for

from golden.network import Activation, Cell, IntLayer, IntNetwork
from golden.tables import TanhTable, make_table

from .mac import word_width
from .packed import Packing
from .phase import Op, Phase, Segment, Source
from .pipeline import DEEP, Pipeline

__all__ = ["Op", "Phase", "Program", "Segment", "Source", "make_program"]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A network laid out for an array of lanes x cols.

    Parameters
    ----------
    network : IntNetwork
    lanes, cols, posts : int
    pipeline : Pipeline
    wide : bool
        True: an input word holds ``cols`` elements, an output word ``posts`` results.
    packing : Packing or None
        How two weights share a word and a multiplier.
    phases : tuple of Phase
        Last-step phases at the end.
    unit_base : tuple of int
        Base of each layer in the numbering of all units (a multiple of ``word``).
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
    posts: int
    pipeline: Pipeline
    wide: bool
    packing: Packing | None
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
    def slots(self) -> int:
        """Rows of a pass that each post takes."""
        return self.lanes // self.posts

    @property
    def word(self) -> int:
        """Elements of a word of the vector memory: written a group at once, read as a column."""
        return max(self.cols, self.posts)

    @property
    def macs_per_step(self) -> int:
        """Useful products of a step that is not the last; padding is not counted."""
        return sum(phase.macs for phase in self.phases if not phase.last_only)

    @property
    def macs_last_step(self) -> int:
        """Useful products of the last step of a sequence."""
        return sum(phase.macs for phase in self.phases)

    @property
    def weight_words(self) -> int:
        """Depth of the weight memory."""
        return sum(phase.passes(self.lanes) * phase.length(self.cols) for phase in self.phases)

    @property
    def weight_bits(self) -> int:
        """Bits of a word of the weight memory."""
        return word_width(self.lanes, self.cols, self.network.weight_width, self.packing)

    @property
    def input_elements(self) -> int:
        """Elements of an input word; tokens come one by one."""
        return self.cols if self.wide and self.network.embedding is None else 1

    @property
    def input_words(self) -> int:
        """Input words of a step."""
        return -(-self.network.inputs // self.input_elements)

    @property
    def element_width(self) -> int:
        """Bits of an element in an input word, of a token id or of an initial state."""
        network = self.network
        width = network.act_width
        if network.embedding is not None:
            width = bits_for(len(network.embedding) - 1)
        if network.loads_state:
            width = max(width, network.act_width, network.cell.width)
        return width

    @property
    def input_width(self) -> int:
        """Bits of an input word."""
        return self.element_width * self.input_elements

    @property
    def pieces(self) -> int:
        """Input words that a word of loaded weights takes."""
        return -(-self.weight_bits // self.input_width)

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

    def outputs(self, last: bool) -> tuple:
        """Phases whose results a step sends out."""
        return tuple(phase for phase in self.phases
                     if phase.to_output and (last or not (phase.last_only
                                                          or phase.output_last_only)))

    @property
    def serial(self) -> bool:
        """True if results leave one by one, whatever the number of posts."""
        return self.argmax or not self.wide

    @property
    def output_elements(self) -> int:
        """Results in an output word."""
        return 1 if self.serial else self.posts

    def output_words(self, last: bool) -> int:
        """Words that a step sends out, the dump of the last states included."""
        words = sum(1 if self.argmax else -(-phase.units // self.output_elements)
                    for phase in self.outputs(last))
        return words + (self.state_words if last and self.network.returns_state else 0)

    def output_entries(self, last: bool) -> int:
        """The same in words of the output buffer: a group of results, or a state."""
        groups = sum(phase.groups for phase in self.outputs(last))
        return groups + (self.state_words if last and self.network.returns_state else 0)


def _interleave(values, units: int, posts: int, fill: int = 0) -> np.ndarray:
    """Gate-major rows (G*H, ...) to rows in groups of ``posts`` neurons, filled up with ``fill``.

    Row (j*G + k)*posts + p is gate k of neuron j*posts + p.
    """
    gates, groups = len(values) // units, -(-units // posts)
    full = np.full((gates, groups * posts, *values.shape[1:]), fill, dtype=values.dtype)
    full[:, :units] = values.reshape(gates, units, *values.shape[1:])
    grouped = full.reshape(gates, groups, posts, *values.shape[1:])
    return np.swapaxes(grouped, 0, 1).reshape(-1, *values.shape[1:])


class _Builder:
    """Collects phases while bases are handed out."""

    def __init__(self, network: IntNetwork, *, word: int, posts: int):
        self.network, self.word, self.posts = network, word, posts
        self.phases, self.bases, self.n_units = [], [], 0

    def allocate(self, units: int) -> int:
        base = self.n_units
        self.n_units += -(-units // self.word) * self.word
        return base

    def phase(self, idx: int, layer: IntLayer, op: Op, rows, segments, *, dest: int,
              to_vector: bool, output: bool, function=Activation.IDENTITY):
        """``rows`` selects gate-major rows; ``segments`` are (source, base, matrix, shift)."""
        def pick(values, fill=0):
            return _interleave(values[rows], layer.units, self.posts, fill)

        shift = layer.acc_frac - layer.pre.frac
        last = idx == len(self.network.layers) - 1
        self.phases.append(Phase(
            layer=idx, op=op, function=function, units=layer.units, posts=self.posts,
            rows_per_unit=len(layer.bias_x[rows]) // layer.units,
            segments=tuple(Segment(source=s, base=b, weights=pick(w), shift=k)
                           for s, b, w, k in segments),
            bias=pick(layer.bias_x), split_bias=pick(layer.bias_h),
            # A shift of its own for the rows that fill up could make the shifter wider.
            shift=pick(shift, shift[rows][0]), unit_base=self.bases[idx],
            dest_base=dest, to_vector=to_vector, to_output=output and last,
            output_last_only=self.network.last_step_only, last_only=layer.last_only))


def _check_array(lanes, cols, posts) -> None:
    """ValueError unless an array can be built so."""
    if not isinstance(lanes, int) or not 1 <= lanes <= 4096:
        raise ValueError(f"Lanes must be an integer from 1 to 4096, not {lanes!r}")
    if not isinstance(posts, int) or posts < 1 or lanes % posts:
        raise ValueError(f"Posts must be an integer that divides the {lanes} lanes, not {posts!r}")
    if not isinstance(cols, int) or not 1 <= cols <= 1024:
        raise ValueError(f"Cols must be an integer from 1 to 1024, not {cols!r}")
    ratio, rest = divmod(max(cols, posts), min(cols, posts))
    if rest or ratio & (ratio - 1):
        # One memory word is a whole number of both, found by its address bits alone.
        raise ValueError(f"Cols must be the number of posts times or divided by a power of two "
                         f"({posts} post(s) here), not {cols}")


def _packing(network: IntNetwork, lanes: int) -> Packing:
    """ValueError unless two weights of the network go into a word."""
    if lanes % 2:
        raise ValueError(f"Lanes must be even where two share a multiplier, not {lanes}")
    try:
        packings = [Packing(weight_width=network.weight_width, symmetric=symmetric,
                            operand_width=network.operand_width) for symmetric in (True, False)]
    except ValueError as err:
        raise ValueError("Two weights that share a multiplier must have at most 8 bits, not "
                         f"{network.weight_width}") from err
    matrices = [matrix for layer in network.layers for matrix in (layer.w, layer.r)
                if matrix is not None]
    return next(packing for packing in packings if all(map(packing.packable, matrices)))


def make_program(network: IntNetwork, *, lanes: int, cols: int = 1, posts: int = 1,
                 argmax: bool = False, load_weights: bool = False,
                 pipeline: Pipeline = DEEP, wide: bool = False, pack: bool = False,
                 table: TanhTable | None = None) -> Program:
    """Lay a network out.

    Parameters
    ----------
    network : IntNetwork
    lanes : int, 1 to 4096
        Rows that are worked on at once.
    cols : int, 1 to 1024
        Vector elements a cycle; ``posts`` times or divided by a power of two.
    posts : int
        Element-wise pipelines; divides ``lanes``.
    pipeline : Pipeline
    argmax, load_weights, wide : bool
        See ``Program``.
    pack : bool
        Two weights to a multiplier; for weights of up to 8 bits, and an even number of lanes.
    table : TanhTable or None
        In place of the network's own, as in ``golden.model.run_golden``.

    Returns
    -------
    Program

    Raises
    ------
    ValueError
        If lanes, cols or posts are out of range or do not go together.
    """
    _check_array(lanes, cols, posts)
    packing = _packing(network, lanes) if pack else None
    build = _Builder(network, word=max(cols, posts), posts=posts)
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
    return Program(network=network, lanes=lanes, cols=cols, posts=posts, pipeline=pipeline,
                   wide=wide, packing=packing, phases=tuple(build.phases),
                   unit_base=tuple(build.bases), n_units=build.n_units, argmax=argmax,
                   load_weights=load_weights,
                   table=table or make_table(network.pre, network.gate))
