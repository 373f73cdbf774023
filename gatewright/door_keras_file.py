"""A .keras archive: the configuration as plain data, the weights by h5py. No class is ever loaded.

HDF5 can point into other files and name filters to be loaded as plug-ins, so each link and each
dataset is looked at before a number of it is read.
"""

import io
import json
import math
import re
from collections import Counter

import h5py
import numpy as np

from .door_archive import Archive
from .errors import GatewrightError, ImportRefused, quote
from .onnx_file import MAX_ELEMENTS

__all__ = ["KerasFile", "is_keras"]

MAX_CONFIG_BYTES, MAX_WEIGHT_BYTES = 16 << 20, 256 << 20
MAX_RANK, MAX_GROUPS = 4, 1000
_REMEDY = "save it again with model.save('model.keras')"
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}


def is_keras(data: bytes) -> bool:
    """True where an archive has Keras's configuration in it."""
    return "config.json" in Archive(data, _REMEDY).names


class KerasFile:
    """The parts of a .keras file.

    Parameters
    ----------
    data : bytes

    Members
    -------
    version : tuple of int
        Of the Keras that wrote it.
    model : dict
        The model's class_name and config.

    Raises
    ------
    ImportRefused
        If a part is missing, damaged, or not what Keras writes.
    """

    def __init__(self, data: bytes):
        archive = Archive(data, _REMEDY)
        self.model = self._json(archive, "config.json")
        metadata = self._json(archive, "metadata.json")
        text = str(metadata.get("keras_version", ""))
        if not re.fullmatch(r"[23]\.\d{1,4}(\.\w{1,20})*", text):
            raise ImportRefused("member 'metadata.json'", f"names the Keras version {quote(text)}",
                                "versions 2 and 3 are read")
        self.version = tuple(int(part) for part in text.split(".")[:2])
        weights = archive.read("model.weights.h5", MAX_WEIGHT_BYTES)
        try:
            self._file = h5py.File(io.BytesIO(weights), "r")
        except Exception:
            raise self._damaged("member 'model.weights.h5'") from None
        self._elements = 0

    @staticmethod
    def _json(archive: Archive, name: str) -> dict:
        try:
            value = json.loads(archive.read(name, MAX_CONFIG_BYTES))
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise ImportRefused(f"member {quote(name)}", "is damaged", _REMEDY)
        return value

    @staticmethod
    def _damaged(what: str) -> ImportRefused:
        return ImportRefused(what, "is damaged, or not what Keras writes", _REMEDY)

    def _open(self, path: str):
        """The object at a path, reached by plain links alone; None where there is none."""
        found = self._file
        for part in path.split("/"):
            try:
                link = found.get(part, getlink=True) if isinstance(found, h5py.Group) else None
                if link is None:
                    return None
                if not isinstance(link, h5py.HardLink):
                    raise ImportRefused(f"weights {quote(path)}", "lie behind a link",
                                        "weights must be in the file itself")
                found = found[part]
            except (GatewrightError, KeyboardInterrupt):
                raise
            except Exception:              # h5py's exceptions have no common base
                raise self._damaged(f"weights {quote(path)}") from None
        return found

    def _told(self, path: str) -> str | None:
        """The layer's name that newer versions write beside its weights."""
        group = self._open(f"{path}/vars")
        try:
            name = None if group is None else group.attrs.get("name")
        except Exception:
            raise self._damaged(f"weights {quote(path)}") from None
        return name if isinstance(name, str) else None

    def places(self, layers: list) -> list:
        """Where the weights of each layer lie, one path a layer.

        Newer versions write each layer's name beside its weights. Older ones leave only a path made
        of the class and a running number, in the order of the layers.

        Parameters
        ----------
        layers : list of (name, class name)
        """
        group = self._open("layers")
        if not isinstance(group, h5py.Group) or len(group) > MAX_GROUPS:
            raise self._damaged("weights 'layers'")
        named = {self._told(path): path for path in (f"layers/{part}" for part in group)}
        paths, counts = [], Counter()
        for name, kind in layers:
            snake = re.sub("([a-z])([A-Z])", r"\1_\2",
                           re.sub("(.)([A-Z][a-z]+)", r"\1_\2", kind)).lower()
            number = f"_{counts[snake]}" if counts[snake] else ""
            counts[snake] += 1
            paths.append(named.get(name) or f"layers/{snake}{number}")
            if self._told(paths[-1]) not in (None, name):
                raise ImportRefused(f"layer {quote(name)}", "has no weights under its own name",
                                    _REMEDY)
        return paths

    def arrays(self, path: str, what: str) -> list:
        """The arrays under PATH/vars, in order of their numbers; [] where there are none.

        Raises
        ------
        ImportRefused
            If one is no plain, stored dataset of numbers of a sensible size.
        """
        group = self._open(f"{path}/vars")
        if group is None:
            return []
        if not isinstance(group, h5py.Group) or len(group) > 64:
            raise self._damaged(f"{what}, weights {quote(path)}")
        return [self._array(self._open(f"{path}/vars/{k}"), f"{what}, weight {k}")
                for k in range(len(group))]

    def _array(self, data, what: str) -> np.ndarray:
        if not isinstance(data, h5py.Dataset):
            raise ImportRefused(what, "is missing", _REMEDY)
        try:
            plan = data.id.get_create_plist()
            filters = {plan.get_filter(k)[0] for k in range(plan.get_nfilters())}
            plain = not data.is_virtual and not plan.get_external_count() and filters <= _FILTERS
            shape, kind = data.shape, data.dtype
        except Exception:
            raise self._damaged(what) from None
        if not plain or shape is None:
            raise ImportRefused(what, "is not stored in the file itself", _REMEDY)
        if kind.kind not in "fiu" or data.attrs.get("dtype") == "bfloat16":
            raise ImportRefused(what, f"is stored as {data.attrs.get('dtype', kind)}",
                                "save the model with float32 weights")
        self._elements += math.prod(shape)
        if len(shape) > MAX_RANK or self._elements > 2 * MAX_ELEMENTS:
            raise ImportRefused(what, f"has the shape {shape[:MAX_RANK + 1]}",
                                "no network of that size fits a device")
        try:
            return data[()]
        except Exception:
            raise self._damaged(what) from None
