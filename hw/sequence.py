"""The input side of networks with reverse layers: whole sequences, and the walks over them."""

from amaranth import *
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from .layout import Layout
from .loader import Loader
from .parity import count_where

__all__ = ["SequenceLoader"]


class SequenceLoader(Loader):
    """Stores a sequence whole, then has the engine walk over it, sweep after sweep.

    In step s of a sweep, forward layers stand at the sequence's step s and reverse layers at step
    T - 1 - s; a sweep of last-step layers alone is one step, at T - 1. The next sequence is taken
    in as soon as no sweep reads this one's input any more. A sequence of more than
    ``max_steps`` steps is cut there; each word beyond counts as an error.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    Those of ``Loader``, but for ``token_base``, ``run_bank`` and ``release``, and

    end : In(1), the cycle of the last issue of a sweep
    sweep : Out, which sweep runs; sweep_begin : Out(1), the first cycle of it
    input_base : Out, of the running step in the input memory or, with tokens, in the embedding
    kept_base : Out, of the running step in the sequence memory's region that is read
    write_base : Out, of the step whose results are on their way into the sequence memory
    written : In(1), that step's last result is written
        Each base is a pair: of forward layers, then of reverse ones; word addresses.
    """

    @staticmethod
    def members(layout: Layout) -> dict:
        """The ports, as for ``Component``."""
        members = Loader.members(layout)
        program = layout.program
        bits = (layout.address_bits if program.network.embedding is not None
                else bits_for(layout.input_depth - 1))
        kept = layout.kept_bits
        for name in ("token_base", "run_bank", "release"):
            del members[name]
        return members | {
            "end": In(1), "sweep": Out(layout.sweep), "sweep_begin": Out(1),
            "input_base": Out(bits).array(2), "kept_base": Out(kept).array(2),
            "write_base": Out(kept).array(2), "written": In(1)}

    def elaborate(self, platform):
        m = Module()
        layout, program = self._layout, self._layout.program
        network, words, most = program.network, program.input_words, program.max_steps
        word, word_last = Signal(range(max(2, words))), Signal(init=int(words == 1))
        count, total = Signal(range(most + 1)), Signal(range(most + 1))
        full, running, loading = Signal(), Signal(), Signal(init=int(network.loads_state))
        accept, taken, complete, surplus = Signal(), Signal(), Signal(), Signal()
        finish = accept & ~loading & self.last
        m.d.comb += [
            self.ready.eq(~self.weights_loaded
                          | Mux(loading, self.idle & ~full & ~running, ~full)),
            self.weight_en.eq(self.valid & ~self.weights_loaded),
            accept.eq(self.valid & self.ready & self.weights_loaded),
            surplus.eq(count == most), taken.eq(accept & ~loading & ~surplus),
            complete.eq(taken & (word_last | self.last)),
            self.error.eq((accept & self.last & (loading | ~word_last)) | (accept & surplus)
                          | (self.weight_en & self.last)),
            self.loading.eq(loading), self.waiting.eq(full | running)]
        with m.If(taken):
            m.d.sync += [word.eq(Mux(complete, 0, word + 1)),
                         word_last.eq(Mux(complete, words == 1, word == words - 2))]
        with m.If(complete):
            m.d.sync += count.eq(count + 1)
        with m.If(finish):
            m.d.sync += [full.eq(1), count.eq(0), total.eq(count + complete)]

        flushed = self._sweeps(m, full, running, total)
        release = self.end & (self.sweep == program.input_sweep)
        with m.If(release):
            m.d.sync += full.eq(0)

        steps = Signal(range(most))  # T - 1 of the sequence that runs
        with m.If(flushed & full):
            m.d.sync += steps.eq(total - 1)
        if network.embedding is None:
            last_input = self._ends(m, layout.input_columns, complete, finish, len(self.x_addr),
                                    flushed & full)
            self._steps(m, self.input_base, 0, last_input, layout.input_columns)
            self._vector(m, taken, complete, finish)
        else:
            self._tokens(m, complete, count, steps)
        if program.n_sweeps > 1:
            last_kept = self._ends(m, layout.kept_words, complete, finish, layout.kept_bits,
                                   flushed & full)
            regions = [layout.kept_words * most * ((k + 1) % layout.kept_regions)
                       for k in range(program.n_sweeps)]
            origin = Array(regions)[self.sweep]
            self._steps(m, self.kept_base, origin, origin + last_kept, layout.kept_words)
            self._writes(m, last_kept)
        if network.loads_state:
            self._states(m, accept & loading, finish, loading)
        return m

    def _sweeps(self, m: Module, full, running, total):
        """Which step of which sweep comes next; returns when the engine may turn to a sequence."""
        schedule, program = self._layout.schedule, self._layout.program
        last_sweep = program.n_sweeps - 1
        left, first = Signal.like(total), Signal()
        count = Signal(range(schedule.flush + 1))
        begin, present, again = Signal(), Signal(), Signal()
        flushed, turn = Signal(), Signal()
        single = Array([int(sweep.single) for sweep in schedule.sweeps])[self.sweep]
        running_total = Signal.like(total)
        m.d.comb += [
            turn.eq(count == 1), flushed.eq(~running | (turn & (self.sweep == last_sweep))),
            self.sweep_begin.eq(begin),
            self.step_ready.eq(present & ~self.start),
            self.step_first.eq(first), self.step_last.eq(left == 1)]
        m.d.sync += [begin.eq(0), again.eq(0)]
        with m.If(count != 0):
            m.d.sync += count.eq(count - 1)
        with m.If(self.end):
            m.d.sync += count.eq(schedule.flush)
        with m.If(flushed):
            m.d.sync += [running.eq(full), self.sweep.eq(0), begin.eq(full)]
            with m.If(full):
                m.d.sync += running_total.eq(total)
        with m.Elif(turn):
            m.d.sync += [self.sweep.eq(self.sweep + 1), begin.eq(1)]
        with m.If(begin):
            m.d.sync += [left.eq(Mux(single, 1, running_total)), first.eq(1), present.eq(1)]
        # A step takes at least as long as the next one's addresses.
        with m.If(self.start):
            m.d.sync += [present.eq(0), again.eq(left != 1), left.eq(left - 1), first.eq(0)]
        with m.If(again):
            m.d.sync += present.eq(1)
        return flushed

    @staticmethod
    def _ends(m: Module, stride: int, complete, finish, bits: int, taken):
        """Address of a sequence's last step, where each takes ``stride`` words."""
        following, last, kept = Signal(bits), Signal(bits), Signal(bits)
        with m.If(complete):
            m.d.sync += [last.eq(following), following.eq(following + stride)]
        with m.If(finish):
            m.d.sync += following.eq(0)
        with m.If(taken):
            m.d.sync += kept.eq(last)
        return kept

    def _steps(self, m: Module, base, low, high, stride: int):
        """Both directions' bases of the running step: up from ``low``, down from ``high``."""
        single = Array([int(sweep.single)
                        for sweep in self._layout.schedule.sweeps])[self.sweep]
        up, down = Signal.like(base[0]), Signal.like(base[1])
        with m.If(self.sweep_begin):
            m.d.sync += [up.eq(Mux(single, high, low)), down.eq(high)]
        with m.If(self.start):
            m.d.sync += [base[0].eq(up), base[1].eq(down),
                         up.eq(up + stride), down.eq(down - stride)]

    def _writes(self, m: Module, last_kept):
        """Both directions' bases of the step whose results are written."""
        layout, program = self._layout, self._layout.program
        starts = []
        for k, phases in enumerate(program.sweeps):
            kept = [phase.dest_base for phase in phases if phase.to_sequence]
            region = layout.kept_words * program.max_steps * (k % layout.kept_regions)
            starts.append((region - min(kept, default=0) // program.word) % (1 << layout.kept_bits))
        start, (up, down) = Array(starts)[self.sweep], self.write_base
        with m.If(self.sweep_begin):
            m.d.sync += [up.eq(start), down.eq(start + last_kept)]
        with m.Elif(self.written):
            m.d.sync += [up.eq(up + layout.kept_words), down.eq(down - layout.kept_words)]

    def _vector(self, m: Module, taken, complete, finish):
        """Elements into the input memory, step behind step."""
        address = Signal.like(self.x_addr)
        moves = self._column(m, taken, complete)
        m.d.comb += self.x_addr.eq(address)
        with m.If(taken):
            m.d.sync += address.eq(Mux(finish, 0, address + (moves | complete)))
        with m.Elif(finish):
            m.d.sync += address.eq(0)

    def _tokens(self, m: Module, complete, count, steps):
        """The tokens' rows of the embedding, in a memory read from both ends."""
        layout = self._layout
        product = self._row_of_token(m, complete)
        at = [Signal(range(layout.program.max_steps), name=f"at{k}") for k in range(2)]
        rows = []
        for k in range(2):
            m.submodules[f"tokens{k}"] = memory = layout.family.ram(
                width=layout.address_bits, depth=layout.program.max_steps, latency=1)
            m.d.comb += [memory.w_en.eq(complete), memory.w_addr.eq(count),
                         memory.w_data.eq(product), memory.r_addr.eq(at[k])]
            rows.append(memory.r_data)
            count_where(m, layout, memory, self.start)
        with m.If(self.sweep_begin):
            m.d.sync += [at[0].eq(0), at[1].eq(steps)]
        with m.If(self.start):
            m.d.sync += [at[0].eq(at[0] + 1), at[1].eq(at[1] - 1)]
            m.d.sync += [base.eq(row) for base, row in zip(self.input_base, rows, strict=True)]
