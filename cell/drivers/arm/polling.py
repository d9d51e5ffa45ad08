"""Lets the robot client's receiving threads look for data less often.

Each of the client's interfaces has a thread that asks its socket for data, yields and
sleeps for 0.1 ms, round and round: some 8 000 wake-ups a second for 500 samples, a
fifth of a core each on the machine that this was measured on. The client offers no
way to change that, but the kernel does: to a thread under SCHED_DEADLINE a yield says
that it is done for this period [sched(7)], so the same code looks once per period.
Where the kernel refuses, the threads keep what they inherited, and only cost more: it
wants CAP_SYS_NICE, which a limit of real-time priority does not stand for, and threads
that may run on every core. On one core alone they then get no turn at all beside a call
of the client that waits for them in a tight loop at the same real-time priority.
"""

import ctypes
import errno
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PERIOD_NS: Final = 1_000_000
"""Half a robot cycle: a sample waits no longer than that to be seen."""
# Far more than a look takes: a thread throttled while it holds the client's lock would
# make the servo cycle wait.
_RUNTIME_NS: Final = 200_000
_SCHED_DEADLINE: Final = 6
# Without it such a thread may start no other, and the client aborts where it cannot.
_RESET_ON_FORK: Final = 1
# What glibc has no wrapper for, by its number [Linux, arch/*/entry/syscalls].
_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274}.get(platform.machine())


class _SchedAttr(ctypes.Structure):
    """`struct sched_attr` of sched_setattr(2), its first version."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("sched_policy", ctypes.c_uint32),
        ("sched_flags", ctypes.c_uint64),
        ("sched_nice", ctypes.c_int32),
        ("sched_priority", ctypes.c_uint32),
        ("sched_runtime", ctypes.c_uint64),
        ("sched_deadline", ctypes.c_uint64),
        ("sched_period", ctypes.c_uint64),
    )


_libc = ctypes.CDLL(None, use_errno=True)


def list_threads() -> frozenset[int]:
    """Return the kernel's ids of the threads of this process."""
    return frozenset(int(task.name) for task in Path("/proc/self/task").iterdir())


@contextmanager
def calm_what_starts(warn: Callable[[str], None]) -> Iterator[None]:
    """Calm the threads that a call of the client leaves behind, see `calm_threads`.

    Args:
        warn: told what was refused, if anything was.
    """
    before = list_threads()
    yield
    refusal = calm_threads(list_threads() - before)
    if refusal:
        warn(refusal)


def calm_threads(threads: Iterable[int]) -> str:
    """Have threads that yield when they are idle look once per `PERIOD_NS`.

    Those at normal priority are left alone: the kernel would refuse, for whoever may
    not have real-time priority may not have this either.

    Returns:
        What was refused to a thread with real-time priority, and the remedy; empty when
        nothing was.
    """
    numbers = [_calm(thread) for thread in threads]
    refused = next((number for number in numbers if number), 0)
    if not refused:
        return ""
    return (
        f"SCHED_DEADLINE is refused ({os.strerror(refused)}), so the robot client's "
        "threads take a third of a core: allow CAP_SYS_NICE and let the servo process "
        "run on every core (no cpuset, taskset or CPUAffinity), or accept the cost; "
        "pinned to one core alone it cannot make the arm ready"
    )


def _calm(thread: int) -> int:
    """Return the number of the kernel's refusal; 0 where there is nothing to tell."""
    try:
        is_normal = os.sched_getscheduler(thread) == os.SCHED_OTHER
    except ProcessLookupError:
        return 0
    if is_normal:
        return 0
    if _SCHED_SETATTR is None:
        return errno.ENOSYS
    attributes = _SchedAttr(
        size=ctypes.sizeof(_SchedAttr),
        sched_policy=_SCHED_DEADLINE,
        sched_flags=_RESET_ON_FORK,
        sched_runtime=_RUNTIME_NS,
        sched_deadline=PERIOD_NS,
        sched_period=PERIOD_NS,
    )
    if _libc.syscall(_SCHED_SETATTR, thread, ctypes.byref(attributes), 0) == 0:
        return 0
    refused = ctypes.get_errno()
    return 0 if refused == errno.ESRCH else refused
