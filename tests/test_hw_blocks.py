"""Portable blocks: latencies exact, every small product, memories and the output queue."""

from collections import deque
from dataclasses import replace
from random import Random
from types import SimpleNamespace

import pytest
from amaranth import ClockDomain, Module
from amaranth.sim import Simulator

from hw.blocks import Multiplier, Ram
from hw.families import PORTABLE, family_named
from hw.mac import MacArray
from hw.pipeline import DEEP, PIPELINES
from hw.queue import Buffer


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("latency", [0, 1, DEEP.multiplier])
def test_every_product(latency):
    """All pairs of 3 and 4 bits, one a cycle."""
    dut = Multiplier(3, 4, latency=latency)
    pairs = [(a, b) for a in range(-4, 4) for b in range(-8, 8)]
    got = []

    async def bench(ctx):
        for k in range(len(pairs) + dut.latency):
            if k < len(pairs):
                ctx.set(dut.a, pairs[k][0])
                ctx.set(dut.b, pairs[k][1])
            if k >= dut.latency:
                got.append(ctx.get(dut.p))
            await ctx.tick()

    m = Module()
    m.domains.sync = ClockDomain()  # which a product without a register does not ask for
    m.submodules.dut = dut
    simulate(m, bench)
    assert got == [a * b for a, b in pairs]


@pytest.mark.parametrize(("cols", "gated"), [(1, False), (1, True), (4, False), (2, True)])
def test_ram(cols, gated):
    """First contents, writes element by element, and reads that pause in both of their steps."""
    rng, depth, width = Random(cols), 12, 5
    words = [[rng.randrange(1 << width) for _ in range(cols)] for _ in range(depth)]
    dut = Ram(width=width, depth=depth, cols=cols, gated=gated, init=[
        sum(value << (k * width) for k, value in enumerate(word)) for word in words])
    compared = []

    async def bench(ctx):
        taken = out = None
        for _ in range(1500):
            read, target = rng.randrange(depth), rng.randrange(depth * cols)
            write = rng.random() < 0.5 and target // cols != read
            takes, moves = (rng.random() < 0.6, rng.random() < 0.6) if gated else (True, True)
            value = rng.randrange(1 << width)
            ctx.set(dut.r_addr, read)
            ctx.set(dut.w_en, write << target % cols)
            ctx.set(dut.w_addr, target // cols)
            ctx.set(dut.w_data, sum(value << (k * width) for k in range(cols)))
            if gated:
                ctx.set(dut.r_en, takes)
                ctx.set(dut.o_en, moves)
            await ctx.tick()
            if moves:
                out = taken
            if takes:
                taken = list(words[read])
            if write:
                words[target // cols][target % cols] = value
            if out is not None:
                data = ctx.get(dut.r_data)
                compared.append([data >> (k * width) & 31 for k in range(cols)] == out)

    simulate(dut, bench)
    assert len(compared) > 1400
    assert all(compared)


@pytest.mark.parametrize("latency", [DEEP.output, 0])
@pytest.mark.parametrize(("writes", "reads"), [(1.0, 1.0), (0.3, 1.0), (1.0, 0.3), (0.5, 0.5)])
def test_buffer(writes, reads, latency):
    """Every word once and in order, whoever is the slower; a word alone takes three cycles, or
    none."""
    rng, depth = Random(7), 6
    dut = Buffer(SimpleNamespace(family=PORTABLE, watch=None), width=8, depth=depth,
                 latency=latency)
    inside, sent, arrivals = deque(), 0, []

    async def bench(ctx):
        nonlocal sent
        for cycle in range(1200):
            ready = rng.random() < reads
            write = len(inside) < depth and rng.random() < writes
            ctx.set(dut.ready, ready)
            ctx.set(dut.w_en, write)
            ctx.set(dut.w_data, cycle & 255)
            if write:
                inside.append((cycle & 255, cycle))
                sent += 1
            valid = ctx.get(dut.valid)
            if valid:
                assert ctx.get(dut.r_data) == inside[0][0]
            await ctx.tick()
            if valid and ready:
                arrivals.append(cycle - inside.popleft()[1])

    simulate(dut, bench)
    assert sent > 300
    assert len(arrivals) + len(inside) == sent
    assert min(arrivals) >= latency
    if reads == 1.0:
        assert set(arrivals) == {latency}


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=PIPELINES)
@pytest.mark.parametrize("group", [1, 2, 3, 8])
@pytest.mark.parametrize(("lanes", "cols", "posts"), [
    (1, 1, 1), (7, 1, 1), (8, 2, 1), (9, 1, 3), (12, 3, 4), (5, 1, 5)])
def test_array(lanes, cols, posts, group, pipeline):
    """Passes as close as their rows allow, down to one column, in groups of any size."""
    rng, slots = Random(lanes * 100 + group), lanes // posts
    family = replace(PORTABLE, group=group)
    dut = MacArray(lanes=lanes, cols=cols, posts=posts, operand_width=5, weight_width=4,
                   acc_width=16, split=False, short=True, family=family,
                   pipeline=pipeline)
    latency = dut.latency(slots=slots, cols=cols, pipeline=pipeline)
    group = max(group, posts)
    columns, expected, end = {}, {}, 0
    last_end, rows = -(1 << 30), 0
    for _ in range(60):
        # The sums of the pass before must have been fetched when this one's come.
        length = rng.choice((1, 1, 2, 5))
        start = max(end, last_end + rows - length + 1)
        rows = rng.randint(1, slots)
        sums = [0] * lanes
        for cycle in range(start, start + length):
            vector = [rng.randint(-16, 15) for _ in range(cols)]
            weights = [[rng.randint(-8, 7) for _ in range(cols)] for _ in range(lanes)]
            sums = [total + sum(v * w for v, w in zip(vector, row, strict=True))
                    for total, row in zip(sums, weights, strict=True)]
            columns[cycle] = (vector, weights, cycle == start + length - 1)
        end = start + length
        last_end = end - 1
        for slot in range(rows):
            expected[last_end + latency + slot] = sums[slot * posts:(slot + 1) * posts]
    got = {}

    def pack(values, width):
        return sum((value & ((1 << width) - 1)) << (k * width) for k, value in enumerate(values))

    async def bench(ctx):
        for cycle in range(end + latency + lanes):
            vector, _, last = columns.get(cycle, ([0] * cols, None, False))
            ctx.set(dut.a, pack(vector, 5))
            ctx.set(dut.valid, cycle in columns)
            ctx.set(dut.last, last)
            idle = (None, [[0] * cols] * lanes, None)
            weights = [columns.get(cycle - lane // group, idle)[1][lane] for lane in range(lanes)]
            ctx.set(dut.w, pack([w for row in weights for w in row], 4))
            if cycle in expected:
                rows = ctx.get(dut.rows)
                got[cycle] = [(rows >> (16 * k) & 0xFFFF ^ 0x8000) - 0x8000 for k in range(posts)]
            await ctx.tick()

    simulate(dut, bench)
    assert len(expected) >= 60
    assert got == expected


def test_family_wrong():
    with pytest.raises(ValueError, match="Family must be one of portable, .*, not 'ecp6'"):
        family_named("ecp6")
