"""Data files for a network: .npy and .npz arrays in the graph's layout, checked, as batches.

n sequences, T steps, I inputs, O outputs, H units.
"""

import io
import math
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from golden.lengths import check_lengths, mask
from golden.network import FloatNetwork
from golden.reference import Batch

from .errors import DataRefused, GatewrightError, quote
from .layout import dims_text, from_graph_layout, single, to_graph_layout

__all__ = ["LoadedBatch", "load_batch", "load_float_outputs", "load_labels", "load_weights"]

MAX_BYTES = 256 << 20           # of one file; also stops an archive that unpacks to far more
MAX_VALUES = 1 << 25            # 256 MiB as float64, whatever the file's type
MAX_AXES = 16
LARGEST = 1e12                  # no word of 18 bits resolves anything of such data
SMALLEST = 1e-45                # what float32 takes for zero; its square is one for float64 too
_SAVE = "save it with numpy.save"


@dataclass(kw_only=True)
class LoadedBatch(Batch):
    """A batch, and what a user should know about how it was read."""

    notes: tuple = ()


def _parse(data: bytes, what: str) -> np.ndarray:
    """An array from the bytes of a .npy file; numbers only, never pickled objects."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        header = (np.lib.format.read_array_header_1_0 if version == (1, 0)
                  else np.lib.format.read_array_header_2_0)
        shape, fortran, dtype = header(file)
    except Exception:                      # a damaged header raises several kinds
        raise DataRefused(what, "is not a NumPy array file, or is damaged", _SAVE) from None
    if dtype.hasobject or dtype.kind not in "fiub":
        raise DataRefused(what, f"holds {dtype} values, not numbers", "save numbers")
    whole = all(type(n) is int and n >= 0 for n in shape) and len(shape) <= MAX_AXES
    count, size = math.prod(shape) if whole else -1, len(data) - file.tell()
    if count * dtype.itemsize != size:
        raise DataRefused(what, f"has the shape {str(shape)[:80]} but {size} bytes of values",
                          "the file is cut short or damaged: save it again")
    if count > MAX_VALUES:
        raise DataRefused(what, f"holds {count} values, more than {MAX_VALUES}",
                          "give fewer sequences")
    values = np.frombuffer(data, dtype=dtype, count=count, offset=file.tell())
    return values.reshape(shape, order="F" if fortran else "C")


def _arrays(path: Path, what: str) -> dict:
    """Name to array: the members of an .npz, or {"": array} of an .npy."""
    try:
        if not path.is_file():
            reason = "is not a file" if path.exists() else "no such file"
            raise DataRefused(what, reason, "give a .npy or .npz file")
        if path.stat().st_size > MAX_BYTES:
            raise DataRefused(what, f"is larger than {MAX_BYTES >> 20} MiB", "give fewer sequences")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise DataRefused(what, f"cannot be read ({error})", "check the path") from None
    if not data:
        raise DataRefused(what, "is empty", _SAVE)
    if not data.startswith(b"PK\x03\x04"):
        return {"": _parse(data, what)}
    arrays, left = {}, MAX_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist()[:64]:
                label = f"{what}, member {quote(member.filename)}"
                left -= member.file_size
                if left < 0:
                    raise DataRefused(label, f"unpacks to more than {MAX_BYTES >> 20} MiB",
                                      "give fewer sequences")
                with archive.open(member) as file:
                    arrays[member.filename.removesuffix(".npy")] = \
                        _parse(file.read(member.file_size), label)
    except GatewrightError:
        raise
    except Exception:
        raise DataRefused(what, "is a damaged archive", "save it with numpy.savez") from None
    return arrays


def _usable(values: np.ndarray, what: str):
    if values.size == 0:
        raise DataRefused(what, f"is empty (shape {values.shape})", "give at least one sequence")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        index = [int(i) for i in np.argwhere(~np.isfinite(values))[0]]
        raise DataRefused(what, f"is {values[tuple(index)]} at index {index}",
                          "all values must be finite")
    largest = max(-float(values.min()), float(values.max()))
    if largest > LARGEST:
        raise DataRefused(what, f"holds values up to {largest:.3g}", "scale the data, as for the "
                          "training")


def _floats(values: np.ndarray) -> np.ndarray:
    """As float64, with zeros for what the graph's float32 could not tell from them."""
    values = values.astype(np.float64)
    values[np.abs(values) < SMALLEST] = 0.0
    return values


