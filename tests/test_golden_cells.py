"""What a cell is: its functions' places, what is refused, its title, whose lines it takes."""

import numpy as np
import pytest
from networks import make_network

from golden.cells import GATES, PLACES, Cell, Place, default_functions
from golden.fixed import Fixed
from golden.functions import Activation, Function
from golden.network import FloatLayer


def layer(cell: str, **own) -> FloatLayer:
    """The smallest layer of a cell."""
    rows = len(GATES[Cell(cell)])
    return FloatLayer(name="a", cell=Cell(cell), units=1, w=np.ones((rows, 1)),
                      r=np.ones((rows, 1)) if Cell(cell).recurrent else None,
                      bias_x=np.zeros(rows), bias_h=np.zeros(rows), **own)


@pytest.mark.parametrize("cell", Cell)
def test_each_gate_has_a_place(cell):
    """One of those that the cell has; all but the last of an LSTM, of c, are of some gate."""
    places = range(len(default_functions(cell)))
    assert len(PLACES[cell]) == len(GATES[cell])
    assert set(PLACES[cell]) == set(places) - ({2} if cell is Cell.LSTM else set())
    # i, f, o and r, z are gates with one function; g and n are candidates.
    assert [PLACES[cell][k] for k, gate in enumerate(GATES[cell]) if gate in "gn"] == [1] * (
        len(places) > 1)


def test_default_functions():
    tanh, sigmoid = (Function(activation=f) for f in (Activation.TANH, Activation.SIGMOID))
    assert default_functions(Cell.LSTM) == (sigmoid, tanh, tanh)
    assert default_functions(Cell.GRU) == default_functions(Cell.GRU_RESET_BEFORE) == (sigmoid,
                                                                                      tanh)
    assert default_functions(Cell.RNN, Activation.RELU) == (Function(activation=Activation.RELU),)


@pytest.mark.parametrize(("cell", "own", "message"), [
    ("rnn", {"clip": 0.0}, r"clip must be above 0, not 0\.0"),
    ("lstm", {"clip": -0.5}, r"clip must be above 0, not -0\.5"),
    ("gru", {"clip": np.nan}, "clip must be above 0, not nan"),
    ("gru", {"coupled": True}, "only an LSTM has coupled gates or peepholes"),
    ("rnn", {"peephole": np.ones((3, 1))}, "only an LSTM has coupled gates or peepholes"),
    ("lstm", {"peephole": np.ones((2, 1))}, r"peepholes must be \(3, 1\), not \(2, 1\)"),
    ("lstm", {"peephole": np.ones((3, 2))}, r"peepholes must be \(3, 1\), not \(3, 2\)"),
    ("lstm", {"own_functions": default_functions(Cell.GRU)}, "functions must be 3, not 2"),
    ("linear", {"own_functions": default_functions(Cell.GRU)}, "functions must be 1, not 2")])
def test_refused(cell, own, message):
    with pytest.raises(ValueError, match=f"^Layer 'a': {message}$"):
        layer(cell, **own)


@pytest.mark.parametrize(("cell", "own", "title"), [
    ("lstm", {}, "lstm"), ("linear", {}, "linear"), ("gru", {"clip": 1e-3}, "gru clip 0.001"),
    ("rnn", {"activation": Activation.TANH}, "rnn tanh"),
    ("rnn", {"activation": Activation.RELU, "clip": 2.5}, "rnn relu clip 2.5"),
    ("lstm", {"coupled": True}, "lstm coupled"),
    ("lstm", {"peephole": np.ones((3, 1))}, "lstm peepholes"),
    ("lstm", {"peephole": np.ones((3, 1)), "coupled": True, "clip": 1.0,
              "own_functions": default_functions(Cell.LSTM)},
     "lstm sigmoid tanh tanh clip 1 coupled peepholes")])
def test_titles(cell, own, title):
    assert layer(cell, **own).title == title


def test_networks_of_the_tests_have_titles():
    network = make_network(("lstm", 3, {"functions": ["sigmoid", ("elu", 1.5), "softsign"]}),
                           ("product", 2), ("linear", 2, "sigmoid"))
    assert [made.title for made in network.layers] == ["lstm sigmoid elu(1.5) softsign", "product",
                                                       "linear sigmoid"]


@pytest.mark.parametrize("name", Activation)
def test_whose_lines(name):
    """The table that every cell has serves sigmoid and tanh where results are just below 1."""
    pre = Fixed(width=18, frac=13)
    straight = name in ("identity", "relu")
    for frac in (-3, 0, 6, 7, 8, 20):
        place = Place(function=Function(activation=name), pre=pre, out=Fixed(width=8, frac=frac))
        assert place.is_straight == straight
        assert place.is_curve == (not straight and not (name in ("sigmoid", "tanh")
                                                        and frac == 7))
