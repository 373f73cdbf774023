"""A core's Verilog as gates and flip-flops with the Verilog's own names, by Yosys."""

import json
import re
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from synth.tools import find_tool, run_tool

__all__ = ["Netlist", "compiled", "cone", "read_netlist"]

# A name that begins with $ is Yosys' own, to be thrown away: in the core's text they are names of
# signals like any other.
_OWN = "\\$", "\\own_name$"
_ABORT = re.compile(r"\$fatal\([^;]*\);|\$fatal;")     # in models: Yosys knows no such task
# In models: a reset that the core's blocks, which clear at the clock's edge, never have.
_CLEAR = re.compile(r", posedge clear_\w"), '.RESETMODE("ASYNC")'
_SCRIPT = """read_verilog core.v
setattr -set keep 1 w:*
hierarchy -top {top}
proc
flatten
opt_clean
memory_collect
{fewer}techmap
dffunmap
simplemap
opt_clean
write_json core.json
"""
# Of a vendor's memories, ports that never write and bits that nothing reads.
_FEWER = "opt_expr\nopt_mem\nopt_clean\n"
_MAP = "memory_map -keepdc\n"
_BOX = "chtype -set product t:$mul\n"      # a cell that no map knows
_GATES = {"$_AND_": "AB", "$_OR_": "AB", "$_XOR_": "AB", "$_MUX_": "ABS", "$_NOT_": "A"}


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """Nets are integers from 2; 0 and 1 are the constants. All flip-flops have one clock.

    Parameters
    ----------
    gates : list of (type, inputs, output)
    registers : dict of int to (int, int or None)
        Output -> (input, value at power-up).
    names : dict of str to list of int
        Hierarchical name, as "loader.data" -> its nets, the lowest first.
    boxes : list of (inputs, outputs)
        What is left out: products, and what is read of a memory. The same inputs give the same
        outputs, in a memory as long as nothing is written.
    writes : list of (enables, data, address)
        What is written to memories that are left out: an enable for each bit of the data.
    """

    gates: list
    registers: dict
    names: dict
    boxes: list = field(default_factory=list)
    writes: list = field(default_factory=list)


def read_netlist(verilog: str, top: str, folder: Path, *, blocks: bool = False,
                 boxed: bool = False) -> Netlist:
    """Elaborate, flatten and map to gates, memories included.

    Parameters
    ----------
    verilog : str
    top : str
    folder : Path
        Existing, for files.
    blocks : bool
        Whether there are a vendor's blocks in it.
    boxed : bool
        Leave memories and products out.
    """
    if _CLEAR[1] in verilog:
        raise RuntimeError(f"Blocks of the core must be reset by the clock, not {_CLEAR[1]}")
    text = _CLEAR[0].sub("", _ABORT.sub(";", verilog.replace(*_OWN)))
    (folder / "core.v").write_text(text)
    (folder / "core.ys").write_text(_SCRIPT.format(
        top=top, fewer=(_FEWER if blocks else "") + (_BOX if boxed else _MAP)))
    status, _, tail = run_tool(find_tool("yosys", native=False), ["-q", "-l", "yosys.log",
                                                                  "core.ys"], folder=folder)
    if status:
        raise RuntimeError("Yosys gave up on the core:\n" + "\n".join(tail[-20:]))
    module = json.loads((folder / "core.json").read_text())["modules"][top]
    undefined = count(1 << 30)      # each is a net of its own, which may be anything
    between = count(1 << 29)

    def nets(bits):
        return [bit if not isinstance(bit, str) else
                int(bit) if bit in "01" else next(undefined) for bit in bits]

    inits, names = {}, {}
    for name, net in module["netnames"].items():
        bits = nets(net["bits"])
        path, _, own = name.replace("own_name$", "$").rpartition(".")
        names[f"{path}.{own}" if path else own] = bits
        for bit, value in zip(bits, reversed(net["attributes"].get("init", "")), strict=False):
            if value in "01":
                inits[bit] = int(value)
    gates, registers, boxes, writes = [], {}, [], []
    for cell in module["cells"].values():
        ports = {port: nets(bits) for port, bits in cell["connections"].items()}
        if cell["type"] == "$_DFF_P_":
            registers[ports["Q"][0]] = ports["D"][0], inits.get(ports["Q"][0])
        elif cell["type"] in _GATES:
            gates.append((cell["type"], tuple(ports[p][0] for p in _GATES[cell["type"]]),
                          ports["Y"][0]))
        elif cell["type"] == "$_XNOR_":
            gates += [("$_XOR_", (ports["A"][0], ports["B"][0]), net := next(between)),
                      ("$_NOT_", (net,), ports["Y"][0])]
        elif cell["type"] == "product":
            boxes.append(((*ports["A"], *ports["B"]), tuple(ports["Y"])))
        elif cell["type"] == "$mem_v2":
            reads, written = _ports(cell["parameters"], ports)
            boxes += reads
            writes += written
        elif cell["type"] != "$scopeinfo":
            raise RuntimeError(f"The netlist holds a cell that is no gate: {cell['type']}")
    return _once(Netlist(gates=gates, registers=registers, names=names, boxes=boxes,
                         writes=writes))


