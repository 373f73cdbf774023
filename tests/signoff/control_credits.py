"""What the output's credits and its buffer never are: no more comes in than room was taken for.

The output alone does not know that. Two counters that the core does not have are added to its
gates, of entries that steps have started for and that are still to come: one where they are sent,
by the drain and by what reads the states, one at the output. No state that can be reached sends
two at once, or one which no step has started for. What is sent comes to the output so many cycles
later, and nothing else does. So at the output, too, an entry comes only while some are still to
come; with that, every state that the output can reach is gone through.
"""

import re
from dataclasses import replace

from .control_never import never_in
from .control_states import SECONDS, WALK, find_part, states_of
from .netlist import Netlist
from .window import Window

__all__ = ["credit_facts"]

BITS = 7                # of a counter
LATEST = 80             # cycles from the drain to the output
FRESH = 1 << 29         # nets that are added
_CASE = r"      3'h{}:\n\s+\\(\$\d+)  = \\(\$\d+) \["
_DRAIN = {"modules": ("sequencer", "drain", "dump"), "copies": r"(loaded|pass_tag)_q\d+"}
# Where results are in groups, which of one leaves hangs on a bit of the group.
_OUTPUT = {"modules": ("output", "output.buffer"),
           "also": r"output\.(credit|place|buffer\.\S+)", "through": r"output\.buffer\.\S+"}


class _Added:
    """A netlist that takes more gates and registers.

    Attributes
    ----------
    own : set of int
        The registers that are added.
    """

    def __init__(self, netlist: Netlist):
        self._whole, self._gates, self._registers = netlist, [], {}
        self.own, self._reset = set(), netlist.names["rst"][0]
        self._next = FRESH + max((net - FRESH + 1 for _, _, net in netlist.gates
                                  if FRESH <= net < 2 * FRESH), default=0)

    def fresh(self) -> int:
        self._next += 1
        return self._next

    def gate(self, kind: str, *inputs: int) -> int:
        out = self.fresh()
        self._gates.append((f"$_{kind}_", inputs, out))
        return out

    def register(self, out: int, into: int) -> None:
        """0 at power-up and behind a reset."""
        self._registers[out] = self.gate("MUX", into, 0, self._reset), 0
        self.own.add(out)

    def any(self, word: list) -> int:
        some = word[0]
        for bit in word[1:]:
            some = self.gate("OR", some, bit)
        return some

    def _sum(self, x: list, y: list) -> list:
        carry, out = 0, []
        for a, b in zip(x, y, strict=True):
            odd = self.gate("XOR", a, b)
            out.append(self.gate("XOR", odd, carry))
            carry = self.gate("OR", self.gate("AND", a, b), self.gate("AND", odd, carry))
        return out

    def to_come(self, word: list, start: int, last: int, sizes: tuple, comes: int) -> None:
        """Registers ``word``: a step that starts adds the first size or, the last one, the second;
        what comes is taken off.
        """
        added = [self.gate("AND", start, self.gate("MUX", *(size >> k & 1 for size in sizes), last))
                 for k in range(BITS)]
        for out, into in zip(word, self._sum(self._sum(word, added), [comes] * BITS), strict=True):
            self.register(out, into)

    def netlist(self, instead: dict) -> Netlist:
        """With other nets in the place of some, but for the gates that are added."""
        gates = [(kind, tuple(instead.get(net, net) for net in inputs), out)
                 for kind, inputs, out in self._whole.gates]
        return replace(self._whole, gates=[*gates, *self._gates],
                       registers=self._whole.registers | self._registers)


def _sizes(verilog: str, top: str) -> tuple | None:
    """Entries that a step takes, and a sequence's last step, from the output's text."""
    text = verilog.partition(f"module \\{top}.output (")[2].partition("endmodule")[0]
    sizes = []
    for case in (2, 6):
        taken = re.search(_CASE.format(case), text)
        change = taken and re.search(rf"assign \\{re.escape(taken[2])}  = credit \+ (\d+)'h(\w+);",
                                     text)
        if taken and not change:
            return None
        sizes.append((1 << int(change[1])) - int(change[2], 16) if change else 0)
    return tuple(sizes) if any(sizes) else None


