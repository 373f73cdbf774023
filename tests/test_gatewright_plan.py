"""Plans against the engine itself: every cycle, memory and multiplier, and Yosys' own counts."""

import json

import pytest
from amaranth import Fragment

from gatewright import cli, plan as planner, resources, steps
from gatewright.errors import GatewrightError
from gatewright.examples import example_dir
from gatewright.plan import Limits, Row, best_of, plan, sensible_arrays, unit_formats
from gatewright.planning import parse_duration
from hw import blocks, ecp5, ice40
from hw.emit import generate
from hw.engine import Engine, make_layout
from hw.families import FAMILIES
from hw.program import make_program
from synth import place_and_route, target_named
from tests.networks import make_batch, make_integer, make_network

NETWORKS = {
    "rnn": make_network(("rnn", 6, "relu"), ("linear", 3, "last"), inputs=3),
    "lstm": make_network(("lstm", 9), ("linear", 4), inputs=5),
    "gru": make_network(("gru", 12), inputs=7, returns=True, loads=True),
    "reset_before": make_network(("gru_reset_before", 5), ("lstm", 4), inputs=2),
    "deep": make_network(("gru", 6), ("rnn", 8), ("lstm", 20), inputs=4),
    "tokens": make_network(("lstm", 8), embedding=(40, 6)),
    "linear": make_network(("linear", 30, "tanh"), inputs=10),
}


def integer_of(network):
    return make_integer(network, make_batch(network, 4, 6))[0]


INTEGERS = {name: integer_of(network) for name, network in NETWORKS.items()}


@pytest.fixture
def built(monkeypatch):
    """Elaborate an engine and list its memories and multipliers, by what their makers are asked."""
    memories, products = [], []
    ram, multiplier, spram = (cls.__init__ for cls in (blocks.Ram, blocks.Multiplier,
                                                       ice40.SpramRam))

    def note_ram(self, *, width, depth, cols=1, init=(), writable=True, **more):
        memories.append((width, depth, cols, not writable))
        ram(self, width=width, depth=depth, cols=cols, init=init, writable=writable, **more)

    def note_spram(self, *, width, depth):
        memories.append((width, depth, 1, False))
        spram(self, width=width, depth=depth)

    def note_multiplier(self, a_width, b_width):
        products.append((a_width, b_width))
        multiplier(self, a_width, b_width)

    monkeypatch.setattr(blocks.Ram, "__init__", note_ram)
    monkeypatch.setattr(ice40.SpramRam, "__init__", note_spram)
    monkeypatch.setattr(blocks.Multiplier, "__init__", note_multiplier)
    # A memory of elements is made of others, which are not the engine's own.
    monkeypatch.setattr(ecp5.Ram, "_elements", lambda self, m: None)

    def elaborate(layout):
        memories.clear()
        products.clear()
        Fragment.get(Engine(layout), None)
        return sorted(memories), sorted(products)

    return elaborate


@pytest.mark.parametrize("array", [(1, 1), (3, 2), (9, 1), (12, 4), (17, 8)],
                         ids=lambda array: "{}x{}".format(*array))
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", NETWORKS)
def test_lists_are_the_engine(built, name, family, array):
    layout = make_layout(make_program(INTEGERS[name], lanes=array[0], cols=array[1],
                                      load_weights=family == "ice40"), family=FAMILIES[family])
    memories, products = built(layout)
    assert sorted((m.width, m.depth, m.cols, m.contents)
                  for m in resources.memories(layout)) == memories
    assert sorted(resources.products(layout)) == products


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


