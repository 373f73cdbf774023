"""What a layer reads of a sequence, and in which order it goes through it."""

import numpy as np

__all__ = ["final_step", "gather", "in_order"]


def final_step(layer) -> int:
    """Index of the step that a layer computes last: of its final state."""
    return 0 if layer.reverse else -1


def in_order(layer, steps: int) -> range:
    """The steps as a layer goes through them; the same order turns its results back."""
    return range(steps)[::-1] if layer.reverse else range(steps)


def gather(network, idx: int, x, results) -> np.ndarray:
    """The input of layer ``idx`` over a batch, from the network's input and earlier results.

    Parameters
    ----------
    network : FloatNetwork or IntNetwork
    x : (B, T, I), the network's input, behind the embedding
    results : list of (B, T, H), each layer's results

    Returns
    -------
    (B, T, I) of the layer, in time order; T = 1 for a last-step layer that is no pool
    """
    layer, parts = network.layers[idx], []
    for read in network.reads(idx):
        part = x if read < 0 else results[read]
        if layer.last_only and not layer.cell.pools:
            step = final_step(network.layers[read]) if layer.reads_final and read >= 0 else -1
            part = part[:, step][:, None]
        parts.append(part)
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
