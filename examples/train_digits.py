"""Train the bundled example networks, export them to ONNX and write their test sequences.

Data: the 1797 handwritten digits inside scikit-learn (``load_digits``; UCI optical recognition of
handwritten digits, CC BY 4.0), read row by row: T = 8 steps of I = 8 pixels, pixel / 16.

    python examples/train_digits.py                   # all three, about a minute on one core
    python examples/train_digits.py gru --validate    # tune without looking at the test split

Needs the optional packages of the training extra: torch, scikit-learn, onnxscript. Whoever only
runs the examples needs none of them.
"""

import argparse
import hashlib
import importlib.util
import io
import json
import logging
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime


def refuse(text: str):
    """End with one line and exit code 2; nothing has been written for the network in question."""
    print(f"train_digits: {text}", file=sys.stderr)
    sys.exit(2)


try:
    import torch
    from sklearn.datasets import load_digits
    from torch import nn
except ImportError as error:
    refuse(f"package {error.name!r} is missing, training needs it; "
           "pip install torch scikit-learn onnxscript")
if importlib.util.find_spec("onnxscript") is None:  # torch asks for it only after the training
    refuse("package 'onnxscript' is missing, the export needs it; pip install onnxscript")

T, I, CLASSES = 8, 8, 10
N_TEST, N_VALIDATE, N_CALIBRATE = 450, 200, 128
BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Task:
    """One network to train.

    Parameters
    ----------
    cell : str
        "LSTM", "GRU" or "RNN" (tanh).
    units : tuple of int
        H of each recurrent layer, applied in order.
    epochs : int
    rate : float
        Peak learning rate of a one-cycle schedule.
    dropout : float
        Probability, applied to the sequence between layers and to the last state.
    head_reads : str
        "last_step" (``y[:, -1]``) or "last_state" (``h_n[-1]``); the same numbers, but another
        spelling in the graph.
    dynamo, opset : bool, int
        Which of PyTorch's two exporters, and the ONNX operator set it writes.
    floor : float
        Test accuracy below which nothing is written.
    """

    cell: str
    units: tuple
    epochs: int
    rate: float
    dropout: float
    head_reads: str
    dynamo: bool
    opset: int
    floor: float

    @property
    def name(self) -> str:
        """Folder of the example."""
        return f"digits_{self.cell.lower()}"

    @property
    def exporter(self) -> str:
        """Which exporter wrote the file, in words."""
        kind = "dynamo=True" if self.dynamo else "TorchScript exporter, dynamo=False"
        return f"torch.onnx.export ({kind}), static batch 1, batch_first, opset {self.opset}"


# nn.RNN must take the TorchScript exporter: the other one unrolls it into MatMul and Tanh nodes.
TASKS = {
    "lstm": Task(cell="LSTM", units=(64, 32), epochs=200, rate=6e-3, dropout=0.2,
                 head_reads="last_step", dynamo=True, opset=18, floor=0.97),
    "gru": Task(cell="GRU", units=(48,), epochs=200, rate=8e-3, dropout=0.1,
                head_reads="last_state", dynamo=False, opset=17, floor=0.96),
    "rnn": Task(cell="RNN", units=(32,), epochs=400, rate=1e-2, dropout=0.0,
                head_reads="last_step", dynamo=False, opset=13, floor=0.95),
}


class RowReader(nn.Module):
    """Recurrent layers over the rows of a picture, a linear head on the last state; gives logits.

    Parameters
    ----------
    task : Task
    """

    def __init__(self, task):
        super().__init__()
        cell = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}[task.cell]
        widths = (I, *task.units)
        self.layers = nn.ModuleList(
            cell(a, b, batch_first=True) for a, b in zip(widths[:-1], task.units, strict=True))
        self.dropout = nn.Dropout(task.dropout)
        self.head = nn.Linear(widths[-1], CLASSES)
        self.head_reads = task.head_reads

    def forward(self, x):
        for layer in self.layers:
            y, state = layer(x)
            x = self.dropout(y)
        if self.head_reads == "last_step":
            return self.head(x[:, -1])
        return self.head(self.dropout(state[-1]))


def split_digits(split_seed: int) -> tuple:
    """Pictures and labels of the training and the test split, in a fixed random order.

    Returns
    -------
    x_train : float32 (1347, T, I), values k/16
    y_train : int64 (1347,)
    x_test : float32 (450, T, I)
    y_test : int64 (450,)
    """
    digits = load_digits()
    x = (digits.images / 16).astype(np.float32)
    y = digits.target.astype(np.int64)
    order = np.random.default_rng(split_seed).permutation(len(x))
    train, test = order[:-N_TEST], order[-N_TEST:]
    return x[train], y[train], x[test], y[test]


