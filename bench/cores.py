"""Cores that the benchmark measures: made, simulated in full and compared with golden.

An array is a dict of keywords of ``hw.emit.generate``: lanes, cols, and whatever else shapes it.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from gatewright.campaign_networks import Config, make_codes, make_network
from gatewright.steps import Golden, stimulus
from golden.model import Codes, run_golden
from golden.network import IntNetwork
from hw.emit import Core, generate
from sim.fast import FastSimulator

__all__ = ["LEAST", "array_text", "net_text", "random_network", "run_core", "simulate"]

SKIPPED = 2   # steps at the head of a sequence that the steady state is not measured on
LEAST = SKIPPED + 3


def net_text(case: dict) -> str:
    """As "LSTM 10→64"."""
    return f"{case['cell'].replace('_', ' ').upper()} {case['inputs']}→{case['units']}"


def array_text(array: dict) -> str:
    """As "16", "16×4", or "80×20, posts 20, shallow, wide": what is usual is left out."""
    words = [str(array["lanes"]) + (f"×{array['cols']}" if array.get("cols", 1) > 1 else "")]
    if array.get("posts", 1) > 1:
        words.append(f"posts {array['posts']}")
    if array.get("pipeline", "deep") != "deep":
        words.append(array["pipeline"])
    return ", ".join([*words, *(text for name, text in (("wide", "wide"), ("pack", "packed"))
                                if array.get(name))])


def random_network(cell: str, inputs: int, units: int, *, seed: int = 1) -> tuple:
    """One layer of random weights over their whole range, W8A16: sums and states saturate often.

    Returns
    -------
    (Config, IntNetwork)
    """
    function = "tanh" if cell == "rnn" else "identity"
    config = Config(seed=seed, inputs=inputs, layers=((cell, units, function, False),))
    return config, make_network(config)


def _run(core: Core, codes: Codes, simulator: FastSimulator) -> tuple:
    """(what was expected, what the simulation showed) without pauses."""
    run = run_golden(core.layout.program.network, codes)
    given = stimulus(core, Golden(codes=codes, run=run, y_float=run.y, y_fixed=run.y))
    return given, simulator.run(given, seed=1)


def run_core(core: Core, codes: Codes, simulator: FastSimulator) -> dict:
    """Run sequences without pauses and compare all that comes out, and when, with golden.

    Parameters
    ----------
    core : Core
    codes : Codes
        Of at least five steps, so that there is a steady state.
    simulator : FastSimulator

    Returns
    -------
    dict, JSON-able
        "failure" (None, or the first difference in words), "words" compared, and predicted and
        measured: "step" (cycles from step to step in the steady state), "exposed" (those of them
        in which the array has nothing to do), "total" (first word in to last word out), "alone"
        (the same of a sequence of one step). Words that load weights are left out of the cycles.
    """
    program, schedule = core.layout.program, core.layout.schedule
    given, result = _run(core, codes, simulator)
    one, single = _run(core, Codes(x=codes.x[:1, :1]), simulator)
    sequences, steps = codes.x.shape[:2]
    failure = next((run.difference["message"] for run in (result, single) if not run.passed), None)
    measured = None
    if failure is None:
        gaps = np.diff(result.starts.reshape(sequences, steps)[:, SKIPPED:], axis=1)
        measured = int(gaps[0, 0])
        if (gaps != schedule.interval).any():
            failure = (f"cycles a step: measured {int(gaps.min())} to {int(gaps.max())}, "
                       f"predicted {schedule.interval}")
    multipliers, loading = program.lanes * program.cols, program.load_words
    return {
        "failure": failure, "words": result.words + single.words, "multipliers": multipliers,
        "macs": program.macs_per_step, "sequences": sequences, "steps": steps,
        "step": [schedule.interval, measured],
        "exposed": [schedule.exposed, measured and measured - schedule.interval
                    + schedule.exposed],
        "total": [given.predicted_cycles - loading, result.cycles - loading],
        "alone": [one.predicted_cycles - loading, single.cycles - loading],
        "utilisation": measured and program.macs_per_step / (multipliers * measured)}


def simulate(case: dict, folder: Path, old: dict | None = None, *, cycles: int,
             most_steps: int = 24) -> dict:
    """Measure a random network on an array: two sequences, as long as ``cycles`` allow.

    Parameters
    ----------
    case : dict
        "cell", "inputs", "units", "array"; "seed" where it is not 1.
    folder : Path
        For the build.
    old : dict or None
        A record that is returned if it was measured on the same Verilog over as many steps.
    cycles : int
        Clock cycles to simulate, about; five steps are run whatever they take.
    most_steps : int

    Returns
    -------
    dict
        As ``run_core``, and "verilog_sha256".
    """
    config, network = random_network(case["cell"], case["inputs"], case["units"],
                                     seed=case.get("seed", 1))
    core = generate(network, name="net", **case["array"])
    steps = min(max(cycles // (2 * core.layout.schedule.interval), LEAST), most_steps)
    if (old is not None and old["failure"] is None and old["steps"] == steps
            and old["verilog_sha256"] == core.verilog_sha256):
        return old
    return {"verilog_sha256": core.verilog_sha256,
            **_built(core, network, replace(config, batches=((2, steps),)), folder)}


def _built(core: Core, network: IntNetwork, config: Config, folder: Path) -> dict:
    (codes,) = make_codes(config, network)
    rtl = folder / f"{core.name}.v"
    rtl.write_text(core.verilog)
    with FastSimulator(rtl, core.manifest, folder) as simulator:
        record = run_core(core, codes, simulator)
        return record | {"build_seconds": round(simulator.build_seconds, 2)}
