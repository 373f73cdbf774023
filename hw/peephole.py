"""Peepholes: a row's weight times its neuron's cell state, on top of the row's sum."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .blocks import delay
from .layout import Layout
from .parity import count_where
from .pipeline import Pipeline

__all__ = ["Peephole"]


class Peephole(wiring.Component):
    """total = acc * 2**lift + weight * c * 2**peephole_shift, a row a cycle.

    Keeps a copy of its post's cell states, since they are asked for once more in the same cycles.
    ``RowFormat`` has the constants; rows without a peephole have the weight 0.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    group : In, of the row's neuron; a Ram's latency before the row
    fresh : In(1), the state reads as zero; acc : In(signed(acc_width)), weight : In(signed), all
        with the row
    w_en : In(1), w_group : In, w_data : In(signed(cell_width)), a new cell state
    total : Out(signed), ``latency`` after the row
    valid : In(1), only in a protected core, with the row: its state is looked at
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        fmt, network = layout.rows, layout.program.network
        product = fmt.peephole_width + network.cell.width + fmt.peephole_shift
        super().__init__({
            "group": In(layout.group_bits), "fresh": In(1),
            "acc": In(signed(network.acc_width)), "weight": In(signed(fmt.peephole_width)),
            "w_en": In(1), "w_group": In(layout.group_bits),
            "w_data": In(signed(network.cell.width)),
            "total": Out(signed(max(network.acc_width + fmt.lift, product) + 1)),
            **({"valid": In(1)} if layout.watch else {})})

    @staticmethod
    def latency(pipeline: Pipeline) -> int:
        """Cycles from a row to its total."""
        return pipeline.multiplier + pipeline.stage

    def elaborate(self, platform):
        m = Module()
        layout, pipeline = self._layout, self._layout.program.pipeline
        fmt, cell_width = layout.rows, len(self.w_data)
        m.submodules.cells = cells = layout.family.ram(
            width=cell_width, depth=layout.n_groups, latency=pipeline.ram)
        m.submodules.product = product = layout.family.multiplier(
            fmt.peephole_width, cell_width, latency=pipeline.multiplier)
        if layout.watch:
            count_where(m, layout, cells, self.valid & ~self.fresh)
        acc = delay(m, self.acc, pipeline.multiplier, name="acc")
        total = acc.shift_left(fmt.lift) + product.p.shift_left(fmt.peephole_shift)
        m.d.comb += [
            cells.r_addr.eq(self.group), cells.w_en.eq(self.w_en),
            cells.w_addr.eq(self.w_group), cells.w_data.eq(self.w_data),
            product.a.eq(self.weight), product.b.eq(Mux(self.fresh, 0, cells.r_data).as_signed()),
            self.total.eq(delay(m, total, pipeline.stage, name="total"))]
        return m
