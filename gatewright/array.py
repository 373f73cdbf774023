"""The arrays of multipliers that a network can have, and those that are worth a comparison."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from math import ceil

import numpy as np

import synth
from golden.network import IntNetwork
from hw.engine import make_layout
from hw.pipeline import DEEP, pipeline_named
from hw.program import Program, make_program

from .resources import post_products

__all__ = ["Array", "outline", "sensible_arrays"]


@dataclass(frozen=True, kw_only=True, order=True)
class Array:
    """What ``generate`` is told of an array; see ``hw.program.make_program``."""

    lanes: int
    cols: int = 1
    posts: int = 1
    pipeline: str = DEEP.name
    pack: bool = False

    @classmethod
    def of(cls, manifest: dict) -> "Array":
        """The array of a generated core."""
        return cls(lanes=manifest["lanes"], cols=manifest["cols"], posts=manifest["posts"],
                   pipeline=manifest["pipeline"], pack=manifest["packed"])

    @property
    def products(self) -> int:
        """Products a cycle; with ``pack`` a multiplier makes two of them."""
        return self.lanes * self.cols

    @property
    def options(self) -> dict:
        """Keywords of ``generate``."""
        return asdict(self)

    @property
    def flags(self) -> str:
        """Words of the command line; what is as by default is left out, but for the lanes."""
        given = {entry.name: getattr(self, entry.name) for entry in fields(self)
                 if getattr(self, entry.name) != entry.default}
        return " ".join(f"--{name}" if value is True else f"--{name} {value}"
                        for name, value in given.items())

    def __str__(self) -> str:
        said = {f"{self.posts} posts": self.posts > 1, "packed": self.pack,
                self.pipeline: self.pipeline != DEEP.name}
        return ", ".join([f"{self.lanes} lanes x {self.cols} cols",
                          *(text for text, told in said.items() if told)])

    def program(self, network: IntNetwork, **more) -> Program:
        """``make_program`` with this array; ValueError where the two do not go together."""
        return make_program(network, **self.options | more
                            | {"pipeline": pipeline_named(self.pipeline)})


def outline(network: IntNetwork) -> IntNetwork:
    """The network with no values in its matrices: all that a schedule and a count look at."""
    def empty(matrix):
        return None if matrix is None else np.zeros(matrix.shape, dtype=np.int8)

    return replace(network, layers=tuple(replace(layer, w=empty(layer.w), r=empty(layer.r))
                                         for layer in network.layers))


# Slots are the rows of a pass that each post takes. Round figures; beside them those with which a
# phase takes a whole number of passes.
_SLOTS = (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384,
          512, 640, 768, 1024)
_PASSES = range(1, 9)
_POWERS = tuple(1 << k for k in range(11))
_MOST_LANES = 1024


def sensible_arrays(network: IntNetwork, target: synth.Target, *, lanes: int | None = None,
                    cols: int | None = None, posts: int | None = None) -> Iterator[Array]:
    """Arrays with a deep pipeline, from one multiplier to twice as many as the device has.

    Posts are powers of two, and those that take a layer's neurons in one to four goes. More than
    one post is worth its multipliers only where a pass may be shorter than the time that one post
    takes for its rows: lanes and depth of the pipeline. Columns are what the posts allow, no more
    than cover the longest vector. Lanes are posts times slots, no more than a phase has rows.

    Parameters
    ----------
    network : IntNetwork
    target : synth.Target
    lanes, cols, posts : int or None
        Given: arrays of so many alone.
    """
    network = outline(network)
    layout = make_layout(make_program(network, lanes=1))
    phases, latencies = layout.program.phases, layout.schedule.latencies
    most, depth = 2 * target.blocks["dsp"].available, latencies.mac + latencies.post
    each = len(post_products(layout))
    lengths = [[segment.weights.shape[1] for segment in phase.segments] for phase in phases]
    longest = max(map(max, lengths))
    for n_posts in _posts(phases) if posts is None else (posts,):
        turns = {ceil(phase.units / n_posts) * phase.rows_per_unit for phase in phases}
        slots = {n for n in _SLOTS if n <= max(turns)} | {ceil(t / n) for t in turns
                                                          for n in _PASSES}
        wide = [n_posts * n for n in slots if n * n_posts <= _MOST_LANES]
        for n_cols in _cols(n_posts, longest if cols is None else cols):
            shortest = min(sum(ceil(length / n_cols) for length in phase) for phase in lengths)
            for n_lanes in sorted(wide) if lanes is None else (lanes,):
                drained = posts is None and n_posts > 1 and n_lanes + depth <= shortest
                if (not drained and n_lanes % n_posts == 0 and cols in (None, n_cols)
                        and n_lanes * n_cols + each * n_posts <= most):
                    yield Array(lanes=n_lanes, cols=n_cols, posts=n_posts)


def _posts(phases: tuple) -> list:
    most = max(phase.units for phase in phases)
    return sorted({n for n in _POWERS if n <= most} | {ceil(phase.units / n) for phase in phases
                                                       for n in range(1, 5)})


def _cols(posts: int, longest: int) -> list:
    """The posts' number times or divided by a power of two."""
    found = {posts * n for n in _POWERS} | {posts // n for n in _POWERS if posts % n == 0}
    return sorted(n for n in found if n == 1 or n < 2 * longest)
