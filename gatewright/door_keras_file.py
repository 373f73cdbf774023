"""A .keras archive: the configuration as plain data, the weights as arrays. No class is loaded."""

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from .door_archive import Archive
from .door_h5 import ROOT, TABLE
from .errors import ImportRefused, quote

__all__ = ["KerasFile", "is_keras"]

MAX_CONFIG_BYTES, MAX_WEIGHT_BYTES = 16 << 20, 256 << 20
WALL_SECONDS = 120              # on a machine that has much else to do
_REMEDY = "save it again with model.save('model.keras')"


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
        self._weights = archive.read("model.weights.h5", MAX_WEIGHT_BYTES)

    @staticmethod
    def _json(archive: Archive, name: str) -> dict:
        try:
            value = json.loads(archive.read(name, MAX_CONFIG_BYTES))
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise ImportRefused(f"member {quote(name)}", "is damaged", _REMEDY)
        return value

    def places(self, layers: list) -> list:
        """Where the weights of each layer lie, one path a layer.

        Newer versions write each layer's name beside its weights. Older ones leave only a path made
        of the class and a running number, in the order of the layers.

        Parameters
        ----------
        layers : list of (name, class name)
        """
        self._arrays, table = read_apart(self._weights)
        self._names, self._refused = table["names"], table["refused"]
        named = {name: path.removesuffix("/vars") for path, name in self._names.items()
                 if path.count("/") == 2 and path.endswith("/vars")}
        paths, counts = [], Counter()
        for name, kind in layers:
            snake = re.sub("([a-z])([A-Z])", r"\1_\2",
                           re.sub("(.)([A-Z][a-z]+)", r"\1_\2", kind)).lower()
            number = f"_{counts[snake]}" if counts[snake] else ""
            counts[snake] += 1
            paths.append(named.get(name) or f"{ROOT}/{snake}{number}")
            if self._names.get(f"{paths[-1]}/vars", name) != name:
                raise ImportRefused(f"layer {quote(name)}", "has no weights under its own name",
                                    _REMEDY)
        return paths

    def arrays(self, path: str, what: str) -> list:
        """The arrays under PATH/vars, in order of their numbers; [] where there are none.

        Raises
        ------
        ImportRefused
            If one is missing, or is no plain, stored dataset of numbers of a sensible size.
        """
        folder = f"{path}/vars/"
        found = [place for place in (*self._arrays, *self._refused) if place.startswith(folder)]
        for k in range(len(found)):
            place = f"{folder}{k}"
            if place in self._refused:
                raise ImportRefused(f"{what}, weight {k}", self._refused[place], _REMEDY)
            if place not in self._arrays:
                raise ImportRefused(f"{what}, weight {k}", "is missing", _REMEDY)
        return [self._arrays[f"{folder}{k}"] for k in range(len(found))]


def read_apart(data: bytes) -> tuple:
    """What ``read_h5`` returns, made by a process that may fail."""
    # -P: our own modules must not stand in the way of others of the same name.
    program = [sys.executable, "-P", str(Path(__file__).with_name("door_h5.py"))]
    try:
        done = subprocess.run(program, input=data, capture_output=True, timeout=WALL_SECONDS,
                              env=os.environ | {"OPENBLAS_NUM_THREADS": "1"}, check=True)
        with np.load(io.BytesIO(done.stdout), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return arrays, json.loads(arrays.pop(TABLE).tobytes())
    except (subprocess.SubprocessError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        raise ImportRefused("member 'model.weights.h5'", "is damaged, or not what Keras writes",
                            _REMEDY) from None
