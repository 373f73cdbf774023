"""Options: from flags and from TOML, the flags above; what is wrong is named with what is right."""

import pytest

from gatewright.errors import GatewrightError
from gatewright.options import Options, read_options
from golden.quantise import Method, Rounding


def toml(tmp_path, text):
    path = tmp_path / "my options.toml"
    path.write_text(text)
    return path


def test_defaults():
    options = read_options()
    assert options == Options()
    assert (options.weight_width, options.act_width, options.cell_width) == (8, 16, 16)
    assert options.method is Method.MINMAX and options.rounding is Rounding.CALIBRATED
    assert (options.lanes, options.cols, options.sequences, options.seed) == (None, 1, 50, 1)
    assert options.quantisation.operand_width == 18


def test_toml_and_flags(tmp_path):
    path = toml(tmp_path, 'weight_width = 4\nact_width = 12\nmethod = "least-squares"\n'
                          'rounding = "nearest"\nper_row = false\nlanes = 3\nargmax = true\n'
                          'targets = ["up5k", "ecp5-25f", "up5k"]\n')
    options = read_options(path, act_width=10, lanes=None)
    assert (options.weight_width, options.act_width, options.lanes) == (4, 10, 3)
    assert options.method is Method.LEAST_SQUARES and options.rounding is Rounding.NEAREST
    assert options.argmax and not options.per_row
    assert options.targets == ("up5k", "ecp5-25f")  # each once
    quantisation = options.quantisation
    assert (quantisation.weight_width, quantisation.act_width) == (4, 10)
    assert quantisation.operand_width == 16  # as the narrowest device has it
    assert read_options(path, argmax=False).argmax is False


def test_each_toml_key_is_read(tmp_path):
    """No field of the record that a file cannot set."""
    other = {"weight_width": "5", "act_width": "9", "cell_width": "20", "method": '"percentile"',
             "rounding": '"nearest"', "operand_width": "24", "per_row": "false", "headroom": "3",
             "lanes": "7", "cols": "4", "argmax": "true", "load_weights": "true",
             "targets": '["up5k"]', "sequences": "9", "seed": "0", "portable": "true"}
    assert set(other) == set(Options.model_fields)
    for name, value in other.items():
        made = read_options(toml(tmp_path, f"{name} = {value}\n"))
        assert getattr(made, name) != getattr(Options(), name)
        assert made == Options(**{name: getattr(made, name)})


@pytest.mark.parametrize(("flags", "words"), [
    ({"weight_width": 1}, r"--weight-width: must be an integer from 2 to 16 .*, not 1;"),
    ({"weight_width": 17}, r"--weight-width: must be an integer from 2 to 16 .*, not 17;"),
    ({"act_width": 3}, r"--act-width: must be an integer from 4 to 18 .*, not 3;"),
    ({"act_width": 19}, r"--act-width: must be .*, not 19;"),
    ({"cell_width": 25}, r"--cell-width: must be an integer from 8 to 24"),
    ({"weight_width": 10 ** 30}, r"--weight-width: must be .*, not 10{30};"),
    ({"headroom": 5}, r"--headroom: must be an integer from 0 to 4"),
    ({"method": "mean"}, r"--method: must be one of minmax, percentile, least-squares .*'mean'"),
    ({"rounding": "up"}, r"--rounding: must be one of .*, not 'up';"),
    ({"lanes": 0}, r"--lanes: must be an integer from 1 to 1024 .*, not 0;"),
    ({"lanes": -1}, r"--lanes: .*, not -1;"), ({"lanes": 100000}, r"--lanes: .*, not 100000;"),
    ({"cols": 3}, r"--cols: .*a power of two\), not 3;"), ({"cols": 0}, r"--cols: .*, not 0;"),
    ({"cols": 128}, r"--cols: .*, not 128;"),
    ({"targets": ("up5k", "xc7")}, r"--target: must be one or more of ecp5-25f, .*, not up5k, xc7"),
    ({"sequences": 0}, r"--sequences: must be an integer of 1 or more .*, not 0;"),
    ({"seed": -1}, r"--seed: must be an integer from 0 to 2147483647 .*, not -1;"),
    ({"seed": 1 << 31}, r"--seed: "),
], ids=lambda value: " ".join(map(str, value))[:24] if isinstance(value, dict) else "")
def test_flag_wrong(flags, words):
    with pytest.raises(GatewrightError, match=words) as caught:
        read_options(**flags)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "words"), [
    ("weight_width 8", r"is not TOML \(Expected '=' after a key"),
    ("weight_width = ", r"is not TOML"),
    ("lanes = 4\nlanes = 8\n", r"is not TOML \(Cannot overwrite a value"),
    ("a = " + "[" * 5000, r"is not TOML"),
    ("seed = 1" + "0" * 5000, r"is not TOML|key 'seed'"),
    ("lines = 4\n", r"key 'lines': is unknown; choose weight_width, "),
    ('"a\\nb" = 4\n', r"key 'a\\nb': is unknown"),
    ("[lanes]\na = 1\n", r"key 'lanes': must be an integer .*, not {'a': 1}"),
    ('lanes = "4"\n', r"key 'lanes': must be an integer .*, not '4';"),
    ("lanes = 4.0\n", r"key 'lanes': .*, not 4.0;"),
    ("lanes = true\n", r"key 'lanes': .*, not True"),
    ("lanes = inf\n", r"key 'lanes': .*, not inf;"), ("cols = nan\n", r"key 'cols': .*, not nan;"),
    ("weight_width = 2026-01-01\n", r"key 'weight_width': must be"),
    ("argmax = 1\n", r"key 'argmax': must be true or false .*, not 1;"),
    ('load_weights = "yes"\n', r"key 'load_weights': must be true or false"),
    ('targets = "up5k"\n', r"key 'targets': must be one or more of"),
    ("targets = []\n", r"key 'targets': must be one or more of .*, not \[\]"),
    ("targets = [1]\n", r"key 'targets': must be one or more of .*, not \[1\]"),
    ('method = "minmaxx"\n', r"key 'method': must be one of minmax"),
    ("method = 3\n", r"key 'method': must be one of minmax"),
], ids=lambda value: value[:24].strip() if isinstance(value, str) else None)
def test_toml_wrong(tmp_path, text, words):
    with pytest.raises(GatewrightError, match=words) as caught:
        read_options(toml(tmp_path, text))
    message = str(caught.value)
    assert "my options.toml'" in message and "; " in message and "\n" not in message


def test_toml_file_wrong(tmp_path):
    for path, words in ((tmp_path / "no.toml", "no such file"), (tmp_path, "Is a directory")):
        with pytest.raises(GatewrightError, match=words):
            read_options(path)
    path = tmp_path / "bytes.toml"
    path.write_bytes(b"lanes = 4 # \xff\xfe\n")
    with pytest.raises(GatewrightError, match=r"bytes.toml': is not TOML"):
        read_options(path)


def test_error_names_the_place_of_the_value(tmp_path):
    """A flag that is wrong is not blamed on the file, nor the reverse."""
    path = toml(tmp_path, "lanes = 4\nseed = -4\n")
    with pytest.raises(GatewrightError, match=r"^--lanes: "):
        read_options(path, lanes=0, seed=3)
    with pytest.raises(GatewrightError, match=r"key 'seed'"):
        read_options(path, lanes=2)
