"""Charts as SVG text: points over two axes, the same bytes for the same numbers, no library."""

from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

__all__ = ["Axis", "Series", "chart"]

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 44, 96
COLUMNS = 3   # of the legend
# Told apart by colour-blind readers too (Okabe and Ito), and by shape.
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
SHAPES = ("circle", "square", "triangle", "diamond", "down", "cross")
FONT = 'font-family="sans-serif" font-size="12"'


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis.

    Parameters
    ----------
    label : str
    low, high : float
        Ends of the scale; of a logarithmic one above zero.
    log : bool
    names : tuple of str
        Places 0, 1, ... have these names instead of numbers.
    """

    label: str
    low: float
    high: float
    log: bool = False
    names: tuple = ()

    def __post_init__(self):
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"Axis {self.label!r} must rise, and be above 0 where it is "
                             f"logarithmic, not {self.low!r} to {self.high!r}")

    def place(self, value: float) -> float:
        """0 to 1 along the axis."""
        if self.log:
            return (log10(value) - log10(self.low)) / (log10(self.high) - log10(self.low))
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list:
        """(value, text) of each mark."""
        if self.names:
            return list(enumerate(self.names))
        if self.log:
            powers = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
            found = [m * 10.0 ** k for k in powers for m in (1, 2, 5)]
        else:
            rough = (self.high - self.low) / 6
            power = 10.0 ** floor(log10(rough))
            step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
            found = [k * step for k in range(ceil(self.low / step), floor(self.high / step) + 1)]
        slack = 1e-9
        return [(value, f"{value:g}") for value in found if -slack < self.place(value) < 1 + slack]

    @classmethod
    def around(cls, label: str, values, *, log: bool = False) -> "Axis":
        """An axis that holds all values: from 0, or from below the smallest if logarithmic."""
        values = list(values) or [1.0]
        if log:
            return cls(label=label, low=min(values) / 1.4, high=max(values) * 1.4, log=True)
        return cls(label=label, low=0.0, high=max(values) * 1.08)


@dataclass(frozen=True, kw_only=True)
class Series:
    """Points with one name.

    Parameters
    ----------
    name : str
    points : list of (x, y)
    line : bool
        Joined, in the order given.
    """

    name: str
    points: list
    line: bool = False


def _mark(shape: str, x: float, y: float, colour: str) -> str:
    r = 5
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" fill="{colour}"/>'
    around = {"square": ((-r, -r), (r, -r), (r, r), (-r, r)),
              "triangle": ((0, -r), (r, r), (-r, r)),
              "diamond": ((0, -r - 1), (r + 1, 0), (0, r + 1), (-r - 1, 0)),
              "down": ((-r, -r), (r, -r), (0, r)),
              "cross": ((-r, -2), (-2, -2), (-2, -r), (2, -r), (2, -2), (r, -2), (r, 2), (2, 2),
                        (2, r), (-2, r), (-2, 2), (-r, 2))}[shape]
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in around)
    return f'<polygon points="{points}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "middle", more: str = "") -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {FONT}{more}>'
            f"{escape(text)}</text>")


def chart(title: str, x: Axis, y: Axis, series: list) -> str:
    """An SVG document.

    Parameters
    ----------
    title : str
    x, y : Axis
    series : list of Series
        Each with a colour and a shape of its own; six at most.

    Raises
    ------
    ValueError
        If there are more series than colours.
    """
    if len(series) > len(COLOURS):
        raise ValueError(f"A chart must have at most {len(COLOURS)} series, not {len(series)}")
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(px: float, py: float) -> tuple:
        return LEFT + wide * x.place(px), TOP + high * (1 - y.place(py))

    body = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            _text(WIDTH / 2, 22, title, more=' font-weight="bold"')]
    for value, text in y.ticks():
        _, py = at(x.low, value)
        body += [f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{py:.1f}" y2="{py:.1f}" '
                 f'stroke="#ddd"/>', _text(LEFT - 8, py + 4, text, anchor="end")]
    for value, text in x.ticks():
        px, _ = at(value, y.low)
        body += [f'<line x1="{px:.1f}" x2="{px:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" '
                 f'stroke="#ddd"/>', _text(px, HEIGHT - BOTTOM + 18, text)]
    body += [f'<rect x="{LEFT}" y="{TOP}" width="{wide}" height="{high}" fill="none" '
             f'stroke="black"/>',
             _text(LEFT + wide / 2, HEIGHT - BOTTOM + 40, x.label),
             _text(0, 0, y.label, more=f' transform="translate(18 {TOP + high / 2:.1f}) '
                                       f'rotate(-90)"')]
    for k, line in enumerate(series):
        colour, shape = COLOURS[k], SHAPES[k]
        points = [at(*point) for point in line.points]
        if line.line and len(points) > 1:
            body.append('<polyline fill="none" stroke="{}" points="{}"/>'.format(
                colour, " ".join(f"{px:.1f},{py:.1f}" for px, py in points)))
        body += [_mark(shape, px, py, colour) for px, py in points]
        px, py = LEFT + wide * (k % COLUMNS) / COLUMNS, HEIGHT - 34 + 18 * (k // COLUMNS)
        body += [_mark(shape, px, py, colour), _text(px + 10, py + 4, line.name, anchor="start")]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'role="img" aria-label="{escape(title)}">\n' + "\n".join(body) + "\n</svg>\n")
