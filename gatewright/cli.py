"""The command line. Exit codes: 0 done, 1 hardware differs from golden, 2 something to change."""

import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import sim
import synth

from . import artefacts, doctor as checks, show, steps
from .errors import GatewrightError
from .examples import example_dir
from .flow import Flow, Mismatch, choose_target
from .folder import check_target, new_folder, project_folder
from .options import Options, read_options

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False,
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
Targets = Annotated[list[str] | None, typer.Option(
    "--target", help=f"Device: {', '.join(synth.TARGETS)}. May be given several times; the "
                     "smallest ECP5 that holds the weights by default.")]
Sequences = Annotated[int | None, typer.Option(help="Sequences to simulate (50).")]
Seed = Annotated[int | None, typer.Option(help="Of the bench's pauses and the placement (1).")]
Waves = Annotated[bool, typer.Option("--waves", help="Write a wave file (FST where possible).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, "
                                                     "everything else on stderr.")]


def _console(as_json: bool = False) -> Console:
    return Console(stderr=as_json)


def _print_json(as_json: bool, value) -> None:
    if as_json:
        print(json.dumps(value, indent=1, default=str))


def _read(folder: Path, *names: str) -> dict:
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in names}


@app.command("import")
def import_(model: Model = None, as_json: AsJson = False):
    """Read an ONNX file and show the network that it holds, or what stands in the way."""
    flow = Flow(console=_console(as_json), options=Options())
    network = flow.import_model(model or example_dir("digits_lstm") / "model.onnx")
    _print_json(as_json, {
        "name": network.name, "model_sha256": network.model_sha256, "source": network.source,
        "notes": network.notes, "final": str(network.final),
        "last_step_only": network.last_step_only,
        "layers": [{"name": layer.name, "cell": str(layer.cell), "inputs": layer.inputs,
                    "units": layer.units, "activation": str(layer.activation),
                    "last_only": layer.last_only} for layer in network.layers]})


@app.command()
def quantise(model: Annotated[Path, typer.Argument(help="ONNX file.")],
             calibration: Calibration = None, out: Out = None, force: Force = False,
             config: Config = None, weight_width: WeightWidth = None, act_width: ActWidth = None,
             cell_width: CellWidth = None, method: MethodName = None, rounding: RoundingName = None,
             headroom: Headroom = None, target: Targets = None, as_json: AsJson = False):
    """Choose fixed-point formats from calibration data; makes the folder the others work in."""
    options = read_options(config, weight_width=weight_width, act_width=act_width,
                           cell_width=cell_width, method=method, rounding=rounding,
                           headroom=headroom, targets=tuple(target) if target else None)
    _need(calibration, "--calibration", "sequences to choose formats from")
    flow = Flow(console=_console(as_json), options=options)
    network = flow.import_model(model)
    out = out or Path("build") / network.name
    check_target(out, force)
    quantised = flow.quantise(network, calibration)
    with new_folder(out, force=force) as folder:
        artefacts.save_quantised(folder, quantised)
        result = _read(folder, "quantisation")
    flow.say(f"\nwritten to {out}; next: gatewright golden {out} --inputs X.npy")
    _print_json(as_json, result["quantisation"])


@app.command()
def golden(folder: Folder, inputs: Inputs = None, labels: Labels = None,
           float_outputs: FloatOutputs = None, as_json: AsJson = False):
    """Run the integer model over data, compare it with float, and measure what was lost."""
    folder = project_folder(folder)
    _need(inputs, "--inputs", "sequences to run")
    flow = Flow(console=_console(as_json), options=Options())
    result, speed = flow.golden(artefacts.load_quantised(folder), inputs, labels, float_outputs)
    artefacts.save_golden(folder, result, speed)
    _print_json(as_json, _read(folder, "golden")["golden"])


@app.command()
def generate(folder: Folder, lanes: Lanes = None, cols: Cols = None, argmax: Argmax = None,
             load_weights: LoadWeights = None, target: Targets = None, config: Config = None, as_json: AsJson = False):
    """Write the Verilog and its manifest; the same folder and options give the same bytes."""
    folder = project_folder(folder)
    options = read_options(config, lanes=lanes, cols=cols, argmax=argmax,
                           load_weights=load_weights, targets=tuple(target) if target else None)
    quantised = artefacts.load_quantised(folder)
    flow = Flow(console=_console(as_json), options=options)
    core = flow.generate(quantised, (options.targets or (choose_target(quantised),))[0])
    rtl = artefacts.save_core(folder, core, quantised)
    flow.say(f"\nwritten: {rtl} and {folder / 'manifest.json'}")
    _print_json(as_json, _read(folder, "manifest")["manifest"])


@app.command()
def verify(folder: Folder, inputs: Inputs = None, sequences: Sequences = None, seed: Seed = None,
           waves: Waves = False, as_json: AsJson = False):
    """Simulate the folder's Verilog and compare every word and every state with golden."""
    folder = project_folder(folder)
    _need(inputs, "--inputs", "sequences to drive the core with")
    quantised = artefacts.load_quantised(folder)
    core, rtl = artefacts.load_core(folder, quantised)
    flow = Flow(console=_console(as_json), options=read_options(sequences=sequences, seed=seed))
    result = steps.golden(quantised, flow.load(quantised.network, inputs).take(
        slice(0, flow.options.sequences)))
    flow.verify(core, result, folder, rtl, waves=waves)
    _print_json(as_json, _read(folder, "verify")["verify"])


