"""Reads the configuration file once, if only the right people can have written it."""

import os
import stat
from pathlib import Path

from cell.contracts.errors import ConfigError, ConfigPermissionsError
from ops.strict_yaml import MAX_BYTES


def read_config_file(path: Path) -> bytes:
    """Return the file's content, at most one byte more than the size limit.

    A symbolic link is followed; owner and mode are those of its target, taken from
    the open file so that what is checked is what is read.

    Raises:
        ConfigError: there is no such file.
        ConfigPermissionsError: it cannot be read, or others may change it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no such file; name one with --config"
        ) from None
    except OSError as error:
        raise ConfigPermissionsError(
            f"{path}: cannot be read ({error.strerror}); check its owner and mode"
        ) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{path}: is not a file; name one with --config")
        _check_writers(path, status)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_BYTES + 1)
    finally:
        os.close(descriptor)


def _check_writers(path: Path, status: os.stat_result) -> None:
    if status.st_mode & stat.S_IWOTH:
        raise ConfigPermissionsError(
            f"{path}: everybody may write it; take that right away: chmod o-w {path}"
        )
    if os.geteuid() == 0 and status.st_uid not in _trusted_owners():
        raise ConfigPermissionsError(
            f"{path}: belongs to user {status.st_uid}, but this runs as root;"
            f" give it to root: chown root {path}"
        )


def _trusted_owners() -> set[int]:
    owners = {0}
    # Set by sudo, which only root can be behind: the person who asked for root.
    caller = os.environ.get("SUDO_UID", "")
    if caller.isdecimal():
        owners.add(int(caller))
    return owners
