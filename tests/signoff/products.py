"""What a product says of itself without its gates: between which values it lies.

A SAT solver knows nothing of multiplication; that base and slope of a line stay in their range, or
that a mean lies between two values, it can tell from these bounds alone.
"""

import re
from dataclasses import dataclass, replace

from .netlist import Netlist, cone

__all__ = ["Logic", "Product", "bound_product", "find_products", "without_products"]

_PRODUCT = re.compile(r"  assign (\S+)\s+= \$signed\(([^()]+)\) \* \$signed\(([^()]+)\);$")
_YOSYS = re.compile(r"\$(?!\d+$)")       # a name that is not the core's own
_NAME = re.compile(r"\\?(\S+)\s*$")


@dataclass(frozen=True, kw_only=True)
class Product:
    """Signed, and as wide as both factors together; nets, the lowest first."""

    a: tuple
    b: tuple
    p: tuple


def find_products(verilog: str, top: str, names: dict) -> list:
    """The products of whole signals in a core's Verilog.

    Parameters
    ----------
    verilog, top : str
    names : dict of str to list of int
        As ``Netlist.names``.
    """
    found, module = [], ""
    for text in verilog.splitlines():
        if start := re.match(r"module \\?([^\s(]+)", text):
            module = start[1].removeprefix(top).removeprefix(".")
        elif product := _PRODUCT.match(text):
            nets = []
            for signal in product.groups():
                own = _NAME.match(signal)[1]
                nets.append(tuple(names.get(f"{module}.{own}" if module else own, ())))
            p, a, b = nets
            if a and b and len(p) == len(a) + len(b):
                found.append(Product(a=a, b=b, p=p))
    return found


def without_products(netlist: Netlist, products: list) -> Netlist:
    """The same without the products' gates, and what only they need: a product may be anything."""
    makers = {out: (kind, inputs) for kind, inputs, out in netlist.gates}
    for product in products:
        for net in product.p:
            makers.pop(net, None)
    names = {name: nets for name, nets in netlist.names.items() if not _YOSYS.match(name)}
    order, seen = [], set()
    for net in (*(into for into, _ in netlist.registers.values()),
                *(net for nets in names.values() for net in nets)):
        order += cone(makers, net, seen)[0]
    return replace(netlist, gates=order, names=names)


class Logic:
    """Gates as clauses; literals are integers, 1 is true.

    Parameters
    ----------
    add_clause : callable
    fresh : callable
        A new variable.
    """

    def __init__(self, add_clause, fresh):
        self.clause, self.fresh = add_clause, fresh
        self._both, self._differ = {}, {}       # what is made already

    def both(self, a: int, b: int) -> int:
        if -1 in (a, b) or a == -b:
            return -1
        if a == 1 or a == b:
            return b
        if b == 1:
            return a
        key = (a, b) if a < b else (b, a)
        if key not in self._both:
            y = self._both[key] = self.fresh()
            for clause in ([-a, -b, y], [a, -y], [b, -y]):
                self.clause(clause)
        return self._both[key]

    def either(self, a: int, b: int) -> int:
        return -self.both(-a, -b)

    def differ(self, a: int, b: int) -> int:
        if abs(a) == 1:
            return b if a == -1 else -b
        if abs(b) == 1:
            return a if b == -1 else -a
        if abs(a) == abs(b):
            return -1 if a == b else 1
        sign = 1 if (a > 0) == (b > 0) else -1
        key = (abs(a), abs(b)) if abs(a) < abs(b) else (abs(b), abs(a))
        if key not in self._differ:
            y = self._differ[key] = self.fresh()
            a, b = key
            for clause in ([-a, -b, -y], [a, b, -y], [a, -b, y], [-a, b, y]):
                self.clause(clause)
        return sign * self._differ[key]

    def pick(self, s: int, a: int, b: int) -> int:
        """b where s, else a."""
        return self.either(self.both(-s, a), self.both(s, b))

    def less(self, x: list, y: list) -> int:
        """x < y of signed numbers."""
        width = max(len(x), len(y))
        x, y = (word + [word[-1]] * (width - len(word)) for word in (x, y))
        below = -1
        for k, (a, b) in enumerate(zip(x, y, strict=True)):
            if k == width - 1:
                a, b = -a, -b                     # the sign counts the other way
            below = self.pick(self.differ(a, b), below, b)
        return below

    def minus(self, x: list, y: list) -> list:
        """x - y, one bit wider than the wider one."""
        width = max(len(x), len(y)) + 1
        x, y = (word + [word[-1]] * (width - len(word)) for word in (x, y))
        carry, out = 1, []
        for a, b in zip(x, [-b for b in y], strict=True):
            odd = self.differ(a, b)
            out.append(self.differ(odd, carry))
            carry = self.either(self.both(a, b), self.both(odd, carry))
        return out


def _width(word: list) -> int:
    """Bits of a signed word without the copies of its sign."""
    width = len(word)
    while width > 1 and word[width - 1] == word[width - 2]:
        width -= 1
    return width


def bound_product(logic: Logic, a: list, b: list, p: list) -> None:
    """Clauses that hold for every product p = a * b; literals, the lowest bit first.

    With k bits of b beside its sign: from 0 to a * (2**k - 1) if b is not negative, from -a to
    -a * 2**k if it is; and the same with a and b changed. And the two lowest bits, whole.
    """
    low = [logic.both(a[0], b[0])]
    if len(a) > 1 and len(b) > 1:
        low.append(logic.differ(logic.both(a[1], b[0]), logic.both(a[0], b[1])))
    for bit, made in zip(p, low, strict=False):
        logic.clause([-bit, made])
        logic.clause([bit, -made])
    for x, y in ((a, b), (b, a)):
        k, negative = _width(y) - 1, y[-1]
        most = [-1] * k + list(x)                    # x * 2**k
        none = [-1]
        for sign, low, high in ((-negative, none, logic.minus(most, list(x))),
                                (negative, logic.minus(none, list(x)), logic.minus(none, most))):
            if sign == -1:
                continue
            # Where x is negative the ends are the other way round.
            up, down = -x[-1], x[-1]
            if low is not none:
                up, down = down, up
            for way, first, last in ((up, low, high), (down, high, low)):
                if way == -1:
                    continue
                logic.clause([-sign, -way, -logic.less(p, first)])
                logic.clause([-sign, -way, -logic.less(last, p)])
