"""What can never be, shown over some cycles in a row: what a pipeline holds hangs on its last ones.

A window begins with anything in the registers but what is known never to be. The gates of products
are left out; ``products`` says what is used of them.
"""

import multiprocessing
import time

from pysat.solvers import Solver

from .netlist import Netlist
from .products import Logic, bound_product

__all__ = ["FROM", "Window", "in_windows"]

DEPTHS = 10, 34         # cycles
FROM = sum(DEPTHS) + 1  # after power-up; of a window's first cycle it may be known what was shown
SECONDS = 40, 130       # that they may take
GROUP = 40              # questions at once


class Window:
    """Cycles 0 to ``depth`` of a core.

    Parameters
    ----------
    netlist : Netlist
    products : list of Product
    known : set of tuple of (int, int)
        Situations that never are.
    depth : int
    """

    def __init__(self, netlist: Netlist, products: list, known, depth: int):
        self._solver, self._free, self.depth = Solver(name="cadical195"), 1, depth
        self._solver.add_clause([1])
        self._registers = netlist.registers
        self._makers = {out: (kind, inputs) for kind, inputs, out in netlist.gates}
        self._product = {net: product for product in products for net in product.p
                         if net in self._makers}
        self._literal = [{0: -1, 1: 1} for _ in range(depth + 1)]
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
                before = self._registers[net][0]
                needed = [(before, cycle - 1)] if cycle else []
            elif product:
                needed = [(one, cycle) for one in (*product.a, *product.b)]
            else:
                needed = [(one, cycle) for one in self._makers.get(net, (None, ()))[1]]
            if missing := [(one, at) for one, at in needed if one not in self._literal[at]]:
                todo += missing
                continue
            todo.pop()
            if net in self._registers:
                literal[net] = self._literal[cycle - 1][before] if cycle else self._fresh()
            elif product:
                for one in product.p:
                    literal.setdefault(one, self._fresh())
                bound_product(self._logic, *([literal[one] for one in word]
                                             for word in (product.a, product.b, product.p)))
            else:
                literal[net] = self._gate(net, [literal[one] for one, _ in needed])
            for cube in self._cubes.get(net, ()):
                if all(one in literal for one, _ in cube):
                    self._solver.add_clause([-literal[one] if value else literal[one]
                                             for one, value in cube])
        return self._literal[cycle][net]

    def _gate(self, net: int, inputs: list) -> int:
        if net not in self._makers:
            return self._fresh()
        kind, logic = self._makers[net][0], self._logic
        if kind == "$_NOT_":
            return -inputs[0]
        if kind == "$_AND_":
            return logic.both(*inputs)
        if kind == "$_OR_":
            return logic.either(*inputs)
        if kind == "$_XOR_":
            return logic.differ(*inputs)
        a, b, s = inputs
        return a if a == b else logic.pick(s, a, b)

    def _drop(self, left: dict) -> set:
        """Those of some literals that can never be true."""
        solver, left = self._solver, dict(left)
        impossible = {key for key, literal in left.items() if literal == -1}
        for key in impossible:
            del left[key]
        solver.set_phases(list(left.values()))
        while left:
            some = self._fresh()
            solver.add_clause([-some, *left.values()])
            if not solver.solve(assumptions=[some]):
                return impossible | set(left)
            model = solver.get_model()
            left = {key: literal for key, literal in left.items()
                    if (model[abs(literal) - 1] > 0) != (literal > 0)}
            solver.add_clause([-some])
        return impossible

    def never(self, situations: list) -> set:
        """Those situations that are not there in the last cycle, whatever was in the first one."""
        there = {}
        for cube in situations:
            whole = 1
            for net, value in cube:
                literal = self._of(net, self.depth)
                whole = self._logic.both(whole, literal if value else -literal)
            there[cube] = whole
        return self._drop(there)

    def still(self, changes: list) -> set:
        """Those (net, value) that do not come to be in the last cycle, new since the one before."""
        there = {}
        for net, value in changes:
            before, now = self._of(net, self.depth - 1), self._of(net, self.depth)
            there[net, value] = self._logic.both(-before, now) if value else self._logic.both(
                before, -now)
        return self._drop(there)

    def close(self) -> None:
        self._solver.delete()


def _answers(pipe, arguments: tuple, depth: int, situations: list, changes: list) -> None:
    """Into a pipe, some at a time."""
    window = Window(*arguments, depth)
    for question, every in ((window.never, situations), (window.still, changes)):
        for at in range(0, len(every), GROUP):
            pipe.send(question(every[at:at + GROUP]))
    pipe.close()


def in_windows(netlist: Netlist, products: list, known: set, situations: list,
               changes: list) -> tuple:
    """Those of ``Window.never`` and of ``Window.still``, by short windows and then by long ones.

    It holds from cycle ``FROM`` after power-up on. In a process of its own: what is not shown in
    time counts as what can be.
    """
    shown, fork = set(), multiprocessing.get_context("fork")
    situations, changes = dict.fromkeys(situations), dict.fromkeys(changes)
    for depth, seconds in zip(DEPTHS, SECONDS, strict=True):
        ours, theirs = fork.Pipe(duplex=False)
        left = [[one for one in every if one not in shown] for every in (situations, changes)]
        process = fork.Process(target=_answers, args=(
            theirs, (netlist, products, known | shown & set(situations)), depth, *left))
        process.start()
        theirs.close()
        end = time.monotonic() + seconds
        try:
            while ours.poll(max(0.0, end - time.monotonic())):
                shown |= ours.recv()
        except EOFError:
            pass
        process.kill()
        process.join()
    return shown & set(situations), shown & set(changes)
