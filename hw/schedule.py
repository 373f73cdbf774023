"""The static schedule: every cycle of a step is known before anything is built.

Times are issue times: the cycle in which a column's address leaves the sequencer. A pass of N
columns is captured ``mac`` cycles after its last issue; its rows then enter the element-wise
pipeline one a cycle, and a result can be asked for ``post`` + 1 cycles after its neuron's last row.
"""

from dataclasses import dataclass

import numpy as np

from .program import Phase, Program, Source

__all__ = ["Latencies", "Schedule", "make_schedule"]


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """Depths in cycles, from the blocks themselves (see ``hw.core``).

    Parameters
    ----------
    mac : int
        Last issue of a pass to its row 0 at the element-wise pipeline.
    post : int
        A neuron's last row at the pipeline to its result's write.
    output : int
        A result's write to its word at the output port.
    dump : int
        A last state's address to its write into the output buffer.
    """

    mac: int
    post: int
    output: int
    dump: int


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Stalls, in cycles, and what follows from them.

    Parameters
    ----------
    program : Program
    latencies : Latencies
    waits : tuple of int
        Before each phase's first pass.
    gaps : tuple of int
        Between the passes of each phase: the array's rows must have drained.
    tail, tail_last : int
        After the last pass of a step, before the next may start; after a sequence's last step.
    length, length_last : int
        Cycles of a step, waits and gaps included, tail not.
    """

    program: Program
    latencies: Latencies
    waits: tuple
    gaps: tuple
    tail: int
    tail_last: int
    length: int
    length_last: int

    @property
    def flush(self) -> int:
        """Cycles from the last issue of a sequence until nothing is in flight any more."""
        return self.latencies.mac + self.program.lanes + self.latencies.post + 2

    @property
    def interval(self) -> int:
        """Cycles from step to step while input and output keep up: the steady state."""
        return max(self.length + self.tail, self.program.network.inputs)

    @property
    def interval_last(self) -> int:
        """Cycles from a sequence's last step to the next sequence's first, states apart."""
        return max(self.length_last + self.tail_last, self.program.network.inputs)

    @property
    def exposed(self) -> int:
        """Cycles of a steady step in which the array has nothing to do."""
        useful = sum(phase.passes(self.program.lanes) * phase.length(self.program.cols)
                     for phase in self.program.phases if not phase.last_only)
        return self.interval - useful

    def total_cycles(self, lengths) -> int:
        """Cycles from the first word accepted to the last word sent, both included.

        Holds for sequences that are offered back to back to a reset core, with no pause on either
        side.

        Parameters
        ----------
        lengths : sequence of int
            Steps of each sequence.
        """
        network, program = self.program.network, self.program
        accepted = self.program.load_words  # cycle after the last accepted word
        ends = []                 # last issue of every step so far
        tail = idle = sent = 0
        for steps in lengths:
            if network.loads_state:
                accepted = max(accepted, idle) + program.state_words
            for step in range(steps):
                last = step == steps - 1
                # Two input banks: this step's is free once the step before the last is through.
                free = ends[-2] + 1 if len(ends) > 1 else 0
                accepted = max(accepted, free) + network.inputs
                start = max(accepted, ends[-1] + tail if ends else 0, idle * network.returns_state)
                ends.append(start + (self.length_last if last else self.length))
                tail = self.tail_last if last else self.tail
            idle = ends[-1] + self.flush + 1
            sent = ends[-1] + self._last_result() + self.latencies.output + 1
            if network.returns_state:
                idle += program.state_words
                sent = idle + self.latencies.dump + self.latencies.output
        return sent

    def _last_result(self) -> int:
        """Cycles from a sequence's last issue to the write of its last result."""
        phase = self.program.phases[-1]
        rows = phase.rows - (phase.passes(self.program.lanes) - 1) * self.program.lanes
        return self.latencies.mac + rows - 1 + self.latencies.post


def _ready(phase: Phase, last_issue, program: Program, latencies: Latencies) -> np.ndarray:
    """First cycle in which each result of a phase can be asked for, int64 (units,)."""
    rows = np.arange(1, phase.units + 1) * phase.rows_per_unit - 1
    passes, slots = rows // program.lanes, rows % program.lanes
    return last_issue[passes] + latencies.mac + slots + latencies.post + 1


def _rows_in_pass(phase: Phase, idx: int, lanes: int) -> int:
    return min(lanes, phase.rows - idx * lanes)


def make_schedule(program: Program, latencies: Latencies) -> Schedule:
    """Place every pass of a step as early as its data and the drain allow.

    Parameters
    ----------
    program : Program
    latencies : Latencies

    Returns
    -------
    Schedule
    """
    lanes, cols = program.lanes, program.cols
    ready = {}    # first element of a result vector -> cycles at which its elements can be read
    waits, gaps, starts, last_issues = [], [], [], []
    now, drained = 0, -(1 << 30)  # next free issue cycle; earliest last issue of the next pass
    ends = {}
    for phase in program.phases:
        length, passes = phase.length(cols), phase.passes(lanes)
        start = max(now, drained - length + 1)
        column = 0
        for segment in phase.segments:
            if segment.source is Source.NEW:
                needed = ready[segment.base]
                issue = np.arange(len(needed)) // cols + column
                start = max(start, int((needed - issue).max()))
            column += segment.words(cols)
        gap = max(0, min(lanes, phase.rows) - length) if passes > 1 else 0
        issues = start + length - 1 + np.arange(passes) * (length + gap)
        waits.append(start - now)
        gaps.append(gap)
        starts.append(start)
        last_issues.append(issues)
        if phase.to_vector:
            ready[phase.dest_base] = _ready(phase, issues, program, latencies)
        now = int(issues[-1]) + 1
        drained = int(issues[-1]) + _rows_in_pass(phase, passes - 1, lanes)
        ends[phase.last_only] = (now, drained)

    first = program.phases[0]
    to_first = starts[0] + first.length(cols) - 1
    end, drained = ends.get(False, (0, 0))
    interval = max(end, drained - to_first)
    for phase, start in zip(program.phases, starts, strict=True):
        column = 0
        for segment in phase.segments:
            if segment.source is Source.OLD:
                needed = ready[segment.base]
                issue = np.arange(len(needed)) // cols + column + start
                interval = max(interval, int((needed - issue).max()))
            column += segment.words(cols)
    end_last, drained_last = ends.get(True, (end, drained))
    if interval == end == program.network.inputs:
        # Input and array in the same time: a bank is free one cycle after its step, so that every
        # other step would start a cycle late. One cycle for each keeps the interval constant.
        interval += 1
    tail_last = max(0, drained_last - to_first - end_last)
    return Schedule(program=program, latencies=latencies, waits=tuple(waits), gaps=tuple(gaps),
                    tail=interval - end, tail_last=tail_last, length=end, length_last=end_last)
