"""Points of code coverage: Verilator's file of them, and what their text is in the Verilog."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

__all__ = ["KINDS", "Point", "read_points"]

KINDS = ("line", "branch", "expr", "toggle")
_ESCAPE = re.compile(r"__0([0-9a-fA-F]{2})")


@dataclass(frozen=True, kw_only=True)
class Point:
    """One thing to reach.

    Parameters
    ----------
    kind : str
        Of ``KINDS``.
    module : str
        Its place in the hierarchy below the top, as "array.lane0"; "" for the top itself.
    line, column : int
        In the Verilog.
    what : str
        What is to be reached there: "if", "else", "case", "cond_then"...; the values of an
        expression; or a bit and which way it changes, as "data[3]:0->1".
    """

    kind: str
    module: str
    line: int
    column: int
    what: str

    @property
    def net(self) -> tuple:
        """(name of the bit's signal with its place below the top, index of the bit or None)."""
        signal = self.what.rpartition(":")[0]
        found = re.fullmatch(r"(.*?)(?:\[(\d+)\])?", signal)
        path = f"{self.module}." if self.module else ""
        return path + found[1], None if found[2] is None else int(found[2])

    @property
    def rises(self) -> bool:
        """True for a bit's way from 0 to 1."""
        return self.what.endswith(":0->1")

    @property
    def name(self) -> str:
        """Without its line, which moves with whatever stands above it."""
        return f"{self.kind} {self.module or 'top'} {self.what}"

    def __str__(self) -> str:
        return f"{self.kind} {self.module or 'top'}:{self.line}: {self.what}"


@lru_cache(maxsize=1 << 19)     # the same lines are read again and again, with other counts
def _point(text: str) -> tuple:
    """The point that a line is about, without its count, and the point's line in the Verilog."""
    fields = dict(part.split("\2", 1) for part in text.split("\1") if part)
    kind, hierarchy = fields["page"].split("/")[0].removeprefix("v_"), fields["h"]
    what = _ESCAPE.sub(lambda code: chr(int(code[1], 16)), fields["o"])
    return Point(kind=kind, module=hierarchy.partition(".")[2], line=int(fields["l"]),
                 column=int(fields["n"]), what=what), "*" in hierarchy


def read_points(path: Path, lines: int) -> dict:
    """Point -> how often it was reached, from a file that Verilator wrote.

    Parameters
    ----------
    path : Path
    lines : int
        Of the core: what comes behind them are models of a vendor's blocks, which nobody ships.

    Raises
    ------
    ValueError
        If a line of the file is not what it should be, or a point is of several instances.
    """
    points = {}
    for text in Path(path).read_text(encoding="utf-8").splitlines():
        if text.startswith("#"):
            continue
        what, quote, count = text.removeprefix("C '").rpartition("' ")
        if not (text.startswith("C '") and quote and count.isdigit()):
            raise ValueError(f"{path}: a line of coverage must be C '...' count, not {text!r}")
        point, several = _point(what)
        if point.line > lines:
            continue
        if point.kind not in KINDS or several:
            raise ValueError(f"{path}: unknown kind or several instances: {point.kind} "
                             f"{point.module}")
        points[point] = points.get(point, 0) + int(count)
    return points
