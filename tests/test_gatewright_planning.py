"""The choice of an array: what the options say is kept, the rest is as ``plan`` has it."""

import json
from dataclasses import replace

import pytest
from commands import command

from gatewright import artefacts, choice, cli, steps
from gatewright.array import Array
from gatewright.errors import GatewrightError
from gatewright.examples import example_dir
from gatewright.options import Options
from gatewright.plan import plan
from gatewright.planning import unit_formats
from gatewright.setting import assumed_mhz
from synth import target_named
from tests.networks import make_network
from tests.test_gatewright_resources import INTEGERS, NETWORKS

DEEP = INTEGERS["deep"]


@pytest.mark.parametrize("options", [
    {}, {"deadline": "3us"}, {"max_dsp": 12}, {"cols": 2}, {"posts": 2, "pipeline": "deep"},
    {"pack": False, "wide_streams": True}, {"lanes": 6}, {"lanes": 6, "posts": 2, "cols": 2}],
    ids=str)
def test_generate_takes_what_plan_marks(options):
    options = Options(**options)
    marked, = (row for row in choice.planned(DEEP, "ecp5-25f", options) if row.best)
    assert choice.choose(DEEP, "ecp5-25f", options) == replace(marked, best=False)


def test_lanes_alone_are_the_plain_array():
    assert choice.choose(DEEP, "ecp5-85f", Options(lanes=40)).array == Array(lanes=40)
    kept = Options(lanes=40, pack=True, pipeline="shallow", posts=4)
    assert choice.choose(DEEP, "ecp5-25f", kept).array == Array(lanes=40, posts=4, pack=True,
                                                                pipeline="shallow")


def test_protection_is_counted():
    """In logic and memory, not in cycles or multipliers."""
    plain, protected = (choice.choose(DEEP, "ecp5-25f", Options(lanes=16, protect=protect))
                        for protect in (False, True))
    assert protected.lut > plain.lut + 400 and protected.ff > plain.ff + 200
    assert protected.bits["weights"] > plain.bits["weights"] and protected.bram >= plain.bram
    assert (protected.cycles_per_step, protected.dsp) == (plain.cycles_per_step, plain.dsp)


def test_nothing_fits():
    """The fastest array that lacks memory alone; what does not exist at all is told."""
    row = choice.choose(DEEP, "ecp5-25f", Options(max_bram=1))
    assert row.lacking == ("bram",) and row.array.lanes > 1
    with pytest.raises(GatewrightError, match=r"^up5k: has not half the multipliers of .* "
                       r"array; give fewer cols"):
        choice.choose(DEEP, "up5k", Options(cols=512))
    with pytest.raises(GatewrightError, match=r"^array: Lanes must be even where two share"):
        choice.choose(DEEP, "ecp5-25f", Options(lanes=3, pack=True))


def test_target_that_is_chosen():
    assert choice.choose_target(DEEP, Options()) == "ecp5-25f"
    assert choice.choose_target(DEEP, Options(lanes=60)) == "ecp5-45f"
    assert choice.choose_target(DEEP, Options(lanes=150)) == "ecp5-85f"
    fastest = choice.choose(DEEP, "ecp5-25f", Options()).us_per_step
    assert choice.choose_target(DEEP, Options(deadline=f"{fastest * 0.9:.3f}us")) == "ecp5-45f"
    assert choice.choose_target(DEEP, Options(deadline="1ns")) == "ecp5-25f"
    assert choice.choose_target(DEEP, Options(max_bram=1)) == "ecp5-85f"


def test_needs_loading():
    network = unit_formats(make_network(("lstm", 48), inputs=16)).integer
    assert steps.needs_loading(network, "up5k") and not steps.needs_loading(network, "ecp5-25f")
    assert steps.needs_loading(network, "up5k", Array(lanes=2))
    assert not steps.needs_loading(INTEGERS["rnn"], "up5k")


def test_unit_formats_give_the_same_plan():
    """Formats decide no cycle and no multiplier."""
    arrays = [Array(lanes=4), Array(lanes=8, cols=2, posts=2)]
    for name in ("gru", "tokens", "deep"):
        made = plan(unit_formats(NETWORKS[name]).integer, "ecp5-25f", arrays=arrays)
        real = plan(INTEGERS[name], "ecp5-25f", arrays=arrays)
        for a, b in zip(made, real, strict=True):
            assert (a.cycles_per_step, a.dsp, a.exposed_per_step) == (
                b.cycles_per_step, b.dsp, b.exposed_per_step)
            assert abs(a.bram - b.bram) <= a.array.posts


