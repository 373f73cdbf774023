"""From Keras's and PyTorch's files to cores that equal golden: directions, merges, pools."""

import numpy as np
import pytest
import torch_models
from fast_cores import prove
from keras_models import FIXTURES

import gatewright as gw
from gatewright.doors import import_model


def proved(network, x, folder, **array):
    np.save(folder / "x.npy", x)
    batch = gw.load_batch(network, folder / "x.npy")
    quantised = gw.quantise(network, batch)
    return prove(quantised, gw.golden(quantised, batch), folder / "core", **array)


@pytest.mark.parametrize("name", ["concat", "merges", "backwards", "mean"])
def test_keras(tmp_path, name):
    with np.load(FIXTURES / f"keras_{name}.npz") as file:
        proved(import_model(FIXTURES / f"{name}.keras"), file["x"], tmp_path, lanes=6)


@pytest.mark.parametrize("name", ["ends", "projections"])
def test_torch(tmp_path, name):
    state, arrays = torch_models.case(name)
    path = torch_models.written(tmp_path, state, torch_models.DESCRIPTIONS[name])
    proved(import_model(path), arrays["x"], tmp_path, lanes=8, cols=2, posts=2)
