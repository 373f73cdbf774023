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
    step before. From then on each cycle is the schedule's. Where a sequence takes several sweeps,
    each has its own phases, and its own turn of the vector memory's banks.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    step_ready : In(1), there is a step that may start ``program.start`` cycles later
    step_first, step_last : In(1), it is its sequence's first or last one
    hold : In(1), no step may start: states are on their way in or out
    sweep : In, which sweep runs; sweep_begin : In(1), its first cycle
    step_start : Out(1), high in the cycle before a step's first issue or wait
    step_end : Out(1), high in the cycle of a step's last issue
    running_last : Out(1), the running step is its sequence's last one
    busy : Out(1), a step is running
    banks : Out(sweeps), the vector memory's bank that the last step of each sweep has written
    bank : Out(1), the bank that the running step writes
    issue : Out(Layout.issue)
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        super().__init__({
            "step_ready": In(1), "step_first": In(1), "step_last": In(1), "hold": In(1),
            "step_start": Out(1), "step_end": Out(1), "running_last": Out(1), "busy": Out(1),
            "sweep": In(layout.sweep), "sweep_begin": In(1),
            "banks": Out(layout.program.n_sweeps), "bank": Out(1), "issue": Out(layout.issue)})

    def _rows(self) -> list:
        """The layer table: one dictionary of constants a phase."""
        schedule, program = self._layout.schedule, self._layout.program
        table = []
        for k, phase in enumerate(program.phases):
            wait, passes = schedule.waits[k], phase.passes(program.lanes)
            words = [segment.words(program.cols) for segment in phase.segments]
            single = sum(words) == 1
            row = {"wait": wait, "gap": schedule.gaps[k], "passes": passes - 1,
                   "two": int(len(words) == 2), "split": int(phase.split), "single": int(single),
                   # What holds in a phase's first cycle, and in the first cycle of a later pass.
                   "going": int(wait == 0), "ends": int(wait == 0 and single),
                   "again": int(schedule.gaps[k] == 0),
                   "again_ends": int(schedule.gaps[k] == 0 and single)}
            if program.max_steps:
                row["reverse"] = int(phase.reverse)
            for n in range(2):
                segment = phase.segments[min(n, len(phase.segments) - 1)]
                length = segment.words(program.cols)
                row |= {f"source{n}": int(segment.source),
                        f"base{n}": segment.base // program.cols,
                        f"left{n}": length - 1, f"short{n}": int(length == 1),
                        f"near{n}": int(length == 2),
                        f"shift{n}": segment.shift}
            table.append(row)
        return table

    def elaborate(self, platform):
        m = Module()
        layout, schedule = self._layout, self._layout.schedule
        table, program = self._rows(), layout.program
        n_phases = len(table)
        sweeps = schedule.sweeps

        def by_sweep(values):
            """A constant of the running sweep."""
            return Array(values)[self.sweep] if len(set(values)) > 1 else values[0]

        first_phase = [sum(map(len, program.sweeps[:k])) for k in range(len(sweeps))]
        last_phase = [first + len(phases) - 1
                      for first, phases in zip(first_phase, program.sweeps, strict=True)]
        # A sweep of last-step phases alone has only last steps.
        last_normal = [max(0, first + sum(not phase.last_only for phase in phases) - 1)
                       for first, phases in zip(first_phase, program.sweeps, strict=True)]

        # The running phase's row in registers; the next one's straight from the table, whose index
        # stands still since the phase before.
        row = {key: Signal(bits_for(max(r[key] for r in table)), name=f"row_{key}")
               for key in table[0]}
        coming = {key: Signal.like(value, name=f"coming_{key}") for key, value in row.items()}
        phase, upcoming = Signal(layout.phase_bits), Signal(layout.phase_bits)
        with m.Switch(upcoming):
            for k, values in enumerate(table):
                with m.Case(k) if k + 1 < n_phases else m.Default():
                    m.d.comb += [coming[key].eq(value) for key, value in values.items()]

        segment = Signal()
        left = Signal(max(len(row["left0"]), len(row["left1"])))
        address = Signal(layout.address_bits)
        source = Signal(Source)
        shift = Signal(layout.shift_bits)
        passes = Signal.like(row["passes"])
        wait = Signal(max(len(row["wait"]), len(row["gap"])))
        tail = Signal(bits_for(max(max(sweep.tail, sweep.tail_last) for sweep in sweeps)))
        residue = Signal(range(3))
        first_pass, first, last, busy = (Signal(name=name) for name in (
            "first_pass", "first", "last", "busy"))
        bank = self.banks.bit_select(self.sweep, 1)
        # Decisions stand in registers, made one cycle ahead: a comparison and what hangs on it
        # never share a cycle.
        going = Signal()         # a column is issued
        segment_end = Signal()   # this column is its segment's last
        near = Signal()          # the next one is
        last_pass = Signal()     # the phase's last pass runs
        final = Signal()         # the step's last phase runs
        pass_end = Signal()      # the pass's last column is issued
        more = Signal()          # it is the phase's last one, and another phase follows
        step_end = Signal()      # it is the step's last one
        free = Signal(init=1)    # nothing runs, or its last column is issued: a step may start
        armed = Signal()         # there is one

        start, load, last_now = Signal(), Signal(), Signal()
        at_once = [by_sweep([int(sweep.tail == 0) for sweep in sweeps]),
                   by_sweep([int(sweep.tail_last == 0 and not program.network.returns_state)
                             for sweep in sweeps])]
        m.d["sync" if program.start else "comb"] += armed.eq(self.step_ready)
        m.d.comb += [
            start.eq(armed & free & ~self.hold),
            load.eq(start | more), last_now.eq(Mux(start, self.step_last, last)),
            self.step_start.eq(start), self.step_end.eq(step_end), self.busy.eq(busy),
            self.running_last.eq(last), self.bank.eq(bank)]

        ends, last_pass_next, final_next = Signal(), Signal(), Signal()
        coming_final = Signal()
        m.d.comb += [
            coming_final.eq((upcoming == by_sweep(last_phase))
                            | (~last_now & (upcoming == by_sweep(last_normal)))),
            last_pass_next.eq(last_pass), final_next.eq(final)]
        with m.If(load):
            m.d.comb += [ends.eq(coming["ends"]), last_pass_next.eq(coming["passes"] == 0),
                         final_next.eq(coming_final)]
        with m.Elif(pass_end):
            m.d.comb += [ends.eq(row["again_ends"] & ~step_end), last_pass_next.eq(passes == 1)]
        with m.Elif(going):
            m.d.comb += ends.eq(Mux(segment_end, row["short1"],
                                    near & (segment | ~row["two"])))
        with m.Else():
            m.d.comb += ends.eq(busy & (wait == 1) & row["single"])
        finishes = Signal()
        m.d.comb += finishes.eq(ends & last_pass_next & final_next)
        m.d.sync += [
            last_pass.eq(last_pass_next), final.eq(final_next), pass_end.eq(ends),
            more.eq(ends & last_pass_next & ~final_next), step_end.eq(finishes)]

        with m.If(load):
            m.d.sync += [row[key].eq(value) for key, value in coming.items()]
            m.d.sync += [phase.eq(upcoming), upcoming.eq(Mux(coming_final, by_sweep(first_phase),
                                                       upcoming + 1)),
                         first_pass.eq(1), residue.eq(0), passes.eq(coming["passes"]),
                         going.eq(coming["going"]), wait.eq(coming["wait"])]
        with m.Elif(pass_end):
            m.d.sync += [first_pass.eq(0), passes.eq(passes - 1),
                         going.eq(row["again"] & ~step_end), wait.eq(row["gap"])]
            slots = layout.program.slots % 3
            with m.Switch(residue):
                for value in range(3):
                    with m.Case(value):
                        m.d.sync += residue.eq((value + slots) % 3)
        with m.Elif(~going):
            m.d.sync += [wait.eq(wait - (wait != 0)), going.eq(busy & (wait == 1))]

        def enter(table_row, n):
            return [segment.eq(n), address.eq(table_row[f"base{n}"]),
                    left.eq(table_row[f"left{n}"]), near.eq(table_row[f"near{n}"]),
                    segment_end.eq(table_row[f"short{n}"]),
                    source.eq(table_row[f"source{n}"]), shift.eq(table_row[f"shift{n}"])]

        with m.If(load):
            m.d.sync += enter(coming, 0)
        with m.Elif(pass_end):
            m.d.sync += enter(row, 0)
        with m.Elif(going):
            m.d.sync += [left.eq(left - 1), address.eq(address + 1), segment_end.eq(near),
                         near.eq(left == 2)]
            with m.If(segment_end):
                m.d.sync += enter(row, 1)

        # At step_end + tail the next step may start.
        soon = Mux(last, by_sweep([int(sweep.tail_last <= 1) for sweep in sweeps]),
                   by_sweep([int(sweep.tail <= 1) for sweep in sweeps]))
        m.d.sync += free.eq((finishes & Mux(last_now, at_once[1], at_once[0]))
                            | (~start & (free | (step_end & soon) | (~busy & (tail == 1)))))
        with m.If(step_end):
            left_over = [by_sweep([max(0, cycles - 1) for cycles in tails]) for tails in (
                [sweep.tail_last for sweep in sweeps], [sweep.tail for sweep in sweeps])]
            m.d.sync += [busy.eq(0), tail.eq(Mux(last, *left_over))]
        with m.Elif(~busy & (tail != 0)):
            m.d.sync += tail.eq(tail - 1)
        with m.If(start):
            m.d.sync += [busy.eq(1), first.eq(self.step_first), last.eq(self.step_last),
                         bank.eq(~bank)]
        if len(sweeps) > 1:
            with m.If(self.sweep_begin):
                m.d.sync += upcoming.eq(by_sweep(first_phase))

        issue = self.issue
        m.d.comb += [
            issue.valid.eq(going), issue.source.eq(source), issue.address.eq(address),
            issue.shift.eq(shift), issue.masked.eq(first & (source == Source.OLD)),
            issue.border.eq(going & segment_end & ~segment & row["split"]),
            issue.residue.eq(residue), issue.last.eq(pass_end),
            issue.pass_tag.phase.eq(phase), issue.pass_tag.first_pass.eq(first_pass),
            issue.pass_tag.bank.eq(bank), issue.pass_tag.first_step.eq(first),
            issue.pass_tag.last_step.eq(last)]
        if program.max_steps:
            m.d.comb += issue.reverse.eq(row["reverse"])
        return m
