"""The activation unit against ``golden.tables.activate``, one code a cycle."""

import numpy as np
import pytest
from amaranth import *
from amaranth.sim import Simulator

from golden.curves import make_curve, trace_curve
from golden.fixed import Fixed, saturate
from golden.functions import PLAIN, Activation, Function as FunctionOf
from golden.tables import activate, make_table
from hw.activation import ActivationUnit
from hw.layout import Function
from hw.pipeline import DEEP, PIPELINES, SHALLOW


def table_of(act_width: int):
    """The table that the quantiser's formats lead to."""
    frac = max(act_width, 10) - 3
    return make_table(Fixed(width=frac + 5, frac=frac), Fixed(width=act_width, frac=act_width - 1))


def run(unit: ActivationUnit, codes, functions, pipeline=DEEP) -> tuple:
    """(outputs, clipped bits), lined up with the inputs by the unit's latency."""
    out, clipped, latency = [], [], ActivationUnit.latency(pipeline)
    assert len(codes) == len(functions)

    async def bench(ctx):
        for k in range(len(codes) + latency):
            if k < len(codes):
                ctx.set(unit.pre, int(codes[k]))
                ctx.set(unit.function, Function.get(functions[k], functions[k]))
            if k >= latency:
                out.append(ctx.get(unit.out))
                clipped.append(ctx.get(unit.clipped))
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return np.array(out), np.array(clipped)


def expected(codes, functions, table) -> tuple:
    """What golden makes of each code, and whether a straight result was clipped."""
    out, clipped = np.zeros(len(codes), dtype=np.int64), np.zeros(len(codes), dtype=bool)
    functions = np.array([str(function) for function in functions])
    for function in PLAIN:
        here = functions == str(function)
        if function in (Activation.TANH, Activation.SIGMOID):
            out[here] = activate(codes[here], table, function)
            continue
        straight = codes[here] if function is Activation.IDENTITY else np.maximum(codes[here], 0)
        out[here] = saturate(straight, table.out.width)
        clipped[here] = out[here] != straight
    return out, clipped


def check(table, codes, functions, pipeline=DEEP, **options):
    unit = ActivationUnit(table, pipeline=pipeline, **options)
    got, want = run(unit, codes, functions, pipeline), expected(codes, functions, table)
    wrong = np.flatnonzero((got[0] != want[0]) | (got[1] != want[1]))
    assert not len(wrong), (codes[wrong[0]], functions[wrong[0]], got[0][wrong[0]],
                            want[0][wrong[0]])
    return want


@pytest.mark.parametrize("function", PLAIN)
@pytest.mark.parametrize("act_width", [4, 8, 10, 11, 12])
def test_every_code(act_width, function):
    table = table_of(act_width)
    codes = np.arange(table.pre.min, table.pre.max + 1)
    assert len(codes) == max(4096, 4 << act_width)
    out, clipped = check(table, codes, [function] * len(codes))
    assert clipped.any() == (function in (Activation.IDENTITY, Activation.RELU))
    assert out.max() == table.out.max


