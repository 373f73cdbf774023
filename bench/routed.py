"""Part "routed": clock and area of cores on devices, placed and routed; the text that is placed is
first simulated and compared with golden.

Restartable: a case is not placed again while its Verilog, the tools, the flow and the seeds are
those of its record.
"""

import hashlib
import json
from pathlib import Path

import synth
import synth.flow
import synth.images
import synth.wrap
from gatewright.array import Array
from gatewright.steps import needs_loading, quantise, vendor_form
from golden.model import encode
from hw.emit import Core, generate
from sim.fast import FastSimulator

from .cores import array_text, net_text, run_core
from .markdown import count, table
from .models import lstm_network, random_batch

__all__ = ["SEEDS", "TITLE", "cases", "measure", "section"]

TITLE = "Clock and area, placed and routed"
SEEDS = (1, 2, 3, 4, 5)
STEPS = 8        # of each of the two sequences that the placed text is compared on
RESOURCES = ("lut", "ff", "bram", "dsp", "spram")
FLOW = (synth.flow, synth.images, synth.wrap)

# Target, I, H, array, form, and the project's own goals: MHz, and LUTs where there is one.
CASES = (
    ("ecp5-25f", 64, 64, {"lanes": 16}, "vendor", 175, 1890),
    ("ecp5-25f", 64, 64, {"lanes": 16}, "portable", 130),
    ("ecp5-85f-8", 64, 64, {"lanes": 16}, "vendor", 220, 1890),
    ("ecp5-85f", 64, 64, {"lanes": 64}, "vendor", 165, 4390),
    ("ecp5-25f", 64, 64, {"lanes": 32, "pack": True}, "vendor"),
    ("up5k", 64, 64, {"lanes": 4}, "vendor", 40),
    ("gw1nr-9c", 64, 64, {"lanes": 8}, "portable"),
    ("gw2ar-18c", 64, 64, {"lanes": 32}, "portable"),
    ("xc7a35t", 64, 64, {"lanes": 64}, "portable"),
    ("xc7a100t", 64, 64, {"lanes": 64, "cols": 2}, "portable"),
    ("xczu3eg", 64, 64, {"lanes": 64}, "portable"),
    # The other nets that are compared with the processor.
    ("ecp5-25f", 10, 64, {"lanes": 16}, "vendor"),
    ("ecp5-45f", 28, 128, {"lanes": 48}, "vendor"),
    ("ecp5-85f", 128, 256, {"lanes": 64}, "portable"),
)
QUICK = (("ecp5-25f", 5, 8, {"lanes": 4}, "vendor"),
         ("xc7a35t", 5, 8, {"lanes": 4}, "portable"))


def cases(quick: bool) -> list:
    """Case by case: "name", "target", "cell", "inputs", "units", "array", "form", "goal", ..."""
    found = []
    for target, inputs, units, array, form, *goals in QUICK if quick else CASES:
        goal, luts = (*goals, None, None)[:2]
        case = {"target": target, "cell": "lstm", "inputs": inputs, "units": units,
                "array": array, "form": form, "goal": goal, "goal_luts": luts,
                "seeds": list(SEEDS[:1] if quick else SEEDS)}
        found.append({"name": f"{net_text(case)} on {array_text(array)}, {target}, {form}", **case})
    return found


def _core(case: dict) -> tuple:
    """(the core as it is placed, its float network)."""
    target = synth.target_named(case["target"])
    network = lstm_network(case["inputs"], case["units"])
    integer = quantise(network, random_batch(network, 8, 25),
                       operand_width=target.operand_width).integer
    array = Array(**{name: value for name, value in case["array"].items() if name != "wide"})
    core = generate(integer, name="lstm", **case["array"],
                    load_weights=needs_loading(integer, target.name, array))
    if case["form"] == "vendor":
        core = vendor_form(core, target.name) or core
    return core, network


def _key(core: Core, target: synth.Target, seeds: list) -> str:
    """What a placement depends on, in short."""
    tools = [synth.find_tool(name).version for name in ("yosys", target.pnr_tool) if name]
    flow = [Path(module.__file__).read_text(encoding="utf-8") for module in FLOW]
    text = json.dumps([core.verilog_sha256, repr(target), seeds, tools, flow])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _compared(core: Core, network, folder: Path) -> dict:
    """The text that is placed, simulated: the record of ``run_core``."""
    integer, batch = core.layout.program.network, random_batch(network, 2, STEPS, seed=3)
    rtl = folder / f"{core.name}.v"
    rtl.write_text(core.verilog)
    with FastSimulator(rtl, core.manifest, folder) as simulator:
        return run_core(core, encode(network, integer, batch), simulator)


