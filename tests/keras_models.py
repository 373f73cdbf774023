"""The .keras files of tests/fixtures, as they are, and with one thing about them changed."""

import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from gatewright.doors import import_model
from gatewright.errors import ImportRefused

__all__ = ["FIXTURES", "archive", "changed", "layer", "refused", "weight"]

FIXTURES = Path(__file__).parent / "fixtures"


def archive(path: Path, members: dict, *, mode=zipfile.ZIP_STORED) -> Path:
    """A zip archive of names and bytes."""
    with zipfile.ZipFile(path, "w", mode) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def changed(tmp_path: Path, name: str = "sequential", *, config=None, weights=None,
            members=None) -> Path:
    """A fixture with functions applied to its configuration, its h5py.File, its members."""
    with zipfile.ZipFile(FIXTURES / f"{name}.keras") as file:
        parts = {member: file.read(member) for member in file.namelist()}
    if config is not None:
        model = json.loads(parts["config.json"])
        config(model)
        parts["config.json"] = json.dumps(model).encode()
    if weights is not None:
        memory = io.BytesIO(parts["model.weights.h5"])
        with h5py.File(memory, "a") as file:
            weights(file)
        parts["model.weights.h5"] = memory.getvalue()
    if members is not None:
        members(parts)
    return archive(tmp_path / "changed.keras", parts)


def layer(model: dict, name: str) -> dict:
    """The record of a layer in a model's configuration."""
    return next(one for one in model["config"]["layers"] if one["config"]["name"] == name)


def weight(path: str, values) -> object:
    """A change of the weights: the dataset at ``path`` becomes ``values``."""
    def change(file: h5py.File):
        del file[path]
        file[path] = np.asarray(values)
    return change


def refused(path: Path) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(ImportRefused) as caught:
        import_model(path)
    text = str(caught.value)
    assert text.startswith(f"'{path}': ") and "\n" not in text and caught.value.exit_code == 2
    return text
