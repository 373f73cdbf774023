"""What is out of the ordinary in the cells of the campaign's networks, straight in integers.

Functions at every place with any formats, bounds, coupled gates, peepholes: legal ones that no
calibration would choose are drawn as well, so that sums and products are clipped often.
"""

from dataclasses import replace

import numpy as np

from golden.cells import PLACES, Place
from golden.curves import make_curve
from golden.fixed import Fixed
from golden.functions import TABLED, Activation, Function
from golden.network import Cell, IntLayer

__all__ = ["specialise"]

MOST_BITS = 58          # of a sum with its peephole at its finest scale: golden's int64 holds it
_PARAMETERS = {Activation.AFFINE: 2, Activation.LEAKY_RELU: 1, Activation.THRESHOLDED_RELU: 1,
               Activation.SCALED_TANH: 2, Activation.HARD_SIGMOID: 2, Activation.ELU: 1}


def _function(rng) -> Function:
    """Any function; parameters of a size that has lines."""
    activation = Activation(str(rng.choice(list(Activation))))
    values = [round(float(rng.normal()), 2) for _ in range(_PARAMETERS.get(activation, 0))]
    return Function(activation=activation, **dict(zip(("alpha", "beta"), values)))


def _place(rng, function: Function, pre: Fixed, out: Fixed) -> Place:
    """The function with a format for its input, and perhaps a bound.

    Raises
    ------
    ValueError
        If there are no lines for it.
    """
    place = Place(function=function, pre=pre, out=out)
    if place.is_straight:
        place = replace(place, pre=Fixed(width=pre.width, frac=out.frac))
    elif place.is_curve:
        frac = pre.frac + int(rng.integers(-3, 2))
        place = replace(place, pre=Fixed(width=pre.width, frac=frac))
        make_curve(function, place.pre, out)
    if rng.random() < 0.4:
        place = replace(place, limit=int(np.exp(rng.uniform(0, np.log(place.pre.max)))) - 1)
    return place


def _places(rng, layer: IntLayer, gate: Fixed, pre: Fixed, cell: Fixed) -> tuple:
    """(places, format of h) of a layer."""
    count, width = len(set(PLACES[layer.cell])) + (layer.cell is Cell.LSTM), gate.width
    functions = [layer.place(idx).function for idx in range(count)]
    functions = [_function(rng) if rng.random() < 0.6 else function for function in functions]
    places, h = [], layer.h
    if layer.cell.recurrent and rng.random() < 0.5:
        h = Fixed(width=width, frac=int(width - 1 - rng.integers(0, 7)))
    for idx, function in enumerate(functions):
        low, high = max(1, width - 8), width - 1
        if idx == 1 and layer.cell is Cell.LSTM:          # golden's sums stay within 62 bits
            low, high = max(low, cell.frac - 24), min(high, cell.frac + 18)
        out = Fixed(width=width, frac=int(rng.integers(low, max(low, high), endpoint=True)))
        if function.activation in TABLED:
            out = gate
        if idx == count - 1 and layer.cell is not Cell.LSTM:
            out = h
        places.append(_place(rng, function, pre, out))
    return tuple(places), h


def _peephole(rng, layer: IntLayer, weight_width: int, cell: Fixed) -> dict:
    """Fields of ``IntLayer``."""
    bits = int(rng.integers(2, weight_width + 6))
    codes = rng.integers(-(1 << bits - 1), 1 << bits - 1, size=(3, layer.units))
    lift = int(rng.integers(-8, 8))
    if max(layer.acc_bound.bit_length() + max(lift, 0),
           bits + cell.width + max(-lift, 0)) > MOST_BITS - 20:
        return {}
    return {"peephole": codes, "peephole_lift": lift}


def specialise(layer: IntLayer, seed: tuple, *, weight_width: int, formats: tuple) -> IntLayer:
    """A layer with another cell, its rows' shifts kept.

    Parameters
    ----------
    layer : IntLayer
    seed : tuple of int
    weight_width : int
    formats : (Fixed, Fixed, Fixed)
        Of gate, pre and c.

    Raises
    ------
    ValueError
        If a function that was drawn has no lines.
    """
    rng, (gate, pre, cell) = np.random.default_rng(seed), formats
    shift, own = layer.row_shift, {}
    if rng.random() < 0.7:
        places, h = _places(rng, layer, gate, pre, cell)
        fracs = [places[idx].pre.frac for idx in PLACES[layer.cell]]
        own = {"places": places, "h": h, "pre": places[0].pre,
               "acc_frac": shift + np.repeat(np.array(fracs, dtype=np.int64), layer.units)}
    if layer.cell is Cell.LSTM:
        own["coupled"] = bool(rng.random() < 0.3)
        if rng.random() < 0.5:
            own |= _peephole(rng, layer, weight_width, cell)
    return replace(layer, **own)
