"""Data files: every layout that is meant, and one line for every one that is not."""

import io
import zipfile

import numpy as np
import onnx_models as build
import pytest

from gatewright.data import load_batch, load_float_outputs, load_labels
from gatewright.errors import DataRefused
from gatewright.layout import feeds_in_graph_layout, outputs_in_graph_layout
from gatewright.onnx_import import import_onnx

RNG = np.random.default_rng(3)


def network_of(net, tmp_path):
    return import_onnx(net.save(tmp_path / "net.onnx"))


@pytest.fixture
def plain(tmp_path):
    """Batch first, T = 5, I = 4, logits of the last step."""
    return network_of(build.torch_legacy(), tmp_path)


@pytest.fixture
def chars(tmp_path):
    """Token ids, T = 5, V = 7, states of two layers in and out."""
    return network_of(build.char_model(), tmp_path)


def saved(path, array):
    np.save(path, array)
    return path


@pytest.mark.parametrize("shape", [(3, 1, 5, 4), (3, 5, 4)])
def test_graph_layout_and_bare(plain, tmp_path, shape):
    x = RNG.normal(size=shape).astype(np.float32)
    batch = load_batch(plain, saved(tmp_path / "x.npy", x))
    assert batch.x.dtype == np.float64 and batch.notes == ()
    np.testing.assert_array_equal(batch.x, x.reshape(3, 5, 4))
    assert len(load_batch(plain, tmp_path / "x.npy", limit=2)) == 2


def test_time_major_is_transposed(tmp_path):
    net = build.Net()
    net.cell("RNN", net.op("Transpose", net.input("x", [1, 4, 6]), perm=[2, 0, 1]), 4, 3)
    net.output(net.nodes[-1].output[0])
    network = network_of(net, tmp_path)
    assert network.input.axes == ("batch", "feature", "time")
    x = RNG.normal(size=(3, 1, 4, 6))
    batch = load_batch(network, saved(tmp_path / "x.npy", x))
    np.testing.assert_array_equal(batch.x, x[:, 0].transpose(0, 2, 1))
    feeds = feeds_in_graph_layout(network, batch)
    np.testing.assert_array_equal(feeds["x"], x.astype(np.float32))


def test_fortran_order_and_integers(plain, tmp_path):
    x = np.asfortranarray(RNG.integers(-9, 9, (3, 1, 5, 4)))
    np.testing.assert_array_equal(load_batch(plain, saved(tmp_path / "x.npy", x)).x, x[:, 0])


def test_states_beside_the_inputs(chars, tmp_path):
    path = saved(tmp_path / "calib.npy", RNG.integers(0, 7, (3, 1, 5)))
    notes = load_batch(chars, path).notes
    assert len(notes) == 2 and "'h0'" in notes[0] and "zeros" in notes[0]
    h0 = RNG.normal(size=(3, 2, 1, 3))
    saved(tmp_path / "calib_h0.npy", h0)
    batch = load_batch(chars, path, limit=2)
    assert len(batch.notes) == 1 and batch.x.shape == (2, 5)
    np.testing.assert_array_equal(batch.h0[1], h0[:2, 1, 0])
    assert not batch.c0[0].any() and batch.c0[0].shape == (2, 3)
    saved(tmp_path / "calib_c0.npy", h0[:2])
    with pytest.raises(DataRefused, match="has 2 states for 3 sequences"):
        load_batch(chars, path)
    saved(tmp_path / "calib_c0.npy", np.zeros((3, 2, 4)))
    with pytest.raises(DataRefused, match=r"calib_c0.npy': has the shape \(3, 2, 4\)"):
        load_batch(chars, path)


def test_state_names_that_are_no_file_names(tmp_path):
    net = build.Net()
    x, h = net.input("x", [4, 1, 2]), net.input("../onnx::GRU_1", [1, 1, 3])
    net.cell("GRU", x, 2, 3, h=h)
    net.output(net.nodes[-1].output[0])
    network = network_of(net, tmp_path)
    path = saved(tmp_path / "x.npy", np.zeros((2, 4, 1, 2)))
    assert "'x_.._onnx__GRU_1.npy'" in load_batch(network, path).notes[0]
    saved(tmp_path / "x_.._onnx__GRU_1.npy", np.ones((2, 1, 1, 3)))
    batch = load_batch(network, path)
    assert batch.notes == () and batch.h0[0].all()


def test_archive(chars, tmp_path):
    ids, h0, c0 = RNG.integers(0, 7, (3, 5)), RNG.normal(size=(3, 2, 3)), np.ones((3, 2, 1, 3))
    np.savez_compressed(tmp_path / "all.npz", ids=ids, h0=h0, c0=c0)
    batch = load_batch(chars, tmp_path / "all.npz")
    assert batch.notes == () and batch.x.dtype == np.int64
    np.testing.assert_array_equal(batch.h0[0], h0[:, 0])
    np.savez(tmp_path / "other.npz", a=ids, b=h0)
    with pytest.raises(DataRefused, match="no array 'ids' .it has 'a', 'b'"):
        load_batch(chars, tmp_path / "other.npz")


