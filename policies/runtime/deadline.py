"""A deadline for one answer that also ends a process that hangs in native code.

The kernel keeps it: its alarm ends the process by default, whatever the process does,
and the host starts another one. Python need not get a turn for that.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kernel_deadline(limit_s: float) -> Iterator[None]:
    """End this process when the block takes longer than `limit_s`.

    A slower alarm that the process lives under goes on afterwards. For a process that
    leaves SIGALRM as it is.
    """
    left_s, _ = signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left_s)
