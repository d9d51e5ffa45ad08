"""The process host, with processes of its own."""

import errno
import fcntl
import math
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cell.mailbox.beats import Beats
from ops.child_signals import ChildSignals, is_stopped
from ops.child_start import ChildStart
from ops.exit_codes import ExitCode
from ops.process_table import ProcessSpec
from tests.fakes.child_process import NAME
from tests.fakes.host_bench import PATIENCE_S, HostBench, open_host_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[HostBench]:
    with open_host_bench(tmp_path) as made:
        yield made


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_child_that_ends_or_is_stopped_shows_no_life_sign_and_starts_anew(
    bench: HostBench, number: signal.Signals
) -> None:
    pid = bench.start()

    os.kill(pid, number)
    bench.poll_until(lambda: not bench.is_beating())
    bench.poll_until(lambda: bench.child.restarts == 1)
    assert bench.child.last_exit == "signal SIGKILL"
    assert bench.start() != pid


def test_a_signal_without_a_name_is_an_end_like_any_other(bench: HostBench) -> None:
    pid = bench.start()

    os.kill(pid, signal.SIGRTMIN + 6)
    bench.poll_until(lambda: bench.child.restarts == 1)

    assert bench.child.last_exit == f"signal {signal.SIGRTMIN + 6}"
    assert not bench.beats.is_given_up(NAME)


def test_a_child_that_cannot_be_started_is_tried_again(
    bench: HostBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def have_no_memory(_start: ChildStart, _spec: ProcessSpec) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    with monkeypatch.context() as context:
        context.setattr(ChildStart, "start", have_no_memory)
        bench.host.poll()
    assert bench.child.last_exit == "not started: Cannot allocate memory"

    bench.start()


def test_a_child_that_falls_silent_is_ended_and_starts_anew(bench: HostBench) -> None:
    bench.behave(beats=3)
    bench.start()
    bench.behave()

    bench.poll_until(lambda: bench.child.restarts == 1)

    assert bench.child.last_exit == "signal SIGKILL"
    bench.start()


def test_a_child_that_dies_too_often_stays_down(bench: HostBench) -> None:
    bench.behave(beats=1, exit_code=1)

    bench.poll_until(lambda: bench.child.is_down)

    assert bench.child.restarts == 3
    assert bench.beats.is_given_up(NAME)
    assert not bench.is_beating()
    assert bench.child.last_exit == "exit code 1"
    assert bench.child.pid is None
    assert bench.child.refusal is None


@pytest.mark.parametrize("code", [ExitCode.CONFIG, ExitCode.MODEL, ExitCode.STORAGE])
def test_a_child_that_refuses_for_good_is_not_started_again(
    bench: HostBench, code: ExitCode
) -> None:
    bench.behave(beats=0, exit_code=int(code))

    bench.poll_until(lambda: bench.child.is_down)

    assert bench.child.restarts == 1
    assert bench.child.refusal is not None
    assert bench.child.refusal.code is code
    assert bench.child.refusal.sentence == "that will never do"


def test_a_child_that_has_just_ended_counts_as_not_stopped() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    assert not is_stopped(pid)
    os.waitpid(pid, 0)


def test_a_child_starts_although_its_output_has_no_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    start = ChildStart(tmp_path, "", tmp_path, log_directory=tmp_path / "file")

    child = start.start(ProcessSpec(NAME, "no.such.module", 1.0))

    assert child.wait(PATIENCE_S) == 1
    assert start.read_last_words(NAME) == ""


def test_a_claimed_life_sign_is_never_waited_for(tmp_path: Path) -> None:
    mine, other = (Beats.open(tmp_path / "beats") for _ in range(2))
    mine.claim(NAME)
    # As a child does that was stopped while it claimed a slot of its own.
    with (tmp_path / "beats").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        other.beat(NAME, 1)
        assert mine.age_s(NAME, 1_000_000_001) == 1.0
        assert math.isinf(mine.age_s("unknown", 1))
        mine.forget(NAME)
        other.forget("unknown")
        assert math.isinf(other.age_s(NAME, 1))
    mine.close()
    other.close()


def test_a_child_that_ignores_the_request_to_end_is_killed(bench: HostBench) -> None:
    bench.behave(is_deaf=True)
    pid = bench.start()

    bench.host.stop(time.sleep)

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    bench.host.poll()
    assert bench.child.pid is None


def test_the_end_of_a_child_wakes_the_host(bench: HostBench) -> None:
    pid = bench.start()

    with ChildSignals() as children:
        started_s = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        children.wait(PATIENCE_S)

    assert time.monotonic() - started_s < PATIENCE_S / 2
