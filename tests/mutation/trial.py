"""One process forked for one mutant, and how it ended.

The child counts processor time, not the clock on the wall: on a busy machine nothing
is taken for an endless loop that is not one.
"""

import os
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

# For what sleeps instead of computing; long, for a busy machine is no endless loop.
_WALL_LIMIT_S = 3600
_MEMORY_LIMIT_BYTES = 16 << 30
_FAILED, _PASSED = 1, 0


class Status(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMEOUT = "timeout"
    SURVIVED = "survived"
    UNREACHED = "unreached"
    """No test runs the changed line."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        status: see `Status`.
        message: what the child wrote before its end.
        cpu_s: processor time that it took.
    """

    status: Status
    message: str
    cpu_s: float = 0.0


def try_in_child(run: Callable[[], str], cpu_limit_s: float) -> Outcome:
    """Run a suite in a forked child.

    Args:
        run: returns the name of the test that failed, or an empty string. What it
            raises counts as a failure.
        cpu_limit_s: processor time after which the child counts as hung.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _end_child(run, writer, cpu_limit_s)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        message = pipe.read().decode(errors="replace")
    _, status, used = os.wait4(pid, 0)
    return Outcome(_judge(status), message, used.ru_utime + used.ru_stime)


def _end_child(run: Callable[[], str], writer: int, cpu_limit_s: float) -> None:
    code = _FAILED
    try:
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, cpu_limit_s)
        signal.alarm(_WALL_LIMIT_S)
        _limit_memory()
        failed = run()
        os.write(writer, failed.encode()[:4000])
        code = _FAILED if failed else _PASSED
    except BaseException as error:  # noqa: BLE001  (nothing may leave the child)
        os.write(writer, f"{type(error).__name__}: {error}".encode()[:4000])
    finally:
        os._exit(code)


def _limit_memory() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or hard > _MEMORY_LIMIT_BYTES:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_LIMIT_BYTES, hard))


def _judge(status: int) -> Status:
    if os.WIFSIGNALED(status):
        hung = os.WTERMSIG(status) in (signal.SIGPROF, signal.SIGALRM)
        return Status.TIMEOUT if hung else Status.KILLED
    return Status.KILLED if os.WEXITSTATUS(status) else Status.SURVIVED
