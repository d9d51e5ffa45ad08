"""What holds for every test: no leaks, and no network but loopback."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from tests.loans import lend_address, lend_port

settings.register_profile(
    "cellward",
    deadline=None,  # the machine is shared
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("cellward")


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the checkout."""
    return Path(__file__).resolve().parent.parent


# --- leaks -------------------------------------------------------------------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if pytest_asyncio.is_async_test(item) and isinstance(item, pytest.Function):
            item.fixturenames.insert(0, "no_leaked_tasks")


@pytest_asyncio.fixture
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail an asynchronous test that leaves a task running."""
    before = asyncio.all_tasks()
    yield
    for _ in range(10):  # let what was cancelled end
        await asyncio.sleep(0)
    mine = asyncio.current_task()
    left = [task for task in asyncio.all_tasks() - before if task is not mine]
    names = sorted(task.get_name() for task in left)
    for task in left:
        task.cancel()
    if names:
        pytest.fail(f"the test left tasks running: {names}")


@pytest.fixture(autouse=True)
def no_leaked_processes() -> Iterator[None]:
    """Fail a test that leaves a child process behind, and end that process."""
    before = set(_read_children())
    yield
    left = _wait_until_empty(
        lambda: {pid: x for pid, x in _read_children().items() if pid not in before}
    )
    for pid in left:
        _end_child(pid)
    if left:
        pytest.fail(f"the test left child processes: {sorted(left.values())}")


@pytest.fixture(autouse=True)
def no_leaked_threads() -> Iterator[None]:
    """Fail a test that leaves a thread which would keep the interpreter alive."""
    before = set(threading.enumerate())
    yield
    left = _wait_until_empty(
        lambda: {
            id(thread): thread.name
            for thread in threading.enumerate()
            if thread not in before and not thread.daemon
        }
    )
    if left:
        pytest.fail(f"the test left threads running: {sorted(left.values())}")


def _wait_until_empty(read: Callable[[], dict[int, str]]) -> dict[int, str]:
    deadline_s = time.monotonic() + 2.0
    pause = threading.Event()
    while (left := read()) and time.monotonic() < deadline_s:
        pause.wait(0.02)
    return left


def _read_children() -> dict[int, str]:
    """Return the command lines of the living direct children, by process id."""
    children = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            pids = (task / "children").read_text().split()
        except OSError:  # the thread has just ended, or the kernel has no such file
            continue
        for pid in pids:
            command = _read_command(int(pid))
            # Python's own, for shared semaphores; it lives as long as we do.
            if command and "resource_tracker" not in command:
                children[int(pid)] = command
    return children


def _read_command(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
        # Empty for one that has ended, and for one about to become its program.
        status = "" if command else Path(f"/proc/{pid}/status").read_text()
    except OSError:  # ended meanwhile
        return ""
    return command or ("" if "State:\tZ" in status else f"process {pid}")


def _end_child(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        return


# --- network -----------------------------------------------------------------------


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections that would leave the machine."""

    def guarded(original: Callable[..., Any]) -> Callable[..., Any]:
        def connect(connection: socket.socket, address: Any) -> Any:
            if connection.family in (socket.AF_INET, socket.AF_INET6):
                host = str(address[0])
                if not (host.startswith("127.") or host in ("localhost", "::1")):
                    raise OSError(f"tests stay on loopback; refused {host}")
            return original(connection, address)

        return connect

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))


@pytest.fixture
def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that no other test of this machine uses."""
    return lend_port()


@pytest.fixture
def loopback_address() -> Iterator[str]:
    """Lend a loopback address, for clients whose ports are fixed."""
    with lend_address() as address:
        yield address


# --- files -------------------------------------------------------------------------


@pytest.fixture
def runtime_directory(tmp_path: Path) -> Path:
    """Return an empty folder for mailboxes and sockets, private to the test."""
    directory = tmp_path / "runtime"
    directory.mkdir(mode=0o700)
    return directory
