"""The layers of the project: which package may import which, read from the sources themselves."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("golden", "hw", "sim", "synth", "gatewright", "bench")
CONTRACT = {"golden.cells", "golden.curves", "golden.fixed", "golden.functions", "golden.network",
            "golden.pool", "golden.tables"}
# What each package may take from the others; gatewright, on top, may take everything, and so may
# the benchmark beside it.
MAY_IMPORT = {
    "golden": set(), "hw": CONTRACT, "sim": CONTRACT | {"hw"}, "synth": CONTRACT | {"hw"},
    "gatewright": {"golden", "hw", "sim", "synth"},
    "bench": {"golden", "hw", "sim", "synth", "gatewright"},
}
# Below the front end, nothing but what the layer is made of.
OUTSIDE = {"golden": {"numpy"}, "hw": {"numpy", "amaranth"},
           "sim": {"numpy", "amaranth", "cocotb", "cocotb_tools"}, "synth": {"numpy", "amaranth"}}
MAX_LINES = 400


def sources(folder: str) -> list:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> set:
    """Absolute names of every module that a file imports, wherever in the file it does."""
    package = path.relative_to(ROOT).parent.parts
    names = set()
    for node in ast.walk(ast.parse(path.read_text(), path.name)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names.add(module)
            # ``from golden import model`` imports a module as well.
            names |= {f"{module}.{alias.name}" for alias in node.names
                      if (ROOT / module.replace(".", "/") / f"{alias.name}.py").exists()}
    return names


def forbidden(package: str, names: set) -> set:
    """Imports of a package's file that point the wrong way."""
    allowed = MAY_IMPORT[package]
    wrong = set()
    for name in names:
        top = name.split(".")[0]
        if top not in PACKAGES or top == package or top in allowed or name in allowed:
            continue
        # The bare package is fine where a module of it was named and is judged by itself.
        if name in PACKAGES and any(other.startswith(f"{name}.") for other in names):
            continue
        wrong.add(name)
    return wrong


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package):
    files = sources(package)
    assert len(files) >= 5
    wrong = {(str(path.relative_to(ROOT)), name) for path in files
             for name in forbidden(package, imports(path))}
    assert not wrong


@pytest.mark.parametrize("package", OUTSIDE)
def test_few_things_from_outside(package):
    tops = {(str(path.relative_to(ROOT)), name.split(".")[0]) for path in sources(package)
            for name in imports(path)}
    known = set(PACKAGES) | OUTSIDE[package] | set(sys.stdlib_module_names)
    assert not {(path, top) for path, top in tops if top not in known}


def test_rules_catch():
    """The judge itself: what would be wrong is called wrong."""
    assert forbidden("golden", {"hw.engine"}) == {"hw.engine"}
    assert forbidden("hw", {"golden.model", "golden.fixed"}) == {"golden.model"}
    assert forbidden("hw", {"golden"}) == {"golden"}
    assert forbidden("sim", {"synth.flow", "gatewright.data", "hw.emit"}) == {
        "synth.flow", "gatewright.data"}
    assert forbidden("synth", {"sim"}) == {"sim"}
    assert not forbidden("gatewright", {"sim", "synth.flow", "hw.emit", "golden.model"})
    assert imports(ROOT / "hw" / "activation.py") >= {"golden.tables", "hw.arith", "amaranth"}


@pytest.mark.parametrize("folder", [*PACKAGES, "tests", "examples"])
def test_files_are_short(folder):
    lengths = {path.name: len(path.read_text().splitlines()) for path in sources(folder)}
    assert lengths
    assert not {name: n for name, n in lengths.items() if n > MAX_LINES}


def test_no_place_of_ours_is_named():
    """A user's clone has neither the folder beside it nor our working directories."""
    names = ["../" + "shared", "shared" + "/models", "/work" + "/main", "/work" + "/shared"]
    suffixes = {".py", ".toml", ".md", ".cpp", ".v", ".sv", ".json", ".lock", ".yml", ""}
    folders = [ROOT, *(ROOT / f for f in (*PACKAGES, "tests", "examples", ".ci"))]
    files = [path for folder in folders if folder.is_dir()
             for path in (folder.iterdir() if folder == ROOT else folder.rglob("*"))
             if path.is_file() and path.suffix in suffixes and "__pycache__" not in path.parts
             and ".hypothesis" not in path.parts and path.name != ".git"]
    assert len(files) > 50
    found = {(str(path.relative_to(ROOT)), name) for path in files for name in names
             if name in path.read_text(errors="replace")}
    assert not found
