"""The element-wise pipelines: row sums in, new states and results out, one row each a cycle."""

from dataclasses import replace

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.functions import Activation

from .activation import ActivationUnit
from .arith import bound
from .blocks import delay, stages
from .combine import Combine
from .image import row_image
from .layout import Layout
from .parity import count_where
from .peephole import Peephole
from .pipeline import Pipeline
from .pool import Pool
from .program import Op
from .requantise import Requantise
from .style import select

__all__ = ["ElementWise"]

OWN = ("tag", "a", "nx", "nh", "also_clipped")  # ports of Combine that end here


class ElementWise(wiring.Component):
    """One post: row word, requantise, activate, combine. All posts work in lockstep.

    Parameters
    ----------
    layout : Layout
    post : int
        Takes every neuron whose index mod ``posts`` is this.

    Members
    -------
    row_addr, tag : In, ``lead`` cycles before their row
    row, first_part : In(signed(acc_width)), from the array
    combine's ports, passed on: load_*, dump_*, result, result_tag, cell_*
    clipped : Out(range(clip_events + 1)), results and cell states saturated in this cycle
    """

    def __init__(self, layout: Layout, post: int = 0):
        self._layout, self._post = layout, post
        self._combine = Combine(layout, post)
        passed = {name: member for name, member in self._combine.signature.members.items()
                  if name not in OWN}
        acc = signed(layout.program.network.acc_width)
        super().__init__({
            "row": In(acc), "first_part": In(acc),
            "row_addr": In(range(max(2, layout.n_turns))), "tag": In(layout.row_tag),
            "clipped": Out(range(layout.clip_events + 1)), **passed})

    @staticmethod
    def lead(pipeline: Pipeline) -> int:
        """Cycles that a row's tag and address come before the row."""
        return pipeline.ram

    @staticmethod
    def latency(program) -> int:
        """Cycles from a neuron's last row to its result."""
        return _to_gate(program) + Combine.latency(program) + Pool.latency(program)

    @staticmethod
    def cell_latency(program) -> int:
        """Cycles from a neuron's last row in a ``CELL`` phase to the first row that may see its c.
        """
        written = _to_gate(program) + Combine.cell_latency(program)
        return written + 1 + ElementWise.lead(program.pipeline)

    def elaborate(self, platform):
        m = Module()
        layout, program = self._layout, self._layout.program
        network, fmt, pipeline = program.network, layout.rows, program.pipeline
        m.submodules.combine = combine = self._combine
        for name in combine.signature.members:
            if name.startswith(("load_", "dump_en", "dump_group")):
                m.d.comb += getattr(combine, name).eq(getattr(self, name))
            elif name not in OWN:
                m.d.comb += getattr(self, name).eq(getattr(combine, name))
        if program.pools:
            m.submodules.pool = pool = Pool(layout)
            m.d.comb += [pool.result.eq(combine.result), pool.tag.eq(combine.result_tag),
                         self.result.eq(pool.pooled), self.result_tag.eq(pool.pooled_tag)]

        m.submodules.rows = rows = layout.family.ram(
            width=fmt.width, depth=layout.n_turns, init=row_image(program, self._post),
            writable=False, latency=pipeline.ram)
        m.d.comb += rows.r_addr.eq(self.row_addr)
        lead, to_gate = self.lead(pipeline), _to_gate(program)
        tags = stages(m, self.tag, lead + to_gate, name="tag", reset_less=False)
        row, first_part, word, at_row = self.row, self.first_part, rows.r_data, tags[lead]
        count_where(m, layout, rows, at_row.valid)
        if program.peepholes:
            row, first_part, word = self._peepholes(m, word, tags, combine)
            at_row, fmt = tags[lead + Peephole.latency(pipeline)], replace(fmt, lift=0)
        at_pre = tags[lead + to_gate - ActivationUnit.latency(pipeline) - _to_limit(program)]
        widths = {"acc_width": len(row), "pre_width": network.pre.width, "pipeline": pipeline}
        m.submodules.requantise = requantise = Requantise(fmt, **widths)
        bias = word[:fmt.bias_width].as_signed()
        shift = word[fmt.width - fmt.shift_width:]
        m.d.comb += [requantise.acc.eq(row), requantise.bias.eq(bias),
                     *([requantise.shift.eq(shift)] if fmt.shift_width else [])]
        if fmt.split:
            m.submodules.requantise_first = first = Requantise(fmt, **widths)
            m.d.comb += first.acc.eq(first_part)
            self._split(m, first, requantise, word, at_row, at_pre, combine)
        pre = requantise.pre
        if program.clips:
            limited = bound(pre, self._limit(at_pre))
            pre = delay(m, limited, pipeline.stage, name="limited")
            at_pre = tags[lead + to_gate - ActivationUnit.latency(pipeline)]
        m.submodules.activation = unit = ActivationUnit(
            program.table, curves=program.curves, family=layout.family, pipeline=pipeline,
            watch=layout.watch)
        function = Signal(layout.function_bits)
        m.d.comb += [unit.pre.eq(pre), unit.function.eq(function),
                     function.eq(at_pre.function)]
        if layout.watch:
            m.d.comb += unit.valid.eq(at_pre.valid)
        with m.Switch(at_pre.op):
            with m.Case(Op.LSTM, *((Op.CELL, Op.HIDDEN) if program.peepholes else ())):
                m.d.comb += function.eq(Mux(
                    at_pre.gate == 2, self._code(at_pre, 1, Activation.TANH, Op.LSTM, Op.CELL),
                    self._code(at_pre, 0, Activation.SIGMOID, Op.LSTM, Op.CELL, Op.HIDDEN)))
            with m.Case(Op.GRU, Op.RESET, Op.UPDATE):
                m.d.comb += function.eq(self._code(
                    at_pre, 0, Activation.SIGMOID, Op.GRU, Op.RESET, Op.UPDATE))
            with m.Case(Op.CANDIDATE):
                m.d.comb += function.eq(self._code(at_pre, 1, Activation.TANH, Op.CANDIDATE))
        counted = tags[-1].valid
        if program.loose:  # a split row's function is computed behind its two parts
            counted &= ~((tags[-1].op == Op.GRU) & (tags[-1].gate == 2))
        clipped = (unit.clipped & counted) + (combine.cell_clipped & combine.cell_valid)
        m.d.comb += [combine.a.eq(unit.out),
                     combine.tag.eq(tags[lead + to_gate - Combine.lead(pipeline)]),
                     self.clipped.eq(clipped + combine.also_clipped if program.loose else clipped)]
        return m

    def _code(self, tag, idx: int, default: Activation, *ops) -> Value:
        """Code of the function of a place."""
        program = self._layout.program
        return select(program, ops, tag, unsigned(self._layout.function_bits),
                      lambda style: program.function_code(style.place(idx), default))

    def _limit(self, tag) -> Value:
        """Bound of a row's pre-activation; the two parts of a split row come without one."""
        program, width = self._layout.program, self._layout.program.network.pre.width
        none = 1 << (width - 1)  # above every code

        def limit(place, ops):
            return select(program, ops, tag, unsigned(width), lambda style: (
                none if style.limit(place) is None else style.limit(place)))

        lstm = tag.op == Op.LSTM
        if program.peepholes:
            lstm |= tag.op == Op.CELL
        candidate = (tag.op == Op.CANDIDATE) | (lstm & (tag.gate == 2))
        return Mux(candidate, limit(1, (Op.LSTM, Op.CELL, Op.CANDIDATE)),
                   limit(0, [op for op in Op if op is not Op.CANDIDATE]))

    def _peepholes(self, m: Module, word, tags, combine) -> tuple:
        """Row and first part as the requantisers take them, lifted; the row's word with them."""
        layout, pipeline = self._layout, self._layout.program.pipeline
        fmt, latency, at_row = layout.rows, Peephole.latency(pipeline), tags[self.lead(pipeline)]
        m.submodules.peephole = unit = Peephole(layout)
        loading = self.load_en & self.load_cell
        place = fmt.width - fmt.shift_width - fmt.peephole_width
        m.d.comb += [
            unit.group.eq(self.tag.group), unit.acc.eq(self.row),
            unit.weight.eq(word[place:][:fmt.peephole_width]),
            unit.fresh.eq(at_row.masked & (at_row.op == Op.CELL)),
            unit.w_en.eq(combine.cell_valid | loading),
            unit.w_group.eq(Mux(loading, self.load_group, combine.cell_group)),
            unit.w_data.eq(Mux(loading, self.load_data, combine.cell_data))]
        if layout.watch:
            m.d.comb += unit.valid.eq(at_row.valid & ((at_row.op == Op.CELL)
                                                      | (at_row.op == Op.HIDDEN)))
        first_part = Signal.like(unit.total, name="first_part_lifted")
        m.d.comb += first_part.eq(
            delay(m, self.first_part, latency, name="first_part").shift_left(fmt.lift))
        return unit.total, first_part, delay(m, word, latency, name="word")

    def _split(self, m: Module, first, second, word, at_row, at_pre, combine):
        """The candidate row's two parts through a requantiser each, lined up with the gates."""
        fmt, pipeline = self._layout.rows, self._layout.program.pipeline
        x_bias = word[:fmt.bias_width].as_signed()
        h_bias = word[fmt.bias_width:2 * fmt.bias_width].as_signed()
        m.d.comb += [*([first.shift.eq(second.shift)] if fmt.shift_width else []),
                     first.bias.eq(Mux(at_row.swapped, h_bias, x_bias))]
        with m.If((at_row.op == Op.GRU) & (at_row.gate == 2) & ~at_row.swapped):
            m.d.comb += second.bias.eq(h_bias)
        nx = Mux(at_pre.swapped, second.pre, first.pre).as_signed()
        nh = Mux(at_pre.swapped, first.pre, second.pre).as_signed()
        to_gate = _to_limit(self._layout.program) + ActivationUnit.latency(pipeline)
        m.d.comb += [combine.nx.eq(delay(m, nx, to_gate, name="nx")),
                     combine.nh.eq(delay(m, nh, to_gate, name="nh"))]


def _to_gate(program) -> int:
    """Cycles from a row to its gate value."""
    pipeline = program.pipeline
    return (program.peepholes * Peephole.latency(pipeline) + Requantise.latency(pipeline)
            + _to_limit(program) + ActivationUnit.latency(pipeline))


def _to_limit(program) -> int:
    """Cycles from a pre-activation to the bounded one."""
    return program.clips * program.pipeline.stage
