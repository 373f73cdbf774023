"""What a cell computes from its row sums: gates, their order, the functions and what bounds them.

A cell's functions stand at *places*: LSTM has f (gates i, f, o), g (candidate) and h (of the new
cell state); GRU has f (r, z) and g (candidate n); RNN and linear layers have one. The names are
those of the ONNX operators.

Dimensions: H units, G gates (rows per unit).
"""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import numpy as np

from .fixed import Fixed
from .functions import TABLED, Activation, Function

__all__ = ["Cell", "FloatCell", "GATES", "IntCell", "PLACES", "Place", "default_functions"]


class Cell(StrEnum):
    """What a layer computes from its row sums (ONNX operators RNN, GRU, LSTM, Gemm)."""

    RNN = "rnn"                            # h = activation(a); activation tanh or relu
    LSTM = "lstm"                          # c = f*c + i*g; h = o*tanh(c)
    GRU = "gru"                            # reset after the product: linear_before_reset=1
    GRU_RESET_BEFORE = "gru_reset_before"  # linear_before_reset=0
    LINEAR = "linear"                      # y = activation(a), no recurrence
    MEAN = "mean"                          # y = mean over the steps of a sequence
    MAX = "max"                            # y = the largest over the steps
    PRODUCT = "product"                    # y = a*b of two linear rows: merges, gating

    @property
    def recurrent(self) -> bool:
        """True where a step depends on the one before it."""
        return self not in (Cell.LINEAR, Cell.MEAN, Cell.MAX, Cell.PRODUCT)

    @property
    def pools(self) -> bool:
        """True for one result a sequence, of all its steps."""
        return self in (Cell.MEAN, Cell.MAX)


GATES = MappingProxyType({
    Cell.RNN: ("a",), Cell.LINEAR: ("a",), Cell.MEAN: ("a",), Cell.MAX: ("a",),
    Cell.LSTM: ("i", "f", "g", "o"), Cell.PRODUCT: ("a", "b"),
    Cell.GRU: ("r", "z", "n"), Cell.GRU_RESET_BEFORE: ("r", "z", "n"),
})

# The place of each gate's function; an LSTM's third place has no row.
PLACES = MappingProxyType({
    Cell.RNN: (0,), Cell.LINEAR: (0,), Cell.MEAN: (0,), Cell.MAX: (0,),
    Cell.LSTM: (0, 0, 1, 0), Cell.PRODUCT: (0, 0),
    Cell.GRU: (0, 0, 1), Cell.GRU_RESET_BEFORE: (0, 0, 1),
})


_SIGMOID, _TANH = Function(activation=Activation.SIGMOID), Function(activation=Activation.TANH)
_DEFAULTS = MappingProxyType({Cell.LSTM: (_SIGMOID, _TANH, _TANH), Cell.GRU: (_SIGMOID, _TANH),
                              Cell.GRU_RESET_BEFORE: (_SIGMOID, _TANH)})


def default_functions(cell: Cell, activation: Activation = Activation.TANH) -> tuple:
    """The ``Function`` of each place of a cell; ``activation`` of one that has a single place."""
    return _DEFAULTS.get(cell) or (Function(activation=activation),)


