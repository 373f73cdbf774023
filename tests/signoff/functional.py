"""Part "functional": have the runs seen every situation that the engine's contract speaks of?"""

from pathlib import Path

import numpy as np

from bench.markdown import count, table
from gatewright.campaign_check import Case
from gatewright.campaign_networks import Config, draw
from sim.fast import Cut, FastSimulator, Pauses

from .claims import Claim
from .configurations import SMOKE
from .coverage_runs import case_to_cover
from .functional_points import POINTS, counted, watched

__all__ = ["PER_CONFIGURATION", "STAGE", "TITLE", "cases", "claims", "measure", "section"]

TITLE = "Functional coverage"
STAGE, PER_CONFIGURATION = "V3", False
# Of campaign 5: peepholes, gaps between passes, pools and products, which no named one has.
DRAWN = (7, 50, 264, 265)
CUTS = 80
SLOW_IN, SLOW_OUT = (Pauses(source=source, sink=sink, long=True)
                     for source, sink in ((255, 0), (0, 255)))
SLOW = Pauses(source=200, sink=200, long=True)


def _drawn(index: int) -> Config:
    return draw(5, index, units=6, cycles=40_000, steps=300, multipliers=20, posts=3,
                special=bool(index % 2), branches=1.0)


def cases(quick: bool) -> list:
    """Case by case: "name", and "configuration" of the named ones."""
    if quick:
        return [{"name": "gru", "configuration": "gru"}]
    return [{"name": name, "configuration": name} for name in SMOKE] + [
        {"name": f"drawn {index}", "drawn": index} for index in DRAWN]


def _form(case: Case) -> dict:
    """Bins of what the configuration is."""
    config, program, schedule = case.config, case.layout.program, case.layout.schedule
    flags = {
        config.pipeline: True, config.family: True, "several columns": config.cols > 1,
        "several posts": config.posts > 1, "wide streams": config.wide, "packed": config.pack,
        "loaded weights": config.load_weights, "states in": config.loads,
        "states out": config.returns, "tokens": config.tokens > 0, "argmax": config.argmax,
        "reverse": any(phase.reverse for phase in program.phases),
        "several sweeps": program.n_sweeps > 1}
    found = {("form", name): flag for name, flag in flags.items()}
    found |= {("cell", str(layer.cell)): 1 for layer in program.network.layers}
    found |= {("element-wise step", phase.op.name): 1 for phase in program.phases}
    found["phase begins", "at once"] = sum(wait == 0 for wait in schedule.waits)
    found["phase begins", "after a wait"] = sum(wait > 0 for wait in schedule.waits)
    gaps = [gap for phase, gap in zip(program.phases, schedule.gaps, strict=True)
            if phase.passes(program.lanes) > 1]
    found["next pass begins", "at once"] = sum(gap == 0 for gap in gaps)
    found["next pass begins", "after a gap"] = sum(gap > 0 for gap in gaps)
    return found


def _where(cut: Cut, case: Case, sent) -> set:
    """Bins of a reset: several may hold."""
    program, schedule, bins = case.layout.program, case.layout.schedule, set()
    states = program.state_words if program.network.loads_state else 0
    left = cut.accepted - program.load_words
    if cut.idle:
        bins.add("idle")
    if left < 0:
        return {"loading weights"} if cut.accepted else bins
    steps = [len(s.inputs) for s in sent.sequences]
    steps[0] -= program.load_words
    for words in steps:
        if left < words:
            break
        left -= words
    if 0 < left < states:
        bins.add("loading states")
    if left > states and (left - states) % program.input_words:
        bins.add("loading a step's words")
    issue = max(sweep.length for sweep in schedule.sweeps)
    if cut.since_start is not None and cut.since_start <= min(
            sweep.length for sweep in schedule.sweeps):
        bins.add("issuing")
    elif cut.since_start is not None and issue < cut.since_start and not cut.idle:
        bins.add("draining")
    if cut.waiting:
        bins.add("an output word waits")
    if program.network.returns_state:
        out = cut.emitted
        for sequence in sent.sequences:
            if out < len(sequence.outputs):
                break
            out -= len(sequence.outputs)
        if len(sequence.outputs) - program.state_words < out:
            bins.add("dumping states")
    return bins


def _stalls(result, lengths: list, interval: int) -> int:
    """Steps that started later than the schedule has them start."""
    late, begin = 0, 0
    for steps in lengths:
        late += int(np.sum(np.diff(result.starts[begin:begin + steps]) > interval))
        begin += steps
    return late


