"""Post-training quantisation: formats from calibration data, weights to integers, one table.

Powers of two only, symmetric. Each row of weights has its own fraction; the input part and the
recurrent part of a row share one accumulator, so frac(W) + frac(x) = frac(R) + frac(h) holds row by
row, and the input's fraction is chosen with that in mind.
"""

from dataclasses import dataclass, replace

import numpy as np

from .cell_formats import (
    is_bounded,
    make_places,
    peephole_codes,
    peephole_fracs,
    range_format,
    result_format,
    unbounded_candidate,
)
from .cells import PLACES
from .fixed import Fixed, quantise
from .network import Activation, Cell, FloatLayer, FloatNetwork, IntLayer, IntNetwork
from .options import MAX_LIFTED, QuantOptions
from .ranges import Method, choose_frac
from .reference import Batch, run_float
from .rounding import Rounding, round_rows

__all__ = ["Method", "QuantOptions", "Rounding", "TensorReport", "quantise_network"]

LEAST_BITS = 5           # of weights that are summed with those of results of a wider range
MAX_ROW_SPREAD = 6       # fractional bits that a row may have beyond its matrix's widest row
ACCUMULATOR_GUARD = 20   # its fractional bits beyond the pre-activation's: finer is never seen
MAX_FRAC = 64            # of rows that are all zero: any other part of the row decides
FRAC_SEARCH = 6          # how far below its largest fraction the input's may be moved


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


def _weight_frac(weights, options: QuantOptions) -> np.ndarray:
    """Fraction of each row of a matrix, int64 (R,); rows of zeros are exact at any."""
    used = np.abs(weights).max(axis=1) > 0
    if not used.any():
        return np.full(len(weights), MAX_FRAC)
    frac = choose_frac(weights, options.weight_width, options.method)
    widest = int(frac[used].min())
    if not options.per_row:
        return np.full(len(weights), widest)
    return np.where(used, np.minimum(frac, widest + MAX_ROW_SPREAD), widest + MAX_ROW_SPREAD)


def _align(layer: FloatLayer, trace: dict, fracs, h_frac: int, options: QuantOptions) -> tuple:
    """(x.frac, x_shift, h_shift) with which the row sums lose least to weight rounding.

    Parameters
    ----------
    trace : dict of float64, the layer's "x" and "h" on the calibration data
    fracs : iterable of int, the fractions that x may have, the preferred one first
    h_frac : int
    """
    fracs = list(fracs)
    if layer.r is None:
        return fracs[0], 0, 0
    w_frac, r_frac = _weight_frac(layer.w, options), _weight_frac(layer.r, options)
    x_power, h_power = (np.mean(np.square(trace[name]), axis=(0, 1)).sum() for name in "xh")

    def noise(choice):
        frac, x_shift, h_shift = choice
        acc = np.minimum(w_frac + frac + x_shift, r_frac + h_frac + h_shift)
        w_step, r_step = 4.0 ** -(acc - frac - x_shift), 4.0 ** -(acc - h_frac - h_shift)
        x_step = 4.0 ** -frac * np.square(layer.w).sum(axis=1)
        return float(np.sum(w_step * x_power + r_step * h_power + x_step))

    spare = max(0, options.operand_width - options.act_width)
    shifts = [(0, 0)] + [pair for k in range(1, spare + 1) for pair in ((k, 0), (0, k))]
    return min(((frac, *pair) for frac in fracs for pair in shifts), key=noise)


def _result_formats(network: FloatNetwork, traces: list, gate: Fixed,
                    options: QuantOptions) -> list:
    """The format of each layer's results.

    Those without a bound that are read as one vector share the coarsest; bounded ones have the
    tables' format, whatever stands beside them (see ``_as_read``).
    """
    own = [result_format(layer, trace, gate, options)
           for layer, trace in zip(network.layers, traces, strict=True)]
    bounded = [is_bounded(layer) for layer in network.layers]
    for idx, layer in enumerate(network.layers):
        if layer.cell.pools:
            own[idx], bounded[idx] = (of[network.reads(idx)[0]] for of in (own, bounded))
    formats, before = list(own), None
    while formats != before:
        before = list(formats)
        for idx, layer in enumerate(network.layers):
            reads = [read for read in network.reads(idx) if read >= 0 and not bounded[read]]
            reads += [idx] * (layer.cell.pools and not bounded[idx])   # that of what it reads
            coarsest = min((formats[read] for read in reads), key=lambda f: f.frac, default=gate)
            for read in reads:
                formats[read] = coarsest
    return formats


