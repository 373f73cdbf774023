"""Icarus Verilog, a simulator with unknown bits: a bench in Verilog, read by the usual comparison.
"""

import random
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim.build import ToolMissing
from sim.compare import Checker
from sim.counters import counters_difference
from sim.ports import read_ports
from sim.stimulus import Stimulus

from .unknown import PAYLOADS, payload_of

__all__ = ["Seen", "compare", "find_icarus", "play", "version"]

REMEDY = ("Icarus Verilog is missing, the simulator with unknown bits: install iverilog with the "
          "system's package manager")
PATTERN = 1 << 14   # cycles until the pauses repeat
_BENCH = """`timescale 1ns/1ns
// Everything that need not be known is unknown: inputs before the reset and in its one cycle, and
// later what stands on the input stream while nothing is offered there.
module bench;
  reg clk = 0, rst = 0;
  {inputs}
  {outputs}
  {name} dut ({connections});

  reg [{last}:0] words [0:{count}-1];
  reg [1:0] go [0:{pattern}-1];
  integer log, cycle, still, accepted, first_in, last_out, started;
  reg offered, unknown, event_, moved;
  reg [{offer_width}-1:0] before;

  task tick;
    begin #1 clk = 1; #5 clk = 0; end
  endtask

  task forget;
    begin
      s_axis_tvalid = 1'bx; s_axis_tdata = {{{last}{{1'bx}}}}; s_axis_tlast = 1'bx;
      m_axis_tready = 1'bx;
    end
  endtask

  task run(input integer limit, input integer paused, input integer report);
    begin
      forget; rst = 1; #4 tick; rst = 0;
      cycle = 0; still = 0; accepted = 0; first_in = 0; last_out = 0; started = 0;
      offered = 0; s_axis_tvalid = 0;
      while (cycle < limit && still < {quiet}) begin
        s_axis_tvalid = accepted < {count}
          && (!paused || go[cycle % {pattern}][0] || (s_axis_tvalid && !moved));
        {{s_axis_tlast, s_axis_tdata}} = s_axis_tvalid ? words[accepted] : {{({last}+1){{1'bx}}}};
        m_axis_tready = !paused || go[cycle % {pattern}][1];
        #4 unknown = 0; event_ = 0;
        {checks}
        if (unknown) $finish;
        moved = s_axis_tvalid && s_axis_tready;
        if (moved) begin
          if (accepted == 0) first_in = cycle;
          accepted = accepted + 1; event_ = 1;
        end
        if (offered && !m_axis_tvalid) $fdisplay(log, "v withdrawn");
        if (offered && m_axis_tvalid && {offer} !== before) $fdisplay(log, "v changed");
        before = {offer};
        offered = m_axis_tvalid && !m_axis_tready;
        if (m_axis_tvalid && m_axis_tready) begin
          if (report) $fdisplay(log, "o %h %h %h", m_axis_tdata, m_axis_tlast, {keep});
          last_out = cycle; event_ = 1;
        end
        if (trace_h_valid) begin
          if (report) $fdisplay(log, "h %h %h", trace_h_data, trace_h_index);
          event_ = 1;
        end
        if (trace_c_valid) begin
          if (report) $fdisplay(log, "c %h %h", trace_c_data, trace_c_index);
          event_ = 1;
        end
        if (trace_step) begin started = started + 1; event_ = 1; end
        still = event_ ? 0 : still + 1;
        cycle = cycle + 1;
        tick;
      end
      if (report)
        $fdisplay(log, "end %0d %0d %0d %0d %0d %0d %0d %0d", cycle, accepted, started, first_in,
                  last_out, status_errors, status_saturations, idle);
      else
        $fdisplay(log, "cut %0d", cycle);
    end
  endtask

  initial begin
    $readmemh("words.hex", words);
    $readmemh("pauses.hex", go);
    log = $fopen("events.txt", "w");
    forget; moved = 0;
    repeat (3) begin #4 tick; end
    run({limit}, 0, 1);
    run({cut}, 1, 0);
    run({limit}, 1, 1);
    $finish;
  end
endmodule
"""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the runs showed.

    Parameters
    ----------
    difference : str or None
        The first one, in words: an unknown bit, or what differs from golden.
    words : int
        Values compared, over all runs.
    cycles : int
        Simulated behind a reset, so with all outputs looked at.
    resets : int
        One of them in mid-sequence.
    """

    difference: str | None
    words: int
    cycles: int
    resets: int


def find_icarus() -> dict:
    """Paths of the compiler and of the run time; ToolMissing names the remedy."""
    found = {name: shutil.which(name) for name in ("iverilog", "vvp")}
    if None in found.values():
        raise ToolMissing(REMEDY)
    return found


def version(program: str) -> str:
    """As "11.0"."""
    done = subprocess.run([program, "-V"], capture_output=True, text=True, check=False)
    return re.search(r"version (\S+)", done.stdout)[1]


def _pauses(rng: random.Random, longest: int) -> list:
    """Stretches in which a stream may move often, seldom or not at all, for each stream."""
    def stream():
        bits = []
        while len(bits) < PATTERN:
            chance = rng.choice((0.9, 0.5, 0.1, 0.0))
            length = rng.randint(1, longest if chance == 0.0 else 40)
            bits += [rng.random() < chance for _ in range(length)]
        return bits[:PATTERN]
    return [source + 2 * sink for source, sink in zip(stream(), stream(), strict=True)]


def _bench(manifest: dict, ports, count: int, step: int, cut: int, limit: int, quiet: int) -> str:
    widths = ports.widths
    outputs = [name for name, direction in ports.directions.items() if direction == "out"]
    inputs = [name for name in widths if name not in outputs]
    checks = []
    for name in outputs:
        valid = payload_of(name)
        when = f"{valid} === 1'b1 && " if valid else ""
        checks.append(f'if ({when}(^{name}) === 1\'bx) begin unknown = 1; '
                      f'$fdisplay(log, "x {name} %0d %b", cycle, {name}); end')
    offer = [name for name in PAYLOADS["m_axis_tvalid"] if name in widths]
    return _BENCH.format(
        name=manifest["name"], last=widths["s_axis_tdata"], count=count, pattern=PATTERN,
        inputs="\n  ".join(f"reg [{widths[n] - 1}:0] {n};" for n in inputs
                           if n not in ("clk", "rst")),
        outputs="\n  ".join(f"wire [{widths[n] - 1}:0] {n};" for n in outputs),
        connections=", ".join(f".{name}({name})" for name in widths),
        offer="{" + ", ".join(offer) + "}", offer_width=sum(widths[n] for n in offer),
        keep="m_axis_tkeep" if "m_axis_tkeep" in widths else "1'b1",
        checks="\n        ".join(checks), quiet=quiet, limit=limit, cut=cut)


def play(text: str, manifest: dict, stimulus: Stimulus, folder: Path, *, seed: int) -> Seen:
    """Run all sequences without pauses; behind a reset in mid-sequence again, with pauses.

    Parameters
    ----------
    text : str
        Verilog of the core with all that it instantiates.
    manifest : dict
    stimulus : Stimulus
        With a prediction of its cycles.
    folder : Path
        Existing.
    seed : int
        Of the pauses and of the reset's cycle.

    Raises
    ------
    ToolMissing, RuntimeError
        Icarus is not there, or refuses the Verilog.
    """
    tools, ports = find_icarus(), read_ports(manifest)
    rng = random.Random(seed)
    step = max(int(manifest["cycles_per_step"]), 1)
    words, last = stimulus.flat("inputs")
    width = ports.widths["s_axis_tdata"]
    longest = 2 * step
    quiet = 4 * step + 1000 + 2 * longest
    limit = 60 * stimulus.predicted_cycles + quiet
    cut = rng.randrange(stimulus.predicted_cycles // 4, stimulus.predicted_cycles // 2)
    (folder / "words.hex").write_text("".join(
        f"{int.from_bytes(word.tobytes(), 'little') | int(end) << width:x}\n"
        for word, end in zip(ports.pack_inputs(words), last, strict=True)))
    (folder / "pauses.hex").write_text("".join(f"{p:x}\n" for p in _pauses(rng, longest)))
    (folder / "core.v").write_text(text)
    (folder / "bench.v").write_text(
        _bench(manifest, ports, len(words), step, cut, limit, quiet))
    # From 2012 on, an `always @*` that nothing ever touches has no beginning in Icarus.
    for command in ([tools["iverilog"], "-g2005", "-o", "bench.vvp", "bench.v", "core.v"],
                    [tools["vvp"], "-n", "bench.vvp"]):
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False, errors="replace")
        if done.returncode:
            raise RuntimeError(f"Icarus: {(done.stderr + done.stdout).strip()[:500]}")
    return compare((folder / "events.txt").read_text(), manifest, stimulus)


def _limbs(column: list, width: int) -> np.ndarray:
    """Hexadecimal words as limbs uint64 (n, k)."""
    k = -(-width // 64)
    joined = b"".join(int(word, 16).to_bytes(8 * k, "little") for word in column)
    return np.frombuffer(joined, np.uint64).reshape(-1, k)


def _feed(checker: Checker, ports, events: list) -> None:
    def column(kind, at, port):
        return ports.unpack(port, _limbs([e[at] for e in events if e[0] == kind],
                                         ports.widths[port]))
    for signal in "hc":
        index = column(signal, 2, f"trace_{signal}_index")
        if len(index):
            checker.trace(signal, index[:, 0], column(signal, 1, f"trace_{signal}_data"))
    data = column("o", 1, "m_axis_tdata")
    if len(data):
        keep = column("o", 3, "m_axis_tkeep") != 0 if "m_axis_tkeep" in ports.widths else None
        checker.output(data, column("o", 2, "m_axis_tlast")[:, 0] != 0, keep)


def compare(log: str, manifest: dict, stimulus: Stimulus) -> Seen:
    """What the bench's log shows."""
    seen = {"difference": None, "words": 0, "cycles": 0, "resets": 0}
    events, runs = [], 0
    for line in log.splitlines():
        kind, *rest = event = line.split()
        if kind == "x":
            seen["difference"] = (f"{rest[0]} is {rest[2]} in cycle {rest[1]} after reset "
                                  f"{seen['resets'] + 1}")
        elif kind == "v":
            seen["difference"] = f"output stream: a word was {rest[0]} before it was accepted"
        elif kind in ("cut", "end"):
            seen["resets"] += 1
            seen["cycles"] += int(rest[0])
        else:
            events.append(event)
        if kind == "end":
            words, seen["difference"] = _result(events, list(map(int, rest)), manifest, stimulus,
                                                unpaused=not runs)
            seen["words"] += words
            events, runs = [], runs + 1
        if seen["difference"]:
            return Seen(**seen)
    if (runs, seen["words"]) != (2, 2 * stimulus.words):
        seen["difference"] = f"only {runs} runs and {seen['words']} values"
    return Seen(**seen)


def _result(events: list, counters: list, manifest: dict, stimulus: Stimulus, *,
            unpaused: bool) -> tuple:
    """Values compared of a whole run, and the first difference in words or None."""
    simulated, accepted, steps, first_in, last_out, errors, saturations, idle = counters
    checker = Checker.of_core(stimulus, manifest)
    _feed(checker, read_ports(manifest), events)
    difference = checker.first() or checker.finish(simulated) or counters_difference(
        stimulus, steps=steps, accepted=accepted, errors=errors, saturations=saturations,
        idle=idle, violations=0)
    if difference:
        return checker.words, difference["message"]
    cycles, predicted = last_out - first_in + 1, stimulus.predicted_cycles
    if unpaused and cycles != predicted:
        return checker.words, f"cycles: measured {cycles}, predicted {predicted}"
    return checker.words, None
