"""Output folders that cannot be made, and programs within the limits of a system; groups 57, 58."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import onnx_models as build
import pytest
from bad_files import QUANTISE, external, place, refused, weight
from commands import ROOT, Done, files, refusal

OUT = {
    "file": "'.*file': is a file; name a folder with --out",
    "foreign": "exists already; give another --out, or --force",
    "link": "is a symbolic link; name the folder itself", "dangling": "is a symbolic link",
    "loop": "is a symbolic link", "pipe": "is a file; name a folder", "/dev/null": "is a file",
    ".": "exists already", "..": "exists already", "/": "exists already", "": "exists already",
    "/proc/none": "cannot be made", "/sys/none": "cannot be made", "file/out": "is not a folder",
    "link/../file": "is a file", "a\0b": "'--out': .*null byte; see", "x" * 300: "cannot be made",
    "a/" * 2100 + "b": "cannot be made",
}


@pytest.mark.parametrize("force", [False, True], ids=["", "force"])
@pytest.mark.parametrize("out", OUT, ids=lambda out: repr(out)[:20])
def test_out(tmp_path, out, force):
    folder = place(tmp_path)
    (folder / "file").write_text("mine")
    (folder / "foreign").mkdir()
    (folder / "foreign" / "thesis.tex").write_text("mine")
    (folder / "link").symlink_to("foreign")
    (folder / "dangling").symlink_to("gone")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    said = OUT[out]
    if force and "exists already" in said:
        said = "was not made by gatewright, and will not be replaced; give another --out"
    refused(tmp_path, said, *QUANTISE[:-1], out, *["--force"] * force)


# ---- as programs of their own --------------------------------------------------------------------

def ended(folder, *words, limits="") -> Done:
    """A process within 4 GB of address space, and with the shell's limits given."""
    script = f"ulimit -v 4000000; {limits} exec \"$@\""
    process = subprocess.Popen(
        ["sh", "-c", script, "sh", sys.executable, "-P", "-m", "gatewright", *words], cwd=folder,
        text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(folder),
                          "OPENBLAS_NUM_THREADS": "1"})
    out, err = process.communicate(timeout=60)
    return Done(process.returncode, out, err)


def _bomb():
    """20 KB that ask for 8 GiB."""
    net = build.bare()
    names = [net.op("ConstantOfShape", net.ints(1 << 11, 1 << 11)) for _ in range(250)]
    net.output(net.op("Concat", *names, axis=0))
    return net


MODELS = {
    "empty": (b"", "is empty"), "truncated": (lambda: build.bare().model().SerializeToString()[:-9],
                                              "cut short or damaged"),
    "nodes": (lambda: b"\x08\x08\x3a\x80\x80\x80\x10" + b"\x0a\x00" * (16 << 20), "1048576 parts"),
    "tensors": (_bomb, "elements of all tensors to more than"),
    "dims": (lambda: weight(0, dims=[1 << 40, 1 << 40]), "elements, more than"),
}


@pytest.mark.parametrize("name", MODELS)
def test_model_in_a_process(tmp_path, name):
    make, said = MODELS[name]
    folder = place(tmp_path, make() if callable(make) else make)
    before = files(tmp_path)
    assert said in refusal(ended(folder, "import", "model.onnx"))
    assert files(tmp_path) == before


def test_import_writes_nothing(tmp_path):
    """Not for onnxruntime either, which likes to leave an identifier in the user's home."""
    folder = place(tmp_path)
    before = files(tmp_path)
    done = ended(folder, "import", "model.onnx")
    assert done.status == 0 and "float check: at most" in done.out and not done.err, done
    assert files(tmp_path) == before


def test_secret_in_a_process(tmp_path):
    folder = external(tmp_path, where="unused", location="../secret")
    (tmp_path / "secret").write_bytes(b"0123")
    before = files(tmp_path)
    done = ended(folder, "run", "model.onnx", "--calibration", "c.npy", "--inputs", "c.npy",
                 "--no-synth")
    assert "must be a file in the model's own folder" in refusal(done)
    assert files(tmp_path) == before


def test_pickle_in_a_process(tmp_path):
    folder = place(tmp_path)
    (folder / "c.npy").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    before = files(tmp_path)
    assert "not a NumPy array file" in refusal(ended(folder, *QUANTISE))
    assert files(tmp_path) == before


@pytest.mark.parametrize("blocks", [0, 1, 4])
def test_disk_is_full(tmp_path, blocks):
    """Files may grow to ``blocks`` x 512 bytes: the folder is whole, or not there."""
    folder = place(tmp_path)
    before = files(tmp_path)
    line = refusal(ended(folder, *QUANTISE, limits=f"ulimit -f {blocks};"))
    assert "File too large" in line and "space" in line, line
    assert files(tmp_path) == before


def test_screen_is_full(tmp_path):
    folder = place(tmp_path)
    with open("/dev/full", "w") as full:
        process = subprocess.run([sys.executable, "-P", "-m", "gatewright", "import", "model.onnx"],
                                 cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
                                 stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert "No space left" in refusal(Done(process.returncode, "", process.stderr))


# Everything is imported first: another user may not be able to read this machine's Python.
AS_NOBODY = """
import os, golden.quantise, gatewright.cli
if not os.geteuid():
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
gatewright.cli.main()
"""


@pytest.mark.parametrize("closed", ["model.onnx", "c.npy", "."])
def test_no_permission(closed):
    """As a user who may not read a file, or write into the folder."""
    with tempfile.TemporaryDirectory() as root:
        folder = place(Path(root))
        Path(root).chmod(0o777)
        (folder / closed).chmod(0o555 if closed == "." else 0)
        done = subprocess.run([sys.executable, "-P", "-c", AS_NOBODY, *QUANTISE], cwd=folder,
                              env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
                              text=True, timeout=60)
        (folder / closed).chmod(0o777)
        line = refusal(Done(done.returncode, done.stdout, done.stderr))
        said = "out': cannot be made .Permission denied" if closed == "." else f"'{closed}'"
        assert re.search(said, line), line
        assert {path.name for path in folder.iterdir()} == {"model.onnx", "c.npy"}
