"""Bad and hostile .keras files, and layers that no engine has: one line with name and remedy."""

import io
import json
import re
import time
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
from keras_models import FIXTURES, archive, changed, layer, refused, weight

from gatewright import door_keras_file
from gatewright.door_h5 import read_h5

KERNEL = "layers/lstm/cell/vars/0"


@pytest.fixture(autouse=True)
def one_process(monkeypatch, request):
    """Weights are read in this process, except where the other one is the point: half a second."""
    if "apart" not in request.node.name:
        monkeypatch.setattr(door_keras_file, "read_apart", read_h5)


def setting(name: str, **values):
    """A change of one layer's settings."""
    return lambda model: layer(model, name)["config"].update(values)


def replaced(name: str, kind: str, **values):
    """A change of one layer's class."""
    def change(model):
        record = layer(model, name)
        record["class_name"] = kind
        record["config"].update(values)
    return change


@pytest.mark.parametrize("kind", ["Masking", "Lambda", "Conv1D", "LayerNormalization", "RNN",
                                  "ConvLSTM1D", "Flatten", "Reshape", "RepeatVector", "Attention",
                                  "Sequential", "\x1b[31mEvil"])
def test_unknown_layer(tmp_path, kind):
    text = refused(changed(tmp_path, config=replaced("dropout", kind)))
    shown = kind.replace("\x1b", "\\x1b")
    assert f"layer 'dropout' ({shown}): is not supported; leave it out" in text


@pytest.mark.parametrize("name, values, words", [
    ("lstm", {"return_state": True}, "returns its states"),
    ("lstm", {"time_major": True}, "time_major"),
    ("lstm", {"go_backwards": True}, "goes backwards"),
    ("lstm", {"units": 5}, r"kernel: has the shape \(5, 16\), not \(any, 20\)"),
    ("lstm", {"units": 0}, "units is '0'"), ("lstm", {"units": 4.0}, "units is '4.0'"),
    ("lstm", {"units": None}, "units is 'None'"),
    ("lstm", {"use_bias": "yes"}, "use_bias is 'yes'"),
    ("lstm", {"use_bias": False}, "has 3 arrays of weights, not 2"),
    ("lstm", {"activation": "gelu"}, "function 'gelu' in a cell"),
    ("lstm", {"activation": {"class_name": "function", "config": "mine"}}, "Keras's own functions"),
    ("lstm", {"return_sequences": False}, "'lstm_1'.*reads one vector, not a sequence"),
    ("lstm_1", {"return_sequences": "maybe"}, "return_sequences is 'maybe'"),
    ("dense", {"activation": "swish"}, "function 'swish'"),
    ("dense", {"units": 3}, r"kernel: has the shape \(3, 2\), not \(any, 3\)"),
    ("input_layer", {"batch_shape": [None, 7]}, "input shape"),
    ("input_layer", {"batch_shape": [None, 7, None]}, "features open"),
    ("input_layer", {"batch_shape": [None, -7, 5]}, "input shape"),
    ("input_layer", {"batch_shape": "all"}, "input shape"),
    ("input_layer", {"batch_shape": [None, 7, 6]}, "'lstm'.*takes 5 inputs, but 6"),
    ("input_layer", {"batch_shape": [None, 1 << 40, 5]}, "input shape")])
def test_settings(tmp_path, name, values, words):
    assert re.search(words, refused(changed(tmp_path, config=setting(name, **values))))


@pytest.mark.parametrize("name, fixture, values, words", [
    ("table", "functional", {"mask_zero": True}, "mask_zero"),
    ("table", "functional", {"input_dim": 12}, r"has the shape \(11, 6\), not \(12, 6\)"),
    ("table", "functional", {"input_dim": -1}, "input_dim is '-1'"),
    ("bidirectional", "concat", {"merge_mode": None}, "merge_mode is 'None'"),
    ("bidirectional", "concat", {"layer": {"class_name": "LSTM"}}, "without class or settings"),
    ("bidirectional", "concat", {"layer": {"class_name": "Conv1D", "config": {}}},
     "wraps 'Conv1D'"),
    ("time_distributed", "gru", {"layer": {"class_name": "Conv1D", "config": {}}}, "'Conv1D'"),
    ("batch_normalization", "rnn", {"axis": 1}, "over axis '1'"),
    ("batch_normalization", "rnn", {"epsilon": "x"}, "epsilon is 'x'"),
    ("batch_normalization", "rnn", {"scale": False}, "has 4 arrays of weights, not 3"),
    ("global_average_pooling1d", "mean", {"keepdims": True}, "keeps its axis")])
