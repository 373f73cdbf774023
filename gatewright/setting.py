"""What a choice among arrays depends on besides the network: clock, limits, options in common."""

from dataclasses import dataclass
from types import MappingProxyType

import synth
from hw.families import FAMILIES, PORTABLE, Family
from hw.pipeline import DEEP

__all__ = ["Limits", "Setting", "assumed_mhz", "family_of"]

# Clocks that time is given at where none is named, by pipeline (deep, shallow): below what routed
# cores of 16 lanes reach; for devices that nothing here places for, an assumption.
_ASSUMED_MHZ = MappingProxyType({
    "ecp5": (150.0, 60.0), "ice40": (35.0, 25.0), "gowin": (80.0, 32.0), "xc7": (150.0, 60.0),
    "xcup": (250.0, 100.0)})
_PACKED = 0.85  # of these: two products are taken apart in logic


def assumed_mhz(target: synth.Target, pipeline: str, *, pack: bool = False) -> float:
    """A clock that a core on this device is likely to reach."""
    return _ASSUMED_MHZ[target.family][pipeline != DEEP.name] * (_PACKED if pack else 1)


def family_of(target: synth.Target, *, portable: bool = False) -> Family:
    """Whose blocks a core for this device is placed with: the family's own, where it has a form."""
    return PORTABLE if portable else FAMILIES.get(target.family, PORTABLE)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a choice must keep to; None: no limit but the device's own.

    Parameters
    ----------
    deadline_us : float or None
        A step in the steady state.
    max_cycles : int or None
        A step in the steady state.
    max_dsp, max_bram : int or None
        Blocks that the core may take.
    """

    deadline_us: float | None = None
    max_cycles: int | None = None
    max_dsp: int | None = None
    max_bram: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"Limit {name} must be above zero, not {value!r}")

    @property
    def timed(self) -> bool:
        return self.deadline_us is not None or self.max_cycles is not None


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all arrays of a plan have in common.

    Parameters
    ----------
    argmax, wide, portable, protect : bool
        As for ``generate`` and ``synth``.
    load_weights : bool or None
        None: they are loaded where the device has memories that its bitstream cannot fill (SPRAM)
        and its block RAM is too small for them.
    clock_mhz : float or None
        Arrays that are shallow or packed run no faster than ``assumed_mhz``; None: that of each.
    """

    argmax: bool = False
    wide: bool = False
    portable: bool = False
    protect: bool = False
    load_weights: bool | None = None
    clock_mhz: float | None = None

    def __post_init__(self) -> None:
        if self.clock_mhz is not None and not 0 < self.clock_mhz <= 2000:
            raise ValueError(f"Clock must be above 0 and at most 2000 MHz, not {self.clock_mhz!r}")

    def mhz(self, target: synth.Target, pipeline: str, *, pack: bool = False) -> float:
        """The clock that time is counted at."""
        likely = assumed_mhz(target, pipeline, pack=pack)
        if self.clock_mhz is None:
            return likely
        plain = pipeline == DEEP.name and not pack
        return self.clock_mhz if plain else min(self.clock_mhz, likely)
