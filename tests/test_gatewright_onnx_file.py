"""Files that are no models, damaged, or hostile: one line, and nothing else is opened."""

import os
import random

import onnx
import onnx_models as build
import pytest
from onnx import TensorProto, helper
from onnx_models import refusal, refused

from gatewright.errors import GatewrightError, ImportRefused
from gatewright.onnx_import import import_onnx


@pytest.mark.parametrize("data, words", [
    (b"", "is empty"), (b"version https://git-lfs.github.com/spec/v1\n", "git-LFS pointer"),
    (b"<!DOCTYPE html><html></html>", "web page"), (b"PK\x03\x04" + b"x" * 99, "zip archive"),
    (bytes(range(256)) * 4, "not an ONNX model"), (b"name,value\n1,2\n", "not an ONNX model"),
    (onnx.ModelProto(ir_version=8).SerializeToString(), "no graph")],
    ids=["empty", "lfs", "html", "zip", "random", "text", "no_graph"])
def test_no_model(tmp_path, data, words):
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    assert words in refusal(path)


def test_no_file(tmp_path):
    assert "no such file" in refusal(tmp_path / "nothing.onnx")
    assert "is a folder" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe.onnx")
    assert "not a regular file" in refusal(tmp_path / "pipe.onnx")
    with pytest.raises(ImportRefused, match="cannot be read"):
        import_onnx("bad\0name.onnx")


def test_file_too_large(tmp_path):
    with open(tmp_path / "net.onnx", "wb") as file:
        file.truncate(300 << 20)
    assert "300 MiB" in refusal(tmp_path / "net.onnx")


def test_truncated_and_trailing(tmp_path):
    data = build.torch_legacy().model().SerializeToString()
    path = tmp_path / "net.onnx"
    for cut in (1, 20, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:cut])
        refusal(path)
    path.write_bytes(data + b"\xfa\x7f\x04junk")           # an unknown field of four bytes
    assert "unknown content" in refusal(path)


@pytest.mark.parametrize("changes, words", [
    ({"ir_version": 999}, "IR version 999"), ({"opset_import": [("", 999)]}, "opset 999"),
    ({"opset_import": [("", 1)]}, "opset 1"), ({"opset_import": []}, "0 versions"),
    ({"opset_import": [("", 17), ("ai.onnx", 18)]}, "2 versions")])
def test_versions(tmp_path, changes, words):
    model = build.bare().model()
    for key, value in changes.items():
        if key == "opset_import":
            del model.opset_import[:]
            model.opset_import.extend(helper.make_opsetid(*pair) for pair in value)
        else:
            setattr(model, key, value)
    assert words in refused(model, tmp_path)


def external(tmp_path, **entries):
    """A file whose first weight lies outside; ``entries`` replace the honest ones."""
    net = build.bare()
    tensor = net.inits[0]
    data = tensor.raw_data
    (tmp_path / "w.bin").write_bytes(data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    honest = {"location": "w.bin", "offset": "0", "length": str(len(data))}
    for key, value in (honest | entries).items():
        tensor.external_data.add(key=key, value=value)
    path = tmp_path / "net.onnx"
    path.write_bytes(net.model().SerializeToString())
    return path


def test_external_data_honest(tmp_path):
    assert import_onnx(external(tmp_path)).layers[0].units == 3


@pytest.mark.parametrize("entries, words", [
    ({"location": "../w.bin"}, "own folder"), ({"location": "/etc/passwd"}, "own folder"),
    ({"location": "a/../w.bin"}, "own folder"), ({"location": ".."}, "own folder"),
    ({"location": ""}, "own folder"), ({"location": "gone.bin"}, "beside the model"),
    ({"length": "1099511627776"}, "1099511627776 bytes"), ({"offset": "-4"}, "whole numbers"),
    ({"offset": "4"}, "cut short"), ({"offset": "x"}, "whole numbers"),
    ({"length": "9" * 99}, "whole numbers"), ({"__class__": "x"}, "__class__")])
def test_external_data_faults(tmp_path, entries, words):
    text = refusal(external(tmp_path, **entries))
    assert words in text and "const_0" in text


def test_external_data_links_and_devices(tmp_path):
    path, side = external(tmp_path), tmp_path / "w.bin"
    side.rename(tmp_path / "real.bin")
    side.symlink_to("real.bin")
    assert "link or a device" in refusal(path)
    side.unlink()
    os.link(tmp_path / "real.bin", side)
    assert "link or a device" in refusal(path)
    side.unlink()
    os.mkfifo(side)
    assert "link or a device" in refusal(path)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_bytes_never_escape(tmp_path, seed):
    """Flipped, removed and repeated bytes: a network or one line, nothing else."""
    rng, path = random.Random(seed), tmp_path / "net.onnx"
    whole = [net.model().SerializeToString() for net in (
        build.torch_legacy(layers=1), build.keras(layers=1), build.char_model(layers=1))]
    refusals = 0
    for _ in range(60):
        data = bytearray(rng.choice(whole))
        for _ in range(rng.choice((1, 1, 3, 10))):
            k = rng.randrange(len(data))
            action = rng.randrange(3)
            if action == 0:
                data[k] ^= 1 << rng.randrange(8)
            elif action == 1:
                del data[k:k + rng.randrange(1, 9)]
            else:
                data[k:k] = data[k:k + rng.randrange(1, 9)]
        path.write_bytes(bytes(data))
        try:
            import_onnx(path)
        except GatewrightError as error:
            refusals += 1
            assert "\n" not in str(error)
    assert refusals > 10


def test_names_that_are_not_text(tmp_path):
    net = build.bare()
    net.nodes[-1].name = "not_utf8"
    path = tmp_path / "net.onnx"
    path.write_bytes(net.model().SerializeToString().replace(b"not_utf8", b"not_\xff\xfe_8"))
    assert "not UTF-8" in refusal(path)
