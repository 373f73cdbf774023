"""Proofs about the engine's modules; one file a module."""

from . import (
    activation,
    arith,
    drain,
    dump,
    guard,
    loader,
    output,
    packed,
    queue,
    requantise,
    sequencer,
)

__all__ = ["PROOFS"]

_MODULES = (queue, output, loader, sequencer, drain, dump, requantise, arith, packed, activation,
            guard)
PROOFS = [proof for module in _MODULES for proof in module.PROOFS]
