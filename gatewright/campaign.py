"""The campaign: random networks, generated, simulated and compared with golden, until time is up.

    python -m gatewright.campaign --minutes 60 --seed 1

Every configuration is a new network and a new core. Each output word, each h and c of each step and
the exact number of cycles are compared, without pauses, with pauses and behind resets. One line of
the result file is one configuration; a failure is shrunk, and its line says how to see it again.
"""

import json
import os
import shlex
import signal
import tempfile
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import sim
from sim.build import find_simulator

from .campaign_check import check, shrink
from .campaign_networks import Config, draw

__all__ = ["command", "main"]

OUT = Console(soft_wrap=True, highlight=False)
SUMS = ("steps", "words", "cycles", "runs", "resets", "simulating")


def _draw(seed: int, number: int) -> Config:
    """Configuration ``number``; every other one has cells that are out of the ordinary."""
    return draw(seed, number, special=number % 2 == 1)


def _begin() -> None:
    """In a worker: the campaign alone decides when it ends, but none outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=lambda: (parent_process().join(), os._exit(1)), daemon=True).start()


def _work(text: str, smaller: bool, scratch: str) -> dict:
    """In a worker: check a configuration, and shrink it if it fails."""
    simulator = find_simulator()
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        def failing(config: Config) -> str | None:
            return check(config, Path(folder), simulator=simulator).failure

        config = Config.from_json(text)
        record = check(config, Path(folder), simulator=simulator).record()
        if record["passed"] or not smaller:
            return record
        least, failure, trials = shrink(config, failing)
    return record | {"shrunk": least.to_json(), "shrunk_title": least.title,
                     "shrunk_failure": failure or record["failure"], "trials": trials}


def command(text: str) -> str:
    """What shows a configuration's runs again, from its JSON."""
    return f"python -m gatewright.campaign --only {shlex.quote(text)}"


def _tell(name: str, record: dict) -> None:
    """The line of a failure: what differs first, and how to see it again."""
    OUT.print(f"FAIL {name} ({record['title']}): {record['failure']}", markup=False)
    if "shrunk" in record:
        OUT.print(f"  smallest ({record['shrunk_title']}): {record['shrunk_failure']}",
                  markup=False)
    OUT.print(f"  again: {command(record.get('shrunk', record['config']))}", markup=False)


class _Pool:
    """Workers, each with one thread; a worker that dies is a failure of its configuration."""

    def __init__(self, jobs: int, smaller: bool, scratch: str):
        self.jobs, self.arguments = jobs, (smaller, scratch)
        self.waiting = {}
        self._open()

    def _open(self) -> None:
        self.pool = ProcessPoolExecutor(self.jobs, mp_context=get_context("spawn"),
                                        initializer=_begin)

    def submit(self, index, text: str) -> None:
        self.waiting[self.pool.submit(_work, text, *self.arguments)] = index, text

    def done(self, seconds: float):
        """(index, record) of what has finished by now, or in so many seconds."""
        finished, _ = wait(self.waiting, timeout=seconds, return_when=FIRST_COMPLETED)
        broken = False
        for future in finished:
            index, text = self.waiting.pop(future)
            try:
                yield index, future.result()
            except BrokenProcessPool:
                broken = True
                yield index, {"passed": False, "config": text, "failure": "the process died",
                              "title": Config.from_json(text).title} | dict.fromkeys(SUMS, 0)
        if broken:
            again, self.waiting = list(self.waiting.values()), {}
            self.pool.shutdown(wait=False)
            self._open()
            for entry in again:
                self.submit(*entry)

    def close(self) -> None:
        """End the workers, whatever they do."""
        workers = list((self.pool._processes or {}).values())
        self.pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.kill()


