"""Bad input: how it is made, and what has to happen to it.

A case is a row (name, make, said): ``make`` gives a model (a ``Net``, a ``ModelProto``, bytes), and
``said`` is a regular expression that the one line of the refusal must contain.
"""

import contextlib
import re
import resource
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnx_models as build
import pytest
from commands import command, refusal
from onnx import TensorProto, helper, numpy_helper

LIMIT_S = 20                    # wall clock: other jobs may be running
CPU_S = 5
BYTES = 512 << 20               # of memory that a case may ask for, above what was there

IMPORT = ("import", "model.onnx")
QUANTISE = ("quantise", "model.onnx", "--calibration", "c.npy", "--out", "out")


class TooSlow(BaseException):
    """No ``except Exception`` may take it for a damaged file."""


@contextlib.contextmanager
def bounded():
    """Bounded time and memory for what runs inside; the limits fail the test."""
    def alarm(*_):
        raise TooSlow(f"not done in {LIMIT_S} s")

    kept = signal.signal(signal.SIGALRM, alarm)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, hard))
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    start = time.process_time()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGALRM, kept)
    assert time.process_time() - start < CPU_S


def _state(root: Path) -> dict:
    """Everything below a folder: kind, size and time of change, and contents where they are few."""
    found = {}
    for path in sorted(root.rglob("*")):
        info = path.lstat()
        small = path.is_file() and not path.is_symlink() and info.st_size < 1 << 20
        found[str(path.relative_to(root))] = (
            (info.st_mode, info.st_size, info.st_mtime_ns, path.read_bytes() if small else None)
            if not path.is_dir() or path.is_symlink() else info.st_mode)
    return found


def run(root: Path, *words, status: int):
    """A command in ``root/place``, in bounds; nothing strange is left in ``root`` or for /tmp."""
    (root / "tmp").mkdir(exist_ok=True)
    before, kept = _state(root), tempfile.tempdir
    tempfile.tempdir = str(root / "tmp")
    try:
        with bounded():
            done = command(*words, cwd=root / "place")
    finally:
        tempfile.tempdir = kept
    assert done.status == status, done
    if status:
        assert _state(root) == before
    else:
        assert not done.err
    return done


def refused(root: Path, said: str, *words) -> str:
    """The line of a refusal that leaves everything as it was, and that says what it should."""
    line = refusal(run(root, *words, status=2))
    assert re.search(said, line), line
    assert "cannot be read as a network" not in line, line     # that is a fault of the importer
    assert len(line) < 1500
    return line


def place(root: Path, model=None, array=None) -> Path:
    """``root/place`` with model.onnx (a valid one by default) and c.npy that fits a valid one."""
    folder = root / "place"
    folder.mkdir(parents=True, exist_ok=True)
    model = build.torch_legacy(layers=1) if model is None else model
    model = model.model() if isinstance(model, build.Net) else model
    data = model if isinstance(model, bytes) else model.SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    if array is None:
        array = np.random.default_rng(1).normal(size=(6, 1, 5, 4))
    np.save(folder / "c.npy", array)
    return folder


def rows(cases) -> pytest.MarkDecorator:
    """Parametrise with rows (name, make, said), each by its own name."""
    cases = list(cases)
    assert len({case[0] for case in cases}) == len(cases)
    return pytest.mark.parametrize(("make", "said"), [case[1:] for case in cases],
                                   ids=[case[0] for case in cases])


# ---- models --------------------------------------------------------------------------------------

def attribute(kind="LSTM", remove=(), *, opset=17, **values):
    """A lone cell with attributes of its node set, or removed."""
    net = build.bare(kind, opset=opset)
    node = net.nodes[-1]
    for old in [a for a in node.attribute if a.name in {*values, *remove}]:
        node.attribute.remove(old)
    node.attribute.extend(helper.make_attribute(name, value) for name, value in values.items())
    return net


def weight(index: int, values=None, *, kind="LSTM", **fields):
    """A lone cell whose weight 0 (W), 1 (R) or 2 (B) has other values, or other fields."""
    net = build.bare(kind)
    tensor = net.inits[index]
    if values is not None:
        net.inits[index] = numpy_helper.from_array(np.asarray(values), tensor.name)
    for name, value in fields.items():
        if isinstance(value, list | tuple):
            tensor.ClearField(name)
            getattr(tensor, name).extend(value)
        else:
            setattr(tensor, name, value)
    return net


def poked(index: int, value: float, *, kind="LSTM", at: int = 5):
    """A lone cell with one number of a weight replaced."""
    net = build.bare(kind)
    values = numpy_helper.to_array(net.inits[index]).copy()
    values.flat[at] = value
    net.inits[index] = numpy_helper.from_array(values, net.inits[index].name)
    return net


def edited(change, net=None) -> onnx.ModelProto:
    """A valid model, changed as a message by ``change(model)``."""
    model = (net or build.bare()).model()
    change(model)
    return model


def headed(*nodes, opset: int = 17):
    """A GRU, then nodes (op, constants..., attributes): each reads the one before."""
    def head(net, name):
        for op, *constants, attrs in nodes:
            name = net.op(op, name, *(net.const(values) for values in constants),
                          name=f"the {op}", **attrs)
    return build.headed(head, opset=opset)


def external(root: Path, *, where: str = "initializer", **entries) -> Path:
    """A model whose first weight lies in w.bin; ``entries`` replace the honest ones.

    ``where``: "unused" (an initialiser that nothing reads), "constant" (of a Constant node), "fill"
    (the value of a ConstantOfShape) or "branch" (inside an If that nothing reads).
    """
    net = build.bare("GRU")
    tensor = net.inits[0] if where == "initializer" else TensorProto(
        name="outside", data_type=TensorProto.FLOAT, dims=[1], raw_data=b"\0" * 4)
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    honest = {"location": "w.bin", "offset": "0", "length": str(len(data))}
    for key, value in (honest | entries).items():
        tensor.external_data.add(key=key, value=value)
    if where == "unused":
        net.inits.append(tensor)
    elif where == "constant":
        net.op("Constant", outputs=["unread"], value=tensor)
    elif where == "fill":
        net.nodes[-1].input.extend(["", net.op("ConstantOfShape", net.ints(1, 1, 3), value=tensor)])
        net.nodes.reverse()
    elif where == "branch":
        branch = helper.make_graph([], "branch", [], [], [tensor])
        net.op("If", net.const(True), outputs=["unread"], then_branch=branch, else_branch=branch)
    folder = place(root, net)
    (folder / "w.bin").write_bytes(data)
    return folder
