"""Single-bit upsets in a running core, and what becomes of them.

A core is built so that each of its flip-flops and memory words can be reached by name (``state_of``
reads the names from the Verilog). A bit is flipped behind a clock edge; once all logic has settled
it must still be flipped.
"""

import ctypes
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim.fast import FastSimulator, Pauses
from sim.fast_run import Run
from sim.models import with_models

__all__ = ["OUTCOMES", "Bits", "Upsets", "kind_of", "state_of"]

DRIVER = Path(__file__).with_name("upset_driver.cpp")
OUTCOMES = ("masked", "silent", "told", "detected", "hung")
SLACK = 64      # cycles of silence beyond those in which a fault has to show
MOST = 0.6      # of a run: upsets come that early

_MODULE = re.compile(r"^module (\\\S+|\w+)(.*?)^endmodule", re.M | re.S)
_CLOCKED = re.compile(r"always @\(posedge \w+\)(.*?)(?=\n\s*(?:always|assign|wire|reg|initial)\b"
                      r"|\n\s*\\\S+\s+\w+ \(|\Z)", re.S)
_LEFT = re.compile(r"(\\\S+ |\b[A-Za-z_]\w*)\s*(?:\[[^\]]*\]\s*)*<=")
_ARRAY = re.compile(r"^\s*reg (?:signed )?(?:\[[^\]]+\] )?(\\\S+ |\w+) ?\[[^\]]+\];", re.M)


def state_of(text: str) -> tuple:
    """(module, name) of everything in a Verilog text that a clock edge writes, and of memories."""
    found = {}
    for module, body in _MODULE.findall(text):
        names = [name for block in _CLOCKED.findall(body) for name in _LEFT.findall(block)]
        for name in (*names, *_ARRAY.findall(body)):
            found[module.lstrip("\\"), name.strip().lstrip("\\")] = None
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Bits:
    """A register, or a memory.

    Parameters
    ----------
    index : int
        Of the driver.
    scope, name : str
    width, depth : int
    """

    index: int
    scope: str
    name: str
    width: int
    depth: int


def kind_of(bits: Bits) -> str:
    """The class of a register or memory: by the module that it is in."""
    parts = bits.scope.split(".")[1:]
    inner = ".".join(parts)
    if not parts:
        counts = bits.name.startswith(("status_", "clipped", "\\$signal"))
        return "status counters" if counts else "pipelines between modules"
    if parts[0] in ("guard", "counters") or parts[0].startswith("twin_") or any(
            part in ("parity", "counters", "bits") for part in parts):
        return "protection"
    if bits.depth > 1:
        if parts[0] == "weights":
            return "weight memory"
        if parts[0] == "output":
            return "output buffer memory"
        if "rows" in parts or "lines" in parts:
            return "memories of biases and lines"
        return "memories of vectors and states"
    named = {"loader": "loader", "sequencer": "sequencer", "drain": "drain", "dump": "dump",
             "output": "output", "array": "array", "weights": "weight reading"}
    if parts[0].startswith("post"):
        return "element-wise pipelines"
    return named.get(parts[0], f"reading of {inner.split('.')[0]}")


