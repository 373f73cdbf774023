"""Part "mutants": faults in the netlist of each block of the engine, all of them told or proved
to be none.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from bench.markdown import table

from .claims import Claim
from .configurations import SMOKE
from .mutant_netlists import make_mutants
from .mutant_proofs import OTHER, Prover, shown_of
from .mutant_reasons import MOST_REASONS, REASONS
from .mutant_runs import BROKEN, Told, case_with_many
from .mutant_windows import Windows

__all__ = ["PER_CONFIGURATION", "STAGE", "TITLE", "cases", "claims", "measure", "section"]

TITLE = "Mutants of the core"
STAGE, PER_CONFIGURATION = "V3", False
MUTANTS = 300  # of a block, over its configurations
TOP = "net"
COUNTED = "counters from presets"
OTHERWISE = (BROKEN, OTHER, COUNTED)    # told not by golden, but by the core itself
# Where a name of SMOKE alone does not let a block do all that it can.
OTHERS = {
    "gru-4": replace(SMOKE["gru"], lanes=4),
    # Shifts of many kinds: of few, a bit is often the same in all rows.
    "gru-gru-gru": replace(SMOKE["gru"], seed=2, layers=tuple(
        ("gru", units, "identity", False) for units in (9, 5, 4)) + SMOKE["gru"].layers[1:]),
    "gru-returns": replace(SMOKE["gru"], returns=True),
    "loaded": replace(SMOKE["ice40"], family="portable"),
}
# Block -> its modules below the top, and configurations that use it fully.
BLOCKS = {
    "array": ("array array.*", ("gru-4",)),
    "packed products": ("array.mul*", ("packed",)),
    "row words and tags": ("post0 post0.rows post0.peephole*", ("lstm-peephole",)),
    "requantiser": ("post0.requantise*", ("gru-gru-gru",)),
    "functions": ("post0.activation* post0.combine.second*", ("lstm-peephole",)),
    "combination": ("post0.combine post0.combine.cells post0.combine.hidden post0.combine.first "
                    "post0.combine.product post0.combine.updates", ("lstm2", "gru-4")),
    "sequencer": ("sequencer", ("bidirectional", "gru-returns")),
    "drain": ("drain", ("bidirectional",)),
    "loader": ("loader", ("lstm2",)),
    "sequence loader": ("loader*", ("bidirectional",)),
    "output": ("output*", ("tokens-argmax", "lstm2", "shallow-wide")),
    "weights": ("weights*", ("loaded",)),
    "dump": ("dump", ("lstm2", "gru-returns")),
    "engine": ("", ("lstm2", "bidirectional")),
}


def cases(quick: bool) -> list:
    """Case by case: "name", "block", "core", "mutants"."""
    made = []
    for block, (_, cores) in BLOCKS.items():
        for core in cores:
            made.append({"name": f"{block} of {core}", "block": block, "core": core,
                         "mutants": MUTANTS // len(cores)})
    quicks = ("dump of lstm2",)
    return [case | {"mutants": 20} for case in made if case["name"] in quicks] if quick else made


def _record(case: dict, **fields) -> dict:
    left, wrong = fields["left"], fields["wrong"]
    failures = [f"neither told nor proved equal: {'; '.join(left)}"] * bool(left)
    failures += [f"a reason for what is told, or is no mutant: {name}" for name in wrong]
    return {"failure": "; ".join(failures) or None,
            "block": case["block"], "core": case["core"], **fields}


def measure(case: dict, folder: Path, old: dict | None, settings: dict) -> dict:
    """Run each mutant until a check tells it; prove the others to be no other core, but for those
    that a reason is given for.

    Of the same Verilog, seed and number of mutants as before, only those that were left are tried
    again.
    """
    made = case_with_many((SMOKE | OTHERS)[case["core"]])
    modules = " ".join(f"{TOP}.{name}" for name in BLOCKS[case["block"]][0].split()) or TOP
    mutants = make_mutants(made.core.verilog, TOP, modules, case["mutants"], folder)
    names = {mutant.number: mutant.name for mutant in mutants}
    found = {"verilog": made.core.verilog_sha256[:16], "mutants": len(mutants),
             "seed": settings["seed"]}
    reasons = REASONS.get(case["name"], {})
    old_left = {*old["left"], *old.get("argued", ()), *reasons} if old else set()
    on = old and found.items() <= old.items() and {*old["left"]} <= {*names.values()}
    before = old if on else {"told": {}, "kinds": {}, "same": {}, "golden": 0}
    todo = [number for number, name in names.items()
            if not on or name in old_left and name not in old["same"]]
    runs = Told(made, folder / "mutants.v", settings["seed"])
    own = runs.by(0)
    if own is not None:
        raise RuntimeError(f"The core itself is told: {own}")
    told = {number: runs.by(number) for number in todo}
    runs.close()
    argued = [names[number] for number in todo
              if told[number] is None and names[number] in reasons]
    quiet = [number for number in todo if told[number] is None and names[number] not in argued]
    ports = made.core.manifest["ports"]
    same = dict.fromkeys(quiet) if on else Prover(folder, TOP, ports).prove(quiet)
    told |= {number: (OTHER, "any") for number in quiet if same[number] == OTHER}
    if quiet := [number for number in quiet if told[number] is None and same[number] is None]:
        windows = Windows(folder, TOP, made.core.verilog, shown_of(ports))
        told |= dict.fromkeys(windows.counted(quiet), (COUNTED, "any"))
        same |= windows.prove([number for number in quiet if told[number] is None])
    by = Counter(run for run, _ in filter(None, told.values()))
    return _record(
        case, golden=before["golden"] + sum(n for run, n in by.items() if run not in OTHERWISE),
        told=by + Counter(before["told"]),
        kinds=Counter(kind for _, kind in filter(None, told.values())) + Counter(before["kinds"]),
        **found, same=before["same"] | {names[number]: same[number] for number in todo
                                        if told[number] is None and same.get(number) is not None},
        left=[names[number] for number in todo if told[number] is None and same.get(number) is None
              and names[number] not in argued],
        argued=argued, wrong=sorted(reasons.keys() - set(argued)))


def _sums(records: dict) -> dict:
    """Block -> numbers, over its configurations; those that could not be measured are left out."""
    sums = {}
    for record in records.values():
        if "block" in record:
            counts = sums.setdefault(record["block"], Counter(cores=0))
            counts.update({"mutants": record["mutants"], "golden": record["golden"],
                           "cores": 1,
                           "broken": sum(record["told"].get(run, 0) for run in OTHERWISE),
                           "same": len(record["same"]), "left": len(record["left"]),
                           "argued": len(record.get("argued", ()))})
    return sums


def _argued(records: dict) -> list:
    """(case, mutant, reason or None) of those that no run tells and no proof reaches."""
    return [(name, mutant, REASONS.get(name, {}).get(mutant))
            for name, record in records.items() for mutant in record.get("argued", ())]


def claims(records: dict) -> list:
    sums = _sums(records)
    all_of = sum(sums.values(), Counter())
    whole = sums.keys() == BLOCKS.keys()
    return [Claim(
        claim="The checks see what changes a core: a fault that none of them tells is none",
        check="faults in the netlist of each block, each run against golden, without and with "
              "pauses and behind resets, until one of its values, its cycles or its counters is "
              "wrong; those that are left proved to be the same core, by ABC or a SAT solver, but "
              "for a few, by a reason",
        figure=f"{all_of['mutants']:,} mutants in {len(sums)} blocks: {all_of['golden']:,} told "
               f"by golden, {all_of['broken']} by input that golden says nothing of, "
               f"{all_of['same']} proved the same core, {all_of['argued']} the same by a reason "
               f"({MOST_REASONS} at most), {all_of['left']} left",
        stage=STAGE,
        passed=whole and all_of["argued"] <= MOST_REASONS
        and all(reason for *_, reason in _argued(records))
        and all(record["failure"] is None for record in records.values()))]


def section(records: dict) -> str:
    sums, rows = _sums(records), []
    for block, n in sums.items():
        relevant = n["mutants"] - n["same"] - n["argued"]
        rows.append([block, ", ".join(f"`{r['core']}`" for r in records.values()
                                      if r.get("block") == block),
                     str(n["mutants"]), str(n["golden"]), str(n["broken"]), str(n["same"]),
                     str(n["argued"]), str(n["left"]), f"{100 * n['golden'] / relevant:.1f} %"])
    runs = sum((Counter(r["told"]) for r in records.values() if "told" in r), Counter())
    return "\n\n".join((
        "A mutant is the core with one fault in the netlist of its Verilog (Yosys `mutate`: a bit "
        "of a port of a cell stuck, inverted, or tied to another bit), all those of a block behind "
        "one input of one build. It is told once a run against golden differs: a few steps, more "
        "of them, with pauses, behind resets, then thousands of steps, half of them at the ends of "
        "the ranges. After that the core itself is the judge, of words that break the protocol and "
        "of random bits at every port, once more with the counters of errors and saturations at "
        "any value: no run counts so far. Where nothing tells it, "
        "the mutant is proved to be the same core, for all inputs and resets, from power-up on: "
        "core and mutant run side by side, and ABC shows for every state that can be reached that "
        "no register and no output ever differs but those registers of which the mutant has a copy "
        "of its own. What memories and multipliers hold is left open in this where that suffices. "
        "What ABC does not settle, a SAT solver is asked about windows of 60 cycles: behind so "
        "many in which nothing else differed, whatever the mutant's own copies held in the first "
        "of them, nothing else differs, nor what a memory takes up. It knows what the states of "
        "the control never are, and, where that does not do, what the control and the mutant's "
        "copies of it never are together, by induction over the flags of the block or by going "
        "through every state of both; the same comes out of a memory or a product where the same "
        "went in. "
        "The last column is the share of those told by golden among the mutants that are "
        "another core. Every mutant that is none stands in the results file by its name, with its "
        "proof; one that is neither told nor proved is a failure, but for those that the reasons "
        "below are for: what hangs on the values of weights and tables, and what a memory takes up "
        "without anyone reading it.",
        table(["block", "<cores", "mutants", "told by golden", "by other input", "proved the same",
               "by a reason", "left", "golden tells"], rows),
        "By the first run that told: " + ", ".join(f"{run} {n:,}" for run, n in runs.most_common())
        + ".",
        "The same core by a reason, of `tests/signoff/mutant_reasons.py`:",
        "\n".join(f"- {name}: `{mutant}`: {reason}" for name, mutant, reason in _argued(records))))
