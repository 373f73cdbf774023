"""The static schedule: every cycle of a step is known before anything is built.

Times are issue times: the cycle in which a column's address leaves the sequencer. A pass of N
columns is captured ``mac`` cycles after its last issue; its rows then enter the element-wise
pipelines one a cycle each, and a result can be asked for ``post`` + 1 cycles after its neuron's
last row.
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
    leave, leave_last : int
        Cycles from a step's start until its last result has left, if none was waiting before it.
    """

    program: Program
    latencies: Latencies
    waits: tuple
    gaps: tuple
    tail: int
    tail_last: int
    length: int
    length_last: int
    leave: int
    leave_last: int

    @property
    def flush(self) -> int:
        """Cycles from the last issue of a sequence until nothing is in flight any more."""
        return self.latencies.mac + self.program.slots + self.latencies.post + 2

    @property
    def interval(self) -> int:
        """Cycles from step to step while input and output keep up: the steady state."""
        return max(self.length + self.tail, self.program.input_words)

    @property
    def interval_last(self) -> int:
        """Cycles from a sequence's last step to the next sequence's first, states apart."""
        return max(self.length_last + self.tail_last, self.program.input_words)

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
        tail = idle = left = 0    # left: the cycle after the last result left the output buffer
        for steps in lengths:
            if network.loads_state:
                accepted = max(accepted, idle) + program.state_words
            for step in range(steps):
                last = step == steps - 1
                # Two input banks: this step's is free once the step before the last is through.
                free = ends[-2] + 1 if len(ends) > 1 else 0
                accepted = max(accepted, free) + program.input_words
                start = max(accepted, ends[-1] + tail if ends else 0, idle * network.returns_state)
                ends.append(start + (self.length_last if last else self.length))
                tail = self.tail_last if last else self.tail
                if program.outputs(last):
                    left = max(left + _results(program, last),
                               start + (self.leave_last if last else self.leave))
            idle = ends[-1] + self.flush + 1
            if network.returns_state:
                idle += program.state_words
                left = max(left + program.state_words,
                           idle + self.latencies.dump + self.latencies.output)
        return left + program.argmax  # which takes a cycle more


def _results(program: Program, last: bool) -> int:
    """Cycles that a step's results take to leave, one after the other."""
    return sum(phase.units if program.serial else phase.groups for phase in program.outputs(last))


def _ready(phase: Phase, last_issue, program: Program, latencies: Latencies) -> np.ndarray:
    """First cycle in which each group of results can be asked for, int64 (groups,)."""
    turns = np.arange(1, phase.groups + 1) * phase.rows_per_unit - 1
    passes, slots = turns // program.slots, turns % program.slots
    return last_issue[passes] + latencies.mac + slots + latencies.post + 1


def _last_slots(phase: Phase, slots: int) -> int:
    """Rows that each post takes of a phase's last pass."""
    return phase.turns - (-(-phase.turns // slots) - 1) * slots


def _leaving(written: list, program: Program, latencies: Latencies) -> int:
    """Cycles from a step's start until its last result has left.

    ``written`` holds each output phase and its ``_ready``, which counts from the first issue.
    """
    last = 0
    for phase, ready in written:
        counts = np.ones(phase.groups, dtype=np.int64)
        if program.serial:
            counts[:] = phase.posts
            counts[-1] = phase.units - (phase.groups - 1) * phase.posts
        for at, count in zip((ready - 1).tolist(), counts.tolist(), strict=True):
            last = max(last, at + latencies.output) + count
    return last + 1  # the first issue is a cycle after the start


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
    lanes, cols, slots = program.lanes, program.cols, program.slots
    columns = program.posts, cols
    ready = {}    # first element of a result vector -> cycles at which its groups can be read
    waits, gaps, starts, last_issues = [], [], [], []
    now, drained = 0, -(1 << 30)  # next free issue cycle; earliest last issue of the next pass
    ends, written = {}, []
    for phase in program.phases:
        length, passes = phase.length(cols), phase.passes(lanes)
        start = max(now, drained - length + 1)
        column = 0
        for segment in phase.segments:
            if segment.source is Source.NEW:
                start = max(start, _latest(ready[segment.base], column, *columns))
            column += segment.words(cols)
        gap = max(0, min(slots, phase.turns) - length) if passes > 1 else 0
        issues = start + length - 1 + np.arange(passes) * (length + gap)
        waits.append(start - now)
        gaps.append(gap)
        starts.append(start)
        last_issues.append(issues)
        results = _ready(phase, issues, program, latencies)
        if phase.to_vector:
            ready[phase.dest_base] = results
        if phase.to_output:
            written.append((phase, results))
        now = int(issues[-1]) + 1
        drained = int(issues[-1]) + _last_slots(phase, slots)
        ends[phase.last_only] = (now, drained)

    first = program.phases[0]
    to_first = starts[0] + first.length(cols) - 1
    end, drained = ends.get(False, (0, 0))
    interval = max(end, drained - to_first)
    for phase, start in zip(program.phases, starts, strict=True):
        column = start
        for segment in phase.segments:
            if segment.source is Source.OLD:
                interval = max(interval, _latest(ready[segment.base], column, *columns))
            column += segment.words(cols)
    end_last, drained_last = ends.get(True, (end, drained))
    # Results leave as fast as they come, so that none of them ever holds a step back.
    interval = max(interval, _results(program, False))
    interval_last = max(drained_last - to_first, _results(program, True))
    if interval == end == program.input_words:
        # Input and array in the same time: a bank is free one cycle after its step, so that every
        # other step would start a cycle late. One cycle for each keeps the interval constant.
        interval += 1
    every = [(phase, at) for phase, at in written if phase in program.outputs(False)]
    return Schedule(program=program, latencies=latencies, waits=tuple(waits), gaps=tuple(gaps),
                    tail=interval - end, tail_last=max(0, interval_last - end_last), length=end,
                    length_last=end_last, leave=_leaving(every, program, latencies),
                    leave_last=_leaving(written, program, latencies))


def _latest(ready, column: int, posts: int, cols: int) -> int:
    """Earliest cycle for a pass whose columns from ``column`` on ask for a result vector."""
    asked = np.arange(len(ready)) * posts // cols + column
    return int((ready - asked).max())