def _as_read(network: FloatNetwork, idx: int, trace: dict, results: list,
             options: QuantOptions) -> tuple:
    """(layer, trace, frac) of a layer that reads results of different formats as one vector.

    Codes of all of them are taken for codes of the coarsest one: what has more fractional bits
    seems larger by a power of two, and its weights are made smaller by the same.

    Raises
    ------
    ValueError
        If that leaves too few bits of weights that are summed with others.
    """
    layer, reads = network.layers[idx], network.reads(idx)
    if reads[0] < 0:
        return layer, trace, None
    fracs = np.repeat([results[read].frac for read in reads],
                      [network.layers[read].units for read in reads])
    lift, needed = np.exp2(fracs - fracs.min()), int(np.ptp(fracs)) + LEAST_BITS
    if needed > LEAST_BITS:
        coarse, fine = ((layer.w[:, fracs == frac] != 0).any(axis=1)
                        for frac in (fracs.min(), fracs.max()))
        if np.any(coarse & fine) and needed > options.weight_width:
            low, high = (Fixed(width=options.act_width, frac=int(f))
                         for f in (fracs.max(), fracs.min()))
            raise ValueError(f"layer {layer.name!r} adds up results of different ranges ({low} and "
                             f"{high}), which takes weights of {needed} bits; raise "
                             "--weight-width")
        layer, trace = replace(layer, w=layer.w / lift), trace | {"x": trace["x"] * lift}
    return layer, trace, int(fracs.min())


def _blocks(layer: FloatLayer, trace: dict, initial_h):
    """The matrices whose rows are summed together: (rows, use W, samples of R's vector or None).

    A reset-after GRU's candidate keeps its two parts apart; a reset-before one multiplies r*h.
    """
    if layer.r is None:
        return [(slice(None), True, None)]
    first, h = initial_h[:, None], trace["h"]
    h = np.concatenate([h[:, 1:], first] if layer.reverse else [first, h[:, :-1]], axis=1)
    h = h.reshape(-1, layer.units)
    gates, candidate = slice(0, 2 * layer.units), slice(2 * layer.units, None)
    if layer.cell is Cell.GRU:
        return [(gates, True, h), (candidate, True, None), (candidate, False, h)]
    if layer.cell is Cell.GRU_RESET_BEFORE:
        return [(gates, True, h), (candidate, True, trace["rh"].reshape(-1, layer.units))]
    return [(slice(None), True, h)]


def _integer_weights(layer: FloatLayer, trace: dict, initial_h, w_frac, r_frac,
                     options: QuantOptions) -> tuple:
    """(W, R, bias_x, bias_h): codes, and biases in floats with rounding's mean taken out."""
    samples = trace["x"].reshape(-1, layer.inputs)
    w = np.zeros(layer.w.shape, dtype=np.int64)
    r = None if layer.r is None else np.zeros(layer.r.shape, dtype=np.int64)
    bias_x, bias_h = layer.bias_x + layer.bias_h, np.zeros_like(layer.bias_h)
    if layer.cell is Cell.GRU:
        candidate = slice(2 * layer.units, None)
        bias_x[candidate], bias_h[candidate] = layer.bias_x[candidate], layer.bias_h[candidate]
    for rows, use_w, hidden in _blocks(layer, trace, initial_h):
        parts = []
        if use_w:
            parts.append((layer.w[rows], w_frac[rows], samples))
        if hidden is not None:
            parts.append((layer.r[rows], r_frac[rows], hidden))
        bias = bias_x if use_w else bias_h
        codes, bias[rows] = round_rows(
            np.concatenate([matrix for matrix, _, _ in parts], axis=1),
            np.concatenate([np.broadcast_to(2.0 ** -frac[:, None].astype(np.float64),
                                            matrix.shape) for matrix, frac, _ in parts], axis=1),
            bias[rows], np.concatenate([values for _, _, values in parts], axis=1),
            width=options.weight_width, rounding=options.rounding)
        if use_w:
            w[rows] = codes[:, :layer.inputs]
        if hidden is not None:
            r[rows] = codes[:, -layer.units:]
    return w, r, bias_x, bias_h


