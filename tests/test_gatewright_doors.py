"""Which door a file takes, what is printed behind each, and that a changed import is caught."""

import tempfile
from dataclasses import replace

import numpy as np
import pytest
from commands import command, example, refusal
from keras_models import FIXTURES, changed, layer
from networks import make_network
from onnx_models import torch_legacy
from torch_models import DESCRIPTIONS, case, written

import gatewright as gw
from gatewright.door_check import TOLERANCE, compare, judge, random_batch
from gatewright.door_line import Line, weights
from gatewright.doors import import_model, onnx_form
from gatewright.errors import GatewrightError, ImportRefused
from gatewright.onnx_check import float_outputs
from gatewright.onnx_file import MAX_ELEMENTS
from golden.network import Binding, Initial


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """The folder for temporary files, to see what is left in it."""
    (folder := tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def same(a, b) -> bool:
    return len(a.layers) == len(b.layers) and all(
        np.array_equal(x.w, y.w) and np.array_equal(x.bias_x, y.bias_x)
        for x, y in zip(a.layers, b.layers))


def test_content_decides(tmp_path):
    """Each kind of file, under its own name and under a wrong one."""
    onnx = torch_legacy().save(tmp_path / "net.onnx")
    dict_ = written(tmp_path, case("lstm")[0])
    for path in (onnx, dict_, FIXTURES / "rnn.keras"):
        wrong = tmp_path / f"{path.stem}_wrong.bin"
        wrong.write_bytes(path.read_bytes())
        assert same(import_model(wrong), import_model(path))
    assert same(import_model(onnx), gw.import_onnx(onnx))


def test_names(tmp_path):
    path = written(tmp_path, case("lstm")[0], name="my-Net 2")
    assert import_model(path).name == "my_net_2"
    assert import_model(path, name="other").name == "other"


@pytest.mark.parametrize("path", [FIXTURES / "rnn.keras", FIXTURES / "mean.keras"])
def test_nothing_is_left(scratch, path):
    """Neither behind an import nor behind a refusal."""
    try:
        import_model(path)
    except ImportRefused as error:
        assert str(scratch) not in str(error)
    with onnx_form(path) as file:
        assert file.parent.parent == scratch
    assert not list(scratch.iterdir())


def test_refusal_names_the_file(tmp_path):
    """What the ONNX importer refuses is told of the user's file and layer."""
    def many(model):
        layer(model, "input_layer")["config"]["batch_shape"] = [None, 1 << 22, 5]
    with pytest.raises(ImportRefused, match=rf"^'{tmp_path}/changed.keras': graph input 'input': "):
        import_model(changed(tmp_path, config=many))


@pytest.mark.parametrize("name", ["missing.keras", "missing.safetensors", ".", "missing.pt"])
def test_no_file(tmp_path, name):
    with pytest.raises(ImportRefused, match="no such file|is a folder"):
        import_model(tmp_path / name)


def test_too_large(tmp_path):
    path = tmp_path / "large.safetensors"
    with open(path, "wb") as file:
        file.write((2).to_bytes(8, "little") + b"{}")
        file.truncate(257 << 20)
    with pytest.raises(ImportRefused, match="has 257 MiB, more than the 256 MiB that are read"):
        import_model(path)


@pytest.mark.parametrize("value", [3, None, "model.onnx", np.zeros(3)])
def test_from_torch_wrong(value):
    with pytest.raises(ImportRefused, match="from_torch: got '.*', not a torch.nn.Module; for "
                                            "files use import_model"):
        gw.from_torch(value)


# The check at the door.
def test_random_batch(tmp_path):
    """Of the network's own kind, and in values that a float32 program reads as they are."""
    path = written(tmp_path, case("states")[0], DESCRIPTIONS["states"])
    batch = random_batch(import_model(path))
    assert batch.x.shape == (4, 16, 5) and batch.h0.keys() == batch.c0.keys() == {0, 1}
    for values in (batch.x, *batch.h0.values(), *batch.c0.values()):
        assert np.array_equal(values, values.astype(np.float32)) and np.ptp(values) > 0.5
    assert random_batch(import_model(FIXTURES / "sequential.keras")).x.shape == (4, 7, 5)
    tokens = random_batch(import_model(FIXTURES / "functional.keras"))
    assert tokens.x.shape == (4, 16) and tokens.x.dtype == np.int64
    assert 0 <= tokens.x.min() < tokens.x.max() < 11


@pytest.mark.parametrize("path", [FIXTURES / f"{name}.keras" for name in
                                  ("sequential", "functional", "gru", "rnn")])
@pytest.mark.parametrize("what", ["w", "r", "bias_x"])
def test_changed_import_is_caught(path, what):
    """One tensor of the first layer off by a tenth: the numbers are no longer the file's."""
    network = import_model(path)
    batch = random_batch(network)
    with onnx_form(path) as file:
        assert compare(network, file, batch) < 1e-5
        first = network.layers[0]
        wrong = replace(network, layers=(replace(first, **{what: getattr(first, what) * 1.1}),
                                         *network.layers[1:]))
        with pytest.raises(GatewrightError, match=f"network {network.name}: the import differs from"
                                                  " its file by .*please report this model"):
            compare(wrong, file, batch)


def test_swapped_gates_are_caught():
    """The fault that each framework's own order invites."""
    path = FIXTURES / "sequential.keras"
    network = import_model(path)
    first = network.layers[0]
    order = np.r_[0:4, 4:8, 12:16, 8:12]
    wrong = replace(network, layers=(replace(first, w=first.w[order], r=first.r[order]),
                                     *network.layers[1:]))
    with onnx_form(path) as file, pytest.raises(GatewrightError, match="differs"):
        compare(wrong, file, random_batch(network))


def stepwise(scale: float):
    """A tanh RNN that gives every one of 60 steps."""
    axes = ("batch", "time", "feature")
    return replace(make_network(("rnn", 24), inputs=3, scale=scale, seed=2),
                   input=Binding(name="x", axes=axes, shape=(1, 60, 3)),
                   outputs=(Binding(name="y", axes=axes, kind="y"),))


def test_chaos_is_no_fault():
    """A network that amplifies every rounding error is not accused of them; a calm one is."""
    wild, calm = stepwise(4.0), stepwise(0.5)
    batch = random_batch(wild)
    single = replace(wild, layers=tuple(replace(one, w=one.w.astype(np.float32).astype(float))
                                        for one in wild.layers))
    worst = float(np.abs(float_outputs(single, batch)["y"] - float_outputs(wild, batch)["y"]).max())
    assert worst > 100 * TOLERANCE
    judge(wild, batch, worst, "its file")
    with pytest.raises(GatewrightError, match="differs"):
        judge(calm, batch, worst, "its file")


def test_not_a_number_is_no_agreement():
    network = stepwise(0.5)
    with pytest.raises(GatewrightError, match="differs"):
        judge(network, random_batch(network), float("nan"), "its file")


# Commands.
@pytest.mark.parametrize("path, form", [("model.onnx", "the ONNX file itself"),
                                        (FIXTURES / "gru.keras", "its ONNX form")])
def test_import_prints_the_difference(tmp_path, path, form):
    example(tmp_path)
    done = command("import", path, cwd=tmp_path)
    assert done.status == 0, done.err
    line = next(line for line in done.out.splitlines() if line.startswith("float check: "))
    assert line.endswith(f" from {form} over 4 random sequences")
    assert float(line.split()[4]) < 1e-5


def test_import_refuses(tmp_path):
    line = refusal(command("import", FIXTURES / "module.pt", cwd=tmp_path))
    assert "torch.nn.modules.rnn LSTM" in line and "save_file" in line
    line = refusal(command("import", written(tmp_path, case("relu")[0]), cwd=tmp_path))
    assert "nonlinearity" in line and "net.layers.toml" in line


def test_quantise_and_golden(tmp_path):
    """The steps behind the door take a .keras file like any other."""
    rng = np.random.default_rng(1)
    np.save(tmp_path / "c.npy", rng.normal(size=(12, 7, 5)).astype(np.float32))
    done = command("quantise", FIXTURES / "sequential.keras", "--calibration", "c.npy", "--out",
                   "out", cwd=tmp_path)
    assert done.status == 0, done.err
    done = command("golden", "out", "--inputs", "c.npy", cwd=tmp_path)
    assert done.status == 0 and "golden: 12 sequences" in done.out, done.err


# The line that the doors write.
def test_line_wrong():
    line = Line(inputs=3)
    with pytest.raises(ImportRefused, match="layer 'a': takes 4 inputs, but 3 values reach it"):
        line.linear("a", np.zeros((2, 4), np.float32), None)
    with pytest.raises(ImportRefused, match="'a': is an embedding behind other layers"):
        line.embedding("a", np.zeros((2, 4), np.float32))
    with pytest.raises(ImportRefused, match="'gelu' is not supported; use one of relu"):
        line.function("gelu")
    with pytest.raises(ImportRefused, match="has no layers"):
        line.finish("test")
    line.over_time("last")
    with pytest.raises(ImportRefused, match="'mean': reads one vector, not a sequence"):
        line.over_time("mean")
    with pytest.raises(ImportRefused, match="'a': reads token ids"):
        Line(inputs=3, tokens=True).linear("a", np.zeros((2, 3), np.float32), None)


def test_weights_wrong():
    """Each complaint, and the largest tensor that passes."""
    for values, words in ((np.zeros(3, int), "holds int64 values"),
                          (np.zeros(0), f"1 to {MAX_ELEMENTS}"),
                          (np.array([1.0, np.nan]), r"is nan at index \[1\]"),
                          (np.array([1e39]), r"is 1e\+39 at"),
                          (np.zeros(MAX_ELEMENTS + 1, np.float16), f"1 to {MAX_ELEMENTS}")):
        with pytest.raises(ImportRefused, match=f"tensor 'a': .*{words}"):
            weights(values, "tensor 'a'")
    assert weights(np.ones(MAX_ELEMENTS, np.float16), "a").dtype == np.float32
    with pytest.raises(ImportRefused, match=r"has the shape \(2, 3\), not \(any, 4\)"):
        weights(np.zeros((2, 3)), "a", (None, 4))


def test_initial_states_are_inputs(tmp_path):
    network = import_model(written(tmp_path, case("states")[0], DESCRIPTIONS["states"]))
    assert [one.initial_h for one in network.layers] == [Initial(source="h0")] * 2
    assert network.loads_state and network.returns_state
