"""The engine in the Amaranth simulator: stream drivers, what golden expects, what came out."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from amaranth import *
from amaranth.sim import Simulator

from golden.model import Codes, GoldenRun
from golden.reads import final_step
from hw.engine import Engine
from hw.layout import Layout
from hw.program import Op

QUIET = 40  # cycles watched after the last word, for words that should not come

__all__ = ["Observed", "Scenario", "expected_trace", "expected_words", "input_words",
           "simulate_engine", "thinned"]


def thinned(cases: dict, every: int) -> list:
    """Cases by name as parameters; each but every so many-th is for ``make test-long``."""
    return [pytest.param(case, id=name, marks=() if k % every == 0 else pytest.mark.slow)
            for k, (name, case) in enumerate(cases.items())]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One run of the input stream through the engine.

    Parameters
    ----------
    words : list of (int, bool)
        Data and ``last``, in order.
    outputs : int
        Words to wait for; some cycles more are watched for words that should not come.
    limit : int
        Cycles after which the run is given up.
    pause : float
        Probability of a pause before a word on either side; 0 offers and takes without a gap.
    seed : int
        Of the pauses.
    reset_at : int or None
        End the run in this cycle by a reset, wherever the engine stands.
    stuck : int
        Cycles at the start in which no output word is taken.
    """

    words: list
    outputs: int
    limit: int
    pause: float = 0.0
    seed: int = 0
    reset_at: int | None = None
    stuck: int = 0


@dataclass(kw_only=True)
class Observed:
    """What one scenario showed.

    Parameters
    ----------
    words : list of (int, bool)
        Unsigned data and ``last``.
    accepted, sent, starts : list of int
        Cycles in which input words were taken, output words went out, steps started.
    h, c : list of (int, int)
        Trace records: index and unsigned data.
    saturations, errors : int
        How far the counters went.
    idle : bool
        The engine says so at the end.
    """

    words: list = field(default_factory=list)
    accepted: list = field(default_factory=list)
    sent: list = field(default_factory=list)
    starts: list = field(default_factory=list)
    h: list = field(default_factory=list)
    c: list = field(default_factory=list)
    saturations: int = 0
    errors: int = 0
    idle: bool = False

    @property
    def cycles(self) -> int:
        """First word accepted to last word sent, both included."""
        return self.sent[-1] - self.accepted[0] + 1


def input_words(layout: Layout, codes: Codes, sequences=None) -> list:
    """The input stream of some sequences (all by default), as (unsigned data, last)."""
    program, words = layout.program, []
    mask = (1 << program.element_width) - 1
    many = program.input_elements
    for s in range(len(codes)) if sequences is None else sequences:
        if program.network.loads_state:
            for signal, idx, _, _ in program.states:
                state = (codes.h0 if signal == "h" else codes.c0)[idx][s]
                words += [(int(code) & mask, False) for code in state]
        for vector in np.atleast_2d(codes.x[s].T).T:  # tokens are vectors of one
            for column in range(0, len(vector), many):
                words.append((sum((int(code) & mask) << (k * program.element_width)
                                  for k, code in enumerate(vector[column:column + many])), False))
        words[-1] = (words[-1][0], True)
    return words


def expected_words(layout: Layout, golden: GoldenRun, sequences=None) -> list:
    """The output stream that golden stands for, as (unsigned element, last)."""
    program, words = layout.program, []
    network, mask = program.network, (1 << layout.output_element) - 1
    for s in range(len(golden.y)) if sequences is None else sequences:
        results = golden.y[s, -1:] if network.last_step_only else golden.y[s]
        if program.argmax:
            results = results.argmax(axis=-1)[:, None]
        flat = [int(code) for code in results.ravel()]
        if network.returns_state:
            for signal, idx, _, _ in program.states:
                last = final_step(network.layers[idx])
                flat += [int(code) for code in golden.signals[idx][signal][s, last]]
        words += [(code & mask, k == len(flat) - 1) for k, code in enumerate(flat)]
    return words


def expected_trace(layout: Layout, golden: GoldenRun, signal: str, steps: int,
                   sequences=None) -> list:
    """Trace records of "h" or "c" in the order of the layer table, as (index, unsigned data)."""
    width = layout.act_width if signal == "h" else layout.program.network.cell.width
    records = []
    walk = [(sweep, t) for sweep in range(layout.program.n_sweeps)
            for t in range(steps)]
    for s in range(len(golden.y)) if sequences is None else sequences:
        for sweep, t in walk:
            for phase in layout.program.sweeps[sweep]:
                values = golden.signals[phase.layer].get(signal)
                skipped = phase.last_only and t < steps - 1
                other = Op.CELL if signal == "h" else Op.HIDDEN
                if values is None or skipped or phase.op in (Op.RESET, Op.UPDATE, other):
                    continue
                codes = values[s, 0 if phase.last_only else steps - 1 - t if phase.reverse else t]
                records += [(phase.unit_base + j, int(code) & ((1 << width) - 1))
                            for j, code in enumerate(codes)]
    return records


