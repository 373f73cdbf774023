"""What the second runner and its driver hand each other: a run, its logs, and its result."""

import ctypes
from dataclasses import dataclass

import numpy as np

__all__ = ["CAPACITY", "LOGS", "Cut", "FastResult", "Gate", "Run"]

CAPACITY = 1 << 16   # records a log holds before Python looks at it


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Where a core was left in mid-run.

    Parameters
    ----------
    cycles : int
        Since the reset.
    accepted, emitted, started : int
        Words taken in, and sent; steps.
    since_start : int or None
        Cycles since the last step started; None before the first.
    waiting : bool
        An output word was offered, and not taken.
    idle : bool
        What the core said.
    violations : int
        As in ``counters_difference``.
    seconds : float
        In the driver.
    """

    cycles: int
    accepted: int
    emitted: int
    started: int
    since_start: int | None
    waiting: bool
    idle: bool
    violations: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class FastResult:
    """What one run showed.

    Parameters
    ----------
    words, expected_words : int
        Values compared (output words, and h and c of every layer and step), and how many there are.
    mismatches : int
        Values that differ among those compared; the run stops soon after the first.
    cycles : int
        From the first input word to the last output word, both included.
    starts : int64 (steps,)
        Cycle in which each step started, counted from the first input word.
    simulated_cycles : int
        Every cycle of the run, those before a reset included.
    cuts : tuple of Cut
        Runs that a reset cut off before this one.
    difference : dict or None
        As ``VerifyResult.first_difference``; without pauses, the number of cycles is compared too.
    seconds, cycles_per_second : float
        In the driver alone; in all, comparison included: ``wall_seconds``.
    """

    words: int
    expected_words: int
    mismatches: int
    cycles: int
    starts: np.ndarray
    simulated_cycles: int
    cuts: tuple
    difference: dict | None
    seconds: float
    wall_seconds: float

    @property
    def resets(self) -> int:
        """Runs that a reset cut off before this one."""
        return len(self.cuts)

    @property
    def passed(self) -> bool:
        """Whether every value came and was equal; nothing compared is no pass."""
        return self.difference is None and 0 < self.words == self.expected_words

    @property
    def cycles_per_second(self) -> float:
        return self.simulated_cycles / max(self.seconds, 1e-9)


# Logs of the driver; those of a port hold its words as limbs.
LOGS = {"out_data": "m_axis_tdata", "out_keep": "m_axis_tkeep", "out_last": None,
         "h_index": None, "h_data": "trace_h_data", "c_index": None, "c_data": "trace_c_data",
         "step": None}


class Gate(ctypes.Structure):
    """``struct Gate`` of the driver."""

    _fields_ = [(name, ctypes.c_uint64) for name in (
        "shut_least", "shut_spread", "open_least", "open_spread", "chance", "follows", "left",
        "open")]


class Run(ctypes.Structure):
    """``struct Run`` of the driver."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("in_data", "in_last")),
        *((name, ctypes.c_uint64) for name in (
            "in_count", "src_density", "snk_density", "long_density", "long_mask", "patterned",
            "stop_at", "stop_cycles")),
        ("src", Gate), ("snk", Gate),
        *((name, ctypes.c_uint64) for name in ("capacity", "max_cycles", "quiet_limit")),
        *((name, ctypes.c_void_p) for name in LOGS),
        *((name, ctypes.c_uint64) for name in (
            "out_count", "h_count", "c_count", "step_count", "random", "src_left", "snk_left",
            "accepted", "emitted", "cycle", "still", "first_in", "last_out", "offered",
            "violations", "status_errors", "status_saturations", "idle",
            "status_faults", "first_fault"))]
