"""The activation unit beside golden's own tables, for all inputs and functions."""

import numpy as np
from amaranth import *

from golden.fixed import Fixed, saturate
from golden.functions import PLAIN, Activation
from golden.tables import activate, make_table
from hw.activation import ActivationUnit
from hw.blocks import delay
from hw.layout import Function
from hw.pipeline import DEEP, SHALLOW, Pipeline

from .bench import Bench, Proof, aged

__all__ = ["PROOFS"]


def _golden(table, codes: np.ndarray, function: Activation) -> tuple:
    """Golden's results for all codes, and where they are clipped."""
    if function in (Activation.SIGMOID, Activation.TANH):
        return activate(codes, table, function), np.zeros(len(codes), dtype=bool)
    values = np.maximum(codes, 0) if function is Activation.RELU else codes
    results = saturate(values, table.out.width)
    return results, results != values


def _activation(pre_width: int, out_width: int, pipeline: Pipeline) -> Bench:
    table = make_table(Fixed(width=pre_width, frac=pre_width - 4),
                       Fixed(width=out_width, frac=out_width - 1))
    dut = ActivationUnit(table, pipeline=pipeline)
    bench = Bench(dut)
    m, latency = bench.m, ActivationUnit.latency(pipeline)
    old = aged(m, latency)
    pre, function = (delay(m, value, latency, name=name) for value, name in (
        (dut.pre, "pre"), (dut.function, "function")))
    # By the input's bits as a number: negative inputs come behind.
    codes = np.arange(1 << pre_width)
    codes[codes >= 1 << (pre_width - 1)] -= 1 << pre_width
    golden = [_golden(table, codes, each) for each in PLAIN]
    want, clipped = (Array(Array(C(int(value), shape) for value in results) for results in part)[
        function][pre.as_unsigned()] for part, shape in zip(
            zip(*golden, strict=True), (signed(out_width), 1), strict=True))
    bench.claim("golden's value", ~old | (dut.out == want))
    bench.claim("clipped where golden clips", ~old | (dut.clipped == clipped))
    for each in PLAIN:
        bench.cover(f"{each} above its half", old & (function == Function[each])
                    & (dut.out > 1 << (out_width - 2)))
    bench.cover("a negative tanh", old & (function == Function[Activation.TANH]) & (dut.out < -1))
    bench.cover("clipped below", old & dut.clipped & (dut.out < 0))
    return bench


def _proof(widths: tuple, pipeline: Pipeline, says: str, **more) -> Proof:
    latency = ActivationUnit.latency(pipeline)
    return Proof(name=f"activation.ActivationUnit, {widths[0]} to {widths[1]} bits, "
                      f"{pipeline.name}", says=says,
                 depth=latency + 2, start=latency + 1, reach=latency + 2,
                 build=lambda: _activation(*widths, pipeline), **more)


PROOFS = [
    _proof((8, 7), SHALLOW, "golden's value, for all inputs and functions", quick=True),
    _proof((7, 6), DEEP, "the same with all registers", mutants=8),
]
