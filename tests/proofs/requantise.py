"""Sums to pre-activations, for all inputs: the shift and the saturation, said without either."""

from amaranth import *

from hw.blocks import delay
from hw.image import RowFormat
from hw.pipeline import DEEP, SHALLOW, Pipeline
from hw.requantise import Requantise

from .bench import Bench, Proof, aged

__all__ = ["PROOFS"]


def _requantise(fmt: RowFormat, acc_width: int, pre_width: int, pipeline: Pipeline) -> Bench:
    """pre is the only number whose multiple of 2**shift lies at the total or next below it."""
    dut = Requantise(fmt, acc_width=acc_width, pre_width=pre_width, pipeline=pipeline)
    bench = Bench(dut)
    m, latency = bench.m, Requantise.latency(pipeline)
    old = aged(m, latency)
    acc, bias, shift = (delay(m, value, latency, name=name) for value, name in (
        (dut.acc, "acc"), (dut.bias, "bias"), (dut.shift, "shift")))
    total = Signal(signed(max(acc_width + fmt.lift, fmt.bias_width) + 1))
    m.d.comb += total.eq((acc << fmt.lift) + bias)
    by = fmt.base_shift + shift
    top, bottom = (1 << (pre_width - 1)) - 1, -(1 << (pre_width - 1))
    above = total >= ((dut.pre + 1) << by)
    below = total < (dut.pre << by)
    bench.claim("not above the total, but at the lower end", ~old | ~below | (dut.pre == bottom))
    bench.claim("the next is above it, but at the upper end", ~old | ~above | (dut.pre == top))
    bench.cover("clipped above", old & above & (dut.pre == top))
    bench.cover("clipped below", old & below & (dut.pre == bottom))
    bench.cover("the largest shift of a negative total", old & (total < -(1 << by))
                & (shift == (1 << fmt.shift_width) - 1) & (dut.pre == -2))
    return bench


def _proof(says: str, acc_width: int, pre_width: int, pipeline=DEEP, quick=False, **fmt) -> Proof:
    name = f"requantise.Requantise, {acc_width} to {pre_width} bits, {pipeline.name}"
    latency = Requantise.latency(pipeline)
    return Proof(
        name=name, says=says, depth=latency + 2, start=latency + 1, reach=latency + 2, quick=quick,
        build=lambda: _requantise(RowFormat(split=False, **fmt), acc_width, pre_width, pipeline))


PROOFS = [
    _proof("floor((acc + bias) / 2^shift), saturated, for all inputs", 30, 18, quick=True,
           lift=0, base_shift=9, shift_width=3, bias_width=28),
    _proof("the widest row", 48, 20, lift=0, base_shift=18, shift_width=4, bias_width=46),
    _proof("a lifted row: floor((acc 2^6 + bias) / 2^shift)", 28, 18, SHALLOW,
           lift=6, base_shift=0, shift_width=4, bias_width=34),
]
