"""The sequencer: walks the layer table once a step and issues one column a cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from .layout import Layout
from .program import Source

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """Issues columns, phase by phase; nothing stalls inside a step.

    A step starts when its input is complete (``step_ready``) and at least ``tail`` cycles after the
    step before. From then on each cycle is the schedule's.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    step_ready : In(1), the next step may start
    step_first, step_last : In(1), it is its sequence's first or last one
    hold : In(1), no step may start: states are on their way in or out
    step_start : Out(1), high in the cycle before a step's first issue or wait
    step_end : Out(1), high in the cycle of a step's last issue
    running_last : Out(1), the running step is its sequence's last one
    busy : Out(1), a step is running
    bank : Out(1), the vector memory's bank that the running step writes
    issue : Out(Layout.issue)
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        super().__init__({
            "step_ready": In(1), "step_first": In(1), "step_last": In(1), "hold": In(1),
            "step_start": Out(1), "step_end": Out(1), "running_last": Out(1), "busy": Out(1),
            "bank": Out(1), "issue": Out(layout.issue)})

    def _rows(self) -> list:
        """The layer table: one dictionary of constants a phase."""
        schedule, program = self._layout.schedule, self._layout.program
        table = []
        for k, phase in enumerate(program.phases):
            row = {"wait": schedule.waits[k], "gap": schedule.gaps[k],
                   "passes": phase.passes(program.lanes) - 1,
                   "two": int(len(phase.segments) == 2), "split": int(phase.split)}
            for n in range(2):
                segment = phase.segments[min(n, len(phase.segments) - 1)]
                row |= {f"source{n}": int(segment.source),
                        f"base{n}": segment.base // program.cols,
                        f"left{n}": segment.words(program.cols) - 1,
                        f"shift{n}": segment.shift}
            table.append(row)
        return table

    def elaborate(self, platform):
        m = Module()
        layout, schedule = self._layout, self._layout.schedule
        table = self._rows()
        n_phases = len(table)
        n_normal = sum(not phase.last_only for phase in layout.program.phases)

        # The running phase's row in registers, so that no table stands in the counters' way.
        row = {key: Signal(bits_for(max(r[key] for r in table)), name=f"row_{key}")
               for key in table[0]}
        phase = Signal(layout.phase_bits)
        next_phase = Signal(range(n_phases + 1))

        segment = Signal()
        left = Signal.like(row["left0"] if len(row["left0"]) >= len(row["left1"])
                           else row["left1"])
        address = Signal(layout.address_bits)
        passes = Signal.like(row["passes"])
        first_pass = Signal()
        wait = Signal(bits_for(max(max(r["wait"], r["gap"]) for r in table)))
        tail = Signal(bits_for(max(schedule.tail, schedule.tail_last)))
        residue = Signal(range(3))
        first, last, bank = Signal(), Signal(), Signal()
        busy = Signal()

        segment_end = Signal()
        pass_end = Signal()
        phase_end = Signal()
        step_end = Signal()
        going = Signal()
        more = Signal()
        m.d.comb += [
            going.eq(busy & (wait == 0)),
            segment_end.eq(left == 0),
            pass_end.eq(going & segment_end & (segment | ~row["two"])),
            phase_end.eq(pass_end & (passes == 0)),
            next_phase.eq(phase + 1),
            more.eq((next_phase < n_normal) | (last & (next_phase < n_phases))),
            step_end.eq(phase_end & ~more),
            self.step_end.eq(step_end),
            self.step_start.eq(self.step_ready & ~self.hold & (
                (~busy & (tail == 0)) | (step_end & Mux(last, schedule.tail_last == 0,
                                                        schedule.tail == 0)))),
            self.busy.eq(busy), self.running_last.eq(last), self.bank.eq(bank),
        ]

        load = Signal()
        load_idx = Signal(layout.phase_bits)
        m.d.comb += [load.eq(self.step_start | (phase_end & more)),
                     load_idx.eq(Mux(self.step_start, 0, next_phase))]

        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.If(tail != 0):
            m.d.sync += tail.eq(tail - 1)
        with m.If(going):
            m.d.sync += [left.eq(left - 1), address.eq(address + 1)]
            with m.If(segment_end):
                m.d.sync += [segment.eq(1), address.eq(row["base1"]), left.eq(row["left1"])]
        with m.If(pass_end):
            m.d.sync += [segment.eq(0), address.eq(row["base0"]), left.eq(row["left0"]),
                         passes.eq(passes - 1), first_pass.eq(0), wait.eq(row["gap"])]
            lanes = layout.program.lanes % 3
            with m.Switch(residue):
                for value in range(3):
                    with m.Case(value):
                        m.d.sync += residue.eq((value + lanes) % 3)
        with m.If(step_end):
            m.d.sync += [busy.eq(0), tail.eq(Mux(last, max(0, schedule.tail_last - 1),
                                                 max(0, schedule.tail - 1)))]
        with m.If(load):
            m.d.sync += [phase.eq(load_idx), segment.eq(0), first_pass.eq(1), residue.eq(0)]
            with m.Switch(load_idx):
                for k, values in enumerate(table):
                    with m.Case(k):
                        m.d.sync += [row[key].eq(value) for key, value in values.items()]
                        m.d.sync += [left.eq(values["left0"]), address.eq(values["base0"]),
                                     passes.eq(values["passes"]), wait.eq(values["wait"])]
        with m.If(self.step_start):
            m.d.sync += [busy.eq(1), first.eq(self.step_first), last.eq(self.step_last),
                         bank.eq(~bank)]

        source = Signal(Source)
        issue = self.issue
        m.d.comb += [
            source.eq(Mux(segment, row["source1"], row["source0"])),
            issue.valid.eq(going), issue.source.eq(source), issue.address.eq(address),
            issue.shift.eq(Mux(segment, row["shift1"], row["shift0"])),
            issue.masked.eq(first & (source == Source.OLD)),
            issue.border.eq(going & segment_end & ~segment & row["split"]),
            issue.residue.eq(residue), issue.last.eq(pass_end),
            issue.pass_tag.phase.eq(phase), issue.pass_tag.first_pass.eq(first_pass),
            issue.pass_tag.bank.eq(bank), issue.pass_tag.first_step.eq(first),
            issue.pass_tag.last_step.eq(last)]
        return m
