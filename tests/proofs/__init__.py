"""Proofs about the engine's modules; one file a module."""

from . import activation, arith, dump, loader, output, packed, queue, requantise

__all__ = ["PROOFS"]

PROOFS = [proof for module in (queue, output, loader, dump, requantise, arith, packed, activation)
          for proof in module.PROOFS]
