"""Read an ONNX file that may be damaged or hostile: bytes in, a checked ``onnx.ModelProto`` out.

The ONNX checker accepts about half of the files that have to be refused here, and its external
data loader has had several path bugs, so sizes, types and links are checked by own code before
anything is allocated or opened.
"""

import hashlib
import math
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from google.protobuf import unknown_fields

from .errors import GatewrightError, ImportRefused, quote

__all__ = ["MAX_ELEMENTS", "ModelFile", "open_model"]

MAX_FILE_BYTES = 256 << 20
MAX_ELEMENTS = 1 << 24          # of one tensor; the largest network that fits a device is far below
MAX_RANK = 8
MIN_OPSET = 7
MIN_IR = 3

_T = onnx.TensorProto
_FLOATS = {_T.FLOAT: 4, _T.DOUBLE: 8, _T.FLOAT16: 2}
_OTHERS = {_T.INT64: 8, _T.INT32: 4, _T.BOOL: 1, _T.UINT8: 1, _T.INT8: 1, _T.INT16: 2,
           _T.UINT16: 2}
_SIZES = _FLOATS | _OTHERS
_FIELDS = {_T.FLOAT: "float_data", _T.DOUBLE: "double_data", _T.INT64: "int64_data"}

_KINDS = (
    (b"version https://git-lfs", "a git-LFS pointer, not the model itself", "run `git lfs pull`"),
    (b"PK\x03\x04", "a zip archive, as .pt and .keras files are", "export the model to ONNX"),
    (b"\x89HDF", "an HDF5 file, as .h5 weights are", "export the model to ONNX"),
    (b"\x80\x02", "a Python pickle", "export the model to ONNX"),
    (b"\x1f\x8b", "compressed by gzip", "decompress it"),
)


def _regular(path: Path, what: str) -> os.stat_result:
    """Status of a plain file; anything else is refused before it is opened."""
    try:
        info = path.stat()
    except FileNotFoundError:
        raise ImportRefused(what, "no such file", "check the path") from None
    except (OSError, ValueError) as error:
        raise ImportRefused(what, f"cannot be read ({error})", "check the path") from None
    if stat.S_ISDIR(info.st_mode):
        raise ImportRefused(what, "is a folder", "give the .onnx file in it")
    if not stat.S_ISREG(info.st_mode):
        raise ImportRefused(what, "is not a regular file", "give a plain .onnx file")
    return info


def _read(path: Path, what: str) -> bytes:
    size = _regular(path, what).st_size
    if size == 0:
        raise ImportRefused(what, "is empty", "export the model again")
    if size > MAX_FILE_BYTES:
        raise ImportRefused(what, f"has {size >> 20} MiB, more than the {MAX_FILE_BYTES >> 20} MiB "
                            "that are read", "no network of that size fits a device")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImportRefused(what, f"cannot be read ({error.strerror})",
                            "check its permissions") from None
    for magic, reason, remedy in _KINDS:
        if data.startswith(magic):
            raise ImportRefused(what, f"is {reason}", remedy)
    head = data[:64].lstrip().lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ImportRefused(what, "is a web page, not an ONNX model",
                            "download the file itself, not the page that shows it")
    return data


