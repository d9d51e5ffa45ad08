"""Wakes the process host when one of its children ends or is stopped.

The kernel tells a parent of both at once, so neither has to be found by looking often.
"""

import contextlib
import os
import select
import signal
from types import FrameType, TracebackType
from typing import Self


class ChildSignals:
    """Context manager; `wait` sleeps until a child changes or the time is over."""

    def __enter__(self) -> Self:
        """Take over SIGCHLD of this process; main thread only."""
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # A handler of its own: ignored signals do not reach the wake-up descriptor.
        self._handler = signal.signal(signal.SIGCHLD, _do_nothing)
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give SIGCHLD back."""
        signal.set_wakeup_fd(self._wakeup)
        signal.signal(signal.SIGCHLD, self._handler)
        os.close(self._reader)
        os.close(self._writer)

    def wait(self, timeout_s: float) -> None:
        """Sleep at most that long [s]; any signal ends the sleep."""
        select.select([self._reader], [], [], timeout_s)
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4096)


def is_stopped(pid: int) -> bool:
    """Say whether a child was stopped by a signal since this was last asked."""
    try:
        # A stop by a debugger goes to the debugger, not to the parent.
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG) is not None
    except ChildProcessError:
        # It has ended since it was last looked at, and cannot be stopped any more.
        return False


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    return None
