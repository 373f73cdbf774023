"""Stimulus records: what they refuse, and that their files give back the same."""

import json

import numpy as np
import pytest
from sim_standin import golden

from sim import Sequence, Stimulus

TRACE = {("h", 0): np.zeros((2, 3), np.int64)}


def sequence(**fields):
    return Sequence(**({"steps": 2, "inputs": [1, 2], "outputs": [3], "trace": TRACE} | fields))


def test_round_trip(tmp_path):
    stimulus = golden([1, 4, 30, 7])
    stimulus.save(tmp_path)
    again = Stimulus.load(tmp_path)
    assert (again.words, again.steps, again.keys) == (
        stimulus.words, stimulus.steps, stimulus.keys)
    for ours, theirs in zip(stimulus.sequences, again.sequences, strict=True):
        assert ours.steps == theirs.steps
        assert (ours.inputs == theirs.inputs).all() and (ours.outputs == theirs.outputs).all()
        assert all((ours.trace[key] == theirs.trace[key]).all() for key in stimulus.keys)
    for name in ("predicted_cycles", "expected_saturations", "output_units",
                 "output_every_step"):
        assert getattr(again, name) == getattr(stimulus, name)


def test_other_format_wrong(tmp_path):
    golden([1]).save(tmp_path)
    info = json.loads((tmp_path / "stimulus.json").read_text())
    (tmp_path / "stimulus.json").write_text(json.dumps(info | {"format": 99}))
    with pytest.raises(ValueError, match=r"stimulus format must be 3"):
        Stimulus.load(tmp_path)


def test_from_batch():
    stimulus = Stimulus.from_batch(
        steps=2, inputs=np.arange(6).reshape(3, 2), outputs=np.arange(12).reshape(3, 4),
        trace={("h", 1): np.arange(12).reshape(3, 2, 2), ("h", 2): np.arange(3).reshape(3, 1, 1)},
        predicted_cycles=7)
    assert (len(stimulus.sequences), stimulus.steps, stimulus.words) == (3, 6, 12 + 12 + 3)
    words, last = stimulus.flat("outputs")
    assert (words == np.arange(12)).all()
    assert np.flatnonzero(last).tolist() == [3, 7, 11]
    values, owner, step = stimulus.rows(("h", 1))
    assert values.shape == (6, 2)
    assert (owner.tolist(), step.tolist()) == ([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 1])
    assert stimulus.rows(("h", 2))[2].tolist() == [1, 1, 1]  # the last step of each


def test_from_batch_wrong():
    with pytest.raises(ValueError, match=r"^outputs must cover 3 sequences, not 2$"):
        Stimulus.from_batch(steps=1, inputs=np.zeros((3, 1), int), outputs=np.zeros((2, 1), int),
                            trace={})


def test_no_sequences_wrong():
    with pytest.raises(ValueError, match=r"at least one sequence, not 0"):
        Stimulus(sequences=())


@pytest.mark.parametrize(("fields", "error", "message"), [
    ({"steps": 0}, ValueError, r"^Steps must be a positive integer, not 0$"),
    ({"inputs": []}, TypeError, r"^Inputs must be integers, not float64$"),
    ({"outputs": np.zeros(0, int)}, ValueError, r"input words and expected output words"),
    ({"outputs": [0.5]}, TypeError, r"^Outputs must be integers, not float64$"),
    ({"inputs": [[[1]]]}, ValueError, r"^Inputs must have 2 dimension"),
    ({"trace": {("g", 0): TRACE["h", 0]}}, ValueError, r"must be 'h' or 'c', not 'g'"),
    ({"steps": 3}, ValueError, r"must have 3 rows, or 1 if last-step only, not 2"),
], ids=["steps", "inputs", "empty", "float", "shape", "signal", "rows"])
def test_sequence_wrong(fields, error, message):
    with pytest.raises(error, match=message):
        sequence(**fields)


def test_different_traces_wrong():
    with pytest.raises(ValueError, match=r"^Sequence 1 must trace the same signals"):
        Stimulus(sequences=(sequence(), sequence(trace={})))
    with pytest.raises(ValueError, match=r"^Sequence 1: trace .* must have 3 units, not 4"):
        Stimulus(sequences=(sequence(), sequence(trace={("h", 0): np.zeros((2, 4), int)})))
