"""Part "cpu": microseconds a step on this processor, one thread, batch 1, beside the routed clock.

Both programs run in the same process, one after the other; PyTorch only where it is installed.
"""

import os
import time
from collections.abc import Callable
from importlib import util
from pathlib import Path

import numpy as np

from golden.reference import run_float

from .cores import net_text
from .markdown import busy, count, table
from .models import lstm_network, onnx_model, random_batch

__all__ = ["LONG", "SIZES", "TITLE", "cases", "measure", "section"]

TITLE = "Time a step, beside a processor"
SIZES = ((10, 64), (64, 64), (28, 128), (128, 256))
LONG = 25           # steps of a call that takes a whole sequence
TOLERANCE = 1e-4    # of float32 against our float64 reference: are these the same networks?
PROGRAMS = ("onnxruntime", "torch")


def cases(quick: bool) -> list:
    """Case by case: "name", "inputs", "units", "calls"."""
    found = []
    for inputs, units in SIZES[:1] if quick else SIZES:
        case = {"cell": "lstm", "inputs": inputs, "units": units}
        found.append({"name": net_text(case), **case, "calls": 200 if quick else 3000})
    return found


def _timed(call: Callable, calls: int, steps: int) -> dict:
    """Median and 99th percentile of a step in microseconds, over calls of ``steps`` steps."""
    for _ in range(20):
        call()
    spent = np.zeros(calls)
    for k in range(calls):
        begun = time.perf_counter_ns()
        call()
        spent[k] = time.perf_counter_ns() - begun
    spent /= 1000 * steps
    return {"median_us": round(float(np.median(spent)), 3),
            "p99_us": round(float(np.percentile(spent, 99)), 3)}


def _onnxruntime(network, x: np.ndarray) -> tuple:
    """(result of the whole sequence, call of a step, call of a sequence)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx_model(network, states=True), options,
                                           providers=["CPUExecutionProvider"])
    zero = np.zeros((1, 1, network.layers[0].units), np.float32)
    whole = {"x": x[:, None], "h0": zero, "c0": zero}
    state = dict(whole, x=x[:1, None])

    def step():
        _, state["h0"], state["c0"] = session.run(None, state)
        return state["h0"]

    return session.run(None, whole)[0][:, 0, 0], step, lambda: session.run(None, whole)


def _torch(network, x: np.ndarray) -> tuple:
    """The same by PyTorch, whose gates stand in our order."""
    import torch

    torch.set_num_threads(1)
    (layer,) = network.layers
    module = torch.nn.LSTM(network.inputs, layer.units).eval()
    with torch.no_grad():
        for name, values in (("weight_ih_l0", layer.w), ("weight_hh_l0", layer.r),
                             ("bias_ih_l0", layer.bias_x), ("bias_hh_l0", layer.bias_h)):
            getattr(module, name).copy_(torch.from_numpy(values))
    whole, one = torch.from_numpy(x[:, None]), torch.from_numpy(x[:1, None])
    state = [(torch.zeros(1, 1, layer.units), torch.zeros(1, 1, layer.units))]

    @torch.inference_mode()
    def step():
        state[0] = module(one, state[0])[1]
        return state[0][0]

    @torch.inference_mode()
    def sequence():
        return module(whole)[0]

    return sequence()[:, 0].numpy(), step, sequence


def measure(case: dict, folder: Path, old: dict | None, settings: dict) -> dict:
    """Time one net; always measured again.

    Returns
    -------
    dict
        For each program "step" (a call a step, the state handed on) and "sequence" (a call of 25),
        each with "median_us" and "p99_us" a step; None for a program that is not installed.
    """
    network = lstm_network(case["inputs"], case["units"])
    batch = random_batch(network, 1, LONG)
    expected = run_float(network, batch)[0]["h"][0]
    record = {"failure": None, "load": round(os.getloadavg()[0], 2)}
    for name, program in zip(PROGRAMS, (_onnxruntime, _torch), strict=True):
        if util.find_spec(name) is None:
            record[name] = None
            continue
        y, step, sequence = program(network, batch.x[0].astype(np.float32))
        error = float(np.abs(y - expected).max())
        if not error < TOLERANCE:
            raise ValueError(f"{name} computes another network: its results differ by {error:g}")
        record[name] = {"step": _timed(step, case["calls"], 1),
                        "sequence": _timed(sequence, max(case["calls"] // LONG, 20), LONG)}
    return record


def placed(parts: dict, net: str) -> dict | None:
    """The fastest routed record of a net, if one was routed."""
    found = [record for record in parts["routed"].values()
             if record.get("net") == net and record.get("fmax_mhz")]
    return min(found, default=None, key=lambda record: record["step"][1] / record["fmax_mhz"])


def _cell(record: dict, program: str, kind: str) -> str:
    times = record[program]
    if times is None:
        return "not installed"
    return f"{count(times[kind]['median_us'], 2)} ({count(times[kind]['p99_us'], 2)})"


def section(parts: dict) -> str:
    """The part's text and table, from the records of all parts."""
    rows = []
    for net, record in parts["cpu"].items():
        if record["failure"]:
            rows.append([net, *["–"] * 7, f"FAILED: {record['failure']}"])
            continue
        ours, cells = placed(parts, net), ["not routed yet", *["–"] * 2]
        ratio = "–"
        if ours is not None:
            step = ours["step"][1] / ours["fmax_mhz"]
            cells = [f"`{ours['target']}`, {ours['array']} lanes, {ours['fmax_mhz']:.1f} MHz",
                     f"**{step:.2f}**", f"{ours['alone'][1] / ours['fmax_mhz']:.2f}"]
            if record["onnxruntime"]:
                ratio = (f"{record['onnxruntime']['step']['median_us'] / step:.1f} / "
                         f"{record['onnxruntime']['sequence']['median_us'] / step:.1f}")
        rows.append([net, *cells, *(_cell(record, program, kind) for kind in ("step", "sequence")
                                    for program in PROGRAMS), ratio])
    return "\n\n".join((
        "Microseconds a step at batch 1. Ours: measured cycles at the routed clock of the net's "
        "own core; *steady* from step to step, *one step* from the first word of x in to the last "
        "word of h out. The processor: one thread, 32-bit floats, median and in brackets the 99th "
        "percentile; *a call a step* hands the state on as a stream needs it, *25 steps a call* is "
        "a whole sequence at once. Both programs are checked against our float reference on the "
        "same weights before they are timed.",
        table(["net", "<our core", "ours, steady", "one step",
               *(f"{program}, {kind}" for kind in ("a call a step", f"{LONG} steps a call")
                 for program in ("onnxruntime", "PyTorch")),
               "onnxruntime / ours, steady"], rows),
        busy([record for record in parts["cpu"].values() if not record["failure"]])))