def _once(netlist: Netlist) -> Netlist:
    """Gates each once: two of the same inputs are one, so that what is said of one holds of both.
    """
    makers, seen, order = {out: (kind, inputs) for kind, inputs, out in netlist.gates}, {0, 1}, []
    for out in makers:
        order += cone(makers, out, seen)[0]
    gates, one_of = {}, {}
    for kind, inputs, out in order:
        inputs = tuple(one_of.get(net, net) for net in inputs)
        if kind in ("$_AND_", "$_OR_", "$_XOR_"):
            inputs = tuple(sorted(inputs))
        one_of[out] = gates.setdefault((kind, inputs), out)

    def of(nets):
        return [one_of.get(net, net) for net in nets]

    return Netlist(
        gates=[(*gate, out) for gate, out in gates.items()],
        registers={out: (one_of.get(into, into), start)
                   for out, (into, start) in netlist.registers.items()},
        names={name: of(nets) for name, nets in netlist.names.items()},
        boxes=[(tuple(of(inputs)), outputs) for inputs, outputs in netlist.boxes],
        writes=[tuple(tuple(of(nets)) for nets in write) for write in netlist.writes])


def _ports(parameters: dict, ports: dict) -> tuple:
    """Of a memory, what is read and what is written, as in ``Netlist``."""
    wide, address = int(parameters["WIDTH"], 2), int(parameters["ABITS"], 2)
    if int(parameters["RD_CLK_ENABLE"], 2):
        raise RuntimeError("A memory's read port must be without a register")

    def words(port, bits):
        return [tuple(ports[port][at:at + bits]) for at in range(0, len(ports[port]), bits)]

    return ([*zip(words("RD_ADDR", address), words("RD_DATA", wide), strict=True)],
            [*zip(words("WR_EN", wide), words("WR_DATA", wide), words("WR_ADDR", address),
                  strict=True)])


def cone(makers: dict, net: int, seen: set, stop=()) -> tuple:
    """Gates before a net that are not in ``seen``, each behind its inputs; and where they begin.

    Parameters
    ----------
    makers : dict of int to (type, inputs)
        Of each net that a gate makes.
    net : int
    seen : set of int
        Takes all nets that are met.
    stop : set of int
        Nets that the cone begins at, whoever makes them.
    """
    order, begins, todo = [], [], [(net, False)]
    while todo:
        net, inputs_done = todo.pop()
        if inputs_done:
            order.append((*makers[net], net))
        elif net not in seen:
            seen.add(net)
            if net in makers and net not in stop:
                todo.append((net, True))
                todo += [(into, False) for into in makers[net][1]]
            else:
                begins.append(net)
    return order, begins


def compiled(lines: list, arguments: str) -> list:
    """Functions that run statements one after the other, in pieces that Python's compiler bears."""
    pieces = []
    for at in range(0, len(lines), 2000):
        space = {}
        exec(f"def piece({arguments}):\n" + "\n".join(f" {line}" for line in lines[at:at + 2000]),
             space)
        pieces.append(space["piece"])
    return pieces