@app.command("synth")
def synth_(folder: Folder, target: Targets = None, seed: Seed = None, as_json: AsJson = False):
    """Place and route the folder's core, and report clock and area."""
    folder = project_folder(folder)
    options = read_options(targets=tuple(target) if target else None, seed=seed)
    quantised = artefacts.load_quantised(folder)
    core, _ = artefacts.load_core(folder, quantised)
    flow = Flow(console=_console(as_json), options=options)
    reports = [flow.synth(core, name, folder)
               for name in options.targets or (choose_target(quantised),)]
    _print_json(as_json, reports)


@app.command()
def run(model: Model = None, calibration: Calibration = None, inputs: Inputs = None,
        labels: Labels = None, float_outputs: FloatOutputs = None, out: Out = None,
        force: Force = False, config: Config = None, weight_width: WeightWidth = None,
        act_width: ActWidth = None, cell_width: CellWidth = None, method: MethodName = None,
        rounding: RoundingName = None, headroom: Headroom = None, lanes: Lanes = None, cols: Cols = None, argmax: Argmax = None,
        load_weights: LoadWeights = None, target: Targets = None, sequences: Sequences = None, seed: Seed = None,
        waves: Waves = False,
        no_synth: Annotated[bool, typer.Option("--no-synth", help="Leave place and route out.")]
        = False, as_json: AsJson = False):
    """All steps, from the ONNX file to a proven, placed and routed core."""
    options = read_options(
        config, weight_width=weight_width, act_width=act_width, cell_width=cell_width,
        method=method, rounding=rounding, headroom=headroom, lanes=lanes, cols=cols, argmax=argmax,
        load_weights=load_weights, targets=tuple(target) if target else None, sequences=sequences, seed=seed)
    if model is None:
        example = example_dir("digits_lstm")
        model = example / "model.onnx"
        calibration = calibration or example / "calib_inputs.npy"
        inputs = inputs or example / "inputs.npy"
    _need(calibration, "--calibration", "sequences to choose formats from")
    _need(inputs, "--inputs", "sequences to run and to prove equality on")
    flow = Flow(console=_console(as_json), options=options)
    network = flow.import_model(model)
    out = out or Path("build") / network.name
    check_target(out, force)
    batch = flow.load(network, inputs)
    flow.self_check(network, model, batch)
    verdict, reports, failure = None, [], None
    with new_folder(out, force=force) as folder:
        quantised = flow.quantise(network, calibration)
        artefacts.save_quantised(folder, quantised)
        result, speed = flow.golden(quantised, inputs, labels, float_outputs, model)
        artefacts.save_golden(folder, result, speed)
        targets = options.targets or (choose_target(quantised),)
        core = flow.generate(quantised, targets[0])
        rtl = artefacts.save_core(folder, core, quantised)
        try:
            verdict = flow.verify(core, result, folder, rtl, waves=waves)
            for name in () if no_synth else targets:
                reports.append(flow.synth(core, name, folder))
        except (Mismatch, synth.SynthError) as error:
            # What led there is whole, and is kept for a look.
            failure = type(error)(f"{error} (what was made is in {out})".replace(
                str(folder), str(out)))
        files = _read(folder, *(p.stem for p in sorted(folder.glob("*.json"))))
    if failure is not None:
        raise failure
    _summary(flow, network, result, verdict, core, reports, out)
    _print_json(as_json, files | {"synth": reports})


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
        rows.append((report["target"], f"{report['fmax_mhz']:.1f} MHz, "
                     f"{report['us_per_step']:.2f} us a step; {report['lut']['used']:,} LUT, "
                     f"{report['ff']['used']:,} FF, {report['bram']['used']} block RAM, "
                     f"{report['dsp']['used']} DSP", ""))
    rows.append(("folder", str(out), ""))
    flow.console.print()
    flow.console.print(show.summary(rows))


@app.command()
def demo(out: Out = None):
    """The bundled digits example from import to place and route."""
    run(out=out or Path("build") / "demo", force=True)


@app.command()
def doctor(warm: Annotated[bool, typer.Option(
        "--warm", help="Start the WebAssembly tools once, so that later starts are quick.")]
        = False, as_json: AsJson = False):
    """Check every tool, say what is missing and how to get it."""
    console = _console(as_json)
    with console.status("looking at the tools") as status:
        found = checks.check(warm=warm, progress=status.update)
    console.print(checks.render(found))
    _print_json(as_json, [vars(check) for check in found])
    if any(check.required and not check.ok for check in found):
        raise typer.Exit(2)


def _need(value, option: str, what: str) -> None:
    if value is None:
        raise GatewrightError(option, "is missing", f"give {what}")


def main() -> None:
    """Entry point: every expected failure is one line on stderr and an exit code."""
    def stop(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)  # so that half-made folders are removed
    errors = Console(stderr=True)
    try:
        app(standalone_mode=True)
    except (GatewrightError, sim.ToolMissing, sim.SimulationError, synth.SynthError) as error:
        errors.print(f"[bold red]error:[/] {_escape(error)}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except Mismatch as error:
        errors.print(f"[bold red]mismatch:[/] {_escape(error)}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        errors.print("stopped; nothing half-made was left", highlight=False)
        sys.exit(130)
    except OSError as error:
        errors.print(f"[bold red]error:[/] {_escape(error)}; check the path and the space on the "
                     "disk", highlight=False, soft_wrap=True)
        sys.exit(2)


def _escape(error: Exception) -> str:
    return str(error).replace("[", r"\[")
