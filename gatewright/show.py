"""What the command line prints: tables of networks, formats, errors, verdicts and devices."""

from rich.table import Table
from rich.text import Text

from golden.network import FloatNetwork
from hw.emit import Core
from hw.pipeline import DEEP

from .array import Array
from .errors import quote
from .plan import Row
from .steps import Golden, Quantised

__all__ = ["arrays", "devices", "errors", "layers", "schedule", "summary", "tensors"]

METRIC_NAMES = {"top1_accuracy": "top-1 accuracy", "bits_per_label": "bits per label",
                "rmse": "RMSE"}


def _table(title: str, *columns: str) -> Table:
    """The first column is text, the others are figures."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold",
                  box=None, pad_edge=False)
    for idx, column in enumerate(columns):
        table.add_column(column, justify="right" if idx else "left", no_wrap=not idx)
    return table


def _db(value) -> str:
    return "exact" if value is None else f"{value:.1f}"


def layers(network: FloatNetwork) -> Table:
    """The imported network, a layer a line."""
    table = _table("network", "layer", "cell", "inputs", "units", "weights", "runs", "state")
    if network.embedding is not None:
        tokens, width = network.embedding.shape
        table.add_row("embedding", "table", str(tokens), str(width), f"{tokens * width:,}",
                      "every step", "")
    for layer in network.layers:
        weights = layer.w.size + (0 if layer.r is None else layer.r.size)
        state = ""
        if layer.r is not None:
            initial = [layer.initial_h] + ([layer.initial_c] if layer.cell == "lstm" else [])
            state = ("from zero" if all(s.is_zero for s in initial) else
                     "loaded from " + ", ".join(s.source or "a constant" for s in initial))
        table.add_row(layer.name, layer.title, str(layer.inputs), str(layer.units), f"{weights:,}",
                      "last step" if layer.last_only else "every step", state)
    return table


def tensors(quantised: Quantised) -> Table:
    """Every tensor's format, range, saturations and signal-to-noise ratio."""
    table = _table("formats", "tensor", "format", "min", "max", "saturated", "SQNR dB")
    for tensor in quantised.tensors:
        style = "yellow" if tensor.saturated else ""
        table.add_row(tensor.name, tensor.format, f"{tensor.min:.4g}", f"{tensor.max:.4g}",
                      f"{tensor.saturated:,} of {tensor.count:,}", _db(tensor.sqnr_db),
                      style=style)
    return table


def errors(result: Golden) -> Table:
    """Fixed against float, signal by signal."""
    table = _table("error of the fixed-point network", "layer", "signal", "format",
                   "largest, LSB", "rms, LSB", "SQNR dB")
    for error in result.errors:
        table.add_row(error.layer, error.signal, error.format, f"{error.max_error_lsb:.1f}",
                      f"{error.rms_error_lsb:.2f}", _db(error.sqnr_db))
    return table


def metric_lines(result: Golden) -> list:
    """The task's figures, a line each."""
    lines = []
    for metric in result.metrics:
        of = f"{quote(metric.output)}, " if metric.output else ""
        lines.append(f"{of}{METRIC_NAMES[metric.name]}: float {metric.float_value:.5f}, "
                     f"fixed {metric.fixed_value:.5f}")
    if result.agreement is not None:
        lines.append(f"same top-1 in both: {result.agreement:.2%}")
    return lines


def schedule(core: Core) -> Table:
    """The layer table with its cycles."""
    table = _table(f"schedule, {Array.of(core.manifest)}", "phase", "rows", "passes",
                   "cycles a pass", "stall", "runs")
    for layer in core.manifest["layers"]:
        for phase in layer["phases"]:
            stall = phase["wait"] + phase["gap"] * (phase["passes"] - 1)
            table.add_row(f"{layer['name']} {phase['op']}", str(phase["rows"]),
                          str(phase["passes"]), str(phase["pass_cycles"]), str(stall),
                          "last step" if layer["last_only"] else "every step")
    return table


def arrays(rows: list[Row], title: str) -> Table:
    """What ``plan`` found, the best one in bold with a star; cycles and time are of a step."""
    packed, spram = any(row.array.pack for row in rows), any(row.spram for row in rows)
    shallow = any(row.array.pipeline != DEEP.name for row in rows)
    table = _table(title, "", "lanes", "cols", "posts", *["pack"] * packed, *["pipeline"] * shallow,
                   "cycles", "exposed", "busy", "us", "DSP", "RAM", *["SPRAM"] * spram, "fits")
    nouns = {"dsp": "DSP", "bram": "RAM", "spram": "SPRAM", "lut": "LUT", "ff": "FF"}
    for row in rows:
        array = row.array
        fits = "no, " + "+".join(nouns[kind] for kind in row.lacking) if row.lacking else (
            "yes" if row.in_time else "slow")
        table.add_row(
            "*" if row.best else "", str(array.lanes), str(array.cols), str(array.posts),
            *["yes" if array.pack else "no"] * packed, *[array.pipeline] * shallow,
            f"{row.cycles_per_step:,}", str(row.exposed_per_step), f"{row.utilisation:.1%}",
            f"{row.us_per_step:.3g}", str(row.dsp), str(row.bram), *[str(row.spram)] * spram, fits,
            style="bold green" if row.best else "" if row.fits else "dim")
    return table


def devices(reports: list) -> Table:
    """Placed and routed figures, a device a line."""
    table = _table("placed and routed", "device", "clock MHz", "LUT", "FF", "block RAM", "DSP",
                   "us a step")
    for report in reports:
        def used(key, report=report):
            entry = report.get(key)
            return "-" if not entry else f"{entry['used']:,} ({entry['share']:.0%})"
        ram = used("bram")
        if report.get("spram", {}).get("used"):
            ram += f" + {report['spram']['used']} SPRAM"
        clock, time = report["fmax_mhz"], report["us_per_step"]
        table.add_row(report["device"], "-" if clock is None else f"{clock:.1f}", used("lut"),
                      used("ff"), ram, used("dsp"), "-" if time is None else f"{time:.2f}")
    return table


def summary(rows: list) -> Table:
    """The short table at the end: what was asked and what came out. rows: (label, text, style)."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for label, text, style in rows:
        table.add_row(label, Text(text, style=style))
    return table
