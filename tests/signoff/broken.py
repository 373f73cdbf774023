"""Kinds of input that break the protocol: words int64 (N, E) and flags of ``tlast``, drawn."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["KINDS", "WEIGHT_KINDS", "Facts", "garbled_weights"]

BEYOND = 70_000   # words: more than the error counter counts before it goes round


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the kinds know of a core.

    Parameters
    ----------
    words : int
        Of a step.
    states : int
        Words of the initial states.
    most : int
        Steps that are stored; 0: none are.
    tokens : int
        Rows of the table; 0: elements come, and no tokens.
    width, many : int
        Bits of an element, and elements of a word.
    draw : function of (least, most) steps
        The words of a correct sequence.
    """

    words: int
    states: int
    most: int
    tokens: int
    width: int
    many: int
    draw: Callable

    def noise(self, rng, count: int) -> np.ndarray:
        """Words in which any bit may be set."""
        return rng.integers(0, 1 << self.width, (count, self.many))

    def steps(self, words) -> int:
        """Steps of a correct sequence."""
        return (len(words) - self.states) // self.words


def _stream(*sequences) -> tuple:
    """Words of several sequences, and flags: the last of each."""
    flags = [np.arange(len(words)) == len(words) - 1 for words in sequences]
    return np.concatenate(sequences), np.concatenate(flags)


def _inside(f: Facts, rng) -> tuple:
    words = f.draw()
    step = rng.integers(f.steps(words))
    return _stream(words[:f.states + step * f.words + rng.integers(1, f.words)])


def _early(f: Facts, rng) -> tuple:
    words = f.draw(least=2)
    return _stream(words[:f.states + rng.integers(1, f.steps(words)) * f.words])


def _missing(f: Facts, rng) -> tuple:
    return _stream(np.concatenate([f.draw(), f.draw()]))


def _beyond(f: Facts, rng, count: int) -> tuple:
    return _stream(np.concatenate([f.draw()[:f.states],
                                   f.noise(rng, f.most * f.words + count)]))


def _behind(f: Facts, rng) -> tuple:
    """What stands behind ``tlast`` begins the next sequence, which is so a wrong one."""
    more = f.draw()[:rng.integers(1, f.words + f.states + 1)]
    return _stream(f.draw(), np.concatenate([more, f.draw()]))


def _outside(f: Facts, rng) -> tuple:
    words = f.draw().copy()
    at = f.states + rng.choice(len(words) - f.states, rng.integers(1, 4))
    words[at, 0] = rng.integers(f.tokens, 1 << f.width, len(at))
    return _stream(words)


def _in_states(f: Facts, rng) -> tuple:
    cuts = rng.integers(1, f.states, size=rng.integers(1, 4), endpoint=True)
    return _stream(*(f.draw()[:cut] for cut in cuts), f.draw())


def _anything(f: Facts, rng) -> tuple:
    """Any words with any flags; a correct sequence behind them, so that the last one ends."""
    count = int(rng.integers(1, 20 * f.words + 2 * f.states + 2))
    words, flags = _stream(f.noise(rng, count), f.draw())
    flags[:count] = rng.random(count) < rng.choice([0.5, 0.1, 0.02])
    return words, flags


# Name -> (where it can happen, what is drawn of it).
KINDS = {
    "tlast inside a step": (lambda f: f.words > 1, _inside),
    "tlast early, behind a step": (lambda f: True, _early),
    "tlast missing": (lambda f: True, _missing),
    "words behind tlast": (lambda f: True, _behind),
    "longer than the store": (
        lambda f: f.most > 0, lambda f, rng: _beyond(f, rng, rng.integers(1, 4 * f.words))),
    f"longer by {BEYOND:,} words": (
        lambda f: f.most > 0, lambda f, rng: _beyond(f, rng, BEYOND)),
    "token outside the table": (lambda f: 0 < f.tokens < 1 << f.width, _outside),
    "tlast among states": (lambda f: f.states > 0, _in_states),
    "anything": (lambda f: True, _anything),
}
# Of cores that load their weights; each behind a reset of its own.
WEIGHT_KINDS = ("tlast among weights", "more weights than announced")


def garbled_weights(kind: str, weights: np.ndarray, f: Facts, rng) -> tuple:
    """Weights of one of ``WEIGHT_KINDS``."""
    if kind == WEIGHT_KINDS[1]:
        weights = np.concatenate([weights, f.noise(rng, rng.integers(1, f.words + 2))])
        return weights, np.zeros(len(weights), bool)
    flags = rng.random(len(weights)) < 0.1
    flags[rng.integers(len(weights))] = True
    return weights, flags
