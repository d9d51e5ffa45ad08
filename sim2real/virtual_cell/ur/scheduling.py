"""Asks the operating system for punctual ticks."""

import gc
import os
import sys

_FIFO_PRIORITY = 40
_NICENESS = -15


def request_priority() -> str:
    """Take the best scheduling that is allowed and return its name.

    Says once on stderr when none is allowed.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_FIFO_PRIORITY))
    except OSError:
        pass
    else:
        return "fifo"
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    except OSError:
        sys.stderr.write(
            "virtual UR controller: no permission for real-time or raised priority; "
            "its 2 ms tick may be late under load\n"
        )
        return "normal"
    return "nice"


def freeze_garbage_collector() -> None:
    """Exempt everything allocated so far from collection."""
    gc.collect()
    gc.freeze()
