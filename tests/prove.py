"""All proofs, one after the other, and their table in docs/verification.md.

    python -m tests.prove [WORD]

With a word: only the proofs that have it in their names; the document stays as it is. Logs and
counterexamples are in build/prove.
"""

import shutil
import sys
from pathlib import Path

from bench.markdown import table
from synth.tools import find_tool
from tests.proofs import PROOFS
from tests.proofs.bench import Proof
from tests.proofs.yosys import Verdict, check

__all__ = ["DOCUMENT", "rewritten"]

ROOT = Path(__file__).parents[1]
DOCUMENT, BUILD = ROOT / "docs" / "verification.md", ROOT / "build" / "prove"
BEGIN, END = "<!-- proofs -->\n", "<!-- /proofs -->"
COLUMNS = ["module", "<shown for all inputs, in all cycles", "induction", "covers",
           "mutants refuted", "seconds"]


def _row(proof: Proof, verdict: Verdict) -> list:
    proved = str(verdict.length) if verdict.proved else "FAILED"
    covers = verdict.covers + len(verdict.missed)
    return [proof.name, proof.says, proved, f"{verdict.covers}/{covers}",
            f"{verdict.refuted}/{verdict.mutants}", f"{verdict.seconds:.1f}"]


def rewritten(text: str, rows: list, version: str) -> str:
    """The document with a new table between its marks; ValueError if they are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{DOCUMENT.name} must have the lines {BEGIN.strip()} and {END}")
    covers, refuted, mutants = (sum(int(cell.split("/")[k]) for cell in column)
                                for column, k in (([row[3] for row in rows], 0),
                                                  ([row[4] for row in rows], 0),
                                                  ([row[4] for row in rows], 1)))
    last = (f"{len(rows)} proofs, {covers} covers reached, {refuted} of {mutants} mutants refuted; "
            f"Yosys {version}.")
    return f"{before}{begin}{table(COLUMNS, rows)}\n\n{last}\n{end}{after}"


def main(word: str) -> int:
    """Exit status: 1 if a proof did not pass."""
    rows, failed = [], 0
    for proof in PROOFS:
        if word not in proof.name:
            continue
        folder = BUILD / "".join(c if c.isalnum() else "_" for c in proof.name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        verdict = check(proof, folder)
        failed += not verdict.passed
        rows.append(_row(proof, verdict))
        print("ok    " if verdict.passed else "FAILED", " | ".join(rows[-1]), flush=True)
        for name in verdict.missed:
            print(f"       not reached: {name}")
        for name in verdict.survivors:
            print(f"       not refuted: {name}")
        if verdict.trace:
            print(f"       counterexample: {folder / 'proof.log'}")
    if not word and not failed:
        version = find_tool("yosys", native=False).version
        DOCUMENT.write_text(rewritten(DOCUMENT.read_text(encoding="utf-8"), rows, version),
                            encoding="utf-8")
    print(f"{len(rows)} proofs, {failed} failed")
    return int(failed > 0 or not rows)


if __name__ == "__main__":
    sys.exit(main(*(sys.argv[1:2] or [""])))
