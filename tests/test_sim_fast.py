"""The second runner on the stand-in core: it finds what the cocotb bench finds, in its words."""

import re

import numpy as np
import pytest
from sim_standin import C_START, Fault, emit, golden

from sim import SimulationError, verify
from sim.fast import FastSimulator, Pauses

LENGTHS = [1, 4, 30, 7]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folder with the stand-in's Verilog, and its manifest."""
    folder = tmp_path_factory.mktemp("fast")
    text, manifest = emit()
    (folder / "standin.v").write_text(text)
    return folder, manifest


@pytest.fixture(scope="module")
def core(place):
    folder, manifest = place
    with FastSimulator(folder / "standin.v", manifest, folder / "build") as simulator:
        yield simulator


def test_equal(core):
    stimulus = golden(LENGTHS)
    told = []
    result = core.run(stimulus, seed=1, progress=lambda *entry: told.append(entry))
    assert result.passed and result.difference is None
    assert result.words == stimulus.words == 42 * 9 + 4 * 2
    assert result.cycles == stimulus.predicted_cycles == 42 * 20 + 4 * 2
    assert len(result.starts) == 42
    assert set(np.diff(result.starts[5:35]).tolist()) == {20}
    assert told[-1] == (result.words, result.words)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("pauses", [
    True, Pauses(source=200, sink=0, long=False), Pauses(source=0, sink=200, long=False),
    Pauses(source=255, sink=255, long=True), Pauses(source=0, sink=0, long=True),
], ids=["both", "source", "sink", "hard", "long"])
def test_equal_with_pauses(core, pauses, seed):
    result = core.run(golden(LENGTHS), seed=seed, pauses=pauses)
    assert result.passed, result.difference
    assert result.cycles > 42 * 20 + 4 * 2  # the pauses did something


def test_pauses_by_seed(core):
    """The same seed pauses in the same cycles, another one does not."""
    first, again, other = (core.run(golden(LENGTHS), seed=seed, pauses=True).starts.tolist()
                           for seed in (3, 3, 4))
    assert first == again != other


def test_longer_than_logs(core):
    """More records than a log holds: it is emptied in between, and nothing is lost."""
    stimulus = golden([30000, 1], seed=9)
    result = core.run(stimulus, seed=0)
    assert result.passed and result.words == stimulus.words
    assert result.words > 4 * len(core._logs["h_data"])


@pytest.mark.parametrize(("fault", "at"), [
    (Fault.WRONG_H, (2, 17)), (Fault.WRONG_HEAD, (1, 3)), (Fault.WRONG_WORD, (2, 9)),
    (Fault.DROP_WORD, (3, 6)), (Fault.EXTRA_WORD, (3, 6)), (Fault.EARLY_LAST, (2, 29)),
    (Fault.NO_RECORD, (2, 20)), (Fault.TWO_RECORDS, (1, 2)), (Fault.HANG, (2, 8)),
    (Fault.SILENT, (2, 3)), (Fault.STATUS, (0, 0)), (Fault.LATE, (2, 8)),
], ids=lambda value: getattr(value, "name", ""))
def test_fault_is_named_as_by_the_bench(core, place, fault, at):
    stimulus = golden(LENGTHS, fault=fault, at=at)
    folder, manifest = place
    bench = verify(folder / "standin.v", manifest, stimulus, build_dir=folder / "bench", seed=1)
    result = core.run(stimulus, seed=1)
    assert not result.passed and result.mismatches > 0
    del bench.first_difference["pass"]
    assert result.difference == bench.first_difference


def test_withdrawn_word(core):
    """Only back-pressure shows a word that is withdrawn."""
    stimulus = golden([60], predicted_cycles=None)
    stimulus.sequences[0].inputs[::2] |= Fault.DROP_VALID.value << 8
    assert core.run(stimulus, seed=1).passed
    difference = core.run(stimulus, seed=1, pauses=True).difference
    assert difference["kind"] == "protocol"
    assert "tvalid fell" in difference["message"]


def test_no_output_at_all(core):
    """A core that sends nothing cannot pass on zero words."""
    result = core.run(golden(LENGTHS, fault=Fault.HANG, at=(0, 0)), seed=1)
    assert not result.passed
    assert result.words == 0
    assert result.difference["kind"] == "no_output"


def test_reset_at_every_cycle(core):
    result = core.run(golden(LENGTHS), seed=1, resets=range(1, 300))
    assert result.passed and result.resets == 299
    assert result.simulated_cycles > sum(range(1, 300))
    assert core.run(golden(LENGTHS), seed=1, pauses=True, resets=[17, 444]).passed


def test_missing_reset(place):
    """c keeps its value over a reset: only a run that a reset cut off before shows it."""
    folder, manifest = place
    text = (folder / "standin.v").read_text()
    pattern = rf"if \(rst\) begin\s+\S+ += 16'h{C_START[0]:x};\s+end"
    assert re.search(pattern, text)
    (folder / "stale.v").write_text(re.sub(pattern, "", text))
    with FastSimulator(folder / "stale.v", manifest, folder / "build") as stale:
        assert stale.run(golden(LENGTHS), seed=1).passed
        difference = stale.run(golden(LENGTHS), seed=1, resets=[60]).difference
    assert (difference["signal"], difference["neuron"], difference["step"]) == ("c", 0, 0)


def test_built_once(core, place):
    """The same text is not built again; two copies in one process do not share registers."""
    folder, manifest = place
    with FastSimulator(folder / "standin.v", manifest, folder / "build") as again:
        assert again.build_seconds < core.build_seconds / 3
        assert again.run(golden(LENGTHS, fault=Fault.HANG, at=(0, 0)), seed=1).words == 0
        assert core.run(golden(LENGTHS), seed=1).passed


def test_wrong_arguments(core, place):
    folder, manifest = place
    with pytest.raises(ValueError, match="Verilog file .* must exist"):
        FastSimulator(folder / "missing.v", manifest, folder / "build")
    with pytest.raises(ValueError, match="Seed must be an integer from 0"):
        core.run(golden(LENGTHS), seed=-1)
    with pytest.raises(ValueError, match="only in a core built with random_start"):
        core.power_up(1)
    with pytest.raises(ValueError, match="source must be an integer from 0 to 255, not 256"):
        Pauses(source=256)
    with pytest.raises(ValueError, match="must pause something"):
        Pauses(source=0, sink=0, long=False)
    stimulus = golden([3])
    stimulus.sequences[0].inputs[0] = 1 << 16
    with pytest.raises(ValueError, match="Input words must fit 16 bits"):
        core.run(stimulus, seed=1)


def test_refused_verilog(place):
    folder, manifest = place
    (folder / "broken.v").write_text("module standin(input clk;\nendmodule\n")
    with pytest.raises(SimulationError, match=r"Verilating .*broken.v failed: %Error"):
        FastSimulator(folder / "broken.v", manifest, folder / "build")