def measure(case: dict, folder: Path, old: dict | None, settings: dict) -> dict:
    """Simulate and place one case.

    Returns
    -------
    dict
        As ``cores.run_core`` and ``synth.place_and_route_seeds``; "refused" where it does not fit.
    """
    target = synth.target_named(case["target"])
    core, network = _core(case)
    key = _key(core, target, case["seeds"])
    shown = {"goal": case["goal"], "goal_luts": case["goal_luts"], "target": target.name,
             "form": case["form"], "net": net_text(case), "array": array_text(case["array"])}
    if old is not None and old["failure"] is None and old.get("key") == key:
        return old | shown
    record = {"key": key, **shown, **_compared(core, network, folder)}
    if record["failure"] is not None:
        return record
    try:
        placed = synth.place_and_route_seeds(core.verilog, core.manifest, target,
                                             seeds=case["seeds"], build_dir=folder / "synth")
    except synth.DoesNotFit as error:
        return record | {"refused": str(error)}
    return record | placed


def _clock(record: dict) -> list:
    """Cells: best clock, every seed's, the data sheet's limit, the goal."""
    runs = record["seeds"]["runs"]
    limit, goal = record["datasheet_limit_mhz"], record["goal"]
    if not runs:
        return ["–", "nothing places for it", "–", "–"]
    reached = goal and f" ({'' if record['fmax_mhz'] >= goal else 'not '}reached)"
    return [f"**{record['fmax_mhz']:.1f}**", ", ".join(f"{run['fmax_mhz']:.1f}" for run in runs),
            "–" if limit is None else f"{limit:g}", "–" if goal is None else f"{goal}{reached}"]


def _row(record: dict) -> list:
    head = [f"`{record['target']}`", record["form"], record["net"], record["array"]]
    if record["failure"] is not None:
        return [*head, *["–"] * 8, f"FAILED: {record['failure']}"]
    if "refused" in record:
        return [*head, *["–"] * 8, record["refused"]]
    used = []
    own = {"lut": record["lut"]["used"] - record["wrapper_lut"]}
    for name in RESOURCES[:4]:
        entry = record[name]
        used.append(f"{count(own.get(name, entry['used']))} ({entry['share']:.0%})")
    if record.get("spram", {}).get("used"):
        used[2] += f", {record['spram']['used']} SPRAM"
    if luts := record["goal_luts"]:
        used[0] += f"; goal {luts:,} ({'' if own['lut'] <= luts else 'not '}reached)"
    step = record["step"][1]
    return [*head, *_clock(record), *used,
            "–" if record["fmax_mhz"] is None else f"{step / record['fmax_mhz']:.2f}"]


def section(parts: dict) -> str:
    """The part's text and table, from the records of all parts."""
    records = parts["routed"]
    notes = {}
    for record in records.values():
        for note in record.get("warnings", ()):
            notes.setdefault(note, []).append(f"`{record['target']}` {record['array']}")
    tools = sorted({f"{name} {version}" for record in records.values()
                    for name, version in record.get("tool_versions", {}).items()})
    text = [
        "LSTM, 8-bit weights, 16-bit activations, with all its memories, the element-wise unit and "
        "the stream ports, behind four pins, whose own LUTs are taken off. The very Verilog that "
        "is placed is simulated first and compared with golden. The clock is the best of a fixed "
        "set of seeds, with all of them beside it in their order; on devices below 40,000 LUTs the "
        "even ones place with twice the usual weight on timing. nextpnr does not time the inside "
        "of registered multipliers and memories: no clock is given above the *limit*, the data "
        "sheet's for the hard blocks in use. *Vendor* is the form built from the family's own "
        "blocks where there is one, *portable* plain Verilog; *packed*, a multiplier makes the "
        "products of two lanes. *Goal* is the project's own.",
        table(["<target", "<form", "<net", "lanes", "MHz", "<each seed", "limit", "<goal", "LUT",
               "FF", "block RAM", "DSP", "µs a step"],
              [_row(record) for record in records.values()])]
    if tools:
        text.append(f"Tools: {', '.join(tools)}.")
    if notes:
        text.append("What the tools leave in doubt:\n\n" + "\n".join(
            f"- {note} ({', '.join(sorted(set(where)))})" for note, where in notes.items()))
    return "\n\n".join(text)
