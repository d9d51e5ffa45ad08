"""Asks the operating system for punctual turns, and says what it refuses."""

import contextlib
import os
import sys
import threading

from cell.servo.realtime import FIFO_PRIORITY

_URGENT_PRIORITY = 10
_LIMITS = "/etc/security/limits.conf"

NOT_PUNCTUAL = (
    "no permission for real-time priority, so the servo loop will be late or slower; "
    f"add 'USER - rtprio 60' and 'USER - memlock unlimited' to {_LIMITS}"
)
"""For a person, where `may_run_punctually` says no."""


def may_run_punctually() -> bool:
    """Ask for the servo loop's own priority, in a thread whose end gives it back."""
    granted: list[bool] = []

    def ask() -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))
        except OSError:
            return
        granted.append(True)

    thread = threading.Thread(target=ask, name="priority-check")
    thread.start()
    thread.join()
    return bool(granted)


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
    with contextlib.suppress(OSError):
        sys.stderr.write(
            f"{name}: no permission for real-time or raised priority; its ticks may "
            "be late under load\n"
        )
    return "normal"


def request_turns(niceness: int, *, is_urgent: bool) -> str:
    """Ask for turns ahead of ordinary processes; return what was refused.

    Each is asked for by itself, for a user may have been granted one of them.

    Args:
        niceness: wanted among ordinary processes; 0 asks for nothing.
        is_urgent: whether to run before all ordinary processes.

    Returns:
        Empty when all that matters was granted, else a sentence with the remedy.
    """
    if is_urgent:
        try:
            wanted = os.sched_param(_URGENT_PRIORITY)
            os.sched_setscheduler(0, os.SCHED_RR, wanted)
        except OSError:
            _try_niceness(niceness)
        else:
            return ""
        return (
            "no permission for real-time priority, so decisions may come late under "
            f"load and stop the arm; add 'USER - rtprio 60' to {_LIMITS}"
        )
    if _try_niceness(niceness):
        return ""
    return (
        "no permission for a higher priority, so work may come late under load; add "
        f"'USER - nice {niceness}' to {_LIMITS}"
    )


def _try_niceness(niceness: int) -> bool:
    if not niceness:
        return True
    try:
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
    except OSError:
        return False
    return True
