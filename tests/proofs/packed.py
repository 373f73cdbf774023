"""Two products of one multiplier, for all weights and operands."""

from amaranth import *

from hw.blocks import Multiplier, delay
from hw.packed import PackedMultiplier, Packing

from .bench import Bench, Proof, aged

__all__ = ["PROOFS"]


def _packed(latency: int, **packing) -> Bench:
    packing = Packing(**packing)
    dut = PackedMultiplier(packing, lambda a, b: Multiplier(a, b, latency=latency))
    bench = Bench(dut)
    m, width = bench.m, packing.weight_width
    low, high = (bench.free(name, signed(width)) for name in ("low", "high"))
    bench.assume((low >= packing.lowest) & (high >= packing.lowest))
    m.d.comb += dut.w.eq((high << packing.shift) + low)
    old = aged(m, dut.latency)
    low, high, b = (delay(m, value, dut.latency, name=name) for value, name in (
        (low, "low"), (high, "high"), (dut.b, "b")))
    bench.claim("the first product", ~old | (dut.p0 == low * b))
    bench.claim("the second product", ~old | (dut.p1 == high * b))
    bench.cover("a negative one below a positive one", old & (dut.p0 < 0) & (dut.p1 > 0))
    bench.cover("the largest ones", old & (low == packing.lowest) & (high == packing.lowest)
                & (b == -(1 << (packing.operand_width - 1))))
    return bench


def _proof(says: str, latency: int, quick: bool = False, **packing) -> Proof:
    steps = latency + PackedMultiplier.extra
    form = "symmetric" if packing["symmetric"] else "any"
    return Proof(
        name=f"packed.PackedMultiplier, two {form} weights of {packing['weight_width']} bits in "
             f"{packing['word_width']}, operand {packing['operand_width']}", says=says,
        depth=steps + 2, start=steps + 1, reach=steps + 2, quick=quick,
        build=lambda: _packed(latency, **packing))


PROOFS = [
    _proof("both products exact, for all weights and operands", 1, quick=True,
           weight_width=3, operand_width=5, symmetric=True, word_width=7),
    _proof("the same with the lowest weight, and registers inside", 4,
           weight_width=3, operand_width=4, symmetric=False, word_width=8),
]
