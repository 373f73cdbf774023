"""The command: which parts, which cases, how many at once; see ``python -m tests.signoff --help``.
"""

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bench.run import OUT, THREADS, run_part
from bench.store import CLONE, Store, surroundings

from .document import PARTS, load, write_document


def main(
    parts: Annotated[list[str] | None, typer.Argument(
        help=f"Of {', '.join(PARTS)}; all by default.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few cases, into build/signoff.")] = False,
    match: Annotated[str, typer.Option(help="Only cases whose name holds this.")] = "",
    show: Annotated[bool, typer.Option("--list", help="Name the cases and stop.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Cases at once.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 1,
    again: Annotated[bool, typer.Option("--again", help="Also what has passed on the same "
                                        "sources.")] = False,
    missing: Annotated[bool, typer.Option("--missing", help="Only cases without a record, or with "
                                          "a failure: goes on where it was stopped.")] = False,
    render: Annotated[bool, typer.Option("--render", help="Only write the document.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of verification.json and "
                                             "verification.md; docs by default.")] = None,
) -> None:
    """Check what the README claims, and write docs/verification.md from what was seen."""
    os.environ |= dict.fromkeys(THREADS, "1")  # of the workers
    folder = out or CLONE / ("build/signoff" if quick else "docs")
    try:
        wanted = parts or list(PARTS)
        if unknown := [part for part in wanted if part not in PARTS]:
            raise ValueError(f"Parts must be among {', '.join(PARTS)}, not {unknown[0]!r}")
        store = Store(folder / "verification.json")
    except ValueError as error:
        typer.echo(f"signoff: {error}", err=True)
        raise typer.Exit(2) from None
    failed, ran, where = 0, 0, surroundings()
    with tempfile.TemporaryDirectory(prefix="gatewright-signoff-") as scratch:
        for part in PARTS if not render else ():
            if part not in wanted:
                continue
            every = load(part).cases(quick)
            known = store.records(part) if missing else {}
            chosen = [case for case in every if match in case["name"]
                      and known.get(case["name"], {"failure": ""})["failure"] is not None]
            ran += len(chosen)
            if show:
                for case in chosen:
                    OUT.print(f"{part}: {case['name']}", markup=False)
                continue
            if chosen:
                failed += run_part(part, chosen, store, jobs=jobs, package="tests.signoff",
                                   again=again, settings={"seed": seed}, where=where,
                                   scratch=scratch)
            store.arrange(part, [case["name"] for case in every])
    if not (ran or render):
        typer.echo(f"signoff: no case holds {match!r}; --list names them", err=True)
        raise typer.Exit(2)
    if not show:
        OUT.print(f"wrote {write_document(store, folder)}", markup=False)
    raise typer.Exit(1 if failed else 0)


if __name__ == "__main__":
    typer.run(main)
