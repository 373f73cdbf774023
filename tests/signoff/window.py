"""What can never be, shown over some cycles in a row: what a pipeline holds hangs on its last ones.

A window begins with anything in the registers but what is known never to be. The gates of products
are left out; ``products`` says what is used of them.
"""

from pysat.solvers import Solver

from .netlist import Netlist
from .products import Logic, bound_product

__all__ = ["Window"]


class Window:
    """Cycles 0 to ``depth`` of a core.

    Parameters
    ----------
    netlist : Netlist
    products : list of Product
    known : set of tuple of (int, int)
        Situations that never are.
    depth : int
    powered, reset : bool
        True: cycle 0 is the first one after power-up; and all cycles are of a reset.
    """

    def __init__(self, netlist: Netlist, products: list, known, depth: int, *,
                 powered: bool = False, reset: bool = False):
        self._solver, self._free, self.depth = Solver(name="cadical195"), 1, depth
        self._solver.add_clause([1])
        self._registers, self._powered = netlist.registers, powered
        self._makers = {out: (kind, inputs) for kind, inputs, out in netlist.gates}
        self._product = {net: product for product in products for net in product.p
                         if net in self._makers}
        first = {0: -1, 1: 1} | ({netlist.names["rst"][0]: 1} if reset else {})
        self._literal = [dict(first) for _ in range(depth + 1)]
        self._logic = Logic(self._solver.add_clause, self._fresh)
        self._cubes = {}
        for cube in known:
            if len(cube) == 1:
                (net, value), = cube
                for literal in self._literal:
                    literal.setdefault(net, -1 if value else 1)
            else:
                for net, _ in cube:
                    self._cubes.setdefault(net, []).append(cube)

    def _fresh(self) -> int:
        self._free += 1
        return self._free

    def _of(self, net: int, cycle: int) -> int:
        """Literal of a net, with the gates before it."""
        todo = [(net, cycle)]
        while todo:
            net, cycle = todo[-1]
            literal = self._literal[cycle]
            if net in literal:
                todo.pop()
                continue
            product = self._product.get(net)
            if net in self._registers:
                before, start = self._registers[net]
                needed = [(before, cycle - 1)] if cycle else []
            elif product:
                needed = [(one, cycle) for one in (*product.a, *product.b)]
            else:
                needed = [(one, cycle) for one in self._inputs(net, literal)]
            if missing := [(one, at) for one, at in needed if one not in self._literal[at]]:
                todo += missing
                continue
            todo.pop()
            if net in self._registers:
                if cycle:
                    literal[net] = self._literal[cycle - 1][before]
                elif self._powered and start is not None:
                    literal[net] = 1 if start else -1
                else:
                    literal[net] = self._fresh()
            elif product:
                for one in product.p:
                    literal.setdefault(one, self._fresh())
                bound_product(self._logic, *([literal[one] for one in word]
                                             for word in (product.a, product.b, product.p)))
            else:
                literal[net] = self._gate(net, literal)
            for cube in self._cubes.get(net, ()):
                if all(one in literal for one, _ in cube):
                    self._solver.add_clause([-literal[one] if value else literal[one]
                                             for one, value in cube])
        return self._literal[cycle][net]

    def _inputs(self, net: int, literal: dict) -> tuple:
        """Inputs of a gate, as far as they matter: none behind one that settles it."""
        kind, inputs = self._makers.get(net, (None, ()))
        if kind == "$_MUX_":
            a, b, s = inputs
            return {1: (s, b), -1: (s, a)}.get(literal.get(s), inputs if s in literal else (s,))
        if kind in ("$_AND_", "$_OR_"):
            first = literal.get(inputs[0])
            return inputs[:1] if first in (None, -1 if kind == "$_AND_" else 1) else inputs
        return inputs

    def _gate(self, net: int, literal: dict) -> int:
        if net not in self._makers:
            return self._fresh()
        (kind, inputs), logic = self._makers[net], self._logic
        if kind == "$_MUX_":
            a, b, s = inputs
            if abs(literal[s]) == 1:
                return literal[b if literal[s] == 1 else a]
            a, b = literal[a], literal[b]
            return a if a == b else logic.pick(literal[s], a, b)
        if kind in ("$_AND_", "$_OR_") and abs(literal[inputs[0]]) == 1:
            settles = -1 if kind == "$_AND_" else 1
            return settles if literal[inputs[0]] == settles else literal[inputs[1]]
        if kind == "$_NOT_":
            return -literal[inputs[0]]
        make = {"$_AND_": logic.both, "$_OR_": logic.either, "$_XOR_": logic.differ}[kind]
        return make(*(literal[one] for one in inputs))

    def _drop(self, left: dict, given: dict | None = None) -> set:
        """Those of some literals that can never be true; while theirs of ``given`` are."""
        solver, left, given = self._solver, dict(left), given or {}
        solver.set_phases([literal for literal in left.values() if abs(literal) > 1])
        while left:
            some = self._fresh()
            solver.add_clause([-some, *left.values()])
            if not solver.solve(assumptions=[some, *(given[key] for key in left if key in given)]):
                return set(left)
            model = solver.get_model()
            left = {key: literal for key, literal in left.items()
                    if (model[abs(literal) - 1] > 0) != (literal > 0)}
            solver.add_clause([-some])
        return set()

    def _there(self, cube: tuple, cycle: int) -> int:
        """Literal that is true where a situation is there."""
        whole = 1
        for net, value in cube:
            literal = self._of(net, cycle)
            whole = self._logic.both(whole, literal if value else -literal)
        return whole

    def can_be(self, values: list) -> bool:
        """Whether there is a window with each of those (net, value, cycle)."""
        return self._solver.solve(assumptions=[
            self._of(net, cycle) if value else -self._of(net, cycle)
            for net, value, cycle in values])

    def never(self, situations: list) -> set:
        """Those situations that are not there in the last cycle, whatever was in the first one."""
        return self._drop({cube: self._there(cube, self.depth) for cube in situations})

    def still(self, changes: list) -> set:
        """Those (net, value) that do not come to be in the last cycle, new since the one before."""
        return self._drop({(net, value): self._logic.both(
            -self._there(((net, value),), self.depth - 1), self._there(((net, value),), self.depth))
            for net, value in changes})

    def absent(self, situations: list, begin: int) -> set:
        """Those that are in none of the cycles from ``begin`` on."""
        there = {}
        for cube in situations:
            there[cube] = -1
            for cycle in range(begin, self.depth + 1):
                there[cube] = self._logic.either(there[cube], self._there(cube, cycle))
        return self._drop(there)

    def lasting(self, situations: list) -> set:
        """The most situations of which: if none is in all cycles but the last, none is in that."""
        there = {cube: self._there(cube, self.depth) for cube in situations}
        given = {cube: self._fresh() for cube in situations}
        for cube in situations:
            for literal in self._literal[:-1]:
                if all(net in literal for net, _ in cube):      # others do not matter
                    self._solver.add_clause([-given[cube], *(
                        -literal[net] if value else literal[net] for net, value in cube)])
        return self._drop(there, given)

    def behind(self, nets: list) -> set:
        """Those nets that are low in the last cycle, if all of them are low in those before it."""
        for cycle in range(self.depth):
            for net in nets:
                self._solver.add_clause([-self._of(net, cycle)])
        return self._drop({net: self._of(net, self.depth) for net in nets})

    def must_be(self) -> None:
        """RuntimeError if what is known contradicts itself: anything could be shown from it."""
        if not self._solver.solve():
            raise RuntimeError("A proof in vain: what is known of a window contradicts itself")

    def close(self) -> None:
        self._solver.delete()
