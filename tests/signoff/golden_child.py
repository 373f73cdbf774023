"""Runs tests against changed files of golden: ``python -m tests.signoff.golden_child JOB``.

JOB is a JSON file: "module", "texts" (of it, changed), "tests" (paths, in this order), "seconds".
For each text a process is split off that has all but golden and the tests in memory; prints a line
for each: the first test that fails, "not imported", "no end", or nothing.
"""

import json
import os
import signal
import sys
from pathlib import Path

import hypothesis
import numpy  # noqa: F401
import pytest

from tests.patched import patched

PASSED, KILLED = 0, -signal.SIGALRM


class _First:
    """Writes the first failed test to a pipe."""

    def __init__(self, pipe: int):
        self._pipe = pipe

    def pytest_runtest_logreport(self, report):
        if report.failed:
            os.write(self._pipe, report.nodeid.rpartition("/")[2].encode())

    def pytest_collectreport(self, report):
        if report.failed:
            os.write(self._pipe, b"not imported")


def _child(job: dict, text: str, pipe: int) -> int:
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    signal.alarm(job["seconds"])
    # A counterexample is enough; a small one is for people.
    hypothesis.settings.register_profile("first", phases=[hypothesis.Phase.generate])
    hypothesis.settings.load_profile("first")
    with patched(job["module"], text):
        return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *job["tests"]],
                               plugins=[_First(pipe)]))


def main(path: Path) -> None:
    job = json.loads(path.read_text())
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # they want to be there before Hypothesis
    for text in job["texts"]:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            status = 1
            try:
                status = _child(job, text, writing)
            finally:
                os._exit(status)
        os.close(writing)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with os.fdopen(reading) as pipe:
            said = pipe.read()
        if status == KILLED:
            said = "no end"
        elif status != PASSED and not said:
            said = "not imported"
        print(said if status else "", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
