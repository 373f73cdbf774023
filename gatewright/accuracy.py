"""What quantisation costs: the task's own metric, and the error of every signal by layer."""

from dataclasses import dataclass, replace

import numpy as np

from golden.lengths import at_end, mask
from golden.model import GoldenRun, cell_format
from golden.network import Binding, Final, FloatNetwork, IntNetwork
from golden.reference import apply_final

from .errors import DataRefused, quote
from .layout import of_head

__all__ = ["Metric", "SignalError", "measure", "signal_errors", "top1_agreement"]

# Golden's names of signals that the float reference calls otherwise.
_FLOAT_NAMES = {"pre": "a"}


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A task metric of both networks.

    Parameters
    ----------
    name : str
        "top1_accuracy", "bits_per_label" or "rmse".
    float_value, fixed_value : float
    higher_is_better : bool
    output : str
        The graph output that it is of, where there are several results.
    """

    name: str
    float_value: float
    fixed_value: float
    higher_is_better: bool
    output: str = ""

    @property
    def loss(self) -> float:
        """What the fixed-point network loses, in the metric's unit; negative if it gains."""
        change = self.fixed_value - self.float_value
        return -change if self.higher_is_better else change


@dataclass(frozen=True, kw_only=True)
class SignalError:
    """Fixed against float of one signal of one layer, over the sequences that were compared."""

    layer: str
    signal: str
    format: str
    max_error_lsb: float
    rms_error_lsb: float
    max_error: float
    sqnr_db: float | None


def _results(network: FloatNetwork, head: Binding, y: np.ndarray, lengths) -> np.ndarray:
    """The values of a head that the graph gives: (n, T, F), or (n, 1, F) of the last step alone."""
    if network.last_step_only and len(network.heads) == 1:
        return y[:, -1:]
    return of_head(y, head, lengths) if len(network.heads) > 1 else y


def measure(network: FloatNetwork, y_float, y_fixed, labels, lengths=None) -> tuple:
    """Task metrics of the float and the fixed-point results.

    Labels of several results are a dict; an array belongs to the first one. Integer labels: top-1
    accuracy, and the mean information of the labels (bits) where there is one label a step. Other
    labels: root mean square error.

    Parameters
    ----------
    network : FloatNetwork
    y_float, y_fixed : float64 (n, T, O)
        Results in front of the graph's final function, both in floats.
    labels : (n,), (n, T) or (n, O), or a dict of such by the names of graph outputs
    lengths : int64 (n,) or None
        Steps of each sequence: behind its end there is nothing to measure.

    Returns
    -------
    tuple of Metric, the first one being the task's own

    Raises
    ------
    DataRefused
        If the labels fit no result of the network.
    """
    heads, metrics = network.heads, []
    given = labels if isinstance(labels, dict) else {heads[0].name: labels}
    if wrong := given.keys() - {head.name for head in heads}:
        raise DataRefused("labels", f"are named {', '.join(map(quote, sorted(wrong)))}",
                          f"name them like {', '.join(quote(head.name) for head in heads)}")
    for head in heads:
        if head.name in given:
            results = [_results(network, head, y, lengths) for y in (y_float, y_fixed)]
            metrics += [replace(metric, output=head.name if len(heads) > 1 else "")
                        for metric in _measure(head.final, results, given[head.name], lengths)]
    return tuple(metrics)


