"""One case of the fuzzer: the command line in this process, and a verdict on how it ended."""

import contextlib
import io
import re
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from . import cli
from .fuzz_files import write_case

__all__ = ["LIMIT_S", "Outcome", "run_case"]

LIMIT_S = 20                    # of one case


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a case ended.

    Parameters
    ----------
    index : int
    status : int or None
        Exit code; None where the process died or was stopped.
    said : str
        The line of a refusal.
    fault : str
        What is wrong with this end; empty: nothing.
    seconds : float
    """

    index: int
    status: int | None
    said: str = ""
    fault: str = ""
    seconds: float = 0.0


class _TooSlow(BaseException):
    """No ``except Exception`` may take it for a damaged file."""


def _alarm(*_):
    raise _TooSlow


def _call(words: list, folder: Path) -> tuple:
    """(exit code, standard error) of ``gatewright words...`` in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in "oe")
    argv, sys.argv = sys.argv, ["gatewright", *words]
    kept = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with (contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
              contextlib.chdir(folder)):
            cli.main()
    except SystemExit as end:
        return end.code, err.buffer.getvalue().decode()
    finally:
        sys.argv = argv
        for name, handler in kept.items():
            signal.signal(name, handler)
    raise AssertionError("the entry point returned")


def _judge(status: int, err: str, made: set) -> str:
    """What is wrong with how a command ended and what it made; empty: nothing."""
    if status not in (0, 2):
        return f"exit code {status}: {err.strip()[-300:]}"
    if status == 2:
        if not re.fullmatch(r"error: [^\n]+(; |: install )[^\n]+\n", err):
            return f"not one line with a remedy: {err[:300]!r}"
        if re.search("cannot be read as a network|please report", err):
            return f"nobody expected this: {err.strip()[:300]}"
    elif err:
        return f"done, but it said {err[:300]!r}"
    if strange := made - {"out"}:
        return f"left behind: {sorted(strange)}"
    return ""


def run_case(seed: int, index: int, folder: Path) -> Outcome:
    """Run one case in this process, in the empty ``folder``; its files stay there."""
    commands = write_case(seed, index, folder)
    before = {path.name for path in folder.iterdir()}
    start = time.monotonic()
    kept = signal.signal(signal.SIGALRM, _alarm)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    status, said = None, ""
    try:
        for words in commands:
            status, said = _call(words, folder)
            made = {path.name for path in folder.iterdir()} - before
            fault = _judge(status, said, made)
            if fault or status:
                break
    except _TooSlow:
        status, fault = None, f"not done in {LIMIT_S} s"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, kept)
    return Outcome(index=index, status=status, said=said.strip(), fault=fault,
                   seconds=time.monotonic() - start)
