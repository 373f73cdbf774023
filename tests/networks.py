"""Random networks and batches for the tests: one place that says what a small network looks like.

A layer is a tuple (cell, units, *words); the words are an activation ("relu", "sigmoid", ...),
"last" for a layer of the last step alone, "final" for one of the last states alone, "reverse", a
tuple of the layers that it reads, or a dict of what is out of the ordinary in its cell: clip,
coupled, the scale of its peepholes, functions as "name" or (name, alpha, beta).
"""

import numpy as np

from golden.functions import Function
from golden.model import Codes, encode
from golden.network import (
    GATES,
    Activation,
    Binding,
    Cell,
    FloatLayer,
    FloatNetwork,
    Initial,
    IntNetwork,
)
from golden.quantise import QuantOptions, quantise_network
from golden.reference import Batch

__all__ = ["make_batch", "make_integer", "make_layer", "make_network"]


def make_layer(spec, inputs: int, rng, *, name: str = "layer", scale: float = 1.0,
               balance: float = 1.0, loads: bool = False) -> FloatLayer:
    """One layer with normal weights of about unit gain.

    Parameters
    ----------
    spec : tuple (cell, units, *words)
    inputs : int
    rng : numpy Generator
    scale : float
        Gain of the weights; large ones drive every table to its ends.
    balance : float
        Gain of W beside R: far from 1, one of a row's two parts is shifted to line up.
    loads : bool
        Its states are inputs of the graph.
    """
    cell, units, *words = spec
    cell = Cell(cell)
    rows = len(GATES[cell]) * units
    linear = not cell.recurrent
    default = Activation.TANH if cell is Cell.RNN else Activation.IDENTITY
    function = next((Activation(word) for word in words if word in list(Activation)), default)
    own = dict(next((word for word in words if isinstance(word, dict)), {}))
    if "peephole" in own:
        own["peephole"] = np.random.default_rng(units).normal(size=(3, units)) * own["peephole"]
    if "functions" in own:
        words_of = [(f,) if isinstance(f, str) else f for f in own.pop("functions")]
        own["own_functions"] = tuple(
            Function(activation=Activation(f[0]), **dict(zip(("alpha", "beta"), f[1:])))
            for f in words_of)
    if cell.pools:
        zeros = np.zeros(units)
        return FloatLayer(name=name, cell=cell, units=units, w=np.zeros((units, inputs)),
                          bias_x=zeros, bias_h=zeros, last_only=True,
                          reads=next((word for word in words if isinstance(word, tuple)), ()))
    return FloatLayer(
        name=name, cell=cell, units=units, activation=function, **own,
        w=rng.normal(size=(rows, inputs)) * scale * balance / np.sqrt(inputs),
        r=None if linear else rng.normal(size=(rows, units)) * scale / np.sqrt(units),
        bias_x=rng.normal(size=rows) * 0.3,
        bias_h=np.zeros(rows) if linear else rng.normal(size=rows) * 0.3,
        initial_h=Initial(source=f"h_{name}") if loads and not linear else Initial(),
        initial_c=Initial(source=f"c_{name}") if loads and cell is Cell.LSTM else Initial(),
        last_only="last" in words or "final" in words, reads_final="final" in words,
        reverse="reverse" in words,
        reads=next((word for word in words if isinstance(word, tuple)), ()))


def make_network(*layers, inputs: int = 5, seed: int = 0, embedding=None, loads: bool = False,
                 returns: bool = False, last_step_only: bool = False,
                 scale: float = 1.0, balance: float = 1.0) -> FloatNetwork:
    """A network of random layers.

    Parameters
    ----------
    layers : tuples (cell, units, *words)
    embedding : (tokens, width) or None
    loads, returns : bool
        Initial states are graph inputs; last states are graph outputs.
    scale, balance : float
        See ``make_layer``.
    """
    rng = np.random.default_rng(seed)
    first, made = inputs if embedding is None else embedding[1], []
    for idx, spec in enumerate(layers):
        reads = next((word for word in spec if isinstance(word, tuple)), (idx - 1,))
        width = sum(first if read < 0 else made[read].units for read in reads)
        made.append(make_layer(spec, width, rng, name=f"l{idx}", scale=scale,
                               balance=balance, loads=loads))
    outputs = (Binding(name="y", axes=("batch", "feature"), kind="y"),)
    if returns:
        outputs += (Binding(name="hn", axes=("layer", "batch", "feature"), kind="h"),)
    return FloatNetwork(
        name="net", source="test", model_sha256="0" * 64, layers=tuple(made),
        embedding=None if embedding is None else rng.normal(size=embedding),
        input=Binding(name="x", axes=("batch", "time", "feature")), outputs=outputs,
        last_step_only=last_step_only)


def make_batch(network: FloatNetwork, sequences: int, steps: int, *, seed: int = 1) -> Batch:
    """Random inputs, and states where the network loads them."""
    rng = np.random.default_rng(seed)
    if network.embedding is not None:
        batch = Batch(x=rng.integers(0, len(network.embedding), size=(sequences, steps)))
    else:
        batch = Batch(x=rng.normal(size=(sequences, steps, network.inputs)))
    if network.loads_state:
        for idx in network.recurrent:
            layer = network.layers[idx]
            batch.h0[idx] = rng.uniform(-0.9, 0.9, size=(sequences, layer.units))
            if layer.cell is Cell.LSTM:
                batch.c0[idx] = rng.normal(size=(sequences, layer.units))
    return batch


def make_integer(network: FloatNetwork, batch: Batch, **options) -> tuple[IntNetwork, Codes]:
    """The integer network, calibrated on ``batch``, and the batch in its codes."""
    integer, _ = quantise_network(network, batch, QuantOptions(**options))
    return integer, encode(network, integer, batch)
