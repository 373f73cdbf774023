"""Part "deepbench": the eleven RNN inference rows, at the published accelerators' own work per
multiplier.

Three kinds of cases. "model": the row itself, on at most as many multipliers as the accelerator
had, by the exact cycle model. "same M/P": a small net of the same cell with at most the same
multiplications per multiplier, simulated in full. "full": the row itself on a small array, in full.
"""

from math import isqrt
from pathlib import Path

from golden.network import GATES

from .cores import LEAST, array_text, net_text, simulate
from .markdown import count, pair, share, table
from .model import best_array
from .published import MACHINES, ROWS, Row

__all__ = ["TITLE", "cases", "measure", "section"]

TITLE = "DeepBench rows"
SMALL = 256              # multipliers of the arrays that are simulated at the same M/P
FULL = {"lanes": 64}     # array of the rows that are simulated as they are
CYCLES = 1_000_000       # to simulate of a case, about
WEIGHTS = 2_200_000      # of the largest row that is simulated as it is
QUICK = ("GRU 512", "LSTM 256")


def scaled_units(row: Row, multipliers: int) -> int:
    """H of the largest net, X = H, with at most Brainwave's M/P on so many multipliers."""
    gates = len(GATES[row.cell])
    return max(isqrt(row.macs * multipliers // (MACHINES["brainwave"].multipliers * 2 * gates)), 1)


def cases(quick: bool) -> list:
    """Case by case: "name", "kind", "row"; in quick mode two rows and a smaller array."""
    rows = [row for row in ROWS if not quick or row.name in QUICK]
    small = 16 if quick else SMALL
    found = [{"name": f"model: {row.name}", "kind": "model", "row": row.name} for row in rows]
    found += [{"name": f"same M/P: {row.name}", "kind": "same M/P", "row": row.name,
               "multipliers": small} for row in (rows[-1:] if quick else rows)]
    if not quick:
        ordered = sorted(rows, key=lambda row: row.macs)
        found += [{"name": f"full: {row.name}", "kind": "full", "row": row.name}
                  for row in ordered]
    return found


def _row(name: str) -> Row:
    return next(row for row in ROWS if row.name == name)


def _model(row: Row) -> dict:
    """The best array for each machine; utilisation is of all multipliers that the machine had."""
    keys = list(row.times_ms)
    best = best_array(row.cell, row.units, row.steps,
                      [MACHINES[key].multipliers for key in keys])
    return {"failure": None, "machines": {key: {
        "array": found.array, "cycles": found.total / row.steps, "exposed": found.exposed,
        "utilisation": row.macs * row.steps / (MACHINES[key].multipliers * found.total)}
        for key, found in zip(keys, best, strict=True)}}


def measure(case: dict, folder: Path, old: dict | None, settings: dict) -> dict:
    """One case; the cycle model is always asked again, a simulation where its Verilog changed."""
    row, cycles = _row(case["row"]), settings.get("cycles") or CYCLES
    if case["kind"] == "model":
        return _model(row)
    if case["kind"] == "full":
        if row.macs > (settings.get("weights") or WEIGHTS):
            return {"failure": None, "skipped": f"{row.macs:,} weights"}
        old = None if old is None or "skipped" in old else old
        made = {"cell": str(row.cell), "inputs": row.units, "units": row.units, "array": FULL}
        return simulate(made, folder, old, cycles=cycles,
                        most_steps=max(row.steps, LEAST)) | {"array": FULL}
    units, multipliers = scaled_units(row, case["multipliers"]), case["multipliers"]
    (best,) = best_array(row.cell, units, row.steps, [multipliers])
    made = {"cell": str(row.cell), "inputs": units, "units": units, "array": best.array}
    record = simulate(made, folder, old, cycles=cycles, most_steps=max(row.steps, LEAST))
    if record["failure"] is None:  # a multiplier that the array leaves out is an idle one
        products = record["macs"] * record["steps"] * record["sequences"]
        record = record | {"utilisation": products / (multipliers * record["total"][1])}
    return record | {"array": best.array, "net": net_text(made), "multipliers": multipliers}


def _models(records: dict, key: str) -> str:
    """The rows beside one machine."""
    machine, rows = MACHINES[key], []
    for row in ROWS:
        ours = records.get(f"model: {row.name}", {}).get("machines", {}).get(key)
        if ours is not None:
            rows.append([
                f"{row.name}, T {row.steps}", f"{row.macs / machine.multipliers:,.1f}",
                share(row.utilisation(key)), f"**{share(ours['utilisation'])}**",
                count(row.cycles(key)), count(ours["cycles"]), count(ours["exposed"]),
                array_text(ours["array"])])
    source = (f"**{machine.name}**: {count(machine.multipliers)} multiply-accumulate units at "
              f"{machine.clock_mhz:g} MHz, {machine.peak_tflops:g} TFLOPS. {machine.source}."
              + ("" if machine.checked else " The times are as commonly quoted; we have not read "
                 "them in the paper's own table."))
    return source + "\n\n" + table(
        ["row", "M/P", "published busy", "ours, busy", "published cycles", "ours", "exposed",
         "<our array"], rows)


def _simulated(records: dict) -> str:
    """Small nets at the same M/P, and rows as they are."""
    rows = []
    for name, record in records.items():
        kind, _, row_name = name.partition(": ")
        if kind == "model" or "skipped" in record:
            continue
        row = _row(row_name)
        if record["failure"]:
            rows.append([row.name, *["–"] * 9, f"FAILED: {record['failure']}"])
            continue
        same = kind == "same M/P"
        brainwave = row.macs / MACHINES["brainwave"].multipliers
        rows.append([
            row.name, record["net"] if same else "the row itself", array_text(record["array"]),
            f"{brainwave:,.1f}" if same else "–",
            f"{record['macs'] / record['multipliers']:,.1f}",
            share(row.utilisation("brainwave")) if same else "–",
            f"**{share(record['utilisation'])}**", pair(record["step"]), pair(record["exposed"]),
            f"{record['sequences']} × {count(record['steps'])}", count(record["words"])])
    return table(["row", "<net", "<array", "Brainwave M/P", "our M/P", "Brainwave busy",
                  "ours, busy", "cycles, steady", "exposed", "steps", "words compared"], rows)


def section(parts: dict) -> str:
    """The part's text and tables, from the records of all parts."""
    records = parts["deepbench"]
    skipped = [name.partition(": ")[2] + f" ({record['skipped']})"
               for name, record in records.items() if "skipped" in record]
    simulated = [record for part in ("grid", "deepbench", "routed")
                 for record in parts[part].values() if "step" in record or record["failure"]]
    equal = sum(record["failure"] is None for record in simulated)
    text = [
        "Utilisation alone says little: it is easy to be busy with much work for each multiplier. "
        "So each row stands beside an accelerator at that accelerator's own M/P: the same net, "
        "batch 1, on at most as many multipliers, those of our element-wise pipelines (*posts*) "
        "among them; all that the products of a step leave unused of them counts as idle. Cycles "
        "are of a step, over the whole sequence from the first word in to the last word out; "
        f"*exposed* are those of a steady step in which the array has nothing to do. Ours are the "
        f"exact model's, which equalled simulation in {equal} of the {len(simulated)} cores that "
        f"are simulated in this document. It is not the same clock, nor the same number format, "
        f"and no FPGA here holds such arrays: it is the schedule that is compared. Both products, "
        f"with x and with h, are counted on both sides.",
        *(_models(records, key) for key in MACHINES),
        f"The same work per multiplier at a size that is simulated in full here: a net of the "
        f"same cell, X = H, no larger than what gives {SMALL} multipliers Brainwave's M/P, over "
        f"the row's own steps, at least {LEAST}; and rows as they are on {array_text(FULL)} lanes. "
        f"Every word, h and c is compared with golden.", _simulated(records)]
    if skipped:
        text.append(f"Not simulated as they are, for the time that it takes: "
                    f"{', '.join(skipped)}; `--weights` raises the limit.")
    return "\n\n".join(text)