def test_settings_of_others(tmp_path, name, fixture, values, words):
    assert re.search(words, refused(changed(tmp_path, fixture, config=setting(name, **values))))


def test_no_bidirectional_of_a_reversed_layer(tmp_path):
    def turn(model):
        layer(model, "bidirectional")["config"]["layer"]["config"]["go_backwards"] = True
    assert "goes backwards" in refused(changed(tmp_path, "concat", config=turn))


# Functional models that are no series.
def _node(model, name: str) -> dict:
    return layer(model, name)["inbound_nodes"][0]


def _reads(model, name: str, other: str, index: int = 0):
    _node(model, name)["args"][0]["config"]["keras_history"] = [other, 0, index]


@pytest.mark.parametrize("change, words", [
    (lambda m: _reads(m, "head", "lstm_b"), "'lstm_a'.*does not lie in the series"),
    (lambda m: _reads(m, "lstm_b", "head"), "does not lie in the series"),
    (lambda m: _reads(m, "lstm_b", "lstm_b"), "does not lie in the series"),
    (lambda m: _reads(m, "lstm_b", "ghost"), "reads 'ghost', which is no layer"),
    (lambda m: _reads(m, "head", "lstm_a", 1), "not the first of its layer"),
    (lambda m: _node(m, "lstm_a")["kwargs"].update(initial_state=[1]),
     "called with 'initial_state'"),
    (lambda m: _node(m, "lstm_a")["kwargs"].update(mask={"class_name": "x"}),
     "called with 'mask'"),
    (lambda m: _node(m, "lstm_a")["args"].append(1), "several tensors"),
    (lambda m: layer(m, "lstm_a").update(inbound_nodes=[]), "several tensors"),
    (lambda m: layer(m, "lstm_a").update(inbound_nodes=None), "several tensors"),
    (lambda m: layer(m, "lstm_a")["inbound_nodes"].append({}), "used several times"),
    (lambda m: m["config"].update(output_layers=[["head", 0, 0], ["lstm_a", 0, 0]]),
     "output_layers"),
    (lambda m: m["config"].update(input_layers=[]), "input_layers"),
    (lambda m: m["config"].update(layers=[]), "neither Sequential nor functional"),
    (lambda m: m["config"].update(layers=[1]), "without class or settings"),
    (lambda m: m.update(class_name="MyModel"), "'functional' .MyModel.: is neither"),
    (lambda m: m.update(config=3), "without class or settings")])
def test_no_series(tmp_path, change, words):
    assert re.search(words, refused(changed(tmp_path, "functional", config=change)))


def test_keras2_mask(tmp_path):
    def mask(model):
        layer(model, "lstm_a")["inbound_nodes"] = [[["lstm_b", 0, 0, {"initial_state": ["x"]}]]]
    assert "called with 'initial_state'" in refused(changed(tmp_path, "keras2", config=mask))


# Weights.
@pytest.mark.parametrize("values, words", [
    (np.full((5, 16), np.nan, np.float32), r"kernel: is nan at index \[0, 0\]"),
    (np.full((5, 16), np.inf, np.float32), "is inf"),
    (np.full((5, 16), 1e300), r"is 1e\+300 at index"),
    (np.zeros((16, 5), np.float32), r"has the shape \(16, 5\), not \(any, 16\)"),
    (np.zeros((5, 16, 1), np.float32), "has the shape"), (np.float32(1), "has the shape"),
    (np.zeros((0, 16), np.float32), r"has the shape \(0, 16\)"),
    (np.zeros((5, 16), np.int8), "holds int8 values.*quantised"),
    (np.zeros((5, 16), np.complex64), "stored as complex64"),
    (np.array([b"x"]), "stored as"), (np.zeros((5, 16), bool), "stored as")])
