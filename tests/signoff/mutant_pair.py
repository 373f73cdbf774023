"""A core and one of its mutants as one netlist; the mutant has only what it has of its own.

Memories and products are boxes: the same comes out of a box where the same goes in.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property

from .aiger import Graph
from .control_states import Part
from .netlist import Netlist, cone

__all__ = ["Pair"]

COUNTERS = "status_errors", "status_saturations"    # no run is long enough for all of their bits
FEW = 40        # registers that a copy hangs on


class _Gates:
    """Makes gates, each once; what is constant is none."""

    def __init__(self, free: int, gates=(), known=()):
        self.free, self.gates, self._known = free, list(gates), dict(known)

    def copy(self) -> "_Gates":
        return _Gates(self.free, self.gates, self._known)

    def fresh(self) -> int:
        self.free += 1
        return self.free - 1

    def all_same(self, one: tuple, other: tuple) -> int:
        """Net that is high where two words are the same."""
        differ = 0
        for pair in zip(one, other, strict=True):
            differ = self.make("$_OR_", (differ, self.make("$_XOR_", pair)))
        return self.make("$_NOT_", (differ,))

    def make(self, kind: str, inputs: tuple) -> int:
        if kind == "$_MUX_":
            a, b, s = inputs
            if s < 2 or a == b:
                return b if s == 1 else a
            if a < 2 and b < 2:
                return s if b else self.make("$_NOT_", (s,))
        elif kind == "$_NOT_":
            if inputs[0] < 2:
                return 1 - inputs[0]
        else:
            a, b = sorted(inputs)
            if kind == "$_XOR_":
                if a == 0 or a == b:
                    return 0 if a == b else b
                if a == 1:
                    return self.make("$_NOT_", (b,))
            else:
                fixed = int(kind == "$_OR_")    # the constant that decides
                if a < 2 or a == b:
                    return b if a == b or a != fixed else fixed
            inputs = a, b
        key = kind, inputs
        if key not in self._known:
            self._known[key] = self.fresh()
            self.gates.append((kind, inputs, self._known[key]))
        return self._known[key]


class Pair:
    """The core of a netlist with mutants, and one mutant beside it.

    Parameters
    ----------
    netlist : Netlist
        Of the core with all its mutants, boxed.
    core : Netlist
        Of the core alone: how registers begin is told by it.
    select : str
        The input that chooses between them.
    shown : dict of str to str or None
        Output -> the one that says that it is valid, if there is one.
    """

    def __init__(self, netlist: Netlist, core: Netlist, select: str, shown: dict):
        self._netlist, self._select = netlist, netlist.names[select]
        self._shown = shown
        makers = {out: (kind, inputs) for kind, inputs, out in netlist.gates}
        makers |= {net: (k, inputs) for k, (inputs, outputs) in enumerate(netlist.boxes)
                   for net in outputs}
        seen, self._order = set(), []
        for out in makers:
            self._order += cone(makers, out, seen)[0]
        nets = [net for net in seen if net < 1 << 30]
        nets += [net for bits in netlist.names.values() for net in bits if net < 1 << 30]
        self._gates = _Gates(1 + max([*nets, *netlist.registers]))
        self._of = self._place(self._gates, 0, {})
        named = {name: [self._at(net) for net in nets] for name, nets in netlist.names.items()}
        self._to = {net: here for name, nets in core.names.items() if len(nets) == len(
            named.get(name, ())) for net, here in zip(nets, named[name], strict=True)}
        starts = {self._to.get(out): start for out, (_, start) in core.registers.items()}
        self._registers = {out: (into, starts.get(out, start))
                           for out, (into, start) in netlist.registers.items()}

    def _at(self, net: int) -> int:
        return self._of.get(net, net)

    def _place(self, gates: _Gates, number: int, own: dict) -> dict:
        """Net of the netlist -> net that holds its value in the core or in a mutant."""
        to = dict(own) | {net: number >> k & 1 for k, net in enumerate(self._select)}
        core = self._of if number else to
        for kind, inputs, out in self._order:
            now = tuple(to.get(net, net) for net in inputs)
            if isinstance(kind, str):
                to[out] = gates.make(kind, now)
            elif number and (same := gates.all_same(now, tuple(
                    core.get(net, net) for net in inputs))) != 1:
                # The same comes out of a box where the same goes in; else it may be anything.
                to[out] = gates.make("$_MUX_", (gates.fresh(), out, same))
        return to

    @cached_property
    def _hangs_on(self) -> dict:
        """Register -> what its next value hangs on beside the reset, if that is not much."""
        made = {out: inputs for _, inputs, out in self._order}
        found, nothing = {}, {0, 1, self._netlist.names["rst"][0], *self._select}
        for out, (into, _) in self._registers.items():
            leaves, seen, todo = set(), set(nothing), [into]
            while todo and len(leaves) < FEW:
                net = todo.pop()
                if net not in seen:
                    seen.add(net)
                    todo += made.get(net, ())
                    leaves |= set() if net in made else {net}
            if 0 < len(leaves) < FEW:
                found[out] = leaves
        return found

    def behind(self, own: set) -> set:
        """Registers, and all those whose next values hang on them alone, and on what resets."""
        own = set(own)
        while more := {out for out, leaves in self._hangs_on.items()
                       if out not in own and leaves <= own}:
            own |= more
        return own

    def translated(self, known: set) -> set:
        """What is known of the core's own netlist."""
        found = set()
        for cube in known:
            if all(net in self._to for net, _ in cube):
                here = {(self._to[net], value) for net, value in cube} - {(0, 0), (1, 1)}
                if not here & {(0, 1), (1, 0)}:
                    found.add(tuple(sorted(here)))
        return found

    def registers(self, nets: Iterable) -> list:
        """Registers of the core's own netlist, those that are there."""
        return sorted({self._to.get(net) for net in nets} & self._registers.keys())

    def part(self, part: Part) -> Part:
        """A part of the core's own control, with those of its registers that are there."""
        return replace(part, registers=tuple(self.registers(part.registers)),
                       cut=frozenset(self._to[net] for net in part.cut if net in self._to))

    def beside(self, number: int, own: set) -> tuple:
        """The core, and a mutant with copies of some registers.

        Returns
        -------
        (Netlist, dict, dict, frozenset)
            Net that is high where there is a difference -> the register that differs in the next
            cycle, or None for an output and for what is written to a memory. Register -> its copy.
            What comes out of the mutant's boxes alone.
        """
        gates = self._gates.copy()
        copies = {net: gates.fresh() for net in sorted(own)}
        of, bad = self._place(gates, number, copies), {}

        def both(net):
            return self._at(net), of.get(net, net)

        def differ(net, flag=1):
            return gates.make("$_AND_", (flag, gates.make("$_XOR_", both(net))))

        for out, (into, _) in self._registers.items():
            if out not in own:
                bad[differ(into)] = out
        for name, valid in self._shown.items():
            flag = self._at(self._netlist.names[valid][0]) if valid else 1
            bad |= {differ(net, flag): None for net in self._netlist.names[name]}
        for enables, data, address in self._netlist.writes:
            any_of = 0
            for enable, net in zip(enables, data, strict=True):
                bad |= {differ(enable): None, differ(net, self._at(enable)): None}
                any_of = gates.make("$_OR_", (any_of, self._at(enable)))
            bad |= {differ(net, any_of): None for net in address}
        bad.pop(0, None)
        registers = {out: (self._at(into), start)
                     for out, (into, start) in self._registers.items()}
        registers |= {copy: (of.get(self._registers[net][0], self._registers[net][0]),
                             self._registers[net][1]) for net, copy in copies.items()}
        return Netlist(gates=gates.gates, registers=registers,
                       names={"rst": self._netlist.names["rst"]}), bad, copies, frozenset(
                           range(self._gates.free + len(copies), gates.free))

    def graph(self) -> tuple:
        """Of core and mutants, chosen by the input: a ``Graph``; and the register of each latch.

        What comes out of boxes is the same in all of them. What has no value is 0.
        """
        order = [gate for gate in self._order if isinstance(gate[0], str)]
        registers, select = list(self._registers), self._select
        made = {out for *_, out in order} | set(registers) | {0, 1}
        inputs = list(dict.fromkeys(net for _, nets, _ in order for net in nets
                                    if net not in made and net < 1 << 30 and net not in select))
        literal = {0: 0, 1: 1}
        for k, net in enumerate([*inputs, *select, *registers], 1):
            literal[net] = 2 * k ^ int(net in self._registers and bool(self._registers[net][1]))
        free, ands = 2 * (1 + len(inputs) + len(select) + len(registers)), []

        def both(a, b):
            nonlocal free
            ands.append((free, a, b))
            free += 2
            return free - 2

        def of(net):
            return literal.get(net, 0)

        for kind, nets, out in order:
            a, b, s = (*map(of, nets), 0, 0)[:3]
            if kind == "$_NOT_":
                literal[out] = a ^ 1
            elif kind == "$_AND_":
                literal[out] = both(a, b)
            elif kind == "$_OR_":
                literal[out] = both(a ^ 1, b ^ 1) ^ 1
            elif kind == "$_XOR_":
                literal[out] = both(both(a, b) ^ 1, both(a ^ 1, b ^ 1) ^ 1)
            else:
                literal[out] = both(both(a, s ^ 1) ^ 1, both(b, s) ^ 1) ^ 1
        names = self._netlist.names
        outputs = [both(of(names[valid][0]), of(net)) if valid else of(net)
                   for name, valid in self._shown.items() for net in names[name]]
        latches = [(literal[net] & ~1, of(self._registers[net][0]) ^ literal[net] & 1)
                   for net in registers]
        return Graph(
            inputs=[literal[net] for net in inputs], select=[literal[net] for net in select],
            latches=latches, outputs=outputs, ands=ands,
            counters=tuple(literal[self._at(net)] for name in COUNTERS
                           for net in names.get(name, ()) if self._at(net) in self._registers),
            names={name: literal[nets[0]] for name, nets in names.items()
                   if len(nets) == 1 and nets[0] in inputs}), registers
