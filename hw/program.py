"""From an integer network to the engine's program: phases, address map, memory images.

A phase is one matrix-vector product and the element-wise step behind it. Its rows stand in groups
of as many neurons as there are element-wise pipelines (posts): gate 0 of each of the group's
neurons, gate 1 of each, and so on. They fill the lanes without gaps: pass p of P lanes holds rows
p*P to p*P + P - 1, so a phase takes ceil(rows / P) passes whatever the number of units. A last
group that is short is filled up with rows of zeros.

Networks with reverse layers are ``buffered``: a sequence is stored whole, and the engine walks over
it as often as ``hw.sweeps`` says. Then the phases stand in the order of their sweeps.
"""

from dataclasses import dataclass, replace

from amaranth.utils import bits_for

from golden.curves import make_curve
from golden.functions import PLAIN, Activation
from golden.network import Cell, IntNetwork
from golden.tables import TanhTable, make_table

from .builder import Builder
from .mac import word_width
from .packed import Packing
from .phase import Op, Phase, Segment, Source
from .pipeline import DEEP, Pipeline

MAX_STEPS = 1 << 16  # of a sequence that is stored

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

    @property
    def max_steps(self) -> int:
        """Longest sequence that is stored, where a layer is reverse; 0 for others: no limit."""
        return self.network.max_steps

    @property
    def start(self) -> int:
        """Cycles from a step that may start to its start; stored sequences have them anyway."""
        return 1 if self.max_steps else self.pipeline.start

    @property
    def n_sweeps(self) -> int:
        """Walks over a sequence; more than one only if ``max_steps``."""
        return self.phases[-1].sweep + 1

    @property
    def sweeps(self) -> tuple:
        """The phases of each sweep."""
        return tuple(tuple(phase for phase in self.phases if phase.sweep == k)
                     for k in range(self.n_sweeps))

    def sweep_of(self, layer: int) -> int:
        """The sweep that computes a layer."""
        return next(phase.sweep for phase in self.phases if phase.layer == layer)

    @property
    def input_sweep(self) -> int:
        """The last sweep that reads the network's input: behind it the next sequence may come."""
        return max(phase.sweep for phase in self.phases
                   for segment in phase.segments if segment.source is Source.INPUT)

    @property
    def pools(self) -> tuple:
        """Pairs of phases: one that pools over the steps, and the one whose results it pools."""
        return tuple((pool, [phase for phase in self.phases if phase.layer == read][-1])
                     for pool in self.phases if pool.pools
                     for read in self.network.reads(pool.layer))

    def uses(self, *ops) -> bool:
        """True if a phase has one of the element-wise steps."""
        return any(phase.op in ops for phase in self.phases)

    @property
    def styles(self) -> tuple:
        """The different styles of the phases' element-wise steps."""
        return tuple(dict.fromkeys(phase.style for phase in self.phases))

    @property
    def names_gates(self) -> bool:
        """True if a phase has not all gates of its cell."""
        return any(phase.gates for phase in self.phases)

    @property
    def peepholes(self) -> bool:
        """True if rows see their neuron's cell state."""
        return self.uses(Op.CELL)

    @property
    def couples(self) -> bool:
        """True if an LSTM has no rows of f."""
        return any(style.coupled for style in self.styles)

    @property
    def curve_places(self) -> tuple:
        """Functions with lines of their own, each once, with its formats."""
        return tuple(dict.fromkeys(replace(place, limit=None) for style in self.styles
                                   for place in style.places if place.is_curve))

    @property
    def curves(self) -> tuple:
        """Their lines; see ``golden.curves``."""
        return tuple(make_curve(place.function, place.pre, place.out)
                     for place in self.curve_places)

    def function_code(self, place, default: Activation) -> int:
        """Code of a function in the tags: that of a place, or the cell's own where it is None."""
        if place is not None and place.is_curve:
            return len(PLAIN) + self.curve_places.index(replace(place, limit=None))
        return PLAIN.index(default if place is None else place.function.activation)

    @property
    def second_codes(self) -> set:
        """Codes of the functions of new cell states, and of split rows' candidates."""
        places = {Op.LSTM: 2, Op.HIDDEN: 2, Op.GRU: 1}
        return {self.function_code(phase.style.place(places[phase.op]), Activation.TANH)
                for phase in self.phases if phase.op in places}

    @property
    def second_curves(self) -> tuple:
        """``curves`` if one of those functions is among them."""
        return self.curves if max(self.second_codes, default=0) >= len(PLAIN) else ()

    @property
    def loose(self) -> bool:
        """True if some result is not within -1 and 1 by its functions: a gate, candidate or cell
        state is not, or a gate may be below 0, so that it does not blend but overshoots."""
        return any(place.is_straight or place.is_curve
                   or (idx == 0 and place.function.activation is Activation.TANH)
                   for phase in self.phases if phase.op is not Op.RESULT
                   for idx, place in enumerate(phase.style.places))

    @property
    def clips(self) -> bool:
        """True if the pre-activations of some phase are bounded."""
        return any(limit is not None for style in self.styles
                   for limit in map(style.limit, range(2)))

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
        return self._words(self.phases)

    @property
    def sweep_words(self) -> tuple:
        """Where each sweep's weights begin."""
        return tuple(self._words(phase for phase in self.phases if phase.sweep < k)
                     for k in range(self.n_sweeps))

    def _words(self, phases) -> int:
        return sum(phase.passes(self.lanes) * phase.length(self.cols) for phase in phases)

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
    if network.buffered and not 1 <= network.max_steps <= MAX_STEPS:
        raise ValueError(f"A network with reverse layers stores each sequence: max_steps must be 1 "
                         f"to {MAX_STEPS}, not {network.max_steps}")
    packing = _packing(network, lanes) if pack else None
    build = Builder(network, word=max(cols, posts), posts=posts)
    for idx in sorted(range(len(network.layers)), key=lambda idx: build.sweeps[idx]):
        build.layer(idx)
    return Program(network=network, lanes=lanes, cols=cols, posts=posts, pipeline=pipeline,
                   wide=wide, packing=packing, phases=tuple(build.phases),
                   unit_base=tuple(build.bases), n_units=build.n_units, argmax=argmax,
                   load_weights=load_weights,
                   table=table or make_table(network.pre, network.gate))
