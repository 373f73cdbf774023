"""Options that cannot be, in files and flags; groups 54, 55, 60 and 61."""

import os

import numpy as np
import onnx_models as build
import pytest
from bad_files import QUANTISE, place, poked, refused, run

NUMBERS = ("weight_width", "act_width", "cell_width", "operand_width", "headroom", "lanes", "cols",
           "sequences", "seed")
WRONG = {
    "-1": "-1", "a float": "8.0", "a text": '"8"', "true": "true", "a list": "[8]",
    "inf": "inf", "-inf": "-inf", "nan": "nan", "2^64": "18446744073709551616", "1e999": "1e999",
    "a date": "2026-01-01", "a table": "{a = 8}", "empty": '""',
}


@pytest.mark.parametrize(("name", "wrong"), [
    (name, wrong) for name in NUMBERS for wrong in WRONG
    if (name, wrong) != ("sequences", "2^64")])    # any number will do: never more than are given
def test_number(tmp_path, name, wrong):
    (place(tmp_path) / "o.toml").write_text(f"{name} = {WRONG[wrong]}\n")
    refused(tmp_path, f"'o.toml', key '{name}': must be (auto or )?an integer .*, not .*; give a",
            *QUANTISE, "--config", "o.toml")


TEXTS = {
    "syntax": (b"lanes 4\n", "'o.toml': is not TOML"), "YAML": (b"lanes: 4\n", "is not TOML"),
    "JSON": (b'{"lanes": 4}', "is not TOML"), "INI": (b"[a]\nb = c\n", "is not TOML"),
    "key twice": (b"lanes = 4\nlanes = 5\n", "is not TOML .Cannot overwrite"),
    "table twice": (b"[a]\n[a]\n", "is not TOML"),
    "open text": (b'method = "minmax\n', "is not TOML"),
    "not UTF-8": (b"lanes = 4 # \xff\n", "is not TOML"),
    "UTF-16": ("lanes = 4\n".encode("utf-16"), "is not TOML"),
    "NUL": (b"lanes = 4\0\n", "is not TOML"),
    "5000 brackets": (b"a = " + b"[" * 5000, "is not TOML"),
    "5000 digits": (b"seed = " + b"9" * 5000, "is not TOML|key 'seed'"),
    "5000 keys": (b"".join(b"k%d = 1\n" % k for k in range(5000)), "key 'k0': is unknown; choose"),
    "dots": (b"a.b.c = 1\n", "key 'a': is unknown"), "empty key": (b'"" = 1\n', "is unknown"),
    "control characters": (b'"\\u001b[31m" = 1\n', r"key '\\x1b\[31m': is unknown"),
    "dashes": (b"weight-width = 8\n", "key 'weight-width': is unknown; choose weight_width"),
    "a table of ours": (b"[lanes]\na = 1\n", "key 'lanes': must be "),
    "method": (b'method = "mean"\n', "key 'method': must be one of minmax"),
    "method of 1 MB": (b'method = "' + b"m" * (900 << 10) + b'"', "must be one of minmax"),
    "method as a list": (b'method = ["minmax"]\n', "key 'method': must be one of"),
    "rounding": (b"rounding = false\n", "key 'rounding': must be one of"),
    "argmax 1": (b"argmax = 1\n", "key 'argmax': must be true or false"),
    "per_row text": (b'per_row = "no"\n', "key 'per_row': must be true or false"),
    "targets text": (b'targets = "up5k"\n', "key 'targets': must be one or more of"),
    "targets empty": (b"targets = []\n", "key 'targets': must be one or more of"),
    "targets unknown": (b'targets = ["up5k", "xc2v"]\n', "key 'targets': must be one or more of"),
    "targets of lists": (b'targets = [["up5k"]]\n', "key 'targets': must be one or more of"),
    "targets as a table": (b"[targets]\nup5k = 1\n", "key 'targets': must be one or more of"),
    "cols 0": (b"cols = 0\n", "key 'cols': must be .*, not 0;"),
    "weight_width 1": (b"weight_width = 1\n", "from 2 to 16 .*, not 1;"),
    "weight_width 65": (b"weight_width = 65\n", "from 2 to 16 .*, not 65;"),
    "act_width 0": (b"act_width = 0\n", "from 4 to 18 .*, not 0;"),
    "operand_width 15": (b"operand_width = 15\n", "from 16 to 27 .*, not 15;"),
    "2 MB": (b"# " + b"x" * (2 << 20), "'o.toml': is larger than 1 MiB"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_file(tmp_path, name):
    data, said = TEXTS[name]
    (place(tmp_path) / "o.toml").write_bytes(data)
    refused(tmp_path, said, *QUANTISE, "--config", "o.toml")


PLACES = {
    "missing": (lambda path: None, "no such file; give an existing TOML file"),
    "folder": (lambda path: path.mkdir(), "is not a file; give a TOML file"),
    "pipe": (os.mkfifo, "is not a file; give a TOML file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is not a file"),
    "link to itself": (lambda path: path.symlink_to(path.name), "cannot be read|no such file"),
}


@pytest.mark.parametrize("name", PLACES)
def test_path(tmp_path, name):
    make, said = PLACES[name]
    make(place(tmp_path) / "o.toml")
    refused(tmp_path, f"'o.toml': ({said})", *QUANTISE, "--config", "o.toml")


FLAGS = {
    "--weight-width": ("1", "17", "-8", "0"), "--act-width": ("3", "19"),
    "--cell-width": ("7", "25"), "--headroom": ("-1", "5"), "--method": ("", "MINMAX", "é"),
    "--rounding": ("up",), "--target": ("", "ecp5", "up5k,ecp5-25f"),
}


@pytest.mark.parametrize(("flag", "value"), [(f, v) for f in FLAGS for v in FLAGS[f]])
def test_flag(tmp_path, flag, value):
    place(tmp_path)
    refused(tmp_path, f"{flag}: must be (an integer|one) ", *QUANTISE, f"{flag}={value}")


@pytest.mark.parametrize("value", ["8.5", "eight", "", "0x8", "8 8", "1e1", "٨x", "9" * 5000])
def test_flag_that_is_no_integer(tmp_path, value):
    place(tmp_path)
    refused(tmp_path, "weight-width", *QUANTISE, f"--weight-width={value}")


PLAN = [
    *((f"--deadline={text}", "--deadline: must be a time above zero with its unit, .*, not '")
      for text in ("10", "0us", "-1us", "1e3us", "inf", "nan us", "", "9" * 400 + "s", "10 hours")),
    *((f"--clock={text}", "--clock: must be above 0 and at most 2000 .*, not .*; give")
      for text in ("0", "-1", "nan", "inf", "1e400", "2001")),
    *((f"{flag}={text}", f"{flag}: must be an integer of 1 or more .*, not {text}; give")
      for flag, text in (("--max-dsp", "0"), ("--max-bram", "-5"), ("--max-cycles", "0"))),
    ("--max-cycles=x", "'--max-cycles': .*; see"), ("--clock=fast", "'--clock': .*; see"),
    ("--target=stratix", "--target: must be one or more of"),
    ("--calibration=gone.npy", "'gone.npy': no such file"),
]


@pytest.mark.parametrize(("words", "said"), PLAN, ids=[words[:24] for words, _ in PLAN])
def test_plan(tmp_path, words, said):
    place(tmp_path)
    refused(tmp_path, said, "plan", "model.onnx", words)


def test_network_too_large_for_every_device(tmp_path):
    """Told before anything is built, with what it would need."""
    net = build.Net()
    net.cell("LSTM", net.input("x", [2, 1, 700]), 700, 700)
    net.nodes[-1].output[:] = ["Y", "", ""]
    net.output("Y")
    place(tmp_path, net)
    done = run(tmp_path, "plan", "model.onnx", "--target", "up5k", status=0)
    assert "nothing fits" in done.out


@pytest.mark.parametrize(("index", "value", "said"), [
    (2, 1e13, "a bias needs accumulator bits more than 48; lower --weight-width or --act-width"),
    (0, 1e17, "its sums need .* bits at the scale of its results, more than 62; its weights must"),
])
def test_ranges_that_no_accumulator_holds(tmp_path, index, value, said):
    place(tmp_path, poked(index, value), np.random.default_rng(1).normal(size=(6, 4, 1, 4)))
    refused(tmp_path, f"quantisation: layer 'lstm_0': {said}", *QUANTISE)
