"""Sequences of several lengths in one batch: each length is a run of its own.

B sequences, T steps of the longest, H units. ONNX's ``sequence_lens``: what stands behind a
sequence's end is not read, and results there are zero.
"""

from collections.abc import Callable

import numpy as np

__all__ = ["at_end", "check_lengths", "for_each_length", "mask", "once"]


def check_lengths(lengths, steps: int) -> np.ndarray:
    """Lengths as int64 (B,).

    Raises
    ------
    ValueError
        If one is not 1 to ``steps``.
    """
    lengths = np.asarray(lengths)
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or lengths.size == 0 \
            or lengths.min() < 1 or lengths.max() > steps:
        raise ValueError(f"Lengths must be integers from 1 to {steps}, one a sequence, "
                         f"not {lengths!r}")
    return lengths.astype(np.int64)


def mask(lengths: np.ndarray | None, shape: tuple) -> np.ndarray:
    """Which steps there are, bool (B, T); shape : (B, T, ...)."""
    if lengths is None:
        return np.ones(shape[:2], dtype=bool)
    return np.arange(shape[1]) < np.asarray(lengths)[:, None]


def at_end(values: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    """What stands at each sequence's last step: (B, T, H) -> (B, H); T = 1 is that step."""
    if lengths is None or values.shape[1] == 1:
        return values[:, -1]
    return values[np.arange(len(values)), np.asarray(lengths) - 1]


def once(layers) -> list:
    """Which layers give one result a sequence: a flag each."""
    return [layer.last_only or layer.cell.pools for layer in layers]


def for_each_length(lengths: np.ndarray, steps: int, singles: list, run: Callable) -> list:
    """Records of arrays over a whole batch, from runs over the sequences of each length.

    Parameters
    ----------
    lengths : int64 (B,)
    steps : int
        T.
    singles : list of bool, one a layer
        Its record is of one step a sequence, whatever the length; see ``once``.
    run : callable of (index, length)
        index : int64 (b,), the sequences of that length -> list of dict of str to array, one
        record a layer: (b, length, H), (b, 1, H) or, of counts, (b,).

    Returns
    -------
    list of dict of str to array
        (B, T, H) with zeros behind each sequence's end, (B, 1, H), or (B,).
    """
    made = [{} for _ in singles]
    for length in np.unique(lengths):
        index = np.flatnonzero(lengths == length)
        for whole, single, record in zip(made, singles, run(index, int(length)), strict=True):
            for name, values in record.items():
                if values.ndim > 1 and not single:
                    behind = [(0, 0), (0, steps - values.shape[1]), (0, 0)]
                    values = np.pad(values, behind)
                shape = (len(lengths), *values.shape[1:])
                whole.setdefault(name, np.zeros(shape, values.dtype))[index] = values
    return made
