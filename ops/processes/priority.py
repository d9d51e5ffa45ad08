"""Asks the operating system for punctual turns, for processes with a fixed tick."""

import contextlib
import os
import sys


def request_priority(name: str, fifo_priority: int, niceness: int) -> str:
    """Take the best scheduling that is allowed for this thread and return its name.

    Args:
        name: of the process, for the sentence on stderr when nothing is allowed.
        fifo_priority: wanted priority among real-time threads, 1..99.
        niceness: wanted where real-time priority is refused, below 0.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(fifo_priority))
        return "fifo"
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
        return "nice"
    sys.stderr.write(
        f"{name}: no permission for real-time or raised priority; its ticks may be "
        "late under load\n"
    )
    return "normal"
