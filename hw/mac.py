"""The MAC array: lanes of multipliers and accumulators, and the way from there to the posts."""

from functools import partial, reduce
from operator import add, or_

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .blocks import delay, stages
from .families import Family
from .packed import PackedMultiplier, Packing
from .pipeline import DEEP, Pipeline

__all__ = ["MacArray", "group_size", "word_width"]


class Lane(wiring.Component):
    """One row of a pass: an adder tree over its ``cols`` products, and an accumulator.

    Restarts without a bubble: the accumulator clears in the cycle in which its sum is captured. The
    sum stands until the next pass is captured, so that it can be fetched at any time before.

    Members
    -------
    products : In(cols * product_width), signed, column 0 lowest
    valid, last, split : In(1), aligned with the tree's sum
    clear : In(1), high after a reset: the accumulator has none of its own
    sum : Out(signed(acc_width)), the pass's result, from the cycle after ``last`` on
    first_part : Out(signed(acc_width)), the same of what stood there at the border of a split row
    """

    def __init__(self, *, product_width: int, acc_width: int, cols: int, pipeline: Pipeline):
        self._width, self._cols, self._pipeline = product_width, cols, pipeline
        super().__init__({
            "products": In(cols * product_width), "valid": In(1), "last": In(1), "split": In(1),
            "clear": In(1),
            "sum": Out(signed(acc_width)), "first_part": Out(signed(acc_width))})

    @staticmethod
    def latency(cols: int, pipeline: Pipeline) -> int:
        """Cycles from ``products`` to the accumulator's adder."""
        levels = ceil_log2(cols)
        return max(levels, 1) if pipeline.tree == 2 else min(levels, pipeline.tree)

    def elaborate(self, platform):
        m = Module()
        terms = [self.products.word_select(k, self._width).as_signed() for k in range(self._cols)]
        if self._cols == 1:
            # No tree, but its register: DSP blocks lie in columns, and accumulators do not.
            terms = [delay(m, terms[0], int(self._pipeline.tree == 2), name="product")]
        level, last_level = 0, ceil_log2(self._cols)
        while len(terms) > 1:
            level += 1
            pairs = [reduce(add, terms[k:k + 2]) for k in range(0, len(terms), 2)]
            kept = int(self._pipeline.tree > (level != last_level))
            terms = [delay(m, pair, kept, name=f"tree{level}_{k}") for k, pair in enumerate(pairs)]
        acc, part, captured, first_part = (
            Signal.like(self.sum, name=name, reset_less=True)
            for name in ("acc", "part", "captured", "captured_first"))
        total = Signal.like(self.sum)
        m.d.comb += [total.eq(acc + terms[0]), self.sum.eq(captured),
                     self.first_part.eq(first_part)]
        with m.If(self.last):
            m.d.sync += [captured.eq(total), first_part.eq(part)]
        with m.Elif(self.split):
            m.d.sync += part.eq(total)
        with m.If(self.last | self.split | self.clear):
            m.d.sync += acc.eq(0)
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
    short : bool
        Some pass has fewer rows than there are lanes.
    family : Family
    pipeline : Pipeline
    packing : Packing or None
        Lanes 2k and 2k + 1 share their multipliers and a word of two weights.

    Members
    -------
    a : In(cols * operand_width), the column word
    w : In, weights, lane 0 lowest, column 0 lowest in it; those of group g are g cycles behind
        ``a``
    valid, last, border : In(1), in the cycle of ``a``
    residue : In(range(3))
    rows, first_parts : Out(posts * acc_width), ``latency`` after a pass's last column those of its
        slot 0, then, cycle by cycle, of the slots after it
    """

    def __init__(self, *, lanes: int, cols: int, posts: int = 1, operand_width: int,
                 weight_width: int, acc_width: int, split: bool, short: bool, family: Family,
                 pipeline: Pipeline = DEEP, packing: Packing | None = None):
        self._lanes, self._cols, self._posts = lanes, cols, posts
        self._split, self._short = split, short
        self._group, self._pipeline = group_size(posts, family, packing), pipeline
        self._operand_width, self._acc_width = operand_width, acc_width
        self._weight_width, self._packing, self._family = weight_width, packing, family
        super().__init__({
            "a": In(cols * operand_width), "w": In(word_width(lanes, cols, weight_width, packing)),
            "valid": In(1), "last": In(1), "border": In(1), "residue": In(range(3)),
            "rows": Out(posts * acc_width), "first_parts": Out(posts * acc_width)})

    @staticmethod
    def latency(*, slots: int, cols: int, pipeline: Pipeline, packed: bool = False) -> int:
        """Cycles from a pass's last column at ``a`` to its slot 0 at ``rows``."""
        return (_to_sum(cols, pipeline, packed) + 1 + pipeline.stage * len(_fan_ins(slots)))

    def elaborate(self, platform):
        m = Module()
        control = Signal(data.StructLayout({"valid": 1, "last": 1, "border": 1, "residue": 2}))
        m.d.comb += [control.valid.eq(self.valid), control.last.eq(self.last),
                     control.border.eq(self.border), control.residue.eq(self.residue)]
        control = delay(m, control, _to_sum(self._cols, self._pipeline, self._packing is not None),
                        name="control", reset_less=False)
        n_groups = -(-self._lanes // self._group)
        words = stages(m, self.a, n_groups - 1, name="a")
        controls = stages(m, control, n_groups - 1, name="group_control", reset_less=False)
        # A reset reaches one group after the other, long before any product does; its net to all
        # accumulators would be the longest on the chip.
        clears = [Signal(name=f"clear{group}", init=1) for group in range(n_groups)]
        m.d.sync += Cat(clears).eq(Cat(C(0, 1), clears))

        lanes = []
        for k, products in enumerate(self._products(m, words)):
            group = k // self._group
            m.submodules[f"lane{k}"] = lane = Lane(
                product_width=len(products[0]), acc_width=self._acc_width, cols=self._cols,
                pipeline=self._pipeline)
            m.d.comb += [lane.products.eq(Cat(products)),
                         lane.valid.eq(controls[group].valid), lane.last.eq(controls[group].last),
                         lane.clear.eq(clears[group])]
            if self._split:
                # A post's turn pass * slots + s is a candidate row where its index mod 3 is 2.
                m.d.comb += lane.split.eq(controls[group].border & (
                    controls[group].residue == (2 - k // self._posts) % 3))
            lanes.append(lane)
        # A pass of few rows may be followed early: its token ends where the next begins. Where all
        # passes are full, no such signal crosses the array.
        tokens = [first := Signal(name="token")]
        m.d.sync += first.eq(control.last)
        if self._lanes > self._posts:
            others = Signal(self._lanes // self._posts - 1, name="tokens")
            m.d.sync += others.eq(Cat(first, others))
            if self._short:
                with m.If(control.last):
                    m.d.sync += others.eq(0)
            tokens.extend(others)
        self._fetch(m, lanes, tokens, "sum", self.rows)
        if self._split:
            self._fetch(m, lanes, tokens, "first_part", self.first_parts)
        return m

    def _products(self, m: Module, words: list) -> list:
        """Each lane's products, a list of ``cols``."""
        multiplier = partial(self._family.multiplier, latency=self._pipeline.multiplier)
        sharing = 1 if self._packing is None else 2
        products = [[] for _ in range(self._lanes)]
        for k in range(0, self._lanes, sharing):
            for col in range(self._cols):
                element = words[k // self._group].word_select(col, self._operand_width)
                place = k // sharing * self._cols + col
                if self._packing is None:
                    mul = multiplier(self._operand_width, self._weight_width)
                    m.d.comb += [mul.a.eq(element.as_signed()), mul.b.eq(
                        self.w.word_select(place, self._weight_width).as_signed())]
                    products[k].append(mul.p)
                else:
                    mul = PackedMultiplier(self._packing, multiplier)
                    m.d.comb += [mul.b.eq(element.as_signed()), mul.w.eq(
                        self.w.word_select(place, self._packing.word_width))]
                    products[k].append(mul.p0)
                    products[k + 1].append(mul.p1)
                m.submodules[f"mul{k}_{col}"] = mul
        return products

    def _fetch(self, m: Module, lanes: list, tokens: list, name: str, out):
        """One output of the lanes to the posts: the slot that has the token."""
        width = self._acc_width
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


def group_size(posts: int, family: Family, packing: Packing | None) -> int:
    """Lanes of a group: a slot is never spread over more groups than the token passes by."""
    group = max(family.group, posts)
    return group if packing is None else group + group % 2


def word_width(lanes: int, cols: int, weight_width: int, packing: Packing | None) -> int:
    """Bits of the weights of one cycle."""
    if packing is None:
        return lanes * cols * weight_width
    return lanes // 2 * cols * packing.word_width


def _to_sum(cols: int, pipeline: Pipeline, packed: bool) -> int:
    """Cycles from ``a`` to the accumulators' adders."""
    return pipeline.multiplier + PackedMultiplier.extra * packed + Lane.latency(cols, pipeline)


def _fan_ins(slots: int) -> list:
    """Of each level of the OR tree: two sums and their tokens, or four sums, make one LUT."""
    fan_ins = []
    while slots > 1:
        fan_ins.append(4 if fan_ins else 2)
        slots = -(-slots // fan_ins[-1])
    return fan_ins
