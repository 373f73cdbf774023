"""The second runner: the core as optimised machine code, a whole sequence a call.

The cocotb bench (``sim.verify``) proves the protocol; this one proves the numbers, on everything.
Both use one ``Stimulus`` and one ``Checker``, and name the first difference in the same words.
"""

import _ctypes
import ctypes
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .build import Simulator, find_simulator
from .compare import Checker
from .counters import counters_difference
from .fast_build import build_library
from .models import with_models
from .ports import read_ports
from .stimulus import Stimulus
from .verify import SimulationError

__all__ = ["Cut", "FastResult", "FastSimulator", "Pauses"]

CAPACITY = 1 << 16   # records a log holds before Python looks at it


@dataclass(frozen=True, kw_only=True)
class Pauses:
    """How often the streams pause; a pause never withdraws a word.

    Parameters
    ----------
    source, sink : int, 0 to 255
        Of 256: chance of a pause of up to 7 cycles, after each input word; on the output side in
        each cycle.
    long : bool
        Pauses that outlast a step as well, about one for every four steps.
    """

    source: int = 64
    sink: int = 64
    long: bool = True

    def __post_init__(self):
        for name in ("source", "sink"):
            value = getattr(self, name)
            if not isinstance(value, int) or not 0 <= value <= 255:
                raise ValueError(f"{name} must be an integer from 0 to 255, not {value!r}")
        if not (self.source or self.sink or self.long):
            raise ValueError("Pauses must pause something: give a density, or no Pauses at all")


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Where the core stood when a reset cut a run off.

    Parameters
    ----------
    accepted, emitted, started : int
        Words in, words out, steps.
    since_start : int or None
        Cycles since the last step started; None before the first.
    offered, idle : bool
        An output word is waiting; nothing runs and no step is waiting.
    """

    accepted: int
    emitted: int
    started: int
    since_start: int | None
    offered: bool
    idle: bool


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
        Of the runs that a reset cut off before this one.
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
_LOGS = {"out_data": "m_axis_tdata", "out_keep": "m_axis_tkeep", "out_last": None,
         "h_index": None, "h_data": "trace_h_data", "c_index": None, "c_data": "trace_c_data",
         "step": None}


class _Run(ctypes.Structure):
    """``struct Run`` of the driver."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("in_data", "in_last")),
        *((name, ctypes.c_uint64) for name in (
            "in_count", "src_density", "snk_density", "long_density", "long_mask", "capacity",
            "max_cycles", "quiet_limit")),
        *((name, ctypes.c_void_p) for name in _LOGS),
        *((name, ctypes.c_uint64) for name in (
            "out_count", "h_count", "c_count", "step_count", "random", "src_left", "snk_left",
            "accepted", "emitted", "cycle", "still", "first_in", "last_out", "offered",
            "violations", "status_errors", "status_saturations", "idle"))]


