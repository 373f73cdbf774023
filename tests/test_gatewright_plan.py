"""Plans against the engine itself: every cycle, memory and multiplier, and Yosys' own counts."""

import pytest

from gatewright.array import Array, sensible_arrays
from gatewright.plan import Row, best_of, look, plan
from gatewright.setting import Limits, Setting, assumed_mhz, family_of
from hw.emit import generate
from hw.families import ECP5, ICE40, PORTABLE
from synth import TARGETS, place_and_route, target_named
from tests.networks import make_batch, make_integer, make_network
from tests.test_gatewright_resources import INTEGERS, NETWORKS

AT_100 = Setting(clock_mhz=100)
ARRAYS = (Array(lanes=6, cols=2), Array(lanes=6, cols=3, posts=3),
          Array(lanes=8, cols=2, posts=2, pipeline="shallow"), Array(lanes=4, pack=True))


def integer_of(network):
    return make_integer(network, make_batch(network, 4, 6))[0]


def best(rows):
    chosen, = (row for row in rows if row.best)
    return chosen


@pytest.mark.parametrize(("name", "first"), [(name, k % 2) for k, name in enumerate(NETWORKS)])
def test_cycles_are_the_manifests(name, first):
    arrays = ARRAYS[first::2]
    for array, row in zip(arrays, look(INTEGERS[name], "ecp5-25f", Limits(), setting=AT_100,
                                       arrays=arrays), strict=True):
        manifest = generate(INTEGERS[name], family="ecp5", **array.options).manifest
        assert row.array == array == Array.of(manifest)
        assert row.cycles_per_step == manifest["cycles_per_step"]
        assert row.exposed_per_step == manifest["cycles"]["exposed_per_step"]
        assert row.utilisation == manifest["mac_utilisation"]
        assert row.us_per_step == row.cycles_per_step / row.clock_mhz
        assert row.bits["weights"] == (manifest["memory"]["weights"]["words"]
                                       * manifest["memory"]["weights"]["width"])


def test_named_blocks_are_instances():
    """Our own count of DP16KD and MULT18X18D against the cells in the Verilog."""
    for name, array in (("gru", Array(lanes=5)), ("lstm", Array(lanes=20, cols=2)),
                        ("rnn", Array(lanes=2, cols=4)), ("deep", Array(lanes=12, posts=4)),
                        ("deep", Array(lanes=8, cols=2, posts=2, pack=True))):
        row, = plan(INTEGERS[name], "ecp5-85f", arrays=[array])
        text = generate(INTEGERS[name], family="ecp5", **array.options).verilog
        assert (row.bram, row.dsp) == (text.count("  DP16KD #("), text.count("  MULT18X18D #("))


@pytest.mark.parametrize(("name", "array"), [
    ("gru", Array(lanes=6, cols=2)),
    ("lstm", Array(lanes=6, cols=3, posts=3, pipeline="shallow"))], ids=str)
def test_xilinx_counts_are_yosys(tmp_path, name, array):
    row, = plan(INTEGERS[name], "xc7a35t", arrays=[array])
    core = generate(INTEGERS[name], **array.options)
    result = place_and_route(core.verilog, core.manifest, "xc7a35t", build_dir=tmp_path)
    assert (row.dsp, row.bram) == (result["dsp"]["used"], result["bram"]["used"])


def test_plan_marks_the_smallest_in_time():
    limits = Limits(deadline_us=2.5)
    rows = plan(INTEGERS["deep"], "ecp5-25f", limits, setting=AT_100)
    chosen = best(rows)
    assert chosen.fits and chosen.in_time and chosen.us_per_step <= 2.5
    every = look(INTEGERS["deep"], "ecp5-25f", limits, setting=AT_100)
    assert len(every) > len(rows) and not any(row.best for row in every)
    assert min(row.dsp for row in every if row.fits and row.in_time
               and not row.array.pack) == chosen.dsp


def test_deadline_is_kept_in_time_and_not_in_cycles():
    """A shallow array may take fewer cycles and yet be too slow at its clock."""
    clock = assumed_mhz(target_named("xczu3eg"), "shallow")
    network = integer_of(make_network(("lstm", 20), inputs=6))
    for deadline in (10, 1, 0.5, 0.25):
        chosen = best(plan(network, "xczu3eg", Limits(deadline_us=deadline)))
        assert chosen.in_time and chosen.cycles_per_step / chosen.clock_mhz <= deadline
    assert chosen.array.pipeline == "shallow" and chosen.clock_mhz == clock


