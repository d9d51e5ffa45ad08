"""Starts the virtual UR controller as a process of its own, as the clients need it."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.loans import lend_address

REPOSITORY = Path(__file__).resolve().parents[2]
_DASHBOARD_PORT = 29999


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
        address = host or scope.enter_context(lend_address())
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


def _wait_until_it_listens(host: str, process: "subprocess.Popen[bytes]") -> None:
    def is_listening() -> bool:
        with closing(socket.socket()) as probe:
            answers = probe.connect_ex((host, _DASHBOARD_PORT)) == 0
        assert process.poll() is None, "the controller ended at start"
        return answers

    assert wait_until(is_listening, 20.0), "the controller does not listen"
