"""What can be imported, by trying: docs/matrix.md.

    python -m tests.matrix

writes it; ``test_matrix.py`` checks that it is what this tree does. A network "works" where the
float network that is made of its file computes what the exporting framework (for raw ONNX:
onnxruntime) computes with it.
"""

import io
import json
import re
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from gatewright.doors import import_model
from gatewright.errors import GatewrightError
from gatewright.layout import joined
from gatewright.onnx_check import float_outputs
from golden.reference import Batch
from tests.drawn_operators import Drawn, expected, imported

__all__ = ["DOCUMENT", "Notes", "document", "exported", "nodes"]

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs" / "matrix.md"
ARCHIVE = HERE / "fixtures" / "exports.zip"
DOORS = {"legacy": ("PyTorch, torch.onnx.export(..., dynamo=False)", ".onnx", "torch"),
         "dynamo": ("PyTorch, torch.onnx.export(..., dynamo=True), the default", ".onnx", "torch"),
         "state": ("PyTorch state dict (`.safetensors`)", ".safetensors", "torch"),
         "keras": ("Keras file (`.keras`)", ".keras", "keras")}
TOLERANCE = 1e-4
HEAD = """# What can be imported

Written by `python -m tests.matrix`, which tries all of it; `tests/test_matrix.py` checks that it is
current. The files are those that {torch} and
{keras} have written, and lie in `tests/fixtures/exports.zip`.

"yes": the float network made of the file computes what the framework itself has computed with it
(for raw ONNX: what onnxruntime computes). A number: refused, with the message of that number below.
"-": there is no such thing. Live PyTorch modules (`gw.from_torch`) go the way of the state dict.
"""


class Notes:
    """Refusals, numbered; those that differ in names alone are one."""

    def __init__(self):
        self.texts = {}

    def number(self, text: str) -> str:
        text = re.sub(r"^'[^']*': ", "", " ".join(text.split())).replace("|", "/")
        key = re.sub(r"'[^']*'|\\d+", "", text)
        self.texts.setdefault(key, (len(self.texts) + 1, text))
        return str(self.texts[key][0])

    def lines(self) -> list:
        return [f"{number}. {text}" for number, text in self.texts.values()]


def _same(network, values: dict) -> bool:
    """Whether a network computes what was recorded of it."""
    inputs = ("x", "h0", "c0")
    x, first = values["x"], values.get("time_first", False)
    states = {kind: {layer: values[f"{kind}0"][row] for b in network.state_inputs if b.kind == kind
                     for row, layer in enumerate(b.layers)} for kind in "hc"}
    batch = Batch(x=x.swapaxes(0, 1) if first else x, h0=states["h"], c0=states["c"])
    ours, n = list(float_outputs(network, batch).values()), len(batch)
    theirs = [v for k, v in values.items() if k not in (*inputs, "time_first")]
    for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        b = b.swapaxes(0, 1) if first or k and b.shape[0] == 1 else b
        if a.size != b.size or not np.allclose(a.reshape(n, -1), b.reshape(n, -1),
                                               atol=TOLERANCE, rtol=TOLERANCE):
            return False
    return True


def exported(door: str, cell: str, feature: str, archive: zipfile.ZipFile, folder: Path) -> str:
    """"yes", "-" or a refusal, of one network by one exporter."""
    _, suffix, by = DOORS[door]
    place, names = f"{door}/{cell}/{feature}", archive.namelist()
    if f"{place}.txt" in names:
        return f"the exporter refuses: {archive.read(f'{place}.txt').decode()}"
    if f"{place}{suffix}" not in names:
        return "-"
    path = folder / f"net{suffix}"
    path.write_bytes(archive.read(f"{place}{suffix}"))
    if door == "state":
        told = json.loads(archive.read(f"{place}.json"))
        path.with_name("net.layers.json").write_text(json.dumps(told))
    try:
        network = import_model(path)
    except GatewrightError as error:
        return str(error)
    with np.load(io.BytesIO(archive.read(f"{by}/{cell}/{feature}.npz"))) as file:
        values = dict(file) | ({"time_first": True} if feature == "time first" else {})
    head = values.pop("rnn", None)
    if door == "state" and head is not None:
        values["y"] = head
    if door == "state" and feature == "time first":   # what a state dict does not say
        values = {k: v.swapaxes(0, 1) for k, v in values.items() if k != "time_first"}
    return "yes" if _same(network, values) else "WRONG NUMBERS"