class Upsets(FastSimulator):
    """A core whose bits can be flipped.

    Parameters
    ----------
    case : gatewright.campaign_check.Case
    folder : Path
    order : sequence of int
        The sequences of the case that a run consists of.
    """

    def __init__(self, case, folder: Path, order, **options):
        folder.mkdir(parents=True, exist_ok=True)
        rtl = folder / f"{case.core.name}.v"
        rtl.write_text(case.core.verilog)
        text = with_models(rtl, case.core.manifest, folder).read_text()
        super().__init__(rtl, case.core.manifest, folder, inside=DRIVER, public=state_of(text),
                         **{"optimise": False} | options)
        library, word = self._library, ctypes.c_uint64
        library.gw_names.restype, library.gw_names.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
        library.gw_flip.restype = word
        library.gw_flip.argtypes = [ctypes.c_void_p, word, word, word]
        self.limit = case.core.manifest["cycles"].get("watchdog") or case.core.manifest[
            "cycles_per_step"] * 4 + 1000
        self.stimulus = case.stimulus(order)
        self.renew()
        clean = self.run(self.stimulus, seed=1)
        if not clean.passed:
            raise ValueError(f"A core without faults must be exact: {clean.difference}")
        self._templates = {}
        for paused in (False, True):
            pauses = Pauses(long=False) if paused else None
            run, keep = self._prepare(self.stimulus, 1, pauses, None)
            run.quiet_limit = self.limit + SLACK
            self._templates[paused] = run, keep
            done, words = self._start(paused), []
            self._go(done, words, run.max_cycles)
            self._templates[paused] += (self._joined(words), done.first_in, done.last_out)

    def renew(self) -> None:
        """The core as it comes out of its bitstream; ``state`` is read again."""
        self._library.gw_free(self._sim)
        self._sim = self._library.gw_new(0)
        lines = self._library.gw_names(self._sim).decode().splitlines()
        rows = [line.split("\t") for line in lines]
        # Ports of the top are copies.
        self.state = [Bits(index=k, scope=scope, name=name.strip(), width=int(width),
                           depth=int(depth))
                      for k, (scope, name, width, depth) in enumerate(rows) if scope != "TOP"]

    def flip(self, bits: Bits, element: int, bit: int) -> bool:
        """Flip a bit; whether it stays so."""
        return bool(self._library.gw_flip(self._sim, bits.index, element, bit))

    def cycles(self, paused: bool) -> tuple:
        """First and last cycle of a run without a fault, from the first word in to the last out."""
        return self._templates[paused][3:]

    def _start(self, paused: bool) -> Run:
        self._library.gw_reset(self._sim)
        return Run.from_buffer_copy(self._templates[paused][0])

    def _go(self, run: Run, words: list, until: int) -> None:
        """Run on to a cycle, or until nothing happens any more; output words go to ``words``."""
        run.max_cycles = until
        while run.cycle < until and run.still < run.quiet_limit:
            self._library.gw_run(self._sim, run)
            words.append([self._logs[name][:run.out_count].copy()
                          for name in ("out_data", "out_keep", "out_last")])

    @staticmethod
    def _joined(words: list) -> np.ndarray:
        return np.hstack([np.concatenate(parts) for parts in zip(*words, strict=True)])

    def inject(self, bits: Bits, element: int, bit: int, cycle: int, *, paused: bool = False):
        """A run with a bit flipped behind ``cycle``.

        Returns
        -------
        dict or None
            None if the bit did not stay flipped: it is no state of its own. outcome: of
            ``OUTCOMES``; late: a wrong word had left before the fault was flagged; faults: the
            bits of ``status_faults``; first_fault : cycle behind the one that flagged it.
        """
        template, _, expected, *_ = self._templates[paused]
        run, words = self._start(paused), []
        self._go(run, words, cycle)
        if not self.flip(bits, element, bit):
            return None
        self._go(run, words, template.max_cycles)
        came = self._joined(words)
        n = min(len(came), len(expected))
        prefix = bool((came[:n] == expected[:n]).all()) and len(came) <= len(expected)
        equal = prefix and len(came) == len(expected) and not run.violations
        rests = run.accepted == run.in_count and run.idle and run.still >= run.quiet_limit
        if run.status_faults:
            outcome = "detected"
        elif run.status_errors and not equal:
            outcome = "told"
        elif equal and rests:
            outcome = "masked"
        # A word or an end of a sequence that does not come is waited for.
        elif not rests or len(came) < len(expected) or came[:, -1].sum() < expected[:, -1].sum():
            outcome = "hung"
        else:
            outcome = "silent"
        return {"outcome": outcome, "late": not prefix, "faults": run.status_faults,
                "first_fault": run.first_fault}

    def until_told(self, bits: Bits, element: int, bit: int, cycle: int, until: int) -> tuple:
        """(cycle behind the one that flagged a flip behind ``cycle``, or 0; whether what had left
        was right) of a run up to a cycle.
        """
        run, words = self._start(False), []
        self._go(run, words, cycle)
        self.flip(bits, element, bit)
        self._go(run, words, until)
        came, expected = self._joined(words), self._templates[False][2]
        return run.first_fault, bool((came == expected[:len(came)]).all())

    def recovers(self) -> bool:
        """Whether a reset, and the run once more, give what a core without a fault gives."""
        run, words = self._start(False), []
        self._go(run, words, self._templates[False][0].max_cycles)
        return (np.array_equal(self._joined(words), self._templates[False][2])
                and not run.status_faults and not run.status_errors and bool(run.idle))

    def campaign(self, rng: np.random.Generator, count: int, chosen) -> Counter:
        """Upsets of random bits of some registers and memories, each bit as likely as another.

        Parameters
        ----------
        rng : np.random.Generator
        count : int
        chosen : callable of Bits
            Whether bits are drawn of it.

        Returns
        -------
        Counter of (kind, outcome) and (kind, "late"), and of ("", "reset"), ("", "renewed"),
        ("", "lost"): what was not masked, and is exact again behind a reset; only with the
        bitstream's contents, being in a memory; or not.
        """
        pool = [bits for bits in self.state if chosen(bits)]
        sizes = np.array([bits.width * bits.depth for bits in pool], np.float64)
        seen, done = Counter(), 0
        while done < count:
            bits = pool[rng.choice(len(pool), p=sizes / sizes.sum())]
            element, bit = int(rng.integers(bits.depth)), int(rng.integers(bits.width))
            paused = bool(rng.integers(2))
            first, last = self.cycles(paused)
            # What an upset leaves behind has time to show.
            cycle = int(rng.integers(first, first + MOST * (last - first)))
            result = self.inject(bits, element, bit, cycle, paused=paused)
            if result is None:
                seen["", "not taken"] += 1
                continue
            done += 1
            kind, outcome = kind_of(bits), result["outcome"]
            seen[kind, outcome] += 1
            seen[kind, "late"] += result["late"] and outcome == "detected"
            if outcome != "masked":
                seen["", self._recovery(bits)] += 1
            if bits.depth > 1:
                self.renew()    # what no write reaches would stay flipped
        return seen

    def _recovery(self, bits: Bits) -> str:
        """What it takes until the core is exact again."""
        if self.recovers():
            return "reset"
        self.renew()
        return "renewed" if bits.depth > 1 and self.recovers() else "lost"
