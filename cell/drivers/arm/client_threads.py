"""Keeps a polling thread of the robot client from taking an eighth of a core.

The thread of its receiving interface looks for data every 100 us. It inherits our
real-time class, where such a sleep is exact. Data comes every 2 ms: an ordinary thread
of high weight that may oversleep is soon enough.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

_NICE: Final = -20
_SLACK_NS: Final = 400_000


def list_threads() -> frozenset[int]:
    """Return the ids of all threads of this process."""
    return frozenset(int(entry.name) for entry in Path("/proc/self/task").iterdir())


def calm(threads: frozenset[int]) -> None:
    """Let the given threads sleep longer; what the kernel refuses stays as it is."""
    for thread in threads:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, _NICE)
        with contextlib.suppress(OSError):
            Path(f"/proc/{thread}/timerslack_ns").write_text(str(_SLACK_NS))
