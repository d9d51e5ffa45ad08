"""Structured JSON logs: one object a line, one file a process, bounded on disk.

A full or read-only disk never stops a process that only wanted to say something: the
line is dropped and counted, and the count is written once the disk takes lines again.
"""

import sys
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import structlog

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_MAX_BYTES = 10_000_000


class BoundedLines:
    """A line sink that keeps one current and one older file of bounded size."""

    def __init__(self, path: Path, max_bytes: int = _MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self.dropped = 0

    def write(self, text: str) -> int:
        """Append text; a storage error drops it instead of raising."""
        try:
            self._rotate_if_large()
            with self._path.open("a", encoding="utf-8") as file:
                if self.dropped:
                    file.write(f'{{"event":"log lines lost","count":{self.dropped}}}\n')
                    self.dropped = 0
                file.write(text)
        except OSError:
            self.dropped += 1
        return len(text)

    def flush(self) -> None:
        """Nothing is held back between calls."""

    def _rotate_if_large(self) -> None:
        if self._path.exists() and self._path.stat().st_size > self._max_bytes:
            self._path.replace(self._path.with_suffix(".1.jsonl"))


class ChangeLog:
    """Logs a thing when it changes and stays silent while it lasts."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._known: dict[str, Hashable] = {}
        self._repeats: dict[str, int] = {}

    def note(self, key: str, value: Hashable, event: str, **fields: Any) -> bool:
        """Log `event` if `value` differs from the last one under `key`.

        Returns:
            Whether a line was written. The number of silent repeats in between goes
            into it as `repeats`.
        """
        if key in self._known and self._known[key] == value:
            self._repeats[key] = self._repeats.get(key, 0) + 1
            return False
        self._known[key] = value
        repeats = self._repeats.pop(key, 0)
        self._logger.info(event, **fields, **({"repeats": repeats} if repeats else {}))
        return True


def configure_logging(process: str, level: str, path: Path | None) -> None:
    """Send this process's log lines to a file, or to stderr when there is none."""
    sink: Any = sys.stderr if path is None else BoundedLines(path)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sink),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(process=process)
