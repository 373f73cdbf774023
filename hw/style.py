"""What the element-wise step of a phase does beyond its ``Op``: limits, coupled gates."""

from dataclasses import dataclass

from amaranth import *

from golden.network import Cell, IntLayer

__all__ = ["Style", "select", "style_of"]


@dataclass(frozen=True, kw_only=True)
class Style:
    """Constants of a phase's element-wise step; the default is that of every plain cell.

    Parameters
    ----------
    limits : (int or None, int or None)
        Bounds of the pre-activations at the places f and g, in their codes.
    coupled : bool
        An LSTM without rows of f: f = 1 - i.
    """

    limits: tuple = (None, None)
    coupled: bool = False


def style_of(layer: IntLayer) -> Style:
    """The style of a layer's phases."""
    places = 1 if layer.cell in (Cell.RNN, Cell.LINEAR) else 2
    limits = tuple(layer.place(idx).limit for idx in range(places))
    return Style(limits=(*limits, None)[:2], coupled=layer.coupled)


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
    values = {pick(phase.style) for phase in program.phases if phase.op in ops}
    if len(values) < 2:
        return C(values.pop() if values else 0, shape)
    return Array(C(pick(style), shape) for style in program.styles)[tag.style]
