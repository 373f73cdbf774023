"""Part "golden_mutants": changes in golden's own arithmetic, each told by the tests of golden."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from bench.markdown import table
from bench.store import CLONE
from tests.patched import source_of

from .claims import Claim
from .golden_reasons import REASONS
from .golden_sources import changes_of

__all__ = ["PER_CONFIGURATION", "STAGE", "TITLE", "cases", "claims", "measure", "section"]

TITLE = "Mutants of golden"
STAGE, PER_CONFIGURATION = "V3", False
MUTANTS = 50   # of a file, drawn
QUICK = 6
SECONDS = 120  # after which a changed golden is taken to have no end
MOST_REASONS = 40
# File -> the tests that are likeliest to tell; the others come after them.
FILES = {"fixed": ("fixed", "model"), "model": ("model", "lengths"), "cells": ("cells", "model"),
         "functions": ("curves", "model"), "tables": ("tables",), "curves": ("curves",),
         "pool": ("pool", "lengths"), "lengths": ("lengths",), "reads": ("reverse", "model")}
TESTS = ("fixed", "cells", "lengths", "pool", "reverse", "counts", "model", "curves", "tables",
         "quantise")


def cases(quick: bool) -> list:
    """Case by case: "name" of a file, "mutants"."""
    return [{"name": name, "mutants": QUICK if quick else MUTANTS}
            for name in (("fixed", "reads") if quick else FILES)]


def measure(case: dict, folder: Path, old: dict | None, settings: dict) -> dict:
    """Change the file, run the tests until one fails, again and again."""
    name = case["name"]
    module = f"golden.{name}"
    source = source_of(module).read_text(encoding="utf-8")
    changes = changes_of(source, case["mutants"], settings["seed"])
    tests = [f"tests/test_golden_{part}.py" for part in dict.fromkeys((*FILES[name], *TESTS))]
    job = folder / "job.json"
    texts = [source, *(change.text for change in changes)]
    job.write_text(json.dumps({"module": module, "texts": texts,
                               "tests": tests, "seconds": SECONDS}))
    done = subprocess.run([sys.executable, "-m", "tests.signoff.golden_child", job], cwd=CLONE,
                          capture_output=True, text=True, check=False)
    unchanged, *told = done.stdout.split("\n")[:-1] or ["no answer"]
    if unchanged or len(told) != len(changes):
        raise RuntimeError(f"Golden as it is: {unchanged or 'passes'}; {len(told)} answers to "
                           f"{len(changes)} changes: {done.stderr[-300:]}")
    quiet = [change.name for change, test in zip(changes, told, strict=True) if not test]
    same = {change: REASONS[name][change] for change in quiet if change in REASONS.get(name, {})}
    left = [change for change in quiet if change not in same]
    return {"failure": f"told by no test: {'; '.join(left)}" if left else None,
            "mutants": len(changes), "told": len(changes) - len(quiet), "same": same, "left": left,
            "by": Counter(test.partition("[")[0] for test in told if test)}


def _sums(records: dict) -> Counter:
    sums = Counter()
    for record in records.values():
        if "told" in record:
            sums.update({"mutants": record["mutants"], "told": record["told"],
                         "same": len(record["same"]), "left": len(record["left"])})
    return sums


def claims(records: dict) -> list:
    sums = _sums(records)
    few = sums["same"] <= MOST_REASONS and records.keys() == FILES.keys()
    return [Claim(
        claim="Golden's own tests, most of them independent models of its arithmetic, see what "
              "changes it",
        check="changes of operators, constants, comparisons, minima and maxima, and narrowing left "
              "out, drawn from each of golden's files; the tests are run on each",
        figure=f"{sums['mutants']} changes in {len(records)} files: {sums['told']} told, "
               f"{sums['same']} that change no result (reasons by name, {MOST_REASONS} at most), "
               f"{sums['left']} left",
        stage=STAGE,
        passed=few and all(record["failure"] is None for record in records.values()))]


def section(records: dict) -> str:
    rows = [[f"`golden/{name}.py`", str(r["mutants"]), str(r["told"]), str(len(r["same"])),
             str(len(r["left"]))] for name, r in records.items() if "told" in r]
    reasons = [f"- `golden/{name}.py`: `{change}`: {why}" for name, record in records.items()
               for change, why in record.get("same", {}).items()]
    return "\n\n".join(filter(None, (
        "A change is one operator, constant, comparison or call of a file of golden, drawn from "
        "all there are. The tests of golden run on it until one fails. Those that no test tells "
        "change no result; why, stands here:", "\n".join(reasons),
        table(["file", "changes", "told", "change nothing", "left"], rows))))
