"""Part "netlists": the gates that synthesis makes of each configuration, in its Verilog's place."""

from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

from bench.markdown import count, table
from gatewright.campaign_check import simulate
from gatewright.gates import gate_simulator
from synth.gates import FAMILIES, write_gates
from synth.targets import target_named

from .claims import Claim
from .configurations import SMOKE, case_of

__all__ = ["PER_CONFIGURATION", "STAGE", "TITLE", "cases", "claims", "measure", "section"]

TITLE = "Netlists"
STAGE, PER_CONFIGURATION = "V2", True
TARGETS = {"ecp5": "ecp5-85f", "ice40": "up5k"}   # by family: the largest device
NAMES = {"ecp5": "ECP5", "ice40": "iCE40"}
QUICK = ("gru ecp5", "ice40 ice40")
KINDS = {"lut": "LUT", "ff": "FF", "bram": "block RAM", "dsp": "DSP"}


def cases(quick: bool) -> list:
    """Case by case: "name", "configuration", "family"."""
    every = [{"name": f"{name} {family}", "configuration": name, "family": family}
             for name, config in SMOKE.items() for family in FAMILIES
             if config.family in ("portable", family)]
    return [case for case in every if case["name"] in QUICK or not quick]


def _processor_seconds() -> float:
    """Of this process and the tools that it has run so far."""
    used = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def measure(case: dict, folder: Path, old: dict | None, settings: dict) -> dict:
    """Synthesise, and run the gates as the campaign runs a core."""
    begun = _processor_seconds()
    made, target = case_of(case["configuration"]), target_named(TARGETS[case["family"]])
    gates = write_gates(made.core.verilog, made.core.manifest, target, build_dir=folder / "synth")
    with gate_simulator(gates, made.core.manifest, folder) as simulator:
        failure, tool = simulate(made, simulator), str(simulator.simulator)
    seen = made.outcome
    lacking = [f"{part['used']:,} {target.blocks[kind].noun} ({part['available']:,} there)"
               for kind, part in gates.usage.items() if part["used"] > part["available"]]
    return {"failure": failure, "configuration": case["configuration"], "family": case["family"],
            **{kind: part["used"] for kind, part in gates.usage.items()},
            "cells": gates.cells, "device": target.name, "lacking": ", ".join(lacking),
            "runs": seen.runs, "resets": seen.resets, "steps": seen.steps, "words": seen.words,
            "cycles": seen.cycles, "seconds": round(_processor_seconds() - begun, 1),
            "verilog": made.core.verilog_sha256[:16], "yosys": gates.yosys, "simulator": tool}


def _passed(records: dict, family: str = "") -> list:
    return [record for record in records.values()
            if record["failure"] is None and family in ("", record["family"])]


def claims(records: dict) -> list:
    passed = _passed(records)
    sums = {name: sum(record[name] for record in passed) for name in ("words", "cycles", "resets")}
    own = {NAMES[family]: _passed(records, family) for family in FAMILIES}
    blocks = {name: [sum(record[kind] for record in of) for kind in ("bram", "dsp")]
              for name, of in own.items()}
    return [Claim(
        claim="The gates that synthesis makes of the core are the core",
        check="synthesised as for place and route, with block RAM and DSP blocks, and run against "
              "golden with models of the cells: every output word, every h and c of every step, "
              "without pauses, with pauses, and behind resets",
        figure="; ".join(f"{len(own[name])} {name} netlists with {ram} RAM and {dsp} DSP blocks"
                         for name, (ram, dsp) in blocks.items())
        + f"; {sums['words']:,} values, {sums['cycles']:,} cycles, {sums['resets']:,} resets, "
          "every cycle count exact",
        stage=STAGE, passed={case["name"] for case in cases(False)} <= set(records)
        and len(passed) == len(records) and all(all(pair) for pair in blocks.values()))]


def section(records: dict) -> str:
    rows, lacking = [], []
    for record in _passed(records):
        rows.append([f"`{record['configuration']}`", NAMES[record["family"]],
                     *(count(record[kind]) if record[kind] else "–" for kind in KINDS),
                     count(record["runs"]), count(record["words"]), count(record["cycles"]),
                     f"{record['seconds']:.0f}"])
        if record["lacking"]:
            lacking.append(f"`{record['configuration']}` on {record['device']} needs "
                           f"{record['lacking']}")
    tools = " and ".join(
        ", ".join(sorted({record[tool] for record in _passed(records)}))
        for tool in ("yosys", "simulator"))
    return "\n\n".join(text for text in (
        "Each configuration is synthesised by the commands of `gatewright synth`, without the "
        "wrapper around the core, so that the ports which show the states are there. Nothing is "
        "done to the netlist after that: Yosys writes it as Verilog, and the second runner takes "
        "it in the place of the core, with Yosys' own models of the cells. It has none of ECP5's "
        "DP16KD and MULT18X18D: those are in `sim/models`, and there a word that is read while it "
        "is written comes out wrong on purpose. Each netlist is run on all sequences without "
        "pauses, under five kinds of pauses, and behind resets in mid-sequence. A configuration "
        "that instantiates a vendor's blocks is synthesised for that family alone. Of ECP5, a LUT "
        "RAM counts as six LUTs and a carry cell as two.",
        table(["configuration", "<family", *KINDS.values(), "runs", "values compared", "cycles",
               "seconds of a core"], rows),
        "Equal like the others, but too large for the largest device: " + "; ".join(lacking) + "."
        if lacking else "",
        f"Yosys {tools}." if rows else "") if text)
