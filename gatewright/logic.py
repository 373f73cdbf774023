"""Flip-flops and LUTs of a core, about: unlike blocks they cannot be counted, since synthesis moves
and merges them. On Gowin they may run out before the multipliers do; elsewhere they hardly matter.
"""

from hw.families import ECP5, PORTABLE
from hw.layout import Layout
from hw.mac import group_size
from hw.pipeline import DEEP
from hw.program import Op

from .resources import memories

__all__ = ["logic"]

# What Yosys left of cores with 16-bit activations, on average: of all but array and posts; of a
# post (deep, shallow) by the costliest step it makes; more of a post whose blocks have none inside.
_BASE = 600
_POST = {"gru": (2150, 550), "lstm": (1400, 350), "result": (600, 150)}
_OUTSIDE = (400, 0)
_PAIR = (230, 380)    # of two products in one multiplier of ECP5, of another
_COLUMN = (55, 80)    # of a column of the vector on its way to the array, deep: ECP5, another
# LUTs and flip-flops of a protected core's twins and watchdog, and of the parity of each memory.
_WATCH = {"lut": (400, 20), "ff": (200, 12)}
# LUTs for each of these flip-flops (deep, shallow), and bits of contents that a LUT holds. iCE40's
# are cells, which hold one of each. Xilinx' multipliers take registers in, so that they say less.
_LUTS = {"ecp5": (1, 1.55, 16), "gowin": (1, 1.55, 16), "ice40": (1.2, 1.55, 16),
         "xc7": (0.65, 1.2, 64), "xcup": (0.65, 1.2, 64)}


def logic(layout: Layout, family: str) -> dict[str, int]:
    """{"lut": n, "ff": n}, rather high than low.

    Parameters
    ----------
    layout : Layout
    family : str
        As ``synth.Target.family``. Xilinx' flip-flops are more than any array needs: 0.
    """
    deep, shallow, bits = _LUTS[family]
    found = _registers(layout)
    luts = found * (deep if layout.program.pipeline.name == DEEP.name else shallow)
    luts += sum(memory.bits for memory in memories(layout)
                if memory.contents and not memory.latency) / bits
    if layout.watch:
        n = len(memories(layout))
        more = {kind: once + n * each for kind, (once, each) in _WATCH.items()}
        luts, found = luts + more["lut"], found + more["ff"]
    return {"lut": round(luts), "ff": 0 if family in ("xc7", "xcup") else round(found)}


def _registers(layout: Layout) -> float:
    program, named = layout.program, layout.family.name == ECP5.name
    deep = program.pipeline.name == DEEP.name
    kind = ("gru" if program.uses(Op.GRU, Op.CANDIDATE) else
            "lstm" if program.uses(Op.LSTM, Op.CELL, Op.PRODUCT) else "result")
    post = _POST[kind][not deep] + (0 if named else _OUTSIDE[not deep])
    outside = 0 if layout.family.name in (PORTABLE.name, ECP5.name) else sum(
        memory.bits for memory in memories(layout) if not memory.latency and not memory.contents)
    return _BASE + post * program.posts * layout.act_width / 16 + _array(layout) + outside


def _array(layout: Layout) -> float:
    """Accumulators, sums and the way to the posts; products, and what stands before and behind."""
    program, network = layout.program, layout.program.network
    lanes, cols, operand = program.lanes, program.cols, network.operand_width
    deep, packing = program.pipeline.name == DEEP.name, program.packing
    portable = layout.family.name == PORTABLE.name
    width = operand + network.weight_width
    rows = network.acc_width * (1 + layout.rows.split)
    lane = 2 * rows + (cols > 1) * (width + 3) * (cols - 1 if deep else 1)
    if deep and program.slots > 1:
        lane += 2 / 3 * rows  # the tree of ORs
    if packing is not None:
        product = _PAIR[portable] / 2
    elif not deep or not portable:
        product = width + deep * network.weight_width
    else:
        product = 3 * width + 3 * network.weight_width
    groups = -(-lanes // group_size(program.posts, layout.family, packing))
    column = deep * _COLUMN[layout.family.name != ECP5.name]
    return lanes * (lane + cols * product) + groups * (operand * cols + 17) + cols * column
