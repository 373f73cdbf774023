"""The command line. Exit codes: 0 done, 1 hardware differs from golden, 2 something to change."""

import json
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

import sim
import synth

from . import artefacts, doctor as checks, show, steps
from .errors import GatewrightError
from .examples import example_dir
from .flow import Flow, Mismatch, choose_target
from .folder import is_free, new_folder, project_folder, read_json
from .interrupt import stop_on_signals
from .options import Options, read_options
from .planning import plan_source

__all__ = ["app", "main"]

app = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False,
                  help="Turn a trained recurrent network (ONNX) into verified Verilog: a "
                       "fixed-point golden model, a core proven equal to it bit for bit, and its "
                       "clock and area on real devices. Start with [bold]gatewright demo[/].")

Model = Annotated[Path | None, typer.Argument(help="ONNX file with RNN, GRU or LSTM layers; the "
                                                   "bundled example if left out.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder made by 'quantise' or 'run'.")]
Calibration = Annotated[Path | None, typer.Option(
    help="Sequences (.npy) that formats are chosen from, some dozens; initial states beside it "
         "as NAME_<graph input>.npy.")]
Inputs = Annotated[Path | None, typer.Option(
    help="Sequences (.npy) to run: n sequences, each in the graph's own layout.")]
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
Lanes = Annotated[int | None, typer.Option(
    help="Rows worked on at once; by default what fits the device.")]
Cols = Annotated[int | None, typer.Option(help="Vector elements a cycle, a power of two (1).")]
Argmax = Annotated[bool | None, typer.Option(
    "--argmax", help="Output the index of the largest result instead of the results.")]
LoadWeights = Annotated[bool | None, typer.Option(
    "--load-weights/--rom-weights", help="Take the weights over the input stream after a reset, "
                                         "or from memories that the bitstream fills; by default "
                                         "what the device needs.")]
Portable = Annotated[bool | None, typer.Option(
    "--portable", help="Route the portable Verilog even where the device family has a form with "
                       "its own multipliers and memories.")]
Targets = Annotated[list[str] | None, typer.Option(
    "--target", help=f"Device: {', '.join(synth.TARGETS)}. May be given several times; the "
                     "smallest ECP5 that holds the weights by default.")]
Sequences = Annotated[int | None, typer.Option(help="Sequences to simulate (50).")]
Seed = Annotated[int | None, typer.Option(help="Of the bench's pauses and the placement (1).")]
Waves = Annotated[bool, typer.Option("--waves", help="Write a wave file (FST where possible).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, "
                                                     "everything else on stderr.")]


def _console(as_json: bool = False) -> Console:
    """Where people read; names from files are not markup there."""
    return Console(stderr=as_json, markup=False, emoji=False, highlight=False)


def _print_json(as_json: bool, value) -> None:
    if as_json:
        print(json.dumps(value, indent=1, default=str))


def _targets(names: list | None) -> tuple | None:
    return tuple(names) if names else None


def _read(folder: Path, *names: str) -> dict:
    return {name: read_json(folder / f"{name}.json", "run the step again") for name in names}


def _need(value, option: str, what: str) -> None:
    if value is None:
        raise GatewrightError(option, "is missing", f"give {what}")


@app.command("import", epilog="Example: gatewright import model.onnx")
def import_(model: Model = None, as_json: AsJson = False):
    """Read an ONNX file and show the network that it holds, or what stands in the way."""
    flow = Flow(console=_console(as_json), options=Options())
    network = flow.import_model(model or example_dir() / "model.onnx")
    _print_json(as_json, {
        "name": network.name, "model_sha256": network.model_sha256, "source": network.source,
        "notes": network.notes, "final": str(network.final),
        "last_step_only": network.last_step_only,
        "layers": [{"name": layer.name, "cell": str(layer.cell), "inputs": layer.inputs,
                    "units": layer.units, "activation": str(layer.activation),
                    "last_only": layer.last_only} for layer in network.layers]})


@app.command(epilog="Example: gatewright quantise model.onnx --calibration calib.npy --out DIR. "
                    "Makes DIR with network.npz and quantisation.json.")
