"""The output side: the buffer of results and last states, and what leaves of a word of it."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .layout import Layout
from .queue import Buffer

__all__ = ["Output"]


class Output(wiring.Component):
    """Output buffer with credits: a step starts only if all its words have room.

    An entry is a group of results, one of each post, or one state. Behind the buffer results go out
    group by group, or one by one, or as the index of each step's largest, which takes a cycle more.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    results : In(posts * act_width), result_en, result_end, result_boundary, result_short : In(1);
        boundary with the last group of a step, short if that has less than ``posts`` units
    state : In(signed(output_element)), state_en, state_end : In(1)
    step_start, step_last : In(1), takes the step's credits
    room : Out(1), in the next cycle (where steps start ``program.start`` = 0 cycles after their
        input: in this one) the credits of a step, were it the largest, are there
    data : Out(output_width), valid : Out(1), ready : In(1), last : Out(1), the output stream
    keep : Out(output_elements), elements of the word that are results or states
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        program = layout.program
        super().__init__({
            "results": In(program.posts * layout.act_width), "result_en": In(1),
            "result_end": In(1), "result_boundary": In(1),
            "state": In(signed(layout.output_element)), "state_en": In(1), "state_end": In(1),
            "step_start": In(1), "step_last": In(1), "room": Out(1),
            "data": Out(layout.output_width), "valid": Out(1), "ready": In(1), "last": Out(1),
            "keep": Out(program.output_elements)})

    def elaborate(self, platform):
        m = Module()
        layout, program = self._layout, self._layout.program
        element = max(layout.act_width, len(self.state) * program.network.returns_state)
        # What nobody asks takes no place.
        grouped = program.argmax or program.posts > 1
        entry = data.StructLayout({
            "results": data.ArrayLayout(signed(element), program.posts), "end": 1,
            **({"boundary": 1} if grouped else {}),
            **({"state": 1} if grouped and program.network.returns_state else {})})
        m.submodules.buffer = buffer = Buffer(layout, width=entry.size, depth=layout.fifo_depth,
                                              latency=program.pipeline.output)
        written, read = Signal(entry), data.View(entry, buffer.r_data)
        is_state, boundary, tells_state = Signal(), Signal(), "state" in dict(entry)
        m.d.comb += [written.end.eq(self.result_end), buffer.w_en.eq(self.result_en),
                     buffer.w_data.eq(written)]
        if grouped:
            m.d.comb += [written.boundary.eq(self.result_boundary), boundary.eq(read.boundary)]
        if tells_state:
            m.d.comb += is_state.eq(read.state)
        m.d.comb += [
            written.results[k].eq(self.results.word_select(k, layout.act_width).as_signed())
            for k in range(program.posts)]
        with m.If(self.state_en):
            m.d.comb += [written.results[0].eq(self.state), written.end.eq(self.state_end),
                         buffer.w_en.eq(1)]
            if tells_state:
                m.d.comb += [written.boundary.eq(0), written.state.eq(1)]

        units = program.phases[-1].units
        short = units % program.posts or program.posts  # results in a step's last group
        if program.serial:
            self._serial(m, buffer, read, is_state, boundary, short)
        else:
            full = C(-1, program.posts)
            m.d.comb += [
                self.valid.eq(buffer.valid), self.last.eq(read.end), buffer.ready.eq(self.ready),
                self.keep.eq(Mux(is_state, 1, Mux(boundary, (1 << short) - 1, full)))]
            m.d.comb += [self.data.word_select(k, layout.output_element).eq(read.results[k])
                         for k in range(program.posts)]
        self._credits(m, buffer.valid & buffer.ready)
        return m

    def _serial(self, m: Module, buffer, read, is_state, boundary, short: int):
        """Results one by one, or the index of the largest."""
        program = self._layout.program
        place = Signal(range(max(2, program.posts)))
        final, move, value = Signal(), Signal(), Signal(signed(len(read.results[0])))
        m.d.comb += [
            final.eq(is_state | (place == Mux(boundary, short - 1, program.posts - 1))),
            value.eq(read.results[place] if program.posts > 1 else read.results[0]),
            buffer.ready.eq(move & final), self.keep.eq(1)]
        with m.If(buffer.valid & move):
            m.d.sync += place.eq(Mux(final, 0, place + 1))
        end = read.end & final
        if not program.argmax:
            m.d.comb += [self.valid.eq(buffer.valid), self.data.eq(value), self.last.eq(end),
                         move.eq(self.ready)]
            return
        best, best_index = Signal.like(value, reset_less=True), Signal(len(self.data))
        index, better, begun = Signal.like(best_index), Signal(), Signal()
        largest = Signal.like(best_index)
        m.d.comb += [better.eq(~begun | (value > best)), move.eq(~self.valid | self.ready),
                     largest.eq(Mux(better, index, best_index))]
        ends = boundary & final
        with m.If(move):
            m.d.sync += self.valid.eq(buffer.valid & (ends | is_state))
        with m.If(move & buffer.valid):
            m.d.sync += [self.data.eq(Mux(is_state, value, largest)), self.last.eq(end)]
            with m.If(~is_state):
                m.d.sync += [index.eq(Mux(ends, 0, index + 1)), begun.eq(~ends)]
                with m.If(better):
                    m.d.sync += [best.eq(value), best_index.eq(index)]

    def _credits(self, m: Module, leaves):
        """Entries that are still free if every step that has started fills its own."""
        program, depth = self._layout.program, self._layout.fifo_depth
        step, last = program.output_entries(False), program.output_entries(True)
        most = max(step, last)
        credit = Signal(range(depth + 1), init=depth)
        with m.Switch(Cat(leaves, self.step_start, self.step_last)):
            for k, change in enumerate((0, 1, -step, 1 - step, 0, 1, -last, 1 - last)):
                if change:
                    with m.Case(k):
                        m.d.sync += credit.eq(credit + change)
        if not program.start:
            m.d.comb += self.room.eq(credit >= most)
            return
        # An entry that leaves is counted one cycle late; a step that starts takes its own at once.
        after = Mux(self.step_last, credit >= most + last, credit >= most + step)
        m.d.comb += self.room.eq(Mux(self.step_start, after, credit >= most))
