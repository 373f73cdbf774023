"""Part "grid": cycles a step, utilisation and exposed cycles, every core simulated in full.

Predicted are the figures of the static schedule, before anything is simulated; each output word
and each h and c of each step is compared with golden, bit for bit.
"""

from pathlib import Path

from .cores import array_text, net_text, simulate
from .markdown import count, pair, share, table

__all__ = ["TITLE", "cases", "measure", "section"]

TITLE = "Cycles: predicted and measured"
CYCLES = 400_000   # to simulate of a case, about
SIZES = ((8, 16), (10, 64), (28, 128), (64, 64))
LANES = (4, 16, 64)
# Larger nets on arrays that suit them; sizes whose recurrence is hard to hide; whole matrices at
# once for answers in nanoseconds.
MORE = (
    ("lstm", 128, 256, {"lanes": 64}), ("gru", 128, 256, {"lanes": 48}),
    ("lstm", 64, 64, {"lanes": 8}), ("lstm", 64, 64, {"lanes": 32}),
    ("gru", 64, 64, {"lanes": 12}), ("gru", 64, 64, {"lanes": 48}),
    ("lstm", 1, 32, {"lanes": 16}), ("lstm", 64, 64, {"lanes": 16, "cols": 4}),
    ("lstm", 64, 64, {"lanes": 64, "cols": 4}),
    ("lstm", 64, 64, {"lanes": 64, "cols": 4, "posts": 4}),
    ("lstm", 64, 64, {"lanes": 128, "cols": 4, "posts": 8}),
    ("lstm", 64, 64, {"lanes": 32, "pack": True}), ("lstm", 6, 20, {"lanes": 16}),
    ("lstm", 6, 20, {"lanes": 80, "cols": 20, "posts": 20, "wide": True}),
    ("lstm", 6, 20, {"lanes": 80, "cols": 20, "posts": 20, "wide": True,
                     "pipeline": "shallow"}),
    ("lstm", 6, 20, {"lanes": 80, "cols": 20, "posts": 20, "wide": True, "pipeline": "flat"}),
)
QUICK = (("lstm", 5, 8, {"lanes": 4}), ("gru", 5, 8, {"lanes": 6}))


def cases(quick: bool) -> list:
    """Case by case: "name", "cell", "inputs", "units", "array"."""
    every = [(cell, *size, {"lanes": lanes}) for cell in ("lstm", "gru", "gru_reset_before", "rnn")
             for size in SIZES for lanes in LANES]
    found = []
    for cell, inputs, units, array in QUICK if quick else (*every, *MORE):
        case = {"cell": cell, "inputs": inputs, "units": units, "array": array}
        found.append({"name": f"{net_text(case)} on {array_text(array)}", **case})
    return found


def measure(case: dict, folder: Path, old: dict | None, settings: dict) -> dict:
    """Simulate one case; the record of ``cores.simulate``."""
    return simulate(case, folder, old, cycles=settings.get("cycles") or CYCLES)


def section(parts: dict) -> str:
    """The part's text and table, from the records of all parts."""
    records = parts["grid"]
    good = [record for record in records.values() if record["failure"] is None]
    hidden = sum(record["exposed"][1] == 0 for record in good)
    rows = []
    for name, record in records.items():
        net, _, array = name.partition(" on ")
        if record["failure"] is not None:
            rows.append([net, array, *["–"] * 7, f"FAILED: {record['failure']}"])
            continue
        per = record["macs"] / record["multipliers"]
        rows.append([net, array, f"{per:,.1f}", pair(record["step"]), pair(record["exposed"]),
                     share(record["utilisation"]), pair(record["alone"]), pair(record["total"]),
                     str(record["sequences"] * record["steps"]), count(record["words"])])
    return "\n\n".join((
        f"{len(records)} cores of random 8-bit weights and 16-bit activations, each simulated in "
        f"full and compared with the golden model bit for bit: {len(good)} equal in every word, "
        f"every h and c of every step, and every predicted cycle. In {hidden} of them the "
        f"recurrence costs no cycle at all.",
        "*M/P* is useful multiplications a step for each product a cycle of the array (lanes × "
        "cols; *packed*, one multiplier makes two of them), the least cycles that a step could "
        "take. *Cycles a step* is the distance of two steps in the steady state at batch 1; "
        "*exposed* are those of them in which the array has nothing to do; *busy* is M/P over "
        "cycles, so that padding counts as idle. *One step* is from the first word in to the last "
        "word out of a sequence of one step, *total* the same of two longer sequences. Where one "
        "number stands, prediction and measurement are equal.",
        table(["net", "<array", "M/P", "cycles a step", "exposed", "busy", "one step", "total",
               "steps", "words compared"], rows)))
