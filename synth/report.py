"""Figures from the tools' JSON files: what is used, how fast, along which path, and the doubts."""

import json
import re
from collections import Counter
from math import ceil
from pathlib import Path

from .errors import DoesNotFit, SynthError
from .targets import TARGETS, Target

__all__ = ["cells_of", "check_fit", "check_placed", "clock_of", "critical_path", "doubts",
           "limit_mhz", "logic_memories", "read_json", "refuse", "usage_of"]

# Netlist cells of each resource after synthesis: (cell name prefix, resources one cell takes); of
# several prefixes the longest holds. A 16x4 LUT RAM of ECP5 or Gowin takes four LUTs and two more
# to write; a carry cell of ECP5 two LUTs, one of Gowin the LUT in its place. Xilinx' carry chains
# take none of their own; its wide LUT RAMs and shift registers take those that they are made of.
_XILINX = {"lut": (("LUT", 1), ("INV", 1), ("RAM32M", 4), ("RAM64M", 4), ("RAM32M16", 8),
                   ("RAM64M8", 8), ("RAM32X1D", 2), ("RAM64X1D", 2), ("RAM128X1D", 4),
                   ("SRL", 1)),
           "ff": (("FD", 1),), "bram": (("RAMB36", 2), ("RAMB18", 1)), "dsp": (("DSP48", 1),)}
_NETLIST = {
    "ecp5": {"lut": (("LUT4", 1), ("CCU2C", 2), ("TRELLIS_DPR16X4", 6)),
             "ff": (("TRELLIS_FF", 1),), "bram": (("DP16KD", 1), ("PDPW16KD", 1)),
             "dsp": (("MULT18X18D", 1),)},
    "gowin": {"lut": (("LUT", 1), ("ALU", 1), ("ALU54D", 0), ("RAM16SDP", 6)),
              "ff": (("DFF", 1),),
              "bram": (("SP", 1), ("SDP", 1), ("DP", 1), ("pROM", 1)),
              "dsp": (("MULT18X18", 1), ("MULT9X9", 0.5), ("MULT36X36", 4))},
    "ice40": {"lut": (("SB_LUT4", 1),), "ff": (("SB_DFF", 1),), "bram": (("SB_RAM40_4K", 1),),
              "dsp": (("SB_MAC16", 1),), "spram": (("SB_SPRAM256KA", 1),)},
    "xc7": _XILINX, "xcup": _XILINX,
}
_LUTRAM_BITS = {"TRELLIS_DPR16X4": 64, "RAM16SDP4": 64, "RAM32M": 256, "RAM64M": 256,
                "RAM32M16": 512, "RAM64M8": 512}
_MEMORY_IN_LOGIC_BITS = 2048   # a table smaller than this is at home in LUTs
_REMEDY = {"lut": "fewer lanes", "ff": "fewer lanes", "dsp": "fewer lanes",
           "bram": "smaller weights (weight width or hidden size)",
           "spram": "smaller weights (weight width or hidden size)"}


def read_json(path: Path) -> dict:
    """A JSON file a tool was asked to write.

    Raises
    ------
    SynthError
        If it is not there or not JSON: the tool stopped early without saying so.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SynthError(f"{path.name} was not written whole by the tool ({error}); look at the "
                         f"logs in {path.parent}") from None


def cells_of(stat: dict) -> dict[str, int]:
    """Number of cells by type in yosys' ``stat -json``."""
    try:
        return dict(stat["design"]["num_cells_by_type"])
    except (KeyError, TypeError):
        raise SynthError("Yosys statistics hold no cell counts; this yosys is too old or too "
                         "new: 0.40 to 0.70 are known to work") from None


def _netlist_count(cells: dict[str, int], family: str, resource: str) -> int:
    weights = _NETLIST[family][resource]
    total = 0.0
    for cell, n in cells.items():
        matches = [(len(prefix), weight) for prefix, weight in weights if cell.startswith(prefix)]
        total += n * max(matches)[1] if matches else 0
    return ceil(total)


def check_fit(cells: dict[str, int], target: Target, core: str) -> None:
    """Refuse, before placement, a netlist that needs more of a resource than there is.

    Raises
    ------
    DoesNotFit
    """
    for resource, block in target.blocks.items():
        used = _netlist_count(cells, target.family, resource)
        if used > block.available:
            refuse(core, target, resource, used)


def refuse(core: str, target: Target, resource: str, used: int) -> None:
    """Raise `DoesNotFit` that names the resource, the numbers and what to do."""
    block = target.blocks[resource]
    grade = _grade(target)
    bigger = [t.name for t in TARGETS.values() if t.family == target.family
              and _grade(t) == grade and t.blocks[resource].available >= used]
    device = f"a bigger device ({bigger[0]})" if bigger else "a bigger device (none is known)"
    raise DoesNotFit(f"{core} does not fit {target.name}: it needs {used} {block.noun} and the "
                     f"device has {block.available}; choose {_REMEDY[resource]} or {device}")


def _grade(target: Target) -> str:
    """What stands behind an ECP5's size: its speed grade, if it is not 6."""
    return target.name.partition("f")[2] if target.family == "ecp5" else ""