@dataclass(frozen=True, kw_only=True)
class FloatCell:
    """What is out of the ordinary in a layer's cell; the base of ``FloatLayer``.

    Parameters
    ----------
    own_functions : tuple of Function
        Of each place. Empty: the cell's defaults, or the layer's ``activation``.
    clip : float > 0 or None
        Bounds what goes into the functions of all gates to [-clip, clip]. The cell state that goes
        into an LSTM's h is not bounded: so onnxruntime does it.
    coupled : bool
        LSTM only: f = 1 - i (ONNX ``input_forget``); the rows of f mean nothing.
    peephole : float64 (3, H) or None
        LSTM only, for i, f, o: i and f see P*c(t-1), o sees P*c(t).
    """

    own_functions: tuple = ()
    clip: float | None = None
    coupled: bool = False
    peephole: np.ndarray | None = None

    def __post_init__(self):
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"Layer {self.name!r}: clip must be above 0, not {self.clip!r}")
        if self.cell is not Cell.LSTM and (self.coupled or self.peephole is not None):
            raise ValueError(f"Layer {self.name!r}: only an LSTM has coupled gates or peepholes")
        wanted = len(default_functions(self.cell))
        if self.own_functions and len(self.own_functions) != wanted:
            raise ValueError(f"Layer {self.name!r}: functions must be {wanted}, "
                             f"not {len(self.own_functions)}")
        if self.peephole is not None and self.peephole.shape != (3, self.units):
            raise ValueError(f"Layer {self.name!r}: peepholes must be {(3, self.units)}, "
                             f"not {self.peephole.shape}")

    @property
    def functions(self) -> tuple:
        """The ``Function`` of each place."""
        return self.own_functions or default_functions(self.cell, self.activation)

    @property
    def title(self) -> str:
        """The cell and what is out of the ordinary in it, in a few words."""
        words = [str(self.cell)]
        if self.own_functions:
            words += map(str, self.own_functions)
        elif self.activation is not Activation.IDENTITY:
            words.append(str(self.activation))
        if self.clip is not None:
            words.append(f"clip {self.clip:g}")
        return " ".join(words + ["coupled"] * self.coupled
                        + ["peepholes"] * (self.peephole is not None))


@dataclass(frozen=True, kw_only=True)
class Place:
    """A function and its formats in the integer network.

    Parameters
    ----------
    function : Function
    pre, out : Fixed
        What goes in and what comes out.
    limit : int or None
        Codes of ``pre`` are bounded to [-limit, limit] first.
    """

    function: Function
    pre: Fixed
    out: Fixed
    limit: int | None = None

    @property
    def is_straight(self) -> bool:
        """Identity or ReLU: the code goes through, with as many fractional bits as before."""
        return self.function.activation in (Activation.IDENTITY, Activation.RELU)

    @property
    def is_curve(self) -> bool:
        """Computed by lines of its own, not by those that serve every cell."""
        tabled = self.function.activation in TABLED and self.out.frac == self.out.width - 1
        return not self.is_straight and not tabled


@dataclass(frozen=True, kw_only=True)
class IntCell:
    """The same in integers; the base of ``IntLayer``.

    Parameters
    ----------
    places : tuple of Place
        Empty: the cell's default functions, in the layer's ``pre`` and ``h``, without limits.
    coupled : bool
    peephole : int64 (3, H) or None
        A code times one of c has ``peephole_lift`` more fractional bits than its row's sum.
    peephole_lift : int
    """

    places: tuple = ()
    coupled: bool = False
    peephole: np.ndarray | None = None
    peephole_lift: int = 0

    def place(self, idx: int) -> Place:
        """The function of place ``idx``."""
        if self.places:
            return self.places[idx]
        function = default_functions(self.cell, self.activation)[idx]
        return Place(function=function, pre=self.pre, out=self.h)

    def format_of(self, signal: str, cell: Fixed) -> Fixed:
        """The format of a named signal; ``cell`` is that of c."""
        if signal == "c":
            return cell
        if signal in ("h", "rh"):
            return self.h
        places = {"g": 1, "n": 1, "pre_g": 1, "pre_n": 1, "pre_nx": 1, "pre_nh": 1, "tanh_c": 2}
        place = self.place(places.get(signal, 0))
        return place.pre if signal == "a" or signal.startswith("pre") else place.out

    @property
    def row_shift(self) -> np.ndarray:
        """Right shift from each row's sum to its pre-activation, int64 (G*H,)."""
        fracs = [self.place(idx).pre.frac for idx in PLACES[self.cell]]
        return self.acc_frac - np.repeat(np.array(fracs, dtype=np.int64), self.units)
