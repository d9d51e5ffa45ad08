"""Where shared memory, sockets, logs and counters of one controller live."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.exit_codes import AlreadyRunningError, StorageError


def compute_runtime_directory(configured: str) -> Path:
    """Return the folder for shared memory; one for each user of a machine.

    It does not depend on the configuration file, so that two controllers started by
    one user meet at the same lock whatever files they read.
    """
    if configured:
        return Path(configured)
    memory = Path("/dev/shm")  # noqa: S108  (a tmpfs is the point)
    root = memory if memory.is_dir() else Path("/run")
    return root / f"cellward-{os.getuid()}"


def compute_state_directory(configured: str) -> Path:
    """Return the folder for what outlives a restart, by the XDG convention."""
    if configured:
        return Path(configured)
    base = os.environ.get("XDG_STATE_HOME", "")
    root = Path(base) if base else Path.home() / ".local" / "state"
    return root / "cellward"


def make_directory(path: Path) -> Path:
    """Create a private folder.

    Raises:
        StorageError: it cannot be created or written, with the reason.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = path / ".probe"
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
    except OSError as error:
        raise StorageError(
            f"folder {path} cannot be written: {error.strerror}; free space there or "
            "set runtime.directory / runtime.state_directory to another folder"
        ) from error
    return path


@contextmanager
def lock_runtime(path: Path) -> Iterator[None]:
    """Hold the controller's lock; the kernel releases it when the process dies.

    Raises:
        AlreadyRunningError: another controller of this user holds it.
    """
    with (path / "lock").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise AlreadyRunningError(
                f"another controller is running (process {owner}); stop it first, or "
                "give this one its own runtime.directory and its own robot"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
