"""The static schedule, checked by walking each step cycle by cycle; nothing is simulated here."""

from collections import Counter

import numpy as np
import pytest
from networks import make_batch, make_integer, make_network

from hw.engine import make_layout
from hw.pipeline import FLAT, SHALLOW
from hw.program import Op, Source, make_program
from hw.schedule import Latencies, make_schedule


def integer_network(*layers, inputs=5, **more):
    net = make_network(*layers, inputs=inputs, **more)
    return make_integer(net, make_batch(net, 1, 2))[0]


class Walk:
    """Steps of a schedule, laid out cycle by cycle from waits, gaps and tails alone.

    Parameters
    ----------
    schedule : Schedule
        Timings to walk; its latencies and program are used, none of its own arithmetic.
    waits, gaps : tuple
    """

    def __init__(self, schedule, waits, gaps):
        self.program, self.latencies = schedule.program, schedule.latencies
        self.waits, self.gaps = waits, gaps

    def step(self, start: int, last: bool):
        """(issues, drains, written, end) of one step that starts at ``start``.

        issues : (cycle, source, element index) of each element asked for
        drains : cycles in which the posts take a row each
        written : first element cycle of each result, by index
        end : last issue
        """
        cols, posts, slots = self.program.cols, self.program.posts, self.program.slots
        cycle, issues, drains, written = start, [], [], {}
        for k, phase in enumerate(self.program.phases):
            if phase.last_only and not last:
                continue
            cycle += self.waits[k]
            for first_turn in range(0, phase.turns, slots):
                if first_turn:
                    cycle += self.gaps[k]
                for segment in phase.segments:
                    length = segment.weights.shape[1]
                    for first in range(0, length, cols):
                        cycle += 1
                        issues += [(cycle, segment.source, segment.base + j)
                                   for j in range(first, min(first + cols, length))]
                for slot, turn in enumerate(range(first_turn,
                                                  min(first_turn + slots, phase.turns))):
                    at = cycle + self.latencies.mac + slot
                    drains.append(at)
                    group, gate = divmod(turn, phase.rows_per_unit)
                    if phase.to_vector and gate == phase.rows_per_unit - 1:
                        written |= {phase.dest_base + group * posts + k: at + self.latencies.post
                                    for k in range(posts)}
        return issues, drains, written, cycle

    def faults(self, tail: int, tail_last: int) -> Counter:
        """What goes wrong over sequences of 3, 1, 1 and 2 steps: early reads, crossed drains."""
        found, start, all_drains, before = Counter(), 0, [], None
        for steps in (3, 1, 1, 2):
            for step in range(steps):
                last = step == steps - 1
                issues, drains, written, end = self.step(start, last)
                all_drains += drains
                for cycle, source, element in issues:
                    if source is Source.NEW and cycle <= written[element]:
                        found["new"] += 1
                    # The first step of a sequence reads zeros.
                    if source is Source.OLD and step and cycle <= before[element]:
                        found["old"] += 1
                before = written
                start = end + (tail_last if last else tail)
        found["drain"] = len(all_drains) - len(set(all_drains))
        return +found


def random_program(seed: int):
    rng = np.random.default_rng(seed)
    layers = []
    for _ in range(rng.integers(1, 4)):
        cell = str(rng.choice(["rnn", "lstm", "gru", "gru_reset_before", "linear"]))
        layers.append((cell, int(rng.integers(1, 20))))
    for _ in range(rng.integers(0, 3)):
        layers.append(("linear", int(rng.integers(1, 20)), "last"))
    integer = integer_network(*layers, inputs=int(rng.integers(1, 40)))
    posts = int(rng.choice([1, 1, 2, 3, 4]))
    cols = posts * int(rng.choice([1, 1, 2, 4, 8]))
    if rng.random() < 0.3:
        posts, cols = cols, posts
    return make_program(integer, lanes=posts * int(rng.choice([1, 2, 3, 4, 7, 8, 16])), cols=cols,
                        posts=posts)


