"""When a mutant's own copies of registers differ, told by the flags of a module: by induction.

What may differ often hangs on where a module stands alone: whether a sequence runs, or is about to
begin. Of all values that its flags have together, induction keeps those that never are, and for all
others it keeps which copies then are as their registers.
"""

from dataclasses import replace
from itertools import product

from .induction import Induction
from .netlist import Netlist, cone

__all__ = ["flag_facts"]

MOST = 9        # flags: each of their values is asked for


def _behind(netlist: Netlist, registers: set) -> tuple:
    """Those gates and registers alone that some registers hang on; and their nets."""
    makers = {out: (kind, inputs) for kind, inputs, out in netlist.gates}
    seen, gates, kept, todo = {0, 1}, [], {}, list(registers)
    while todo:
        net = todo.pop()
        if net in netlist.registers and net not in kept:
            kept[net] = netlist.registers[net]
            more, begins = cone(makers, kept[net][0], seen)
            gates += more
            todo += [kept[net][0], *begins]
    return (replace(netlist, gates=gates, registers=kept),
            {0, 1, *kept, *(out for *_, out in gates)})


def flag_facts(netlist: Netlist, copies: dict, flags: list, known: set) -> set | None:
    """Situations that never are: values of flags, and values of them while a copy differs.

    Parameters
    ----------
    netlist : Netlist
        The core, and a mutant's copies.
    copies : dict of int to int
        Register -> the mutant's own.
    flags : list of int
        Registers of the core.
    known : set of tuple of (int, int)
        Situations that never are.

    Returns
    -------
    set of tuple of (int, int), or None
        None if there are too many flags.
    """
    if not 0 < len(flags) <= MOST:
        return None
    small, nets = _behind(netlist, {*flags, *copies, *copies.values()})
    known = {cube for cube in known if all(net in nets for net, _ in cube)}
    values = [tuple(zip(flags, word, strict=True))
              for word in product((0, 1), repeat=len(flags))]
    never = _never(small, values, known)
    differ = [((net, own), (copy, 1 - own)) for net, copy in copies.items() for own in (0, 1)]
    return never | _never(small, [*differ, *(
        (*value, *one) for value in values if value not in never for one in differ)], known | never)


def _never(netlist: Netlist, situations: list, known: set) -> set:
    """The situations that induction keeps."""
    proof = Induction(netlist, situations, known)
    proof.close()
    return proof.never - known
