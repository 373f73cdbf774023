"""The commands that do one step each, on a model or on an output folder."""

from pathlib import Path
from typing import Annotated

import typer

from . import artefacts, cli_words as words, steps
from .array import Array
from .choice import choose_target
from .cli_words import console_for, need, options_of, print_json, read_results
from .examples import example_dir
from .flow import Flow, Mismatch
from .folder import new_folder, project_folder
from .options import Options
from .planning import plan_source

__all__ = ["app"]

app = typer.Typer()


@app.command("import", epilog="Example: gatewright import model.onnx")
def import_(model: words.Model = None, weights: words.Weights = None,
            as_json: words.AsJson = False):
    """Read a model file and show the network that it holds, or what stands in the way."""
    flow = Flow(console=console_for(as_json), options=Options(), weights=weights)
    network = flow.import_model(model or example_dir() / "model.onnx")
    print_json(as_json, {
        "name": network.name, "model_sha256": network.model_sha256, "source": network.source,
        "notes": network.notes, "final": str(network.final),
        "last_step_only": network.last_step_only,
        "layers": [{"name": layer.name, "cell": str(layer.cell), "inputs": layer.inputs,
                    "units": layer.units, "activation": str(layer.activation),
                    "title": layer.title, "functions": [str(f) for f in layer.functions],
                    "last_only": layer.last_only} for layer in network.layers]})


@app.command(epilog="Example: gatewright quantise model.onnx --calibration calib.npy --out DIR. "
                    "Makes DIR with network.npz and quantisation.json.")
def quantise(model: Annotated[Path, typer.Argument(
                 help="Model file: .onnx, .keras, .safetensors or .pt.")],
             calibration: words.Calibration = None, weights: words.Weights = None,
             out: words.Out = None, force: words.Force = False, config: words.Config = None,
             weight_width: words.WeightWidth = None, act_width: words.ActWidth = None,
             cell_width: words.CellWidth = None, method: words.MethodName = None,
             rounding: words.RoundingName = None, headroom: words.Headroom = None,
             target: words.Targets = None, as_json: words.AsJson = False):
    """Choose fixed-point formats from calibration data; makes the folder the others work in."""
    options = options_of(locals())
    need(calibration, "--calibration", "sequences to choose formats from")
    flow = Flow(console=console_for(as_json), options=options, weights=weights)
    network = flow.import_model(model)
    out = out or Path("build") / network.name
    with new_folder(out, force=force) as folder:
        quantised = flow.quantise(network, flow.load(network, calibration))
        artefacts.save_quantised(folder, quantised)
        result = read_results(folder, "quantisation")["quantisation"]
    flow.say(f"\nwritten to {out}; next: gatewright golden {out} --inputs X.npy")
    print_json(as_json, result)


@app.command(epilog="Example: gatewright golden DIR --inputs X.npy. Writes golden.json.")
def golden(folder: words.Folder, inputs: words.Inputs = None, labels: words.Labels = None,
           float_outputs: words.FloatOutputs = None, as_json: words.AsJson = False):
    """Run the integer model over data, compare it with float, and measure what was lost."""
    folder = project_folder(folder)
    need(inputs, "--inputs", "sequences to run")
    quantised = artefacts.load_quantised(folder)
    flow = Flow(console=console_for(as_json), options=Options())
    batch = flow.load(quantised.network, inputs)
    wanted = flow.load_labels(inputs, len(batch), labels, quantised.network)
    if float_outputs is not None:
        flow.compare_recorded(quantised.network, batch, float_outputs)
    result, speed = flow.golden(quantised, batch, wanted)
    artefacts.save_golden(folder, result, speed)
    print_json(as_json, read_results(folder, "golden")["golden"])


@app.command(epilog="Example: gatewright generate DIR --lanes 16. Writes rtl/NAME.v and "
                    "manifest.json.")
