"""Stops one thread of another process for a while, as a blocking call in it would.

A signal would stop the whole process, and its parent would hear of it. The debugger's
interface does neither.
"""

import ctypes
import os
import time
from typing import Final

from sim2real.faults.stand import StandError, pause

_SEIZE: Final = 0x4206
_INTERRUPT: Final = 0x4207
_DETACH: Final = 17
_WALL: Final = 0x40000000


def freeze_main_thread(pid: int, duration_s: float) -> int:
    """Stop the main thread of a process for so long [s].

    On a busy machine the thread may run on for some milliseconds first.

    Returns:
        When it stood, at the latest, on the monotonic clock [ns].

    Raises:
        StandError: the kernel does not permit it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    word = ctypes.c_long
    libc.ptrace.argtypes = [word, word, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long

    def trace(request: int) -> None:
        if libc.ptrace(request, pid, None, None) < 0:
            reason = os.strerror(ctypes.get_errno())
            raise StandError(
                f"process {pid} cannot be held for a moment ({reason}); run as root, "
                "or allow it: sysctl kernel.yama.ptrace_scope=0"
            )

    trace(_SEIZE)
    trace(_INTERRUPT)
    os.waitpid(pid, _WALL)
    stood_ns = time.monotonic_ns()
    pause(duration_s)
    trace(_DETACH)
    return stood_ns
