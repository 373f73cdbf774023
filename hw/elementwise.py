"""The element-wise pipeline: row sums in, new states and results out, one row a cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.network import Activation

from .activation import ActivationUnit
from .blocks import Ram, delay, stages
from .combine import Combine
from .image import row_image
from .layout import Function, Layout
from .program import Op
from .requantise import Requantise

__all__ = ["ElementWise"]


class ElementWise(wiring.Component):
    """Row word, requantise, activate, combine.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    row, first_part : In(signed(acc_width)), from the shift chain
    row_addr, tag : In, of the same cycle
    combine's ports, passed on: load_*, dump_*, result, result_tag, cell_*
    clipped : Out(range(3)), results and cell states saturated in this cycle
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        self._combine = Combine(layout)
        passed = {name: member for name, member in self._combine.signature.members.items()
                  if name not in ("tag", "a", "nx", "nh")}
        acc = signed(layout.program.network.acc_width)
        super().__init__({
            "row": In(acc), "first_part": In(acc),
            "row_addr": In(range(max(2, layout.n_rows))), "tag": In(layout.row_tag),
            "clipped": Out(range(3)), **passed})

    GATE = Ram.latency + Requantise.latency + ActivationUnit.latency

    @classmethod
    def latency(cls, program) -> int:
        """Cycles from a neuron's last row to its result."""
        return cls.GATE + Combine.latency(program)

    def elaborate(self, platform):
        m = Module()
        layout, program = self._layout, self._layout.program
        network, fmt = program.network, layout.rows
        m.submodules.combine = combine = self._combine
        for name in combine.signature.members:
            if name.startswith(("load_", "dump_en", "dump_unit")):
                m.d.comb += getattr(combine, name).eq(getattr(self, name))
            elif name not in ("tag", "a", "nx", "nh"):
                m.d.comb += getattr(self, name).eq(getattr(combine, name))

        m.submodules.rows = rows = layout.family.ram(
            width=fmt.width, depth=layout.n_rows, init=row_image(program), writable=False)
        m.d.comb += rows.r_addr.eq(self.row_addr)
        widths = {"acc_width": network.acc_width, "pre_width": network.pre.width}
        m.submodules.requantise = requantise = Requantise(fmt, **widths)
        bias = rows.r_data[:fmt.bias_width].as_signed()
        shift = rows.r_data[fmt.width - fmt.shift_width:]
        m.d.comb += [requantise.acc.eq(delay(m, self.row, Ram.latency, name="row")),
                     requantise.bias.eq(bias), requantise.shift.eq(shift)]
        pre = requantise.pre

        to_pre = Ram.latency + Requantise.latency
        tags = stages(m, self.tag, self.GATE, name="tag", reset_less=False)
        if fmt.split:
            m.submodules.requantise_first = first = Requantise(fmt, **widths)
            self._split(m, first, requantise, rows.r_data, tags, combine)
        m.submodules.activation = unit = ActivationUnit(program.table, family=layout.family)
        at_pre = tags[to_pre]
        function = Signal(2)
        m.d.comb += [unit.pre.eq(pre), unit.function.eq(function),
                     function.eq(at_pre.function)]
        with m.Switch(at_pre.op):
            with m.Case(Op.LSTM):
                m.d.comb += function.eq(Mux(at_pre.gate == 2, Function[Activation.TANH],
                                            Function[Activation.SIGMOID]))
            with m.Case(Op.GRU, Op.RESET, Op.UPDATE):
                m.d.comb += function.eq(Function[Activation.SIGMOID])
            with m.Case(Op.CANDIDATE):
                m.d.comb += function.eq(Function[Activation.TANH])
        at_gate = tags[self.GATE]
        m.d.comb += [combine.a.eq(unit.out), combine.tag.eq(tags[self.GATE - Combine.lead]),
                     self.clipped.eq((unit.clipped & at_gate.valid)
                                     + (combine.cell_clipped & combine.cell_valid))]
        return m

    def _split(self, m: Module, first, second, word, tags, combine):
        """The candidate row's two parts through a requantiser each, lined up with the gates."""
        fmt = self._layout.rows
        x_bias = word[:fmt.bias_width].as_signed()
        h_bias = word[fmt.bias_width:2 * fmt.bias_width].as_signed()
        at_word, at_pre = tags[Ram.latency], tags[Ram.latency + Requantise.latency]
        m.d.comb += [first.acc.eq(delay(m, self.first_part, Ram.latency, name="first_part")),
                     first.shift.eq(second.shift),
                     first.bias.eq(Mux(at_word.swapped, h_bias, x_bias))]
        with m.If((at_word.op == Op.GRU) & (at_word.gate == 2) & ~at_word.swapped):
            m.d.comb += second.bias.eq(h_bias)
        nx = Mux(at_pre.swapped, second.pre, first.pre).as_signed()
        nh = Mux(at_pre.swapped, first.pre, second.pre).as_signed()
        m.d.comb += [
            combine.nx.eq(delay(m, nx, ActivationUnit.latency, name="nx")),
            combine.nh.eq(delay(m, nh, ActivationUnit.latency, name="nh"))]
