"""Sequences stored whole: each word at its place, each sweep's steps counted, each base right."""

from amaranth import *

from hw.layout import Layout
from hw.pipeline import SHALLOW
from hw.sequence import SequenceLoader

from .bench import Bench, Proof
from .layouts import layout_of
from .loader import states_in

__all__ = ["PROOFS"]


def base(value, number, stride: int, origin):
    """Whether an address is that of a step, behind an origin."""
    return value == (origin + number * stride)[:len(value)]


class _Walk:
    """Which step of which sweep comes when, and the engine around the loader.

    A step starts where one was ready in the cycle before; a sweep's end comes some cycles after its
    last step's start, and the results of all its steps are written before the next one begins.

    Members
    -------
    stored : Signal(1), a whole sequence is there, and its input is still needed; given : its steps
    runs : Signal(1), a sequence is walked over; total : its steps
    sweep : the sweep; begin : Signal(1), its first cycle
    due : steps of a sweep; left : of them, those that have not started; written : those whose
        results are in the sequence memory
    step : of the sequence, the one that runs, or ran last
    started : Signal(1), a step has started in the cycle before
    open : Signal(1), a sweep's last step runs
    """

    def __init__(self, bench: Bench, layout: Layout, finish, total):
        m, dut, flush = bench.m, bench.dut, layout.schedule.flush
        sweeps, most = layout.schedule.sweeps, layout.program.max_steps
        for name in ("stored", "runs", "begin", "started", "open", "first"):
            setattr(self, name, Signal(name=name))
        for name in ("given", "total", "due", "left", "written", "step"):
            setattr(self, name, Signal(range(most + 1), name=name))
        self.sweep, self.flush = Signal(range(len(sweeps))), Signal(range(flush + 1))
        single = Array([int(sweep.single) for sweep in sweeps])[self.sweep]
        keeps = Array([int(any(phase.to_sequence for phase in phases))
                       for phases in layout.program.sweeps])[self.sweep]
        self.single, self.keeps = single, keeps
        start, end, write = (bench.free(name) for name in ("start_it", "end_it", "write_it"))
        ready, behind, turn = Signal(), Signal(range(most + 1)), Signal()
        self.ready = ready
        m.d.comb += [
            self.due.eq(Mux(single, 1, self.total)), turn.eq(self.flush == 1),
            dut.start.eq(start & ready), dut.end.eq(end & self.open),
            behind.eq(self.due - self.left - self.written),
            dut.written.eq(write & keeps & self.runs & ~self.begin & (behind != 0))]
        bench.assume(~keeps | ~turn | (behind == 0))
        m.d.sync += [ready.eq(dut.step_ready), self.started.eq(dut.start), self.begin.eq(0),
                     self.written.eq(self.written + dut.written),
                     self.flush.eq(self.flush - (self.flush != 0))]
        with m.If(dut.start):
            m.d.sync += [self.left.eq(self.left - 1), self.first.eq(0),
                         self.open.eq(self.left == 1),
                         self.step.eq(Mux(single, self.total - 1, self.total - self.left))]
        with m.If(dut.end):
            m.d.sync += [self.open.eq(0), self.flush.eq(flush)]
            with m.If(self.sweep == layout.program.input_sweep):
                m.d.sync += self.stored.eq(0)
        with m.If(~self.runs | (turn & (self.sweep == len(sweeps) - 1))):
            m.d.sync += [self.runs.eq(self.stored), self.begin.eq(self.stored), self.sweep.eq(0)]
            with m.If(self.stored):
                m.d.sync += self.total.eq(self.given)
        with m.Elif(turn):
            m.d.sync += [self.begin.eq(1), self.sweep.eq(self.sweep + 1)]
        with m.If(self.begin):
            m.d.sync += [self.left.eq(self.due), self.written.eq(0), self.first.eq(1)]
        with m.If(finish):
            m.d.sync += [self.stored.eq(1), self.given.eq(total)]

        going = self.runs & ~self.begin
        self.going = going
        bench.invariant((self.sweep < len(sweeps)) & (self.flush <= flush))
        bench.invariant(~self.stored | ((self.given >= 1) & (self.given <= most)))
        bench.invariant(~self.runs | ((self.total >= 1) & (self.total <= most)))
        bench.invariant(~going | ((self.left <= self.due)
                                  & (self.written + self.left <= self.due)))
        bench.invariant(going | (self.left == 0))
        bench.invariant(~self.begin | self.runs)
        bench.invariant((going & (self.left == 0)) == (self.open | (self.flush != 0)))
        bench.invariant(~self.open | (self.flush == 0))
        bench.invariant(~ready | ((self.left != 0) & ~self.started))
        bench.invariant(~going | (self.first == (self.left == self.due)))
        bench.invariant(~going | self.first | (self.step == Mux(
            single, self.total - 1, self.total - self.left - 1)))
        # Until its input has been read, the sequence that runs is the one that is stored.
        reads = self.runs & ((self.sweep < layout.program.input_sweep) | (
            (self.sweep == layout.program.input_sweep) & (self.flush == 0)))
        self.reads = reads
        bench.invariant(~reads | (self.stored & (self.given == self.total)))


