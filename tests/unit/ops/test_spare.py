"""A successor that waits beside a process, with processes of its own."""

import errno
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.typing import EventDict

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


def poll_until_said(bench: HostBench, event: str) -> EventDict:
    """Poll until the host logs an event; return the line."""
    with structlog.testing.capture_logs() as lines:
        bench.poll_until(lambda: any(line["event"] == event for line in lines))
    return next(line for line in lines if line["event"] == event)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_spare_takes_over_and_the_next_one_waits(
    bench: HostBench, number: signal.Signals
) -> None:
    first = bench.start()
    spare = wait_for_spare(bench)

    os.kill(first, number)
    bench.poll_until(lambda: bench.child.restarts == 1)

    assert bench.start() == spare
    poll_until_said(bench, "spare process waits")
    assert len(find_spares(bench.folder) - {spare}) == 1


def test_a_spare_beats_for_nobody_before_its_turn(bench: HostBench) -> None:
    first = bench.start()

    # Once it says that it waits, it has done all that it does before its turn.
    poll_until_said(bench, "spare process waits")

    assert len(find_spares(bench.folder)) == 1
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

    assert poll_until_said(bench, "spare process waits")["name"] == bench.child.name


@pytest.fixture
def spare(bench: HostBench) -> Iterator[Spare]:
    made = Spare(bench.spec, bench.child_start)
    yield made
    made.stop()


def tend_until(spare: Spare, condition: Callable[[], bool], now_s: float) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        spare.tend(now_s)
        time.sleep(0.005)


def tend_until_lost(spare: Spare, now_s: float) -> None:
    tend_until(spare, lambda: spare.pid is None, now_s)


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


def lose_six(spare: Spare) -> None:
    """Lose six spares at 0, 60 ... 300 s, of those that never live to wait."""
    for turn in range(6):
        assert not spare.is_failing
        spare.tend(60.0 * turn)
        tend_until_lost(spare, 60.0 * turn)


def test_spares_that_never_live_are_tried_at_long_intervals_only(
    bench: HostBench, spare: Spare
) -> None:
    bench.behave(waits=False)

    with structlog.testing.capture_logs() as lines:
        lose_six(spare)
        for now_s in (360.0, 899.0):
            spare.tend(now_s)
            assert spare.pid is None
        spare.tend(901.0)
        tend_until_lost(spare, 901.0)
        spare.tend(1500.0)
        assert spare.pid is None

    assert spare.is_failing
    assert spare.take() is None
    assert len(find_spares(bench.folder)) == 7
    events = [line["event"] for line in lines]
    assert events.count("no spare process can be kept") == 1
    delays_s = [line["delay_s"] for line in lines if "delay_s" in line]
    assert delays_s == [5.0, 10.0, 20.0, 40.0, 60.0, 600.0, 600.0]


def test_a_spare_that_waits_at_last_is_kept_like_any_other(
    bench: HostBench, spare: Spare
) -> None:
    bench.behave(waits=False)
    lose_six(spare)

    bench.behave()
    tend_until(spare, lambda: spare.is_warm, 901.0)
    assert not spare.is_failing

    assert spare.pid is not None
    os.kill(spare.pid, signal.SIGKILL)
    tend_until_lost(spare, 1000.0)
    spare.tend(1006.0)
    assert spare.pid is not None


def test_the_host_complains_for_as_long_as_no_spare_can_be_kept(
    bench: HostBench,
) -> None:
    child = bench.host._children[bench.child.name]
    assert child.spare is not None
    assert bench.host.list_complaints() == []

    child.spare.is_failing = True

    (complaint,) = bench.host.list_complaints()
    assert "no spare of process child can be kept" in complaint
    assert "free memory or descriptors, or restart Cellward" in complaint
    assert complaint.endswith(f" {bench.folder / 'child.out'}")


def fail_with(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("owner", "name", "number"),
    [
        (ChildStart, "start", errno.ENOMEM),
        (socket, "socketpair", errno.EMFILE),
        (socket, "socketpair", errno.ENFILE),
        (socket.socket, "settimeout", errno.ENOBUFS),
    ],
)
def test_a_spare_that_cannot_be_started_is_tried_again(
    spare: Spare, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: int
) -> None:
    before = count_descriptors()

    with monkeypatch.context() as context:
        context.setattr(owner, name, fail_with(number))
        with structlog.testing.capture_logs() as lines:
            spare.tend(100.0)
    assert spare.pid is None
    assert count_descriptors() == before
    assert lines[-1]["exit"] == f"not started: {os.strerror(number)}"

    spare.tend(106.0)
    assert spare.pid is not None


def count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


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
