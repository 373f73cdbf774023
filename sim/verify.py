"""Prove a generated core equal to golden: build, simulate, compare, and say what was seen."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .build import build, environment, find_simulator
from .compare import Checker
from .harness import TOP, emit_harness
from .models import with_models
from .ports import read_ports
from .stimulus import RUN, Stimulus

__all__ = ["PASSES", "SimulationError", "VerifyResult", "verify"]

PASSES = ("unpaused", "paused")


class SimulationError(RuntimeError):
    """The simulation did not come to a verdict; the text says why and where its log lies."""


@dataclass(frozen=True, kw_only=True)
class VerifyResult:
    """The verdict.

    Parameters
    ----------
    sequences, steps : int
        What was sent, in each of the passes.
    words : int
        Values compared in a pass: output words, and h and c of every layer and step. After a
        difference, those that the failing pass compared before it stopped.
    mismatches : int
        Values that differ among them, counted until the first difference stopped the run.
    cycles_predicted, cycles_measured : int or None
        Of the pass without pauses, from the first input word to the last output word.
    cycles_per_step_predicted, cycles_per_step_measured : int or None
        Measured: the usual distance of two steps of a sequence; None if all have one step.
    mac_utilisation : float or None
        Useful multiplications over multipliers times cycles, at the measured cycles per step.
    simulator : str
        Name, version and origin.
    seed : int
    wall_seconds : float
        Build included.
    cycles_per_second : float
        Simulated clock cycles over the time of the passes alone.
    first_difference : dict or None
        kind, signal, expected, actual, message, and where they apply sequence, step, layer,
        layer_name, neuron, around. None: all equal, and the cycles as predicted.
    waves : str or None
        The wave file.
    passes : tuple of str
        Passes that ran.
    build_warnings : int
        Warnings of Verilator; ``build.log`` beside the simulation's program has them.
    """

    sequences: int
    steps: int
    words: int
    mismatches: int
    cycles_predicted: int | None
    cycles_measured: int | None
    cycles_per_step_predicted: int
    cycles_per_step_measured: int | None
    mac_utilisation: float | None
    simulator: str
    seed: int
    wall_seconds: float
    cycles_per_second: float
    first_difference: dict | None
    waves: str | None
    passes: tuple
    build_warnings: int

    @property
    def passed(self) -> bool:
        """Whether every value was equal and every predicted cycle count exact."""
        return self.first_difference is None and self.words > 0 and self.passes == PASSES


def _run(runner, folder: Path, run: Path, *, seed: int, waves: bool, progress) -> None:
    """Run the cocotb tests in ``run``; SimulationError unless exactly all of them ran."""
    from cocotb_tools.check_results import get_results

    caught = []

    def simulate():
        try:
            runner.test(test_module="sim.bench", hdl_toplevel=TOP, hdl_toplevel_lang="verilog",
                        build_dir=folder, test_dir=run, seed=seed, waves=waves,
                        results_xml=str(run / "results.xml"), log_file=run / "simulation.log",
                        extra_env={RUN: str(run)})
        except (Exception, SystemExit) as error:
            caught.append(error)

    with environment({}):  # cocotb's runner behaves differently under pytest: hide that
        worker = threading.Thread(target=simulate, daemon=True)
        worker.start()
        told = 0
        while worker.is_alive():
            worker.join(0.1)
            told = _tell(run, told, progress)
        _tell(run, told, progress)
    try:
        ran, _ = get_results(run / "results.xml")
    except Exception:
        ran = 0
    written = [name for name in PASSES if (run / f"{name}.json").is_file()]
    failed = written and json.loads((run / f"{written[-1]}.json").read_text())["difference"]
    if ran != len(PASSES) or not written or (written != list(PASSES) and not failed):
        raise SimulationError(
            f"The simulation gave no verdict: {ran} of {len(PASSES)} tests ran"
            f"{_reason(run, caught)} (see {run / 'simulation.log'})")


def _reason(run: Path, caught: list) -> str:
    """The line of the log that says most about why it ended, if there is one."""
    log = run / "simulation.log"
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    for line in lines:
        if line.strip().split(":")[0] in ("RuntimeError", "ValueError", "TypeError",
                                          "AttributeError", "KeyError", "ImportError",
                                          "ModuleNotFoundError"):
            return f": {line.strip()}"
    return f": {caught[0]}" if caught else ""


def _tell(run: Path, told: int, progress) -> int:
    """Forward new complete lines of the progress file; the number of characters forwarded."""
    path = run / "progress.jsonl"
    if progress is None or not path.is_file():
        return told
    text = path.read_text()
    end = text.rfind("\n") + 1
    for line in text[told:end].splitlines():
        entry = json.loads(line)
        progress(entry["run"], entry["words"], entry["of"])
    return max(told, end)


def _cycle_difference(measured: dict, stimulus: Stimulus, manifest: dict) -> dict | None:
    for name, expected, actual in (
            ("cycles", stimulus.predicted_cycles, measured["cycles"]),
            ("cycles per step", manifest["cycles_per_step"], measured["step_cycles"])):
        if expected is not None and actual is not None and expected != actual:
            return {"kind": "cycles", "signal": name, "expected": expected, "actual": actual,
                    "message": f"{name}: measured {actual}, predicted {expected}"}
    return None


def verify(rtl: Path, manifest: dict, stimulus: Stimulus, *, build_dir: Path, seed: int,
           waves: bool = False,
           progress: Callable[[str, int, int], None] | None = None) -> VerifyResult:
    """Simulate a core and compare every output word, and every h and c of every step.

    Two passes over the same sequences, the second after a reset in the middle of a sequence and
    with random pauses on both streams. Stops at the first difference.

    Parameters
    ----------
    rtl : Path
        Verilog of the core, module ``manifest["name"]``.
    manifest : dict
        Fields name, ports, posts, stream, trace, cycles_per_step, lanes, cols, macs_per_step;
        family and primitives where the core instantiates vendor cells, whose models are added.
    stimulus : Stimulus
    build_dir : Path
        For the built simulation, which is kept and used again, and for the files of the run.
    seed : int >= 0
        Of the pauses.
    waves : bool
        Write a wave file (much slower).
    progress : callable of (pass name, words compared, words to compare), or None

    Raises
    ------
    ToolMissing
        A tool is not there.
    SimulationError
        The simulation could not be built, or ended without a verdict.
    """
    rtl, build_dir = Path(rtl), Path(build_dir).resolve()
    if not isinstance(seed, int) or not 0 <= seed < 1 << 31:
        raise ValueError(f"Seed must be an integer from 0 to 2**31 - 1, not {seed!r}")
    if not rtl.is_file():
        raise ValueError(f"Verilog file {rtl} must exist; generate the core first")
    started = time.monotonic()
    core_ports = read_ports(manifest)
    Checker.of_core(stimulus, manifest)  # refuses a trace that does not fit before building
    simulator = find_simulator()
    harness, public = emit_harness(name=manifest["name"], core_ports=core_ports)
    try:
        runner, folder, wave_file = build(
            core=with_models(rtl, manifest, build_dir), harness=harness, public=public,
            folder=build_dir, simulator=simulator, waves=waves)
    except RuntimeError as error:
        raise SimulationError(str(error)) from None
    run = build_dir / "run"
    run.mkdir(parents=True, exist_ok=True)
    for stale in (*(f"{name}.json" for name in PASSES), "results.xml", "progress.jsonl",
                  "simulation.log", "dump.vcd", "dump.fst"):
        (run / stale).unlink(missing_ok=True)
    stimulus.save(run)
    fields = ("name", "ports", "posts", "stream", "trace", "cycles_per_step")
    (run / "run.json").write_text(json.dumps(
        {"seed": seed, "manifest": {field: manifest[field] for field in fields}}))
    _run(runner, folder, run, seed=seed, waves=waves, progress=progress)

    results = [json.loads((run / f"{name}.json").read_text())
               for name in PASSES if (run / f"{name}.json").is_file()]
    first, last = results[0], results[-1]
    difference, place = last["difference"], last["run"]
    complete = first["difference"] is None
    if difference is None:
        difference, place = _cycle_difference(first, stimulus, manifest), first["run"]
        if min(result["words"] for result in results) != stimulus.words:
            raise SimulationError(f"The passes compared {[r['words'] for r in results]} values, "
                                  f"not {stimulus.words} each")
    if difference is not None:
        difference = {"pass": place, **difference}
    seconds = sum(result["seconds"] for result in results)
    usual = first["step_cycles"]
    multipliers = manifest["lanes"] * manifest["cols"]
    return VerifyResult(
        sequences=len(stimulus.sequences), steps=stimulus.steps, words=last["words"],
        mismatches=last["mismatches"], cycles_predicted=stimulus.predicted_cycles,
        cycles_measured=first["cycles"] if complete else None,
        cycles_per_step_predicted=manifest["cycles_per_step"], cycles_per_step_measured=usual,
        mac_utilisation=manifest["macs_per_step"] / (multipliers * usual) if usual else None,
        simulator=str(simulator), seed=seed, wall_seconds=time.monotonic() - started,
        cycles_per_second=sum(r["simulated_cycles"] for r in results) / max(seconds, 1e-9),
        first_difference=difference, waves=str(run / wave_file) if wave_file else None,
        passes=tuple(result["run"] for result in results),
        build_warnings=(folder / "build.log").read_text(errors="replace").count("%Warning-"))
