"""The MAC array: lanes of multipliers and accumulators, and the way from there to the posts."""

from functools import reduce
from operator import add, or_

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .blocks import delay, stages
from .families import Family
from .pipeline import DEEP, Pipeline

__all__ = ["MacArray", "group_size"]


class Lane(wiring.Component):
    """One row of a pass: ``cols`` multipliers, an adder tree, an accumulator.

    Restarts without a bubble: the accumulator clears in the cycle in which its sum is captured. The
    sum stands until the next pass is captured, so that it can be fetched at any time before.

    Members
    -------
    a : In(cols * operand_width), w : In(cols * weight_width), elements, column 0 lowest
    valid, last, split : In(1), aligned with the products' sum
    sum : Out(signed(acc_width)), the pass's result, from the cycle after ``last`` on
    first_part : Out(signed(acc_width)), the same of what stood there at the border of a split row
    """

    def __init__(self, *, operand_width: int, weight_width: int, acc_width: int, cols: int,
                 family: Family, pipeline: Pipeline):
        self._widths = operand_width, weight_width
        self._cols, self._family, self._pipeline = cols, family, pipeline
        super().__init__({
            "a": In(cols * operand_width), "w": In(cols * weight_width),
            "valid": In(1), "last": In(1), "split": In(1),
            "sum": Out(signed(acc_width)), "first_part": Out(signed(acc_width))})

    @staticmethod
    def product_latency(cols: int, pipeline: Pipeline) -> int:
        """Cycles from ``a`` to the accumulator's adder."""
        levels = ceil_log2(cols)
        return pipeline.multiplier + (levels if pipeline.tree else min(levels, 1))

    def elaborate(self, platform):
        m = Module()
        operand_width, weight_width = self._widths
        terms = []
        for k in range(self._cols):
            m.submodules[f"mul{k}"] = mul = self._family.multiplier(
                operand_width, weight_width, latency=self._pipeline.multiplier)
            m.d.comb += [mul.a.eq(self.a.word_select(k, operand_width).as_signed()),
                         mul.b.eq(self.w.word_select(k, weight_width).as_signed())]
            terms.append(mul.p)
        level, last_level = 0, ceil_log2(self._cols)
        while len(terms) > 1:
            level += 1
            pairs = [reduce(add, terms[k:k + 2]) for k in range(0, len(terms), 2)]
            kept = int(self._pipeline.tree or level == last_level)
            terms = [delay(m, pair, kept, name=f"tree{level}_{k}") for k, pair in enumerate(pairs)]
        acc, total, part = (Signal.like(self.sum, name=name) for name in ("acc", "total", "part"))
        m.d.comb += total.eq(acc + terms[0])
        with m.If(self.last):
            m.d.sync += [acc.eq(0), self.sum.eq(total), self.first_part.eq(part)]
        with m.Elif(self.split):
            m.d.sync += [acc.eq(0), part.eq(total)]
        with m.Elif(self.valid):
            m.d.sync += acc.eq(total)
        return m


