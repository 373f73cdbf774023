"""Tensors whose bytes lie beside the model: one plain file in its own folder, and nothing else.

ONNX's own loader has had several path bugs, so no name, link or size reaches it unchecked.
"""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

import onnx

from .errors import ImportRefused, quote

__all__ = ["SideFile", "side_file"]

_KEYS = {"location", "offset", "length", "checksum"}


@dataclass(frozen=True, kw_only=True)
class SideFile:
    """Bytes ``offset`` to ``offset + length`` of a plain file; ``length`` None: not stated."""

    path: Path
    label: str
    entry: os.stat_result
    offset: int
    length: int | None

    def read(self, need: int, dims: list) -> bytes:
        """``need`` bytes, which is what a tensor of dimensions ``dims`` takes.

        Raises
        ------
        ImportRefused
            If the file says otherwise, is too short, or is no longer the one that was checked.
        """
        if self.length not in (None, need):
            raise ImportRefused(self.label, f"has {self.length} bytes for dimensions {dims}, not "
                                f"{need}", "export the model again")
        if self.offset + need > self.entry.st_size:
            raise ImportRefused(self.label, f"has {self.entry.st_size} bytes, but bytes "
                                f"{self.offset} to {self.offset + need} are wanted",
                                "the file is cut short: copy or download it again")
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
        try:
            with open(os.open(self.path, flags), "rb") as file:
                if not os.path.samestat(self.entry, os.fstat(file.fileno())):
                    raise ImportRefused(self.label, "changed while it was read", "try again")
                file.seek(self.offset)
                data = file.read(need)
        except OSError as error:
            raise ImportRefused(self.label, f"cannot be read ({error.strerror})",
                                "check its permissions") from None
        if len(data) != need:
            raise ImportRefused(self.label, "changed while it was read", "try again")
        return data


def side_file(proto: onnx.TensorProto, folder: Path, what: str) -> SideFile:
    """Where a tensor's bytes are, checked without opening it.

    Raises
    ------
    ImportRefused
        If it is anything but a plain file with one name in ``folder``.
    """
    pairs = [(entry.key, entry.value) for entry in proto.external_data]
    if not all(isinstance(text, str) for pair in pairs for text in pair):
        raise ImportRefused(what, "has external data with a key or value that is not UTF-8",
                            "the file is damaged: export or download it again")
    info = dict(pairs)
    if len(pairs) != len(info) or set(info) - _KEYS:
        keys = ", ".join(quote(key, 30) for key, _ in pairs[:8])
        raise ImportRefused(what, f"has external data with the keys {keys}",
                            "export the model with its weights inside")
    location = info.get("location", "")
    if location in ("", ".", "..") or "\0" in location or re.search(r"[/\\]", location):
        raise ImportRefused(what, f"has its data in {quote(location)}",
                            "external data must be a file in the model's own folder")
    label = f"{what}, external data {quote(location)}"
    offset, length = info.get("offset", "0"), info.get("length", "0")
    if not all(re.fullmatch(r"[0-9]{1,18}", number) for number in (offset, length)):
        raise ImportRefused(label, f"has offset {quote(offset)} and length {quote(length)}",
                            "both must be whole numbers: export the model again")
    path = folder / location
    try:
        entry = path.lstat()
    except OSError:
        raise ImportRefused(label, "the file is missing",
                            f"put {quote(location)} beside the model, or export with "
                            "external_data=False") from None
    if not stat.S_ISREG(entry.st_mode) or entry.st_nlink != 1:
        raise ImportRefused(label, "is not a plain file of its own (a link or a device)",
                            "copy the file itself beside the model")
    return SideFile(path=path, label=label, entry=entry, offset=int(offset),
                    length=int(length) if "length" in info else None)
