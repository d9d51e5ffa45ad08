"""Threads that poll are made to look once a period, by the kernel itself."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cell.drivers.arm.polling import (
    PERIOD_NS,
    calm_threads,
    calm_what_starts,
    list_threads,
)


class Poller(threading.Thread):
    """Looks, yields and sleeps for 0.1 ms, as the robot client's threads do."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.looks = 0
        self.must_end = False
        self.start()

    def run(self) -> None:
        while not self.must_end:
            self.looks += 1
            os.sched_yield()
            time.sleep(1e-4)

    def count(self, seconds: float) -> tuple[int, float]:
        """Return how often it looked, and in which time [s]."""
        looks, started_s = self.looks, time.monotonic()
        time.sleep(seconds)
        return self.looks - looks, time.monotonic() - started_s


@contextmanager
def polling() -> Iterator[Poller]:
    poller = Poller()
    try:
        yield poller
    finally:
        poller.must_end = True
        poller.join(5.0)


def raise_priority(thread: int) -> None:
    try:
        os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        # What the kernel makes of a real-time thread cannot be seen without one. As
        # root, so also where this is tested before it is shipped, nothing is skipped.
        pytest.skip("no real-time priority here: allow CAP_SYS_NICE")


def test_a_real_time_thread_that_polls_looks_once_a_period() -> None:
    with polling() as poller:
        assert poller.native_id is not None
        raise_priority(poller.native_id)

        assert not calm_threads([poller.native_id])

        looks, elapsed_s = poller.count(0.3)
        assert 1 <= looks <= elapsed_s * 1e9 / PERIOD_NS + 2


def test_a_thread_that_may_not_run_on_every_core_is_refused_with_the_remedy() -> None:
    if os.cpu_count() == 1:
        # A thread that may run on the only core may run on every core.
        pytest.skip("this machine has one core")
    with polling() as poller:
        assert poller.native_id is not None
        raise_priority(poller.native_id)
        os.sched_setaffinity(poller.native_id, {min(os.sched_getaffinity(0))})

        refusal = calm_threads([poller.native_id])

        assert os.sched_getscheduler(poller.native_id) == os.SCHED_FIFO
    assert "SCHED_DEADLINE is refused (Operation not permitted)" in refusal
    assert "CAP_SYS_NICE" in refusal
    assert "CPUAffinity" in refusal
    assert "one core alone" in refusal


def test_it_may_still_start_threads_and_they_are_normal_ones() -> None:
    # The client connects again in threads of its own, and aborts where it gets none.
    policies: list[int] = []
    is_calm = threading.Event()

    def start_another() -> None:
        is_calm.wait(5.0)
        child = threading.Thread(
            target=lambda: policies.append(os.sched_getscheduler(0))
        )
        child.start()
        child.join()

    parent = threading.Thread(target=start_another)
    parent.start()
    assert parent.native_id is not None
    raise_priority(parent.native_id)
    assert not calm_threads([parent.native_id])
    is_calm.set()
    parent.join(5.0)

    assert policies == [os.SCHED_OTHER]


def test_a_thread_of_normal_priority_is_left_alone() -> None:
    with polling() as poller:
        assert poller.native_id is not None
        assert not calm_threads([poller.native_id])
        assert os.sched_getscheduler(poller.native_id) == os.SCHED_OTHER


def test_a_thread_that_has_ended_is_no_error() -> None:
    ended = threading.Thread(target=lambda: None)
    ended.start()
    ended.join()
    assert ended.native_id is not None
    while Path(f"/proc/self/task/{ended.native_id}").exists():
        time.sleep(0.001)

    assert not calm_threads([ended.native_id])


def test_only_what_starts_inside_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    told: list[str] = []

    def refuse(threads: frozenset[int]) -> str:
        asked.extend(threads)
        return "refused"

    monkeypatch.setattr("cell.drivers.arm.polling.calm_threads", refuse)
    with polling() as before:
        with calm_what_starts(told.append):
            inside = Poller()
        inside.must_end = True

    assert told == ["refused"]
    assert asked == [inside.native_id]
    assert before.native_id not in asked
    assert threading.get_native_id() in list_threads()


def test_who_starts_threads_of_normal_priority_is_told_nothing() -> None:
    told: list[str] = []
    with calm_what_starts(told.append):
        poller = Poller()
    poller.must_end = True
    poller.join(5.0)

    assert told == []
