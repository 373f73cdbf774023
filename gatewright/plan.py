"""Arrays compared before anything is built: cycles, multipliers, memory, time, and what fits.

Cycles are those of the engine's own schedule and exact; DSP blocks and block RAMs are counted from
the memories and multipliers that the engine would hold. LUTs and flip-flops are estimated.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from math import ceil

import synth
from golden.network import IntNetwork
from hw.engine import make_layout
from hw.families import PORTABLE
from hw.layout import Layout
from hw.packed import Packing
from hw.pipeline import SHALLOW

from .array import Array, outline, sensible_arrays
from .device_blocks import dsp_blocks, ram_blocks
from .logic import logic
from .resources import memories, post_products, products
from .setting import Limits, Setting, family_of

__all__ = ["Row", "best_of", "look", "plan"]

# Share of the LUTs and flip-flops that may be taken: they are estimates, and placement needs room.
# On Gowin nextpnr places seven flip-flops in ten, and finds no way where there are eight.
_ROOM = {"ecp5": 0.9, "ice40": 0.9, "gowin": 0.65, "xc7": 0.9, "xcup": 0.9}

@dataclass(frozen=True, kw_only=True)
class Row:
    """One array on one device.

    Parameters
    ----------
    array : Array
    load_weights : bool
    cycles_per_step : int
        From step to step in the steady state.
    exposed_per_step : int
        Of these, cycles in which the array has nothing to do.
    utilisation : float
        Useful products, as a part of those that the array can make in these cycles.
    array_multipliers, elementwise_multipliers : int
    dsp, bram, spram : int
        Blocks of the device.
    lut, ff : int
        About; see ``logic``.
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

    array: Array
    load_weights: bool = False
    cycles_per_step: int
    exposed_per_step: int
    utilisation: float
    array_multipliers: int
    elementwise_multipliers: int
    dsp: int
    bram: int
    spram: int
    lut: int
    ff: int
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
        """JSON-able; the array's options stand beside the figures."""
        values = asdict(self)
        return values.pop("array") | values | {"fits": self.fits}


def plan(network: IntNetwork, target: synth.Target | str, limits: Limits | None = None, *,
         setting: Setting | None = None, arrays: Iterable[Array] | None = None,
         **kept) -> list[Row]:
    """Cycles, multipliers, memory and time of each array, the best one marked.

    Best is the smallest array that fits and keeps the limits' deadline or cycles; without these,
    or where none keeps them, the fastest that fits. Smaller means a multiplier for each lane, then
    fewer DSP blocks; of equals the faster, then the one with fewer block RAMs. Arrays that are
    hardly faster than a smaller one are left out.

    Parameters
    ----------
    network : IntNetwork
        See ``planning.unit_formats`` for a model without calibration data.
    target : synth.Target or str
    limits : Limits or None
    setting : Setting or None
    arrays : iterable of Array or None
        All of these, none left out; by default ``sensible_arrays``, each with a deep pipeline and,
        where that takes less time, with a shallow one.
    **kept : lanes, cols, posts, pipeline, pack
        Arrays with these alone.

    Returns
    -------
    list of Row
        From few multipliers to many.

    Raises
    ------
    ValueError
        If an array or the target is not legal.
    """
    limits = limits or Limits()
    rows = look(network, target, limits, setting=setting, arrays=arrays, **kept)
    best = best_of(rows, limits)
    if arrays is None:
        rows = _worth_showing(rows, best)
    rows.sort(key=lambda row: (row.array.products, row.array))
    return [replace(row, best=row is best) for row in rows]


def look(network: IntNetwork, target: synth.Target | str, limits: Limits, *,
         setting: Setting | None = None, arrays: Iterable[Array] | None = None,
         **kept) -> list[Row]:
    """The rows of ``plan`` before it chooses: none marked, none left out."""
    target = synth.target_named(target) if isinstance(target, str) else target
    row_of = _Look(outline(network), target, limits, setting or Setting())
    return list(row_of.sensible(**kept) if arrays is None else map(row_of, arrays))


