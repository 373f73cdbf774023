"""Networks with reverse layers, from a file to a proven core by the command line."""

import json

import numpy as np
import pytest
from commands import command
from onnx_models import Net, bare

T, I, H = 9, 4, 3


@pytest.fixture
def model(tmp_path):
    """A bidirectional network of two layers, open in time, and its data."""
    net = Net()
    x = net.input("x", ["T", 1, I])
    for width in (I, 2 * H):
        y = net.cell("LSTM", x, width, H, direction="bidirectional")[0]
        x = net.op("Reshape", net.op("Transpose", y, perm=[0, 2, 1, 3]), net.ints(0, 0, -1))
    net.op("MatMul", x, net.weight(2 * H, 3), outputs=["out"])
    net.output("out")
    rng = np.random.default_rng(2)
    for name, steps in (("calib", T - 2), ("inputs", T)):
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(4, steps, 1, I)).astype(np.float32))
    return net.save(tmp_path / "both.onnx")


def words(model, *more):
    folder = model.parent
    return [model, "--calibration", folder / "calib.npy", *more, "--out", folder / "out"]


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def test_run_stores_what_the_data_needs(model):
    done = command("run", *words(model, "--inputs", model.parent / "inputs.npy"), "--no-synth",
                   "--lanes", "6")
    assert done.status == 0, done.err
    assert "stores sequences of up to 9 steps" in done.out and "bit-exact" in done.out
    proven = json.loads((model.parent / "out" / "verify.json").read_text())
    assert proven["cycles_measured"] == proven["cycles_predicted"] > 0
    made = manifest(model.parent / "out")
    assert made["stream"]["max_steps"] == T
    assert [layer["sweep"] for layer in made["layers"]] == [0, 0, 1, 1, 2]
    assert [layer["reverse"] for layer in made["layers"]] == [False, True, False, True, False]


def test_sequences_beyond_what_is_stored(model):
    """Calibration data were shorter: the bench refuses longer ones and names the remedy."""
    out = model.parent / "out"
    assert command("quantise", *words(model)).status == 0
    assert command("generate", out, "--lanes", "6").status == 0
    assert manifest(out)["stream"]["max_steps"] == T - 2
    done = command("verify", out, "--inputs", model.parent / "inputs.npy")
    assert done.status == 2
    assert "sequences of 9 steps, but the core stores 7" in " ".join(done.err.split())
    assert command("generate", out, "--lanes", "6", "--max-steps", T).status == 0
    done = command("verify", out, "--inputs", model.parent / "inputs.npy", "--sequences", "2")
    assert done.status == 0, done.err


def test_max_steps_is_for_reverse_layers(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 4, 1, 4), np.float32))
    path = bare().save(tmp_path / "plain.onnx")
    done = command("run", *words(path, "--inputs", tmp_path / "x.npy"), "--calibration",
                   tmp_path / "x.npy", "--max-steps", "9")
    assert done.status == 2 and "is for networks with reverse layers" in done.err
    assert not (tmp_path / "out").exists()
