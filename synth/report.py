"""Figures from the tools' JSON files: what is used, how fast, along which path, and the doubts."""

import json
import re
from pathlib import Path

from .errors import DoesNotFit, SynthError
from .targets import TARGETS, Target

__all__ = ["cells_of", "check_fit", "check_placed", "clock_of", "critical_path", "doubts",
           "limit_mhz", "logic_memories", "read_json", "refuse", "usage_of"]

# Netlist cells of each resource after synthesis: (cell name prefix, resources one cell takes).
# A 16x4 LUT RAM takes the four LUTs of two slices and two more to write; a carry cell two LUTs.
_NETLIST = {
    "ecp5": {"lut": (("LUT4", 1), ("CCU2C", 2), ("TRELLIS_DPR16X4", 6)),
             "ff": (("TRELLIS_FF", 1),), "bram": (("DP16KD", 1), ("PDPW16KD", 1)),
             "dsp": (("MULT18X18D", 1),)},
    "ice40": {"lut": (("SB_LUT4", 1),), "ff": (("SB_DFF", 1),), "bram": (("SB_RAM40_4K", 1),),
              "dsp": (("SB_MAC16", 1),), "spram": (("SB_SPRAM256KA", 1),)},
}
_LUTRAM_BITS = 64              # of one TRELLIS_DPR16X4
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
    return sum(n * weight for prefix, weight in _NETLIST[family][resource]
               for cell, n in cells.items() if cell.startswith(prefix))


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
    grade = target.name.partition("f")[2]
    bigger = [t.name for t in TARGETS.values() if t.family == target.family
              and t.name.partition("f")[2] == grade and t.blocks[resource].available >= used]
    device = f"a bigger device ({bigger[0]})" if bigger else "a bigger device (none is known)"
    raise DoesNotFit(f"{core} does not fit {target.name}: it needs {used} {block.noun} and the "
                     f"device has {block.available}; choose {_REMEDY[resource]} or {device}")


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
        used = entry["used"] if entry else _netlist_count(cells, target.family, resource)
        available = entry["available"] if entry else block.available
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
           products: int, reported_mhz: float, target: Target) -> list[str]:
    """Warnings, each one line: multipliers or memories in logic, clocks beyond belief."""
    warnings = []
    used = usage["dsp"]["used"]
    if used < products:
        warnings.append(f"the array has {products} multipliers but only {used} DSP blocks are "
                        f"used: the others are built from LUTs, or were optimised away")
    for name, bits in sorted(memories.items()):
        if bits > _MEMORY_IN_LOGIC_BITS:
            warnings.append(f"memory {name} ({bits} bits) is built from LUTs and flip-flops, "
                            f"not from block RAM")
    spread = cells.get("TRELLIS_DPR16X4", 0) * _LUTRAM_BITS
    if spread > target.blocks["bram"].bits:
        warnings.append(f"{spread} bits are in LUT RAM, more than one block RAM holds")
    limit, unproved = limit_mhz(usage, target), target.unproved_above_mhz
    if limit is not None and reported_mhz > limit:
        warnings.append(f"nextpnr reports {reported_mhz:.1f} MHz, the data sheet allows "
                        f"{limit:g} MHz for the hard blocks in use: the latter is given")
    if unproved is not None and reported_mhz > unproved:
        warnings.append(f"nextpnr does not time the inside of registered DSP and RAM blocks; "
                        f"no data-sheet figure at hand backs more than {unproved:g} MHz in this "
                        f"speed grade")
    return warnings
