"""The ``plan`` command: a model or an output folder in, a table of arrays and a choice out."""

from dataclasses import replace
from pathlib import Path

import numpy as np

import synth
from golden.network import FloatNetwork, IntNetwork
from golden.quantise import Method, QuantOptions, Rounding
from golden.reference import Batch

from . import artefacts, show, steps
from .choice import choose_target, planned
from .errors import GatewrightError
from .flow import Flow
from .folder import project_folder

__all__ = ["plan_source", "unit_formats"]

def unit_formats(network: FloatNetwork, *, options: QuantOptions | None = None,
                 seed: int = 1) -> steps.Quantised:
    """The network in formats of made-up data: enough for a plan, no use for results.

    Formats decide neither cycles nor multipliers. They do decide the width of a row's bias, and
    with it now and then one block of the row memory.

    Parameters
    ----------
    network : FloatNetwork
    options : QuantOptions or None
        Widths are taken from it; the methods are the quick ones.
    seed : int
    """
    random = np.random.default_rng(seed)
    options = replace(options or QuantOptions(), rounding=Rounding.NEAREST, method=Method.MINMAX)
    shape = (4, 8)
    x = (random.standard_normal((*shape, network.layers[0].inputs)) if network.embedding is None
         else random.integers(0, len(network.embedding), shape))
    return steps.quantise(network, Batch(x=x), options)


def plan_source(flow: Flow, source: Path, calibration: Path | None) -> list[dict]:
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
        For each target "target", "clock_mhz" (of each kind of array), "clock_assumed", "formats",
        "limits", "rows", "best" (a row, or None where nothing fits) and "in_time".

    Raises
    ------
    GatewrightError
        If the model or the folder is not legal, or no array goes with the options.
    """
    quantised, formats = _quantised(flow, source, calibration)
    quantised = flow.stored(quantised)
    network, options = quantised.integer, flow.options
    return [_plan_target(flow, network, name, formats, source)
            for name in options.targets or (choose_target(network, options),)]


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
    return unit_formats(network, options=flow.options.quantisation), "made-up data"


def _plan_target(flow: Flow, network: IntNetwork, name: str, formats: str, source: Path) -> dict:
    target, options, limits = synth.target_named(name), flow.options, flow.options.limits
    rows, blocks = planned(network, name, options), target.blocks
    best = next((row for row in rows if row.best), None)
    clocks = {row.array.pipeline + " packed" * row.array.pack: row.clock_mhz for row in rows}
    assumed = "assumed" if options.clock is None else "as given"
    flow.heading("plan", f"{target.name}: {blocks['dsp'].available} DSP, "
                 f"{blocks['bram'].available} block RAM; {assumed}: " + ", ".join(
                     f"{mhz:g} MHz {way}" for way, mhz in clocks.items()))
    flow.console.print(show.arrays(rows, f"arrays for {network.name}"))
    if best is None:
        flow.note(f"nothing fits {target.name}"
                  + (" within the limits" if limits.max_dsp or limits.max_bram else ""))
    else:
        timing = ("" if best.in_time else ": the fastest that fits, but too slow" if limits.timed
                  else "")
        flow.say(f"choice: {best.array}, {best.cycles_per_step:,} cycles and "
                 f"{best.us_per_step:.3g} us a step at {best.clock_mhz:g} MHz{timing}",
                 "bold green" if best.in_time else "yellow")
        if best.cycles_per_step <= network.inputs + 1 and not options.wide_streams:
            flow.note(f"the input stream, {network.inputs} words a step, is the limit: see "
                      "--wide-streams")
        more = "".join(f" --{flag}" for flag, given in (
            ("load-weights", best.load_weights), ("wide-streams", options.wide_streams),
            ("argmax", options.argmax), ("protect", options.protect)) if given)
        flow.say(f"next: gatewright generate {source if source.is_dir() else 'DIR'} "
                 f"{best.array.flags} --target {target.name}{more}")
    return {"target": target.name, "clock_mhz": clocks, "clock_assumed": options.clock is None,
            "formats": formats, "limits": vars(limits), "rows": [row.as_dict() for row in rows],
            "best": best.as_dict() if best else None, "in_time": bool(best and best.in_time)}
