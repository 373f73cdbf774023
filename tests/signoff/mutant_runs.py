"""Which check tells a mutant from the core: golden, run by run, then the core on broken input."""

from pathlib import Path

import numpy as np

from gatewright.campaign_check import PAUSES, Case
from sim.fast import FastSimulator

from .mutant_netlists import SELECT

__all__ = ["BROKEN", "Told"]

BROKEN = "broken input"  # not golden's: the core's own answer to a last that is wrong
EVENTS = 10_000          # cycles of such a run
CUTS = 24                # resets in mid-sequence


class Told:
    """The runs of a core with mutants.

    Parameters
    ----------
    case : Case
        Of the core without them.
    verilog : Path
        With them, behind the input ``SELECT``.
    seed : int
    """

    def __init__(self, case: Case, verilog: Path, seed: int):
        self._given, self._seed = case.stimulus(range(len(case.sequences))), seed
        self._core = FastSimulator(verilog, case.core.manifest, verilog.parent, optimise=False,
                                   select=SELECT)
        rng = np.random.default_rng(seed)
        few = case.stimulus(case.some(rng, steps=8))
        cuts = rng.integers(1, self._given.predicted_cycles // 2, size=CUTS).tolist()
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
        self._flips = [rng.random(words) < share for share in (0.01, 0.05, 0.3)]
        self._own = self._events(0)

    def _events(self, mutant: int) -> list:
        """What it shows of each broken input from power-up on: a step that is cut short runs with
        what an earlier one left in its bank."""
        events = []
        for flips in self._flips:
            self._core.select(mutant)
            events.append(self._core.events(self._given, seed=self._seed, flips=flips,
                                            cycles=EVENTS))
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
