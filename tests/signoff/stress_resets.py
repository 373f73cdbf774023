"""Resets in the midst of everything, each of them followed by sequences that are compared."""

from collections import Counter

import numpy as np

from gatewright.campaign_check import Case
from sim.fast import Cut, FastSimulator, Patterns
from sim.traffic import PATTERNS

from .broken_runs import any_patterns

__all__ = ["PLACES", "Resets"]

SHORT_STEPS = 8     # of the sequences behind each reset, about
HOLDING = ("starved", "pulses", "random 10 %")   # patterns of a sink behind which words wait
PLACES = ("weights on their way", "states on their way", "inside a step's words",
          "output held up", "core busy", "right behind a reset", "broken input")


class Resets:
    """Cuts a core's runs off at random cycles.

    Parameters
    ----------
    case : Case
    core : FastSimulator
    seed : int

    ``words`` counts the values compared, ``resets`` all resets, ``points`` those with a compared
    sequence right behind, ``places`` those of them that met each of ``PLACES``.
    """

    def __init__(self, case: Case, core: FastSimulator, seed: int):
        self.case, self.core, self.rng = case, core, np.random.default_rng([seed, 12])
        self.words = self.resets = self.points = 0
        self.places = Counter({place: 0 for place in PLACES if self._can_be(place)})

    def _can_be(self, place: str) -> bool:
        stream = self.case.core.manifest["stream"]
        needed = {PLACES[0]: "weight_words", PLACES[1]: "state_words"}.get(place)
        return (stream["words_per_step"] > 1 if place == PLACES[2]
                else needed is None or stream[needed] > 0)

    def check(self, points: int) -> str | None:
        """So many points; the first difference in words."""
        for point in range(points):
            cuts = self._cut()
            given = self.case.stimulus(self.case.some(self.rng, steps=SHORT_STEPS))
            result = self.core.run(given, seed=self._seed(), pauses=any_patterns(self.rng))
            if result.difference is not None:
                return f"reset {point}, {cuts}: {result.difference['message']}"
            if any(cut.violations for cut in cuts):
                return f"reset {point}, {cuts}: an offered word was not kept"
            self.words += result.words
            self.points += 1
        return None

    def _seed(self) -> int:
        return int(self.rng.integers(1 << 31))

    def _cut(self) -> list:
        """Begin some run and leave it; for every third point, resets in the cycles behind it."""
        rng, stream = self.rng, self.case.core.manifest["stream"]
        order = rng.permutation(len(self.case.sequences)).tolist()[:4]
        given = self.case.stimulus(order)
        loads = stream["weight_words"] + stream["state_words"]
        if loads and rng.random() < 0.3:
            most, patterns = loads, False
        elif rng.random() < 0.3:
            most, patterns = 2 * given.predicted_cycles, Patterns(
                source=str(rng.choice(list(PATTERNS))), sink=str(rng.choice(HOLDING)))
        else:
            most, patterns = given.predicted_cycles + 50, any_patterns(rng)
        # Every fourth run with tlast anywhere: the counter of errors has something to forget.
        last = given.flat("inputs")[1]
        broken = rng.random() < 0.25
        last |= broken & (rng.random(len(last)) < 0.3)
        cuts = [self.core.begin(given, cycles=int(rng.integers(1, most, endpoint=True)),
                                seed=self._seed(), pauses=patterns, last=last)]
        self.places.update([PLACES[6]] if broken else self._met(cuts[0], order))
        if rng.random() < 0.33:
            cuts += [self.core.begin(given, cycles=int(cycles), seed=self._seed())
                     for cycles in rng.integers(0, 3, size=rng.integers(1, 4))]
            self.places[PLACES[5]] += 1
        self.resets += len(cuts)
        return cuts

    def _met(self, cut: Cut, order: list):
        """Those of ``PLACES`` that a reset meets."""
        stream = self.case.core.manifest["stream"]
        left = cut.accepted - stream["weight_words"]
        if left < 0:
            yield PLACES[0]
        for k in order:
            if 0 <= left < len(self.case.sequences[k].inputs):
                steps = left - stream["state_words"]
                if left and steps < 0:
                    yield PLACES[1]
                elif steps > 0 and steps % stream["words_per_step"]:
                    yield PLACES[2]
            left -= len(self.case.sequences[k].inputs)
        if cut.waiting:
            yield PLACES[3]
        if not cut.idle:
            yield PLACES[4]
