"""The estimate of flip-flops and LUTs against what Yosys made of whole cores."""

import pytest

from gatewright.array import Array
from gatewright.logic import logic
from gatewright.plan import plan
from hw.engine import make_layout
from hw.families import FAMILIES
from hw.pipeline import pipeline_named
from hw.program import make_program
from tests.networks import make_batch, make_integer, make_network
from tests.test_gatewright_resources import INTEGERS


def integer_of(*layers, **more):
    network = make_network(*layers, **more)
    return make_integer(network, make_batch(network, 4, 6))[0]


NETWORKS = {
    "lstm20": integer_of(("lstm", 20), ("linear", 5), inputs=6),
    "lstm64": integer_of(("lstm", 64), inputs=64),
    "gru48": integer_of(("gru", 48), ("linear", 10), inputs=8),
    "tokens": integer_of(("lstm", 24), embedding=(50, 16)),
    "lstm9": INTEGERS["lstm"], "rnn": INTEGERS["rnn"], "deep": INTEGERS["deep"],
}
# Network, device family, form, array; LUTs and flip-flops in Yosys 0.70's netlist.
SYNTHESISED = [
    ("lstm20", "ecp5", "ecp5", {"lanes": 16, "cols": 2, "posts": 2, "pipeline": "shallow"},
     3472, 3543),
    ("lstm20", "ecp5", "portable", {"lanes": 16, "cols": 2, "posts": 2, "pipeline": "shallow"},
     3517, 3723),
    ("lstm20", "ecp5", "ecp5", {"lanes": 20, "cols": 4, "posts": 4}, 6259, 12697),
    ("lstm64", "ecp5", "ecp5", {"lanes": 16}, 1734, 3972),
    ("lstm64", "ecp5", "ecp5", {"lanes": 24, "pack": True}, 5136, 6749),
    ("lstm64", "ecp5", "ecp5", {"lanes": 12, "cols": 4, "pack": True}, 9101, 9736),
    ("lstm64", "ecp5", "ecp5", {"lanes": 16, "posts": 4}, 4231, 7934),
    ("lstm64", "ecp5", "ecp5", {"lanes": 64, "cols": 2}, 5965, 14024),
    ("gru48", "ecp5", "ecp5", {"lanes": 16}, 2238, 5824),
    ("gru48", "ecp5", "ecp5", {"lanes": 12, "cols": 4, "posts": 2, "pack": True}, 10113, 13105),
    ("gru48", "ecp5", "ecp5", {"lanes": 2, "cols": 8}, 2128, 4593),
    ("lstm64", "ecp5", "ecp5", {"lanes": 5, "cols": 16}, 4326, 8877),
    ("rnn", "ecp5", "ecp5", {"lanes": 6}, 921, 1727),
    ("deep", "ecp5", "ecp5", {"lanes": 24, "cols": 2, "posts": 2}, 5139, 11162),
    ("lstm20", "gowin", "portable", {"lanes": 16, "pipeline": "shallow"}, 2167, 2285),
    ("lstm20", "gowin", "portable", {"lanes": 8, "cols": 2, "posts": 2}, 2741, 6938),
    ("lstm64", "gowin", "portable", {"lanes": 8, "cols": 2, "pack": True}, 3618, 6137),
    ("gru48", "gowin", "portable", {"lanes": 12, "posts": 2, "pipeline": "shallow"}, 4778, 3402),
    ("gru48", "gowin", "portable", {"lanes": 16}, 2394, 7487),
    ("gru48", "gowin", "portable", {"lanes": 8, "posts": 4}, 5433, 12283),
    ("tokens", "gowin", "portable", {"lanes": 8, "cols": 2, "pipeline": "shallow"}, 3015, 1986),
    ("rnn", "gowin", "portable", {"lanes": 16}, 1366, 3692),
    ("gru48", "gowin", "portable", {"lanes": 2, "cols": 8}, 2271, 6234),
    ("lstm64", "gowin", "portable", {"lanes": 2, "cols": 8}, 2028, 5402),
    ("lstm64", "gowin", "portable", {"lanes": 4, "cols": 4}, 2155, 5206),
    ("lstm9", "ice40", "ice40", {"lanes": 4}, 1249, 2772),
    ("lstm20", "ice40", "ice40", {"lanes": 1, "cols": 4}, 1383, 3120),
    ("lstm9", "ice40", "ice40", {"lanes": 4, "pipeline": "shallow"}, 1894, 1713),
    ("lstm64", "ice40", "ice40", {"lanes": 4, "load_weights": True}, 1213, 2890),
    ("gru48", "ice40", "ice40", {"lanes": 3, "load_weights": True}, 1338, 3730),
    ("lstm20", "xc7", "portable", {"lanes": 20, "cols": 4, "posts": 4}, 5859, 10533),
    ("gru48", "xc7", "portable", {"lanes": 24, "cols": 2, "posts": 2, "argmax": True}, 6420, 9353),
    ("lstm64", "xcup", "portable", {"lanes": 64, "cols": 2, "posts": 4}, 17084, 11126),
    ("tokens", "xc7", "portable", {"lanes": 8, "cols": 2, "pipeline": "shallow"}, 2637, 1347),
]


@pytest.mark.parametrize(("name", "family", "form", "array", "luts", "ffs"), SYNTHESISED)
def test_estimate(name, family, form, array, luts, ffs):
    """Flip-flops within a quarter, and hardly ever low; as many LUTs as there were or more."""
    pipeline = pipeline_named(array.get("pipeline", "deep"))
    program = make_program(NETWORKS[name], **array | {"pipeline": pipeline})
    found = logic(make_layout(program, family=FAMILIES[form]), family)
    if family in ("xc7", "xcup"):
        assert found["ff"] == 0
    else:
        assert 0.98 * ffs < found["ff"] < 1.25 * ffs
    assert 0.95 * luts < found["lut"] < 4 * luts


def test_an_array_may_lack_flip_flops():
    row, = plan(NETWORKS["gru48"], "gw1nr-9c", arrays=[Array(lanes=16)])
    assert set(row.lacking) == {"lut", "ff"} and row.dsp <= 20 and row.ff > 6480
    best, = (row for row in plan(NETWORKS["gru48"], "gw1nr-9c") if row.best)
    assert best.fits and best.ff < 6480 and best.dsp <= 20


def test_a_shallow_pipeline_reads_an_embedding_from_logic():
    array = Array(lanes=8, pipeline="shallow")
    few, many = (plan(integer_of(("lstm", 8), embedding=(tokens, 16)), "ecp5-25f",
                      arrays=[array])[0] for tokens in (50, 2000))
    assert many.lut - few.lut > 1950 * 16 * 16 / 16 - 500
    assert few.fits and many.lacking == ("lut",)
