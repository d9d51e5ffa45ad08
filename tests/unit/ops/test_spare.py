"""A successor that waits beside a process, with processes of its own."""

import errno
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from ops.child_start import ChildStart
from ops.spare import Spare
from tests.fakes.child_process import NAME
from tests.fakes.host_bench import PATIENCE_S, HostBench, open_host_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[HostBench]:
    with open_host_bench(tmp_path, has_spare=True) as made:
        yield made


def find_spares(folder: Path) -> set[int]:
    """Return the process ids of all that ever waited as a spare."""
    return {int(path.name.split("-")[1]) for path in folder.glob("spare-*")}


def wait_for_spare(bench: HostBench, *but: int) -> int:
    """Return the process id of a spare that waits, and is none of these."""
    bench.poll_until(lambda: bool(find_spares(bench.folder) - set(but)))
    (pid,) = find_spares(bench.folder) - set(but)
    return pid


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_spare_takes_over_and_the_next_one_waits(
    bench: HostBench, number: signal.Signals
) -> None:
    first = bench.start()
    spare = wait_for_spare(bench)

    os.kill(first, number)
    bench.poll_until(lambda: bench.child.restarts == 1)

    assert bench.start() == spare
    assert wait_for_spare(bench, spare) != first


def test_a_spare_beats_for_nobody_before_its_turn(bench: HostBench) -> None:
    first = bench.start()
    wait_for_spare(bench)

    assert bench.beats.read_pid(bench.child.name) == first
    assert bench.child.restarts == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_without_a_living_spare_the_process_starts_as_ever(
    bench: HostBench, number: signal.Signals
) -> None:
    first = bench.start()
    spare = wait_for_spare(bench)

    # Both at once: the host has not looked in between.
    os.kill(spare, number)
    os.kill(first, signal.SIGKILL)
    bench.poll_until(lambda: bench.child.restarts == 1)

    assert bench.start() not in {first, spare}


def test_the_record_says_when_a_spare_is_ready(bench: HostBench) -> None:
    bench.start()
    with structlog.testing.capture_logs() as lines:
        wait_for_spare(bench)
        bench.poll_until(
            lambda: any(line["event"] == "spare process waits" for line in lines)
        )

    assert lines[-1]["name"] == bench.child.name


@pytest.fixture
def spare(bench: HostBench) -> Iterator[Spare]:
    made = Spare(bench.spec, bench.child_start)
    yield made
    made.stop()


def tend_until_lost(spare: Spare, now_s: float) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while spare.pid is not None:
        assert time.monotonic() < deadline_s
        spare.tend(now_s)
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_spare_that_is_lost_is_replaced_after_a_while(
    spare: Spare, number: signal.Signals
) -> None:
    spare.tend(100.0)
    lost = spare.pid
    assert lost is not None

    os.kill(lost, number)
    tend_until_lost(spare, 101.0)
    assert not Path(f"/proc/{lost}").exists()

    spare.tend(105.9)
    assert spare.pid is None
    spare.tend(106.1)
    assert spare.pid not in {None, lost}


def test_spares_that_never_live_are_given_up(bench: HostBench, spare: Spare) -> None:
    bench.behave(waits=False)

    for turn in range(10):
        spare.tend(60.0 * turn)
        tend_until_lost(spare, 60.0 * turn)

    assert len(find_spares(bench.folder)) == 6
    assert spare.take() is None


def test_a_spare_that_cannot_be_started_is_tried_again(
    spare: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    def have_no_memory(*_: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    with monkeypatch.context() as context:
        context.setattr(ChildStart, "start", have_no_memory)
        spare.tend(100.0)
    assert spare.pid is None

    spare.tend(106.0)
    assert spare.pid is not None


def test_a_spare_takes_its_turn_before_it_is_warm_and_lives_on(
    bench: HostBench, spare: Spare
) -> None:
    spare.tend(100.0)
    process = spare.take()
    assert process is not None

    spare.stop()
    deadline_s = time.monotonic() + PATIENCE_S
    while bench.beats.read_pid(NAME) != process.pid:
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
    assert spare.take() is None

    process.kill()
    process.wait()


def test_no_spare_outlives_the_host(bench: HostBench) -> None:
    bench.start()
    spare = wait_for_spare(bench)

    bench.host.stop(time.sleep)

    assert not Path(f"/proc/{spare}").exists()
    bench.host.poll()
    assert find_spares(bench.folder) == {spare}