def shift(x, generator):
    """Move each picture by -1, 0 or +1 pixel in both directions; zeros come in at the border."""
    padded = nn.functional.pad(x, (1, 1, 1, 1))
    offset = torch.randint(0, 3, (2, len(x), 1), generator=generator)
    row = offset[0] + torch.arange(T)
    column = offset[1] + torch.arange(I)
    return padded[torch.arange(len(x))[:, None, None], row[:, :, None], column[:, None, :]]


def accuracy(model, x, y) -> float:
    """Share of the pictures whose largest logit is their label."""
    model.eval()
    with torch.no_grad():
        return float((model(x).argmax(1) == y).float().mean())


def train(task, x, y, x_watch, y_watch, seed):
    """Train one network from its seed; the last epoch's weights are kept, none is selected.

    Parameters
    ----------
    x, x_watch : float32 (N, T, I)
    y, y_watch : int64 (N,)
        Trained on; watched, for the progress lines only.

    Returns
    -------
    RowReader in evaluation mode
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = RowReader(task)
    optimizer = torch.optim.AdamW(model.parameters(), lr=task.rate, weight_decay=1e-2)
    n_batches = -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=task.rate, total_steps=task.epochs * n_batches)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    start = time.perf_counter()
    for epoch in range(1, task.epochs + 1):
        model.train()
        total = 0.0
        for rows in torch.randperm(len(x), generator=generator).split(BATCH):
            loss = loss_of(model(shift(x[rows], generator)), y[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(rows)
        if epoch % 20 == 0 or epoch == task.epochs:
            print(f"  epoch {epoch:3d}/{task.epochs}  loss {total / len(x):.4f}  "
                  f"top-1: trained on {accuracy(model, x, y):.4f}, "
                  f"held out {accuracy(model, x_watch, y_watch):.4f}  "
                  f"{time.perf_counter() - start:.0f} s", flush=True)
    return model.eval()


def strip(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove what an exporter notes about the machine: stack traces, file paths, comments."""
    graph = model.graph
    parts = [model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output,
             *graph.value_info]
    for part in parts:
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    return model


