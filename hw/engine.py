"""The engine: memories, array, element-wise pipeline and the control around them, wired up."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .blocks import delay
from .drain import Drain
from .dump import Dump
from .elementwise import ElementWise
from .families import PORTABLE, Family
from .guard import FAULTS, Guard, Twin, Watch
from .image import embedding_image
from .layout import Layout
from .loader import Loader
from .mac import MacArray
from .output import Output
from .parity import count_where
from .program import Op, Program, Source
from .schedule import Latencies, make_schedule
from .sequence import SequenceLoader
from .sequencer import Sequencer
from .weights import WeightMemory

__all__ = ["Engine", "make_layout"]


def _to_array(program: Program) -> int:
    """Cycles from issue to array: memory, then source select. The weights take as long."""
    return program.pipeline.vector + program.pipeline.broadcast


def make_layout(program: Program, *, family: Family = PORTABLE, protect: bool = False) -> Layout:
    """Time a program with the depths of the blocks that it will run on."""
    watch = Watch() if protect else None
    array = MacArray.latency(slots=program.slots, cols=program.cols, pipeline=program.pipeline,
                             packed=program.packing is not None)
    latencies = Latencies(mac=_to_array(program) + array, post=ElementWise.latency(program),
                          output=program.pipeline.output, start=program.start,
                          dump=program.pipeline.ram,
                          cell=ElementWise.cell_latency(program) if program.peepholes else 0)
    return Layout(program=program, schedule=make_schedule(program, latencies), watch=watch,
                  family=watch.family(family) if protect else family)


class Engine(wiring.Component):
    """One engine for every recurrent network.

    Throughput: a step every ``schedule.interval`` cycles while input and output keep up.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    Streams ``s_axis_*`` in and ``m_axis_*`` out follow AXI4-Stream; ``tlast`` ends a sequence.

    m_axis_tkeep, only where an output word holds several results : Out(posts), a bit a result
    trace_step : Out(1), a step starts
    trace_h_valid : Out(1), trace_h_index, trace_h_data : Out, each group of results as it is
        written: one of each post, post 0 lowest
    trace_c_valid : Out(1), trace_c_index, trace_c_data : Out, each group of cell states
    status_errors : Out(16), words that broke the input protocol
    status_saturations : Out(32), results and cell states that were clipped
    idle : Out(1), nothing runs and no step is waiting
    status_faults, only in a protected core : Out(3), upsets; see ``hw.guard``
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        program = layout.program
        keep = {"m_axis_tkeep": Out(program.posts)} if program.output_elements > 1 else {}
        faults = {"status_faults": Out(len(FAULTS))} if layout.watch else {}
        super().__init__({
            "s_axis_tdata": In(program.input_width), "s_axis_tvalid": In(1),
            "s_axis_tready": Out(1), "s_axis_tlast": In(1),
            "m_axis_tdata": Out(layout.output_width), "m_axis_tvalid": Out(1),
            "m_axis_tready": In(1), "m_axis_tlast": Out(1), **keep,
            "trace_step": Out(1),
            "trace_h_valid": Out(1), "trace_h_index": Out(layout.group_bits),
            "trace_h_data": Out(program.posts * layout.act_width),
            "trace_c_valid": Out(1), "trace_c_index": Out(layout.group_bits),
            "trace_c_data": Out(program.posts * program.network.cell.width),
            "status_errors": Out(16), "status_saturations": Out(32), "idle": Out(1),
            **faults})

    def elaborate(self, platform):
        m = Module()
        layout = self._layout
        buffered, n_sweeps = layout.program.max_steps, layout.program.n_sweeps
        guard = None
        if layout.watch:
            layout.watch.clear()
            guard = Guard(layout)

        def going_in(signal):
            return signal & ~guard.halt if guard else signal

        def going_out(signal):  # a word that is on offer stays so
            return signal & (~guard.halt | guard.blocked) if guard else signal

        m.submodules.loader = loader = (SequenceLoader if buffered else Loader)(layout)
        m.submodules.sequencer = sequencer = Sequencer(layout)
        m.submodules.drain = drain = Drain(layout)
        posts = [ElementWise(layout, k) for k in range(layout.program.posts)]
        for k, post in enumerate(posts):
            m.submodules[f"post{k}"] = post
        m.submodules.dump = dump = Dump(layout)
        m.submodules.output = output = Output(layout)

        m.d.comb += [
            loader.data.eq(self.s_axis_tdata), loader.valid.eq(going_in(self.s_axis_tvalid)),
            self.s_axis_tready.eq(going_in(loader.ready)), loader.last.eq(self.s_axis_tlast),
            loader.idle.eq(~sequencer.busy & dump.idle),
            loader.start.eq(sequencer.step_start),
            sequencer.step_ready.eq(loader.step_ready & output.room),
            sequencer.step_first.eq(loader.step_first), sequencer.step_last.eq(loader.step_last),
            self.idle.eq(~sequencer.busy & dump.idle & ~loader.waiting)]
        end, final = sequencer.step_end & sequencer.running_last, C(1)
        if buffered:
            final = loader.sweep == n_sweeps - 1
            m.d.comb += [loader.end.eq(end), sequencer.sweep.eq(loader.sweep),
                         sequencer.sweep_begin.eq(loader.sweep_begin)]
        else:
            m.d.comb += loader.release.eq(sequencer.step_end)
        m.d.comb += [dump.start.eq(end & final),
                     output.step_start.eq(sequencer.step_start & final)]
        if layout.program.network.returns_state:
            m.d.comb += sequencer.hold.eq(~dump.idle)

        self._vectors(m, loader, sequencer, posts, dump, output)
        self._array(m, loader, sequencer, drain, posts)
        self._results(m, loader, sequencer, posts, dump, output, going_out)
        if guard:
            self._watch(m, guard, loader, sequencer, drain, dump, output)

        tag = posts[0].result_tag
        m.d.comb += [
            self.trace_step.eq(sequencer.step_start),
            self.trace_h_valid.eq(tag.valid & (tag.op != Op.RESET)),
            self.trace_h_index.eq(tag.group),
            self.trace_h_data.eq(Cat(post.result for post in posts)),
            self.trace_c_valid.eq(posts[0].cell_valid),
            self.trace_c_index.eq(posts[0].cell_group),
            self.trace_c_data.eq(Cat(post.cell_data for post in posts))]
        # Registers in between: wide counters do not belong behind what they count.
        error, clipped = Signal(), Signal(range(layout.clip_events * len(posts) + 1))
        m.d.sync += [error.eq(loader.error), clipped.eq(sum(post.clipped for post in posts)),
                     self.status_errors.eq(self.status_errors + error),
                     self.status_saturations.eq(self.status_saturations + clipped)]
        return m

    def _vectors(self, m: Module, loader, sequencer, posts, dump, output):
        """The memories of x and h, and what is broadcast of them."""
        layout, program = self._layout, self._layout.program
        network, cols, pipeline = program.network, program.cols, program.pipeline
        act_width, issue, tag = layout.act_width, sequencer.issue, posts[0].result_tag

        # A word is whole columns and whole groups: the lowest address bits tell which.
        column_bits, part_bits = (ceil_log2(program.word // n) for n in (cols, program.posts))
        stored = [phase.dest_base + phase.units for phase in program.phases if phase.to_vector]
        bank_bits = max(1, ceil_log2(-(-max(stored, default=1) // program.word)))
        m.submodules.vectors = vectors = layout.family.ram(
            width=act_width, depth=2 << bank_bits, cols=program.word, latency=pipeline.vector)

        def word_address(value, low, bank):
            return Cat(Cat(value, C(0, bank_bits + low))[low:low + bank_bits], bank)

        old = issue.source == Source.OLD
        group, write, bank = Signal(layout.group_bits), Signal(program.posts), Signal()
        m.d.comb += [
            group.eq(tag.dest), bank.eq(tag.bank),
            write.eq((tag.valid & tag.to_vector).replicate(program.posts)),
            vectors.r_addr.eq(word_address(issue.address, column_bits, sequencer.bank ^ old)),
            vectors.w_addr.eq(word_address(group, part_bits, bank)),
            vectors.w_en.eq(Cat(Mux(group[:part_bits] == part, write, 0)
                                for part in range(1 << part_bits))),
            vectors.w_data.eq(Cat(post.result for post in posts).replicate(1 << part_bits))]
        states_in = loader.state_en.any() & ~loader.state_cell
        with m.If(states_in):
            m.d.comb += [group.eq(loader.state_group),
                         bank.eq(sequencer.banks.bit_select(loader.state_sweep, 1)),
                         write.eq(loader.state_en),
                         vectors.w_data.eq(loader.state_data[:act_width].replicate(program.word))]
        with m.If(dump.reading):
            m.d.comb += vectors.r_addr.eq(word_address(
                dump.group, part_bits, sequencer.banks.bit_select(dump.sweep, 1)))

        if program.max_steps:
            base = Mux(issue.reverse, loader.input_base[1], loader.input_base[0])
        if network.embedding is None:
            bits = len(loader.x_addr) - 1
            m.submodules.inputs = inputs = layout.family.ram(
                width=act_width, depth=layout.input_depth, cols=cols, latency=pipeline.vector)
            m.d.comb += [
                inputs.w_en.eq(loader.x_en), inputs.w_addr.eq(loader.x_addr),
                inputs.w_data.eq(loader.x_data),
                inputs.r_addr.eq(base + issue.address if program.max_steps else
                                 Cat(Cat(issue.address, C(0, bits))[:bits], loader.run_bank))]
        else:
            image = embedding_image(program)
            m.submodules.inputs = inputs = layout.family.ram(
                width=act_width * cols, depth=len(image), init=image, writable=False,
                latency=pipeline.vector)
            m.d.comb += inputs.r_addr.eq(
                (base if program.max_steps else loader.token_base) + issue.address)

        count_where(m, layout, inputs, issue.valid & (issue.source == Source.INPUT),
                    cycles=pipeline.vector)
        stale = issue.masked & (not network.loads_state)
        count_where(m, layout, vectors, cycles=pipeline.vector, used=dump.reading | (
            issue.valid & ((issue.source == Source.NEW) | (old & ~stale))))

        def later(value, name):
            return delay(m, value, pipeline.vector, name=name)

        found = vectors.r_data
        if program.n_sweeps > 1:
            kept = self._kept(m, loader, issue, posts, column_bits, part_bits)
            found = Mux(later(issue.source == Source.KEPT, "from_kept"), kept, found)
        state = found
        if column_bits:
            column = later(issue.address[:column_bits], "column")
            state = found.word_select(column, cols * act_width)
        masking = C(0) if network.loads_state else later(issue.masked, "masked")
        shift = later(issue.shift, "shift")

        def by_shift(element, by):
            operand = Signal(signed(network.operand_width))
            m.d.comb += operand.eq(element << by)
            return operand

        def operands(vector, from_input):
            """Elements shifted left; where that is always the same, it costs nothing."""
            shifts = {segment.shift for phase in program.phases for segment in phase.segments
                      if (segment.source is Source.INPUT) == from_input}
            by = shift if len(shifts) > 1 else C(shifts.pop() if shifts else 0)
            return Cat(by_shift(vector.word_select(k, act_width).as_signed(), by)
                       for k in range(cols))

        chosen = Mux(later(issue.source == Source.INPUT, "from_input"),
                     operands(inputs.r_data, True), Mux(masking, 0, operands(state, False)))
        self._operands = delay(m, chosen, pipeline.broadcast, name="broadcast")

        # A state word stands at the vector memory's output, or at a cell memory's.
        if network.returns_state:
            found = vectors.r_data
            if part_bits:
                place = later(dump.group[:part_bits], "place")
                found = found.word_select(place, program.posts * act_width)
            hidden = delay(m, found, pipeline.ram - pipeline.vector, name="hidden")

            def arrived(value, name):
                return delay(m, value, pipeline.ram, name=name, reset_less=False)

            post, cells = arrived(dump.post, "post"), Array(p.dump_data for p in posts)
            m.d.comb += [
                output.state.eq(Mux(
                    arrived(dump.cell, "from_cell"), cells[post],
                    hidden.word_select(post, act_width)[:act_width].as_signed())),
                output.state_en.eq(arrived(dump.reading, "reading")),
                output.state_end.eq(arrived(dump.final, "final"))]

    def _kept(self, m: Module, loader, issue, posts, column_bits: int, part_bits: int):
        """The sequence memory: results of one sweep, step by step, for the next."""
        layout, program, tag = self._layout, self._layout.program, posts[0].result_tag
        m.submodules.kept = kept = layout.family.ram(
            width=layout.act_width, depth=layout.kept_depth, cols=program.word,
            latency=program.pipeline.vector)
        count_where(m, layout, kept, issue.valid & (issue.source == Source.KEPT),
                    cycles=program.pipeline.vector)
        write, parts = tag.valid & tag.to_sequence, 1 << part_bits
        m.d.comb += [
            kept.r_addr.eq(Mux(issue.reverse, loader.kept_base[1], loader.kept_base[0])
                           + issue.address[column_bits:]),
            kept.w_addr.eq(Mux(tag.reverse, loader.write_base[1], loader.write_base[0])
                           + tag.dest[part_bits:]),
            kept.w_en.eq(Cat((write & (tag.dest[:part_bits] == part)).replicate(program.posts)
                             for part in range(parts))),
            kept.w_data.eq(Cat(post.result for post in posts).replicate(parts)),
            loader.written.eq(write & tag.boundary & tag.sequence_end)]
        return kept.r_data

    def _array(self, m: Module, loader, sequencer, drain, posts):
        """Vectors and weights into the array, its rows to the posts."""
        layout, program = self._layout, self._layout.program
        network, pipeline, issue = program.network, program.pipeline, sequencer.issue
        m.submodules.weights = weights = WeightMemory(layout)
        m.d.comb += [
            weights.advance.eq(issue.valid), weights.sweep.eq(sequencer.sweep),
            weights.restart.eq(sequencer.step_end | sequencer.sweep_begin),
            weights.load_en.eq(loader.weight_en), weights.load_data.eq(self.s_axis_tdata),
            loader.weights_loaded.eq(weights.loaded)]

        m.submodules.array = array = MacArray(
            lanes=program.lanes, cols=program.cols, posts=program.posts,
            operand_width=network.operand_width, weight_width=network.weight_width,
            acc_width=network.acc_width, split=layout.rows.split, family=layout.family,
            short=any(phase.rows % program.lanes for phase in program.phases),
            pipeline=pipeline, packing=program.packing)
        wait = _to_array(program)
        # A row's tag leads the row; the drain itself takes a cycle.
        ahead = layout.schedule.latencies.mac - ElementWise.lead(pipeline) - 1
        m.d.comb += [array.w.eq(weights.data), array.a.eq(self._operands),
                     drain.pass_tag.eq(delay(m, issue.pass_tag, ahead, name="pass_tag")),
                     drain.loaded.eq(delay(m, issue.last, ahead, name="loaded",
                                           reset_less=False))]
        for name in ("valid", "last", "border", "residue"):
            m.d.comb += getattr(array, name).eq(
                delay(m, issue[name], wait, name=name, reset_less=False))
        for k, post in enumerate(posts):
            m.d.comb += [post.row.eq(array.rows.word_select(k, network.acc_width)),
                         post.first_part.eq(array.first_parts.word_select(k, network.acc_width)),
                         post.row_addr.eq(drain.row_addr), post.tag.eq(drain.tag)]

    def _results(self, m: Module, loader, sequencer, posts, dump, output, going_out):
        """Results to the output buffer, states to the posts' memories."""
        tag = posts[0].result_tag
        for k, post in enumerate(posts):
            m.d.comb += [
                post.load_en.eq(loader.state_en[k]), post.load_cell.eq(loader.state_cell),
                post.load_group.eq(loader.state_group), post.load_data.eq(loader.state_data),
                post.dump_en.eq(dump.reading), post.dump_group.eq(dump.group)]
        m.d.comb += [
            output.results.eq(Cat(post.result for post in posts)),
            output.result_en.eq(tag.valid & tag.to_output),
            output.result_end.eq(tag.end), output.result_boundary.eq(tag.boundary),
            output.step_last.eq(loader.step_last),
            output.ready.eq(self.m_axis_tready),
            self.m_axis_tdata.eq(output.data), self.m_axis_tvalid.eq(going_out(output.valid)),
            self.m_axis_tlast.eq(output.last)]
        if len(output.keep) > 1:
            m.d.comb += self.m_axis_tkeep.eq(output.keep)

    def _watch(self, m: Module, guard, loader, sequencer, drain, dump, output):
        """Twins of the control, and who watches over all."""
        layout = self._layout
        for name, original in (("loader", loader), ("sequencer", sequencer), ("drain", drain),
                               ("dump", dump)):
            m.submodules[f"twin_{name}"] = twin = Twin(original, type(original)(layout),
                                                       ignore=("x_data", "state_data"))
            layout.watch.control.append(twin.alarm)
        m.submodules.guard = guard
        m.d.comb += [
            guard.start.eq(output.step_start), guard.start_last.eq(output.step_last),
            guard.event.eq(sequencer.step_start | sequencer.step_end),
            guard.pending.eq(~self.idle | ~loader.ready),
            guard.loaded.eq(loader.weights_loaded), guard.valid.eq(self.m_axis_tvalid),
            guard.ready.eq(self.m_axis_tready), guard.last.eq(self.m_axis_tlast),
            self.status_faults.eq(guard.faults)]
