"""Does the imported network compute what the file computes? Another program's word on it.

onnxruntime runs the file if it is installed, else onnx's own reference evaluator.
"""

import os
import time
from pathlib import Path

import numpy as np

from golden.lengths import at_end, mask
from golden.network import Final, FloatNetwork
from golden.reference import Batch, run_float

from .errors import GatewrightError, quote
from .layout import (
    batch_axis,
    batch_size,
    feeds_in_graph_layout,
    graph_inputs,
    outputs_in_graph_layout,
)
from .onnx_file import open_model
from .onnx_graph import Graph
from .onnx_turn import time_first

__all__ = ["check_against_onnx", "float_outputs", "graph_outputs", "onnxruntime_outputs"]


def float_outputs(network: FloatNetwork, batch: Batch) -> dict:
    """What the float64 reference gives for each graph output: name to (n, *graph dims)."""
    return graph_outputs(network, run_float(network, batch), batch.lengths)


def graph_outputs(network: FloatNetwork, traces: list, lengths) -> dict:
    """Graph outputs from the layers' signals.

    Parameters
    ----------
    network : FloatNetwork
    traces : list of dict, one a layer
        "h" and, of an LSTM, "c": float64 (n, T, H).
    lengths : int64 (n,) or None

    Returns
    -------
    dict of output name to (n, *graph dims)
    """
    y = traces[-1]["h"]
    if network.last_step_only:
        y = at_end(y, lengths)[:, None]
    h, c = ({k: values[:, 0] if network.layers[k].reverse else at_end(values, lengths)
             for k in network.recurrent if (values := traces[k].get(signal)) is not None}
            for signal in "hc")
    return outputs_in_graph_layout(network, y, h, c, lengths)


def _session(path: Path):
    """An onnxruntime session of what the outputs of a file need; None without onnxruntime."""
    # It would write an identifier into the user's home, and report to its makers.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    model = time_first(Graph(open_model(path)).model()).SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _in_groups(run, network: FloatNetwork, feeds: dict, n: int) -> list:
    """As many sequences a run as the file takes; the last one fills up a last group."""
    many = batch_size(network.input)
    axes = {b.name: batch_axis(b) for b in graph_inputs(network)}
    rows = []
    for first in range(0, n, many):
        index = np.minimum(np.arange(first, first + many), n - 1)
        rows.append(run({name: array[first] if axes.get(name) is None
                         else np.concatenate(list(array[index]), axes[name])
                         for name, array in feeds.items()}))
    return [np.concatenate([array[None] if many == 1
                            else np.stack(np.split(array, many, batch_axis(binding)))
                            for array in arrays])[:n]
            for binding, arrays in zip(network.outputs, zip(*rows))]


def _at_once(run, network: FloatNetwork, feeds: dict) -> list | None:
    """All sequences in one run; None where a tensor has no open batch axis."""
    def axis(binding):
        place = batch_axis(binding)
        is_open = place is not None and place < len(binding.shape) and binding.shape[place] is None
        return place if is_open else None

    inputs = {b.name: axis(b) for b in graph_inputs(network)}
    outputs = [axis(b) for b in network.outputs]
    if None in inputs.values() or None in outputs or inputs.keys() != feeds.keys():
        return None
    joined = {name: np.moveaxis(array, 0, inputs[name] + 1).squeeze(inputs[name])
              if inputs[name] else array[:, 0] for name, array in feeds.items()}
    return [np.expand_dims(np.moveaxis(array, k, 0), k + 1)
            for array, k in zip(run(joined), outputs)]