def _table(columns: list, rows: dict, notes: Notes) -> list:
    """Markdown of row name -> outcomes."""
    lines = ["| | " + " | ".join(columns) + " |", "|" + "---|" * (len(columns) + 1)]
    for name, outcomes in rows.items():
        cells = [text if text in ("yes", "-", "WRONG NUMBERS") else notes.number(text)
                 for text in outcomes]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def nodes() -> dict:
    """Row name -> {operator: one node}, of raw ONNX."""
    base = Drawn(index=0, op="", steps=4, batch=1, inputs=3, units=2, opset=17, attributes={},
                 outputs=("Y",), weights="constant", bias="constant", lengths="", initial_h="",
                 initial_c="", peephole="", open_axes=False)
    every, lstm = ("RNN", "GRU", "LSTM"), ("LSTM",)
    rows = {}

    def row(name, ops=every, attributes=None, **fields):
        rows[name] = {op: replace(base, op=op, **fields, attributes={
            "hidden_size": 2} | (attributes or {})) for op in ops}

    row("Y, every step")
    row("Y_h, the last state", outputs=("Y_h",))
    row("Y_c, the last cell state", lstm, outputs=("Y_c",))
    row("Y and Y_h", outputs=("Y", "Y_h"))
    row("no bias", bias="")
    for direction in ("reverse", "bidirectional"):
        row(f"`direction` {direction}", attributes={"direction": direction})
        row(f"`direction` {direction}, Y and Y_h", attributes={"direction": direction},
            outputs=("Y", "Y_h"))
    row("`layout` 1", attributes={"layout": 1})
    row("`clip`", attributes={"clip": 0.7})
    for value in (0, 1):
        row(f"`linear_before_reset` {value}", ("GRU",), {"linear_before_reset": value})
    row("`input_forget` 1", lstm, {"input_forget": 1})
    row("peepholes", lstm, peephole="constant")
    first = {"RNN": (), "GRU": ("Tanh",), "LSTM": ("Tanh", "Tanh")}
    for name, more in (("Relu", {}), ("Sigmoid", {}), ("Softsign", {}), ("Softplus", {}),
                       ("HardSigmoid", {"activation_alpha": [0.2], "activation_beta": [0.5]}),
                       ("LeakyRelu", {"activation_alpha": [0.1]}),
                       ("ThresholdedRelu", {"activation_alpha": [0.1]}),
                       ("Elu", {"activation_alpha": [0.9]}),
                       ("ScaledTanh", {"activation_alpha": [0.9], "activation_beta": [0.8]}),
                       ("Affine", {"activation_alpha": [0.4], "activation_beta": [0.1]})):
        row(f"`activations` {name} first", attributes=more)
        for op, case in rows[f"`activations` {name} first"].items():
            rows[f"`activations` {name} first"][op] = replace(
                case, attributes=case.attributes | {"activations": [name, *first[op]]})
    for how in ("constant", "input"):
        word = {"constant": "a constant", "input": "a graph input"}[how]
        row(f"initial_h {word}", initial_h=how)
        row(f"initial_h and initial_c {word}", lstm, initial_h=how, initial_c=how)
        row(f"sequence_lens {word}", lengths=how, batch=3)
    row("weights as graph inputs", weights="input")
    row("weights as Constant nodes", weights="node")
    row("three sequences at once", batch=3)
    row("open batch and time", open_axes=True)
    row("opset 7", opset=7)
    row("the newest opset", opset=onnx.defs.onnx_opset_version())
    return rows


def node_outcome(case: Drawn, folder: Path) -> str:
    """"yes" or the refusal of one raw node."""
    try:
        network, batch = imported(case, folder)
    except GatewrightError as error:
        return str(error)
    theirs, ours = expected(case), float_outputs(network, batch)
    same = all(np.allclose(joined(ours[b.name], b), theirs[b.name], atol=TOLERANCE)
               for b in network.outputs)
    return "yes" if same else "WRONG NUMBERS"


def document() -> str:
    """The whole file."""
    notes = Notes()
    with zipfile.ZipFile(ARCHIVE) as archive, tempfile.TemporaryDirectory() as scratch:
        versions = json.loads(archive.read("versions.json"))
        lines = HEAD.format(torch=f"PyTorch {versions['torch']} (ONNX {versions['onnx']})",
                            keras=f"Keras {versions['keras']}").splitlines()
        folder = Path(scratch)
        names = [name.rpartition(".")[0].split("/") for name in archive.namelist() if "/" in name]
        for door, (title, _, _) in DOORS.items():
            cells = list(dict.fromkeys(cell for of, cell, _ in names if of == door))
            features = dict.fromkeys(feature for of, _, feature in names if of == door)
            rows = {feature: [exported(door, cell, feature, archive, folder) for cell in cells]
                    for feature in features}
            lines += ["", f"## {title}", "", *_table(cells, rows, notes)]
        ops = ["RNN", "GRU", "LSTM"]
        rows = {name: [node_outcome(made[op], folder) if op in made else "-" for op in ops]
                for name, made in nodes().items()}
        lines += ["", "## Raw ONNX, one node", "", *_table(ops, rows, notes), "", "## Messages",
                  "", *notes.lines()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
