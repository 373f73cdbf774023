"""Part "campaign": hundreds of random networks on random arrays, every value and every cycle.

A case is a share of the numbered configurations of ``gatewright.campaign``; a failure is shrunk
there, and its record says in one command how to see it again.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.markdown import count, table
from bench.store import CLONE
from gatewright.campaign import SUMS, command

from .claims import Claim

__all__ = ["PER_CONFIGURATION", "STAGE", "TITLE", "cases", "claims", "measure", "section"]

TITLE = "Campaign"
STAGE, PER_CONFIGURATION = "V2", False
CONFIGURATIONS, SHARE = 500, 25
LEAST = {"configurations": CONFIGURATIONS, "steps": 10_000_000}   # for the claim to hold
MINUTES = 60       # of a share, at the most


def cases(quick: bool) -> list:
    """Case by case: "name", "start", "configurations"."""
    if quick:
        return [{"name": "0 to 2", "start": 0, "configurations": 3}]
    return [{"name": f"{start} to {start + SHARE - 1}", "start": start, "configurations": SHARE}
            for start in range(0, CONFIGURATIONS, SHARE)]


def _failure(records: list, wanted: int) -> str | None:
    """What failed first, with its command; a share that is not whole is a failure as well."""
    for record in records:
        if not record["passed"]:
            return (f"{record['title']}: {record['failure']}; again: "
                    f"{command(record.get('shrunk', record['config']))}")
    return None if len(records) == wanted else f"only {len(records)} of {wanted} were run"


def measure(case: dict, folder: Path, old: dict | None, settings: dict) -> dict:
    """A share of a campaign, by the campaign's own command."""
    result = folder / "campaign.jsonl"
    subprocess.run(
        [sys.executable, "-m", "gatewright.campaign", "--seed", str(settings["seed"]), "--start",
         str(case["start"]), "--configs", str(case["configurations"]), "--minutes", str(MINUTES),
         "--out", str(result)], cwd=CLONE, env=dict(os.environ), stdin=subprocess.DEVNULL,
        capture_output=True, check=False)
    lines = result.read_text().splitlines() if result.is_file() else []
    records = [json.loads(line) for line in lines]
    sums = {name: sum(record[name] for record in records) for name in SUMS}
    return {"failure": _failure(records, case["configurations"]), "seed": settings["seed"],
            "configurations": len(records), **sums}


def _sums(records: dict) -> dict:
    return {name: sum(record[name] for record in records.values() if "steps" in record)
            for name in ("configurations", *SUMS)}


def claims(records: dict) -> list:
    sums = _sums(records)
    return [Claim(
        claim="The same holds for any network, array, width and pause that the tool accepts",
        check="random networks of every cell and option on random arrays, with random weights "
              "and tables, pauses on both streams, and resets in mid-sequence",
        figure=f"{sums['configurations']:,} configurations, {sums['steps']:,} network steps, "
               f"{sums['words']:,} values, {sums['resets']:,} resets, every cycle count exact",
        stage=STAGE, passed=all(record["failure"] is None for record in records.values())
        and all(sums[name] >= least for name, least in LEAST.items()))]


def section(records: dict) -> str:
    sums = _sums(records)
    seeds = ", ".join(sorted({str(record["seed"]) for record in records.values()
                              if "seed" in record}))
    shown = ("configurations", "runs", "steps", "words", "cycles", "resets")
    return "\n\n".join((
        f"Configurations of seed {seeds} of `python -m gatewright.campaign`: a network of random "
        "shape, cells, functions, formats and weights each, on a random array, device family and "
        "pipeline. Each is run without pauses, under five kinds of pauses, and behind resets at "
        "random cycles; every output word, every h and c of every step is compared, and without "
        "pauses the number of cycles. A failure is shrunk to the smallest network that still "
        "fails, and told with the command that shows it.",
        table(list(shown), [[count(sums[name]) for name in shown]])))
