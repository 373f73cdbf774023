"""The Verilog around a core under test: it moves every word itself, so that Python can sleep.

Python hands over many input words at once and is woken when a log of results is full, a few times
in thousands of cycles. Nothing is compared here: the logs hold every event in order.
"""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.back import verilog

__all__ = ["CHUNK", "LOGS", "RECORD", "TOP", "VIOLATIONS", "Harness", "emit_harness",
           "port_widths", "slot_width"]

TOP = "gatewright_harness"
CHUNK = 64    # input words per hand-over
RECORD = 64   # bits of a log record: value in the low 48, address or last flag above
LOGS = {"out": 128, "h": 128, "c": 128, "step": 32}  # name -> records a log holds
VIOLATIONS = (
    "m_axis_tvalid fell before the word was accepted",
    "m_axis_tdata changed before the word was accepted",
    "m_axis_tlast changed before the word was accepted",
    "a log of the harness overflowed",
)

_PORTS = {  # direction and, where fixed, width of each port that a core must have
    "clk": ("input", 1), "rst": ("input", 1),
    "s_axis_tdata": ("input", None), "s_axis_tvalid": ("input", 1),
    "s_axis_tready": ("output", 1), "s_axis_tlast": ("input", 1),
    "m_axis_tdata": ("output", None), "m_axis_tvalid": ("output", 1),
    "m_axis_tready": ("input", 1), "m_axis_tlast": ("output", 1),
    "trace_step": ("output", 1),
    "trace_h_valid": ("output", 1), "trace_h_index": ("output", None),
    "trace_h_data": ("output", None),
    "trace_c_valid": ("output", 1), "trace_c_index": ("output", None),
    "trace_c_data": ("output", None),
    "status_errors": ("output", None), "status_saturations": ("output", None),
    "idle": ("output", 1),
}


def port_widths(manifest: dict) -> dict:
    """Width of each port of the core by name; ValueError names a port that is missing or wrong."""
    ports = {port["name"]: port for port in manifest["ports"]}
    for name, (direction, width) in _PORTS.items():
        if name not in ports:
            raise ValueError(f"The manifest must list the port {name!r}; generate the core again "
                             "with its trace ports")
        found = ports[name]["direction"], ports[name]["width"]
        if found != (direction, found[1] if width is None else width):
            raise ValueError(f"Port {name!r} must be {direction} of {width or 'some'} bit(s), "
                             f"not {found[0]} of {found[1]}")
    for name in ports:
        if name not in _PORTS:
            raise ValueError(f"The manifest must not list the port {name!r}: "
                             "the bench does not drive it")
    widths = {name: port["width"] for name, port in ports.items()}
    for name, limit in (("s_axis_tdata", 63), ("m_axis_tdata", 48), ("trace_h_data", 48),
                        ("trace_c_data", 48), ("trace_h_index", 15), ("trace_c_index", 15)):
        if not 1 <= widths[name] <= limit:
            raise ValueError(f"Port {name!r} must have 1 to {limit} bits, not {widths[name]!r}")
    return widths


def slot_width(widths: dict) -> int:
    """Bits of an input word in a hand-over; the top bit is its last flag."""
    return 32 if widths["s_axis_tdata"] < 32 else 64