def onnxruntime_outputs(network: FloatNetwork, path: Path | str, batch: Batch) -> tuple | None:
    """Run the file itself over a batch in onnxruntime.

    Parameters
    ----------
    network : FloatNetwork
        As imported from ``path``.

    Returns
    -------
    (dict of output name to (n, *graph dims), seconds, bool), or None without onnxruntime
        The seconds are of the runs alone; the flag tells whether all sequences ran at once, which
        needs an open batch axis.
    """
    try:
        session = _session(Path(path))
        if session is None:
            return None
        feeds = feeds_in_graph_layout(network, batch)
        for item in session.get_inputs():  # inputs that nothing reads are still asked for
            if item.name not in feeds:
                shape = [d if isinstance(d, int) else 1 for d in item.shape]
                kind = np.int64 if "int64" in item.type else np.float32
                feeds[item.name] = np.zeros((len(batch), *shape), dtype=kind)
        names = [binding.name for binding in network.outputs]
        return _timed(lambda f: session.run(names, f), network, feeds, len(batch), names)
    except GatewrightError:
        raise
    except Exception as error:             # onnxruntime's exceptions have no common base
        raise GatewrightError(quote(path, 200), f"onnxruntime cannot run it "
                              f"({str(error)[:160]})", "compare with recorded outputs") from None


def _timed(run, network: FloatNetwork, feeds: dict, n: int, names: list) -> tuple:
    start = time.perf_counter()
    try:
        arrays = _at_once(run, network, feeds)
    except Exception:                      # the axis is open, but the graph is not
        arrays = None
    together = arrays is not None and all(len(array) == n for array in arrays)
    if not together:
        start = time.perf_counter()
        arrays = _in_groups(run, network, feeds, n)
    return dict(zip(names, arrays)), time.perf_counter() - start, together


def _reference_outputs(network: FloatNetwork, path: Path, batch: Batch) -> dict | None:
    """The same from onnx.reference; None where it cannot run the file (RNN with Relu), or runs it
    without a look at some attributes.
    """
    if batch.lengths is not None or any(
            layer.clip is not None or layer.coupled or layer.own_functions
            for layer in network.layers):
        return None
    from onnx.reference import ReferenceEvaluator
    names = [binding.name for binding in network.outputs]
    try:
        run = ReferenceEvaluator(Graph(open_model(path)).model())
        arrays = _in_groups(lambda f: run.run(names, f), network,
                            feeds_in_graph_layout(network, batch), len(batch))
    except Exception:
        return None
    return dict(zip(names, arrays))


def _that_there_are(network: FloatNetwork, binding, batch: Batch, *arrays) -> list:
    """Results without the steps behind a sequence's end, where a linear layer makes others of it.

    The core sends none there; ONNX's are zero behind a recurrent layer, and so are ours.
    """
    final = next((head.final for head in network.heads if head.name == binding.name), Final.NONE)
    if batch.lengths is None or "time" not in binding.axes \
            or (network.layers[-1].cell.recurrent and final is Final.NONE):
        return list(arrays)
    time = 1 + binding.axes.index("time")
    there = mask(batch.lengths, (len(batch), arrays[0].shape[time]))
    return [np.moveaxis(array, time, 1)[there] for array in arrays]


def check_against_onnx(network: FloatNetwork, path: Path | str, batch: Batch) -> float | None:
    """Largest difference between the imported network and the file, over all outputs.

    Returns
    -------
    float or None
        None where no program at hand can run the file. Behind an argmax, the share of steps where
        the two disagree. What overflows in the file's float32 is left out.
    """
    try:
        result = onnxruntime_outputs(network, path, batch)
        theirs = result[0] if result is not None else None
    except GatewrightError:
        theirs = None
    if theirs is None:
        theirs = _reference_outputs(network, Path(path), batch)
    if theirs is None:
        return None
    ours, worst = float_outputs(network, batch), 0.0
    classes = {head.name for head in network.heads if head.final is Final.ARGMAX}
    for binding in network.outputs:
        a, b = ours[binding.name], theirs[binding.name]
        if a.shape != b.shape:
            raise GatewrightError(quote(path, 200), f"its output {quote(binding.name)} has the "
                                  f"shape {b.shape[1:]}, not {a.shape[1:]} as imported",
                                  "please report this file")
        a, b = _that_there_are(network, binding, batch, a, b)
        finite = np.isfinite(b)            # an unbounded network may leave float32's range
        if not finite.all():
            a, b = a[finite], b[finite]
        if not b.size:
            continue
        worst = max(worst, float(np.mean(a != b) if binding.name in classes
                                 else np.max(np.abs(a - b))))
    return worst
