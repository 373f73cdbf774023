"""LSTM layers as three programs see them: ours, an ONNX file, a PyTorch module. One set of weights.

Dimensions: T steps, I inputs, H units.
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from golden.network import Binding, Cell, FloatLayer, FloatNetwork
from golden.reference import Batch

__all__ = ["lstm_network", "onnx_model", "random_batch"]

OPSET = 17


def lstm_network(inputs: int, units: int, *, seed: int = 1) -> FloatNetwork:
    """One LSTM with weights as frameworks start them: uniform, up to 1/sqrt(H)."""
    rng = np.random.default_rng(seed)
    bound = units ** -0.5

    def uniform(*shape):
        # What a file of 32-bit floats holds, so that all programs have the same numbers.
        return rng.uniform(-bound, bound, shape).astype(np.float32).astype(np.float64)

    rows = 4 * units
    layer = FloatLayer(name="lstm", cell=Cell.LSTM, units=units, w=uniform(rows, inputs),
                       r=uniform(rows, units), bias_x=uniform(rows), bias_h=uniform(rows))
    return FloatNetwork(
        name="lstm", source="benchmark", model_sha256="0" * 64, layers=(layer,),
        input=Binding(name="x", axes=("batch", "time", "feature")),
        outputs=(Binding(name="y", axes=("batch", "time", "feature"), kind="y"),))


def random_batch(network: FloatNetwork, sequences: int, steps: int, *, seed: int = 2) -> Batch:
    """Inputs as scaled features are, in [-1, 1), as 32-bit floats hold them."""
    x = np.random.default_rng(seed).uniform(-1, 1, size=(sequences, steps, network.inputs))
    return Batch(x=x.astype(np.float32).astype(np.float64))


def onnx_model(network: FloatNetwork, *, states: bool) -> bytes:
    """The network as an ONNX file.

    Parameters
    ----------
    states : bool
        True: x (T, 1, I), h0 and c0 (1, 1, H) in; y (T, 1, 1, H), hn and cn out, T open. False:
        as an exporter writes a sequence model: x (T, 1, I) in, y (T, 1, H) out.
    """
    (layer,) = network.layers
    order = [0, 3, 1, 2]  # the file has i, o, f, c where we have i, f, g, o

    def gates(values):
        return values.reshape(4, layer.units, -1)[order].reshape(1, 4 * layer.units, -1)

    bias = [gates(values)[:, :, 0] for values in (layer.bias_x, layer.bias_h)]
    weights = {"W": gates(layer.w), "R": gates(layer.r), "B": np.concatenate(bias, axis=1)}
    constants = [numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name)
                 for name, values in weights.items()]

    def tensor(name, *dims):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)

    state = (1, 1, layer.units)
    inputs, outputs = [tensor("x", "T", 1, network.inputs)], [tensor("y", "T", 1, 1, layer.units)]
    if states:
        nodes = [helper.make_node("LSTM", ["x", "W", "R", "B", "", "h0", "c0"],
                                  ["y", "hn", "cn"], hidden_size=layer.units)]
        inputs += [tensor("h0", *state), tensor("c0", *state)]
        outputs += [tensor("hn", *state), tensor("cn", *state)]
    else:
        constants.append(numpy_helper.from_array(np.array([1]), "axes"))
        nodes = [helper.make_node("LSTM", ["x", "W", "R", "B"], ["full"],
                                  hidden_size=layer.units),
                 helper.make_node("Squeeze", ["full", "axes"], ["y"])]
        outputs = [tensor("y", "T", 1, layer.units)]
    graph = helper.make_graph(nodes, "lstm", inputs, outputs, constants)
    return helper.make_model(graph, ir_version=8, opset_imports=[
        helper.make_opsetid("", OPSET)]).SerializeToString()
