"""Part "speed": how fast the tool itself is, every figure and ratio within one run."""

import os
import time
from pathlib import Path

import sim
from gatewright.onnx_import import import_onnx
from gatewright.steps import generate, golden, quantise, stimulus
from golden.model import encode, run_golden
from sim.fast import FastSimulator

from .cores import array_text, net_text
from .markdown import busy, count, table
from .models import lstm_network, onnx_model, random_batch

__all__ = ["TITLE", "cases", "measure", "section"]

TITLE = "Speed of the tool"
GOALS = {"cocotb": 300_000, "library": 3_000_000}  # cycles a second, 16 lanes
REPEATS = 5


def cases(quick: bool) -> list:
    """Case by case: "name", "inputs", "units", "lanes", and how much is run."""
    sizes = ((5, 8, 4),) if quick else ((64, 64, 16), (64, 64, 64))
    found = []
    for inputs, units, lanes in sizes:
        case = {"cell": "lstm", "inputs": inputs, "units": units, "lanes": lanes,
                "sequences": 8 if quick else 400, "cycles": 50_000 if quick else 1_500_000}
        found.append({"name": f"{net_text(case)} on {array_text(case)}", **case})
    return found


def _seconds(call, *, clock=time.perf_counter) -> tuple:
    """(least seconds of a call, its last result)."""
    spent = []
    for _ in range(REPEATS):
        begun = clock()
        result = call()
        spent.append(clock() - begun)
    return min(spent), result


def measure(case: dict, folder: Path, old: dict | None, settings: dict) -> dict:
    """Time every stage of one core; always measured again."""
    file = folder / "lstm.onnx"
    file.write_bytes(onnx_model(lstm_network(case["inputs"], case["units"]), states=False))
    record = {"failure": None, "load": round(os.getloadavg()[0], 2), "lanes": case["lanes"]}
    record["import_s"], network = _seconds(lambda: import_onnx(file))
    calibration = random_batch(network, 16, 25)
    record["quantise_s"], quantised = _seconds(lambda: quantise(network, calibration))
    record["generate_s"], core = _seconds(lambda: generate(quantised, lanes=case["lanes"]))

    codes = encode(network, quantised.integer, random_batch(network, case["sequences"], 25))
    spent, _ = _seconds(lambda: run_golden(quantised.integer, codes), clock=time.process_time)
    record["golden_sequences"] = case["sequences"] / spent
    record["golden_steps"] = codes.x.shape[0] * codes.x.shape[1] / spent

    steps = max(case["cycles"] // (4 * core.layout.schedule.interval), 5)
    given = stimulus(core, golden(quantised, random_batch(network, 4, steps)))
    short = stimulus(core, golden(quantised, random_batch(network, 1, 1)))
    rtl = folder / f"{core.name}.v"
    rtl.write_text(core.verilog)

    def verify(what):
        result = sim.verify(rtl, core.manifest, what, build_dir=folder, seed=1)
        if not result.passed:
            raise ValueError(result.first_difference["message"])
        return result

    first, again = (verify(short).wall_seconds for _ in range(2))
    record["cocotb_build_s"] = first - again
    record["cocotb"] = max(verify(given).cycles_per_second for _ in range(REPEATS))
    with FastSimulator(rtl, core.manifest, folder) as simulator:
        spent, run = _seconds(lambda: simulator.run(given, seed=1), clock=time.process_time)
        wall, _ = _seconds(lambda: simulator.run(given, seed=1))
        record["library_build_s"] = simulator.build_seconds
    if not run.passed:
        raise ValueError(run.difference["message"])
    record["library"] = run.simulated_cycles / spent
    record["library_steps"] = given.steps / spent
    record["library_to_cocotb"] = run.simulated_cycles / wall / record["cocotb"]
    return {name: round(value, 3) if isinstance(value, float) else value
            for name, value in record.items()}


def _goal(record: dict, name: str) -> str:
    if record["lanes"] != 16:
        return "–"
    return f"{GOALS[name]:,} ({'' if record[name] >= GOALS[name] else 'not '}reached)"


_LINES = (
    ("ONNX file to float network, s", lambda r: count(r["import_s"], 3), None),
    ("quantise (16 sequences of 25 steps), s", lambda r: count(r["quantise_s"], 2), None),
    ("integer network to Verilog, s", lambda r: count(r["generate_s"], 2), None),
    ("Verilator build for the cocotb bench, s", lambda r: count(r["cocotb_build_s"], 1), None),
    ("Verilator build of the library, s", lambda r: count(r["library_build_s"], 1), None),
    ("cycles a second, cocotb bench attached", lambda r: count(r["cocotb"]), "cocotb"),
    ("cycles a second, library", lambda r: count(r["library"]), "library"),
    ("library / cocotb", lambda r: count(r["library_to_cocotb"], 1), None),
    ("network steps a second, library", lambda r: count(r["library_steps"]), None),
    ("network steps a second, golden", lambda r: count(r["golden_steps"]), None),
    ("sequences of 25 steps a second, golden", lambda r: count(r["golden_sequences"]), None),
)


def section(parts: dict) -> str:
    """The part's text and table, from the records of all parts."""
    good = {name: record for name, record in parts["speed"].items() if not record["failure"]}
    failed = [f"FAILED: {name}: {record['failure']}" for name, record in parts["speed"].items()
              if record["failure"]]
    rows = [[text, *(show(record) for record in good.values()),
             next((_goal(record, goal) for record in good.values()
                   if goal and record["lanes"] == 16), "–")] for text, show, goal in _LINES]
    return "\n\n".join((
        f"The best of {REPEATS} on the processor named below, one after the other. The cocotb "
        f"bench runs two passes, the second with random pauses, and compares every word, h and c "
        f"as it goes; so does the library's runner, a call a run. Rates of the library and of "
        f"golden, which have one thread, are of processor time; the ratio is of wall times.",
        table(["", *good, "<goal, 16 lanes"], rows), busy(list(good.values())), *failed))
