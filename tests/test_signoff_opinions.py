"""The opinions of other simulators: what they say of a core, and that each of them can say no."""

import re
from dataclasses import replace

import pytest
import sim_standin

from gatewright.campaign_check import Case
from sim.build import ToolMissing, find_simulator
from sim.fast import FastSimulator
from tests.signoff import icarus, opinions
from tests.signoff.configurations import SMOKE, case_of
from tests.signoff.lint import Waivers, signed_indices, warnings
from tests.signoff.power_up import bare, modules
from tests.signoff.unknown import choices, zero_products

# No tables, one lane, few steps: a second value for each signal makes a large model.
SMALL = replace(SMOKE["rnn-relu"], layers=(("rnn", 2, "relu", False),), inputs=2, lanes=1,
                act_width=8, weight_width=4, batches=((2, 3), (1, 6)))


@pytest.fixture(scope="module")
def small():
    """The core, what golden says, its text without power-up values, and one more wrong."""
    case = Case(SMALL)
    text = zero_products(bare(case.core.verilog).text)
    return case.core, case.stimulus(range(len(case.sequences))), text, without_reset(text, "free")


def without_reset(text: str, register: str) -> str:
    """The text with a register of the sequencer that keeps its value over a reset."""
    (module,) = (m for m in modules(text) if m.startswith("module \\net.sequencer "))
    (following,) = re.findall(rf"^    {register} <= (\\\S+) ;$", module, re.M)
    reset = rf"^    if \(rst\) begin\n      {re.escape(following)}  = \S+;\n    end\n"
    changed, count = re.subn(reset, "", module, flags=re.M)
    assert count == 1
    return text.replace(module, changed)


def test_power_up(small, tmp_path):
    core, given, text, wrong = small
    seen = opinions.power_ups(text, core.manifest, given, tmp_path, seeds=range(1, 4))
    assert seen["failure"] is None and seen["states"] == 3 and seen["words"] == 6 * given.words
    seen = opinions.power_ups(wrong, core.manifest, given, tmp_path, seeds=range(1, 9))
    assert re.match(r"power-up \d: ", seen["failure"]) and seen["states"] < 8
    with FastSimulator(tmp_path / "bare.v", core.manifest, tmp_path, optimise=False,
                       random_start=True) as simulator:
        with pytest.raises(ValueError, match="Seed must be an integer from 1 to .*, not 0"):
            simulator.power_up(0)


def test_unknown_outputs(small, tmp_path):
    core, given, text, _ = small
    seen = opinions.unknown_outputs(text, core.manifest, given, tmp_path, seed=1)
    assert seen["failure"] is None and seen["words"] == 2 * given.words


def test_unknown_output_is_found(tmp_path):
    """In a core that builds quickly: a word that waits in a register, and c without its reset."""
    text, manifest = sim_standin.emit()
    reset = rf"if \(rst\) begin\s+\S+ += 16'h{sim_standin.C_START[0]:x};\s+end"
    wrong, count = re.subn(reset, "", bare(text).text)
    assert count == 1
    seen = opinions.unknown_outputs(wrong, manifest, sim_standin.golden([3]), tmp_path, seed=1)
    assert "unknown" in seen["failure"]


@pytest.mark.parametrize("opened", [False, True], ids=["emitted", "opened"])
def test_icarus(small, tmp_path, opened):
    try:
        icarus.find_icarus()
    except ToolMissing as missing:
        pytest.skip(str(missing))
    core, given, text, wrong = small
    if opened:
        text, wrong = (choices(t, core.manifest, tmp_path) for t in (text, wrong))
    seen = icarus.play(text, core.manifest, given, tmp_path, seed=1)
    assert seen.difference is None and seen.words == 2 * given.words and seen.resets == 3
    assert icarus.play(wrong, core.manifest, given, tmp_path, seed=1).difference is not None


def test_icarus_is_missing(monkeypatch):
    monkeypatch.setattr(icarus.shutil, "which", lambda name: None)
    with pytest.raises(ToolMissing, match="install iverilog with the system's package manager"):
        icarus.find_icarus()


def test_icarus_says_what_differs(small):
    """A log with an unknown bit, a wrong word, a withdrawn word, and one that ends early."""
    core, given, *_ = small

    def said(log):
        return icarus.compare(log, core.manifest, given).difference
    assert said("x trace_step 7 x") == "trace_step is x in cycle 7 after reset 1"
    assert "a word was withdrawn" in said("v withdrawn")
    assert said("cut 5") == "only 0 runs and 0 values"
    assert said("o ff 0 1\nend 9 1 1 0 9 0 0 1").startswith("sequence 0, output word 0 (step 0, ")
    assert said("end 9 0 0 0 0 0 0 1").startswith("no output word at all came")


def test_bare_keeps_only_contents():
    text = case_of("ecp5").core.verilog
    left = bare(text)
    assert left.registers > 300 and left.memories >= 4 and left.contents >= 2
    assert " init = " in text and " init = " not in left.text
    assert not re.search(r"^ *reg (?!.*verilog_backend).* = ", left.text, re.M)
    with pytest.raises(ValueError, match="Memory memory of module m.* is written and has contents"):
        bare("module m(clk);\n  reg [7:0] memory [1:0];\n  initial begin\n    memory[0] = 8'h00;\n"
             "    memory[1] = 8'h10;\n  end\n      memory[a] <= d;\nendmodule\n")


@pytest.mark.parametrize("name", ["lstm2", "tokens-argmax", "ecp5"])  # the part takes all
def test_no_signed_index(name):
    """And the search finds one: an index that is cast, one that is declared so."""
    text = case_of(name).core.verilog
    assert signed_indices(text) == []
    at = re.search(r"<= memory\[(.+)\];", text)
    cast = text[:at.start(1)] + f"$signed({at[1]})" + text[at.end(1):]
    assert signed_indices(cast) == [f"memory[$signed({at[1]})]"]


def test_signed_index_by_declaration():
    text = "module m(a);\n  input {}[3:0] a;\n  assign b = memory[{{2'h0, a}}] + c[3:0];\nendmodule"
    assert signed_indices(text.format("")) == []
    assert signed_indices(text.format("signed ")) == ["memory[{2'h0, a}]"]


def test_warnings(tmp_path):
    core = case_of("rnn-relu").core
    found = warnings(core.verilog, "", core.name, tmp_path, find_simulator())
    counts, failure = Waivers().count(found)
    assert failure is None and sum(counts.values()) == len(found) > 100
    latch = core.verilog.replace("endmodule", "  reg l; always @* if (rst) l = clk;\nendmodule", 1)
    _, failure = Waivers().count(warnings(latch, "", core.name, tmp_path, find_simulator()))
    assert failure.startswith("a warning without a waiver: LATCH: ")
    hidden = next(entry for entry in Waivers().entries if entry["kind"] == "VARHIDDEN")
    many = [("VARHIDDEN", "Declaration of signal hides declaration in upper scope: 'memory'")]
    _, failure = Waivers().count(many * (hidden["most"] + 1))
    assert failure.endswith(f"at most {hidden['most']} are waived")


def test_waivers_have_reasons():
    assert all(entry["reason"] and entry["most"] > 0 for entry in Waivers().entries)
