"""The requantiser: row words in, pre-activations out, for every sum at small widths."""

import numpy as np
import pytest
from amaranth import *
from amaranth.sim import Simulator

from golden import fixed
from hw.image import RowFormat
from hw.pipeline import DEEP, PIPELINES, SHALLOW
from hw.requantise import Requantise


def run(fmt: RowFormat, acc_width: int, pre_width: int, rows, pipeline=DEEP) -> list:
    """Outputs for (acc, bias, shift) rows, one a cycle, ``latency`` cycles later."""
    dut = Requantise(fmt, acc_width=acc_width, pre_width=pre_width, pipeline=pipeline)
    got, latency = [], Requantise.latency(pipeline)

    async def bench(ctx):
        for k in range(len(rows) + latency):
            if k < len(rows):
                acc, bias, shift = rows[k]
                ctx.set(dut.acc, acc)
                ctx.set(dut.bias, bias)
                if fmt.shift_width:
                    ctx.set(dut.shift, shift)
            if k >= latency:
                got.append(ctx.get(dut.pre))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return got


def expected(fmt: RowFormat, pre_width: int, rows) -> list:
    """Golden's rule: the row's true shift, its true bias; the word carries them prepared."""
    result = []
    for acc, bias, shift in rows:
        total = fmt.base_shift + shift
        half = 1 << (total - 1) if total > 0 else 0
        # What ``hw.image`` put on top of the bias goes away again: round_shift adds it itself.
        sums = np.int64((acc << fmt.lift) + bias - half)
        result.append(int(fixed.saturate(fixed.round_shift(sums, total), pre_width)))
    return result


FORMATS = {
    "plain": RowFormat(lift=0, base_shift=0, shift_width=0, bias_width=5, split=False),
    "base": RowFormat(lift=0, base_shift=2, shift_width=0, bias_width=6, split=False),
    "shift_1": RowFormat(lift=0, base_shift=1, shift_width=1, bias_width=5, split=False),
    "shift_2": RowFormat(lift=0, base_shift=0, shift_width=2, bias_width=5, split=False),
    "shift_3": RowFormat(lift=0, base_shift=0, shift_width=3, bias_width=9, split=True),
    "lift": RowFormat(lift=3, base_shift=0, shift_width=2, bias_width=8, split=False),
    "lift_base": RowFormat(lift=2, base_shift=1, shift_width=3, bias_width=7, split=True),
    "wide_bias": RowFormat(lift=0, base_shift=3, shift_width=2, bias_width=12, split=False),
}


@pytest.mark.parametrize("pre_width", [3, 6])
@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_every_sum(fmt, pre_width):
    """Each 6-bit sum at each shift, with the biases' ends and some between."""
    top = 1 << (fmt.bias_width - 1)
    biases = sorted({-top, -top // 3, -1, 0, 1, top // 2, top - 1})
    rows = [(acc, bias, shift) for shift in range(1 << fmt.shift_width) for bias in biases
            for acc in range(-32, 32)]
    want = expected(fmt, pre_width, rows)
    assert run(fmt, 6, pre_width, rows) == want
    assert run(fmt, 6, pre_width, rows, SHALLOW) == want
    if pre_width == 3:  # the narrow one saturates at both ends in every format
        assert (min(want), max(want)) == (-4, 3)


@pytest.mark.parametrize(("acc_width", "pre_width", "fmt"), [
    (30, 18, RowFormat(lift=0, base_shift=9, shift_width=3, bias_width=28, split=True)),
    (48, 20, RowFormat(lift=0, base_shift=18, shift_width=4, bias_width=46, split=False)),
    (28, 18, RowFormat(lift=6, base_shift=0, shift_width=4, bias_width=34, split=False)),
    (22, 15, RowFormat(lift=0, base_shift=0, shift_width=5, bias_width=40, split=False)),
], ids=["usual", "widest", "lifted", "five_bit_shift"])
def test_wide(acc_width, pre_width, fmt):
    rng = np.random.default_rng(acc_width)
    rows = []
    for acc_magnitude in (8, acc_width // 2, acc_width - 1):
        for bias_magnitude in (4, fmt.bias_width - 1):
            for _ in range(60):
                rows.append((int(rng.integers(-(1 << acc_magnitude), 1 << acc_magnitude)),
                             int(rng.integers(-(1 << bias_magnitude), 1 << bias_magnitude)),
                             int(rng.integers(0, 1 << fmt.shift_width))))
    ends = [(sign * (1 << (acc_width - 1)) - (sign > 0), sign * (1 << (fmt.bias_width - 1))
             - (sign > 0), shift) for sign in (1, -1) for shift in (0, (1 << fmt.shift_width) - 1)]
    rows = ends + rows
    want = expected(fmt, pre_width, rows)
    assert run(fmt, acc_width, pre_width, rows) == want
    assert len(set(want)) > 50


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=PIPELINES)
def test_latency(pipeline):
    """A change at the input is seen ``latency`` cycles later, not earlier."""
    fmt = FORMATS["shift_3"]
    rows = [(0, 0, 0)] * 3 + [(20, 0, 0)] + [(0, 0, 0)] * 3
    assert run(fmt, 6, 6, rows, pipeline) == [0, 0, 0, 20, 0, 0, 0]
