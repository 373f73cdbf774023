"""Output folders: complete or not there at all, and nothing of the user's is lost."""

import ctypes
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from .errors import GatewrightError, quote

__all__ = ["new_folder", "project_folder", "read_json", "write_json", "write_text"]

MARKER = "network.npz"  # what every folder of ours holds


def _exchange(a: Path, b: Path) -> bool:
    """Swap two folders in one system call; False where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename(here, os.fsencode(a), here, os.fsencode(b), exchange) == 0


def check_target(path: Path, force: bool) -> None:
    """Refuse a target that must not be written, before any work is done."""
    what = quote(path, 200)
    if path.is_symlink():
        raise GatewrightError(what, "is a symbolic link", "name the folder itself")
    if path.exists() and not path.is_dir():
        raise GatewrightError(what, "is a file", "name a folder")
    if path.is_dir() and any(path.iterdir()):
        if not force:
            raise GatewrightError(what, "exists already",
                                  "give another --out, or --force to replace it")
        if not (path / MARKER).is_file():
            raise GatewrightError(what, "was not made by gatewright", "it will not be replaced; "
                                  "give another --out")
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise GatewrightError(what, f"{quote(parent, 200)} is not a folder that can be written",
                              "give another --out")


@contextmanager
def new_folder(path: Path | str, *, force: bool = False):
    """A folder to fill; it gets its name only when the block ends without an error.

    Parameters
    ----------
    path : Path or str
    force : bool
        Replace an existing folder that gatewright made, in one step, once the new one is complete.

    Raises
    ------
    GatewrightError
        If the folder exists and may not be replaced, or cannot be written.
    """
    path = Path(os.path.abspath(path))
    check_target(path, force)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        scratch.chmod(0o755)
        yield scratch
        check_target(path, force)  # somebody else may have been quicker
        if not path.exists() or not any(path.iterdir()):
            os.replace(scratch, path)
        elif not _exchange(scratch, path):
            aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
            os.replace(path, aside / "old")
            os.replace(scratch, path)
            shutil.rmtree(aside)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def project_folder(path: Path | str) -> Path:
    """An existing folder of ours."""
    path = Path(path)
    if path.suffix.lower() == ".onnx":
        raise GatewrightError(quote(path, 200), "is a model, not a folder with a quantised network",
                              f"first 'gatewright quantise {path} --calibration C.npy --out DIR'")
    if not path.is_dir():
        raise GatewrightError(quote(path, 200), "is not a folder",
                              "make one with 'gatewright quantise' or 'gatewright run'")
    if not (path / MARKER).is_file():
        raise GatewrightError(quote(path, 200), f"holds no quantised network ({MARKER})",
                              "make one with 'gatewright quantise' or 'gatewright run'")
    return path


def write_text(path: Path, text: str) -> None:
    """Write a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(scratch, 0o644)
        os.replace(scratch, path)
    except BaseException:
        os.unlink(scratch)
        raise


def write_json(path: Path, value) -> None:
    """Write JSON in one step; keys keep their order."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path, remedy: str) -> dict:
    """Read JSON that a step before must have written."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GatewrightError(quote(path, 200), "is missing", remedy) from None
    except (OSError, ValueError) as error:
        raise GatewrightError(quote(path, 200), f"cannot be read ({type(error).__name__})",
                              remedy) from None
