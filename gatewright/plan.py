"""Arrays compared before anything is built: cycles, multipliers, memory, time, and what fits.

Cycles are those of the engine's own schedule and exact; DSP blocks and block RAMs are counted from
the memories and multipliers that the engine would hold. LUTs and flip-flops are not: on the devices
here multipliers or memory run out first.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from math import ceil
from types import MappingProxyType

import numpy as np
from rich.table import Table

import synth
from golden.network import FloatNetwork, IntNetwork
from golden.quantise import Method, QuantOptions, Rounding
from golden.reference import Batch
from hw.engine import make_layout
from hw.families import FAMILIES, PORTABLE
from hw.layout import Layout
from hw.program import make_program

from . import steps
from .device_blocks import dsp_blocks, ram_blocks
from .resources import memories, products

__all__ = ["DEFAULT_CLOCK_MHZ", "Limits", "Row", "best_of", "plan", "sensible_arrays", "table",
           "unit_formats"]

# Clocks that time is given at where none is named: below what routed cores of 16 lanes reach; for
# devices that nothing here places for, an assumption.
DEFAULT_CLOCK_MHZ = MappingProxyType({
    "ecp5": 150.0, "ice40": 40.0, "gowin": 80.0, "xc7": 150.0, "xcup": 250.0})
LANES = (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384,
         512, 640, 768, 1024)
COLS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a choice must keep to; None: no limit but the device's own.

    Parameters
    ----------
    deadline_us : float or None
        A step in the steady state.
    max_cycles : int or None
        A step in the steady state.
    max_dsp, max_bram : int or None
        Blocks that the core may take.
    """

    deadline_us: float | None = None
    max_cycles: int | None = None
    max_dsp: int | None = None
    max_bram: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"Limit {name} must be above zero, not {value!r}")

    @property
    def timed(self) -> bool:
        return self.deadline_us is not None or self.max_cycles is not None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One array on one device.

    Parameters
    ----------
    lanes, cols : int
    cycles_per_step : int
        From step to step in the steady state.
    exposed_per_step : int
        Of these, cycles in which the array has nothing to do.
    utilisation : float
        Useful products per multiplier and cycle.
    array_multipliers, elementwise_multipliers : int
    dsp, bram, spram : int
        Blocks of the device.
    bits : dict of str to int
        Of each kind of memory, as the engine holds them.
    clock_mhz : float
        Assumed.
    us_per_step : float
    lacking : tuple of str
        Resources that run out: of the device, or of what the limits allow. Empty: it fits.
    in_time : bool
        Deadline and cycles are kept (or not asked for).
    best : bool
    """

    lanes: int
    cols: int
    cycles_per_step: int
    exposed_per_step: int
    utilisation: float
    array_multipliers: int
    elementwise_multipliers: int
    dsp: int
    bram: int
    spram: int
    bits: dict = field(hash=False)
    clock_mhz: float
    us_per_step: float
    lacking: tuple
    in_time: bool
    best: bool = False

    @property
    def fits(self) -> bool:
        return not self.lacking

    def as_dict(self) -> dict:
        """JSON-able."""
        return asdict(self) | {"fits": self.fits}


def unit_formats(network: FloatNetwork, *, options: QuantOptions | None = None,
                 seed: int = 1) -> steps.Quantised:
    """The network in formats of made-up data: enough for a plan, no use for results.

    Formats decide neither cycles nor multipliers. They do decide the width of a row's bias, and
    with it now and then one block of the row memory.

    Parameters
    ----------
    network : FloatNetwork
    options : QuantOptions or None
        Widths are taken from it; the methods are the quick ones.
    seed : int
    """
    random = np.random.default_rng(seed)
    options = replace(options or QuantOptions(), rounding=Rounding.NEAREST, method=Method.MINMAX)
    shape = (4, 8)
    x = (random.standard_normal((*shape, network.layers[0].inputs)) if network.embedding is None
         else random.integers(0, len(network.embedding), shape))
    return steps.quantise(network, Batch(x=x), options)


def sensible_arrays(network: IntNetwork, target: synth.Target) -> list[tuple[int, int]]:
    """(lanes, cols) from one multiplier to a bit more than the device has.

    Lanes are round figures, and those with which a phase takes a whole number of passes with few
    rows left over; no more than the longest phase has rows, or the longest vector has elements.
    """
    program = make_program(network, lanes=1)
    rows = sorted({phase.rows for phase in program.phases})
    longest = max(segment.weights.shape[1] for phase in program.phases
                  for segment in phase.segments)
    lanes = {n for n in LANES if n <= rows[-1]} | {ceil(r / n) for r in rows for n in range(1, 9)}
    lanes = {n for n in lanes if n <= 1024} | {min(target.lanes, rows[-1])}
    most = 2 * target.blocks["dsp"].available
    return sorted((n, cols) for n in lanes for cols in COLS
                  if n * cols <= most and (cols == 1 or cols < 2 * longest))


def plan(network: IntNetwork, target: synth.Target | str, limits: Limits | None = None, *,
         arrays: Iterable[tuple[int, int]] | None = None, clock_mhz: float | None = None,
         argmax: bool = False, portable: bool = False) -> list[Row]:
    """Cycles, multipliers, memory and time of each array, the best one marked.

    Best is the smallest array that fits and keeps the limits' deadline or cycles; without these,
    or where none keeps them, the fastest that fits. Smaller means fewer DSP blocks; of equals the
    faster, then the one with fewer block RAMs. Arrays that are hardly faster than a smaller one
    are left out.

    Parameters
    ----------
    network : IntNetwork
        See ``unit_formats`` for a model without calibration data.
    target : synth.Target or str
    limits : Limits or None
    arrays : iterable of (lanes, cols) or None
        All of these, none left out; by default ``sensible_arrays``.
    clock_mhz : float or None
        Assumed clock; ``DEFAULT_CLOCK_MHZ`` of the target's family by default.
    argmax, portable : bool
        As for ``generate`` and ``synth``.

    Returns
    -------
    list of Row
        From few multipliers to many.

    Raises
    ------
    ValueError
        If an array, the target or the clock is not legal.
    """
    target = synth.target_named(target) if isinstance(target, str) else target
    limits = limits or Limits()
    clock = DEFAULT_CLOCK_MHZ[target.family] if clock_mhz is None else float(clock_mhz)
    if not 0 < clock <= 2000:
        raise ValueError(f"Clock must be above 0 and at most 2000 MHz, not {clock_mhz!r}")
    load = steps.needs_loading(network, target.name)
    named = target.family in FAMILIES and not portable and (target.family != "ice40" or load)
    family = FAMILIES[target.family] if named else PORTABLE
    rows = []
    for lanes, cols in sensible_arrays(network, target) if arrays is None else arrays:
        program = make_program(network, lanes=lanes, cols=cols, argmax=argmax, load_weights=load)
        rows.append(_row(make_layout(program, family=family), target, limits, clock, named))
    best = best_of(rows, limits)
    if arrays is None:
        rows = _worth_showing(rows, best)
    rows.sort(key=lambda row: (row.array_multipliers, row.cols))
    return [replace(row, best=row is best) for row in rows]


def _row(layout: Layout, target: synth.Target, limits: Limits, clock: float, named: bool) -> Row:
    program, schedule = layout.program, layout.schedule
    lanes, cols = program.lanes, program.cols
    used = {"bram": 0, "spram": 0}
    bits: dict[str, int] = {}
    for memory in memories(layout):
        bits[memory.name] = bits.get(memory.name, 0) + memory.bits
        for kind, n in ram_blocks(memory, target.family, named=named).items():
            used[kind] += n
    multipliers = products(layout)
    # Halves (two narrow products in one block) are paired over the whole core.
    used["dsp"] = ceil(sum(dsp_blocks(*pair, target.family) for pair in multipliers))
    available = {kind: block.available for kind, block in target.blocks.items()}
    for kind, limit in (("dsp", limits.max_dsp), ("bram", limits.max_bram)):
        available[kind] = min(available[kind], available[kind] if limit is None else limit)
    cycles = schedule.interval
    time = cycles / clock
    return Row(
        lanes=lanes, cols=cols, cycles_per_step=cycles, exposed_per_step=schedule.exposed,
        utilisation=program.macs_per_step / (lanes * cols * cycles),
        array_multipliers=lanes * cols, elementwise_multipliers=len(multipliers) - lanes * cols,
        bits=bits, clock_mhz=clock, us_per_step=time, **used,
        lacking=tuple(kind for kind, n in used.items() if n > available.get(kind, 0)),
        in_time=((limits.deadline_us is None or time <= limits.deadline_us)
                 and (limits.max_cycles is None or cycles <= limits.max_cycles)))


def _worth_showing(rows: list[Row], best: Row | None) -> list[Row]:
    """Rows that are worth their multipliers: each a tenth faster than any smaller one; the best;
    and the smallest of those that would be faster still but do not fit.
    """
    kept, least = [], float("inf")
    for row in sorted((row for row in rows if row.fits), key=_cost):
        if row is best or row.cycles_per_step < 0.9 * least:
            kept.append(row)
            least = min(least, row.cycles_per_step)
    beyond = []
    for row in sorted((row for row in rows if not row.fits), key=_cost):
        if row.cycles_per_step < 0.9 * least:
            beyond.append(row)
            least = row.cycles_per_step
    return kept + beyond[:4]


def _cost(row: Row) -> tuple:
    return row.dsp, row.cycles_per_step, row.bram + row.spram


def best_of(rows: list[Row], limits: Limits) -> Row | None:
    """The row that ``plan`` marks; None where nothing fits."""
    fitting = [row for row in rows if row.fits]
    timely = [row for row in fitting if row.in_time]
    if limits.timed and timely:
        return min(timely, key=_cost)
    return min(fitting, default=None,
               key=lambda row: (row.cycles_per_step, row.dsp, row.bram + row.spram))


def table(rows: list[Row], target: synth.Target, *, title: str) -> Table:
    """The rows for a terminal, the best one in bold with a star; cycles and time are of a step."""
    spram = any(row.spram for row in rows)
    shown = Table(title=title, title_justify="left", title_style="bold", header_style="bold",
                  box=None, pad_edge=False)
    shown.add_column("")
    for name in ("lanes", "cols", "cycles", "exposed", "busy", "us", "DSP", "RAM",
                 *(("SPRAM",) if spram else ()), "kbit"):
        shown.add_column(name, justify="right")
    shown.add_column("fits", no_wrap=True)
    nouns = {"dsp": "DSP", "bram": "RAM", "spram": "SPRAM"}
    for row in rows:
        fits = "no, " + "+".join(nouns[kind] for kind in row.lacking) if row.lacking else (
            "yes" if row.in_time else "slow")
        shown.add_row(
            "*" if row.best else "", str(row.lanes), str(row.cols), f"{row.cycles_per_step:,}",
            str(row.exposed_per_step), f"{row.utilisation:.1%}", f"{row.us_per_step:.3g}",
            str(row.dsp), str(row.bram), *((str(row.spram),) if spram else ()),
            f"{sum(row.bits.values()) / 1000:.1f}", fits,
            style="bold green" if row.best else "" if row.fits else "dim")
    return shown
