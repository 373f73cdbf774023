"""Integer form of what a layer's cell has out of the ordinary: limits and peepholes."""

import numpy as np

from .cells import Place
from .fixed import Fixed, quantise
from .network import FloatLayer

__all__ = ["make_places", "peephole_codes", "peephole_fracs"]

WITH_PEEPHOLE = (0, 1, 3)  # i, f, o of i, f, g, o


def make_places(layer: FloatLayer, *, pre: Fixed, out: Fixed) -> tuple:
    """The ``Place`` of each of a layer's functions; empty where none is out of the ordinary.

    Parameters
    ----------
    layer : FloatLayer
    pre, out : Fixed
        What goes into the layer's functions and what comes out of them.
    """
    if layer.clip is None:
        return ()
    limit = int(quantise(layer.clip, pre))
    if limit >= pre.max:
        return ()
    # An LSTM's h takes the cell state, which is not clipped.
    return tuple(Place(function=function, pre=pre, out=out, limit=limit if idx < 2 else None)
                 for idx, function in enumerate(layer.functions))


def peephole_fracs(acc_frac, cell: Fixed, lift: int) -> np.ndarray:
    """Fractional bits of each peephole: with c's they are ``lift`` more than its row's sum has.

    Parameters
    ----------
    acc_frac : int64 (4*H,), of the rows i, f, g, o
    cell : Fixed
    lift : int
        ``IntCell.peephole_lift``.

    Returns
    -------
    int64 (3, H)
    """
    return acc_frac.reshape(4, -1)[WITH_PEEPHOLE, :] + lift - cell.frac


def peephole_codes(peephole, acc_frac, cell: Fixed, least: int) -> tuple:
    """Peepholes in integers.

    Parameters
    ----------
    peephole : float64 (3, H), of i, f and o
    acc_frac, cell : see ``peephole_fracs``
    least : int
        Fractional bits that each code has at least.

    Returns
    -------
    (int64 (3, H), int)
        Codes and ``IntCell.peephole_lift``.
    """
    lift = least - int(peephole_fracs(acc_frac, cell, 0).min())
    return np.rint(np.ldexp(peephole, peephole_fracs(acc_frac, cell, lift))).astype(np.int64), lift
