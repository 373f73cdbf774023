"""A core's Verilog without the values that its registers and memories have at power-up.

What is left must come from the reset. Contents of memories that nothing writes (weights, tables)
stay: they are part of the design.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from sim.models import with_models

__all__ = ["Bare", "bare", "join", "modules"]

_MODULE = re.compile(r"^module .*?^endmodule$", re.S | re.M)
_REGISTER = re.compile(r"^( *reg (?:signed )?(?:\[\d+:0\] )?)(\S[^;\[]*? = [^;]*);$", re.M)
_OTHER_NAME = re.compile(r"^ *\(\* init = [^*]* \*\)\n", re.M)  # a wire's, for a register
_MEMORY = re.compile(r"^ *reg (?:\[\d+:0\] )?(\S+) \[\d+:0\];$", re.M)
# A register of the writer's own: in Verilog of before 2012 its power-up value is what makes an
# `always @*` run at the beginning.
_STARTER = re.compile(r"\\\$auto\$verilog_backend")


@dataclass(frozen=True, kw_only=True)
class Bare:
    """What is left of a Verilog text.

    Parameters
    ----------
    text : str
    registers, memories : int
        Those that have lost their values.
    contents : int
        Memories that have kept theirs.
    """

    text: str
    registers: int
    memories: int
    contents: int


def modules(text: str) -> list:
    """The modules of a Verilog text, each as text."""
    return _MODULE.findall(text)


def join(rtl: Path, manifest: dict, folder: Path) -> tuple:
    """Text with the models of vendor blocks behind it, and a manifest that asks for none."""
    text = with_models(rtl, manifest, folder).read_text(encoding="utf-8")
    return text, manifest | {"primitives": []}


def bare(text: str) -> Bare:
    """Take away every power-up value but the contents of memories that nothing writes.

    Parameters
    ----------
    text : str
        As Amaranth writes it, with this project's models of vendor blocks behind it or not.

    Raises
    ------
    ValueError
        If a memory is written and has contents other than zero, or if a value would be left.
    """
    counts = {"registers": 0, "memories": 0, "contents": 0}

    def register(found):
        if _STARTER.match(found[2]):
            return found[0]
        names = re.sub(r" = [^,;]+", "", found[2])
        counts["registers"] += names.count(",") + 1
        return f"{found[1]}{names};"

    def module(found):
        body = _REGISTER.sub(register, found[0])
        for name in _MEMORY.findall(body):
            words = rf"  initial begin\n(?:    {re.escape(name)}\[\d+\] = \S+;\n)+  end\n"
            contents = re.search(words, body)
            if contents is None:
                continue
            if not re.search(rf"^ +{re.escape(name)}\[.*<=", body, re.M):
                counts["contents"] += 1
                continue
            if re.search(r"'h0*[1-9a-f]", contents[0]):
                raise ValueError(f"Memory {name} of {body.splitlines()[0]} is written and has "
                                 "contents: one of both must go")
            counts["memories"] += 1
            body = body.replace(contents[0], "")
        return body

    text = _MODULE.sub(module, _OTHER_NAME.sub("", text))
    # The model of a block memory: contents are those of its parameters, if there are any.
    text = text.replace("bytes[k] = INIT[", "if (|INIT) bytes[k] = INIT[")
    left = [line for line in re.findall(r"^ *reg .* = .*;$", text, re.M)
            if not _STARTER.search(line)]
    if left:
        raise ValueError(f"A register keeps its power-up value: {left[0].strip()}")
    return Bare(text=text, **counts)
