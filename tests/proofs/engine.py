"""A whole small core: what leaves it, who writes its vector memory, and when its steps start.

Inputs are free in every cycle. A step's results come a fixed number of cycles behind its start: the
starts of the last cycles, kept in a register beside the core, say what is on its way.
"""

from amaranth import *

from hw.engine import Engine
from hw.layout import Layout
from hw.pipeline import SHALLOW

from .bench import Bench, Proof
from .layouts import layout_of
from .loader import Banks
from .queue import Followed
from .sequencer import Steps

__all__ = ["PROOFS"]


def _results(layout: Layout) -> list:
    """(cycles from the step's start to its write, phase, group) of each group of results.

    Each phase has one pass: its sums are there ``mac`` cycles after its last issue, then a row of
    each post enters the element-wise pipeline in each cycle.
    """
    latencies, found, issued = layout.schedule.latencies, [], 0
    for phase, wait in zip(layout.program.phases, layout.schedule.waits, strict=True):
        if phase.passes(layout.program.lanes) != 1:
            raise ValueError(f"A phase must have one pass, not {phase.passes(layout.program.lanes)}")
        issued += wait + phase.length(layout.program.cols)
        for group in range(phase.groups):
            row = (group + 1) * phase.rows_per_unit - 1
            found.append((issued + latencies.mac + row + latencies.post, phase, group))
    return found


def _engine(layout: Layout) -> Bench:
    program, depth = layout.program, layout.fifo_depth
    bench = Bench(Engine(layout))
    m, dut = bench.m, bench.dut
    loader, sequencer, output, dump, posts, vectors = (bench.inner(name, "Engine") for name in (
        "loader", "sequencer", "output", "dump", "posts", "vectors"))
    buffer, tag = bench.inner("buffer", "Output"), posts[0].result_tag
    steps, banks = Steps(bench, layout, sequencer), Banks(bench, layout, loader)
    start, results = sequencer.step_start, _results(layout)

    span = max(delay for delay, *_ in results)
    starts, lasts = Signal(span), Signal(span)      # bit k: k + 1 cycles ago; of a last step
    m.d.sync += [starts.eq(Cat(start, starts)), lasts.eq(Cat(sequencer.step_last, lasts))]

    def comes(phase, k, *, out: bool):
        """Whether a result is of the step that has started k + 1 cycles ago."""
        only_last = phase.last_only or (out and phase.output_last_only)
        return starts[k] & (lasts[k] if only_last else 1)

    def now(wanted, out=True):
        return Cat(comes(phase, delay - 1, out=out) for delay, phase, group in results
                   if wanted(phase, group)).any()

    bench.claim("a step starts only with its input complete", ~start | (banks.waiting != 0))
    bench.claim("results are written in their cycles, in no other",
                output.result_en == now(lambda phase, _: phase.to_output))
    bench.claim("the vector memory is written in its cycles, in no other",
                (tag.valid & tag.to_vector) == now(lambda phase, _: phase.to_vector, False))
    return bench
