"""The exact cycle model without a core: the engine's own schedule of a net that is only a shape.

Dimensions: I inputs, H units, G gates.
"""

from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from gatewright.resources import products
from golden.fixed import Fixed
from golden.network import GATES, Activation, Cell, IntLayer, IntNetwork
from golden.tables import make_table
from hw.engine import make_layout
from hw.program import make_program
from hw.schedule import Schedule

__all__ = ["Best", "best_array"]

MAX_LANES = 4096
COLS = tuple(1 << k for k in range(11))
POSTS = tuple(1 << k for k in range(8))


@dataclass(frozen=True, kw_only=True)
class Best:
    """The array that takes the fewest cycles.

    Parameters
    ----------
    array : dict
        Keywords of ``hw.emit.generate``.
    cycles, exposed : int
        A step in the steady state.
    total : int
        The whole sequence, from the first word in to the last word out.
    """

    array: dict
    cycles: int
    exposed: int
    total: int


def shape_network(cell: Cell, inputs: int, units: int) -> IntNetwork:
    """A net whose weights are one and the same number: they decide no cycle, and take no room."""
    rows, gate = len(GATES[cell]) * units, Fixed(width=16, frac=15)
    weight, zeros = np.int8(1), np.zeros(rows, dtype=np.int64)
    pre = Fixed(width=18, frac=13)
    layer = IntLayer(
        name="l0", cell=cell, units=units,
        activation=Activation.TANH if cell is Cell.RNN else Activation.IDENTITY,
        w=np.broadcast_to(weight, (rows, inputs)), r=np.broadcast_to(weight, (rows, units)),
        bias_x=zeros, bias_h=zeros, acc_frac=zeros, x=gate, h=gate, pre=pre)
    return IntNetwork(name="net", model_sha256="0" * 64, layers=(layer,), embedding=None,
                      act_width=16, weight_width=8, gate=gate, pre=pre,
                      cell=Fixed(width=16, frac=11))


def post_multipliers(cell: Cell) -> int:
    """Multipliers of one element-wise pipeline."""
    layout = make_layout(make_program(shape_network(cell, 1, 1), lanes=1))
    return len(products(layout)) - 1


def _candidates(cell: Cell, units: int, multipliers: int):
    """(least cycles, wide, posts, cols, lanes) of every array that is worth a look."""
    gates, post = len(GATES[cell]), post_multipliers(cell)
    for posts in POSTS:
        turns = gates * ceil(units / posts)   # rows that each post takes
        for cols in COLS:
            most = min(MAX_LANES // posts, (multipliers - post * posts) // cols // posts, turns)
            if most < 1:
                continue
            length = 2 * ceil(units / cols)
            least = ceil(turns / most)
            for slots in {most, *(ceil(turns / passes) for passes in range(least, least + 4))}:
                passes = ceil(turns / slots)
                # A pass waits for the rows of the one before it, a step's first for its last.
                drain = (passes - 1) * max(0, slots - length) + max(
                    0, turns - (passes - 1) * slots - length)
                bound = passes * length + drain
                # One element a cycle comes in and one leaves, unless a word holds several.
                yield max(bound, units), False, posts, cols, slots * posts
                yield (max(bound, ceil(units / cols), ceil(units / posts)), True, posts, cols,
                       slots * posts)


def best_array(cell: Cell, units: int, steps: int, multipliers: list) -> list:
    """For each number of multipliers the fastest array of at most so many, of those tried.

    Those of the element-wise pipelines are counted as well, although they do no product of the
    matrices. Fastest is what takes the fewest cycles for one sequence of ``steps``. Tried are
    powers of two of cols and posts, which always go together, and lanes that fill the passes. Of
    equals the one with narrow words and few element-wise pipelines. X = H = ``units``.

    Returns
    -------
    list of Best
    """
    network = shape_network(cell, units, units)
    table = make_table(network.pre, network.gate)
    programs, found = {}, []

    def schedule(wide: bool, posts: int, cols: int, lanes: int) -> Schedule:
        key = wide, posts, cols
        if key not in programs:
            if len(programs) > 3:  # a big net's program holds its rows in order
                programs.clear()
            programs[key] = make_program(network, lanes=lanes, cols=cols, posts=posts, wide=wide,
                                         table=table)
        return make_layout(replace(programs[key], lanes=lanes)).schedule

    for most in multipliers:
        best = None
        for bound, *array in sorted(_candidates(cell, units, most)):
            if best is not None and bound * steps > best[0]:
                break
            made = schedule(*array)
            total = made.total_cycles([steps])
            if best is None or (total, *array) < best[:5]:
                best = total, *array, made
        total, wide, posts, cols, lanes, made = best
        found.append(Best(cycles=made.interval, exposed=made.exposed, total=total, array={
            "lanes": lanes, "cols": cols} | ({"posts": posts} if posts > 1 else {})
            | ({"wide": True} if wide else {})))
    return found
