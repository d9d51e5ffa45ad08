"""Starts the virtual UR controller as a process of its own, as the clients need it."""

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_RTDE_PORT, _DASHBOARD_PORT = 30004, 29999


@dataclass
class VirtualUr:
    """A running controller.

    Attributes:
        host: its address.
        runtime: its runtime directory.
        process: the process itself.
    """

    host: str
    runtime: Path
    process: "subprocess.Popen[bytes]"


def start_virtual_ur(
    directory: Path, host: str, *options: str
) -> "subprocess.Popen[bytes]":
    """Start a controller; the caller waits for it and reaps it."""
    command = [
        *(sys.executable, "-m", "sim2real.virtual_cell.ur"),
        *("--config", str(REPOSITORY / "config.yaml")),
        *("--runtime", str(directory / "runtime")),
        *("--host", host),
        *options,
    ]
    environment = {**os.environ, "XDG_STATE_HOME": str(directory / "state")}
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE
    )


@contextmanager
def running_virtual_ur(
    directory: Path, *options: str, host: str | None = None
) -> Iterator[VirtualUr]:
    """Run a controller until the end of the scope, then reap it.

    Args:
        directory: for its runtime and state.
        options: further arguments of the process.
        host: its address; a free one when left out, held until the scope ends.
    """
    with contextlib.ExitStack() as scope:
        address = host or scope.enter_context(_lend_address())
        process = start_virtual_ur(directory, address, *options)
        try:
            _wait_until_it_listens(address, process)
            yield VirtualUr(address, directory / "runtime", process)
        finally:
            process.terminate()
            try:
                _, spoken = process.communicate(timeout=5.0)
            except subprocess.TimeoutExpired:
                process.kill()
                _, spoken = process.communicate()
            sys.stderr.write(spoken.decode())


def wait_until(condition: Callable[[], object], timeout_s: float = 3.0) -> bool:
    """Poll until the condition is true or the time is over; return the last answer."""
    deadline = time.monotonic() + timeout_s
    while not (found := bool(condition())) and time.monotonic() < deadline:
        time.sleep(0.002)
    return found


@contextmanager
def _lend_address() -> Iterator[str]:
    """Lend a loopback address that no other test of this machine uses now.

    The clients have the ports built in, so controllers differ by address.
    """
    for last in range(10, 250):
        address = f"127.0.0.{last}"
        path = Path(tempfile.gettempdir(), f"cellward-test-{address}.lock")
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if _is_free(address):
                yield address
                return
    raise AssertionError("no free loopback address")


def _is_free(address: str) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, _RTDE_PORT))
        except OSError:
            return False
    return True


def _wait_until_it_listens(host: str, process: "subprocess.Popen[bytes]") -> None:
    def is_listening() -> bool:
        with closing(socket.socket()) as probe:
            answers = probe.connect_ex((host, _DASHBOARD_PORT)) == 0
        assert process.poll() is None, "the controller ended at start"
        return answers

    assert wait_until(is_listening, 20.0), "the controller does not listen"