def _measure(final: Final, results: list, labels, lengths) -> tuple:
    """Metrics of one result; results: in floats and in integers, (n, T, F) each."""
    labels, several = np.asarray(labels), False
    if lengths is not None and results[0].shape[1] > 1:
        if labels.shape[1:2] == results[0].shape[1:2]:       # one a step
            there = mask(lengths, labels.shape)
            labels, results = labels[there][:, None], [y[there][:, None] for y in results]
            several = True
        else:
            results = [at_end(y, lengths)[:, None] for y in results]
    n, steps, outputs = results[0].shape
    whole = labels.dtype.kind in "iu"
    if final is Final.ARGMAX and not whole:
        raise DataRefused("labels", f"are {labels.dtype} values, but the network gives classes",
                          "give class indices as integers")
    if whole and outputs > 1:
        if labels.ndim == 1 and steps > 1:
            results, steps = [y[:, -1:] for y in results], 1
        wanted = labels.reshape(n, -1)
        if wanted.shape[1] != steps or wanted.min() < 0 or wanted.max() >= outputs:
            raise DataRefused("labels", f"have the shape {labels.shape} and values {wanted.min()} "
                              f"to {wanted.max()}, but the network gives {steps} result(s) of "
                              f"{outputs} classes a sequence", "give class indices")
        accuracy = [float(np.mean(y.argmax(axis=-1) == wanted)) for y in results]
        metrics = [Metric(name="top1_accuracy", float_value=accuracy[0], fixed_value=accuracy[1],
                          higher_is_better=True)]
        if steps > 1 or several:
            bits = []
            for y in results:
                log = np.take_along_axis(apply_final(y, Final.LOG_SOFTMAX), wanted[..., None], -1)
                bits.append(float(-np.mean(log) / np.log(2)))
            metrics.insert(0, Metric(name="bits_per_label", float_value=bits[0],
                                     fixed_value=bits[1], higher_is_better=False))
        return tuple(metrics)
    values = [apply_final(y, final) for y in results]
    wanted = labels.reshape(n, -1)
    if wanted.shape[1] == outputs and steps > 1:
        values = [y[:, -1:] for y in values]
    elif wanted.shape[1] != steps * outputs:
        raise DataRefused("labels", f"have the shape {labels.shape}, but the network gives {steps} "
                          f"result(s) of {outputs} value(s) a sequence", "give one target for each")
    rmse = [float(np.sqrt(np.mean((y.reshape(n, -1) - wanted) ** 2))) for y in values]
    return (Metric(name="rmse", float_value=rmse[0], fixed_value=rmse[1],
                   higher_is_better=False),)


def top1_agreement(network: FloatNetwork, y_float, y_fixed, lengths=None) -> float | None:
    """Share of results whose largest value is the same in both; None for results of one value.

    Of several results it is the least.
    """
    shares = []
    for head in network.heads:
        a, b = (_results(network, head, y, lengths) for y in (y_float, y_fixed))
        if a.shape[-1] > 1:
            there = mask(lengths, a.shape)
            shares.append(float(np.mean(a[there].argmax(axis=-1) == b[there].argmax(axis=-1))))
    return min(shares, default=None)


def signal_errors(integer: IntNetwork, run: GoldenRun, floats: list, lengths=None) -> tuple:
    """Error of every signal that golden and the float reference share.

    Parameters
    ----------
    integer : IntNetwork
    run : GoldenRun
        With every intermediate (``keep=None``).
    floats : list of dict
        ``golden.reference.run_float`` over the same sequences.
    lengths : int64 (n,) or None
        Steps of each sequence.

    Returns
    -------
    tuple of SignalError
    """
    errors = []
    for layer, codes, reference in zip(integer.layers, run.signals, floats, strict=True):
        for signal, values in codes.items():
            exact = reference.get(_FLOAT_NAMES.get(signal, signal))
            if exact is None:
                continue
            fmt = cell_format(integer, signal, layer)
            there = mask(lengths, values.shape)
            values, exact = values[there], exact[there]
            error = fmt.to_float(values) - exact
            power, noise = float(np.sum(exact ** 2)), float(np.sum(error ** 2))
            errors.append(SignalError(
                layer=layer.name, signal=signal, format=str(fmt),
                max_error=float(np.abs(error).max()),
                max_error_lsb=float(np.abs(error).max() / fmt.step),
                rms_error_lsb=float(np.sqrt(np.mean(error ** 2)) / fmt.step),
                sqnr_db=10 * np.log10(power / noise) if power > 0 and noise > 0 else None))
    return tuple(errors)
