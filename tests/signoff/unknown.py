"""Verilog that hides no unknown bit, made by Yosys from a core's text.

Verilog's own `if` and `case` take an unknown condition for false, so that an unknown bit can be
lost on its way to an output. Here every choice is `?:`, which is unknown where its two sides differ
(``choices``), or every signal is two of two values each: the bits, and which are unknown
(``encoded``), so that any simulator will do.
"""

import re
from pathlib import Path

from sim.ports import read_ports
from synth.tools import find_tool, run_tool

from .power_up import modules

__all__ = ["PAYLOADS", "choices", "encoded", "payload_of", "zero_products"]

PAYLOADS = {"m_axis_tvalid": ("m_axis_tdata", "m_axis_tlast", "m_axis_tkeep"),
            "trace_h_valid": ("trace_h_index", "trace_h_data"),
            "trace_c_valid": ("trace_c_index", "trace_c_data")}

_FACTOR = r"(?:\$signed\((?:\\\S+ |\w+) ?\)|\\\S+ |\w+)"
_PRODUCT = re.compile(rf"(<?=) ({_FACTOR}) \* ({_FACTOR});")
_WRITE = re.compile(r"^    if \((.+)\)\n      ([^\s[]+)\[(.+?)\](\[\d+:\d+\])? <= (.+);$", re.M)
_OPEN = "proc; pmuxtree"  # no process is left: every choice is a multiplexer of two


def payload_of(output: str) -> str | None:
    """The output that must be high for this one to mean anything; None where it always does."""
    return next((valid for valid, names in PAYLOADS.items() if output in names), None)


def zero_products(text: str) -> str:
    """Products that are zero where a factor is.

    Verilog's product is unknown if any bit of a factor is. Words of several elements have places
    that nobody writes; they meet weights of zero.
    """
    return _PRODUCT.sub(r"\1 \2 === 0 || \3 === 0 ? 0 : \2 * \3;", text)


def _yosys(text: str, name: str, script: str, folder: Path, more: str = "") -> str:
    """What Yosys makes of a text."""
    # A check of the models; they are simulated as they are elsewhere.
    text = re.sub(r'\$fatal\(1, "[^"]*"\);', "begin end", text)
    (folder / "given.v").write_text(text + more)
    status, _, tail = run_tool(
        find_tool("yosys", native=False),
        ["-q", "-p", f"read_verilog given.v; hierarchy -top {name}; {script}; "
                     "write_verilog -noattr made.v"], folder=folder)
    if status:
        raise RuntimeError("Yosys gave up: " + "\n".join(tail[-5:]))
    return (folder / "made.v").read_text()


def _certain_writes(text: str) -> str:
    """A write that may happen makes its word unknown, one to an unknown place every word."""
    def write(found):
        enable, memory, address, part, data = found.groups(default="")
        return (f"    if ({enable} !== 1'b0) begin\n"
                f"      if ((^{address}) === 1'bx)\n"
                f"        for (place = 0; place < {depth[memory]}; place = place + 1)\n"
                f"          {memory}[place]{part} <= 'bx;\n"
                f"      else {memory}[{address}]{part} <= {enable} ? {data} : 'bx;\n    end")

    made = []
    for module in modules(text):
        depth = {name: int(last) + 1 for name, last in re.findall(
            r"^ *reg (?:\[\d+:0\] )?(\S+) \[(\d+):0\];$", module, re.M)}
        body, writes = _WRITE.subn(write, module)
        if writes:
            body = body.replace(";\n", ";\n  integer place;\n", 1)
        made.append(body)
    text = "\n".join(made) + "\n"
    left = [line for line in re.findall(r"^.*(?:\bif \(|\bcase|always @\*).*$", text, re.M)
            if "!== 1'b0)" not in line and "=== 1'bx)" not in line]
    if left:
        raise ValueError(f"A choice could hide an unknown bit: {left[0].strip()}")
    return text


def choices(text: str, manifest: dict, folder: Path) -> str:
    """The same core, every choice as `?:`, for a simulator with unknown bits.

    Parameters
    ----------
    text : str
        Verilog of the core with all that it instantiates.
    manifest : dict
    folder : Path
        Existing.
    """
    return _certain_writes(_yosys(text, manifest["name"], f"{_OPEN}; memory_collect; opt_clean",
                                  folder))


def _ports(ports) -> str:
    return ", ".join(f"{'input' if ports.directions[name] == 'in' else 'output'} "
                     f"[{width - 1}:0] {name}" for name, width in ports.widths.items())


def encoded(text: str, manifest: dict, folder: Path) -> tuple:
    """The same core in two values, with the same ports, that counts unknown outputs.

    The input word is unknown where none is offered, and so is `m_axis_tready` in a reset.
    ``status_errors`` of what comes back is 0 until an output is unknown behind the first reset,
    and from then on 1 + the output's number.

    Parameters
    ----------
    text, manifest, folder
        As for ``choices``.

    Returns
    -------
    text : str
    outputs : list of str
        By number.
    """
    ports, name = read_ports(manifest), manifest["name"]
    # Of a clock that might be unknown, Yosys' xprop would know no register.
    around = ", ".join(f".{port}({port}{' === 1' if port == 'clk' else ''})"
                       for port in ports.widths)
    made = _yosys(text, "known", f"{_OPEN}; flatten; opt_clean; memory; opt_clean; "
                  "xprop -required -split-ports known; opt_clean -purge", folder,
                  f"module known({_ports(ports)});\n  {name} core({around});\nendmodule\n")
    outputs = [port for port, direction in ports.directions.items() if direction == "out"]
    unknown = {"s_axis_tdata": "~s_axis_tvalid", "s_axis_tlast": "~s_axis_tvalid",
               "s_axis_tvalid": "rst", "m_axis_tready": "rst"}
    lines, connected = [], []
    for port, width in ports.widths.items():
        if port in outputs:
            valid = payload_of(port)
            lines += [f"wire [{width - 1}:0] {port}_x;",
                      f"wire bad_{port} = |{port}_x{f' & {valid}' if valid else ''};"]
            value = "errors" if port == "status_errors" else port
            connected += [f".{port}_d({value})", f".{port}_x({port}_x)"]
        else:
            mask = f"{{{width}{{{unknown[port]}}}}}" if port in unknown else f"{width}'b0"
            connected += [f".{port}_d({port})", f".{port}_x({mask})"]
    width = ports.widths["status_errors"]
    declared, first = "\n  ".join(lines), "0"
    for number, port in reversed(list(enumerate(outputs, 1))):
        first = f"bad_{port} ? {number} : {first}"
    return made + f"""
module {name}({_ports(ports)});
  wire [{width - 1}:0] errors;
  reg [{width - 1}:0] first = 0;
  reg armed = 0;
  {declared}
  known core({", ".join(connected)});
  assign status_errors = first != 0 ? first : errors;
  always @(posedge clk) begin
    if (rst) armed <= 1;
    if (armed && !rst && first == 0) first <= {first};
  end
endmodule
""", outputs
