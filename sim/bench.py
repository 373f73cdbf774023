"""The cocotb test module: runs in the simulator's process, driven by ``sim.verify``.

Two passes over the same sequences. ``unpaused`` measures cycles; ``paused`` begins with a reset
in the middle of a sequence, then pauses both streams at random. Both compare everything.
"""

import json
import os
import random
import time
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, SimTimeoutError, Timer, ValueChange, with_timeout

from sim.compare import Checker
from sim.counters import counters_difference
from sim.harness import CHUNK, LOGS, RECORDS, record_width, slot_width
from sim.ports import Ports, read_ports
from sim.stimulus import RUN, Stimulus

PERIOD = 2                  # ns; only a name for a cycle, nothing depends on it
DENSITY = 64                # of 256: chance of a short pause


class _Run:
    """What the folder says."""

    def __init__(self):
        self.folder = Path(os.environ[RUN])
        info = json.loads((self.folder / "run.json").read_text())
        self.manifest, self.seed = info["manifest"], info["seed"]
        self.stimulus = Stimulus.load(self.folder)
        self.ports = read_ports(self.manifest)
        self.chunks = _chunks(self.stimulus, self.ports)
        self.cycles_per_step = max(int(self.manifest["cycles_per_step"]), 1)

    def progress(self, **fields) -> None:
        with (self.folder / "progress.jsonl").open("a") as file:
            file.write(json.dumps(fields) + "\n")


def _step_cycles(stimulus: Stimulus, starts: np.ndarray) -> tuple:
    """(usual, least, most) cycles from step to step, all sweeps together; None without any."""
    counts = stimulus.starts
    owner = np.repeat(np.arange(counts.size), counts.ravel())[:len(starts)]
    gaps, same = np.diff(starts[:len(owner)]), owner[1:] == owner[:-1]
    sweep = owner[1:] % counts.shape[1]
    found = [gaps[same & (sweep == k)] for k in range(counts.shape[1])]
    found = [of_sweep for of_sweep in found if len(of_sweep)]
    if not found:
        return None, None, None
    return tuple(int(sum(measure(of_sweep) for of_sweep in found)) for measure in (
        lambda of_sweep: np.bincount(of_sweep).argmax(), np.min, np.max))


