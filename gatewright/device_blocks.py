"""What a device makes of one multiplier or one memory of a core: DSP blocks, block RAM, SPRAM.

One small function for each way of getting blocks: named by ``hw`` for ECP5 and SPRAM, or chosen by
Yosys, whose choice is the cheapest by the costs in its libraries.
"""

from dataclasses import dataclass
from math import ceil

from hw import ecp5, ice40
from hw.pipeline import DEEP

from .resources import Memory

__all__ = ["dsp_blocks", "ram_blocks"]

# Operand widths of a signed multiplier in each family's blocks.
_OPERANDS = {"ecp5": (18, 18), "ice40": (16, 16), "gowin": (18, 18), "xc7": (25, 18),
             "xcup": (27, 18)}


def dsp_blocks(width_a: int, width_b: int, family: str) -> float:
    """DSP blocks that Yosys makes of one product; a half where two share a block.

    A wide operand is cut into pieces; products of small pieces are built from LUTs.
    """
    wide, narrow = _OPERANDS[family]
    return sum(_piece(max(a, b), min(a, b), family)
               for a in _cut(max(width_a, width_b), wide)
               for b in _cut(min(width_a, width_b), narrow))


def _cut(width: int, limit: int) -> list[int]:
    return [min(limit, width - low) for low in range(0, width, limit)]


def _piece(a: int, b: int, family: str) -> float:
    """DSP blocks of a product that one can hold, a >= b."""
    if family == "gowin":
        if b < 4:
            return 0
        if a <= 9:
            return 0.5
        return 1 if b >= 8 else 0.5 * sum(part >= 4 for part in _cut(a, 9))
    return int(b >= 2 and (family != "ice40" or a + b >= 11))


def ram_blocks(memory: Memory, family: str, *, named: bool) -> dict[str, int]:
    """Blocks of a memory: {"bram": n}, or {"spram": n}.

    Parameters
    ----------
    memory : Memory
    family : str
        As ``synth.Target.family``.
    named : bool
        ``hw`` instantiates the family's blocks; otherwise Yosys chooses.
    """
    if not memory.latency:
        return {"bram": 0}
    if named and memory.latency == DEEP.ram:
        if family == "ecp5" and ecp5.MIN_DEPTH <= memory.depth <= max(ecp5.BLOCK_DEPTHS):
            return {"bram": _ecp5_blocks(memory)}
        # All others may be read and written in the same cycle.
        if (family == "ice40" and memory.name == "weights" and not memory.contents
                and memory.bits >= ice40.SPRAM_FROM):
            return {"spram": ice40.SpramRam.blocks(memory.width, memory.depth)}
    return {"bram": _chosen_blocks(memory, _LIBRARIES[family])}


def _ecp5_blocks(memory: Memory) -> int:
    """DP16KD, a slice of the word each, as ``hw.ecp5`` lays them."""
    width = ecp5.BLOCK_DEPTHS[min(d for d in ecp5.BLOCK_DEPTHS if d >= memory.depth)]
    if memory.contents:
        return -(-memory.width * memory.cols // width)
    return memory.cols * -(-memory.width // width)  # elements are written one by one


@dataclass(frozen=True, kw_only=True)
class _Library:
    """What Yosys can make a memory of, with the costs by which it chooses.

    Parameters
    ----------
    blocks : tuple of (units, cost, shapes)
        Shapes: width by depth.
    lut_shapes : dict of depth to width
        Of one cell of LUT RAM; empty where there is none.
    lut_cost : float
    rom_bit, ram_bit : float
        Cost of a bit in logic.
    """

    blocks: tuple
    lut_shapes: dict
    lut_cost: float = 0
    rom_bit: float = 1 / 16
    ram_bit: float = 1


_MUX_BIT = 0.7  # cost of choosing between cells of LUT RAM, a bit and cell
_18K = {512: 36, 1024: 18, 2048: 9, 4096: 4, 8192: 2, 16384: 1}
_36K = {512: 72, 1024: 36, 2048: 18, 4096: 9, 8192: 4, 16384: 2, 32768: 1}
_LIBRARIES = {
    "ecp5": _Library(blocks=((1, 128, _18K),), lut_shapes={16: 4}, lut_cost=4),
    "gowin": _Library(blocks=((1, 128, _18K),), lut_shapes={16: 4}, lut_cost=4),
    "ice40": _Library(blocks=((1, 64, {256: 16, 512: 8, 1024: 4, 2048: 2}),), lut_shapes={}),
    "xc7": _Library(blocks=((1, 129, _18K), (2, 257, _36K)), lut_shapes={32: 6, 64: 3},
                    lut_cost=8, rom_bit=1 / 64),
    "xcup": _Library(blocks=((1, 129, _18K), (2, 257, _36K)), lut_shapes={32: 14, 64: 7},
                     lut_cost=16, rom_bit=1 / 64),
}


def _chosen_blocks(memory: Memory, library: _Library) -> int:
    """Units of block RAM; 0 where LUTs or logic are cheaper."""
    width = memory.width * memory.cols
    choices = []
    for units, cost, shapes in library.blocks:
        for depth, block_width in shapes.items():
            if memory.contents or memory.cols == 1:
                across = ceil(width / block_width)
            else:  # bytes are enabled one by one: a block holds whole elements, or parts of one
                whole = block_width // memory.width
                across = (ceil(memory.cols / whole) if whole
                          else memory.cols * ceil(memory.width / block_width))
            n = across * ceil(memory.depth / depth)
            choices.append((n * cost, n * units))
    if memory.contents:
        choices.append((memory.bits * library.rom_bit, 0))
    elif library.lut_shapes:
        for depth, cell_width in library.lut_shapes.items():
            rows = ceil(memory.depth / depth)
            cells = ceil(memory.width / cell_width) * memory.cols * rows
            choices.append((cells * library.lut_cost + _MUX_BIT * width * (rows - 1), 0))
    else:
        choices.append((memory.bits * library.ram_bit, 0))
    return min(choices)[1]
