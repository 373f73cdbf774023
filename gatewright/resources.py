"""Multipliers and memories of a core, listed without building it.

The lists mirror what ``hw`` instantiates, and a test compares them with an elaborated engine. What
a device makes of them is the business of ``device_blocks``.
"""

from dataclasses import dataclass, replace

from amaranth.utils import ceil_log2

from golden.network import Cell
from golden.pool import GUARD, RECIPROCAL
from hw.layout import Layout
from hw.lines import lines_of
from hw.mac import group_size, word_width
from hw.pipeline import DEEP
from hw.program import Op, Program
from hw.reciprocal import LOG2_STEPS

__all__ = ["Memory", "memories", "post_products", "products"]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """One memory of the engine.

    Parameters
    ----------
    name : str
        "weights", "rows", "vectors", "inputs", "tokens", "kept" (results of the sweep before),
        "table", "cells", "hidden", "updates", "pool", "output", "parity" (of loaded weights).
    width : int
        Bits of an element.
    depth : int
        Words.
    cols : int
        Elements a word, written one by one.
    contents : bool
        Filled by the bitstream, and never written.
    latency : int, 0 to 2
        Cycles from address to data; 0: read without a clock, which no block RAM can do.
    """

    name: str
    width: int
    depth: int
    cols: int = 1
    contents: bool = False
    latency: int = DEEP.ram

    @property
    def bits(self) -> int:
        return self.width * self.cols * self.depth


def memories(layout: Layout) -> list[Memory]:
    """Every memory of an engine; those of several groups, posts or tables one by one."""
    program = layout.program
    group = group_size(program.posts, layout.family, program.packing)
    found = []
    for low in range(0, program.lanes, group):
        width = word_width(min(group, program.lanes - low), program.cols,
                           program.network.weight_width, program.packing)
        found.append(Memory(name="weights", width=width, depth=program.weight_words,
                            contents=not program.load_weights, latency=program.pipeline.ram))
    found += _vectors(layout) + _post(layout) * program.posts + [_output(layout)]
    return found if layout.watch is None else [each for memory in found
                                               for each in _with_parity(memory)]


def _with_parity(memory: Memory) -> list[Memory]:
    """What ``hw.parity.Checked`` makes of a memory; the loader's twin has tokens of its own."""
    if memory.name == "weights" and not memory.contents:
        return [memory, replace(memory, name="parity", width=1)]
    return [replace(memory, width=memory.width + 1)] * (1 + (memory.name == "tokens"))


def _vectors(layout: Layout) -> list[Memory]:
    """The memories of h and of x, or of the embedding."""
    program, latency = layout.program, layout.program.pipeline.vector
    network, cols, act_width = program.network, program.cols, layout.act_width
    stored = [phase.dest_base + phase.units for phase in program.phases if phase.to_vector]
    words = -(-max(stored, default=1) // program.word)
    vectors = Memory(name="vectors", width=act_width, depth=2 << max(1, ceil_log2(words)),
                     cols=program.word, latency=latency)
    found = [vectors]
    if program.n_sweeps > 1:
        found.append(Memory(name="kept", width=act_width, cols=program.word, latency=latency,
                            depth=layout.kept_depth))
    if network.embedding is None:
        return found + [Memory(name="inputs", width=act_width, cols=cols, latency=latency,
                               depth=layout.input_depth)]
    tokens = Memory(name="tokens", width=layout.address_bits, depth=program.max_steps, latency=1)
    return found + [tokens] * (2 if program.max_steps else 0) + [
        Memory(name="inputs", width=act_width * cols, contents=True, latency=latency,
               depth=len(network.embedding) * layout.input_columns)]


def _post(layout: Layout) -> list[Memory]:
    """Those of one post: its rows, tables and states."""
    program, latency = layout.program, layout.program.pipeline.ram
    found = [Memory(name="rows", width=layout.rows.width, depth=layout.n_turns, contents=True,
                    latency=latency)]
    for curves in _tables(program):
        lines = lines_of(program.table, curves)
        found.append(Memory(name="table", width=lines.width, contents=True,
                            depth=len(lines.words), latency=latency))
    for name, width, ops in (("cells", program.network.cell.width, (Op.LSTM, Op.CELL)),
                             ("cells", program.network.cell.width, (Op.CELL,)),  # peepholes' own
                             ("hidden", layout.act_width, (Op.GRU, Op.RESET)),
                             ("updates", layout.act_width, (Op.UPDATE,))):
        if program.uses(*ops):
            found.append(Memory(name=name, width=width, depth=layout.n_groups, latency=latency))
    for pool, _ in program.pools:
        width = layout.act_width + (LOG2_STEPS if pool.pools is Cell.MEAN else 0)
        found.append(Memory(name="pool", width=width, depth=pool.groups, latency=latency))
    return found


def _tables(program: Program) -> list[tuple]:
    """The curves that stand behind tanh in each of a post's tables."""
    second = [program.second_curves] if program.uses(Op.LSTM, Op.CELL, Op.GRU) else []
    return [program.curves, *second]


def _output(layout: Layout) -> Memory:
    """The buffer of results: a group and its marks a word."""
    program = layout.program
    states = program.network.returns_state
    element = max(layout.act_width, layout.output_element if states else 0)
    grouped = program.argmax or program.posts > 1
    return Memory(name="output", width=program.posts * element + 1 + grouped * (1 + states),
                  depth=1 << ceil_log2(layout.fifo_depth),
                  latency=DEEP.ram if program.pipeline.output else 0)


def products(layout: Layout) -> list[tuple[int, int]]:
    """Operand widths of every multiplier: the array's first, then post by post."""
    program = layout.program
    network, packing, n_products = program.network, program.packing, program.lanes * program.cols
    array = ([(network.operand_width, network.weight_width)] * n_products if packing is None else
             [(packing.word_width, packing.operand_width)] * (n_products // 2))
    return array + post_products(layout) * program.posts


def post_products(layout: Layout) -> list[tuple[int, int]]:
    """Those of one post."""
    program, pre = layout.program, layout.program.network.pre.width
    line, *second = (lines_of(program.table, curves).operands for curves in _tables(program))
    found = [line]
    if program.peepholes:
        found.append((layout.rows.peephole_width, program.network.cell.width))
    lstm, gru = program.uses(Op.LSTM, Op.CELL), program.uses(Op.GRU)
    if lstm or gru:
        found.append((max(layout.act_width, pre if gru else 0),
                      max(layout.act_width, program.network.cell.width if lstm else 0)))
        found += second
    if any(phase.op is not Op.RESULT for phase in program.phases):
        blends = program.uses(Op.GRU, Op.CANDIDATE)  # h - n takes one bit more
        found.append((layout.act_width, layout.act_width + blends))
    means = sum(pool.pools is Cell.MEAN for pool, _ in program.pools)
    return found + [(layout.act_width + GUARD, RECIPROCAL + 1)] * means