def _delay(netlist: Netlist, known: set, late: int, sent: int) -> int | None:
    """Cycles, if ``late`` is 1 only so many cycles after ``sent`` was and no reset came since."""
    reset = netlist.names["rst"][0]
    powered = Window(netlist, [], known, LATEST, powered=True, reset=False)
    window = Window(netlist, [], known, LATEST)
    found = None
    for cycles in range(LATEST):
        if cycles and powered.can_be([(late, 1, cycles - 1)]):
            break                   # it comes of what was there at power-up
        if not window.can_be([(late, 1, cycles), (sent, 0, 0)]) and not any(
                window.can_be([(late, 1, cycles), (reset, 1, k)]) for k in range(cycles)):
            found = cycles
            break
    for one in (powered, window):
        one.close()
    return found


def _sending_keeps(netlist: Netlist, verilog: str, top: str, names: tuple, sizes: tuple,
                   seconds: float) -> tuple:
    """(whether no result and no state is sent which no step has started for, the net of "the drain
    sends a result"): never two at once, and never one too many.
    """
    start, last, reading = names
    added = _Added(netlist)
    tag = [netlist.names[f"drain.tag.{name}"][0] for name in ("valid", "anchor", "to_output")]
    result = added.gate("AND", added.gate("AND", tag[0], tag[1]), tag[2])
    sent = added.gate("OR", result, reading)
    word, wrong = [added.fresh() for _ in range(BITS)], added.fresh()
    added.to_come(word, start, last, sizes, sent)
    none = added.gate("NOT", added.any(word))
    too_many = added.gate("OR", added.gate("AND", sent, none), added.gate("AND", result, reading))
    added.register(wrong, added.gate("OR", wrong, too_many))
    more = added.netlist({})
    part = find_part(more, verilog, top, own=added.own, **_DRAIN)
    states = states_of(more, part, seconds=seconds)
    if states is None:
        return False, more, result
    index = {net: k for k, net in enumerate(part.registers)}
    keeps = not states.high[:, index[wrong]].any() and _small(states, index, word, sizes)
    return keeps, more, result


def _small(states, index: dict, word: list, sizes: tuple) -> bool:
    """Whether a counter has never run over."""
    value = sum(states.high[:, index[net]].astype(int) << k for k, net in enumerate(word))
    return int(value.max()) + max(sizes) < 1 << BITS


def credit_facts(netlist: Netlist, verilog: str, top: str, known: set,
                 seconds: float = SECONDS) -> set:
    """Situations of the output's registers that never are; none if it is not as it should be.

    Parameters
    ----------
    netlist : Netlist
    verilog, top : str
    known : set of tuple of (int, int)
        Situations that never are.
    seconds : float
        For the states of one part.
    """
    wanted = [f"output.{name}" for name in ("step_start", "step_last", "result_en", "state_en",
                                            "room")] + ["drain.tag.to_output", "output.credit"]
    nets = [netlist.names.get(name, ()) for name in wanted]
    sizes = _sizes(verilog, top)
    if not all(nets) or sizes is None or WALK in netlist.names:     # walks: too many states
        return set()
    start, last, result, state, room = (some[0] for some in nets[:5])
    reading = netlist.names.get("dump.reading", (0,))[0]
    keeps, more, sent = _sending_keeps(netlist, verilog, top, (start, last, reading), sizes,
                                       seconds)
    if not keeps or _delay(more, known, result, sent) is None or _delay(
            netlist, known, start, room) != 1 or state and _delay(
            netlist, known, state, reading) is None:
        return set()
    added = _Added(netlist)
    word, had_room = [added.fresh() for _ in range(BITS)], added.fresh()
    some = added.any(word)
    arrive = {net: added.gate("AND", net, some) for net in {result, state} - {0}}
    comes = added.any(list(arrive.values()))
    starts = added.gate("AND", start, had_room)
    added.to_come(word, starts, last, sizes, comes)
    added.register(had_room, room)
    bound = added.netlist(arrive | {start: starts})
    part = find_part(bound, verilog, top, own=added.own, **_OUTPUT)
    states = states_of(bound, part, seconds=seconds)
    if states is None:
        return set()
    index = {net: k for k, net in enumerate(part.registers)}
    if not _small(states, index, word, sizes):
        return set()
    # A step starts only where there was room.
    never = {tuple((start, 1) if one == (had_room, 1) else one for one in cube)
             for cube in never_in(bound, part, states)}
    return {cube for cube in never if not any(net in added.own for net, _ in cube)}
