"""docs/matrix.md is what this tree does, and the trial behind it can fail."""

import re
import zipfile
from dataclasses import replace

import pytest

from tests import matrix

pytest.importorskip("onnxruntime", reason="raw ONNX is compared with it")


@pytest.fixture(scope="module")
def made():
    return matrix.document()


def test_it_is_current(made):
    assert made == matrix.DOCUMENT.read_text(encoding="utf-8"), "run: python -m tests.matrix"


def test_nothing_computes_something_else(made):
    assert "WRONG NUMBERS" not in made
    rows = [line for line in made.splitlines() if line.startswith("| ") and "|---" not in line]
    cells = [cell.strip() for line in rows for cell in line.split("|")[2:-1]]
    assert cells.count("yes") >= 300
    numbers = {cell for cell in cells if cell.isdigit()}
    assert numbers == set(re.findall(r"^(\d+)\. ", made, re.MULTILINE))


def test_every_door_and_operator_is_there(made):
    assert all(f"## {title}" in made for title, *_ in matrix.DOORS.values())
    assert "| | RNN | GRU | LSTM |" in made


@pytest.mark.parametrize("door", list(matrix.DOORS))
def test_a_wrong_weight_is_seen(tmp_path, monkeypatch, door):
    def wrong(path):
        network = import_model(path)
        first = network.layers[0]
        return replace(network, layers=(replace(first, w=first.w + 0.01), *network.layers[1:]))

    import_model = matrix.import_model
    with zipfile.ZipFile(matrix.ARCHIVE) as archive:
        assert matrix.exported(door, "lstm", "two layers", archive, tmp_path) == "yes"
        monkeypatch.setattr(matrix, "import_model", wrong)
        assert matrix.exported(door, "lstm", "two layers", archive, tmp_path) == "WRONG NUMBERS"


def test_a_wrong_node_is_seen(tmp_path, monkeypatch):
    case = matrix.nodes()["Y, every step"]["GRU"]
    assert matrix.node_outcome(case, tmp_path) == "yes"
    wanted = matrix.expected(case)
    monkeypatch.setattr(matrix, "expected", lambda case: {k: v + 1e-3 for k, v in wanted.items()})
    assert matrix.node_outcome(case, tmp_path) == "WRONG NUMBERS"


def test_messages_that_differ_in_names_are_one():
    notes = matrix.Notes()
    assert notes.number("'a.onnx': node 'x' (Erf): is not") == "1"
    assert notes.number("'b.onnx': node 'y' (Erf): is not") == "1"
    assert notes.number("node 'y' (Sin): is not") == "2"
    assert notes.lines() == ["1. node 'x' (Erf): is not", "2. node 'y' (Sin): is not"]
