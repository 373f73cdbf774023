"""The command: which parts, which cases, how many at once; see ``python -m bench --help``."""

import importlib
import os
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .store import CLONE, Store, surroundings

__all__ = ["OUT", "THREADS", "main", "run_part"]

OUT = Console(soft_wrap=True, highlight=False)
PARTS = ("grid", "deepbench", "routed", "cpu", "speed")  # in the order in which they are run
ALONE = ("cpu", "speed")  # what is timed runs with nothing beside it
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def _begin() -> None:
    """In a worker: Ctrl-C is for the parent, but no worker outlives it, nor a tool its worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=lambda: (parent_process().join(), os._exit(1)), daemon=True).start()


def _work(module: str, case: dict, old: dict | None, settings: dict, scratch: str) -> tuple:
    """In a worker: (record, seconds); whatever goes wrong is the record's failure."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        try:
            record = importlib.import_module(module).measure(case, Path(folder), old, settings)
        except Exception as error:  # one case never ends the others
            record = {"failure": f"{type(error).__name__}: {error}".splitlines()[0]}
    return record, time.monotonic() - begun


def run_part(part: str, chosen: list, store: Store, *, jobs: int, scratch: str, package: str,
             again: bool = False, settings: dict | None = None, where: dict) -> int:
    """Measure the chosen cases of a part, and keep each record as soon as it is there.

    Parameters
    ----------
    part : str
        Module of the package whose ``measure(case, folder, old, settings)`` makes the records, each
        with a "failure" in words or None.
    chosen : list of dict
        Cases, each with a "name".
    store : Store
    jobs : int
        Cases at once, each in a process of its own.
    scratch : str
        Existing folder for the cases' own folders.
    package : str
    again : bool
        Do not show a case what was measured of it before.
    settings : dict
        For ``measure``.
    where : dict
        See ``surroundings``.

    Returns
    -------
    int
        How many failed.
    """
    old, failed, settings = store.records(part), 0, settings or {}
    places = {name: record.pop("where") for name, record in old.items()}
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"),
                               initializer=_begin)
    try:
        waiting = {pool.submit(_work, f"{package}.{part}", case,
                               None if again else old.get(case["name"]), settings, scratch):
                   case["name"] for case in chosen}
        for number, future in enumerate(as_completed(waiting), 1):
            name = waiting[future]
            try:
                record, seconds = future.result()
            except BrokenProcessPool:
                record, seconds = {"failure": "the process died"}, 0.0
            known = not again and record == old.get(name)
            # What was measured before was measured there and then; but it holds for this commit.
            place = places[name] | {"commit": where["commit"]} if known else where
            store.put(part, name, record | {"where": place})
            failed += record["failure"] is not None
            said = record["failure"] or record.get("refused") or record.get("skipped") or (
                "as before" if known else "done")
            OUT.print(f"{part} {number}/{len(chosen)}: {name}: {said} ({seconds:.1f} s)",
                      markup=False)
    except BaseException:
        for worker in list((pool._processes or {}).values()):
            worker.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return failed


def main(
    parts: Annotated[list[str] | None, typer.Argument(
        help=f"Of {', '.join(PARTS)}; all by default.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Minutes instead of hours: few and small "
                                        "cases, into build/bench.")] = False,
    match: Annotated[str, typer.Option(help="Only cases whose name holds this.")] = "",
    show: Annotated[bool, typer.Option("--list", help="Name the cases and stop.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Cases at once; what is timed runs alone.")] = 2,
    again: Annotated[bool, typer.Option("--again", help="Measure what was measured before, "
                                        "too.")] = False,
    render: Annotated[bool, typer.Option("--render", help="Only write the document.")] = False,
    cycles: Annotated[int, typer.Option(min=0, help="To simulate of a case, about; 0: the "
                                        "part's own.")] = 0,
    weights: Annotated[int, typer.Option(min=0, help="Of the largest DeepBench row that is "
                                         "simulated as it is; 0: the part's own.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of benchmarks.json, benchmarks.md and "
                                             "the charts; docs by default.")] = None,
) -> None:
    """Measure, and write docs/benchmarks.md from what was measured.

    What was measured before is kept where the Verilog, the tools and the amount are the same.
    """
    from .document import write_document

    os.environ |= dict.fromkeys(THREADS, "1")  # of the workers
    folder = out or CLONE / ("build/bench" if quick else "docs")
    try:
        wanted = parts or list(PARTS)
        if unknown := [part for part in wanted if part not in PARTS]:
            raise ValueError(f"Parts must be among {', '.join(PARTS)}, not {unknown[0]!r}")
        store = Store(folder / "benchmarks.json")
    except ValueError as error:
        typer.echo(f"bench: {error}", err=True)
        raise typer.Exit(2) from None
    settings, failed, ran = {"cycles": cycles, "weights": weights}, 0, 0
    where = surroundings()
    with tempfile.TemporaryDirectory(prefix="gatewright-bench-") as scratch:
        for part in PARTS if not render else ():
            if part not in wanted:
                continue
            every = importlib.import_module(f"bench.{part}").cases(quick)
            chosen = [case for case in every if match in case["name"]]
            ran += len(chosen)
            if show:
                for case in chosen:
                    OUT.print(f"{part}: {case['name']}", markup=False)
                continue
            if chosen:
                failed += run_part(part, chosen, store, jobs=1 if part in ALONE else jobs,
                                   again=again, settings=settings, where=where, scratch=scratch,
                                   package="bench")
            store.arrange(part, [case["name"] for case in every])
    if not (ran or render):
        typer.echo(f"bench: no case holds {match!r}; --list names them", err=True)
        raise typer.Exit(2)
    if not show:
        for path in write_document(store, folder):
            OUT.print(f"wrote {path}", markup=False)
    raise typer.Exit(1 if failed else 0)
