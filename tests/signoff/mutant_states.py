"""When a mutant's own copies of the control's registers differ: found by going through all states.

A part of the control and the copies are gone through together. A copy that differs while a tag is
not valid, say, is never looked at; what hangs on feedback over more cycles than a window has is
known in this way.
"""

import numpy as np

from .control_states import Part, States, states_of
from .control_walks import fold
from .netlist import Netlist

__all__ = ["differences"]

CHUNK = 20_000      # states at once


def differences(netlist: Netlist, part: Part, copies: dict, unknown: frozenset,
                seconds: float, bad: tuple = ()) -> set | None:
    """Situations that never are: a register's value, and one that differs from its copy; or a
    difference that hangs on the part alone.

    Parameters
    ----------
    netlist : Netlist
        The core and the mutant's copies.
    part : Part
        Of the core, in the netlist's nets.
    copies : dict of int to int
        Register -> the mutant's own.
    unknown : set of int
        Nets that may be anything in the mutant alone.
    seconds : float
    bad : tuple of int
        Nets that are high where there is a difference.

    Returns
    -------
    set of tuple of (int, int), or None
        None if there are too many states.
    """
    pairs = [(net, copies[net]) for net in part.registers if net in copies]
    kept = {*part.registers, *(copy for _, copy in pairs)}
    cut = fold(netlist, kept) if part.walks else part.cut - kept
    both = Part(registers=tuple(sorted(kept)), cut=frozenset(cut), walks=part.walks)
    states = states_of(netlist, both, seconds=seconds, unknown=unknown, watched=bad)
    if states is None:
        return None
    reset = netlist.names["rst"][0]
    return _never(both.registers, states, pairs) | {
        ((reset, 0), (net, 1)) for net, lit in states.lit.items() if not lit}


def _never(registers: tuple, states: States, pairs: list) -> set:
    index = {net: k for k, net in enumerate(registers)}
    one, two = ([index[net] for net in some] for some in zip(*pairs, strict=True))
    count = np.zeros((2, 2, len(registers), len(pairs)))    # by the value, by the register's
    for at in range(0, len(states.high), CHUNK):
        high, low = (some[at:at + CHUNK].astype(np.float32) for some in (states.high, states.low))
        apart = low[:, one] * high[:, two], high[:, one] * low[:, two]
        for value, may in enumerate((low, high)):
            for own in (0, 1):
                count[value, own] += may.T @ apart[own]
    never = set()
    for j, (net, copy) in enumerate(pairs):
        for own in (0, 1):
            differs = (net, own), (copy, 1 - own)
            if not count[:, own, :, j].any():
                never.add(differs)
            else:
                never |= {((registers[k], value), *differs) for value in (0, 1)
                          for k in np.flatnonzero(count[value, own, :, j] == 0)
                          if registers[k] not in (net, copy)}
    return never