@pytest.mark.parametrize("act_width", [12, 16, 18])
def test_edges_and_random(act_width):
    """Around each segment's border for both functions, the ends, and random codes, mixed."""
    table = table_of(act_width)
    borders = np.arange(0, (1 << table.log2_segments) + 1) << table.offset_bits
    rng = np.random.default_rng(act_width)
    # A border at argument b is met by tanh at code b/2 and by sigmoid at code b.
    borders = np.concatenate([borders, borders // 2])
    if len(borders) > 800:
        borders = np.concatenate([borders[:64], rng.choice(borders, 700, replace=False)])
    near = np.concatenate([sign * borders + k for k in (-2, -1, 0, 1, 2) for sign in (1, -1)])
    ends = [table.pre.min, table.pre.min + 1, table.pre.max, table.pre.max - 1, 0, 1, -1]
    codes = np.unique(np.clip([*ends, *near, *rng.integers(table.pre.min, table.pre.max, 1500)],
                              table.pre.min, table.pre.max))
    codes = np.tile(rng.permutation(codes), 2)
    functions = rng.permutation(np.array(PLAIN))
    functions = [functions[k] for k in rng.integers(0, 4, len(codes))]
    check(table, codes, functions)
    check(table, codes, functions, SHALLOW)


@pytest.mark.parametrize("act_width", [5, 11])
def test_tanh_only(act_width):
    """The unit behind the cell state has nothing but tanh in it, for every code."""
    table = table_of(act_width)
    codes = np.arange(table.pre.min, table.pre.max + 1)
    check(table, codes, [Activation.TANH] * len(codes), tanh_only=True)


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=PIPELINES)
def test_latency(pipeline):
    """One code in, one code out ``latency`` cycles later, and nothing before or after."""
    table = table_of(8)
    codes = np.array([0, 0, 0, 500, 0, 0, 0])
    out, _ = run(ActivationUnit(table, pipeline=pipeline), codes, [Activation.IDENTITY] * 7,
                 pipeline)
    assert out.tolist() == [0, 0, 0, 127, 0, 0, 0]


KINDS = [("hard_sigmoid", 0.2, 0.5, 0), ("softsign", 0, 0, 0), ("scaled_tanh", -0.8, 1.3, 0),
         ("leaky_relu", 0.01, 0, 3), ("affine", -1.7, 0.3, 3), ("elu", 1.5, 0, 1),
         ("softplus", 0, 0, 3), ("thresholded_relu", 1.0, 0, 3), ("thresholded_relu", -2.3, 0, 1)]


def curves_of(table, rows) -> tuple:
    """Curves of (name, alpha, beta, integer bits of the output)."""
    width = table.out.width
    return tuple(make_curve(FunctionOf(activation=Activation(name), alpha=alpha, beta=beta),
                            table.pre, Fixed(width=width, frac=width - 1 - whole))
                 for name, alpha, beta, whole in rows)


def check_curves(act_width: int, rows, per_function, pipeline=DEEP):
    """Codes of the plain functions and of curves, mixed at random."""
    table, rng = table_of(act_width), np.random.default_rng(act_width)
    curves = curves_of(table, rows)
    every = np.arange(table.pre.min, table.pre.max + 1)
    codes, functions = [], []
    for function in [*PLAIN, *range(4, 4 + len(curves))]:
        chosen = every if per_function is None else np.unique(np.concatenate(
            [every[:3], every[-3:], np.arange(-3, 4), rng.choice(every, per_function)]))
        codes += chosen.tolist()
        functions += [function] * len(chosen)
    order = rng.permutation(len(codes))
    codes, functions = np.array(codes)[order], [functions[k] for k in order]
    unit = ActivationUnit(table, pipeline=pipeline, curves=curves)
    got, clipped = run(unit, codes, functions, pipeline)
    numbers = np.array([PLAIN.index(f) if f in PLAIN else f for f in functions])
    plain = numbers < 4
    want, want_clipped = np.zeros(len(codes), dtype=np.int64), np.zeros(len(codes), dtype=bool)
    want[plain], want_clipped[plain] = expected(
        codes[plain], [PLAIN[k] for k in numbers[plain]], table)
    for k, curve in enumerate(curves):
        want[numbers == 4 + k] = trace_curve(codes[numbers == 4 + k], curve)
    assert np.array_equal(got, want) and np.array_equal(clipped, want_clipped)
    assert len(set(want[~plain].tolist())) > 10


@pytest.mark.parametrize("row", KINDS, ids=lambda row: f"{row[0]}_{row[1]}")
def test_curve_every_code(row):
    check_curves(6, [row], None)


@pytest.mark.parametrize("pipeline", [DEEP, SHALLOW], ids=["deep", "shallow"])
@pytest.mark.parametrize("act_width", [4, 11, 16, 18])
def test_curves_together(act_width, pipeline):
    """All of them in one memory, borders off zero among them."""
    check_curves(act_width, KINDS, 150, pipeline)
