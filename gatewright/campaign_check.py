"""One configuration of the campaign: build it, run it in every way, compare; shrink a failure."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

import sim
from golden.model import run_golden
from golden.network import Cell
from hw.emit import Core, generate
from sim.build import Simulator
from sim.fast import FastSimulator, Pauses

from .campaign_links import without_layer
from .campaign_networks import Config, make_codes, make_network, make_table
from .steps import Golden, stimulus

__all__ = ["Case", "Outcome", "check", "shrink", "simulate"]

PAUSES = (Pauses(), Pauses(source=230, sink=0, long=False), Pauses(source=0, sink=230, long=False),
          Pauses(source=128, sink=128, long=False), Pauses(source=8, sink=8))
PAUSED_CYCLES = 300_000
SHORT_CYCLES = 10_000  # of the sequences behind each reset, within these limits:
SHORT_STEPS = 12, 60
CUTS = 5              # resets in front of each of those runs


@dataclass(kw_only=True)
class Outcome:
    """What the runs of a configuration showed.

    Parameters
    ----------
    config : Config
    failure : str or None
        The run, and the first difference in words.
    steps, words, cycles : int
        Network steps and values compared, clock cycles simulated, over all runs.
    complete : int
        Values compared by the first run, that of every sequence without pauses.
    runs, resets : int
    seconds : dict
        Of each stage: golden, generate, build, simulate.
    """

    config: Config
    failure: str | None = None
    steps: int = 0
    words: int = 0
    complete: int = 0
    cycles: int = 0
    runs: int = 0
    resets: int = 0
    saturations: int = 0
    simulating: float = 0.0
    seconds: dict = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every run compared something, and all was equal."""
        return self.failure is None and self.words > 0

    def record(self) -> dict:
        """For the result file."""
        return {"passed": self.passed, "failure": self.failure, "steps": self.steps,
                "words": self.words, "cycles": self.cycles, "runs": self.runs,
                "resets": self.resets, "saturations": self.saturations,
                "simulating": round(self.simulating, 3),
                "seconds": {k: round(v, 3) for k, v in self.seconds.items()},
                "title": self.config.title, "config": self.config.to_json()}


class Case:
    """A configuration with its core and all that golden says.

    Parameters
    ----------
    config : Config
    outcome : Outcome or None
        Takes the times of the stages.
    generate : callable
        As ``hw.emit.generate``; makes the core.
    more : function of (Config, IntNetwork), or None
        Codes to run besides the configuration's own, a list of batches.

    Raises
    ------
    ValueError
        If the network or the core cannot be made.
    """

    def __init__(self, config: Config, outcome: Outcome | None = None, *, generate=generate,
                 more: Callable | None = None):
        self.config, self.outcome = config, outcome or Outcome(config=config)
        network = make_network(config)
        with self.timed("golden"):
            batches = make_codes(config, network)
            batches += more(config, network) if more else []
            table = make_table(config, network)
            runs = [run_golden(network, codes, table=table) for codes in batches]
        with self.timed("generate"):
            gc.disable()  # hardly any garbage, many objects: a third of the time
            self.core: Core = generate(network, table=table, **config.core)
            gc.enable()
        self.layout = self.core.layout
        loaded = self.layout.program.load_words
        self.sequences, self.saturations = [], []
        for codes, run in zip(batches, runs, strict=True):
            made = stimulus(self.core, Golden(codes=codes, run=run, y_float=run.y,
                                              y_fixed=run.y))
            first = made.sequences[0]
            self.weights = first.inputs[:loaded]
            first = replace(first, inputs=first.inputs[loaded:])
            self.sequences += [first, *made.sequences[1:]]
            self.saturations += run.saturations.tolist()
        self.template = made

    def timed(self, stage: str):
        """Context that adds its time to a stage."""
        return _Timed(self.outcome.seconds, stage)

    def stimulus(self, order) -> sim.Stimulus:
        """Some of the sequences, in this order, as a core that was just reset expects them."""
        chosen = [self.sequences[k] for k in order]
        chosen[0] = replace(chosen[0], inputs=np.concatenate([self.weights, chosen[0].inputs]))
        return sim.Stimulus(
            sequences=tuple(chosen), output_units=self.template.output_units,
            output_every_step=self.template.output_every_step, sweeps=self.template.sweeps,
            predicted_cycles=self.layout.schedule.total_cycles([s.steps for s in chosen]),
            expected_saturations=sum(self.saturations[k] for k in order))

    def some(self, rng, *, steps: int) -> list:
        """A random order of so many sequences as make up about ``steps`` steps."""
        order, total = [], 0
        for k in rng.permutation(len(self.sequences)):
            if not order or total + self.sequences[k].steps <= steps:
                order.append(int(k))
                total += self.sequences[k].steps
        return order


