"""What never is in the control's registers, nor in their copies some cycles later."""

import re
from itertools import product

from .control_credits import credit_facts
from .control_never import never_in
from .control_states import SECONDS, find_parts, states_of
from .netlist import Netlist

__all__ = ["carried", "known_of_control"]

STAGES = 64             # of a pipeline


def carried(netlist: Netlist, never: set) -> set:
    """The same situations of registers that hold what those of a situation held a cycle before.

    All of them with a reset to a value, or none; and the situation is there neither at power-up nor
    behind a reset.
    """
    makers, reset = {out: (kind, inputs) for kind, inputs, out in netlist.gates}, netlist.names[
        "rst"][0]
    stages, copies = {}, {}        # what comes before a register; (net, with a reset) -> copies
    for name, nets in netlist.names.items():
        if found := re.match(r"(.*)_q\d+$", name):
            for net in nets:
                if net in netlist.registers:
                    stages.setdefault(net, found[1])
    for net, stage in stages.items():
        before = netlist.registers[net][0]
        kind, inputs = makers.get(before, (None, ()))
        with_reset = kind == "$_MUX_" and inputs[2] == reset and inputs[1] in (0, 1)
        copies.setdefault((inputs[0] if with_reset else before, with_reset), {}).setdefault(
            stage, []).append((net, inputs[1] if with_reset else None))
    found, new = set(), never
    for _ in range(STAGES):
        moved = set()
        for cube, with_reset in product(new, (False, True)):
            rows = [copies.get((net, with_reset), {}) for net, _ in cube]
            for stage in set.intersection(*map(set, rows)):
                # Two fields of a stage may hold the same.
                for k in range(max(len(row[stage]) for row in rows)):
                    each = [row[stage][min(k, len(row[stage]) - 1)] for row in rows]
                    later = tuple((net, value)
                                  for (net, _), (_, value) in zip(each, cube, strict=True))
                    if any(netlist.registers[net][1] not in (None, value)
                           for net, value in later) and not (with_reset and all(
                            start == value for (_, start), (_, value)
                            in zip(each, cube, strict=True))):
                        moved.add(later)
        new = moved - found
        found |= new
        if not new:
            break
    return found


def known_of_control(netlist: Netlist, verilog: str, top: str,
                     seconds: float = SECONDS) -> set:
    """Situations that no state of the control has, and those of its copies.

    A part whose states take longer is left out, or a smaller one stands for it.
    """
    known = set()
    for parts in find_parts(netlist, verilog, top):
        for part in parts:
            states = states_of(netlist, part, seconds=seconds)
            if states is not None:
                known |= never_in(netlist, part, states)
                break
    known |= credit_facts(netlist, verilog, top, known, seconds)
    return known | carried(netlist, known)
