"""Mean and maximum over the steps of a sequence: gathered while a layer's results go by."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.network import Cell
from golden.pool import GUARD, RECIPROCAL

from .arith import saturate
from .blocks import delay, stages
from .layout import Layout
from .parity import count_where
from .phase import Phase
from .reciprocal import LOG2_STEPS, Reciprocal

__all__ = ["Pool"]


class Pool(wiring.Component):
    """Puts the pooled value in the place of the (zero) result of a pool's own phase.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    result : In(signed(act_width)), tag : In(Layout.row_tag), a post's results
    pooled : Out(signed(act_width)), pooled_tag : Out(Layout.row_tag), ``latency`` cycles later
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        width = signed(layout.act_width)
        super().__init__({"result": In(width), "tag": In(layout.row_tag),
                          "pooled": Out(width), "pooled_tag": Out(layout.row_tag)})

    @staticmethod
    def latency(program) -> int:
        """Cycles from ``result`` to ``pooled``; 0 where nothing is pooled."""
        pipeline, kinds = program.pipeline, {pool.pools for pool, _ in program.pools}
        mean = 4 * pipeline.stage + pipeline.multiplier
        return (pipeline.ram if kinds else 0) + (mean if Cell.MEAN in kinds else 0)

    def elaborate(self, platform):
        m = Module()
        program = self._layout.program
        latency, ram = self.latency(program), program.pipeline.ram
        tags = stages(m, self.tag, latency, name="tag", reset_less=False)
        results = stages(m, self.result, latency, name="result")
        m.d.comb += [self.pooled.eq(results[-1]), self.pooled_tag.eq(tags[-1])]
        divider = None
        for number, (pool, source) in enumerate(program.pools):
            gathered, passes = self._gather(m, number, pool, source, tags, results)
            if pool.pools is Cell.MEAN:
                if divider is None:   # all pools are over the same steps
                    m.submodules.divider = divider = Reciprocal()
                    m.d.comb += [divider.step.eq(passes & tags[ram].boundary),
                                 divider.first.eq(tags[ram].first)]
                value = self._mean(m, number, gathered, divider)
            else:
                value = delay(m, gathered, latency - ram, name=f"value{number}")
            with m.If(self._of(tags[-1], pool)):
                m.d.comb += self.pooled.eq(value)
        return m

    def _of(self, tag, phase: Phase):
        """Whether a result is a phase's."""
        base = phase.unit_base // phase.posts
        return (tag.valid & (tag.op == phase.op) & (tag.group >= base)
                & (tag.group < base + phase.groups))

    def _gather(self, m: Module, number: int, pool: Phase, source: Phase, tags, results):
        """The sum or maximum so far of each unit; and when a result of the source goes by."""
        ram = self._layout.program.pipeline.ram
        mean = pool.pools is Cell.MEAN
        width = self._layout.act_width + LOG2_STEPS * mean
        m.submodules[f"memory{number}"] = memory = self._layout.family.ram(
            width=width, depth=pool.groups, latency=ram)
        now, later = tags[0], tags[ram]
        passes = self._of(later, source)
        count_where(m, self._layout, memory, (passes & ~later.first) | self._of(later, pool))
        bases = [phase.unit_base // phase.posts for phase in (source, pool)]
        gathered, result = memory.r_data.as_signed(), results[ram]
        following = gathered + result if mean else Mux(result > gathered, result, gathered)
        m.d.comb += [
            memory.r_addr.eq(now.group - Mux(self._of(now, source), *bases)),
            memory.w_addr.eq(later.group - bases[0]), memory.w_en.eq(passes),
            memory.w_data.eq(Mux(later.first, result, following))]
        return gathered, passes

    def _mean(self, m: Module, number: int, gathered, divider):
        """``golden.pool.pool_codes`` of a sum."""
        pipeline, act_width = self._layout.program.pipeline, self._layout.act_width

        def step(value, name):
            return delay(m, value, pipeline.stage, name=f"{name}{number}")

        rounded = step(gathered.shift_left(GUARD) + Cat(divider.half, C(0, 1)).as_signed(),
                       "rounded")
        scaled = Signal(signed(act_width + GUARD), name=f"to_scale{number}")
        m.d.comb += scaled.eq(rounded >> divider.exponent)
        scaled = step(scaled, "scaled")
        m.submodules[f"product{number}"] = mul = self._layout.family.multiplier(
            act_width + GUARD, RECIPROCAL + 1, latency=pipeline.multiplier)
        m.d.comb += [mul.a.eq(scaled), mul.b.eq(divider.fraction)]
        whole = delay(m, scaled, pipeline.multiplier, name=f"whole{number}")
        places = RECIPROCAL + GUARD
        total = step(whole.shift_left(RECIPROCAL) + mul.p + (1 << (places - 1)), "total")
        value, _ = saturate(total >> places, act_width)
        return step(value, "mean")
