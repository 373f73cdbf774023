"""Part "stress" of the sign-off: a slice of it, the contract by hand, and faults that it must find.
"""

import re
from dataclasses import replace

import numpy as np
import pytest

from gatewright.campaign_check import Case
from sim.fast import FastSimulator
from tests.signoff import stress
from tests.signoff.broken import KINDS, WEIGHT_KINDS
from tests.signoff.broken_runs import STOPS, BrokenRuns
from tests.signoff.configurations import SMOKE
from tests.signoff.contract import Contract
from tests.signoff.stress_resets import PLACES, Resets

SHORT = ((3, 1), (3, 2), (2, 5))
# Small, and with all that a stream can have: weights and states come in, sequences are stored, and
# words hold two elements.
ALL = replace(
    SMOKE["bidirectional"], layers=(("lstm", 4, "identity", False), ("gru", 3, "identity", False),
                                    ("linear", 2, "identity", False)),
    links=(((-1,), False, False), ((0,), True, False), ((1,), False, False)), inputs=5, lanes=4,
    cols=2, posts=2, wide=True, loads=True, returns=True, load_weights=True, max_steps=6,
    batches=SHORT)

# Round the core; each bit of `fault.hex`, read when a simulation begins, is one fault.
FAULTS = ("withdraws a word", "changes a word", "loses a word", "loses an input word",
          "ignores a reset", "counts no error", "is late", "stops")
WRAPPER = """
module {name}(input clk, input rst, {ports});
  reg [7:0] fault[0:0];
  initial $readmemh("fault.hex", fault);
  wire [7:0] f = fault[0];
  reg [7:0] waits, lone;
  reg eats, late;
  wire valid, s_ready;
  wire [15:0] counted;
  wire [{width}-1:0] word;
  assign m_axis_tvalid = valid & ~eats & ~(f[0] & waits == 2);
  assign m_axis_tdata = word ^ {{{width}{{f[1] & waits == 3}}}};
  assign s_axis_tready = s_ready & ~late & ~(f[7] & counted != 0);
  assign status_errors = f[5] ? 16'd0 : counted;
  wire lost = f[3] & lone >= 40;
  always @(posedge clk) begin
    waits <= rst | ~valid | m_axis_tready ? 8'd0 : waits + (waits != 255);
    lone <= rst | s_axis_tvalid ? 8'd0 : lone + (lone != 255);
    eats <= ~rst & (eats ? ~valid : f[2] & waits > 8 & m_axis_tready);
    late <= f[6] & counted != 0 & s_axis_tvalid & lone == 255;
  end
  inner core({joined}, .rst(rst & ~(f[4] & ~idle)),
    .s_axis_tvalid(s_axis_tvalid & s_axis_tready & ~lost), .s_axis_tready(s_ready),
    .m_axis_tready(m_axis_tready | eats), .m_axis_tvalid(valid), .m_axis_tdata(word),
    .status_errors(counted));
endmodule
"""
OWN = ("rst", "s_axis_tvalid", "s_axis_tready", "m_axis_tready", "m_axis_tvalid", "m_axis_tdata",
       "status_errors")


def wrapped(core) -> str:
    """A core's Verilog with the wrapper round it."""
    name, ports = core.name, {port["name"]: port for port in core.manifest["ports"]}
    inner = core.verilog.replace(f"module {name}(", "module inner(")
    assert inner != core.verilog
    return inner + WRAPPER.format(
        name=name, width=ports["m_axis_tdata"]["width"],
        joined=", ".join(f".{port}({port})" for port in ports if port not in OWN),
        ports=", ".join(f"{port['direction']}put [{port['width'] - 1}:0] {port['name']}"
                        for port in ports.values() if port["name"] not in ("clk", "rst")))


def contract(**stream) -> Contract:
    """Of a core whose steps are three words of one element of 4 bits."""
    return Contract({"stream": {
        "words_per_step": 3, "input_elements": 1, "max_steps": 0, "weight_words": 0,
        "state_words": 0, "states": [], **stream}}, inputs=3, tokens=0,
        widths={"x": 4, "h": 4, "c": 6, "word": 6})


def read(reader: Contract, words: list, *lasts: int) -> list:
    """Steps of each sequence, as lists."""
    words = np.array(words)[:, None]
    return [made.x.tolist() for made in reader.read(words, np.isin(np.arange(len(words)), lasts))]


def test_contract_of_two_banks():
    reader = contract()
    assert read(reader, [1, 2, 3, 4, 5, 6, 7, 9, 23], 8) == [[[1, 2, 3], [4, 5, 6], [7, -7, 7]]]
    assert reader.errors == 0
    # Cut short: the third word is still that of the step before the last, in the same bank.
    assert read(reader, [0, 0, 1, 1, 1], 1, 4) == [[[0, 0, 6]], [[1, 1, 1]]]
    assert reader.errors == 1
    assert read(reader, [2], 0) == [[[2, 0, 6]]] and reader.errors == 2


