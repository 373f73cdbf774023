"""Run ``gatewright`` as a user does, in this process (quick) or as a program of its own."""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

import gatewright
from gatewright import cli

ROOT = Path(gatewright.__file__).parent.parent
RNN = ROOT / "examples" / "digits_rnn"
WIDTH = 80  # of the terminal


class Done(NamedTuple):
    """Exit status, and what was printed."""

    status: int
    out: str
    err: str


def _stream():
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n", write_through=True)


def command(*words, cwd: Path | None = None) -> Done:
    """``gatewright words...`` through its entry point, in this process."""
    out, err = _stream(), _stream()
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM,
                                                            signal.SIGHUP)}
    argv, columns = sys.argv, os.environ.get("COLUMNS")
    sys.argv, os.environ["COLUMNS"] = ["gatewright", *map(str, words)], str(WIDTH)
    try:
        with (contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
              contextlib.chdir(cwd or Path.cwd())):
            try:
                cli.main()
            except SystemExit as end:
                status = end.code
    finally:
        sys.argv = argv
        os.environ.pop("COLUMNS")
        if columns is not None:
            os.environ["COLUMNS"] = columns
        for number, handler in kept.items():
            signal.signal(number, handler)
    return Done(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))


def program(*words, cwd: Path, **env) -> subprocess.Popen:
    """The same as a process of its own, which hears Ctrl-C even if the tests run in background."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "gatewright", *map(str, words)], cwd=cwd, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": str(WIDTH)} | env,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def files(folder: Path) -> dict:
    """Every file below a folder with its bytes; hidden ones too, folders as None."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in sorted(folder.rglob("*"))}


def example(folder: Path, *, calibration: int = 16, sequences: int = 12) -> Path:
    """The tanh RNN with few sequences and their labels: model.onnx, c.npy, x.npy, labels.npy."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(RNN / "model.onnx", folder)
    np.save(folder / "c.npy", np.load(RNN / "calib_inputs.npy")[:calibration])
    np.save(folder / "x.npy", np.load(RNN / "inputs.npy")[:sequences])
    np.save(folder / "labels.npy", np.load(RNN / "labels.npy")[:sequences])
    return folder


def refusal(done: Done) -> str:
    """The one line of a refusal: exit code 2, object: reason; remedy."""
    assert done.status == 2, done
    assert "Traceback" not in done.out + done.err
    lines = done.err.splitlines()
    assert len(lines) == 1 and done.err.endswith("\n"), done.err
    line = lines[0]
    assert line.startswith("error: ") and ("; " in line or ": install " in line), line
    assert all(c.isprintable() for c in line), line
    return line


def unchanged(folder, *words, **more) -> str:
    """The refusal of a command, which must leave every file as it was."""
    before = files(folder)
    line = refusal(command(*words, cwd=folder, **more))
    assert files(folder) == before
    return line


def full(**changes):
    """Words of a whole run, with some of them other than they should be."""
    words = {"model": "model.onnx", "--calibration": "c.npy", "--inputs": "x.npy", "--out": "out"}
    words |= changes
    model = words.pop("model")
    return ["run", model, "--no-synth", *(w for pair in words.items() for w in map(str, pair))]
