"""Bad, hostile and ambiguous state dicts: one line with name, reason and remedy."""

import io
import json
import os
import pickle
import re
import struct
import zipfile

import numpy as np
import pytest
from torch_models import DESCRIPTIONS, FIXTURES, case, refused, written

from gatewright.door_torch_files import read_pt
from gatewright.errors import ImportRefused

SAFE = "safetensors.torch.save_file"


def lstm(**changes) -> dict:
    """The bare LSTM's tensors; None leaves one out."""
    state = case("lstm")[0] | changes
    return {key: value for key, value in state.items() if value is not None}


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


# What a state dict leaves open is asked for, with the lines to write.
@pytest.mark.parametrize("name, words", [
    ("rnn", r"which function its nn.RNN applies; write into 'net.layers.toml': "
            r'nonlinearity = "tanh" \(or "relu"\)'),
    ("relu", r'layers = \["rnn", "last", "fc"\].*and nonlinearity = "tanh"'),
    ("deep", r'layers = \["name", "last", "name", "relu", ...\]'),
    ("tagger", r'layers = \["table", "gru", "last", "out"\]'),
    ("mean", r'layers = \["rnn", "last", "fc"\]')])
def test_ambiguous(tmp_path, name, words):
    text = refused(written(tmp_path, case(name)[0]))
    assert "the state dict: does not say" in text and re.search(words, text)


def test_proposal_imports(tmp_path):
    """The line that a refusal proposes is one that works."""
    from gatewright.doors import import_model
    state, _ = case("tagger")
    path = written(tmp_path, state)
    line = re.search(r"layers = \[[^]]*\]", refused(path))[0]
    path.with_name("net.layers.toml").write_text(line)
    assert len(import_model(path).layers) == 3


@pytest.mark.parametrize("toml, words", [
    ('layers = ["rnn", "ghost"]', r"'net.layers.toml'.*names 'ghost', which is no module"),
    ('layers = []', "name at least one module"), ("layers = [1]", "list of names"),
    ('layers = "rnn"', "layers is 'rnn'; it must be a list"),
    ('layers = ["rnn", "fc", "rnn"]', "'rnn': takes 5 inputs, but 3 values reach it"),
    ('layers = ["fc", "rnn"]', "'rnn': takes 5 inputs, but 3"),
    ('layers = ["rnn", "last", "last", "fc"]', "'last'.*reads one vector, not a sequence"),
    ('layers = ["rnn", "last", "rnn"]', "reads one vector"),
    ('layers = ["state", "rnn"]', "names 'state'"), ('layers = ["last"]', "names no module"),
    ('layers = ["rnn", "swish"]', "names 'swish'"),
    ('nonlinearity = "selu"', "nonlinearity is 'selu'"), ("tokens = 1", "tokens is '1'"),
    ('layers = ["rnn", "fc"]\ntokens = true', "says tokens, but 'rnn' is no embedding"),
    ("activation = 'tanh'", "sets 'activation'; it may set layers, nonlinearity"),
    ("layers = [", "'net.layers.toml': cannot be read"), ("\xff", "cannot be read"),
    ("a = " + "[" * 5000, "cannot be read")])
def test_description(tmp_path, toml, words):
    path = written(tmp_path, case("mean")[0])
    path.with_name("net.layers.toml").write_bytes(toml.encode("latin-1"))
    assert re.search(words, refused(path))


def test_two_descriptions(tmp_path):
    path = written(tmp_path, case("mean")[0], DESCRIPTIONS["mean"])
    path.with_name("net.layers.json").write_text("{}")
    assert "not the only description" in refused(path)


@pytest.mark.parametrize("text, words", [("[1]", "no table of settings|not a table"),
                                         ("{", "cannot be read"), ("[" * 5000, "cannot be read")])
def test_metadata(tmp_path, text, words):
    path = written(tmp_path, lstm(), metadata={"gatewright": text})
    assert re.search(words, refused(path)) and "metadata" in refused(path)


def test_states_of_unlike_layers(tmp_path):
    path = written(tmp_path, case("deep")[0], DESCRIPTIONS["deep"] | {"states": True})
    assert "differ in kind or size" in refused(path)


def test_states_of_a_projection(tmp_path):
    path = written(tmp_path, case("projections")[0], {"states": True})
    assert "(proj_size) cannot be handed over" in refused(path)


