"""Random small networks on random arrays, one Verilator model each: every bit and every cycle.

The four files that call this begin with another cell each, so that workers can share them.
"""

from gatewright.campaign import command
from gatewright.campaign_check import check
from gatewright.campaign_networks import Config, draw
from golden.network import Cell

SEED, COUNT = 7, 32  # of each cell; `make campaign SEED=...` takes others, and larger ones
APART = 50             # of the numbers that two cells' draws begin with

__all__ = ["COUNT", "draw_small", "prove", "values"]


def draw_small(cell: str, index: int, *, special: bool = False, branches: float = 0.0) -> Config:
    return draw(SEED + special, APART * list(Cell).index(Cell(cell)) + index, cell=cell, units=16,
                cycles=4000, steps=150, multipliers=32, posts=4, special=special,
                branches=branches)


def values(config: Config) -> int:
    """Values that a proof of every sequence compares, counted from the shapes alone."""
    layers = [(Cell(cell), units, last) for cell, units, _, last in config.layers]
    sequences = sum(n for n, _ in config.batches)
    steps = sum(n * t for n, t in config.batches)
    states = sum(units * (2 if cell is Cell.LSTM else 1) for cell, units, _ in layers
                 if cell.recurrent)
    traced = sum(units * (1 + (cell is Cell.LSTM)) * (sequences if last else steps)
                 for cell, units, last in layers)
    results = sequences if config.last_step_only or layers[-1][2] else steps
    return (traced + results * (1 if config.argmax else layers[-1][1])
            + sequences * states * config.returns)


def prove(cell: str, index: int, folder, **kind) -> Config:
    """Fails unless all runs of a configuration were exact, and compared all there is."""
    config = draw_small(cell, index, **kind)
    outcome = check(config, folder, optimise=False)
    assert outcome.passed, f"{outcome.failure}\nseed {config.seed}, {config.title}; again:\n" \
        f"{command(config.to_json())}"
    assert outcome.complete == values(config) > 0
    assert outcome.words > outcome.complete and outcome.runs >= 7
    assert outcome.resets == config.resets >= 10
    return config