def test_plan_without_deadline_is_the_fastest_that_fits():
    rows = plan(INTEGERS["deep"], "ecp5-25f")
    chosen = best(rows)
    assert chosen.us_per_step == min(row.us_per_step for row in rows if row.fits)
    small = plan(INTEGERS["deep"], "ecp5-25f", Limits(max_dsp=10))
    beyond = [row for row in small if not row.fits]
    assert beyond and all(row.us_per_step < best(small).us_per_step and row.dsp > 10
                          for row in beyond)
    assert best(small).dsp <= 10 and best(small).us_per_step > chosen.us_per_step


def test_plan_too_slow_and_too_big():
    rows = plan(INTEGERS["deep"], "up5k", Limits(max_cycles=3))
    assert not best(rows).in_time
    assert best(rows).us_per_step == min(row.us_per_step for row in rows if row.fits)
    none = plan(INTEGERS["deep"], "ecp5-25f", Limits(max_bram=1))
    assert none and not any(row.best for row in none)
    assert {kind for row in none for kind in row.lacking} == {"bram"}


def test_cycles_alone_may_ask_for_a_shallow_pipeline():
    """Where cycles count and not time, the pipeline with fewer of them is an answer."""
    network = integer_of(make_network(("rnn", 8), inputs=4))
    deep = min(row.cycles_per_step for row in look(network, "ecp5-85f", Limits(), pipeline="deep"))
    chosen = best(plan(network, "ecp5-85f", Limits(max_cycles=deep - 1)))
    assert chosen.array.pipeline == "shallow" and chosen.in_time


def test_best_of_prefers_speed_among_equals():
    def row(pack=False, **more):
        values = {"array": Array(lanes=1, pack=pack), "exposed_per_step": 0, "utilisation": 1.0,
                  "bits": {}, "array_multipliers": 1, "elementwise_multipliers": 1, "spram": 0,
                  "lut": 9, "ff": 9, "bram": 1, "clock_mhz": 1.0, "lacking": (), "in_time": True,
                  "us_per_step": more["cycles_per_step"]}
        return Row(**values | more)

    slow, fast = row(dsp=4, cycles_per_step=9), row(dsp=4, cycles_per_step=8, bram=2)
    big, late = row(dsp=5, cycles_per_step=2), row(dsp=1, cycles_per_step=99, in_time=False)
    full = row(dsp=6, cycles_per_step=1, lacking=("bram",))
    packed = row(dsp=3, cycles_per_step=7, pack=True)
    rows = [slow, fast, big, late, full, packed]
    assert best_of(rows, Limits(max_cycles=10)) is fast
    assert best_of(rows, Limits()) is big
    assert best_of([full], Limits()) is None and best_of([full, packed], Limits()) is packed


def test_arrays_are_what_can_be_built():
    """Every candidate is legal; more than one post stands only where the drain may hold it up."""
    for name, integer in INTEGERS.items():
        arrays = list(sensible_arrays(integer, target_named("xczu3eg")))
        assert len(set(arrays)) == len(arrays) > 30, name
        for array in arrays:
            array.program(integer)
    wide = integer_of(make_network(("lstm", 16), inputs=300))
    assert {array.posts for array in sensible_arrays(wide, target_named("ecp5-25f"))
            if array.cols == 1} == {1}


def test_arrays_that_are_kept():
    kept = {"cols": 4, "posts": 2}
    rows = plan(INTEGERS["deep"], "xczu3eg", **kept, pipeline="shallow")
    assert len(rows) > 3
    assert all((row.array.cols, row.array.posts, row.array.pipeline) == (4, 2, "shallow")
               for row in rows)
    assert all(row.array.lanes == 12 for row in plan(INTEGERS["deep"], "xczu3eg", lanes=12))
    assert plan(INTEGERS["deep"], "up5k", cols=1024) == []
    packed = look(INTEGERS["deep"], "ecp5-25f", Limits(), pack=True)
    assert packed and all(row.array.pack and row.array.lanes % 2 == 0 for row in packed)


def test_packed_only_where_multipliers_are_short():
    rows = look(INTEGERS["deep"], "ecp5-25f", Limits())
    fitting = {row.array for row in rows if not row.array.pack and "dsp" not in row.lacking}
    packed = {row.array for row in rows if row.array.pack}
    assert packed and not {Array(**array.options | {"pack": False}) for array in packed} & fitting
    # An iCE40's multiplier is too narrow for two, and so is any for weights of 16 bits.
    assert not any(row.array.pack for row in look(INTEGERS["deep"], "up5k", Limits()))
    wide = make_integer(NETWORKS["rnn"], make_batch(NETWORKS["rnn"], 4, 6), weight_width=16)[0]
    assert not any(row.array.pack for row in look(wide, "ecp5-25f", Limits()))


