"""The functions of the ONNX operators RNN, GRU and LSTM in float64, by name and parameters."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

__all__ = ["IDENTITY", "PLAIN", "TABLED", "Activation", "Function", "evaluate", "limits_of"]


class Activation(StrEnum):
    """Element-wise function; a is alpha, b is beta."""

    IDENTITY = "identity"
    RELU = "relu"
    SIGMOID = "sigmoid"
    TANH = "tanh"
    AFFINE = "affine"                      # a*x + b
    LEAKY_RELU = "leaky_relu"              # x, below 0 a*x
    THRESHOLDED_RELU = "thresholded_relu"  # x, below a 0
    SCALED_TANH = "scaled_tanh"            # a*tanh(b*x)
    HARD_SIGMOID = "hard_sigmoid"          # a*x + b, within 0 and 1
    ELU = "elu"                            # x, below 0 a*(e**x - 1)
    SOFTSIGN = "softsign"                  # x / (1 + |x|)
    SOFTPLUS = "softplus"                  # log(1 + e**x)


# Those that every core is able to compute; the others take lines of their own (``golden.curves``).
TABLED = (Activation.SIGMOID, Activation.TANH)
PLAIN = (Activation.IDENTITY, Activation.RELU, *TABLED)


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function with its parameters.

    Parameters
    ----------
    activation : Activation
    alpha, beta : float
        Where the function has them; else 0.
    """

    activation: Activation
    alpha: float = 0.0
    beta: float = 0.0

    def __str__(self) -> str:
        numbers = [f"{value:g}" for value in (self.alpha, self.beta)]
        while numbers and numbers[-1] == "0":
            numbers.pop()
        return str(self.activation) + (f"({', '.join(numbers)})" if numbers else "")


IDENTITY = Function(activation=Activation.IDENTITY)


def _softplus(x):
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


_VALUES = {
    Activation.IDENTITY: lambda x, a, b: x,
    Activation.RELU: lambda x, a, b: np.maximum(x, 0.0),
    Activation.SIGMOID: lambda x, a, b: 0.5 * (1.0 + np.tanh(0.5 * x)),
    Activation.TANH: lambda x, a, b: np.tanh(x),
    Activation.AFFINE: lambda x, a, b: a * x + b,
    Activation.LEAKY_RELU: lambda x, a, b: np.where(x < 0, a * x, x),
    Activation.THRESHOLDED_RELU: lambda x, a, b: np.where(x < a, 0.0, x),
    Activation.SCALED_TANH: lambda x, a, b: a * np.tanh(b * x),
    Activation.HARD_SIGMOID: lambda x, a, b: np.clip(a * x + b, 0.0, 1.0),
    Activation.ELU: lambda x, a, b: np.where(x < 0, a * np.expm1(np.minimum(x, 0.0)), x),
    Activation.SOFTSIGN: lambda x, a, b: x / (1.0 + np.abs(x)),
    Activation.SOFTPLUS: lambda x, a, b: _softplus(x),
}


def evaluate(function: Function, x) -> np.ndarray:
    """Values of a function. x : float64, any shape -> float64, same shape."""
    return _VALUES[function.activation](np.asarray(x, dtype=np.float64), function.alpha,
                                        function.beta)


def limits_of(function: Function) -> tuple:
    """(lowest, highest) value that the function comes near to, over all numbers; infinite unless
    both ends are finite.
    """
    bounded = {Activation.SIGMOID: (0.0, 1.0), Activation.HARD_SIGMOID: (0.0, 1.0),
               Activation.TANH: (-1.0, 1.0), Activation.SOFTSIGN: (-1.0, 1.0),
               Activation.SCALED_TANH: (-abs(function.alpha), abs(function.alpha))}
    return bounded.get(function.activation, (-np.inf, np.inf))
