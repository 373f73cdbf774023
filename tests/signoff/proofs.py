"""Part "proofs": properties of the engine's own modules for all inputs, in all cycles."""

from pathlib import Path

from bench.markdown import table
from synth.tools import find_tool
from tests.proofs import PROOFS
from tests.proofs.yosys import check

from .claims import Claim

__all__ = ["PER_CONFIGURATION", "STAGE", "TITLE", "cases", "claims", "measure", "section"]

TITLE = "Proofs"
STAGE, PER_CONFIGURATION = "V2", False


def cases(quick: bool) -> list:
    """Case by case: "name" of a proof."""
    return [{"name": proof.name} for proof in PROOFS if proof.quick or not quick]


def measure(case: dict, folder: Path, old: dict | None, settings: dict) -> dict:
    """Prove, reach the covers, refute the mutants."""
    proof = next(proof for proof in PROOFS if proof.name == case["name"])
    verdict = check(proof, folder)
    failure = None
    if not verdict.proved:
        failure = f"not proved: {verdict.trace}"
    elif verdict.missed or not verdict.covers:
        failure = f"in vain, not reached: {', '.join(verdict.missed) or 'no cover at all'}"
    elif not verdict.refuted:
        failure = "no mutant was refuted"
    return {"failure": failure, "says": proof.says, "length": verdict.length,
            "covers": verdict.covers, "refuted": verdict.refuted, "mutants": verdict.mutants,
            "harmless": verdict.harmless, "survivors": list(verdict.survivors),
            "seconds": round(verdict.seconds, 1),
            "yosys": find_tool("yosys", native=False).version}


def _sums(records: dict) -> tuple:
    return tuple(sum(record.get(key, 0) for record in records.values() if record["failure"] is None)
                 for key in ("covers", "refuted", "mutants", "harmless"))


def _left(records: dict) -> int:
    """Mutants of which nothing is shown."""
    return sum(len(record["survivors"]) for record in records.values()
               if record["failure"] is None)


def claims(records: dict) -> list:
    covers, refuted, mutants, harmless = _sums(records)
    return [Claim(
        claim="The engine's control, streams and arithmetic are right in all cycles, and for a "
              "reset in any of them",
        check="k-induction over each module as it is generated; covers reached; mutants refuted",
        figure=f"{len(records)} proofs, {covers} covers reached, {refuted} of {mutants} mutants "
               f"refuted by the claims alone, {harmless} shown to keep them all, "
               f"{_left(records)} left",
        stage=STAGE, passed=all(record["failure"] is None for record in records.values()))]


def section(records: dict) -> str:
    rows = []
    for name, record in records.items():
        if record["failure"] is None:
            rows.append([name, record["says"], str(record["length"]), str(record["covers"]),
                         f"{record['refuted']}/{record['mutants']}", str(record.get("harmless", 0)),
                         str(len(record["survivors"])), f"{record['seconds']:.1f}"])
    covers, refuted, mutants, harmless = _sums(records)
    versions = ", ".join(sorted({record["yosys"] for record in records.values()
                                 if record["failure"] is None}))
    return "\n\n".join((
        "A proof is k-induction by Yosys' SAT solver: no claim fails within k cycles of power-up, "
        "and none fails after k cycles, from whatever state, in which all held. So it holds in all "
        "cycles, and for a reset in any of them. The number in the column \"induction\" is k. "
        "Claims speak of ports; what is needed of the inside is shown along with them. Not in "
        "vain: each cover is a situation that is reached from power-up in a trace. Not toothless: "
        "a mutant is the module with one fault in its netlist, and is refuted by a trace from "
        "power-up in which a claim about the ports fails. Of one that is not, induction may show "
        "that it keeps all claims for ever: where these say all of an output, as for arithmetic, "
        "it is the same module. What is left is named in the results file.",
        table(["module", "<shown for all inputs, in all cycles", "induction", "covers reached",
               "mutants refuted", "shown to keep all claims", "left", "seconds"], rows),
        f"{len(rows)} proofs, {covers} covers reached, {refuted} of {mutants} mutants refuted, "
        f"{harmless} shown to keep all claims, {_left(records)} left; Yosys {versions}."))