def export(task, model) -> onnx.ModelProto:
    """The ONNX form of a trained network: ``rows`` (1, T, I) in, ``logits`` (1, 10) out."""
    options = {"input_names": ["rows"], "output_names": ["logits"], "opset_version": task.opset}
    example = (torch.zeros(1, T, I),)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # "torchvision is not installed"
    with warnings.catch_warnings():
        # Both exporters warn about themselves (deprecation, batch size), never about the network.
        warnings.simplefilter("ignore")
        if task.dynamo:
            program = torch.onnx.export(
                model, example, dynamo=True, external_data=False, verbose=False, **options)
            proto = program.model_proto
        else:
            file = io.BytesIO()
            torch.onnx.export(model, example, file, dynamo=False, **options)
            proto = onnx.load_from_string(file.getvalue())
    proto = strip(proto)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def run_float(data: bytes, inputs) -> np.ndarray:
    """onnxruntime's float32 logits (N, 1, 10) of inputs (N, 1, T, I), one sequence per run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return np.stack([session.run(["logits"], {"rows": one})[0] for one in inputs])


def card(task, model, proto, data, outputs, labels, args) -> dict:
    """What a reader must know about the example: origin, licence, sizes, accuracy."""
    return {
        "name": task.name,
        "task": "10-class digit classification, one row of 8 pixels per step",
        "cell": task.cell, "I": I, "H": list(task.units), "layers": len(task.units),
        "direction": "forward", "T": T, "classes": CLASSES,
        "exporter": task.exporter,
        "source": "scikit-learn load_digits (UCI optical recognition of handwritten digits, "
                  "E. Alpaydin and C. Kaynak); weights trained here",
        "licence": "data: CC BY 4.0 (UCI), shipped with scikit-learn, BSD-3-Clause; "
                   "weights: this project's own",
        "labels": "digit",
        "preprocessing": "pixel/16",
        "n_sequences": len(labels), "n_calibration": N_CALIBRATE,
        "io": {
            "inputs": {"rows": {"file": "inputs.npy", "shape_per_sequence": [1, T, I],
                                "dtype": "float32"}},
            "outputs": {"logits": {"file": "float_outputs.npy", "dtype": "float32",
                                   "shape_per_sequence": [1, CLASSES]}},
        },
        "float_accuracy": {
            "metric": "top-1 accuracy",
            "value": round(float(np.mean(outputs[:, 0].argmax(1) == labels)), 5),
            "n": len(labels),
            "majority_class": round(float(np.bincount(labels).max() / len(labels)), 5)},
        "float_runtime": f"onnxruntime {onnxruntime.__version__} CPU, float32, "
                         "one sequence per run",
        "onnx": {
            "file": "model.onnx", "sha256": hashlib.sha256(data).hexdigest(),
            "opset": proto.opset_import[0].version, "ir_version": proto.ir_version,
            "producer": f"{proto.producer_name} {proto.producer_version}",
            "node_types": dict(sorted(Counter(n.op_type for n in proto.graph.node).items())),
            "parameters": sum(p.numel() for p in model.parameters())},
        "training": {
            "regenerate": f"python examples/train_digits.py {task.cell.lower()} "
                          f"--seed {args.seed} --split-seed {args.split_seed}",
            "seed": args.seed, "split_seed": args.split_seed, "epochs": task.epochs,
            "batch": BATCH, "rate": task.rate, "dropout": task.dropout,
            "augmentation": "shifts of -1, 0, +1 pixel in both directions",
            "torch": torch.__version__},
    }


def build(task, args):
    """Train, export, check and write one example; with ``--validate`` train and report only."""
    x_train, y_train, x_test, y_test = split_digits(args.split_seed)
    as_tensors = [torch.from_numpy(a) for a in (x_train, y_train, x_test, y_test)]
    x, y, x_held, y_held = as_tensors
    if args.validate:
        x, y, x_held, y_held = (x[:-N_VALIDATE], y[:-N_VALIDATE], x[-N_VALIDATE:], y[-N_VALIDATE:])
    print(f"{task.name}: {task.cell} {task.units}, seed {args.seed}, split seed "
          f"{args.split_seed}, {len(x)} sequences to train on, {len(x_held)} "
          f"{'of the training split' if args.validate else 'test sequences'} held out", flush=True)
    model = train(task, x, y, x_held, y_held, args.seed)
    if args.validate:
        return
    proto = export(task, model)
    data = proto.SerializeToString(deterministic=True)
    inputs = x_test[:, None]
    outputs = run_float(data, inputs)
    with torch.no_grad():
        error = np.abs(outputs[:, 0] - model(as_tensors[2]).numpy()).max()
    facts = card(task, model, proto, data, outputs, y_test, args)
    reached = facts["float_accuracy"]["value"]
    if error > 1e-4:
        refuse(f"{task.name}: ONNX and PyTorch must agree within 1e-4, not {error:.2g}; "
               "nothing was written, use another exporter version")
    if reached < task.floor:
        refuse(f"{task.name}: test accuracy must be at least {task.floor}, not {reached}; "
               "nothing was written, train longer or with another seed")
    folder = args.out / task.name
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(data)
    np.save(folder / "calib_inputs.npy", x_train[:N_CALIBRATE, None])
    np.save(folder / "inputs.npy", inputs)
    np.save(folder / "labels.npy", y_test)
    np.save(folder / "float_outputs.npy", outputs)
    (folder / "card.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(f"  {folder}: top-1 {reached:.4f} of {len(y_test)}, {len(data)} bytes of ONNX, "
          f"onnxruntime against PyTorch {error:.1e}, sha256 {facts['onnx']['sha256'][:16]}")


def main():
    """Command line."""
    parser = argparse.ArgumentParser(
        description="Train the digit examples, export ONNX, write test sequences.")
    parser.add_argument("cells", nargs="*", metavar="CELL",
                        help=f"which to train: {', '.join(TASKS)} (default: all)")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent,
                        help="folder that receives digits_CELL/ (default: this script's own)")
    parser.add_argument("--seed", type=int, default=1,
                        help="weights, order, shifts, dropout (default: %(default)s)")
    parser.add_argument("--split-seed", type=int, default=0,
                        help="training and test split (default: %(default)s)")
    parser.add_argument("--validate", action="store_true",
                        help=f"hold {N_VALIDATE} training sequences out, report, write nothing")
    args = parser.parse_args()
    for cell in args.cells:
        if cell not in TASKS:
            parser.error(f"CELL must be one of {', '.join(TASKS)}, not {cell!r}")
    for option, seed in (("--seed", args.seed), ("--split-seed", args.split_seed)):
        if not 0 <= seed < 2 ** 63:
            parser.error(f"{option} must be 0 to 2**63 - 1, not {seed}")
    cells = list(dict.fromkeys(args.cells)) or list(TASKS)
    if not args.validate:
        try:  # before the training, not after it
            args.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            refuse(f"--out must be a folder that can be written, not {str(args.out)!r} "
                   f"({error.strerror})")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for cell in cells:
        build(TASKS[cell], args)


if __name__ == "__main__":
    main()
