"""The files of an output folder; names and fields are stable, because other tools read them."""

import shutil
import sys
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hw.emit import Core
from hw.image import load_words
from sim import VerifyResult

from . import steps
from .array import Array
from .errors import GatewrightError, quote
from .folder import read_json, write_json, write_text
from .steps import Golden, Quantised
from .store import load_networks, save_networks

__all__ = ["load_core", "load_quantised", "save_core", "save_golden", "save_quantised",
           "save_synth", "save_verify"]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _hash_in(manifest: Path) -> str | None:
    """What a manifest says of its Verilog; None where there is none that can be read."""
    try:
        return read_json(manifest, "")["verilog_sha256"]
    except (GatewrightError, KeyError):
        return None


def save_quantised(folder: Path, quantised: Quantised) -> None:
    """``network.npz`` and ``quantisation.json``."""
    save_networks(folder / "network.npz", quantised.network, quantised.integer, quantised.options)
    write_json(folder / "quantisation.json", {
        "options": asdict(quantised.options),
        "accumulator_width": quantised.integer.acc_width,
        "tensors": {t.name: {"format": t.format, "min": t.min, "max": t.max,
                             "saturated": t.saturated, "count": t.count, "sqnr_db": t.sqnr_db}
                    for t in quantised.tensors}})


def load_quantised(folder: Path) -> Quantised:
    """The networks of a folder; the tensors' reports stay in their file."""
    network, integer, options = load_networks(folder / "network.npz")
    return Quantised(network=network, integer=integer, options=options)


def save_core(folder: Path, core: Core, quantised: Quantised) -> Path:
    """``rtl/NAME.v`` and ``manifest.json``; returns the Verilog file.

    Where weights are loaded, ``rtl/NAME.weights.hex`` holds the input words that do it, one a line.
    What the folder says of another core (``verify.json``, ``synth``, waves) goes away first.
    """
    network = quantised.network
    if _hash_in(folder / "manifest.json") != core.verilog_sha256:
        for stale in ("rtl", "synth"):
            shutil.rmtree(folder / stale, ignore_errors=True)
        for stale in (folder / "verify.json", *folder.glob("*.vcd"), *folder.glob("*.fst")):
            stale.unlink(missing_ok=True)
    rtl = folder / "rtl" / f"{core.name}.v"
    write_text(rtl, core.verilog)
    if core.layout.program.load_weights:
        digits = -(-core.layout.program.input_width // 4)
        write_text(rtl.with_suffix(".weights.hex"), "".join(
            f"{word:0{digits}x}\n" for word in load_words(core.layout.program)))
    manifest = dict(core.manifest)
    manifest["source"] = network.source
    manifest["quantisation"] = asdict(quantised.options)
    manifest["graph"] = {"input": asdict(network.input), "final": str(network.final),
                         "state_inputs": [asdict(b) for b in network.state_inputs],
                         "outputs": [asdict(b) for b in network.outputs],
                         "heads": [{"name": b.name, "start": b.start, "width": b.width,
                                    "final": str(b.final)} for b in network.heads]}
    manifest["versions"] = manifest["versions"] | {
        "gatewright": _version("gatewright"), "onnx": _version("onnx"),
        "python": ".".join(map(str, sys.version_info[:3]))}
    write_json(folder / "manifest.json", manifest)
    return rtl


def load_core(folder: Path, quantised: Quantised) -> tuple:
    """(Core, Verilog file) of a folder: laid out again from the manifest's options.

    The file on disk is what is simulated and routed, so a change of it by hand is noticed.

    Raises
    ------
    GatewrightError
        If there is no core yet, or its manifest belongs to another network or version.
    """
    path, remedy = folder / "manifest.json", f"run 'gatewright generate {folder}'"
    manifest = read_json(path, remedy)
    try:
        stream = manifest["stream"]
        integer = replace(quantised.integer, max_steps=stream["max_steps"])
        core = steps.generate(
            replace(quantised, integer=integer), **Array.of(manifest).options,
            argmax=stream["output"] == "argmax",
            wide=max(stream["input_elements"], stream["output_elements"]) > 1,
            load_weights=stream["weight_words"] > 0, protect=manifest.get("protected", False),
            name=manifest["name"])
        fits = core.verilog_sha256 == manifest["verilog_sha256"]
    except (KeyError, TypeError, GatewrightError):
        fits = False
    if not fits:
        raise GatewrightError(quote(path, 200), "belongs to another network or version, or is "
                              "damaged", remedy)
    rtl = folder / "rtl" / f"{core.name}.v"
    if not rtl.is_file():
        raise GatewrightError(quote(rtl, 200), "is missing", remedy)
    return core, rtl


def save_golden(folder: Path, result: Golden, speed: dict) -> None:
    """``golden.json``."""
    first = result.metrics[0] if result.metrics else None
    write_json(folder / "golden.json", {
        "sequences": result.sequences, "steps": result.steps,
        "metric": first.name if first else None,
        "float_metric": first.float_value if first else None,
        "fixed_metric": first.fixed_value if first else None,
        "metrics": {f"{m.output}.{m.name}" if m.output else m.name:
                    {"float": m.float_value, "fixed": m.fixed_value} for m in result.metrics},
        "top1_agreement": result.agreement,
        "max_error_lsb": {f"{e.layer}.{e.signal}": e.max_error_lsb for e in result.errors},
        "error_sequences": min(result.sequences, steps.DETAIL_SEQUENCES),
        "errors": [asdict(e) for e in result.errors],
        "saturations": int(sum(result.run.saturations)) if result.sequences else 0,
        "speed": speed})


def save_verify(folder: Path, result: VerifyResult) -> None:
    """``verify.json``."""
    write_json(folder / "verify.json", asdict(result) | {"passed": result.passed})


def save_synth(folder: Path, target: str, report: dict) -> None:
    """``synth/TARGET.json``."""
    write_json(folder / "synth" / f"{target}.json", report)
