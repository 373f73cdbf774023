"""Multipliers and memories of a core, and the device blocks that they take, without building it.

The lists mirror what ``hw`` instantiates, and a test compares them with an elaborated engine. How
many blocks a memory takes is one small function for each way of getting them: named by ``hw`` for
ECP5 and SPRAM, or chosen by Yosys, whose choice is the cheapest by the costs in its libraries.
"""

from dataclasses import dataclass
from math import ceil

from amaranth.utils import ceil_log2

from hw import ecp5, ice40
from hw.layout import Layout
from hw.program import Op

__all__ = ["Memory", "dsp_blocks", "memories", "products", "ram_blocks"]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """One memory of the engine.

    Parameters
    ----------
    name : str
        "weights", "rows", "vectors", "inputs", "table", "cells", "hidden", "updates", "output".
    width : int
        Bits of an element.
    depth : int
        Words.
    cols : int
        Elements a word, written one by one.
    contents : bool
        Filled by the bitstream, and never written.
    """

    name: str
    width: int
    depth: int
    cols: int = 1
    contents: bool = False

    @property
    def bits(self) -> int:
        return self.width * self.cols * self.depth


def memories(layout: Layout) -> list[Memory]:
    """Every memory of an engine; those of several groups or tables one by one."""
    program, rows = layout.program, layout.rows
    network, cols = program.network, program.cols
    act_width, table = layout.act_width, program.table
    group = layout.family.group
    found = []
    for low in range(0, program.lanes, group):
        lanes = min(group, program.lanes - low)
        found.append(Memory(name="weights", width=lanes * cols * network.weight_width,
                            depth=program.weight_words, contents=not program.load_weights))
    found.append(Memory(name="rows", width=rows.width, depth=layout.n_rows, contents=True))

    stored = [phase.dest_base + phase.units for phase in program.phases if phase.to_vector]
    words = -(-max(stored, default=1) // cols)
    found.append(Memory(name="vectors", width=act_width, depth=2 << max(1, ceil_log2(words)),
                        cols=cols))
    if network.embedding is None:
        elements = max(2, layout.input_words * cols)
        found.append(Memory(name="inputs", width=act_width, cols=cols,
                            depth=1 << (ceil_log2(2 * elements) - ceil_log2(cols))))
    else:
        found.append(Memory(name="inputs", width=act_width * cols, contents=True,
                            depth=len(network.embedding) * layout.input_words))
    lines = Memory(name="table", width=table.base_bits + table.slope_bits, contents=True,
                   depth=1 << table.log2_segments)
    found += [lines] * (2 if program.uses(Op.LSTM, Op.GRU) else 1)
    for name, width, ops in (("cells", network.cell.width, (Op.LSTM,)),
                             ("hidden", act_width, (Op.GRU, Op.RESET)),
                             ("updates", act_width, (Op.UPDATE,))):
        if program.uses(*ops):
            found.append(Memory(name=name, width=width, depth=program.n_units))
    found.append(Memory(name="output", width=layout.output_width + 1,
                        depth=1 << ceil_log2(layout.fifo_depth)))
    return found


def products(layout: Layout) -> list[tuple[int, int]]:
    """Operand widths of every multiplier: the array's first, then the element-wise pipeline's."""
    program = layout.program
    network, table = program.network, program.table
    found = [(network.operand_width, network.weight_width)] * (program.lanes * program.cols)
    line = (table.slope_bits + 1, table.offset_bits + 1)
    found.append(line)
    lstm, gru = program.uses(Op.LSTM), program.uses(Op.GRU)
    if lstm or gru:
        found.append((max(layout.act_width, network.pre.width if gru else 0),
                      max(layout.act_width, network.cell.width if lstm else 0)))
        found.append(line)
    if any(phase.op is not Op.RESULT for phase in program.phases):
        blends = program.uses(Op.GRU, Op.CANDIDATE)  # h - n takes one bit more
        found.append((layout.act_width, layout.act_width + blends))
    return found


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
    if named and family == "ecp5":
        return {"bram": _ecp5_blocks(memory)}
    if named and family == "ice40" and not memory.contents and memory.name == "weights" \
            and memory.bits >= ice40.SPRAM_FROM:
        return {"spram": ice40.SpramRam.blocks(memory.width, memory.depth)}
    return {"bram": _chosen_blocks(memory, _LIBRARIES[family])}


def _ecp5_blocks(memory: Memory) -> int:
    """DP16KD, a slice of the word each, as ``hw.ecp5`` lays them."""
    if not ecp5.MIN_DEPTH <= memory.depth <= max(ecp5.BLOCK_DEPTHS):
        return _chosen_blocks(memory, _LIBRARIES["ecp5"])
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
