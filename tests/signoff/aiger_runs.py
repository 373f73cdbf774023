"""Random runs of a core and of all its mutants at once, gate by gate."""

import random

from .aiger import Graph
from .netlist import compiled

__all__ = ["simulate"]

# Cycles of one pace: words come and are taken fast, come slowly, are taken slowly, both.
PACE = 100


def _literal(lit: int) -> str:
    return f"v[{lit >> 1}]" + ("^m" if lit & 1 else "")


def simulate(graph: Graph, mutants: list, *, cycles: int, runs: int = 64, seed: int = 1,
             counted: bool = False) -> dict:
    """Random inputs into the core and into all mutants at once, from power-up.

    With ``counted`` the graph's counters begin at random values, as if so much had been counted.

    Returns
    -------
    dict of mutant to set of int, or to None
        Places of the latches that came to differ from the core's; None if an output did.
    """
    rng, lanes = random.Random(seed), [0, *mutants]
    full, one_run = (1 << runs * len(lanes)) - 1, (1 << runs) - 1
    every = full // one_run  # times the bits of one lane: the same in all
    value = [0] * (1 + max(lit >> 1 for lit in (
        0, *graph.inputs, *graph.select, *(lit for lit, _ in graph.latches),
        *(lit for lit, _, _ in graph.ands))))
    for k, lit in enumerate(graph.select):
        value[lit >> 1] = sum((mutant >> k & 1) * one_run << j * runs
                              for j, mutant in enumerate(lanes))
    for lit in graph.counters if counted else ():
        value[lit >> 1] = rng.getrandbits(runs) * every
    pieces = compiled([f"v[{lit >> 1}]=({_literal(a)})&({_literal(b)})"
                       for lit, a, b in graph.ands], "v, m")  # v[0] is false
    apart, apart_outputs = [0] * len(graph.latches), 0
    # Of the streams' ports, whether they are seldom high or often, by pace.
    slow = {"s_axis_tvalid": (0, 1, 0, 1), "m_axis_tready": (0, 0, 1, 1)}
    special = {graph.names[name]: paces for name, paces in slow.items() if name in graph.names}

    def often(lit: int, cycle: int) -> int:
        word = rng.getrandbits(runs)
        if lit == graph.names.get("rst"):      # in every second cycle it would reach nothing
            for _ in range(8):
                word &= rng.getrandbits(runs)
        elif lit == graph.names.get("s_axis_tlast"):
            word &= rng.getrandbits(runs) & rng.getrandbits(runs)
        elif lit in special:
            for _ in range(3):
                more = rng.getrandbits(runs)
                word = word & more if special[lit][cycle // PACE % 4] else word | more
        return word

    def of(lit: int) -> int:
        return value[lit >> 1] ^ full if lit & 1 else value[lit >> 1]

    for cycle in range(cycles):
        for lit in graph.inputs:
            value[lit >> 1] = often(lit, cycle) * every
        for piece in pieces:
            piece(value, full)
        following = [of(lit) for _, lit in graph.latches]
        for lit in graph.outputs:
            word = of(lit)
            apart_outputs |= word ^ (word & one_run) * every
        for k, ((lit, _), word) in enumerate(zip(graph.latches, following, strict=True)):
            value[lit >> 1] = word
            apart[k] |= word ^ (word & one_run) * every

    def told(word, j):
        return word >> j * runs & one_run

    return {mutant: None if told(apart_outputs, j)
            else {k for k, word in enumerate(apart) if told(word, j)}
            for j, mutant in enumerate(lanes) if j}
