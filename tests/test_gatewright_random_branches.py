"""Random networks with both directions, branches, products and pools: every bit, every cycle."""

import pytest
from random_cores import draw_small, prove

CELLS = ("lstm", "gru", "gru_reset_before", "rnn")
COUNT = 8  # of each cell; `make campaign` takes others


@pytest.mark.parametrize("index", range(COUNT))
@pytest.mark.parametrize("cell", CELLS)
def test_exact(tmp_path, cell, index):
    assert prove(cell, index, tmp_path, branches=1.0).links


def test_what_is_drawn():
    """Every shape is among the networks above: stored sequences, joins, pools, last states."""
    drawn = [draw_small(cell, index, branches=1.0) for cell in CELLS for index in range(COUNT)]
    links = [link for config in drawn for link in config.links]
    cells = {layer[0] for config in drawn for layer in config.layers}
    assert cells == {*CELLS, "linear", "product", "mean", "max"}
    assert sum(config.max_steps > 0 for config in drawn) > 10
    assert sum(config.max_steps == 0 for config in drawn) > 5
    assert sum(reverse for _, reverse, _ in links) > 15
    assert sum(final for _, _, final in links) > 2
    assert sum(len(reads) > 1 for reads, *_ in links) > 15
    assert any(config.loads and config.max_steps for config in drawn)
    assert any(config.returns and config.max_steps for config in drawn)
