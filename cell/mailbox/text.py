"""The newest text of one writer, shared between processes."""

from pathlib import Path

import numpy as np

from cell.mailbox.seqlock import Mailbox


class TextMailbox:
    """A short document, such as the status as JSON, in shared memory."""

    def __init__(self, path: Path, capacity: int) -> None:
        """Create or attach; `capacity` is the largest document in bytes of UTF-8.

        Raises:
            ConfigError: the file was made with another capacity.
        """
        self._dtype = np.dtype([("length", "<u8"), ("text", "u1", (capacity,))])
        self._capacity = capacity
        self._mailbox = Mailbox.open(path, self._dtype)

    def write(self, text: str) -> None:
        """Publish `text`.

        Raises:
            ValueError: it does not fit.
        """
        content = text.encode()
        if len(content) > self._capacity:
            raise ValueError(
                f"text of {len(content)} bytes does not fit into {self._capacity}"
            )
        record = np.zeros((), self._dtype)
        record["length"] = len(content)
        record["text"][: len(content)] = np.frombuffer(content, np.uint8)
        self._mailbox.write(record)

    def read(self) -> str | None:
        """Return the newest text, None when there is no whole one."""
        record = self._mailbox.read()
        if record is None:
            return None
        return bytes(record["text"][: int(record["length"])]).decode()

    def version(self) -> int:
        """Return a number that is 0 at first and differs after every write."""
        return self._mailbox.version()

    def close(self) -> None:
        """Unmap. The file stays."""
        self._mailbox.close()
