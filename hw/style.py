"""What the element-wise step of a phase does beyond its ``Op``: functions, limits.
"""

from dataclasses import dataclass

from amaranth import *

from golden.cells import Place
from golden.network import IntLayer

__all__ = ["Style", "by_style", "select", "style_of"]


@dataclass(frozen=True, kw_only=True)
class Style:
    """Constants of a phase's element-wise step; the default is that of every plain cell.

    Parameters
    ----------
    places : tuple of Place
        Of the layer; empty where they are the cell's own.
    coupled : bool
        An LSTM without rows of f: f = 1 - i.
    h_frac : int or None
        Fractional bits of the results, where ``places`` are given.
    """

    places: tuple = ()
    coupled: bool = False
    h_frac: int | None = None

    def place(self, idx: int) -> Place | None:
        """None where it is the cell's own, or where there is none."""
        return self.places[idx] if idx < len(self.places) else None

    def limit(self, idx: int) -> int | None:
        """Bound of the pre-activations of a place, in their codes."""
        place = self.place(idx)
        return None if place is None else place.limit

    def out_frac(self, idx: int, default: int) -> int:
        """Fractional bits of what comes out of a place."""
        place = self.place(idx)
        return default if place is None else place.out.frac

    def pre_frac(self, idx: int, default: int) -> int:
        """Fractional bits of what goes into a place."""
        place = self.place(idx)
        return default if place is None else place.pre.frac


def style_of(layer: IntLayer) -> Style:
    """The style of a layer's phases."""
    return Style(places=layer.places, coupled=layer.coupled,
                 h_frac=layer.h.frac if layer.places else None)


def select(program, ops, tag, shape, pick) -> Value:
    """A constant of the style of a tag's phase: no logic where all phases agree on it.

    Parameters
    ----------
    program : Program
    ops : collection of Op
        The phases to which it matters.
    tag : Layout.row_tag
    shape : Shape
        Of the constant.
    pick : function of Style to int
    """
    return by_style(program, ops, tag, pick, lambda value: C(value, shape))


def by_style(program, ops, tag, pick, build) -> Value:
    """``build(pick(style))`` of the style of a tag's phase; built once where all phases agree.

    Parameters
    ----------
    program, ops, tag, pick : see ``select``
    build : function of int to Value
    """
    values = {pick(phase.style) for phase in program.phases if phase.op in ops}
    if len(values) < 2:
        return build(values.pop() if values else pick(Style()))
    # A style of other phases is never asked for.
    picked = [pick(style) for style in program.styles]
    return Array(build(value if value in values else min(values)) for value in picked)[tag.style]
