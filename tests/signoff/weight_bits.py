"""Every bit of a protected core's weight memory, flipped: found when its word is first read."""

import re
from collections.abc import Iterator

import numpy as np

from hw.layout import Layout
from hw.mac import group_size, word_width
from hw.parity import ParityCheck, or_latency

from .upsets import Upsets

__all__ = ["first_reads", "flip_weights", "weight_bits"]

WHOLE = 18    # bits of a word in a block of ECP5, where it has up to 1024
LEAST = 3     # cycles before the first step, so that no read of the word is on its way

_WEIGHTS = re.compile(r"\.weights\.group(\d+)\.(?:memory|bits)(?:\.block(\d+))?$")


def first_reads(layout: Layout, starts: np.ndarray) -> list:
    """Cycle in which each word of the weight memory is issued for the first time.

    Parameters
    ----------
    layout : Layout
    starts : int64 (steps,)
        ``trace_step`` of a run whose first sequence has one step.
    """
    program, schedule = layout.program, layout.schedule
    found, phases = [], iter(zip(program.phases, schedule.waits, schedule.gaps, strict=True))
    for sweep in range(program.n_sweeps):
        now = int(starts[sweep]) + 1     # one step a sweep
        for _ in program.sweeps[sweep]:
            phase, wait, gap = next(phases)
            length = phase.length(program.cols)
            for number in range(phase.passes(program.lanes)):
                now += wait if number == 0 else gap
                found += range(now, now + length)
                now += length
    return found


def weight_bits(core: Upsets, layout: Layout) -> Iterator:
    """(register or memory, element, bit, word, group) of every bit that holds a weight or a parity.

    A block of ECP5 holds 18 bits of each word, in two of its elements.
    """
    program = layout.program
    size = group_size(program.posts, layout.family, program.packing)
    for bits in core.state:
        found = _WEIGHTS.search(bits.scope)
        if bits.depth == 1 or not found:
            continue
        group, block = int(found[1]), found[2]
        for word in range(program.weight_words):
            if block is None:
                yield from ((bits, word, bit, word, group) for bit in range(bits.width))
                continue
            lanes = min(size, program.lanes - group * size)
            width = 1 + word_width(lanes, program.cols, program.network.weight_width,
                                   program.packing)
            low = int(block) * WHOLE
            yield from ((bits, 2 * word + bit // bits.width, bit % bits.width, word, group)
                        for bit in range(min(WHOLE, width - low)))


def flip_weights(core: Upsets, case, *, every: int = 1) -> dict:
    """Flip each bit, or some, before the first step; run until it must have been told.

    Parameters
    ----------
    core : Upsets
        Of a protected core; its run begins with a sequence of one step.
    case : gatewright.campaign_check.Case
    every : int
        1: all bits.

    Returns
    -------
    dict
        "bits" flipped, "detected" of them in the very cycle, and "failure", words on the first that
        was not, or None.
    """
    layout = case.layout
    starts = core.run(core.stimulus, seed=1)
    starts = starts.starts + core.cycles(False)[0]
    reads, begin = first_reads(layout, starts), max(int(starts[0]) - LEAST, 0)
    count, detected, failure = 0, 0, None
    # From a word's turn at the array's first group: to its data, two cycles of parity, those that
    # join the alarms, the register of ``status_faults``, and the one behind it that is told.
    latency = (layout.program.pipeline.vector + ParityCheck.latency
               + or_latency(len(layout.watch.parity)) + 2)
    for bits, element, bit, word, group in list(weight_bits(core, layout))[::every]:
        want = reads[word] + latency + group
        first, prefix = core.until_told(bits, element, bit, begin, want + 8)
        core.flip(bits, element, bit)
        count += 1
        if first == want and prefix:
            detected += 1
        elif failure is None:
            failure = (f"{bits.scope} word {word} bit {bit}: told in cycle {first}, not {want}"
                       + ("" if prefix else "; a wrong word had left"))
    return {"bits": count, "detected": detected, "failure": failure}
