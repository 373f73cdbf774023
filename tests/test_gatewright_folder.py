"""Output folders: whole or absent, replaced in one step, and never at the user's cost."""

import json
import os
import threading
from pathlib import Path

import pytest
from commands import files

from gatewright import folder as module
from gatewright.errors import GatewrightError
from gatewright.folder import is_free, new_folder, project_folder, read_json, write_json, write_text


def ours(path: Path, text: str = "old") -> Path:
    """A folder as gatewright makes it."""
    path.mkdir(parents=True)
    (path / "network.npz").write_text(text)
    return path


def fill(path: Path, *, force: bool = False, text: str = "new") -> None:
    with new_folder(path, force=force) as scratch:
        (scratch / "network.npz").write_text(text)


def test_new_folder(tmp_path):
    out = tmp_path / "a" / "b c" / "é"
    mask = os.umask(0o027)
    try:
        with new_folder(out) as scratch:
            assert not out.exists() and scratch.parent == out.parent
            write_text(scratch / "rtl" / "network.npz", "x")
    finally:
        os.umask(mask)
    assert files(tmp_path) == {"a": None, "a/b c": None, "a/b c/é": None, "a/b c/é/rtl": None,
                               "a/b c/é/rtl/network.npz": b"x"}
    assert out.stat().st_mode & 0o777 == 0o750
    assert (out / "rtl" / "network.npz").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_failure_leaves_nothing(tmp_path, error):
    """Not even the folders above."""
    (tmp_path / "stays").mkdir()
    with pytest.raises(error), new_folder(tmp_path / "a" / "b" / "out") as scratch:
        (scratch / "network.npz").write_text("half")
        raise error
    assert files(tmp_path) == {"stays": None}


def test_failure_keeps_the_old_folder(tmp_path):
    ours(tmp_path / "out")
    before = files(tmp_path)
    with pytest.raises(ValueError), new_folder(tmp_path / "out", force=True) as scratch:
        (scratch / "network.npz").write_text("half")
        raise ValueError
    assert files(tmp_path) == before


def test_failure_spares_what_others_put_there(tmp_path):
    with pytest.raises(ValueError), new_folder(tmp_path / "a" / "out"):
        (tmp_path / "a" / "mine.txt").write_text("x")
        raise ValueError
    assert files(tmp_path) == {"a": None, "a/mine.txt": b"x"}


def test_empty_folder_is_taken(tmp_path):
    (tmp_path / "out").mkdir()
    assert is_free(tmp_path / "out") and is_free(tmp_path / "none")
    fill(tmp_path / "out")
    assert files(tmp_path / "out") == {"network.npz": b"new"}
    assert not is_free(tmp_path / "out")


@pytest.mark.parametrize("exchange", [True, False], ids=["one call", "two renames"])
def test_force(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(module, "_exchange", lambda a, b: False)
    out = ours(tmp_path / "out")
    (out / "verify.json").write_text("stale")
    fill(out, force=True)
    assert files(tmp_path) == {"out": None, "out/network.npz": b"new"}


def test_force_is_one_step(tmp_path):
    """Whoever looks while it is replaced, again and again, finds a whole folder each time."""
    out = ours(tmp_path / "out", "0")
    stop, seen = threading.Event(), []

    def watch():
        while not stop.is_set():
            try:
                seen.append((out / "network.npz").read_text())
            except FileNotFoundError:
                seen.append(None)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number in range(200):
            fill(out, force=True, text=str(number))
    finally:
        stop.set()
        watcher.join()
    assert len(set(seen)) > 2 and None not in seen and "" not in seen


def test_force_without_a_way_back(tmp_path, monkeypatch):
    """Where the second rename fails, the old folder has its name again."""
    monkeypatch.setattr(module, "_exchange", lambda a, b: False)
    out, replace, calls = ours(tmp_path / "out"), os.replace, []

    def fail_second(source, target):
        calls.append(source)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(module.os, "replace", fail_second)
    with pytest.raises(OSError, match="Input/output error"):
        fill(out, force=True)
    assert files(tmp_path) == {"out": None, "out/network.npz": b"old"}


def test_refused_before_any_work(tmp_path):
    ours(tmp_path / "ours")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "ours")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    before = files(tmp_path)
    for name, force, words in (
            ("ours", False, "exists already; give another --out, or --force"),
            ("mine", False, "exists already"),
            ("mine", True, "was not made by gatewright, and will not be replaced"),
            ("file", True, "is a file; name a folder"), ("link", True, "is a symbolic link"),
            ("broken", True, "is a symbolic link"),
            ("file/out", False, "file' is not a folder; give another"),
            ("x" * 300, False, r"cannot be made \(File name too long\)")):
        with pytest.raises(GatewrightError, match=words), \
                new_folder(tmp_path / name, force=force):
            pytest.fail("work was begun")
        assert files(tmp_path) == before


