"""Gatewright: a trained recurrent network in, verified hardware out.

>>> import gatewright as gw
>>> network = gw.import_model("model.onnx")
>>> quantised = gw.quantise(network, gw.load_batch(network, "calibration.npy"), weight_width=8)
>>> result = gw.golden(quantised, gw.load_batch(network, "inputs.npy"))
>>> core = gw.generate(quantised, lanes=16)
>>> gw.verify(core, result, sequences=20).passed
True
"""

from .data import load_batch, load_labels
from .door_torch_module import from_torch
from .doors import import_model
from .errors import GatewrightError
from .onnx_import import import_onnx
from .steps import Golden, Quantised, generate, golden, place_and_route, quantise, stimulus, verify

__all__ = ["GatewrightError", "Golden", "Quantised", "from_torch", "generate", "golden",
           "import_model", "import_onnx", "load_batch", "load_labels", "place_and_route",
           "quantise", "stimulus", "verify"]
