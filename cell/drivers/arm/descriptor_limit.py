"""Keeps a library in this process from opening connections of its own accord.

The robot client answers a lost link by connecting again in a thread that nobody can
stop: it uploads its program, over and over, and may take the process down with it.
While its control interface lives, the process may therefore open no descriptor at
all; the client's attempt fails at once and its thread ends.
"""

import os
import resource
import threading
from pathlib import Path


class DescriptorLimit:
    """The process's limit on descriptors, lowered while anybody holds a lease.

    A connection that closes ends in a thread of its own, while the next one may already
    be under way: each gives back its own lease and never that of another.
    """

    def __init__(self) -> None:
        self._normal = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._lock = threading.Lock()
        self._leases: dict[Lease, int] = {}

    @property
    def is_lowered(self) -> bool:
        """Whether anybody wants nothing to be opened now."""
        return bool(self._leases)

    def lower(self, first_free: int) -> "Lease":
        """Allow no descriptor from `first_free` on, see `find_first_free`.

        Descriptors above stay usable. Their numbers cannot be given out again, so
        what the client closes makes no room for what it wants to open.

        Returns:
            What ends this; whoever lowered releases it, once or more.
        """
        lease = Lease(self)
        with self._lock:
            self._leases[lease] = first_free
            self._apply()
        return lease

    def release(self, lease: "Lease") -> None:
        """Forget one lease; the limit is back to normal after the last."""
        with self._lock:
            self._leases.pop(lease, None)
            self._apply()

    def _apply(self) -> None:
        soft, hard = self._normal
        limit = min(self._leases.values(), default=soft)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


class Lease:
    """One holder's wish that nothing be opened."""

    def __init__(self, limit: DescriptorLimit) -> None:
        self._limit = limit

    def release(self) -> None:
        """Give it back; again is harmless."""
        self._limit.release(self)


DESCRIPTORS = DescriptorLimit()
"""One for the process, as the limit itself is."""


def find_first_free() -> int:
    """Return the lowest number that a new descriptor would get."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor


def list_descriptors() -> frozenset[int]:
    """Return the numbers of all open descriptors."""
    found = [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]
    # The listing used one itself, whose number the next to be opened will get.
    return frozenset(filter(_is_open, found))


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
