"""Read an ONNX file that may be damaged or hostile: bytes in, a checked ``onnx.ModelProto`` out.

The ONNX checker accepts about half of the files that have to be refused here, so sizes and types
are checked by own code before anything is allocated.
"""

import hashlib
import math
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from google.protobuf import unknown_fields

from .errors import GatewrightError, ImportRefused, quote
from .onnx_external import side_file
from .onnx_wire import scan

__all__ = ["MAX_ELEMENTS", "MAX_RANK", "READABLE", "ModelFile", "open_model", "type_name"]

MAX_FILE_BYTES = 128 << 20
MAX_FIELDS = 1 << 20            # each costs 100 bytes and 1 us, or more
MAX_ELEMENTS = 1 << 23          # of one tensor; the largest network that fits a device is far below
MAX_WORK = 1 << 25              # elements of all tensors read or made: some 300 MiB, seconds
MAX_RANK = 8
MIN_OPSET = 7
MIN_IR = 3

_T = onnx.TensorProto
_FLOATS = {_T.FLOAT: 4, _T.DOUBLE: 8, _T.FLOAT16: 2}
_OTHERS = {_T.INT64: 8, _T.INT32: 4, _T.BOOL: 1, _T.UINT8: 1, _T.INT8: 1, _T.INT16: 2,
           _T.UINT16: 2}
_SIZES = _FLOATS | _OTHERS
READABLE = frozenset(_SIZES)    # element types
_FIELDS = {_T.FLOAT: "float_data", _T.DOUBLE: "double_data", _T.INT64: "int64_data"}

_KINDS = (
    (b"version https://git-lfs", "a git-LFS pointer, not the model itself", "run `git lfs pull`"),
    (b"PK\x03\x04", "a zip archive, as .pt and .keras files are", "export the model to ONNX"),
    (b"\x89HDF", "an HDF5 file, as .h5 weights are", "export the model to ONNX"),
    (b"\x80\x02", "a Python pickle", "export the model to ONNX"),
    (b"\x1f\x8b", "compressed by gzip", "decompress it"),
)


def type_name(kind: int) -> str:
    """An element type in words, or its number where the number means nothing."""
    return _T.DataType.Name(kind) if kind in _T.DataType.values() else str(kind)


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
    work : int
        Elements read and made so far.
    """

    path: Path
    model: onnx.ModelProto
    opset: int
    digest: "hashlib._Hash"
    notes: list = field(default_factory=list)
    work: int = 0

    @property
    def producer(self) -> str:
        """Name and version of the program that wrote the file."""
        return f"{self.model.producer_name} {self.model.producer_version}".strip()[:80]

    def spend(self, elements: int, what: str) -> None:
        """Account for the elements that ``what`` is about to read or make.

        Each tensor is bounded, but a small file can ask for thousands of them.
        """
        self.work += elements
        if self.work > MAX_WORK:
            raise ImportRefused(what, f"brings the elements of all tensors to more than {MAX_WORK}",
                                "no network of that size fits a device; export with a shorter "
                                "sequence if that is what makes it large")

    def tensor(self, proto: onnx.TensorProto, what: str) -> np.ndarray:
        """The values of a tensor, after its type, its size and its bytes have been checked."""
        dims, kind = list(proto.dims), proto.data_type
        if kind not in _SIZES:
            raise ImportRefused(what, f"has type {type_name(kind)}",
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
        self.spend(count, what)
        if proto.data_location == _T.EXTERNAL:
            data = side_file(proto, self.path.parent, what).read(count * _SIZES[kind], dims)
            self.digest.update(data)
            proto = _T(data_type=kind, dims=dims, raw_data=data)
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
    fields, outside = scan(data, MAX_FIELDS)
    if fields >= MAX_FIELDS:
        raise ImportRefused(what, f"has more than {MAX_FIELDS} parts (nodes, attributes, names)",
                            "no network of that size fits a device")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
        strange = [unknown_fields.UnknownFieldSet(m) for m in (model, model.graph)]
        outside = [_T.FromString(data[start:end]) for start, end in outside]
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
    for tensor in outside:                 # unused ones too: other programs will read the file
        side_file(tensor, path.parent, f"tensor {quote(tensor.name)}")
    return ModelFile(path=path, model=model, opset=opset, digest=hashlib.sha256(data))
