"""Reads the configuration file once, if only the right people can have written it."""

import grp
import os
import pwd
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
    if status.st_mode & stat.S_IWGRP and not _is_private_group(status):
        raise ConfigPermissionsError(
            f"{path}: its group may write it; take that right away: chmod g-w {path}"
        )
    _check_owner(path, status.st_uid)
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        # With the sticky bit, others cannot put a file of theirs in its place.
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise ConfigPermissionsError(
                f"{path}: everybody may replace it, for {folder} is open to all; take"
                f" that right away: chmod o-w {folder}"
            )


def _check_owner(path: Path, owner: int) -> None:
    if os.geteuid() != 0:
        if owner not in {0, os.geteuid()}:
            raise ConfigPermissionsError(
                f"{path}: belongs to user {owner}; give it to root or to the user that"
                f" runs the cell: chown {os.geteuid()} {path}"
            )
    elif owner not in _trusted_owners():
        raise ConfigPermissionsError(
            f"{path}: belongs to user {owner}, but this runs as root;"
            f" give it to root: chown root {path}"
        )


def _is_private_group(status: os.stat_result) -> bool:
    """Say whether the owner is alone in the file's group.

    Many distributions give each user such a group and let it write new files.
    """
    try:
        owner = pwd.getpwuid(status.st_uid)
        members = set(grp.getgrgid(status.st_gid).gr_mem)
    except KeyError:
        return False
    members |= {u.pw_name for u in pwd.getpwall() if u.pw_gid == status.st_gid}
    return members == {owner.pw_name}


def _trusted_owners() -> set[int]:
    owners = {0}
    # Set by sudo, which only root can be behind: the person who asked for root.
    caller = os.environ.get("SUDO_UID", "")
    if caller.isdecimal():
        owners.add(int(caller))
    return owners
