"""What a killed host leaves behind, and who may start beside it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ops.controller_lock import find_lock_holders, lock_robot, lock_runtime
from ops.exit_codes import AlreadyRunningError
from tests.loans import lend_address

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 20.0


def run_dying_host(folder: Path, moment: str) -> int:
    """Let a host start a child and be killed; return the child's process id."""
    host = subprocess.run(
        [sys.executable, "-m", "tests.fakes.dying_host", str(folder), moment],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        timeout=PATIENCE_S,
        check=False,
    )
    assert host.returncode == -signal.SIGKILL
    return int(host.stdout)


def has_ended(pid: int) -> bool:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("moment", ["early", "running", "stopped"])
def test_a_child_never_outlives_its_host(tmp_path: Path, moment: str) -> None:
    pid = run_dying_host(tmp_path, moment)

    assert has_ended(pid)
    with lock_runtime(tmp_path):
        pass


def test_a_process_whose_host_is_gone_ends_before_it_runs(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ops.processes.launch",
        "1",
        "15",
        "no.such.module",
    ]

    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, timeout=PATIENCE_S, check=False
    )

    assert ended.returncode == 128 + signal.SIGTERM
    assert ended.stderr == b""


def test_the_lock_lasts_as_long_as_any_process_of_the_cell(tmp_path: Path) -> None:
    pid = run_dying_host(tmp_path, "deaf")

    try:
        assert find_lock_holders(tmp_path / "lock") == {str(pid)}
        with (
            pytest.raises(AlreadyRunningError, match=f"kill -9 {pid}"),
            lock_runtime(tmp_path, wait_s=0.0),
        ):
            pass
    finally:
        os.kill(pid, signal.SIGKILL)

    assert has_ended(pid)
    with lock_runtime(tmp_path, wait_s=PATIENCE_S):
        pass


def test_a_living_controller_is_named_at_once(tmp_path: Path) -> None:
    with (
        lock_runtime(tmp_path),
        pytest.raises(AlreadyRunningError, match=rf"process {os.getpid()}\)"),
        lock_runtime(tmp_path, wait_s=3600.0),
    ):
        pass


def test_a_robot_has_one_controller_whatever_folders_they_use(
    loopback_address: str,
) -> None:
    host = loopback_address
    with lend_address() as other, lock_robot(host):
        with (
            pytest.raises(AlreadyRunningError, match=f"process {os.getpid()} of user"),
            lock_robot(host, wait_s=3600.0),
        ):
            pass
        with lock_robot(other):
            pass
    with lock_robot(host):
        pass


def test_a_robot_is_the_same_by_name_and_by_number(
    loopback_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostbyname", lambda _name: loopback_address)
    with (
        lock_robot("robot.plant"),
        pytest.raises(AlreadyRunningError),
        lock_robot(loopback_address),
    ):
        pass
