"""Which check tells a mutant from the core: golden, run by run, then the core on broken input."""

from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np

from gatewright.campaign_check import PAUSES, Case
from gatewright.campaign_config import Config
from gatewright.campaign_networks import make_codes, make_table
from golden.model import Codes, run_golden
from sim.fast import FastSimulator

from .coverage_runs import PATIENCE, extremes
from .mutant_netlists import SELECT

__all__ = ["BROKEN", "Told", "case_with_many"]

BROKEN = "broken input"  # not golden's: the core's own answer to a last that is wrong
EVENTS = 20_000          # cycles of such a run
CUTS = 120               # resets in mid-sequence
SHARES = (0.01, 0.05, 0.3) * 3  # of the ends of words that are wrong, in each such run
DRAWN, TIES = 200_000, 60   # sequences, and how many of them are taken of each kind of near tie
MANY, STEPS, TIMES = 100, 12, 16    # sequences and steps of a long run, and how many there are


def _near_ties(config: Config, network) -> list:
    """Sequences in which two results of a step are nearly the same, and larger than all others.

    A few of each kind: by the highest bit in which the two differ together with each bit of the
    largest one, and with the places of the two.
    """
    drawn, = make_codes(replace(config, seed=config.seed + 99, batches=((DRAWN, STEPS),)), network)
    run = run_golden(network, drawn, table=make_table(config, network))
    results = run.signals[-1]["h"]
    order = np.argsort(results, axis=-1, kind="stable")[..., -2:]
    second, first = np.moveaxis(np.take_along_axis(results, order, axis=-1), -1, 0)
    differ = (first ^ second) & ((1 << config.act_width) - 1)
    decides = np.frexp(differ.astype(float))[1] - 1         # -1: the two are the same
    chosen = []
    for bit in range(-1, config.act_width):
        rows, steps = np.nonzero(decides == bit)
        largest, places = first[rows, steps], order[rows, steps]
        kinds = [largest >> k & 1 for k in range(config.act_width)]
        kinds = [*kinds, *(1 - kind for kind in kinds),
                 *((places == pair).all(axis=1) for pair in np.unique(places, axis=0))]
        chosen += [rows[np.flatnonzero(kind)[:TIES]] for kind in kinds]
    every = np.random.default_rng(config.seed).permutation(np.unique(np.concatenate(chosen)))
    return [Codes(x=drawn.x[every])]


def _long(config: Config, network) -> list:
    """Of a network that stores its sequences, some of each length up to the longest."""
    lengths = range(config.max_steps // 2, config.max_steps + 1)
    return make_codes(replace(config, seed=config.seed + 98, batches=tuple(
        (1, steps) for steps in lengths)), network)


def case_with_many(config: Config) -> Case:
    """A configuration with thousands of steps more: a fault in a sum's lowest bits shows only where
    a value lies at the edge of being rounded the other way, one in its highest where it is large.
    """
    def more(config, network):
        size = MANY, min(STEPS, config.max_steps or STEPS)
        made = []
        for k in range(TIMES // 2):
            rng = np.random.default_rng([config.seed, 10, k])
            made += make_codes(replace(config, seed=config.seed + 100 + k, batches=(size,)),
                               network)
            made.append(extremes(rng, network, *size, config))
        made += _long(config, network) if config.max_steps else []
        return made + (_near_ties(config, network) if config.argmax else [])

    return Case(config, more=more)


class Told:
    """The runs of a core with mutants.

    Parameters
    ----------
    case : Case
        Of the core without them, from ``case_with_many``.
    verilog : Path
        With them, behind the input ``SELECT``.
    seed : int
    """

    def __init__(self, case: Case, verilog: Path, seed: int):
        own = sum(batch[0] for batch in case.config.batches)
        self._given, self._seed = case.stimulus(range(own)), seed
        self._core = FastSimulator(verilog, case.core.manifest, verilog.parent,
                                   select=SELECT)
        rng = np.random.default_rng(seed)
        few = case.stimulus(case.some(rng, steps=8))
        cuts = rng.integers(1, few.predicted_cycles, size=CUTS).tolist()
        words = sum(len(sequence.inputs) for sequence in self._given.sequences)
        # (name, what is sent, how); the first that tells is named: for most, a few steps do.
        every, some = self._given, {"pauses": PAUSES[3]}
        self._runs = [("few steps", few, {}), ("no pauses", every, {}),
                      ("pauses", every, {"pauses": PAUSES[0]}),
                      ("slow output", every, {"pauses": PAUSES[2]}),
                      ("slow input", every, {"pauses": PAUSES[1]})]
        # Behind each reset something is compared: a second one would hide what the first left.
        self._runs += [("a reset", few, {"resets": [cut]} | (some if k % 3 == 0 else {}))
                       for k, cut in enumerate(cuts)]
        drawn, hows = own + TIMES * MANY, ({}, some, {"pauses": PATIENCE})
        self._runs += [("many steps", case.stimulus(range(k, k + MANY)), how)
                       for k, how in zip(range(own, drawn, MANY), cycle(hows), strict=False)]
        if chosen := range(drawn, len(case.sequences)):
            self._runs += [("chosen sequences", case.stimulus(chosen), how) for how in hows]
        # (where ends of words are wrong, pauses)
        self._broken = [(rng.random(words) < share, None) for share in SHARES]
        # One sequence as long as half of them together, longer than any store.
        ends = self._given.flat("inputs")[1][:words]
        self._broken.append((ends & (np.arange(words) < words // 2), None))
        # None is wrong, but the output is full for long: golden does not say when it goes on.
        self._broken.append((np.zeros(words, bool), PATIENCE))
        self._own = self._events(0)

    def _events(self, mutant: int) -> list:
        """What it shows of each broken input from power-up on: a step that is cut short runs with
        what an earlier one left in its bank."""
        events = []
        for flips, pauses in self._broken:
            self._core.select(mutant)
            events.append(self._core.events(self._given, seed=self._seed + len(events),
                                            flips=flips, cycles=EVENTS, pauses=pauses))
        return events

    def by(self, mutant: int) -> tuple | None:
        """(run, kind of difference) that tells this mutant; 0 is the core itself."""
        self._core.select(mutant)
        for name, sent, how in self._runs:
            difference = self._core.run(sent, seed=self._seed, **how).difference
            if difference is not None:
                return name, difference["kind"]
        return None if self._events(mutant) == self._own else (BROKEN, "any")

    def close(self) -> None:
        self._core.close()
