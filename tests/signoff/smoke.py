"""Part "smoke": each configuration under cocotb, as ``gatewright verify`` runs it, bit for bit."""

from pathlib import Path

from bench.markdown import count, table
from sim.verify import verify

from .claims import Claim
from .configurations import SMOKE, case_of

__all__ = ["PER_CONFIGURATION", "STAGE", "TITLE", "cases", "claims", "measure", "section"]

TITLE = "Equality"
STAGE, PER_CONFIGURATION = "V1", True
QUICK = ("gru", "shallow-wide")


def cases(quick: bool) -> list:
    """Case by case: "name", "configuration"."""
    return [{"name": name, "configuration": name} for name in (QUICK if quick else SMOKE)]


def measure(case: dict, folder: Path, old: dict | None, settings: dict) -> dict:
    """Every sequence without pauses, then behind a reset and with pauses on both streams."""
    made = case_of(case["configuration"])
    rtl = folder / f"{made.core.name}.v"
    rtl.write_text(made.core.verilog)
    given = made.stimulus(range(len(made.sequences)))
    result = verify(rtl, made.core.manifest, given, build_dir=folder, seed=settings["seed"])
    return {"failure": result.first_difference and result.first_difference["message"],
            "configuration": case["configuration"], "words": result.words, "steps": given.steps,
            "cycles": [result.cycles_predicted, result.cycles_measured],
            "verilog": made.core.verilog_sha256[:16], "simulator": result.simulator}


def claims(records: dict) -> list:
    words = sum(record["words"] for record in records.values() if record["failure"] is None)
    return [Claim(
        claim="The core is its golden model: every output word, every h and c of every step, and "
              "the number of cycles",
        check="integer equality under cocotb and Verilator, with counts on both sides, without "
              "pauses and with pauses behind a reset",
        figure=f"{len(records)} configurations, {words:,} values in each of two passes, cycles "
               "exact",
        stage=STAGE, passed=all(record["failure"] is None for record in records.values()))]


def section(records: dict) -> str:
    rows = [[f"`{name}`", count(record["steps"]), count(record["words"]),
             count(record["cycles"][0])]
            for name, record in records.items() if record["failure"] is None]
    return "\n\n".join((
        "The bench of `gatewright verify`: the Verilog under Verilator, driven by cocotb, once "
        "without pauses, and once with pauses on both streams behind a reset in mid-sequence. "
        "Cycles are predicted, and measured without a pause: both are the same.",
        table(["configuration", "steps", "values compared, a pass", "cycles"], rows)))
