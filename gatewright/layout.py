"""Arrays in the layout of the graph's tensors, and in that of the network: (n, T, F).

n sequences, T steps, F features, H units, B sequences that a graph takes at once.
"""

import numpy as np

from golden.lengths import at_end
from golden.network import Binding, FloatNetwork
from golden.reference import Batch, apply_final

from .errors import DataRefused, quote

__all__ = ["batch_axis", "batch_size", "dims_text", "feeds_in_graph_layout", "from_graph_layout",
           "graph_inputs", "joined", "of_head", "outputs_in_graph_layout", "single",
           "to_graph_layout"]


def graph_inputs(network: FloatNetwork) -> tuple:
    """Bindings of all inputs of the graph that carry data."""
    lengths = () if network.lengths is None else (network.lengths,)
    return (network.input, *network.state_inputs, *lengths)


def batch_axis(binding: Binding) -> int | None:
    """Which axis of a tensor of the graph counts sequences; None if none does."""
    return binding.axes.index("batch") if "batch" in binding.axes else None


def batch_size(binding: Binding) -> int:
    """How many sequences a graph takes at once: 1 where the file leaves that open."""
    axis = batch_axis(binding)
    return (binding.shape[axis] if axis is not None and axis < len(binding.shape) else 1) or 1


def dims_text(binding: Binding) -> str:
    """The layout of a tensor, for messages: (n, batch=1, time=50, feature=13)."""
    parts, batch = [], batch_size(binding)
    for k, role in enumerate(binding.axes):
        size = binding.shape[k] if k < len(binding.shape) else None
        one = f"1 or {batch}" if role == "batch" and batch > 1 else 1
        parts.append(f"{role}={one if role in ('batch', 'one') else size or 'any'}")
    return f"(n, {', '.join(parts)})"


def single(array: np.ndarray, binding: Binding, what: str) -> np.ndarray:
    """Arrays of a graph that takes B sequences at once, as those sequences one after another.

    Parameters
    ----------
    array : (m, *graph dims) with B sequences each, or the graph's own shape alone (m = 1);
        anything else comes back as it is

    Returns
    -------
    (m * B, *graph dims), with one sequence each

    Raises
    ------
    DataRefused
        If the graph's own shape could also mean sequences without the batch axis.
    """
    axis, batch, shape = batch_axis(binding), batch_size(binding), binding.shape
    if batch == 1:
        return array
    if array.ndim == len(shape) and all(d in (None, n) for d, n in zip(shape, array.shape)):
        plain = [n for role, n in zip(binding.axes, shape) if role not in ("batch", "one")]
        if array.ndim == 1 + len(plain) and all(
                d in (None, n) for d, n in zip(plain, array.shape[1:])):
            raise DataRefused(what, f"has the shape {array.shape}, which is both that of "
                              f"{quote(binding.name)} with {batch} sequences and that of "
                              f"{len(array)} sequences", f"give it a first axis: "
                              f"{dims_text(binding)}")
        array = array[None]
    if array.ndim != 1 + len(shape) or array.shape[1 + axis] != batch:
        return array
    moved = np.moveaxis(array, 1 + axis, 1)
    return np.expand_dims(moved.reshape(-1, *moved.shape[2:]), 1 + axis)


def joined(array: np.ndarray, binding: Binding) -> np.ndarray:
    """(n, *graph dims) of one sequence each as the graph's own tensor of all of them."""
    axis = batch_axis(binding)
    whole = array[0] if axis is None else np.concatenate(list(array), axis)
    return whole.astype(binding.dtype)


def from_graph_layout(array: np.ndarray, binding: Binding, what: str, *,
                      roles: tuple = ("time", "feature")) -> np.ndarray:
    """An array (n, *graph dims), or the same without its axes of one, as (n, *roles).

    Parameters
    ----------
    array : (n, ...)
    binding : Binding
    what : str
        The array, for messages.
    roles : tuple of str
        The axes wanted, in order; one that the graph lacks gets length 1.
    """
    axes, sizes = binding.axes, list(binding.shape) or [None] * len(binding.axes)
    sizes = [1 if role in ("batch", "one") else size for role, size in zip(axes, sizes)]
    kept = [k for k, role in enumerate(axes) if role not in ("batch", "one")]
    if binding.kind in "hc" and array.ndim < 1 + len(kept):
        kept = [k for k in kept if axes[k] != "layer" or sizes[k] != 1]
    if array.ndim != 1 + len(axes):        # the form without axes of length 1
        axes, sizes = [axes[k] for k in kept], [sizes[k] for k in kept]
        if array.ndim == len(axes) + 1 and sizes[:1] == [1] and axes[0] == "time":
            sizes[0] = None                # a one-step graph may run any number of steps
    fits = array.ndim == 1 + len(axes) and \
        all(want in (None, have) for want, have in zip(sizes, array.shape[1:]))
    if not fits:
        raise DataRefused(what, f"has the shape {array.shape}, but {quote(binding.name)} is "
                          f"{dims_text(binding)}", "n sequences, each in the graph's own layout")
    found = {role: k + 1 for k, role in enumerate(axes)}
    order = [found[role] for role in roles if role in found]
    rest = [k for k in range(1, array.ndim) if k not in order]
    moved = array.transpose([0, *order, *rest])
    return moved.reshape(len(array), *(array.shape[found[r]] if r in found else 1 for r in roles))