# Tensors.
@pytest.mark.parametrize("state, words", [
    (lambda: lstm(weight_hr_l0=zeros(2, 4)), r"'weight_hh_l0': has the shape \(16, 4\), not"),
    (lambda: lstm(weight_hr_l0=zeros(2, 5)), "it must be"),
    (lambda: lstm(weight_hr_l0=zeros(2)), "it must be"),
    (lambda: lstm(weight_hr_l1=zeros(2, 4)), r"'weight_hr_l1': has the shape \(2, 4\), not \(0, 4"),
    (lambda: lstm(weight_hr_l0=zeros(2, 4), weight_hh_l0=zeros(12, 2)), "it must be"),
    (lambda: lstm(weight_hh_l0=zeros(15, 4)), r"has the shape \(15, 4\); it must be \(4H, H\)"),
    (lambda: lstm(weight_hh_l0=zeros(8, 4)), "it must be"),
    (lambda: lstm(weight_hh_l0=zeros(16, 0)), "it must be"),
    (lambda: lstm(weight_hh_l0=zeros(16)), "it must be"),
    (lambda: lstm(weight_ih_l0=zeros(12, 5)), r"'weight_ih_l0': has the shape \(12, 5\), not \(16"),
    (lambda: lstm(weight_ih_l0=zeros(16, 0)), "has the shape"),
    (lambda: lstm(weight_ih_l0=zeros(16)), "has the shape"),
    (lambda: lstm(bias_ih_l0=zeros(4)), r"'bias_ih_l0': has the shape \(4,\), not \(16\)"),
    (lambda: lstm(bias_hh_l0=None), "lacks weights or biases of layer 0"),
    (lambda: lstm(weight_ih_l0=None), "has no weight_ih_l0"),
    (lambda: lstm(weight_hh_l0=None), "has no weight_hh_l0|no weights of nn.RNN"),
    (lambda: lstm(weight_ih_l2=zeros(16, 4), weight_hh_l2=zeros(16, 4)), "layer 1"),
    (lambda: lstm(weight_ih_l0_reverse=zeros(16, 5)), "lacks weights or biases of layer 0"),
    (lambda: lstm(weight_ih_l1=zeros(16, 4), weight_hh_l1=zeros(16, 4),
                  weight_ih_l0_reverse=zeros(16, 5), weight_hh_l0_reverse=zeros(16, 4)),
     "layer 1 in reverse"),
    (lambda: lstm(weight_ih_l0=np.full((16, 5), np.nan, np.float32)), r"is nan at index \[0, 0\]"),
    (lambda: lstm(bias_hh_l0=np.full(16, -np.inf, np.float32)), r"'bias_hh_l0': is -inf"),
    (lambda: lstm(weight_ih_l0=np.full((16, 5), 1e39)), r"is 1e\+39"),
    (lambda: lstm(weight_ih_l0=zeros(16, 5, dtype=np.int8)), "holds int8 values"),
    (lambda: {"rnn.weight_hh_l0_raw": zeros(16, 4)} | {f"rnn.{k}": v for k, v in lstm().items()},
     "module 'rnn': also has the tensor 'weight_hh_l0_raw'"),
    (lambda: lstm(weight=zeros(4, 4)), "the module: also has the tensor 'weight'"),
    (lambda: lstm() | {f"lstm.{k}": v for k, v in lstm().items()}, "the name of another, lstm"),
    (lambda: {"fc.weight": zeros(3, 4)}, "no weights of nn.RNN, nn.GRU or nn.LSTM"),
    (lambda: {}, "no weights of nn.RNN"),
    (lambda: {f"t{k}": zeros(1) for k in range(2001)}, "has 2001 tensors")])
def test_tensors(tmp_path, state, words):
    assert re.search(words, refused(written(tmp_path, state())))


@pytest.mark.parametrize("extra", [
    {"norm.weight": zeros(4), "norm.bias": zeros(4)}, {"conv.weight": zeros(3, 4, 5)},
    {"norm.weight": zeros(4), "norm.running_mean": zeros(4), "norm.running_var": zeros(4)},
    {"lin.weight_g": zeros(3, 1), "lin.weight_v": zeros(3, 4)},
    {"lin.parametrizations.weight.original0": zeros(3, 1)}, {"scale": zeros(1)}])
