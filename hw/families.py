"""Device families: who builds the multipliers and the memories, and how far one register reaches.

Every family has the same blocks with the same latencies, so that a program's schedule does not
depend on its device and the golden results do not either.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from . import ecp5, ice40
from .blocks import Multiplier, Ram

__all__ = ["ECP5", "FAMILIES", "ICE40", "PORTABLE", "Family", "family_named"]


@dataclass(frozen=True, kw_only=True)
class Family:
    """The blocks of a device family.

    Parameters
    ----------
    name : str
    multiplier : callable of (a_width, b_width)
        Makes a component with the ports and the latency of ``blocks.Multiplier``.
    ram : callable
        Makes a component with the arguments, ports and latency of ``blocks.Ram``.
    group : int
        Lanes that share a copy of the broadcast vector element. Each group works one cycle after
        the group before it: copies that are equal in time would be merged by synthesis.
    primitives : tuple of str
        Vendor cells that the Verilog instantiates; empty where it is plain Verilog.
    """

    name: str
    multiplier: Callable = field(repr=False)
    ram: Callable = field(repr=False)
    group: int
    primitives: tuple = ()


# Where registers are not inside the blocks, they are near no more than two of them.
PORTABLE = Family(name="portable", multiplier=Multiplier, ram=Ram, group=2)
ECP5 = Family(name="ecp5", multiplier=ecp5.make_multiplier, ram=ecp5.make_ram, group=4,
              primitives=ecp5.PRIMITIVES)
ICE40 = Family(name="ice40", multiplier=ice40.make_multiplier, ram=ice40.make_ram, group=8,
               primitives=ice40.PRIMITIVES)
FAMILIES = {family.name: family for family in (PORTABLE, ECP5, ICE40)}


def family_named(name: str) -> Family:
    """The family of that name.

    Raises
    ------
    ValueError
        If there is none; the message lists those there are.
    """
    if name not in FAMILIES:
        raise ValueError(f"Family must be one of {', '.join(FAMILIES)}, not {name!r}")
    return FAMILIES[name]
