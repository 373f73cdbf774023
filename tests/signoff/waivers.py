"""What need not be reached, by rule. All rules but the last are proofs or lie in the text itself.

A rule may waive at most its cap, as a share of the points of a kind. It fails if it waives more,
if it waives nothing in any configuration, or if a point that it waives was reached. The last rule
is for points that ``waivers.toml`` names, each with its reason; a name that no longer fits any
point, or fits only points that are waived without it, is a failure as well.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from .windows import FROM

__all__ = ["RULES", "Named", "Rule", "broken", "named_for", "useless", "waive_named"]

NAMES = Path(__file__).with_name("waivers.toml")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Why points of some kinds are waived.

    Parameters
    ----------
    name : str
    reason : str
    caps : dict of str to float
        Kind -> share of that kind's points of a configuration that it may waive, in percent.
    """

    name: str
    reason: str
    caps: dict


START, ROM, CONSTANT, SETTLED, NEVER, PASSED, NAMED = (
    "start", "rom", "constant", "settled", "never", "passed", "named")
RULES = {rule.name: rule for rule in (
    Rule(name=START, caps={"branch": 20, "toggle": 0.2},
         reason="the flag that Yosys writes into each `always @*`, so that a simulator runs it "
                "once at time 0: always 0, with an empty branch"),
    Rule(name=ROM, caps={"toggle": 3},
         reason="a bit of a memory that nothing writes"),
    Rule(name=CONSTANT, caps={"toggle": 20},
         reason="the bit has one value in all cycles, whatever comes in: shown by induction over "
                "the gates that Yosys makes of the core"),
    Rule(name=SETTLED, caps={"toggle": 1.5},
         reason="the bit cannot change this way: no two cycles in a row allow it, by the same "
                "induction"),
    Rule(name=NEVER, caps={"line": 1, "branch": 7, "expr": 12},
         reason="the values that the condition asks for are never there together, by the same "
                "induction"),
    Rule(name=PASSED, caps={"toggle": 4.5, "line": 0.5, "branch": 1, "expr": 7},
         reason=f"the same once a first reset of {FROM} cycles from power-up is over, and what "
                "registers held that have no value at power-up has left the pipelines: a SAT "
                "solver unrolls the gates over some cycles, from any state; nothing is counted "
                "before"),
    Rule(name=NAMED, caps={"toggle": 0.12, "line": 0.1, "branch": 0.1, "expr": 0.3},
         reason="the point is named in `waivers.toml`, with a reason from the text of the core")
    )}


@dataclass(frozen=True, kw_only=True)
class Named:
    """Points of some configurations that no proof reaches.

    Parameters
    ----------
    configurations : tuple of str
    points : str
        A regular expression of the whole ``Point.name``.
    reason : str
        Why they cannot be reached, from the text.
    """

    configurations: tuple
    points: str
    reason: str


def named_for(configuration: str, path: Path = NAMES) -> list:
    """What ``waivers.toml`` names of a configuration, a list of ``Named``."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("point", [])
    every = [Named(configurations=tuple(one.pop("configurations")), **one) for one in entries]
    return [one for one in every if configuration in one.configurations]


def waive_named(points: dict, waived: dict, named: list) -> tuple:
    """Points that are named.

    Parameters
    ----------
    points : dict of Point to int
        How often each was reached.
    waived : dict of Point to str
        Those that other rules waive.
    named : list of Named

    Returns
    -------
    more : dict of Point to str
    hit : list of str
        Points that are named and were reached.
    idle : list of str
        Names that waive nothing.
    """
    more, hit, idle = {}, [], []
    for one in named:
        whole = re.compile(one.points)
        fits = [point for point in points if whole.fullmatch(point.name)]
        hit += [str(point) for point in fits if points[point]]
        left = [point for point in fits if not points[point] and point not in waived]
        more |= dict.fromkeys(left, NAMED)
        if not left:
            idle.append(one.points)
    return more, hit, idle


def broken(totals: dict, waived: dict, hit: dict) -> list:
    """Rules that a configuration breaks, in words.

    Parameters
    ----------
    totals : dict of kind to int
        Points.
    waived : dict of (rule, kind) to int
        Points waived that were not reached.
    hit : dict of rule to list of str
        Points that were reached although the rule waives them.
    """
    wrong = [f"rule {name} waives what is reached: {points[0]}"
             for name, points in hit.items() if points]
    for (name, kind), count in waived.items():
        cap = RULES[name].caps.get(kind, 0)
        if count * 100 > cap * totals[kind]:
            wrong.append(f"rule {name} waives {count} of {totals[kind]} {kind} points, more than "
                         f"{cap} %")
    return wrong


def useless(waived: list) -> list:
    """Rules that waive nothing in any of the configurations, from their ``waived``."""
    used = {name for one in waived for (name, _), count in one.items() if count}
    return [name for name in RULES if name not in used]
