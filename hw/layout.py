"""Shapes of what travels between the engine's parts, sized for one program."""

from dataclasses import dataclass
from enum import IntEnum

from amaranth import *
from amaranth.lib import data
from amaranth.utils import bits_for, ceil_log2

from golden.functions import PLAIN

from .families import PORTABLE, Family
from .guard import Watch
from .image import RowFormat, row_format
from .program import Op, Program, Source
from .schedule import Schedule

__all__ = ["Function", "Layout"]

# Codes of the element-wise function in a row's tag; those of curves follow.
Function = {activation: code for code, activation in enumerate(PLAIN)}

_PLAIN = IntEnum("Op", [(op.name, op.value) for op in Op if op < Op.CELL])


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Every width that a program implies.

    Parameters
    ----------
    program : Program
    schedule : Schedule
    family : Family
        Of the device: who builds multipliers and memories.
    watch : Watch or None
        In a protected core, what tells of upsets.
    """

    program: Program
    schedule: Schedule
    family: Family = PORTABLE
    watch: Watch | None = None

    @property
    def act_width(self) -> int:
        return self.program.network.act_width

    @property
    def n_groups(self) -> int:
        """Groups of units, one for each post: depth of the posts' state memories."""
        return self.program.n_units // self.program.posts

    @property
    def group_bits(self) -> int:
        """Index of a group in the numbering of all units."""
        return max(1, ceil_log2(self.n_groups))

    @property
    def shift_bits(self) -> int:
        """A segment's left shift of its vector."""
        return bits_for(self.program.network.operand_width - self.act_width)

    @property
    def phase_bits(self) -> int:
        return max(1, ceil_log2(len(self.program.phases)))

    @property
    def function_bits(self) -> int:
        """Code of a function: a plain one, or a curve."""
        return bits_for(len(PLAIN) + len(self.program.curve_places) - 1)

    @property
    def clip_events(self) -> int:
        """Codes of a post that may be clipped in one cycle, and are counted."""
        return 4 if self.program.loose else 2

    @property
    def op_shape(self) -> type[IntEnum]:
        """``Op`` as far as it is needed: Verilog lists the members."""
        return Op if self.program.uses(Op.CELL, Op.PRODUCT) else _PLAIN

    @property
    def style_bits(self) -> int:
        """Index of a style; 0 where all phases have the same."""
        return ceil_log2(len(self.program.styles))

    @property
    def rows(self) -> RowFormat:
        return row_format(self.program)

    @property
    def n_turns(self) -> int:
        """Rows that each post knows."""
        return sum(phase.turns for phase in self.program.phases)

    @property
    def input_columns(self) -> int:
        """Words of one input bank in the input memory."""
        return -(-self.program.network.layers[0].inputs // self.program.cols)

    @property
    def kept_words(self) -> int:
        """Words of the sequence memory that a step takes, the same in every sweep."""
        sizes = [0]
        for phases in self.program.sweeps:
            kept = [phase for phase in phases if phase.to_sequence]
            if kept:
                first = min(phase.dest_base for phase in kept)
                end = max(phase.dest_base + phase.units for phase in kept)
                sizes.append(-(-(end - first) // self.program.word))
        return max(sizes)

    @property
    def kept_regions(self) -> int:
        """Regions of the sequence memory: two where a sweep both reads and writes it."""
        return min(2, self.program.n_sweeps - 1)

    @property
    def kept_bits(self) -> int:
        """Word address in the sequence memory."""
        return max(1, ceil_log2(self.kept_depth))

    @property
    def kept_depth(self) -> int:
        """Words of the sequence memory."""
        return self.kept_words * self.kept_regions * self.program.max_steps

    @property
    def input_depth(self) -> int:
        """Words of the input memory: two banks of a step, or a whole sequence."""
        if self.program.max_steps:
            return self.input_columns * self.program.max_steps
        return 2 << ceil_log2(self.input_columns)

    @property
    def address_bits(self) -> int:
        """Word address of a column: of the vector memory's bank, the input bank, the embedding."""
        network, cols = self.program.network, self.program.cols
        depth = max(-(-self.program.n_units // cols), self.input_columns)
        if network.embedding is not None:
            depth = max(depth, len(network.embedding) * self.input_columns)
        return max(1, ceil_log2(depth))

    @property
    def output_element(self) -> int:
        """Bits of an element of an output word: a result, the largest one's index, a last state."""
        network = self.program.network
        width = self.act_width
        if self.program.argmax:
            width = bits_for(network.layers[-1].units - 1)
        if network.returns_state:
            width = max(width, self.act_width, network.cell.width)
        return width

    @property
    def output_width(self) -> int:
        """Bits of an output word."""
        return self.output_element * self.program.output_elements

    @property
    def fifo_depth(self) -> int:
        """Groups of results on their way: a step starts only if its own have room."""
        schedule = self.schedule
        most = max(self.program.output_entries(False), self.program.output_entries(True))
        # The first of the two is enough but where a step takes as long as its results to leave.
        return max(4, most * (2 + (schedule.flush + 10) // schedule.shortest),
                   most + schedule.held)

    @property
    def sweep(self) -> range:
        """Shape of a sweep's number."""
        return range(max(2, self.program.n_sweeps))

    @property
    def issue(self) -> data.StructLayout:
        """A column on its way to the array."""
        # The phase's direction, where there are two.
        reverse = {"reverse": 1} if self.program.max_steps else {}
        return data.StructLayout({
            "valid": 1, "source": Source, "address": self.address_bits,
            "shift": self.shift_bits, **reverse,
            "masked": 1,             # the sequence's first step: the state reads as zero
            "border": 1,             # last column before a split row's second part
            "residue": range(3),     # which slots hold candidate rows: pass * slots mod 3
            "last": 1,               # last column of the pass
            "pass_tag": self.pass_tag})

    @property
    def pass_tag(self) -> data.StructLayout:
        """What the drain has to know of a finished pass."""
        return data.StructLayout({"phase": self.phase_bits, "first_pass": 1, "bank": 1,
                                  "first_step": 1, "last_step": 1})

    @property
    def row_tag(self) -> data.StructLayout:
        """A row of every post on its way through the element-wise pipelines."""
        some = {"style": self.style_bits} if self.style_bits else {}
        if self.program.loose and self.program.posts > 1:
            some["present"] = range(self.program.posts)  # last post with a unit in the last group
        if self.program.pools:
            some["first"] = 1        # the sequence's first step
        if self.program.max_steps:   # kept for the next sweep, at the reverse layers' step; the
            some |= {name: 1 for name in ("to_sequence", "reverse", "sequence_end")}  # step's last
        return data.StructLayout({
            "valid": 1, **some,
            "op": self.op_shape, "function": self.function_bits, "gate": 2,
            "anchor": 1,             # the neurons' last row: their results come of it
            "group": self.group_bits,  # index of the neurons' states and trace
            "dest": self.group_bits,   # index at which the results are written
            "bank": 1, "masked": 1,
            "swapped": 1,            # a split row's first part is the recurrent one
            "to_vector": 1, "to_output": 1,
            "end": 1,                # last results of the sequence that go out
            "boundary": 1})          # last results of the phase
