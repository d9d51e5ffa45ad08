"""Ties the life of a process to that of its host, by the kernel.

A process of the controller must not outlive its host unnoticed. The signal comes from
the kernel at the moment the host ends, however it ends. Servo process and supervisor
get SIGTERM: one has an arm to bring to rest, the other a line to tell. All others have
nothing to do in order and get SIGKILL, which also ends a process that hangs.

A process that is stopped cannot act on SIGTERM. The host gives every child a process
group of its own, so the kernel continues it and sends SIGHUP as well when the host is
gone, and that ends it before it runs another instruction.

A process that hangs, in the robot client's library for one, cannot act on SIGTERM
either. So life signs also wind up a timer of the kernel, which ends a process that has
given none for longer than any host would wait. Until then it holds the controller's
lock, so that no second controller starts beside it.
"""

import ctypes
import os
import signal
from typing import Final

_PR_SET_PDEATHSIG = 1
_PR_GET_PDEATHSIG = 2

HANG_S: Final = 12.0
"""Longer than every limit of the host, who therefore comes first while he is there."""


def bind_to_host(host_pid: int, number: int) -> None:
    """Ask for a signal when the host ends; end at once if it has ended already.

    Args:
        host_pid: process id that the host handed over.
        number: of the signal.
    """
    # Until the process installs its own, each of them simply ends it.
    for ending in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(ending, signal.SIG_DFL)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number)
    # The kernel tells nobody of a parent that ended before.
    if os.getppid() != host_pid:
        os._exit(128 + signal.SIGTERM)


def is_bound() -> bool:
    """Say whether the kernel will signal this process when its parent ends."""
    number = ctypes.c_int(0)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(number))
    return number.value != 0


def wind_up() -> None:
    """Let the kernel end this process unless this is called again in time."""
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