class _Source:
    """Offers words one by one; what is offered stays until it is taken."""

    def __init__(self, scenario: Scenario):
        self._words, self._pause = list(reversed(scenario.words)), scenario.pause
        self._rng = np.random.default_rng(scenario.seed)
        self._offered = False

    def drive(self, ctx, engine):
        """Set the port for the coming cycle."""
        if self._words and not self._offered:
            self._offered = self._rng.random() >= self._pause
        ctx.set(engine.s_axis_tvalid, self._offered)
        if self._offered:
            ctx.set(engine.s_axis_tdata, self._words[-1][0])
            ctx.set(engine.s_axis_tlast, self._words[-1][1])

    def taken(self):
        self._words.pop()
        self._offered = False


def simulate_engine(layout: Layout, scenarios) -> list:
    """Run scenarios one after the other through one engine, which is not reset in between.

    Parameters
    ----------
    layout : Layout
    scenarios : list of Scenario

    Returns
    -------
    list of Observed
    """
    engine, reset = Engine(layout), Signal()
    simulator = Simulator(ResetInserter(reset)(engine))
    simulator.add_clock(1e-6)
    observed = []
    program, width = layout.program, layout.output_element
    keep = ("m_axis_tkeep",) if program.output_elements > 1 else ()
    widths = {"h": layout.act_width, "c": program.network.cell.width}
    names = ("s_axis_tvalid", "s_axis_tready", "m_axis_tvalid", "m_axis_tready", "m_axis_tdata",
             "m_axis_tlast", *keep, "trace_step", "trace_h_valid", "trace_h_index", "trace_h_data",
             "trace_c_valid", "trace_c_index", "trace_c_data")
    ports = [getattr(engine, name) for name in names]
    # A short last group shows units that do not exist.
    known = {phase.unit_base + k for phase in program.phases for k in range(phase.units)}

    async def run(ctx, scenario, seen):
        source, rng = _Source(scenario), np.random.default_rng(scenario.seed + 1)
        quiet = 0
        before = ctx.get(engine.status_saturations), ctx.get(engine.status_errors)
        for cycle in range(scenario.limit):
            ctx.set(reset, cycle == scenario.reset_at)
            source.drive(ctx, engine)
            taking = cycle >= scenario.stuck and rng.random() >= scenario.pause
            ctx.set(engine.m_axis_tready, taking)
            _, _, *values = await ctx.tick().sample(*ports)
            row = dict(zip(names, values, strict=True))
            if cycle == scenario.reset_at:
                ctx.set(reset, 0)
                return
            if row["s_axis_tvalid"] and row["s_axis_tready"]:
                seen.accepted.append(cycle)
                source.taken()
            if row["m_axis_tvalid"] and row["m_axis_tready"]:
                kept = [k for k in range(program.output_elements)
                        if row.get("m_axis_tkeep", 1) >> k & 1]
                seen.words += [(row["m_axis_tdata"] >> (k * width) & ((1 << width) - 1),
                                bool(row["m_axis_tlast"]) and k == kept[-1]) for k in kept]
                seen.sent.append(cycle)
            if row["trace_step"]:
                seen.starts.append(cycle)
            for kind in "hc":
                if row[f"trace_{kind}_valid"]:
                    first, bits = row[f"trace_{kind}_index"] * program.posts, widths[kind]
                    getattr(seen, kind).extend(
                        (first + k, row[f"trace_{kind}_data"] >> (k * bits) & ((1 << bits) - 1))
                        for k in range(program.posts) if first + k in known)
            quiet = quiet + 1 if len(seen.words) >= scenario.outputs else 0
            if quiet > QUIET:
                break
        seen.saturations = ctx.get(engine.status_saturations) - before[0]
        seen.errors = ctx.get(engine.status_errors) - before[1]
        seen.idle = bool(ctx.get(engine.idle))

    async def every(ctx):
        for scenario in scenarios:
            observed.append(Observed())
            await run(ctx, scenario, observed[-1])

    simulator.add_testbench(every)
    simulator.run()
    return observed
