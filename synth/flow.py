"""Place and route: wrap, synthesise with Yosys, place and route with nextpnr, read the reports."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import MappingProxyType

from . import report as figures
from .errors import SynthError
from .images import split_images
from .targets import Target, target_named
from .tools import Tool, find_tool, run_tool
from .wrap import WRAPPER, wrapper_luts, wrapper_verilog

__all__ = ["place_and_route", "place_and_route_seeds"]

_STAGES = MappingProxyType({
    "Info: Packing constants": "packing", "Info: Creating initial": "placing",
    "Info: Running simulated": "refining the placement", "Info: Routing..": "routing"})

# Every second placement gives timing twice its usual weight in the placer, which some cores get
# their fastest one by. On a large device, where nets go far, it was the slower way.
_EVEN_SEEDS = ("--placer-heap-timingweight", "20")
_LARGE = 40_000  # LUTs

# Two warnings of Yosys are errors here: widths that do not agree cut the data path, and a wire
# with two drivers becomes a constant. The memory cells that are left after map_ram are those that
# become logic: their sizes are kept.
_PINS = f"""\
read_verilog pins.v
logger -werror "Resizing cell port {WRAPPER}[.]core[.][^.]* from"
"""
_SCRIPT = """\
read_verilog core.v
{pins}logger -werror "Driver-driver conflict"
{synth} -top {top} -run begin:{coarse}
{before_coarse}
{synth} -run {coarse}:{memory}
{after_coarse}
{synth} -run {memory}:map_ffram
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
        "name", "ports", "cycles_per_step", "lanes"; "cols" (1 where absent), "family" and
        "primitives" where the core instantiates a vendor's cells; "packed" where two lanes share
        a multiplier.
    target : Target or str
    seed : int, 1 to 2**31 - 1
        nextpnr's; the same seed and tools give the same result. On devices below 40,000 LUTs an
        even seed has more weight on timing in the placer.
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
        own figure; both, "us_per_step" and "seed" are None for a target that nothing places for.
        "lut", "ff", "bram", "dsp" (and "spram"): {"used", "available", "share", "cell"}, in lut
        and ff the wrapper's few included; "wrapper_lut" tells how many LUTs these are.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        For bad arguments.
    ToolMissing, DoesNotFit, SynthError
    """
    netlist = _synthesise(verilog, manifest, target, seeds=(seed,), goal=freq_goal_mhz,
                          build_dir=Path(build_dir), progress=progress, native=native)
    return _placed(netlist, seed, progress)


def place_and_route_seeds(verilog: Path | str, manifest: dict, target: Target | str, *,
                          seeds: Sequence[int] = (1, 2, 3, 4, 5), build_dir: Path,
                          freq_goal_mhz: float | None = None,
                          progress: Callable[[str], None] | None = None,
                          native: bool = True) -> dict:
    """Synthesise once, place and route with each seed, and keep the fastest.

    Parameters
    ----------
    seeds : sequence of int
        At least one, no seed twice. The others are as in `place_and_route`.

    Returns
    -------
    dict
        The best seed's result as `place_and_route` gives it, "wall_seconds" of all runs together,
        and "seeds": {"runs": list of {"seed", "fmax_mhz", "reported_mhz"} in the order given,
        "best_mhz", "median_mhz", "worst_mhz", "spread"}; spread is (best - worst) / best of
        nextpnr's own figures, because a data-sheet limit would hide it. Without place and route
        "runs" is empty and the figures are None.

    Raises
    ------
    As `place_and_route`.
    """
    seeds = tuple(seeds)
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"Seeds must be one or more, each once, not {seeds!r}")
    netlist = _synthesise(verilog, manifest, target, seeds=seeds, goal=freq_goal_mhz,
                          build_dir=Path(build_dir), progress=progress, native=native)
    if netlist.target.pnr_tool is None:
        none = dict.fromkeys(("best_mhz", "median_mhz", "worst_mhz", "spread"))
        return _placed(netlist, seeds[0], progress) | {"seeds": {"runs": [], **none}}
    runs = [_placed(netlist, seed, progress) for seed in seeds]
    best = max(runs, key=lambda run: run["reported_mhz"])
    reported = [run["reported_mhz"] for run in runs]
    return best | {
        "seeds": {
            "runs": [{key: run[key] for key in ("seed", "fmax_mhz", "reported_mhz")}
                     for run in runs],
            "best_mhz": max(reported), "median_mhz": round(median(reported), 2),
            "worst_mhz": min(reported),
            "spread": round(1 - min(reported) / max(reported), 4)},
        "wall_seconds": {
            "yosys": round(netlist.seconds, 2),
            "nextpnr": round(sum(run["wall_seconds"]["nextpnr"] for run in runs), 2),
            "total": round(time.monotonic() - netlist.start, 2)}}


@dataclass(frozen=True, kw_only=True)
class _Netlist:
    """A synthesised core in its folder, and what is known of it before placement."""

    name: str
    target: Target
    steps: int
    products: int
    goal: float
    folder: Path
    yosys: Tool
    pnr: Tool | None
    cells: dict
    wrapper_lut: int
    memories: dict
    seconds: float
    start: float


def _synthesise(verilog: Path | str, manifest: dict, target: Target | str, *, seeds: tuple,
                goal: float | None, build_dir: Path,
                progress: Callable[[str], None] | None, native: bool) -> _Netlist:
    """Check everything, find the tools, write the sources, run Yosys, and see whether it fits."""
    target = target_named(target) if isinstance(target, str) else target
    steps, products = _checked(manifest, seeds, goal)
    if manifest.get("primitives") and manifest.get("family") != target.family:
        raise ValueError(f"Core {manifest.get('name')!r} holds cells of {manifest.get('family')} "
                         f"and cannot go to {target.name}; generate it again for that target")
    text = _text_of(verilog, manifest)
    pins = wrapper_verilog(manifest)
    name = manifest["name"]
    if products > target.blocks["dsp"].available:
        figures.refuse(name, target, "dsp", products)
    yosys = find_tool("yosys", native=native)
    pnr = None if target.pnr_tool is None else find_tool(target.pnr_tool, native=native)
    start = time.monotonic()
    build_dir.mkdir(parents=True, exist_ok=True)
    for stale in ("stat.json", "memories.json", "netlist.json", "report.json", "yosys.log",
                  "nextpnr.log"):
        (build_dir / stale).unlink(missing_ok=True)
    text, images = split_images(text)
    script = _script(target, WRAPPER, _PINS)
    for file, content in ({"core.v": text, "pins.v": pins, "synth.ys": script} | images
                          | dict(target.files)).items():
        (build_dir / file).write_text(content)

    if progress is not None:
        progress(f"yosys: synthesising {name} for {target.name}")
    seconds = _run(yosys, ["-q", "-l", "yosys.log", "synth.ys"], build_dir, name, target, progress)
    cells = figures.cells_of(figures.read_json(build_dir / "stat.json"))
    figures.check_fit(cells, target, name)
    return _Netlist(
        name=name, target=target, steps=steps, products=products,
        goal=target.freq_goal_mhz if goal is None else float(goal), folder=build_dir,
        wrapper_lut=wrapper_luts(manifest),
        yosys=yosys, pnr=pnr, cells=cells, seconds=seconds, start=start,
        memories=figures.logic_memories(figures.read_json(build_dir / "memories.json")))


def _script(target: Target, top: str, pins: str = "") -> str:
    """Yosys commands that make netlist.json and stat.json of core.v."""
    coarse, memory = target.labels
    return _SCRIPT.format(top=top, pins=pins, synth=target.yosys, coarse=coarse, memory=memory,
                          before_coarse=target.before_coarse, after_coarse=target.after_coarse)


def _placed(netlist: _Netlist, seed: int, progress: Callable[[str], None] | None) -> dict:
    """Place and route with one seed, where there is a program for it, and sum up."""
    target, pnr = netlist.target, netlist.pnr
    report, pnr_s, reported, fmax, limit = {}, None, None, None, None
    if pnr is not None:
        say = progress or (lambda message: None)
        for stale in ("report.json", "nextpnr.log"):
            (netlist.folder / stale).unlink(missing_ok=True)
        say(f"{pnr.name}: placing and routing, seed {seed}")
        weight = () if seed % 2 or target.blocks["lut"].available >= _LARGE else _EVEN_SEEDS
        pnr_s = _run(pnr, [*target.nextpnr_args, *weight, "--json", "netlist.json", "--report",
                           "report.json", "--log", "nextpnr.log", "--seed", str(seed), "--freq",
                           f"{netlist.goal:g}", "--timing-allow-fail"], netlist.folder,
                     netlist.name, target, progress)
        report = figures.read_json(netlist.folder / "report.json")
    usage = figures.usage_of(report, netlist.cells, target)
    if pnr is not None:
        reported, limit = figures.clock_of(report), figures.limit_mhz(usage, target)
        fmax = reported if limit is None else min(reported, limit)
        say(f"{pnr.name}: {fmax:.1f} MHz")
    return {
        "target": target.name, "device": target.device,
        "fmax_mhz": _rounded(fmax, 2), "reported_mhz": _rounded(reported, 2),
        "datasheet_limit_mhz": limit, "freq_goal_mhz": netlist.goal if pnr else None,
        **usage, "wrapper_lut": netlist.wrapper_lut,
        "cycles_per_step": netlist.steps,
        "us_per_step": None if fmax is None else round(netlist.steps / fmax, 4),
        "seed": seed if pnr else None,
        "critical_path": figures.critical_path(report),
        "warnings": figures.doubts(
            usage=usage, cells=netlist.cells, memories=netlist.memories,
            products=netlist.products, reported_mhz=reported, target=target),
        "tool_versions": {tool.name: tool.version for tool in (netlist.yosys, pnr) if tool},
        "wall_seconds": {"yosys": round(netlist.seconds, 2), "nextpnr": _rounded(pnr_s, 2),
                         "total": round(time.monotonic() - netlist.start, 2)},
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _checked(manifest: dict, seeds: tuple, goal: float | None) -> tuple[int, int]:
    """Cycles per step and multipliers of the array, after checks of all arguments."""
    if not isinstance(manifest, dict):
        raise TypeError(f"Manifest must be a dict, not {type(manifest).__name__}")
    numbers = {key: manifest.get(key, default) for key, default in
               (("cycles_per_step", None), ("lanes", None), ("cols", 1))}
    for key, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"Manifest's {key} must be a positive integer, not {value!r}")
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 1 <= seed < 2**31:
            raise ValueError(f"Seed must be an integer from 1 to 2147483647, not {seed!r}")
    if goal is not None and not 1 <= goal <= 1000:
        raise ValueError(f"Clock goal must be 1 to 1000 MHz, not {goal!r}")
    products = numbers["lanes"] * numbers["cols"]
    return numbers["cycles_per_step"], products // 2 if manifest.get("packed") else products


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
