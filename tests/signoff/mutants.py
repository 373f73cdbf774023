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
from .mutant_runs import BROKEN, Told, case_with_many
from .mutant_windows import Windows

__all__ = ["PER_CONFIGURATION", "STAGE", "TITLE", "cases", "claims", "measure", "section"]

TITLE = "Mutants of the core"
STAGE, PER_CONFIGURATION = "V3", False
MUTANTS = 300  # of a block, over its configurations
TOP = "net"
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
    left = fields["left"]
    return {"failure": f"neither told nor proved equal: {'; '.join(left)}" if left else None,
            "block": case["block"], "core": case["core"], **fields}


def measure(case: dict, folder: Path, old: dict | None, settings: dict) -> dict:
    """Run each mutant until a check tells it; prove the others to be no other core.

    Of the same Verilog, seed and number of mutants as before, only those that were left are tried
    again.
    """
    made = case_with_many((SMOKE | OTHERS)[case["core"]])
    modules = " ".join(f"{TOP}.{name}" for name in BLOCKS[case["block"]][0].split()) or TOP
    mutants = make_mutants(made.core.verilog, TOP, modules, case["mutants"], folder)
    shown = shown_of(made.core.manifest["ports"])

    def windows(left: list) -> dict:
        """Name -> proof of those of some mutants that are the same core after all."""
        numbers = [mutant.number for mutant in mutants if mutant.name in left]
        told = Windows(folder, TOP, made.core.verilog, shown).prove(numbers) if left else {}
        return {mutant.name: told[mutant.number] for mutant in mutants
                if told.get(mutant.number) is not None}

    found = {"verilog": made.core.verilog_sha256[:16], "mutants": len(mutants),
             "seed": settings["seed"]}
    names = {mutant.number: mutant.name for mutant in mutants}
    if old and found.items() <= old.items() and set(old["left"]) <= set(names.values()):
        same = windows(old["left"])
        return _record(case, **{field: old[field] for field in ("golden", "told", "kinds")},
                       **found, same=old["same"] | same,
                       left=[name for name in old["left"] if name not in same])
    runs = Told(made, folder / "mutants.v", settings["seed"])
    own = runs.by(0)
    if own is not None:
        raise RuntimeError(f"The core itself is told: {own}")
    told = {mutant.number: runs.by(mutant.number) for mutant in mutants}
    runs.close()
    quiet = [number for number, by in told.items() if by is None]
    proofs = Prover(folder, TOP, made.core.manifest["ports"]).prove(quiet)
    told |= {number: (OTHER, "any") for number in quiet if proofs[number] == OTHER}
    quiet = [number for number in quiet if told[number] is None]
    same = {names[number]: proofs[number] for number in quiet if proofs[number] is not None}
    same |= windows([names[number] for number in quiet if proofs[number] is None])
    by = Counter(run for run, _ in filter(None, told.values()))
    return _record(case, golden=len(mutants) - len(quiet) - by[BROKEN] - by[OTHER], told=by,
                   kinds=Counter(kind for _, kind in filter(None, told.values())), **found,
                   same=same, left=[names[number] for number in quiet
                                    if names[number] not in same])


def _sums(records: dict) -> dict:
    """Block -> numbers, over its configurations; those that could not be measured are left out."""
    sums = {}
    for record in records.values():
        if "block" in record:
            counts = sums.setdefault(record["block"], Counter(cores=0))
            counts.update({"mutants": record["mutants"], "golden": record["golden"],
                           "cores": 1,
                           "broken": sum(record["told"].get(run, 0) for run in (BROKEN, OTHER)),
                           "same": len(record["same"]), "left": len(record["left"])})
    return sums


def claims(records: dict) -> list:
    sums = _sums(records)
    all_of = sum(sums.values(), Counter())
    whole = sums.keys() == BLOCKS.keys()
    return [Claim(
        claim="The checks see what changes a core: a fault that none of them tells is none",
        check="faults in the netlist of each block, each run against golden, without and with "
              "pauses and behind resets, until one of its values, its cycles or its counters is "
              "wrong; those that are left proved to be the same core, by ABC or a SAT solver",
        figure=f"{all_of['mutants']:,} mutants in {len(sums)} blocks: {all_of['golden']:,} told "
               f"by golden, {all_of['broken']} by input that golden says nothing of, "
               f"{all_of['same']} proved the same core, {all_of['left']} left",
        stage=STAGE,
        passed=whole and all(record["failure"] is None for record in records.values()))]


def section(records: dict) -> str:
    sums, rows = _sums(records), []
    for block, n in sums.items():
        relevant = n["mutants"] - n["same"]
        rows.append([block, ", ".join(f"`{r['core']}`" for r in records.values()
                                      if r.get("block") == block),
                     str(n["mutants"]), str(n["golden"]), str(n["broken"]), str(n["same"]),
                     str(n["left"]), f"{100 * n['golden'] / relevant:.1f} %"])
    runs = sum((Counter(r["told"]) for r in records.values() if "told" in r), Counter())
    return "\n\n".join((
        "A mutant is the core with one fault in the netlist of its Verilog (Yosys `mutate`: a bit "
        "of a port of a cell stuck, inverted, or tied to another bit), all those of a block behind "
        "one input of one build. It is told once a run against golden differs: a few steps, more "
        "of them, with pauses, behind resets, then thousands of steps, half of them at the ends of "
        "the ranges. After that the core itself is the judge, of words that break the protocol and "
        "of random bits at every port. Where nothing tells it, "
        "the mutant is proved to be the same core, for all inputs and resets, from power-up on: "
        "core and mutant run side by side, and ABC shows for every state that can be reached that "
        "no register and no output ever differs but those registers of which the mutant has a copy "
        "of its own. What memories and multipliers hold is left open in this where that suffices. "
        "What ABC does not settle, a SAT solver is asked about windows of 36 cycles: behind so "
        "many in which nothing else differed, whatever the mutant's own copies held in the first "
        "of them, nothing else differs, nor what a memory takes up. It knows what the states of "
        "the control never are; the same comes out of a memory or a product where the same went "
        "in. "
        "The last column is the share of those told by golden among the mutants that are "
        "another core. Every mutant that is none stands in the results file by its name, with its "
        "proof; one that is neither told nor proved is a failure.",
        table(["block", "<cores", "mutants", "told by golden", "by other input", "proved the same",
               "left", "golden tells"], rows),
        "By the first run that told: " + ", ".join(f"{run} {n:,}" for run, n in runs.most_common())
        + "."))