def random_latencies(seed: int) -> Latencies:
    rng = np.random.default_rng(seed)
    return Latencies(mac=int(rng.integers(2, 12)), post=int(rng.integers(1, 40)),
                     output=int(rng.integers(0, 4)), dump=2, start=int(rng.integers(0, 2)))


@pytest.mark.parametrize("seed", range(60))
def test_sound_and_tight(seed):
    """Nothing is read early, no rows cross; one cycle less anywhere breaks one of the two."""
    program = random_program(seed)
    schedule = make_schedule(program, random_latencies(seed))
    waits, gaps = list(schedule.waits), list(schedule.gaps)
    tails = [schedule.sweeps[0].tail, schedule.sweeps[0].tail_last]
    assert min(waits + gaps + tails) >= 0
    assert not Walk(schedule, waits, gaps).faults(*tails)

    for k in range(len(waits)):
        for values in (waits, gaps):
            if values[k]:
                values[k] -= 1
                assert Walk(schedule, waits, gaps).faults(*tails), (k, values is waits)
                values[k] += 1
    for k in range(2):
        # A constant interval is worth a cycle where input and array take the same time.
        constant = (k == 0 and schedule.sweeps[0].length == program.network.inputs and tails[0] == 1
                    and schedule.latencies.start)
        # Results that leave one by one are worth what they take.
        length = schedule.sweeps[0].length_last if k else schedule.sweeps[0].length
        leaving = sum(phase.units for phase in program.outputs(bool(k))) == length + tails[k]
        if tails[k] and not constant and not leaving:
            tails[k] -= 1
            assert Walk(schedule, waits, gaps).faults(*tails), k
            tails[k] += 1


@pytest.mark.parametrize("seed", range(20))
def test_length_is_the_sum(seed):
    """Lengths, interval and total against the walk."""
    program = random_program(seed)
    schedule = make_schedule(program, random_latencies(seed))
    walk = Walk(schedule, schedule.waits, schedule.gaps)
    assert walk.step(0, False)[3] == schedule.sweeps[0].length
    issues, *_, end = walk.step(0, True)
    assert end == schedule.sweeps[0].length_last
    assert len(issues) == sum(phase.passes(program.lanes) * segment.weights.shape[1]
                              for phase in program.phases for segment in phase.segments)
    assert schedule.interval == max(schedule.sweeps[0].length + schedule.sweeps[0].tail,
                                    program.network.inputs)
    useful = len({cycle for cycle, *_ in walk.step(0, False)[0]})
    assert schedule.exposed == schedule.interval - useful