def to_graph_layout(array: np.ndarray, binding: Binding, roles: tuple) -> np.ndarray:
    """The reverse: an array (n, *roles) as (n, *graph dims), axes of one put in."""
    used = [role for role in roles if role in binding.axes]
    for k, role in enumerate(roles):
        if role not in binding.axes and array.shape[k + 1] != 1:
            raise DataRefused(quote(binding.name), f"has no axis for {array.shape[k + 1]} "
                              f"{role} values", "this result does not belong to this network")
    array = array.reshape(len(array), *(array.shape[1 + roles.index(role)] for role in used))
    wanted = [role for role in binding.axes if role in used]
    array = array.transpose([0, *(1 + used.index(role) for role in wanted)])
    shape = [array.shape[1 + wanted.index(role)] if role in wanted else 1 for role in binding.axes]
    return array.reshape(len(array), *shape)


def outputs_in_graph_layout(network: FloatNetwork, y: np.ndarray, h: dict, c: dict,
                            lengths: np.ndarray | None = None) -> dict:
    """A network's results as the graph lays them out.

    Parameters
    ----------
    y : (n, T, O) or (n, O)
        The last layer's result, of every step or the last, in front of the last functions.
    lengths : int64 (n,) or None
        Steps of each sequence.
    h, c : dict of layer to (n, H)
        Last states.

    Returns
    -------
    dict of output name to (n, *graph dims)
    """
    outputs, heads = {}, {head.name: head for head in network.heads}
    for binding in network.outputs:
        if binding.kind == "y":
            array = y if y.ndim == 3 else y[:, None]
            array = of_head(array, binding, lengths) if binding.width else array
            array = apply_final(array, heads[binding.name].final)
            array = array if "feature" in binding.axes else array[..., None]
            array, roles = _by_direction(array, binding)
            outputs[binding.name] = to_graph_layout(array, binding, roles)
        else:
            states = h if binding.kind == "h" else c
            array = np.stack([states[layer] for layer in binding.layers], axis=1)
            outputs[binding.name] = to_graph_layout(array, binding, ("layer", "feature"))
    return outputs


def of_head(y: np.ndarray, head: Binding, lengths: np.ndarray | None = None) -> np.ndarray:
    """A head's part of the last layer's results.

    Parameters
    ----------
    y : (n, T, O)
    head : Binding
        One of ``FloatNetwork.heads``.
    lengths : int64 (n,) or None

    Returns
    -------
    (n, T, F), or (n, 1, F) of the last step alone
    """
    y = y[..., head.start:head.start + head.width]
    return y if "time" in head.axes else at_end(y, lengths)[:, None]


def _by_direction(y: np.ndarray, binding: Binding) -> tuple:
    """(y, roles): results (n, T, O), with an axis of the directions where the graph has one."""
    if "direction" not in binding.axes:
        return y, ("time", "feature")
    count = binding.shape[binding.axes.index("direction")]
    return y.reshape(*y.shape[:2], count, -1), ("time", "direction", "feature")


def feeds_in_graph_layout(network: FloatNetwork, batch: Batch) -> dict:
    """A batch as the graph's inputs: name to (n, *graph dims), in the file's types."""
    x = batch.x[:, :, None] if network.embedding is not None else batch.x
    feeds = {network.input.name: to_graph_layout(x, network.input, ("time", "feature"))
             .astype(network.input.dtype)}
    if network.lengths is not None:
        given = np.full(len(x), x.shape[1]) if batch.lengths is None else batch.lengths
        feeds[network.lengths.name] = given[:, None].astype(network.lengths.dtype)
    for binding in network.state_inputs:
        given = batch.h0 if binding.kind == "h" else batch.c0
        states = [given.get(layer, np.zeros((len(batch), network.layers[layer].units)))
                  for layer in binding.layers]
        feeds[binding.name] = to_graph_layout(np.stack(states, axis=1), binding,
                                              ("layer", "feature")).astype(binding.dtype)
    return feeds
