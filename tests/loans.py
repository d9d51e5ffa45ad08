"""Lends addresses and ports of loopback, each to one test of this machine at a time.

Two suites, or two workers of one, may run side by side. What is lent is claimed in a
place that all of them see, and given back by the kernel when the borrower ends.
"""

import fcntl
import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

_ROBOT_PORT: Final = 30004
_ADDRESSES: Final = range(2, 250)
# Below the range from which the kernel takes the ports of clients: one that was free a
# moment ago may belong to somebody's connection by the time a server wants it.
_PORTS: Final = range(20_000, 32_000)

_claims: list[socket.socket] = []


@contextmanager
def lend_address() -> Iterator[str]:
    """Lend one of 127.0.0.2 to 127.0.0.249, for clients whose ports are fixed."""
    for last in _ADDRESSES:
        address = f"127.0.0.{last}"
        path = Path(tempfile.gettempdir(), f"cellward-test-{address}.lock")
        try:
            lock = path.open("a")
        except OSError:  # it belongs to another user
            continue
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if _is_free(address, _ROBOT_PORT):
                yield address
                return
    raise AssertionError("no free loopback address")


def lend_port() -> int:
    """Lend a TCP port of 127.0.0.1 until this process ends."""
    start = random.SystemRandom().randrange(len(_PORTS))
    for offset in range(len(_PORTS)):
        port = _PORTS[(start + offset) % len(_PORTS)]
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # A name in the kernel's abstract space, as wide as the ports themselves.
            claim.bind(f"\0cellward-test-port-{port}")
        except OSError:
            claim.close()
            continue
        if _is_free("127.0.0.1", port):
            _claims.append(claim)
            return port
        claim.close()
    raise AssertionError("no free port on loopback")


def _is_free(address: str, port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