def _primary(arrays: dict, name: str, what: str) -> np.ndarray:
    for key in ("", name, "inputs", "x", "arr_0"):
        if key in arrays:
            return arrays[key]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    listed = ", ".join(quote(key, 30) for key in list(arrays)[:8])
    raise DataRefused(what, f"has no array {quote(name)} (it has {listed})",
                      "name the arrays like the graph's inputs")


def _sibling(path: Path, name: str) -> Path:
    """inputs.npy -> inputs_<name>.npy, with _ for what a file name should not hold."""
    safe = re.sub(r"[^A-Za-z0-9_.\-]", "_", name)[:100]
    return path.with_name(f"{path.stem}_{safe}.npy")


def load_batch(network: FloatNetwork, path: Path | str, *, limit: int | None = None) -> LoadedBatch:
    """Sequences for a network.

    Parameters
    ----------
    network : FloatNetwork
    path : Path or str
        A .npy file with shape (n, *graph dims), or (n, T, I), or (n, T) token ids; the initial
        states beside it in <stem>_<graph input>.npy. Or an .npz with an array for each input.
    limit : int or None
        At most so many sequences, the first ones.

    Returns
    -------
    LoadedBatch
        Its notes name the states that were not given and start from zeros. Values behind the end
        of a sequence are zeros.
    """
    path, binding = Path(path), network.input
    what = quote(path, 200)
    if limit is not None and limit < 1:
        raise DataRefused(what, f"a limit of {limit} sequences leaves nothing", "use 1 or more")
    arrays = _arrays(path, what)
    raw = single(_primary(arrays, binding.name, what), binding, what)
    if raw.ndim < 2:
        raise DataRefused(what, f"has the shape {raw.shape}, but {quote(binding.name)} is "
                          f"{dims_text(binding)}", "n sequences, each in the graph's own layout")
    total = len(raw)
    raw = raw[:limit]
    _usable(raw, what)
    x = from_graph_layout(raw, binding, what)
    if network.embedding is not None:
        x = _tokens(x[:, :, 0], len(network.embedding), what)
    elif x.shape[2] != network.inputs:
        raise DataRefused(what, f"has {x.shape[2]} values a step, but the network takes "
                          f"{network.inputs}", f"it must be {dims_text(binding)}")
    else:
        x = _floats(x)
    states, notes = {"h": {}, "c": {}}, []
    lengths = _lengths(network, path, arrays, x.shape[:2], total, notes)
    if lengths is not None:
        x = np.where(mask(lengths, x.shape).reshape(*x.shape[:2], *[1] * (x.ndim - 2)), x, 0)
    for state in network.state_inputs:
        given, label = _beside(path, arrays, state.name)
        if given is None:
            notes.append(f"No data for the initial state {quote(state.name)} ({label}): zeros are "
                         "used.")
            zeros = {k: np.zeros((len(x), network.layers[k].units)) for k in state.layers}
            states[state.kind].update(zeros)
            continue
        given = single(given, state, label)
        if given.ndim < 1 or len(given) != total:
            raise DataRefused(label, f"has {len(given) if given.ndim else 0} states for {total} "
                              "sequences", "give one a sequence")
        given = given[:limit]
        _usable(given, label)
        given = from_graph_layout(given, state, label, roles=("layer", "feature"))
        for k, layer in enumerate(state.layers):
            states[state.kind][layer] = _floats(given[:, k])
    return LoadedBatch(x=x, h0=states["h"], c0=states["c"], lengths=lengths, notes=tuple(notes))


def _beside(path: Path, arrays: dict, name: str) -> tuple:
    """(array, its name for messages) of another graph input; (None, the file it would be in)."""
    sibling = _sibling(path, name)
    if name in arrays:
        return arrays[name], f"{quote(path, 200)}, array {quote(name)}"
    label = quote(sibling, 200)
    if not sibling.is_file():
        return None, quote(sibling.name)
    return _primary(_arrays(sibling, label), name, label), label


