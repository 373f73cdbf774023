"""Output folders: complete or not there at all, and nothing of the user's is lost."""

import ctypes
import json
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

from .doors import SUFFIXES
from .errors import GatewrightError, quote

__all__ = ["check_target", "is_free", "new_folder", "project_folder", "read_json", "write_json",
           "write_text"]

MARKER = "network.npz"  # what every folder of ours holds


def _exchange(a: Path, b: Path) -> bool:
    """Swap two folders in one system call; False where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename(here, os.fsencode(a), here, os.fsencode(b), exchange) == 0


def _permit(path: Path | str, mode: int) -> None:
    """Give what tempfile made for its owner alone the mode that any new file would have."""
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(path, mode & ~mask)


def is_free(path: Path) -> bool:
    """Whether a new folder replaces nothing: no such name, or an empty folder."""
    return not os.path.lexists(path) or (path.is_dir() and not path.is_symlink()
                                         and not any(path.iterdir()))


def check_target(path: Path, force: bool) -> None:
    """Refuse a target that must not be written, before any work is done."""
    what = quote(path, 200)
    if path.is_symlink():
        raise GatewrightError(what, "is a symbolic link", "name the folder itself")
    if path.exists() and not path.is_dir():
        raise GatewrightError(what, "is a file", "name a folder with --out")
    if not is_free(path):
        if not force:
            raise GatewrightError(what, "exists already",
                                  "give another --out, or --force to replace it")
        if not (path / MARKER).is_file():
            raise GatewrightError(what, "was not made by gatewright, and will not be replaced",
                                  "give another --out")
    above = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if not above.is_dir():
        raise GatewrightError(what, f"{quote(above, 200)} is not a folder", "give another --out")


def _put(scratch: Path, path: Path, force: bool) -> None:
    """Give the complete folder its name; what had it is then at ``scratch``, or gone."""
    check_target(path, force)  # somebody else may have been quicker
    if is_free(path):
        try:
            os.replace(scratch, path)
        except OSError:
            check_target(path, force)  # quicker still
            raise
    elif not _exchange(scratch, path):
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.old.", dir=path.parent))
        try:
            os.replace(path, aside / "old")
            try:
                os.replace(scratch, path)
            except BaseException:
                os.replace(aside / "old", path)
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)


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
    made, scratch = [], None
    try:
        check_target(path, force)
        made = [parent for parent in path.parents if not parent.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", dir=path.parent))
        _permit(scratch, 0o777)
    except OSError as error:
        _remove(scratch, made)
        raise GatewrightError(quote(path, 200), f"cannot be made ({error.strerror})",
                              "give another --out") from None
    try:
        yield scratch
        _put(scratch, path, force)
    except BaseException:
        _remove(scratch, made)
        raise
    _remove(scratch, [])  # the old folder, if it was replaced


def _remove(scratch: Path | None, made: list) -> None:
    if scratch is not None:
        shutil.rmtree(scratch, ignore_errors=True)
    for parent in made:
        with suppress(OSError):  # not made yet, or somebody uses it
            parent.rmdir()


def project_folder(path: Path | str) -> Path:
    """An existing folder of ours."""
    path = Path(path)
    if path.suffix.lower() in SUFFIXES:
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
    handle, scratch = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        _permit(scratch, 0o666)
        os.replace(scratch, path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def write_json(path: Path, value) -> None:
    """Write JSON in one step; keys keep their order."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path, remedy: str) -> dict:
    """Read a JSON object that a step before must have written."""
    what = quote(path, 200)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GatewrightError(what, "is missing", remedy) from None
    except (OSError, ValueError, RecursionError) as error:
        raise GatewrightError(what, f"cannot be read ({type(error).__name__})",
                              remedy) from None
    if not isinstance(value, dict):
        raise GatewrightError(what, "is not what gatewright writes", remedy)
    return value
