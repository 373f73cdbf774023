"""Golden beside arithmetics that were written without it: whole networks, and every small number.

``tests.apy_model`` computes with the numbers of the library apytypes, ``tests.scalar_model`` with
exact rationals. All comparisons are of integer codes, and equality.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import floor

import numpy as np
from apytypes import APyFixedArray, OverflowMode, QuantizationMode

from gatewright.campaign_networks import Config, make_codes, make_network, make_table
from golden import curves, fixed, model, tables
from golden.fixed import Fixed
from golden.functions import TABLED, Activation, Function
from golden.network import Cell
from tests import apy_model, scalar_model

__all__ = ["FEATURES", "NUMBERS", "Opinion", "of_network", "of_numbers"]

MODELS = {"apytypes": apy_model.run_apy, "rationals": scalar_model.run_scalar}
WIDTHS, SHIFTS = range(1, 11), range(-4, 13)     # bits of a number, right shift
FORMATS = [Fixed(width=width, frac=frac) for width in range(1, 8) for frac in range(-4, 7)]
CURVES = [Function(activation=activation, alpha=alpha, beta=beta) for activation, alpha, beta in (
    (Activation.AFFINE, -0.7, 0.3), (Activation.LEAKY_RELU, 0.1, 0), (Activation.ELU, 1.3, 0),
    (Activation.THRESHOLDED_RELU, 0.3, 0), (Activation.SCALED_TANH, 0.9, 1.4),
    (Activation.HARD_SIGMOID, 0.2, 0.5), (Activation.SOFTSIGN, 0, 0), (Activation.SOFTPLUS, 0, 0))]


# What a network may have, and all networks together must.
FEATURES = {
    **{str(cell): lambda network, cell=cell: any(layer.cell is cell for layer in network.layers)
       for cell in Cell},
    "functions of its own": lambda network: any(
        place.is_curve for layer in network.layers for place in layer.places),
    "clip": lambda network: any(
        place.limit is not None for layer in network.layers for place in layer.places),
    "coupled gates": lambda network: any(layer.coupled for layer in network.layers),
    "peepholes": lambda network: any(layer.peephole is not None for layer in network.layers),
    "reverse": lambda network: any(layer.reverse for layer in network.layers),
    "branches": lambda network: any(len(layer.reads) > 1 for layer in network.layers),
    "x shifted": lambda network: any(layer.x_shift for layer in network.layers),
    "h shifted": lambda network: any(layer.h_shift for layer in network.layers),
    "tokens": lambda network: network.embedding is not None,
    "initial states": lambda network: network.loads_state,
}


@dataclass(kw_only=True)
class Opinion:
    """What a comparison came to.

    Parameters
    ----------
    compared : int
        Values, once for each of the other arithmetics.
    clipped : int
        Of golden's values, those that saturation has changed.
    failure : str or None
        The first difference in words.
    met : frozenset of str
        Of ``FEATURES``, those that the network has.
    """

    compared: int = 0
    clipped: int = 0
    failure: str | None = None
    met: frozenset = frozenset()

    def take(self, what: str, golden, other):
        """Compare integers, by shape and value."""
        golden, other = np.asarray(golden), np.asarray(other)
        self.compared += golden.size
        if self.failure or (golden.shape == other.shape and np.array_equal(golden, other)):
            return
        where = "shapes" if golden.shape != other.shape else tuple(
            int(k) for k in np.argwhere(golden != other)[0])
        values = ((golden.shape, other.shape) if where == "shapes"
                  else (int(golden[where]), int(other[where])))
        self.failure = f"{what} at {where}: golden {values[0]}, not {values[1]}"


def of_network(config: Config) -> Opinion:
    """Every signal of every step of a configuration's network, by golden and by each model."""
    network = make_network(config)
    opinion = Opinion(met=frozenset(name for name, has in FEATURES.items() if has(network)))
    table = make_table(config, network)
    for codes in make_codes(config, network):
        run = model.run_golden(network, codes, keep=None, table=table)
        opinion.clipped += int(sum(count.sum() for layer in run.saturated
                                   for count in layer.values()))
        for s in range(len(codes)):
            states = [{idx: v[s] for idx, v in part.items()} for part in (codes.h0, codes.c0)]
            for title, other in MODELS.items():
                traces = other(network, codes.x[s], *states, table=table)
                for idx, (mine, trace) in enumerate(zip(run.signals, traces, strict=True)):
                    # The others have no accumulators: their sums are numbers, not codes.
                    if missing := (mine.keys() - {"acc"}) ^ trace.keys():
                        opinion.failure = f"{title}: layer {idx}, only one has {missing}"
                    for name, values in trace.items():
                        if name in mine:
                            opinion.take(f"{title}: sequence {s}, layer {idx}, {name}",
                                         mine[name][s], values)
    return opinion


