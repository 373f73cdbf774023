"""The output port: AXI4-Stream's rules, the order of the words, and credits that never run out."""

from amaranth import *

from hw.layout import Layout
from hw.output import Output
from hw.pipeline import FLAT

from .bench import Bench, Proof
from .layouts import layout_of
from .queue import Followed

__all__ = ["PROOFS"]


def _output(layout: Layout) -> Bench:
    """Results come as steps have promised them; a step starts only where there was room for it."""
    program, depth = layout.program, layout.fifo_depth
    bench = Bench(Output(layout))
    m, dut, latency = bench.m, bench.dut, program.pipeline.output
    entries = [program.output_entries(last) for last in (False, True)]
    offer, some, state = (bench.free(name) for name in ("offer", "some", "state_word"))
    room_q, owed, buffer = Signal(), Signal(range(depth + 1)), bench.inner("buffer")
    takes, written = Signal(), Signal()
    m.d.comb += [
        dut.step_start.eq(offer & (room_q if program.start else dut.room)),
        written.eq(some & (owed != 0)),
        dut.state_en.eq(written & state & int(program.network.returns_state)),
        dut.result_en.eq(written & ~dut.state_en), takes.eq(buffer.valid & buffer.ready)]
    taken = Mux(dut.step_start, Mux(dut.step_last, entries[1], entries[0]), 0)
    m.d.sync += [room_q.eq(dut.room), owed.eq(owed + taken - written)]
    words = Followed(bench, written=written, takes=takes, word=buffer.w_data, most=depth,
                     latency=latency)

    port = Cat(dut.data, dut.last, dut.keep)
    waited, shown = Signal(), Signal.like(port)
    m.d.sync += [waited.eq(dut.valid & ~dut.ready), shown.eq(port)]
    bench.claim("valid stays until taken", ~waited | dut.valid)
    bench.claim("data, last and keep stay until taken", ~waited | (port == shown))
    bench.claim("no more than the buffer holds, with all that is promised",
                owed + words.count <= depth)
    bench.claim("room where nothing is promised and all has left",
                (owed + words.count != 0) | dut.room)
    _comes(bench, words, buffer, takes, written, latency)
    bench.invariant(bench.inner("credit") + owed + words.count == depth)
    if program.start:
        bench.invariant(~room_q | (bench.inner("credit") >= max(entries)))

    read = bench.inner("read")
    if not program.serial:
        results = Cat(words.word[k * layout.output_element:][:layout.act_width]
                      for k in range(program.posts))
        bench.claim("the words' own results, in order",
                    ~(words.at_head & dut.valid) | (results == dut.data))
        bench.cover("a word that is not full", dut.valid & ~dut.keep.all())
    elif not program.argmax:
        place = bench.inner("place")
        bench.invariant(place < program.posts)
        bench.claim("the words' own results, one by one, in order",
                    ~(words.at_head & dut.valid) | (dut.data == Array(
                        words.word[k * len(dut.data):][:len(dut.data)]
                        for k in range(program.posts))[place]))
        bench.cover("the last of several", dut.valid & (place == program.posts - 1)
                    & words.at_head & read.end)
    else:
        bench.claim("results come to be compared in order",
                    ~(words.at_head & buffer.valid) | (buffer.r_data == words.word))
        _largest(bench, layout, buffer, takes, read)
    bench.cover("all is promised, and some of it waits",
                ~dut.room & (owed != 0) & (words.count != 0) & waited)
    bench.cover("the last word of a sequence waits", waited & dut.last)
    return bench


def _comes(bench: Bench, words: Followed, buffer, takes, written, latency: int):
    """How soon an entry that was written is there."""
    m = bench.m
    if latency:
        late = Signal(2)
        m.d.sync += late.eq(Mux(buffer.valid | (words.count == 0), 0, late + 1))
        bench.claim("a word is there three cycles after it was written",
                    (late < 2) | buffer.valid)
        bench.invariant((late < 3)
                        & ((late != 1) | bench.inner("fetched", "Buffer") | buffer.valid))
        return
    bench.claim("an entry that finds nothing before it is there at once", (words.count != 0) | (
        (buffer.valid == written) & (~written | (buffer.r_data == buffer.w_data))))
    bench.cover("one leaves as it comes", takes & written & (words.count == 0))
    # What waits is an entry that has been written; it stood at the port as it came.
    head = bench.memory_word(bench.inner("read", "Buffer"))
    entry, stays = Signal.like(head), Signal()
    m.d.sync += [entry.eq(buffer.r_data), stays.eq(buffer.valid & ~buffer.ready)]
    bench.invariant(~stays | ((words.count != 0) & (head == entry)))


