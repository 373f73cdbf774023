"""Post-training quantisation: formats from calibration data, weights to integers, one table.

Powers of two only, symmetric. Each row of weights has its own fraction; the input part and the
recurrent part of a row share one accumulator, so frac(W) + frac(x) = frac(R) + frac(h) holds row by
row, and the input's fraction is chosen with that in mind.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from .fixed import Fixed, quantise
from .network import Activation, Cell, FloatLayer, FloatNetwork, IntLayer, IntNetwork
from .reference import Batch, run_float

__all__ = ["Method", "QuantOptions", "TensorReport", "quantise_network"]

MAX_ROW_SPREAD = 6       # fractional bits that a row may have beyond its matrix's widest row
MAX_ACCUMULATOR = 48     # bits: the widest accumulator that the array is built with
FRAC_SEARCH = 6          # how far below its largest fraction the input's may be moved


class Method(StrEnum):
    """How a range is taken from observed values."""

    MINMAX = "minmax"                # everything observed fits
    PERCENTILE = "percentile"        # 99.9 % of the magnitudes fit
    LEAST_SQUARES = "least-squares"  # smallest sum of squared errors, clipping included


@dataclass(frozen=True, kw_only=True)
class QuantOptions:
    """Widths and methods.

    Parameters
    ----------
    weight_width : int, 2 to 16
    act_width : int, 4 to 18
        Inputs, hidden states, gates and results.
    cell_width : int, 8 to 24
        The LSTM's c, whatever the weights' width.
    method : Method
    per_row : bool
        One weight fraction a row (True) or a matrix.
    headroom : int or None
        Spare integer bits of inputs and unbounded results beyond the calibration data; None: one
        bit from 12-bit words on, where it costs nothing that can be seen, none below.
    """

    weight_width: int = 8
    act_width: int = 16
    cell_width: int = 16
    method: Method = Method.MINMAX
    per_row: bool = True
    headroom: int | None = None

    def __post_init__(self):
        for name, low, high in (("weight_width", 2, 16), ("act_width", 4, 18),
                                ("cell_width", 8, 24)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, not {value!r}")
            if not low <= value <= high:
                raise ValueError(f"{name} must be {low} to {high} bits, not {value!r}")
        if self.headroom is not None and not 0 <= self.headroom <= 4:
            raise ValueError(f"headroom must be 0 to 4 bits, not {self.headroom!r}")

    @property
    def spare_bits(self) -> int:
        """Headroom with its default put in."""
        if self.headroom is not None:
            return self.headroom
        return 1 if self.act_width >= 12 else 0


@dataclass(frozen=True, kw_only=True)
class TensorReport:
    """One line of the quantisation table; ``sqnr_db`` is None where the error is zero.

    The error is the float network's values against their own quantised copies; what the integer
    network makes of them is golden's to tell.
    """

    name: str
    format: str
    min: float
    max: float
    saturated: int
    count: int
    sqnr_db: float | None


def _report(name: str, values, codes, step, text: str, saturated: int) -> TensorReport:
    error = np.sum((values - codes * step) ** 2)
    power = np.sum(np.square(values))
    sqnr = 10 * np.log10(power / error) if error > 0 and power > 0 else None
    return TensorReport(name=name, format=text, min=float(values.min()), max=float(values.max()),
                        saturated=saturated, count=values.size,
                        sqnr_db=None if sqnr is None else float(sqnr))


def _report_values(name: str, values, fmt: Fixed) -> TensorReport:
    codes = quantise(values, fmt)
    clipped = (values > fmt.max * fmt.step + fmt.step / 2) | (values < fmt.min * fmt.step
                                                              - fmt.step / 2)
    return _report(name, values, codes, fmt.step, str(fmt), int(np.count_nonzero(clipped)))


def _report_rows(name: str, values, codes, frac, width: int) -> TensorReport:
    """Weights or biases with a fraction a row; ``codes`` are what the network holds."""
    low, high = int(frac.min()), int(frac.max())
    text = str(Fixed(width=width, frac=low))
    if high != low:
        text += f"..{Fixed(width=width, frac=high)}"
    step = 2.0 ** -frac.astype(np.float64)
    step = step[:, None] if values.ndim == 2 else step
    limit = 1 << (width - 1)
    saturated = np.count_nonzero((np.rint(values / step) > limit - 1)
                                 | (np.rint(values / step) < -limit))
    return _report(name, values, codes, step, text, int(saturated))


def largest_frac(limit, width: int) -> np.ndarray:
    """Most fractional bits with which +-limit still fits; zeros give the width itself."""
    limit = np.atleast_1d(np.asarray(limit, dtype=np.float64))
    top = (1 << (width - 1)) - 1
    safe = np.where(limit > 0, limit, 1.0)
    frac = np.floor(np.log2((top + 0.5) / safe))
    frac = frac - (np.rint(np.ldexp(safe, frac.astype(np.int64))) > top)
    return np.where(limit > 0, frac, width).astype(np.int64)


def choose_frac(values, width: int, method: Method) -> np.ndarray:
    """Fraction for each row of ``values`` (float64 (R, N)) -> int64 (R,)."""
    magnitude = np.abs(values)
    limit = magnitude.max(axis=1)
    if method is Method.PERCENTILE:
        limit = np.percentile(magnitude, 99.9, axis=1)
    frac = largest_frac(limit, width)
    if method is Method.LEAST_SQUARES:
        best = np.full(len(values), np.inf)
        start, chosen = frac, frac
        for extra in range(5):
            trial = start + extra
            step = 2.0 ** -trial.astype(np.float64)[:, None]
            codes = np.clip(np.rint(values / step), -(1 << (width - 1)), (1 << (width - 1)) - 1)
            error = ((values - codes * step) ** 2).sum(axis=1)
            chosen = np.where(error < best, trial, chosen)
            best = np.minimum(best, error)
        frac = chosen
    return frac


def _range_format(values, width: int, options: QuantOptions, spare: int) -> Fixed:
    frac = int(choose_frac(values.reshape(1, -1), width, options.method)[0])
    return Fixed(width=width, frac=frac - spare)


def _weight_frac(weights, options: QuantOptions) -> np.ndarray:
    """Fraction of each row of a matrix, int64 (R,)."""
    frac = choose_frac(weights, options.weight_width, options.method)
    widest = int(frac[np.abs(weights).max(axis=1) > 0].min(initial=options.weight_width))
    if not options.per_row:
        return np.full(len(weights), widest)
    return np.minimum(frac, widest + MAX_ROW_SPREAD)


def _input_format(layer: FloatLayer, x, options: QuantOptions, h_frac: int) -> Fixed:
    """Format of a network input: the fraction at which the first layer's sums lose least."""
    top = _range_format(x, options.act_width, options, options.spare_bits)
    if layer.r is None:
        return top
    w_frac, r_frac = _weight_frac(layer.w, options), _weight_frac(layer.r, options)
    power = np.mean(np.square(x.reshape(-1, x.shape[-1])), axis=0)

    def noise(frac):
        acc = np.minimum(w_frac + frac, r_frac + h_frac)
        w_step, r_step = 4.0 ** -(acc - frac), 4.0 ** -(acc - h_frac)
        x_step = 4.0 ** -frac * np.square(layer.w).sum(axis=1)
        return float(np.sum(w_step * power.sum() + r_step * layer.units / 3 + x_step))

    fracs = range(top.frac, top.frac - FRAC_SEARCH - 1, -1)
    return Fixed(width=top.width, frac=min(fracs, key=noise))


