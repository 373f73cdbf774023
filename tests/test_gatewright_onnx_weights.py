"""Weights as graph inputs, as the ONNX package's own tests have them: given beside the file."""

from pathlib import Path

import numpy as np
import onnx_models as build
import pytest
from commands import command
from onnx import numpy_helper

from gatewright.data import load_weights
from gatewright.doors import import_model, onnx_form
from gatewright.errors import DataRefused, ImportRefused
from gatewright.onnx_check import check_against_onnx
from gatewright.onnx_import import import_onnx
from golden.reference import Batch


def opened(net) -> tuple:
    """The net with all its weights as graph inputs, and their values."""
    weights = {init.name: numpy_helper.to_array(init) for init in net.inits}
    net.inits.clear()
    for name, values in weights.items():
        net.input(name, list(values.shape))
    return net, weights


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_given_weights_are_as_good_as_stored_ones(tmp_path, kind):
    stored = import_onnx(build.bare(kind).save(tmp_path / "stored.onnx"))
    net, weights = opened(build.bare(kind))
    network = import_onnx(net.save(tmp_path / "net.onnx"), weights=weights)
    np.testing.assert_array_equal(network.layers[0].w, stored.layers[0].w)
    np.testing.assert_array_equal(network.layers[0].r, stored.layers[0].r)
    np.testing.assert_array_equal(network.layers[0].bias_x, stored.layers[0].bias_x)
    batch = Batch(x=np.random.default_rng(1).normal(size=(3, 4, 4)))
    with onnx_form(tmp_path / "net.onnx", weights) as file:
        assert check_against_onnx(network, file, batch) < 1e-5
    weights["const_0"] = weights["const_0"] + 1
    other = import_onnx(tmp_path / "net.onnx", weights=weights)
    assert other.model_sha256 != network.model_sha256


def test_a_matrix_and_a_state_can_be_given(tmp_path):
    net, weights = opened(build.headed(
        lambda net, h: net.op("MatMul", h, net.weight(3, 2, name="head"))))
    del weights["const_3"]                 # axes of a Squeeze stay in the file
    net.inputs = [item for item in net.inputs if item.name != "const_3"]
    net.const([0], np.int64, name="const_3")
    network = import_onnx(net.save(tmp_path / "net.onnx"), weights=weights)
    assert [layer.units for layer in network.layers] == [3, 2]


def test_without_them_the_refusal_names_them_and_the_remedy(tmp_path):
    net, _ = opened(build.bare("GRU"))
    text = build.refusal(net.save(tmp_path / "net.onnx"))
    assert "weights are graph inputs (W is 'const_0', R is 'const_1', B is 'const_2')" in text
    assert "--weights FILE.npz" in text and "weights={name: array}" in text


@pytest.mark.parametrize("name, values, words", [
    ("V", np.zeros((1, 12, 4)), "'V': is no graph input of the file \\(it has 'x', 'const_0'"),
    ("const_0", np.zeros((1, 12, 5)), "shape \\(1, 12, 5\\), but the input is declared as"),
    ("const_0", np.zeros((12, 4)), "shape \\(12, 4\\)"),
    ("const_0", np.zeros((1, 12, 4), int), "values of type int64 for an input of type FLOAT"),
    ("const_0", np.full((1, 12, 4), np.nan), "weight 'const_0': is nan at index")])
def test_given_weights_that_do_not_fit(tmp_path, name, values, words):
    net, weights = opened(build.bare())
    net.save(tmp_path / "net.onnx")
    with pytest.raises(ImportRefused, match=words):
        import_onnx(tmp_path / "net.onnx", weights=weights | {name: values})


def test_command_line(tmp_path):
    net, weights = opened(build.bare("GRU"))
    net.save(tmp_path / "net.onnx")
    np.savez(tmp_path / "weights.npz", **weights)
    done = command("import", "net.onnx", "--weights", "weights.npz", cwd=tmp_path)
    assert done.status == 0 and "float check: at most" in done.out
    done = command("import", "net.onnx", cwd=tmp_path)
    assert done.status == 2 and "--weights FILE.npz" in done.err


def test_files_of_weights_that_are_none(tmp_path):
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(DataRefused, match="one array without a name"):
        load_weights(tmp_path / "one.npy")
    np.savez(tmp_path / "objects.npz", W=np.array([{}], dtype=object))
    with pytest.raises(DataRefused, match="holds object values"):
        load_weights(tmp_path / "objects.npz")
    with pytest.raises(ImportRefused, match="holds its weights itself"):
        import_model(Path(__file__).with_name("fixtures") / "gru.keras", weights={"W": np.zeros(1)})
