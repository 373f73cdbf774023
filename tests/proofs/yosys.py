"""Proofs by Yosys alone: its SAT solver unrolls the netlist, forwards from power-up and backwards.

A proof is k-induction (``sat -tempinduct``): no claim fails within k steps of power-up, and none
fails behind k steps, from any state, in which all held. So it holds in all cycles. A cover is the
counterexample to "never", a mutant (Yosys ``mutate``, one fault in the module's own netlist) is
refuted by a counterexample to the claims alone, from power-up.
"""

import re
import time
from dataclasses import dataclass
from pathlib import Path

from synth.tools import find_tool, run_tool

from .bench import Proof

__all__ = ["Verdict", "check"]

PATIENCE = 10     # seconds for the question whether a mutant is harmless
_NETLIST = "hierarchy -top bench; proc; opt_clean; memory_collect; wreduce; opt_clean"
# No enables and resets in the flip-flops: the solver knows plain ones.
_PREPARE = "flatten; memory; opt -nodffe -nosdff; dffunmap; opt_clean; check -assert"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of a proof.

    Parameters
    ----------
    proved : bool
    length : int
        Length of the induction that did it.
    missed : tuple of str
        Covers that were not reached.
    covers : int
        Covers that were.
    refuted, mutants : int
    harmless : int
        Mutants of which it is shown, by induction as well, that no claim ever fails.
    survivors : tuple of str
        The mutants that are neither, as Yosys names them.
    seconds : float
    trace : str
        The counterexample, where there is one.
    """

    proved: bool
    length: int
    missed: tuple
    covers: int
    refuted: int
    mutants: int
    harmless: int
    survivors: tuple
    seconds: float
    trace: str

    @property
    def passed(self) -> bool:
        """Proved, not in vain, and by claims that can fail."""
        return self.proved and self.covers > 0 and not self.missed and self.refuted > 0


def _script(proof: Proof, covers: int) -> str:
    """The whole of it in one start of Yosys; each question's answer in a file of its own."""
    mutated = " ".join(f"bench.dut.{part}*" for part in proof.parts) or "bench.dut*"
    base = f"sat -tempinduct -tempinduct-baseonly -maxsteps {proof.reach} -set legal 1"
    lines = [
        "read_rtlil inside.il", _NETLIST, _PREPARE,
        f"tee -q -o proof.log sat -tempinduct -maxsteps {proof.depth} "
        f"-initsteps {proof.start - 1} -set legal 1 -prove sound 1 -show-ports bench",
        "design -reset", "read_rtlil bench.il", _NETLIST, "design -save made", _PREPARE]
    lines += [f"tee -q -o cover{k}.log {base} -prove cover{k} 0 bench" for k in range(covers)]
    lines += [
        "design -load made",
        f"mutate -list {proof.mutants} -seed 1 -ctrl mutant 10 1 -o mutants.txt {mutated}",
        "script mutants.txt", "write_rtlil mutated.il", _PREPARE]
    lines += [f"tee -q -o mutant{k}.log {base} -set mutant {k + 1} -prove claims 1 bench"
              for k in range(proof.mutants)]
    return "\n".join(lines) + "\n"


def _survivors_script(proof: Proof, survivors) -> str:
    """Whether a mutant that was not refuted keeps all claims for ever."""
    # Of the netlist as it was: Yosys names cells by a count that a second start begins anew.
    lines = ["read_rtlil mutated.il", _PREPARE]
    lines += [f"tee -q -o kept{k}.log sat -tempinduct -maxsteps {proof.depth} "
              f"-initsteps {proof.start - 1} -timeout {PATIENCE} -set legal 1 -set mutant {k + 1} "
              "-prove claims 1 bench"
              for k in survivors]
    return "\n".join(lines) + "\n"


def _run(script: str, proof: Proof, folder: Path):
    """RuntimeError if Yosys fails."""
    (folder / "proof.ys").write_text(script)
    status, _, tail = run_tool(find_tool("yosys", native=False),
                               ["-q", "-l", "yosys.log", "proof.ys"], folder=folder)
    if status:
        raise RuntimeError(f"Yosys gave up on {proof.name}:\n" + "\n".join(tail[-20:]))


def _found(log: Path) -> bool:
    """Whether a search from power-up found what it looked for."""
    text = log.read_text()
    if "model found for base case: FAIL!" in text:
        return True
    if "Reached maximum number of time steps" in text:
        return False
    raise RuntimeError(f"{log.name}: no verdict:\n{text[-2000:]}")


def check(proof: Proof, folder: Path) -> Verdict:
    """Prove, cover, refute.

    Parameters
    ----------
    proof : Proof
    folder : Path
        Existing and empty; the logs stay there.

    Raises
    ------
    RuntimeError
        If Yosys ends without a verdict.
    """
    begin = time.monotonic()
    bench = proof.build()
    (folder / "bench.il").write_text(bench.rtlil(inside=False))
    (folder / "inside.il").write_text(proof.build().rtlil())
    _run(_script(proof, len(bench.covers)), proof, folder)
    text = (folder / "proof.log").read_text()
    length = re.findall(r"\[induction step (\d+)\]", text)
    # A step of the solver is a cycle, whatever the clock: a fault there is none.
    mutants = {k: name for k, name in enumerate((folder / "mutants.txt").read_text().splitlines())
               if "CLK" not in name}
    left = {k: name for k, name in mutants.items() if not _found(folder / f"mutant{k}.log")}
    if left:
        _run(_survivors_script(proof, left), proof, folder)
    survivors = tuple(name for k, name in left.items() if "Induction step proven: SUCCESS!"
                      not in (folder / f"kept{k}.log").read_text())
    missed = tuple(name for k, name in enumerate(bench.covers)
                   if not _found(folder / f"cover{k}.log"))
    return Verdict(
        proved="Induction step proven: SUCCESS!" in text,
        length=int(length[-1]) if length else 0,
        missed=missed, covers=len(bench.covers) - len(missed),
        refuted=len(mutants) - len(left), mutants=len(mutants),
        harmless=len(left) - len(survivors), survivors=survivors, seconds=time.monotonic() - begin,
        trace=text if "FAIL" in text else "")
