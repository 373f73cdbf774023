"""Files that hold no model, half a model, or far too much; groups 1 to 9 and 56 of the list."""

import os
import pickle
import zlib

import numpy as np
import onnx
import onnx_models as build
import pytest
from bad_files import IMPORT, edited, place, refused, rows, run
from onnx import helper

VALID = build.torch_legacy(layers=1).model().SerializeToString()


def _field(number: int, data: bytes) -> bytes:
    """A protobuf field of bytes."""
    size, digits = len(data), b""
    while size > 127:
        digits, size = digits + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + digits + bytes([size]) + data


def _nested(depth: int) -> bytes:
    """If nodes in If nodes: graph (7) of a model, node (1), attribute (5), graph (6)."""
    data = b""
    for _ in range(depth):
        data = _field(6, _field(1, _field(5, data)))
    return b"\x08\x08" + _field(7, _field(1, _field(5, data))) + _field(8, b"\x10\x11")


def _crowd(count: int) -> bytes:
    """So many empty nodes: two bytes each in the file, a hundred in memory."""
    return b"\x08\x08" + _field(7, b"\x0a\x00" * count) + _field(8, b"\x10\x11")


def _cleared(*names, graph=True):
    def change(model):
        for name in names:
            (model.graph if graph else model).ClearField(name)
    return lambda: edited(change)


def _opsets(*pairs):
    def change(model):
        model.ClearField("opset_import")
        model.opset_import.extend(helper.make_opsetid(*pair) for pair in pairs)
    return lambda: edited(change)


def _ir(version):
    return lambda: edited(lambda model: setattr(model, "ir_version", version))


FILES = [
    ("empty", lambda: b"", "is empty; export"),
    ("one byte", lambda: b"\x08", "not an ONNX model"),
    ("newline", lambda: b"\n", "not an ONNX model"),
    ("random", lambda: np.random.default_rng(1).bytes(5000), "not an ONNX model"),
    ("zeros", lambda: bytes(5000), "not an ONNX model"),
    ("text", lambda: b"weights go here\n" * 9, "not an ONNX model"),
    ("JSON", lambda: b'{"layers": []}', "not an ONNX model"),
    ("HTML", lambda: b"\n  <!DOCTYPE html><html>404</html>", "is a web page"),
    ("XML", lambda: b"<?xml version='1.0'?><Error>AccessDenied</Error>", "is a web page"),
    ("git-LFS", lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
     "git-LFS pointer.*git lfs pull"),
    ("zip", lambda: b"PK\x03\x04" + bytes(99), "the archive: is cut short or damaged"),
    ("HDF5", lambda: b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5"),
    ("pickle", lambda: pickle.dumps({"weight": 1}, 2), "Python pickle"),
    ("gzip", lambda: b"\x1f\x8b\x08" + zlib.compress(VALID), "compressed by gzip"),
    ("cut by one byte", lambda: VALID[:-1], "cut short or damaged"),
    ("cut in half", lambda: VALID[:len(VALID) // 2], "cut short or damaged"),
    ("cut to a tenth", lambda: VALID[:len(VALID) // 10], "cut short or damaged"),
    ("cut at the front", lambda: VALID[3:], "not an ONNX model|IR version|cut short"),
    ("junk behind", lambda: VALID + b"\xfa\x7f\x04junk", "unknown content"),
    ("zeros behind", lambda: VALID + bytes(8), "damaged"),
    ("twice", lambda: VALID + VALID, "is there twice|2 versions"),
    ("no graph", lambda: onnx.ModelProto(ir_version=8).SerializeToString(), "no graph"),
    ("no nodes", _cleared("node"), "no graph with nodes"),
    ("no outputs", _cleared("output"), "has no outputs"),
    ("no inputs", _cleared("input"), "'x': is wanted by node 'LSTM_0'.*nothing makes it"),
    ("no weights", _cleared("initializer"), "'const_2': is wanted by node 'LSTM_0'"),
    ("no opset", _cleared("opset_import", graph=False), "names 0 versions"),
    ("opset 999", _opsets(("", 999)), "opset 999; opsets 7 to "),
    ("opset 1", _opsets(("", 1)), "opset 1; opsets 7 to "),
    ("opset 0", _opsets(("", 0)), "opset 0"), ("opset -1", _opsets(("", -1)), "opset -1"),
    ("two opsets", _opsets(("", 17), ("ai.onnx", 17)), "names 2 versions"),
    ("foreign opset", _opsets(("com.example", 17)), "names 0 versions"),
    ("IR 999", _ir(999), "IR version 999; versions 3 to "), ("IR 0", _ir(0), "IR version 0"),
    ("IR -1", _ir(-1), "IR version -1"),
    ("400 deep", lambda: _nested(400), "cut short or damaged"),
    ("20 deep", lambda: _nested(20), "has no outputs"),
    ("20 million nodes", lambda: _crowd(20 << 20), "more than 1048576 parts"),
    ("operator of 8 MB", lambda: edited(lambda m: setattr(m.graph.node[0], "op_type",
                                                              "x" * (8 << 20))), "1 unsupported"),
]


@rows(FILES)
def test_file(tmp_path, make, said):
    place(tmp_path, make())
    assert "'model.onnx': " in refused(tmp_path, said, *IMPORT)


def test_large_file(tmp_path):
    with open(place(tmp_path) / "model.onnx", "wb") as file:
        file.truncate(5 << 30)
    refused(tmp_path, "has 5120 MiB, more than the 128 MiB", *IMPORT)


def _fifo(folder):
    os.mkfifo(folder / "odd")


PATHS = [
    ("missing", lambda folder: None, "'odd': no such file; check the path"),
    ("folder", lambda folder: (folder / "odd").mkdir(), "'odd': is a folder"),
    ("pipe", _fifo, "'odd': is not a regular file"),
    ("link to nothing", lambda folder: (folder / "odd").symlink_to("gone"), "no such file"),
    ("link to itself", lambda folder: (folder / "odd").symlink_to("odd"), "cannot be read"),
    ("link to a device", lambda folder: (folder / "odd").symlink_to("/dev/zero"),
     "is not a regular file"),
]


@rows(PATHS)
@pytest.mark.parametrize("step", ["import", "quantise", "run", "plan"])
def test_path(tmp_path, make, said, step):
    make(place(tmp_path))
    words = {"import": ["import", "odd"], "plan": ["plan", "odd"],
             "quantise": ["quantise", "odd", "--calibration", "c.npy"],
             "run": ["run", "odd", "--calibration", "c.npy", "--inputs", "c.npy"]}[step]
    if (step, said) == ("plan", "'odd': is a folder"):
        said = "holds no quantised network"     # a folder is welcome there, but not this one
    refused(tmp_path, said, *words)


def test_words_that_look_like_options(tmp_path):
    folder = place(tmp_path)
    (folder / "-model.onnx").write_bytes(VALID)
    refused(tmp_path, "No such option", "import", "-model.onnx")
    assert "lstm" in run(tmp_path, "import", "--", "-model.onnx", status=0).out
    (folder / "a é ☃.onnx").write_bytes(VALID)
    assert "a é ☃.onnx" in run(tmp_path, "import", "a é ☃.onnx", status=0).out
