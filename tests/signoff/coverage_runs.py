"""The runs that are to reach every line, branch, expression and bit of a core."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from gatewright.campaign_check import PAUSES, Case
from gatewright.campaign_config import Config
from gatewright.campaign_networks import make_codes, make_table
from golden.model import Codes
from golden.network import Cell
from sim.fast import FastSimulator, Pauses
from sim.traffic import Patterns

from .configurations import WIDE_RANGE
from .coverage_points import read_points
from .coverage_search import farthest
from .windows import FROM

__all__ = ["case_to_cover", "cover", "extremes"]

RANDOM = ((40, 1), (60, 3), (60, 6), (30, 12))   # sequences, steps
EXTREME = ((60, 1), (200, 3), (100, 10), (40, 40))
ROWS = 4             # of weights, at most, whose sums a sequence drives to their ends
FILLING = 100        # of the shortest sequences, one after the other: they fill the output
SHORT = 30           # steps of a run behind resets
RESETS = 24          # such runs
BROKEN = 400         # words, some of them against the protocol
PATIENCE = Pauses(source=0, sink=255, long=True)
LEAVING = tuple(Patterns(sink=name) for name in ("starved", "random 10 %", "follows"))


def extremes(rng, network, sequences: int, steps: int, config: Config) -> Codes:
    """A batch at the ends of the range, with the signs of a row's weights: its sum goes far."""
    layer, act = network.layers[0], config.act_width
    low, high = -(1 << (act - 1)), (1 << (act - 1)) - 1
    if config.tokens:
        x = rng.integers(0, config.tokens, size=(sequences, 1, 1)).repeat(steps, axis=1)
        codes = Codes(x=x)
    else:
        # The same number of rows and steps for each sequence: the rows' weights, each with a sign.
        rows = rng.integers(0, len(layer.w), size=(sequences, steps, ROWS))
        signs = rng.choice([-1, 1], size=(sequences, steps, ROWS, 1))
        signs *= np.arange(ROWS)[:, None] < rng.integers(1, ROWS + 1, size=(sequences, 1, 1, 1))
        for all_steps in (rows, signs):
            all_steps[::2] = all_steps[::2, :1]     # every other sequence holds on to its rows
        pull = (layer.w[rows] * signs).sum(axis=2)
        codes = Codes(x=np.where(pull < 0, low, high))
    for idx in network.recurrent if network.loads_state else ():
        units, wide = network.layers[idx].units, config.cell_width
        codes.h0[idx] = rng.choice([low, high], size=(sequences, units))
        if network.layers[idx].cell is Cell.LSTM:
            codes.c0[idx] = rng.choice([-(1 << (wide - 1)), (1 << (wide - 1)) - 1],
                                       size=(sequences, units))
    return codes


def _more(config: Config, network) -> list:
    longest = config.max_steps or 1 << 16
    rng = np.random.default_rng([config.seed, 9])
    drawn = make_codes(replace(config, seed=config.seed + 1, batches=tuple(
        (many, min(steps, longest)) for many, steps in RANDOM)), network)
    if config.max_steps:                           # as long as the store takes
        drawn += make_codes(replace(config, seed=config.seed + 2,
                                    batches=((2, longest),)), network)
    drawn += [extremes(rng, network, many, min(steps, longest), config)
              for many, steps in EXTREME]
    return drawn


def _searched(config: Config, network) -> list:
    rng = np.random.default_rng([config.seed, 10])
    return [*_more(config, network),
            farthest(rng, network, config, make_table(config, network))]


def case_to_cover(config: Config | str, *, search: bool = True) -> Case:
    """A configuration with more sequences than its own: random ones, and the ends of the ranges.

    Parameters
    ----------
    config : Config or str
    search : bool
        False: without sequences that golden has to be asked for, and asked again.
    """
    return Case(WIDE_RANGE[config] if isinstance(config, str) else config,
                more=_searched if search else _more)


