"""What is asked of windows of cycles, one question after the other, each in its time."""

import multiprocessing
import time

from .netlist import Netlist
from .window import Window

__all__ = ["FROM", "in_time", "in_windows"]

BRIEF, SHORT, MIDDLE, LONG = 5, 10, 20, 34      # cycles
# In the first cycle of a window it must hold already what those before it have shown.
LATER = 2 * MIDDLE + LONG
FROM = LATER + LONG + 1
GROUP = 40              # questions at once
USUAL = 200_000         # gates: a larger core has more time


def _ask(pipe, netlist, products, known, shown, depth, situations: list, changes: list) -> None:
    """Into a pipe, some at a time."""
    window = Window(netlist, products, known | shown, depth)
    for question, every in ((window.still, changes), (window.never, situations)):
        for at in range(0, len(every), GROUP):
            pipe.send(question(every[at:at + GROUP]))
    pipe.close()


def _ask_lasting(pipe, netlist, products, known, shown, depth, situations: list,
                 changes: list) -> None:
    # ``shown`` holds only later.
    reset = Window(netlist, products, known, 2 * depth, powered=True, reset=True)
    window = Window(netlist, products, known | shown, depth)
    pipe.send(window.lasting(sorted(reset.absent(situations, depth))))
    pipe.close()


def in_time(question, seconds: float, *arguments) -> set:
    """What a process of its own finds in that time."""
    fork, found = multiprocessing.get_context("fork"), set()
    ours, theirs = fork.Pipe(duplex=False)
    process = fork.Process(target=question, args=(theirs, *arguments))
    process.start()
    theirs.close()
    end = time.monotonic() + seconds
    try:
        while ours.poll(max(0.0, end - time.monotonic())):
            found |= ours.recv()
    except EOFError:
        pass
    process.kill()
    process.join()
    return found


def _ask_stuck(pipe, netlist, known, situations: list, begin: int) -> None:
    window = Window(netlist, [], known, begin, powered=True, reset=True)
    pipe.send(window.never(situations))
    pipe.close()


# What is asked, over so many cycles, for so many seconds, of situations or changes or both; and the
# cycle from which on changes that are shown by then do not come.
PLAN = ((_ask, BRIEF, 40, "both", SHORT), (_ask, SHORT, 40, "both", MIDDLE),
        (_ask_lasting, MIDDLE, 60, "situations", None), (_ask, LONG, 60, "changes", LATER),
        (_ask, LONG, 90, "situations", None))
STUCK = 20      # seconds


def in_windows(netlist: Netlist, products: list, known: set, situations: list,
               changes: list) -> tuple:
    """Those situations that never are, and those changes that do not come, as ``Window`` has them.

    Once a first reset of ``FROM`` cycles from power-up is over. What is not shown in time counts as
    what can be.
    """
    shown, situations = set(), dict.fromkeys(situations)
    more = max(1, len(netlist.gates) / USUAL)
    for question, depth, seconds, kinds, begin in PLAN:
        left = [[one for one in every if one not in shown] if kinds in (kind, "both") else []
                for kind, every in (("situations", situations), ("changes", changes))]
        shown |= in_time(question, more * seconds, netlist, products, known,
                         shown & set(situations), depth, *left)
        if begin is not None:
            # What a bit does not come to be, and is not in a cycle of the first reset, it never is.
            still = [(one,) for one in changes if one in shown]
            shown |= in_time(_ask_stuck, more * STUCK, netlist, known, [
                one for one in still if one in situations and one not in shown], begin)
    return shown & set(situations), shown & set(changes)