class _Log(Elaboratable):
    """Shift register of records, the newest on top; ``clear`` forgets the ones before."""

    def __init__(self, depth: int):
        self.depth = depth
        self.valid = Signal()
        self.record = Signal(RECORD)
        self.clear = Signal()
        self.data = Signal(depth * RECORD)
        self.count = Signal(range(depth + 1))
        self.total = Signal(32)
        self.overflow = Signal()

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.count.eq(Mux(self.clear, 0, self.count) + self.valid)
        with m.If(self.valid):
            m.d.sync += [self.data.eq(Cat(self.data[RECORD:], self.record)),
                         self.total.eq(self.total + 1)]
            with m.If((self.count == self.depth) & ~self.clear):
                m.d.sync += self.overflow.eq(1)
        return m


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
    widths : dict
        From ``port_widths``.

    The members of ``ports`` are what the bench reads and writes. ``src_go`` and ``src_taken``
    differ while a hand-over waits; ``drain`` toggles when the logs must be read, within the same
    time step; the cycle after, they start empty. ``quiet`` tells that nothing happened for
    ``quiet_limit`` cycles.
    """

    def __init__(self, *, name: str, widths: dict):
        self.name, self.widths = name, widths
        self.slot = slot_width(widths)
        shapes = {
            "src_data": CHUNK * self.slot, "src_count": range(CHUNK + 1), "src_go": 1,
            "src_taken": 1, "drain": 1, "drain_number": 32, "quiet": 1, "quiet_limit": 32,
            "cycle": 40, "first_in": 40, "last_out": 40, "in_total": 32,
            "violations": len(VIOLATIONS), "status_errors": widths["status_errors"],
            "status_saturations": widths["status_saturations"], "idle": 1}
        for port, shape in shapes.items():  # a toggle keeps its value over a reset: no false edge
            setattr(self, port, Signal(shape, name=port,
                                       reset_less=port in ("src_taken", "drain")))
        self.pauses = _Pauses()
        self.logs = {log: _Log(depth) for log, depth in LOGS.items()}
        self.ports = {port: getattr(self, port) for port in shapes}
        self.ports |= {signal.name: signal for signal in (
            self.pauses.seed, self.pauses.long_density, self.pauses.long_mask,
            *self.pauses.density)}
        for log, parts in self.logs.items():
            for part in ("data", "count", "total"):
                port = Signal.like(getattr(parts, part), name=f"{log}_{part}")
                self.ports[port.name] = port

    def elaborate(self, platform):
        m = Module()
        m.submodules.pauses = pauses = self.pauses
        core = {name: Signal(width, name=name) for name, width in self.widths.items()
                if name not in ("clk", "rst", "status_errors", "status_saturations", "idle")}
        core |= {name: self.ports[name]
                 for name in ("status_errors", "status_saturations", "idle")}
        m.submodules.core = Instance(
            self.name, i_clk=ClockSignal(), i_rst=ResetSignal(),
            **{f"{_PORTS[name][0][0]}_{name}": signal for name, signal in core.items()})
        accepted = core["s_axis_tvalid"] & core["s_axis_tready"]
        emitted = core["m_axis_tvalid"] & core["m_axis_tready"]
        m.d.comb += [pauses.word[0].eq(accepted), pauses.word[1].eq(emitted),
                     core["m_axis_tready"].eq(~pauses.hold[1])]

        self._source(m, core, accepted)
        events = {"out": (emitted, core["m_axis_tdata"], core["m_axis_tlast"]),
                  "step": (core["trace_step"], self.cycle, 0)}
        for signal in "hc":
            events[signal] = tuple(core[f"trace_{signal}_{part}"]
                                   for part in ("valid", "data", "index"))
        fresh, full = Signal(), Signal()
        for log, (valid, low, high) in events.items():
            parts = m.submodules[f"log_{log}"] = self.logs[log]
            m.d.comb += [parts.valid.eq(valid), parts.clear.eq(fresh),
                         parts.record.eq(Value.cast(low) | (Value.cast(high) << 48)),
                         *(self.ports[f"{log}_{part}"].eq(getattr(parts, part))
                           for part in ("data", "count", "total"))]
        m.d.comb += full.eq(reduce(or_, (log.count >= log.depth - 1
                                         for log in self.logs.values())))

        still = Signal(32)  # cycles since the last event of any kind
        hit = Signal()
        event = reduce(or_, (valid for valid, _, _ in events.values())) | accepted
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
        self._protocol(m, core, emitted)
        return m

    def _source(self, m, core, accepted):
        """Shift a hand-over out word by word; take the next one with no cycle between."""
        words, left = Signal(CHUNK * self.slot), Signal(range(CHUNK + 1))
        m.d.comb += [core["s_axis_tvalid"].eq((left != 0) & ~self.pauses.hold[0]),
                     core["s_axis_tdata"].eq(words),
                     core["s_axis_tlast"].eq(words[self.slot - 1])]
        with m.If((self.src_go != self.src_taken) & (left == accepted) & ~ResetSignal()):
            m.d.sync += [words.eq(self.src_data), left.eq(self.src_count),
                         self.src_taken.eq(self.src_go)]
        with m.Elif(accepted):
            m.d.sync += [words.eq(words >> self.slot), left.eq(left - 1)]

    def _protocol(self, m, core, emitted):
        """A word that was offered and not accepted must be offered again, unchanged."""
        offered, data_q, last_q = Signal(), Signal.like(core["m_axis_tdata"]), Signal()
        m.d.sync += [offered.eq(core["m_axis_tvalid"] & ~core["m_axis_tready"]),
                     data_q.eq(core["m_axis_tdata"]), last_q.eq(core["m_axis_tlast"])]
        found = Cat(offered & ~core["m_axis_tvalid"],
                    offered & core["m_axis_tvalid"] & (core["m_axis_tdata"] != data_q),
                    offered & core["m_axis_tvalid"] & (core["m_axis_tlast"] != last_q),
                    reduce(or_, (log.overflow for log in self.logs.values())))
        m.d.sync += self.violations.eq(self.violations | found)


def emit_harness(*, name: str, widths: dict) -> tuple:
    """Verilog text of the harness around core ``name``, and the names of its ports."""
    harness = Harness(name=name, widths=widths)
    text = verilog.convert(harness, name=TOP, ports=list(harness.ports.values()),
                           emit_src=False, strip_internal_attrs=True)
    return text, ("clk", "rst", *harness.ports)
