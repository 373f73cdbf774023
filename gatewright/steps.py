"""The steps from a model to a proven core, as plain functions over plain objects.

import_model -> quantise -> golden -> generate -> verify -> place_and_route: what the command line
does, for scripts and notebooks.
"""

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import sim
import synth
from golden.lengths import at_end
from golden.model import Codes, GoldenRun, encode, run_golden
from golden.network import FloatNetwork, IntNetwork
from golden.quantise import QuantOptions, quantise_network
from golden.reads import final_step
from golden.reference import Batch, run_float
from hw.emit import Core, generate as generate_core
from hw.families import PORTABLE
from hw.image import load_words
from hw.program import Program

from .accuracy import measure, signal_errors, top1_agreement
from .array import Array
from .choice import choose
from .errors import GatewrightError, quote
from .options import Options
from .plan import look
from .setting import Limits, family_of

__all__ = ["Golden", "Quantised", "generate", "golden", "needs_loading", "place_and_route",
           "quantise", "stimulus", "vendor_form", "verify"]

DETAIL_SEQUENCES = 32  # for the error of each signal, whose intermediates are all kept


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """A network in floats and in integers.

    Parameters
    ----------
    network : FloatNetwork
    integer : IntNetwork
    options : QuantOptions
    tensors : tuple of TensorReport
    """

    network: FloatNetwork
    integer: IntNetwork
    options: QuantOptions
    tensors: tuple = ()


@dataclass(frozen=True, kw_only=True)
class Golden:
    """What the golden model made of some data, beside the float reference.

    Parameters
    ----------
    codes : Codes
    run : GoldenRun
    y_float, y_fixed : float64 (n, T, O)
    errors : tuple of SignalError
        Over the first ``DETAIL_SEQUENCES`` sequences.
    metrics : tuple of Metric
        Empty without labels.
    agreement : float or None
        Share of results with the same largest output.
    seconds : float
        Of the integer run over all sequences.
    """

    codes: Codes
    run: GoldenRun
    y_float: np.ndarray
    y_fixed: np.ndarray
    errors: tuple = ()
    metrics: tuple = ()
    agreement: float | None = None
    seconds: float = 0.0

    @property
    def sequences(self) -> int:
        return len(self.codes)

    @property
    def steps(self) -> int:
        return self.codes.steps


def quantise(network: FloatNetwork, calibration: Batch, options: QuantOptions | None = None,
             **widths) -> Quantised:
    """Choose formats from calibration data; keywords are those of ``QuantOptions``.

    Raises
    ------
    GatewrightError
        If a width is out of range, the sums need too wide an accumulator, or values are so large or
        so small that no scale holds them.
    """
    try:
        options = options or QuantOptions(**widths)
        with np.errstate(all="ignore"):    # what overflows is refused
            integer, tensors = quantise_network(network, calibration, options)
    except ValueError as error:
        raise GatewrightError("quantisation", str(error)) from None
    except OverflowError:
        raise GatewrightError("quantisation", "values are too large or too small for any number "
                              "format", "scale the data, or train again") from None
    return Quantised(network=network, integer=integer, options=options, tensors=tensors)


def golden(quantised: Quantised, batch: Batch, labels=None) -> Golden:
    """Run the integer model over a batch and compare it with the float reference.

    Parameters
    ----------
    quantised : Quantised
    batch : Batch
    labels : array or None
        See ``accuracy.measure``.
    """
    network, integer = quantised.network, quantised.integer
    codes = encode(network, integer, batch)
    start = time.perf_counter()
    run = run_golden(integer, codes)
    seconds = time.perf_counter() - start
    y_float = run_float(network, batch)[-1]["h"]
    y_fixed = integer.layers[-1].h.to_float(run.y)
    if network.last_step_only:
        y_float, y_fixed = (at_end(y, batch.lengths)[:, None] for y in (y_float, y_fixed))
    some = batch.take(slice(0, DETAIL_SEQUENCES))
    detail = run_golden(integer, encode(network, integer, some), keep=None)
    return Golden(
        codes=codes, run=run, y_float=y_float, y_fixed=y_fixed, seconds=seconds,
        errors=signal_errors(integer, detail, run_float(network, some), some.lengths),
        metrics=() if labels is None else measure(network, y_float, y_fixed, labels,
                                                  batch.lengths),
        agreement=top1_agreement(network, y_float, y_fixed, batch.lengths))


