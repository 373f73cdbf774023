"""The element-wise step of every cell: from a neuron's gates to its new state and result.

Cycles count from the station at which a row's gate value ``a`` arrives; a neuron's result follows
its last row by ``latency``. Nothing ever waits: rows may come with any gaps between them.
"""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.functions import Activation

from .activation import ActivationUnit
from .arith import bound, round_shift, saturate
from .blocks import delay, stages
from .layout import Function, Layout
from .parity import count_where
from .pipeline import Pipeline
from .program import Op
from .style import by_style, select

__all__ = ["Combine"]

LSTM_I, LSTM_F, LSTM_G = 0, 1, 2  # places in the gate order i, f, g, o
GRU_Z = 1              # r, z, n
SECOND = Op.LSTM, Op.HIDDEN, Op.GRU
# Their results are products.
MULTIPLIED = Op.LSTM, Op.HIDDEN, Op.GRU, Op.RESET, Op.CANDIDATE, Op.PRODUCT


class Combine(wiring.Component):
    """c, h and rh from gate values, with the memories of c, of h for the update, and of z.

    Parameters
    ----------
    layout : Layout
    post : int
        See ``ElementWise``.

    Members
    -------
    tag : In(Layout.row_tag), ``lead`` cycles before its row's ``a``
    a : In(signed(act_width))
    nx, nh : In(signed(pre_width)), the two parts of a reset-after GRU's candidate row
    load_en, load_cell : In(1), load_group, load_data : a state on its way in; load_cell for c
    dump_en : In(1), dump_group : In, a cell state to read; ``dump_data`` follows as a Ram's does
    result : Out(signed(act_width)), with result_tag
    result_tag : Out(Layout.row_tag), valid for a neuron's result
    cell_valid : Out(1), cell_group : Out, cell_data : Out(signed(cell_width)), new cell states
    cell_clipped : Out(1), with cell_valid
    also_clipped : Out(range(3)), only in a loose program: results, and codes that went straight
        through the second function, clipped in this cycle
    """

    def __init__(self, layout: Layout, post: int = 0):
        self._layout, self._post = layout, post
        network = layout.program.network
        super().__init__({
            "tag": In(layout.row_tag), "a": In(signed(layout.act_width)),
            "nx": In(signed(network.pre.width)), "nh": In(signed(network.pre.width)),
            "load_en": In(1), "load_cell": In(1), "load_group": In(layout.group_bits),
            "load_data": In(signed(max(layout.act_width, network.cell.width))),
            "dump_en": In(1), "dump_group": In(layout.group_bits),
            "dump_data": Out(signed(network.cell.width)),
            "result": Out(signed(layout.act_width)), "result_tag": Out(layout.row_tag),
            "cell_valid": Out(1), "cell_group": Out(layout.group_bits),
            "cell_data": Out(signed(network.cell.width)), "cell_clipped": Out(1),
            **({"also_clipped": Out(range(3))} if layout.program.loose else {})})

    @staticmethod
    def lead(pipeline: Pipeline) -> int:
        """Cycles that a row's tag comes before its ``a``."""
        return pipeline.ram

    @staticmethod
    def latency(program) -> int:
        """Cycles from a neuron's last ``a`` to its result."""
        return _Stations(program).result

    @staticmethod
    def cell_latency(program) -> int:
        """Cycles from a neuron's last ``a`` to the write of its new cell state."""
        return _Stations(program).state

    def elaborate(self, platform):
        m = Module()
        program = self._layout.program
        at = _Stations(program)
        lead = self.lead(program.pipeline)
        tags = stages(m, self.tag, lead + at.result, name="tag", reset_less=False)[lead:]
        if not at.result:
            m.d.comb += [self.result.eq(self.a), self.result_tag.eq(tags[0]),
                         self.result_tag.valid.eq(tags[0].valid & tags[0].anchor)]
            return m
        # Gate 0 of LSTM (i), GRU (r) and products (a) waits here for the row that multiplies it.
        held = Signal.like(self.a, reset_less=True)
        with m.If(tags[0].valid & (tags[0].gate == 0)):
            m.d.sync += held.eq(self.a)
        argument, self._straight_clipped = self._first_product(m, at, tags, held), C(0)
        second = C(0, signed(self._layout.act_width))
        if argument is not None:
            second = self._second_function(m, at, tags, argument)
        self._second_product(m, at, tags, second, held)
        return m

    def _is_there(self, tag) -> Value:
        """The tag's unit is none of those that only fill up the last group."""
        if self._layout.program.posts == 1:
            return C(1)
        return ~(tag.boundary & (self._post > tag.present))

    def _second_function(self, m: Module, at, tags, argument) -> Value:
        """h of the new cell state, or g of a split row's candidate, at station ``second``."""
        layout, program = self._layout, self._layout.program
        stage = program.pipeline.stage
        codes = program.second_codes
        plain = codes == {Function[Activation.TANH]}
        m.submodules.second = unit = ActivationUnit(
            program.table, tanh_only=plain, family=layout.family, pipeline=program.pipeline,
            curves=program.second_curves, watch=layout.watch)
        m.d.comb += unit.pre.eq(delay(m, argument, stage, name="argument"))
        if layout.watch:
            tag = tags[at.state + stage]
            m.d.comb += unit.valid.eq(tag.valid & tag.anchor
                                      & Cat(tag.op == op for op in SECOND).any())
        if not plain:
            tag, shape = tags[at.state + stage], unsigned(layout.function_bits)
            of_c, of_n = (select(program, ops, tag, shape, lambda style, idx=idx: (
                program.function_code(style.place(idx), Activation.TANH)))
                for ops, idx in (((Op.LSTM, Op.HIDDEN), 2), ((Op.GRU,), 1)))
            m.d.comb += unit.function.eq(Mux(tag.op == Op.GRU, of_n, of_c))
        if not plain and program.loose:
            tag = tags[at.second]
            counted = Cat(tag.op == op for op in SECOND).any() & self._is_there(tag)
            self._straight_clipped = unit.clipped & tag.valid & tag.anchor & counted
        return unit.out

    def _result_shift(self, style) -> int:
        """Right shift of a result's product: what its fractional bits are more than h's."""
        gate = self._layout.program.network.gate.frac
        if len(style.places) == 1:              # a product: both factors have one format
            return 2 * style.out_frac(0, gate) - style.h_frac
        if len(style.places) < 3:
            return style.out_frac(0, gate)
        return style.out_frac(0, gate) + style.out_frac(2, gate) - style.h_frac

    @staticmethod
    def _rounded_sum(value, product, places: int):
        """value * 2**places + product, rounded half up to ``places`` fewer bits, and one more.

        Only the bits that are kept, and the one below them, need an adder.
        """
        return Cat(C(1, 1), value).as_signed() + product[places - 1:].as_signed()

    def _first_product(self, m: Module, at, tags, held):
        """f*c + i*g, or nx + r*nh: the argument of the second table, at station ``state``."""
        program, layout = self._layout.program, self._layout
        network, pipeline = program.network, program.pipeline
        lstm, gru = program.uses(Op.LSTM, Op.CELL), program.uses(Op.GRU)
        if not (lstm or gru):
            return None
        gate, pre, cell = network.gate.frac, network.pre, network.cell

        def makes_cell(tag):
            """The tag's phase makes new cell states."""
            ops = [op for op in (Op.LSTM, Op.CELL) if program.uses(op)]
            return Cat(tag.op == op for op in ops).any() if len(ops) > 1 else tag.op == ops[0]

        m.submodules.first = mul = layout.family.multiplier(
            max(layout.act_width, pre.width if gru else 0),
            max(layout.act_width, cell.width if lstm else 0), latency=pipeline.multiplier)
        m.d.comb += [mul.a.eq(self.a), mul.b.eq(held)]
        if lstm:
            m.submodules.cells = cells = layout.family.ram(
                width=cell.width, depth=layout.n_groups, latency=pipeline.ram)
            old = Mux(tags[0].masked, 0, cells.r_data).as_signed()
            m.d.comb += [cells.r_addr.eq(Mux(self.dump_en, self.dump_group, self.tag.group)),
                         self.dump_data.eq(cells.r_data)]
            if layout.watch:
                dumped = delay(m, self.dump_en, pipeline.ram, name="dumped", reset_less=False)
                looked = ((tags[0].op == Op.HIDDEN) if program.peepholes else C(0)) | (
                    makes_cell(tags[0]) & ~tags[0].masked)
                count_where(m, layout, cells, dumped | (tags[0].valid & looked))
            with m.If(makes_cell(tags[0]) & (tags[0].gate == LSTM_F)):
                m.d.comb += mul.b.eq(old)
            is_forget = tags[at.product].gate == LSTM_F
            if program.couples:
                # No row of f: the row of i takes its place as 1 - i.
                def stands_for_f(tag):
                    coupled = select(program, (Op.LSTM, Op.CELL), tag, 1, lambda s: s.coupled)
                    return makes_cell(tag) & (tag.gate == LSTM_I) & coupled

                one = select(program, (Op.LSTM, Op.CELL), tags[0], signed(gate + 2),
                             lambda style: 1 << style.out_frac(0, gate))
                rest, _ = saturate((one - self.a).as_signed(), layout.act_width)
                with m.If(stands_for_f(tags[0])):
                    m.d.comb += [mul.a.eq(rest), mul.b.eq(old)]
                is_forget |= stands_for_f(tags[at.product])
            lstms = Op.LSTM, Op.CELL

            def fracs(style):
                """Fractional bits of f*c and of i*g."""
                gates = style.out_frac(0, gate)
                return gates + cell.frac, gates + style.out_frac(1, gate)

            made = [fracs(phase.style) for phase in program.phases if phase.op in lstms]
            frac = max(map(max, made))
            half = frac - cell.frac - 1  # round half up: this bit is added on the way
            forget = Signal(signed(layout.act_width + cell.width + 2 + frac - min(made)[0]),
                            reset_less=True)
            product = tags[at.product]
            with m.If(product.valid & is_forget):
                kept = by_style(program, lstms, product, lambda style: frac - fracs(style)[0],
                                mul.p.shift_left)
                kept = Value.cast(kept).as_signed()
                m.d.sync += forget.eq(Cat(kept[:half], kept[half:].as_signed() + 1).as_signed())
            added = by_style(program, lstms, product, lambda style: frac - fracs(style)[1],
                             mul.p.shift_left)
            total = delay(m, forget + Value.cast(added), pipeline.stage, name="total")
            value, clipped = saturate(total >> (frac - cell.frac), cell.width)
            new, new_clipped = Signal(signed(cell.width), reset_less=True), Signal()
            after = tags[at.product + pipeline.stage]
            with m.If(after.valid & makes_cell(after) & (after.gate == LSTM_G)):
                m.d.sync += [new.eq(value), new_clipped.eq(clipped)]
            # The neuron's last row is the anchor: by then the new c stands still.
            state = tags[at.state]
            done = state.valid & state.anchor & makes_cell(state)
            if program.loose:
                new_clipped = new_clipped & self._is_there(state)
            loading = self.load_en & self.load_cell
            m.d.comb += [
                cells.w_en.eq(done | loading),
                cells.w_addr.eq(Mux(loading, self.load_group, state.group)),
                cells.w_data.eq(Mux(loading, self.load_data, new)),
                self.cell_valid.eq(done), self.cell_group.eq(state.group),
                self.cell_data.eq(new), self.cell_clipped.eq(new_clipped)]
            shown = new
            if program.peepholes:
                # The row of o comes in a phase of its own: the new c is read again.
                stored = delay(m, cells.r_data, at.state, name="stored").as_signed()
                shown = Mux(state.op == Op.HIDDEN, stored, new).as_signed()
            argument = by_style(
                program, (Op.LSTM, Op.HIDDEN), state,
                lambda style: cell.frac - style.pre_frac(2, pre.frac),
                lambda shift: saturate(round_shift(shown, shift), pre.width)[0])
        if gru:
            with m.If(tags[0].op == Op.GRU):
                m.d.comb += mul.a.eq(self.nh)
            nx = delay(m, self.nx, pipeline.multiplier, name="nx")
            places = max(phase.style.out_frac(0, gate) for phase in program.phases
                         if phase.op is Op.GRU)
            reset = by_style(program, (Op.GRU,), tags[at.product],
                             lambda style: places - style.out_frac(0, gate), mul.p.shift_left)
            sums = delay(m, self._rounded_sum(nx, Value.cast(reset), places), pipeline.stage,
                         name="sums")
            value, _ = saturate(sums >> 1, pre.width)
            candidate = delay(m, value, 1, name="candidate")
            if program.clips:
                none = 1 << (pre.width - 1)
                candidate = bound(candidate, select(
                    program, (Op.GRU,), tags[at.state], unsigned(pre.width),
                    lambda style: none if style.limit(1) is None else style.limit(1)))
            argument = candidate if not lstm else Mux(tags[at.state].op == Op.GRU, candidate,
                                                      argument).as_signed()
        return argument

    def _second_product(self, m: Module, at, tags, second, held):
        """o*tanh(c), n + z*(h - n), r*h, a*b, or a result that only passes through."""
        layout, program = self._layout, self._layout.program
        width, pipeline = layout.act_width, self._layout.program.pipeline
        gate = program.network.gate.frac
        carried = Signal(signed(width))
        m.d.comb += carried.eq(self.a)
        if program.uses(Op.GRU):
            update = Signal(signed(width), reset_less=True)
            with m.If(tags[0].valid & (tags[0].gate == GRU_Z)):
                m.d.sync += update.eq(self.a)
            with m.If(tags[0].op == Op.GRU):
                m.d.comb += carried.eq(update)
        carried = delay(m, carried, at.second, name="carried")

        now, result, early = tags[at.second], tags[-1], at.second - pipeline.ram
        m.submodules.product = mul = layout.family.multiplier(
            width, width + at.blends, latency=pipeline.result)
        factor, other, addend = (Signal.like(port, name=name) for port, name in (
            (mul.a, "factor"), (mul.b, "other"), (self.a, "addend")))
        wait = at.blends * pipeline.stage  # for h - n
        m.d.comb += [factor.eq(carried), mul.a.eq(delay(m, factor, wait, name="factor")),
                     mul.b.eq(delay(m, other, wait, name="other"))]
        old = None
        if program.uses(Op.GRU, Op.RESET):
            m.submodules.hidden = hidden = layout.family.ram(
                width=width, depth=layout.n_groups, latency=pipeline.ram)
            old = Mux(now.masked, 0, hidden.r_data).as_signed()
            looked = Cat(now.op == op for op in (Op.GRU, Op.RESET, Op.CANDIDATE)).any()
            count_where(m, layout, hidden, now.valid & looked & ~now.masked)
            written = result.valid & result.anchor & ((result.op == Op.GRU)
                                                      | (result.op == Op.CANDIDATE))
            loading = self.load_en & ~self.load_cell
            m.d.comb += [
                hidden.r_addr.eq(tags[early].group),
                hidden.w_en.eq(written | loading),
                hidden.w_addr.eq(Mux(loading, self.load_group, result.group)),
                hidden.w_data.eq(Mux(loading, self.load_data, self.result))]
        if program.uses(Op.UPDATE):
            m.submodules.updates = updates = layout.family.ram(
                width=width, depth=layout.n_groups, latency=pipeline.ram)
            count_where(m, layout, updates, now.valid & (now.op == Op.CANDIDATE))
            m.d.comb += [
                updates.r_addr.eq(tags[early].group),
                # Not earlier: the next sequence's z must not overtake the candidate that reads.
                updates.w_en.eq(now.valid & (now.op == Op.UPDATE)),
                updates.w_addr.eq(now.group), updates.w_data.eq(carried)]
        if program.uses(Op.PRODUCT):
            first_factor = delay(m, held, at.second, name="first_factor")
        with m.Switch(now.op):
            with m.Case(Op.RESULT):
                m.d.comb += addend.eq(carried)
            for op in (Op.LSTM, Op.HIDDEN):
                if program.uses(op):
                    with m.Case(op):
                        m.d.comb += other.eq(second)
            if program.uses(Op.GRU):
                with m.Case(Op.GRU):
                    m.d.comb += [addend.eq(second), other.eq(old - second)]
            if program.uses(Op.PRODUCT):
                with m.Case(Op.PRODUCT):
                    m.d.comb += other.eq(first_factor)
            if program.uses(Op.RESET):
                with m.Case(Op.RESET):
                    m.d.comb += other.eq(old)
                with m.Case(Op.CANDIDATE):
                    m.d.comb += [addend.eq(carried), other.eq(old - carried),
                                 factor.eq(updates.r_data.as_signed())]
        addend = delay(m, addend, wait + pipeline.result, name="addend")
        shifts = [self._result_shift(phase.style) for phase in program.phases
                  if phase.op in MULTIPLIED]
        places = max(shifts + [1]) if shifts else gate
        product = by_style(program, MULTIPLIED, tags[at.second + wait + pipeline.result],
                           lambda style: places - self._result_shift(style), mul.p.shift_left)
        total = delay(m, self._rounded_sum(addend, Value.cast(product), places), pipeline.stage,
                      name="total")
        value, clipped = saturate(total >> 1, width)
        out = delay(m, value, pipeline.stage, name="out")
        if program.loose:
            clipped = delay(m, clipped, pipeline.stage, name="clipped")
            counted = Cat(result.op == op for op in MULTIPLIED if op is not Op.RESET).any()
            m.d.comb += self.also_clipped.eq(
                (clipped & result.valid & result.anchor & counted & self._is_there(result))
                + self._straight_clipped)
        shows = result.valid & result.anchor & (result.op != Op.UPDATE)
        if program.peepholes:
            shows &= result.op != Op.CELL
        m.d.comb += [self.result.eq(out), self.result_tag.eq(result),
                     self.result_tag.valid.eq(shows)]


class _Stations:
    """Cycles after a neuron's last ``a`` at which the parts of its result are there.

    product : the first product; state : new c, or the candidate's argument; second : tanh(c), or n;
    result : the result; blends : 1 where h - n is taken, which has one bit more.
    """

    def __init__(self, program):
        pipeline, stage = program.pipeline, program.pipeline.stage
        self.product = pipeline.multiplier
        self.blends = int(program.uses(Op.GRU, Op.CANDIDATE))
        self.state = self.second = self.result = 0
        if program.uses(*(op for op in Op if op is not Op.RESULT)):
            # An LSTM's new c is made of the row before the last one, if not of the last one itself.
            self.state = self.product + stage + int(program.uses(Op.GRU, Op.CELL))
            self.second = self.state + stage + ActivationUnit.latency(pipeline)
            self.result = self.second + self.blends * stage + pipeline.result + 2 * stage