def _elements(bench: Bench, layout: Layout, walk: _Walk, taken, complete, steps, place, reads):
    """Vectors, element by element, in the input memory."""
    dut, cols, elements = bench.dut, layout.program.cols, layout.program.input_elements
    columns, column = layout.input_columns, (place * elements) // cols
    bench.claim("each element at its step's place, none while input is read", Mux(
        taken, (dut.x_addr == steps * columns + column) & ~walk.reads
        & (1 if elements == cols else dut.x_en == (1 << (place % cols))[:cols]),
        dut.x_en == 0))
    bench.claim("forward layers read the step, reverse layers its mirror image",
                ~walk.going | walk.first | Cat(
                    base(value, step, columns, 0)
                    for value, step in zip(dut.input_base, reads, strict=True)).all())
    if elements != cols:
        bench.invariant(bench.inner("turn") == (1 << (place % cols))[:cols])
    bench.invariant((steps == layout.program.max_steps)
                    | base(bench.calls("_vector", "address")[0], steps, columns, column))


def _tokens(bench: Bench, layout: Layout, walk: _Walk, taken, complete, steps, place, reads):
    """Tokens: one of them, any, is followed to the step that reads its row of the embedding."""
    m, dut, columns = bench.m, bench.dut, layout.input_columns
    followed, at, row = Signal(), Signal.like(steps), Signal(layout.address_bits)
    with m.If(walk.reads & dut.end & (walk.sweep == layout.program.input_sweep)):
        m.d.sync += followed.eq(0)
    with m.If(complete & bench.free("follow") & ~followed):
        known = dut.data < len(layout.program.network.embedding)
        m.d.sync += [followed.eq(1), at.eq(steps), row.eq(Mux(known, dut.data * columns, 0))]
    bench.claim("forward layers read the step's token, reverse layers its mirror image",
                ~(walk.reads & walk.going & ~walk.first & followed) | Cat(
                    (step != at) | (value == row)
                    for value, step in zip(dut.input_base, reads, strict=True)).all())
    bench.cover("a reverse layer reads the token followed, and it is not the first",
                walk.reads & walk.going & ~walk.first & followed & (reads[1] == at) & (at != 0)
                & (row != 0) & (walk.total != 1))
    bench.invariant(~followed | Mux(walk.stored, at < walk.given, at < steps))
    begun, moved = Signal(), walk.due - walk.left
    m.d.sync += begun.eq(walk.begin)
    ready = walk.going & ~begun & ~walk.started & (walk.left != 0)
    bench.invariant(~begun | walk.going)
    bench.invariant(~walk.runs | (bench.inner("steps") == walk.total - 1))
    bench.invariant(~walk.ready | ready)
    for k, (pointer, place) in enumerate(zip(
            bench.calls("_tokens", "at")[0], (moved, walk.total - 1 - moved), strict=True)):
        bench.invariant(~walk.going | (walk.left == 0) | (pointer == place[:len(pointer)]))
        bench.invariant(~followed | (bench.memory_word(at, k) == row))
        bench.invariant(~(walk.reads & ready & followed & (place == at))
                        | (bench.memory_output(k) == row))