def quantise(model: Annotated[Path, typer.Argument(help="ONNX file.")],
             calibration: Calibration = None, out: Out = None, force: Force = False,
             config: Config = None, weight_width: WeightWidth = None, act_width: ActWidth = None,
             cell_width: CellWidth = None, method: MethodName = None, rounding: RoundingName = None,
             headroom: Headroom = None, target: Targets = None, as_json: AsJson = False):
    """Choose fixed-point formats from calibration data; makes the folder the others work in."""
    options = read_options(config, weight_width=weight_width, act_width=act_width,
                           cell_width=cell_width, method=method, rounding=rounding,
                           headroom=headroom, targets=_targets(target))
    _need(calibration, "--calibration", "sequences to choose formats from")
    flow = Flow(console=_console(as_json), options=options)
    network = flow.import_model(model)
    out = out or Path("build") / network.name
    with new_folder(out, force=force) as folder:
        quantised = flow.quantise(network, flow.load(network, calibration))
        artefacts.save_quantised(folder, quantised)
        result = _read(folder, "quantisation")["quantisation"]
    flow.say(f"\nwritten to {out}; next: gatewright golden {out} --inputs X.npy")
    _print_json(as_json, result)


@app.command(epilog="Example: gatewright golden DIR --inputs X.npy. Writes golden.json.")
def golden(folder: Folder, inputs: Inputs = None, labels: Labels = None,
           float_outputs: FloatOutputs = None, as_json: AsJson = False):
    """Run the integer model over data, compare it with float, and measure what was lost."""
    folder = project_folder(folder)
    _need(inputs, "--inputs", "sequences to run")
    quantised = artefacts.load_quantised(folder)
    flow = Flow(console=_console(as_json), options=Options())
    batch = flow.load(quantised.network, inputs)
    wanted = flow.load_labels(inputs, len(batch), labels)
    if float_outputs is not None:
        flow.compare_recorded(quantised.network, batch, float_outputs)
    result, speed = flow.golden(quantised, batch, wanted)
    artefacts.save_golden(folder, result, speed)
    _print_json(as_json, _read(folder, "golden")["golden"])


@app.command(epilog="Example: gatewright generate DIR --lanes 16. Writes rtl/NAME.v and "
                    "manifest.json.")
def generate(folder: Folder, lanes: Lanes = None, cols: Cols = None, argmax: Argmax = None,
             load_weights: LoadWeights = None, target: Targets = None, config: Config = None,
             as_json: AsJson = False):
    """Write the Verilog and its manifest; the same folder and options give the same bytes."""
    folder = project_folder(folder)
    options = read_options(config, lanes=lanes, cols=cols, argmax=argmax,
                           load_weights=load_weights, targets=_targets(target))
    quantised = artefacts.load_quantised(folder)
    flow = Flow(console=_console(as_json), options=options)
    core = flow.generate(quantised, (options.targets or (choose_target(quantised),))[0])
    rtl = artefacts.save_core(folder, core, quantised)
    flow.say(f"\nwritten: {rtl} and {folder / 'manifest.json'}")
    _print_json(as_json, _read(folder, "manifest")["manifest"])


@app.command(epilog="Example: gatewright verify DIR --inputs X.npy --sequences 20. Writes "
                    "verify.json; exit code 1 at the first difference.")
def verify(folder: Folder, inputs: Inputs = None, sequences: Sequences = None, seed: Seed = None,
           waves: Waves = False, config: Config = None, as_json: AsJson = False):
    """Simulate the folder's Verilog and compare every word and every state with golden."""
    folder = project_folder(folder)
    _need(inputs, "--inputs", "sequences to drive the core with")
    flow = Flow(console=_console(as_json),
                options=read_options(config, sequences=sequences, seed=seed))
    quantised = artefacts.load_quantised(folder)
    batch = flow.load(quantised.network, inputs).take(slice(0, flow.options.sequences))
    flow.need_tools(synthesis=False)
    core, rtl = artefacts.load_core(folder, quantised)
    try:
        flow.verify(core, steps.golden(quantised, batch), folder, rtl, waves=waves)
    except Mismatch:
        _print_json(as_json, _read(folder, "verify")["verify"])
        raise
    _print_json(as_json, _read(folder, "verify")["verify"])


@app.command("plan", epilog="Example: gatewright plan model.onnx --target ecp5-25f --deadline "
                            "10us. DIR of 'quantise' or 'run' does as well.")
