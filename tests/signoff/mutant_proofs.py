"""A mutant that no check told from the core is the same core: a proof, by ABC.

The core and the mutant run side by side, on the same input from power-up on. What the mutant has of
its own are those registers alone that a simulation, or a counterexample, showed to differ; of all
others it is claimed that their next values are the same, as are all outputs. ABC proves that of
every state that can be reached (equal registers and gates merged, then property directed
reachability).

Outputs are what the protocol lets be seen of them: a word, or a record, while it is valid.

First with memories and multipliers taken out: what they get is an output of the core then, what
comes out of them an input. If that leaves too much freedom, with all of them in: a mutant whose
outputs then differ, on whatever input, is another core.
"""

import importlib.util
import re
import subprocess
from pathlib import Path

from .aiger import Graph, compose, read_graph
from .aiger_runs import simulate
from .mutant_netlists import BITS, SELECT, mutated, yosys

__all__ = ["OTHER", "Prover", "shown_of"]

_READ = "read_rtlil mutants.il; read_verilog seen.v; hierarchy -top seen; proc\n"
_FLAT = """{boxes}
flatten; {evert}
opt_clean
memory -nomap; memory_map
setundef -zero -init; setundef -zero
opt -full -noff; techmap; opt -fast -noff
dffunmap; opt -fast -noff; aigmap; opt_clean
write_aiger -ascii -zinit -symbols graph.aag
"""
STAGES = ("boxes", "whole")
CYCLES = 600        # of the random runs that say which registers differ
PATIENCE = 40       # seconds that ABC has for what comes before the proof
OTHER = "random gates"  # what told a mutant that is another core
# Port -> what says that it is valid, for all ports that begin so.
_VALID = {"m_axis_t": "m_axis_tvalid", "trace_h_": "trace_h_valid", "trace_c_": "trace_c_valid"}


def _abc() -> Path:
    """ABC as it comes with the Python package of Yosys."""
    found = importlib.util.find_spec("pyosys")
    if found is None:
        raise RuntimeError("pyosys is missing: its ABC makes the proofs")
    return Path(found.origin).with_name("yosys-abc")


def shown_of(ports: list) -> dict:
    """Output of a manifest's ports -> the output that says that it is valid, or None."""
    return {port["name"]: next((valid for start, valid in _VALID.items()
                                if port["name"].startswith(start) and port["name"] != valid), None)
            for port in ports if port["direction"] == "out"}


def _seen(top: str, ports: list) -> str:
    """A module around the core that shows of it what is valid, and selects the mutant."""
    valid_of = shown_of(ports)
    ports = [*ports, {"name": SELECT, "direction": "in", "width": BITS}]
    lines = [f"module seen({', '.join(port['name'] for port in ports)});"]
    links = []
    for port in ports:
        name, width, out = port["name"], port["width"], port["direction"] == "out"
        lines.append(f"  {port['direction']}put [{width - 1}:0] {name};")
        links.append(f".{name}({f'core_{name}' if out else name})")
        if out:
            valid = valid_of[name]
            shown = f"core_{valid} ? core_{name} : {width}'d0" if valid else f"core_{name}"
            lines += [f"  wire [{width - 1}:0] core_{name};", f"  assign {name} = {shown};"]
    return "\n".join([*lines, f"  {top} core({', '.join(links)});", "endmodule", ""])


class Prover:
    """Proofs about the mutants of one netlist.

    Parameters
    ----------
    folder : Path
        With ``mutants.il`` and ``mutants.txt`` of ``make_mutants``.
    top : str
    ports : list of dict
        The core's, as in its manifest.
    """

    def __init__(self, folder: Path, top: str, ports: list):
        self._folder, self._top, self._abc = folder, top, _abc()
        (folder / "seen.v").write_text(_seen(top, ports))

    def graph(self, stage: str) -> Graph:
        """Of the core with its mutants, with memories and multipliers as boxes, or whole."""
        boxes = evert = ""
        if stage == "boxes":
            yosys(f"{_READ}select -write with.txt */t:$mem_v2 */t:$mul\n"
                  f"select -write parents.txt */t:{self._top}*\n", self._folder)
            holding, parents = ({line.partition("/")[0] for line in
                                 (self._folder / name).read_text().splitlines()}
                                for name in ("with.txt", "parents.txt"))
            if leaves := sorted(holding - parents - mutated(self._folder)):
                boxes = f"blackbox {' '.join(leaves)}"
                evert = f"expose -evert {' '.join(f't:{leaf}' for leaf in leaves)}"
        yosys(_READ + _FLAT.format(boxes=boxes, evert=evert), self._folder)
        return read_graph((self._folder / "graph.aag").read_text(), SELECT)

    def prove(self, mutants: list, *, seconds: int = 5) -> dict:
        """Number of a mutant -> why it is the same as the core; None where that is not shown;
        ``OTHER`` where its outputs differ from the core's on random input, resets among it.

        Parameters
        ----------
        mutants : list of int
        seconds : int
            That each question of ABC may take.
        """
        told, left = dict.fromkeys(mutants), list(mutants)
        for stage in STAGES:
            if not left:
                break
            graph = self.graph(stage)
            apart = simulate(graph, left, cycles=CYCLES)
            for mutant in left:
                if apart[mutant] is not None:
                    told[mutant] = self._same(graph, mutant, apart[mutant], stage, seconds)
                elif stage == "whole":
                    told[mutant] = OTHER
            left = [mutant for mutant in left if told[mutant] is None]
        return told

    def _same(self, graph: Graph, mutant: int, own: set, stage: str, seconds: int) -> str | None:
        for _ in range(4):
            text, places = compose(graph, mutant, own)
            proved, apart = self._ask(text, seconds) if places else (True, ())
            if proved:
                how = f"{len(own)} registers of its own" if own else "state for state"
                if not places:
                    how += ", by structure"
                return how + (", with its memories" if stage == "whole" else "")
            apart = {places[k] for k in apart}
            if not apart or None in apart:  # not decided, or an output that differs
                return None
            own = own | apart
        return None

    def _ask(self, text: bytes, seconds: int) -> tuple:
        """Whether all outputs are always low; places of those that are not."""
        (self._folder / "question.aig").write_bytes(text)
        try:
            done = subprocess.run(
                [self._abc, "-c", f"read question.aig; strash; scleanup; lcorr; fraig; "
                                  f"pdr -a -T {seconds}"],
                cwd=self._folder, capture_output=True, text=True, check=False,
                timeout=PATIENCE + seconds)
        except subprocess.TimeoutExpired:
            return False, ()
        found = re.search(r"All = (\d+)\. Proved = (\d+)\.", done.stdout)
        if found is None:
            raise RuntimeError(f"ABC gave no verdict: {done.stdout[-300:]}")
        return found.group(1) == found.group(2), [
            int(k) for k in re.findall(r"Output +(\d+) was asserted", done.stdout)]
