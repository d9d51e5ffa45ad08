"""The last events for the status, passed on to whoever keeps records."""

import time
from collections import deque
from collections.abc import Callable

_KEPT = 20


class EventTail:
    """Remembers the newest events; says a thing once when it changes."""

    def __init__(self, record: Callable[[str, dict[str, object]], None]) -> None:
        self._record = record
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self._last_of: dict[str, object] = {}

    def add(self, event: str, fields: dict[str, object]) -> None:
        """Record an event; its line begins with the local time of day."""
        words = " ".join(f"{key}={_shorten(value)}" for key, value in fields.items())
        self._lines.append(f"{time.strftime('%H:%M:%S')} {event} {words}".rstrip())
        self._record(event, fields)

    def add_change(self, event: str, value: object) -> None:
        """Record an event if its value differs from the last one of that name."""
        if self._last_of.get(event) != value:
            self._last_of[event] = value
            self.add(event, {"value": value})

    def lines(self) -> list[str]:
        """Return the newest events, oldest first."""
        return list(self._lines)


def _shorten(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
