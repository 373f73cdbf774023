"""Runs of broken input on a core: what comes of it, and of the correct sequence behind it."""

from dataclasses import replace

import numpy as np

from gatewright.campaign_check import Case
from gatewright.steps import Golden, stimulus
from golden.model import Codes, run_golden
from sim.fast import FastSimulator, Patterns
from sim.traffic import ALWAYS, PATTERNS

from .broken import KINDS, WEIGHT_KINDS, Facts, garbled_weights
from .contract import Contract, Meant

__all__ = ["STOPS", "BrokenRuns", "any_patterns"]

LATE = 100_000    # cycles without a word
STOPS = ("stops for ever, then a reset", f"stops for {LATE:,} cycles")
ERRORS = 16       # bits of the core's counter


def any_patterns(rng, **fields) -> Patterns:
    """One pattern for each side, none on either for every third draw."""
    names = list(PATTERNS) if rng.random() < 0.67 else [ALWAYS]
    source, sink = (names[k] for k in rng.integers(len(names), size=2))
    return Patterns(source=source, sink=sink, **fields)


class BrokenRuns:
    """A core under broken input.

    Parameters
    ----------
    case : Case
    core : FastSimulator
    seed : int

    ``words`` counts the values compared, ``clipped`` the saturations among them, ``found`` trials
    and errors of each kind.
    """

    def __init__(self, case: Case, core: FastSimulator, seed: int):
        self.case, self.core, self.rng = case, core, np.random.default_rng([seed, 11])
        self.program = case.layout.program
        stream, network = case.core.manifest["stream"], self.program.network
        self.facts = Facts(
            words=stream["words_per_step"], states=stream["state_words"],
            most=stream["max_steps"], many=stream["input_elements"],
            tokens=0 if network.embedding is None else len(network.embedding),
            width=core.ports.element_width("s_axis_tdata"), draw=self._draw)
        self.words, self.clipped, self.found = 0, 0, {}

    @property
    def kinds(self) -> tuple:
        """Those that the core can be met with."""
        mine = [kind for kind, (can, _) in KINDS.items() if can(self.facts)]
        return (*STOPS, *mine, *(WEIGHT_KINDS if self.program.load_weights else ()))

    def check(self, trials: int) -> str | None:
        """So many trials of each kind; the first difference in words."""
        for kind in self.kinds:
            self.found[kind] = {"trials": 0, "errors": 0}
            if failure := self._fresh(self.case.weights, False):
                return f"before {kind}: {failure}"
            for trial in range(trials):
                failure = (self._stop(kind) if kind in STOPS else
                           self._garble(kind) if kind in WEIGHT_KINDS else self._break(kind))
                failure = failure or self._at_rest()
                if failure is not None:
                    return f"{kind}, trial {trial}: {failure}"
                self.found[kind]["trials"] += 1
        return None

    # ---- what is sent -----------------------------------------------------------------------
    def _seed(self) -> int:
        return int(self.rng.integers(1 << 31))

    def _pick(self, least: int = 1, most: int = 20) -> int:
        """The number of a sequence of so many steps."""
        return int(self.rng.choice([k for k, s in enumerate(self.case.sequences)
                                    if least <= s.steps <= most]))

    def _draw(self, **steps) -> np.ndarray:
        return self.case.sequences[self._pick(**steps)].inputs

    def _expected(self, meant: Meant, words) -> tuple:
        """(a sequence, saturations), of golden on what the core understands."""
        network = self.program.network
        codes = Codes(x=meant.x[None])
        for state, values in zip(self.case.core.manifest["stream"]["states"], meant.states):
            (codes.h0 if state["signal"] == "h" else codes.c0)[state["layer"]] = values[None]
        run = run_golden(network, codes, table=self.program.table)
        (made,) = stimulus(self.case.core, Golden(
            codes=codes, run=run, y_float=run.y, y_fixed=run.y)).sequences
        return replace(made, inputs=words[meant.begin:meant.end]), int(run.saturations.sum())

    def _send(self, words, flags, *, reset: bool = False) -> str | None:
        """Send any stream that ends as a sequence does; all that comes is as the contract says."""
        before = self.contract.errors
        made = [self._expected(meant, words) for meant in self.contract.read(words, flags)]
        errors = self.contract.errors - before
        result = self._run(made, reset=reset, last=flags, errors=errors % (1 << ERRORS),
                           pauses=any_patterns(self.rng))
        self.errors += errors
        return result

    def _run(self, made: list, *, predicted: int | None = None, **options) -> str | None:
        """Run (sequence, saturations) pairs; the first difference in words."""
        clipped = sum(count for _, count in made)
        result = self.core.run(replace(
            self.case.template, sequences=[sequence for sequence, _ in made],
            expected_saturations=clipped, predicted_cycles=predicted), seed=self._seed(),
            **options)
        self.words, self.clipped = self.words + result.words, self.clipped + clipped
        return result.difference and result.difference["message"]

    # ---- kinds ------------------------------------------------------------------------------
    def _fresh(self, weights, flags) -> str | None:
        """Reset, and fill every bank: what stands there is known from then on."""
        f, network = self.facts, self.program.network
        self.errors = 0
        self.contract = Contract(
            self.case.core.manifest, inputs=network.inputs, tokens=f.tokens,
            widths={"x": network.act_width, "h": network.act_width, "c": network.cell.width,
                    "word": f.width})
        fill = np.concatenate([self._draw()[:f.states],
                               f.noise(self.rng, max(f.most, 2) * f.words)])
        words = np.concatenate([weights, fill])
        last = np.zeros(len(words), bool)
        last[:len(weights)], last[-1] = flags, True
        return self._send(words, last, reset=True)

    def _garble(self, kind: str) -> str | None:
        """Broken weights, behind a reset."""
        failure = self._fresh(*garbled_weights(kind, self.case.weights, self.facts, self.rng))
        self.found[kind]["errors"] += self.errors
        return failure

    def _break(self, kind: str) -> str | None:
        """Broken input, and a correct sequence at its heels."""
        self.errors = 0
        words, flags = KINDS[kind][1](self.facts, self.rng)
        good = self._draw()
        failure = self._send(np.concatenate([words, good]),
                             np.concatenate([flags, np.arange(len(good)) == len(good) - 1]))
        self.found[kind]["errors"] += self.errors
        return failure

    def _stop(self, kind: str) -> str | None:
        """The source stops before any word of some correct sequences."""
        order = [self._pick() for _ in range(3)]
        given = self.case.stimulus(order)
        word = int(self.rng.integers(1, len(given.flat("inputs")[0])))
        if kind == STOPS[1]:
            result = self.core.run(given, seed=self._seed(),
                                   pauses=any_patterns(self.rng, stop=(word, LATE)))
            self.words += result.words
            if result.difference is None and result.cycles < LATE:
                return f"the source did not stop: {result.cycles} cycles"
            return result.difference and result.difference["message"]
        cut = self.core.begin(given, cycles=2 * LATE, seed=self._seed(),
                              pauses=any_patterns(self.rng, stop=(word, 1 << 40)))
        if not (cut.accepted == word and cut.idle) or cut.waiting or cut.violations:
            return f"not at rest where the input stopped: {cut}"
        result = self.core.run(given, seed=self._seed())
        self.words += result.words
        return result.difference and result.difference["message"]

    def _at_rest(self) -> str | None:
        """A correct sequence, without pauses, on the core as it is: its cycles as well."""
        k = self._pick()
        sequence = self.case.sequences[k]
        predicted = self.case.layout.schedule.total_cycles([sequence.steps])
        failure = self._run([(sequence, self.case.saturations[k])], reset=False,
                            predicted=predicted - self.program.load_words)
        words = sequence.inputs
        self.contract.read(words, np.arange(len(words)) == len(words) - 1)
        return failure and f"the correct sequence behind it: {failure}"