def test_weight(tmp_path, values, words):
    text = refused(changed(tmp_path, weights=weight(KERNEL, values)))
    assert re.search(words, text) and "layer 'lstm'" in text


def _delete(path):
    return lambda file: file.__delitem__(path)


def _made(path, **options):
    """A dataset that is declared, and never written."""
    def change(file):
        del file[path]
        file.create_dataset(path, **options)
    return change


def _external(file):
    del file[KERNEL]
    file.create_dataset(KERNEL, (5, 16), "f4", external=[("/etc/passwd", 0, 320)])


def _virtual(file):
    del file[KERNEL]
    layout = h5py.VirtualLayout((5, 16), "f4")
    layout[...] = h5py.VirtualSource("other.h5", "x", (5, 16))
    file.create_virtual_dataset(KERNEL, layout)


def _link(link):
    def change(file):
        del file[KERNEL]
        file[KERNEL] = link
    return change


def _link_root(file):
    file.move("layers", "elsewhere")
    file["layers"] = h5py.SoftLink("/elsewhere")


@pytest.mark.parametrize("change, words", [
    (_delete(KERNEL), "weight 0: is missing"),
    (_delete("layers/lstm"), "'lstm'.*has 0 arrays of weights, not 3"),
    (_delete("layers"), "'lstm'.*has 0 arrays of weights, not 3"),
    (_link_root, "'lstm'.*has 0 arrays of weights, not 3"),
    (_link(h5py.SoftLink("/layers/lstm_1/cell/vars/0")), "lies behind a link"),
    (_link(h5py.ExternalLink("/etc/passwd", "/x")), "lies behind a link"),
    (_external, "not stored in the file itself"), (_virtual, "not stored in the file itself"),
    (_made(KERNEL, shape=(1 << 20, 1 << 20), dtype="f4", chunks=(1, 16)),
     "more than any device holds"),
    (_made(KERNEL, shape=(1 << 23, 16), dtype="f4", chunks=(1 << 10, 16), compression="gzip"),
     "more than any device holds"),
    (_made(KERNEL, shape=(5, 16), dtype="f4", chunks=(5, 16), compression="lzf"), "not stored in"),
    (_made(KERNEL, shape=None, dtype="f4"), "not stored in")])
def test_dataset(tmp_path, change, words):
    text = refused(changed(tmp_path, weights=change))
    assert re.search(words, text)


def test_group_in_place_of_weights(tmp_path):
    def change(file):
        del file[KERNEL]
        file.create_group(KERNEL)
    assert "weight 0: is missing" in refused(changed(tmp_path, weights=change))


# The archive.
def _drop(name):
    return lambda parts: parts.pop(name)


def _put(name, data):
    return lambda parts: parts.update({name: data})


@pytest.mark.parametrize("change, words", [
    (_drop("model.weights.h5"), "member 'model.weights.h5': is missing"),
    (_drop("metadata.json"), "member 'metadata.json': is missing"),
    (_put("metadata.json", b"{}"), "names the Keras version"),
    (_put("metadata.json", b'{"keras_version": "4.0.0"}'), "Keras version '4.0.0'.*2 and 3"),
    (_put("metadata.json", b"[1]"), "'metadata.json': is damaged"),
    (_put("config.json", b"{"), "'config.json': is damaged"),
    (_put("config.json", b"\xff\xfe"), "'config.json': is damaged"),
    (_put("config.json", b"[" * 100_000), "'config.json': is damaged"),
    (_put("config.json", b"null"), "'config.json': is damaged"),
    (_put("config.json", b'{"class_name": "Sequential"}'), "without class or settings"),
    (_put("../evil.txt", b"x"), r"member '../evil.txt': would lie outside"),
    (_put("/etc/evil", b"x"), "would lie outside"), (_put("C:\\evil", b"x"), "would lie outside"),
    (_put("a/../../evil", b"x"), "would lie outside")])
def test_archive(tmp_path, change, words):
    (folder := tmp_path / "deep").mkdir()
    text = refused(changed(folder, members=change))
    assert re.search(words, text)
    assert {path.name for path in tmp_path.rglob("*")} == {"deep", "changed.keras"}


