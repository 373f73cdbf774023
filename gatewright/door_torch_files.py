"""Tensors of .safetensors and .pt files. No pickle is ever loaded: nothing of a file can run.

A .pt archive describes its tensors by a pickle program. The few instructions that a state dict
needs are interpreted here, on plain data; any other one is a refusal, as is any name outside the
list below.
"""

import json
import math
import pickletools
from dataclasses import dataclass

import numpy as np
import safetensors

from .door_archive import Archive
from .errors import GatewrightError, ImportRefused, quote
from .onnx_file import MAX_ELEMENTS, MAX_RANK

__all__ = ["read_pt", "read_safetensors"]

_REMEDY = ("save its tensors instead: "
           "safetensors.torch.save_file(model.state_dict(), 'model.safetensors')")
_SAFE_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "bf16", "I64": "<i8",
                "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?"}
_STORAGES = {"DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2",
             "BFloat16Storage": "bf16", "LongStorage": "<i8", "IntStorage": "<i4",
             "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?"}
_CALLS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2",
          "torch._utils _rebuild_parameter"}
MAX_PROGRAM, MAX_BYTES = 16 << 20, 256 << 20


def _values(data: bytes, dtype: str) -> np.ndarray:
    """Numbers from bytes; bfloat16 is the upper half of a float32."""
    if dtype == "bf16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(data, dtype)


def read_safetensors(data: bytes) -> tuple:
    """(tensors by name, metadata by name) of a .safetensors file.

    Raises
    ------
    ImportRefused
        If it is damaged.
    """
    try:
        found = safetensors.deserialize(data)
        head = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
    except Exception as error:
        raise ImportRefused("the file", f"is no .safetensors file, or damaged ({str(error)[:80]})",
                            "save or download it again") from None
    tensors = {}
    for name, tensor in found:
        dtype, shape = _SAFE_DTYPES.get(tensor["dtype"]), tensor["shape"]
        if dtype is None or len(shape) > MAX_RANK:
            raise ImportRefused(f"tensor {quote(name)}", f"has type {tensor['dtype'][:20]} and "
                                f"{len(shape)} axes", "save the model in float32")
        tensors[name] = _values(bytes(tensor["data"]), dtype).reshape(shape)
    return tensors, head.get("__metadata__", {})


@dataclass(frozen=True)
class _Global:
    """A name in a pickle that stands for code: kept as a name."""

    name: str


@dataclass(frozen=True, eq=False)
class _Tensor:
    """A tensor whose numbers are still in the archive."""

    storage: tuple
    offset: int
    size: tuple
    stride: tuple


def _call(target, arguments: tuple):
    """What a REDUCE makes, for the few names that a state dict uses."""
    if not isinstance(target, _Global) or target.name not in _CALLS:
        raise ImportRefused("the file", f"calls {quote(getattr(target, 'name', '?'))}, which only "
                            "running code from the file could answer", _REMEDY)
    if target.name == "collections OrderedDict" and arguments == ():
        return {}
    if target.name.endswith("_rebuild_parameter") and isinstance(arguments[0], _Tensor):
        return arguments[0]
    storage, offset, size, stride = arguments[:4]
    numbers = (offset, *size, *stride)
    if not (isinstance(storage, tuple) and len(storage) == 4 and len(size) == len(stride)
            and all(type(n) is int and n >= 0 for n in numbers)):
        raise ValueError
    return _Tensor(storage, offset, tuple(size), tuple(stride))


def _storage(identity) -> tuple:
    """(member, dtype, count) from a persistent id ('storage', type, key, device, count)."""
    kind, storage, key, _, count = identity
    module, _, name = storage.name.partition(" ")
    if kind != "storage" or module != "torch" or not isinstance(key, str) or type(count) is not int:
        raise ValueError
    if name not in _STORAGES:
        raise ImportRefused("the file", f"holds tensors of type {quote(name)}",
                            "save the model in float32, before it is quantised")
    return "storage", key, _STORAGES[name], count