class MacArray(wiring.Component):
    """``lanes`` rows at once, one column word a cycle, no gap between passes.

    The sums of a pass stand still while the next one runs. A token wanders over the slots, one a
    cycle, and lets each slot's sums, one for each post, through a tree of ORs to the posts.

    Lanes work in groups, each one cycle after the group before it, so that no register drives more
    than a group. The token reaches a slot no earlier than the cycle after its group is captured.

    Parameters
    ----------
    lanes, cols, posts, operand_width, weight_width, acc_width : int
    split : bool
        Keep the first part of the rows of a reset-after GRU's candidate.
    family : Family
    pipeline : Pipeline

    Members
    -------
    a : In(cols * operand_width), the column word
    w : In(lanes * cols * weight_width), weights; those of group g are g cycles behind ``a``
    valid, last, border : In(1), in the cycle of ``a``
    residue : In(range(3))
    rows, first_parts : Out(posts * acc_width), ``latency`` after a pass's last column those of its
        slot 0, then, cycle by cycle, of the slots after it
    """

    def __init__(self, *, lanes: int, cols: int, posts: int = 1, operand_width: int,
                 weight_width: int, acc_width: int, split: bool, family: Family,
                 pipeline: Pipeline = DEEP):
        self._lanes, self._posts, self._split = lanes, posts, split
        self._group, self._pipeline = group_size(posts, family), pipeline
        self._lane = {"operand_width": operand_width, "weight_width": weight_width,
                      "acc_width": acc_width, "cols": cols, "family": family,
                      "pipeline": pipeline}
        super().__init__({
            "a": In(cols * operand_width), "w": In(lanes * cols * weight_width),
            "valid": In(1), "last": In(1), "border": In(1), "residue": In(range(3)),
            "rows": Out(posts * acc_width), "first_parts": Out(posts * acc_width)})

    @staticmethod
    def latency(*, slots: int, cols: int, pipeline: Pipeline) -> int:
        """Cycles from a pass's last column at ``a`` to its slot 0 at ``rows``."""
        return Lane.product_latency(cols, pipeline) + 1 + pipeline.stage * len(_fan_ins(slots))

    def elaborate(self, platform):
        m = Module()
        cols = self._lane["cols"]
        control = Signal(data.StructLayout({"valid": 1, "last": 1, "border": 1, "residue": 2}))
        m.d.comb += [control.valid.eq(self.valid), control.last.eq(self.last),
                     control.border.eq(self.border), control.residue.eq(self.residue)]
        control = delay(m, control, Lane.product_latency(cols, self._pipeline), name="control",
                        reset_less=False)
        n_groups = -(-self._lanes // self._group)
        words = stages(m, self.a, n_groups - 1, name="a")
        controls = stages(m, control, n_groups - 1, name="group_control", reset_less=False)

        lanes = []
        width = cols * self._lane["weight_width"]
        for k in range(self._lanes):
            group = k // self._group
            m.submodules[f"lane{k}"] = lane = Lane(**self._lane)
            m.d.comb += [lane.a.eq(words[group]), lane.w.eq(self.w.word_select(k, width)),
                         lane.valid.eq(controls[group].valid), lane.last.eq(controls[group].last)]
            if self._split:
                # A post's turn pass * slots + s is a candidate row where its index mod 3 is 2.
                m.d.comb += lane.split.eq(controls[group].border & (
                    controls[group].residue == (2 - k // self._posts) % 3))
            lanes.append(lane)
        # A pass that needs few slots may be followed early: its token ends where the next begins.
        first, others = Signal(name="token"), Signal(self._lanes // self._posts - 1, name="tokens")
        m.d.sync += [first.eq(control.last), others.eq(Cat(first, others))]
        with m.If(control.last):
            m.d.sync += others.eq(0)
        tokens = [first, *others]
        self._fetch(m, lanes, tokens, "sum", self.rows)
        if self._split:
            self._fetch(m, lanes, tokens, "first_part", self.first_parts)
        return m

    def _fetch(self, m: Module, lanes: list, tokens: list, name: str, out):
        """One output of the lanes to the posts: the slot that has the token."""
        width = self._lane["acc_width"]
        for post in range(self._posts):
            terms = [getattr(lane, name) for lane in lanes[post::self._posts]]
            if len(terms) > 1:
                terms = [Mux(token, term, 0)[:width]
                         for term, token in zip(terms, tokens, strict=True)]
            for level, fan_in in enumerate(_fan_ins(len(terms))):
                terms = [delay(m, reduce(or_, terms[k:k + fan_in]), self._pipeline.stage,
                               name=f"{name}{post}_{level}_{k}")
                         for k in range(0, len(terms), fan_in)]
            m.d.comb += out.word_select(post, width).eq(terms[0])


def group_size(posts: int, family: Family) -> int:
    """Lanes of a group: a slot is never spread over more groups than the token passes by."""
    return max(family.group, posts)


def _fan_ins(slots: int) -> list:
    """Of each level of the OR tree: two sums and their tokens, or four sums, make one LUT."""
    fan_ins = []
    while slots > 1:
        fan_ins.append(4 if fan_ins else 2)
        slots = -(-slots // fan_ins[-1])
    return fan_ins