def _sequence(layout: Layout) -> Bench:
    program, words = layout.program, layout.program.input_words
    network, most = program.network, program.max_steps
    bench = Bench(SequenceLoader(layout))
    m, dut = bench.m, bench.dut
    place, steps = Signal(range(words + 1)), Signal(range(most + 1))   # of what comes in
    accepted, taken, complete, finish, loaded = (Signal(name=name) for name in (
        "accepted", "taken", "complete", "finish", "loaded"))
    loading = states_in(bench, layout, dut, finish) if network.loads_state else C(0)
    m.d.comb += [
        accepted.eq(dut.valid & dut.ready & dut.weights_loaded & ~loading),
        taken.eq(accepted & (steps != most)), finish.eq(accepted & dut.last),
        complete.eq(taken & (dut.last | (place == words - 1)))]
    m.d.sync += [loaded.eq(dut.weights_loaded), steps.eq(Mux(finish, 0, steps + complete))]
    with m.If(taken):
        m.d.sync += place.eq(Mux(complete, 0, place + 1))
    bench.assume(~loaded | dut.weights_loaded)  # once they are, they stay
    walk = _Walk(bench, layout, finish, steps + complete)
    wrong = (accepted & dut.last & (place != words - 1)) | (accepted & (steps == most))
    if network.embedding is not None:
        wrong |= taken & (dut.data >= len(network.embedding))
    wrong |= dut.valid & ~dut.weights_loaded & dut.last
    if network.loads_state:
        wrong |= dut.valid & dut.ready & dut.weights_loaded & loading & dut.last
        bench.claim("states only where nothing runs or is stored",
                    ~(dut.weights_loaded & loading)
                    | (dut.ready == (dut.idle & ~walk.stored & ~walk.runs)))
        bench.invariant(~loading | ((steps == 0) & (place == 0)))
    bench.claim("ready until a sequence is whole, and again once its input is read",
                ~dut.weights_loaded | loading | (dut.ready == ~walk.stored))
    bench.claim("each wrong word is told, no other", dut.error == wrong)
    bench.claim("waiting where there is a sequence", dut.waiting == (walk.stored | walk.runs))
    bench.claim("sweep after sweep, each once the one before is flushed",
                (dut.sweep_begin == walk.begin) & (~walk.runs | (dut.sweep == walk.sweep)))
    bench.claim("a step is ready where one is left, two cycles after the one before",
                dut.step_ready == ((walk.left != 0) & ~walk.started & ~dut.start))
    bench.claim("first and last steps are told", ~walk.going | (walk.left == 0) | (
        (dut.step_first == walk.first) & (dut.step_last == (walk.left == 1))))

    running = walk.going & ~walk.first
    last = walk.total - 1
    backward = Mux(walk.single, last, last - walk.step)
    (_tokens if network.embedding is not None else _elements)(
        bench, layout, walk, taken, complete, steps, place, (walk.step, backward))

    bench.invariant((steps <= most) & (place < words))
    bench.invariant(~(walk.stored | (steps == most)) | (place == 0))
    bench.invariant(~walk.stored | (steps == 0))
    for name, model in (("word", place), ("word_last", place == words - 1), ("count", steps),
                        ("full", walk.stored), ("running", walk.runs)):
        bench.invariant(bench.inner(name) == model)
    bench.invariant(~walk.stored | (bench.inner("total") == walk.given))
    (inside, first, present, again, left, begin, runs), = zip(*(
        bench.calls("_sweeps", name) for name in (
            "count", "first", "present", "again", "left", "begin", "running_total")))
    bench.invariant((inside == walk.flush) & (begin == walk.begin)
                    & (present == ((walk.left != 0) & ~walk.started))
                    & (again == ((walk.left != 0) & walk.started)))
    bench.invariant(~walk.runs | ((runs == walk.total) & (dut.sweep == walk.sweep)))
    bench.invariant(~walk.going | ((left == walk.left) & (first == walk.first)))
    moved = walk.due - walk.left          # steps of the sweep that have started
    ways = [] if network.embedding is not None else [(layout.input_columns, C(0), C(1))]
    if program.n_sweeps > 1:
        size = layout.kept_words * most
        # What a sweep writes is what the next one reads.
        regions = [size * (k % layout.kept_regions) for k in range(program.n_sweeps)]
        origin = Array([regions[k - 1] for k in range(program.n_sweeps)])[walk.sweep]
        ways.append((layout.kept_words, origin, walk.sweep != 0))  # sweep 0 reads nothing kept
        bench.claim("what the sweep before has kept is read in the same way",
                    ~running | (walk.sweep == 0) | (
                        base(dut.kept_base[0], walk.step, layout.kept_words, origin)
                        & base(dut.kept_base[1], backward, layout.kept_words, origin)))
        lowest = [min((phase.dest_base for phase in phases if phase.to_sequence), default=0)
                  // program.word for phases in program.sweeps]
        to = Array([region - low for region, low in zip(regions, lowest)])[walk.sweep]
        bench.claim("results are kept where the next sweep reads them",
                    ~walk.going | ~walk.keeps | (walk.written == walk.due) | (
                        base(dut.write_base[0], walk.written, layout.kept_words, to)
                        & base(dut.write_base[1], last - walk.written, layout.kept_words, to)))
    inner = (bench.calls(method, name) for method, name in (
        ("_ends", "following"), ("_ends", "last"), ("_ends", "kept"), ("_steps", "up"),
        ("_steps", "down")))
    for (stride, origin, holds), following, newest, kept, up, down in zip(ways, *inner,
                                                                          strict=True):
        bench.invariant(base(following, steps, stride, 0))
        bench.invariant((steps == 0) | base(newest, steps - 1, stride, 0))
        bench.invariant(~walk.stored | base(newest, walk.given - 1, stride, 0))
        bench.invariant(~walk.runs | base(kept, last, stride, 0))
        bench.invariant(~holds | ~walk.going | (walk.left == 0) | (
            base(up, Mux(walk.single, last, moved), stride, origin)
            & base(down, last - moved, stride, origin)))

    finished = Signal()
    m.d.sync += finished.eq(finished | (walk.runs & (walk.flush == 1)
                                        & (walk.sweep == program.n_sweeps - 1)))
    bench.cover("a sequence as long as may be runs, and then the next one comes in",
                walk.runs & (walk.total == most) & ~walk.stored)
    bench.cover("a sequence of one step behind another", walk.begin & (walk.sweep == 0)
                & (walk.total == 1) & finished)
    bench.cover("a word too many", accepted & (steps == most) & ~dut.last)
    bench.cover("the last sweep's last step", dut.end & (walk.sweep == program.n_sweeps - 1))
    bench.cover("a step cut short", complete & dut.error)
    return bench


def _both(units: int, reads: tuple = (-1,)) -> tuple:
    """A layer in both directions."""
    return ("rnn", units, reads), ("rnn", units, "reverse", reads)


def _proof(name: str, says: str, layout: Layout, **more) -> Proof:
    flush, sweeps = layout.schedule.flush, layout.program.n_sweeps
    reach = (layout.program.input_words * layout.program.max_steps + layout.program.state_words
             + sweeps * (flush + 3 * layout.program.max_steps + 4))
    return Proof(name=f"sequence.SequenceLoader, {name}", says=says, depth=3, reach=reach,
                 mutants=30, build=lambda: _sequence(layout), **more)


PROOFS = [
    _proof("two sweeps", "stored whole; sweeps, steps, addresses of both directions, errors",
           layout_of(*_both(2), ("linear", 2, (0, 1)), inputs=3, lanes=2, max_steps=3,
                     pipeline=SHALLOW), quick=True),
    _proof("three sweeps, one of a single step", "the same",
           layout_of(*_both(2), *_both(2, (0, 1)), ("linear", 1, "last", (2, 3)), inputs=3,
                     lanes=2, cols=2, posts=2, max_steps=2, pipeline=SHALLOW)),
    _proof("tokens", "the same; a token's row, followed in both directions",
           layout_of(*_both(2), ("linear", 1, (0, 1)), embedding=(5, 3), lanes=2, max_steps=4,
                     pipeline=SHALLOW)),
    _proof("initial states", "the same; states only where nothing runs or is stored",
           layout_of(("rnn", 2, "reverse"), ("linear", 1), inputs=2, lanes=2, max_steps=2,
                     loads=True, pipeline=SHALLOW)),
]
