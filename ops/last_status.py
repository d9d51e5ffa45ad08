"""Keeps the supervisor's last status on disk, so that a restart forgets nothing.

What latched the cell, and what was counted, must outlive the host, a crash and a power
cut. The host writes it, in a thread of its own, for a disk may take seconds; neither
the decision loop nor the host's watch over its children waits for it.
"""

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from cell.contracts.errors import CellError
from cell.mailbox.text import TextMailbox
from cell.supervisor.states import State
from ops.runtime_directory import is_of_this_boot, read_boot_id
from ops.telemetry import STATUS_CAPACITY

FILE_NAME: Final = "last_status.json"
_COUNT_PERIOD_S: Final = 5.0
_CLOSE_PATIENCE_S: Final = 5.0
# A change of one of these is written at once.
_URGENT: Final = (
    "state",
    "cause",
    "since_then",
    "is_acknowledged",
    "guardian_record",
)
# Of no use to a later life.
_DROPPED: Final = ("events", "ages_s", "permissives")


@dataclass(frozen=True)
class LastStatus:
    """What an earlier run left.

    Attributes:
        tree: its status; empty when there was no earlier run.
        damage: why the record cannot be used, empty when it can.
    """

    tree: Mapping[str, Any]
    damage: str = ""


def read_last_status(state_directory: Path, runtime: Path) -> LastStatus:
    """Return the newest status of an earlier run, from disk or from shared memory.

    Shared memory is newer when host and supervisor did not end together, and is still
    there when the disk was full. A record that cannot be trusted is no record of a
    cell at rest: it counts as one that was aborted.
    """
    path = state_directory / FILE_NAME
    shared = _read_shared(runtime)
    try:
        saved, boot_id = _read_saved(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if shared:
            return LastStatus(shared)
        return _mourn(path, error)
    if shared and (boot_id != read_boot_id() or _stamp(shared) > _stamp(saved)):
        return LastStatus(shared)
    if shared is None and not saved:
        # Something ran here. Beside a record on disk it may be another version's.
        return _mourn(
            path, ValueError("there is none, and shared memory cannot be read")
        )
    return LastStatus(saved)


def write_status_file(path: Path, status: Mapping[str, Any]) -> None:
    """Write the record in one step, so that a power cut leaves the old or the new.

    Raises:
        OSError: the disk does not take it.
    """
    kept = {key: value for key, value in status.items() if key not in _DROPPED}
    body = json.dumps({"boot_id": read_boot_id(), "status": kept}).encode()
    draft = path.with_name(path.name + ".part")
    with draft.open("wb") as file:
        file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class StatusKeeper:
    """Writes the status when the state changes, and counts every few seconds."""

    def __init__(self, state_directory: Path, now_s: Callable[[], float]) -> None:
        """Start the writer; nothing is written before the first `note`."""
        self._path = state_directory / FILE_NAME
        self._now_s = now_s
        self._noted: tuple[object, ...] | None = None
        self._noted_s = 0.0
        self._pending: Mapping[str, Any] | None = None
        self._is_closing = False
        self._complaint = ""
        self._wake = threading.Condition()
        # A disk that hangs must not keep the host from ending.
        self._thread = threading.Thread(target=self._run, name="status", daemon=True)
        self._thread.start()

    def note(self, status: Mapping[str, Any], *, is_last: bool = False) -> None:
        """Hand over the newest status; returns at once."""
        if not status:
            return
        facts = tuple(repr(status.get(key)) for key in _URGENT)
        now_s = self._now_s()
        is_due = now_s - self._noted_s >= _COUNT_PERIOD_S
        if facts == self._noted and not is_due and not is_last:
            return
        self._noted, self._noted_s = facts, now_s
        with self._wake:
            self._pending = status
            self._wake.notify()

    @property
    def complaint(self) -> str:
        """Why the newest status is not on the disk, empty while it is; for a person."""
        return self._complaint

    def close(self) -> None:
        """Write what is pending and end, unless the disk hangs."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        self._thread.join(_CLOSE_PATIENCE_S)

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._pending or self._is_closing)
                status, self._pending = self._pending, None
            if status is None:
                return
            self._write(status)

    def _write(self, status: Mapping[str, Any]) -> None:
        try:
            write_status_file(self._path, status)
        except OSError as error:
            if not self._complaint:
                structlog.get_logger().warning(
                    "status not saved", path=str(self._path), error=str(error)
                )
            self._complaint = (
                f"{self._path} cannot be written ({error.strerror}), so a restart "
                "would not know what happened since; free space there"
            )
        else:
            self._complaint = ""


def _read_shared(runtime: Path) -> dict[str, Any] | None:
    """Return the status in shared memory; None where it is there and unreadable."""
    path = runtime / "status"
    if not is_of_this_boot(runtime) or not path.exists():
        return {}
    try:
        mailbox = TextMailbox(path, STATUS_CAPACITY)
        try:
            if mailbox.version() == 0:
                return {}
            tree = json.loads(mailbox.read() or "")
        finally:
            mailbox.close()
    except (CellError, OSError, ValueError):
        tree = None
    return tree if isinstance(tree, dict) and tree else None


def _read_saved(path: Path) -> tuple[dict[str, Any], str]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}, ""
    digest, _, body = content.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError("its checksum does not fit")
    record = json.loads(body)
    if record["status"]["state"] not in State.__members__:
        raise ValueError("its state is none that this version knows")
    return dict(record["status"]), str(record["boot_id"])


def _mourn(path: Path, error: Exception) -> LastStatus:
    reason = f"the record of the last run, {path}, cannot be used ({error})"
    with contextlib.suppress(OSError):
        path.replace(path.with_name(path.name + ".damaged"))
    return LastStatus({"state": "ABORTED", "state_reason": reason}, reason)


def _stamp(tree: Mapping[str, Any]) -> float:
    stamp = tree.get("stamp_ns")
    return float(stamp) if isinstance(stamp, int | float) else 0.0