def test_contract_of_a_store():
    reader = contract(max_steps=2)
    assert read(reader, [1, 2, 3, 4, 5, 6, 7, 7], 7) == [[[1, 2, 3], [4, 5, 6]]]
    assert reader.errors == 2
    assert read(reader, [0, 0, 0, 7], 3) == [[[0, 0, 0], [7, 5, 6]]] and reader.errors == 3


def test_contract_of_states_and_weights():
    states = [{"signal": "h", "layer": 0, "units": 1}, {"signal": "c", "layer": 0, "units": 1}]
    reader = contract(states=states, state_words=2, weight_words=2)
    words = [9, 9, 1, 2, 15, 31, 1, 2, 3]
    (made,) = reader.read(np.array(words)[:, None], np.isin(np.arange(9), [0, 3, 8]))
    assert reader.errors == 2 and made.x.tolist() == [[1, 2, 3]]
    assert [state.tolist() for state in made.states] == [[-1], [31]]
    with pytest.raises(ValueError, match="must end with a sequence"):
        read(reader, [1])


def test_contract_of_tokens():
    reader = contract(words_per_step=1)
    reader.tokens, reader.inputs = 5, 1
    assert read(reader, [4, 5, 3], 2) == [[[4], [0], [3]]] and reader.errors == 1


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The case of all, and the folder with its core in the wrapper."""
    case, folder = Case(ALL), tmp_path_factory.mktemp("stress")
    (folder / "net.v").write_text(wrapped(case.core))
    return case, folder


@pytest.fixture
def start(place, monkeypatch):
    """Function of a fault: the case, and its core with it."""
    case, folder = place
    cores = []

    def started(fault: str | None):
        bits = 1 << FAULTS.index(fault) if fault else 0
        (folder / "fault.hex").write_text(f"{bits:x}\n")
        monkeypatch.chdir(folder)
        cores.append(FastSimulator(folder / "net.v", case.core.manifest, folder / "build",
                                   optimise=False))
        return case, cores[-1]

    yield started
    for core in cores:
        core.close()


def test_without_a_fault(start):
    """Every pair of patterns, fifty resets, each kind of broken input that this core can meet."""
    case, core = start(None)
    failure, words, _ = stress.back_pressure(case, core, 1, rounds=1, steps=6)
    assert failure is None and words > 81 * 30
    resets, broken = Resets(case, core, 1), BrokenRuns(case, core, 1)
    assert resets.check(50) is None and resets.points == 50 < resets.resets
    assert set(resets.places) == set(PLACES)
    assert broken.check(1) is None
    assert set(broken.found) == {*STOPS, *KINDS, *WEIGHT_KINDS} - {"token outside the table"}
    assert all(found["trials"] == 1 for found in broken.found.values())


@pytest.mark.parametrize("fault,said", [
    ("withdraws a word", "tvalid fell"), ("changes a word", "tdata changed"),
    ("loses a word", "output word"), ("loses an input word", "input words accepted|sequence")])
def test_back_pressure_finds(start, fault, said):
    case, core = start(fault)
    failure, *_ = stress.back_pressure(case, core, 1, rounds=1, steps=6)
    assert failure is not None and re.search(said, failure)
    assert core.run(case.stimulus([0]), seed=1).passed   # only a pause shows it


def test_resets_find(start):
    case, core = start("ignores a reset")
    assert core.run(case.stimulus([0, 1]), seed=1).passed
    assert Resets(case, core, 1).check(50) is not None


@pytest.mark.parametrize("fault,said", [
    ("counts no error", "status_errors at the end: is 0, expected 1"),
    ("is late", "correct sequence behind it: cycles: measured"),
    ("stops", "then nothing moved")])
def test_broken_input_finds(start, fault, said):
    case, core = start(fault)
    failure = BrokenRuns(case, core, 1).check(1)
    assert failure is not None and said in failure
    assert core.run(case.stimulus([0, 1]), seed=1).passed


def test_slice(tmp_path):
    """The part's own quick slice: a core of tokens."""
    (case,) = stress.cases(True)
    record = stress.measure(case, tmp_path, None, {"seed": 1})
    assert record["failure"] is None
    assert record["pairs"] == 81 and record["points"] == 50
    assert record["broken"]["token outside the table"]["errors"] > 0
    pairs, resets, broken = stress.claims({"tokens-argmax": record})
    assert pairs.passed and not resets.passed and not broken.passed   # a slice is not enough
    whole = record | {"points": 1000, "places": {"core busy": 500}}
    assert stress.claims({"tokens-argmax": whole})[1].passed
    wrong = {"tokens-argmax": whole, "gru": record | {"failure": "h differs"}}
    assert not any(claim.passed for claim in stress.claims(wrong))
    assert f"{record['pair_words']:,}" in stress.section(wrong)
