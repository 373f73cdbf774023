"""What ONNX allows and Gatewright refuses by name; groups 33, 35 to 38, 40 to 42.

``NOT_YET`` is the one list of features that may become legal: a row goes when its feature comes.
"""

import numpy as np
import onnx_models as build
from bad_files import IMPORT, attribute, place, refused, rows
from onnx import numpy_helper


def _second_direction(kind="LSTM", direction="bidirectional"):
    """Weights of two directions, as the attribute says or not."""
    net = attribute(kind, direction=direction)
    net.inits[:] = [numpy_helper.from_array(np.concatenate([numpy_helper.to_array(t)] * 2), t.name)
                    for t in net.inits]
    return net


def _activations(kind, *names, **extra):
    return lambda: attribute(kind, activations=list(names), **extra)


def _lengths(values=None):
    """sequence_lens: a constant, or a graph input of floats."""
    net = build.bare()
    net.nodes[-1].input.append(net.input("lens", [1]) if values is None
                               else net.const(values, np.int32))
    return net


def _peepholes(*shape, kind="LSTM"):
    net = build.bare(kind)
    net.nodes[-1].input.extend([""] * (7 - len(net.nodes[-1].input)))
    net.nodes[-1].input.append(net.weight(*shape))
    return net


def _state_of_data():
    """initial_h is a linear function of another input."""
    net = build.Net()
    x, z = net.input("x", [4, 1, 2]), net.input("z", [1, 1, 5])
    net.cell("GRU", x, 2, 3, h=net.op("MatMul", z, net.weight(5, 3)))
    net.nodes[-1].output[:] = ["Y", ""]
    net.output("Y")
    return net


NOT_YET = [
    ("lengths of two", lambda: _lengths([4, 4]), "is int32 of the shape .2,.; it must hold"),
    ("lengths 5 of 4", lambda: _lengths([5]), "holds lengths from 5 to 5; they must be 1 to 4"),
    ("lengths 0", lambda: _lengths([0]), "sequence_lens 'const_3': holds lengths from 0 to 0"),
    ("lengths in floats", _lengths, "sequence_lens 'lens': is computed from the data, or is not"),
    ("state computed from data", _state_of_data, "initial_h .* is computed from the data"),
]


@rows(NOT_YET)
def test_not_yet(tmp_path, make, said):
    place(tmp_path, make())
    refused(tmp_path, said, *IMPORT)


# The same features, said in a way that stays wrong.
NEVER = [
    ("two directions, forward", lambda: _second_direction(direction="forward"),
     r"W \('const_0'\) has the shape \(2, 12, 4\), but .* \(1, 12, 4\)"),
    ("bidirectional, with the weights of one", lambda: attribute(direction="bidirectional"),
     r"W \('const_0'\) has the shape \(1, 12, 4\), but .* \(2, 12, 4\)"),
    ("no such direction", lambda: attribute(direction="backwards"),
     "direction 'backwards' is not one of forward, reverse, bidirectional"),
    ("two directions of a GRU", lambda: _second_direction("GRU", "forward"), r"\(2, 9, 4\)"),
    ("two directions, reverse", lambda: _second_direction(direction="reverse"), "LSTM_0"),
    ("direction of another kind", lambda: attribute(direction=1), "'direction' must be a text"),
    *((f"clip {value}", lambda v=value: attribute(clip=v), "clip must be above 0 and finite, not")
      for value in (0.0, -1.0, float("nan"), float("inf"))),
    ("input_forget 2", lambda: attribute(input_forget=2), "input_forget must be 0 or 1, not 2"),
    ("short peepholes", lambda: _peepholes(1, 6), r"P \('const_3'\) has the shape \(1, 6\)"),
    ("peepholes of two directions", lambda: _peepholes(2, 9), r"has the shape \(2, 9\), but"),
    ("peepholes of a GRU", lambda: _peepholes(1, 9, kind="GRU"), "inputs"),
    ("affine without its factor", _activations("RNN", "Affine"), "Affine has no alpha, and progr"),
    ("unknown function", _activations("GRU", "Gelu", "Tanh"), "the activation 'Gelu' is not known"),
    ("endless factor", _activations("RNN", "Elu", activation_alpha=[float("inf")]), "Elu is inf;"),
    ("too few functions", _activations("GRU", "Tanh"), "has 1 activations, not 2; name all of"),
    ("activations as one text", lambda: attribute(activations="Tanh"), "must be texts, not a text"),
]


@rows(NEVER)
def test_never(tmp_path, make, said):
    place(tmp_path, make())
    refused(tmp_path, said, *IMPORT)
