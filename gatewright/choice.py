"""The array that a core gets: what the options say, and for the rest what ``plan`` chooses."""

from golden.network import IntNetwork

from .array import Array
from .errors import GatewrightError
from .options import Options
from .plan import Row, best_of, look, plan

__all__ = ["choose", "choose_target", "planned"]

ECP5 = ("ecp5-25f", "ecp5-45f", "ecp5-85f")  # by size


def _asked(options: Options) -> dict:
    """Keywords of ``plan`` that the options stand for."""
    given = {name: value for name in ("lanes", "cols", "posts", "pipeline", "pack")
             if (value := getattr(options, name)) is not None}
    if options.lanes is not None:  # what is not said of it is the plain case
        given = {"arrays": [Array(**given)]}
    return given | {"limits": options.limits, "setting": options.setting}


def planned(network: IntNetwork, target: str, options: Options) -> list[Row]:
    """The rows of ``plan`` for these options; see there.

    Raises
    ------
    GatewrightError
        If no array goes with the options.
    """
    return _rows(plan, network, target, options)


def _rows(function, network: IntNetwork, target: str, options: Options) -> list[Row]:
    try:
        rows = function(network, target, **_asked(options))
    except ValueError as error:
        raise GatewrightError("array", str(error), "change it") from None
    if not rows:
        raise GatewrightError(target, "has not half the multipliers of the smallest such array",
                              "give fewer cols or posts, or the lanes as well")
    return rows


def choose(network: IntNetwork, target: str, options: Options) -> Row:
    """The row that ``plan`` marks.

    Where nothing fits the device it is the fastest array that lacks memory alone, if there is one:
    it can be simulated, and ``synth`` tells what runs out.

    Raises
    ------
    GatewrightError
        If no array goes with the options.
    """
    rows = _rows(look, network, target, options)
    short = [row for row in rows if {"bram", "spram"} >= set(row.lacking)]
    best = best_of(rows, options.limits)
    return best or min(short or rows, key=lambda row: (row.us_per_step, row.dsp))


def choose_target(network: IntNetwork, options: Options) -> str:
    """The smallest ECP5 that an array fits in, one in time if there is one; else the largest."""
    found = None
    for name in ECP5:
        best = best_of(_rows(look, network, name, options), options.limits)
        if best is not None and best.in_time:
            return name
        found = found or (best and name)
    return found or ECP5[-1]
