"""Part "stress": every pair of ready/valid patterns, resets anywhere, and input that is broken."""

from itertools import product
from pathlib import Path

import numpy as np

from bench.markdown import count, table
from gatewright.campaign_check import Case
from sim.fast import FastSimulator, Patterns
from sim.traffic import PATTERNS

from . import contract
from .broken import KINDS, WEIGHT_KINDS
from .broken_runs import STOPS, BrokenRuns
from .claims import Claim
from .configurations import SMOKE, case_of
from .stress_resets import PLACES, Resets

__all__ = ["PER_CONFIGURATION", "STAGE", "TITLE", "back_pressure", "cases", "claims", "measure",
           "section"]

TITLE = "Back-pressure, resets, broken input"
STAGE, PER_CONFIGURATION = "V2", True
QUICK = ("tokens-argmax",)
PAIRS = tuple(product(PATTERNS, PATTERNS))
# Rounds of all pairs, steps of a pair's run, reset points, trials of each kind of broken input.
AMOUNT = {"rounds": 4, "steps": 100, "points": 1000, "trials": 25}
FEW = {"rounds": 1, "steps": 20, "points": 50, "trials": 1}
LEAST = 10        # times that resets meet each place


def cases(quick: bool) -> list:
    """Case by case: "name", "configuration", and how much of each check."""
    return [{"name": name, "configuration": name, **(FEW if quick else AMOUNT)}
            for name in (QUICK if quick else SMOKE)]


def back_pressure(case: Case, core: FastSimulator, seed: int, *, rounds: int,
                  steps: int) -> tuple:
    """Sequences under every pair of patterns: (first difference in words, words, cycles)."""
    rng, words, cycles = np.random.default_rng([seed, 10]), 0, 0
    for source, sink in PAIRS * rounds:
        result = core.run(case.stimulus(case.some(rng, steps=steps)),
                          seed=int(rng.integers(1 << 31)),
                          pauses=Patterns(source=source, sink=sink))
        words, cycles = words + result.words, cycles + result.simulated_cycles
        if result.difference is not None:
            return f"source {source}, sink {sink}: {result.difference['message']}", words, cycles
    return None, words, cycles


def measure(case: dict, folder: Path, old: dict | None, settings: dict) -> dict:
    """The three checks, one after the other, until one fails."""
    made, seed = case_of(case["configuration"]), settings["seed"]
    rtl = folder / f"{made.core.name}.v"
    rtl.write_text(made.core.verilog)
    with FastSimulator(rtl, made.core.manifest, folder,
                       optimise=case["points"] > FEW["points"]) as core:
        resets, broken = Resets(made, core, seed), BrokenRuns(made, core, seed)
        failure, words, cycles = back_pressure(made, core, seed, rounds=case["rounds"],
                                              steps=case["steps"])
        failure = failure or resets.check(case["points"]) or broken.check(case["trials"])
        simulator = str(core.simulator)
    return {"failure": failure, "configuration": case["configuration"], "seed": seed,
            "pairs": len(PAIRS), "rounds": case["rounds"], "pair_words": words,
            "pair_cycles": cycles, "resets": resets.resets, "points": resets.points,
            "reset_words": resets.words, "places": dict(resets.places), "broken": broken.found,
            "broken_words": broken.words, "clipped": broken.clipped,
            "verilog": made.core.verilog_sha256[:16], "simulator": simulator}


def _kinds(records: dict) -> dict:
    """Kind of broken input -> (configurations, trials, errors)."""
    rows = {}
    for kind in (*STOPS, *KINDS, *WEIGHT_KINDS):
        met = [record["broken"][kind] for record in records.values() if kind in record["broken"]]
        rows[kind] = (len(met), sum(m["trials"] for m in met), sum(m["errors"] for m in met))
    return rows