# What Yosys 0.70 made of memories on their own, by (contents, element bits, words, elements):
# beside each, how many blocks (Xilinx: of 18 Kb).
CHOSEN = {
    "gowin": [((1, 64, 2000, 1), 8), ((1, 64, 100, 1), 2), ((1, 64, 64, 1), 0),
              ((1, 36, 64, 1), 1), ((1, 32, 64, 1), 0), ((1, 27, 2000, 1), 3),
              ((1, 8, 7776, 1), 4), ((1, 18, 7776, 1), 8), ((1, 8, 256, 1), 0),
              ((0, 16, 64, 1), 0), ((0, 16, 100, 1), 1), ((0, 32, 40, 1), 1), ((0, 32, 32, 1), 0),
              ((0, 18, 64, 1), 0), ((0, 16, 32, 16), 0), ((0, 16, 64, 16), 8),
              ((0, 16, 64, 2), 1)],
    "xc7": [((1, 16, 512, 1), 0), ((1, 18, 512, 1), 1), ((1, 27, 2000, 1), 3),
            ((1, 27, 1000, 1), 2), ((1, 64, 256, 1), 0), ((1, 64, 394, 1), 2),
            ((1, 8, 1024, 1), 0), ((1, 8, 2000, 1), 1), ((0, 16, 128, 1), 0), ((0, 16, 200, 1), 1),
            ((0, 32, 64, 1), 0), ((0, 32, 100, 1), 1), ((0, 16, 64, 16), 0), ((0, 16, 128, 4), 2)],
    "xcup": [((1, 32, 416, 1), 1), ((1, 16, 512, 1), 0), ((0, 16, 128, 1), 0),
             ((0, 16, 200, 1), 1), ((0, 32, 128, 1), 1), ((0, 16, 64, 4), 0),
             ((0, 16, 128, 2), 1)],
    "ice40": [((1, 16, 64, 1), 0), ((1, 16, 80, 1), 1), ((1, 27, 42, 1), 0), ((1, 27, 394, 1), 4),
              ((1, 32, 2000, 1), 16), ((1, 8, 1000, 1), 2), ((0, 16, 4, 1), 0),
              ((0, 16, 8, 1), 1), ((0, 17, 32, 1), 2), ((0, 16, 32, 2), 2)],
    "ecp5": [((0, 16, 32, 1), 0), ((0, 16, 32, 16), 0), ((1, 128, 32, 1), 0)],
}


@pytest.mark.parametrize(("family", "memory", "want"), [
    (family, *case) for family, cases in CHOSEN.items() for case in cases])
def test_chosen_blocks(family, memory, want):
    contents, width, depth, cols = memory
    made = resources.Memory(name="memory", width=width, depth=depth, cols=cols,
                            contents=bool(contents))
    assert resources.ram_blocks(made, family, named=False) == {"bram": want}


@pytest.mark.parametrize(("width", "depth", "cols", "want"), [
    (64, 1952, 1, 8), (27, 394, 1, 2), (16, 256, 1, 1), (16, 256, 4, 4), (16, 32, 1, 0),
    (32, 2049, 1, 8), (8, 16384, 1, 8), (64, 17000, 1, 68)])
def test_ecp5_blocks(width, depth, cols, want):
    made = resources.Memory(name="memory", width=width, depth=depth, cols=cols)
    assert resources.ram_blocks(made, "ecp5", named=True) == {"bram": want}


def test_named_blocks_are_instances():
    """Our own count of DP16KD and MULT18X18D against the cells in the Verilog."""
    for name, array in (("gru", (5, 1)), ("lstm", (20, 2)), ("rnn", (2, 4))):
        row, = plan(INTEGERS[name], "ecp5-85f", arrays=[array])
        text = generate(INTEGERS[name], lanes=array[0], cols=array[1], family="ecp5").verilog
        assert (row.bram, row.dsp) == (text.count("  DP16KD #("), text.count("  MULT18X18D #("))


# What Yosys 0.70 made of products of two widths; a MULT9X9 is half a block.
MULTIPLIED = {
    "ecp5": {(18, 8): 1, (8, 18): 1, (18, 18): 1, (5, 5): 1, (24, 16): 2, (19, 16): 1,
             (27, 8): 2},
    "ice40": {(16, 16): 1, (18, 8): 1, (17, 16): 1, (18, 16): 2, (18, 18): 3, (24, 16): 2,
              (18, 3): 1, (8, 4): 1, (6, 4): 0, (5, 5): 0},
    "gowin": {(18, 8): 1, (18, 18): 1, (10, 8): 1, (9, 8): 0.5, (6, 4): 0.5, (18, 3): 0,
              (24, 16): 2, (24, 8): 1.5, (16, 24): 2, (19, 16): 1, (20, 16): 1, (22, 16): 2,
              (27, 16): 2},
    "xc7": {(18, 8): 1, (18, 24): 1, (25, 16): 1, (27, 16): 2, (5, 5): 1},
    "xcup": {(18, 8): 1, (27, 16): 1, (18, 18): 1},
}


@pytest.mark.parametrize(("family", "pair", "want"), [
    (family, *case) for family, cases in MULTIPLIED.items() for case in cases.items()])
def test_dsp_blocks(family, pair, want):
    assert resources.dsp_blocks(*pair, family) == want


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
