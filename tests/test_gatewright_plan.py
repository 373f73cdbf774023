"""Plans against the engine itself: every cycle, memory and multiplier, and Yosys' own counts."""

import json

import pytest

from gatewright import cli, plan as planner, steps
from gatewright.errors import GatewrightError
from gatewright.examples import example_dir
from gatewright.plan import Limits, Row, best_of, plan, sensible_arrays, unit_formats
from gatewright.planning import parse_duration
from hw.emit import generate
from synth import place_and_route, target_named
from tests.networks import make_batch, make_integer, make_network
from tests.test_gatewright_resources import INTEGERS, NETWORKS


@pytest.mark.parametrize("name", NETWORKS)
def test_cycles_are_the_manifests(name):
    row, = plan(INTEGERS[name], "ecp5-25f", arrays=[(6, 2)], clock_mhz=100)
    manifest = generate(INTEGERS[name], lanes=6, cols=2, family="ecp5").manifest
    assert row.cycles_per_step == manifest["cycles_per_step"]
    assert row.exposed_per_step == manifest["cycles"]["exposed_per_step"]
    assert row.utilisation == manifest["mac_utilisation"]
    assert row.us_per_step == manifest["cycles_per_step"] / 100
    assert row.bits["weights"] == (manifest["memory"]["weights"]["words"]
                                   * manifest["memory"]["weights"]["width"])


def test_named_blocks_are_instances():
    """Our own count of DP16KD and MULT18X18D against the cells in the Verilog."""
    for name, array in (("gru", (5, 1)), ("lstm", (20, 2)), ("rnn", (2, 4))):
        row, = plan(INTEGERS[name], "ecp5-85f", arrays=[array])
        text = generate(INTEGERS[name], lanes=array[0], cols=array[1], family="ecp5").verilog
        assert (row.bram, row.dsp) == (text.count("  DP16KD #("), text.count("  MULT18X18D #("))


def test_plan_marks_the_smallest_in_time():
    rows = plan(INTEGERS["deep"], "ecp5-25f", Limits(deadline_us=2.5), clock_mhz=100)
    best, = (row for row in rows if row.best)
    assert best.fits and best.in_time and best.us_per_step <= 2.5
    assert all(row.dsp >= best.dsp for row in rows if row.fits and row.in_time)
    every = plan(INTEGERS["deep"], "ecp5-25f", Limits(deadline_us=2.5), clock_mhz=100,
                 arrays=sensible_arrays(INTEGERS["deep"], target_named("ecp5-25f")))
    assert len(every) > len(rows)
    assert min(row.dsp for row in every if row.fits and row.in_time) == best.dsp


def test_plan_without_deadline_is_the_fastest_that_fits():
    rows = plan(INTEGERS["deep"], "ecp5-25f")
    best, = (row for row in rows if row.best)
    assert best.cycles_per_step == min(row.cycles_per_step for row in rows if row.fits)
    small = plan(INTEGERS["deep"], "ecp5-25f", Limits(max_dsp=10))
    chosen, = (row for row in small if row.best)
    beyond = [row for row in small if not row.fits]
    assert beyond and all(row.cycles_per_step < chosen.cycles_per_step and row.dsp > 10
                          for row in beyond)
    assert chosen.dsp <= 10 and chosen.cycles_per_step > best.cycles_per_step


def test_plan_too_slow_and_too_big():
    rows = plan(INTEGERS["deep"], "up5k", Limits(max_cycles=3))
    best, = (row for row in rows if row.best)
    assert not best.in_time
    assert best.cycles_per_step == min(row.cycles_per_step for row in rows if row.fits)
    none = plan(INTEGERS["deep"], "ecp5-25f", Limits(max_bram=1))
    assert none and not any(row.best for row in none)
    assert {kind for row in none for kind in row.lacking} == {"bram"}


def test_best_of_prefers_speed_among_equals():
    def row(**more):
        values = {"lanes": 1, "cols": 1, "exposed_per_step": 0, "utilisation": 1.0, "bits": {},
                  "array_multipliers": 1, "elementwise_multipliers": 1, "spram": 0, "bram": 1,
                  "clock_mhz": 1.0, "us_per_step": 1.0, "lacking": (), "in_time": True}
        return Row(**values | more)

    slow, fast = row(dsp=4, cycles_per_step=9), row(dsp=4, cycles_per_step=8, bram=2)
    big, late = row(dsp=5, cycles_per_step=2), row(dsp=1, cycles_per_step=99, in_time=False)
    full = row(dsp=6, cycles_per_step=1, lacking=("bram",))
    rows = [slow, fast, big, late, full]
    assert best_of(rows, Limits(max_cycles=10)) is fast
    assert best_of(rows, Limits()) is big
    assert best_of([full], Limits()) is None