def _errors(case: Case, core: FastSimulator) -> dict:
    """Bins of words that break the protocol, each counted by the core itself."""
    program, found = case.layout.program, {}
    words, last = case.stimulus([0]).flat("inputs")
    states = program.state_words if program.network.loads_state else 0

    def errors(words, last):
        return core.offer(words, last, seed=1)

    def ends_at(place):
        changed = last.copy()
        changed[place] = True
        return changed

    if program.input_words > 1:
        found["end too early"] = errors(words, ends_at(program.load_words + states))
    if states:
        found["end among states"] = errors(words, ends_at(program.load_words))
    if program.load_words:
        found["end among weights"] = errors(words, ends_at(1))
    tokens = program.network.embedding
    if tokens is not None and len(tokens) < 1 << program.element_width:
        wrong = words.copy()
        wrong[-1] = (1 << program.element_width) - 1
        found["no such token"] = errors(wrong, last)
    if program.max_steps:
        many = np.concatenate([words] * (program.max_steps + 1))
        found["longer than the store"] = errors(many, np.arange(len(many)) == len(many) - 1)
    return {("error", name): number for name, number in found.items()}


def measure(case: dict, folder: Path, old: dict | None, settings: dict) -> dict:
    """Run a configuration in all ways and say which bins were seen."""
    with watched() as found:
        config = _drawn(case["drawn"]) if "drawn" in case else SMOKE[case["configuration"]]
        made = case_to_cover(config, search=False)      # what is only searched is not run
    rng = np.random.default_rng([made.config.seed, settings["seed"], 10])
    rtl = folder / f"{made.core.name}.v"
    rtl.write_text(made.core.verilog)
    found |= _form(made)
    schedule, failure = made.layout.schedule, None
    lengths = [sequence.steps for sequence in made.sequences]
    for name, there in (("one step", 1 in lengths), ("two steps", 2 in lengths),
                        ("many steps", max(lengths) > 2), ("right behind another", True)):
        found["sequence", name] = there
    with FastSimulator(rtl, made.core.manifest, folder, optimise=False) as core:
        found |= _errors(made, core)
        for which, pauses in ((None, False), ("for input", SLOW_IN), ("for room", SLOW_OUT),
                              ("for both", SLOW)):
            order = made.some(rng, steps=200 if which is None else 50)
            result = core.run(made.stimulus(order), seed=settings["seed"], pauses=pauses)
            failure = failure or (result.difference and result.difference["message"])
            if which and not made.config.max_steps:
                found["stall", which] = _stalls(result, [lengths[k] for k in order],
                                                schedule.interval)
                found["sequence", "after a pause"] = 1
        order = made.some(rng, steps=12)
        sent = made.stimulus(order)
        total = schedule.total_cycles([lengths[k] for k in order])
        cuts = rng.integers(1, total + 100, size=CUTS).tolist()
        for pauses in (False, SLOW_OUT):
            result = core.run(sent, seed=settings["seed"], pauses=pauses, resets=cuts)
            failure = failure or (result.difference and result.difference["message"])
            for cut in result.cuts:
                for which in _where(cut, made, sent):
                    at = "reset while", which
                    found[at] = found.get(at, 0) + 1
    return {"failure": failure, "points": counted(found), "title": made.config.title,
            **({"configuration": case["configuration"]} if "configuration" in case else {})}


def _reached(records: dict) -> dict:
    """Coverpoint -> bin -> number of configurations that have seen it."""
    return {point: {which: sum(record["points"][point][which] > 0 for record in records.values()
                               if "points" in record) for which in bins}
            for point, bins in POINTS.items()}


def _average(reached: dict) -> float:
    """Percent, each coverpoint as much as another."""
    return 100 * float(np.mean([np.mean([number > 0 for number in bins.values()])
                                for bins in reached.values()]))


def claims(records: dict) -> list:
    reached = _reached(records)
    missed = [f"{point}: {which}" for point, bins in reached.items()
              for which, number in bins.items() if not number]
    bins = sum(map(len, reached.values()))
    return [Claim(
        claim="The checks have seen each situation that the engine's contract speaks of",
        check="coverpoints written from the contract, not from the RTL; seen in golden's "
              "intermediates and in the runner's logs of runs that are equal to golden",
        figure=f"{bins - len(missed)} of {bins} bins in {len(reached)} coverpoints, "
               f"{_average(reached):.1f} % on average"
               + (f"; not: {', '.join(missed)}" if missed else ""),
        stage=STAGE, passed=not missed
        and all(record["failure"] is None for record in records.values()))]


def section(records: dict) -> str:
    rows = [[point, f"{sum(number > 0 for number in bins.values())} of {len(bins)}",
             ", ".join(f"{which} ({count(number)})" if number else f"**{which} (0)**"
                       for which, number in bins.items())]
            for point, bins in _reached(records).items()]
    return "\n\n".join((
        f"In {len(records)} configurations: the named ones, and some drawn ones for what those "
        "do not have. Behind each bin, the number of configurations in which it was seen. "
        "The figure is the average over the coverpoints, so that a big one cannot drown a small "
        "one.",
        table(["coverpoint", "bins seen", "<bins"], rows)))
