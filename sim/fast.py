"""The second runner: the core as optimised machine code, a whole sequence a call.

The cocotb bench (``sim.verify``) proves the protocol; this one proves the numbers, on everything.
Both use one ``Stimulus`` and one ``Checker``, and name the first difference in the same words.
"""

import _ctypes
import ctypes
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .build import Simulator, find_simulator
from .compare import Checker
from .counters import counters_difference
from .fast_build import build_library
from .fast_run import CAPACITY, LOGS, Cut, FastResult, Run
from .models import with_models
from .ports import read_ports
from .stimulus import Stimulus
from .traffic import Patterns, Pauses
from .verify import SimulationError

__all__ = ["Cut", "FastResult", "FastSimulator", "Patterns", "Pauses"]

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
    random_start : bool
        ``power_up`` makes random what the Verilog leaves open: registers and memories without a
        value at the beginning, and x. Otherwise it is zero.
    select : str or None
        An input of up to 32 bits that the core has beside its own, for several cores in one; 0
        until ``select`` says otherwise.
    inside, public
        See ``build_library``.
    coverage : bool
        True: ``write_coverage`` says what the runs have reached.

    Raises
    ------
    ToolMissing, SimulationError
        Nothing to build with; the Verilog was refused.
    """

    def __init__(self, rtl: Path, manifest: dict, build_dir: Path, *,
                 simulator: Simulator | None = None, optimise: bool = True,
                 random_start: bool = False, select: str | None = None,
                 inside: Path | None = None, public: tuple = (), coverage: bool = False):
        rtl = Path(rtl)
        if not rtl.is_file():
            raise ValueError(f"Verilog file {rtl} must exist; generate the core first")
        self.manifest, self.ports = manifest, read_ports(manifest)
        self.simulator = simulator or find_simulator()
        started = time.monotonic()
        folder = Path(build_dir).resolve()
        self.path = build_library(with_models(rtl, manifest, folder), manifest["name"],
                                  self.ports.widths["s_axis_tdata"], folder, self.simulator,
                                  optimise=optimise, random_start=random_start, select=select,
                                  inside=inside, public=public, coverage=coverage)
        self.build_seconds = time.monotonic() - started
        self._library = ctypes.CDLL(str(self.path))
        selects = [("gw_select", None, [ctypes.c_void_p, ctypes.c_uint32])] if select else []
        for name, result, arguments in (
                *selects, ("gw_size", ctypes.c_uint64, []),
                ("gw_new", ctypes.c_void_p, [ctypes.c_int]),
                ("gw_free", None, [ctypes.c_void_p]), ("gw_reset", None, [ctypes.c_void_p]),
                ("gw_run", None, [ctypes.c_void_p, ctypes.POINTER(Run)])):
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments
        if self._library.gw_size() != ctypes.sizeof(Run):
            raise SimulationError(f"{self.path} does not match this version: delete it")
        limbs = {name: -(-self.ports.widths.get(port, 1) // 64) for name, port in LOGS.items()}
        self._logs = {name: np.zeros((CAPACITY, k), np.uint64) for name, k in limbs.items()}
        self._random_start = random_start
        self._sim = self._library.gw_new(0)
        self._status = {"errors": 0, "saturations": 0}  # before the run, since the last reset
        if coverage:
            self._library.gw_coverage.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
            self._library.gw_preset.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64]

    def power_up(self, seed: int) -> None:
        """Begin anew, before any reset, from random values by this seed: 1 to 2**31 - 1."""
        if not self._random_start:
            raise ValueError("Power-up can be random only in a core built with random_start")
        if not isinstance(seed, int) or not 0 < seed < 1 << 31:
            raise ValueError(f"Seed must be an integer from 1 to 2**31 - 1, not {seed!r}")
        self._library.gw_free(self._sim)
        self._sim = self._library.gw_new(seed)

    def select(self, value: int) -> None:
        """Begin again at power-up, with this value at the input ``select``."""
        self._library.gw_free(self._sim)
        self._sim = self._library.gw_new(0)
        self._library.gw_select(self._sim, value)

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

    def run(self, stimulus: Stimulus, *, seed: int, pauses: Pauses | Patterns | bool = False,
            resets=(), progress: Callable[[int, int], None] | None = None, reset: bool = True,
            last=None, errors: int = 0) -> FastResult:
        """Run all sequences and compare every output word, and every h and c of every step.

        Starts with a reset of one cycle. Stops at the first difference.

        Parameters
        ----------
        stimulus : Stimulus
        seed : int >= 0
            Of the pauses.
        pauses : Pauses, Patterns or bool
            True: as ``Pauses()``.
        resets : sequence of int
            For each of them, the sequences are begun and a reset cuts them off after so many
            cycles; then comes the run that is compared.
        progress : callable of (values compared, values to compare), or None
        reset : bool
            False: go on from where the run before has left the core.
        last : bool (N,) or None
            ``s_axis_tlast`` of each input word, if not the ends of the sequences alone.
        errors : int
            What ``status_errors`` has to grow by.
        """
        wall = time.monotonic()
        checker = Checker.of_core(stimulus, self.manifest)
        run, keep = self._prepare(stimulus, seed, pauses, last)
        cuts = tuple(self._cut(run, seed, cycle) for cycle in resets)
        seconds = sum(cut.seconds for cut in cuts)
        if reset:
            self._reset()
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
                    idle=run.idle, violations=run.violations, expected_errors=errors,
                    faults=run.status_faults, **self._grown(run))
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
        if difference is None and pauses in (False, Patterns()) and predicted not in (None, cycles):
            difference = {"kind": "cycles", "signal": "cycles", "expected": predicted,
                          "actual": cycles,
                          "message": f"cycles: measured {cycles}, predicted {predicted}"}
        if difference is None and not 0 < checker.words == stimulus.words:
            raise SimulationError(f"Compared {checker.words} values, not {stimulus.words}")
        return FastResult(
            words=checker.words, expected_words=stimulus.words,
            mismatches=max(checker.mismatches, int(difference is not None)), cycles=cycles,
            starts=np.concatenate(starts) - run.first_in, cuts=cuts,
            simulated_cycles=sum(cut.cycles for cut in cuts) + run.cycle,
            difference=difference, seconds=seconds, wall_seconds=time.monotonic() - wall)

    def begin(self, stimulus: Stimulus, *, cycles: int, seed: int,
              pauses: Pauses | Patterns | bool = False, last=None) -> Cut:
        """Begin the sequences behind a reset, and leave the core in the midst of them.

        Parameters
        ----------
        cycles : int
            After which the core is left; sooner if nothing moves for long.
        stimulus, seed, pauses, last
            As of ``run``.
        """
        run, keep = self._prepare(stimulus, seed, pauses, last)
        cut = self._cut(run, seed, cycles)
        del keep
        return cut

    def _reset(self) -> None:
        self._library.gw_reset(self._sim)
        self._status = dict.fromkeys(self._status, 0)

    def _cut(self, run: Run, seed: int, cycles: int) -> Cut:
        """Begin a run that is prepared behind a reset."""
        cut = Run.from_buffer_copy(run)
        cut.random = random.Random(f"{seed} {cycles}").getrandbits(64) | 1
        cut.max_cycles = int(cycles)
        self._reset()
        begun, started, last = time.perf_counter(), 0, None
        while cut.cycle < cut.max_cycles and cut.still < cut.quiet_limit:
            self._library.gw_run(self._sim, cut)
            if cut.step_count:
                started += cut.step_count
                last = int(self._logs["step"][cut.step_count - 1, 0])
        return Cut(cycles=cut.cycle, accepted=cut.accepted, emitted=cut.emitted, started=started,
                   since_start=None if last is None else cut.cycle - last,
                   waiting=bool(cut.offered), idle=bool(cut.idle),
                   violations=cut.violations, seconds=time.perf_counter() - begun)

    def _grown(self, run: Run) -> dict:
        """What the core's counters have counted in this run, which is over."""
        before = self._status
        self._status = {name: getattr(run, f"status_{name}") for name in before}
        return {name: (value - before[name]) % (1 << self.ports.widths[f"status_{name}"])
                for name, value in self._status.items()}

    def events(self, stimulus: Stimulus, *, seed: int, flips, cycles: int,
               pauses: Pauses | None = None) -> bytes:
        """All that the core shows, and when, from a reset on, of input whose ``last`` is wrong.

        For comparing a core with another one: golden says nothing of such input, nor when a core
        that waits for its output goes on.

        Parameters
        ----------
        stimulus : Stimulus
        seed : int >= 0
            Of the pauses.
        flips : bool (input words,)
            Where ``last`` is the opposite.
        cycles : int
            After which the run ends, at the latest.
        pauses : Pauses or None
            None: the usual ones.
        """
        run, (_, last) = self._prepare(stimulus, seed, pauses or Pauses(), None)
        last[:-1] ^= np.asarray(flips, np.uint8)
        run.max_cycles, seen = cycles, []
        self._library.gw_reset(self._sim)
        while run.cycle < run.max_cycles and run.still < run.quiet_limit:
            self._library.gw_run(self._sim, run)
            for name, log in self._logs.items():
                count = getattr(run, f"{name.split('_')[0]}_count")
                seen.append(log[:count].tobytes())
        seen.append(bytes(run)[Run.out_count.offset:])
        return b"".join(seen)

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
            self._reset()
        while run.still < run.quiet_limit and run.cycle < run.max_cycles:
            self._library.gw_run(self._sim, run)
        del keep
        return run.status_errors

    def rest(self, cycles: int) -> None:
        """Cycles of reset, with both streams at rest."""
        for _ in range(cycles):
            self._library.gw_reset(self._sim)

    def write_coverage(self, path: Path) -> None:
        """What all runs so far have reached, in Verilator's format; only if built for that."""
        self._library.gw_coverage(self._sim, str(path).encode())

    def preset(self, *, errors: int, saturations: int) -> None:
        """The core's counters as if they had come so far; only if built for coverage."""
        self._library.gw_preset(self._sim, errors, saturations)

    def _prepare(self, stimulus: Stimulus, seed: int, pauses, last) -> tuple:
        """A run at its beginning, and the arrays that it points to."""
        words, ends = stimulus.flat("inputs")
        last = ends if last is None else np.asarray(last, bool)
        if last.shape != ends.shape:
            raise ValueError(f"Last must have {len(ends)} flags, not shape {last.shape}")
        traffic = len(words) + sum(len(s.outputs) for s in stimulus.sequences)
        return self._begin(words, last, traffic, stimulus.steps, stimulus.predicted_cycles, seed,
                           pauses)

    def _begin(self, words, last, traffic: int, steps: int, predicted: int | None, seed: int,
               pauses) -> tuple:
        """A run of words; ``traffic`` counts words on both sides."""
        if not isinstance(seed, int) or not 0 <= seed < 1 << 32:
            raise ValueError(f"Seed must be an integer from 0 to 2**32 - 1, not {seed!r}")
        step = max(int(self.manifest["cycles_per_step"]), 1)
        # What is not offered is one word more: the driver may look at it.
        data = np.pad(self.ports.pack_inputs(words), ((0, 1), (0, 0)))
        last = np.pad(last, (0, 1)).astype(np.uint8)
        run = Run(
            in_data=data.ctypes.data, in_last=last.ctypes.data, in_count=len(words),
            capacity=CAPACITY, random=random.Random(seed).getrandbits(64) | 1,
            **{name: log.ctypes.data for name, log in self._logs.items()})
        worst = predicted or steps * step
        run.quiet_limit = 4 * step + 1000
        if isinstance(pauses, Patterns):
            run.patterned = 1
            run.stop_at, run.stop_cycles = pauses.stop or (0, 0)
            for gate, pattern in zip((run.src, run.snk), pauses.sides):
                gate.shut_least, gate.shut_spread = pattern.shut
                gate.open_least, gate.open_spread = pattern.opened
                gate.chance, gate.follows, gate.open = pattern.chance, pattern.follows, 1
            run.src_left, run.snk_left = (int(side.slowest > 1) for side in pauses.sides)
            held = sum(side.slowest for side in pauses.sides)
            run.quiet_limit += 2 * held + run.stop_cycles
            worst += traffic * held
        elif pauses:
            if pauses is True:
                pauses = Pauses()
            run.src_density, run.snk_density = pauses.source, pauses.sink
            if pauses.long:
                run.long_mask = (1 << min(max(2 * step, 16).bit_length(), 16)) - 1
                run.long_density = max(min(16384 * steps // traffic, 16384), 1)
            run.quiet_limit += 2 * run.long_mask
            worst += traffic * (8 + (run.long_density + 1) * run.long_mask // 65536)
        run.max_cycles = 4 * worst + 4 * traffic + 2 * run.quiet_limit + 100_000
        return run, (data, last)

    def _take(self, run: Run, checker: Checker, starts: list) -> None:
        """Read all logs into the checker."""
        def log(name, count):
            words = self._logs[name][:count]
            return self.ports.unpack(LOGS[name], words) if LOGS[name] else words[:, 0]

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
