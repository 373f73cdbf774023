"""Formats of what a layer's cell has out of the ordinary: functions, limits and peepholes."""

import numpy as np

from .cells import Place
from .curves import make_curve
from .fixed import Fixed, quantise
from .functions import Activation, Function, limits_of
from .network import Cell, FloatLayer
from .ranges import choose_frac, largest_frac

__all__ = ["is_bounded", "make_places", "peephole_codes", "peephole_fracs", "range_format",
           "result_format", "unbounded_candidate"]

WITH_PEEPHOLE = (0, 1, 3)  # i, f, o of i, f, g, o
# What goes into each place's function, and what comes out.
_INPUTS = {Cell.LSTM: (("pre_i", "pre_f", "pre_o"), ("pre_g",), ("c",)),
           Cell.GRU: (("pre_r", "pre_z"), ("pre_n", "pre_nx", "pre_nh")),
           Cell.GRU_RESET_BEFORE: (("pre_r", "pre_z"), ("pre_n",)),
           Cell.RNN: (("a",),), Cell.LINEAR: (("a",),)}
_OUTPUTS = {Cell.LSTM: (("i", "f", "o"), ("g",), ("tanh_c",)), Cell.GRU: (("r", "z"), ("n",)),
            Cell.GRU_RESET_BEFORE: (("r", "z"), ("n",)), Cell.RNN: (("h",),),
            Cell.LINEAR: (("h",),)}
# Fractional bits of a candidate beyond those of c, and below: golden's sums stay within 62 bits.
MOST_BEYOND_C, MOST_BELOW_C = 18, 24
REACH_OF_TANH = 10.0       # from there on it is 1 at every width


def range_format(values, width: int, options, spare: int) -> Fixed:
    """The format that holds observed values, and ``spare`` more integer bits.

    Parameters
    ----------
    values : float64, any shape
    width : int
    options : QuantOptions
    spare : int
    """
    frac = int(choose_frac(values.reshape(1, -1), width, options.method)[0])
    return Fixed(width=width, frac=frac - spare)


def _within(function: Function, lowest: float) -> bool:
    """True if all values of a function are from ``lowest`` to 1."""
    low, high = limits_of(function)
    return lowest <= low and high <= 1.0


def _observed(trace: dict, names: tuple) -> np.ndarray:
    return np.concatenate([trace[name].ravel() for name in names if name in trace])


def is_bounded(layer: FloatLayer) -> bool:
    """True where no input can take a layer's results beyond 1."""
    functions = layer.functions
    # A GRU's z blends the old state and the candidate, if it is not outside of 0 to 1.
    gates = 0.0 if layer.cell in (Cell.GRU, Cell.GRU_RESET_BEFORE) else -1.0
    return _within(functions[0], gates) and (len(functions) == 1 or _within(functions[-1], -1.0))


def unbounded_candidate(layer: FloatLayer) -> bool:
    """True for an LSTM whose g may come to more than 1."""
    return layer.cell is Cell.LSTM and not _within(layer.functions[1], -1.0)


def result_format(layer: FloatLayer, trace: dict, gate: Fixed, options) -> Fixed:
    """Format of a layer's results: ``gate`` where they are bounded."""
    if layer.cell.pools or is_bounded(layer):
        return gate               # of a layer that pools that of what it reads: the caller knows it
    values = _observed(trace, ("h", "n", "tanh_c"))
    found = range_format(values, options.act_width, options, options.spare_bits)
    if layer.cell is Cell.PRODUCT:      # rounded, never widened
        return Fixed(width=found.width, frac=min(found.frac, 2 * _factor(trace, options).frac - 1))
    return found


def _factor(trace: dict, options) -> Fixed:
    """Format of the two factors of a product."""
    return range_format(_observed(trace, ("a", "b")), options.act_width, options,
                        options.spare_bits)