def test_more_posts_where_the_drain_limits():
    network = integer_of(make_network(("lstm", 20), inputs=6))
    rows = {row.array.posts: row for row in look(network, "xczu3eg", Limits(), lanes=80, cols=1)
            if row.array.pipeline == "deep" and not row.array.pack}
    assert rows[4].cycles_per_step < rows[2].cycles_per_step < rows[1].cycles_per_step
    assert best(plan(network, "xczu3eg")).array.posts > 1


def test_weights_are_loaded_where_block_ram_is_short():
    network, array = integer_of(make_network(("lstm", 48), inputs=16)), Array(lanes=4)

    def row(**more):
        return plan(network, "up5k", setting=Setting(**more), arrays=[array])[0]

    # 32-bit words in two blocks of 16 bits
    assert row().load_weights and row().spram == 2 and row().fits
    assert not row(load_weights=False).load_weights
    assert row(load_weights=False).lacking == ("bram",)
    small, = plan(INTEGERS["rnn"], "up5k", arrays=[array])
    assert not small.load_weights and small.spram == 0
    assert plan(INTEGERS["rnn"], "up5k", setting=Setting(load_weights=True),
                arrays=[array])[0].load_weights
    assert not plan(network, "ecp5-25f", arrays=[array])[0].load_weights


def test_wide_streams_end_where_the_input_is_the_limit():
    network, array = integer_of(make_network(("rnn", 4), inputs=64)), Array(lanes=4, cols=16)
    narrow, wide = (plan(network, "ecp5-85f", setting=Setting(wide=wide), arrays=[array])[0]
                    for wide in (False, True))
    assert narrow.cycles_per_step >= 64 > wide.cycles_per_step


def test_clock_of_each_pipeline():
    target = target_named("ecp5-25f")
    likely = assumed_mhz(target, "shallow")
    for given, deep, shallow in ((None, assumed_mhz(target, "deep"), likely), (20.0, 20, 20),
                                 (170.0, 170, likely)):
        setting = Setting(clock_mhz=given)
        assert (setting.mhz(target, "deep"), setting.mhz(target, "shallow")) == (deep, shallow)
    assert Setting(clock_mhz=170).mhz(target, "deep", pack=True) < assumed_mhz(target, "deep")
    for target in TARGETS.values():
        assert 0 < assumed_mhz(target, "shallow") < assumed_mhz(target, "deep")


def test_family():
    named = {"ecp5-25f": ECP5, "up5k": ICE40, "gw1nr-9c": PORTABLE, "xc7a35t": PORTABLE}
    for name, family in named.items():
        assert family_of(target_named(name)) is family
        assert family_of(target_named(name), portable=True) is PORTABLE


def test_few_enough_to_look_at():
    """A plan of a large network is a matter of seconds: some hundred arrays, and no matrix."""
    network = integer_of(make_network(("lstm", 256), ("linear", 10), inputs=128))
    for name in TARGETS:
        assert 15 < len(list(sensible_arrays(network, target_named(name)))) < 600
    assert best(plan(network, "xczu3eg")).array.posts > 1


@pytest.mark.parametrize(("field", "value"), [("deadline_us", 0), ("max_dsp", -1),
                                              ("max_cycles", float("inf"))])
def test_limits_wrong(field, value):
    with pytest.raises(ValueError, match=rf"^Limit {field} must be above zero, not {value}$"):
        Limits(**{field: value})


def test_plan_wrong():
    with pytest.raises(ValueError, match=r"^Clock must be above 0 and at most 2000 MHz, not 0$"):
        Setting(clock_mhz=0)
    with pytest.raises(ValueError, match=r"^Target must be one of .*, not 'spartan'$"):
        plan(INTEGERS["rnn"], "spartan")
    with pytest.raises(ValueError, match=r"^Cols must be the number of posts times .*, not 3$"):
        plan(INTEGERS["rnn"], "ecp5-25f", arrays=[Array(lanes=2, cols=3)])
    with pytest.raises(ValueError, match=r"^Pipeline must be one of deep, .*flat, not 'round'$"):
        plan(INTEGERS["rnn"], "ecp5-25f", arrays=[Array(lanes=2, pipeline="round")])
