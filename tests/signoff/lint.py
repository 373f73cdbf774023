"""What is wrong with a Verilog text before anybody runs it."""

import os
import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

from sim.build import Simulator

from .power_up import modules

__all__ = ["WAIVERS", "Waivers", "signed_indices", "warnings"]

WAIVERS = Path(__file__).with_name("waivers.toml")
_NAME = r"(?:\\\S+ |[A-Za-z_$][\w$]*)"
_INDEX = re.compile(rf"({_NAME})\s*\[(?!\d+(?::\d+)?\])")   # not of a number or two
_SIGNED = re.compile(rf"^ *(?:(?:input|output|wire|reg) +)+signed *(?:\[\d+:\d+\])? *({_NAME})",
                     re.M)
_LINE = re.compile(r"^%(Error|Warning)(?:-([A-Z]+))?: (?:([^:\s]+):\d+:\d+: )?(.*)$", re.M)


def _inside(text: str, at: int) -> str:
    """What stands between the bracket at ``at`` and its partner."""
    depth = 0
    for place in range(at, len(text)):
        depth += {"[": 1, "]": -1}.get(text[place], 0)
        if not depth:
            return text[at + 1:place]
    raise ValueError(f"A bracket is not closed: {text[at:at + 40]!r}")


def signed_indices(text: str) -> list:
    """Places indexed by a signed expression: with unknown bits, a negative one reads unknown.

    Simulators of two values wrap it instead and agree with the hardware, so only some users would
    see a difference.

    Parameters
    ----------
    text : str
        Verilog as Yosys writes it.

    Returns
    -------
    list of str
    """
    found = []
    for module in modules(text):
        signed = {name.strip() for name in _SIGNED.findall(module)}
        for use in _INDEX.finditer(module):
            index = _inside(module, use.end() - 1)
            names = {name.strip() for name in re.findall(_NAME, index)}
            if names & (signed | {"$signed"}):
                found.append(f"{use[1].strip()}[{index}]")
    return found


class Waivers:
    """Warnings that are let through: what they say, why, and the most that a core may have.

    Parameters
    ----------
    path : Path
        Of a TOML file, a table a waiver: kind, says (regular expression, of the whole message),
        reason, most.
    """

    def __init__(self, path: Path = WAIVERS):
        self.entries = tomllib.loads(path.read_text(encoding="utf-8"))["waiver"]

    def count(self, found: list) -> tuple:
        """Warnings by waiver, and what is wrong in words or None.

        Parameters
        ----------
        found : list of (kind, message)

        Returns
        -------
        counts : dict of str to int
            Number of the waiver, from 0.
        failure : str or None
        """
        counts = Counter()
        for kind, message in found:
            number = next((number for number, entry in enumerate(self.entries)
                           if entry["kind"] == kind and re.fullmatch(entry["says"], message)), None)
            if number is None:
                return {}, f"a warning without a waiver: {kind}: {message}"
            counts[number] += 1
        for number, entry in enumerate(self.entries):
            if counts[number] > entry["most"]:
                return {}, (f"{counts[number]} warnings {entry['kind']} ({entry['reason']}), at "
                            f"most {entry['most']} are waived")
        return {str(number): counts[number] for number in sorted(counts)}, None


def warnings(text: str, models: str, name: str, folder: Path, simulator: Simulator) -> list:
    """All that Verilator has to say about a core, not about the models of vendor blocks.

    Parameters
    ----------
    text : str
    models : str
        Modules that the core instantiates; may be empty.
    name : str
        The core's module.
    folder : Path
        Existing.
    simulator : Simulator

    Returns
    -------
    list of (kind, message)

    Raises
    ------
    RuntimeError
        The Verilog was refused.
    """
    (folder / f"{name}.v").write_text(text)
    (folder / "models.v").write_text(models)
    done = subprocess.run(
        [str(simulator.folder / "verilator"), "--lint-only", "-Wall", "-Wno-fatal", "--top-module",
         name, f"{name}.v", *(["models.v"] if models else [])], cwd=folder,
        env=os.environ | simulator.environment(), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False, errors="replace")
    said = _LINE.findall(done.stderr)
    errors = [message for what, _, _, message in said if what == "Error"]
    if done.returncode or errors:
        raise RuntimeError(f"Verilator refuses the core: {(errors or [done.stderr[:300]])[0]}")
    return [(kind, message) for _, kind, file, message in said if file == f"{name}.v"]