def _product_place(layer: FloatLayer, trace: dict, formats: dict, options) -> Place:
    """That of both factors: as they are read where rows only pick, else of the observed range."""
    x, h = formats["x"], formats["h"]
    picks = not layer.bias_x.any() and bool(np.all((layer.w == 0) | (layer.w == 1))) \
        and bool(np.all(layer.w.sum(axis=1) == 1))
    frac = max(x.frac if picks else _factor(trace, options).frac, -(-(h.frac + 1) // 2))
    return Place(function=layer.functions[0], pre=Fixed(width=formats["pre"].width, frac=frac),
                 out=Fixed(width=h.width, frac=frac))


def _out(layer: FloatLayer, idx: int, trace: dict, formats: dict, options) -> Fixed:
    """Format of what comes out of a place."""
    gate, h, cell = (formats[name] for name in ("gate", "h", "cell"))
    if idx == len(layer.functions) - 1 and layer.cell is not Cell.LSTM:
        return h
    if _within(layer.functions[idx], -1.0):
        return gate
    values = _observed(trace, _OUTPUTS[layer.cell][idx])
    frac = range_format(values, gate.width, options, options.spare_bits).frac
    if idx == 0:                                  # products of gates are rounded, never widened
        frac = min(max(frac, 1), gate.frac)
    elif idx == 1:
        frac = min(max(frac, cell.frac - MOST_BELOW_C), cell.frac + MOST_BEYOND_C)
    return Fixed(width=gate.width, frac=frac)


def _reach(function: Function) -> float:
    """From where on, on either side, the function does not change any more."""
    if function.activation is Activation.HARD_SIGMOID and function.alpha:
        return max(abs(function.beta), abs(1.0 - function.beta)) / abs(function.alpha)
    if function.activation is Activation.SCALED_TANH and function.beta:
        return REACH_OF_TANH / abs(function.beta)
    return np.inf


def _curve_input(layer: FloatLayer, idx: int, trace: dict, pre: Fixed, out: Fixed,
                 options) -> Fixed:
    """Format of what goes into a function that has lines of its own: the range that was observed,
    or the widest below it for which there are lines.
    """
    function, values = layer.functions[idx], _observed(trace, _INPUTS[layer.cell][idx])
    finest = pre.frac if out.frac == out.width - 1 else max(pre.frac, out.frac + 2)
    frac = range_format(values, pre.width, options, options.spare_bits).frac
    if np.isfinite(reach := _reach(function)):
        frac = max(frac, int(largest_frac(reach, pre.width)[0]))
    if layer.clip is not None and not (layer.cell is Cell.LSTM and idx == 2):
        frac = max(frac, int(largest_frac(layer.clip, pre.width)[0]))
    for tried in range(min(frac, finest), finest + 1):
        fmt = Fixed(width=pre.width, frac=tried)
        try:
            make_curve(function, fmt, out)
        except ValueError as err:
            if tried == finest:
                raise ValueError(f"layer {layer.name!r}: {err}; use another function, or fewer "
                                 "bits") from None
        else:
            break
    return fmt


def make_places(layer: FloatLayer, trace: dict, formats: dict, options) -> tuple:
    """The ``Place`` of each of a layer's functions; empty where none is out of the ordinary.

    Parameters
    ----------
    layer : FloatLayer
    trace : dict of float64
        Its signals on the calibration data.
    formats : dict of Fixed
        "pre" and "gate" of the tables, "h" of the layer's results, "cell" of c.
    options : QuantOptions

    Raises
    ------
    ValueError
        If a function has no table.
    """
    if layer.cell is Cell.PRODUCT:
        return (_product_place(layer, trace, formats, options),)
    if layer.clip is None and not layer.own_functions:
        return ()
    places, table = [], formats["pre"]
    for idx, function in enumerate(layer.functions):
        out = _out(layer, idx, trace, formats, options)
        pre, limit = table, None
        place = Place(function=function, pre=pre, out=out)
        if place.is_straight:
            pre = Fixed(width=table.width, frac=out.frac)
        elif place.is_curve:
            pre = _curve_input(layer, idx, trace, table, out, options)
        if layer.clip is not None and not (layer.cell is Cell.LSTM and idx == 2):
            code = int(quantise(layer.clip, pre))
            limit = code if code < pre.max else None
        places.append(Place(function=function, pre=pre, out=out, limit=limit))
    return tuple(places)


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
