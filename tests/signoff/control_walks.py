"""The loader's registers that say which walk over a stored sequence runs, beside those they steer.

Were they left open, a walk could change into another in any cycle, and the sequencer and the drain
would have more states than can be gone through.
"""

from .netlist import Netlist, cone

__all__ = ["fold", "follow"]

WIDE = 5        # bits of a word that counts, or is an address


def _wide(netlist: Netlist, module: str) -> dict:
    """Register -> the long word of the module that it is in."""
    return {net: tuple(nets) for name, nets in netlist.names.items()
            if name.startswith(f"{module}.") and len(nets) >= WIDE
            and all(net in netlist.registers for net in nets) for net in nets}


def follow(netlist: Netlist, kept: set, module: str, free: set) -> set:
    """The module's registers that some others hang on.

    But for words that other words are loaded into, as how long a sequence is, and for what hangs on
    a port of the core other than the reset: those may be anything.

    Parameters
    ----------
    netlist : Netlist
    kept : set of int
        The others.
    module : str
    free : set of int
        Registers of the module that may be taken.
    """
    makers, wide = {out: (kind, inputs) for kind, inputs, out in netlist.gates}, _wide(netlist,
                                                                                      module)
    ports = {net for name, nets in netlist.names.items() if "." not in name and name != "rst"
             for net in nets if net not in makers and net not in netlist.registers and net > 1}
    ports -= set(netlist.names["rst"])

    def before(register):
        return cone(makers, netlist.registers[register][0], {0, 1})[1]

    found, todo = set(), list(kept)
    while todo:
        for net in before(todo.pop()):
            if net in free and net not in kept | found:
                begins = before(net)
                loaded = net in wide and any(wide.get(one, wide[net]) != wide[net]
                                             for one in begins)
                if not loaded and not ports & set(begins):
                    found.add(net)
                    todo.append(net)
    return found


def fold(netlist: Netlist, kept: set) -> set:
    """Nets at which the gates before registers are cut: each hangs on other registers alone, on
    several of them, and gates behind it do not. Each may be anything then.
    """
    makers, order, seen = {out: (kind, inputs) for kind, inputs, out in netlist.gates}, [], set()
    for register in kept:
        order += cone(makers, netlist.registers[register][0], seen | kept)[0]
        seen |= {out for *_, out in order}
    hangs_on = {}
    for _, inputs, out in order:
        leaves = set().union(*(hangs_on.get(net, {net}) for net in inputs if net > 1))
        inside = leaves & kept or None in leaves or any(
            net not in netlist.registers for net in leaves)
        hangs_on[out] = {None} if inside else leaves
    folded = {out for out, leaves in hangs_on.items() if None not in leaves and len(leaves) > 1}
    # The opposite of one is no other: both are never 1.
    folded -= {out for kind, inputs, out in order if kind == "$_NOT_" and inputs[0] in folded}
    read = {netlist.registers[register][0] for register in kept}
    read |= {net for _, inputs, out in order if out not in folded for net in inputs}
    return folded & read
