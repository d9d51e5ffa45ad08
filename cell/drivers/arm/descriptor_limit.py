"""Keeps a library in this process from opening connections of its own accord.

The robot client answers a lost link by connecting again in a thread that nobody can
stop: it uploads its program, over and over, and may take the process down with it.
While its control interface lives, the process may therefore open no descriptor at
all; the client's attempt fails at once and its thread ends.
"""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DescriptorLimit:
    """The process's limit on descriptors, lowered to those it had at some time."""

    def __init__(self) -> None:
        self._normal = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._lowered: int | None = None

    @property
    def is_lowered(self) -> bool:
        """Whether nothing can be opened now."""
        return self._lowered is not None

    def lower(self, first_free: int) -> None:
        """Allow no descriptor from `first_free` on, see `find_first_free`.

        Descriptors above stay usable. Their numbers cannot be given out again, so
        what the client closes makes no room for what it wants to open.
        """
        self._lowered = first_free
        self._apply()

    def restore(self) -> None:
        """Allow as many as before."""
        self._lowered = None
        self._apply()

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Allow a short use of our own, such as a line in a log file."""
        lowered, self._lowered = self._lowered, None
        self._apply()
        try:
            yield
        finally:
            self._lowered = lowered
            self._apply()

    def _apply(self) -> None:
        soft, hard = self._normal
        lowered = soft if self._lowered is None else self._lowered
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowered, hard))


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
