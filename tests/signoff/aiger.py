"""And-inverter graphs, as Yosys writes them: one mutant beside the core without it."""

from dataclasses import dataclass

__all__ = ["Graph", "compose", "read_graph"]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Literals are numbers: twice a variable, and one more for its opposite; 0 is false.

    Parameters
    ----------
    inputs : list of int
    select : list of int
        Literals of the bits that select the mutant, the lowest first; not in ``inputs``.
    latches : list of (int, int)
        Literal, and that of its next value. All begin at 0.
    outputs : list of int
    ands : list of (int, int, int)
        Literal and those of its operands, none before its operands.
    names : dict of str to int
        Literal of each input by its name; one bit of several as "name[bit]".
    counters : tuple of int
        Literals of latches that may have come to any value.
    """

    inputs: list
    select: list
    latches: list
    outputs: list
    ands: list
    names: dict
    counters: tuple = ()


def read_graph(text: str, select: str) -> Graph:
    """From an ASCII AIGER file with symbols whose latches all begin at 0."""
    lines = text.splitlines()
    kind, _, n_in, n_latch, n_out, n_and, *more = lines[0].split()
    if kind != "aag" or more:
        raise ValueError(f"Not a plain ASCII AIGER file: {lines[0]!r}")
    n_in, n_latch, n_out, n_and = map(int, (n_in, n_latch, n_out, n_and))
    rows = [tuple(map(int, line.split())) for line in lines[1:1 + n_in + n_latch + n_out + n_and]]
    names = {}
    for line in lines[1 + len(rows):]:
        if line[0] == "c":
            break
        place, name = line.split(" ", 1)
        if place[0] == "i":
            names[name] = rows[int(place[1:])][0]
    latches = rows[n_in:n_in + n_latch]
    if any(len(row) > 2 and row[2] for row in latches):
        raise ValueError("All latches must begin at 0")
    bits = sum(name.startswith(f"{select}[") for name in names)
    select = [names[f"{select}[{k}]"] for k in range(bits)]
    return Graph(inputs=[row[0] for row in rows[:n_in] if row[0] not in select], select=select,
                 latches=[row[:2] for row in latches],
                 outputs=[row[0] for row in rows[n_in + n_latch:-n_and or None]],
                 ands=rows[len(rows) - n_and:], names=names)


class _Builder:
    """Makes a graph's nodes, each once."""

    def __init__(self, n_leaves: int):
        self.next, self.ands, self._known = 2 * (n_leaves + 1), [], {}

    def both(self, a: int, b: int) -> int:
        if a > b:
            a, b = b, a
        if a == 0 or a == b ^ 1:
            return 0
        if a == 1 or a == b:
            return b
        if (a, b) not in self._known:
            self._known[a, b] = self.next
            self.ands.append((self.next, b, a))
            self.next += 2
        return self._known[a, b]

    def differ(self, a: int, b: int) -> int:
        if a == b:
            return 0
        return self.both(self.both(a, b) ^ 1, self.both(a ^ 1, b ^ 1) ^ 1)


def _delta(number: int) -> bytes:
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def compose(graph: Graph, mutant: int, own: set) -> tuple:
    """The core, and beside it what a mutant has of its own; outputs tell that they differ.

    The mutant's own copies are of the latches ``own`` alone. Of all others it has the core's; where
    that cannot be, for their next values are not the same, an output says so as well. While all are
    low, what the core and the mutant show is the same, in every cycle from power-up.

    Returns
    -------
    (bytes, list)
        A binary AIGER file; for each of its outputs the place of the latch that differs, or None
        for an output.
    """
    own = sorted(own)
    leaves = [*graph.inputs, *(lit for lit, _ in graph.latches)]
    made = _Builder(len(leaves) + len(own))
    place = {lit: 2 * (k + 1) for k, lit in enumerate(leaves)}
    maps = []
    for number in (0, mutant):
        to = {0: 0} | place | {lit: number >> k & 1 for k, lit in enumerate(graph.select)}
        if number:
            to |= {graph.latches[k][0]: 2 * (len(leaves) + j + 1) for j, k in enumerate(own)}
        for lit, a, b in graph.ands:
            to[lit] = made.both(to[a & ~1] ^ (a & 1), to[b & ~1] ^ (b & 1))
        maps.append(lambda lit, to=to: to[lit & ~1] ^ (lit & 1))
    core, other = maps
    compared = [(k, following) for k, (_, following) in enumerate(graph.latches) if k not in own]
    compared += [(None, lit) for lit in graph.outputs]
    bad = [(made.differ(core(lit), other(lit)), k) for k, lit in compared]
    bad = [(lit, k) for lit, k in bad if lit]
    states = [core(following) for _, following in graph.latches]
    states += [other(graph.latches[k][1]) for k in own]
    n_in = len(graph.inputs)
    head = [f"aig {n_in + len(states) + len(made.ands)} {n_in} {len(states)} {len(bad)} "
            f"{len(made.ands)}", *map(str, states), *(str(lit) for lit, _ in bad)]
    return (("\n".join(head) + "\n").encode() + b"".join(
        _delta(lit - a) + _delta(a - b) for lit, a, b in made.ands), [k for _, k in bad])