class _Timed:
    def __init__(self, seconds: dict, stage: str):
        self.seconds, self.stage = seconds, stage

    def __enter__(self):
        self.begun = time.monotonic()

    def __exit__(self, *exc):
        spent = time.monotonic() - self.begun
        self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + spent


def _intervals(starts: np.ndarray, lengths: list, interval: int) -> str | None:
    """The first step of a steady state that does not start ``interval`` after the one before."""
    begin = 0
    for number, steps in enumerate(lengths):
        gaps = np.diff(starts[begin + 2:begin + steps])
        if (gaps != interval).any():
            at = int(np.argmax(gaps != interval))
            return (f"sequence {number}: step {at + 3} started {int(gaps[at])} cycles after the "
                    f"one before, expected {interval}")
        begin += steps
    return None


def _runs(case: Case, rng):
    """(name, order of sequences, pauses, resets) of each run."""
    config, interval = case.config, case.layout.schedule.interval
    short = int(np.clip(SHORT_CYCLES // interval, *SHORT_STEPS))
    everything = rng.permutation(len(case.sequences)).tolist()
    yield "unpaused", everything, False, []
    for number, pauses in enumerate(PAUSES):
        order = case.some(rng, steps=max(short, PAUSED_CYCLES // interval))
        yield f"paused {number}", order, pauses, []
    left = config.resets
    while left > 0:
        order = case.some(rng, steps=short)
        total = case.layout.schedule.total_cycles([case.sequences[k].steps for k in order])
        cuts = rng.integers(1, total + 50, size=min(CUTS, left)).tolist()
        left -= len(cuts)
        yield f"after resets {cuts}", order, bool(rng.random() < 0.3), cuts


def simulate(case: Case, core: FastSimulator) -> str | None:
    """All runs of a case: without pauses, with pauses, behind resets.

    Parameters
    ----------
    case : Case
        Its outcome counts what was run.
    core : FastSimulator
        Of the case's Verilog, or of what was made of it.

    Returns
    -------
    str or None
        The first failure in words.
    """
    outcome, rng = case.outcome, np.random.default_rng([case.config.seed, 3])
    for name, order, pauses, resets in _runs(case, rng):
        sent = case.stimulus(order)
        result = core.run(sent, seed=int(rng.integers(1 << 31)), pauses=pauses, resets=resets)
        outcome.runs += 1
        outcome.resets += result.resets
        outcome.cycles += result.simulated_cycles
        outcome.simulating += result.seconds
        if result.difference is not None:
            return f"{name}: {result.difference['message']}"
        outcome.words += result.words
        outcome.complete = outcome.complete or result.words
        outcome.steps += sent.steps
        outcome.saturations += sent.expected_saturations
        if pauses is False and not case.config.max_steps:
            wrong = _intervals(result.starts, [s.steps for s in sent.sequences],
                               case.layout.schedule.interval)
            if wrong is not None:
                return f"{name}: {wrong}"
    return None


def check(config: Config, folder: Path, *, simulator: Simulator | None = None,
          optimise: bool = True, mutate: Callable[[str], str] | None = None) -> Outcome:
    """Golden, Verilog, build, and every run: without pauses, with pauses, behind resets.

    Parameters
    ----------
    config : Config
    folder : Path
        For the build; its files are removed.
    simulator : Simulator or None
        From ``sim.build.find_simulator``.
    optimise : bool
        False: for few cycles, see ``FastSimulator``.
    mutate : function of the Verilog text, or None
        Changes the core, to see that this is noticed.

    Returns
    -------
    Outcome
        A core that cannot be generated or built is a failure as well.
    """
    outcome = Outcome(config=config)
    try:
        case = Case(config, outcome)
        rtl = Path(folder) / f"{case.core.name}.v"
        rtl.write_text(mutate(case.core.verilog) if mutate else case.core.verilog)
        with case.timed("build"):
            core = FastSimulator(rtl, case.core.manifest, folder, simulator=simulator,
                                 optimise=optimise)
        with core, case.timed("simulate"):
            outcome.failure = simulate(case, core)
        core.path.unlink(missing_ok=True)
    except sim.ToolMissing:
        raise
    except Exception as error:  # whatever a random network brings up is a finding
        outcome.failure = f"{type(error).__name__}: {error}".splitlines()[0]
    return outcome


def _smaller(config: Config):
    """Configurations that are a little smaller, the boldest first."""
    layers = config.layers
    shortest = min(config.batches, key=lambda batch: batch[0] * batch[1])
    if len(config.batches) > 1:
        for k in range(len(config.batches)):
            yield {"batches": (config.batches[k],)}
    if config.links:
        yield {"links": (), "max_steps": 0}
    for k in range(len(layers)) if len(layers) > 1 else ():
        fewer, links = without_layer(layers, config.links, k) if config.links else (
            layers[:k] + layers[k + 1:], ())
        yield {"layers": fewer, "links": links}
    for name, plain in (("resets", 0), ("load_weights", False), ("argmax", False), ("tokens", 0),
                        ("special", 0), ("loads", False), ("returns", False),
                        ("last_step_only", False), ("family", "portable"), ("random_table", False),
                        ("wide", False), ("pack", False), ("pipeline", "deep")):
        if getattr(config, name) != plain:
            yield {name: plain}
    lanes, cols, posts = config.lanes, config.cols, config.posts
    if posts > 1:
        yield {"cols": 1, "posts": 1}
    if cols > posts:
        yield {"cols": posts}
    if cols > 1 and posts & (posts - 1) == 0:
        yield {"cols": 1}
    for divide in (4, 2):
        for k, (cell, units, function, last) in enumerate(layers):
            if units >= divide:
                yield {"layers": (*layers[:k], (cell, units // divide, function, last),
                                  *layers[k + 1:])}
        if config.inputs >= divide:
            yield {"inputs": config.inputs // divide}
        whole = posts * (2 if config.pack and posts % 2 else 1)  # lanes are a multiple of it
        if lanes // whole >= divide:
            yield {"lanes": lanes // whole // divide * whole}
        if len(config.batches) == 1:
            sequences, steps = shortest
            if steps >= divide:
                yield {"batches": ((sequences, steps // divide),)}
            if sequences >= divide:
                yield {"batches": ((sequences // divide, steps),)}


def shrink(config: Config, failing: Callable[[Config], str | None], *, trials: int = 60,
           seconds: float = 240.0) -> tuple:
    """A smaller configuration that still fails: whatever can be taken away is, greedily.

    Parameters
    ----------
    config : Config
        Fails.
    failing : function of a Config
        Its failure in words; None where it passes.
    trials : int
    seconds : float
        After which no trial is begun.

    Returns
    -------
    (Config, str or None, int)
        The smallest found, its failure (None if none smaller was found), and the trials made.
    """
    begun, made, found, seen = time.monotonic(), 0, None, set()
    again = True
    while again:
        again = False
        for change in _smaller(config):
            if made >= trials or time.monotonic() - begun > seconds:
                break
            smaller = replace(config, **change)
            if all(Cell(layer[0]) is Cell.LINEAR for layer in smaller.layers):
                smaller = replace(smaller, loads=False, returns=False)
            if smaller.to_json() in seen:
                continue
            seen.add(smaller.to_json())
            made += 1
            failure = failing(smaller)
            if failure is not None:
                config, found, again = smaller, failure, True
                break
    return config, found, made
