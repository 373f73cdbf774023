"""Data that is no data, or another network's; group 62, and what of 63 is data."""

import io
import pickle
import zipfile

import numpy as np
import onnx_models as build
import pytest
from bad_files import QUANTISE, place, refused, run


class Bomb:
    """What a pickle would run."""

    def __reduce__(self):
        return (open, ("pwned", "w"))


def _saved(array, **more) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **more)
    return file.getvalue()


def _header(text: str, version=(1, 0), body=b"") -> bytes:
    """A .npy file with a header of one's own."""
    data = text.encode("latin1") + b"\n"
    size = len(data).to_bytes(2 if version == (1, 0) else 4, "little")
    return b"\x93NUMPY" + bytes(version) + size + data + body


def _shape(shape: str, descr="<f4", body=b"") -> bytes:
    return _header(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}", body=body)


def _zip(**members) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def _lying_zip() -> bytes:
    """A member of 64 MiB that says it has 8 bytes."""
    data = bytearray(_zip(**{"x.npy": bytes(64 << 20)}))
    at = data.rindex(b"PK\x01\x02") + 24
    data[at:at + 4] = (8).to_bytes(4, "little")
    return bytes(data)


GOOD = np.random.default_rng(1).normal(size=(6, 1, 5, 4))
WHOLE = _saved(GOOD)


def _with(value, dtype=float):
    array = GOOD.astype(dtype)
    array[3, 0, 2, 1] = value
    return _saved(array)


FILES = {
    "empty": (b"", "'c.npy': is empty"), "one byte": (b"\x93", "not a NumPy array file"),
    "magic alone": (b"\x93NUMPY", "not a NumPy array file"),
    "version 9": (_header("{}", (9, 0)), "not a NumPy array file"),
    "CSV": (b"0.1,0.2\n0.3,0.4\n", "is not a NumPy array file, or is damaged; save it with numpy"),
    "text": (b"hello\n" * 100, "not a NumPy array file"),
    "WAV": (b"RIFF\x24\x00\x00\x00WAVEfmt ", "not a NumPy array file"),
    "pickle": (pickle.dumps(Bomb()), "not a NumPy array file"),
    "pickled objects": (_saved(np.array([Bomb()] * 6), allow_pickle=True), "holds object values"),
    "object header": (_shape("(6, 5, 4)", "|O", pickle.dumps(Bomb())), "holds object values"),
    "texts": (_saved(np.array([["0.5"] * 4] * 5)), "holds <U3 values, not numbers"),
    "bytes": (_saved(np.array([b"ab"] * 6)), "holds .S2 values, not numbers"),
    "complex": (_saved(GOOD.astype(complex)), "holds complex128 values"),
    "dates": (_saved(np.zeros((6, 5, 4), "M8[s]")), "holds datetime64.s. values"),
    "records": (_saved(np.zeros(6, [("a", "f4"), ("b", "f4")])), "not numbers"),
    "void": (_saved(np.zeros((6, 5, 4), "V4")), "not numbers"),
    "sub-array header": (_shape("(6,)", "(5,4)<f4", bytes(480)), "not numbers|not a NumPy"),
    "code in the header": (_header("__import__('os').system('touch pwned')"), "not a NumPy"),
    "header without a shape": (_header("{'descr': '<f4', 'fortran_order': False}"), "not a NumPy"),
    "header of lists": (_header("[" * 3000), "not a NumPy array file"),
    "header of 60 kB": (_header("{" + " " * 60000 + "}"), "not a NumPy array file"),
    "header beyond the end": (WHOLE[:40], "not a NumPy array file"),
    "shape -1": (_shape("(-1, 5, 4)"), "the file is cut short or damaged"),
    "shape 2^80": (_shape("(1208925819614629174706176,)"), "the file is cut short or damaged"),
    "shape of floats": (_shape("(6.0, 5, 4)", body=bytes(480)), "not a NumPy array file|cut short"),
    "shape of truths": (_shape("(True, 5, 4)", body=bytes(80)), "'c.npy': "),
    "one axis more than NumPy has": (_shape("(" + "1," * 65 + ")", body=bytes(4)), "c.npy"),
    "cut by a byte": (WHOLE[:-1], r"shape \(6, 1, 5, 4\) but 959 bytes of values.*cut short"),
    "cut to its header": (WHOLE[:-960], "but 0 bytes of values"),
    "a byte more": (WHOLE + b"\0", "but 961 bytes of values"),
    "no sequence": (_saved(GOOD[:0]), r"is empty \(shape \(0, 1, 5, 4\)\); give at least one"),
    "no step": (_saved(GOOD[:, :, :0]), r"is empty \(shape \(6, 1, 0, 4\)\)"),
    "no value": (_saved(GOOD[..., :0]), "is empty"), "a number": (_saved(1.5), r"the shape \(\)"),
    "one axis": (_saved(GOOD.ravel()), r"shape \(120,\), but 'x' is \(n, batch=1, time=5, feat"),
    "six axes": (_saved(GOOD[None, None]), r"has the shape \(1, 1, 6, 1, 5, 4\)"),
    "three values": (_saved(GOOD[..., :3]), r"\(6, 1, 5, 3\), but 'x' is"),
    "six steps": (_saved(np.zeros((6, 1, 6, 4))), r"\(6, 1, 6, 4\), but 'x' is"),
    "batch of two": (_saved(np.zeros((6, 2, 5, 4))), r"\(6, 2, 5, 4\), but 'x' is"),
    "transposed": (_saved(GOOD.transpose(0, 1, 3, 2)), r"\(6, 1, 4, 5\), but"),
    "nan": (_with(np.nan), r"is nan at index \[3, 0, 2, 1\]; all values must be finite"),
    "inf": (_with(np.inf), r"is inf at index \[3, 0, 2, 1\]"),
    "-inf in float16": (_with(-np.inf, "f2"), r"is -inf at index \[3, 0, 2, 1\]"),
    "1e300": (_with(1e300), r"holds values up to 1e\+300; scale the data"),
    "2^63": (_saved(np.full((6, 5, 4), 1 << 63, np.uint64)), r"holds values up to 9.22e\+18"),
    "-2^63": (_saved(np.full((6, 5, 4), -1 << 63)), r"up to 9.22e\+18"),
    "empty archive": (_zip(), "is not a NumPy array file|damaged archive|no array 'x'"),
    "archive of text": (_zip(**{"x.npy": b"hello"}), "member 'x.npy': is not a NumPy array"),
    "archive of objects": (_zip(**{"x.npy": _saved(np.array([Bomb()]), allow_pickle=True)}),
                           "member 'x.npy': holds object values"),
    "archive of others": (_zip(**{"a.npy": WHOLE, "b.npy": WHOLE}), "no array 'x' .it has 'a', "),
    "archive outwards": (_zip(**{"../../x.npy": b"no"}), "member '../../x.npy': is not a NumPy"),
    "archive cut": (_zip(**{"x.npy": WHOLE})[:-9], "is a damaged archive"),
    "archive that lies": (_lying_zip(), "damaged archive|not a NumPy"),
    "archive, encrypted": (b"PK\x03\x04" + bytes(40), "damaged archive"),
}


