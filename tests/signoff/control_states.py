"""Every state that a part of the control can reach, one after the other.

A part is some modules' registers. What comes into them from outside may be anything in any cycle,
so the part as it is in the core reaches no more than is found here.
"""

import re
import time
from dataclasses import dataclass, field, replace

import numpy as np

from .control_walks import fold, follow
from .netlist import Netlist, compiled, cone
from .netlist_states import control

__all__ = ["SECONDS", "WALK", "Part", "States", "find_part", "find_parts", "states_of"]

MOST_INPUTS = 10
SECONDS = 150.0
LANES = 1 << 18         # of states and inputs that are looked at together
# A net is a pair: whether it may be 1, whether it may be 0.
_DUAL = {"$_AND_": ("h[{0}]&h[{1}]", "l[{0}]|l[{1}]"),
         "$_OR_": ("h[{0}]|h[{1}]", "l[{0}]&l[{1}]"),
         "$_XOR_": ("h[{0}]&l[{1}]|l[{0}]&h[{1}]", "h[{0}]&h[{1}]|l[{0}]&l[{1}]"),
         "$_NOT_": ("l[{0}]", "h[{0}]"),
         "$_MUX_": ("l[{2}]&h[{0}]|h[{2}]&h[{1}]", "l[{2}]&l[{0}]|h[{2}]&l[{1}]")}
_COPIES = r"(loaded|pass_tag)_q\d+"
WALK = "sequencer.sweep_begin"     # of a core with walks over stored sequences
# Modules, and registers besides theirs; whether of cores with walks over sequences alone, or of
# those without. If a part has too many states, the ones behind it serve.
_PARTS = (
    ({"modules": ("sequencer", "drain"), "copies": _COPIES, "walks": True},
     {"modules": ("sequencer", "drain", "weights"), "copies": _COPIES, "walks": False},
     {"modules": ("sequencer", "drain"), "copies": _COPIES, "walks": False}),
    ({"modules": ("sequencer", "weights"), "walks": True},
     {"modules": ("sequencer", "weights"), "walks": False},
     {"modules": ("sequencer",), "walks": False}),
    ({"modules": ("output", "output.buffer")},), ({"modules": ("loader",), "walks": False},),
    ({"modules": ("dump",)},),
    # A bank is free again when its step has run: only the two together know when.
    ({"modules": ("loader", "sequencer"), "also": r"sequencer\.armed", "walks": False,
      "without": r"loader\.(first\d|last\d|token\d|starting)",
      "through": r"sequencer\.step_ready|loader\.(start|release|idle)",
      "ends": ("output.room", "dump.idle")},))


@dataclass(frozen=True, kw_only=True)
class Part:
    """Registers, and the nets that come from outside of their modules; whether the loader's of
    walks over sequences are among them.
    """

    registers: tuple
    cut: frozenset
    walks: bool = False


def _ports(verilog: str, top: str) -> tuple:
    """Of each module: its input ports; its variables."""
    inputs, variables, module = {}, {}, ""
    for text in verilog.splitlines():
        if found := re.match(r"module \\?([^\s(]+)", text):
            module = found[1].removeprefix(top).removeprefix(".")
        elif found := re.match(r"  (input|reg) (?:\[[\d:]+\] )?\\?(\S+?)\s*(?: = .*)?;$", text):
            (inputs if found[1] == "input" else variables).setdefault(module, []).append(found[2])
    return inputs, variables


def find_parts(netlist: Netlist, verilog: str, top: str) -> list:
    """Parts of a core, each with smaller ones to take its place: a list of lists of ``Part``."""
    ports, free = _ports(verilog, top), control(netlist)
    found, walks = [], WALK in netlist.names
    for choices in _PARTS:
        parts = [_part(netlist, ports, free, frozenset(), **choice) for choice in choices
                 if choice.get("walks", walks) == walks]
        found.append([part for part in parts if part.registers])
    return found


def find_part(netlist: Netlist, verilog: str, top: str, *, own: set, **choice) -> Part:
    """One part, as ``_PARTS`` describes them, with registers of its own."""
    return _part(netlist, _ports(verilog, top), control(netlist), own, **choice)