def _result_format(layer: FloatLayer, h, gate: Fixed, options: QuantOptions) -> Fixed:
    bounded = layer.activation in (Activation.SIGMOID, Activation.TANH)
    if layer.cell not in (Cell.RNN, Cell.LINEAR) or bounded:
        return gate
    return _range_format(h, options.act_width, options, options.spare_bits)


def _quantise_layer(layer: FloatLayer, x: Fixed, h: Fixed, pre: Fixed,
                    options: QuantOptions) -> IntLayer:
    """Weights and biases of one layer, formats given."""
    frac = _weight_frac(layer.w, options) + x.frac
    if layer.r is not None:
        frac = np.minimum(frac, _weight_frac(layer.r, options) + h.frac)
    weight = 1 << (options.weight_width - 1)

    def integers(values, row_frac):
        scale = np.ldexp(1.0, row_frac)
        scaled = np.rint(values * (scale[:, None] if values.ndim == 2 else scale))
        return np.clip(scaled, -weight, weight - 1).astype(np.int64)

    bias_x, bias_h = layer.bias_x + layer.bias_h, np.zeros_like(layer.bias_h)
    if layer.cell is Cell.GRU:
        candidate = slice(2 * layer.units, None)
        bias_x[candidate], bias_h[candidate] = layer.bias_x[candidate], layer.bias_h[candidate]
    biases = [np.rint(np.ldexp(bias, frac)) for bias in (bias_x, bias_h)]
    if any(np.abs(bias).max() >= 2.0 ** (MAX_ACCUMULATOR - 1) for bias in biases):
        raise ValueError(f"Layer {layer.name!r}: a bias does not fit {MAX_ACCUMULATOR} accumulator "
                         f"bits at these widths; lower --weight-width or --act-width")
    if layer.cell not in (Cell.RNN, Cell.LINEAR) or layer.activation in (Activation.SIGMOID,
                                                                         Activation.TANH):
        layer_pre = pre
    else:
        layer_pre = Fixed(width=pre.width, frac=h.frac)
    made = IntLayer(
        name=layer.name, cell=layer.cell, units=layer.units, activation=layer.activation,
        w=integers(layer.w, frac - x.frac),
        r=None if layer.r is None else integers(layer.r, frac - h.frac),
        bias_x=biases[0].astype(np.int64), bias_h=biases[1].astype(np.int64), acc_frac=frac,
        x=x, h=h, pre=layer_pre, last_only=layer.last_only)
    if made.acc_bound.bit_length() + 1 > MAX_ACCUMULATOR:
        raise ValueError(f"Layer {layer.name!r}: its sums need {made.acc_bound.bit_length() + 1} "
                         f"accumulator bits, more than {MAX_ACCUMULATOR}; lower --weight-width or "
                         f"--act-width")
    return made


