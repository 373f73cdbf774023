"""PyTorch's state dicts of tests/fixtures as files, as they are and with one thing changed."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from gatewright.doors import import_model
from gatewright.errors import ImportRefused

__all__ = ["DESCRIPTIONS", "FIXTURES", "case", "refused", "written"]

FIXTURES = Path(__file__).parent / "fixtures"
# What the state dict of each case leaves open.
DESCRIPTIONS = {
    "lstm": {}, "gru": {}, "nobias": {}, "cell": {},
    "rnn": {"nonlinearity": "tanh"},
    "relu": {"nonlinearity": "relu", "layers": ["rnn", "last", "fc"]},
    "deep": {"layers": ["inner", "tanh", "lstm", "gru", "last", "head.0", "relu", "head.3",
                        "softmax"]},
    "tagger": {"layers": ["table", "gru", "out"]},
    "bidirectional": {"layers": ["rnn", "fc"]}, "ends": {"layers": ["rnn", "state", "fc"]},
    "mean": {"layers": ["rnn", "mean", "fc"]}, "states": {"states": True},
    "projection": {"layers": ["rnn", "last", "fc"]}, "projections": {},
}


def case(name: str) -> tuple:
    """(state dict, other arrays of a case by name)."""
    with np.load(FIXTURES / "torch.npz") as file:
        found = {key.removeprefix(f"{name}/"): file[key] for key in file.files
                 if key.startswith(f"{name}/")}
    state = {key.removeprefix("state/"): value for key, value in found.items()
             if key.startswith("state/")}
    return state, {key: value for key, value in found.items() if not key.startswith("state/")}


def written(folder: Path, state: dict, description: dict | None = None, *, metadata=None,
            name: str = "net") -> Path:
    """A .safetensors file, and beside it its description as TOML."""
    path = folder / f"{name}.safetensors"
    save_file({key: np.ascontiguousarray(value) for key, value in state.items()}, path,
              metadata=metadata)
    if description:                        # JSON's strings, numbers and lists are TOML's
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in description.items()]
        path.with_name(f"{name}.layers.toml").write_text("".join(lines))
    return path


def refused(path: Path) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(ImportRefused) as caught:
        import_model(path)
    text = str(caught.value)
    assert text.startswith(f"'{path}': ") and "\n" not in text and caught.value.exit_code == 2
    return text
