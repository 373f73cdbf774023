"""The Verilog around a core under test: it moves every word itself, so that Python can sleep.

Python hands over many input words at once and is woken when a log of results is full, a few times
in thousands of cycles. Nothing is compared here: the logs hold every event in order.
"""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.back import verilog

from .counters import VIOLATIONS
from .ports import STATUS, Ports

__all__ = ["BUFFERS", "CHUNK", "LOGS", "RECORDS", "TOP", "Harness", "emit_harness",
           "record_width", "slot_width"]

TOP = "gatewright_harness"
CHUNK = 64    # input words per hand-over
LOGS = {"out": 128, "h": 128, "c": 128, "step": 32}  # name -> records a log holds
RECORDS = {"out": ("m_axis_tdata", "m_axis_tlast", "m_axis_tkeep"),
           "h": ("trace_h_data", "trace_h_index"), "c": ("trace_c_data", "trace_c_index"),
           "step": ()}  # ports of the core that a record holds; of a step, the cycle


def slot_width(ports: Ports) -> int:
    """Bits of an input word in a hand-over; the top bit is its last flag."""
    return -(-(ports.widths["s_axis_tdata"] + 1) // 32) * 32


def record_width(ports: Ports, log: str) -> int:
    """Bits of a record: the ports of ``RECORDS`` that the core has, the first lowest."""
    return max(-(-sum(ports.widths.get(name, 0) for name in RECORDS[log]) // 64), 1) * 64


# The two wide buffers are Verilog, not Amaranth, which writes a register as "next = now, then
# change next": for a register of 8192 bits that copy a cycle made the simulation 5 times slower.
BUFFERS = """
// Records in order, the oldest lowest. `clear` restarts from the bottom, this cycle's record first.
module gatewright_log #(parameter DEPTH = 128, parameter RECORD = 64) (
    input clk, input rst, input valid, input clear, input [RECORD-1:0] record,
    output reg [15:0] count, output reg [31:0] total, output reg overflow);
  reg [DEPTH*RECORD-1:0] data;
  wire [15:0] at = clear ? 16'd0 : count;
  always @(posedge clk) begin
    count <= rst ? 16'd0 : at + {15'd0, valid & (at != DEPTH)};
    if (valid & (at != DEPTH)) data[at*RECORD +: RECORD] <= record;
    if (rst) total <= 0; else if (valid) total <= total + 1;
    if (rst) overflow <= 0; else if (valid & (at == DEPTH)) overflow <= 1;
  end
endmodule

// The words of one hand-over; `load` takes it from `data`, which Python writes, `next` steps on.
module gatewright_chunk #(parameter CHUNK = 64, parameter SLOT = 32) (
    input clk, input rst, input load, input next, output [SLOT-1:0] word);
  reg [CHUNK*SLOT-1:0] data;
  reg [CHUNK*SLOT-1:0] words;
  reg [15:0] at;
  assign word = words[at*SLOT +: SLOT];
  always @(posedge clk) begin
    if (load) words <= data;
    if (load | rst) at <= 0; else if (next) at <= at + 1;
  end
endmodule
"""


class _Pauses(Elaboratable):
    """One seeded generator of pauses for both streams.

    After each word, and on the output side also in idle cycles, a pause of up to 7 cycles with
    probability density/256; after a word a pause of up to ``long_mask`` cycles with probability
    long_density/65536. ``hold[k]`` is high while stream k (0: input, 1: output) pauses; it rises
    only behind ``word[k]`` on the input side, so a valid word is never withdrawn.
    """

    def __init__(self):
        self.seed = Signal(32)
        self.density = [Signal(8, name="src_density"), Signal(8, name="snk_density")]
        self.long_density = Signal(16)
        self.long_mask = Signal(16)
        self.word = [Signal(name="word_0"), Signal(name="word_1")]
        self.hold = [Signal(name="hold_0"), Signal(name="hold_1")]

    def elaborate(self, platform):
        m = Module()
        state = Signal(64, reset_less=True)
        s1, s2 = Signal(64), Signal(64)  # xorshift64, shifts 13, 7, 17
        m.d.comb += [s1.eq(state ^ (state << 13)[:64]), s2.eq(s1 ^ (s1 >> 7))]
        m.d.sync += state.eq(s2 ^ (s2 << 17)[:64])
        with m.If(ResetSignal()):
            m.d.sync += state.eq(Cat(self.seed, ~self.seed))  # never all zeros
        for k in range(2):
            left = Signal(16, name=f"left_{k}")
            dice, long_dice = state.word_select(3 * k, 8), state[8 + 24 * k:24 + 24 * k]
            short = (self.word[k] if k == 0 else 1) & (dice < self.density[k])
            m.d.comb += self.hold[k].eq(left != 0)
            with m.If(left != 0):
                m.d.sync += left.eq(left - 1)
            with m.Elif(self.word[k] & (long_dice < self.long_density)):
                m.d.sync += left.eq(state[48:] & self.long_mask)
            with m.Elif(short):
                m.d.sync += left.eq(state[56:59])
        return m


class Harness(Elaboratable):
    """Source, sink, logs and counters around one core.

    Parameters
    ----------
    name : str
        The core's module.
    core_ports : Ports

    The bench reads and writes ``ports`` and the ``data`` of the buffers. While a hand-over waits,
    ``src_go`` and ``src_taken`` differ. ``drain`` toggles when the logs must be read, within the
    same time step; from the next cycle on they start empty. ``quiet`` tells that nothing happened
    for ``quiet_limit`` cycles.
    """

    def __init__(self, *, name: str, core_ports: Ports):
        self.name, self.core_ports = name, core_ports
        shapes = {
            "src_count": range(CHUNK + 1), "src_go": 1,
            "src_taken": 1, "drain": 1, "drain_number": 32, "quiet": 1, "quiet_limit": 32,
            "cycle": 40, "first_in": 40, "last_out": 40, "in_total": 32,
            "violations": len(VIOLATIONS),
            **{name: core_ports.widths[name] for name in STATUS if name in core_ports.widths}}
        for port, shape in shapes.items():  # a toggle keeps its value over a reset: no false edge
            setattr(self, port, Signal(shape, name=port,
                                       reset_less=port in ("src_taken", "drain")))
        self.pauses = _Pauses()
        self.counts = {log: Signal(16, name=f"{log}_count") for log in LOGS}
        self.totals = {log: Signal(32, name=f"{log}_total") for log in LOGS}
        self.ports = {port: getattr(self, port) for port in shapes}
        self.ports |= {signal.name: signal for signal in (
            self.pauses.seed, self.pauses.long_density, self.pauses.long_mask,
            *self.pauses.density, *self.counts.values(), *self.totals.values())}

    def elaborate(self, platform):
        m = Module()
        m.submodules.pauses = pauses = self.pauses
        core = {name: Signal(width, name=name) for name, width in self.core_ports.widths.items()
                if name not in ("clk", "rst", *STATUS)}
        core |= {name: self.ports[name] for name in STATUS if name in self.ports}
        m.submodules.core = Instance(
            self.name, i_clk=ClockSignal(), i_rst=ResetSignal(),
            **{f"{self.core_ports.directions[name][0]}_{name}": signal
               for name, signal in core.items()})
        accepted = core["s_axis_tvalid"] & core["s_axis_tready"]
        emitted = core["m_axis_tvalid"] & core["m_axis_tready"]
        m.d.comb += [pauses.word[0].eq(accepted), pauses.word[1].eq(emitted),
                     core["m_axis_tready"].eq(~pauses.hold[1])]

        self._source(m, core, accepted)
        events = {"out": emitted, "h": core["trace_h_valid"], "c": core["trace_c_valid"],
                  "step": core["trace_step"]}
        fresh, full, overflow = Signal(), Signal(), Signal(len(LOGS))
        for number, (log, depth) in enumerate(LOGS.items()):
            record = Cat(core[name] for name in RECORDS[log] if name in core)
            if log == "step":
                record = self.cycle
            width = record_width(self.core_ports, log)
            m.submodules[f"log_{log}"] = Instance(
                "gatewright_log", p_DEPTH=depth, p_RECORD=width, i_clk=ClockSignal(),
                i_rst=ResetSignal(), i_valid=events[log], i_clear=fresh,
                i_record=Cat(record, C(0, width - len(record))),
                o_count=self.counts[log], o_total=self.totals[log], o_overflow=overflow[number])
        m.d.comb += full.eq(reduce(or_, (self.counts[log] >= depth - 1
                                         for log, depth in LOGS.items())))

        still = Signal(32)  # cycles since the last event of any kind
        hit = Signal()
        event = reduce(or_, events.values()) | accepted
        m.d.comb += hit.eq((still == self.quiet_limit) & ~self.quiet & ~event)
        m.d.sync += [still.eq(Mux(event, 0, still + 1)), fresh.eq(0),
                     self.cycle.eq(self.cycle + 1)]
        with m.If(hit | event):
            m.d.sync += self.quiet.eq(hit)
        with m.If((full & ~fresh | hit) & ~ResetSignal()):
            m.d.sync += [self.drain.eq(~self.drain), fresh.eq(1),
                         self.drain_number.eq(self.drain_number + 1)]
        with m.If(accepted):
            m.d.sync += self.in_total.eq(self.in_total + 1)
            with m.If(self.in_total == 0):
                m.d.sync += self.first_in.eq(self.cycle)
        with m.If(emitted):
            m.d.sync += self.last_out.eq(self.cycle)
        self._protocol(m, core, overflow)
        return m

    def _source(self, m, core, accepted):
        """Send a hand-over word by word; take the next one with no cycle between."""
        word, left, load = Signal(slot_width(self.core_ports)), Signal(range(CHUNK + 1)), Signal()
        m.submodules.chunk = Instance(
            "gatewright_chunk", p_CHUNK=CHUNK, p_SLOT=len(word), i_clk=ClockSignal(),
            i_rst=ResetSignal(), i_load=load, i_next=accepted, o_word=word)
        m.d.comb += [core["s_axis_tvalid"].eq((left != 0) & ~self.pauses.hold[0]),
                     core["s_axis_tdata"].eq(word), core["s_axis_tlast"].eq(word[-1]),
                     load.eq((self.src_go != self.src_taken) & (left == accepted)
                             & ~ResetSignal())]
        with m.If(load):
            m.d.sync += [left.eq(self.src_count), self.src_taken.eq(self.src_go)]
        with m.Elif(accepted):
            m.d.sync += left.eq(left - 1)

    def _protocol(self, m, core, overflow):
        """A word that was offered and not accepted must be offered again, unchanged."""
        offered, found = Signal(), [overflow.any()]
        m.d.sync += offered.eq(core["m_axis_tvalid"] & ~core["m_axis_tready"])
        for name in ("m_axis_tkeep", "m_axis_tlast", "m_axis_tdata"):
            port = core.get(name, C(0))
            before = Signal.like(port, name=f"{name}_q")
            m.d.sync += before.eq(port)
            found.insert(0, offered & core["m_axis_tvalid"] & (port != before))
        found = Cat(offered & ~core["m_axis_tvalid"], *found)
        m.d.sync += self.violations.eq(self.violations | found)


def emit_harness(*, name: str, core_ports: Ports) -> tuple:
    """Verilog around core ``name``, without ``BUFFERS``, and what cocotb must reach.

    Returns
    -------
    text : str
    public : tuple of (module, signal)
    """
    harness = Harness(name=name, core_ports=core_ports)
    text = verilog.convert(harness, name=TOP, ports=list(harness.ports.values()),
                           emit_src=False, strip_internal_attrs=True)
    return text, (*((TOP, port) for port in ("clk", "rst", *harness.ports)),
                            ("gatewright_log", "data"), ("gatewright_chunk", "data"))
