"""A quantised network as a file: it comes back as it was, and a damaged file says so."""

import io
import pickle
import zipfile
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
from networks import make_batch, make_network

from gatewright import steps
from gatewright.errors import GatewrightError
from gatewright.store import load_networks, save_networks
from golden.model import encode, run_golden
from golden.network import Binding, FloatNetwork
from golden.quantise import Method, Rounding


def quantised(*layers, **more):
    net = make_network(*layers, **more)
    net = FloatNetwork(**{**vars(net), "outputs": (
        Binding(name="out[é]", axes=("batch", "feature"), shape=(None, 2), kind="y"),)})
    batch = make_batch(net, sequences=6, steps=4)
    return steps.quantise(net, batch, weight_width=5, method=Method.PERCENTILE,
                          rounding=Rounding.NEAREST), batch


def same(a, b) -> None:
    """Equal to the last bit, in kinds too."""
    assert type(a) is type(b)
    if is_dataclass(a):
        for field in fields(a):
            same(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b):
            same(one, other)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


CASES = {
    "rnn": ((("rnn", 3, "relu"), ("linear", 2, "last")), {"last_step_only": True}),
    "lstm": ((("lstm", 3), ("lstm", 2), ("linear", 2)), {"loads": True, "returns": True}),
    "gru": ((("gru", 3), ("gru_reset_before", 2)), {}),
    "embedding": ((("lstm", 3), ("linear", 7)), {"embedding": (7, 4)}),
}


@pytest.mark.parametrize("name", CASES)
def test_round_trip(tmp_path, name):
    layers, more = CASES[name]
    made, batch = quantised(*layers, **more)
    for file in ("a.npz", "b.npz"):
        save_networks(tmp_path / file, made.network, made.integer, made.options)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    network, integer, options = load_networks(tmp_path / "a.npz")
    same(network, made.network)
    same(integer, made.integer)
    same(options, made.options)
    runs = [run_golden(i, encode(network, i, batch)).y for i in (integer, made.integer)]
    np.testing.assert_array_equal(*runs)


def _npz(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _head(text: str) -> bytes:
    return _npz(head=np.frombuffer(text.encode(), dtype=np.uint8))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "network.npz"
    made, _ = quantised(*CASES["lstm"][0], **CASES["lstm"][1])
    save_networks(path, made.network, made.integer, made.options)
    return path.read_bytes()


DAMAGED = {
    "empty": b"", "text": b"hello\n", "pickle": pickle.dumps({"head": 1}),
    "other archive": _npz(head=np.arange(3), a0=np.arange(3)), "no head": _npz(a0=np.arange(3)),
    "list": _head("[1]"), "not JSON": _head("{"), "no records": _head('{"format": 3}'),
    "unknown record": _head('{"format": 3, "float": {"record": "os", "fields": {}}}'),
    "deep": _head('{"format": 3, "float": ' + "[" * 100000),
    "objects": _npz(head=np.array([{}], dtype=object)),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged(tmp_path, name):
    path = tmp_path / "network.npz"
    path.write_bytes(DAMAGED[name])
    with pytest.raises(GatewrightError, match=r"network.npz': .*; make the folder again with") as e:
        load_networks(path)
    assert "\n" not in str(e.value)


def test_cut_and_flipped(tmp_path, whole):
    """No prefix and no flipped bit is taken for a network other than the one that was saved."""
    path = tmp_path / "network.npz"
    for size in range(0, len(whole) - 1, 257):
        path.write_bytes(whole[:size])
        with pytest.raises(GatewrightError, match="cannot be read"):
            load_networks(path)
    path.write_bytes(whole)
    saved, refused = load_networks(path), 0
    for place in range(0, len(whole), 97):
        data = bytearray(whole)
        data[place] ^= 0x10
        path.write_bytes(data)
        try:
            loaded = load_networks(path)
        except GatewrightError:
            refused += 1
        else:  # a bit that means nothing: a date, an attribute
            same(loaded, saved)
    assert refused > 20


def test_other_format(tmp_path, whole):
    path = tmp_path / "network.npz"
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        arrays = {name[:-4]: np.load(io.BytesIO(archive.read(name)))
                  for name in archive.namelist()}
    text = arrays["head"].tobytes().replace(b'"format": 3', b'"format": 9')
    arrays["head"] = np.frombuffer(text, dtype=np.uint8)
    path.write_bytes(_npz(**arrays))
    with pytest.raises(GatewrightError, match="network.npz': has format 9, not 3; make the folder"):
        load_networks(path)


def test_missing(tmp_path):
    with pytest.raises(GatewrightError, match="holds no quantised network"):
        load_networks(tmp_path / "network.npz")
