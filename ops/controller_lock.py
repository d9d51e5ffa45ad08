"""What keeps two controllers from one runtime directory and from one robot.

Both locks belong to open descriptors that every process of the cell inherits: they last
until the last of them has ended, not only as long as the host.
"""

import contextlib
import fcntl
import ipaddress
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ops.exit_codes import AlreadyRunningError

_WAIT_S = 15.0
"""For the processes of a host that has just been killed: they bring the arm to rest,
and the kernel ends one that hangs (`ops.processes.bond.HANG_S`)."""
_LOOK_S = 0.1
_UCRED = struct.Struct("3i")
_pause = time.sleep  # noqa: TID251  (before anything else runs)


@contextmanager
def lock_runtime(path: Path, wait_s: float = _WAIT_S) -> Iterator[int]:
    """Hold the lock of a runtime directory; yields its descriptor, to be inherited.

    Raises:
        AlreadyRunningError: another controller of this user holds it, or processes of
            an earlier one still do after the wait.
    """
    path = path / "lock"
    with path.open("a+", encoding="ascii") as file:
        _repeat(lambda: _try_file(file, path), wait_s)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()


@contextmanager
def lock_robot(host: str, wait_s: float = _WAIT_S) -> Iterator[int]:
    """Hold the lock of a robot's address, across all users of this machine.

    It is a name in the kernel's abstract socket space, so there is no file to own and
    nothing to clean up. Yields the descriptor, to be inherited.

    Raises:
        AlreadyRunningError: a controller on this machine has this robot.
    """
    name = f"\0cellward-robot-{_canonical(host)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as holder:
        _repeat(lambda: _try_name(holder, name, host), wait_s)
        holder.listen(64)
        yield holder.fileno()


class _TakenError(AlreadyRunningError):
    """Somebody has the lock; `is_alive` tells a host from what it left behind."""

    def __init__(self, sentence: str, *, is_alive: bool) -> None:
        super().__init__(sentence)
        self.is_alive = is_alive


def _repeat(attempt: Callable[[], None], wait_s: float) -> None:
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            return attempt()
        except _TakenError as error:
            if error.is_alive or time.monotonic() >= deadline_s:
                raise
        _pause(_LOOK_S)


def _try_file(file: IO[str], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip()
        holders = find_lock_holders(path)
        if not holders or owner in holders:
            raise _TakenError(
                f"another controller is running (process {owner or 'unknown'}); stop "
                "it first, or give this one its own runtime.directory and its own "
                "robot",
                is_alive=bool(holders),
            ) from None
        raise _TakenError(
            "the host of another controller is gone, but not all of its processes; "
            f"end them: kill -9 {' '.join(sorted(holders))}",
            is_alive=False,
        ) from None


def find_lock_holders(path: Path) -> set[str]:
    """Return the process ids that hold the lock of a file, as far as we may see."""
    holders = set()
    target = str(path.resolve())
    for folder in Path("/proc").glob("[0-9]*/fd"):
        # Processes come and go, and those of others are none of our business.
        with contextlib.suppress(OSError):
            for link in folder.iterdir():
                if _holds(link, target):
                    holders.add(folder.parent.name)
    return holders


def _holds(link: Path, target: str) -> bool:
    with contextlib.suppress(OSError):
        if str(link.readlink()) == target:
            facts = link.parent.parent / "fdinfo" / link.name
            return "FLOCK" in facts.read_text()
    return False


def _try_name(holder: socket.socket, name: str, host: str) -> None:
    try:
        holder.bind(name)
    except OSError:
        owner = _read_owner(name)
        raise _TakenError(
            f"another controller is running: {owner or 'an unknown process'} has the "
            f"robot at {host}; stop it first",
            is_alive=bool(owner),
        ) from None


def _read_owner(name: str) -> str:
    """Return process and user that took a name, empty when they are gone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.setblocking(False)  # noqa: FBT003  (the library's signature)
        try:
            caller.connect(name)
            facts = caller.getsockopt(
                socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size
            )
        except OSError:
            return ""
    pid, user, _ = _UCRED.unpack(facts)
    return f"process {pid} of user {user}" if Path(f"/proc/{pid}").exists() else ""


def _canonical(host: str) -> str:
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError:
        pass
    try:
        return socket.gethostbyname(host)
    except OSError:
        return host.lower()
