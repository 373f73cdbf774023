"""The activations of a recurrent node, with alpha and beta, as functions of the golden model.

Values of ``activation_alpha`` and ``activation_beta`` are taken in the order of the functions, by
those that have such a parameter; what is left out has the default of the ONNX operator of that
name. That is how onnxruntime reads them.
"""

import math

import onnx

from golden.functions import Activation, Function

from .errors import ImportRefused, quote
from .onnx_node import attributes, label

__all__ = ["ELEMENTWISE", "element_function", "node_functions"]

# How many parameters, and their defaults. The three without are told apart by no one: onnxruntime
# takes 0, the operators' text something else.
_KNOWN = {
    "relu": (Activation.RELU, 0, ()), "tanh": (Activation.TANH, 0, ()),
    "sigmoid": (Activation.SIGMOID, 0, ()), "softsign": (Activation.SOFTSIGN, 0, ()),
    "softplus": (Activation.SOFTPLUS, 0, ()), "elu": (Activation.ELU, 1, (1.0,)),
    "leakyrelu": (Activation.LEAKY_RELU, 1, (0.01,)),
    "hardsigmoid": (Activation.HARD_SIGMOID, 2, (0.2, 0.5)),
    "affine": (Activation.AFFINE, 2, (None, 0.0)),
    "thresholdedrelu": (Activation.THRESHOLDED_RELU, 1, (None,)),
    "scaledtanh": (Activation.SCALED_TANH, 2, (None, None)),
}
_KEYS = ("alpha", "beta")
_NAMES = ("Relu, Tanh, Sigmoid, Softsign, Softplus, Elu, LeakyRelu, HardSigmoid, Affine, "
          "ThresholdedRelu, ScaledTanh")
LARGEST = 1e6
# Operators of the same functions, which have their own defaults.
ELEMENTWISE = {"Relu": (), "Sigmoid": (), "Tanh": (), "Softsign": (), "Softplus": (),
               "Elu": (1.0,), "LeakyRelu": (0.01,), "HardSigmoid": (0.2, 0.5),
               "ThresholdedRelu": (1.0,)}


def _plain(function: Function) -> Function:
    """The plain function that another one is for these parameters, or the function itself."""
    same = {(Activation.AFFINE, 1.0, 0.0): Activation.IDENTITY,
            (Activation.LEAKY_RELU, 0.0, 0.0): Activation.RELU,
            (Activation.LEAKY_RELU, 1.0, 0.0): Activation.IDENTITY,
            (Activation.THRESHOLDED_RELU, 0.0, 0.0): Activation.RELU,
            (Activation.SCALED_TANH, 1.0, 1.0): Activation.TANH}
    key = function.activation, function.alpha, function.beta
    return Function(activation=same[key]) if key in same else function


def _function(what: str, name: str, activation: Activation, given: list) -> Function:
    """A function from its parameters in the file, None where there is none."""
    for key, value in zip(_KEYS, given):
        if value is None:
            raise ImportRefused(what, f"the activation {name} has no {key}, and programs "
                                "disagree on its default", f"give it in activation_{key}")
        if not math.isfinite(value) or abs(value) > LARGEST:
            raise ImportRefused(what, f"the {key} of the activation {name} is {value:.4g}",
                                f"it must be within {LARGEST:.0e}")
    return _plain(Function(activation=activation, **dict(zip(_KEYS, map(float, given)))))


def element_function(node: onnx.NodeProto) -> Function:
    """The function of an element-wise node, one of ``ELEMENTWISE``."""
    values, op = attributes(node), node.op_type
    given = [values.get(key, default) for key, default in zip(_KEYS, ELEMENTWISE[op])]
    return _function(label(node), op, _KNOWN[op.lower()][0], given)


def node_functions(node: onnx.NodeProto, defaults: tuple, directions: int) -> tuple:
    """The functions of each direction of an RNN, GRU or LSTM node.

    Parameters
    ----------
    node : onnx.NodeProto
    defaults : tuple of str
        Names of one direction's functions where the node gives none.
    directions : int

    Returns
    -------
    tuple of (tuple of Function), one a direction
    """
    what, values = label(node), attributes(node)
    names = values.get("activations", list(defaults) * directions)
    left = [list(values.get(f"activation_{key}", ())) for key in _KEYS]
    if len(names) == len(defaults):                # those of one direction stand for both
        names, left = names * directions, [given * directions for given in left]
    if len(names) != len(defaults) * directions:
        raise ImportRefused(what, f"has {len(names)} activations, not "
                            f"{len(defaults) * directions}", "name all of each direction")
    functions = []
    for name in names:
        if name.lower() not in _KNOWN:
            raise ImportRefused(what, f"the activation {quote(name, 20)} is not known",
                                f"it must be one of {_NAMES}")
        activation, count, standard = _KNOWN[name.lower()]
        given = [left[k].pop(0) if left[k] else standard[k] for k in range(count)]
        functions.append(_function(what, name, activation, given))
    return tuple(tuple(functions[k * len(defaults):(k + 1) * len(defaults)])
                 for k in range(directions))
