"""Part "opinions": what other simulators, and other starts, make of the same Verilog.

Every register and every memory that is written loses its value at power-up; what the core does
then must come from one cycle of reset.
"""

from pathlib import Path

from bench.markdown import count, table
from sim.build import ToolMissing, find_simulator
from sim.fast import FastSimulator
from sim.stimulus import Stimulus

from .claims import Claim
from .configurations import SMOKE, case_of
from .icarus import find_icarus, play, version
from .lint import Waivers, signed_indices, warnings
from .power_up import bare, join
from .unknown import choices, encoded, zero_products

__all__ = ["PER_CONFIGURATION", "STAGE", "TITLE", "cases", "claims", "measure", "power_ups",
           "section", "unknown_outputs"]

TITLE = "Other simulators, unknown and random power-up"
STAGE, PER_CONFIGURATION = "V2", True
QUICK = ("rnn-relu",)
SEEDS = 20         # power-up states
ENCODED = ("lstm", "rnn-relu")  # enough for a third opinion: it takes half a minute


def cases(quick: bool) -> list:
    """Case by case: "name", "configuration"."""
    return [{"name": name, "configuration": name} for name in (QUICK if quick else SMOKE)]


def power_ups(text: str, manifest: dict, stimulus: Stimulus, folder: Path, *,
              seeds: range) -> dict:
    """Random values in all that has none, one cycle of reset, every sequence; with pauses again.

    Parameters
    ----------
    text : str
        Without power-up values, and with all that it instantiates.
    manifest : dict
    stimulus : Stimulus
    folder : Path
        Existing.
    seeds : range
        From 1 on; a power-up state for each run.

    Returns
    -------
    dict
        "failure" (words or None), "states", "words", "cycles".
    """
    (folder / "bare.v").write_text(text)
    seen = {"failure": None, "states": 0, "words": 0, "cycles": 0}
    with FastSimulator(folder / "bare.v", manifest, folder, optimise=False,
                       random_start=True) as core:
        for seed in seeds:
            for pauses in (False, True):
                core.power_up(seed)
                result = core.run(stimulus, seed=seed, pauses=pauses)
                seen["words"] += result.words
                seen["cycles"] += result.simulated_cycles
                if result.difference:
                    seen["failure"] = f"power-up {seed}: {result.difference['message']}"
                    return seen
            seen["states"] += 1
    return seen


