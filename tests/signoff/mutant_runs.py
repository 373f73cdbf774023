"""Which check tells a mutant from the core: golden, run by run, then the core on broken input."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from gatewright.campaign_check import PAUSES, Case
from gatewright.campaign_config import Config
from gatewright.campaign_networks import make_codes, make_table
from golden.model import Codes, run_golden
from sim.fast import FastSimulator

from .coverage_runs import extremes
from .mutant_netlists import SELECT

__all__ = ["BROKEN", "Told", "case_with_many"]

BROKEN = "broken input"  # not golden's: the core's own answer to a last that is wrong
EVENTS = 10_000          # cycles of such a run
CUTS = 120               # resets in mid-sequence
SHARES = (0.01, 0.05, 0.3) * 3  # of the ends of words that are wrong, in each such run
DRAWN, TIES = 20_000, 5  # sequences, of which so many runs are of those with nearly equal results
MANY, STEPS, TIMES = 40, 12, 8  # sequences and steps of a long run, and how many there are


def _near_ties(config: Config, network) -> list:
    """Sequences in which the two largest results of a step are nearly the same."""
    drawn, = make_codes(replace(config, seed=config.seed + 99, batches=((DRAWN, STEPS),)), network)
    run = run_golden(network, drawn, table=make_table(config, network))
    results = np.sort(run.signals[-1]["h"], axis=-1)
    apart = (results[..., -1] - results[..., -2]).min(axis=1)
    nearest = np.argsort(apart, kind="stable")[:TIES * MANY]
    return [Codes(x=drawn.x[some]) for some in nearest.reshape(TIES, MANY)]


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
        return [*made, *(_near_ties(config, network) if config.argmax else ())]

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
        self._runs += [("many steps", case.stimulus(range(k, k + MANY)), some if k % 2 else {})
                       for k in range(own, len(case.sequences), MANY)]
        self._flips = [rng.random(words) < share for share in SHARES]
        self._own = self._events(0)

    def _events(self, mutant: int) -> list:
        """What it shows of each broken input from power-up on: a step that is cut short runs with
        what an earlier one left in its bank."""
        events = []
        for flips in self._flips:
            self._core.select(mutant)
            events.append(self._core.events(self._given, seed=self._seed + len(events),
                                            flips=flips, cycles=EVENTS))
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