@dataclass(frozen=True)
class _Look:
    """Looks at arrays, one by one, for one network and device."""

    network: IntNetwork
    target: synth.Target
    limits: Limits
    setting: Setting

    def sensible(self, pipeline: str | None = None, pack: bool | None = None, **kept):
        """Rows of ``sensible_arrays``, and of what can be made of them.

        Two lanes share a multiplier, which costs logic, where there are not enough for one each.
        """
        for array in sensible_arrays(self.network, self.target, **kept):
            plain = [] if pack else list(self._pipelines(array, pipeline))
            yield from plain
            short = pack is None and "dsp" in plain[0].lacking and self._pairs
            if (pack or short) and array.lanes % 2 == 0:
                yield from self._pipelines(replace(array, pack=True), pipeline)

    @property
    def _pairs(self) -> bool:
        """Whether two products take fewer blocks in one multiplier than in two."""
        width = self.network.weight_width
        try:
            packing = Packing(weight_width=width, operand_width=self.network.operand_width)
        except ValueError:  # two weights are too wide for a word
            return False
        one, both = (dsp_blocks(packing.operand_width, bits, self.target.family)
                     for bits in (width, packing.word_width))
        return both < 2 * one

    def _pipelines(self, array: Array, pipeline: str | None):
        """The pipeline that is given; or the deep one, and the shallow one where it saves time, or
        the cycles that are asked for.
        """
        if pipeline is not None:
            yield self(replace(array, pipeline=pipeline))
            return
        deep, most = self(array), self.limits.max_cycles
        yield deep
        slow = most is not None and deep.cycles_per_step > most
        # At best it has the same cycles but for the exposed ones.
        busy = deep.cycles_per_step - deep.exposed_per_step
        clock = self.setting.mhz(self.target, SHALLOW.name, pack=array.pack)
        if slow or busy / clock < deep.us_per_step:
            shallow = self(replace(array, pipeline=SHALLOW.name))
            if shallow.us_per_step < deep.us_per_step or (slow and shallow.in_time):
                yield shallow

    def __call__(self, array: Array) -> Row:
        """The row of an array; its weights are loaded where that makes it fit the block RAM."""
        load = self.setting.load_weights
        row = self._row(array, bool(load))
        if load is None and "bram" in row.lacking and "spram" in self.target.blocks:
            loaded = self._row(array, True)
            row = row if "bram" in loaded.lacking else loaded
        return row

    def _row(self, array: Array, load_weights: bool) -> Row:
        setting, limits = self.setting, self.limits
        family = family_of(self.target, portable=setting.portable)
        layout = make_layout(array.program(
            self.network, argmax=setting.argmax, wide=setting.wide, load_weights=load_weights),
            family=family, protect=setting.protect)
        used = _blocks(layout, self.target) | logic(layout, self.target.family)
        available = {kind: block.available for kind, block in self.target.blocks.items()}
        available |= {kind: _ROOM[self.target.family] * available[kind] for kind in ("lut", "ff")}
        for kind, limit in (("dsp", limits.max_dsp), ("bram", limits.max_bram)):
            available[kind] = min(available[kind], available[kind] if limit is None else limit)
        bits: Counter = Counter()
        for memory in memories(layout):
            bits[memory.name] += memory.bits
        in_posts = len(post_products(layout)) * array.posts
        cycles = layout.schedule.interval
        clock = setting.mhz(self.target, array.pipeline, pack=array.pack)
        time = cycles / clock
        return Row(
            array=array, load_weights=load_weights, cycles_per_step=cycles,
            exposed_per_step=layout.schedule.exposed,
            utilisation=layout.program.macs_per_step / (array.products * cycles),
            array_multipliers=len(products(layout)) - in_posts, elementwise_multipliers=in_posts,
            bits=dict(bits), clock_mhz=clock, us_per_step=time, **used,
            lacking=tuple(kind for kind, n in used.items() if n > available.get(kind, 0)),
            in_time=((limits.deadline_us is None or time <= limits.deadline_us)
                     and (limits.max_cycles is None or cycles <= limits.max_cycles)))


def _blocks(layout: Layout, target: synth.Target) -> dict[str, int]:
    """Blocks of a core: {"dsp": n, "bram": n, "spram": n}."""
    used = Counter(bram=0, spram=0)
    for memory, n in Counter(memories(layout)).items():
        for kind, each in ram_blocks(memory, target.family,
                                     named=layout.family.name != PORTABLE.name).items():
            used[kind] += n * each
    # Halves (two narrow products in one block) are paired over the whole core.
    return {"dsp": ceil(sum(n * dsp_blocks(*pair, target.family)
                            for pair, n in Counter(products(layout)).items())), **used}


def _worth_showing(rows: list[Row], best: Row | None) -> list[Row]:
    """Rows that are worth their multipliers: each a tenth faster than any smaller one; the best;
    and the smallest of those that would be faster still but do not fit.
    """
    kept, least = [], float("inf")
    for row in sorted((row for row in rows if row.fits), key=_cost):
        if row is best or row.us_per_step < 0.9 * least:
            kept.append(row)
            least = min(least, row.us_per_step)
    beyond = []
    for row in sorted((row for row in rows if not row.fits), key=_cost):
        if row.us_per_step < 0.9 * least:
            beyond.append(row)
            least = row.us_per_step
    return kept + beyond[:4]


def _cost(row: Row) -> tuple:
    array = row.array
    return array.pack, row.dsp, row.us_per_step, row.bram + row.spram, array.posts, array.cols


def best_of(rows: list[Row], limits: Limits) -> Row | None:
    """The row that ``plan`` marks; None where nothing fits."""
    fitting = [row for row in rows if row.fits]
    timely = [row for row in fitting if row.in_time]
    if limits.timed and timely:
        return min(timely, key=_cost)
    return min(fitting, default=None, key=lambda row: (row.us_per_step, *_cost(row)))
