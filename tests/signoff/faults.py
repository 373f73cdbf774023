"""Part "faults": single bits flipped in running cores, plain and protected, and what comes of it.
"""

from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

import synth
from bench.markdown import count, table
from bench.models import lstm_network, random_batch
from gatewright.steps import quantise, vendor_form
from hw.emit import generate

from .claims import Claim
from .configurations import SMOKE, case_of
from .upsets import OUTCOMES, Upsets, kind_of
from .weight_bits import flip_weights

__all__ = ["PER_CONFIGURATION", "STAGE", "TITLE", "cases", "claims", "measure", "section"]

TITLE = "Upsets"
STAGE, PER_CONFIGURATION = "V3", False
QUICK = "gru"
ORDER = (3, 6, 0, 4)        # sequences of 2, 5, 1 and 2 steps
UPSETS = {"flip-flops": 450, "memories": 250, "control": 200}    # of each core
LEAST = 10_000              # of each form
CONTROL = ("loader", "sequencer", "drain", "dump", "output", "weight reading",
           "pipelines between modules")
DRAWN = {"flip-flops": lambda bits: bits.depth == 1, "memories": lambda bits: bits.depth > 1,
         "control": lambda bits: bits.depth == 1 and kind_of(bits) in CONTROL}
FORMS = ("plain", "protected")
AREA = {"target": "ecp5-25f", "inputs": 64, "units": 64, "lanes": 16, "seed": 1}


def cases(quick: bool) -> list:
    """Case by case: "name", "kind" ("upsets", "weights" or "area") and what it is of."""
    names = [QUICK] if quick else list(SMOKE)
    found = [{"name": f"{name}, {form}", "kind": "upsets", "core": name, "form": form,
              "share": 10 if quick else 1} for name in names for form in FORMS]
    found += [{"name": f"{name}, weight bits", "kind": "weights", "core": name,
               "every": 20 if quick else 1} for name in names]
    return found + ([] if quick else [
        {"name": f"area {form}", "kind": "area", "form": form, **AREA} for form in FORMS])


