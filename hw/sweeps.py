"""Which walk over a sequence computes a layer: networks with reverse layers need several.

A sweep is one walk over all steps of a sequence. In its step number s, forward layers stand at the
sequence's step s and reverse layers at step T - 1 - s, so that both directions of a bidirectional
layer share a sweep. What a layer reads is either computed in the same step, or it has been kept
from the sweep before.
"""

from golden.network import IntNetwork

__all__ = ["assign_sweeps", "same_step"]


def same_step(network: IntNetwork, idx: int, read: int) -> bool:
    """True where layer ``idx`` can read layer ``read`` in the step that computes it."""
    layer, source = network.layers[idx], network.layers[read]
    if layer.cell.pools:
        return True
    if layer.last_only:
        return source.last_only or layer.reads_final or not source.reverse
    return layer.reverse == source.reverse


def assign_sweeps(network: IntNetwork) -> tuple:
    """The sweep of each layer, the earliest one possible.

    Returns
    -------
    tuple of int, one a layer; all 0 where no layer is reverse

    Raises
    ------
    ValueError
        If what a layer reads is neither of its own sweep nor of the one before.
    """
    sweeps, before = [0] * len(network.layers), None
    while sweeps != before:
        before = list(sweeps)
        for idx, layer in enumerate(network.layers):
            reads = [read for read in network.reads(idx) if read >= 0]
            kept = [not same_step(network, idx, read) for read in reads]
            sweeps[idx] = max([sweeps[idx]] + [sweeps[read] + later
                                               for read, later in zip(reads, kept, strict=True)])
            # What is read as one vector comes from one place: of this sweep, or kept of the last.
            own = not any(kept) and all(sweeps[read] == sweeps[idx] for read in reads)
            # Where one of them can only be of this sweep, the others wait for it.
            waits = not any(kept) and any(sweeps[read] == sweeps[idx] for read in reads)
            for read in reads:
                if not own:
                    sweeps[read] = max(sweeps[read], sweeps[idx] - (not waits))
            if max(sweeps) > 2 * len(sweeps):
                raise _impossible(layer)
    for idx, layer in enumerate(network.layers):
        far = {sweeps[idx] - sweeps[read] for read in network.reads(idx) if read >= 0}
        mixed = far and min(network.reads(idx)) < 0
        # A last state is there once, in the step that computes it.
        late = layer.reads_final and far == {1} and any(
            network.layers[read].reverse for read in network.reads(idx))
        if far not in (set(), {0}, {1}) or mixed or late or (layer.last_only
                                                     and sweeps[idx] != max(sweeps)):
            raise _impossible(layer)
    if network.layers[-1].reverse:
        raise ValueError(f"Layer {network.layers[-1].name!r} must not be the last one: results "
                         "leave in the order of time, and it is reverse")
    return tuple(sweeps)


def _impossible(layer) -> ValueError:
    return ValueError(f"Layer {layer.name!r} reads results that are not of one time: only those of "
                      "one walk over the sequence can be joined")
