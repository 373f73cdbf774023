"""The MAC array: lanes of multipliers, accumulators, and the shift chain that drains them."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .blocks import Multiplier, delay, stages
from .families import Family

__all__ = ["MacArray"]


class Lane(wiring.Component):
    """One row of a pass: ``cols`` multipliers, an adder tree, an accumulator.

    Restarts without a bubble: the accumulator clears in the cycle in which its sum is captured.

    Members
    -------
    a : In(cols * operand_width), w : In(cols * weight_width), elements, column 0 lowest
    valid, last, split : In(1), aligned with the products' sum
    sum : Out(signed(acc_width)), the pass's result, from the cycle after ``last`` on
    first_part : Out(signed(acc_width)), what stood there at the border of a split row
    """

    def __init__(self, *, operand_width: int, weight_width: int, acc_width: int, cols: int,
                 family: Family):
        self._widths = operand_width, weight_width, acc_width
        self._cols, self._family = cols, family
        super().__init__({
            "a": In(cols * operand_width), "w": In(cols * weight_width),
            "valid": In(1), "last": In(1), "split": In(1),
            "sum": Out(signed(acc_width)), "first_part": Out(signed(acc_width))})

    def elaborate(self, platform):
        m = Module()
        operand_width, weight_width, acc_width = self._widths
        terms = []
        for k in range(self._cols):
            m.submodules[f"mul{k}"] = mul = self._family.multiplier(operand_width,
                                                                       weight_width)
            m.d.comb += [mul.a.eq(self.a.word_select(k, operand_width).as_signed()),
                         mul.b.eq(self.w.word_select(k, weight_width).as_signed())]
            terms.append(mul.p)
        level = 0
        while len(terms) > 1:
            pairs, level = [], level + 1
            for k in range(0, len(terms), 2):
                total = Signal(signed(len(terms[k]) + 1), name=f"tree{level}_{k}",
                               reset_less=True)
                m.d.sync += total.eq(terms[k] + terms[k + 1])
                pairs.append(total)
            terms = pairs
        acc = Signal(signed(acc_width))
        total = Signal(signed(acc_width))
        m.d.comb += total.eq(acc + terms[0])
        with m.If(self.last):
            m.d.sync += [acc.eq(0), self.sum.eq(total)]
        with m.Elif(self.split):
            m.d.sync += [acc.eq(0), self.first_part.eq(total)]
        with m.Elif(self.valid):
            m.d.sync += acc.eq(total)
        return m


class MacArray(wiring.Component):
    """``lanes`` rows at once, one column word a cycle, no gap between passes.

    A word issued in cycle t meets its weights ``latency`` - 1 cycles before it is accumulated; at
    the end of a pass the sums move to the shift chain, which shows lane 0 and then, cycle by cycle,
    the lanes after it, while the next pass runs.

    Lanes work in groups, each one cycle after the group before it, so that no register drives more
    than a group. Its sums enter the chain a cycle later as well, and a place further on: the chain
    shows the lanes as if all had been there at once.

    Parameters
    ----------
    lanes, cols, operand_width, weight_width, acc_width : int
    split : bool
        Build the second chain, for the rows of a reset-after GRU's candidate.
    family : Family

    Members
    -------
    a : In(cols * operand_width), the column word
    w : In(lanes * cols * weight_width), weights; those of group g are g cycles behind ``a``
    valid, last, border : In(1), in the cycle of ``a``
    residue : In(range(3))
    loaded : Out(1), the chain shows lane 0 of a new pass in the next cycle
    row, first_part : Out(signed(acc_width))
    """

    def __init__(self, *, lanes: int, cols: int, operand_width: int, weight_width: int,
                 acc_width: int, split: bool, family: Family):
        self._lanes, self._split, self._group = lanes, split, family.group
        self._lane = {"operand_width": operand_width, "weight_width": weight_width,
                      "acc_width": acc_width, "cols": cols, "family": family}
        super().__init__({
            "a": In(cols * operand_width), "w": In(lanes * cols * weight_width),
            "valid": In(1), "last": In(1), "border": In(1), "residue": In(range(3)),
            "loaded": Out(1),
            "row": Out(signed(acc_width)), "first_part": Out(signed(acc_width))})

    @staticmethod
    def product_latency(cols: int) -> int:
        """Cycles from ``a`` to the accumulator's adder."""
        return Multiplier.latency + ceil_log2(cols)

    @classmethod
    def latency(cls, cols: int) -> int:
        """Cycles from a pass's last column at ``a`` to its lane 0 at ``row``."""
        return cls.product_latency(cols) + 2

    def elaborate(self, platform):
        m = Module()
        cols = self._lane["cols"]
        control = Signal(data.StructLayout({"valid": 1, "last": 1, "border": 1, "residue": 2}))
        m.d.comb += [control.valid.eq(self.valid), control.last.eq(self.last),
                     control.border.eq(self.border), control.residue.eq(self.residue)]
        control = delay(m, control, self.product_latency(cols), name="control", reset_less=False)
        n_groups = -(-self._lanes // self._group)
        words = stages(m, self.a, n_groups - 1, name="a")
        controls = stages(m, control, n_groups - 1, name="group_control", reset_less=False)

        lanes, captured = [], []
        width = cols * self._lane["weight_width"]
        for k in range(self._lanes):
            group = k // self._group
            m.submodules[f"lane{k}"] = lane = Lane(**self._lane)
            m.d.comb += [lane.a.eq(words[group]), lane.w.eq(self.w.word_select(k, width)),
                         lane.valid.eq(controls[group].valid), lane.last.eq(controls[group].last)]
            if self._split:
                # Row pass * lanes + k is a candidate row where its index mod 3 is 2.
                m.d.comb += lane.split.eq(controls[group].border
                                          & (controls[group].residue == (2 - k) % 3))
            lanes.append(lane)
        for group in range(n_groups):
            captured.append(Signal(name=f"captured{group}"))
            m.d.sync += captured[group].eq(controls[group].last)
        m.d.comb += self.loaded.eq(captured[0])
        self._chain(m, lanes, captured, "sum", self.row)
        if self._split:
            self._chain(m, lanes, captured, "first_part", self.first_part)
        return m

    def _chain(self, m: Module, lanes: list, captured: list, name: str, out):
        """Shift chain over one output of the lanes; group g enters g places nearer to the end."""
        chain = [Signal.like(out, name=f"{name}_chain{k}", reset_less=True)
                 for k in range(len(lanes) - len(captured) + 1)]
        m.d.comb += out.eq(chain[0])
        for k, stage in enumerate(chain):
            m.d.sync += stage.eq(chain[k + 1] if k + 1 < len(chain) else 0)
        # Where a pass of one cycle meets the one before it, the later pass's lower group wins.
        for k, lane in reversed(list(enumerate(lanes))):
            group = k // self._group
            with m.If(captured[group]):
                m.d.sync += chain[k - group].eq(getattr(lane, name))
