"""Structured JSON logs: one object a line, one file a process, bounded on disk.

A disk that is full, read-only or stalls never stops a process that only wanted to say
something. Lines are written by a thread of their own, within milliseconds; what it
cannot write is dropped and counted, and the count is written once the disk takes lines
again. An orderly end, also one by an exception, waits for what is pending. A process
that is killed loses what it said in its last milliseconds.
"""

import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Hashable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

import structlog

from ops.log_file import LogFile

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_MAX_BYTES = 10_000_000
_MOST_WAITING: Final = 1000
_PATIENCE_S: Final = 1.0
_NICEST: Final = -20


class BoundedLines:
    """A line sink that keeps one current and one older file of bounded size.

    Lines wait for the disk in memory, a bounded number of them; whoever writes one
    never waits.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int = _MAX_BYTES,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self._file = LogFile(path, max_bytes)
        self._most_waiting = most_waiting
        # Made in C: a put takes no lock that a thread of lower priority could hold.
        self._waiting: SimpleQueue[str | None] = SimpleQueue()
        self._counting = threading.Lock()
        self._refused = 0
        self._refused_told = 0
        self._failed = 0
        # A disk that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many lines are lost, and their number not yet in the file."""
        return self._failed + self._refused - self._refused_told

    def write(self, text: str) -> int:
        """Take text to be appended; where too much waits it is dropped."""
        if self._waiting.qsize() < self._most_waiting:
            self._waiting.put(text)
        else:
            with self._counting:
                self._refused += 1
        return len(text)

    def flush(self) -> None:
        """Do nothing: what waits is written as soon as the disk takes it."""

    def close(self, patience_s: float = _PATIENCE_S) -> None:
        """Wait until everything is written, and end; again is harmless.

        Args:
            patience_s: with a disk that stalls [s].
        """
        self._waiting.put(None)
        self._thread.join(patience_s)

    def _run(self) -> None:
        _take_least_priority()
        is_open = True
        while is_open:
            lines = self._take()
            is_open = None not in lines
            self._append([line for line in lines if line is not None])
        self._file.close()

    def _take(self) -> list[str | None]:
        """Wait for a line; return it with all that have come meanwhile."""
        lines = [self._waiting.get()]
        with contextlib.suppress(Empty):
            while len(lines) <= self._most_waiting:
                lines.append(self._waiting.get_nowait())
        return lines

    def _append(self, lines: list[str]) -> None:
        # These were refused because of the lines that waited, so they come after them.
        refused = self._refused
        before, after = _tell(self._failed), _tell(refused - self._refused_told)
        text = "".join((before, *lines, after))
        if not text:
            return
        try:
            self._file.append(text)
        except OSError:
            self._failed += len(lines)
        else:
            self._failed, self._refused_told = 0, refused


def _tell(lost: int) -> str:
    return f'{{"event":"log lines lost","count":{lost}}}\n' if lost else ""


def _take_least_priority() -> None:
    """Come after every real-time loop, and before everything else.

    A thread of normal priority could be put off by other programs while it holds the
    interpreter, and the process's own loop would wait with it.
    """
    try:
        least = os.sched_get_priority_min(os.SCHED_FIFO)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(least))
    except OSError:
        # The loops run by niceness as well where they may not be real-time ones.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, _NICEST)


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


_open: list[BoundedLines] = []


def configure_logging(process: str, level: str, path: Path | None) -> None:
    """Send this process's log lines to a file, or to stderr when there is none.

    The file's thread starts here: before the process asks for priority, and before it
    has libraries whose threads are told from its own by when they start.
    """
    close_logging()
    sink: Any = sys.stderr
    if path is not None:
        sink = BoundedLines(path)
        _open.append(sink)
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


def close_logging() -> None:
    """Have all lines written, within a bounded time; at the end of the process.

    It happens by itself, except where the process leaves by `os._exit`.
    """
    while _open:
        _open.pop().close()


atexit.register(close_logging)
