"""Names the rows that leave the array: which phase, which group of neurons, which gate."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .layout import Layout
from .program import Op, Source

__all__ = ["Drain"]


class Drain(wiring.Component):
    """Counts the rows of a pass and gives each its tag and the address of its row word.

    All posts take their rows together, so that one tag serves them all.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    loaded : In(1), a pass's rows come from the next cycle on
    pass_tag : In(Layout.pass_tag), of that pass, in the cycle of ``loaded``
    row_addr : Out, address of the row's word, in the row's cycle
    tag : Out(Layout.row_tag), in the row's cycle
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        super().__init__({
            "loaded": In(1), "pass_tag": In(layout.pass_tag),
            "row_addr": Out(range(max(2, layout.n_turns))), "tag": Out(layout.row_tag)})

    def _row(self, number: int, row_base: int) -> dict:
        """A phase's constants."""
        program = self._layout.program
        phase = program.phases[number]
        last_phase = phase is program.phases[-1]
        later = [p for p in program.phases[number + 1:] if p.sweep == phase.sweep]
        kept = {"style": program.styles.index(phase.style)} if self._layout.style_bits else {}
        kept |= {} if not program.max_steps else {
            "to_sequence": int(phase.to_sequence), "reverse": int(phase.reverse),
            "sequence_end": int(not any(p.to_sequence for p in later))}
        if program.loose and program.posts > 1:
            kept["present"] = phase.units - (phase.groups - 1) * phase.posts - 1
        if program.names_gates:
            gates = phase.row_gates
            kept |= {"first_gate": gates[0], "skips": int(gates[:2] == (0, 2))}
        return kept | {"op": phase.op, "function": program.function_code(
            phase.style.place(0) if phase.op is Op.RESULT else None, phase.function),
                "gates": phase.row_gates[-1], "groups": phase.groups - 1,
                "row_base": row_base, "state_base": phase.unit_base // phase.posts,
                "dest_base": phase.dest_base // phase.posts,
                "swapped": int(phase.segments[0].source is Source.OLD),
                "to_vector": int(phase.to_vector), "to_output": int(phase.to_output),
                "output_last": int(phase.output_last_only or phase.last_only),
                "end": int(last_phase and not program.network.returns_state)}

    def elaborate(self, platform):
        m = Module()
        layout, program = self._layout, self._layout.program
        table, row_base = [], 0
        for number, phase in enumerate(program.phases):
            table.append(self._row(number, row_base))
            row_base += phase.turns

        row = {key: Signal(range(max(2, max(int(r[key]) for r in table) + 1)), name=f"row_{key}")
               for key in table[0] if key != "op"}
        op = Signal(layout.op_shape)
        tag = Signal(layout.pass_tag)      # of the pass that drains
        active = Signal()
        slot = Signal(range(max(2, program.slots)))
        gate = Signal(range(4))
        group = Signal(range(max(2, max(p.groups for p in program.phases))))
        row_addr = Signal.like(self.row_addr)
        state_index = Signal(layout.group_bits)
        # Most programs have a result's place in the vector memory equal to its unit's number.
        apart = any(phase.dest_base != phase.unit_base for phase in program.phases)
        dest_index = Signal(layout.group_bits) if apart else state_index

        last_gate, last_group, done = Signal(), Signal(), Signal()
        m.d.comb += [last_gate.eq(gate == row["gates"]), last_group.eq(group == row["groups"]),
                     done.eq((slot == program.slots - 1) | (last_gate & last_group))]
        first_gate, following = C(0), gate + 1
        if program.names_gates:
            first_gate = row["first_gate"]
            following = Mux(row["skips"] & (gate == 0), 2, gate + 1)
        with m.If(active):
            m.d.sync += [slot.eq(slot + 1), row_addr.eq(row_addr + 1), gate.eq(following)]
            with m.If(last_gate):
                m.d.sync += [gate.eq(first_gate), group.eq(group + 1),
                             state_index.eq(state_index + 1)]
                if apart:
                    m.d.sync += dest_index.eq(dest_index + 1)
            with m.If(done):
                m.d.sync += active.eq(0)
        with m.If(self.loaded):
            m.d.sync += [active.eq(1), slot.eq(0), tag.eq(self.pass_tag)]
            with m.If(self.pass_tag.first_pass):
                m.d.sync += [gate.eq(0), group.eq(0)]
                with m.Switch(self.pass_tag.phase):
                    for k, values in enumerate(table):
                        with m.Case(k):
                            m.d.sync += [row[key].eq(value) for key, value in values.items()
                                         if key != "op"]
                            if program.names_gates:
                                m.d.sync += gate.eq(values["first_gate"])
                            m.d.sync += [op.eq(values["op"]), row_addr.eq(values["row_base"]),
                                         state_index.eq(values["state_base"])]
                            if apart:
                                m.d.sync += dest_index.eq(values["dest_base"])

        out = self.tag
        m.d.comb += [
            self.row_addr.eq(row_addr),
            out.valid.eq(active), out.op.eq(op), out.function.eq(row["function"]),
            out.gate.eq(gate), out.anchor.eq(active & last_gate),
            out.group.eq(state_index), out.dest.eq(dest_index), out.bank.eq(tag.bank),
            *([out.first.eq(tag.first_step)] if program.pools else []),
            out.masked.eq(tag.first_step & (0 if program.network.loads_state else 1)),
            out.swapped.eq(row["swapped"]), out.to_vector.eq(row["to_vector"]),
            out.to_output.eq(row["to_output"] & (tag.last_step | ~row["output_last"])),
            *(out[name].eq(row[name])
              for name in ("style", "present", "to_sequence", "reverse", "sequence_end")
              if name in row),
            out.end.eq(row["end"] & tag.last_step & last_group), out.boundary.eq(last_group)]
        return m
