"""The newest record of one writer, shared between processes through a mapped file.

Two slots and a sequence number: the writer fills the slot that is not current, then
publishes it by advancing the number. A writer killed half-way leaves the previous
record readable, and the next write repairs whatever it left. Each slot carries a
checksum, so two writers by mistake, or a processor that reorders stores, show up as
no record instead of a mixed one.

One writer at a time; any number of readers. Nobody ever waits for anybody.
"""

import mmap
import os
from pathlib import Path
from typing import Any, Self
from zlib import adler32, crc32

import numpy as np
from numpy.typing import NDArray

from cell.contracts.errors import ConfigError
from cell.mailbox.room import take_room

_MAGIC = 0x314B434F4C514553  # "SEQLOCK1"
_HEADER_BYTES = 64
_SLOT_HEADER_BYTES = 16
# Positions of 64-bit words in the header.
_WORD_MAGIC, _WORD_LAYOUT, _WORD_SEQUENCE = 0, 1, 2
# A reader loses only when the writer publishes during its copy of a microsecond.
_READ_TRIES = 8

Record = np.void | NDArray[Any]


class Mailbox:
    """A record of a fixed structured dtype in shared memory."""

    def __init__(self, memory: mmap.mmap, dtype: "np.dtype[Any]") -> None:
        self.dtype = dtype
        self._memory = memory
        self._size = dtype.itemsize
        self._words = memoryview(memory).cast("Q")
        stride = _slot_stride(dtype)
        self._slots = (_HEADER_BYTES, _HEADER_BYTES + stride)

    @classmethod
    def open(cls, path: Path, dtype: "np.dtype[Any]") -> Self:
        """Create the file or attach to it; both sides may call this in any order.

        Args:
            path: file on a memory file system.
            dtype: layout of the record, the same on both sides.

        Raises:
            ConfigError: the file holds a record of another layout.
            StorageError: it is new, and there is no room for it.
        """
        memory = _map_file(path, _HEADER_BYTES + 2 * _slot_stride(dtype))
        mailbox = cls(memory, dtype)
        layout = _layout_number(dtype)
        words = mailbox._words
        if words[_WORD_MAGIC] == 0:
            words[_WORD_LAYOUT] = layout
            words[_WORD_MAGIC] = _MAGIC
        if words[_WORD_MAGIC] != _MAGIC or words[_WORD_LAYOUT] != layout:
            mailbox.close()
            raise _mismatch(path)
        return mailbox

    def write(self, record: Record) -> None:
        """Publish a copy of `record` (a scalar or 0-d array of the same dtype).

        Raises:
            TypeError: the record has another dtype.
        """
        if record.dtype is not self.dtype and record.dtype != self.dtype:
            raise TypeError(f"mailbox holds {self.dtype}, got {record.dtype}")
        content = record.tobytes()
        sequence = self._words[_WORD_SEQUENCE] & ~1
        offset = self._slots[(sequence >> 1) + 1 & 1]
        start = offset + _SLOT_HEADER_BYTES
        self._memory[start : start + self._size] = content
        self._words[offset >> 3] = _checksum(content, sequence + 2)
        self._words[_WORD_SEQUENCE] = sequence + 2

    def read(self) -> np.void | None:
        """Return a private copy of the newest record.

        Returns:
            None when nothing was ever written or no whole record could be had within
            a few tries.
        """
        for _ in range(_READ_TRIES):
            sequence = self._words[_WORD_SEQUENCE]
            if sequence == 0:
                return None
            offset = self._slots[sequence >> 1 & 1]
            start = offset + _SLOT_HEADER_BYTES
            content = self._memory[start : start + self._size]
            if self._words[offset >> 3] == _checksum(content, sequence):
                record: np.void = np.frombuffer(bytearray(content), self.dtype)[0]
                return record
        return None

    def version(self) -> int:
        """Return a number that is 0 at first and differs after every write."""
        return self._words[_WORD_SEQUENCE]

    def close(self) -> None:
        """Unmap. The file stays, so the other side keeps its record."""
        self._words.release()
        self._memory.close()


def _checksum(content: bytes, sequence: int) -> int:
    return crc32(content, sequence & 0xFFFFFFFF) | 1 << 32


def _slot_stride(dtype: "np.dtype[Any]") -> int:
    return _SLOT_HEADER_BYTES + -(-dtype.itemsize // 64) * 64


def _layout_number(dtype: "np.dtype[Any]") -> int:
    text = repr(dtype.descr).encode()
    return crc32(text) << 32 | adler32(text)


def _map_file(path: Path, size: int) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        present = os.fstat(descriptor).st_size
        if present == 0:
            take_room(descriptor, path, size)
        elif present != size:
            raise _mismatch(path)
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)


def _mismatch(path: Path) -> ConfigError:
    return ConfigError(
        f"{path} was made by another version of this program: stop every process of "
        "the cell and delete its runtime directory"
    )
