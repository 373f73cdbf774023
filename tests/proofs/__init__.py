"""Proofs about the engine's modules; one file a module."""

from . import (
    activation,
    arith,
    drain,
    dump,
    engine,
    guard,
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
            packed, activation, engine, guard)
PROOFS = [proof for module in _MODULES for proof in module.PROOFS]
