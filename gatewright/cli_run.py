"""The commands that do every step: ``run``, and ``demo`` on the bundled example."""

from pathlib import Path
from typing import Annotated

import typer

import synth

from . import artefacts, cli_words as words, show
from .array import Array
from .choice import choose_target
from .cli_words import console_for, need, options_of, print_json, read_results
from .examples import example_dir
from .flow import Flow, Mismatch
from .folder import is_free, new_folder

__all__ = ["app", "run"]

app = typer.Typer()


@app.command(epilog="Example: gatewright run model.onnx --calibration calib.npy --inputs X.npy "
                    "--out DIR. Without arguments it runs the bundled example.")
def run(model: words.Model = None, calibration: words.Calibration = None,
        weights: words.Weights = None, inputs: words.Inputs = None,
        labels: words.Labels = None, float_outputs: words.FloatOutputs = None,
        out: words.Out = None, force: words.Force = False,
        target: words.Targets = None, weight_width: words.WeightWidth = None,
        act_width: words.ActWidth = None, cell_width: words.CellWidth = None,
        method: words.MethodName = None, rounding: words.RoundingName = None,
        headroom: words.Headroom = None, lanes: words.Lanes = None, cols: words.Cols = None,
        posts: words.Posts = None, pipeline: words.PipelineName = None, pack: words.Pack = None,
        wide_streams: words.WideStreams = None, argmax: words.Argmax = None,
        load_weights: words.LoadWeights = None, protect: words.Protect = None,
        deadline: words.Deadline = None,
        max_dsp: words.MaxDsp = None, max_bram: words.MaxBram = None,
        max_cycles: words.MaxCycles = None, max_steps: words.MaxSteps = None,
        clock: words.Clock = None,
        sequences: words.Sequences = None, seed: words.Seed = None, waves: words.Waves = False,
        portable: words.Portable = None,
        no_synth: words.NoSynth = False,
        config: words.Config = None, as_json: words.AsJson = False):
    """All steps, from the model to a proven, placed and routed core."""
    options = options_of(locals())
    if model is None:
        model = example_dir() / "model.onnx"
        calibration = calibration or model.with_name("calib_inputs.npy")
        inputs = inputs or model.with_name("inputs.npy")
    need(calibration, "--calibration", "sequences to choose formats from")
    need(inputs, "--inputs", "sequences to run and to prove equality on")
    flow = Flow(console=console_for(as_json), options=options, weights=weights)
    network = flow.import_model(model)
    out = out or Path("build") / network.name
    verdict, reports, failure = None, [], None
    with new_folder(out, force=force) as folder:
        flow.need_tools(synthesis=not no_synth)
        samples, batch = flow.load(network, calibration), flow.load(network, inputs)
        wanted = flow.load_labels(inputs, len(batch), labels, network)
        flow.self_check(network, model, batch)
        if float_outputs is not None:
            flow.compare_recorded(network, batch, float_outputs)
        quantised = flow.stored(flow.quantise(network, samples), batch.x.shape[1])
        artefacts.save_quantised(folder, quantised)
        result, speed = flow.golden(quantised, batch, wanted, model)
        artefacts.save_golden(folder, result, speed)
        targets = options.targets or (choose_target(quantised.integer, options),)
        core = flow.generate(quantised, targets[0])
        rtl = artefacts.save_core(folder, core, quantised)
        try:
            verdict = flow.verify(core, result, folder, rtl, waves=waves)
            for name in () if no_synth else targets:
                reports.append(flow.synth(core, rtl, name, folder, result))
        except (Mismatch, synth.SynthError) as error:
            failure = _kept(error, folder, out)
        files = read_results(folder, *(p.stem for p in sorted(folder.glob("*.json"))))
    if failure is None:
        _summary(flow, network, result, verdict, core, reports, out)
    print_json(as_json, files | {"synth": reports})
    if failure is not None:
        raise failure


def _kept(error: Exception, folder: Path,
          out: Path) -> Exception:
    """The error of a run whose folder, whole up to that step, is kept for a look.

    Raised at once where another folder stands in its place: only a complete one may replace it.
    """
    if is_free(out):
        return type(error)(f"{error} (what was made is in {out})".replace(str(folder), str(out)))
    text = str(error).partition(" (log: ")[0]
    raise type(error)(f"{text} ({out} is left as it was; to see what was made, give another --out)")


def _summary(flow: Flow, network, result, verdict, core, reports,
             out: Path) -> None:
    cells = " -> ".join(f"{layer.cell} {layer.units}" for layer in network.layers)
    rows = [("network", f"{network.name}: {cells}", "")]
    for line in show.metric_lines(result):
        rows.append(("accuracy", line, ""))
    rows += [
        ("array", str(Array.of(core.manifest)), ""),
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
         = None,
         as_json: words.AsJson = False):
    """The bundled digits example from import to place and route."""
    run(out=out or Path("build") / "demo", force=True, as_json=as_json)
