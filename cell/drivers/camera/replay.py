"""A camera that shows a recording with its true timing."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cell.contracts.errors import DriverStaleError, DriverTimeoutError
from cell.contracts.observation import RgbdFrame
from cell.contracts.units import ns_from_s, s_from_ns
from cell.drivers.camera.recording import RecordedFrame, read_index, read_recorded


def _wait_until(deadline_ns: int) -> None:
    remaining_s = s_from_ns(deadline_ns - time.monotonic_ns())
    if remaining_s > 0:
        threading.Event().wait(remaining_s)


class ReplayCamera:
    """Satisfies `CameraDriver`. A late reader misses frames, as with a camera."""

    def __init__(
        self,
        name: str,
        directory: Path,
        lines: list[RecordedFrame],
        *,
        loop: bool,
        now_ns: Callable[[], int] = time.monotonic_ns,
        wait_until_ns: Callable[[int], None] = _wait_until,
    ) -> None:
        self._name = name
        self._directory = directory
        self._lines = lines
        self._loop = loop
        self._now_ns = now_ns
        self._wait_until_ns = wait_until_ns
        self._start_ns = now_ns()
        self._next = 0
        self._round_ns = _round_ns(lines)

    def read_frame(self, timeout_s: float) -> RgbdFrame:
        """Return the next frame when its time has come.

        Raises:
            DriverTimeoutError: its time comes later than `timeout_s` from now.
            DriverStaleError: the recording has ended.
            DriverError: the recording is damaged.
        """
        now_ns = self._now_ns()
        while self._due_ns(self._next + 1) <= now_ns and self._exists(self._next + 1):
            self._next += 1
        if not self._exists(self._next):
            raise DriverStaleError(self._name, "the recording has ended")
        due_ns, deadline_ns = self._due_ns(self._next), now_ns + ns_from_s(timeout_s)
        self._wait_until_ns(min(due_ns, deadline_ns))
        if due_ns > deadline_ns:
            raise DriverTimeoutError(self._name, timeout_s)
        line = self._lines[self._next % len(self._lines)]
        self._next += 1
        return read_recorded(
            self._name, self._directory, line, self._now_ns(), number=self._next
        )

    def _exists(self, position: int) -> bool:
        return self._loop or position < len(self._lines)

    def _due_ns(self, position: int) -> int:
        rounds, index = divmod(position, len(self._lines))
        offset_ns = rounds * self._round_ns + self._lines[index].offset_ns
        return self._start_ns + offset_ns


@contextmanager
def open_replay(
    name: str, directory: str | Path, *, loop: bool = True
) -> Iterator[ReplayCamera]:
    """Open a recording; its first frame is due at once.

    Raises:
        DriverUnreachableError: there is no recording in the folder.
        DriverError: its index is damaged.
    """
    path = Path(directory)
    yield ReplayCamera(name, path, read_index(name, path), loop=loop)


def _round_ns(lines: list[RecordedFrame]) -> int:
    """Return the length of one round: the last frame lasts as long as the mean one."""
    last_ns = lines[-1].offset_ns
    mean_ns = last_ns // (len(lines) - 1) if len(lines) > 1 else ns_from_s(1.0)
    return last_ns + mean_ns
