"""A top level with four pins around a core, so that pins do not limit where or how fast it runs.

Every input but clock and reset is one bit of a serial shift register; every output is registered
and folded by exclusive-or, four bits a level with a register at each, into one pin. Each output
bit can flip that pin, so nothing that reaches an output is optimised away, and no path from or to
a pin crosses logic.
"""

import re

__all__ = ["WRAPPER", "wrapper_verilog"]

WRAPPER = "gatewright_pins"
_CLOCKS = ("clk", "aclk")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*\Z")


def wrapper_verilog(manifest: dict, *, drop: tuple[str, ...] = ("trace_", "status_")) -> str:
    """Verilog of the wrapper module, named `WRAPPER`; the same manifest gives the same text.

    Parameters
    ----------
    manifest : dict
        "name" : str, the core's module; "ports" : list of {"name", "direction" ("in" or "out"),
        "width"}.
    drop : tuple of str
        Outputs whose names start so stay unconnected, and the logic that only they need goes.

    Raises
    ------
    ValueError
        If a port is malformed, there is no clock, or no input or output is left to connect.
    """
    core, ports = _checked(manifest)
    clocks = [name for name, *_ in ports if name in _CLOCKS]
    if len(clocks) != 1:
        raise ValueError(f"Ports of {core!r} must hold one clock named clk or aclk, not {clocks!r}")
    binds, n_in, n_out = [f".{clocks[0]}(clk)"], 0, 0
    for name, direction, width in ports:
        if name in clocks:
            continue
        if name == "rst" and width == 1:
            binds.append(".rst(rst_q)")
        elif direction == "in":
            binds.append(f".{name}(shift[{n_in + width - 1}:{n_in}])")
            n_in += width
        elif name.startswith(drop):
            binds.append(f".{name}()")
        else:
            binds.append(f".{name}(core_o[{n_out + width - 1}:{n_out}])")
            n_out += width
    if not n_in or not n_out:
        raise ValueError(f"Ports of {core!r} must hold data inputs and outputs, not {n_in} bits "
                         f"in and {n_out} bits out")
    return _render(core, binds, n_in, n_out)


def _checked(manifest: dict) -> tuple[str, list[tuple[str, str, int]]]:
    core, ports = manifest.get("name"), manifest.get("ports")
    if not isinstance(core, str) or not _NAME.match(core):
        raise ValueError(f"Manifest's name must be a Verilog identifier, not {core!r}")
    if not isinstance(ports, list) or not ports:
        raise ValueError(f"Manifest's ports must be a list with entries, not {ports!r}")
    rows = []
    for port in ports:
        row = tuple(port.get(key) for key in ("name", "direction", "width")) \
            if isinstance(port, dict) else (None, None, None)
        name, direction, width = row
        if not (isinstance(name, str) and _NAME.match(name) and direction in ("in", "out")
                and isinstance(width, int) and not isinstance(width, bool) and width > 0):
            raise ValueError(f"Port must have a name, a direction in or out, and a positive "
                             f"width, not {port!r}")
        rows.append(row)
    names = [name for name, *_ in rows]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"Port names must differ, not {twice!r} twice")
    return core, rows


def _render(core: str, binds: list[str], n_in: int, n_out: int) -> str:
    declare, fold, level, width = [], [], "core_q", n_out
    for idx in range(32):
        if width == 1:
            break
        groups = [(low, min(low + 4, width)) for low in range(0, width, 4)]
        declare.append(f"  reg [{len(groups) - 1}:0] fold_{idx};")
        fold += [f"    fold_{idx}[{n}] <= ^{level}[{high - 1}:{low}];"
                 for n, (low, high) in enumerate(groups)]
        level, width = f"fold_{idx}", len(groups)
    lines = [
        f"// Pins around {core}: {n_in} input bits shifted in, {n_out} output bits folded to one.",
        f"module {WRAPPER}(input clk, input rst, input serial_i, output reg serial_o);",
        "  reg rst_p, rst_q;",
        f"  reg [{n_in - 1}:0] shift;",
        f"  wire [{n_out - 1}:0] core_o;",
        f"  reg [{n_out - 1}:0] core_q;",
        *declare,
        f"  {core} core (",
        ",\n".join(f"    {bind}" for bind in binds),
        "  );",
        "  reg serial_q;",
        "  always @(posedge clk) begin",
        "    rst_p <= rst;",
        "    rst_q <= rst_p;",
        "    serial_q <= serial_i;",
        f"    shift <= {{shift[{n_in - 2}:0], serial_q}};" if n_in > 1
        else "    shift <= serial_q;",
        "    core_q <= core_o;",
        *fold,
        f"    serial_o <= {level}[0];",
        "  end",
        "endmodule",
    ]
    return "\n".join(lines) + "\n"
