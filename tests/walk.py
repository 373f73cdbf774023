"""What each layer of a network reads, step by step: written from the contract, for the tests' own
arithmetics (``scalar_model``, ``apy_model``), which share it and no number with ``golden``.
"""

from collections.abc import Callable

from golden.network import IntNetwork

__all__ = ["walk"]


def walk(network: IntNetwork, x, start: Callable) -> list:
    """One sequence.

    Parameters
    ----------
    network : IntNetwork
    x : codes (T, I), or token ids (T, 1)
    start : callable of a layer's index
        Gives a cell with ``step(vector)``: signal name to H codes, in the order of the layer's own
        steps; and ``pool(vectors)``: H codes.

    Returns
    -------
    list of dict, one a layer
        Signal to integer codes, list of T lists of H, in the order of time.
    """
    rows = x if network.embedding is None else [network.embedding[int(t[0])] for t in x]
    inputs, traces = [[int(v) for v in row] for row in rows], []
    for idx, layer in enumerate(network.layers):
        cell, parts = start(idx), []
        for read in layer.reads or (idx - 1,):
            part = inputs if read < 0 else traces[read]["h"]
            if layer.last_only and not layer.cell.pools:
                # A reverse layer's last result is the one at the first step.
                turned = layer.reads_final and read >= 0 and network.layers[read].reverse
                part = [part[0 if turned else -1]]
            parts.append(part)
        vectors = [[v for part in step for v in part] for step in zip(*parts, strict=True)]
        if layer.cell.pools:
            traces.append({"h": [cell.pool(vectors)]})
            continue
        order = -1 if layer.reverse else 1
        steps = [cell.step(vector) for vector in vectors[::order]][::order]
        traces.append({name: [step[name] for step in steps] for name in steps[0]})
    return traces
