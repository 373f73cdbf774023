"""The quick proofs, and the prover itself: what is false, out of reach or unbroken is told."""

from dataclasses import replace

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tests.proofs import PROOFS
from tests.proofs.bench import Bench, Proof
from tests.proofs.yosys import check

QUICK = [proof for proof in PROOFS if proof.quick]


class Counter(wiring.Component):
    """Counts to 5 and begins again; starts at 2."""

    def __init__(self):
        super().__init__({"en": In(1), "count": Out(4, init=2)})

    def elaborate(self, platform):
        m = Module()
        with m.If(self.en):
            m.d.sync += self.count.eq(Mux(self.count == 5, 0, self.count + 1))
        return m


def proof_of(claim, *, invariant=None, cover=None, assume=None, depth=4) -> Proof:
    """A proof about ``Counter``; each argument makes a condition of its component."""
    def build():
        bench = Bench(Counter())
        bench.claim("claim", claim(bench.dut))
        bench.cover("cover", (cover or (lambda dut: dut.count == 0))(bench.dut))
        if invariant:
            bench.invariant(invariant(bench.dut))
        if assume:
            bench.assume(assume(bench.dut))
        return bench
    return Proof(name="counter", says="", build=build, depth=depth, reach=8, mutants=6)


def test_enough():
    """What the issue asks for."""
    assert len(PROOFS) >= 12
    assert len({proof.name for proof in PROOFS}) == len(PROOFS)
    assert len(QUICK) >= 4


@pytest.mark.parametrize("proof", QUICK, ids=lambda proof: proof.name)
def test_quick(proof, tmp_path):
    verdict = check(replace(proof, mutants=2), tmp_path)
    assert verdict.proved, verdict.trace
    assert not verdict.missed and verdict.covers
    assert verdict.refuted


def test_true(tmp_path):
    verdict = check(proof_of(lambda dut: dut.count <= 5), tmp_path)
    assert verdict.passed and verdict.length == 1 and verdict.covers == 1


@pytest.mark.parametrize("wrong", [
    proof_of(lambda dut: dut.count <= 4),                     # false from the fourth cycle on
    proof_of(lambda dut: dut.count != 9),                     # true, but not by induction alone
    proof_of(lambda dut: dut.count != 2),                     # false at power-up
    proof_of(lambda dut: dut.count <= 5, invariant=lambda dut: dut.count < 5),
], ids=["false", "not_inductive", "false_at_once", "false_inside"])
def test_not_proved(wrong, tmp_path):
    verdict = check(wrong, tmp_path)
    assert not verdict.proved and not verdict.passed


@pytest.mark.parametrize("vain", [
    proof_of(lambda dut: dut.count <= 5, cover=lambda dut: dut.count == 6),
    proof_of(lambda dut: dut.count <= 5, assume=lambda dut: 0),  # nothing is legal
], ids=["cover", "assumption"])
def test_in_vain(vain, tmp_path):
    verdict = check(vain, tmp_path)
    assert verdict.missed == ("cover",) and not verdict.passed


def test_toothless(tmp_path):
    """A claim that no mutant breaks is no claim."""
    verdict = check(proof_of(lambda dut: dut.count >= 0), tmp_path)
    assert verdict.proved and not verdict.refuted and not verdict.passed
    assert verdict.harmless == verdict.mutants > 0 and not verdict.survivors


def test_left(tmp_path):
    """What neither a trace refutes nor induction clears is named: here both are too short."""
    short = proof_of(lambda dut: dut.count != 9, invariant=lambda dut: dut.count <= 5, depth=1,
                     cover=lambda dut: dut.count == 2)
    verdict = check(replace(short, reach=1), tmp_path)
    assert verdict.proved and verdict.covers == 1 and verdict.survivors
    assert verdict.refuted + verdict.harmless + len(verdict.survivors) == verdict.mutants


def test_unknown_signal():
    bench = Bench(Counter())
    with pytest.raises(KeyError, match="nothing"):
        bench.inner("nothing")
    bench.rtlil()  # Amaranth warns of what is made and never used
