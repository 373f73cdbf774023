"""Of the points that no run has reached, those that no run can reach: by which rule, and proved."""

import re
from pathlib import Path

from .coverage_points import Point
from .coverage_text import Situations, whole_memories
from .induction import Induction
from .netlist import Netlist, read_netlist
from .netlist_states import apart
from .pipelines import known_of_control
from .products import find_products, without_products
from .waivers import CONSTANT, NEVER, PASSED, ROM, SETTLED, START
from .windows import in_windows

__all__ = ["waive"]

FLAG = "$auto$verilog_backend"
LARGE = 200_000     # gates: of a larger core, those of products are left out of the induction


def _from_inputs(netlist: Netlist) -> set:
    """Nets that change with an input in the same cycle."""
    made = {out for *_, out in netlist.gates} | set(netlist.registers)
    readers, todo = {}, []
    for _, inputs, out in netlist.gates:
        for net in inputs:
            readers.setdefault(net, []).append(out)
            if net > 1 and net not in made:
                todo.append(net)
    seen = set(todo)
    while todo:
        for out in readers.get(todo.pop(), ()):
            if out not in seen:
                seen.add(out)
                todo.append(out)
    return seen


class _Nets:
    """The net of each point that is about a bit."""

    def __init__(self, netlist: Netlist):
        self._names = netlist.names

    def of(self, point: Point) -> int | None:
        name, bit = point.net
        nets = self._names.get(name)
        if nets is None or (bit is None and len(nets) != 1) or (bit or 0) >= len(nets):
            return None
        return nets[bit or 0]


def _cells(netlist: Netlist, missed: set) -> list:
    """Values of a memory's bits of which what is read has points that are missed.

    Verilator looks at no bits of a large memory, but what is read hangs on them.
    """
    found = []
    for name, nets in netlist.names.items():
        if memory := re.fullmatch(r"(.*\.)?memory\[\d+\]", name):
            read = netlist.names.get(f"{memory[1] or ''}r_data", ())
            found += [((net, value),) for net, out in zip(nets, read, strict=False)
                      if out in missed for value in (0, 1)]
    return found


def waive(points: dict, verilog: str, models: str, top: str, folder: Path) -> tuple:
    """Rules for points.

    Parameters
    ----------
    points : dict of Point to int
        How often each was reached.
    verilog, models : str
        The core; the models of a vendor's blocks behind it.
    top : str
    folder : Path
        For files.

    Returns
    -------
    waived : dict of Point to str
        Points that were not reached, and the rule that waives them.
    hit : dict of str to list of str
        For each rule, points that it would waive and that were reached.
    """
    lines = verilog.splitlines()
    written = _written(lines)
    netlist = read_netlist(whole_memories(lines, written) + models, top, folder,
                           blocks=bool(models.strip()))
    nets, situations = _Nets(netlist), Situations(verilog, netlist.names)
    waived, ways, bits = {}, {}, {}
    hit = {START: [str(point) for point, count in points.items()
                   if count and _starts(point, lines)],
           ROM: [str(point) for point, count in points.items()
                 if count and _is_rom(point, lines, written)]}
    for point, count in points.items():
        if count:
            continue
        if _starts(point, lines):
            waived[point] = START
        elif _is_rom(point, lines, written):
            waived[point] = ROM
        elif point.kind == "toggle":
            bits[point] = nets.of(point)
        else:
            ways[point] = situations.of(point)
    wanted = [((net, value),) for net in bits.values() if net is not None for value in (0, 1)]
    wanted += [way for some in ways.values() for way in some or ()]
    cells = _cells(netlist, set(bits.values()))
    known = known_of_control(netlist, verilog, top)
    products = find_products(verilog, top, netlist.names)
    gates = without_products(netlist, products) if len(netlist.gates) > LARGE else netlist
    proof = Induction(gates, [*dict.fromkeys([*wanted, *cells, *apart(netlist)])], known)
    constant = {net for net in bits.values() if net is not None
                and any(proof.impossible(((net, value),)) for value in (0, 1))}
    at_once = _from_inputs(netlist)
    for point, net in bits.items():
        if net in constant:
            waived[point] = CONSTANT
        elif net is not None and net not in at_once and not proof.follows(net, int(point.rises)):
            waived[point] = SETTLED
    for point, some in ways.items():
        if some is not None and all(map(proof.impossible, some)):
            waived[point] = NEVER
    proof.close()
    bits = {point: net for point, net in bits.items() if net is not None and point not in waived}
    ways = {point: some for point, some in ways.items() if some and point not in waived}
    cells = [cell for cell in cells if cell not in proof.never]
    passed, still = in_windows(
        netlist, products, proof.never,
        [*(((net, value),) for net in bits.values() for value in (0, 1)),
         *(way for some in ways.values() for way in some), *cells],
        [*((net, int(point.rises)) for point, net in bits.items() if net not in at_once),
         *(one for one, in cells)])
    # What hangs on the sum of all that was, as a counter of what never is.
    last = Induction(gates, [((net, value),) for net in bits.values() for value in (0, 1)],
                     proof.never | passed, netlist.names["rst"][0])
    later = {net for net in bits.values() for value in (0, 1) if last.impossible(((net, value),))}
    waived |= {point: PASSED for point, net in bits.items()
               if net in later or (net, int(point.rises)) in still
               or net not in at_once and not last.follows(net, int(point.rises))}
    waived |= {point: PASSED for point, some in ways.items() if all(map(last.impossible, some))}
    last.close()
    # Another name of such a bit, or another expression of the same, was reached: no proof holds.
    for rule, those in ((CONSTANT, constant), (PASSED, later)):
        hit[rule] = [str(point) for point, count in points.items()
                     if count and point.kind == "toggle" and nets.of(point) in those]
    return waived, hit


def _starts(point: Point, lines: list) -> bool:
    """Whether a point is of the flag that starts ``always @*``."""
    if point.kind == "toggle":
        return point.what.startswith(FLAG)
    return point.what == "if" and f"if (\\{FLAG}" in lines[point.line - 1]


def _written(lines: list) -> set:
    """Lines that declare a memory which the module writes."""
    declared, written = {}, set()
    for number, text in enumerate(lines, 1):
        if text.startswith("module "):
            declared = {}
        elif found := re.fullmatch(r"  reg \[[\d:]+\] (\S+) +\[[\d:]+\];", text):
            declared[found[1]] = number
        elif (found := re.match(r"\s+(\S+?)\[.*<= ", text)) and found[1] in declared:
            written.add(declared[found[1]])
    return written


def _is_rom(point: Point, lines: list, written: set) -> bool:
    return (point.kind == "toggle" and point.line not in written
            and re.fullmatch(r"  reg \[[\d:]+\] \S+ +\[[\d:]+\];", lines[point.line - 1])
            is not None)