def one_result(network: FloatNetwork) -> None:
    """Refuse the index of the largest value where the values are of several results."""
    if len(network.heads) > 1:
        names = ", ".join(quote(head.name) for head in network.heads[:6])
        raise GatewrightError("argmax", f"is of one result, but the graph has {names}",
                              "leave it out: the host takes the largest of each")


def needs_loading(integer: IntNetwork, target: str, array: Array | None = None) -> bool:
    """True where the weights go to memories that a bitstream cannot fill (iCE40's SPRAM).

    That is, where the core would not fit the device's block RAM otherwise; ``array`` None: on the
    fastest array that fits.
    """
    if array is not None:
        return look(integer, target, Limits(), arrays=[array])[0].load_weights
    return choose(integer, target, Options()).load_weights


def generate(quantised: Quantised, *, lanes: int, cols: int = 1, posts: int = 1,
             pipeline: str = "deep", pack: bool = False, wide: bool = False, argmax: bool = False,
             load_weights: bool = False, protect: bool = False, name: str | None = None) -> Core:
    """Write the Verilog of an array; see ``hw.emit.generate``.

    Raises
    ------
    GatewrightError
        If the array or the name is not legal, or one index is asked for of several results.
    """
    if quantised.options.golden_only:
        raise GatewrightError("generation", "the network was quantised for golden alone, with "
                              "words wider than any hardware has", "quantise it again without "
                              "golden_only")
    if argmax:
        one_result(quantised.network)
    try:
        return generate_core(quantised.integer, lanes=lanes, cols=cols, posts=posts,
                             pipeline=pipeline, pack=pack, wide=wide, argmax=argmax,
                             load_weights=load_weights, protect=protect, name=name)
    except ValueError as error:
        raise GatewrightError("generation", str(error)) from None


def vendor_form(core: Core, target: str) -> Core | None:
    """The same program built from the device family's own blocks: the same cycles and words.

    Returns
    -------
    Core or None
        None where the portable form is what the device takes.
    """
    family = family_of(synth.target_named(target))
    if family is PORTABLE:
        return None
    program = core.layout.program
    return generate_core(program.network, **Array.of(core.manifest).options, wide=program.wide,
                         argmax=program.argmax, load_weights=program.load_weights,
                         protect=core.layout.watch is not None, name=core.name,
                         family=family.name)


def _fits(program: Program, steps: int) -> None:
    if program.max_steps and steps > program.max_steps:
        raise GatewrightError("the data", f"has sequences of {steps} steps, but the core stores "
                              f"{program.max_steps} (it has reverse layers)",
                              f"generate it with --max-steps {steps}")


def stimulus(core: Core, result: Golden, sequences: int | None = None) -> sim.Stimulus:
    """What the bench drives and expects, from the first ``sequences`` of a golden run."""
    lengths = result.codes.lengths
    if lengths is None:
        return _stimulus(core, result, sequences)
    lengths, found = lengths[:sequences], {}
    for steps in np.unique(lengths):
        index = np.flatnonzero(lengths == steps)
        part = replace(result, codes=result.codes.of_length(index, steps),
                       run=result.run.of_length(index, steps))
        found |= dict(zip(index.tolist(), _stimulus(core, part, load=0 in index).sequences))
    saturations = result.run.saturations[:len(lengths)]
    return replace(_stimulus(core, part), sequences=tuple(found[k] for k in range(len(lengths))),
                   predicted_cycles=core.layout.schedule.total_cycles(lengths.tolist()),
                   expected_saturations=int(np.sum(saturations)))