def check_placed(said: str, log: str, target: Target, core: str) -> None:
    """Refuse as `DoesNotFit` if nextpnr's error is that it ran out of a resource.

    nextpnr writes no report when it fails, so its log's utilisation table is read here.

    Parameters
    ----------
    said : str
        The error line.
    log : str
        The whole log.
    """
    spent = re.search(r"no BELs remaining to implement cell type '(\w+)'", said)
    if spent is None and "Unable to find legal placement" not in said:
        return
    cell = spent.group(1) if spent else target.blocks["lut"].cell
    resource = next((name for name, block in target.blocks.items() if block.cell == cell), None)
    used = re.search(rf"\b{cell}:\s*(\d+)/", log)
    if resource is not None and used is not None:
        refuse(core, target, resource, int(used.group(1)))


def usage_of(report: dict, cells: dict[str, int], target: Target) -> dict[str, dict]:
    """Used, available and share of each resource, from nextpnr where it counts them.

    Returns
    -------
    dict of str to dict
        "lut", "ff", "bram", "dsp", "spram": {"used", "available", "share", "cell"}.
    """
    counts = report.get("utilization", {})
    usage = {}
    for resource, block in target.blocks.items():
        entry = counts.get(block.cell)
        if entry is None:
            used, available = _netlist_count(cells, target.family, resource), block.available
        else:
            others = sum(counts.get(cell, {"used": 0})["used"] * weight
                         for cell, weight in block.also)
            used, available = ceil(entry["used"] + others), entry["available"]
        usage[resource] = {"used": used, "available": available,
                           "share": round(used / available, 4), "cell": block.cell}
    return usage


def clock_of(report: dict) -> float:
    """Highest clock that nextpnr reports, in MHz; of several clocks the slowest.

    Raises
    ------
    SynthError
        If no path between two registers is left.
    """
    clocks = [entry["achieved"] for entry in report.get("fmax", {}).values()]
    if not clocks:
        raise SynthError("No clocked path is left after synthesis: the core's outputs do not "
                         "depend on its inputs; check the port list of the manifest")
    return min(clocks)


def critical_path(report: dict) -> str:
    """The limiting path in one line: "FROM.PORT -> TO.PORT, N ns (logic L, routing R)"."""
    paths = [p["path"] for p in report.get("critical_paths", [])
             if "posedge" in p["from"] and "posedge" in p["to"] and p["path"]]
    if not paths:
        return ""
    path = max(paths, key=lambda rows: sum(row["delay"] for row in rows))
    routing = sum(row["delay"] for row in path if row["type"] == "routing")
    total = sum(row["delay"] for row in path)
    first, last = path[0]["from"], path[-1]["to"]
    return (f"{first['cell']}.{first['port']} -> {last['cell']}.{last['port']}, {total:.2f} ns "
            f"(logic {total - routing:.2f}, routing {routing:.2f})")


def logic_memories(netlist: dict) -> dict[str, int]:
    """Bits of each memory that found no memory block and becomes LUTs and flip-flops.

    Parameters
    ----------
    netlist : dict
        ``write_json`` of the memory cells that are left after memory mapping.
    """
    memories = {}
    for module in netlist.get("modules", {}).values():
        for cell in module.get("cells", {}).values():
            row = cell["parameters"]
            bits = int(row["SIZE"], 2) * int(row["WIDTH"], 2)
            memories[row["MEMID"].removeprefix("\\")] = bits
    return memories


def limit_mhz(usage: dict[str, dict], target: Target) -> float | None:
    """The lowest data-sheet clock among the hard blocks in use; None where none is known."""
    limits = [block.datasheet_mhz for resource, block in target.blocks.items()
              if usage[resource]["used"] and block.datasheet_mhz is not None]
    return min(limits, default=None)


def doubts(*, usage: dict[str, dict], cells: dict[str, int], memories: dict[str, int],
           products: int, reported_mhz: float | None, target: Target) -> list[str]:
    """Warnings, each one line: multipliers or memories in logic, clocks beyond belief."""
    warnings = []
    used = usage["dsp"]["used"]
    if used < products:
        warnings.append(f"the array has {products} multipliers but only {used} DSP blocks are "
                        f"used: the others are built from LUTs, or were optimised away")
    alike = Counter((re.sub(r"\d+", "*", name), bits) for name, bits in memories.items())
    for name, bits in sorted(memories.items()):
        number = alike.pop((kind := re.sub(r"\d+", "*", name), bits), 0)
        if number and bits > _MEMORY_IN_LOGIC_BITS:
            what = f"memory {name} ({bits} bits) is" if number == 1 else (
                f"{number} memories {kind} ({bits} bits each) are")
            warnings.append(f"{what} built from LUTs and flip-flops, not from block RAM")
    spread = sum(cells.get(cell, 0) * bits for cell, bits in _LUTRAM_BITS.items())
    if spread > target.blocks["bram"].bits:
        warnings.append(f"{spread} bits are in LUT RAM, more than one block RAM holds")
    if reported_mhz is None:
        return [*warnings, f"{target.device}: resources as Yosys counts them; nothing was placed, "
                           f"so that no clock is known"]
    if target.clock_note:
        warnings.append(target.clock_note)
    limit, unproved = limit_mhz(usage, target), target.unproved_above_mhz
    if limit is not None and reported_mhz > limit:
        warnings.append(f"nextpnr reports {reported_mhz:.1f} MHz, the data sheet allows "
                        f"{limit:g} MHz for the hard blocks in use: the latter is given")
    if unproved is not None and reported_mhz > unproved:
        warnings.append(f"nextpnr does not time the inside of registered DSP and RAM blocks; "
                        f"no data-sheet figure at hand backs more than {unproved:g} MHz in this "
                        f"speed grade")
    return warnings