def _largest(bench: Bench, layout: Layout, buffer, takes, read):
    """The index of the first of a step's largest results, of all of them side by side."""
    m, dut, units = bench.m, bench.dut, layout.program.phases[-1].units
    before = [Signal.like(read.results[0], name=f"result{k}") for k in range(units - 1)]
    count, want = Signal(range(units + 1)), Signal.like(dut.data)
    known, comes, ended = Signal(), Signal(), Signal()
    with m.If(takes):
        m.d.sync += count.eq(Mux(read.boundary, 0, count + (count != units)))
        for k, value in enumerate(before):
            with m.If(count == k):
                m.d.sync += value.eq(read.results[0])
    values, largest = [*before, read.results[0]], C(units - 1)
    for k in reversed(range(units - 1)):
        largest = Mux(Cat(values[k] >= value for value in values[k + 1:]).all(), k, largest)
    with m.If(takes & read.boundary):
        # Steps of other lengths than the program's do not come.
        m.d.sync += [ended.eq(read.end), want.eq(largest), known.eq(count == units - 1)]
    m.d.sync += comes.eq((takes & read.boundary) | (dut.valid & ~dut.ready))
    bench.claim("an index with each step, as soon as its last result is there, no other",
                dut.valid == comes)
    bench.claim("results are taken while no index waits",
                buffer.ready == (~dut.valid | dut.ready))
    bench.claim("the index of the first of the largest",
                ~(dut.valid & known) | (dut.data == want))
    bench.claim("last as with its last result", ~dut.valid | (dut.last == ended))
    best, best_index, index, begun = (bench.calls("_serial", name)[0] for name in (
        "best", "best_index", "index", "begun"))
    bench.invariant(bench.calls("_serial", "place")[0] < layout.program.posts)
    bench.invariant((count <= units) & (begun == (count != 0)))
    bench.invariant((count == units) | (index == count))
    for k in range(1, units):
        # The first k results: the best of them is the first that none exceeds.
        first, *rest = (Cat(best >= value for value in before[:k]).all()
                        & (best == before[n]) & (best_index == n)
                        & Cat(before[n] > value for value in before[:n]).all()
                        for n in range(k))
        bench.invariant((count != k) | Cat(first, *rest).any())
    bench.cover("a largest that is neither first nor last",
                dut.valid & known & (dut.data != 0) & (dut.data != units - 1))
    bench.cover("two that are equal", takes & read.boundary & (count == units - 1)
                & (values[0] == values[-1]) & (values[0] > values[1]))


PROOFS = [
    Proof(name="output.Output, two results a word", depth=3, reach=14, mutants=20, quick=True,
          says="AXI4-Stream, order, a step only with room, credits never short",
          build=lambda: _output(layout_of(("gru", 5), ("linear", 3), cols=2, posts=2, lanes=6,
                                          wide=True))),
    Proof(name="output.Output, flat, two results a word", depth=3, reach=9, mutants=10,
          says="the same where a result may leave as it comes",
          build=lambda: _output(layout_of(("gru", 5), ("linear", 3), cols=2, posts=2, lanes=6,
                                          wide=True, pipeline=FLAT))),
    Proof(name="output.Output, flat, word by word of two, and states", depth=3, reach=14,
          mutants=10, says="the same",
          build=lambda: _output(layout_of(("rnn", 2), ("linear", 2), lanes=2, posts=2, cols=2,
                                          returns=True, pipeline=FLAT))),
    Proof(name="output.Output, word by word of two, and states", depth=3, reach=14, mutants=20,
          says="the same",
          build=lambda: _output(layout_of(("rnn", 4), posts=2, cols=2, returns=True))),
    Proof(name="output.Output, index of the largest", depth=3, reach=14, mutants=20,
          says="the same, and the index itself: of the first of a step's largest results",
          build=lambda: _output(layout_of(("rnn", 3), ("linear", 3), argmax=True))),
]
