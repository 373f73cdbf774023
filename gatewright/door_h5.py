"""Weights out of an HDF5 file. Also a program: the library loops forever on some damaged files.

The program, which imports nothing of ours, takes an HDF5 file on stdin and writes a NumPy archive
to stdout. HDF5 can point into other files and name filters to be loaded as plug-ins, so each link
and each dataset is looked at before a number of it is read.
"""

import io
import json
import math
import resource
import sys

import h5py
import numpy as np

__all__ = ["ROOT", "TABLE", "read_h5"]

ROOT, TABLE = "layers", "told"
MAX_OBJECTS, MAX_DEPTH, MAX_RANK = 4000, 8, 4
MAX_ELEMENTS = 1 << 25          # of all datasets
MAX_SECONDS, MAX_MEMORY = 2, 4 << 30
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}


class _Walk:
    """Everything under a group that plain links reach."""

    def __init__(self):
        self.arrays, self.names, self.refused = {}, {}, {}
        self.objects = self.elements = 0

    def group(self, group: h5py.Group, path: str, depth: int) -> None:
        self.objects += len(group)
        if self.objects > MAX_OBJECTS or depth > MAX_DEPTH:
            raise ValueError("far too many groups")
        name = group.attrs.get("name")
        if isinstance(name, str):
            self.names[path] = name
        for part in group:
            inner = f"{path}/{part}"
            if not isinstance(group.get(part, getlink=True), h5py.HardLink):
                self.refused[inner] = "lies behind a link"
                continue
            found = group[part]
            if isinstance(found, h5py.Group):
                self.group(found, inner, depth + 1)
            elif isinstance(found, h5py.Dataset):
                self.dataset(found, inner)

    def dataset(self, data: h5py.Dataset, path: str) -> None:
        plan = data.id.get_create_plist()
        filters = {plan.get_filter(k)[0] for k in range(plan.get_nfilters())}
        told = data.attrs.get("dtype", str(data.dtype))
        if data.is_virtual or plan.get_external_count() or not filters <= _FILTERS \
                or data.shape is None:
            self.refused[path] = "is not stored in the file itself"
        elif data.dtype.kind not in "fiu" or told == "bfloat16":
            self.refused[path] = f"is stored as {told}"
        elif len(data.shape) > MAX_RANK or \
                self.elements + math.prod(data.shape) > MAX_ELEMENTS:
            shape = data.shape[:MAX_RANK + 1]
            self.refused[path] = f"has the shape {shape}, more than any device holds"
        else:
            self.elements += math.prod(data.shape)
            self.arrays[path] = data[()]


def read_h5(data: bytes) -> tuple:
    """Everything under the group ``layers``.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    (dict of path to array, dict)
        The second one holds "names", the attribute of that name of each group, and "refused", the
        reason why a dataset was not read, both by path.
    """
    walk = _Walk()
    with h5py.File(io.BytesIO(data), "r") as file:
        if isinstance(file.get(ROOT, getlink=True), h5py.HardLink):
            walk.group(file[ROOT], ROOT, 0)
    return walk.arrays, {"names": walk.names, "refused": walk.refused}


def main() -> None:
    """Read, walk, write; whatever goes wrong ends the process without a result."""
    data = sys.stdin.buffer.read()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    seconds = int(used) + MAX_SECONDS + len(data) // (64 << 20)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    arrays, table = read_h5(data)
    memory = io.BytesIO()
    np.savez(memory, **{TABLE: np.frombuffer(json.dumps(table).encode(), np.uint8)}, **arrays)
    sys.stdout.buffer.write(memory.getvalue())


if __name__ == "__main__":
    main()
