"""Devices a core can be placed and routed for, and what each of them holds.

Counts are those that nextpnr prints for the device, or the vendor's where nothing places for it;
clock limits are the vendor's data-sheet figures for the hard blocks, because nextpnr does not time
the inside of a registered multiplier or memory and may report a clock that the block cannot
follow.
"""

from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["Block", "Target", "TARGETS", "target_named"]


@dataclass(frozen=True, kw_only=True)
class Block:
    """One kind of resource of a device.

    Parameters
    ----------
    available : int
    cell : str
        nextpnr's name of it, the key of its utilisation report.
    noun : str
        The name in messages, plural.
    bits : int
        Storage of one block; 0 where it stores nothing.
    datasheet_mhz : float or None
        Highest clock the data sheet gives for the block, fully registered, in the device's
        fastest grade (a slower grade is lower); None where no figure is known.
    also : tuple of (str, float)
        Other cells in nextpnr's report that take from the same resource, and how much each.
    """

    available: int
    cell: str
    noun: str
    bits: int = 0
    datasheet_mhz: float | None = None
    also: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if self.available < 1:
            raise ValueError(f"Available {self.noun} must be at least 1, not {self.available!r}")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A device in a package and a speed grade, with the commands that build for it.

    Parameters
    ----------
    name : str
        As given by the user: "ecp5-25f".
    device : str
        The vendor's part name.
    family : str
        "ecp5", "ice40", "gowin", "xc7" or "xcup"; selects the place-and-route program and the
        cell names of the netlist.
    yosys : str
        Synthesis command without -top and -run.
    nextpnr_args : tuple of str
        Device, package, speed and constraint flags.
    blocks : mapping of str to Block
        Keys "lut", "ff", "bram", "dsp", and "spram" where the device has it.
    lanes : int
        Default array width: the array and the element-wise multipliers fit the DSP blocks.
    operand_width : int
        Bits that one input of a DSP block's signed multiplier takes.
    freq_goal_mhz : float
        What nextpnr optimises for when the caller asks for nothing; beyond what is reached, so
        that the placer never stops early.
    unproved_above_mhz : float or None
        A reported clock above this earns a warning: no data-sheet figure backs it.
    before_coarse : str
        Yosys commands to run on the flat design before its coarse-grain passes.
    after_coarse : str
        Yosys commands to run behind them, before memories are mapped.
    labels : (str, str)
        Where the synthesis command's coarse-grain passes and its memory mapping begin.
    files : tuple of (str, str)
        Constraint files that nextpnr is told of: name and contents.
    clock_note : str
        What a reported clock leaves out, as a warning beside each; empty where nothing.
    """

    name: str
    device: str
    family: str
    yosys: str
    nextpnr_args: tuple[str, ...]
    blocks: MappingProxyType[str, Block] = field(repr=False)
    lanes: int
    operand_width: int
    freq_goal_mhz: float
    unproved_above_mhz: float | None = None
    before_coarse: str = ""
    after_coarse: str = ""
    labels: tuple[str, str] = ("coarse", "map_ram")
    files: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    clock_note: str = ""

    @property
    def pnr_tool(self) -> str | None:
        """The place-and-route program, as "nextpnr-ecp5"; None where resources are all there is."""
        return _PNR_TOOLS[self.family]


_PNR_TOOLS = {"ecp5": "nextpnr-ecp5", "ice40": "nextpnr-ice40",
              "gowin": "nextpnr-himbaechel-gowin", "xc7": None, "xcup": None}


def _ecp5(size: int, speed: int, *, luts: int, bram: int, dsp: int, lanes: int) -> Target:
    return Target(
        name=f"ecp5-{size}f" + ("" if speed == 6 else f"-{speed}"),
        device=f"LFE5U-{size}F-{speed}BG381", family="ecp5", yosys="synth_ecp5",
        nextpnr_args=(f"--{size}k", "--speed", str(speed), "--package", "CABGA381",
                      "--lpf-allow-unconstrained"),
        blocks=MappingProxyType({
            "lut": Block(available=luts, cell="TRELLIS_COMB", noun="LUT4s"),
            "ff": Block(available=luts, cell="TRELLIS_FF", noun="flip-flops"),
            "bram": Block(available=bram, cell="DP16KD", noun="block RAMs", bits=18432,
                          datasheet_mhz=272.0),
            "dsp": Block(available=dsp, cell="MULT18X18D", noun="DSP blocks",
                         datasheet_mhz=225.0)}),
        lanes=lanes, operand_width=18, freq_goal_mhz=200.0 if speed == 6 else 250.0,
        unproved_above_mhz=180.0 if speed == 6 else None)


def _gowin(name: str, device: str, chip: str, family: str, pins: tuple, *, luts: int, ffs: int,
           bram: int, dsp: int, lanes: int) -> Target:
    # Place and route refuses a port without a pin: the wrapper's four get pins of the package.
    constraints = "".join(f'IO_LOC "{port}" {pin};\n' for port, pin in
                          zip(("clk", "rst", "serial_i", "serial_o"), pins, strict=True))
    return Target(
        name=name, device=device, family="gowin", yosys=f"synth_gowin -family {family}",
        nextpnr_args=("--device", device, "--vopt", f"family={chip}", "--vopt", "cst=pins.cst"),
        files=(("pins.cst", constraints),),
        blocks=MappingProxyType({
            "lut": Block(available=luts, cell="LUT4", noun="LUT4s",
                         also=(("ALU", 1), ("RAM16SDP4", 6))),
            "ff": Block(available=ffs, cell="DFF", noun="flip-flops"),
            "bram": Block(available=bram, cell="BSRAM", noun="block RAMs", bits=18432),
            "dsp": Block(available=dsp, cell="MULT18X18", noun="DSP multipliers",
                         also=(("MULT9X9", 0.5), ("MULT36X36", 4)))}),
        lanes=lanes, operand_width=18, freq_goal_mhz=150.0, clock_note=(
            "nextpnr times no path into or out of a Gowin multiplier, and its other delays are "
            "optimistic: take this clock as an upper bound"))


def _xilinx(name: str, family: str, *, luts: int, ffs: int, bram: int, dsp: int,
            lanes: int) -> Target:
    return Target(
        name=name, device=name.upper(), family=family, nextpnr_args=(),
        yosys=f"synth_xilinx -family {family} -flatten -noiopad -noclkbuf",
        labels=("prepare", "map_memory"), after_coarse=_XILINX_DEEP_MEMORIES,
        blocks=MappingProxyType({
            "lut": Block(available=luts, cell="LUT6", noun="LUT6s"),
            "ff": Block(available=ffs, cell="FDRE", noun="flip-flops"),
            # A 36 Kb block counts as the two of 18 Kb that it is made of.
            "bram": Block(available=2 * bram, cell="RAMB18", noun="18 Kb block RAMs", bits=18432),
            "dsp": Block(available=dsp, cell="DSP48E1" if family == "xc7" else "DSP48E2",
                         noun="DSP slices")}),
        lanes=lanes, operand_width=18, freq_goal_mhz=200.0)


# Yosys 0.70 packs the second of two registers behind a product into SB_MAC16 but may leave the old
# register in place, driving the same wire: the product then reads as constant 0. So second
# registers are turned into plain flip-flops, which the packing does not touch. It costs the adder
# behind them, which would have been packed too, and whose delay nextpnr does not know there.
_ICE40_SECOND_REGISTERS = """\
opt_clean
select -set product t:$mul %co:+[Y] t:$mul %d
select -set first @product %co:+[D] w:* %d %co:+[Q] t:* %d
simplemap @first %co:+[D] w:* %d
"""

# The pass that finds products takes an instantiated SB_MAC16 for one as well: it writes every
# parameter anew, and the registers inside are lost. So instances bear another name while it runs.
_ICE40_HIDE_INSTANCES = """\
copy SB_MAC16 instantiated_mac16
chtype -set instantiated_mac16 t:SB_MAC16"""
_ICE40_SHOW_INSTANCES = "chtype -set SB_MAC16 t:instantiated_mac16"

# Yosys spreads a memory of some hundred words over LUTs where block RAM has room to spare; a
# vendor's tool takes a block.
_XILINX_DEEP_MEMORIES = """\
setattr -set ram_style "block" t:$mem_v2 r:SIZE>=256 %i
"""

_TARGETS = (
    *(_ecp5(25, speed, luts=24288, bram=56, dsp=28, lanes=16) for speed in (6, 8)),
    *(_ecp5(45, speed, luts=43848, bram=108, dsp=72, lanes=48) for speed in (6, 8)),
    *(_ecp5(85, speed, luts=83640, bram=208, dsp=156, lanes=64) for speed in (6, 8)),
    Target(
        name="up5k", device="iCE40UP5K-SG48", family="ice40", yosys="synth_ice40 -dsp",
        nextpnr_args=("--up5k", "--package", "sg48", "--pcf-allow-unconstrained"),
        blocks=MappingProxyType({
            # One logic cell is a LUT4 with a flip-flop behind it: cells are what runs out.
            "lut": Block(available=5280, cell="ICESTORM_LC", noun="logic cells"),
            "ff": Block(available=5280, cell="SB_DFF", noun="flip-flops"),
            "bram": Block(available=30, cell="ICESTORM_RAM", noun="block RAMs", bits=4096),
            "dsp": Block(available=8, cell="ICESTORM_DSP", noun="DSP blocks",
                         datasheet_mhz=50.0),
            "spram": Block(available=4, cell="ICESTORM_SPRAM", noun="SPRAM blocks", bits=262144,
                           datasheet_mhz=70.0)}),
        lanes=4, operand_width=16, freq_goal_mhz=48.0,
        before_coarse=_ICE40_SECOND_REGISTERS + _ICE40_HIDE_INSTANCES,
        after_coarse=_ICE40_SHOW_INSTANCES),
    _gowin("gw1nr-9c", "GW1NR-LV9QN88PC6/I5", "GW1N-9C", "gw1n", (52, 4, 10, 11),
           luts=8640, ffs=6480, bram=26, dsp=20, lanes=8),
    _gowin("gw2ar-18c", "GW2AR-LV18QN88C8/I7", "GW2A-18C", "gw2a", (4, 88, 25, 26),
           luts=20736, ffs=15552, bram=46, dsp=48, lanes=32),
    _xilinx("xc7a35t", "xc7", luts=20800, ffs=41600, bram=50, dsp=90, lanes=64),
    _xilinx("xc7a100t", "xc7", luts=63400, ffs=126800, bram=135, dsp=240, lanes=128),
    _xilinx("xczu3eg", "xcup", luts=70560, ffs=141120, bram=216, dsp=360, lanes=256),
)

TARGETS: MappingProxyType[str, Target] = MappingProxyType({t.name: t for t in _TARGETS})


def target_named(name: str) -> Target:
    """The target of that name, in any case of letters.

    Raises
    ------
    ValueError
        If there is none; the message lists those there are.
    """
    target = TARGETS.get(str(name).lower())
    if target is None:
        raise ValueError(f"Target must be one of {', '.join(TARGETS)}, not {name!r}")
    return target
