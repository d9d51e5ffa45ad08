"""Where shared memory, sockets, logs and counters of one controller live."""

import os
import stat
from pathlib import Path

from cell.contracts.errors import ConfigError, StorageError

_MARK = ".cellward"
_KEPT = ("lock", _MARK)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


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
    """Create a private folder; for the host alone, at its start.

    Raises:
        StorageError: it cannot be created or written, with the reason.
    """
    probe = path / ".probe"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"x" * 4096)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"folder {path} cannot be written: {error.strerror}; free space there or "
            "set runtime.directory / runtime.state_directory to another folder"
        ) from error
    return path


def open_runtime_directory(configured: str) -> Path:
    """Create the folder for shared memory, or make sure that it is ours alone.

    Raises:
        ConfigError: it belongs to somebody else, others may enter it, or it holds
            files that are not this program's.
        StorageError: it cannot be created or written.
    """
    path = compute_runtime_directory(configured)
    try:
        path.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        _check_private(path)
        _check_contents(path, is_own_name=not configured)
    except OSError:
        pass  # said in full below
    make_directory(path)
    (path / _MARK).touch(mode=0o600)
    return path


def clear_stale(runtime: Path) -> None:
    """Delete what an earlier controller left; only for the holder of the lock."""
    for path in runtime.iterdir():
        if path.name not in _KEPT and (path.is_file() or path.is_socket()):
            path.unlink()
    (runtime / _MARK).write_text(read_boot_id(), encoding="ascii")


def is_of_this_boot(runtime: Path) -> bool:
    """Say whether a controller has used this folder since the machine started."""
    try:
        mark = (runtime / _MARK).read_text("ascii")
    except (OSError, ValueError):
        return False
    return bool(mark) and mark == read_boot_id()


def read_boot_id() -> str:
    """Return what differs after every start of the machine, empty when unknown."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""


def _check_private(path: Path) -> None:
    # Anybody may make a folder of a known name in /dev/shm before we do.
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise ConfigError(
            f"runtime directory {path} is a link or a file; remove it, or set "
            "runtime.directory to another folder"
        )
    if status.st_uid != os.geteuid():
        raise ConfigError(
            f"runtime directory {path} belongs to user {status.st_uid}; remove it, or "
            "set runtime.directory to another folder"
        )
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise ConfigError(
            f"runtime directory {path} is open to others; close it: chmod 700 {path}"
        )


def _check_contents(path: Path, *, is_own_name: bool) -> None:
    if is_own_name or (path / _MARK).exists():
        return
    # Everything in it is deleted at every start.
    if any(path.iterdir()):
        raise ConfigError(
            f"runtime.directory {path} holds files that are not this program's; name "
            "an empty folder"
        )
