"""The drain: rows in the order of their words, each with its gate, group and marks."""

from amaranth import *

from hw.drain import Drain
from hw.layout import Layout
from hw.pipeline import SHALLOW

from .bench import Bench, Proof
from .layouts import layout_of

__all__ = ["PROOFS"]


def _rows(layout: Layout) -> list:
    """What is to be said of each row that a post takes in a step, in order."""
    program, rows = layout.program, []
    for number, phase in enumerate(program.phases):
        gates = phase.row_gates
        for turn in range(phase.turns):
            group, gate = divmod(turn, len(gates))
            rows.append({
                "phase": number, "first": int(turn == 0), "slot": turn % program.slots,
                "ends": int(turn % program.slots == program.slots - 1 or turn == phase.turns - 1),
                "op": int(phase.op), "gate": gates[gate], "anchor": int(gate == len(gates) - 1),
                "group": phase.unit_base // program.posts + group,
                "dest": phase.dest_base // program.posts + group,
                "boundary": int(group == phase.groups - 1), "number": group,
                "to_vector": int(phase.to_vector), "to_output": int(phase.to_output),
                "output_last": int(phase.output_last_only or phase.last_only),
                "last_only": int(phase.last_only)})
    return rows


def _drain(layout: Layout) -> Bench:
    """Passes come in the order of the phases, the next one behind the last row at the earliest."""
    program, rows = layout.program, _rows(layout)
    bench = Bench(Drain(layout))
    m, dut, tag = bench.m, bench.dut, bench.dut.tag
    offer = bench.free("offer")
    row, pending = Signal(range(len(rows))), Signal(range(len(rows)))  # now; next to be loaded
    active, given = Signal(), Signal(layout.pass_tag)
    wraps = Signal()

    def of(name, at):
        return Array(values[name] for values in rows)[at]

    # Phases of the last step alone stand at the end of the program.
    m.d.comb += wraps.eq((row == len(rows) - 1) | (
        of("last_only", (row + 1)[:len(row)]) & ~of("last_only", row) & ~given.last_step))
    upcoming = Signal.like(row)
    m.d.comb += [
        upcoming.eq(Mux(active, Mux(wraps, 0, row + 1), pending)),
        dut.loaded.eq(offer & (~active | of("ends", row))),
        dut.pass_tag.phase.eq(of("phase", upcoming)),
        dut.pass_tag.first_pass.eq(of("first", upcoming))]
    for name in ("bank", "first_step", "last_step"):
        # Of a step, and so the same in all its passes.
        m.d.comb += dut.pass_tag[name].eq(Mux(upcoming == 0, bench.free(name), given[name]))
    m.d.sync += active.eq(dut.loaded | (active & ~of("ends", row)))
    with m.If(active):
        m.d.sync += [pending.eq(upcoming), row.eq(upcoming)]
    with m.If(dut.loaded):
        m.d.sync += [row.eq(upcoming), given.eq(dut.pass_tag)]

    bench.claim("a row in each cycle of a pass, in no other", tag.valid == active)
    bench.claim("its word's address", ~active | (dut.row_addr == row))
    for name in ("op", "gate", "anchor", "group", "dest", "boundary", "to_vector"):
        bench.claim(name, ~active | (Value.cast(tag[name]) == of(name, row)))
    bench.claim("results go out where they are asked for", ~active | (tag.to_output == (
        of("to_output", row) & (given.last_step | ~of("output_last", row)))))
    bench.claim("the tags are the step's", ~active | (
        (tag.bank == given.bank) & (tag.masked == given.first_step)))
    end = of("phase", row) == len(program.phases) - 1
    bench.claim("the sequence's end is told", ~active | (
        tag.end == (end & given.last_step & of("boundary", row))))

    # Between two passes of a phase the registers stand at the row to come.
    at, stands = Mux(active, row, pending), Signal()
    m.d.comb += stands.eq(active | ~of("first", pending))
    for name, meaning in (("gate", "gate"), ("group", "number"), ("state_index", "group"),
                          ("dest_index", "dest"), ("op", "op")):
        bench.invariant(~stands | (Value.cast(bench.inner(name)) == of(meaning, at)))
    bench.invariant(~stands | (dut.row_addr == at))
    bench.invariant((row < len(rows)) & (pending < len(rows)))
    bench.invariant((bench.inner("active") == active)
                    & (~active | (bench.inner("slot") == of("slot", row))))
    bench.invariant(active | (of("slot", pending) == 0))
    bench.invariant(~active | (Value.cast(bench.inner("tag")) == Value.cast(given)))
    # Once a step has begun, what is loaded next is of a phase that it has.
    bench.invariant((at == 0) | given.last_step | ~of("last_only", at))
    tables = [dut._row(number, 0) for number in range(len(program.phases))]
    for key, value in bench.inner("row").items():
        if key != "row_base":
            want = Array(int(table[key]) for table in tables)[of("phase", at)]
            bench.invariant(~stands | (value == want))

    bench.cover("a pass close behind the one before", dut.loaded & active)
    bench.cover("the last row of a last step", active & tag.end & tag.anchor)
    bench.cover("the next step behind one that is not the last",
                dut.loaded & (upcoming == 0) & ~given.last_step & (row != 0))
    return bench


def _proof(layout: Layout, name: str, says: str, **more) -> Proof:
    return Proof(name=f"drain.Drain, {name}", says=says, depth=2, mutants=10,
                 reach=len(_rows(layout)) + 6, build=lambda: _drain(layout), **more)


PROOFS = [
    _proof(layout_of(("gru", 3), ("linear", 2, "last"), inputs=3, lanes=4, pipeline=SHALLOW),
           "GRU and a head at the end",
           "rows in order and in range: address, gate, group, marks, output"),
    _proof(layout_of(("rnn", 4), ("lstm", 2), inputs=3, cols=2, posts=2, lanes=4,
                     pipeline=SHALLOW), "RNN and LSTM, two posts", "the same", quick=True),
]
