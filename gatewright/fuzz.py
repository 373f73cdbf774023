"""The fuzzer: files that are almost right, through the command line, until time is up.

    python -m gatewright.fuzz --seed 1 --minutes 10

Each case is drawn from the seed and its number alone. It must end with exit code 0, or 2 and one
line that names object, reason and remedy, in bounded time and memory, and with nothing written but
the output folder. What ends otherwise is kept, with the command that shows it again.
"""

import resource
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Annotated

import typer

from .fuzz_case import LIMIT_S, Outcome, run_case
from .fuzz_files import write_case

__all__ = ["main"]

LIMIT_BYTES = 1 << 30           # of address space that a case may add


def _work(pipe, seed: int, scratch: str) -> None:
    """In a worker: cases whose numbers come over the pipe, in bounded memory."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):    # the command would stop at them
        signal.signal(name, signal.SIG_IGN)
    tempfile.tempdir = scratch
    run_case(seed, 0, Path(tempfile.mkdtemp()))        # everything is imported now
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + LIMIT_BYTES,
                                            resource.getrlimit(resource.RLIMIT_AS)[1]))
    while True:
        try:
            index = pipe.recv()
        except (EOFError, OSError):    # whoever started this has gone
            return
        folder = Path(tempfile.mkdtemp())
        try:
            pipe.send(run_case(seed, index, folder))
        except Exception as error:
            pipe.send(Outcome(index=index, status=None, fault=f"{type(error).__name__}: {error}"))
        shutil.rmtree(folder, ignore_errors=True)


class _Worker:
    """A process with one case at a time; it may die, and is then replaced."""

    def __init__(self, seed: int, scratch: str):
        self.arguments, self.index = (seed, scratch), None
        self._start()

    def _start(self) -> None:
        self.pipe, theirs = get_context("spawn").Pipe()
        self.process = get_context("spawn").Process(target=_work, daemon=True,
                                                    args=(theirs, *self.arguments))
        self.process.start()
        theirs.close()

    def give(self, index: int) -> None:
        self.index, self.since = index, time.monotonic()
        with suppress(OSError):        # it died while it waited: ``take`` will tell
            self.pipe.send(index)

    def take(self) -> Outcome | None:
        """The outcome, if there is one; one is made up for a process that died or hangs."""
        try:
            if self.pipe.poll():
                return self.pipe.recv()
            fault = ""
        except (EOFError, OSError):
            self.process.join()
            fault = f"the process died ({self.process.exitcode})"
        if not fault and time.monotonic() < self.since + 3 * LIMIT_S:
            return None
        outcome = Outcome(index=self.index, status=None, fault=fault or "the process hangs")
        self.close()
        self._start()
        return outcome

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _fuzz(numbers, workers: list, end: float):
    """Outcomes of the cases ``numbers``, as they come, until there are no more or time is up."""
    busy = []
    while True:
        for worker in [worker for worker in workers if worker not in busy]:
            index = next(numbers, None) if time.monotonic() < end else None
            if index is not None:
                worker.give(index)
                busy.append(worker)
        if not busy:
            return
        connection.wait([worker.pipe for worker in busy], timeout=1.0)
        for worker in list(busy):
            if (outcome := worker.take()) is not None:
                busy.remove(worker)
                yield outcome


def main(
    seed: Annotated[int, typer.Option(min=0, help="Of everything.")] = 1,
    minutes: Annotated[float, typer.Option(min=0, help="Start nothing new after.")] = 10.0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    cases: Annotated[int, typer.Option(min=0, help="Stop after so many; 0: no limit.")] = 0,
    start: Annotated[int, typer.Option(min=0, help="First case.")] = 0,
    only: Annotated[int, typer.Option(help="This case alone, with what it prints.")] = -1,
    out: Annotated[Path, typer.Option(help="Where files that fail are kept.")]
    = Path("build/fuzz"),
) -> None:
    """Damaged models, data and options: no traceback, no other exit code than 0 or 2."""
    if only >= 0:
        folder = out / f"{seed}-{only}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        outcome = run_case(seed, only, folder)
        print(f"{outcome.said}\nexit code {outcome.status}, {outcome.seconds:.1f} s, files in "
              f"{folder}: {outcome.fault or 'as it should be'}")
        raise typer.Exit(1 if outcome.fault else 0)
    begun = time.monotonic()
    numbers = iter(range(start, start + cases) if cases else range(start, 1 << 62))
    done = refused = failed = 0
    slowest = Outcome(index=-1, status=None)
    with tempfile.TemporaryDirectory(prefix="gatewright-fuzz-") as scratch:
        workers = [_Worker(seed, scratch) for _ in range(jobs)]
        try:
            for outcome in _fuzz(numbers, workers, begun + 60 * minutes):
                done, refused = done + 1, refused + (outcome.status == 2)
                slowest = max(slowest, outcome, key=lambda o: o.seconds)
                if outcome.fault:
                    failed += 1
                    folder = out / f"{seed}-{outcome.index}"
                    folder.mkdir(parents=True, exist_ok=True)
                    write_case(seed, outcome.index, folder)
                    print(f"FAIL {outcome.index}: {outcome.fault}\n  files: {folder}; again: "
                          f"python -m gatewright.fuzz --seed {seed} --only {outcome.index}",
                          flush=True)
        finally:
            for worker in workers:
                worker.close()
    print(f"{done} cases of seed {seed} in {(time.monotonic() - begun) / 60:.1f} minutes: "
          f"{refused} refused, {done - refused - failed} accepted, slowest {slowest.seconds:.1f} s "
          f"(case {slowest.index}), {failed} failed")
    raise typer.Exit(1 if failed or not done else 0)


if __name__ == "__main__":
    typer.run(main)
