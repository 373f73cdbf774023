"""Gatewright as an ONNX backend: ``onnx.backend.base.Backend`` over the golden model, or a core.

The ONNX package's own operator tests run against it. A model's graph inputs may be weights, as
there; formats are chosen from the very sequences that are run, so this is a measure of arithmetic,
not the way to deploy a network.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep

from golden.network import FloatNetwork
from golden.quantise import QuantOptions, Rounding
from golden.reference import Batch
from sim.fast import FastSimulator

from . import steps
from .data import load_batch
from .errors import GatewrightError
from .layout import joined
from .onnx_check import graph_outputs
from .onnx_import import import_onnx

__all__ = ["HARDWARE", "WIDE", "GatewrightBackend", "Run"]

# 25 fractional bits of gates and states: more than float32 has. Golden alone runs that.
WIDE = QuantOptions(weight_width=24, act_width=26, cell_width=30, rounding=Rounding.NEAREST,
                    golden_only=True)
HARDWARE = QuantOptions(weight_width=16, act_width=18, cell_width=24)
_WEIGHTS = (1, 2, 3, 7)         # W, R, B, P among the inputs of a recurrent node


class Run:
    """One run of a model: the float network, the quantised one and what golden made.

    Members
    -------
    network : FloatNetwork
    quantised : Quantised
    result : Golden
    outputs : list of float32 or int64 arrays, in the graph's shapes
    words : int
        Values of a simulated core that were compared with golden; 0 where none was simulated.
    """

    def __init__(self, network: FloatNetwork, batch: Batch, options: QuantOptions):
        self.network, self.words = network, 0
        self.quantised = steps.quantise(network, batch, options)
        self.result = steps.golden(self.quantised, batch)
        integer = self.quantised.integer
        traces = [{name: (integer.cell if name == "c" else layer.h).to_float(values)
                   for name, values in signals.items()}
                  for layer, signals in zip(integer.layers, self.result.run.signals)]
        made = graph_outputs(network, traces, batch.lengths)
        self.outputs = [joined(made[binding.name], binding) for binding in network.outputs]

    def simulate(self, array: dict, folder: Path) -> None:
        """Build the core of an array and compare every word and state; GatewrightError if one
        differs. Its outputs are then those of golden."""
        core = steps.generate(self.quantised, **array)
        rtl = folder / f"{core.name}.v"
        rtl.write_text(core.verilog)
        stimulus = steps.stimulus(core, self.result)
        with FastSimulator(rtl, core.manifest, folder, optimise=False) as simulator:
            found = simulator.run(stimulus, seed=1)
        if not found.passed:
            raise GatewrightError("the core", found.difference["message"], "please report this")
        self.words = found.words


class Prepared(BackendRep):
    """A model that is ready to run.

    Parameters
    ----------
    model : onnx.ModelProto
    options : QuantOptions
    array : dict or None
        Keywords of ``generate``: every run builds and simulates a core as well. None: golden alone.
    """

    def __init__(self, model: onnx.ModelProto, options: QuantOptions, array: dict | None):
        self.model, self.options, self.array, self.last = model, options, array, None

    def _network(self, feeds: dict, folder: Path) -> tuple:
        """(FloatNetwork, names of the inputs that are data)."""
        ports = [node.input[k] for node in self.model.graph.node for k in _WEIGHTS
                 if node.op_type in ("RNN", "GRU", "LSTM") and k < len(node.input)]
        weights = {name: values for name, values in feeds.items() if name in ports}
        path = folder / "model.onnx"
        path.write_bytes(self.model.SerializeToString())
        return import_onnx(path, weights=weights), [n for n in feeds if n not in weights]

    def run(self, inputs: Sequence, **kwargs) -> tuple:
        """Outputs for the graph's inputs, in the graph's order and shapes.

        Raises
        ------
        GatewrightError
            If the model is not supported, or a simulated core differs from golden.
        """
        graph = self.model.graph
        stored = {tensor.name for tensor in graph.initializer}
        names = [item.name for item in graph.input if item.name not in stored]
        feeds = dict(zip(names, map(np.asarray, inputs), strict=True))
        with tempfile.TemporaryDirectory(prefix="gatewright-") as scratch:
            folder = Path(scratch)
            network, data = self._network(feeds, folder)
            np.savez(folder / "data.npz", **{name: feeds[name][None] for name in data})
            run = Run(network, load_batch(network, folder / "data.npz"), self.options)
            if self.array is not None:
                run.simulate(self.array, folder)
        self.last = run
        return tuple(run.outputs)


class GatewrightBackend(Backend):
    """See the module; keywords of ``prepare`` are those of ``Prepared``."""

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs) -> bool:
        return any(node.op_type in ("RNN", "GRU", "LSTM") for node in model.graph.node)

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", *,
                options: QuantOptions = WIDE, array: dict | None = None, **kwargs) -> Prepared:
        return Prepared(model, options, array)

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Sequence, device: str = "CPU",
                  **kwargs) -> tuple:
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device == "CPU"