def test_unit_formats_give_the_same_plan():
    """Formats decide no cycle and no multiplier."""
    for name in ("gru", "tokens", "deep"):
        arrays = [(4, 1), (8, 2)]
        made = plan(unit_formats(NETWORKS[name]).integer, "ecp5-25f", arrays=arrays)
        real = plan(INTEGERS[name], "ecp5-25f", arrays=arrays)
        for a, b in zip(made, real, strict=True):
            assert (a.cycles_per_step, a.dsp, a.exposed_per_step) == (
                b.cycles_per_step, b.dsp, b.exposed_per_step)
            assert abs(a.bram - b.bram) <= 1


def test_loaded_weights_are_spram():
    network = integer_of(make_network(("lstm", 48), inputs=16))
    assert steps.needs_loading(network, "up5k")
    row, = plan(network, "up5k", arrays=[(4, 1)])
    assert row.spram == 2 and row.bram < 30  # 32-bit words in two blocks of 16 bits


def test_xilinx_counts_are_yosys(tmp_path):
    network = INTEGERS["gru"]
    row, = plan(network, "xc7a35t", arrays=[(6, 2)])
    core = generate(network, lanes=6, cols=2)
    result = place_and_route(core.verilog, core.manifest, "xc7a35t", build_dir=tmp_path)
    assert (row.dsp, row.bram) == (result["dsp"]["used"], result["bram"]["used"])


@pytest.mark.parametrize(("field", "value"), [("deadline_us", 0), ("max_dsp", -1),
                                              ("max_cycles", float("inf"))])
def test_limits_wrong(field, value):
    with pytest.raises(ValueError, match=rf"^Limit {field} must be above zero, not {value}$"):
        Limits(**{field: value})


def test_plan_wrong():
    with pytest.raises(ValueError, match=r"^Clock must be above 0 and at most 2000 MHz, not 0$"):
        plan(INTEGERS["rnn"], "ecp5-25f", clock_mhz=0)
    with pytest.raises(ValueError, match=r"^Target must be one of .*, not 'spartan'$"):
        plan(INTEGERS["rnn"], "spartan")
    with pytest.raises(ValueError, match=r"^Cols must be a power of two up to 64, not 3$"):
        plan(INTEGERS["rnn"], "ecp5-25f", arrays=[(2, 3)])


@pytest.mark.parametrize(("text", "us"), [("10us", 10), ("0.5 ms", 500), ("800ns", 0.8),
                                          ("2s", 2e6), (".5µs", 0.5)])
def test_duration(text, us):
    assert parse_duration(text) == pytest.approx(us)


@pytest.mark.parametrize("text", ["10", "us", "-3us", "0us", "1e3us", "1 hour", "inf us"])
def test_duration_wrong(text):
    with pytest.raises(GatewrightError, match=r"^--deadline: must be a time above zero with its "
                       r"unit, not .*; write it as 10us"):
        parse_duration(text)


def run_cli(*args) -> None:
    cli.app([str(arg) for arg in args], standalone_mode=False)


def test_command_on_model_and_folder(tmp_path, capsys):
    example = example_dir()
    model, data = example / "model.onnx", example / "calib_inputs.npy"
    plans = {}
    run_cli("plan", model, "--target", "ecp5-25f", "--deadline", "10us", "--json")
    plans["made-up data"] = capsys.readouterr()
    run_cli("plan", model, "--calibration", data, "--target", "ecp5-25f", "--deadline", "10us",
            "--json")
    plans["calibration"] = capsys.readouterr()
    run_cli("quantise", model, "--calibration", data, "--out", tmp_path / "made")
    capsys.readouterr()
    run_cli("plan", tmp_path / "made", "--target", "ecp5-25f", "--deadline", "10us", "--json")
    plans["folder"] = capsys.readouterr()
    for formats, said in plans.items():
        result, = json.loads(said.out)
        assert result["formats"] == formats and result["target"] == "ecp5-25f"
        assert result["clock_assumed"]
        assert result["clock_mhz"] == planner.DEFAULT_CLOCK_MHZ["ecp5"]
        assert result["in_time"] and result["best"]["us_per_step"] <= 10
        assert [row for row in result["rows"] if row["best"]] == [result["best"]]
        assert f"--lanes {result['best']['lanes']} " in said.err and "choice:" in said.err
    assert ("made-up data" in plans["made-up data"].err) and "made-up" not in plans["folder"].err
    made, real = (json.loads(plans[key].out)[0]["best"] for key in ("made-up data", "folder"))
    assert (made["lanes"], made["cols"]) == (real["lanes"], real["cols"])


def test_command_wrong(tmp_path):
    model = example_dir() / "model.onnx"
    (tmp_path / "empty").mkdir()
    for args, message in (
            ((model, "--clock", "-1"), r"^plan: Clock must be above 0"),
            ((model, "--deadline", "soon"), r"^--deadline: must be a time"),
            ((tmp_path / "empty",), r"holds no quantised network"),
            ((tmp_path / "empty", "--calibration", "c.npy"), r"^--calibration: is for models")):
        with pytest.raises(GatewrightError, match=message):
            run_cli("plan", *args)
