"""When the streams of a run move: random pauses, or a named pattern on each side."""

from dataclasses import dataclass

__all__ = ["ALWAYS", "PATTERNS", "Pattern", "Patterns", "Pauses"]

ALWAYS = "always"


@dataclass(frozen=True, kw_only=True)
class Pauses:
    """How often the streams pause; a pause never withdraws a word.

    Parameters
    ----------
    source, sink : int, 0 to 255
        Of 256: chance of a pause of up to 7 cycles, after each input word; on the output side in
        each cycle.
    long : bool
        Pauses that outlast a step as well, about one for every four steps.
    """

    source: int = 64
    sink: int = 64
    long: bool = True

    def __post_init__(self):
        for name in ("source", "sink"):
            value = getattr(self, name)
            if not isinstance(value, int) or not 0 <= value <= 255:
                raise ValueError(f"{name} must be an integer from 0 to 255, not {value!r}")
        if not (self.source or self.sink or self.long):
            raise ValueError("Pauses must pause something: give a density, or no Pauses at all")


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """The cycles in which a source may bring a new word, or a sink is ready; the first is none.

    A word that is offered stays offered; a sink takes its ready back when the pattern says so.

    Parameters
    ----------
    shut, opened : (least, spread)
        Spells in turn, of least to least + spread cycles, drawn; spread + 1 is a power of two.
        shut (0, 0): every cycle.
    chance : int, 0 to 65535
        Of 65536, in each cycle by itself, in place of spells.
    follows : bool
        In place of spells, for each word anew: a sink is ready in the cycle after it saw valid, a
        source offers in the cycle after it saw ready.
    """

    shut: tuple = (0, 0)
    opened: tuple = (0, 0)
    chance: int = 0
    follows: bool = False

    @property
    def slowest(self) -> int:
        """Cycles for which the pattern holds up a word, at most; of a chance, hardly ever more."""
        return 16 * 65536 // self.chance if self.chance else sum(self.shut) + 1 + self.follows


PATTERNS = {
    ALWAYS: Pattern(),
    "starved": Pattern(shut=(1000, 0), opened=(1, 1023)),
    "alternate": Pattern(shut=(1, 0), opened=(1, 0)),
    "pulses": Pattern(shut=(3, 15), opened=(1, 0)),
    "bursts": Pattern(shut=(1, 31), opened=(1, 31)),
    "random 10 %": Pattern(chance=6554),
    "random 50 %": Pattern(chance=32768),
    "random 90 %": Pattern(chance=58982),
    "follows": Pattern(follows=True),
}


@dataclass(frozen=True, kw_only=True)
class Patterns:
    """A named pattern on each side, and a stop of the source.

    Parameters
    ----------
    source, sink : str
        In ``PATTERNS``.
    stop : (word, cycles) or None
        The source stops for so many cycles before this input word, counted from 0; word 0 cannot be
        stopped.
    """

    source: str = ALWAYS
    sink: str = ALWAYS
    stop: tuple | None = None

    def __post_init__(self):
        for name in (self.source, self.sink):
            if name not in PATTERNS:
                raise ValueError(f"A pattern must be one of {', '.join(PATTERNS)}, not {name!r}")
        if self.stop is not None and min(self.stop) < 1:
            raise ValueError(f"A stop must be before word 1 or later, for 1 cycle or more, "
                             f"not {self.stop!r}")

    @property
    def sides(self) -> tuple:
        """The patterns of source and sink."""
        return PATTERNS[self.source], PATTERNS[self.sink]