@pytest.mark.parametrize(("layers", "inputs", "lanes", "interval"), [
    ((("lstm", 64),), 64, 16, 2048), ((("lstm", 256),), 64, 64, 5120),
    ((("gru", 64),), 64, 48, 512),
], ids=["lstm_64_64", "lstm_64_256", "gru_64_64"])
def test_no_cycle_is_lost(layers, inputs, lanes, interval):
    """With the engine's own depths: the array is busy in every cycle."""
    program = make_program(integer_network(*layers, inputs=inputs), lanes=lanes)
    schedule = make_layout(program).schedule
    assert (schedule.interval, schedule.exposed, schedule.sweeps[0].tail) == (interval, 0, 0)
    assert interval * lanes == program.macs_per_step
    # Thousands of steps: the first input, then an interval each.
    steps = schedule.total_cycles([3000]) - schedule.total_cycles([1000])
    assert steps == 2000 * interval


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("units", [1, 5, 16, 31])
@pytest.mark.parametrize("divisor", [1, 2, 3])
def test_bubble_as_designed(cell, units, divisor):
    """One layer: the bubble is max(0, depth + rows of the last pass - N), with the pass's N."""
    rows = {"lstm": 4, "gru": 3, "rnn": 1}[cell] * units
    lanes = -(-rows // divisor)
    program = make_program(integer_network((cell, units), inputs=6), lanes=lanes)
    schedule = make_layout(program).schedule
    depth = schedule.latencies.mac + schedule.latencies.post
    last_rows = rows - (-(-rows // lanes) - 1) * lanes
    assert schedule.sweeps[0].tail == max(0, depth + last_rows - (6 + units))


def test_total_cycles_counts_each_part():
    """Against a count by hand: a head of the last step alone, two sequences."""
    program = make_program(integer_network(("rnn", 2), ("linear", 3, "last"), inputs=4), lanes=2)
    latencies = Latencies(mac=5, post=10, output=2, dump=2)
    schedule = make_schedule(program, latencies)
    # One pass of 6 columns; unit 1 is read 5 + 1 + 10 + 1 cycles after its end, in column 5.
    assert (schedule.sweeps[0].length, schedule.sweeps[0].tail, schedule.interval) == (6, 11, 17)
    # The head waits for both units, then two passes of two columns.
    wait = 5 + 1 + 10 - 1
    assert schedule.waits == (0, wait)
    assert schedule.sweeps[0].length_last == 6 + wait + 2 + 2
    first = 4 + schedule.interval + schedule.sweeps[0].length_last
    assert schedule.total_cycles([2]) == first + 5 + 10 + 2 + 1


@pytest.mark.parametrize(("pipeline", "alone", "interval"), [(SHALLOW, 22, 16), (FLAT, 16, 14)])
def test_few_cycles_from_port_to_port(pipeline, alone, interval):
    """A small LSTM with a multiplier for nearly every weight; ``test_hw_engine`` measures it."""
    program = make_program(integer_network(("lstm", 20), inputs=6), lanes=80, cols=20, posts=20,
                           wide=True, pipeline=pipeline)
    schedule = make_layout(program).schedule
    assert (schedule.total_cycles([1]), schedule.interval) == (alone, interval)


@pytest.mark.parametrize(("kwargs", "message"), [
    ({"lanes": 0}, r"^Lanes must be an integer from 1 to 4096, not 0$"),
    ({"lanes": 4097}, r"^Lanes must be an integer from 1 to 4096, not 4097$"),
    ({"lanes": 4.0}, r"^Lanes must be an integer from 1 to 4096, not 4\.0$"),
    ({"lanes": 4, "posts": 3}, r"^Posts must be an integer that divides the 4 lanes, not 3$"),
    ({"lanes": 4, "posts": 0}, r"^Posts must be an integer that divides the 4 lanes, not 0$"),
    ({"lanes": 4, "cols": 2.0}, r"^Cols must be an integer from 1 to 1024, not 2\.0$"),
    ({"lanes": 4, "cols": 3}, r"^Cols must be the number of posts times or divided by a power of "
     r"two \(1 post\(s\) here\), not 3$"),
    ({"lanes": 6, "posts": 6, "cols": 4}, r"^Cols must be the number of posts .* not 4$"),
    ({"lanes": 6, "posts": 6, "cols": 2}, r"^Cols must be the number of posts .* not 2$"),
    ({"lanes": 3, "pack": True}, r"^Lanes must be even where two share a multiplier, not 3$"),
])
def test_array_wrong(kwargs, message):
    with pytest.raises(ValueError, match=message):
        make_program(integer_network(("rnn", 2)), **kwargs)


def test_oldest_vector_first():
    """The order of segments that hides the recurrence, cell by cell."""
    program = make_program(integer_network(("lstm", 2), ("gru", 3), ("gru_reset_before", 2),
                                           ("linear", 1)), lanes=4)
    order = [(phase.op, tuple(segment.source for segment in phase.segments))
             for phase in program.phases]
    assert order == [
        (Op.LSTM, (Source.INPUT, Source.OLD)), (Op.GRU, (Source.OLD, Source.NEW)),
        (Op.RESET, (Source.OLD, Source.NEW)), (Op.UPDATE, (Source.OLD, Source.NEW)),
        (Op.CANDIDATE, (Source.NEW, Source.NEW)), (Op.RESULT, (Source.NEW,))]