@pytest.mark.parametrize("array, words", [
    (np.zeros((3, 1, 5, 3)), r"shape \(3, 1, 5, 3\).*\(n, batch=1, time=5, feature=4\)"),
    (np.zeros((3, 1, 6, 4)), "time=5"), (np.zeros((3, 2, 5, 4)), "batch=1"),
    (np.zeros(5), "shape"), (np.zeros(()), "shape"), (np.zeros((0, 1, 5, 4)), "is empty"),
    (np.full((2, 1, 5, 4), np.nan), r"is nan at index \[0, 0, 0, 0\]"),
    (np.zeros((2, 1, 5, 4), complex), "complex128 values"),
    (np.array(["a"] * 4), "U1 values"), (np.array([{}]), "object values")])
def test_wrong_arrays(plain, tmp_path, array, words):
    path = tmp_path / "x.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(DataRefused, match=words) as caught:
        load_batch(plain, path)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2


@pytest.mark.parametrize("ids, words", [
    ([[0, 1, 7, 0, 0]], "token id 7 in sequence 0, step 2; ids must be 0 to 6"),
    ([[0, 1, -1, 0, 0]], "token id -1"), ([[0.0, 1.0, 2.0, 3.0, 4.0]], "must be integers")])
def test_token_ids(chars, tmp_path, ids, words):
    with pytest.raises(DataRefused, match=words):
        load_batch(chars, saved(tmp_path / "x.npy", np.array(ids)))


def _header(shape, dtype="<f4"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize("data, words", [
    (b"", "is empty"), (b"a,b\n1,2\n", "not a NumPy array file"),
    (_header((3, 1, 5, 4)), "cut short"), (_header((1 << 40, 1 << 40)), "cut short"),
    (_header((-3, 5, 4)), "cut short"), (_header((3,))[:20], "not a NumPy array file"),
    (b"PK\x03\x04" + bytes(40), "damaged archive"), (b"\x80\x04\x95junk", "not a NumPy array")])
def test_damaged_files(plain, tmp_path, data, words):
    path = tmp_path / "x.npy"
    path.write_bytes(data)
    with pytest.raises(DataRefused, match=words):
        load_batch(plain, path)


def test_missing_file_and_folder(plain, tmp_path):
    with pytest.raises(DataRefused, match="no such file"):
        load_batch(plain, tmp_path / "no.npy")
    with pytest.raises(DataRefused, match="is not a file"):
        load_batch(plain, tmp_path)
    with pytest.raises(DataRefused, match="limit of 0"):
        load_batch(plain, tmp_path / "no.npy", limit=0)


def test_archive_bomb(plain, tmp_path, monkeypatch):
    monkeypatch.setattr("gatewright.data.MAX_BYTES", 1 << 20)
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(8 << 20))
    with pytest.raises(DataRefused, match="member 'x.npy': unpacks to more than"):
        load_batch(plain, tmp_path / "x.npz")


def test_labels(tmp_path):
    np.testing.assert_array_equal(
        load_labels(saved(tmp_path / "l.npy", np.arange(12).reshape(4, 1, 3)), 2),
        [[0, 1, 2], [3, 4, 5]])
    assert load_labels(saved(tmp_path / "l.npy", np.ones((1, 1))), 1).shape == (1,)
    with pytest.raises(DataRefused, match=r"shape \(1, 1\) for 5 sequences"):
        load_labels(tmp_path / "l.npy", 5)


def test_outputs_round_trip(chars, tmp_path):
    y, h, c = RNG.normal(size=(3, 5, 7)), *({k: RNG.normal(size=(3, 3)) for k in (0, 1)}
                                            for _ in "hc")
    outputs = outputs_in_graph_layout(chars, y, h, c)
    assert {k: v.shape for k, v in outputs.items()} == {
        "logits": (3, 1, 5, 7), "hn": (3, 2, 1, 3), "cn": (3, 2, 1, 3)}
    np.testing.assert_array_equal(outputs["hn"][:, 1, 0], h[1])
    saved(tmp_path / "out.npy", outputs["logits"][:, 0])           # without the batch axis
    saved(tmp_path / "out_cn.npy", outputs["cn"])
    read = load_float_outputs(chars, tmp_path / "out.npy", 2)
    assert set(read) == {"logits", "cn"}                           # no file for hn
    for name, array in read.items():
        np.testing.assert_array_equal(array, outputs[name][:2])


def test_last_step_outputs(plain):
    for y in (RNG.normal(size=(3, 2)), RNG.normal(size=(3, 1, 2))):
        outputs = outputs_in_graph_layout(plain, y, {}, {})
        np.testing.assert_array_equal(outputs["logits"], y.reshape(3, 1, 2))
    with pytest.raises(DataRefused, match="no axis for 5 time values"):
        outputs_in_graph_layout(plain, RNG.normal(size=(3, 5, 2)), {}, {})
