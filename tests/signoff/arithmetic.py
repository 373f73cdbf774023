"""Part "arithmetic": golden by a fixed-point library and by exact rationals, number by number."""

from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from bench.markdown import count, table
from gatewright.campaign_networks import Config, draw

from .claims import Claim, failures
from .configurations import SMOKE
from .second_opinion import FEATURES, FORMATS, NUMBERS, WIDTHS, Opinion, of_network, of_numbers

__all__ = ["PER_CONFIGURATION", "STAGE", "TITLE", "cases", "claims", "drawn", "measure", "section"]

TITLE = "Arithmetic"
STAGE, PER_CONFIGURATION = "V2", False
NETWORKS, SHARE = 400, 50
LEAST = {"networks": 200 + len(SMOKE), "values": 1_000_000}     # for the claim to hold
BATCHES = ((2, 1), (1, 2), (2, 5), (1, 12))
SUMS = ("networks", "values", "clipped")


def cases(quick: bool) -> list:
    """Case by case: "name", and "numbers", "configuration" or "start" and "networks"."""
    if quick:
        return [{"name": "quantise", "numbers": "quantise"},
                {"name": "gru", "configuration": "gru"},
                {"name": "drawn 0 to 9", "start": 0, "networks": 10}]
    return [*({"name": name, "numbers": name} for name in NUMBERS),
            *({"name": name, "configuration": name} for name in SMOKE),
            *({"name": f"drawn {start} to {start + SHARE - 1}", "start": start, "networks": SHARE}
              for start in range(0, NETWORKS, SHARE))]


def drawn(seed: int, start: int, networks: int) -> Iterable[Config]:
    """Small networks of the campaign, every other one with cells that are out of the ordinary."""
    for index in range(start, start + networks):
        config = draw(seed, index, units=10, multipliers=16, posts=2, steps=100,
                      special=bool(index % 2))
        yield replace(config, batches=BATCHES)


def measure(case: dict, folder: Path, old: dict | None, settings: dict) -> dict:
    """Compare all of the numbers, or every signal of each network, up to the first difference."""
    if "numbers" in case:
        opinions, networks = [of_numbers(case["numbers"])], 0
    else:
        configs = ([SMOKE[case["configuration"]]] if "configuration" in case else
                   drawn(settings["seed"], case["start"], case["networks"]))
        opinions, config = [Opinion()], None
        for config in configs:
            opinions.append(of_network(config))
            if opinions[-1].failure:
                opinions[-1].failure += f"; of {config.to_json()}"
                break
        networks = len(opinions) - 1
    return {"failure": next((o.failure for o in opinions if o.failure), None),
            "networks": networks, "values": sum(o.compared for o in opinions),
            "clipped": sum(o.clipped for o in opinions),
            "met": sorted(frozenset().union(*(o.met for o in opinions))), "seed": settings["seed"],
            "apytypes": version("apytypes")}


def _sums(records: Iterable[dict]) -> dict:
    whole = [record for record in records if "values" in record]
    return {name: sum(record[name] for record in whole) for name in SUMS}


def _missing(records: dict) -> set:
    """Of ``FEATURES``, what no network had."""
    return set(FEATURES).difference(*(record.get("met", ()) for record in records.values()))


def claims(records: dict) -> list:
    sums, failed = _sums(records.values()), failures(records)
    return [Claim(
        claim="Golden is the arithmetic contract",
        check="every signal of every step, and every small number, as integers: golden against "
              "apytypes, an independent fixed-point library, and against exact rationals, both "
              "written down from the contract",
        figure=f"{sums['networks']:,} networks, {sums['values']:,} comparisons, "
               f"{sums['clipped']:,} saturations among them; differences in {len(failed)} of "
               f"{len(records)} cases",
        stage=STAGE, passed=not failed
        and all(sums[name] >= least for name, least in LEAST.items()) and not _missing(records))]


def section(records: dict) -> str:
    groups = {"every small number": [], "named configurations": [], "drawn networks": []}
    for name, record in records.items():
        group = ("every small number" if name in NUMBERS else "named configurations"
                 if name in SMOKE else "drawn networks")
        groups[group].append(record)
    rows = [[group, *(count(_sums(found)[name]) for name in SUMS)]
            for group, found in groups.items()]
    versions = ", ".join(sorted({record["apytypes"] for record in records.values()
                                 if "apytypes" in record}))
    missing = ", ".join(sorted(_missing(records))) or "none is missing"
    return "\n\n".join((
        "The contract of the README's section \"Number formats\" is written down twice more for "
        "tests: with the fixed-point numbers of apytypes, whose own formats, rounding "
        "(`TIES_POS` is floor(v/2^s + 1/2), `TIES_EVEN` for what comes in) and saturation (`SAT`) "
        "are used, and with exact rationals. Both get the network's integers and the lines of its "
        "tables, and give every pre-activation, gate, state and result, which have to be golden's. "
        "Small numbers are exhaustive: `round_shift` and `saturate` of every number of up to "
        f"{max(WIDTHS)} bits, `quantise` at every quarter of a step up to four times the range of "
        f"{len(FORMATS)} formats, tables and curves at every code. Each value is compared with "
        "both. Every other drawn network is out of the ordinary.",
        table(["what", "networks", "comparisons", "saturations"], rows),
        f"Of {len(FEATURES)} kinds of cells, functions, links and states: {missing}. "
        f"apytypes {versions}."))
