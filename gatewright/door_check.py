"""Does an import compute what its file or module computes? Random data, and the verdict on it."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from golden.network import FloatNetwork
from golden.reference import Batch

from .errors import GatewrightError
from .onnx_check import check_against_onnx, float_outputs

__all__ = ["compare", "judge", "random_batch"]

SEQUENCES, STEPS = 4, 16
# What float32 may make of a float64 result: a share of the largest output, and so many times what
# one rounding of each weight does to it. A chaotic network amplifies roundings exponentially.
TOLERANCE, ROUNDINGS = 1e-5, 100


def random_batch(network: FloatNetwork, *, seed: int = 1) -> Batch:
    """Four sequences of the network's own kind, in values that float32 holds exactly.

    Normal values, token ids, and initial states of -1 to 1; 16 steps where the length is open.
    """
    rng = np.random.default_rng(seed)
    shape = network.input.shape
    steps = next((size for role, size in zip(network.input.axes, shape)
                  if role == "time" and size), STEPS)
    if network.embedding is not None:
        x = rng.integers(0, len(network.embedding), (SEQUENCES, steps))
    else:
        x = rng.normal(size=(SEQUENCES, steps, network.inputs)).astype(np.float32)
    states = {"h": {}, "c": {}}
    for binding in network.state_inputs:
        for idx in binding.layers:
            value = rng.uniform(-1, 1, (SEQUENCES, network.layers[idx].units))
            states[binding.kind][idx] = value.astype(np.float32).astype(np.float64)
    lengths = None if network.lengths is None else rng.integers(1, steps, SEQUENCES, endpoint=True)
    if network.fixed_lengths:
        lengths = np.resize(network.fixed_lengths, SEQUENCES)
    return Batch(x=x if x.dtype.kind == "i" else x.astype(np.float64), h0=states["h"],
                 c0=states["c"], lengths=lengths)


def compare(network: FloatNetwork, file: Path | str, batch: Batch) -> float | None:
    """Largest difference between an import and its ONNX form, run by another program.

    Returns
    -------
    float or None
        None where nothing at hand can run the file.

    Raises
    ------
    GatewrightError
        If the import computes something else.
    """
    worst = check_against_onnx(network, file, batch)
    if worst is not None:
        judge(network, batch, worst, "its file")
    return worst


def judge(network: FloatNetwork, batch: Batch, worst: float, what: str) -> None:
    """Refuse an import whose results differ by ``worst`` from those of ``what``.

    Raises
    ------
    GatewrightError
        If rounding cannot explain the difference.
    """
    ours = float_outputs(network, batch)
    scale = max(1.0, max(float(np.abs(a).max()) for a in ours.values()))
    step = 1 + 2.0 ** -24
    rounded = replace(network, layers=tuple(
        replace(layer, w=layer.w * step, r=None if layer.r is None else layer.r * step)
        for layer in network.layers))
    moved = max(float(np.abs(a - ours[name]).max())
                for name, a in float_outputs(rounded, batch).items())
    if not worst <= TOLERANCE * scale + ROUNDINGS * moved:
        raise GatewrightError(f"network {network.name}", f"the import differs from {what} by "
                              f"{worst:.3g}", "please report this model")
