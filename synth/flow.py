"""Place and route: wrap, synthesise with Yosys, place and route with nextpnr, read the reports."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

from . import report as figures
from .errors import SynthError
from .images import split_images
from .targets import Target, target_named
from .tools import Tool, find_tool, run_tool
from .wrap import WRAPPER, wrapper_verilog

__all__ = ["place_and_route"]

_STAGES = MappingProxyType({
    "Info: Packing constants": "packing", "Info: Creating initial": "placing",
    "Info: Running simulated": "refining the placement", "Info: Routing..": "routing"})

# Two warnings of Yosys are errors here: widths that do not agree cut the data path, and a wire
# with two drivers becomes a constant. The memory cells that are left after map_ram are those that
# become logic: their sizes are kept.
_SCRIPT = """\
read_verilog core.v
read_verilog pins.v
logger -werror "Resizing cell port {top}.core."
logger -werror "Driver-driver conflict"
{synth} -top {top} -run begin:coarse
{before_coarse}
{synth} -run coarse:map_ram
{synth} -run map_ram:map_ffram
select t:$mem_v2
write_json -selected memories.json
select -clear
{synth} -run map_ffram: -json netlist.json
tee -q -o stat.json stat -json
"""


def place_and_route(verilog: Path | str, manifest: dict, target: Target | str, *, seed: int = 1,
                    build_dir: Path, freq_goal_mhz: float | None = None,
                    progress: Callable[[str], None] | None = None,
                    native: bool = True) -> dict:
    """Place and route a core behind four pins.

    Parameters
    ----------
    verilog : Path or str
        The core: a file, or the text itself.
    manifest : dict
        "name", "ports", "cycles_per_step", "lanes"; "cols" (1 where absent).
    target : Target or str
    seed : int, 1 to 2**31 - 1
        nextpnr's; the same seed and tools give the same result.
    build_dir : Path
        Made if absent; sources, netlist and logs are left in it.
    freq_goal_mhz : float, optional
        What nextpnr works towards; the target's own where absent.
    progress : callable of str, optional
        Told what is being done.
    native : bool
        Prefer tools on PATH to the WebAssembly ones.

    Returns
    -------
    dict
        JSON-able. "fmax_mhz" never exceeds "datasheet_limit_mhz"; "reported_mhz" is nextpnr's
        own figure. "lut", "ff", "bram", "dsp" (and "spram"): {"used", "available", "share",
        "cell"}, in lut and ff the wrapper's few included.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        For bad arguments.
    ToolMissing, DoesNotFit, SynthError
    """
    target = target_named(target) if isinstance(target, str) else target
    steps, products = _checked(manifest, seed, freq_goal_mhz)
    text = _text_of(verilog, manifest)
    pins = wrapper_verilog(manifest)
    name = manifest["name"]
    if products > target.blocks["dsp"].available:
        figures.refuse(name, target, "dsp", products)
    yosys, pnr = (find_tool(tool, native=native) for tool in ("yosys", target.pnr_tool))
    start = time.monotonic()
    build_dir = Path(build_dir)
    build_dir.mkdir(parents=True, exist_ok=True)
    for stale in ("stat.json", "memories.json", "netlist.json", "report.json", "yosys.log",
                  "nextpnr.log"):
        (build_dir / stale).unlink(missing_ok=True)
    text, images = split_images(text)
    for file, content in ({"core.v": text} | images).items():
        (build_dir / file).write_text(content)
    (build_dir / "pins.v").write_text(pins)
    (build_dir / "synth.ys").write_text(_SCRIPT.format(
        top=WRAPPER, synth=target.yosys, before_coarse=target.before_coarse))

    say = progress or (lambda message: None)
    say(f"yosys: synthesising {name} for {target.name}")
    yosys_s = _run(yosys, ["-q", "-l", "yosys.log", "synth.ys"], build_dir, name, target,
                   progress)
    cells = figures.cells_of(figures.read_json(build_dir / "stat.json"))
    memories = figures.logic_memories(figures.read_json(build_dir / "memories.json"))
    figures.check_fit(cells, target, name)

    goal = target.freq_goal_mhz if freq_goal_mhz is None else float(freq_goal_mhz)
    say(f"{pnr.name}: placing and routing, seed {seed}")
    pnr_s = _run(pnr, [*target.nextpnr_args, "--json", "netlist.json", "--report", "report.json",
                       "--log", "nextpnr.log", "--seed", str(seed), "--freq", f"{goal:g}",
                       "--timing-allow-fail"], build_dir, name, target, progress)
    report = figures.read_json(build_dir / "report.json")
    usage = figures.usage_of(report, cells, target)
    reported, limit = figures.clock_of(report), figures.limit_mhz(usage, target)
    fmax = reported if limit is None else min(reported, limit)
    say(f"{pnr.name}: {fmax:.1f} MHz")
    return {
        "target": target.name, "device": target.device,
        "fmax_mhz": round(fmax, 2), "reported_mhz": round(reported, 2),
        "datasheet_limit_mhz": limit, "freq_goal_mhz": goal,
        **usage,
        "cycles_per_step": steps, "us_per_step": round(steps / fmax, 4),
        "seed": seed,
        "critical_path": figures.critical_path(report),
        "warnings": figures.doubts(usage=usage, cells=cells, memories=memories,
                                   products=products, reported_mhz=reported, target=target),
        "tool_versions": {tool.name: tool.version for tool in (yosys, pnr)},
        "wall_seconds": {"yosys": round(yosys_s, 2), "nextpnr": round(pnr_s, 2),
                         "total": round(time.monotonic() - start, 2)},
    }


def _checked(manifest: dict, seed: int, goal: float | None) -> tuple[int, int]:
    """Cycles per step and multipliers of the array, after checks of all arguments."""
    if not isinstance(manifest, dict):
        raise TypeError(f"Manifest must be a dict, not {type(manifest).__name__}")
    numbers = {key: manifest.get(key, default) for key, default in
               (("cycles_per_step", None), ("lanes", None), ("cols", 1))}
    for key, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"Manifest's {key} must be a positive integer, not {value!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 1 <= seed < 2**31:
        raise ValueError(f"Seed must be an integer from 1 to 2147483647, not {seed!r}")
    if goal is not None and not 1 <= goal <= 1000:
        raise ValueError(f"Clock goal must be 1 to 1000 MHz, not {goal!r}")
    return numbers["cycles_per_step"], numbers["lanes"] * numbers["cols"]


def _text_of(verilog: Path | str, manifest: dict) -> str:
    if isinstance(verilog, Path):
        if not verilog.is_file():
            raise FileNotFoundError(f"Verilog file {str(verilog)!r} does not exist; generate the "
                                    f"core first")
        source, text = str(verilog), verilog.read_text(encoding="utf-8", errors="replace")
    elif isinstance(verilog, str):
        source, text = "the text", verilog
    else:
        raise TypeError(f"Verilog must be a Path or the text, not {type(verilog).__name__}")
    name = manifest.get("name")
    if not re.search(rf"\bmodule\s+\\?{re.escape(str(name))}\b", text):
        raise ValueError(f"Verilog must hold a module {name!r} as the manifest says; "
                         f"{source} has none")
    return text


def _run(tool: Tool, args: list[str], folder: Path, core: str, target: Target,
         progress: Callable[[str], None] | None) -> float:
    """Run a tool to its end; seconds. A failure is told by the tool's own first error line."""
    status, seconds, tail = run_tool(tool, args, folder=folder, progress=progress, stages=_STAGES)
    if status == 0:
        return seconds
    lines = [line for line in tail if line.strip()]
    said = next((line for mark in ("ERROR:", "wasm trap", "Killed") for line in lines
                 if mark in line), lines[-1] if lines else f"exit status {status}")
    log = folder / ("yosys.log" if tool.name == "yosys" else "nextpnr.log")
    if log.is_file():
        figures.check_placed(said, log.read_text(errors="replace"), target, core)
    raise SynthError(f"{tool.name} failed on {core}: {said.strip()} (log: {log})")
