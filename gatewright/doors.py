"""Every door: a model file of any kind that is read, as a float network.

ONNX files go to their importer as they are. PyTorch's and Keras's files are written down as an ONNX
model first, in a folder that goes away, and take the same way.
"""

import hashlib
import json
import stat
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from golden.network import FloatNetwork

from .door_keras import is_keras, keras_line
from .door_torch import Description, describe, line_of
from .door_torch_files import read_pt, read_safetensors
from .errors import GatewrightError, ImportRefused, quote
from .onnx_file import open_model
from .onnx_graph import Graph
from .onnx_import import import_onnx

__all__ = ["SUFFIXES", "import_lowered", "import_model", "onnx_form"]

SUFFIXES = (".onnx", ".keras", ".safetensors", ".pt", ".pth")
_keras_line = lru_cache(maxsize=1)(keras_line)     # one command needs the same file several times
MAX_FILE_BYTES = 256 << 20
MAX_TEXT_BYTES = 1 << 20


def import_model(path: Path | str, *, name: str | None = None,
                 weights: dict | None = None) -> FloatNetwork:
    """Read a trained recurrent network from a file of any kind.

    Parameters
    ----------
    path : Path or str
        .onnx; .keras; .safetensors, .pt or .pth with a PyTorch state dict, and beside it, where the
        state dict alone is not enough, STEM.layers.toml or STEM.layers.json (see
        ``door_torch.Description``). The content decides, not the suffix.
    name : str or None
        The network's name; made from the file's name if None.
    weights : dict of str to array, or None
        Of an .onnx file: values of graph inputs that are weights, by the inputs' names.

    Raises
    ------
    ImportRefused
        In one line: what is wrong with the file, or what in it is not supported.
    """
    path = Path(path)
    lowered = _lower(path)
    if lowered is None:
        return import_onnx(path, name=name, weights=weights)
    if weights:
        raise ImportRefused(quote(path, 200), "holds its weights itself",
                            "--weights is for .onnx files whose weights are graph inputs")
    made, notes, digest = lowered
    network = import_lowered(made, quote(path, 200), name or path.stem, source=path.name)
    return replace(network, model_sha256=digest, notes=(*notes, *network.notes))


def import_lowered(made: bytes, what: str, name: str, *, source: str = "") -> FloatNetwork:
    """A network from the ONNX translation of something else.

    Parameters
    ----------
    made : bytes
        Of an .onnx file.
    what : str
        What it was made from, for messages.
    name : str
    source : str
        A file's name, for the record.
    """
    with tempfile.TemporaryDirectory(prefix="gatewright-") as folder:
        file = Path(folder) / (source or "module")
        file.write_bytes(made)
        try:
            network = import_onnx(file, name=name)
        except ImportRefused as error:
            text = str(error).removeprefix(f"{quote(file, 200)}: ")
            raise ImportRefused(f"{what}: {text}") from None
    return network


@contextmanager
def onnx_form(path: Path | str, weights: dict | None = None) -> Iterator[Path]:
    """An .onnx file of the same network: the file itself, or a translation that goes away.

    Parameters
    ----------
    path, weights
        As for ``import_model``.

    Raises
    ------
    ImportRefused
        As ``import_model``.
    """
    path = Path(path)
    lowered = _lower(path)
    if lowered is None and weights:
        lowered = (Graph(open_model(path), weights).model().SerializeToString(),)
    if lowered is None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="gatewright-") as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(lowered[0])
        yield file


def _lower(path: Path) -> tuple | None:
    """(bytes of an .onnx file, notes, SHA-256 of all that was read); None for an ONNX file."""
    what, kind = quote(path, 200), _kind(path)
    if kind is None:
        return None
    try:
        return _translate(path, kind, path.read_bytes())
    except GatewrightError as error:
        text = str(error).removeprefix("the file: ")
        raise ImportRefused(f"{what}: {text}") from None
    except OSError as error:
        raise ImportRefused(what, f"cannot be read ({error.strerror})",
                            "check its permissions") from None
    except Exception as error:             # a damaged file must never end in a traceback
        raise ImportRefused(what, "cannot be read as a network "
                            f"({type(error).__name__}: {str(error)[:160]})",
                            "save the model again") from error


def _kind(path: Path) -> str | None:
    """Which door a file belongs to; None for ONNX, whose importer also tells what is unreadable."""
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode) or not info.st_size:
            return None
        with open(path, "rb") as file:
            head = file.read(16)
    except (OSError, ValueError):
        return None
    kind = None
    if head.startswith(b"PK"):
        kind = "archive"
    elif head.startswith(b"\x89HDF"):
        raise ImportRefused(quote(path, 200), "is an HDF5 file, as older Keras versions write",
                            "load it in Keras and save it with model.save('model.keras')")
    elif head[4:9] == b"\0\0\0\0{":
        kind = "safetensors"
    elif path.suffix.lower() in (".pt", ".pth", ".bin") and head.startswith(b"\x80"):
        kind = "pickle"
    elif path.suffix.lower() in SUFFIXES[1:]:
        raise ImportRefused(quote(path, 200), f"is not what its name says, a {path.suffix.lower()} "
                            "file, or is damaged", "save or download it again (behind git-LFS, "
                            "run `git lfs pull`)")
    if kind and info.st_size > MAX_FILE_BYTES:
        raise ImportRefused(quote(path, 200), f"has {info.st_size >> 20} MiB, more than the "
                            f"{MAX_FILE_BYTES >> 20} MiB that are read",
                            "no network of that size fits a device")
    return kind


def _translate(path: Path, kind: str, data: bytes) -> tuple:
    """(bytes of an ONNX file, notes, SHA-256 of all that was read)."""
    digest = hashlib.sha256(data)
    if kind == "archive" and (path.suffix.lower() == ".keras" or is_keras(data)):
        return *_keras_line(data), digest.hexdigest()
    read = read_safetensors if kind == "safetensors" else read_pt
    tensors, metadata = read(data)
    where, text, values = _side_file(path)
    if values is None and "gatewright" in metadata:
        where, values = "the metadata 'gatewright'", _parse(json.loads, metadata["gatewright"],
                                                            "the metadata 'gatewright'")
    digest.update(text)
    description = Description() if values is None else describe(values, where)
    return *line_of(tensors, description, where=where,
                    producer="PyTorch state dict"), digest.hexdigest()


def _side_file(path: Path) -> tuple:
    """(name, bytes, plain data or None) of the description beside a state dict."""
    found = [side for side in (path.with_name(f"{path.stem}.layers.toml"),
                               path.with_name(f"{path.stem}.layers.json")) if side.is_file()]
    if not found:
        return quote(f"{path.stem}.layers.toml"), b"", None
    side, what = found[0], quote(found[0].name)
    if len(found) > 1 or side.stat().st_size > MAX_TEXT_BYTES:
        raise ImportRefused(what, "is not the only description, or is far too large",
                            "keep one, with the layers in order")
    text = side.read_bytes()
    parse = tomllib.loads if side.suffix == ".toml" else json.loads
    return what, text, _parse(parse, text.decode("utf-8", "replace"), what)


def _parse(parse, text: str, what: str):
    try:
        return parse(text)
    except (ValueError, RecursionError) as error:
        raise ImportRefused(what, f"cannot be read ({str(error)[:80]})", "write it as "
                            'layers = ["name", "last", "name"]') from None