def measure(case: dict, folder: Path, old: dict | None, settings: dict) -> dict:
    """A record of the case's kind."""
    if case["kind"] == "area":
        return _area(case, folder)
    protect = case.get("form") != "plain"
    made = case_of(case["core"], generate=partial(generate, protect=protect))
    if case["kind"] == "weights":
        with Upsets(made, folder, [0]) as core:
            return {"kind": "weights", **flip_weights(core, made, every=case["every"])}
    with Upsets(made, folder, ORDER) as core:
        rng = np.random.default_rng([settings["seed"], list(SMOKE).index(case["core"]), protect])
        seen = {name: core.campaign(rng, n // case["share"], DRAWN[name])
                for name, n in UPSETS.items()}
        bits = Counter()
        for one in core.state:
            bits[kind_of(one)] += one.width * one.depth
    return {"kind": "upsets", "form": case["form"], "failure": _failure(seen, protect),
            "bits": dict(bits), "seen": {name: _nested(counts) for name, counts in seen.items()}}


def _failure(seen: dict, protect: bool) -> str | None:
    """A core that no reset brings back; in a protected one, a fault that is not flagged and hangs.
    """
    total = sum(seen.values(), Counter())
    if lost := total["", "lost"]:
        return f"{lost} upset(s) whose core a reset does not bring back"
    hung = sum(n for (_, outcome), n in total.items() if outcome == "hung")
    return f"{hung} upset(s) that hang and are not flagged" if protect and hung else None


def _nested(counts: Counter) -> dict:
    """Kind -> outcome -> number, for JSON."""
    nested = {}
    for (kind, outcome), n in counts.items():
        if n:
            nested.setdefault(kind, {})[outcome] = n
    return nested


def _area(case: dict, folder: Path) -> dict:
    """Place and route one LSTM."""
    target = synth.target_named(case["target"])
    network = lstm_network(case["inputs"], case["units"])
    integer = quantise(network, random_batch(network, 8, 25),
                       operand_width=target.operand_width).integer
    core = vendor_form(generate(integer, name="lstm", lanes=case["lanes"],
                                protect=case["form"] == "protected"), target.name)
    report = synth.place_and_route(core.verilog, core.manifest, target, seed=case["seed"],
                                   build_dir=folder)
    return {"kind": "area", "form": case["form"], "failure": None, "mhz": report["fmax_mhz"],
            **{name: report[name]["used"] for name in ("lut", "ff", "bram", "dsp")},
            "verilog": core.verilog_sha256[:16], **{name: case[name] for name in AREA}}


def _of_kind(records: dict, kind: str) -> list:
    return [record for record in records.values() if record.get("kind") == kind]


def _sums(records: dict, form: str, *drawn: str) -> dict:
    """Kind -> Counter of outcomes, over all cores of a form."""
    sums = {}
    for record in _of_kind(records, "upsets"):
        if record["form"] == form:
            for name in drawn:
                for kind, counts in record["seen"][name].items():
                    sums.setdefault(kind, Counter()).update(counts)
    return sums


def _total(sums: dict) -> Counter:
    return sum((counts for kind, counts in sums.items() if kind), Counter())


def _upsets(total: Counter) -> int:
    return sum(total[outcome] for outcome in OUTCOMES)


def claims(records: dict) -> list:
    totals = {form: _total(_sums(records, form, *UPSETS)) for form in FORMS}
    cores = len(_of_kind(records, "upsets")) // 2
    whole = all(record["failure"] is None for record in records.values()) and all(
        _upsets(total) >= LEAST for total in totals.values())
    protected, plain = totals["protected"], totals["plain"]
    weights = _of_kind(records, "weights")
    bits, detected = (sum(record[name] for record in weights) for name in ("bits", "detected"))
    recovered = Counter()
    for form in FORMS:
        recovered.update(_sums(records, form, *UPSETS).get("", {}))
    return [
        Claim(claim="A core made with `--protect` finishes or says that something is wrong, "
                    "whichever stored bit is flipped",
              check="single bits flipped at random cycles of running cores; a word or an end of "
                    "a sequence that never comes, without a flag, is a hang",
              figure=f"{_upsets(protected):,} upsets in {cores} protected cores, "
                     f"{protected['hung']} hung ({plain['hung']} of {_upsets(plain):,} in plain "
                     "ones)",
              stage=STAGE, passed=whole and protected["hung"] == 0),
        Claim(claim="It finds every flipped bit of its weight memory when the word is first read, "
                    "before a result of it leaves",
              check="every weight and parity bit of the protected cores, one by one; the flag's "
                    "cycle is predicted",
              figure=f"{detected:,} of {bits:,} bits in {len(weights)} cores, each in the very "
                     "cycle",
              stage=STAGE, passed=0 < bits == detected and len(weights) == len(SMOKE)),
        Claim(claim="A reset brings every core back after an upset, but for memory contents that "
                    "come with the bitstream",
              check="behind each upset that was not masked: reset, and the sequences once more",
              figure=f"{recovered['reset']:,} exact behind a reset, {recovered['renewed']:,} with "
                     f"their contents renewed, {recovered['lost']} not",
              stage=STAGE, passed=whole and recovered["lost"] == 0)]


def _share(counts: Counter, outcome: str) -> str:
    return f"{counts[outcome] / max(_upsets(counts), 1):.1%}"


def _classes(records: dict, form: str) -> str:
    """The table of a form: a line a class, then flip-flops and memory bits as they are drawn."""
    shown = ("masked", "silent", "told", "detected", "hung")
    sums = _sums(records, form, *UPSETS)
    size = Counter()
    for record in _of_kind(records, "upsets"):
        if record["form"] == form:
            size.update(record["bits"])
    lines = [(kind, count(size[kind]), sums[kind]) for kind in sorted(sums) if kind]
    for name in ("flip-flops", "memories"):
        lines.append((f"**all {name}**", "", _total(_sums(records, form, name))))
    return table([form, "bits", "upsets", *shown, "late"], [
        [kind, bits, count(_upsets(counts)), *(_share(counts, outcome) for outcome in shown),
         _share(counts, "late")] for kind, bits, counts in lines])


def section(records: dict) -> str:
    text = [
        f"Random bits of the {len(SMOKE)} configurations' cores, plain and made with `--protect`, "
        "are flipped behind a random clock edge, in the first part of a run of four sequences, "
        "half of the runs with pauses on both streams. Flip-flops are drawn one as likely as "
        "another, so are memory bits, and the flip-flops of the control once more; the shares of a "
        "class do not depend on that. *Masked*: every word is right. *Silent*: a wrong word, and "
        "nobody told. *Told*: a wrong word, and `status_errors` counts a broken input protocol. "
        "*Detected*: `status_faults`; *late*, of all, where a wrong word had left before. *Hung*: "
        "something that is waited for never comes, and no flag."]
    text += [_classes(records, form) for form in FORMS if _sums(records, form, *UPSETS)]
    text.append(
        "What stays silent in a protected core is in flip-flops on the way of the data: parity "
        "covers what stands in memories, the twins what decides, and the accounts how many words "
        "leave; sums, products and values between the pipelines' registers are not doubled.")
    area = {record["form"]: record for record in _of_kind(records, "area")
            if record["failure"] is None}
    if len(area) == len(FORMS):
        one = area["plain"]
        rows = [[form, *(count(area[form][name]) for name in ("lut", "ff", "bram", "dsp")),
                 f"{area[form]['mhz']:.1f}"] for form in FORMS]
        text.append(f"What it costs: LSTM {one['inputs']}→{one['units']} on {one['lanes']} lanes, "
                    f"{one['target']}, seed {one['seed']}, the family's own blocks.")
        text.append(table(["form", "LUT", "FF", "block RAM", "DSP", "MHz"], rows))
    return "\n\n".join(text)