def _part(netlist: Netlist, ports: tuple, free: set, own: set, *, modules: tuple,
          copies: str | None = None, also: str = "", without: str = "", through: str = "",
          ends: tuple = (), walks: bool = False) -> Part:
    """Of those modules' registers and copies that hang on no data, and ``also`` some that do; but
    ``without`` some. Where it ends: at the modules' inputs, but for those that are made ``through``
    gates outside, which end at ``ends`` at the latest. With ``walks`` it has the loader's registers
    that say which walk runs, and ends where those do.
    """
    def nets(declared):
        return {f"{module}.{name}": netlist.names.get(f"{module}.{name}", ())
                for module in modules for name in declared.get(module, ())}

    inputs, variables = map(nets, ports)
    inner = {net for some in variables.values() for net in some}
    inner |= {net for name, some in netlist.names.items()
              if copies and re.fullmatch(copies, name) for net in some}
    free = free | own | {net for name, some in variables.items() if re.fullmatch(also, name)
                         for net in some if net in netlist.registers}
    inner -= {net for name, some in netlist.names.items()
              if re.fullmatch(without, name) for net in some}
    outer = {net for name, some in inputs.items() if not re.fullmatch(through, name)
             for net in some}
    outer |= {net for name in ends for net in netlist.names.get(name, ())}
    kept = {net for net in inner & free | own if netlist.registers[net][1] is not None}
    if walks:
        loader = {net for name in ports[1].get("loader", ())
                  for net in netlist.names.get(f"loader.{name}", ())}
        kept |= follow(netlist, kept, "loader", loader & free)
        return Part(registers=tuple(sorted(kept)), cut=frozenset(fold(netlist, kept)), walks=True)
    return Part(registers=tuple(sorted(kept)), cut=frozenset(outer - kept))


def _inside(makers: dict, kept: set, net: int) -> bool:
    """Whether a net hangs on the part's own registers alone."""
    todo, seen = [net], set()
    while todo:
        net = todo.pop()
        if net in seen or net in kept or net < 2:
            continue
        seen.add(net)
        if net not in makers:
            return False
        todo += makers[net][1]
    return True


def _cone(netlist: Netlist, part: Part, watched: tuple) -> tuple:
    """Gates before the part's registers, none before its inputs; and where they begin. Those of
    the ``watched`` nets, too, that begin nowhere else; and which these are.
    """
    makers, kept = {out: (kind, inputs) for kind, inputs, out in netlist.gates}, set(part.registers)
    cut = {net for net in part.cut if not _inside(makers, kept, net)}
    order, leaves, seen = [], [], {0, 1} | kept
    for register in part.registers:
        more, begins = cone(makers, netlist.registers[register][0], seen, cut)
        order += more
        leaves += begins
    inside = []
    for net in watched:
        met = set(seen)
        more, begins = cone(makers, net, met, cut)
        if not begins:
            order += more
            seen = met
            inside.append(net)
    return order, leaves, inside


def _dual(order: list) -> list:
    """Functions of the gates."""
    lines = []
    for kind, inputs, out in order:
        high, low = (text.format(*inputs) for text in _DUAL[kind])
        lines += [f"h[{out}]={high}", f"l[{out}]={low}"]
    return compiled(lines, "h, l")


@dataclass(frozen=True, kw_only=True)
class States:
    """Of registers: whether each may be 1 in a state, and whether it may be 0; one, or both.

    Both are uint8 (states, registers). ``lit``: of watched nets that hang on the part alone, those
    that may be 1 in a cycle without a reset, and those that never are.
    """

    high: np.ndarray
    low: np.ndarray
    lit: dict = field(default_factory=dict)