def _campaign(texts, pool: _Pool, *, end: float, of: str, log, tell) -> dict:
    """Run configurations ((index, text), ...) until there are no more or the time is up.

    Returns
    -------
    dict
        Configurations, failures, whether it was interrupted, and the sums of the records.
    """
    sums = dict.fromkeys(("configurations", "failed", "interrupted", *SUMS), 0)
    exhausted = False
    try:
        while True:
            while not exhausted and len(pool.waiting) < pool.jobs and time.monotonic() < end:
                entry = next(texts, None)
                exhausted = entry is None
                if not exhausted:
                    pool.submit(*entry)
            if not pool.waiting:
                return sums
            for index, record in pool.done(1.0):
                sums["configurations"] += 1
                sums["failed"] += not record["passed"]
                for name in SUMS:
                    sums[name] += record[name]
                log.write(json.dumps({"index": index, **record}) + "\n")
                log.flush()
                if not record["passed"]:
                    _tell(str(index), record)
            tell(f"{sums['configurations']} of {of}, {sums['steps']:,} steps, "
                 f"{sums['cycles']:,} cycles, {sums['failed']} failed")
    except KeyboardInterrupt:
        return sums | {"interrupted": 1}


def main(
    configs: Annotated[int, typer.Option(min=0, help="Stop after so many; 0: no limit.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of everything.")] = 1,
    minutes: Annotated[float, typer.Option(min=0, help="Start nothing new after.")] = 60.0,
    start: Annotated[int, typer.Option(min=0, help="First configuration.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    only: Annotated[str, typer.Option(help="One configuration: its number, or its JSON.")] = "",
    shrinking: Annotated[bool, typer.Option("--shrink/--no-shrink",
                                            help="Look for the smallest that fails.")] = True,
    out: Annotated[Path, typer.Option(help="Result file.")] = Path("build/campaign.jsonl"),
) -> None:
    """Random networks against golden, bit for bit and cycle for cycle."""
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # of the workers
    try:
        simulator = find_simulator()
        if only:
            config = _draw(seed, int(only)) if only.isdecimal() else Config.from_json(only)
            texts, configs = iter([(only if only.isdecimal() else "only", config.to_json())]), 1
        else:
            numbers = range(start, start + configs) if configs else range(start, 1 << 31)
            texts = ((k, _draw(seed, k).to_json()) for k in numbers)
        out.parent.mkdir(parents=True, exist_ok=True)
        log = out.open("w")
    except (ValueError, sim.ToolMissing, OSError) as error:
        typer.echo(f"campaign: {error}", err=True)
        raise typer.Exit(2) from None
    begun = time.monotonic()
    OUT.print(f"Campaign, seed {seed}, {simulator}, {jobs} process(es), up to "
              f"{minutes:g} minutes; results in {out}", markup=False)
    of = str(configs) if configs else f"what fits in {minutes:g} minutes"
    columns = (TextColumn("{task.fields[told]}"), BarColumn(), TimeElapsedColumn())
    with (tempfile.TemporaryDirectory(prefix="gatewright-campaign-") as scratch, log,
          Progress(*columns, console=OUT, transient=True) as progress):
        task = progress.add_task("", total=configs or None, told=of)
        pool = _Pool(jobs, shrinking, scratch)
        try:
            sums = _campaign(
                texts, pool, end=begun + 60 * minutes, of=of, log=log,
                tell=lambda text: progress.update(task, completed=int(text.split()[0]), told=text))
        finally:
            pool.close()
    OUT.print(
        f"{sums['configurations']} configurations, {sums['runs']} runs, {sums['resets']} resets, "
        f"{sums['steps']:,} network steps, {sums['words']:,} words compared, "
        f"{sums['cycles']:,} cycles ({sums['cycles'] / max(sums['simulating'], 1e-9):,.0f} a "
        f"second) in {(time.monotonic() - begun) / 60:.1f} minutes: {sums['failed']} failed"
        + (", interrupted" if sums["interrupted"] else ""), markup=False)
    if not sums["configurations"]:
        typer.echo("campaign: nothing was run; give it more --minutes", err=True)
        raise typer.Exit(2)
    raise typer.Exit(1 if sums["failed"] else 130 if sums["interrupted"] else 0)


if __name__ == "__main__":
    typer.run(main)
