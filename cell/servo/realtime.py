"""Scheduling, memory and sleep of the servo process, asked of the Linux kernel.

Priority decides whether a 2 ms loop holds its period beside other work; everything
else comes second. What the kernel refuses is said, and the loop then runs slower.
"""

import ctypes
import gc
import os
import threading
from dataclasses import dataclass
from typing import Final

FIFO_PRIORITY: Final = 50
_NICE: Final = -20
_SLOW_PERIOD_S: Final = 0.008
_CLOCK_MONOTONIC = 1
_TIMER_ABSTIME = 1
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_STACK_BYTES = 512 * 1024


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Scheduling:
    """What the kernel granted.

    Attributes:
        level: 0 FIFO, 1 nice, 2 normal priority.
        period_s: control period that can be held with it [s].
        is_memory_locked: whether pages stay in memory.
        warning: what was refused and its remedy, empty when all was granted.
    """

    level: int
    period_s: float
    is_memory_locked: bool
    warning: str


def request_scheduling(period_s: float) -> Scheduling:
    """Ask for real-time priority, else a better nice value, else slow down."""
    is_locked = _lock_memory()
    warnings = [] if is_locked else ["memory is not locked: allow CAP_IPC_LOCK"]
    level = _raise_priority()
    if level > 0:
        warnings.append(
            "no real-time priority: allow CAP_SYS_NICE or set rtprio 60 in limits.conf"
        )
    granted_s = period_s
    if level > 1:
        granted_s = max(period_s, _SLOW_PERIOD_S)
        warnings.append(f"the control period is {granted_s * 1e3:g} ms")
    return Scheduling(level, granted_s, is_locked, "; ".join(warnings))


def freeze_garbage_collector() -> None:
    """Keep what exists out of every later collection, and collect only when asked."""
    gc.collect()
    gc.freeze()
    gc.disable()


def sleep_until_ns(deadline_ns: int) -> None:
    """Sleep until `deadline_ns` of the monotonic clock; a signal ends it early."""
    deadline = _Timespec(deadline_ns // 1_000_000_000, deadline_ns % 1_000_000_000)
    _libc.clock_nanosleep(
        _CLOCK_MONOTONIC, _TIMER_ABSTIME, ctypes.byref(deadline), None
    )


def _raise_priority() -> int:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))
    except OSError:
        pass
    else:
        return 0
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    except OSError:
        return 2
    return 1


def _lock_memory() -> bool:
    # Stacks of threads to come would be locked whole; ours are shallow.
    threading.stack_size(_STACK_BYTES)
    # ON FAULT: reserved but unused memory does not have to be filled in first.
    flags = _MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT
    return int(_libc.mlockall(flags)) == 0
