"""docs/verification.md: the test plan and every part's own section, from the results file alone."""

from importlib import import_module
from pathlib import Path

from bench.document import where_measured
from bench.markdown import table
from bench.store import Store

from .claims import failures
from .configurations import SMOKE

__all__ = ["COMMAND", "PARTS", "document", "load", "write_document"]

# In the order of the document. A part that is not there yet has no section.
PARTS = ("smoke", "stress", "opinions", "netlists", "arithmetic", "campaign", "proofs",
         "coverage", "functional", "mutants", "golden_mutants", "faults")
COMMAND = "python -m tests.signoff"
STAGES = ("V1", "V2", "V3")
HEAD = """# Verification

Written by `{command}` from the results file beside this document; no figure in it
is typed by hand. `make signoff` does all of it again, `make signoff PARTS="..."` some parts. A `+`
behind a commit says that sources differed from it.
"""
STAGE_TEXT = """Stages are those of OpenTitan's sign-off, for each named configuration of
`tests/signoff/configurations.py` on its own. V1: it is equal to golden. V2: so it is under every
pattern of back-pressure, behind resets, in other simulators and as a netlist. V3: what the checks
reach and what they would miss is measured as well. A stage is passed if every part of it, and of
those before it, has a record of the configuration, without a failure."""


def load(part: str):
    """The module of a part."""
    return import_module(f"{__package__}.{part}")


def _plan(parts: dict) -> str:
    """The test plan: claim, check, figure, command, stage."""
    rows = []
    for name, records in parts.items():
        for claim in load(name).claims(records) if records else ():
            figure = claim.figure if claim.passed else f"**FAILED** {claim.figure}"
            rows.append([claim.claim, claim.check, figure, f"`{COMMAND} {name}`", claim.stage])
    return table(["claim", "<check", "<figure", "<command", "<stage"], rows)


def _stages(parts: dict) -> str:
    """For each configuration, what it has passed."""
    by_stage = {stage: [name for name in parts if load(name).STAGE == stage] for stage in STAGES}
    rows = []
    for name, config in SMOKE.items():
        reached, cells, going = "–", [], True
        for stage in STAGES:
            missing = []
            for part in by_stage[stage]:
                own = {case: record for case, record in parts[part].items()
                       if record.get("configuration") == name}
                if load(part).PER_CONFIGURATION and (not own or failures(own)):
                    missing.append(part)
            if by_stage[stage] and not any(parts[part] for part in by_stage[stage]):
                missing = ["nothing recorded"]
            going = going and not missing
            reached = stage if going else reached
            cells.append("passed" if not missing else f"not: {', '.join(missing)}")
        rows.append([f"`{name}`", config.title, *cells, reached])
    return table(["configuration", "<network and array", *(f"<{s}" for s in STAGES), "<stage"],
                 rows)


def document(parts: dict) -> str:
    """The text, from part name -> case -> record."""
    text = [HEAD.format(command=COMMAND).strip(), "## Test plan", _plan(parts),
            "## Stages", STAGE_TEXT, _stages(parts)]
    for name, records in parts.items():
        if records:
            text += [f"## {load(name).TITLE}", load(name).section(records)]
            if failed := failures(records):
                text.append("\n".join(f"- **FAILED** {case}: {why}"
                                      for case, why in failed.items()))
            text.append(where_measured(records))
    return "\n\n".join(text) + "\n"


def write_document(store: Store, folder: Path) -> Path:
    """Write verification.md into a folder; its path."""
    path = Path(folder) / "verification.md"
    path.write_text(document({name: store.records(name) for name in PARTS}), encoding="utf-8")
    return path
