"""What tells of upsets: twins of the control, accounts of what must leave, and a watchdog.

A protected core (``Layout.watch``) has the same schedule and the same words. Each memory word
carries a parity bit (``hw.parity``); each control module has a twin a cycle behind it, which must
agree; each word that a step owes must leave, and no other; and nothing may take longer than its
share of the schedule. Whatever goes wrong sets a bit of ``status_faults`` and stops both streams
until a reset.
"""

from dataclasses import dataclass, field, replace as replaced

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .families import Family
from .parity import Checked, pipelined_differ, pipelined_or

__all__ = ["FAULTS", "Guard", "Twin", "Watch", "watch_limit"]

FAULTS = ("parity", "control", "watchdog")   # bits of ``status_faults``


@dataclass(frozen=True)
class Watch:
    """Alarms of a core, gathered while its modules are built.

    Parameters
    ----------
    parity, control : list of Signal
        High for a cycle, of memories and of all others.
    """

    parity: list = field(default_factory=list)
    control: list = field(default_factory=list)

    def clear(self) -> None:
        """Begin again: a core is built once more."""
        self.parity.clear()
        self.control.clear()

    def family(self, plain: Family) -> Family:
        """A family whose memories tell of their upsets."""
        def ram(*, writable: bool = True, **shape):
            memory = Checked(plain.ram, writable=writable, **shape)
            self.parity.append(memory.alarm)
            return memory

        return replaced(plain, ram=ram)


class Twin(wiring.Component):
    """A second copy of a module, a cycle behind it, and an alarm where both differ.

    The cycle keeps synthesis from merging the two, and the ways to the copy short.

    Parameters
    ----------
    original, copy : wiring.Component
        Of the same class and layout; the copy is built in here.
    ignore : tuple of str
        Outputs that only pass an input on.

    Members
    -------
    alarm : Out(1)
    """

    def __init__(self, original, copy, *, ignore: tuple = ()):
        self._original, self._copy, self._ignore = original, copy, ignore
        super().__init__({"alarm": Out(1)})

    def elaborate(self, platform):
        m = Module()
        behind = Signal(init=1)     # the copy's reset is a cycle late as well
        m.d.sync += behind.eq(0)
        m.submodules.copy = ResetInserter(behind)(self._copy)
        mine, theirs = [], []
        for (path, member, value), (_, _, own) in zip(
                self._original.signature.flatten(self._original),
                self._copy.signature.flatten(self._copy), strict=True):
            if path[0] in self._ignore:
                continue
            value, own = Value.cast(value), Value.cast(own)
            late = Signal(len(value), name="_".join(map(str, path)))
            m.d.sync += late.eq(value)
            if member.flow is In:
                m.d.comb += own.eq(late)
            else:
                mine.append(late)
                theirs.append(own)
        mine, theirs = Cat(mine), Cat(theirs)
        m.d.comb += self.alarm.eq(pipelined_differ(m, mine, theirs, "differ", counts=~behind))
        return m


def watch_limit(layout) -> int:
    """Cycles in which a core that has something to do, and whose consumer is ready, shows an event:
    a step that starts or ends, or a word that leaves.

    The longest step, what lies between two steps, and all that follows on the last one: each is the
    schedule's.
    """
    schedule, program = layout.schedule, layout.program
    step = max(max(sweep.length, sweep.length_last) for sweep in schedule.sweeps)
    tail = max(max(sweep.tail, sweep.tail_last) for sweep in schedule.sweeps)
    held = layout.fifo_depth * program.posts      # results on their way through the output
    latencies = schedule.latencies
    return (step + tail + schedule.between + program.state_words + held
            + latencies.output + latencies.dump)


class Guard(wiring.Component):
    """Joins all alarms, keeps the account of output words, and watches the time.

    To be built behind all modules whose alarms it joins.

    Parameters
    ----------
    layout : Layout

    Members
    -------
    start, start_last : In(1), a step of the last sweep starts, a sequence's last one
    event : In(1), a step starts or ends
    pending : In(1), something runs, waits, or holds the input back
    loaded : In(1), the weights are there
    valid, ready, last : In(1), the output port
    faults : Out(3), sticky, in the order of ``FAULTS``
    halt : Out(1), one of them was set before this cycle
    blocked : Out(1), a word was offered in the cycle before, and not taken
    """

    def __init__(self, layout):
        self._layout = layout
        super().__init__({
            "start": In(1), "start_last": In(1), "event": In(1), "pending": In(1),
            "loaded": In(1), "valid": In(1), "ready": In(1), "last": In(1),
            "faults": Out(len(FAULTS)), "halt": Out(1),
            "blocked": Out(1)})

    def elaborate(self, platform):
        m = Module()
        program, watch = self._layout.program, self._layout.watch
        start, start_last, leaves, ends, event, pending, was_loaded = (
            Signal(name=name) for name in ("started", "started_last", "leaves", "ends", "event_q",
                                           "pending_q", "was_loaded"))
        blocked = self.blocked
        m.d.sync += [
            start.eq(self.start), start_last.eq(self.start & self.start_last),
            leaves.eq(self.valid & self.ready), ends.eq(self.valid & self.ready & self.last),
            event.eq(self.event), pending.eq(self.pending), blocked.eq(self.valid & ~self.ready),
            was_loaded.eq(self.loaded)]
        unloaded, words_wrong, ends_wrong = Signal(), Signal(), Signal()
        m.d.sync += unloaded.eq(was_loaded & ~self.loaded)
        most = max(program.output_words(False), program.output_words(True))
        room = self._layout.fifo_depth * program.posts
        words = self._account(m, "words", room + most, leaves, words_wrong, (
            (start, program.output_words(False)), (start_last, program.output_words(True))))
        # A sequence in the buffer has an entry there at least.
        sequences = self._account(m, "sequences", self._layout.fifo_depth + 1, ends, ends_wrong,
                                  ((start_last, 1),))

        limit = watch_limit(self._layout)
        left, late, rests = Signal(range(limit + 1), init=limit), Signal(), Signal(init=1)
        m.d.sync += [rests.eq(event | leaves | blocked | ~(pending | words | sequences)),
                     late.eq(left == 0)]
        with m.If(rests):
            m.d.sync += left.eq(limit)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)

        parity, control = (pipelined_or(m, alarms, name) if alarms else C(0) for alarms, name in (
            (watch.parity, "parity"), ([*watch.control, unloaded, words_wrong, ends_wrong],
                                       "control")))
        # A register of its own: the streams' handshakes hang on it.
        m.d.sync += self.halt.eq(self.faults.any())
        with m.If(~self.halt):      # what follows from the first says nothing
            m.d.sync += self.faults.eq(self.faults | Cat(parity, control, late))
        return m

    @staticmethod
    def _account(m: Module, name: str, most: int, leaves, wrong, comes) -> Signal:
        """What is owed of something: rises by the last of ``comes`` that holds, falls by one as it
        leaves. Returns whether it is above zero; ``wrong`` where it would fall below.
        """
        owed, some = Signal(range(most + 1), name=name), Signal(name=f"{name}_owed")
        with m.If(leaves):
            m.d.sync += owed.eq(owed - 1)
        for when, count in comes:
            with m.If(when):
                m.d.sync += owed.eq(owed + count - leaves)
        m.d.sync += [wrong.eq(leaves & (owed == 0)), some.eq(owed != 0)]
        return some