@pytest.mark.parametrize("name", FILES)
def test_data(tmp_path, name):
    data, said = FILES[name]
    (place(tmp_path) / "c.npy").write_bytes(data)
    refused(tmp_path, said, *QUANTISE)


@pytest.mark.parametrize("sizes", [(300,), (64,) * 5], ids=["one", "five"])
def test_archive_that_unpacks_to_too_much(tmp_path, sizes):
    with zipfile.ZipFile(place(tmp_path) / "c.npy", "w", zipfile.ZIP_DEFLATED,
                         compresslevel=1) as archive:
        for k, size in enumerate(sizes):
            head = _shape(f"({size << 18},)")
            archive.writestr(f"{k}.npy", head + bytes(size << 20))
    refused(tmp_path, "unpacks to more than 256 MiB; give fewer sequences", *QUANTISE)


def test_data_too_large(tmp_path):
    with open(place(tmp_path) / "c.npy", "wb") as file:
        file.write(_shape("(53687091, 5, 4)"))
        file.truncate(4 << 30)
    refused(tmp_path, "'c.npy': is larger than 256 MiB; give fewer sequences", *QUANTISE)


def test_small_numbers_of_many(tmp_path):
    """Bytes that would be eight times as many as float64."""
    with open(place(tmp_path) / "c.npy", "wb") as file:
        head = _shape("(11184810, 5, 4)", "|i1")
        file.write(head)
        file.truncate(len(head) + 11184810 * 20)
    refused(tmp_path, "holds 223696200 values, more than", *QUANTISE)


CONSTANT = {"zeros": 0.0, "ones": 1.0, "minus zero": -0.0, "1e-30": 1e-30, "1e9": 1e9,
            "1e-310": 1e-310}


def test_one_number_that_is_next_to_nothing(tmp_path):
    """Its square is no number any more, nor is the ratio of a signal to it."""
    array = np.round(GOOD * 4) / 4
    array[2, 0, 1, 1] = 1e-160
    place(tmp_path, array=array)
    run(tmp_path, *QUANTISE, status=0)
    run(tmp_path, "golden", "out", "--inputs", "c.npy", status=0)


@pytest.mark.parametrize("name", CONSTANT)
def test_data_without_a_range(tmp_path, name):
    """The scale stays finite, and there is a network."""
    place(tmp_path, array=np.full((6, 1, 5, 4), CONSTANT[name]))
    assert "accumulator" in run(tmp_path, *QUANTISE, status=0).out


TOKENS = {
    "beyond the table": ([[0, 1, 7, 0, 0]], "token id 7 in sequence 0, step 2; ids must be 0 to 6"),
    "negative": ([[0, 1, -1, 0, 0]], "token id -1"),
    "2^63": (np.full((1, 5), 1 << 63, np.uint64), "token id 9223372036854775808|up to 9.22e"),
    "floats": ([[0.0] * 5], "holds float64 values; token ids must be integers"),
    "truths": ([[True] * 5], "token ids must be integers"),
    "one-hot": (np.zeros((2, 5, 7), int), r"\(2, 5, 7\), but 'ids' is"),
}


@pytest.mark.parametrize("name", TOKENS)
def test_token_ids(tmp_path, name):
    values, said = TOKENS[name]
    place(tmp_path, build.char_model(layers=1), np.array(values))
    refused(tmp_path, said, *QUANTISE)


STATES = {
    "few": (np.zeros((2, 1, 1, 3)), "'c_h0.npy': has 2 states for 3 sequences"),
    "other units": (np.zeros((3, 1, 1, 4)), r"'c_h0.npy': has the shape \(3, 1, 1, 4\)"),
    "nan": (np.full((3, 1, 1, 3), np.nan), "'c_h0.npy': is nan at index"),
    "a number": (np.zeros(()), "has 0 states for 3 sequences"),
    "objects": (np.array([None] * 3), "'c_h0.npy': holds object values"),
}


@pytest.mark.parametrize("name", STATES)
def test_states_beside_the_data(tmp_path, name):
    array, said = STATES[name]
    folder = place(tmp_path, build.char_model(layers=1), np.zeros((3, 5), int))
    np.save(folder / "c_h0.npy", array, allow_pickle=True)
    refused(tmp_path, said, *QUANTISE)