def generate(folder: words.Folder, target: words.Targets = None, lanes: words.Lanes = None,
             cols: words.Cols = None, posts: words.Posts = None,
             pipeline: words.PipelineName = None, pack: words.Pack = None,
             wide_streams: words.WideStreams = None, argmax: words.Argmax = None,
             load_weights: words.LoadWeights = None, protect: words.Protect = None,
             deadline: words.Deadline = None,
             max_dsp: words.MaxDsp = None, max_bram: words.MaxBram = None,
             max_cycles: words.MaxCycles = None, max_steps: words.MaxSteps = None,
             clock: words.Clock = None,
             portable: words.Portable = None, config: words.Config = None,
             as_json: words.AsJson = False):
    """Write the Verilog and its manifest; the same folder and options give the same bytes."""
    options = options_of(locals())
    folder = project_folder(folder)
    flow = Flow(console=console_for(as_json), options=options)
    quantised = flow.stored(artefacts.load_quantised(folder))
    targets = options.targets or (choose_target(quantised.integer, options),)
    core = flow.generate(quantised, targets[0])
    rtl = artefacts.save_core(folder, core, quantised)
    flow.say(f"\nwritten: {rtl} and {folder / 'manifest.json'}")
    print_json(as_json, read_results(folder, "manifest")["manifest"])


@app.command(epilog="Example: gatewright verify DIR --inputs X.npy --sequences 20. Writes "
                    "verify.json; exit code 1 at the first difference.")
def verify(folder: words.Folder, inputs: words.Inputs = None, sequences: words.Sequences = None,
           seed: words.Seed = None, waves: words.Waves = False, config: words.Config = None,
           as_json: words.AsJson = False):
    """Simulate the folder's Verilog and compare every word and every state with golden."""
    flow = Flow(console=console_for(as_json), options=options_of(locals()))
    folder = project_folder(folder)
    need(inputs, "--inputs", "sequences to drive the core with")
    quantised = artefacts.load_quantised(folder)
    batch = flow.load(quantised.network, inputs).take(slice(0, flow.options.sequences))
    flow.need_tools(synthesis=False)
    core, rtl = artefacts.load_core(folder, quantised)
    try:
        flow.verify(core, steps.golden(quantised, batch), folder, rtl, waves=waves)
    except Mismatch:
        print_json(as_json, read_results(folder, "verify")["verify"])
        raise
    print_json(as_json, read_results(folder, "verify")["verify"])


@app.command("plan", epilog="Example: gatewright plan model.onnx --target ecp5-25f --deadline "
                            "10us. DIR of 'quantise' or 'run' does as well.")
def plan_(source: Annotated[Path, typer.Argument(
              metavar="MODEL|DIR", help="Model file, or a folder made by 'quantise' or 'run'.")],
          target: words.Targets = None, calibration: words.Calibration = None,
          weights: words.Weights = None, lanes: words.Lanes = None, cols: words.Cols = None,
          posts: words.Posts = None, pipeline: words.PipelineName = None, pack: words.Pack = None,
          wide_streams: words.WideStreams = None, argmax: words.Argmax = None,
          load_weights: words.LoadWeights = None, protect: words.Protect = None,
          deadline: words.Deadline = None,
          max_dsp: words.MaxDsp = None, max_bram: words.MaxBram = None,
          max_cycles: words.MaxCycles = None, max_steps: words.MaxSteps = None,
          clock: words.Clock = None,
          weight_width: words.WeightWidth = None, act_width: words.ActWidth = None,
          cell_width: words.CellWidth = None, portable: words.Portable = None,
          config: words.Config = None, as_json: words.AsJson = False):
    """Compare arrays before anything is built: exact cycles, multipliers, memory, what fits."""
    flow = Flow(console=console_for(as_json), options=options_of(locals()), weights=weights)
    print_json(as_json, plan_source(flow, source, calibration))


@app.command("synth", epilog="Example: gatewright synth DIR --target ecp5-25f. Writes "
                             "synth/ecp5-25f.json.")
def synth_(folder: words.Folder, target: words.Targets = None, seed: words.Seed = None,
           seeds: Annotated[int, typer.Option(
               min=1, max=99, help="Place with so many seeds, from --seed on, and keep the "
                                   "fastest.")] = 1,
           portable: words.Portable = None, config: words.Config = None,
           as_json: words.AsJson = False):
    """Place and route the folder's core, and report clock and area."""
    options = options_of(locals())
    folder = project_folder(folder)
    flow = Flow(console=console_for(as_json), options=options)
    quantised = artefacts.load_quantised(folder)
    flow.need_tools(simulation=False)
    core, rtl = artefacts.load_core(folder, quantised)
    made = options.model_copy(update=Array.of(core.manifest).options)
    reports = [flow.synth(core, rtl, name, folder, seeds=seeds)
               for name in options.targets or (choose_target(quantised.integer, made),)]
    print_json(as_json, reports)
