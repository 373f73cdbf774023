"""The document and its charts, made of the results file alone: no figure is typed by hand."""

from pathlib import Path

from . import cpu, deepbench, grid, routed, speed
from .chart import Axis, Series, chart
from .published import MACHINES, ROWS
from .store import Store

__all__ = ["PARTS", "document", "where_measured", "write_document"]

PARTS = {"grid": grid, "deepbench": deepbench, "cpu": cpu, "routed": routed, "speed": speed}


def _utilisation(parts: dict) -> str | None:
    """Share of busy multipliers over work for each, ours and theirs."""
    models = [(row, record["machines"]) for row in ROWS
              if (record := parts["deepbench"].get(f"model: {row.name}")) and "machines" in record]
    ours = sorted((row.macs / MACHINES[key].multipliers, 100 * found["utilisation"])
                  for row, machines in models for key, found in machines.items())
    small = sorted((record["macs"] / record["multipliers"], 100 * record["utilisation"])
                   for name, record in parts["deepbench"].items()
                   if name.startswith("same") and not record["failure"])
    if not ours:
        return None
    series = [Series(name="ours, model", points=ours, line=True),
              Series(name="ours, simulated", points=small)]
    series += [Series(name=machine.name.split(",")[0].split(" (")[0], points=[
        (row.macs / machine.multipliers, 100 * row.utilisation(key))
        for row in ROWS if key in row.times_ms]) for key, machine in MACHINES.items()]
    every = [x for line in series for x, _ in line.points]
    return chart("DeepBench rows at batch 1: busy multipliers over work for each",
                 Axis.around("multiplications a step for each multiplier (M/P)", every, log=True),
                 Axis(label="busy, %", low=0, high=100), series)


def _times(parts: dict) -> str | None:
    """Microseconds a step, ours and the processor's."""
    nets = [net for net, record in parts["cpu"].items() if not record["failure"]]
    if not nets:
        return None
    ours = []
    for place, net in enumerate(nets):
        found = cpu.placed(parts, net)
        if found is not None:
            ours.append((place, found["step"][1] / found["fmax_mhz"]))
    series = [Series(name="ours, routed", points=ours, line=True)]
    for program in cpu.PROGRAMS:
        for kind, text in (("step", "a call a step"), ("sequence", f"{cpu.LONG} a call")):
            points = [(place, parts["cpu"][net][program][kind]["median_us"])
                      for place, net in enumerate(nets) if parts["cpu"][net][program]]
            series.append(Series(name=f"{program}, {text}", points=points, line=True))
    series = [line for line in series if line.points]
    return chart("Time a step at batch 1",
                 Axis(label="net", low=-0.5, high=len(nets) - 0.5, names=tuple(nets)),
                 Axis.around("µs a step", [y for line in series for _, y in line.points],
                             log=True), series)


def _clocks(parts: dict) -> str | None:
    """Every seed's clock on every device."""
    placed = [record for record in parts["routed"].values()
              if record.get("seeds", {}).get("runs") and record["goal"] is not None]
    if not placed:
        return None
    names = tuple(f"{record['target']}{'*' if record['form'] == 'portable' else ''}, "
                  f"{record['array']}" for record in placed)
    seeds = [(k, run["fmax_mhz"]) for k, record in enumerate(placed)
             for run in record["seeds"]["runs"]]
    series = [Series(name="each seed", points=seeds),
              Series(name="goal", points=[(k, record["goal"]) for k, record in enumerate(placed)]),
              Series(name="data sheet's limit", points=[
                  (k, record["datasheet_limit_mhz"]) for k, record in enumerate(placed)
                  if record["datasheet_limit_mhz"] is not None])]
    return chart("Routed clock of each seed, LSTM 64→64",
                 Axis(label="device and lanes (* portable form)", low=-0.5,
                      high=len(placed) - 0.5, names=names),
                 Axis.around("MHz", [y for line in series for _, y in line.points]), series)


CHARTS = {"utilisation": ("deepbench", _utilisation), "times": ("cpu", _times),
          "clocks": ("routed", _clocks)}


def where_measured(records: dict) -> str:
    """Commits, dates, machines of a part's records."""
    every = [record["where"] for record in records.values()]
    commits = list(dict.fromkeys(where["commit"] or "no clone" for where in every))
    dates = sorted({where["date"] for where in every})
    machines = list(dict.fromkeys(f"{where['processor']}, {where['cores']} cores"
                                  for where in every))
    days = " to ".join(dict.fromkeys((dates[0], dates[-1])))
    return f"*Measured at {', '.join(commits)} on {days}; {'; '.join(machines)}.*"


def document(parts: dict, charts: dict) -> str:
    """The text.

    Parameters
    ----------
    parts : dict of part name to dict of case to record
    charts : dict of chart name to SVG text or None
    """
    text = ["# Benchmarks",
            "Written by `python -m bench` from the results file beside this document; run it to "
            "measure again (`--help` for parts of it, `--quick` for minutes instead of hours). A "
            "`+` behind a commit says that sources differed from it."]
    for name, part in PARTS.items():
        if not parts[name]:
            continue
        text += [f"## {part.TITLE}", part.section(parts)]
        text += [f"![{chart_name}]({chart_name}.svg)" for chart_name, (owner, _) in CHARTS.items()
                 if owner == name and charts[chart_name]]
        text.append(where_measured(parts[name]))
    versions = {}
    for records in parts.values():
        for record in records.values():
            where = record["where"]
            for package, version in (("Python", where["python"]),
                                     ("C++", where["compiler"] or "none"),
                                     *where["packages"].items()):
                versions.setdefault(package, set()).add(version)
    text += ["## Versions", "; ".join(f"{package} {', '.join(sorted(found))}"
                                      for package, found in versions.items()) + "."]
    return "\n\n".join(text) + "\n"


def write_document(store: Store, folder: Path) -> list:
    """Write benchmarks.md and its charts into a folder; the paths written."""
    parts = {name: store.records(name) for name in PARTS}
    charts = {name: make(parts) for name, (_, make) in CHARTS.items()}
    folder.mkdir(parents=True, exist_ok=True)
    files = {"benchmarks.md": document(parts, charts)}
    files |= {f"{name}.svg": text for name, text in charts.items() if text}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in files]