def _broken(case: Case, core: FastSimulator, rng) -> None:
    """Words against the protocol: ends at random places, values out of range, no end at all."""
    width, many = core.ports.element_width("s_axis_tdata"), core.ports.elements["s_axis_tdata"]
    words, _ = case.stimulus([0]).flat("inputs")
    loaded = words[:case.layout.program.load_words]
    core.offer(words, np.zeros(len(words), bool), seed=1)      # a sequence without its end
    for number, often in enumerate((0.5, 0.1, 0.9, 0)):    # at last none: too long a sequence
        sent = np.concatenate([loaded, rng.integers(0, 1 << width, size=(BROKEN, many))])
        last = rng.random(len(sent)) < often
        last[:len(loaded)] = number == 0
        last[-1] = True             # of the sequence that is too long, behind its last step
        core.offer(sent, last, seed=number, pauses=Pauses() if number == 1 else None)


def _counted(case: Case, core: FastSimulator, preset) -> None:
    """Each bit of the counters of errors and saturations changes by counting."""
    clipping = [k for k in range(len(case.sequences)) if case.saturations[k]]
    chosen = min(clipping or [0], key=lambda k: case.sequences[k].steps)
    words, last = case.stimulus([chosen]).flat("inputs")
    core.offer(words, last, seed=1)                            # with its weights, if any
    words = case.sequences[chosen].inputs
    wrong = words[:1]                              # a step that ends too early
    if case.config.tokens:                         # a token that there is not
        wrong = np.full_like(wrong, (1 << core.ports.element_width("s_axis_tdata")) - 1)
    for bits in range(33):
        preset(errors=(1 << min(bits, 16)) - 1, saturations=(1 << bits) - 1)
        # A sequence that clips, and a word that breaks the protocol.
        core.offer(np.concatenate([words, wrong]), np.arange(len(words) + 1) >= len(words) - 1,
                   seed=1, reset=False)


def cover(case: Case, core: FastSimulator, folder: Path, *, extremes: bool = True) -> dict:
    """Run everything; every run but those with broken words is compared with golden.

    Parameters
    ----------
    case : Case
        From ``case_to_cover``.
    core : FastSimulator
        Built for coverage, not run yet.
    folder : Path

    Returns
    -------
    dict of Point to int
        How often each was reached by runs; how bits change in the first cycles, all of them with a
        reset, is left out.

    Raises
    ------
    AssertionError
        If the core differs from golden.
    """
    lines, taken = len(case.core.verilog.splitlines()), []

    def read():
        path = folder / "coverage.dat"
        core.write_coverage(path)
        taken.append(read_points(path, lines))
        return taken[-1]

    def run(order, **how):
        result = core.run(case.stimulus(order), **how)
        assert result.passed, result.difference

    def without(before, after):
        """Counts of the bits' changes between two looks."""
        for point, count in after.items():
            if point.kind == "toggle":
                apart[point] += count - before.get(point, 0)

    def preset(**values):
        before = read()
        core.preset(**values)
        without(before, read())

    rng = np.random.default_rng([case.config.seed, 8])
    core.rest(FROM + 1)
    start = read()
    apart = dict.fromkeys(start, 0)
    without({}, start)
    own = sum(batch[0] for batch in case.config.batches)
    every = rng.permutation(len(case.sequences) if extremes else own).tolist()
    run(every, seed=1)
    if extremes:
        total = case.layout.schedule.total_cycles([case.sequences[k].steps for k in every])
        for number, pauses in enumerate((*PAUSES, PATIENCE)):
            some = case.some(rng, steps=100)
            run(some, seed=number, pauses=pauses)
        shortest = sorted(every, key=lambda k: case.sequences[k].steps)[:FILLING]
        # Steps against words that leave: a full buffer, and both in one cycle.
        for number, pauses in enumerate((*PAUSES, PATIENCE, *LEAVING)):
            run(shortest, seed=number, pauses=pauses)
        for _ in range(RESETS):
            cuts = rng.integers(1, min(total, 2000), size=6).tolist()
            run(case.some(rng, steps=SHORT), seed=3, pauses=bool(rng.random() < 0.5), resets=cuts)
        _broken(case, core, rng)
        _counted(case, core, preset)
    final = read()
    return {point: count - apart[point] for point, count in final.items()}
