"""A file for lines, with one older one beside it, that is bounded on disk.

It stays open under a descriptor number of its own, taken at once. Where the process may
open no further descriptor (`cell.drivers.arm.descriptor_limit`), it can therefore still
be opened anew, in its old place: after rotation, or when somebody has removed it. That
place is free between two system calls, and nothing else is opened.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_NONE: Final = -1


class LogFile:
    """One current and one older file; for a single thread.

    Making one touches no disk; every other call may take as long as the disk does.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        # Keeps the number until the first line comes.
        self._descriptor = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def append(self, text: str) -> None:
        """Write it all, or nothing of it.

        Raises:
            OSError: the disk does not take it.
        """
        if not self._is_in_place():
            self._open()
        size = os.fstat(self._descriptor).st_size
        if size > self._max_bytes:
            self._path.replace(self._path.with_suffix(".1.jsonl"))
            self._open()
            size = 0
        rest = memoryview(text.encode("utf-8", "backslashreplace"))
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            # Half a line would spoil the next one.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, size)
            raise

    def close(self) -> None:
        """Give the descriptor back."""
        descriptor, self._descriptor = self._descriptor, _NONE
        if descriptor != _NONE:
            # The number is free even where the disk fails: never close it twice.
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _is_in_place(self) -> bool:
        """Say whether what is open is what has the name."""
        try:
            named, opened = os.stat(self._path), os.fstat(self._descriptor)  # noqa: PTH116
        except OSError:
            return False
        return os.path.samestat(named, opened)

    def _open(self) -> None:
        self.close()
        try:
            self._descriptor = os.open(self._path, _FLAGS, 0o666)
        except OSError:
            with contextlib.suppress(OSError):
                self._descriptor = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            raise