@pytest.mark.parametrize("weights", [b"", b"\x89HDF\r\n\x1a\n" + bytes(100), "loop"])
def test_apart(tmp_path, weights):
    """Weights that the library fails on, or that keep it busy for ever."""
    if weights == "loop":
        weights = (FIXTURES / "hdf5_loop.bin").read_bytes()
    start = time.perf_counter()
    text = refused(changed(tmp_path, "concat", members=_put("model.weights.h5", weights)))
    assert "'model.weights.h5': is damaged" in text and time.perf_counter() - start < 60


def test_apart_refuses(tmp_path):
    """What the walk refuses crosses the border between the processes."""
    assert "weight 0: lies behind" in refused(changed(tmp_path, weights=_link(h5py.SoftLink("x"))))


def test_too_many_groups(tmp_path):
    def change(file):
        for k in range(4001):
            file.create_group(f"layers/g{k}")
    with pytest.raises(ValueError, match="far too many groups"):
        read_h5(archive_member(changed(tmp_path, weights=change)))


def test_groups_in_a_circle(tmp_path):
    def change(file):
        file["layers/lstm/again"] = file["layers"]
    with pytest.raises(ValueError, match="far too many groups"):
        read_h5(archive_member(changed(tmp_path, weights=change)))


def archive_member(path) -> bytes:
    with zipfile.ZipFile(path) as file:
        return file.read("model.weights.h5")


def test_other_archive(tmp_path):
    assert "'config.json': is missing" in refused(archive(tmp_path / "a.keras", {"x": b"1"}))
    assert "what torch.save makes" in refused(archive(tmp_path / "a.zip", {"x": b"1"}))


@pytest.mark.parametrize("size", [0, 10, 1000, 20000, -1, -30])
def test_truncated(tmp_path, size):
    data = (FIXTURES / "sequential.keras").read_bytes()
    path = tmp_path / "cut.keras"
    path.write_bytes(data[:size])
    assert refused(path)


def test_member_twice(tmp_path):
    path = changed(tmp_path)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as file:
        file.writestr("config.json", b"{}")
    assert "has a member twice" in refused(path)


def test_encrypted(tmp_path):
    data = bytearray(changed(tmp_path).read_bytes())
    at = data.rindex(b"PK\x01\x02")        # the flag of the last member, in the directory
    data[at + 8] |= 1
    path = tmp_path / "locked.keras"
    path.write_bytes(data)
    assert "is encrypted" in refused(path)


@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
def test_zip_bomb(tmp_path, member):
    """A gigabyte of zeros in a megabyte: little is unpacked, and soon."""
    with zipfile.ZipFile(FIXTURES / "sequential.keras") as file:
        parts = {name: file.read(name) for name in file.namelist() if name != member}
    path = archive(tmp_path / "bomb.keras", parts)
    zeros = bytes(1 << 20)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as file, \
            file.open(member, "w") as out:
        for _ in range(300):
            out.write(zeros)
    tracemalloc.start()
    start = time.perf_counter()
    text = refused(path)
    seconds, (_, peak) = time.perf_counter() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert re.search("unpacks to more than (16|256) MiB", text)
    assert seconds < 10 and peak < 800 << 20


def test_lying_size(tmp_path):
    """The directory says ten bytes: no more than that are believed, and the checksum is wrong."""
    data = bytearray(changed(tmp_path).read_bytes())
    name = data.rindex(b"PK\x01\x02", 0, data.rindex(b"model.weights.h5"))
    data[name + 24:name + 28] = (10).to_bytes(4, "little")
    path = tmp_path / "lies.keras"
    path.write_bytes(data)
    assert "damaged" in refused(path)


def test_old_h5_model(tmp_path):
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential"})
    path = tmp_path / "old.h5"
    path.write_bytes(memory.getvalue())
    assert "older Keras versions" in refused(path) and "model.save('model.keras')" in refused(path)


def test_too_many_layers(tmp_path):
    def repeat(model):
        layers = model["config"]["layers"]
        drop = json.dumps({"class_name": "Activation", "config": {"activation": "tanh"}})
        for k in range(3000):
            one = json.loads(drop)
            one["config"]["name"] = f"a{k}"
            layers.insert(2, one)
    assert "more than 256 layers" in refused(changed(tmp_path, config=repeat))
