"""What a core makes of any input stream, written from the contract and not from the hardware.

The contract of the input, of which a correct stream is the plain case:

- After a reset come the weights, if the core loads them, as many words as the manifest says.
- A sequence is the initial states, if the core loads them, and then steps of ``words_per_step``
  words each. ``tlast`` ends it, wherever it comes; the next word begins the next one.
- In the midst of a step ``tlast`` is an error. That step runs with what stands in its bank:
  elements that did not come are those of the step that used the bank last. There are two banks,
  which take turns; a core that stores sequences has one for each step, up to ``max_steps``. A
  reset empties none, and what has not come since power-up is unknown.
- Each word behind a full store is an error and is lost.
- ``tlast`` among the states is an error; the states start over. ``tlast`` among the weights is an
  error, and nothing else.
- A token outside the table is an error and stands for token 0.
- A word counts once in ``status_errors``, whatever is wrong with it; that counter goes round at
  65,536. Of an element, the lowest bits are taken.
- Nothing else is an error. No input stops a core, and behind ``tlast`` a correct sequence is
  computed as if nothing had been before it; only wrong weights stay wrong, until a reset.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Contract", "Meant"]


@dataclass(frozen=True, kw_only=True)
class Meant:
    """A sequence as the core understands it.

    Parameters
    ----------
    begin, end : int
        Its words in the stream.
    x : int64 (T, I), or (T, 1) of tokens
    states : list of int64 (H,), in the order of ``manifest["stream"]["states"]``
    """

    begin: int
    end: int
    x: np.ndarray
    states: list


def _signed(values, width: int):
    """The lowest bits as a signed number."""
    half = 1 << (width - 1)
    return ((np.asarray(values) + half) & ((1 << width) - 1)) - half


class Contract:
    """A core's input side since its reset.

    Parameters
    ----------
    manifest : dict
        Of the core; its field stream.
    inputs : int
        I.
    widths : dict
        Bits of "x", of "h" and "c" of a state, and of an element of a "word".
    tokens : int
        Rows of the table; 0: elements come, and no tokens.
    """

    def __init__(self, manifest: dict, *, inputs: int, widths: dict, tokens: int):
        stream = manifest["stream"]
        self.words, self.most = stream["words_per_step"], stream["max_steps"]
        self.inputs, self.widths, self.tokens = inputs, widths, tokens
        self.states = [(s["signal"], s["units"]) for s in stream["states"]]
        self.state_words = stream["state_words"]
        self.weights_left = stream["weight_words"]
        self.errors = 0
        self._banks = np.zeros((self.most or 2, self.words * stream["input_elements"]), np.int64)
        self._turn = 0       # steps that have come, of cores with two banks
        self._begin_sequence()

    def _begin_sequence(self) -> None:
        self._loaded, self._steps, self._word = [], [], 0

    def _step_word(self, word, last: bool) -> int:
        """A word of a step; errors in it."""
        if self.most and len(self._steps) == self.most:
            return 1
        bank = self._banks[len(self._steps) if self.most else self._turn % 2]
        many = len(word)
        if self.tokens:
            token = int(word[0]) % (1 << self.widths["word"])
            wrong = token >= self.tokens
            bank[0] = 0 if wrong else token
        else:
            wrong = last and self._word < self.words - 1
            bank[self._word * many:(self._word + 1) * many] = _signed(word, self.widths["x"])
        self._word += 1
        if last or self._word == self.words:
            self._steps.append(bank[:1 if self.tokens else self.inputs].copy())
            self._word, self._turn = 0, self._turn + 1
        return int(wrong)

    def _end_sequence(self, begin: int, end: int) -> Meant:
        states, at = [], 0
        for signal, units in self.states if self.state_words else ():
            states.append(_signed(self._loaded[at:at + units], self.widths[signal]))
            at += units
        made = Meant(begin=begin, end=end, x=np.array(self._steps), states=states)
        self._begin_sequence()
        return made

    def read(self, words: np.ndarray, last: np.ndarray) -> list:
        """Take words int64 (N, E) with flags bool (N,), the last one set: list of ``Meant``.

        ``errors`` counts on.
        """
        sequences, begin = [], 0
        for at, (word, ends) in enumerate(zip(words, last.tolist(), strict=True)):
            if self.weights_left:
                self.weights_left -= 1
                self.errors += ends
            elif len(self._loaded) < self.state_words:
                self._loaded.append(int(word[0]))
                self.errors += ends
                if ends:
                    self._loaded = []
            else:
                self.errors += self._step_word(word, ends)
                if ends:
                    sequences.append(self._end_sequence(begin, at + 1))
                    begin = at + 1
        if begin != len(words):
            raise ValueError("The stream must end with a sequence")
        return sequences
