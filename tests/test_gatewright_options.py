"""Options: from flags and from TOML, the flags above; what is wrong is named with what is right."""

import pytest

from gatewright.errors import GatewrightError
from gatewright.options import Options, parse_duration, read_options
from gatewright.setting import Limits, Setting
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
    assert (options.sequences, options.seed) == (50, 1)
    assert {getattr(options, name) for name in ("lanes", "cols", "posts", "pipeline", "pack",
                                                "load_weights", "deadline", "clock")} == {None}
    assert options.limits == Limits() and options.setting == Setting()
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
             "lanes": "7", "cols": "4", "posts": "7", "pipeline": '"shallow"', "pack": "false",
             "wide_streams": "true", "deadline": '"10us"', "max_cycles": "9",
             "max_steps": "30", "max_dsp": "8",
             "max_bram": "7", "clock": "66", "argmax": "true", "load_weights": "true",
             "targets": '["up5k"]', "sequences": "9", "seed": "0", "portable": "true",
             "protect": "true"}
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
    ({"lanes": 0}, r"--lanes: must be auto or an integer from 1 to 4096 .*, not 0;"),
    ({"lanes": "all"}, r"--lanes: must be auto or an integer .*, not 'all';"),
    ({"lanes": -1}, r"--lanes: .*, not -1;"), ({"lanes": 100000}, r"--lanes: .*, not 100000;"),
    ({"cols": 0}, r"--cols: must be an integer from 1 to 1024 .*, not 0;"),
    ({"cols": 1025}, r"--cols: .*, not 1025;"),
    ({"lanes": 6, "cols": 3}, r"--cols: .* 1 if not given, .* power of two\), not 3;"),
    ({"posts": 2, "cols": 3}, r"--cols: must be .*, not 3;"),
    ({"posts": 12, "cols": 3, "lanes": 16}, r"--posts: .*, a divisor of the lanes\), not 12"),
    ({"posts": 0}, r"--posts: must be an integer from 1 to 1024 .*, not 0;"),
    ({"pipeline": "round"}, r"--pipeline: must be one of deep, shallow, flat .*, not 'round';"),
    ({"deadline": "soon"}, r"--deadline: must be a time .* 10us or 800ns .*, not 'soon';"),
    ({"deadline": "10"}, r"--deadline: must be a time above zero with its unit"),
    ({"max_dsp": 0}, r"--max-dsp: must be an integer of 1 or more .*, not 0;"),
    ({"clock": 0.0}, r"--clock: must be above 0 and at most 2000 \(MHz .*, not 0.0;"),
    ({"clock": float("nan")}, r"--clock: .*, not nan;"),
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
    ("[lanes]\na = 1\n", r"key 'lanes': must be auto or an integer .*, not {'a': 1}"),
    ('lanes = "4"\n', r"key 'lanes': must be auto or an integer .*, not '4';"),
    ('pipeline = 2\n', r"key 'pipeline': must be one of deep, shallow"),
    ("deadline = 10\n", r"key 'deadline': must be a time"),
    ('clock = "fast"\n', r"key 'clock': must be above 0"),
    ("pack = 1\n", r"key 'pack': must be true or false"),
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


def test_arrays_that_go_together(tmp_path):
    """What is not said does not stand in the way; lanes alone mean one post."""
    for flags in ({"cols": 3}, {"posts": 5}, {"posts": 3, "cols": 12}, {"posts": 12, "cols": 3},
                  {"lanes": 12, "posts": 3, "cols": 6}, {"lanes": 5, "cols": 8}):
        assert read_options(**flags)
    path = toml(tmp_path, 'lanes = 12\nposts = 3\npipeline = "shallow"\nmax_dsp = 20\nclock = 50\n')
    options = read_options(path, lanes="auto", deadline="0.5 ms")
    assert (options.lanes, options.posts, options.pipeline) == (None, 3, "shallow")
    assert options.limits == Limits(deadline_us=500, max_dsp=20)
    assert options.setting == Setting(clock_mhz=50.0)
    assert read_options(toml(tmp_path, 'lanes = "auto"\n')).lanes is None
    wide = read_options(wide_streams=True, argmax=True, portable=True, load_weights=False)
    assert wide.setting == Setting(wide=True, argmax=True, portable=True, load_weights=False)


@pytest.mark.parametrize(("text", "us"), [("10us", 10), ("0.5 ms", 500), ("800ns", 0.8),
                                          ("2s", 2e6), (".5µs", 0.5)])
def test_duration(text, us):
    assert parse_duration(text) == pytest.approx(us)


@pytest.mark.parametrize("text", ["10", "us", "-3us", "0us", "1e3us", "1 hour", "inf us"])
def test_duration_wrong(text):
    with pytest.raises(ValueError, match=r"^Time must be above zero and have its unit, as 10us, "
                       r"not "):
        parse_duration(text)


def test_toml_file_wrong(tmp_path):
    for path, words in ((tmp_path / "no.toml", "no such file"), (tmp_path, "is not a file")):
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
