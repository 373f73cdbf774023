"""The README's results table, written from output folders: ``python -m gatewright.results``.

No figure in the table is typed by hand: each comes from the JSON files of a run.
"""

import sys
from pathlib import Path

from .array import Array
from .errors import GatewrightError, quote
from .folder import read_json, write_text
from .show import METRIC_NAMES

__all__ = ["main", "put_table", "results_table"]

BEGIN, END = "<!-- results -->", "<!-- /results -->"
REMEDY = "run 'gatewright run' first"


def _used(report: dict, key: str) -> str:
    entry = report.get(key)
    return f"{entry['used']:,} ({entry['share']:.0%})" if entry else "-"


def _rows(folder: Path):
    """One row for each device that the folder was routed for."""
    manifest = read_json(folder / "manifest.json", REMEDY)
    golden = read_json(folder / "golden.json", REMEDY)
    verify = read_json(folder / "verify.json", REMEDY)
    if not verify["passed"]:
        raise GatewrightError(quote(folder, 200), "was not proved bit-exact", "verify it again")
    network = " → ".join(f"{layer['cell'].replace('_', ' ')} {layer['units']}"
                         for layer in manifest["layers"])
    accuracy = "-"
    if golden["metric"]:
        accuracy = (f"{golden['float_metric']:.4f} → {golden['fixed_metric']:.4f} "
                    f"({METRIC_NAMES[golden['metric']]})")
    measured, busy = verify["cycles_per_step_measured"], verify["mac_utilisation"]
    # Sequences of one step have no distance from step to step.
    cycles, busy = ("-", "-") if measured is None else (f"{measured:,}", f"{busy:.1%}")
    head = [f"`{manifest['name']}`", network, accuracy,
            f"{verify['words']:,}/{verify['words']:,}", str(Array.of(manifest)), cycles, busy]
    for path in sorted((folder / "synth").glob("*.json")):
        report = read_json(path, REMEDY)
        ram = _used(report, "bram")
        if report.get("spram", {}).get("used"):
            ram += f", {report['spram']['used']} SPRAM"
        clock = report["fmax_mhz"]
        yield [*head, report["device"], "-" if clock is None else f"{clock:.1f}",
               _used(report, "lut"), _used(report, "ff"), ram, _used(report, "dsp"),
               "-" if clock is None else f"{report['us_per_step']:.2f}"]


def results_table(folders: list) -> str:
    """Markdown: a line for each folder and device."""
    columns = ["model", "network", "float → fixed", "words equal", "array", "cycles a step",
               "multipliers busy", "device", "MHz", "LUT", "FF", "block RAM", "DSP", "µs a step"]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for folder in folders:
        lines += ["| " + " | ".join(row) + " |" for row in _rows(Path(folder))]
    return "\n".join(lines)


def put_table(path: Path, table: str) -> None:
    """Replace what stands between the markers of a file."""
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise GatewrightError(quote(path, 200), f"has no place for results ({BEGIN} ... {END})",
                              "put the two markers where the table belongs")
    head, rest = text.split(BEGIN)
    write_text(path, head + BEGIN + "\n" + table + "\n" + END + rest.split(END)[1])


def main(argv: list | None = None) -> int:
    """``python -m gatewright.results README.md DIR...``; exit code 2 on error."""
    argv = sys.argv[1:] if argv is None else argv
    if len(argv) < 2:
        print("usage: python -m gatewright.results README.md DIR [DIR ...]", file=sys.stderr)
        return 2
    try:
        put_table(Path(argv[0]), results_table(argv[1:]))
    except (GatewrightError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
