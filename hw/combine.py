"""The element-wise step of every cell: from a neuron's gates to its new state and result.

Cycles count from the station at which a row's gate value ``a`` arrives; a neuron's result follows
its last row by ``latency``. Nothing ever waits: rows may come with any gaps between them.
"""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .activation import ActivationUnit
from .arith import round_shift, saturate
from .blocks import Multiplier, Ram, delay, stages
from .layout import Layout
from .program import Op

__all__ = ["Combine"]

LSTM_F, LSTM_G = 1, 2  # places in the gate order i, f, g, o
GRU_Z = 1              # r, z, n


class Combine(wiring.Component):
    """c, h and rh from gate values, with the memories of c, of h for the update, and of z.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    tag : In(Layout.row_tag), ``lead`` cycles before its row's ``a``
    a : In(signed(act_width))
    nx, nh : In(signed(pre_width)), the two parts of a reset-after GRU's candidate row
    load_en, load_cell : In(1), load_unit, load_data : a state on its way in; load_cell for c
    dump_en : In(1), dump_unit : In, a cell state to read; ``dump_data`` follows 2 cycles later
    result : Out(signed(act_width)), with result_tag
    result_tag : Out(Layout.row_tag), valid for a neuron's result
    cell_valid : Out(1), cell_unit : Out, cell_data : Out(signed(cell_width)), new cell states
    cell_clipped : Out(1), with cell_valid
    """

    lead = Ram.latency

    def __init__(self, layout: Layout):
        self._layout = layout
        network = layout.program.network
        super().__init__({
            "tag": In(layout.row_tag), "a": In(signed(layout.act_width)),
            "nx": In(signed(network.pre.width)), "nh": In(signed(network.pre.width)),
            "load_en": In(1), "load_cell": In(1), "load_unit": In(layout.unit_bits),
            "load_data": In(signed(max(layout.act_width, network.cell.width))),
            "dump_en": In(1), "dump_unit": In(layout.unit_bits),
            "dump_data": Out(signed(network.cell.width)),
            "result": Out(signed(layout.act_width)), "result_tag": Out(layout.row_tag),
            "cell_valid": Out(1), "cell_unit": Out(layout.unit_bits),
            "cell_data": Out(signed(network.cell.width)), "cell_clipped": Out(1)})

    # Stations, in cycles after ``a``.
    STATE = Multiplier.latency + 2                   # new c, or the candidate's argument
    SECOND = STATE + 1 + ActivationUnit.latency      # tanh(c), or n

    @classmethod
    def latency(cls, program) -> int:
        """Cycles from a neuron's last ``a`` to its result."""
        if not program.uses(*(op for op in Op if op is not Op.RESULT)):
            return 0
        return cls.SECOND + cls._blends(program) + Multiplier.latency + 2

    @staticmethod
    def _blends(program) -> int:
        """1 where h - n is taken, which has a cycle of its own."""
        return int(program.uses(Op.GRU, Op.CANDIDATE))

    def elaborate(self, platform):
        m = Module()
        program = self._layout.program
        if not self.latency(program):
            tags = self._tags(m, 0)
            m.d.comb += [self.result.eq(self.a), self.result_tag.eq(tags[0]),
                         self.result_tag.valid.eq(tags[0].valid & tags[0].anchor)]
            return m
        tags = self._tags(m, self.latency(program))
        # Gate 0 of LSTM (i) and GRU (r) waits here for the row that multiplies it.
        held = Signal.like(self.a, reset_less=True)
        with m.If(tags[0].valid & (tags[0].gate == 0)):
            m.d.sync += held.eq(self.a)
        argument = self._first_product(m, tags, held)
        second = C(0, signed(self._layout.act_width))
        if argument is not None:
            m.submodules.second = unit = ActivationUnit(program.table, tanh_only=True,
                                                         family=self._layout.family)
            m.d.comb += unit.pre.eq(delay(m, argument, 1, name="argument"))
            second = unit.out
        self._second_product(m, tags, second)
        return m

    def _tags(self, m: Module, last: int) -> list:
        """Row tags at stations 0 to ``last``."""
        return stages(m, self.tag, self.lead + last, name="tag", reset_less=False)[self.lead:]

    @staticmethod
    def _halved(value, places: int):
        """value * 2**places plus half of that: what rounds a sum of products costs no adder."""
        return Cat(C(1 << (places - 1), places), value).as_signed()

    def _first_product(self, m: Module, tags, held):
        """f*c + i*g, or nx + r*nh: the argument of the second table, at station STATE."""
        program, layout = self._layout.program, self._layout
        network = program.network
        lstm, gru = program.uses(Op.LSTM), program.uses(Op.GRU)
        if not (lstm or gru):
            return None
        gate, pre, cell = network.gate.frac, network.pre, network.cell
        product_at = Multiplier.latency
        m.submodules.first = mul = layout.family.multiplier(
            max(layout.act_width, pre.width if gru else 0),
            max(layout.act_width, cell.width if lstm else 0))
        m.d.comb += [mul.a.eq(self.a), mul.b.eq(held)]
        if lstm:
            m.submodules.cells = cells = layout.family.ram(width=cell.width, depth=program.n_units)
            old = Mux(tags[0].masked, 0, cells.r_data).as_signed()
            m.d.comb += [cells.r_addr.eq(Mux(self.dump_en, self.dump_unit, self.tag.unit)),
                         self.dump_data.eq(cells.r_data)]
            with m.If((tags[0].op == Op.LSTM) & (tags[0].gate == LSTM_F)):
                m.d.comb += mul.b.eq(old)
            frac = max(gate + cell.frac, 2 * gate)
            half = 1 << (frac - cell.frac - 1)  # round half up, added on the way
            forget = Signal(signed(layout.act_width + cell.width + frac + 2 - gate - cell.frac),
                            reset_less=True)
            total = Signal(signed(len(forget) + 2 * gate), reset_less=True)
            product = tags[product_at]
            with m.If(product.valid & (product.gate == LSTM_F)):
                m.d.sync += forget.eq(mul.p.shift_left(frac - gate - cell.frac) + half)
            with m.If(product.valid & (product.op == Op.LSTM) & (product.gate == LSTM_G)):
                m.d.sync += total.eq(forget + mul.p.shift_left(frac - 2 * gate))
            value, clipped = saturate(total >> (frac - cell.frac), cell.width)
            new, new_clipped = Signal(signed(cell.width), reset_less=True), Signal()
            after = tags[product_at + 1]
            with m.If(after.valid & (after.op == Op.LSTM) & (after.gate == LSTM_G)):
                m.d.sync += [new.eq(value), new_clipped.eq(clipped)]
            # The output gate's row is the anchor: by then the new c stands still.
            state = tags[self.STATE]
            done = state.valid & state.anchor & (state.op == Op.LSTM)
            loading = self.load_en & self.load_cell
            m.d.comb += [
                cells.w_en.eq(done | loading),
                cells.w_addr.eq(Mux(loading, self.load_unit, state.unit)),
                cells.w_data.eq(Mux(loading, self.load_data, new)),
                self.cell_valid.eq(done), self.cell_unit.eq(state.unit),
                self.cell_data.eq(new), self.cell_clipped.eq(new_clipped)]
            argument, _ = saturate(round_shift(new, cell.frac - pre.frac), pre.width)
        if gru:
            with m.If(tags[0].op == Op.GRU):
                m.d.comb += mul.a.eq(self.nh)
            nx = delay(m, self.nx, product_at, name="nx")
            sums = Signal(signed(len(mul.p) + 2), reset_less=True)
            m.d.sync += sums.eq(self._halved(nx, gate) + mul.p)
            value, _ = saturate(sums >> gate, pre.width)
            candidate = Signal(signed(pre.width), reset_less=True)
            m.d.sync += candidate.eq(value)
            argument = candidate if not lstm else Mux(tags[self.STATE].op == Op.GRU, candidate,
                                                      argument).as_signed()
        return argument

    def _second_product(self, m: Module, tags, second):
        """o*tanh(c), n + z*(h - n), r*h, or a result that only passes through."""
        layout, program = self._layout, self._layout.program
        width = layout.act_width
        gate = program.network.gate.frac
        carried = Signal(signed(width))
        m.d.comb += carried.eq(self.a)
        if program.uses(Op.GRU):
            update = Signal(signed(width), reset_less=True)
            with m.If(tags[0].valid & (tags[0].gate == GRU_Z)):
                m.d.sync += update.eq(self.a)
            with m.If(tags[0].op == Op.GRU):
                m.d.comb += carried.eq(update)
        carried = delay(m, carried, self.SECOND, name="carried")

        now, result = tags[self.SECOND], tags[-1]
        blends = self._blends(program)  # h - n takes one bit more
        m.submodules.product = mul = layout.family.multiplier(
            width, width + blends)
        factor, other, addend = (Signal.like(port, name=name) for port, name in (
            (mul.a, "factor"), (mul.b, "other"), (self.a, "addend")))
        m.d.comb += [factor.eq(carried), mul.a.eq(delay(m, factor, blends, name="factor")),
                     mul.b.eq(delay(m, other, blends, name="other"))]
        old = None
        if program.uses(Op.GRU, Op.RESET):
            m.submodules.hidden = hidden = layout.family.ram(width=width,
                                                              depth=program.n_units)
            old = Mux(now.masked, 0, hidden.r_data).as_signed()
            written = result.valid & result.anchor & ((result.op == Op.GRU)
                                                      | (result.op == Op.CANDIDATE))
            loading = self.load_en & ~self.load_cell
            m.d.comb += [
                hidden.r_addr.eq(tags[self.SECOND - Ram.latency].unit),
                hidden.w_en.eq(written | loading),
                hidden.w_addr.eq(Mux(loading, self.load_unit, result.unit)),
                hidden.w_data.eq(Mux(loading, self.load_data, self.result))]
        if program.uses(Op.UPDATE):
            m.submodules.updates = updates = layout.family.ram(width=width,
                                                                depth=program.n_units)
            m.d.comb += [
                updates.r_addr.eq(tags[self.SECOND - Ram.latency].unit),
                # Not earlier: the next sequence's z must not overtake the candidate that reads.
                updates.w_en.eq(now.valid & (now.op == Op.UPDATE)),
                updates.w_addr.eq(now.unit), updates.w_data.eq(carried)]
        with m.Switch(now.op):
            with m.Case(Op.RESULT):
                m.d.comb += addend.eq(carried)
            if program.uses(Op.LSTM):
                with m.Case(Op.LSTM):
                    m.d.comb += other.eq(second)
            if program.uses(Op.GRU):
                with m.Case(Op.GRU):
                    m.d.comb += [addend.eq(second), other.eq(old - second)]
            if program.uses(Op.RESET):
                with m.Case(Op.RESET):
                    m.d.comb += other.eq(old)
                with m.Case(Op.CANDIDATE):
                    m.d.comb += [addend.eq(carried), other.eq(old - carried),
                                 factor.eq(updates.r_data.as_signed())]
        addend = delay(m, addend, blends + Multiplier.latency, name="addend")
        total = Signal(signed(2 * width + 3), reset_less=True)
        m.d.sync += total.eq(self._halved(addend, gate) + mul.p)
        value, _ = saturate(total >> gate, width)
        out = Signal(signed(width), reset_less=True)
        m.d.sync += out.eq(value)
        m.d.comb += [self.result.eq(out), self.result_tag.eq(result),
                     self.result_tag.valid.eq(result.valid & result.anchor
                                              & (result.op != Op.UPDATE))]
