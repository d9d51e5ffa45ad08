"""The last events for the status, passed on to whoever keeps records."""

from collections import deque
from collections.abc import Callable

from cell.contracts.drivers import Clock
from cell.contracts.units import s_from_ns

_KEPT = 20


class EventTail:
    """Remembers the newest events; says a thing once when it changes."""

    def __init__(
        self, clock: Clock, record: Callable[[str, dict[str, object]], None]
    ) -> None:
        self._clock = clock
        self._record = record
        self._started_ns = clock.now_ns()
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self._last_of: dict[str, object] = {}

    def add(self, event: str, fields: dict[str, object]) -> None:
        """Record an event."""
        after_s = s_from_ns(self._clock.now_ns() - self._started_ns)
        words = " ".join(f"{key}={_shorten(value)}" for key, value in fields.items())
        self._lines.append(f"+{after_s:.1f} s {event} {words}".rstrip())
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
