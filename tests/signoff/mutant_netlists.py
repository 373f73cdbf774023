"""Faults in a core's netlist, all in one netlist, told apart by an input: by Yosys ``mutate``."""

import re
from dataclasses import dataclass
from pathlib import Path

from synth.tools import find_tool, run_tool

__all__ = ["BITS", "SELECT", "Mutant", "make_mutants", "mutated", "yosys"]

SELECT = "mutant"  # the input; 0: no fault
BITS = 10
# Whole words as they are in the source, less what nobody uses: that would make mutants that are
# none. Without opt_dff, which stumbles over registers that begin at one value and stay there.
_READ = "read_verilog core.v; hierarchy -top {top}; proc; opt -full -noff; wreduce; opt_clean; " \
        "memory_collect; opt_clean"


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One fault.

    Parameters
    ----------
    number : int
        At the input that selects it.
    name : str
        Kind, module, cell, port and bit; the wire there, and the line of the Verilog, if known.
    """

    number: int
    name: str


def yosys(script: str, folder: Path) -> None:
    """Run a script in a folder; RuntimeError if Yosys gives up."""
    (folder / "script.ys").write_text(script)
    status, _, tail = run_tool(find_tool("yosys", native=False), ["-q", "script.ys"],
                               folder=folder)
    if status:
        raise RuntimeError("Yosys gave up: " + " ".join(tail[-3:]))


def _name(line: str) -> str:
    """A line of Yosys' list in fewer words."""
    def of(key):
        found = re.search(rf" -{key} (\S+)", line)
        return found.group(1).lstrip("\\") if found else ""

    wire = f" ({of('wire')}[{of('wirebit')}])" if of("wire") and "$" not in of("wire") else ""
    source = re.findall(r" -src core\.v:(\d+)", line)
    return (f"{of('mode')} {of('module')} {of('cell')}.{of('port')}[{of('portbit')}]{wire}"
            + (f" line {source[-1]}" if source else ""))


def make_mutants(verilog: str, top: str, modules: str, wanted: int, folder: Path) -> list:
    """Write ``mutants.il`` and ``mutants.v``: the core with all its mutants.

    Parameters
    ----------
    verilog : str
    top : str
    modules : str
        Yosys' selection of those that are mutated.
    wanted : int
        How many, if there are as many.
    folder : Path

    Returns
    -------
    list of Mutant
    """
    (folder / "core.v").write_text(verilog)
    # A fault of a clock is none where a step is a cycle, and Yosys bears none of a memory's read
    # port where that has no clock: more are listed, and those left out.
    yosys(f"{_READ.format(top=top)}; write_rtlil core.il\n"
          f"mutate -list {wanted + wanted // 8} -seed 1 -ctrl {SELECT} {BITS} 1 -o mutants.txt "
          f"{modules}\n", folder)
    lines = [line for line in (folder / "mutants.txt").read_text().splitlines()
             if not re.search(r" -port \\?\S*(CLK|RD_[AS]RST|RD_EN)", line)][:wanted]
    lines = [re.sub(rf"-ctrl {SELECT} {BITS} \d+", f"-ctrl {SELECT} {BITS} {k}", line)
             for k, line in enumerate(lines, 1)]
    (folder / "mutants.txt").write_text("\n".join(lines) + "\n")
    yosys("read_rtlil core.il; script mutants.txt; opt_clean; write_rtlil mutants.il\n"
          "write_verilog -noattr -noparallelcase mutants.v\n", folder)
    return [Mutant(number=k, name=_name(line)) for k, line in enumerate(lines, 1)]


def mutated(folder: Path) -> set:
    """Names of the modules that ``make_mutants`` has put faults into."""
    return set(re.findall(r" -module \\?(\S+)", (folder / "mutants.txt").read_text()))
