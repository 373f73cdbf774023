"""The static schedule: every cycle of a step is known before anything is built.

Times are issue times: the cycle in which a column's address leaves the sequencer. A pass of N
columns is captured ``mac`` cycles after its last issue; its rows then enter the element-wise
pipelines one a cycle each, and a result can be asked for ``post`` + 1 cycles after its neuron's
last row.
"""

from dataclasses import dataclass

import numpy as np

from .program import Op, Phase, Program, Source
from .reciprocal import Reciprocal

__all__ = ["Latencies", "Schedule", "Sweep", "make_schedule"]

# Of buffered networks, in ``hw.sequence``:
TAKEN = 3      # cycles from a sequence's last word to its first step, as others have none
TURN = 3       # cycles from flushed to the next sweep's first step
SHORTEST = 4   # cycles a step takes at least, for the addresses of the next


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
    start : int, 0 or 1
        A step's last input word to its start.
    dump : int
        A last state's address to its write into the output buffer.
    cell : int
        A neuron's last row in a ``CELL`` phase to the first row that may see its new c.
    """

    mac: int
    post: int
    output: int
    dump: int
    cell: int = 0
    start: int = 1


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Stalls of one walk over a sequence, in cycles.

    Parameters
    ----------
    waits, gaps : tuple of int
        As in ``Schedule``, of the sweep's phases.
    tail, tail_last : int
        After the last pass of a step, before the next may start; after a sequence's last step.
    length, length_last : int
        Cycles of a step, waits and gaps included, tail not.
    leaving, leaving_last : tuple of int
        Of each group of results that a step sends: cycles from the step's start until it has left,
        if none of another step was waiting before it.
    single : bool
        Runs for the sequence's last step alone.
    """

    waits: tuple
    gaps: tuple
    tail: int
    tail_last: int
    length: int
    length_last: int
    leaving: tuple
    leaving_last: tuple
    single: bool

    def steps(self, steps: int) -> int:
        """Steps that the sweep takes of a sequence."""
        return 1 if self.single else steps


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Stalls, in cycles, and what follows from them.

    Parameters
    ----------
    program : Program
    latencies : Latencies
    sweeps : tuple of Sweep
        One for most networks; several where reverse layers ask for them.
    """

    program: Program
    latencies: Latencies
    sweeps: tuple

    @property
    def waits(self) -> tuple:
        """Cycles before each phase's first pass."""
        return tuple(wait for sweep in self.sweeps for wait in sweep.waits)

    @property
    def gaps(self) -> tuple:
        """Cycles between the passes of each phase: the array's rows must have drained."""
        return tuple(gap for sweep in self.sweeps for gap in sweep.gaps)

    @property
    def flush(self) -> int:
        """Cycles from the last issue of a sequence until nothing is in flight any more."""
        return self.latencies.mac + self.program.slots + self.latencies.post + 2

    @property
    def between(self) -> int:
        """Cycles from the last issue of a sweep to the next sweep's first step."""
        return self.flush + TURN

    @property
    def interval(self) -> int:
        """Cycles a step while input and output keep up: the steady state, all sweeps together."""
        cycles = sum(sweep.length + sweep.tail for sweep in self.sweeps)
        return max(cycles, 0 if self.program.max_steps else self.program.input_words)

    @property
    def interval_last(self) -> int:
        """Cycles from the last step of a sweep that sends results out to the first step of the
        next one, states apart."""
        last = self.sweeps[-1]
        if self.program.max_steps:
            return last.length_last + self.between
        return max(last.length_last + last.tail_last, self.program.input_words)

    @property
    def held(self) -> int:
        """Groups of results that older steps still hold in the output buffer, or have promised to
        it, when a step starts in the steady state; the most there are."""
        last = self.sweeps[-1]
        # A group is held by as many later steps as start while it is on its way. Where only a
        # sequence's last step sends results, the next one that does is a last step as well.
        apart = self.shortest if last.leaving else self.interval_last
        return max(sum(left // apart for left in leaving)
                   for leaving in (last.leaving, last.leaving_last))

    @property
    def shortest(self) -> int:
        """Cycles from a step that sends results out to the next one, at least: even where every
        step is a sequence of its own."""
        last = self.sweeps[-1]
        steady = last.length + last.tail if self.program.max_steps else self.interval
        return min(steady or self.interval_last, self.interval_last)

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
        accepted = program.load_words  # cycle after the last accepted word
        ends = []                 # last issue of every step so far
        tail = idle = left = 0    # left: the cycle after the last result left the output buffer
        released = 0              # the cycle from which a buffered sequence is taken in
        for steps in lengths:
            if network.loads_state:
                accepted = max(accepted, idle) + program.state_words
            if program.max_steps:
                accepted = max(accepted, released) + steps * program.input_words
            for number, sweep in enumerate(self.sweeps):
                count = sweep.steps(steps)
                for step in range(count):
                    last = step == count - 1
                    if program.max_steps:
                        begins = 0 if step or not ends else ends[-1] + self.between
                        start = max(begins, accepted + TAKEN) if not number else begins
                    else:
                        # Two input banks: this step's is free once the step before the last is
                        # through.
                        free = ends[-2] + 1 if len(ends) > 1 else 0
                        accepted = max(accepted, free) + program.input_words
                        start = accepted - 1 + self.latencies.start
                    start = max(start, ends[-1] + tail if ends else 0,
                                idle * network.returns_state)
                    ends.append(start + (sweep.length_last if last else sweep.length))
                    tail = sweep.tail_last if last else sweep.tail
                    if number == len(self.sweeps) - 1 and program.outputs(last):
                        left = max(left + _results(program, last),
                                   start + (sweep.leaving_last if last else sweep.leaving)[-1])
                if number == program.input_sweep:
                    released = ends[-1] + 1
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
    return _rows_at(phase, last_issue, program.slots) + latencies.mac + latencies.post + 1


def _rows_at(phase: Phase, last_issue, slots: int) -> np.ndarray:
    """Cycle of each group's last row, but for the constant way through the array; int64 (groups,).
    """
    turns = np.arange(1, phase.groups + 1) * phase.rows_per_unit - 1
    return last_issue[turns // slots] + turns % slots


def _last_slots(phase: Phase, slots: int) -> int:
    """Rows that each post takes of a phase's last pass."""
    return phase.turns - (-(-phase.turns // slots) - 1) * slots


def _leaving(written: list, program: Program, latencies: Latencies) -> tuple:
    """Cycles from a step's start until each group of its results has left.

    ``written`` holds each output phase and its ``_ready``, which counts from the first issue.
    """
    last, leaving = 0, []
    for phase, ready in written:
        counts = np.ones(phase.groups, dtype=np.int64)
        if program.serial:
            counts[:] = phase.posts
            counts[-1] = phase.units - (phase.groups - 1) * phase.posts
        for at, count in zip((ready - 1).tolist(), counts.tolist(), strict=True):
            last = max(last, at + latencies.output) + count
            leaving.append(last + 1)  # the first issue is a cycle after the start
    return tuple(leaving)


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
    return Schedule(program=program, latencies=latencies, sweeps=tuple(
        _sweep(program, phases, latencies) for phases in program.sweeps))


def _sweep(program: Program, phases: tuple, latencies: Latencies) -> Sweep:
    lanes, cols, slots = program.lanes, program.cols, program.slots
    columns = program.posts, cols
    ready = {}    # first element of a result vector -> cycles at which its groups can be read
    waits, gaps, starts, last_issues = [], [], [], []
    now, drained = 0, -(1 << 30)  # next free issue cycle; earliest last issue of the next pass
    ends, written = {}, []
    for phase in phases:
        length, passes = phase.length(cols), phase.passes(lanes)
        start = max(now, drained - length + 1)
        column = 0
        for segment in phase.segments:
            if segment.source is Source.NEW:
                covered = _covered(ready, segment, program.posts)
                if phase.pools:  # the number of steps has to be divided by
                    covered += max(0, Reciprocal.latency - latencies.mac - latencies.post)
                start = max(start, _latest(covered, column, *columns))
            column += segment.words(cols)
        gap = max(0, min(slots, phase.turns) - length) if passes > 1 else 0
        if phase.op is Op.HIDDEN:
            # Its row of each neuron sees the cell state that the phase before makes.
            made = _rows_at(phases[len(starts) - 1], last_issues[-1], slots) + latencies.cell
            seen = _rows_at(phase, length - 1 + np.arange(passes) * (length + gap), slots)
            start = max(start, int((made - seen).max()))
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

    first = phases[0]
    to_first = starts[0] + first.length(cols) - 1
    single = not any(not phase.last_only for phase in phases)
    end, drained = ends.get(False, (0, 0))
    interval = max(end, drained - to_first)
    for phase, start in zip(phases, starts, strict=True):
        column = start
        for segment in phase.segments:
            if segment.source is Source.OLD:
                interval = max(interval, _latest(ready[segment.base], column, *columns))
            column += segment.words(cols)
    end_last, drained_last = ends.get(True, (end, drained))
    sends = bool(written)
    # Results leave as fast as they come, so that none of them ever holds a step back.
    interval = max(interval, _results(program, False) * sends)
    interval_last = max(drained_last - to_first, _results(program, True) * sends)
    if (program.max_steps or program.pools) and not single:
        interval = max(interval, SHORTEST)
    if interval == end == program.input_words and latencies.start and not program.max_steps:
        # Input and array in the same time: a bank is free one cycle after its step, so that every
        # other step would start a cycle late. One cycle for each keeps the interval constant.
        interval += 1
    every = [(phase, at) for phase, at in written if phase in program.outputs(False)]
    return Sweep(waits=tuple(waits), gaps=tuple(gaps), tail=interval - end,
                 tail_last=max(0, interval_last - end_last), length=end, length_last=end_last,
                 leaving=_leaving(every, program, latencies),
                 leaving_last=_leaving(written, program, latencies), single=single)


def _covered(ready: dict, segment, posts: int) -> np.ndarray:
    """Cycles at which the groups of a stretch of this step's results can be read."""
    length = segment.weights.shape[1]
    cycles = np.zeros(-(-length // posts), dtype=np.int64)
    for base, groups in ready.items():
        if 0 <= (first := base - segment.base) < length:
            stretch = cycles[first // posts:][:len(groups)]
            stretch[:] = groups[:len(stretch)]
    return cycles


def _latest(ready, column: int, posts: int, cols: int) -> int:
    """Earliest cycle for a pass whose columns from ``column`` on ask for a result vector."""
    asked = np.arange(len(ready)) * posts // cols + column
    return int((ready - asked).max())