def _quantise_layer(layer: FloatLayer, trace: dict, initial_h, formats: dict,
                    options: QuantOptions) -> IntLayer:
    """Weights and biases of one layer.

    formats : dict of x, h, pre (of the tables), gate, cell, x_shift, h_shift
    """
    x, h, pre, cell = (formats[name] for name in ("x", "h", "pre", "cell"))
    x_shift, h_shift = formats["x_shift"], formats["h_shift"]
    frac = _weight_frac(layer.w, options) + x.frac + x_shift
    if layer.r is not None:
        frac = np.minimum(frac, _weight_frac(layer.r, options) + h.frac + h_shift)
    tables = (len(PLACES[layer.cell]) > 1
              or layer.activation in (Activation.SIGMOID, Activation.TANH))
    places = make_places(layer, trace, formats, options)
    layer_pre = pre if tables else Fixed(width=pre.width, frac=h.frac)
    layer_pre = places[0].pre if places else layer_pre
    pre_frac = np.repeat([(places[idx].pre if places else layer_pre).frac
                          for idx in PLACES[layer.cell]], layer.units)
    frac = np.minimum(frac, pre_frac + ACCUMULATOR_GUARD)
    peephole, lift = None, 0
    if layer.peephole is not None:
        frac = np.minimum(frac, frac.min() + MAX_ROW_SPREAD)
        least = int(choose_frac(layer.peephole.reshape(1, -1), options.weight_width,
                                options.method)[0])
        peephole, lift = peephole_codes(layer.peephole, frac, cell, least)
    w, r, *biases = _integer_weights(layer, trace, initial_h, frac - x.frac - x_shift,
                                     frac - h.frac - h_shift, options)
    biases = [np.rint(np.ldexp(bias, frac)) for bias in biases]
    most = options.max_accumulator
    remedy = f"more than {most}; lower --weight-width or --act-width"
    if any(np.abs(bias).max() >= 2.0 ** (most - 1) for bias in biases):
        raise ValueError(f"layer {layer.name!r}: a bias needs accumulator bits {remedy}")
    made = IntLayer(
        name=layer.name, cell=layer.cell, units=layer.units, activation=layer.activation,
        w=w, r=r, bias_x=biases[0].astype(np.int64), bias_h=biases[1].astype(np.int64),
        acc_frac=frac, x=x, h=h, pre=layer_pre, x_shift=x_shift, h_shift=h_shift,
        last_only=layer.last_only, reads=layer.reads, reverse=layer.reverse,
        reads_final=layer.reads_final, places=places, coupled=layer.coupled,
        peephole=peephole, peephole_lift=lift)
    needed = made.acc_bound.bit_length() + 1
    if needed > most:
        raise ValueError(f"layer {layer.name!r}: its sums need {needed} accumulator bits, {remedy}")
    if peephole is not None:
        product = int(np.abs(peephole).max()).bit_length() + cell.width
        needed = max(needed + max(lift, 0), product + max(-lift, 0)) + 1
    lifted = needed + max(0, int((pre_frac - frac).max()))
    if lifted > MAX_LIFTED:
        raise ValueError(f"layer {layer.name!r}: its sums need {lifted} bits at the scale of its "
                         f"results, more than {MAX_LIFTED}; its weights must be smaller")
    return made


