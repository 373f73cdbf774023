"""The arithmetic contract once more, for tests: exact rational values, one number at a time.

Nothing here is an integer code until it is compared: every quantity is the ``Fraction`` that it
stands for, so that no shift, no common scale and no broadcasting can go wrong in the same way as in
``golden.model``. Slow, and meant to be.
"""

from fractions import Fraction
from math import floor

from golden.curves import Curve, make_curve
from golden.fixed import Fixed
from golden.functions import Activation
from golden.network import Cell, IntLayer, IntNetwork
from golden.pool import GUARD as MEAN_GUARD, RECIPROCAL
from golden.tables import GUARD, TanhTable, make_table
from tests.walk import walk

__all__ = ["run_scalar", "table_value"]


def narrow(value: Fraction, fmt: Fixed) -> Fraction:
    """Nearest value of a format, ties towards plus infinity, then clipped."""
    code = floor(value * Fraction(2) ** fmt.frac + Fraction(1, 2))
    return Fraction(min(max(code, fmt.min), fmt.max)) / Fraction(2) ** fmt.frac


def code(value: Fraction, frac: int) -> int:
    """The integer of a value that needs no rounding."""
    scaled = value * Fraction(2) ** frac
    assert scaled.denominator == 1
    return int(scaled)


def values_of(codes, frac: int) -> list:
    """What integers stand for."""
    return [int(v) / Fraction(2) ** frac for v in codes]


def table_value(value: Fraction, table: TanhTable, function: Activation) -> Fraction:
    """sigmoid or tanh of a value, from the table's straight lines."""
    if function is Activation.SIGMOID:
        value /= 2
    segments = len(table.base)
    # The last place below 8 of an argument with one fractional bit more than the input has.
    top = 8 - Fraction(1, 2 ** (table.pre.frac + 1))
    position = min(abs(value), top) * segments / 8
    k = floor(position)
    line = (int(table.base[k]) + int(table.slope[k]) * (position - k)) / Fraction(
        2 ** (table.out.frac + GUARD))
    result = -line if value < 0 else line
    if function is Activation.SIGMOID:
        result = (1 + result) / 2
    return narrow(result, table.out)


def curve_value(value: Fraction, curve: Curve) -> Fraction:
    """A function of a value, from its own straight lines."""
    place = value * Fraction(2) ** curve.pre.frac - curve.split
    side = curve.sides[int(place < 0)]
    position = (-1 - place if place < 0 else place) / 2 ** side.offset_bits
    k = floor(position)
    line = int(side.base[k]) + int(side.slope[k]) * (position - k)
    result = narrow(line / Fraction(2) ** (curve.out.frac + GUARD), curve.out)
    return max(result, Fraction(0)) if curve.floor else result


