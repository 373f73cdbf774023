"""What a part of the control never is: situations that are in none of its states."""

from itertools import combinations

import numpy as np

from .control_states import Part
from .netlist import Netlist

__all__ = ["never_in"]

WORD = 8                # bits of the longest word all of whose values are looked at
SHORT = 5               # and of the longest one that is looked at together with each bit
FEW = 24                # registers of a part of which any three are looked at
SOME = 40               # registers of a part whose words are looked at with each bit, whole
VALID = "drain.active"  # of what the drain tells of a row


def _pairs(registers: tuple, states: np.ndarray) -> set:
    """Values that one register, or two at once, never have."""
    n = len(registers)
    both = {(a, b): np.zeros((n, n)) for a in (0, 1) for b in (0, 1)}
    for at in range(0, len(states), 20_000):
        ones = states[at:at + 20_000].astype(np.float32)
        ways = 1 - ones, ones
        for a, b in both:
            both[a, b] += ways[a].T @ ways[b]
    there = [np.diag(both[a, a]) > 0 for a in (0, 1)]
    never = {((registers[i], a),) for a in (0, 1) for i in np.flatnonzero(~there[a])}
    for (a, b), count in both.items():
        for i, j in np.argwhere(np.triu(np.outer(there[a], there[b]) & (count == 0), 1)):
            never.add(((registers[i], a), (registers[j], b)))
    return never


def _with_word(registers: tuple, index: dict, states: np.ndarray, word: tuple, given: tuple,
               never: set) -> set:
    """Values that a word never has in some states; and those that it never has with a bit's."""
    found = set()
    value = sum(states[:, index[net]].astype(np.int64) << k for k, net in enumerate(word))
    for number in range(1 << len(word)):
        rows = states[value == number]
        cube = tuple((net, number >> k & 1) for k, net in enumerate(word))
        if cube in never or any(net in word for net, _ in given):
            continue
        if not len(rows):
            found.add((*cube, *given))
        elif len(word) <= (SHORT if len(registers) > SOME else WORD):
            for bit, there in ((1, rows.any(axis=0)), (0, ~rows.all(axis=0))):
                for k in np.flatnonzero(~there):
                    one = registers[k], bit
                    if (one,) not in never and registers[k] not in word and (
                            *cube, one) not in never and one[0] not in dict(given) and not any(
                            tuple(sorted((one, other), key=lambda x: index[x[0]])) in never
                            for other in (*cube, *given)):
                        found.add((*cube, one, *given))
    return found


def never_in(netlist: Netlist, part: Part, states: np.ndarray) -> set:
    """Situations of a part's registers that are in none of its states.

    Of one and of two registers; of three, if there are few; of the words that have a name; and of
    short ones with a register.
    """
    registers, index = part.registers, {net: k for k, net in enumerate(part.registers)}
    never = _pairs(registers, states)
    for three in combinations(range(len(registers)), 3) if len(registers) <= FEW else ():
        there = set(np.unique(states[:, three] @ np.array([1, 2, 4])).tolist())
        never |= {tuple((registers[k], number >> j & 1) for j, k in enumerate(three))
                  for number in set(range(8)) - there}
    words = dict.fromkeys(tuple(nets) for nets in netlist.names.values()
                          if 1 < len(nets) == len(set(nets)) <= WORD
                          and all(net in index for net in nets))
    # What a word is told together with counts while that is valid.
    valid = [net for net in netlist.names.get(VALID, ()) if net in index]
    for given in [(), *([((net, 1),)] for net in valid)]:
        rows = states
        for net, value in (one for cube in given for one in cube):
            rows = rows[rows[:, index[net]] == value]
        extra = tuple(one for cube in given for one in cube)
        for word in words:
            never |= _with_word(registers, index, rows, word, extra, never)
    return never
