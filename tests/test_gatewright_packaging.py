"""The wheel carries all that a user needs, and the lock names what pyproject.toml asks for."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from gatewright import examples
from gatewright.cli import app
from gatewright.errors import GatewrightError

ROOT = Path(__file__).resolve().parent.parent
FILES = ("model.onnx", "calib_inputs.npy", "inputs.npy", "labels.npy", "float_outputs.npy",
         "card.json")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built without network and unpacked."""
    pytest.importorskip("hatchling", reason="the build back end is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
                          cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("gatewright-*.whl")
    zipfile.ZipFile(file).extractall(folder / "site")
    return folder / "site"


def test_wheel_contents(wheel):
    tops = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert tops == {"gatewright", "golden", "hw", "sim", "synth"}
    for package in tops:
        ours = {path.name for path in (ROOT / package).glob("*.py")}
        assert ours and ours == {path.name for path in (wheel / package).glob("*.py")}
    (info,) = wheel.glob("*.dist-info")
    assert (info / "licenses" / "LICENSE").is_file()
    assert "gatewright = gatewright.cli:main" in (info / "entry_points.txt").read_text()


def test_wheel_examples(wheel, tmp_path):
    """From elsewhere, with the clone out of sight, the examples are found in the wheel."""
    code = ("import sys; sys.path.insert(0, sys.argv[1]); from gatewright.examples import *; "
            "print(*map(example_dir, EXAMPLES), sep='\\n')")
    done = subprocess.run([sys.executable, "-P", "-c", code, wheel], cwd=tmp_path, check=True,
                          capture_output=True, text=True)
    folders = [Path(line) for line in done.stdout.splitlines()]
    assert [folder.name for folder in folders] == list(examples.EXAMPLES)
    for folder in folders:
        assert folder.parent == wheel.resolve() / "gatewright" / "example_files"
        for file in FILES:
            assert (folder / file).read_bytes() == (ROOT / "examples" / folder.name
                                                    / file).read_bytes()


@pytest.mark.parametrize("name", examples.EXAMPLES)
def test_example_in_clone(name):
    assert examples.example_dir(name) == ROOT / "examples" / name
    assert all((ROOT / "examples" / name / file).is_file() for file in FILES)


def test_example_wrong(tmp_path, monkeypatch):
    with pytest.raises(GatewrightError, match=r"^example '\.\./digits': there is none of that "
                                              r"name; choose digits_lstm, digits_gru, digits_rnn$"):
        examples.example_dir("../digits")
    monkeypatch.setattr(examples, "_PLACES", (tmp_path,))
    with pytest.raises(GatewrightError, match="'digits_gru': its files are not in .*install"):
        examples.example_dir("digits_gru")


def test_lock():
    """All that is asked for has an exact version and hashes; no server is named."""
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock and "index" not in lock
    entries = re.split(r"\n(?=\S)", lock.partition("\n")[2].strip())
    pinned = {}
    for entry in entries:
        name, version = re.match(r"([a-z0-9-]+)==(\S+)", entry).groups()
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), name
        pinned[name] = version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *extras["sim"], *extras["synth"],
              *extras["ort"], *project["build-system"]["requires"],
              *project["dependency-groups"]["dev"], *project["dependency-groups"]["build"]]
    for requirement in wanted:
        name = re.match(r"[A-Za-z0-9-]+", requirement)[0].lower()
        assert name in pinned, f"requirements.lock lacks {name}: run `make lock`"
        for least in re.findall(r"[>~]=([0-9.]+)", requirement):
            assert _numbers(pinned[name]) >= _numbers(least), requirement


def _numbers(version):
    return tuple(int(part) for part in re.match(r"\d+(?:\.\d+)*", version)[0].split("."))


def test_makefile_targets():
    """The two commands of the README are there, and CI runs the second one."""
    for target in ("demo", "test", "test-long", "lint", "clean"):
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True,
                              check=False)
        assert done.returncode == 0, done.stderr
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("exec make test")
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_readme():
    """The README's commands, files and tests exist, and no command is left out."""
    text = (ROOT / "README.md").read_text()
    commands = [one.name or one.callback.__name__ for one in app.registered_commands]
    assert {"run", "verify", "doctor"} <= set(commands)
    assert set(re.findall(r"^\| `gatewright ([a-z]+)", text, re.MULTILINE)) == set(commands)
    named = set(re.findall(r"[`(]((?:[a-z]+/)(?:\w+\.(?:py|md))?)[`)]", text)) - {"build/"}
    assert len(named) > 10
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
    targets = set(re.findall(r"make ([a-z-]+)[`\n]", text))
    assert {"demo", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


def test_makefile_python_wrong(tmp_path):
    """Too old a Python, or none, is told in one line, before anything is made."""
    old = tmp_path / "python-old"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    for python, message in ((str(old), f"{old} is Python 3.9.2, 3.11 or newer is needed"),
                            ("no-such-python", "no-such-python is missing: install Python 3.11")):
        done = subprocess.run(["make", "lint", f"PYTHON={python}", f"VENV={tmp_path}/venv"],
                              cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert message in done.stderr.splitlines()[0]
        assert not (tmp_path / "venv").exists()
