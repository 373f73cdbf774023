"""Which values control registers never have at the same time, as far as random runs can tell.

A guess, for ``induction.Induction`` to confirm: what holds of one register often follows only
from what holds of two.
"""

import random
import re

import numpy as np

from .netlist import Netlist, compiled, cone

__all__ = ["apart", "control"]

STREAMS, CYCLES = 128, 900      # random runs at once, and how long they are
EVERY = 9                       # a look at the registers in every so many cycles
GROUP = 300                     # registers that are looked at together
CONE = 300                      # gates of a copy's next value
MOST = 30_000                   # pairs
_OUTPUT = re.compile(r"(.*\.)?r_data$")      # of a memory
_COPY = re.compile(r".*_q\d+(\.\w+)?$")      # of a register, some cycles later


def control(netlist: Netlist) -> set:
    """Registers that hang on no data: not on the input's words, and on no memory.

    Whether a word is one that may be, the loader tells by a single bit: that is no data.
    """
    told = {nets[0] for name, nets in netlist.names.items()
            if name.startswith("loader.") and len(nets) == 1}
    seeds = {net for name, nets in netlist.names.items()
             if name == "s_axis_tdata" or _OUTPUT.fullmatch(name) for net in nets}
    readers = {}
    for _, inputs, out in netlist.gates:
        for net in inputs:
            readers.setdefault(net, []).append(out)
    for out, (into, _) in netlist.registers.items():
        readers.setdefault(into, []).append(out)
    dirty, todo = set(seeds), list(seeds)
    while todo:
        for out in readers.get(todo.pop(), ()):
            if out not in dirty and out not in told:
                dirty.add(out)
                todo.append(out)
    return set(netlist.registers) - dirty


def _levels(netlist: Netlist, copies: set) -> list:
    """Registers in a row by their place in it: what was one thing once stands in one level."""
    makers = {out: inputs for _, inputs, out in netlist.gates}
    level = {}

    def before(register):
        """Copies that the register's next value hangs on."""
        found, seen, todo = [], set(), [netlist.registers[register][0]]
        while todo and len(seen) < CONE:
            net = todo.pop()
            if net in copies:
                found.append(net)
            elif net not in seen:
                seen.add(net)
                todo += makers.get(net, ())
        return found

    waiting = {net: [other for other in before(net) if other != net] for net in copies}
    while waiting:
        ready = [net for net, others in waiting.items()
                 if not any(other in waiting for other in others)] or list(waiting)
        for net in ready:
            level[net] = 1 + max((level.get(other, 0) for other in waiting[net]), default=0)
        for net in ready:
            del waiting[net]
    return [[net for net in copies if level[net] == k] for k in sorted(set(level.values()))]


def _needed(netlist: Netlist, wanted: set) -> tuple:
    """Gates in an order in which each stands behind its inputs, and the registers among them."""
    makers = {out: (kind, inputs) for kind, inputs, out in netlist.gates}
    order, seen, registers, behind = [], set(), {}, list(wanted)
    while behind:                   # what stands behind a register comes when its gates are through
        more, begins = cone(makers, behind.pop(), seen)
        order += more
        for net in begins:
            if net in netlist.registers:
                registers[net] = netlist.registers[net]
                behind.append(registers[net][0])
    return order, registers, seen


_PYTHON = {"$_AND_": "v[{0}]&v[{1}]", "$_OR_": "v[{0}]|v[{1}]", "$_XOR_": "v[{0}]^v[{1}]",
           "$_NOT_": "v[{0}]^m", "$_MUX_": "v[{1}]&v[{2}]|v[{0}]&~v[{2}]"}


def _states(netlist: Netlist, watched: list, seed: int):
    """States of registers in random runs, bool (registers, STREAMS), time after time."""
    rng = random.Random(seed)
    order, registers, seen = _needed(netlist, set(watched))
    pieces, mask = compiled([f"v[{out}]={_PYTHON[kind].format(*inputs)}"
                             for kind, inputs, out in order], "v, m"), (1 << STREAMS) - 1

    def often(chance: int) -> int:
        """A bit for each run; 1 with a chance of ``chance`` in 16."""
        word = 0
        for bit in range(4):
            word = (word | rng.getrandbits(STREAMS)) if chance >> bit & 1 else (
                word & rng.getrandbits(STREAMS))
        return word

    values = dict.fromkeys(seen, 0) | {0: 0, 1: mask}
    values |= {out: mask * (start or 0) for out, (_, start) in registers.items()}
    ports = {name: netlist.names[name][0] for name in (
        "rst", "s_axis_tvalid", "s_axis_tlast", "m_axis_tready")}
    for cycle in range(CYCLES):
        pace = cycle // 100 % 4         # of the streams: fast, slow in, slow out, slow both
        values[ports["s_axis_tvalid"]] = often(15 if pace in (0, 2) else 2)
        values[ports["m_axis_tready"]] = often(15 if pace in (0, 1) else 2)
        values[ports["s_axis_tlast"]] = often(3)
        values[ports["rst"]] = often(1) & often(1) & often(1) if cycle > 1 else mask
        for piece in pieces:
            piece(values, mask)
        if cycle % EVERY == 0:
            words = b"".join(values[out].to_bytes(STREAMS // 8, "big") for out in watched)
            bits = np.unpackbits(np.frombuffer(words, dtype=np.uint8))
            yield bits.reshape(len(watched), STREAMS).astype(np.float32)
        values |= {out: values[into] for out, (into, _) in registers.items()}


def apart(netlist: Netlist, seed: int = 1) -> list:
    """Pairs of values, ((net, value), (net, value)), that were never seen at the same time.

    Of all control registers but copies, and of the copies that are made in the same cycle.
    """
    own = control(netlist)
    named = [(name, net) for name, nets in netlist.names.items() if not name.startswith("$")
             for net in nets if net in own]
    copies = {net for name, net in named if _COPY.fullmatch(name)}
    alone = tuple(dict.fromkeys(net for _, net in named if net not in copies))[:GROUP]
    groups = [alone, *(tuple(level)[:GROUP] for level in _levels(netlist, copies))]
    watched = list(dict.fromkeys(net for group in groups for net in group))
    index = {net: k for k, net in enumerate(watched)}
    places = [[index[net] for net in group] for group in groups]
    seen = [np.zeros((2, 2, len(group), len(group)), dtype=bool) for group in groups]
    for state in _states(netlist, watched, seed):
        for own, both in zip(places, seen, strict=True):
            ways = [1 - state[own], state[own]]
            for a in range(2):
                for b in range(2):
                    both[a, b] |= ways[a] @ ways[b].T > 0
    pairs = {}
    for group, both in zip(groups, seen, strict=True):
        for a in range(2):
            for b in range(2):
                # A value that is never seen at all is no matter of two.
                there = np.outer(np.diag(both[a, a]), np.diag(both[b, b]))
                for i, j in np.argwhere(np.triu(there & ~both[a, b], 1)):
                    pairs[(group[i], a), (group[j], b)] = None
    return list(pairs)[:MOST]
