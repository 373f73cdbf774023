"""The arithmetic contract a third time, for tests: numbers of the fixed-point library apytypes.

Formats, products, sums, rounding and saturation are the library's own. A sum or product of its
numbers is as wide as it takes; ``narrow`` alone brings one to a format of the contract:
``TIES_POS`` is floor(v/2**s + 1/2), ``SAT`` keeps both ends.
"""

from apytypes import APyFixed, APyFixedArray, OverflowMode, QuantizationMode

from golden.curves import Curve, make_curve
from golden.fixed import Fixed
from golden.functions import Activation
from golden.network import Cell, IntLayer, IntNetwork
from golden.pool import GUARD as MEAN_GUARD, RECIPROCAL
from golden.tables import GUARD, TanhTable, make_table
from tests.walk import walk

__all__ = ["code", "narrow", "number", "run_apy"]

WIDE = 80       # bits; no code that a file or a table holds is wider
ZERO, ONE = (APyFixed(value, bits=2, frac_bits=0) for value in (0, 1))


def number(code: int, frac: int, width: int = WIDE) -> APyFixed:
    """An integer code as what it stands for."""
    return APyFixed(int(code), bits=width, frac_bits=int(frac))


def code(value: APyFixed) -> int:
    """The integer code of a number, in the format that it has."""
    bits = value.to_bits()
    return bits - (1 << value.bits) if bits >> (value.bits - 1) else bits


def narrow(value: APyFixed, fmt: Fixed) -> APyFixed:
    """The nearest number of a format, ties towards plus infinity, or an end of it."""
    return value.cast(bits=fmt.width, frac_bits=fmt.frac,
                      quantization=QuantizationMode.TIES_POS, overflow=OverflowMode.SAT)


def parts(value: APyFixed) -> tuple:
    """(integer at or below a number that is not negative, what is left of it)."""
    below = value.cast(int_bits=value.int_bits, frac_bits=0,
                       quantization=QuantizationMode.TO_NEG)
    return code(below), value - below


def clamp(value: APyFixed, limit: int | None, frac: int) -> APyFixed:
    """Within [-limit, limit], in codes of the number's own format."""
    if limit is None:
        return value
    end = number(limit, frac)
    return narrow(min(max(value, -end), end), Fixed(width=value.bits, frac=frac))


def table_value(value: APyFixed, table: TanhTable, function: Activation) -> APyFixed:
    """sigmoid(a) = (1 + tanh(a/2)) / 2 or tanh(a), by the lines that tanh has from 0 to 8."""
    argument = value >> 1 if function is Activation.SIGMOID else value
    # Four integer bits with the sign: the ends of this format are the ends of the lines.
    near = abs(argument).cast(int_bits=4, frac_bits=table.pre.frac + 1,
                              overflow=OverflowMode.SAT)
    segment, offset = parts(near << (table.log2_segments - 3))
    frac = table.out.frac + GUARD
    line = number(table.base[segment], frac) + number(table.slope[segment], frac) * offset
    line = -line if value < ZERO else line
    return narrow((ONE + line) >> 1 if function is Activation.SIGMOID else line, table.out)


def curve_value(value: APyFixed, curve: Curve) -> APyFixed:
    """A function by lines of its own, from its border upwards or downwards."""
    above = number(code(value) - curve.split, 0)
    side, distance = (curve.sides[1], -above - ONE) if above < ZERO else (curve.sides[0], above)
    segment, offset = parts(distance >> side.offset_bits)
    frac = curve.out.frac + GUARD
    line = number(side.base[segment], frac) + number(side.slope[segment], frac) * offset
    result = narrow(line, curve.out)
    return narrow(max(result, ZERO), curve.out) if curve.floor else result


