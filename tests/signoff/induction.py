"""What can never be: situations that no cycle reaches, shown together by induction."""

from pysat.solvers import Solver

from .netlist import Netlist

__all__ = ["Induction"]


def _clauses(kind: str, inputs: list, y: int):
    """Of a gate; literals are non-zero integers."""
    if kind == "$_NOT_":
        a, = inputs
        return [a, y], [-a, -y]
    if kind == "$_MUX_":
        a, b, s = inputs
        return [s, -a, y], [s, a, -y], [-s, -b, y], [-s, b, -y], [-a, -b, y], [a, b, -y]
    a, b = inputs
    if kind == "$_AND_":
        return [-a, -b, y], [a, -y], [b, -y]
    if kind == "$_OR_":
        return [a, b, -y], [-a, y], [-b, y]
    return [-a, -b, -y], [a, b, -y], [a, -b, y], [-a, b, y]


def _frame(solver, netlist: Netlist, first: int, state: dict) -> tuple:
    """Literal of each net in a cycle, from variable ``first`` on; and the next free variable."""
    literal = {0: -1, 1: 1, **state}

    def of(net):
        nonlocal first
        if net not in literal:
            literal[net], first = first, first + 1
        return literal[net]

    for kind, inputs, out in netlist.gates:
        for clause in _clauses(kind, [of(net) for net in inputs], of(out)):
            solver.add_clause(clause)
    for out, (into, _) in netlist.registers.items():
        of(out), of(into)
    for nets in netlist.names.values():
        for net in nets:
            of(net)
    return literal, first


class Induction:
    """The largest set of situations for which: none is there at power-up, and if none is in a
    cycle, none is in the next one. So none ever is, whatever comes in.

    Parameters
    ----------
    netlist : Netlist
    situations : list of tuple of (int, int)
        Nets and the values that they have at the same time.
    known : iterable of such
        Situations that are shown never to be, in some other way.
    reset : int or None
        Net that resets the core: then it is not at power-up that none is there, but in the cycle
        behind any one with a reset.

    Attributes
    ----------
    never : set
        Those situations.
    """

    def __init__(self, netlist: Netlist, situations: list, known=(),
                 reset: int | None = None):
        self._solver = solver = Solver(name="cadical195")
        solver.add_clause([1])
        self._now, free = _frame(solver, netlist, 2, {})
        self._then, self._free = _frame(
            solver, netlist, free,
            {out: self._now[into] for out, (into, _) in netlist.registers.items()})
        for cube in known:
            for frame in (self._now, self._then):
                solver.add_clause([-x for x in self._literals(frame, cube)])
        self.never = {cube for cube in situations if self._can_be(cube)} - set(known)
        self._holds, bad_now, bad_then = {}, {}, {}
        for cube in self.never:
            self._holds[cube], bad_now[cube], bad_then[cube] = range(self._free, self._free + 3)
            self._free += 3
            solver.add_clause([-self._holds[cube], *(-x for x in self._literals(self._now, cube))])
            for frame, bad in ((self._now, bad_now[cube]), (self._then, bad_then[cube])):
                for x in self._literals(frame, cube):
                    solver.add_clause([-bad, x])
        powered = [self._now[out] if value else -self._now[out]
                   for out, (_, value) in netlist.registers.items() if value is not None]
        if reset is None:
            self._drop(bad_now, lambda: powered)
        else:
            powered = []
            self._drop(bad_then, lambda: [self._now[reset]])
        self._drop(bad_then, lambda: [self._holds[cube] for cube in self.never])
        if not solver.solve(assumptions=[*powered, *(self._holds[cube] for cube in self.never)]):
            raise RuntimeError("A proof in vain: the netlist contradicts itself at power-up")
        for cube in self.never:
            solver.add_clause([self._holds[cube]])
        self.never |= set(known)

    @staticmethod
    def _can_be(cube) -> bool:
        """Whether no net has two values, and no constant the other one."""
        values = dict(cube)
        return values.get(0, 0) == 0 and values.get(1, 1) == 1 and all(
            values[net] == value for net, value in cube)

    @staticmethod
    def _literals(frame: dict, cube) -> list:
        return [frame[net] if value else -frame[net] for net, value in cube]

    def _drop(self, bad: dict, given) -> None:
        """Let go of every situation that can be there under what is given."""
        solver = self._solver
        solver.set_phases(list(bad.values()))    # many of them at once
        while self.never:
            some, self._free = self._free, self._free + 1
            solver.add_clause([-some, *(bad[cube] for cube in self.never)])
            if not solver.solve(assumptions=[some, *given()]):
                return
            model = solver.get_model()
            self.never -= {cube for cube in self.never if model[bad[cube] - 1] > 0}
            solver.add_clause([-some])

    def impossible(self, situation) -> bool:
        """Whether a situation is among those that never are, or contradicts itself."""
        return not self._can_be(situation) or situation in self.never

    def follows(self, net: int, value: int) -> bool:
        """Whether a net can have the other value in a cycle, and this one in the next."""
        before, after = self._now[net], self._then[net]
        return self._solver.solve(assumptions=[-before, after] if value else [before, -after])

    def close(self) -> None:
        self._solver.delete()