def unknown_outputs(text: str, manifest: dict, stimulus: Stimulus, folder: Path, *,
                    seed: int) -> dict:
    """The core with every bit's being unknown as a bit of its own, under Verilator.

    Parameters and result as of ``power_ups``, but for ``seed``: of the pauses.
    """
    made, outputs = encoded(text, manifest, folder)
    (folder / "encoded.v").write_text(made)
    seen = {"failure": None, "words": 0, "cycles": 0}
    with FastSimulator(folder / "encoded.v", manifest, folder, optimise=False) as core:
        for pauses, resets in ((False, ()), (True, (stimulus.predicted_cycles // 3,))):
            result = core.run(stimulus, seed=seed, pauses=pauses, resets=resets)
            seen["words"] += result.words
            seen["cycles"] += result.simulated_cycles
            if result.difference:
                said = result.difference
                seen["failure"] = (f"{outputs[said['actual'] - 1]} is unknown"
                                   if said["signal"] == "status_errors"
                                   else f"{said['message']} (unknown bits read as 0)")
                break
    return seen


def _icarus(text: str, open_text: str, manifest: dict, stimulus: Stimulus, folder: Path,
            seed: int) -> dict:
    """As emitted, and with every choice open."""
    seen = {"failure": None, "words": 0, "cycles": 0, "resets": 0,
            "version": version(find_icarus()["iverilog"])}
    for what, verilog in (("as emitted", text), ("every choice open", open_text)):
        run = play(verilog, manifest, stimulus, folder, seed=seed)
        for name in ("words", "cycles", "resets"):
            seen[name] += getattr(run, name)
        if run.difference:
            return seen | {"failure": f"{what}: {run.difference}"}
    return seen


def measure(case: dict, folder: Path, old: dict | None, settings: dict) -> dict:
    """Lint, random power-up under Verilator, unknown power-up under Icarus."""
    name, seed = case["configuration"], settings["seed"]
    made = case_of(name)
    emitted, manifest = made.core.verilog, made.core.manifest
    rtl = folder / f"{made.core.name}.v"
    rtl.write_text(emitted)
    joined, alone = join(rtl, manifest, folder)
    given = made.stimulus(range(len(made.sequences)))
    simulator = find_simulator()
    counts, failure = Waivers().count(
        warnings(emitted, joined[len(emitted):], made.core.name, folder, simulator))
    indices = signed_indices(joined)
    if indices:
        failure = failure or f"indexed by a signed expression: {indices[0]}"
    without = bare(joined)
    text = zero_products(without.text)
    record = {
        "failure": failure, "configuration": name, "verilog": made.core.verilog_sha256[:16],
        "steps": given.steps, "registers": without.registers, "memories": without.memories,
        "contents": without.contents, "warnings": counts, "simulator": str(simulator),
        "power_up": power_ups(without.text, alone, given, folder, seeds=range(1, SEEDS + 1))}
    try:
        record["icarus"] = _icarus(text, choices(text, alone, folder), alone, given, folder, seed)
    except ToolMissing as error:
        record["icarus"] = {"failure": str(error)}
    if name in ENCODED:
        record["encoded"] = unknown_outputs(text, alone, given, folder, seed=seed)
    for opinion in ("power_up", "icarus", "encoded"):
        found = record.get(opinion, {}).get("failure")
        if found:
            record["failure"] = record["failure"] or f"{opinion}: {found}"
    return record


def _sum(records: dict, opinion: str, name: str) -> int:
    return sum(record[opinion].get(name, 0) for record in records.values() if opinion in record)


def _passed(records: dict, opinion: str) -> bool:
    """Whether each record has this opinion, or it is one of a few, and none found anything."""
    found = [record[opinion]["failure"] for record in records.values() if opinion in record]
    return bool(found) and not any(found) and (
        opinion == "encoded" or len(found) == len(records))


def claims(records: dict) -> list:
    def figure(opinion, *names):
        return ", ".join(f"{_sum(records, opinion, name):,} {text}" for name, text in names)

    words, cycles = ("words", "values equal to golden"), ("cycles", "cycles")
    warned = sum(sum(record.get("warnings", {}).values()) for record in records.values())
    return [
        Claim(claim="One cycle of reset is all that a core needs, whatever it powers up with",
              check="random values in every register and every memory that is written, then one "
                    "cycle of reset, under Verilator; without pauses, cycles too, and with",
              figure=figure("power_up", ("states", "power-up states"), words, cycles),
              stage=STAGE, passed=_passed(records, "power_up")),
        Claim(claim="A second simulator agrees, and no output is ever unknown behind a reset",
              check="the same Verilog under Icarus from unknown registers and memories, inputs "
                    "unknown wherever a stream offers nothing; once as emitted, once with every "
                    "choice as `?:`, which hides no unknown bit",
              figure=figure("icarus", words, cycles, ("resets", "resets")) + "; unknown bits as "
                     "bits of their own, by Yosys and Verilator: "
                     + figure("encoded", words, cycles),
              stage=STAGE, passed=_passed(records, "icarus") and _passed(records, "encoded")),
        Claim(claim="The Verilog has no warning that is not waived by name and reason, and no "
                    "memory indexed by a signed expression",
              check="Verilator `-Wall`, against `tests/signoff/waivers.toml`; a search of the "
                    "text, vendor models included",
              figure=f"{len(records)} cores, {warned:,} warnings, all of {len(Waivers().entries)} "
                     "waived kinds",
              stage=STAGE, passed=all(record.get("warnings") for record in records.values()))]


def _power_up_table(records: dict) -> str:
    rows = []
    for name, record in records.items():
        if record["failure"] is not None:
            continue
        start, icarus = record["power_up"], record["icarus"]
        rows.append([f"`{name}`", *(count(record[key])
                                    for key in ("registers", "memories", "contents")),
                     count(start["states"]), count(start["words"]), count(icarus["words"]),
                     count(icarus["cycles"]), count(record["encoded"]["words"])
                     if "encoded" in record else "–"])
    return table(["configuration", "registers", "memories", "with contents", "power-up states",
                  "values", "values, Icarus", "cycles, Icarus", "values, encoded"], rows)


def _waiver_table(records: dict) -> str:
    rows = []
    for number, entry in enumerate(Waivers().entries):
        seen = [record.get("warnings", {}).get(str(number), 0) for record in records.values()]
        rows.append([entry["kind"], entry["reason"], count(max(seen)), count(entry["most"])])
    return table(["kind", "<why it is let through", "most of a core", "allowed"], rows)


def section(records: dict) -> str:
    tools = sorted({record["simulator"] for record in records.values() if "simulator" in record}
                   | {f"Icarus Verilog {record['icarus']['version']}"
                      for record in records.values() if "version" in record.get("icarus", {})})
    return "\n\n".join((
        "Every register loses its power-up value, and every memory that something writes starts "
        "without contents; weights and tables in memories that nothing writes stay. Three clock "
        "edges without a reset, then one cycle of reset, which is all that a core asks for, and "
        "all sequences; then a reset in mid-sequence and all sequences again, with pauses. "
        f"Simulators: {', '.join(tools)}.",
        "*Random*: under Verilator with `--x-initial unique`, by seed. *Icarus*: everything starts "
        "as X; inputs are X before the reset and in its cycle (`rst` alone is known), the input "
        "word and `tlast` are X whenever `tvalid` is low. From the first cycle behind the reset "
        "on, no bit of `s_axis_tready`, `m_axis_tvalid`, `trace_step`, `trace_h_valid`, "
        "`trace_c_valid`, `status_*` and `idle` may be X or Z in any cycle. `m_axis_tdata`, "
        "`tlast`, `tkeep`, and the index and data of a trace record may, but only while their "
        "valid is low: then nobody may look at them, and they come from registers without a reset "
        "on purpose. Words, h, c, counters and, without pauses, the number of cycles are compared "
        "as everywhere.",
        "What Verilog hides: an `if`, a `case` or a `casez` takes an unknown condition for false, "
        "so as emitted, an X can be lost on its way. So each core runs a second time, after "
        "Yosys' `proc` and `pmuxtree`: every choice is a `?:`, unknown where its sides differ; a "
        "write whose enable is unknown makes its word unknown, one to an unknown address all "
        "words. (Verilog's `casez` is not left, nor any `always @*`; the sign-off fails if one "
        "is.) What is more hopeful than Verilog: a product is zero where a factor is, of which "
        "`*` makes X. Memory words of several elements have places that nobody writes; they meet "
        "weights of zero. *Encoded*: Yosys' `xprop` gives each signal a second one that says "
        "which bits are unknown, so that Verilator can run it; on a few configurations, and in "
        "`make test`, where Icarus need not be.",
        _power_up_table(records),
        "Warnings of Verilator's `-Wall` in the generated text, by waiver; any other, or more of "
        "one than allowed, is a failure.",
        _waiver_table(records)))