def _layer_reports(layer: FloatLayer, made: IntLayer, trace: dict, cell: Fixed,
                   options: QuantOptions):
    """The table's lines of one layer: weights first, then what flows."""
    prefix, frac = layer.name, made.acc_frac
    if layer.cell.pools:
        yield _report_values(f"{prefix}.h", trace["h"], made.h)
        return
    yield _report_rows(f"{prefix}.W", layer.w, made.w, frac - made.x.frac - made.x_shift,
                       options.weight_width)
    if layer.r is not None:
        yield _report_rows(f"{prefix}.R", layer.r, made.r,
                           frac - made.h.frac - made.h_shift, options.weight_width)
    bias_width = max(2, int(max(np.abs(made.bias_x).max(), np.abs(made.bias_h).max())
                            ).bit_length() + 1)
    if layer.peephole is not None:
        fracs = peephole_fracs(made.acc_frac, cell, made.peephole_lift)
        width = max(2, int(np.abs(made.peephole).max()).bit_length() + 1)
        yield _report_rows(f"{prefix}.P", layer.peephole.ravel(), made.peephole.ravel(),
                           fracs.ravel(), width)
    total = layer.bias_x + layer.bias_h
    yield _report_rows(f"{prefix}.B", total, made.bias_x + made.bias_h, frac, bias_width)
    for signal, values in trace.items():
        if signal == "x":
            continue
        yield _report_values(f"{prefix}.{signal}", values, made.format_of(signal, cell))


def _longest(network: FloatNetwork, calibration: Batch) -> int:
    """Steps of a sequence as the graph declares them, or of the calibration data."""
    axes, shape = network.input.axes, network.input.shape
    declared = shape[axes.index("time")] if "time" in axes and len(shape) == len(axes) else None
    return declared or np.shape(calibration.x)[1]


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
    # +-16, where tanh and sigmoid are 1 for 18 bits; words of golden alone resolve what is beyond
    pre = Fixed(width=pre_frac + (6 if options.golden_only else 5), frac=pre_frac)
    cells = [trace["c"].ravel() for trace in traces if "c" in trace]
    cells += [network_c.ravel() for network_c in calibration.c0.values()]
    cells += [layer.initial_c.value for layer in network.layers
              if layer.initial_c.value is not None]
    cell_values = np.concatenate(cells) if cells else np.ones(1)
    # A candidate without bounds takes c further than calibration saw, as it does the results.
    spare = options.spare_bits if any(unbounded_candidate(layer) for layer in network.layers) else 0
    cell = range_format(cell_values, options.cell_width, options, spare)
    if (bits := cell.width + gate.frac + max(0, gate.frac - cell.frac) + 2) > MAX_LIFTED:
        raise ValueError(f"the sum f*c + i*g needs {bits} bits for a cell state of {cell}, more "
                         f"than {MAX_LIFTED}; lower --cell-width or --act-width")

    results = _result_formats(network, traces, gate, options)
    x_values = traces[0]["x"] if network.embedding is None else network.embedding
    top = range_format(x_values, options.act_width, options, options.spare_bits).frac
    fracs = range(top, top - FRAC_SEARCH - 1, -1)
    reports, layers = [], []
    for idx, (layer, trace, h) in enumerate(zip(network.layers, traces, results, strict=True)):
        layer, trace, read = _as_read(network, idx, trace, results, options)
        if read is not None:
            fracs = [read]
        elif layers:             # one input, one format: the first layer that reads it chooses
            fracs = [layers[0].x.frac]
        frac, *shifts = _align(layer, trace, fracs, h.frac, options)
        x = Fixed(width=options.act_width, frac=frac)
        if not idx:
            reports.append(_report_values("input" if network.embedding is None else "embedding",
                                          x_values, x))
        initial_h, _ = calibration.initial(layer, idx)
        formats = {"x": x, "h": h, "pre": pre, "gate": gate, "cell": cell,
                   "x_shift": shifts[0], "h_shift": shifts[1]}
        made = _quantise_layer(layer, trace, initial_h, formats, options)
        layers.append(made)
        reports.extend(_layer_reports(layer, made, trace, cell, options))
    embedding = None if network.embedding is None else quantise(network.embedding, layers[0].x)
    integer = IntNetwork(
        name=network.name, model_sha256=network.model_sha256, layers=tuple(layers),
        embedding=embedding, act_width=options.act_width, weight_width=options.weight_width,
        gate=gate, pre=pre, cell=cell, loads_state=network.loads_state,
        returns_state=network.returns_state, last_step_only=network.last_step_only,
        max_steps=_longest(network, calibration) if network.buffered else 0)
    return integer, tuple(reports)
