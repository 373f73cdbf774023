"""Functional coverage: what there is to see, from the engine's contract, and where golden shows it.
"""

import linecache
import sys
from contextlib import contextmanager
from unittest import mock

import numpy as np

from golden import model, pool
from golden.fixed import round_shift
from golden.network import Cell
from hw.program import Op

__all__ = ["POINTS", "counted", "watched"]

# Coverpoint -> its bins.
POINTS = {
    "cell": tuple(str(cell) for cell in Cell),
    "element-wise step": tuple(op.name for op in Op),
    "saturation": tuple(f"{place} {end}" for place in ("pre-activation", "c", "h")
                        for end in ("low", "high")),
    "rounding tie": ("pre-activation", "candidate", "c", "argument of c's function",
                     "h of LSTM", "h of GRU", "r*h", "product", "mean"),
    "stall": ("for input", "for room", "for both"),
    "phase begins": ("at once", "after a wait"),
    "next pass begins": ("at once", "after a gap"),
    "reset while": ("idle", "loading weights", "loading states", "loading a step's words",
                    "issuing", "draining", "an output word waits", "dumping states"),
    "sequence": ("one step", "two steps", "many steps", "right behind another", "after a pause"),
    "error": ("end too early", "no such token", "end among states", "end among weights",
              "longer than the store"),
    "form": ("deep", "shallow", "portable", "ecp5", "ice40", "several columns", "several posts",
             "wide streams", "packed", "loaded weights", "states in", "states out", "tokens",
             "argmax", "reverse", "several sweeps"),
}
# What stands in golden's line that rounds -> place.
_PLACES = {
    "codes = count(name,": "pre-activation", "total = round_shift((nx": "candidate",
    'c = count("c"': "c", "tanh_c =": "argument of c's function",
    'h = count("h", round_shift(o': "h of LSTM", "return count(\"h\"": "h of GRU",
    "rh = saturate": "r*h", "round_shift(a * b": "product",
    "scaled = round_shift": "mean", "return saturate(round_shift(total": "mean"}


@contextmanager
def watched():
    """While golden runs: (coverpoint, bin) -> how often, of ties and saturations."""
    seen = {}

    def add(point: str, which: str, number: int):
        seen[point, which] = seen.get((point, which), 0) + int(number)

    def rounding(values, shift):
        frame = sys._getframe(1)
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        place = next(place for text, place in _PLACES.items() if text in line)
        right = np.maximum(np.asarray(shift, dtype=np.int64), 0)
        rest = np.asarray(values) & ((np.int64(1) << right) - 1)
        add("rounding tie", place, np.sum((right > 0) & (rest == (np.int64(1) << right) >> 1)))
        return round_shift(values, shift)

    plain = model._Counter.__call__

    def clipping(self, name, values, width):
        place, top = "pre-activation" if name.startswith("pre") else name, 1 << (width - 1)
        add("saturation", f"{place} low", np.sum(values < -top))
        add("saturation", f"{place} high", np.sum(values >= top))
        return plain(self, name, values, width)

    with mock.patch.object(model, "round_shift", rounding), \
            mock.patch.object(pool, "round_shift", rounding), \
            mock.patch.object(model._Counter, "__call__", clipping):
        yield seen


def counted(found: dict) -> dict:
    """Coverpoint -> bin -> count, of all bins; KeyError for one that is none."""
    points = {point: dict.fromkeys(bins, 0) for point, bins in POINTS.items()}
    for (point, which), number in found.items():
        points[point][which] += int(number)
    return points
