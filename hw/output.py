"""The output side: results or their argmax, last states, and the buffer that holds them."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .blocks import Ram
from .layout import Layout

__all__ = ["Buffer", "Dump", "Output"]


class Buffer(wiring.Component):
    """First in, first out, in one memory whose own registers are the last places of the queue.

    A word stands at the output ``1 + Ram.latency`` cycles after its write if it finds the buffer
    empty. Who writes knows that there is room.

    Parameters
    ----------
    layout : Layout
    width, depth : int

    Members
    -------
    w_en : In(1), w_data : In(width)
    valid : Out(1), r_data : Out(width), ready : In(1)
    """

    def __init__(self, layout: Layout, *, width: int, depth: int):
        self._family, self._width, self._depth = layout.family, width, depth
        super().__init__({"w_en": In(1), "w_data": In(width), "valid": Out(1),
                          "r_data": Out(width), "ready": In(1)})

    def elaborate(self, platform):
        m = Module()
        depth = 1 << ceil_log2(self._depth)
        m.submodules.memory = memory = self._family.ram(width=self._width, depth=depth, gated=True)
        write, read = Signal(range(depth)), Signal(range(depth))
        level, some = Signal(range(depth + 1)), Signal()  # words in the memory alone
        fetched, valid = Signal(), Signal()  # the steps of a read hold a word
        fetch, move = Signal(), Signal()
        m.d.comb += [
            move.eq(~valid | self.ready), fetch.eq(~fetched | move),
            memory.r_addr.eq(read), memory.r_en.eq(fetch), memory.o_en.eq(move),
            memory.w_addr.eq(write), memory.w_en.eq(self.w_en), memory.w_data.eq(self.w_data),
            self.r_data.eq(memory.r_data), self.valid.eq(valid)]
        with m.If(move):
            m.d.sync += valid.eq(fetched)
        with m.If(fetch):
            m.d.sync += [fetched.eq(some), read.eq(read + some)]
        with m.If(self.w_en):
            m.d.sync += write.eq(write + 1)
        with m.If(self.w_en & ~(fetch & some)):
            m.d.sync += [level.eq(level + 1), some.eq(1)]
        with m.Elif(~self.w_en & fetch & some):
            m.d.sync += [level.eq(level - 1), some.eq(level != 1)]
        return m


class Dump(wiring.Component):
    """Reads the last states out, one word a cycle, once nothing is in flight.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    start : In(1), the cycle of a sequence's last issue
    idle : Out(1), low from the cycle after ``start`` until all is flushed and read
    reading : Out(1), an address is out; cell : Out(1), it is a cell state's; unit : Out
    final : Out(1), the last one
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        super().__init__({
            "start": In(1), "idle": Out(1), "reading": Out(1), "cell": Out(1),
            "unit": Out(layout.unit_bits), "final": Out(1)})

    def elaborate(self, platform):
        m = Module()
        program, flush = self._layout.program, self._layout.schedule.flush
        count = Signal(range(flush + 1))
        reading, idle, flushed = Signal(), Signal(init=1), Signal()
        m.d.comb += [self.idle.eq(idle), flushed.eq(count == 1)]
        with m.If(count != 0):
            m.d.sync += count.eq(count - 1)
        with m.If(self.final if program.network.returns_state else flushed):
            m.d.sync += idle.eq(1)
        with m.If(self.start):
            m.d.sync += [count.eq(flush), idle.eq(0)]
        if not program.network.returns_state:
            return m
        states = program.states
        idx = Signal(range(max(2, len(states))))
        left = Signal(range(max(2, max(units for *_, units in states))))
        unit, cell = Signal(self._layout.unit_bits), Signal()
        following = Signal.like(idx)
        m.d.comb += [self.reading.eq(reading), self.cell.eq(cell), self.unit.eq(unit),
                     self.final.eq(reading & (left == 0) & (idx == len(states) - 1)),
                     following.eq(Mux(reading, idx + 1, 0))]
        with m.If(reading):
            m.d.sync += [unit.eq(unit + 1), left.eq(left - 1)]
        with m.If(flushed | (reading & (left == 0))):
            m.d.sync += [reading.eq(~self.final), idx.eq(following)]
            with m.Switch(following):
                for k, (signal, _, base, units) in enumerate(states):
                    with m.Case(k):
                        m.d.sync += [unit.eq(base), left.eq(units - 1),
                                     cell.eq(int(signal == "c"))]
        return m


class Output(wiring.Component):
    """Output buffer with credits: a step starts only if all its words have room.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    result : In(signed(act_width)), result_en, result_end, best_first, best_last : In(1)
    state : In(signed(output_width)), state_en, state_end : In(1)
    step_start, step_last : In(1), takes the step's credits
    room : Out(1), in the next cycle the credits of a step, were it the largest, are there
    data : Out(output_width), valid : Out(1), ready : In(1), last : Out(1), the output stream
    """

    latency = 1 + Ram.latency  # write into the buffer to the word at the port

    def __init__(self, layout: Layout):
        self._layout = layout
        super().__init__({
            "result": In(signed(layout.act_width)), "result_en": In(1), "result_end": In(1),
            "best_first": In(1), "best_last": In(1),
            "state": In(signed(layout.output_width)), "state_en": In(1), "state_end": In(1),
            "step_start": In(1), "step_last": In(1), "room": Out(1),
            "data": Out(layout.output_width), "valid": Out(1), "ready": In(1), "last": Out(1)})

    def elaborate(self, platform):
        m = Module()
        layout, program = self._layout, self._layout.program
        depth, width = layout.fifo_depth, layout.output_width
        m.submodules.fifo = fifo = Buffer(layout, width=width + 1, depth=depth)
        word, enable, end = Signal(signed(width)), Signal(), Signal()
        if program.argmax:
            best = Signal(signed(layout.act_width), reset_less=True)
            idx, best_idx = Signal(width), Signal(width)
            better = Signal()
            m.d.comb += better.eq(self.best_first | (self.result > best))
            with m.If(self.result_en):
                m.d.sync += idx.eq(Mux(self.best_last, 0, idx + 1))
                with m.If(better):
                    m.d.sync += [best.eq(self.result), best_idx.eq(idx)]
            m.d.comb += [word.eq(Mux(better, idx, best_idx)), end.eq(self.result_end),
                         enable.eq(self.result_en & self.best_last)]
        else:
            m.d.comb += [word.eq(self.result), enable.eq(self.result_en), end.eq(self.result_end)]
        with m.If(self.state_en):
            m.d.comb += [word.eq(self.state), enable.eq(1), end.eq(self.state_end)]
        m.d.comb += [
            fifo.w_data.eq(Cat(word, end)), fifo.w_en.eq(enable), fifo.ready.eq(self.ready),
            self.valid.eq(fifo.valid), self.data.eq(fifo.r_data[:width]),
            self.last.eq(fifo.r_data[width])]

        step, last = program.output_words(False), program.output_words(True)
        most = max(step, last)
        credit = Signal(range(depth + 1), init=depth)
        with m.Switch(Cat(self.valid & self.ready, self.step_start, self.step_last)):
            for k, change in enumerate((0, 1, -step, 1 - step, 0, 1, -last, 1 - last)):
                if change:
                    with m.Case(k):
                        m.d.sync += credit.eq(credit + change)
        # A word that leaves is counted one cycle late; a step that starts takes its own at once.
        after = Mux(self.step_last, credit >= most + last, credit >= most + step)
        m.d.comb += self.room.eq(Mux(self.step_start, after, credit >= most))
        return m
