"""Random networks whose cells are out of the ordinary, bit for bit and cycle for cycle.

Functions at every place, bounds, coupled gates and peepholes, in formats that no calibration would
choose; the drawn ones must cover them all.
"""

import pytest
from random_cores import draw_small, prove

from gatewright.campaign_check import check
from gatewright.campaign_networks import Config, make_network
from golden.functions import Activation
from golden.network import Cell

CASES = [(cell, index) for cell, count in (("lstm", 22), ("gru", 7), ("gru_reset_before", 7),
                                           ("rnn", 6)) for index in range(count)]


@pytest.mark.parametrize("cell, index", CASES)
def test_exact(tmp_path, cell, index):
    prove(cell, index, tmp_path, special=True)


@pytest.mark.parametrize("cell", ["gru", "gru_reset_before"])
def test_gates_below_zero(tmp_path, cell):
    """A tanh as gate overshoots: results are clipped, and counted (the campaign found it)."""
    config = Config(seed=681, special=681, layers=((cell, 3, "identity", False),), inputs=2,
                    lanes=2, batches=((2, 1), (3, 6)), resets=2)
    network = make_network(config)
    assert network.layers[0].places[0].function.activation is Activation.TANH
    assert not any(place.is_straight or place.is_curve for place in network.layers[0].places)
    outcome = check(config, tmp_path, optimise=False)
    assert outcome.passed, outcome.failure
    assert outcome.saturations > 20


def test_drawn_cells_cover_what_they_should():
    layers = [layer for case in CASES
              for layer in make_network(draw_small(*case, special=True)).layers]
    lstms = [layer for layer in layers if layer.cell is Cell.LSTM]
    assert sum(layer.coupled for layer in lstms) > 4
    assert sum(layer.peephole is not None for layer in lstms) > 8
    assert sum(layer.peephole is not None and layer.coupled for layer in lstms) > 1
    places = [place for layer in layers for place in layer.places]
    assert {place.function.activation for place in places} == set(Activation)
    assert sum(place.limit is not None for place in places) > 30
    for idx in range(3):
        at = {layer.places[idx].function.activation for layer in lstms if layer.places}
        assert len(at) > 6
