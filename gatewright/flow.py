"""The steps as the command line runs them: with progress, tables and files."""

import shutil
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

import sim
import synth
from golden.network import Final, FloatNetwork
from golden.reference import Batch

from . import artefacts, onnx_check, show, steps
from .choice import choose
from .data import load_batch, load_float_outputs, load_labels, load_weights
from .door_check import compare, random_batch
from .doors import import_model, onnx_form
from .errors import DataRefused, GatewrightError, quote
from .folder import write_text
from .layout import batch_size
from .options import Options

__all__ = ["Flow", "Mismatch"]

SELF_CHECK_SEQUENCES = 4
FORM_SEQUENCES = 10      # a vendor form is simulated on so many: the portable one carries the proof


class Mismatch(Exception):
    """Hardware and golden differ: exit code 1."""


def _mismatch(verdict: sim.VerifyResult, which: str = "") -> Mismatch:
    found = verdict.first_difference
    return Mismatch(which + (found["message"] if found else "the bench compared nothing"))


def printable(path: Path) -> str:
    """A path without the quotes that it needs nowhere but in messages."""
    return quote(path, 200)[1:-1]


@dataclass(kw_only=True)
class Flow:
    """Runs steps and tells about them.

    Parameters
    ----------
    console : Console
        Without markup: names from files are printed as they are.
    options : Options
    weights : Path or None
        An .npz with the weights that the model file has as graph inputs.
    """

    console: Console
    options: Options
    weights: Path | None = None
    _step: int = field(default=0, init=False)
    _given: dict | None = field(default=None, init=False)

    def heading(self, name: str, what: str = "") -> None:
        self._step += 1
        self.console.print(Text.assemble((f"\n{self._step} {name}", "bold cyan"), "  ", what),
                           soft_wrap=True)

    def say(self, text: str, style: str = "") -> None:
        """A line; paths and figures in it are never broken."""
        self.console.print(Text(text, style=style), soft_wrap=True)

    def note(self, text: str) -> None:
        self.console.print(Text.assemble(("note: ", "yellow"), text))

    def need_tools(self, *, simulation: bool = True, synthesis: bool = True) -> None:
        """Refuse before any work what would end for want of a program."""
        if simulation:
            sim.find_simulator()
        if synthesis:
            targets = self.options.targets or ("ecp5-25f",)
            for tool in ("yosys", *(synth.target_named(name).pnr_tool for name in targets)):
                if tool is not None:  # a family that is only counted
                    synth.find_tool(tool)

    def import_model(self, model: Path) -> FloatNetwork:
        """Import, and compare with the file itself on random data."""
        self.heading("import", printable(model))
        # Exporters' default file names say nothing; the folder's name does.
        plain = model.stem.lower() in ("model", "network", "net", "export")
        self._given = None if self.weights is None else load_weights(self.weights)
        network = import_model(model, name=model.absolute().parent.name if plain else None,
                               weights=self._given)
        self.console.print(show.layers(network))
        if self.options.argmax:
            steps.one_result(network)
        hardware = "argmax" if self.options.argmax else "logits"
        where = "the last step" if network.last_step_only else "every step"
        final = "" if network.final is Final.NONE else (
            f"; the graph ends in {network.final}, which is left to the host")
        self.say(f"the hardware outputs {hardware} of {where}{final}")
        for note in network.notes:
            self.note(note)
        batch = random_batch(network)
        self._float_check(network, model, batch, f"{len(batch)} random sequences")
        return network

    def load(self, network: FloatNetwork, path: Path) -> Batch:
        batch = load_batch(network, path)
        for note in batch.notes:
            self.note(note)
        return batch

    def load_labels(self, inputs: Path, n: int, path: Path | None,
                    network: FloatNetwork) -> np.ndarray | dict | None:
        """Labels of n sequences from a file, or from ``labels.npy`` beside the inputs if it fits.

        Raises
        ------
        DataRefused
            If a file that was named holds labels for another number of sequences.
        """
        found = inputs.with_name("labels.npy")
        if path is None and (found == inputs or not found.is_file()):
            return None
        labels = load_labels(path or found, n, network)
        count = n if (path or found).suffix == ".npz" else len(np.load(path or found, "r"))
        if count != n:
            if path is not None:
                raise DataRefused(quote(path, 200), f"has {count} labels for {n} sequences",
                                  "give one a sequence, or one a step")
            self.note(f"{printable(found)} has {count} labels for {n} sequences: not used")
            return None
        if path is None:
            self.say(f"labels: {printable(found)}")
        return labels

    def self_check(self, network: FloatNetwork, model: Path, batch: Batch) -> None:
        """Compare the import with the file itself, on the data that it will be proved with."""
        some = batch.take(slice(0, SELF_CHECK_SEQUENCES))
        self._float_check(network, model, some, f"{len(some)} sequences of the data")

    def _float_check(self, network: FloatNetwork, model: Path, batch: Batch, what: str) -> None:
        with onnx_form(model, self._given) as file:
            worst = compare(network, file, batch)
            form = "the ONNX file itself" if file == model else "its ONNX form"
        if worst is None:
            self.say("float check: nothing here can run the file (install onnxruntime)")
        else:
            self.say(f"float check: at most {worst:.2g} from {form} over {what}")

    def quantise(self, network: FloatNetwork, batch: Batch) -> steps.Quantised:
        options = self.options.quantisation
        self.heading("quantise", f"W{options.weight_width}A{options.act_width}, {options.method}")
        quantised = steps.quantise(network, batch, options)
        self.console.print(show.tensors(quantised))
        self.say(f"calibrated on {len(batch)} sequences; accumulator {quantised.integer.acc_width} "
                 f"bits, which no input can overflow")
        return quantised

    def stored(self, quantised: steps.Quantised, longest: int = 0) -> steps.Quantised:
        """Settle the longest sequence that a core with reverse layers stores.

        Parameters
        ----------
        quantised : Quantised
        longest : int
            Steps of the data at hand: not less, if the options do not say it.
        """
        integer, wanted = quantised.integer, self.options.max_steps
        if not integer.max_steps:
            if wanted is not None:
                raise GatewrightError("--max-steps", "is for networks with reverse layers: others "
                                      "take sequences of any length", "leave it out")
            return quantised
        most = wanted or max(integer.max_steps, longest)
        self.say(f"the network has reverse layers: the core stores sequences of up to {most} steps")
        return replace(quantised, integer=replace(integer, max_steps=most))

    def golden(self, quantised: steps.Quantised, batch: Batch, labels: np.ndarray | None = None,
               model: Path | None = None) -> tuple:
        """Run golden over all sequences; returns (Golden, speed figures)."""
        self.heading("golden", f"{len(batch)} sequences")
        result = steps.golden(quantised, batch, labels)
        self.console.print(show.errors(result))
        for line in show.metric_lines(result):
            self.say(line)
        return result, self._speed(quantised, result, batch, model)

    def compare_recorded(self, network: FloatNetwork, batch: Batch, path: Path) -> None:
        """Compare the float network with outputs that somebody recorded."""
        recorded = load_float_outputs(network, path, len(batch))
        ours = onnx_check.float_outputs(network, batch)
        for name, array in recorded.items():
            if array.shape != ours[name].shape:
                raise DataRefused(quote(path, 200), f"has {quote(name)} as {array.shape}, but the "
                                  f"network gives {ours[name].shape}", "give its own outputs")
        worst = max(float(np.abs(ours[name] - array).max()) for name, array in recorded.items())
        self.say(f"largest difference of the float network from {printable(path)}: {worst:.2g}")

    def _speed(self, quantised, result: steps.Golden, batch: Batch, model: Path | None) -> dict:
        speed = {"golden_seconds": result.seconds,
                 "golden_steps_per_second": result.steps / result.seconds}
        line = (f"golden: {result.sequences} sequences in {result.seconds:.2f} s, "
                f"{speed['golden_steps_per_second']:,.0f} steps/s")
        self.say(line)
        timed = None
        if model is not None:
            try:
                with onnx_form(model, self._given) as file:
                    timed = onnx_check.onnxruntime_outputs(quantised.network, file, batch)
            except GatewrightError as error:
                self.say(f"onnxruntime: {error}")
        if timed is not None:
            _, seconds, together = timed
            speed |= {"onnxruntime_seconds": seconds, "onnxruntime_batched": together}
            self.say(f"onnxruntime: {seconds:.2f} s, in float, " + (
                "one batch" if together else f"{batch_size(quantised.network.input)} sequence(s) a "
                "run, as the file fixes it"))
        return speed

    def generate(self, quantised: steps.Quantised, target: str):
        """Generate the array that the options name, or that suits the device best."""
        options = self.options
        row = choose(quantised.integer, target, options)
        self.heading("generate", str(row.array) + ("" if options.lanes else f", for {target}"))
        if not row.fits and not options.lanes:
            self.note(f"nothing fits {target} ({'+'.join(row.lacking)} run out); this is simulated "
                      "all the same")
        start = time.perf_counter()
        core = steps.generate(quantised, **row.array.options, wide=options.wide_streams,
                              argmax=options.argmax, load_weights=row.load_weights,
                              protect=options.protect)
        self.console.print(show.schedule(core))
        manifest = core.manifest
        self.say(f"{manifest['cycles_per_step']} cycles a step, "
                 f"{manifest['cycles']['exposed_per_step']} of them exposed; "
                 f"multipliers {manifest['mac_utilisation']:.1%} busy")
        self.say(f"{len(core.verilog) / 1e3:,.0f} kB of Verilog in "
                 f"{time.perf_counter() - start:.1f} s")
        if core.layout.program.load_weights:
            self.say(f"the weights are loaded: {core.layout.program.load_words:,} input words "
                     "after a reset (rtl/*.weights.hex)")
        if options.protect:
            self.say("protected: a fault sets a bit of status_faults, within "
                     f"{manifest['cycles']['watchdog']} cycles if the core stands still, and stops "
                     "both streams until a reset")
        return core

    def verify(self, core, result: steps.Golden, folder: Path, rtl: Path, *, waves: bool = False):
        """Simulate and compare; raises Mismatch at the first difference, its file written."""
        n = min(self.options.sequences, result.sequences)
        self.heading("verify", f"{n} sequences, without and with random pauses")
        verdict = self._simulate(core, result, n, rtl, waves=folder if waves else None)
        artefacts.save_verify(folder, verdict)
        self.say(f"simulator: {verdict.simulator}")
        if not verdict.passed:
            raise _mismatch(verdict)
        self.say(f"bit-exact: {verdict.words}/{verdict.words} words", "bold green")
        self.say(f"cycles per step: predicted {verdict.cycles_per_step_predicted}, measured "
                 f"{verdict.cycles_per_step_measured or 'none (one-step sequences)'}")
        self.say(f"cycles in all: predicted {verdict.cycles_predicted}, measured "
                 f"{verdict.cycles_measured}")
        self.say(f"simulated: {verdict.cycles_per_second:,.0f} cycles/s")
        if verdict.waves:
            self.say(f"waves: {verdict.waves}")
        return verdict

    def _simulate(self, core, result, n: int, rtl: Path, waves: Path | None = None):
        """The simulation in a folder that goes away; its wave file goes to ``waves``."""
        build = Path(tempfile.mkdtemp(prefix="gatewright-"))
        try:
            verdict = self._watch(core, result, n, rtl, build, waves is not None)
            if verdict.waves:
                kept = waves / f"{core.name}{Path(verdict.waves).suffix}"
                shutil.move(verdict.waves, kept)
                verdict = replace(verdict, waves=kept.name)
        except sim.SimulationError:
            raise  # its message names a log, which therefore stays
        except BaseException:
            shutil.rmtree(build, ignore_errors=True)
            raise
        shutil.rmtree(build, ignore_errors=True)
        return verdict

    def _watch(self, core, result, n: int, rtl: Path, build: Path, waves: bool):
        """The simulation with its progress bar."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                   TextColumn("words"), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True,
                      disable=not self.console.is_terminal) as progress:
            task = progress.add_task("building the simulation", total=None)

            def tell(name, words, of):
                progress.update(task, description=name, completed=words, total=of)

            return steps.verify(core, result, sequences=n, seed=self.options.seed, rtl=rtl,
                                build_dir=build, waves=waves, progress=tell)

    def _form(self, core, rtl: Path, target: str, result: steps.Golden | None) -> tuple:
        """(core, file, words proved) of the form that a device gets, written beside the portable.

        Without data (``result`` None) the vendor form is not simulated: words is None. A Verilog
        file that was changed by hand is routed as it is.
        """
        form = None
        if not self.options.portable and rtl.read_text(encoding="utf-8") == core.verilog:
            form = steps.vendor_form(core, target)
        if form is None:
            return core, rtl, None
        family = form.manifest["family"]
        path = rtl.with_name(f"{core.name}.{family}.v")
        write_text(path, form.verilog)
        self.say(f"{path.name}: with the blocks of {family}")
        if result is None:
            self.note(f"the {family} form was not simulated here; 'gatewright run' does that")
            return form, path, None
        n = min(self.options.sequences, result.sequences, FORM_SEQUENCES)
        verdict = self._simulate(form, result, n, path)
        if not verdict.passed:
            raise _mismatch(verdict, f"{family} form: ")
        self.say(f"{family} form, with models of its blocks: bit-exact: "
                 f"{verdict.words}/{verdict.words} words, cycles as predicted", "green")
        return form, path, verdict.words

    def synth(self, core, rtl: Path, target: str, folder: Path,
              result: steps.Golden | None = None, seeds: int = 1) -> dict:
        """Place and route the Verilog of a device; where a tool refuses it, its logs stay."""
        seed = max(1, self.options.seed)  # nextpnr has no seed 0
        last = f" to {seed + seeds - 1}" if seeds > 1 else ""
        self.heading("synth", f"{target}, seed {seed}{last}")
        core, rtl, words = self._form(core, rtl, target, result)
        build = folder / "synth" / f"{target}.build"
        try:
            with self.console.status("") as status:
                report = steps.place_and_route(core, target, seed=seed, seeds=seeds, rtl=rtl,
                                               build_dir=build, progress=status.update)
        except synth.SynthError:
            raise
        except BaseException:
            shutil.rmtree(build, ignore_errors=True)
            raise
        shutil.rmtree(build, ignore_errors=True)
        report["form"] = {"family": core.manifest["family"], "file": rtl.name,
                          "words_proved": words}
        artefacts.save_synth(folder, target, report)
        self.console.print(show.devices([report]))
        if report.get("seeds", {}).get("runs"):
            found = report["seeds"]
            self.say(f"seed {report['seed']} is best of {len(found['runs'])}: "
                     f"{found['worst_mhz']:.1f} to {found['best_mhz']:.1f} MHz by nextpnr, "
                     f"median {found['median_mhz']:.1f}")
        for warning in report["warnings"]:
            self.note(warning)
        return report
