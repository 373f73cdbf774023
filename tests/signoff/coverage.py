"""Part "coverage": what the checks reach of each configuration's Verilog.

The text that is covered is the core's own file, as it is shipped, not one written anew.
"""

import time
from pathlib import Path

from bench.markdown import count, table
from sim.fast import FastSimulator
from sim.models import with_models

from .claims import Claim
from .configurations import SMOKE
from .coverage_points import KINDS
from .coverage_runs import case_to_cover, cover
from .coverage_waived import waive
from .waivers import NAMED, RULES, broken, named_for, useless, waive_named

__all__ = ["PER_CONFIGURATION", "STAGE", "TITLE", "cases", "claims", "measure", "section"]

TITLE = "Code coverage"
STAGE, PER_CONFIGURATION = "V3", True
QUICK = ("gru",)
SHOWN = 20      # points that are not reached, in a record


def cases(quick: bool) -> list:
    """Case by case: "name", "configuration"."""
    return [{"name": name, "configuration": name} for name in (QUICK if quick else SMOKE)]


def examine(case, folder: Path, *, extremes: bool = True, named: list = ()) -> dict:
    """Build a core for coverage, run it, find out what cannot be reached: a record.

    Parameters
    ----------
    case : gatewright.campaign_check.Case
        From ``case_to_cover``.
    folder : Path
        Existing and empty.
    extremes : bool
        False: only the configuration's own sequences, without pauses and resets.
    named : list of Named
        Points that need not be reached.
    """
    begun, core = time.monotonic(), case.core
    rtl = folder / f"{core.name}.v"
    rtl.write_text(core.verilog)
    with FastSimulator(rtl, core.manifest, folder, optimise=False, coverage=True) as built:
        points = cover(case, built, folder, extremes=extremes)
    whole = with_models(rtl, core.manifest, folder).read_text()
    waived, hit = waive(points, core.verilog, whole.removeprefix(core.verilog), core.name, folder)
    more, hit[NAMED], idle = waive_named(points, waived, named)
    waived |= more
    missed = [point for point, reached in points.items() if not reached and point not in waived]
    totals = {kind: sum(point.kind == kind for point in points) for kind in KINDS}
    by_rule = {(rule, kind): sum(by == rule and point.kind == kind
                                 for point, by in waived.items())
               for rule in RULES for kind in KINDS}
    wrong = broken(totals, by_rule, hit)
    wrong += [f"a name waives nothing: {name}" for name in idle]
    if missed:
        wrong.append(f"{len(missed)} points are not reached, as {missed[0]}")
    return {"failure": "; ".join(wrong) or None, "points": totals,
            "reached": {kind: sum(point.kind == kind and reached > 0
                                  for point, reached in points.items()) for kind in KINDS},
            "missed": {kind: sum(point.kind == kind for point in missed) for kind in KINDS},
            "waived": {rule: {kind: by_rule[rule, kind] for kind in RULES[rule].caps}
                       for rule in RULES},
            "unreached": [str(point) for point in missed[:SHOWN]],
            "verilog": core.verilog_sha256[:16], "seconds": round(time.monotonic() - begun)}


def measure(case: dict, folder: Path, old: dict | None, settings: dict) -> dict:
    """All of it for one configuration."""
    return {"configuration": case["configuration"],
            **examine(case_to_cover(case["configuration"]), folder,
                      named=named_for(case["configuration"]))}


def _share(record: dict, kind: str) -> float:
    """Percent reached of the points that are not waived."""
    wanted = record["reached"][kind] + record["missed"][kind]
    return 100 * record["reached"][kind] / max(wanted, 1)


def _whole(records: dict) -> dict:
    return {name: record for name, record in records.items() if "points" in record}


def claims(records: dict) -> list:
    whole = _whole(records)
    idle = useless([{(rule, kind): number for rule, kinds in record["waived"].items()
                     for kind, number in kinds.items()} for record in whole.values()])
    least = {kind: min((_share(record, kind) for record in whole.values()), default=0.0)
             for kind in KINDS}
    points = sum(sum(record["points"].values()) for record in whole.values())
    worst = ", ".join(f"{kind} {share:.2f} %" for kind, share in least.items())
    return [Claim(
        claim="Every line, branch and expression of the Verilog is run, and every bit changes both "
              "ways, but for what a proof shows to be impossible, and for few points by name",
        check="Verilator counts while every value is compared with golden; a point that is not "
              "reached is a failure unless a rule waives it, and rules have caps",
        figure=f"{len(whole)} configurations, {points:,} points; the least of them: {worst}"
               + (f"; rules without use: {', '.join(idle)}" if idle else ""),
        stage=STAGE,
        passed=bool(whole) and not idle
        and all(record["failure"] is None for record in records.values()))]


def section(records: dict) -> str:
    rows, rules = [], []
    for name, record in _whole(records).items():
        rows.append([f"`{name}`", *(
            f"{count(record['reached'][kind])} of {count(record['points'][kind])}; "
            f"{_share(record, kind):.2f} %" for kind in KINDS)])
        rules.append([f"`{name}`", *(
            ", ".join(f"{kind} {count(record['waived'].get(rule, {}).get(kind, 0))}"
                      for kind in RULES[rule].caps) for rule in RULES)])
    text = [
        "The core's own file under Verilator, built with counters, in the library that the "
        "campaign uses. The runs: the configuration's sequences and more random ones, inputs at "
        "the ends of their range with the signs of the weights, sequences that a search on golden "
        "has found to drive each value inside as far as it goes, pauses, resets, and words that "
        "break the protocol; all but the last are compared with golden. The status counters' high "
        "bits are counted from presets; what a preset itself changes is not counted, nor what "
        "changes in the cycles of the first reset. A share is of the points that no rule waives. "
        "Ten of the configurations have weights of another seed here than in the other parts, "
        "with which sums and values use their whole range, and `shallow-wide` has 15 neurons, so "
        "that its products know more than two weights; all else is the same. "
        "Verilator 5.48 counts bits of vectors wider than 64 bits that do not change; they are "
        "counted anew.",
        table(["configuration", *(f"<{kind}" for kind in KINDS)], rows),
        "Waivers are rules, in `tests/signoff/waivers.py`. All but the first two and the last are "
        "proofs about the gates that Yosys makes of the core, for all points at once: that a "
        "situation never is, whatever comes in. A SAT solver shows it by induction, from power-up "
        "on. What the induction needs to know of the control is found first, by going through "
        "every state that sequencer, drain, loader and output can reach, each with anything at its "
        "inputs, and behind a reset with anything in what it does not reset; the output with no "
        "more results than steps have started for. What hangs on the "
        "data of a pipeline's last cycles is shown over windows of cycles, in which products are "
        "known by their bounds alone.",
        "\n".join(f"- `{rule.name}`: {rule.reason}; at most "
                  + ", ".join(f"{cap} % of {kind}" for kind, cap in rule.caps.items())
                  for rule in RULES.values()),
        table(["configuration", *(f"<`{rule}`" for rule in RULES)], rules)]
    for name, record in _whole(records).items():
        if record["unreached"]:
            text.append(f"Not reached in `{name}`, {sum(record['missed'].values())} in all: "
                        + "; ".join(f"`{point}`" for point in record["unreached"]) + ".")
    return "\n\n".join(text)