def _chunks(stimulus: Stimulus, ports: Ports) -> list:
    """Hand-overs (packed words as one integer, their count) of the whole input stream."""
    slot = slot_width(ports)
    words, last = stimulus.flat("inputs")
    limbs = np.zeros((len(words), -(-slot // 64)), np.uint64)
    packed = ports.pack_inputs(words)
    limbs[:, :packed.shape[1]] = packed
    limb, bit = divmod(slot - 1, 64)
    limbs[:, limb] |= last.astype(np.uint64) << np.uint64(bit)
    slots = np.ascontiguousarray(limbs.astype("<u8").view("<u4")[:, :slot // 32])
    return [(int.from_bytes(slots[k:k + CHUNK].tobytes(), "little"), len(slots[k:k + CHUNK]))
            for k in range(0, len(slots), CHUNK)]


async def _feed(dut, chunks: list) -> None:
    """Hand the input over; the next chunk waits at the port before the last one is used up."""
    for data, count in chunks:
        dut.chunk.data.value = data
        dut.src_count.value = count
        dut.src_go.value = 1 - int(dut.src_taken.value)
        await ValueChange(dut.src_taken)


def _read_log(dut, ports: Ports, log: str) -> np.ndarray:
    """Records that a log holds now, the oldest first, as limbs uint64 (n, k)."""
    count, limbs = int(getattr(dut, f"{log}_count").value), record_width(ports, log) // 64
    if not count:
        return np.zeros((0, limbs), np.uint64)
    data = getattr(dut, f"log_{log}").data.value.to_unsigned()
    records = np.frombuffer(data.to_bytes(8 * limbs * LOGS[log], "little"), "<u8")
    return records.reshape(-1, limbs)[:count]


def _fields(records: np.ndarray, ports: Ports, log: str) -> list:
    """What each port of a record held: elements int64 (n, E)."""
    fields, at = [], 0
    for name in RECORDS[log]:
        if name in ports.widths:
            fields.append(ports.unpack(name, records, at=at))
            at += ports.widths[name]
    return fields


async def _reset(dut) -> None:
    dut.rst.value = 1
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.src_go.value = int(dut.src_taken.value)
    await RisingEdge(dut.clk)
    dut.rst.value = 0


class _Pass:
    """One pass: state of the bench between two wake-ups."""

    def __init__(self, dut, run: _Run, name: str):
        self.dut, self.run, self.name = dut, run, name
        self.checker = Checker.of_core(run.stimulus, run.manifest)
        self.starts = []
        self.records = dict.fromkeys(LOGS, 0)
        self.wakes = 0
        self.told = time.monotonic()

    def _take(self) -> None:
        """Read all logs into the checker."""
        ports = self.run.ports
        logs = {log: _read_log(self.dut, ports, log) for log in LOGS}
        for log, records in logs.items():
            self.records[log] += len(records)
        self.starts.append(logs["step"][:, 0].astype(np.int64))

        for signal in "ch":
            if len(logs[signal]):
                data, index = _fields(logs[signal], ports, signal)
                self.checker.trace(signal, index[:, 0], data)
        if len(logs["out"]):
            data, last, *keep = _fields(logs["out"], ports, "out")
            self.checker.output(data, last[:, 0] != 0, *(bits != 0 for bits in keep))

    async def drain(self, limit: int) -> dict | None:
        """Compare until everything has come and the core is silent; the first difference."""
        dut = self.dut
        while True:
            await ValueChange(dut.drain)
            self.wakes += 1
            if int(dut.drain_number.value) != self.wakes:
                raise RuntimeError("The bench missed a wake-up of its harness: results are void")
            self._take()
            if time.monotonic() - self.told > 0.5:
                self.told = time.monotonic()
                self.run.progress(run=self.name, words=self.checker.words,
                                  of=self.run.stimulus.words)
            if (difference := self.checker.first()) is not None:
                return difference
            if int(dut.quiet.value):
                return self.checker.finish(limit) or self._status()

    def _status(self) -> dict | None:
        """What the counters say once all values were equal."""
        dut = self.dut
        totals = {log: int(getattr(dut, f"{log}_total").value) for log in LOGS}
        if totals != self.records:
            raise RuntimeError(f"The bench read {self.records} records of {totals}")
        return counters_difference(
            self.run.stimulus, steps=self.records["step"], accepted=int(dut.in_total.value),
            errors=int(dut.status_errors.value), violations=int(dut.violations.value),
            saturations=int(dut.status_saturations.value), idle=int(dut.idle.value),
            faults=(int(dut.status_faults.value) if "status_faults" in self.run.ports.widths
                    else 0))

    def result(self, difference: dict | None, seconds: float) -> dict:
        """What goes into the result file."""
        dut = self.dut
        starts = np.concatenate(self.starts) if self.starts else np.zeros(0, np.int64)
        usual, least, most = _step_cycles(self.run.stimulus, starts)
        return {
            "run": self.name, "difference": difference, "words": self.checker.words,
            "mismatches": max(self.checker.mismatches, int(difference is not None)),
            "cycles": int(dut.last_out.value) - int(dut.first_in.value) + 1,
            "step_cycles": usual, "step_cycles_min": least, "step_cycles_max": most,
            "simulated_cycles": int(dut.cycle.value), "seconds": seconds,
        }


async def _pass(dut, name: str, *, paused: bool) -> None:
    run = _Run()
    stimulus, step = run.stimulus, run.cycles_per_step
    traffic = sum(len(s.inputs) + len(s.outputs) for s in stimulus.sequences)
    rng = random.Random(run.seed)
    # Long pauses outlast a step, so that the core waits at step boundaries as well: about one for
    # every four steps, however many words a step has.
    long_mask = (1 << min(max(2 * step, 16).bit_length(), 16)) - 1 if paused else 0
    long_density = min(16384 * stimulus.steps // traffic, 16384) if paused else 0
    dut.src_density.value = dut.snk_density.value = DENSITY if paused else 0
    dut.long_density.value = max(long_density, int(paused))
    dut.long_mask.value = long_mask
    dut.seed.value = rng.getrandbits(32)
    limit = 4 * step + 2 * long_mask + 1000
    dut.quiet_limit.value = limit
    dut.src_go.value = 0
    Clock(dut.clk, PERIOD, unit="ns", impl="gpi").start()
    await _reset(dut)
    if paused:
        feeder = cocotb.start_soon(_feed(dut, run.chunks))
        await dut.clk.rising_edge
        await Timer(rng.randrange(1, 2 * step + 2 * CHUNK) * PERIOD, "ns")
        await RisingEdge(dut.clk)
        feeder.cancel()
        await _reset(dut)

    worst = stimulus.predicted_cycles or stimulus.steps * step
    worst = 4 * (worst + 4 * traffic + traffic * (long_density + 1) // 65536 * long_mask) + 100000
    state = _Pass(dut, run, name)
    started = time.monotonic()
    feeder = cocotb.start_soon(_feed(dut, run.chunks))
    try:
        difference = await with_timeout(state.drain(limit), worst * PERIOD, "ns")
    except SimTimeoutError:
        difference = state.checker.finish(0) or {}
        difference = {"kind": "timeout", "signal": "output", "message": (
            f"not finished after {worst} cycles, far above the prediction; "
            f"{difference.get('message', 'all values came, but the core does not rest')}")}
    feeder.cancel()
    result = state.result(difference, time.monotonic() - started)
    if difference is None and not 0 < state.checker.words == stimulus.words:
        raise RuntimeError(f"Compared {state.checker.words} words, not {stimulus.words}")
    (run.folder / f"{name}.json").write_text(json.dumps(result))
    run.progress(run=name, words=state.checker.words, of=stimulus.words)
    assert difference is None, difference["message"]


@cocotb.test()
async def unpaused(dut):
    """No pause on either side: every value, and the exact number of cycles."""
    await _pass(dut, "unpaused", paused=False)


@cocotb.test()
async def paused(dut):
    """Reset in the middle of a sequence, then random pauses on both sides: every value."""
    if json.loads((Path(os.environ[RUN]) / "unpaused.json").read_text())["difference"]:
        raise AssertionError("not run, since the pass without pauses already failed")
    await _pass(dut, "paused", paused=True)