def test_other_modules(tmp_path, extra):
    state = {f"rnn.{key}": value for key, value in lstm().items()} | extra
    name = next(iter(extra)).rpartition(".")[0]
    path = written(tmp_path, state, {"layers": ["rnn", name]})
    text = refused(path)
    assert f"module '{name or '(no name)'}': has the tensors" in text and "fold or remove" in text


def test_left_out_is_told(tmp_path):
    """What a description does not name is not forgotten in silence."""
    from gatewright.doors import import_model
    state = case("mean")[0] | {"aux.weight": zeros(2, 4)}
    network = import_model(written(tmp_path, state, {"layers": ["rnn", "last", "fc"]}))
    assert any("leaves out: 'aux'" in note for note in network.notes)


# The .safetensors file.
def _head(head: dict, data: bytes = b"") -> bytes:
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize("data", [
    _head({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 8]}}, bytes(16)),
    _head({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 16]}}, bytes(16)),
    _head({"a": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}}, bytes(16)),
    _head({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
           "b": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}, bytes(16)),
    _head({"a": {"dtype": "F32", "shape": [4], "data_offsets": [1 << 40, (1 << 40) + 16]}}),
    _head({"a": {"dtype": "F99", "shape": [4], "data_offsets": [0, 16]}}, bytes(16)),
    _head({"a": 3}), _head({"a": {}}), _head({}) + b"more",
    struct.pack("<Q", 1 << 31) + b"{}", struct.pack("<Q", 2) + b"{", b"\x02" + bytes(7) + b"{\xff"])
def test_damaged_safetensors(tmp_path, data):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data)
    assert re.search("no .safetensors file, or damaged", refused(path))


def test_unusual_types(tmp_path):
    """Eight-bit floats are named, and nothing is guessed about them."""
    path = tmp_path / "net.safetensors"
    path.write_bytes(_head({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}},
                           bytes(4)))
    assert "tensor 'a': has type F8_E4M3" in refused(path)


@pytest.mark.parametrize("name", ["net.safetensors", "net.keras", "net.pt", "net.pth"])
@pytest.mark.parametrize("data", [b"version https://git-lfs.github.com/spec/v1", b"x" * 100,
                                  b"<!DOCTYPE html><html>"])
