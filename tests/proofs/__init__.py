"""Proofs about the engine's modules; one file a module."""

from . import (
    activation,
    arith,
    drain,
    dump,
    engine,
    loader,
    output,
    packed,
    queue,
    requantise,
    sequence,
    sequencer,
    weights,
)

__all__ = ["PROOFS"]

_MODULES = (queue, output, loader, sequence, sequencer, weights, drain, dump, requantise, arith,
            packed, activation, engine)
PROOFS = [proof for module in _MODULES for proof in module.PROOFS]