def _stimulus(core: Core, result: Golden, sequences: int | None = None, *,
              load: bool = True) -> sim.Stimulus:
    """The same of sequences of one length; with the weights in front if they are loaded at all."""
    program, run, codes = core.layout.program, result.run, result.codes
    network = program.network
    n = len(codes) if sequences is None else min(sequences, len(codes))
    x = codes.x[:n]
    _fits(program, x.shape[1])
    steps, many = x.shape[1], program.input_elements
    # A step's elements fill its words from the lowest place on; a state is a word of its own.
    filled = np.zeros((n, steps, program.input_words * many), np.int64)
    filled[:, :, :network.inputs] = x.reshape(n, steps, -1)
    inputs = [filled.reshape(n, -1, many)]
    if network.loads_state:
        loaded = {"h": codes.h0, "c": codes.c0}
        states = np.concatenate([loaded[signal][layer][:n]
                                 for signal, layer, _, _ in program.states], axis=1)
        inputs.insert(0, states[:, :, None] * (np.arange(many) == 0))
    y = run.y[:n, -1:] if network.last_step_only else run.y[:n]
    results = y.argmax(axis=-1) if program.argmax else y.reshape(n, -1)
    outputs = [results]
    if network.returns_state:
        outputs += [run.signals[layer][signal][:n, final_step(network.layers[layer])]
                    for signal, layer, _, _ in program.states]
    trace = {(entry["signal"], entry["layer"]): run.signals[entry["layer"]][entry["signal"]][
        :n, ::-1 if entry["reverse"] else 1] for entry in core.manifest["trace"]}
    made = sim.Stimulus.from_batch(
        steps=steps, inputs=np.concatenate(inputs, axis=1),
        outputs=np.concatenate(outputs, axis=1), trace=trace,
        predicted_cycles=core.layout.schedule.total_cycles([steps] * n),
        expected_saturations=int(np.sum(run.saturations[:n])),
        output_units=1 if program.argmax else network.layers[-1].units,
        output_every_step=not (network.last_step_only or network.layers[-1].last_only),
        sweeps=tuple(sweep.single for sweep in core.layout.schedule.sweeps))
    if not (program.load_weights and load):
        return made
    first = made.sequences[0]
    width = program.element_width
    weights = np.array([[word >> (k * width) & ((1 << width) - 1) for k in range(many)]
                        for word in load_words(program)], dtype=np.int64)
    return replace(made, sequences=(
        replace(first, inputs=np.concatenate([weights, first.inputs])), *made.sequences[1:]))


def verify(core: Core, result: Golden, *, sequences: int | None = None, seed: int = 1,
           build_dir: Path | None = None, rtl: Path | None = None, waves: bool = False,
           progress=None) -> sim.VerifyResult:
    """Simulate the core and compare every word with golden.

    Parameters
    ----------
    core : Core
    result : Golden
    sequences : int or None
        How many to simulate, from the first on; None: all.
    seed : int
        Of the pauses on both streams.
    build_dir : Path or None
        Where the simulation is built and its files stay; None: a folder that goes away.
    rtl : Path or None
        A Verilog file to verify instead of the core's own text.
    waves : bool
    progress : callable of (pass, words, of) or None
    """
    with tempfile.TemporaryDirectory(prefix="gatewright-") as scratch:
        folder = Path(build_dir or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if rtl is None:
            rtl = folder / f"{core.name}.v"
            rtl.write_text(core.verilog)
        return sim.verify(rtl, core.manifest, stimulus(core, result, sequences),
                          build_dir=folder, seed=seed, waves=waves, progress=progress)


def place_and_route(core: Core, target: str, *, seed: int = 1, seeds: int = 1,
                    build_dir: Path | None = None, rtl: Path | None = None,
                    progress=None) -> dict:
    """Place and route the core, or the Verilog file ``rtl``, behind four pins.

    With ``seeds`` above 1 the best of so many, from ``seed`` on. See ``synth.place_and_route`` and
    ``synth.place_and_route_seeds``.
    """
    with tempfile.TemporaryDirectory(prefix="gatewright-") as scratch:
        given = {"build_dir": Path(build_dir or scratch), "progress": progress}
        try:
            chosen = synth.target_named(target)
            if seeds > 1:
                return synth.place_and_route_seeds(rtl or core.verilog, core.manifest, chosen,
                                                   seeds=range(seed, seed + seeds), **given)
            return synth.place_and_route(rtl or core.verilog, core.manifest, chosen, seed=seed,
                                         **given)
        except ValueError as error:
            raise GatewrightError("synthesis", str(error)) from None