def _layer_reports(layer: FloatLayer, made: IntLayer, trace: dict, gate: Fixed, cell: Fixed,
                   options: QuantOptions):
    """The table's lines of one layer: weights first, then what flows."""
    prefix, frac = layer.name, made.acc_frac
    yield _report_rows(f"{prefix}.W", layer.w, made.w, frac - made.x.frac, options.weight_width)
    if layer.r is not None:
        yield _report_rows(f"{prefix}.R", layer.r, made.r, frac - made.h.frac,
                           options.weight_width)
    bias_width = max(2, int(max(np.abs(made.bias_x).max(), np.abs(made.bias_h).max())
                            ).bit_length() + 1)
    total = layer.bias_x + layer.bias_h
    yield _report_rows(f"{prefix}.B", total, made.bias_x + made.bias_h, frac, bias_width)
    for signal, values in trace.items():
        if signal == "x":
            continue
        if signal in ("a",) or signal.startswith("pre"):
            fmt = made.pre
        elif signal == "c":
            fmt = cell
        else:
            fmt = made.h if signal == "h" else gate
        yield _report_values(f"{prefix}.{signal}", values, fmt)


def quantise_network(network: FloatNetwork, calibration: Batch,
                     options: QuantOptions | None = None) -> tuple:
    """Choose all formats from calibration data and quantise the weights.

    Parameters
    ----------
    network : FloatNetwork
    calibration : Batch
        Real sequences; some dozens are enough for ranges.
    options : QuantOptions or None

    Returns
    -------
    (IntNetwork, tuple of TensorReport)

    Raises
    ------
    ValueError
        If a layer's sums cannot be held in 48 bits at the widths asked for.
    """
    options = options or QuantOptions()
    traces = run_float(network, calibration)
    gate = Fixed(width=options.act_width, frac=options.act_width - 1)
    pre_frac = max(options.act_width, 10) - 3
    pre = Fixed(width=pre_frac + 5, frac=pre_frac)
    cells = [trace["c"].ravel() for trace in traces if "c" in trace]
    cells += [network_c.ravel() for network_c in calibration.c0.values()]
    cells += [layer.initial_c.value for layer in network.layers
              if layer.initial_c.value is not None]
    cell_values = np.concatenate(cells) if cells else np.ones(1)
    cell = _range_format(cell_values, options.cell_width, options, 0)

    results = [_result_format(layer, trace["h"], gate, options)
               for layer, trace in zip(network.layers, traces, strict=True)]
    first = network.layers[0]
    x_values = traces[0]["x"] if network.embedding is None else network.embedding
    x = _input_format(first, x_values, options, results[0].frac)
    reports = [_report_values("embedding" if network.embedding is not None else "input",
                              x_values, x)]
    embedding = None if network.embedding is None else quantise(network.embedding, x)
    layers = []
    for layer, trace, h in zip(network.layers, traces, results, strict=True):
        made = _quantise_layer(layer, x, h, pre, options)
        layers.append(made)
        reports.extend(_layer_reports(layer, made, trace, gate, cell, options))
        x = h
    integer = IntNetwork(
        name=network.name, model_sha256=network.model_sha256, layers=tuple(layers),
        embedding=embedding, act_width=options.act_width, weight_width=options.weight_width,
        gate=gate, pre=pre, cell=cell, loads_state=network.loads_state,
        returns_state=network.returns_state, last_step_only=network.last_step_only)
    return integer, tuple(reports)
