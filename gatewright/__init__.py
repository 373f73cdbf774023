"""Gatewright: a trained recurrent network in, verified hardware out.

>>> import gatewright as gw
>>> network = gw.import_onnx("model.onnx")
>>> quantised = gw.quantise(network, gw.load_batch(network, "calibration.npy"), weight_width=8)
>>> result = gw.golden(quantised, gw.load_batch(network, "inputs.npy"))
>>> core = gw.generate(quantised, lanes=16)
>>> gw.verify(core, result, sequences=20).passed
True
"""

from .data import load_batch, load_labels
from .errors import GatewrightError
from .onnx_import import import_onnx
from .steps import Golden, Quantised, generate, golden, place_and_route, quantise, stimulus, verify

__all__ = ["GatewrightError", "Golden", "Quantised", "generate", "golden", "import_onnx",
           "load_batch", "load_labels", "place_and_route", "quantise", "stimulus", "verify"]
