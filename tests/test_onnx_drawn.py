"""Hundreds of drawn RNN, GRU and LSTM nodes against onnxruntime, and a sample of them as cores."""

from collections import Counter

import numpy as np
import pytest
from drawn_operators import COUNT, WITH_ALPHA, WITH_BOTH, compare, draw, imported
from fast_cores import prove

import gatewright as gw

pytest.importorskip("onnxruntime", reason="it is what the nodes are compared with")

BLOCK = 30
CORES = 24


@pytest.mark.parametrize("first", range(0, COUNT, BLOCK))
def test_as_onnxruntime_has_it(tmp_path, first):
    for index in range(first, first + BLOCK):
        compare(draw(index), tmp_path)


def test_the_draw_reaches_everything():
    """Each value of each attribute, each way an input comes, each set of outputs: ten times."""
    seen = Counter()
    for case in map(draw, range(COUNT)):
        seen.update([case.op, ("dirs", case.dirs), ("layout", case.layout),
                     ("opset", case.opset), ("outputs", case.outputs[-1])])
        seen.update(("attribute", name, str(value)) for name, value in case.attributes.items()
                    if name in ("direction", "input_forget", "linear_before_reset"))
        seen.update(("attribute", name) for name in case.attributes)
        seen.update((name, getattr(case, name)) for name in (
            "weights", "bias", "lengths", "initial_h", "batch", "open_axes"))
        if case.op == "LSTM":
            seen.update((name, getattr(case, name)) for name in ("initial_c", "peephole"))
    assert min(seen.values()) >= 10, min(seen, key=seen.get)
    assert {len(draw(k).outputs) for k in range(COUNT)} == {1, 2, 3}
    functions = {name for k in range(COUNT) for name in draw(k).attributes.get("activations", ())}
    assert functions == {"Sigmoid", "Tanh", "Relu", "Softsign", "Softplus", *WITH_ALPHA, *WITH_BOTH}


def arrays(index: int) -> dict:
    """Another array for each core."""
    rng = np.random.default_rng([index, 7])
    cols = int(rng.choice([1, 2, 4]))
    return {"lanes": int(rng.integers(1, 9)), "cols": cols,
            "pipeline": str(rng.choice(["deep", "shallow"]))}


@pytest.mark.parametrize("index", range(CORES))
def test_as_a_core(tmp_path, index):
    """Words, states and cycles are golden's."""
    case = draw(1000 + index)
    network, batch = imported(case, tmp_path)
    quantised = gw.quantise(network, batch)
    result = gw.golden(quantised, batch)
    assert prove(quantised, result, tmp_path, **arrays(index)).words > 0, case.title
