"""Weights beside the model: groups 10 to 17. No file but a plain one in its folder is opened."""

import os

import pytest
from bad_files import IMPORT, external, place, refused, run

OUTSIDE = "external data must be a file in the model's own folder"

ENTRIES = {
    "parent": ({"location": "../w.bin"}, OUTSIDE),
    "grandparent": ({"location": "../../w.bin"}, OUTSIDE),
    "down and up": ({"location": "a/../../w.bin"}, OUTSIDE),
    "below": ({"location": "sub/w.bin"}, OUTSIDE),
    "absolute": ({"location": "/etc/passwd"}, OUTSIDE),
    "absolute, same folder": ({"location": "./w.bin"}, OUTSIDE),
    "Windows": ({"location": "..\\w.bin"}, OUTSIDE), "drive": ({"location": "C:\\w.bin"}, OUTSIDE),
    "empty": ({"location": ""}, OUTSIDE), "dot": ({"location": "."}, OUTSIDE),
    "dots": ({"location": ".."}, OUTSIDE), "NUL": ({"location": "w.bin\0.txt"}, OUTSIDE),
    "missing": ({"location": "gone.bin"}, "is missing; put 'gone.bin' beside the model"),
    "long": ({"location": "x" * 5000}, "the file is missing"),
    "folder": ({"location": "folder"}, "is not a plain file of its own"),
    "symlink": ({"location": "link"}, "is not a plain file of its own .a link or a device"),
    "symlink to a device": ({"location": "zero"}, "is not a plain file of its own"),
    "hard link": ({"location": "hard"}, "is not a plain file of its own"),
    "pipe": ({"location": "pipe"}, "is not a plain file of its own"),
    "length 2^40": ({"length": str(1 << 40)}, "has 1099511627776 bytes for dimensions"),
    "length 0": ({"length": "0"}, "has 0 bytes for dimensions"),
    "length -1": ({"length": "-1"}, "length '-1'; both must be whole numbers"),
    "length 1e9": ({"length": "1e9"}, "both must be whole numbers"),
    "length of 99 digits": ({"length": "9" * 99}, "both must be whole numbers"),
    "offset beyond the end": ({"offset": "4096"}, "but bytes 4096 to .* are wanted; the file is"),
    "offset by one": ({"offset": "1"}, "the file is cut short"),
    "offset 2^59": ({"offset": str(1 << 59)}, "the file is cut short"),
    "offset -4": ({"offset": "-4"}, "offset '-4'"), "offset x": ({"offset": "x"}, "offset 'x'"),
    "offset in Arabic digits": ({"offset": "٤"}, "both must be whole numbers"),
    "key __class__": ({"__class__": "x"}, "with the keys .*'__class__'"),
    "key raw_data": ({"raw_data": "x"}, "with the keys .*'raw_data'"),
}


def _files(folder) -> None:
    """What the locations above point to."""
    (folder / "folder").mkdir()
    (folder.parent / "w.bin").write_bytes(bytes(4096))     # the secret
    (folder / "link").symlink_to("../w.bin")
    (folder / "zero").symlink_to("/dev/zero")
    os.link(folder.parent / "w.bin", folder / "hard")
    os.mkfifo(folder / "pipe")


@pytest.mark.parametrize("name", ENTRIES)
def test_entries(tmp_path, name):
    entries, said = ENTRIES[name]
    _files(external(tmp_path, **entries))
    assert "'const_0'" in refused(tmp_path, said, *IMPORT)


@pytest.mark.parametrize("where", ["unused", "constant", "fill", "branch"])
@pytest.mark.parametrize("name", ["parent", "absolute", "symlink", "hard link", "pipe", "missing",
                                  "key __class__"])
def test_tensors_anywhere_in_the_file(tmp_path, where, name):
    """What the importer does not read, onnxruntime does when it checks the import."""
    entries, said = ENTRIES[name]
    _files(external(tmp_path, where=where, **entries))
    assert "'outside'" in refused(tmp_path, said, *IMPORT)


@pytest.mark.parametrize("where", ["initializer", "fill"])
def test_honest_file_is_read_from_the_models_folder(tmp_path, where):
    """Not from the folder that the command is run in."""
    folder = external(tmp_path, where=where)
    (folder / "sub").mkdir()
    assert "gru" in run(tmp_path, "import", str(folder / "model.onnx"), status=0).out
    (folder / "w.bin").rename(folder / "sub" / "w.bin")
    for path in (folder / "model.onnx", "model.onnx"):
        refused(tmp_path, "put 'w.bin' beside the model", "import", str(path))
    (folder / "model.onnx").rename(folder.parent / "model.onnx")
    (folder / "sub" / "w.bin").rename(folder / "w.bin")
    refused(tmp_path, "put 'w.bin' beside the model", "import", "../model.onnx")


def test_same_data_many_times(tmp_path):
    """Tensors of 4 MiB, all from one small file: refused before they fill the memory."""
    import onnx_models as build
    from onnx import TensorProto
    net = build.bare("GRU")
    for k in range(300):
        tensor = TensorProto(name=f"t{k}", data_type=TensorProto.FLOAT, dims=[1 << 20],
                             data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="w.bin")
        net.inits.append(tensor)
    net.op("Concat", *(f"t{k}" for k in range(300)), outputs=["all"], axis=0)
    net.output("all")
    with open(place(tmp_path, net) / "w.bin", "wb") as file:
        file.truncate(4 << 20)
    refused(tmp_path, "elements of all tensors to more than 33554432", *IMPORT)