def claims(records: dict) -> list:
    good = {name: r for name, r in records.items() if r["failure"] is None}
    whole = bool(good) and len(good) == len(records)
    kinds = _kinds(good)

    def total(key):
        return sum(record[key] for record in good.values())

    return [
        Claim(claim="No back-pressure on either side changes, loses or doubles anything",
              check=f"{len(PATTERNS)} named ready/valid patterns on each side, every pair of them; "
                    "each value compared, the output word watched in each cycle that it waits",
              figure=f"{len(good)} configurations, {len(PAIRS)} pairs each, "
                     f"{total('pair_words'):,} values, {total('pair_cycles'):,} cycles",
              stage=STAGE, passed=whole and all(r["pairs"] == len(PAIRS) for r in good.values())),
        Claim(claim="After a reset in any cycle the core is as new",
              check="resets at random cycles, also in cycles that follow each other, while weights "
                    "or states come in, while the output is held up, and in broken input; what "
                    "follows is compared",
              figure=f"{total('resets'):,} resets, at least "
                     f"{min((r['points'] for r in good.values()), default=0):,} compared points a "
                     f"configuration, {total('reset_words'):,} values",
              stage=STAGE, passed=whole and all(
                  r["points"] >= AMOUNT["points"] and min(r["places"].values()) >= LEAST
                  for r in good.values())),
        Claim(claim="No input stops a core or harms the next correct sequence, and each word that "
                    "breaks the protocol is counted",
              check="input that stops, and broken input, against a model of the contract in Python "
                    "and golden: every value, both counters; then the values and the cycles of a "
                    "correct sequence",
              figure=f"{len(kinds)} kinds, {sum(n for _, n, _ in kinds.values()):,} trials, "
                     f"{sum(n for _, _, n in kinds.values()):,} errors counted, as many as "
                     f"predicted, {total('clipped'):,} saturations, {total('broken_words'):,} "
                     "values",
              stage=STAGE, passed=whole and all(
                  trials >= AMOUNT["trials"] for _, trials, _ in kinds.values()))]


def section(records: dict) -> str:
    good = {name: r for name, r in records.items() if r["failure"] is None}
    shown = {"pairs": "pairs of patterns", "pair_words": "values", "pair_cycles": "cycles",
             "resets": "resets", "points": "points", "reset_words": "values behind them",
             "broken_words": "values of broken input and behind it",
             "clipped": "saturations counted"}
    rows = [[f"`{name}`", *(count(r[key]) for key in shown),
             count(sum(kind["errors"] for kind in r["broken"].values()))]
            for name, r in good.items()]
    places = [[f"`{name}`", *(count(r["places"][place]) if place in r["places"] else "–"
                              for place in PLACES)] for name, r in good.items()]
    kinds = [[kind, *map(count, numbers)] for kind, numbers in _kinds(good).items()]
    return "\n\n".join((
        "All on the runner of the campaign, every word, h and c compared. *Back-pressure*: the "
        f"patterns are {', '.join(PATTERNS)}. Starved is nothing for 1,000 cycles, then every "
        "cycle for up to 1,024, again and again; pulses are single cycles with gaps of 3 to 18; "
        "bursts and gaps have 1 to 32 cycles; a sink that follows is ready only after it saw "
        "valid, a source that follows offers only after it saw ready. *Resets*: a point is one or "
        "more resets, the first at a random cycle of a run under random patterns, and sequences "
        "right behind, which are compared.",
        table(["configuration", *shown.values(), "errors counted"], rows),
        "What resets met, in points:", table(["configuration", *PLACES], places),
        "*Broken input*. " + contract.__doc__.split("\n\n", 1)[1].strip().replace("``", "`"),
        "A trial is a stream of the kind with a correct sequence at its heels, under random "
        "patterns, and another correct sequence on the core at rest, whose cycles are compared as "
        "well. The values of the broken sequences are compared too. Faults round a core, of which "
        "each is found by one of these checks and by no plain run, are in "
        "`tests/test_signoff_stress.py`.",
        table(["kind", "configurations", "trials", "errors counted"], kinds)))
