"""Small layouts for the proofs: as few bits as there may be, every branch of the module in use."""

from dataclasses import replace

from hw.engine import make_layout
from hw.layout import Layout
from hw.program import make_program
from tests.networks import make_batch, make_integer, make_network

__all__ = ["layout_of"]


def layout_of(*layers, inputs: int = 5, lanes: int = 4, cols: int = 1, posts: int = 1,
              act_width: int = 4, max_steps: int = 4, **more) -> Layout:
    """A layout with the layers of ``tests.networks``.

    Parameters
    ----------
    layers : tuples (cell, units, *words)
    inputs, act_width, max_steps : int
    lanes, cols, posts : int
    more : loads, returns, embedding, last_step_only of ``make_network``; the rest is
        ``make_program``'s.
    """
    of_network = {name: more.pop(name) for name in ("loads", "returns", "embedding",
                                                    "last_step_only") if name in more}
    network = make_network(*layers, inputs=inputs, **of_network)
    integer = make_integer(network, make_batch(network, 1, 2), act_width=act_width,
                           weight_width=4)[0]
    if integer.buffered:
        integer = replace(integer, max_steps=max_steps)
    return make_layout(make_program(integer, lanes=lanes, cols=cols, posts=posts, **more))
