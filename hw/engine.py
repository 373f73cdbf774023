"""The engine: memories, array, element-wise pipeline and the control around them, wired up."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .blocks import Ram, delay
from .drain import Drain
from .elementwise import ElementWise
from .families import PORTABLE, Family
from .image import embedding_image
from .layout import Layout
from .loader import Loader
from .mac import MacArray
from .output import Dump, Output
from .program import Op, Program, Source
from .schedule import Latencies, make_schedule
from .sequencer import Sequencer
from .weights import WeightMemory

__all__ = ["Engine", "make_layout"]

# Issue to the broadcast register: memory, then source select. The weights take as long.
VECTOR_LATENCY = Ram.latency + 1


def make_layout(program: Program, *, family: Family = PORTABLE) -> Layout:
    """Time a program with the depths of the blocks that it will run on."""
    latencies = Latencies(mac=VECTOR_LATENCY + MacArray.latency(program.cols),
                          post=ElementWise.latency(program), output=Output.latency,
                          dump=Ram.latency)
    return Layout(program=program, schedule=make_schedule(program, latencies), family=family)


class Engine(wiring.Component):
    """One engine for every recurrent network.

    Throughput: a step every ``schedule.interval`` cycles while input and output keep up.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    Streams ``s_axis_*`` in and ``m_axis_*`` out follow AXI4-Stream; ``tlast`` ends a sequence.

    trace_step : Out(1), a step starts
    trace_h_valid : Out(1), trace_h_index, trace_h_data : Out, each result as it is written
    trace_c_valid : Out(1), trace_c_index, trace_c_data : Out, each cell state
    status_errors : Out(16), words that broke the input protocol
    status_saturations : Out(32), results and cell states that were clipped
    idle : Out(1), nothing runs and no step is waiting
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        network = layout.program.network
        super().__init__({
            "s_axis_tdata": In(layout.program.input_width), "s_axis_tvalid": In(1),
            "s_axis_tready": Out(1), "s_axis_tlast": In(1),
            "m_axis_tdata": Out(layout.output_width), "m_axis_tvalid": Out(1),
            "m_axis_tready": In(1), "m_axis_tlast": Out(1),
            "trace_step": Out(1),
            "trace_h_valid": Out(1), "trace_h_index": Out(layout.unit_bits),
            "trace_h_data": Out(layout.act_width),
            "trace_c_valid": Out(1), "trace_c_index": Out(layout.unit_bits),
            "trace_c_data": Out(network.cell.width),
            "status_errors": Out(16), "status_saturations": Out(32), "idle": Out(1)})

    def elaborate(self, platform):
        m = Module()
        layout = self._layout
        m.submodules.loader = loader = Loader(layout)
        m.submodules.sequencer = sequencer = Sequencer(layout)
        m.submodules.drain = drain = Drain(layout)
        m.submodules.elementwise = post = ElementWise(layout)
        m.submodules.dump = dump = Dump(layout)
        m.submodules.output = output = Output(layout)

        m.d.comb += [
            loader.data.eq(self.s_axis_tdata), loader.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(loader.ready), loader.last.eq(self.s_axis_tlast),
            loader.idle.eq(~sequencer.busy & dump.idle), loader.release.eq(sequencer.step_end),
            loader.start.eq(sequencer.step_start),
            sequencer.step_ready.eq(loader.step_ready & output.room),
            sequencer.step_first.eq(loader.step_first), sequencer.step_last.eq(loader.step_last),
            dump.start.eq(sequencer.step_end & sequencer.running_last),
            self.idle.eq(~sequencer.busy & dump.idle & ~loader.waiting)]
        if layout.program.network.returns_state:
            m.d.comb += sequencer.hold.eq(~dump.idle)

        self._array(m, loader, sequencer, drain, post, dump, output)
        self._results(m, loader, sequencer, post, dump, output)

        tag = post.result_tag
        m.d.comb += [
            self.trace_step.eq(sequencer.step_start),
            self.trace_h_valid.eq(tag.valid & (tag.op != Op.RESET)),
            self.trace_h_index.eq(tag.unit), self.trace_h_data.eq(post.result),
            self.trace_c_valid.eq(post.cell_valid), self.trace_c_index.eq(post.cell_unit),
            self.trace_c_data.eq(post.cell_data)]
        # Registers in between: wide counters do not belong behind what they count.
        error, clipped = Signal(), Signal.like(post.clipped)
        m.d.sync += [error.eq(loader.error), clipped.eq(post.clipped),
                     self.status_errors.eq(self.status_errors + error),
                     self.status_saturations.eq(self.status_saturations + clipped)]
        return m

    def _array(self, m: Module, loader, sequencer, drain, post, dump, output):
        """Vectors and weights into the array, its rows to the element-wise pipeline."""
        layout, program = self._layout, self._layout.program
        network, cols, lanes = program.network, program.cols, program.lanes
        act_width, issue = layout.act_width, sequencer.issue

        stored = [phase.dest_base + phase.units for phase in program.phases if phase.to_vector]
        words = -(-max(stored, default=1) // cols)
        bank_bits = max(1, ceil_log2(words))
        m.submodules.vectors = vectors = layout.family.ram(
            width=act_width, depth=2 << bank_bits, cols=cols)
        old = issue.source == Source.OLD
        tag = post.result_tag
        unit_bits = bank_bits + ceil_log2(cols)
        m.d.comb += [
            vectors.r_addr.eq(Cat(issue.address[:bank_bits], C(0, bank_bits))[:bank_bits]
                              | (sequencer.bank ^ old) << bank_bits),
            vectors.w_en.eq((tag.valid & tag.to_vector) | (loader.state_en & ~loader.state_cell)),
            vectors.w_addr.eq(Cat(tag.dest, C(0, unit_bits))[:unit_bits] | tag.bank << unit_bits),
            vectors.w_data.eq(post.result)]
        with m.If(loader.state_en):
            m.d.comb += [vectors.w_data.eq(loader.state_data), vectors.w_addr.eq(
                Cat(loader.state_unit, C(0, unit_bits))[:unit_bits]
                | sequencer.bank << unit_bits)]
        with m.If(dump.reading):
            m.d.comb += vectors.r_addr.eq(
                Cat(dump.unit[ceil_log2(cols):], C(0, bank_bits))[:bank_bits]
                | sequencer.bank << bank_bits)

        if network.embedding is None:
            bits = len(loader.x_addr) - 1 - ceil_log2(cols)
            m.submodules.inputs = inputs = layout.family.ram(
                width=act_width, depth=2 << bits, cols=cols)
            m.d.comb += [
                inputs.w_en.eq(loader.x_en), inputs.w_addr.eq(loader.x_addr),
                inputs.w_data.eq(loader.x_data),
                inputs.r_addr.eq(Cat(issue.address, C(0, bits))[:bits]
                                 | loader.run_bank << bits)]
        else:
            image = embedding_image(program)
            m.submodules.inputs = inputs = layout.family.ram(
                width=act_width * cols, depth=len(image), init=image, writable=False)
            m.d.comb += inputs.r_addr.eq(loader.token_base + issue.address)

        masked = delay(m, issue.masked, Ram.latency, name="masked")
        from_input = delay(m, issue.source == Source.INPUT, Ram.latency, name="from_input")
        masking = C(0) if network.loads_state else masked
        vector = Mux(from_input, inputs.r_data, Mux(masking, 0, vectors.r_data))
        operand_width = network.operand_width
        broadcast = Signal(cols * operand_width, reset_less=True)
        shift = delay(m, issue.shift, Ram.latency, name="shift")
        m.d.sync += broadcast.eq(Cat(
            (vector.word_select(k, act_width).as_signed() << shift)[:operand_width]
            for k in range(cols)))

        m.submodules.weights = weights = WeightMemory(layout)
        m.d.comb += [
            weights.advance.eq(issue.valid), weights.restart.eq(sequencer.step_start),
            weights.load_en.eq(loader.weight_en), weights.load_data.eq(self.s_axis_tdata),
            loader.weights_loaded.eq(weights.loaded)]

        m.submodules.array = array = MacArray(
            lanes=lanes, cols=cols, operand_width=operand_width, weight_width=network.weight_width,
            acc_width=network.acc_width, split=layout.rows.split, family=layout.family)
        wait = VECTOR_LATENCY
        m.d.comb += [
            array.w.eq(weights.data), array.a.eq(broadcast),
            array.valid.eq(delay(m, issue.valid, wait, name="valid", reset_less=False)),
            array.last.eq(delay(m, issue.last, wait, name="last", reset_less=False)),
            array.border.eq(delay(m, issue.border, wait, name="border", reset_less=False)),
            array.residue.eq(delay(m, issue.residue, wait, name="residue")),
            drain.loaded.eq(array.loaded),
            drain.pass_tag.eq(delay(m, issue.pass_tag, layout.schedule.latencies.mac - 1,
                                    name="pass_tag")),
            post.row.eq(array.row), post.first_part.eq(array.first_part),
            post.row_addr.eq(drain.row_addr), post.tag.eq(drain.tag)]

        # A state word stands at the vector memory's output, or at the cell memory's.
        if network.returns_state:
            element = delay(m, dump.unit[:ceil_log2(cols)], Ram.latency, name="element")
            hidden = (vectors.r_data if cols == 1
                      else vectors.r_data.word_select(element, act_width))
            from_cell = delay(m, dump.cell, Ram.latency, name="from_cell")
            m.d.comb += [
                output.state.eq(Mux(from_cell, post.dump_data, hidden.as_signed())),
                output.state_en.eq(delay(m, dump.reading, Ram.latency, name="reading",
                                         reset_less=False)),
                output.state_end.eq(delay(m, dump.final, Ram.latency, name="final"))]

    def _results(self, m: Module, loader, sequencer, post, dump, output):
        """Results to the output buffer, states to the element-wise memories."""
        tag = post.result_tag
        m.d.comb += [
            post.load_en.eq(loader.state_en), post.load_cell.eq(loader.state_cell),
            post.load_unit.eq(loader.state_unit), post.load_data.eq(loader.state_data),
            post.dump_en.eq(dump.reading), post.dump_unit.eq(dump.unit),
            output.result.eq(post.result), output.result_en.eq(tag.valid & tag.to_output),
            output.result_end.eq(tag.end), output.best_first.eq(tag.best_first),
            output.best_last.eq(tag.best_last),
            output.step_start.eq(sequencer.step_start), output.step_last.eq(loader.step_last),
            output.ready.eq(self.m_axis_tready),
            self.m_axis_tdata.eq(output.data), self.m_axis_tvalid.eq(output.valid),
            self.m_axis_tlast.eq(output.last)]