def plan_(source: Annotated[Path, typer.Argument(
              metavar="MODEL|DIR", help="ONNX file, or a folder made by 'quantise' or 'run'.")],
          target: Targets = None, calibration: Calibration = None,
          deadline: Annotated[str | None, typer.Option(
              help="Time that a step may take, with its unit: 10us.")] = None,
          max_dsp: Annotated[int | None, typer.Option(min=1, help="DSP blocks to use.")] = None,
          max_bram: Annotated[int | None, typer.Option(min=1, help="Block RAMs to use.")] = None,
          max_cycles: Annotated[int | None, typer.Option(
              min=1, help="Cycles that a step may take.")] = None,
          clock: Annotated[float | None, typer.Option(
              help="Clock in MHz to count time at; by default one that the device is likely to "
                   "reach.")] = None,
          weight_width: WeightWidth = None, act_width: ActWidth = None,
          cell_width: CellWidth = None, argmax: Argmax = None, portable: Portable = None,
          config: Config = None, as_json: AsJson = False):
    """Compare arrays before anything is built: exact cycles, multipliers, memory, what fits."""
    options = read_options(config, weight_width=weight_width, act_width=act_width,
                           cell_width=cell_width, argmax=argmax, portable=portable,
                           targets=_targets(target))
    plans = plan_source(Flow(console=_console(as_json), options=options), source, calibration,
                        deadline=deadline, max_dsp=max_dsp, max_bram=max_bram,
                        max_cycles=max_cycles, clock=clock)
    _print_json(as_json, plans)


@app.command("synth", epilog="Example: gatewright synth DIR --target ecp5-25f. Writes "
                             "synth/ecp5-25f.json.")
def synth_(folder: Folder, target: Targets = None, seed: Seed = None,
           seeds: Annotated[int, typer.Option(
               min=1, max=99, help="Place with so many seeds, from --seed on, and keep the "
                                   "fastest.")] = 1,
           portable: Portable = None, config: Config = None, as_json: AsJson = False):
    """Place and route the folder's core, and report clock and area."""
    folder = project_folder(folder)
    options = read_options(config, targets=_targets(target), seed=seed, portable=portable)
    flow = Flow(console=_console(as_json), options=options)
    quantised = artefacts.load_quantised(folder)
    flow.need_tools(simulation=False)
    core, rtl = artefacts.load_core(folder, quantised)
    reports = [flow.synth(core, rtl, name, folder, seeds=seeds)
               for name in options.targets or (choose_target(quantised),)]
    _print_json(as_json, reports)


@app.command(epilog="Example: gatewright run model.onnx --calibration calib.npy --inputs X.npy "
                    "--out DIR. Without arguments it runs the bundled example.")
def run(model: Model = None, calibration: Calibration = None, inputs: Inputs = None,
        labels: Labels = None, float_outputs: FloatOutputs = None, out: Out = None,
        force: Force = False, config: Config = None, weight_width: WeightWidth = None,
        act_width: ActWidth = None, cell_width: CellWidth = None, method: MethodName = None,
        rounding: RoundingName = None, headroom: Headroom = None, lanes: Lanes = None,
        cols: Cols = None, argmax: Argmax = None, load_weights: LoadWeights = None,
        target: Targets = None, sequences: Sequences = None, seed: Seed = None,
        waves: Waves = False, portable: Portable = None,
        no_synth: Annotated[bool, typer.Option("--no-synth", help="Leave place and route out.")]
        = False, as_json: AsJson = False):
    """All steps, from the ONNX file to a proven, placed and routed core."""
    options = read_options(
        config, weight_width=weight_width, act_width=act_width, cell_width=cell_width,
        method=method, rounding=rounding, headroom=headroom, lanes=lanes, cols=cols, argmax=argmax,
        load_weights=load_weights, targets=_targets(target), sequences=sequences, seed=seed,
        portable=portable)
    if model is None:
        model = example_dir() / "model.onnx"
        calibration = calibration or model.with_name("calib_inputs.npy")
        inputs = inputs or model.with_name("inputs.npy")
    _need(calibration, "--calibration", "sequences to choose formats from")
    _need(inputs, "--inputs", "sequences to run and to prove equality on")
    flow = Flow(console=_console(as_json), options=options)
    network = flow.import_model(model)
    out = out or Path("build") / network.name
    verdict, reports, failure = None, [], None
    with new_folder(out, force=force) as folder:
        flow.need_tools(synthesis=not no_synth)
        samples, batch = flow.load(network, calibration), flow.load(network, inputs)
        wanted = flow.load_labels(inputs, len(batch), labels)
        flow.self_check(network, model, batch)
        if float_outputs is not None:
            flow.compare_recorded(network, batch, float_outputs)
        quantised = flow.quantise(network, samples)
        artefacts.save_quantised(folder, quantised)
        result, speed = flow.golden(quantised, batch, wanted, model)
        artefacts.save_golden(folder, result, speed)
        targets = options.targets or (choose_target(quantised),)
        core = flow.generate(quantised, targets[0])
        rtl = artefacts.save_core(folder, core, quantised)
        try:
            verdict = flow.verify(core, result, folder, rtl, waves=waves)
            for name in () if no_synth else targets:
                reports.append(flow.synth(core, rtl, name, folder, result))
        except (Mismatch, synth.SynthError) as error:
            failure = _kept(error, folder, out)
        files = _read(folder, *(p.stem for p in sorted(folder.glob("*.json"))))
    if failure is None:
        _summary(flow, network, result, verdict, core, reports, out)
    _print_json(as_json, files | {"synth": reports})
    if failure is not None:
        raise failure


