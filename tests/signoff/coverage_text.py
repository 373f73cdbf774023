"""When a line, branch or expression is reached: the values that nets must have, from the text.

The text is what Yosys writes: a statement a line, conditions that are signals or parts of them.
"""

import re
from itertools import product

from .coverage_points import Point

__all__ = ["Situations", "whole_memories"]

_NAME = r"\\\S+(?: |$)|[A-Za-z_]\w*"
_SIGNAL = re.compile(rf"({_NAME})\s*((?:\[[\d:]+\]\s*)*)")
_TERM = re.compile(r"([^()&|=\s]+)==([01])")
_MEMORY = re.compile(r"(  reg \[[\d:]+\] (\S+) +)\[(\d+):0\];")
_JOINED = re.compile(r"\{32'h1(\{[^\[\]]*\})\}\[(\d+)\]")     # signals in braces, once; a bit
MOST = 256     # ways of reaching a point that are looked at


def _select(nets: list, selects: str) -> list:
    """Parts of parts: [7:4][1] of eight nets is the sixth."""
    for high, low in re.findall(r"\[(\d+)(?::(\d+))?\]", selects):
        nets = nets[int(low or high):int(high) + 1]
    return nets


def _patterns(text: str) -> list:
    """Of a case's item, as bits from the lowest; ? stands for either."""
    found = []
    for width, base, digits in re.findall(r"(\d+)'([hbd])([\da-fA-F?]+)", text):
        bits = (digits if base == "b" else f"{int(digits, 16 if base == 'h' else 10):b}")
        found.append(bits.zfill(int(width))[::-1])
    return found


class Situations:
    """Of a core's Verilog.

    Parameters
    ----------
    verilog : str
    names : dict of str to list of int
        As ``Netlist.names``.
    """

    def __init__(self, verilog: str, names: dict):
        self._lines, self._names = verilog.splitlines(), names
        self._paths = self._read()

    def _read(self) -> list:
        """For each line, the conditions around it, and its own; a condition is a tuple.

        ("if", signal, wanted) or ("case", selector, item, items above).
        """
        paths, stack, single = [], [], None
        for text in map(str.strip, self._lines):
            own = None
            if single is not None:           # the statement of an if without begin
                paths.append(([*stack, single], None))
                single = None
                continue
            if text.startswith("end else"):
                taken = stack.pop()
                stack.append([*taken[:-1], (*taken[-1][:2], False)])
            around = [part for frame in stack for part in frame]
            if found := re.match(r"(?:end else )?if \((.*?)\)( begin)?( end)?$", text):
                own = ("if", found[1], True)
                chained = stack.pop() if text.startswith("end else") else []
                if not found[2]:
                    single = own
                elif not found[3]:
                    stack.append([*chained, own])
                around = [part for frame in stack for part in frame]
                if found[2] and not found[3]:
                    around = around[:-1]
            elif text == "end else begin":
                pass
            elif found := re.match(r"casez? \((.*)\)$", text):
                stack.append([("case", found[1], "", [])])
            elif re.match(r"(\d+'[hbd][\da-fA-F?]+(, )?)+:$", text) or text == "default:":
                _, selector, item, above = stack[-1][0]
                above = above + ([item] if item else [])
                own = ("case", selector, text, above)
                stack[-1] = [own]
                around = [part for frame in stack for part in frame]
            elif text in ("end", "endcase"):
                stack.pop()
            elif text == "begin" or text.endswith(" begin"):
                stack.append([])
            paths.append((around, own))
        if stack:
            raise ValueError(f"Blocks of the Verilog do not close: {stack[-1]}")
        return paths

    def _bits(self, module: str, text: str) -> list | None:
        """Nets of a signal, a part of one, or several in braces, the lowest first."""
        nets = []
        for name, selects in reversed(_SIGNAL.findall(text)):
            own = name.strip().removeprefix("\\")
            whole = self._names.get(f"{module}.{own}" if module else own)
            if whole is None:
                return None
            nets += _select(whole, selects)
        return nets or None

    def _ways(self, module: str, condition: tuple) -> list | None:
        """Ways in which a condition holds, each a tuple of (net, value)."""
        nets = self._bits(module, condition[1])
        if nets is None:
            return None
        if condition[0] == "if":
            if condition[2]:
                return [((net, 1),) for net in nets]
            return [tuple((net, 0) for net in nets)]
        patterns = _patterns(condition[2])
        if condition[2] == "default:":
            if len(nets) > 8:
                return None
            taken = [pattern for item in condition[3] for pattern in _patterns(item)]
            patterns = ["".join(bits) for bits in product("01", repeat=len(nets)) if not any(
                all(p in ("?", b) for p, b in zip(pattern, bits, strict=True))
                for pattern in taken)]
        return [tuple((net, int(bit)) for net, bit in zip(nets, pattern, strict=True)
                      if bit != "?") for pattern in patterns]

    def _all(self, module: str, conditions: list) -> list | None:
        """Ways in which all conditions hold at once."""
        ways = [()]
        for condition in conditions:
            more = self._ways(module, condition)
            if more is None or len(ways) * len(more) > MOST:
                return None
            ways = [a + b for a in ways for b in more]
        return ways

    def _apart(self, point: Point) -> str:
        """An expression with the signal itself in place of a bit of several in braces."""
        def one(found):
            names = re.findall(r"[^{},\s]+", found[1])[::-1]
            each = [self._bits(point.module, f"\\{name} ") for name in names]
            single = all(nets is not None and len(nets) == 1 for nets in each)
            return names[int(found[2])] if single and int(found[2]) < len(names) else found[0]

        return _JOINED.sub(one, point.what)

    def of(self, point: Point) -> list | None:
        """Situations of which one must be there for a point to be reached; None: not known."""
        if point.kind == "expr":
            cube = []
            for signal, value in _TERM.findall(self._apart(point)):
                found = re.fullmatch(r"(.*?)((?:\[[\d:]+\])*)", signal)
                nets = self._bits(point.module, f"\\{found[1]} {found[2]}")
                if nets is None or len(nets) != 1:
                    return None
                cube.append((nets[0], int(value)))
            return [tuple(cube)] if cube else None
        around, own = self._paths[point.line - 1]
        if point.what in ("cond_then", "cond_else"):
            text = self._lines[point.line - 1]
            signal = text[:text.index("?")].rpartition(" = ")[2].strip()
            if not _SIGNAL.fullmatch(signal):
                return None
            return self._all(point.module, [*around, ("if", signal, point.what == "cond_then")])
        if own is None:
            return None
        if point.what in ("if", "elsif"):
            return self._all(point.module, [*around, own])
        if point.what == "else":
            return self._all(point.module, [*around, (*own[:2], False)])
        return self._all(point.module, around) if point.what == "case" else None


def whole_memories(lines: list, written: set) -> str:
    """The core, its memories that nothing writes with a power of two of words.

    What is read behind the last word, by an address that has run to its end, is 0, as Verilator has
    it; to Yosys it may be anything. Nothing takes it up.
    """
    text, more = [], ()
    for number, line in enumerate(lines, 1):
        if number not in written and (found := _MEMORY.fullmatch(line)):
            words = int(found[3]) + 1
            last = (1 << (words - 1).bit_length()) - 1
            line = f"{found[1]}[{last}:0];"
            more = [f"    {found[2]}[{k}] = 0;" for k in range(words, last + 1)]
        text.append(line)
        if more and line == "  initial begin":
            text, more = text + more, ()
    return "\n".join(text) + "\n"
