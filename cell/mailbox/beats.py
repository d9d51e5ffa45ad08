"""Signs of life of all processes on one page of shared memory.

Each process stamps its own slot from its main loop, so that a process that hangs goes
silent, and signs it with its process id. Whoever watches reads ages; nothing here
decides what silence means.
"""

import fcntl
import math
import mmap
import os
from pathlib import Path
from typing import Self

from cell.contracts.errors import ConfigError, StorageError
from cell.contracts.units import s_from_ns
from cell.mailbox.room import take_room

_SLOTS = 64
_NAME_BYTES = 24
_SLOT_BYTES = _NAME_BYTES + 16  # stamp and process id
_GIVEN_UP = -1  # in place of a stamp, which is positive


class Beats:
    """Named slots, each with the monotonic time of the last beat."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _SLOTS * _SLOT_BYTES)
        self._words = memoryview(self._memory).cast("q")
        self._known: dict[str, int] = {}
        self._signed: set[int] = set()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Create the file or attach to it, in any order.

        Raises:
            ConfigError: the file has another size.
            StorageError: it is new, and there is no room for it.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = os.fstat(descriptor).st_size
        if size not in {0, _SLOTS * _SLOT_BYTES}:
            os.close(descriptor)
            raise ConfigError(
                f"{path} was made by another version of this program: stop every "
                "process of the cell and delete its runtime directory"
            )
        try:
            if size == 0:
                take_room(descriptor, path, _SLOTS * _SLOT_BYTES)
        except StorageError:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def claim(self, name: str) -> None:
        """Give `name` its slot, so that nobody has to wait for one later."""
        self._find_or_claim(name)

    def beat(self, name: str, now_ns: int) -> None:
        """Stamp the slot of `name` with the monotonic clock [ns]."""
        word = self._known.get(name)
        if word is None:
            word = self._find_or_claim(name)
        if word not in self._signed:
            self._signed.add(word)
            self._words[word + 1] = os.getpid()
        self._words[word] = now_ns

    def age_s(self, name: str, now_ns: int) -> float:
        """Return the age of the last beat [s], infinity when there was none."""
        word = self._word_of(name)
        stamp_ns = self._words[word] if word >= 0 else 0
        return s_from_ns(now_ns - stamp_ns) if stamp_ns > 0 else math.inf

    def read_pid(self, name: str) -> int:
        """Return the id of the process that beat last as `name`, 0 for none."""
        word = self._word_of(name)
        return self._words[word + 1] if word >= 0 else 0

    def is_given_up(self, name: str) -> bool:
        """Say whether the host starts `name` no more."""
        word = self._word_of(name)
        return word >= 0 and self._words[word] == _GIVEN_UP

    def forget(self, name: str) -> None:
        """Clear the last beat, so that a process about to start counts as silent."""
        self._set(name, 0)

    def give_up(self, name: str) -> None:
        """Say that a process is not started any more; it counts as silent as well."""
        self._set(name, _GIVEN_UP)

    def close(self) -> None:
        """Unmap. The file stays."""
        self._words.release()
        self._memory.close()
        os.close(self._descriptor)

    def _set(self, name: str, value: int) -> None:
        word = self._word_of(name)
        if word >= 0:
            self._words[word] = value

    def _word_of(self, name: str) -> int:
        """Return the index of the slot's stamp, -1 when there is none; never waits.

        A name that is half written fits no other, so looking needs no lock.
        """
        word = self._known.get(name, -1)
        if word < 0 and (slot := self._find(_encode(name))) >= 0:
            word = self._known[name] = (slot * _SLOT_BYTES + _NAME_BYTES) // 8
        return word

    def _find_or_claim(self, name: str) -> int:
        """Return the index of the slot's stamp; waits for who claims just now."""
        word = self._word_of(name)
        if word >= 0:
            return word
        # Two processes may claim at once; the kernel drops the lock of a killed one.
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            if self._find(_encode(name)) < 0:
                self._claim(name)
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return self._word_of(name)

    def _claim(self, name: str) -> None:
        slot = self._find(bytes(_NAME_BYTES))
        if slot < 0:
            raise ValueError(f"no slot left for beat {name!r}")
        start = slot * _SLOT_BYTES
        self._memory[start : start + _NAME_BYTES] = _encode(name)

    def _find(self, key: bytes) -> int:
        for slot in range(_SLOTS):
            start = slot * _SLOT_BYTES
            if self._memory[start : start + _NAME_BYTES] == key:
                return slot
        return -1


def _encode(name: str) -> bytes:
    key = name.encode().ljust(_NAME_BYTES, b"\0")
    if len(key) > _NAME_BYTES:
        raise ValueError(f"beat name {name!r} is longer than {_NAME_BYTES} bytes")
    return key