def _kept(error: Exception, folder: Path, out: Path) -> Exception:
    """The error of a run whose folder, whole up to that step, is kept for a look.

    Raised at once where another folder stands in its place: only a complete one may replace it.
    """
    if is_free(out):
        return type(error)(f"{error} (what was made is in {out})".replace(str(folder), str(out)))
    text = str(error).partition(" (log: ")[0]
    raise type(error)(f"{text} ({out} is left as it was; to see what was made, give another --out)")


def _summary(flow: Flow, network, result, verdict, core, reports, out: Path) -> None:
    cells = " -> ".join(f"{layer.cell} {layer.units}" for layer in network.layers)
    rows = [("network", f"{network.name}: {cells}", "")]
    for line in show.metric_lines(result):
        rows.append(("accuracy", line, ""))
    rows += [
        ("proof", f"bit-exact: {verdict.words}/{verdict.words} words", "bold green"),
        ("cycles", f"{verdict.cycles_measured} measured = {verdict.cycles_predicted} predicted; "
                   f"{core.manifest['cycles_per_step']} a step, multipliers "
                   f"{core.manifest['mac_utilisation']:.1%} busy", "")]
    for report in reports:
        clock = "no clock (not placed); " if report["fmax_mhz"] is None else (
            f"{report['fmax_mhz']:.1f} MHz, {report['us_per_step']:.2f} us a step; ")
        rows.append((report["target"], f"{clock}{report['lut']['used']:,} LUT, "
                     f"{report['ff']['used']:,} FF, {report['bram']['used']} block RAM, "
                     f"{report['dsp']['used']} DSP", ""))
    rows.append(("folder", str(out), ""))
    flow.console.print()
    flow.console.print(show.summary(rows))


@app.command(epilog="Takes no arguments; replaces build/demo each time.")
def demo(out: Annotated[Path | None, typer.Option(help="Output folder; build/demo by default.")]
         = None, as_json: AsJson = False):
    """The bundled digits example from import to place and route."""
    run(out=out or Path("build") / "demo", force=True, as_json=as_json)


@app.command(epilog="Example: gatewright doctor --warm")
def doctor(warm: Annotated[bool, typer.Option(
        "--warm", help="Start the WebAssembly tools once, so that later starts are quick.")]
        = False, as_json: AsJson = False):
    """Check every tool, say what is missing and how to get it."""
    console = _console(as_json)
    with console.status("looking at the tools") as status:
        found = checks.check(warm=warm, progress=status.update)
    console.print(checks.render(found))
    _print_json(as_json, [vars(check) for check in found])
    raise typer.Exit(checks.exit_status(found))


def _usage(error: typer.BadParameter) -> str:
    """What typer has to say about the words of a command, in one line."""
    text = " ".join(error.format_message().split()).rstrip(".")
    return f"{text}; see '{error.ctx.command_path if error.ctx else 'gatewright'} --help'"


def main() -> None:
    """Entry point: every expected failure is one line on stderr and an exit code."""
    stop_on_signals()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # names in a terminal of another alphabet
    kind, text, status = "error", "", 2
    try:
        status = app(sys.argv[1:] or ["--help"], prog_name="gatewright", standalone_mode=False) or 0
        sys.stdout.flush()
    except Mismatch as error:
        kind, text, status = "mismatch", str(error), 1
    except typer.BadParameter.__base__ as error:  # every usage error, of any typer
        text = _usage(error)
    except (GatewrightError, sim.ToolMissing, sim.SimulationError, synth.SynthError) as error:
        text = str(error)
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except BrokenPipeError:
        # Nobody reads any more; Python's own flush at the end must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except OSError as error:
        text = f"{error}; check the path and the space on the disk"
    except Exception as error:  # ours to mend, and not the user's to read
        handle, log = tempfile.mkstemp(prefix="gatewright-", suffix=".log", text=True)
        with os.fdopen(handle, "w") as file:
            traceback.print_exc(file=file)
        text = (f"a fault of gatewright itself ({type(error).__name__}: {error}); please report "
                f"it with {log}")
        status = 70
    if status == 130:
        text = "stopped; nothing half-made was left"
    if text:
        line = Text.assemble((f"{kind}: ", "bold red"), " ".join(text.split()))
        Console(stderr=True).print(line, soft_wrap=True)
    sys.exit(status)
