"""A top level with four pins around a core, so that pins do not limit where or how fast it runs.

Every input but clock and reset has a register, loaded from one bit of a serial shift register
whose neighbours are mixed by exclusive-or: in a plain one, a bit is the delayed copy of the bit
before it, and synthesis would merge it with the core's own input register. Every output is
registered and added by exclusive-or into another shift register, whose end is the output pin:
each bit flips that pin after a delay of its own, so that even equal bits (a sign extension) do
not cancel, and nothing that reaches an output is optimised away. No path from or to a pin
crosses logic.
"""

import re

__all__ = ["WRAPPER", "wrapper_luts", "wrapper_verilog"]

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
    return _render(*_bound(manifest, drop))


def wrapper_luts(manifest: dict, *, drop: tuple[str, ...] = ("trace_", "status_")) -> int:
    """LUTs of the wrapper alone: an exclusive-or for each bit behind the first, on both sides.

    Takes and raises what `wrapper_verilog` does.
    """
    _, _, n_in, n_out = _bound(manifest, drop)
    return n_in + n_out - 2


def _bound(manifest: dict, drop: tuple[str, ...]) -> tuple[str, list[str], int, int]:
    """The core's name, its port bindings, and how many bits go in and come out."""
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
            binds.append(f".{name}(core_i[{n_in + width - 1}:{n_in}])")
            n_in += width
        elif name.startswith(drop):
            binds.append(f".{name}()")
        else:
            binds.append(f".{name}(core_o[{n_out + width - 1}:{n_out}])")
            n_out += width
    if not n_in or not n_out:
        raise ValueError(f"Ports of {core!r} must hold data inputs and outputs, not {n_in} bits "
                         f"in and {n_out} bits out")
    return core, binds, n_in, n_out


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
    lines = [
        f"// Pins around {core}: {n_in} input bits shifted in, {n_out} output bits folded to one.",
        f"module {WRAPPER}(input clk, input rst, input serial_i, output reg serial_o);",
        "  reg rst_p, rst_q;",
        f"  reg [{n_in - 1}:0] shift, core_i;",
        f"  wire [{n_out - 1}:0] core_o;",
        f"  reg [{n_out - 1}:0] core_q, fold;",
        f"  {core} core (",
        ",\n".join(f"    {bind}" for bind in binds),
        "  );",
        "  reg serial_q;",
        "  always @(posedge clk) begin",
        "    rst_p <= rst;",
        "    rst_q <= rst_p;",
        "    serial_q <= serial_i;",
        "    shift <= {shift, serial_q} ^ ({shift, serial_q} << 1);",  # the oldest bit leaves
        "    core_i <= shift;",
        "    core_q <= core_o;",
        "    fold <= (fold << 1) ^ core_q;",
        f"    serial_o <= fold[{n_out - 1}];",
        "  end",
        "endmodule",
    ]
    return "\n".join(lines) + "\n"
