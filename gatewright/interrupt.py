"""A run that is stopped ends at once, its tools with it, and cleans up undisturbed."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["stop_on_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_S = 1.0  # for tools to end by themselves


def _descendants(pid: int) -> list:
    """Processes below one, parents first; empty where the system does not tell."""
    found = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(word) for word in listed.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *_descendants(child)]
    return found


def _runs(pid: int) -> bool:
    """False for one that is gone, or dead and only waits to be asked for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _stop(number, frame) -> None:
    # A second signal must not cut the cleaning short.
    for name in _SIGNALS:
        signal.signal(name, signal.SIG_IGN)
    # Compilers and simulators would go on writing into folders that are being removed.
    asked, start = set(), time.monotonic()
    while time.monotonic() < start + 2 * PATIENCE_S:
        running = [child for child in _descendants(os.getpid()) if _runs(child)]
        if not running:
            break
        patient = time.monotonic() < start + PATIENCE_S  # compilers remove their files first
        for child in running:
            with suppress(OSError):
                if not patient:
                    os.kill(child, signal.SIGKILL)
                elif child not in asked:
                    os.kill(child, signal.SIGTERM)
        asked.update(running)
        time.sleep(0.01)
    raise KeyboardInterrupt


def stop_on_signals() -> None:
    """Let Ctrl-C, SIGTERM and a closed terminal end the tools and raise KeyboardInterrupt."""
    for name in _SIGNALS:
        if signal.getsignal(name) is not signal.SIG_IGN:  # nohup
            signal.signal(name, _stop)
