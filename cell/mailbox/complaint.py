"""What a process complains about at the moment, shared with whoever tells people.

A driver knows the sentence that helps: which address did not answer, which version was
found. This carries it out of the process that met it, for as long as the trouble lasts.
"""

import json
from pathlib import Path
from typing import Final

from cell.contracts.errors import Complaint, FaultCode
from cell.mailbox.text import TextMailbox

SERVO: Final = "servo"
POLICY: Final = "policy"
GUARDIAN: Final = "guardian"
_CAPACITY: Final = 1024
_LONGEST_TEXT: Final = 600


def name_camera_source(camera: str) -> str:
    """Return the source under which a camera complains."""
    return f"camera_{camera}"


class ComplaintBox:
    """One complaint or none, of one writer; any number of readers."""

    def __init__(self, runtime: Path, source: str) -> None:
        """Create or attach to the box of `source`.

        Raises:
            ConfigError: the file was made by another version.
        """
        self._mailbox = TextMailbox(runtime / f"complaint_{source}", _CAPACITY)
        self._version = 0
        self._known: Complaint | None = None

    def write(self, complaint: Complaint | None) -> None:
        """Replace the complaint; None says that the trouble is over."""
        if complaint != self.read():
            self._mailbox.write("" if complaint is None else _encode(complaint))

    def read(self) -> Complaint | None:
        """Return the present complaint; looks at the text only when it is new."""
        version = self._mailbox.version()
        if version != self._version:
            text = self._mailbox.read()
            if text is not None:
                self._known, self._version = _decode(text), version
        return self._known

    def close(self) -> None:
        """Unmap. The file stays."""
        self._mailbox.close()


def _encode(complaint: Complaint) -> str:
    # Escaped it may grow six times; what does not fit is cut.
    text = complaint.text
    while True:
        content = json.dumps({"code": int(complaint.code), "text": text})
        if len(content) <= _CAPACITY:
            return content
        text = text[: min(_LONGEST_TEXT, len(text) * 3 // 4)]


def _decode(text: str) -> Complaint | None:
    if not text:
        return None
    tree = json.loads(text)
    return Complaint(FaultCode(tree["code"]), tree["text"])