class _Cell:
    """One layer with its state; weights of a row share a format."""

    def __init__(self, layer: IntLayer, network: IntNetwork, table: TanhTable, h, c):
        self.layer, self.network, self.table = layer, network, table
        self.h = [number(v, layer.h.frac, layer.h.width) for v in h]
        self.c = [number(v, network.cell.frac, network.cell.width) for v in c]
        fracs = [int(frac) for frac in layer.acc_frac]
        bits = network.weight_width

        def rows(matrix, scale):
            return [APyFixedArray([int(w) for w in row], bits=bits, frac_bits=frac - scale)
                    for row, frac in zip(matrix, fracs, strict=True)]

        self.w = rows(layer.w, layer.x.frac + layer.x_shift)
        self.r = None if layer.r is None else rows(layer.r, layer.h.frac + layer.h_shift)
        self.bias_x, self.bias_h = ([number(b, frac) for b, frac in zip(bias, fracs, strict=True)]
                                    for bias in (layer.bias_x, layer.bias_h))
        self.p = {}
        if layer.peephole is not None:
            for gate, row, codes in zip("ifo", (0, 1, 3), layer.peephole, strict=True):
                self.p[gate] = [number(p, fracs[row * layer.units + j] + layer.peephole_lift
                                       - network.cell.frac) for j, p in enumerate(codes)]

    def function(self, value: APyFixed, idx: int) -> APyFixed:
        """That of a place."""
        place = self.layer.place(idx)
        which = place.function.activation
        if place.is_curve:
            return curve_value(value, make_curve(place.function, place.pre, place.out))
        if which in (Activation.SIGMOID, Activation.TANH):
            return table_value(value, self.table, which)
        return narrow(max(value, ZERO) if which is Activation.RELU else value, place.out)

    def bounded(self, total: APyFixed, idx: int) -> APyFixed:
        """A sum as it enters the function of a place."""
        place = self.layer.place(idx)
        return clamp(narrow(total, place.pre), place.limit, place.pre.frac)

    def from_x(self, row: int, x) -> APyFixed:
        return self.w[row] @ x + self.bias_x[row]

    def from_h(self, row: int, h) -> APyFixed:
        return self.r[row] @ h + self.bias_h[row]

    def both(self, row: int, x, h) -> APyFixed:
        return self.from_x(row, x) + self.from_h(row, h)

    def vector(self, values, fmt: Fixed) -> APyFixedArray:
        return APyFixedArray([code(v) for v in values], bits=fmt.width, frac_bits=fmt.frac)

    def step(self, vector) -> dict:
        """Signals of the next step, each a list of H codes; vector: I codes."""
        layer = self.layer
        x = APyFixedArray(vector, bits=layer.x.width, frac_bits=layer.x.frac)
        h, units = self.vector(self.h, layer.h), range(layer.units)
        if layer.cell is Cell.GRU_RESET_BEFORE:
            gates = [self.gates(j, x, h) for j in units]
            for j, gate in enumerate(gates):
                gate["rh"] = narrow(gate["r"] * self.h[j], layer.h)
            rh = self.vector([gate["rh"] for gate in gates], layer.h)
            neurons = [gate | self.candidate(j, self.bounded(
                self.both(2 * layer.units + j, x, rh), 1), gate["z"])
                for j, gate in enumerate(gates)]
        else:
            make = {Cell.LSTM: self.lstm, Cell.GRU: self.gru, Cell.PRODUCT: self.product,
                    Cell.RNN: self.plain, Cell.LINEAR: self.plain}[layer.cell]
            neurons = [make(j, x, h) for j in units]
        self.h = [neuron["h"] for neuron in neurons]
        self.c = [neuron["c"] for neuron in neurons] if layer.cell is Cell.LSTM else self.c
        return {name: [code(neuron[name]) for neuron in neurons] for name in neurons[0]}

    def plain(self, j: int, x, h) -> dict:
        recurrent = self.layer.cell is Cell.RNN
        pre = self.bounded(self.both(j, x, h) if recurrent else self.from_x(j, x), 0)
        return {"pre": pre, "h": self.function(pre, 0)}

    def product(self, j: int, x, h) -> dict:
        a, b = (self.function(self.bounded(self.from_x(row, x), 0), 0)
                for row in (j, self.layer.units + j))
        return {"a": a, "b": b, "h": narrow(a * b, self.layer.h)}

    def lstm(self, j: int, x, h) -> dict:
        """c = f*c + i*g, h = o*tanh(c): each a sum or product that is narrowed once."""
        units, cell, last = self.layer.units, self.network.cell, self.layer.place(2)

        def pre(row, gate, c):
            total = self.both(row * units + j, x, h)
            return self.bounded(total + self.p[gate][j] * c if gate in self.p else total,
                                int(gate == "g"))

        old = self.c[j]
        made = {"pre_i": pre(0, "i", old), "pre_g": pre(2, "g", old)}
        i, g = self.function(made["pre_i"], 0), self.function(made["pre_g"], 1)
        if self.layer.coupled:
            f = narrow(ONE - i, self.layer.place(0).out)
        else:
            made["pre_f"] = pre(1, "f", old)
            f = self.function(made["pre_f"], 0)
        c = narrow(f * old + i * g, cell)
        made["pre_o"] = pre(3, "o", c)
        o, tanh_c = self.function(made["pre_o"], 0), self.function(narrow(c, last.pre), 2)
        return made | {"i": i, "f": f, "g": g, "o": o, "c": c, "tanh_c": tanh_c,
                       "h": narrow(o * tanh_c, self.layer.h)}

    def gates(self, j: int, x, h) -> dict:
        pre_r, pre_z = (self.bounded(self.both(row, x, h), 0)
                        for row in (j, self.layer.units + j))
        return {"pre_r": pre_r, "pre_z": pre_z,
                "r": self.function(pre_r, 0), "z": self.function(pre_z, 0)}

    def candidate(self, j: int, pre_n: APyFixed, z: APyFixed) -> dict:
        """h = n + z*(h - n), narrowed once."""
        n = self.function(pre_n, 1)
        return {"pre_n": pre_n, "n": n, "h": narrow(n + z * (self.h[j] - n), self.layer.h)}

    def gru(self, j: int, x, h) -> dict:
        """Reset behind the product: the candidate's two parts are narrowed, then their sum."""
        row, fmt, made = 2 * self.layer.units + j, self.layer.place(1).pre, self.gates(j, x, h)
        pre_nx, pre_nh = narrow(self.from_x(row, x), fmt), narrow(self.from_h(row, h), fmt)
        made |= {"pre_nx": pre_nx, "pre_nh": pre_nh}
        return made | self.candidate(j, self.bounded(pre_nx + made["r"] * pre_nh, 1), made["z"])

    def pool(self, vectors) -> list:
        """The largest, or the sum times a reciprocal: 2**e / T, where T is at most 2**e."""
        if self.layer.cell is Cell.MAX:
            return [max(column) for column in zip(*vectors, strict=True)]
        fmt, exponent = self.layer.h, (len(vectors) - 1).bit_length()
        # The quotient's own format does not show where it lies: 40 bits more do.
        quotient = number((1 << (exponent + RECIPROCAL + 40)) // len(vectors), RECIPROCAL + 40)
        inverse = narrow(quotient, Fixed(width=62, frac=RECIPROCAL))
        results = []
        for column in zip(*vectors, strict=True):
            total = sum((number(v, fmt.frac) for v in column), ZERO)
            part = narrow(total >> exponent, Fixed(width=62, frac=fmt.frac + MEAN_GUARD))
            results.append(code(narrow(part * inverse, fmt)))
        return results


def run_apy(network: IntNetwork, x, h0=None, c0=None, *, table: TanhTable | None = None) -> list:
    """One sequence; parameters and result as ``scalar_model.run_scalar``'s."""
    table = table or make_table(network.pre, network.gate)

    def start(idx):
        zero = [0] * network.layers[idx].units
        return _Cell(network.layers[idx], network, table, (h0 or {}).get(idx, zero),
                     (c0 or {}).get(idx, zero))

    return walk(network, x, start)