def test_not_what_its_name_says(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    assert "not what its name says" in refused(path) and "git lfs pull" in refused(path)


@pytest.mark.parametrize("size", [1, 9, 100, 800, -1])
def test_truncated(tmp_path, size):
    path = written(tmp_path, lstm())
    path.write_bytes(path.read_bytes()[:size])
    assert refused(path)


# The .pt file.
@pytest.mark.parametrize("name, words", [
    ("module", "calls 'torch.nn.modules.rnn LSTM', which only running code"),
    ("legacy", "is a bare pickle"), ("script", "is a TorchScript archive")])
def test_pt_that_needs_code(tmp_path, name, words):
    path = tmp_path / f"{name}.pt"
    path.write_bytes((FIXTURES / f"{name}.pt").read_bytes())
    assert re.search(words, refused(path)) and SAFE in refused(path)


class _Evil:
    def __init__(self, call, *arguments):
        self.found = call, arguments

    def __reduce__(self):
        return self.found


def _pt(program: bytes, **members) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as file:
        file.writestr("archive/data.pkl", program)
        for name, data in members.items():
            file.writestr(f"archive/{name.replace('__', '/')}", data)
    return memory.getvalue()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("where", [lambda evil: evil, lambda evil: {"weight_hh_l0": evil}])
def test_pickle_runs_nothing(tmp_path, where, protocol):
    """A pickle that runs code when it is loaded runs none here."""
    made, path = tmp_path / "made", tmp_path / "net.pt"
    program = pickle.dumps(where(_Evil(os.mkdir, str(made))), protocol)
    path.write_bytes(_pt(program))
    text = refused(path)
    assert SAFE in text and re.search("calls '(posix|nt) mkdir'|needs the pickle instr", text)
    assert not made.exists()
    pickle.loads(program)                  # the test is not about nothing
    assert made.exists()


def _state(**changes) -> tuple:
    """A pickle program and storage of one tensor, by hand; changes of its parts."""
    part = {"kind": "storage", "type": "torch\nFloatStorage\n", "key": "0", "count": 16,
            "offset": 0, "size": (4, 4), "stride": (4, 1)} | changes

    def number(n):
        return b"J" + struct.pack("<i", n)

    def text(word):
        return b"X" + struct.pack("<I", len(word)) + word.encode()

    program = b"\x80\x02}(" + text("weight_hh_l0") + b"ctorch._utils\n_rebuild_tensor_v2\n(("
    program += text(part["kind"]) + b"c" + part["type"].encode() + text(part["key"]) + text("cpu")
    program += number(part["count"]) + b"tQ" + number(part["offset"])
    for numbers in (part["size"], part["stride"]):
        program += b"(" + b"".join(map(number, numbers)) + b"t"
    return program + b"\x89ccollections\nOrderedDict\n)RtRu.", np.arange(16, dtype="<f4").tobytes()


def test_pt_by_hand():
    """The hand-made program is sound: what follows changes one thing of it each."""
    program, data = _state()
    tensors, _ = read_pt(_pt(program, data__0=data))
    assert np.array_equal(tensors["weight_hh_l0"], np.arange(16).reshape(4, 4))


@pytest.mark.parametrize("change, words", [
    ({"size": (4, 5)}, "lies outside of its 16 values"), ({"offset": 1}, "lies outside"),
    ({"count": 17}, "lies outside"), ({"stride": (5, 1)}, "lies outside"),
    ({"stride": (-4, 1)}, "damaged table"), ({"offset": -1}, "damaged table"),
    ({"size": (4,)}, "damaged table"), ({"kind": "module"}, "damaged table"),
    ({"size": (1 << 20, 1 << 20), "stride": (0, 0)}, "no network of that size"),
    ({"size": (1,) * 9, "stride": (1,) * 9}, "has the shape"),
    ({"key": "7"}, "'archive/data/7': is missing"), ({"key": "../data.pkl"}, "is missing"),
    ({"type": "torch\nQInt8Storage\n"}, "tensors of type 'QInt8Storage'"),
    ({"type": "os\nsystem\n"}, "damaged table")])
def test_pt_tensor(change, words):
    program, data = _state(**change)
    with pytest.raises(ImportRefused, match=words):
        read_pt(_pt(program, data__0=data))


@pytest.mark.parametrize("program, words", [
    (b"", "damaged"), (b".", "damaged"), (b"\x80\x02", "damaged"), (b"\x80\x02N.", "no state dict"),
    (b"\x80\x02]].", "no state dict"), (b"\x80\x02}.", "no state dict"), (b"t.", "damaged"),
    (b"\x80\x02" + b"(" * 100_000 + b".", "damaged|no state dict"),
    (b"\x80\x02}" + b"q\x00h\x00" * 10 + b"s.", "damaged"),
    (b"\x80\x02]" + b"q\x00h\x00a" * 100_000 + b".", "no state dict"),
    (b"\x80\x02" + b")\x85" * 100_000 + b"q\x00h\x00s.", "damaged"),
    (b"\x80\x02X\xff\xff\xff\x7fabc.", "damaged"), (b"\x80\x02Nb.", "damaged"),
    (b"\x80\x02NR.", "damaged"), (b"\x80\x02NQ.", "damaged"), (b"\x80\x02h\x07.", "damaged"),
    (b"cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", "calls 'os system'"),
    (b"\x80\x02}(X\x01\x00\x00\x00ai\n.", "damaged|instruction")])
def test_pt_program(program, words):
    with pytest.raises(ImportRefused, match=words):
        read_pt(_pt(program))


def test_pt_several_state_dicts():
    program, data = _state()
    inner = program[2:-1]                  # without protocol and stop
    both = b"\x80\x02}(X\x01\x00\x00\x00a" + inner + b"X\x01\x00\x00\x00b" + inner + b"u."
    with pytest.raises(ImportRefused, match="several state dicts .'a', 'b'."):
        read_pt(_pt(both, data__0=data))


def test_pt_big_endian():
    program, data = _state()
    with pytest.raises(ImportRefused, match="big-endian"):
        read_pt(_pt(program, data__0=data, byteorder=b"big"))


@pytest.mark.parametrize("size", [4, 100, 3000, -1, -40])
def test_pt_truncated(tmp_path, size):
    path = tmp_path / "cut.pt"
    path.write_bytes((FIXTURES / "state.pt").read_bytes()[:size])
    assert re.search("cut short|damaged|its name says", refused(path))