def _cast(codes, frac: int, to: Fixed, rounding=QuantizationMode.TIES_POS) -> list:
    """Codes with ``frac`` fractional bits in another format, by apytypes."""
    made = APyFixedArray([int(v) for v in codes], bits=80, frac_bits=frac).cast(
        bits=to.width, frac_bits=to.frac, quantization=rounding, overflow=OverflowMode.SAT)
    return [apy_model.code(value) for value in made]


def _rounding(opinion: Opinion):
    """``round_shift`` and ``saturate``: every number of each width, by every shift."""
    for width in WIDTHS:
        values = np.arange(-(1 << (width - 1)), 1 << (width - 1))
        for shift in SHIFTS:
            got = fixed.round_shift(values, shift)
            opinion.take(f"round_shift of {width} bits by {shift}", got,
                         _cast(values, shift, Fixed(width=40, frac=0)))
            opinion.take(f"round_shift of {width} bits by {shift}, rationals", got,
                         [floor(int(v) / Fraction(2) ** shift + Fraction(1, 2)) for v in values])
        for to in range(1, width + 2):
            got, end = fixed.saturate(values, to), 1 << (to - 1)
            opinion.clipped += int(np.count_nonzero(got != values))
            opinion.take(f"saturate of {width} bits to {to}", got,
                         _cast(values, 0, Fixed(width=to, frac=0)))
            opinion.take(f"saturate of {width} bits to {to}, integers", got,
                         [min(max(int(v), -end), end - 1) for v in values])


def _quantise(opinion: Opinion):
    """Every quarter of a step, so every tie, to twice the range of each format on either side."""
    for fmt in FORMATS:
        quarters = np.arange(8 * fmt.min, -8 * fmt.min + 1)
        got = fixed.quantise(np.ldexp(quarters.astype(np.float64), -fmt.frac - 2), fmt)
        opinion.take(f"quantise to {fmt}, width {fmt.width}", got,
                     _cast(quarters, fmt.frac + 2, fmt, QuantizationMode.TIES_EVEN))
        opinion.take(f"quantise to {fmt}, width {fmt.width}, rationals", got,
                     [min(max(round(Fraction(int(v), 4)), fmt.min), fmt.max) for v in quarters])


def _functions(opinion: Opinion):
    """The tables and the curves at every code, at the narrowest input that a core has, and one
    more bit."""
    for width, frac in ((12, 7), (13, 8)):
        pre, out = Fixed(width=width, frac=frac), Fixed(width=frac + 3, frac=frac + 2)
        codes, table = np.arange(pre.min, pre.max + 1), tables.make_table(pre, out)
        numbers = [apy_model.number(v, pre.frac, pre.width) for v in codes]
        rationals = scalar_model.values_of(codes, pre.frac)
        for function in TABLED:
            got = tables.activate(codes, table, function)
            opinion.take(f"{function} of {width} bits", got, [
                apy_model.code(apy_model.table_value(v, table, function)) for v in numbers])
            opinion.take(f"{function} of {width} bits, rationals", got, [
                scalar_model.code(scalar_model.table_value(v, table, function), out.frac)
                for v in rationals])
        for function in CURVES:
            curve = curves.make_curve(function, pre, out)
            got = curves.trace_curve(codes, curve)
            opinion.take(f"{function} of {width} bits", got, [
                apy_model.code(apy_model.curve_value(v, curve)) for v in numbers])
            opinion.take(f"{function} of {width} bits, rationals", got, [
                scalar_model.code(scalar_model.curve_value(v, curve), out.frac)
                for v in rationals])


NUMBERS = {"round_shift and saturate": _rounding, "quantise": _quantise,
           "tables and curves": _functions}


def of_numbers(name: str) -> Opinion:
    """One of ``NUMBERS``: golden's primitives, exhaustively."""
    opinion = Opinion()
    NUMBERS[name](opinion)
    return opinion
