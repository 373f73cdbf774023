"""The ONNX package's own operator tests in fixed point, at several widths: docs/operators.md.

    python -m tests.operator_scores

writes the table; ``test_onnx_backend.py`` checks that it is what this tree computes.
"""

import tempfile
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np

from gatewright.backend import WIDE, GatewrightBackend
from golden.network import IntNetwork
from golden.quantise import QuantOptions, Rounding
from tests.drawn_operators import COUNT, compare, draw

__all__ = ["NAMES", "PRESETS", "cases", "document", "scores"]

DOCUMENT = Path(__file__).parent.parent / "docs" / "operators.md"
PARTS = ("node tests", "drawn nodes")
NAMES = tuple(f"test_{name}" for name in (
    "simple_rnn_defaults", "simple_rnn_with_initial_bias", "rnn_seq_length",
    "simple_rnn_batchwise", "simple_rnn_reverse", "simple_rnn_bidirectional", "gru_defaults",
    "gru_with_initial_bias", "gru_seq_length", "gru_batchwise", "gru_reverse", "gru_bidirectional",
    "lstm_defaults", "lstm_with_initial_bias", "lstm_with_peepholes", "lstm_batchwise",
    "lstm_reverse", "lstm_bidirectional"))
# Nearest weights: their codes do not hang on the last bit of a linear solver.
PRESETS = {"16 bits": QuantOptions(weight_width=16, act_width=16, rounding=Rounding.NEAREST),
           "12 bits": QuantOptions(weight_width=12, act_width=12, cell_width=12,
                                    rounding=Rounding.NEAREST),
           "8 bits": QuantOptions(weight_width=8, act_width=8, cell_width=8,
                                   rounding=Rounding.NEAREST)}


@lru_cache(maxsize=1)
def cases() -> dict:
    """Name to test case, of RNN, GRU and LSTM."""
    from onnx.backend.test.loader import load_model_tests
    with warnings.catch_warnings():    # of other operators' data
        warnings.simplefilter("ignore")
        return {case.name: case for case in load_model_tests(kind="node") if case.name in NAMES}


def _steps_of_outputs(network, integer: IntNetwork) -> list:
    """Value of one LSB of each graph output."""
    return [integer.cell.step if b.kind == "c" else
            integer.layers[b.layers[0] if b.layers else -1].h.step for b in network.outputs]


def scores(name: str, options: QuantOptions) -> tuple:
    """(largest error, the same in LSB of the output it is in, whether the suite would pass it)."""
    case = cases()[name]
    (inputs, expected), = case.data_sets
    prepared = GatewrightBackend.prepare(case.model, options=options)
    outputs = prepared.run(inputs)
    assert len(outputs) == len(expected)
    lsb = _steps_of_outputs(prepared.last.network, prepared.last.quantised.integer)
    errors = [np.abs(a.astype(np.float64) - b) for a, b in zip(outputs, expected, strict=True)]
    passes = all(np.allclose(a, b, rtol=case.rtol, atol=case.atol)
                 for a, b in zip(outputs, expected))
    return (max(float(e.max()) for e in errors),
            max(float(e.max() / step) for e, step in zip(errors, lsb)), passes)


def table() -> str:
    """Markdown: a line a test, largest error in LSB at each preset."""
    lines = ["| test | " + " | ".join(f"{name}, LSB" for name in PRESETS) + " | wide, largest error"
             " |", "|" + "---|" * (len(PRESETS) + 2)]
    for name in NAMES:
        cells = []
        for options in PRESETS.values():
            _, error, passes = scores(name, options)
            cells.append(f"{error:.1f}{' ✓' if passes else ''}")
        error, _, passes = scores(name, WIDE)
        cells.append(f"{error:.0e}{' ✓' if passes else ' ✗'}")
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def drawn() -> str:
    """Markdown: how many of the drawn nodes have what; each of them is compared."""
    cases = [draw(index) for index in range(COUNT)]
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            compare(case, Path(folder))
    rows = {"all": lambda case: True, "two directions": lambda case: case.dirs == 2,
            "other activations": lambda case: "activations" in case.attributes,
            "`clip`": lambda case: "clip" in case.attributes,
            "`layout` 1": lambda case: case.layout == 1,
            "`sequence_lens`": lambda case: case.lengths != "",
            "initial states": lambda case: case.initial_h + case.initial_c != "",
            "peepholes": lambda case: case.peephole != "",
            "weights as graph inputs": lambda case: case.weights == "input",
            "several sequences": lambda case: case.batch > 1}
    ops = ("RNN", "GRU", "LSTM")
    lines = ["| nodes equal to onnxruntime | " + " | ".join(ops) + " |", "|---|---|---|---|"]
    for name, has in rows.items():
        counts = [sum(has(case) for case in cases if case.op == op) for op in ops]
        lines.append(f"| {name} | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(lines)


def document(text: str) -> str:
    """The document with its two tables made anew."""
    for part, made in zip(PARTS, (table(), drawn()), strict=True):
        begin, end = f"<!-- {part} -->\n", f"<!-- /{part} -->"
        head, rest = text.split(begin)
        text = head + begin + made + "\n" + end + rest.split(end)[1]
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(document(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
