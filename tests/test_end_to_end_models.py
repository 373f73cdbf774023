"""Small networks of every kind, from an ONNX file to a bit-exact core, through the command line."""

import json
import re
from dataclasses import dataclass, field

import numpy as np
import onnx_models as build
import pytest
from commands import command

LAST, EVERY = "last", "every"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network and how it is run.

    Parameters
    ----------
    net : Net
    shape : tuple
        Of one sequence, as the graph lays it out.
    steps : int
    units : tuple of int
        H of each recurrent layer; ``cells`` of them keep a c as well.
    outputs : int
        Words of a result; of each step, or the last.
    tokens : int
        Above zero: inputs are token ids.
    states : dict of graph input to shape
    words : tuple of str
        Options of the command line.
    """

    net: build.Net
    shape: tuple
    steps: int
    units: tuple
    cells: int = 0
    outputs: int
    results: str = LAST
    head: int = 0
    tokens: int = 0
    states: dict = field(default_factory=dict)
    returned: int = 0
    sequences: int = 5
    words: tuple = ()

    @property
    def compared(self) -> int:
        """Words that a proof of all sequences must have compared, counted from the shapes."""
        hidden = sum(self.units) + sum(self.units[:self.cells])
        results = self.steps if self.results == EVERY else 1
        argmax = "--argmax" in self.words
        return self.sequences * (self.steps * hidden + results * self.head
                                 + results * (1 if argmax else self.outputs) + self.returned)


def _one_neuron(kind):
    net = build.Net()
    net.cell(kind, net.input("x", [6, 1, 1]), 1, 1)
    net.nodes[-1].output[:] = ["Y"] + [""] * (len(net.nodes[-1].output) - 1)
    net.output("Y")
    return net


CASES = {
    "GRU, reset before, 2-bit weights": Case(
        net=build.torch_legacy("GRU", layers=1, linear_before_reset=0), shape=(1, 5, 4), steps=5,
        units=(3,), outputs=2, head=2, words=("--weight-width", "2", "--lanes", "4")),
    "GRU, reset after, two layers": Case(
        net=build.torch_legacy("GRU", linear_before_reset=1), shape=(1, 5, 4), steps=5,
        units=(3, 3), outputs=2, head=2, words=("--lanes", "5", "--method", "percentile")),
    "LSTM, tokens, states in and out": Case(
        net=build.char_model(), shape=(1, 5), steps=5, units=(3, 3), cells=2, outputs=7, head=7,
        results=EVERY, tokens=7, states={"h0": (2, 1, 3), "c0": (2, 1, 3)}, returned=12,
        words=("--lanes", "7")),
    "RNN relu, 8-bit words": Case(
        net=build.bare("RNN", activations=["Relu"]), shape=(4, 1, 4), steps=4, units=(3,),
        outputs=3, results=EVERY, words=("--act-width", "8", "--lanes", "2")),
    "one neuron, more lanes than rows": Case(
        net=_one_neuron("LSTM"), shape=(6, 1, 1), steps=6, units=(1,), cells=1, outputs=1,
        results=EVERY, words=("--lanes", "16")),
    "one neuron, one lane": Case(
        net=_one_neuron("RNN"), shape=(6, 1, 1), steps=6, units=(1,), outputs=1, results=EVERY,
        words=("--lanes", "1")),
    "Keras LSTM, one lane, 5-bit words": Case(
        net=build.keras(), shape=(1, 6, 4), steps=6, units=(3, 2), cells=2, outputs=3, head=3,
        words=("--lanes", "1", "--act-width", "5", "--weight-width", "16")),
    "one-step sequences": Case(
        net=build.torch_dynamo("LSTM", steps=1), shape=(1, 1, 4), steps=1, units=(3, 3), cells=2,
        outputs=2, head=2, results=EVERY, sequences=9, words=("--lanes", "6")),
    "3000 steps": Case(
        net=build.bare("GRU", steps=3000, linear_before_reset=1), shape=(3000, 1, 4), steps=3000,
        units=(3,), outputs=3, results=EVERY, sequences=1, words=("--lanes", "9")),
    "argmax of every step, two columns": Case(
        net=build.torch_dynamo("GRU", linear_before_reset=1), shape=(1, 5, 4), steps=5,
        units=(3, 3), outputs=2, head=2, results=EVERY,
        words=("--argmax", "--cols", "2", "--lanes", "4")),
    "widest words, loaded weights": Case(
        net=build.torch_legacy("LSTM", layers=1, head="h_n"), shape=(1, 5, 4), steps=5, units=(3,),
        cells=1, outputs=2, head=2,
        words=("--act-width", "18", "--weight-width", "16", "--cell-width", "24", "--cols", "4",
               "--lanes", "3", "--load-weights")),
}


def data(case: Case, path, n: int, rng) -> None:
    """Inputs as a user saves them, initial states beside them."""
    x = rng.integers(0, case.tokens, (n, *case.shape)) if case.tokens else \
        rng.normal(size=(n, *case.shape)).astype(np.float32)
    np.save(path, x)
    for name, shape in case.states.items():
        np.save(path.with_name(f"{path.stem}_{name}.npy"),
                rng.uniform(-0.9, 0.9, (n, *shape)).astype(np.float32))


@pytest.mark.parametrize("name", CASES)
def test_bit_exact(tmp_path, name):
    case, rng = CASES[name], np.random.default_rng(11)
    case.net.save(tmp_path / "small net.onnx")
    data(case, tmp_path / "c.npy", 2 if case.steps > 1000 else 20, rng)
    data(case, tmp_path / "x.npy", case.sequences, rng)
    done = command("run", "small net.onnx", "--calibration", "c.npy", "--inputs", "x.npy", "--out",
                   "out", "--no-synth", "--seed", "3", *case.words, cwd=tmp_path)
    assert done.status == 0, done
    verify = json.loads((tmp_path / "out" / "verify.json").read_text())
    assert verify["words"] == case.compared
    assert f"bit-exact: {case.compared}/{case.compared} words" in done.out
    assert verify["mismatches"] == 0 and verify["passes"] == ["unpaused", "paused"]
    assert (verify["sequences"], verify["steps"], verify["seed"]) == (
        case.sequences, case.sequences * case.steps, 3)
    assert verify["cycles_measured"] == verify["cycles_predicted"]
    usual = verify["cycles_per_step_measured"]
    assert usual == (None if case.steps == 1 else verify["cycles_per_step_predicted"])
    found = re.search(r"at most (\S+) from the ONNX file itself over", done.out)
    assert float(found[1]) < 1e-5
    golden = json.loads((tmp_path / "out" / "golden.json").read_text())
    assert golden["sequences"] == case.sequences and golden["float_metric"] is None
    assert ("no data for the initial state" in done.out.lower()) is False
