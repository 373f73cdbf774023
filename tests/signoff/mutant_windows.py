"""A mutant that differs where nobody looks: a proof over some cycles in a row, by a SAT solver.

As in ``mutant_proofs`` the core and the mutant run side by side, and the mutant has copies of its
own of the registers alone that may differ. A window begins with anything in those copies and in
the core's registers, but for what is known never to be of the core's control. In all cycles but its
last one no other register and no output differs, nor what is written to a memory; then none does in
the last one. From power-up on, none does in the first cycles. So what a pipeline held before does
not matter, and what hangs on its last cycles is seen.
"""

from collections.abc import Callable
from pathlib import Path

from .aiger_runs import simulate
from .control_states import find_parts
from .mutant_flags import flag_facts
from .mutant_netlists import SELECT, mutated
from .mutant_pair import Pair
from .mutant_states import differences
from .netlist import Netlist, read_netlist
from .netlist_states import control
from .pipelines import known_of_control
from .window import Window
from .windows import in_time

__all__ = ["Windows"]

CYCLES = 600        # of the random runs that say which registers differ
LONG = 60           # cycles of a window: what was in the pipelines of the array and a post is out
ROUNDS = 25         # in each of which more registers turn out to differ
SECONDS = 90        # for one window
STATES = 400.0      # seconds for the states of a part of the control
DONE = 0            # a net that never differs: with it an answer is whole


def _begins(pipe, netlist: Netlist, known: set, nets: list) -> None:
    """Into a pipe: what never differs in the first cycles from power-up on."""
    window = Window(netlist, [], known, LONG, powered=True)
    never = {net for (net, _), in window.absent([((net, 1),) for net in nets], 0)}
    window.must_be()
    pipe.send(never | {DONE})
    pipe.close()


def _goes_on(pipe, netlist: Netlist, known: set, nets: list) -> None:
    """Into a pipe: what does not differ behind cycles in which nothing did."""
    window = Window(netlist, [], known, LONG)
    never = window.behind(nets)
    window.must_be()
    pipe.send(never | {DONE})
    pipe.close()


class Windows:
    """Proofs about the mutants of one netlist.

    Parameters
    ----------
    folder : Path
        With ``mutants.v`` and ``mutants.txt`` of ``make_mutants``.
    top, verilog : str
        The core without them.
    shown : dict of str to str or None
        Output -> the one that says that it is valid, if there is one.
    """

    def __init__(self, folder: Path, top: str, verilog: str, shown: dict):
        core = read_netlist(verilog, top, folder, boxed=True)
        self._pair = Pair(read_netlist((folder / "mutants.v").read_text(), top, folder,
                                       boxed=True), core, SELECT, shown)
        self._known = self._pair.translated(known_of_control(core, verilog, top, STATES))
        self._parts = [list(map(self._pair.part, choices))
                       for choices in find_parts(core, verilog, top)]
        modules = mutated(folder)
        bits = {nets[0] for name, nets in core.names.items()
                if len(nets) == 1 and f"{top}.{name.rpartition('.')[0]}" in modules}
        self._flags = self._pair.registers(bits & control(core))

    def prove(self, mutants: list) -> dict:
        """Number of a mutant -> why it is the same as the core; None where that is not shown."""
        graph, registers = self._pair.graph()
        differ = simulate(graph, mutants, cycles=CYCLES)
        found = {}
        for mutant in mutants:
            own = {registers[k] for k in differ[mutant] or ()}
            found[mutant] = None if differ[mutant] is None else next(filter(None, (
                self._same(mutant, own, facts) for facts in (
                    None, self._of_flags, self._of_states))), None)
        return found

    def counted(self, mutants: list) -> set:
        """Mutants whose outputs differ once the counters of errors and saturations have come far.
        """
        graph, _ = self._pair.graph()
        differ = simulate(graph, mutants, cycles=CYCLES, counted=True)
        return {mutant for mutant in mutants if differ[mutant] is None}

    def _same(self, mutant: int, own: set, facts: Callable | None) -> str | None:
        """With ``facts`` about when copies of the control's registers differ."""
        for _ in range(ROUNDS):
            own = self._pair.behind(own)
            netlist, bad, copies, unknown = self._pair.beside(mutant, own)
            known, how = self._known, ""
            if facts is not None:
                more, how = facts(netlist, copies, unknown, tuple(bad))
                if not more:
                    return None
                known = known | more
            for question in (_begins, _goes_on):
                never = in_time(question, SECONDS, netlist, known, list(bad))
                left = {register for net, register in bad.items() if net not in never}
                if DONE not in never or None in left:   # not in time, or an output that differs
                    return None
                if left:
                    break
            if not left:
                return f"{len(own)} registers of its own, over {LONG} cycles{how}"
            own |= left
        return None

    def _of_flags(self, netlist: Netlist, copies: dict, *_) -> tuple:
        """What is known of copies by the flags of the modules with mutants."""
        return flag_facts(netlist, copies, self._flags, self._known), ", by flags"

    def _of_states(self, netlist: Netlist, copies: dict, unknown: frozenset, bad: tuple) -> tuple:
        """What is known of the control's copies, by the first part of each kind that has few
        states.
        """
        known = set()
        for choices in self._parts:
            for part in choices:
                if not copies.keys() & set(part.registers):
                    continue
                found = differences(netlist, part, copies, unknown, STATES, bad)
                if found is not None:
                    known |= found
                    break
        return known, ", behind all states"
