"""The words of the command line: arguments and options that several commands share."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import synth

from .errors import GatewrightError
from .folder import read_json
from .options import Options, read_options

__all__ = [
    "ActWidth", "Argmax", "AsJson", "Calibration", "CellWidth", "Clock", "Cols", "Config",
    "Deadline", "FloatOutputs", "Folder", "Force", "Headroom", "Inputs", "Labels", "Lanes",
    "LoadWeights", "MaxBram", "MaxCycles", "MaxDsp", "MaxSteps", "MethodName", "Model", "NoSynth",
    "Out", "Pack", "PipelineName", "Portable", "Posts", "RoundingName", "Seed", "Sequences",
    "Targets", "Waves", "WeightWidth", "Weights", "WideStreams", "console_for", "need",
    "options_of", "print_json", "read_results",
]

Model = Annotated[Path | None, typer.Argument(help="Model with RNN, GRU or LSTM layers: .onnx, "
                                                   ".keras, or a PyTorch state dict in "
                                                   ".safetensors or .pt; the bundled example if "
                                                   "left out.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder made by 'quantise' or 'run'.")]
Calibration = Annotated[Path | None, typer.Option(
    help="Sequences (.npy) that formats are chosen from, some dozens; initial states beside it "
         "as NAME_<graph input>.npy.")]
Inputs = Annotated[Path | None, typer.Option(
    help="Sequences (.npy) to run: n sequences, each in the graph's own layout.")]
Weights = Annotated[Path | None, typer.Option(
    help="Weights (.npz, arrays by name) of an ONNX file that has them as graph inputs.")]
Labels = Annotated[Path | None, typer.Option(
    help="Labels or target values; labels.npy beside the inputs if there.")]
FloatOutputs = Annotated[Path | None, typer.Option(
    help="Recorded float outputs (.npy) to compare the import with.")]
Out = Annotated[Path | None, typer.Option(help="Output folder; build/NAME by default.")]
Force = Annotated[bool, typer.Option(
    "--force", help="Replace an existing output folder once the new one is complete.")]
Config = Annotated[Path | None, typer.Option(help="TOML file with the same options.")]
WeightWidth = Annotated[int | None, typer.Option(help="Bits of a weight, 2 to 16 (8).")]
ActWidth = Annotated[int | None, typer.Option(
    help="Bits of inputs, states, gates and results, 4 to 18 (16).")]
CellWidth = Annotated[int | None, typer.Option(help="Bits of the LSTM's c, 8 to 24 (16).")]
MethodName = Annotated[str | None, typer.Option(
    help="How ranges are taken: minmax, percentile or least-squares.")]
RoundingName = Annotated[str | None, typer.Option(
    help="Weights to integers: calibrated (on the data's own sums) or nearest.")]
Headroom = Annotated[int | None, typer.Option(
    help="Spare integer bits of inputs and unbounded results.")]


_array = partial(typer.Option, rich_help_panel="Array")
_choice = partial(typer.Option, rich_help_panel="Where the array is chosen")


def _lanes(text: str):
    """A number where it is one: any other word is the options' to judge."""
    try:
        return int(text)
    except ValueError:
        return text


Lanes = Annotated[str | None, _array(
    parser=_lanes, metavar="auto|int",
    help="Rows worked on at once; auto: these and what is left out of the next four as 'plan' "
         "chooses for the device (auto).")]
Cols = Annotated[int | None, _array(
    help="Vector elements a cycle: the posts times or divided by a power of two (1 where lanes are "
         "given).")]
Posts = Annotated[int | None, _array(
    help="Element-wise pipelines, a divisor of the lanes (1 where lanes are given).")]
PipelineName = Annotated[str | None, _array(
    "--pipeline", help="deep: registers for the clock; shallow: few cycles round the recurrence, "
                       "at a lower clock; flat: few from port to port as well (deep where lanes "
                       "are given; plan proposes a flat one only where this asks for it).")]
Pack = Annotated[bool | None, _array(
    "--pack/--no-pack", help="Two lanes to a multiplier, exactly: weights of up to 8 bits, "
                             "multipliers of 18 (no where lanes are given).")]
WideStreams = Annotated[bool | None, _array(
    "--wide-streams", help="Input words of cols elements and output words of posts results, not "
                           "of one.")]
Protect = Annotated[bool | None, _array(
    "--protect", help="Tell of upsets: parity on every memory, a second copy of the control, a "
                      "watchdog; a fault stops the core until a reset. The same cycles.")]
Deadline = Annotated[str | None, _choice(
    help="Time that a step may take, with its unit: 10us.")]
MaxSteps = Annotated[int | None, _array(
    help="Longest sequence that a core with reverse layers stores; by default the model's, or the "
         "data's.")]
MaxCycles = Annotated[int | None, _choice(help="Cycles that a step may take.")]
MaxDsp = Annotated[int | None, _choice(help="DSP blocks to use.")]
MaxBram = Annotated[int | None, _choice(help="Block RAMs to use.")]
Clock = Annotated[float | None, _choice(
    help="Clock in MHz to count time at; by default one that the device is likely to reach.")]
Argmax = Annotated[bool | None, _array(
    "--argmax", help="Output the index of the largest result instead of the results.")]
LoadWeights = Annotated[bool | None, _array(
    "--load-weights/--rom-weights", help="Take the weights over the input stream after a reset, "
                                         "or from memories that the bitstream fills; by default "
                                         "what the device needs.")]
Portable = Annotated[bool | None, typer.Option(
    "--portable", help="Route the portable Verilog even where the device family has a form with "
                       "its own multipliers and memories.")]
Targets = Annotated[list[str] | None, typer.Option(
    "--target", help=f"Device: {', '.join(synth.TARGETS)}. May be given several times; the "
                     "smallest ECP5 that an array fits by default.")]
Sequences = Annotated[int | None, typer.Option(help="Sequences to simulate (50).")]
Seed = Annotated[int | None, typer.Option(help="Of the bench's pauses and the placement (1).")]
Waves = Annotated[bool, typer.Option("--waves", help="Write a wave file (FST where possible).")]
NoSynth = Annotated[bool, typer.Option("--no-synth", help="Leave place and route out.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, "
                                                     "everything else on stderr.")]


def console_for(as_json: bool = False) -> Console:
    """Where people read; names from files are not markup there."""
    return Console(stderr=as_json, markup=False, emoji=False, highlight=False)


def print_json(as_json: bool, value) -> None:
    if as_json:
        print(json.dumps(value, indent=1, default=str))


def options_of(given: dict) -> Options:
    """The options among a command's arguments (``locals()``), over those of its ``--config``."""
    flags = {name: given[name] for name in Options.model_fields if name in given}
    if given.get("target"):
        flags["targets"] = tuple(given["target"])
    return read_options(given.get("config"), **flags)


def read_results(folder: Path, *names: str) -> dict:
    return {name: read_json(folder / f"{name}.json", "run the step again") for name in names}


def need(value, option: str, what: str) -> None:
    if value is None:
        raise GatewrightError(option, "is missing", f"give {what}")
