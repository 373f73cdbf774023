"""Sequences that drive every value inside a network as far as it goes, found on golden.

What stands behind a sum, as a table's outer lines, is reached only if the sum goes far; and with a
recurrence it hangs on all that was before.
"""

from dataclasses import dataclass, field

import numpy as np

from gatewright.campaign_config import Config
from golden.model import Codes, run_golden
from golden.network import Cell

__all__ = ["farthest"]

STEPS, SEQUENCES, ROUNDS = 20, 400, 120
FRESH = 16          # one sequence in so many is random


@dataclass
class _Archive:
    """The best sequence so far for each target: a value, of a unit, and which way."""

    best: np.ndarray | None = None
    genes: dict = field(default_factory=dict)

    def take(self, genes: dict, scores: np.ndarray) -> None:
        """``scores`` (targets, sequences)."""
        winner = scores.argmax(axis=1)
        score = scores[np.arange(len(scores)), winner]
        if self.best is None:
            self.best = score
            self.genes = {name: gene[winner].copy() for name, gene in genes.items()}
            return
        better = score > self.best
        self.best = np.where(better, score, self.best)
        for name, gene in genes.items():
            self.genes[name][better] = gene[winner[better]]


def _ends(width: int) -> tuple:
    return -(1 << (width - 1)), (1 << (width - 1)) - 1


def _draw(rng, ends: tuple, shape) -> np.ndarray:
    """Any codes, and one in two at an end of the range."""
    low, high = ends
    return np.where(rng.random(shape) < 0.5, rng.choice([low, high], size=shape),
                    rng.integers(low, high + 1, size=shape))


def _ranges(network, config: Config, steps: int) -> dict:
    """Of each gene: its shape in a sequence, and the ends of its range."""
    layers, act = network.layers, _ends(config.act_width)
    if config.tokens:
        ranges = {"x": ((steps, 1), (0, config.tokens - 1))}
    else:
        ranges = {"x": ((steps, layers[0].w.shape[1]), act)}
    for idx in network.recurrent if network.loads_state else ():
        ranges["h", idx] = (layers[idx].units,), act
        if layers[idx].cell is Cell.LSTM:
            ranges["c", idx] = (layers[idx].units,), _ends(config.cell_width)
    return ranges


def _codes(genes: dict) -> Codes:
    states = [name for name in genes if name != "x"]
    return Codes(x=genes["x"], h0={idx: genes[kind, idx] for kind, idx in states if kind == "h"},
                 c0={idx: genes[kind, idx] for kind, idx in states if kind == "c"})


def _scores(network, codes: Codes, table) -> np.ndarray:
    """(targets, sequences): each value's largest and smallest over the steps."""
    run = run_golden(network, codes, table=table, keep=None)
    values = [signal for signals in run.signals for signal in signals.values()]
    return np.concatenate([some.max(axis=1).T for way in (1, -1) for some in (
        way * signal for signal in values)])


def farthest(rng, network, config: Config, table) -> Codes:
    """The sequences of a search, without those that are there twice."""
    steps = min(STEPS, config.max_steps or STEPS)
    ranges, archive = _ranges(network, config, steps), _Archive()
    genes = {name: _draw(rng, ends, (SEQUENCES, *shape))
             for name, (shape, ends) in ranges.items()}
    for _ in range(ROUNDS):
        archive.take(genes, _scores(network, _codes(genes), table))
        first, second = rng.integers(0, len(archive.best), size=(2, SEQUENCES))
        cut = rng.integers(0, 2 * steps, size=SEQUENCES)    # at or behind the end: no other half
        rate, fresh = rng.choice([0.02, 0.1, 0.3], size=SEQUENCES), rng.random(SEQUENCES)
        for name, (shape, ends) in ranges.items():
            mine = archive.genes[name][first]
            if name == "x":
                other = np.arange(steps) >= cut[:, None]
                mine = np.where(other[:, :, None], archive.genes[name][second], mine)
            some = rate.reshape(-1, *(1 for _ in shape))
            drawn = rng.random(mine.shape) < np.where(
                fresh.reshape(some.shape) < 1 / FRESH, 1, some)
            genes[name] = np.where(drawn, _draw(rng, ends, mine.shape), mine)
    flat = np.concatenate([gene.reshape(len(gene), -1) for gene in archive.genes.values()], axis=1)
    _, once = np.unique(flat, axis=0, return_index=True)
    return _codes({name: gene[once] for name, gene in archive.genes.items()})