class FastSimulator:
    """A core as a shared library in this process.

    Parameters
    ----------
    rtl : Path
        Verilog of the core, module ``manifest["name"]``.
    manifest : dict
        Fields name, ports, posts, stream, trace, cycles_per_step.
    build_dir : Path
        Keeps the library, which is used again for the same text.
    simulator : Simulator or None
        From ``find_simulator``, where many cores are built.
    optimise : bool
        False: built in a third of the time, runs at a tenth of the speed.
    coverage : bool
        True: ``write_coverage`` says what the runs have reached.

    Raises
    ------
    ToolMissing, SimulationError
        Nothing to build with; the Verilog was refused.
    """

    def __init__(self, rtl: Path, manifest: dict, build_dir: Path, *,
                 simulator: Simulator | None = None, optimise: bool = True,
                 coverage: bool = False):
        rtl = Path(rtl)
        if not rtl.is_file():
            raise ValueError(f"Verilog file {rtl} must exist; generate the core first")
        self.manifest, self.ports = manifest, read_ports(manifest)
        self.simulator = simulator or find_simulator()
        started = time.monotonic()
        folder = Path(build_dir).resolve()
        self.path = build_library(with_models(rtl, manifest, folder), manifest["name"],
                                  self.ports.widths["s_axis_tdata"], folder, self.simulator,
                                  optimise=optimise, coverage=coverage)
        self.build_seconds = time.monotonic() - started
        self._library = ctypes.CDLL(str(self.path))
        for name, result, arguments in (
                ("gw_size", ctypes.c_uint64, []), ("gw_new", ctypes.c_void_p, []),
                ("gw_free", None, [ctypes.c_void_p]), ("gw_reset", None, [ctypes.c_void_p]),
                ("gw_run", None, [ctypes.c_void_p, ctypes.POINTER(_Run)])):
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments
        if self._library.gw_size() != ctypes.sizeof(_Run):
            raise SimulationError(f"{self.path} does not match this version: delete it")
        limbs = {name: -(-self.ports.widths.get(port, 1) // 64) for name, port in _LOGS.items()}
        self._logs = {name: np.zeros((CAPACITY, k), np.uint64) for name, k in limbs.items()}
        self._sim = self._library.gw_new()
        if coverage:
            self._library.gw_coverage.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
            self._library.gw_preset.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64]

    def close(self) -> None:
        """Let go of the library; for whoever loads hundreds of cores."""
        if self._library is not None:
            self._library.gw_free(self._sim)
            handle, self._library = self._library._handle, None
            _ctypes.dlclose(handle)

    def __enter__(self) -> "FastSimulator":
        return self

    def __exit__(self, *exc) -> None:
        self.close()

    def run(self, stimulus: Stimulus, *, seed: int, pauses: Pauses | bool = False, resets=(),
            progress: Callable[[int, int], None] | None = None) -> FastResult:
        """Run all sequences and compare every output word, and every h and c of every step.

        Starts with a reset of one cycle. Stops at the first difference.

        Parameters
        ----------
        stimulus : Stimulus
        seed : int >= 0
            Of the pauses.
        pauses : Pauses or bool
            True: as ``Pauses()``.
        resets : sequence of int
            For each of them, the sequences are begun and a reset cuts them off after so many
            cycles; then comes the run that is compared.
        progress : callable of (values compared, values to compare), or None
        """
        if not isinstance(seed, int) or not 0 <= seed < 1 << 32:
            raise ValueError(f"Seed must be an integer from 0 to 2**32 - 1, not {seed!r}")
        wall = time.monotonic()
        checker = Checker.of_core(stimulus, self.manifest)
        if pauses is True:
            pauses = Pauses()
        run, keep = self._prepare(stimulus, seed, pauses or None)
        seconds = simulated = 0
        cuts = []
        for cycle in resets:
            cut = _Run.from_buffer_copy(run)
            cut.random = random.Random(f"{seed} {cycle}").getrandbits(64) | 1
            cut.max_cycles = int(cycle)
            self._library.gw_reset(self._sim)
            begun, started, last = time.perf_counter(), 0, None
            while cut.cycle < cut.max_cycles and cut.still < cut.quiet_limit:
                self._library.gw_run(self._sim, cut)
                if cut.step_count:
                    started += cut.step_count
                    last = int(self._logs["step"][cut.step_count - 1, 0])
            seconds += time.perf_counter() - begun
            simulated += cut.cycle
            cuts.append(Cut(
                accepted=cut.accepted, emitted=cut.emitted, started=started,
                since_start=None if last is None else cut.cycle - last,
                offered=bool(cut.offered), idle=bool(cut.idle)))
        self._library.gw_reset(self._sim)
        starts, difference = [np.zeros(0, np.int64)], None
        while True:
            begun = time.perf_counter()
            self._library.gw_run(self._sim, run)
            seconds += time.perf_counter() - begun
            self._take(run, checker, starts)
            if progress is not None:
                progress(checker.words, stimulus.words)
            if (difference := checker.first()) is not None:
                break
            if run.still >= run.quiet_limit:
                difference = checker.finish(run.quiet_limit) or counters_difference(
                    stimulus, steps=sum(map(len, starts)), accepted=run.accepted,
                    errors=run.status_errors, saturations=run.status_saturations,
                    idle=run.idle, violations=run.violations)
                break
            if run.cycle >= run.max_cycles:
                behind = (checker.finish(0) or {}).get(
                    "message", "all values came, but the core does not rest")
                difference = {"kind": "timeout", "signal": "output", "message": (
                    f"not finished after {run.cycle} cycles, far above the prediction; {behind}")}
                break
        del keep
        cycles = run.last_out - run.first_in + 1
        predicted = stimulus.predicted_cycles
        if difference is None and pauses is False and predicted not in (None, cycles):
            difference = {"kind": "cycles", "signal": "cycles", "expected": predicted,
                          "actual": cycles,
                          "message": f"cycles: measured {cycles}, predicted {predicted}"}
        if difference is None and not 0 < checker.words == stimulus.words:
            raise SimulationError(f"Compared {checker.words} values, not {stimulus.words}")
        return FastResult(
            words=checker.words, expected_words=stimulus.words,
            mismatches=max(checker.mismatches, int(difference is not None)), cycles=cycles,
            starts=np.concatenate(starts) - run.first_in, cuts=tuple(cuts),
            simulated_cycles=simulated + run.cycle, difference=difference, seconds=seconds,
            wall_seconds=time.monotonic() - wall)

    def offer(self, words, last, *, seed: int, pauses: Pauses | None = None,
              reset: bool = True) -> int:
        """Offer words as they are, right or wrong, until the core rests; nothing is compared.

        Parameters
        ----------
        words : int64 (N, E)
        last : bool (N,)
        seed : int
        pauses : Pauses or None
        reset : bool
            False: go on from where the core stands.

        Returns
        -------
        int
            Words that broke the protocol, as the core has counted them since the last reset.
        """
        run, keep = self._begin(np.asarray(words), np.asarray(last), len(words), len(words), None,
                                seed, pauses)
        if reset:
            self._library.gw_reset(self._sim)
        while run.still < run.quiet_limit and run.cycle < run.max_cycles:
            self._library.gw_run(self._sim, run)
        del keep
        return run.status_errors

    def write_coverage(self, path: Path) -> None:
        """What all runs so far have reached, in Verilator's format; only if built for that."""
        self._library.gw_coverage(self._sim, str(path).encode())

    def preset(self, *, errors: int, saturations: int) -> None:
        """The core's counters as if they had come so far; only if built for coverage."""
        self._library.gw_preset(self._sim, errors, saturations)

    def _prepare(self, stimulus: Stimulus, seed: int, pauses: Pauses | None) -> tuple:
        """A run at its beginning, and the arrays that it points to."""
        words, last = stimulus.flat("inputs")
        traffic = len(words) + sum(len(s.outputs) for s in stimulus.sequences)
        return self._begin(words, last, traffic, stimulus.steps, stimulus.predicted_cycles, seed,
                           pauses)

    def _begin(self, words, last, traffic: int, steps: int, predicted: int | None, seed: int,
               pauses: Pauses | None) -> tuple:
        """A run of words; ``traffic`` counts words on both sides."""
        step = max(int(self.manifest["cycles_per_step"]), 1)
        # What is not offered is one word more: the driver may look at it.
        data = np.pad(self.ports.pack_inputs(words), ((0, 1), (0, 0)))
        last = np.pad(last, (0, 1)).astype(np.uint8)
        run = _Run(
            in_data=data.ctypes.data, in_last=last.ctypes.data, in_count=len(words),
            capacity=CAPACITY, random=random.Random(seed).getrandbits(64) | 1,
            **{name: log.ctypes.data for name, log in self._logs.items()})
        worst = predicted or steps * step
        run.quiet_limit = 4 * step + 1000
        if pauses is not None:
            run.src_density, run.snk_density = pauses.source, pauses.sink
            if pauses.long:
                run.long_mask = (1 << min(max(2 * step, 16).bit_length(), 16)) - 1
                run.long_density = max(min(16384 * steps // traffic, 16384), 1)
            run.quiet_limit += 2 * run.long_mask
            worst += traffic * (8 + (run.long_density + 1) * run.long_mask // 65536)
        run.max_cycles = 4 * worst + 4 * traffic + 2 * run.quiet_limit + 100_000
        return run, (data, last)

    def _take(self, run: _Run, checker: Checker, starts: list) -> None:
        """Read all logs into the checker."""
        def log(name, count):
            words = self._logs[name][:count]
            return self.ports.unpack(_LOGS[name], words) if _LOGS[name] else words[:, 0]

        starts.append(log("step", run.step_count).astype(np.int64))
        for signal in "ch":
            count = getattr(run, f"{signal}_count")
            if count:
                checker.trace(signal, log(f"{signal}_index", count).astype(np.int64),
                              log(f"{signal}_data", count))
        if run.out_count:
            keep = (log("out_keep", run.out_count) != 0
                    if "m_axis_tkeep" in self.ports.widths else None)
            checker.output(log("out_data", run.out_count), log("out_last", run.out_count) != 0,
                           keep)
