"""The ``plan`` command: a model or an output folder in, a table of arrays and a choice out."""

import re
from pathlib import Path

import synth
from golden.network import IntNetwork

from . import artefacts, plan as planner, steps
from .errors import GatewrightError, quote
from .flow import Flow, choose_target
from .folder import project_folder

__all__ = ["parse_duration", "plan_source"]

_UNITS = {"ns": 1e-3, "us": 1.0, "µs": 1.0, "μs": 1.0, "ms": 1e3, "s": 1e6}  # micro or mu


def parse_duration(text: str, option: str = "--deadline") -> float:
    """Microseconds of "10us", "0.5ms", "800ns" or "2s".

    Raises
    ------
    GatewrightError
        If it is no positive number with a unit.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ns|us|µs|μs|ms|s)\s*", text)
    value = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not 0 < value < 1e12:
        raise GatewrightError(option, f"must be a time above zero with its unit, not {quote(text)}",
                              "write it as 10us, 0.5ms or 800ns")
    return value


def plan_source(flow: Flow, source: Path, calibration: Path | None, *,
                deadline: str | None = None, max_dsp: int | None = None,
                max_bram: int | None = None, max_cycles: int | None = None,
                clock: float | None = None) -> list[dict]:
    """Plan for each target of the options, print the tables, return what ``--json`` prints.

    Parameters
    ----------
    flow : Flow
    source : Path
        An ONNX file, or an output folder; a folder's network is taken as it is.
    calibration : Path or None
        For a model: formats, and with them the row memory, as they will be.

    Returns
    -------
    list of dict
        For each target "target", "clock_mhz", "clock_assumed", "formats", "limits", "rows",
        "best" (a row, or None where nothing fits) and "in_time".

    Raises
    ------
    GatewrightError
        If a limit, the clock, the model or the folder is not legal.
    """
    try:
        limits = planner.Limits(
            deadline_us=None if deadline is None else parse_duration(deadline),
            max_dsp=max_dsp, max_bram=max_bram, max_cycles=max_cycles)
    except ValueError as error:
        raise GatewrightError("limits", str(error), "give positive numbers") from None
    quantised, formats = _quantised(flow, source, calibration)
    return [_plan_target(flow, quantised.integer, name, limits, clock, formats, source)
            for name in flow.options.targets or (choose_target(quantised),)]


def _quantised(flow: Flow, source: Path,
               calibration: Path | None) -> tuple[steps.Quantised, str]:
    """(networks, where the formats come from)."""
    if source.is_dir():
        if calibration is not None:
            raise GatewrightError("--calibration", "is for models: a folder's formats are chosen",
                                  "leave it out")
        return artefacts.load_quantised(project_folder(source)), "folder"
    network = flow.import_model(source)
    if calibration is not None:
        return flow.quantise(network, flow.load(network, calibration)), "calibration"
    flow.note("no --calibration: formats of made-up data, with which the row memory may come out "
              "a block more or less")
    return planner.unit_formats(network, options=flow.options.quantisation), "made-up data"


def _plan_target(flow: Flow, network: IntNetwork, name: str, limits: planner.Limits,
                 clock: float | None, formats: str, source: Path) -> dict:
    target, options = synth.target_named(name), flow.options
    try:
        rows = planner.plan(network, target, limits, clock_mhz=clock,
                            argmax=options.argmax, portable=options.portable)
    except ValueError as error:
        raise GatewrightError("plan", str(error)) from None
    best = next((row for row in rows if row.best), None)
    assumed = "assumed" if clock is None else "as given"
    mhz = rows[0].clock_mhz
    blocks = target.blocks
    flow.heading("plan", f"{target.name}: {blocks['dsp'].available} DSP, "
                         f"{blocks['bram'].available} block RAM; {mhz:g} MHz {assumed}")
    flow.console.print(planner.table(rows, target, title=f"arrays for {network.name}"))
    if best is None:
        flow.note(f"nothing fits {target.name}"
                  + (" within the limits" if limits.max_dsp or limits.max_bram else ""))
    else:
        timing = ("" if best.in_time else ": the fastest that fits, but too slow" if limits.timed
                  else "")
        flow.say(f"choice: {best.lanes} lanes x {best.cols} cols, {best.cycles_per_step:,} cycles "
                 f"and {best.us_per_step:.3g} us a step at {mhz:g} MHz{timing}",
                 "bold green" if best.in_time else "yellow")
        where = source if source.is_dir() else "DIR"
        flow.say(f"next: gatewright generate {where} --lanes {best.lanes} --cols {best.cols} "
                 f"--target {target.name}")
    return {"target": target.name, "clock_mhz": mhz, "clock_assumed": clock is None,
            "formats": formats, "limits": vars(limits), "rows": [row.as_dict() for row in rows],
            "best": best.as_dict() if best else None, "in_time": bool(best and best.in_time)}
