"""Room for shared files, taken whole when they are made.

A file that merely has a size takes its memory page by page, at the first touch of each.
Where there is none left then, the kernel ends whoever touches it, in the middle of a
motion. So all of it is asked for when the file is made, where a sentence can still be
said. For most files that is at the start. A camera's frames get theirs with its first
picture, and once more when its size changes, so they may have to wait for room.
"""

import contextlib
import os
from pathlib import Path

from cell.contracts.errors import StorageError


def take_room(descriptor: int, path: Path, size: int) -> None:
    """Give an empty file its size, with memory behind every byte.

    Args:
        descriptor: of the file, open for writing.
        path: for the sentence.
        size: of the file [bytes].

    Raises:
        StorageError: there is no such room; the file is empty again.
    """
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
        raise StorageError(
            f"{path}: there is no room for {size} bytes ({error.strerror}); free space "
            f"in {path.parent}, or set runtime.directory to another folder"
        ) from error