class _Step:
    """One cycle of a part, from many states, each with every value of its inputs."""

    def __init__(self, netlist: Netlist, part: Part, unknown: set, watched: tuple = ()):
        order, leaves, inside = _cone(netlist, part, watched)
        self.lit = dict.fromkeys(inside, False)
        self._reset = netlist.names["rst"][0]
        self.registers = part.registers
        self._inputs = [net for net in leaves if net < 1 << 30 and net != self._reset
                        and net not in unknown]
        self._undefined = [net for net in leaves if net >= 1 << 30 or net in unknown]
        self._pieces = _dual(order)
        self._follow = [netlist.registers[net][0] for net in part.registers]
        self.ways = 1 << len(self._inputs)

    def _words(self, states: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """A row of bits for each register and input, 64 in a word."""
        bits = np.concatenate([np.repeat(states, self.ways, axis=0),
                               np.tile(inputs, (len(states), 1))], axis=1)
        bits = np.concatenate([bits, np.repeat(bits[-1:], -len(bits) % 64, axis=0)])
        return np.packbits(np.ascontiguousarray(bits.T), axis=1).view(np.uint64)

    def __call__(self, packed: list, *, reset: bool) -> np.ndarray:
        """Packed states that follow, each once."""
        n, lanes = len(self.registers), len(packed) * self.ways
        states = unpacked(packed, n)
        every = (np.arange(self.ways)[:, None] >> np.arange(len(self._inputs)) & 1).astype(np.uint8)
        nets = [*self.registers, *self._inputs]
        ones, zeros = self._words(states.high, every), self._words(states.low, 1 - every)
        none = np.zeros(ones.shape[1], np.uint64)
        high = dict(zip(nets, ones, strict=True)) | {0: none, 1: ~none}
        low = dict(zip(nets, zeros, strict=True)) | {0: ~none, 1: none}
        for net in self._undefined:
            high[net] = low[net] = ~none
        high[self._reset], low[self._reset] = (~none, none) if reset else (none, ~none)
        for piece in self._pieces:
            piece(high, low)
        for net in self.lit:
            self.lit[net] |= not reset and bool(high[net].any())
        after = np.stack([some[net] for some in (high, low) for net in self._follow])
        after = np.unpackbits(after.view(np.uint8), axis=1)[:, :lanes]
        rows = np.packbits(np.ascontiguousarray(after.T), axis=1)
        return np.unique(rows.view(f"V{rows.shape[1]}").ravel())


def unpacked(packed: list, n_registers: int) -> States:
    """States from their bytes."""
    rows = np.frombuffer(b"".join(packed), np.uint8).reshape(len(packed), -1)
    bits = np.unpackbits(rows, axis=1)
    return States(high=bits[:, :n_registers], low=bits[:, n_registers:2 * n_registers])


def states_of(netlist: Netlist, part: Part, *, most: int = 3_000_000, seconds: float = SECONDS,
              unknown: frozenset = frozenset(), watched: tuple = ()) -> States | None:
    """All states; None if there are too many, or they take too long.

    A reset in any cycle leads to the same states: what it does with anything in the registers. What
    is undefined in the netlist may be either value, and so may be what a register takes from it.

    Parameters
    ----------
    netlist : Netlist
    part : Part
    most : int
    seconds : float
    unknown : set of int
        Nets that need not be looked at with each of their values: they count as undefined.
    watched : tuple of int
        Nets of which ``States.lit`` tells.
    """
    step, begun, n = _Step(netlist, part, unknown, watched), time.monotonic(), len(part.registers)
    if step.ways > 1 << MOST_INPUTS:
        return None
    starts = np.array([netlist.registers[net][1] for net in part.registers])
    powered = np.packbits(np.concatenate([starts != 0, starts != 1])).tobytes()
    anything = np.packbits(np.ones(2 * n, np.uint8)).tobytes()
    known = {powered, *(row.tobytes() for row in step([anything], reset=True))}
    front, some = list(known), max(1, LANES // step.ways)
    while front:
        found = []
        for at in range(0, len(front), some):
            found.append(step(front[at:at + some], reset=False))
            if time.monotonic() - begun > seconds:
                return None
        front = [row for row in (row.tobytes() for row in np.unique(np.concatenate(found)))
                 if row not in known]
        known.update(front)
        if len(known) > most:
            return None
    return replace(unpacked(list(known), n), lit=step.lit)
