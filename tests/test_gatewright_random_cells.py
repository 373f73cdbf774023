"""Random networks whose cells are out of the ordinary, bit for bit and cycle for cycle.

Functions at every place, bounds, coupled gates and peepholes, in formats that no calibration would
choose; the drawn ones must cover them all.
"""

import pytest
from random_cores import draw_small, prove

from gatewright.campaign_networks import make_network
from golden.functions import Activation
from golden.network import Cell

CASES = [(cell, index) for cell, count in (("lstm", 22), ("gru", 7), ("gru_reset_before", 7),
                                           ("rnn", 6)) for index in range(count)]


@pytest.mark.parametrize("cell, index", CASES)
def test_exact(tmp_path, cell, index):
    prove(cell, index, tmp_path, special=True)


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