class _Program:
    """A pickle program, one instruction at a time on a stack of plain data."""

    def __init__(self):
        self.stack, self.marks, self.memo = [], [], {}

    def _since_mark(self) -> list:
        at = self.marks.pop()
        items = self.stack[at:]
        del self.stack[at:]
        return items

    def _set(self, pairs: list) -> None:
        target = self.stack[-1]
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not isinstance(key, (str, int, float)):
                raise ValueError
            target[key] = value

    def run(self, program: bytes):
        """The value that the program leaves."""
        stack, memo = self.stack, self.memo
        for opcode, argument, _ in pickletools.genops(program):
            name = opcode.name
            if name in ("PROTO", "FRAME"):
                continue
            if name == "STOP":
                return stack.pop()
            if name in ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE",
                        "SHORT_BINUNICODE"):
                stack.append(argument)
            elif name in ("NONE", "NEWTRUE", "NEWFALSE"):
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
            elif name in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"):
                stack.append({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}[name]())
            elif name == "MARK":
                self.marks.append(len(stack))
            elif name == "TUPLE":
                stack.append(tuple(self._since_mark()))
            elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
                count = int(name[-1])
                items = tuple(stack[-count:])
                del stack[-count:]
                stack.append(items)
            elif name in ("BINPUT", "LONG_BINPUT"):
                memo[argument] = stack[-1]
            elif name == "MEMOIZE":
                memo[len(memo)] = stack[-1]
            elif name in ("BINGET", "LONG_BINGET"):
                stack.append(memo[argument])
            elif name == "GLOBAL":
                stack.append(_Global(argument))
            elif name == "STACK_GLOBAL":
                member = stack.pop()
                stack.append(_Global(f"{stack.pop()} {member}"))
            elif name == "BINPERSID":
                stack.append(_storage(stack.pop()))
            elif name in ("REDUCE", "NEWOBJ"):
                arguments = stack.pop()
                stack.append(_call(stack.pop(), arguments))
            elif name == "BUILD":
                stack.pop()                # attributes of the state dict: its modules' versions
                if not isinstance(stack[-1], dict):
                    raise ValueError
            elif name == "SETITEM":
                value = stack.pop()
                self._set([stack.pop(), value])
            elif name == "SETITEMS":
                self._set(self._since_mark())
            elif name == "APPEND":
                value = stack.pop()
                stack[-1].append(value)
            elif name == "APPENDS":
                items = self._since_mark()
                stack[-1].extend(items)
            else:
                raise ImportRefused("the file", f"needs the pickle instruction {name}, which no "
                                    "state dict does", _REMEDY)
        raise ValueError


def _state_dict(root) -> dict:
    """The tensors by name: of the root, or of the one dictionary in it that has recurrent ones."""
    def is_state(value):
        return isinstance(value, dict) and any(
            isinstance(key, str) and "weight_hh" in key and isinstance(item, _Tensor)
            for key, item in value.items())

    if is_state(root):
        return root
    inner = {key: value for key, value in root.items() if is_state(value)} \
        if isinstance(root, dict) else {}
    if len(inner) != 1:
        names = ", ".join(quote(key) for key in list(inner)[:4])
        raise ImportRefused("the file", f"holds several state dicts ({names})" if inner else
                            "holds no state dict with the weights of nn.RNN, nn.GRU or nn.LSTM",
                            _REMEDY)
    return next(iter(inner.values()))


def read_pt(data: bytes) -> tuple:
    """(tensors by name, {}) of what ``torch.save`` made of a state dict.

    Raises
    ------
    ImportRefused
        If reading it would need code of the file, or it is damaged.
    """
    if data.startswith(b"\x80"):
        raise ImportRefused("the file", "is a bare pickle", _REMEDY)
    archive = Archive(data, "save it again")
    program = next((n for n in archive.names if n == "data.pkl" or n.endswith("/data.pkl")
                    and n.count("/") == 1), None)
    if program is None or any("/code/" in name for name in archive.names):
        kind = "is a TorchScript archive" if program else "is not what torch.save makes"
        raise ImportRefused("the file", kind, _REMEDY)
    root = program.removesuffix("data.pkl")
    order = f"{root}byteorder"
    if order in archive.names and archive.read(order, 16) != b"little":
        raise ImportRefused("the file", "was written on a big-endian machine", _REMEDY)
    try:
        found = _state_dict(_Program().run(archive.read(program, MAX_PROGRAM)))
        return _tensors(archive, f"{root}data/", found), {}
    except GatewrightError:
        raise
    except Exception:                      # whatever a malformed program trips over
        raise ImportRefused("the file", "has a damaged table of tensors", _REMEDY) from None


def _tensors(archive: Archive, folder: str, found: dict) -> dict:
    tensors, storages, total = {}, {}, 0
    for name, tensor in found.items():
        if not isinstance(tensor, _Tensor):
            continue
        what = f"tensor {quote(name)}"
        total += math.prod(tensor.size)
        if len(tensor.size) > MAX_RANK or total > 2 * MAX_ELEMENTS:
            raise ImportRefused(what, f"has the shape {tensor.size[:MAX_RANK + 1]}",
                                "no network of that size fits a device")
        _, key, dtype, count = tensor.storage
        if key not in storages:            # tied weights share one
            storages[key] = archive.read(folder + key, MAX_BYTES)
        values = _values(storages[key], dtype)
        last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.size, tensor.stride))
        if len(values) != count or (math.prod(tensor.size) and last >= count):
            raise ImportRefused(what, f"lies outside of its {len(values)} values",
                                "the file is damaged: save it again")
        tensors[name] = np.array(np.lib.stride_tricks.as_strided(
            values[tensor.offset:], tensor.size,
            [s * values.itemsize for s in tensor.stride]), copy=True)
    return tensors
