"""The input side: two input banks, token addresses, and states on their way in."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from .layout import Layout

__all__ = ["Loader"]


class Loader(wiring.Component):
    """Takes the input stream apart: weights (if they are loaded), then, sequence by sequence,
    initial states (if the network loads them) and steps.

    One word a cycle: an element, a column of elements, a token or a state. A bank is full when its
    last word is in, or at ``last``; a step that ``last`` cuts short runs with what stands in the
    bank and counts as an error, so that the sequence after it is exact. A ``last`` among the state
    words is an error too: states start over.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    data : In(input_width), valid : In(1), ready : Out(1), last : In(1), the input stream
    weight_en : Out(1), the word is a piece of the weights; weights_loaded : In(1)
    idle : In(1), nothing is running: states may be loaded
    release : In(1), the step that runs no longer needs its bank
    start : In(1), the bank to run next is taken
    waiting : Out(1), a bank is full and its step has not started; step_ready : Out(1), so it will
        be in the next cycle; where steps start ``program.start`` = 0 cycles after their input: so
        it is, or its last word comes in
    step_first, step_last : Out(1), of the bank to run next
    loading : Out(1), states are expected or on their way
    token_base : Out, word address of the running step's token in the embedding
    run_bank : Out(1), the bank of the running step
    x_en : Out(cols), x_addr, x_data : Out, write port of the input memory; the bank is the top
        address bit
    state_en : Out(posts), state_cell : Out(1), state_group, state_data : Out, a state word, and
        the post whose neuron it is; state_sweep : Out, its layer's sweep
    error : Out(1), high for each word that breaks the protocol
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        super().__init__(self.members(layout))

    @staticmethod
    def members(layout: Layout) -> dict:
        """The ports, as for ``Component``."""
        program = layout.program
        network, cols = program.network, program.cols
        return {
            "data": In(program.input_width), "valid": In(1), "ready": Out(1), "last": In(1),
            "weight_en": Out(1), "weights_loaded": In(1),
            "idle": In(1), "release": In(1), "start": In(1),
            "waiting": Out(1), "step_ready": Out(1), "step_first": Out(1), "step_last": Out(1),
            "loading": Out(1),
            "token_base": Out(layout.address_bits), "run_bank": Out(1),
            "x_en": Out(cols), "x_addr": Out(bits_for(layout.input_depth - 1)),
            "x_data": Out(cols * layout.act_width),
            "state_en": Out(program.posts), "state_cell": Out(1),
            "state_group": Out(layout.group_bits),
            "state_data": Out(signed(max(layout.act_width, network.cell.width))),
            "state_sweep": Out(layout.sweep), "error": Out(1)}

    def elaborate(self, platform):
        m = Module()
        network, words = self._layout.program.network, self._layout.program.input_words
        word, word_last = Signal(range(max(2, words))), Signal(init=int(words == 1))
        write, run, following = Signal(), Signal(), Signal()
        full = Array(Signal(name=f"full{k}") for k in range(2))
        first = Array(Signal(name=f"first{k}") for k in range(2))
        last = Array(Signal(name=f"last{k}") for k in range(2))
        starting = Signal(init=1)  # the next step is its sequence's first
        loading = Signal(init=int(network.loads_state))
        accept, complete = Signal(), Signal()
        waiting = Signal(2)  # full banks whose step has not started: one or two, two
        ready, waits = complete | waiting[1] | (waiting[0] & ~self.start), self.step_ready
        step_first = first[following]
        step_last = last[following]
        if not self._layout.program.start:  # a step may start in the cycle of its last word
            ready = complete | waiting[0]
            waits = Mux(self.start, waiting[1] | (complete & waiting[0]), ready)
            step_first = Mux(waiting[0], step_first, starting)
            step_last = Mux(waiting[0], step_last, self.last)
        m.d.comb += [
            self.ready.eq(~self.weights_loaded
                          | Mux(loading, self.idle & ~full[run], ~full[write])),
            self.weight_en.eq(self.valid & ~self.weights_loaded),
            accept.eq(self.valid & self.ready & self.weights_loaded),
            complete.eq(accept & ~loading & (word_last | self.last)),
            self.error.eq((accept & self.last & (loading | ~word_last))
                          | (self.weight_en & self.last)),
            self.waiting.eq(waiting[0]),
            self.step_ready.eq(ready), self.step_first.eq(step_first),
            self.step_last.eq(step_last), self.loading.eq(loading), self.run_bank.eq(run)]

        with m.If(accept & ~loading):
            m.d.sync += [word.eq(Mux(complete, 0, word + 1)),
                         word_last.eq(Mux(complete, words == 1, word == words - 2))]
        with m.If(complete):
            m.d.sync += [full[write].eq(1), first[write].eq(starting), last[write].eq(self.last),
                         starting.eq(self.last), write.eq(~write)]
        with m.If(self.release):
            m.d.sync += [full[run].eq(0), run.eq(~run)]
        with m.If(self.start):
            m.d.sync += following.eq(~following)
        m.d.sync += [waiting[0].eq(waits),
                     waiting[1].eq(Mux(self.start, complete & waiting[1],
                                       (complete & waiting[0]) | waiting[1]))]

        if network.embedding is None:
            self._elements(m, accept & ~loading, complete, write)
        else:
            self._token(m, accept & ~loading, write, run)
        if network.loads_state:
            self._states(m, accept & loading, complete & self.last, loading)
        return m

    def _column(self, m: Module, accept, complete):
        """Elements of a word to their places in a column; returns when the column is full."""
        program = self._layout.program
        cols, width = program.cols, program.element_width
        elements = [self.data.word_select(k, width)[:self._layout.act_width]
                    for k in range(program.input_elements)]
        if program.input_elements == 1:
            elements *= cols
        turn = Signal(cols, init=1)  # the element's place in its column
        whole = program.input_elements == cols
        m.d.comb += [self.x_data.eq(Cat(*elements)),
                     self.x_en.eq(Mux(accept, C(-1, cols) if whole else turn, 0))]
        with m.If(accept):
            m.d.sync += turn.eq(turn.rotate_left(1))
        with m.If(complete):
            m.d.sync += turn.eq(1)
        return whole | turn[-1]

    def _elements(self, m: Module, accept, complete, write):
        """Elements into the bank: a column at once, or one by one."""
        column = Signal(max(1, len(self.x_addr) - 1))
        moves = self._column(m, accept, complete)
        m.d.comb += self.x_addr.eq(Cat(column[:len(self.x_addr) - 1], write))
        with m.If(accept):
            m.d.sync += column.eq(column + moves)
        with m.If(complete):
            m.d.sync += column.eq(0)

    def _row_of_token(self, m: Module, accept):
        """token * words a token; an id outside the table counts as an error and reads row 0."""
        layout = self._layout
        outside = Signal()
        m.d.comb += outside.eq(self.data >= len(layout.program.network.embedding))
        with m.If(accept & outside):
            m.d.comb += self.error.eq(1)
        # Shifts and adds: a multiplier block would be wasted on a constant.
        product = sum((self.data << k for k in range(layout.input_columns.bit_length())
                       if layout.input_columns >> k & 1), start=C(0))
        return Mux(outside, 0, product)

    def _token(self, m: Module, accept, write, run):
        """The bank's token as the address of its row."""
        base = Array(Signal(self._layout.address_bits, name=f"token{k}") for k in range(2))
        row = self._row_of_token(m, accept)
        with m.If(accept):
            m.d.sync += base[write].eq(row)
        m.d.comb += self.token_base.eq(base[run])

    def _states(self, m: Module, accept, sequence_end, loading):
        """Initial states: h of every recurrent layer, then c of every LSTM, unit by unit."""
        program, states = self._layout.program, self._layout.program.states
        idx = Signal(range(max(2, len(states))))
        unit = Signal(range(max(2, max(units for *_, units in states))))
        group, turn = Signal(self._layout.group_bits), Signal(program.posts, init=1)
        base, left, cell = Signal.like(group), Signal.like(unit), Signal()
        with m.Switch(idx):
            for k, (signal, layer, unit_base, units) in enumerate(states):
                with m.Case(k):
                    m.d.comb += [base.eq(unit_base // program.posts), left.eq(units - 1),
                                 cell.eq(int(signal == "c")),
                                 self.state_sweep.eq(program.sweep_of(layer))]
        m.d.comb += [self.state_en.eq(Mux(accept, turn, 0)), self.state_cell.eq(cell),
                     self.state_group.eq(base + group), self.state_data.eq(self.data.as_signed())]
        with m.If(accept):
            m.d.sync += [unit.eq(unit + 1), turn.eq(turn.rotate_left(1)),
                         group.eq(group + turn[-1])]
            with m.If((unit == left) | self.last):
                m.d.sync += [unit.eq(0), group.eq(0), turn.eq(1), idx.eq(idx + 1)]
            with m.If((unit == left) & (idx == len(states) - 1)):
                m.d.sync += [idx.eq(0), loading.eq(0)]
            with m.If(self.last):
                m.d.sync += [idx.eq(0), loading.eq(1)]
        with m.If(sequence_end):
            m.d.sync += loading.eq(1)