def _lengths(network: FloatNetwork, path: Path, arrays: dict, shape: tuple, total: int,
             notes: list) -> np.ndarray | None:
    """The steps of each sequence, where the graph has an input for them or says them itself."""
    n, steps = shape
    if network.fixed_lengths:
        return np.resize(np.array(network.fixed_lengths), n)
    if network.lengths is None:
        return None
    given, label = _beside(path, arrays, network.lengths.name)
    if given is None:
        notes.append(f"No lengths {quote(network.lengths.name)} ({label}): every sequence runs to "
                     "its end.")
        return None
    if given.size != total:
        raise DataRefused(label, f"holds {given.size} lengths for {total} sequences",
                          "give one a sequence")
    try:
        return check_lengths(given.reshape(-1)[:n], steps)
    except ValueError:
        raise DataRefused(label, f"holds {given.dtype} lengths from {given.min()} to {given.max()}",
                          f"they must be integers from 1 to {steps}") from None


def _tokens(ids: np.ndarray, count: int, what: str) -> np.ndarray:
    if ids.dtype.kind not in "iu":
        raise DataRefused(what, f"holds {ids.dtype} values", "token ids must be integers")
    wrong = (ids < 0) | (ids >= count)
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise DataRefused(what, f"has token id {ids[index]} in sequence {index[0]}, step "
                          f"{index[1]}", f"ids must be 0 to {count - 1}")
    return ids.astype(np.int64)


def load_labels(path: Path | str, n: int,
                network: FloatNetwork | None = None) -> np.ndarray | dict:
    """Labels or target values of n sequences: (n,), or (n, T) with one a step.

    Of a network with several results: a dict of such, where a .npz holds arrays of their names.
    """
    what = quote(path, 200)
    arrays = _arrays(Path(path), what)
    heads = () if network is None else [head.name for head in network.heads]
    named = [name for name in heads if name in arrays]
    if len(heads) > 1 and named:
        return {name: _labels(arrays[name], n, f"{what}, array {quote(name)}") for name in named}
    return _labels(_primary(arrays, "labels", what), n, what)


def _labels(labels: np.ndarray, n: int, what: str) -> np.ndarray:
    if labels.ndim < 1 or len(labels) < n:
        raise DataRefused(what, f"has the shape {labels.shape} for {n} sequences",
                          "give labels for every sequence")
    _usable(labels, what)
    return labels[:n].reshape(n, *(size for size in labels.shape[1:] if size != 1))


def load_weights(path: Path | str) -> dict:
    """Weights that an ONNX file has as graph inputs: the arrays of an .npz, by name."""
    what = quote(path, 200)
    arrays = _arrays(Path(path), what)
    if "" in arrays:
        raise DataRefused(what, "is one array without a name", "save the weights by numpy.savez, "
                          "each under the name of its graph input")
    return arrays


def load_float_outputs(network: FloatNetwork, path: Path | str, n: int) -> dict:
    """Recorded float outputs of n sequences.

    Parameters
    ----------
    path : Path or str
        The (first) result's file; the others, and last states, in <stem>_<graph output>.npy.

    Returns
    -------
    dict of output name to (n, *graph dims)
        Outputs without a file are left out.
    """
    path, found = Path(path), {}
    arrays = _arrays(path, quote(path, 200))
    first = next((b for b in network.outputs if b.kind == "y"), network.outputs[0])
    for binding in network.outputs:
        sibling, what = _sibling(path, binding.name), quote(path, 200)
        if binding is first:
            array = _primary(arrays, binding.name, what)
        elif binding.name in arrays:
            array = arrays[binding.name]
        elif sibling.is_file():
            what = quote(sibling, 200)
            array = _primary(_arrays(sibling, what), binding.name, what)
        else:
            continue
        array = single(array, binding, what)
        if array.ndim < 1 or len(array) < n:
            raise DataRefused(what, f"has the shape {array.shape} for {n} sequences",
                              "give the outputs of every sequence")
        array = array[:n]
        _usable(array, what)
        roles = ("layer", "feature")
        if binding.kind == "y":
            roles = tuple(role for role in ("time", "direction", "feature")
                          if role != "direction" or role in binding.axes)
        plain = from_graph_layout(array, binding, what, roles=roles)
        found[binding.name] = to_graph_layout(plain, binding, roles)
    return found