def run_cli(*args) -> None:
    cli.app([str(arg) for arg in args], standalone_mode=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the quantised digits RNN."""
    example = example_dir().with_name("digits_rnn")
    folder = tmp_path_factory.mktemp("made") / "out"
    run_cli("quantise", example / "model.onnx", "--calibration", example / "calib_inputs.npy",
            "--out", folder)
    return folder


def test_command_on_model_and_folder(made, capsys):
    example = example_dir().with_name("digits_rnn")
    model, plans = example / "model.onnx", {}
    for formats, words in (("made-up data", [model]), ("folder", [made]), (
            "calibration", [model, "--calibration", example / "calib_inputs.npy"])):
        capsys.readouterr()
        run_cli("plan", *words, "--target", "ecp5-25f", "--deadline", "2us", "--json")
        plans[formats] = capsys.readouterr()
    bests = []
    for formats, said in plans.items():
        result, = json.loads(said.out)
        best = result["best"]
        assert result["formats"] == formats and result["target"] == "ecp5-25f"
        assert result["clock_assumed"] and result["clock_mhz"]["deep"] == assumed_mhz(
            target_named("ecp5-25f"), "deep") == best["clock_mhz"]
        assert result["in_time"] and best["us_per_step"] <= 2
        assert [row for row in result["rows"] if row["best"]] == [best]
        assert f"--lanes {best['lanes']} " in said.err and "choice:" in said.err
        bests.append([best[name] for name in ("lanes", "cols", "posts", "pipeline", "pack")])
    assert ("made-up data" in plans["made-up data"].err) and "made-up" not in plans["folder"].err
    assert bests[0] == bests[1] == bests[2]


@pytest.mark.parametrize("words", [
    (), ("--deadline", "2us"), ("--max-dsp", "9", "--clock", "50"),
    ("--posts", "2", "--pipeline", "shallow", "--wide-streams"),
    ("--lanes", "auto", "--cols", "2")], ids=" ".join)
def test_generate_takes_the_plan(made, words):
    """The two commands with the same words; then with the words that ``plan`` ends with."""
    planned = command("plan", made, "--target", "ecp5-25f", *words, "--json")
    best = json.loads(planned.out)[0]["best"]
    manifests = []
    ends = planned.err.replace("\n", " ").partition("next: gatewright generate ")[2].split()[1:]
    for given in (["--target", "ecp5-25f", *words], ends):
        done = command("generate", made, *given, "--json")
        assert done.status == 0, done
        manifests.append(json.loads(done.out))
    assert manifests[0] == manifests[1]
    assert Array.of(manifests[0]) == Array(**{name: best[name] for name in (
        "lanes", "cols", "posts", "pipeline", "pack")})
    assert manifests[0]["cycles_per_step"] == best["cycles_per_step"]


def test_stream_that_limits(tmp_path):
    """64 inputs a step, one a word; wide words are as many elements as the array has columns."""
    artefacts.save_quantised(tmp_path, unit_formats(make_network(("rnn", 8), inputs=64)))
    said = {}
    for words in ((), ("--wide-streams",)):
        done = command("plan", tmp_path, "--target", "ecp5-85f", *words, "--json")
        assert done.status == 0, done
        said[words] = json.loads(done.out)[0]["best"]["cycles_per_step"]
        note = "the input stream, 64 words a step, is the limit: see --wide-streams"
        assert (note in " ".join(done.err.split())) is not bool(words)
    assert said[()] == 64 > said["--wide-streams",]


def test_synth_takes_the_device_of_the_core(made, monkeypatch):
    command("generate", made, "--lanes", "60", "--target", "ecp5-45f")
    monkeypatch.setattr(cli.cli_steps.Flow, "need_tools", lambda *_, **__: None)
    monkeypatch.setattr(cli.cli_steps.Flow, "synth",
                        lambda self, core, rtl, name, *_, **__: {"target": name})
    done = command("synth", made, "--json")
    assert json.loads(done.out) == [{"target": "ecp5-45f"}]


def test_a_core_is_found_again(made):
    """The folder's core is laid out from its manifest: every option of the array is in it."""
    for words in (["--lanes", "6", "--posts", "3", "--cols", "6", "--wide-streams"],
                  ["--lanes", "4", "--pack", "--pipeline", "shallow", "--argmax"],
                  ["--lanes", "2", "--load-weights"]):
        assert command("generate", made, *words).status == 0
        quantised = artefacts.load_quantised(made)
        core, _ = artefacts.load_core(made, quantised)
        manifest = json.loads((made / "manifest.json").read_text())
        assert core.verilog_sha256 == manifest["verilog_sha256"]
        form = steps.vendor_form(core, "ecp5-25f")
        assert Array.of(form.manifest) == Array.of(manifest)
        assert form.manifest["stream"] == manifest["stream"]
    assert steps.vendor_form(core, "xc7a35t") is None


def test_command_wrong(tmp_path):
    model = example_dir() / "model.onnx"
    (tmp_path / "empty").mkdir()
    for args, message in (
            ((tmp_path / "empty",), r"holds no quantised network"),
            ((model, "--cols", "1024", "--target", "up5k"), r"^up5k: has not half the multipliers"),
            ((tmp_path / "empty", "--calibration", "c.npy"), r"^--calibration: is for models")):
        with pytest.raises(GatewrightError, match=message):
            run_cli("plan", *args)
