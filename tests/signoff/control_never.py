"""What a part of the control never is: situations that are in none of its states."""

from itertools import combinations

import numpy as np

from .control_states import Part, States
from .netlist import Netlist

__all__ = ["never_in"]

WORD = 8                # bits of the longest word all of whose values are looked at
SHORT = 5               # and of the longest one that is looked at together with each bit
FEW = 24                # registers of a part of which any three are looked at
SOME = 40               # registers of a part whose words are looked at with each bit, whole
VALID = "drain.active"  # of what the drain tells of a row


def _pairs(registers: tuple, states: States) -> set:
    """Values that one register, or two at once, never have."""
    n = len(registers)
    both = {(a, b): np.zeros((n, n)) for a in (0, 1) for b in (0, 1)}
    for at in range(0, len(states.high), 20_000):
        ways = [some[at:at + 20_000].astype(np.float32) for some in (states.low, states.high)]
        for a, b in both:
            both[a, b] += ways[a].T @ ways[b]
    there = [np.diag(both[a, a]) > 0 for a in (0, 1)]
    never = {((registers[i], a),) for a in (0, 1) for i in np.flatnonzero(~there[a])}
    for (a, b), count in both.items():
        for i, j in np.argwhere(np.triu(np.outer(there[a], there[b]) & (count == 0), 1)):
            never.add(((registers[i], a), (registers[j], b)))
    return never


class _Word:
    """The values of some registers together, in every state."""

    def __init__(self, states: States, places: tuple):
        bits = np.arange(len(places))
        high = states.high[:, places].astype(np.int64) @ (1 << bits)
        low = states.low[:, places].astype(np.int64) @ (1 << bits)
        self._full = (1 << len(places)) - 1
        self._codes, self._of = np.unique(high << len(places) | low, return_inverse=True)
        self._bits = len(places)

    def _may(self, number: int) -> np.ndarray:
        high, low = self._codes >> self._bits, self._codes & self._full
        return (number & ~high | ~number & self._full & ~low) == 0

    def states(self, number: int) -> np.ndarray:
        """Of each state, whether it may have that value."""
        return self._may(number)[self._of]

    def never(self) -> set:
        """Values that it has in no state."""
        return {number for number in range(self._full + 1) if not self._may(number).any()}


def _with_word(registers: tuple, index: dict, states: States, word: tuple, given: tuple,
               never: set) -> set:
    """Values that a word never has in some states; and those that it never has with a bit's."""
    found = set()
    value = _Word(states, tuple(index[net] for net in word))
    missing = value.never()
    for number in range(1 << len(word)):
        cube = tuple((net, number >> k & 1) for k, net in enumerate(word))
        if cube in never or any(net in word for net, _ in given):
            continue
        if number in missing:
            found.add((*cube, *given))
        elif len(word) <= (SHORT if len(registers) > SOME else WORD):
            rows = value.states(number)
            for bit, some in ((1, states.high), (0, states.low)):
                for k in np.flatnonzero(~some[rows].any(axis=0)):
                    one = registers[k], bit
                    if (one,) not in never and registers[k] not in word and (
                            *cube, one) not in never and one[0] not in dict(given) and not any(
                            tuple(sorted((one, other), key=lambda x: index[x[0]])) in never
                            for other in (*cube, *given)):
                        found.add((*cube, one, *given))
    return found


def never_in(netlist: Netlist, part: Part, states: States) -> set:
    """Situations of a part's registers that are in none of its states.

    Of one and of two registers; of three, if there are few; of the words that have a name; and of
    short ones with a register.
    """
    registers, index = part.registers, {net: k for k, net in enumerate(part.registers)}
    never = _pairs(registers, states)
    for three in combinations(range(len(registers)), 3) if len(registers) <= FEW else ():
        never |= {tuple((registers[k], number >> j & 1) for j, k in enumerate(three))
                  for number in _Word(states, three).never()}
    words = dict.fromkeys(tuple(nets) for nets in netlist.names.values()
                          if 1 < len(nets) == len(set(nets)) <= WORD
                          and all(net in index for net in nets))
    # What a word is told together with counts while that is valid.
    valid = [net for net in netlist.names.get(VALID, ()) if net in index]
    for given in [(), *([((net, 1),)] for net in valid)]:
        rows = states
        for net, value in (one for cube in given for one in cube):
            there = (rows.high if value else rows.low)[:, index[net]] > 0
            rows = States(high=rows.high[there], low=rows.low[there])
        extra = tuple(one for cube in given for one in cube)
        for word in words:
            never |= _with_word(registers, index, rows, word, extra, never)
    return never