def test_unwritable_parent(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module.tempfile, "mkdtemp", refuse)
    with pytest.raises(GatewrightError, match=r"out': cannot be made \(Permission denied\);"), \
            new_folder(tmp_path / "a" / "out"):
        pytest.fail("work was begun")
    assert files(tmp_path) == {}


def test_long_name(tmp_path):
    """The scratch folder's name adds nothing that a file system would refuse."""
    for name in ("x" * 255, "é" * 127):
        fill(tmp_path / name)
        assert (tmp_path / name / "network.npz").is_file()


@pytest.mark.parametrize("check", [True, False], ids=["seen", "at the last moment"])
def test_two_at_once(tmp_path, monkeypatch, check):
    """The slower one is told, and the quicker one's folder stays."""
    out = tmp_path / "out"
    with pytest.raises(GatewrightError, match="exists already"), new_folder(out) as scratch:
        (scratch / "network.npz").write_text("second")
        fill(out, text="first")
        if not check:  # as if it had come between the look and the rename
            looks = iter([True])
            monkeypatch.setattr(module, "is_free", lambda path: next(looks, False))
            calls = iter([None])
            ask = module.check_target
            monkeypatch.setattr(module, "check_target", lambda path, force: (
                ask(path, force) if next(calls, "asked") else None))
    assert files(tmp_path) == {"out": None, "out/network.npz": b"first"}


def test_project_folder(tmp_path):
    assert project_folder(str(ours(tmp_path / "ours"))) == tmp_path / "ours"
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    for name, words in (("none", "is not a folder"), ("file", "is not a folder"),
                        ("empty", r"holds no quantised network \(network.npz\)"),
                        ("m.onnx", "is a model, .*'gatewright quantise .*m.onnx --calibration")):
        with pytest.raises(GatewrightError, match=words):
            project_folder(tmp_path / name)


def test_write_text_is_whole_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "a" / "file.json"
    write_text(path, "first é\n")
    assert path.read_bytes() == "first é\n".encode()
    monkeypatch.setattr(module, "_permit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "second")
    assert files(tmp_path) == {"a": None, "a/file.json": "first é\n".encode()}


def test_json(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"b": 1, "a": [None, 0.1, "é"]})
    assert list(read_json(path, "").items()) == [("b", 1), ("a", [None, 0.1, "é"])]
    with pytest.raises(ValueError):  # no reader of JSON knows NaN
        write_json(path, {"b": float("nan")})
    assert json.loads(path.read_text())["b"] == 1
    for text, words in (("{", r"cannot be read \(JSONDecodeError\); do this"),
                        ("[1]", "is not what gatewright writes; do this"), ("", "cannot be read"),
                        ("[" * 100000, r"cannot be read \(RecursionError\)")):
        path.write_text(text)
        with pytest.raises(GatewrightError, match=words):
            read_json(path, "do this")
    with pytest.raises(GatewrightError, match="none.json': is missing; do this"):
        read_json(tmp_path / "none.json", "do this")
