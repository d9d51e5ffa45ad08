"""An ending process is seen from outside, whatever its name."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from cell.drivers.clock import MonotonicClock
from cell.mailbox.beats import Beats
from ops.process_end import is_ending
from ops.processes.shell import ProcessContext
from ops.wiring import _make_find_lost_process

PATIENCE_S = 20.0
BEATING = """
import sys, time
from pathlib import Path
from cell.mailbox.beats import Beats
beats = Beats.open(Path(sys.argv[1]))
beats.beat("policy", time.monotonic_ns())
time.sleep(60)
"""


@pytest.fixture
def child(tmp_path: Path) -> "Iterator[subprocess.Popen[bytes]]":
    odd = tmp_path / "a) Z 1 (b"
    odd.symlink_to(sys.executable)
    child = subprocess.Popen([str(odd), "-I", "-S", "-c", "input()"], stdin=-1)
    yield child
    child.kill()
    child.communicate()


def wait_for(pid: int, *, ends: bool) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while is_ending(pid) is not ends:
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_a_process_that_runs_is_not_ending(
    child: "subprocess.Popen[bytes]",
) -> None:
    assert not is_ending(child.pid)
    assert not is_ending(os.getpid())


def test_one_that_was_stopped_counts_until_it_goes_on(
    child: "subprocess.Popen[bytes]",
) -> None:
    child.send_signal(signal.SIGSTOP)
    wait_for(child.pid, ends=True)

    child.send_signal(signal.SIGCONT)
    wait_for(child.pid, ends=False)


def test_one_that_was_killed_is_ending_before_and_after_its_parent_looks(
    child: "subprocess.Popen[bytes]",
) -> None:
    child.kill()
    wait_for(child.pid, ends=True)
    child.wait()

    assert is_ending(child.pid)


def test_the_supervisor_names_a_process_that_ends_though_the_host_has_not_heard(
    tmp_path: Path,
) -> None:
    beats, clock = Beats.open(tmp_path / "beats"), MonotonicClock()
    context = cast("ProcessContext", type("Context", (), {"beats": beats})())
    find_lost_process = _make_find_lost_process(context, clock)
    beats.beat("camera", clock.now_ns())
    child = subprocess.Popen([sys.executable, "-c", BEATING, str(tmp_path / "beats")])
    deadline_s = time.monotonic() + PATIENCE_S
    while find_lost_process():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert beats.read_pid("policy") == child.pid

    child.kill()
    wait_for(child.pid, ends=True)

    assert find_lost_process() == "policy"
    child.wait()
    assert find_lost_process() == "policy"
    beats.close()
