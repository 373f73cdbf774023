"""Every state that a part of the control can reach, one after the other.

A part is some modules' registers. What comes into them from outside may be anything in any cycle,
so the part as it is in the core reaches no more than is found here.
"""

import re
import time
from dataclasses import dataclass

import numpy as np

from .netlist import Netlist, compiled, cone
from .netlist_states import control

__all__ = ["SECONDS", "Part", "find_part", "find_parts", "states_of"]

MOST_INPUTS = 10
SECONDS = 45.0
LANES = 1 << 18         # of states and inputs that are looked at together
# A net is a pair: whether it may be 1, whether it may be 0.
_DUAL = {"$_AND_": ("h[{0}]&h[{1}]", "l[{0}]|l[{1}]"),
         "$_OR_": ("h[{0}]|h[{1}]", "l[{0}]&l[{1}]"),
         "$_XOR_": ("h[{0}]&l[{1}]|l[{0}]&h[{1}]", "h[{0}]&h[{1}]|l[{0}]&l[{1}]"),
         "$_NOT_": ("l[{0}]", "h[{0}]"),
         "$_MUX_": ("l[{2}]&h[{0}]|h[{2}]&h[{1}]", "l[{2}]&l[{0}]|h[{2}]&l[{1}]")}
# Modules, and registers besides theirs. If a part has too many states, the ones behind it serve.
_COPIES = r"(loaded|pass_tag)_q\d+"
_PARTS = (
    ({"modules": ("sequencer", "drain", "weights"), "copies": _COPIES},
     {"modules": ("sequencer", "drain"), "copies": _COPIES}),
    ({"modules": ("sequencer", "weights")}, {"modules": ("sequencer",)}),
    ({"modules": ("output", "output.buffer")},), ({"modules": ("loader",)},),
    ({"modules": ("dump",)},),
    # A bank is free again when its step has run: only the two together know when.
    ({"modules": ("loader", "sequencer"), "also": r"sequencer\.armed",
      "without": r"loader\.(first\d|last\d|token\d|starting)",
      "through": r"sequencer\.step_ready|loader\.(start|release|idle)",
      "ends": ("output.room", "dump.idle")},))


@dataclass(frozen=True, kw_only=True)
class Part:
    """Registers, and the nets that come from outside of their modules."""

    registers: tuple
    cut: frozenset


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
    found = []
    for choices in _PARTS:
        parts = [_part(netlist, ports, free, frozenset(), **choice) for choice in choices]
        found.append([part for part in parts if part.registers])
    return found


def find_part(netlist: Netlist, verilog: str, top: str, *, own: set, **choice) -> Part:
    """One part, as ``_PARTS`` describes them, with registers of its own."""
    return _part(netlist, _ports(verilog, top), control(netlist), own, **choice)


def _part(netlist: Netlist, ports: tuple, free: set, own: set, *, modules: tuple,
          copies: str | None = None, also: str = "", without: str = "", through: str = "",
          ends: tuple = ()) -> Part:
    """Of those modules' registers and copies that hang on no data, and ``also`` some that do; but
    ``without`` some. Where it ends: at the modules' inputs, but for those that are made ``through``
    gates outside, which end at ``ends`` at the latest.
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


def _cone(netlist: Netlist, part: Part) -> tuple:
    """Gates before the part's registers, none before its inputs; and where they begin."""
    makers, kept = {out: (kind, inputs) for kind, inputs, out in netlist.gates}, set(part.registers)
    cut = {net for net in part.cut if not _inside(makers, kept, net)}
    order, leaves, seen = [], [], {0, 1} | kept
    for register in part.registers:
        more, begins = cone(makers, netlist.registers[register][0], seen, cut)
        order += more
        leaves += begins
    return order, leaves


def _dual(order: list) -> list:
    """Functions of the gates."""
    lines = []
    for kind, inputs, out in order:
        high, low = (text.format(*inputs) for text in _DUAL[kind])
        lines += [f"h[{out}]={high}", f"l[{out}]={low}"]
    return compiled(lines, "h, l")


def states_of(netlist: Netlist, part: Part, *, most: int = 1_500_000,
              seconds: float = SECONDS) -> np.ndarray | None:
    """All states, uint8 (states, registers); None if there are too many, or one is not known.

    What is undefined in the netlist may be either value; it must not come to a register.
    """
    order, leaves = _cone(netlist, part)
    undefined = [net for net in leaves if net >= 1 << 30]
    inputs = [net for net in leaves if net < 1 << 30]
    if len(inputs) > MOST_INPUTS:
        return None
    pieces, nets = _dual(order), [*part.registers, *inputs]
    follow = [netlist.registers[net][0] for net in part.registers]
    ways = 1 << len(inputs)
    every = (np.arange(ways)[:, None] >> np.arange(len(inputs)) & 1).astype(np.uint8)
    front = np.array([[netlist.registers[net][1] for net in part.registers]], dtype=np.uint8)
    n_registers, begun = front.shape[1], time.monotonic()
    known, states = {np.packbits(front).tobytes()}, [front]
    while len(front):
        found = []
        for at in range(0, len(front), max(1, LANES // ways)):
            if time.monotonic() - begun > seconds:
                return None
            some = front[at:at + max(1, LANES // ways)]
            lanes = len(some) * ways
            bits = np.concatenate([np.repeat(some, ways, axis=0),
                                   np.tile(every, (len(some), 1))], axis=1)
            bits = np.concatenate([bits, np.repeat(bits[-1:], -lanes % 64, axis=0)])
            words = np.packbits(np.ascontiguousarray(bits.T), axis=1).view(np.uint64)
            none = np.zeros(words.shape[1], np.uint64)
            high = dict(zip(nets, words, strict=True)) | {0: none, 1: ~none}
            low = dict(zip(nets, ~words, strict=True)) | {0: ~none, 1: none}
            for net in undefined:
                high[net] = low[net] = ~none
            for piece in pieces:
                piece(high, low)
            after = np.stack([high[net] for net in follow])
            open_ = after & np.stack([low[net] for net in follow])
            if np.unpackbits(open_.view(np.uint8), axis=1)[:, :lanes].any():
                return None
            after = np.unpackbits(after.view(np.uint8), axis=1)[:, :lanes]
            rows = np.packbits(np.ascontiguousarray(after.T), axis=1)
            found.append(np.unique(rows.view(f"V{rows.shape[1]}").ravel()))
            if time.monotonic() - begun > seconds:
                return None
        new = [row for row in (row.tobytes() for row in np.unique(np.concatenate(found)))
               if row not in known]
        known.update(new)
        packed = np.frombuffer(b"".join(new), np.uint8).reshape(len(new), -(-n_registers // 8))
        front = np.unpackbits(packed, axis=1)[:, :n_registers]
        states.append(front)
        if len(known) > most:
            return None
    return np.concatenate(states)