class _Layer:
    """One layer's weights as values."""

    def __init__(self, layer: IntLayer, network: IntNetwork, table: TanhTable):
        self.layer, self.network, self.table = layer, network, table
        fracs = [int(frac) for frac in layer.acc_frac]
        two = Fraction(2)

        def values(matrix, fmt, shift):
            return [[int(w) / two ** (frac - fmt.frac - shift) for w in row]
                    for row, frac in zip(matrix, fracs, strict=True)]

        self.w = values(layer.w, layer.x, layer.x_shift)
        self.r = None if layer.r is None else values(layer.r, layer.h, layer.h_shift)
        self.bias_x = [int(b) / two ** frac for b, frac in zip(layer.bias_x, fracs, strict=True)]
        self.bias_h = [int(b) / two ** frac for b, frac in zip(layer.bias_h, fracs, strict=True)]

        self.p = None if layer.peephole is None else [
            [int(p) / two ** (fracs[k * layer.units + j] + layer.peephole_lift - network.cell.frac)
             for j, p in enumerate(row)] for k, row in zip((0, 1, 3), layer.peephole)]

    def from_x(self, row: int, x) -> Fraction:
        return sum((w * v for w, v in zip(self.w[row], x, strict=True)), self.bias_x[row])

    def from_h(self, row: int, h) -> Fraction:
        return sum((r * v for r, v in zip(self.r[row], h, strict=True)), self.bias_h[row])

    def function(self, value: Fraction, idx: int) -> Fraction:
        """That of a place."""
        place = self.layer.place(idx)
        which = place.function.activation
        if place.is_curve:
            return curve_value(value, make_curve(place.function, place.pre, place.out))
        if which in (Activation.SIGMOID, Activation.TANH):
            return table_value(value, self.table, which)
        result = max(value, Fraction(0)) if which is Activation.RELU else value
        return narrow(result, place.out)

    def bounded(self, value: Fraction, idx: int) -> Fraction:
        place = self.layer.place(idx)
        if place.limit is None:
            return value
        limit = place.limit / Fraction(2) ** place.pre.frac
        return min(max(value, -limit), limit)

    def signals(self, x, h, c) -> dict:
        """Signals of one step, each a list of H values; x, h, c likewise."""
        cell, units = self.layer.cell, self.layer.units
        if cell is Cell.LSTM:
            neurons = [self.lstm(j, units, x, h, c) for j in range(units)]
        elif cell is Cell.GRU:
            neurons = [self.gru(j, units, x, h) for j in range(units)]
        elif cell is Cell.GRU_RESET_BEFORE:
            gates = [self.reset_update(j, units, x, h) for j in range(units)]
            rh = [gate["rh"] for gate in gates]
            neurons = [gate | self.candidate(j, units, x, h, rh, gate["z"])
                       for j, gate in enumerate(gates)]
        elif cell is Cell.PRODUCT:
            neurons = [self.product(j, units, x) for j in range(units)]
        else:
            neurons = [self.plain(j, x, h) for j in range(units)]
        return {name: [neuron[name] for neuron in neurons] for name in neurons[0]}

    def plain(self, j: int, x, h) -> dict:
        total = self.from_x(j, x)
        if self.layer.cell is Cell.RNN:
            total += self.from_h(j, h)
        pre = self.bounded(narrow(total, self.layer.place(0).pre), 0)
        return {"pre": pre, "h": self.function(pre, 0)}

    def product(self, j: int, units: int, x) -> dict:
        place = self.layer.place(0)
        a, b = (narrow(narrow(self.from_x(row, x), place.pre), place.out)
                for row in (j, units + j))
        return {"a": a, "b": b, "h": narrow(a * b, self.layer.h)}

    def pre(self, row: int, x, h, idx: int, peephole=Fraction(0)) -> Fraction:
        total = self.from_x(row, x) + self.from_h(row, h) + peephole
        return self.bounded(narrow(total, self.layer.place(idx).pre), idx)

    def lstm(self, j: int, units: int, x, h, c) -> dict:
        last = self.layer.place(2)
        p_i, p_f, p_o = (p[j] for p in self.p) if self.p else (Fraction(0),) * 3
        pre_i, pre_g = self.pre(j, x, h, 0, p_i * c[j]), self.pre(2 * units + j, x, h, 1)
        i, g = self.function(pre_i, 0), self.function(pre_g, 1)
        if self.layer.coupled:
            f, more = narrow(1 - i, self.layer.place(0).out), {}
        else:
            more = {"pre_f": self.pre(units + j, x, h, 0, p_f * c[j])}
            f = self.function(more["pre_f"], 0)
        new = narrow(f * c[j] + i * g, self.network.cell)
        pre_o = self.pre(3 * units + j, x, h, 0, p_o * new)
        o, tanh_c = self.function(pre_o, 0), self.function(narrow(new, last.pre), 2)
        return more | {"pre_i": pre_i, "pre_g": pre_g, "pre_o": pre_o, "i": i, "f": f, "g": g,
                       "o": o, "c": new, "tanh_c": tanh_c, "h": narrow(o * tanh_c, self.layer.h)}

    def gru(self, j: int, units: int, x, h) -> dict:
        pre_r, pre_z = self.pre(j, x, h, 0), self.pre(units + j, x, h, 0)
        r, z = self.function(pre_r, 0), self.function(pre_z, 0)
        row, fmt = 2 * units + j, self.layer.place(1).pre
        pre_nx, pre_nh = narrow(self.from_x(row, x), fmt), narrow(self.from_h(row, h), fmt)
        pre_n = self.bounded(narrow(pre_nx + r * pre_nh, fmt), 1)
        n = self.function(pre_n, 1)
        return {"pre_r": pre_r, "pre_z": pre_z, "pre_nx": pre_nx, "pre_nh": pre_nh, "r": r, "z": z,
                "pre_n": pre_n, "n": n, "h": narrow(n + z * (h[j] - n), self.layer.h)}

    def reset_update(self, j: int, units: int, x, h) -> dict:
        pre_r, pre_z = self.pre(j, x, h, 0), self.pre(units + j, x, h, 0)
        r, z = self.function(pre_r, 0), self.function(pre_z, 0)
        return {"pre_r": pre_r, "pre_z": pre_z, "r": r, "z": z,
                "rh": narrow(r * h[j], self.layer.h)}

    def candidate(self, j: int, units: int, x, h, rh, z) -> dict:
        pre_n = self.pre(2 * units + j, x, rh, 1)
        n = self.function(pre_n, 1)
        return {"pre_n": pre_n, "n": n, "h": narrow(n + z * (h[j] - n), self.layer.h)}


class _Cell(_Layer):
    """A layer with its state: codes in, codes out."""

    def __init__(self, layer: IntLayer, network: IntNetwork, table: TanhTable, h, c):
        super().__init__(layer, network, table)
        self.h, self.c = values_of(h, layer.h.frac), values_of(c, network.cell.frac)

    def step(self, vector) -> dict:
        signals = self.signals(values_of(vector, self.layer.x.frac), self.h, self.c)
        self.h, self.c = signals["h"], signals.get("c", self.c)
        return {name: [code(v, self.layer.format_of(name, self.network.cell).frac)
                       for v in values] for name, values in signals.items()}

    def pool(self, vectors) -> list:
        """The largest, or the sum times a reciprocal: 2**e / T, where T is at most 2**e."""
        if self.layer.cell is Cell.MAX:
            return [max(column) for column in zip(*vectors, strict=True)]
        fmt, count = self.layer.h, len(vectors)
        power = 1
        while power < count:
            power *= 2
        inverse = narrow(Fraction(power, count), Fixed(width=62, frac=RECIPROCAL))
        results = []
        for column in zip(*vectors, strict=True):
            part = narrow(sum(values_of(column, fmt.frac)) / power,
                          Fixed(width=62, frac=fmt.frac + MEAN_GUARD))
            results.append(code(narrow(part * inverse, fmt), fmt.frac))
        return results


def run_scalar(network: IntNetwork, x, h0=None, c0=None, *, table: TanhTable | None = None) -> list:
    """One sequence.

    Parameters
    ----------
    network : IntNetwork
    x : codes (T, I), or token ids (T, 1)
    h0, c0 : dict of layer to codes (H,)
    table : TanhTable or None
        In place of the network's own.

    Returns
    -------
    list of dict, one a layer
        Signal to integer codes, list of T lists of H.
    """
    table = table or make_table(network.pre, network.gate)

    def start(idx):
        layer = network.layers[idx]
        zero = [0] * layer.units
        return _Cell(layer, network, table, (h0 or {}).get(idx, zero), (c0 or {}).get(idx, zero))

    return walk(network, x, start)
