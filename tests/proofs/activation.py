"""The activation unit beside golden's own tables, for all inputs and functions."""

import numpy as np
from amaranth import *

from golden.fixed import Fixed
from golden.functions import PLAIN, Activation
from golden.tables import activate, make_table
from hw.activation import ActivationUnit
from hw.blocks import delay
from hw.layout import Function
from hw.pipeline import DEEP, SHALLOW, Pipeline

from .bench import Bench, Proof, aged

__all__ = ["PROOFS"]


def _activation(width: int, pipeline: Pipeline) -> Bench:
    table = make_table(Fixed(width, width - 4), Fixed(width, width - 1))
    dut = ActivationUnit(table, pipeline=pipeline)
    bench = Bench(dut)
    m, latency = bench.m, ActivationUnit.latency(pipeline)
    old = aged(m, latency)
    pre, function = (delay(m, value, latency, name=name) for value, name in (
        (dut.pre, "pre"), (dut.function, "function")))
    # By the input's bits as a number: negative inputs come behind.
    codes = np.arange(1 << width)
    codes[codes >= 1 << (width - 1)] -= 1 << width
    want = Array(Array(C(int(value), signed(width)) for value in activate(table, codes, each))
                 for each in PLAIN)[function][pre.as_unsigned()]
    bench.claim("golden's value", ~old | (dut.out == want))
    for each in PLAIN:
        bench.cover(f"{each} above its half", old & (function == Function[each])
                    & (dut.out > 1 << (width - 2)))
    bench.cover("a negative tanh", old & (function == Function[Activation.TANH]) & (dut.out < -1))
    bench.cover("clipped", old & dut.clipped)
    return bench


def _proof(width: int, pipeline: Pipeline, quick: bool = False) -> Proof:
    latency = ActivationUnit.latency(pipeline)
    return Proof(name=f"activation.ActivationUnit, {width} bits, {pipeline.name}", quick=quick,
                 says="golden's table, straight line and rounding, for all inputs and functions",
                 depth=latency + 2, start=latency + 1, reach=latency + 2,
                 build=lambda: _activation(width, pipeline))


PROOFS = [_proof(8, SHALLOW, True), _proof(8, DEEP)]