@dataclass(kw_only=True)
class ModelFile:
    """A parsed file and the only way to its tensors.

    Parameters
    ----------
    path : Path
    model : onnx.ModelProto
    opset : int
        Of the default domain.
    digest
        SHA-256 over the file and every external tensor read so far.
    notes : list of str
    """

    path: Path
    model: onnx.ModelProto
    opset: int
    digest: "hashlib._Hash"
    notes: list = field(default_factory=list)

    @property
    def producer(self) -> str:
        """Name and version of the program that wrote the file."""
        return f"{self.model.producer_name} {self.model.producer_version}".strip()[:80]

    def tensor(self, proto: onnx.TensorProto, what: str) -> np.ndarray:
        """The values of a tensor, after its type, its size and its bytes have been checked."""
        dims, kind = list(proto.dims), proto.data_type
        if kind not in _SIZES:
            known = kind in _T.DataType.values()
            raise ImportRefused(what, f"has type {_T.DataType.Name(kind) if known else kind}",
                                "export it as float32 (weights) or int64 (shapes)")
        if kind in (_T.FLOAT16, _T.DOUBLE):
            self.notes.append(f"Weights stored as {_T.DataType.Name(kind).lower()} were read as "
                              "they are, not rounded to float32.")
        if len(dims) > MAX_RANK or any(d < 0 for d in dims):
            raise ImportRefused(what, f"has dimensions {dims[:MAX_RANK + 1]}",
                                f"at most {MAX_RANK}, none negative, are possible")
        count = math.prod(dims)
        if count > MAX_ELEMENTS:
            raise ImportRefused(what, f"has {count} elements, more than {MAX_ELEMENTS}",
                                "no network of that size fits a device")
        if proto.HasField("segment"):
            raise ImportRefused(what, "is stored in segments", "export the model again")
        if proto.data_location == _T.EXTERNAL:
            return self._external(proto, what, count * _SIZES[kind], dims)
        name = _FIELDS.get(kind, "int32_data")
        typed, raw = len(getattr(proto, name)), proto.HasField("raw_data")
        if typed and raw:
            raise ImportRefused(what, "holds its values twice (raw_data and typed data)",
                                "export the model again")
        have = len(proto.raw_data) if raw else typed
        need = count * _SIZES[kind] if raw else count
        if have != need:
            unit = "bytes" if raw else "values"
            raise ImportRefused(what, f"has dimensions {dims} and {have} {unit}, not {need}",
                                "the file is damaged: export the model again")
        return np.array(onnx.numpy_helper.to_array(proto))

    def _external(self, proto, what: str, need: int, dims: list) -> np.ndarray:
        """Values from the sidecar file: a plain file beside the model, and nothing else."""
        keys = [entry.key for entry in proto.external_data]
        info = {entry.key: entry.value for entry in proto.external_data}
        if len(keys) != len(info) or set(keys) - {"location", "offset", "length", "checksum"}:
            raise ImportRefused(what, f"has external data with the keys {sorted(keys)[:8]}",
                                "export the model with its weights inside")
        location = info.get("location", "")
        if location in ("", ".", "..") or "\0" in location or re.search(r"[/\\]", location):
            raise ImportRefused(what, f"has its data in {quote(location)}",
                                "external data must be a file in the model's own folder")
        side = self.path.parent / location
        label = f"{what}, external data {quote(location)}"
        offset, length = info.get("offset", "0"), info.get("length", str(need))
        if not all(re.fullmatch(r"[0-9]{1,18}", number) for number in (offset, length)):
            raise ImportRefused(label, f"offset {quote(offset)}, length {quote(length)}",
                                "both must be whole numbers")
        offset, length = int(offset), int(length)
        if length != need:
            raise ImportRefused(label, f"has {length} bytes for dimensions {dims}, not {need}",
                                "export the model again")
        try:
            entry = side.lstat()
        except OSError:
            raise ImportRefused(label, "the file is missing",
                                f"put {quote(location)} beside the model, or export with "
                                "external_data=False") from None
        if not stat.S_ISREG(entry.st_mode) or entry.st_nlink != 1:
            raise ImportRefused(label, "is not a plain file of its own (a link or a device)",
                                "copy the file itself beside the model")
        with open(os.open(side, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
            if not os.path.samestat(entry, os.fstat(file.fileno())):
                raise ImportRefused(label, "changed while it was read", "try again")
            if offset + length > entry.st_size:
                raise ImportRefused(label, f"has {entry.st_size} bytes, but bytes {offset} to "
                                    f"{offset + length} are wanted", "the file is cut short")
            file.seek(offset)
            data = file.read(length)
        self.digest.update(data)
        whole = onnx.TensorProto(data_type=proto.data_type, dims=dims, raw_data=data)
        return np.array(onnx.numpy_helper.to_array(whole))


def _versions(model: onnx.ModelProto, what: str) -> int:
    """The default domain's opset, after the versions have been checked."""
    if not MIN_IR <= model.ir_version <= onnx.IR_VERSION:
        raise ImportRefused(what, f"has IR version {model.ir_version}",
                            f"versions {MIN_IR} to {onnx.IR_VERSION} are read")
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    if len(versions) != 1:
        raise ImportRefused(what, f"names {len(versions)} versions of the ONNX operator set",
                            "it must name one: export the model again")
    newest = onnx.defs.onnx_opset_version()
    if not MIN_OPSET <= versions[0] <= newest:
        raise ImportRefused(what, f"uses opset {versions[0]}",
                            f"opsets {MIN_OPSET} to {newest} are read: export with one of them")
    return versions[0]


def _strings(model: onnx.ModelProto, what: str):
    """Refuse names that are not UTF-8: protobuf hands them out as bytes."""
    graph = model.graph
    names = [model.producer_name, model.producer_version]
    for part in (graph.input, graph.output, graph.initializer):
        names += [item.name for item in part]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
    for item in (*graph.input, *graph.output):
        names += [dim.dim_param for dim in item.type.tensor_type.shape.dim]
    for tensor in graph.initializer:
        names += [text for entry in tensor.external_data for text in (entry.key, entry.value)]
    if wrong := next((name for name in names if not isinstance(name, str)), None):
        raise ImportRefused(what, f"has a name that is not UTF-8 ({quote(wrong)})",
                            "the file is damaged: export or download it again")


def open_model(path) -> ModelFile:
    """Read and check a file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    ModelFile
        Its graph has at least one node, one input, one output, and no unknown content.
    """
    path = Path(path)
    what = quote(path, 200)
    data = _read(path, what)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
        strange = [unknown_fields.UnknownFieldSet(m) for m in (model, model.graph)]
    except GatewrightError:
        raise
    except Exception:                      # protobuf has many exception types, all meaning this
        raise ImportRefused(what, "is not an ONNX model, or is cut short or damaged",
                            "export or download it again") from None
    if not model.HasField("graph") or not model.graph.node:
        raise ImportRefused(what, "is not an ONNX model (no graph with nodes in it)",
                            "export or download it again")
    opset = _versions(model, what)
    if any(len(fields) for fields in strange):
        raise ImportRefused(what, "holds unknown content behind or inside the model",
                            "the file is damaged: export or download it again")
    if model.functions:
        names = ", ".join(quote(f.name) for f in model.functions[:4])
        raise ImportRefused(what, f"defines local functions ({names})",
                            "inline them: onnx.inliner.inline_local_functions(model)")
    if model.graph.sparse_initializer:
        raise ImportRefused(what, "has sparse initialisers", "export dense weights")
    if not model.graph.output:
        raise ImportRefused(what, "has no outputs", "export the model again")
    _strings(model, what)
    return ModelFile(path=path, model=model, opset=opset, digest=hashlib.sha256(data))
