"""What is asked of the kernel, and what is done when it refuses."""

import os
import time

import pytest

from cell.servo import realtime


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for the kernel, so that the tests keep their own priority."""
    asked: list[str] = []
    monkeypatch.setattr(os, "sched_setscheduler", lambda *_: asked.append("fifo"))
    monkeypatch.setattr(os, "setpriority", lambda *_: asked.append("nice"))
    monkeypatch.setattr(realtime, "_lock_memory", lambda: True)
    return asked


def refuse(*_: object) -> None:
    raise PermissionError("not allowed")


def test_real_time_priority_is_asked_for_first(kernel: list[str]) -> None:
    granted = realtime.request_scheduling(0.002)

    assert kernel == ["fifo"]
    assert (granted.level, granted.period_s, granted.warning) == (0, 0.002, "")


def test_without_it_a_better_nice_value_is_taken(
    kernel: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_setscheduler", refuse)

    granted = realtime.request_scheduling(0.002)

    assert kernel == ["nice"]
    assert (granted.level, granted.period_s) == (1, 0.002)
    assert "CAP_SYS_NICE" in granted.warning


def test_without_either_the_loop_slows_down_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(os, "setpriority", refuse)
    monkeypatch.setattr(realtime, "_lock_memory", lambda: False)

    granted = realtime.request_scheduling(0.002)

    assert (granted.level, granted.period_s) == (2, 0.008)
    assert "the control period is 8 ms" in granted.warning
    assert "CAP_IPC_LOCK" in granted.warning


def test_a_sleep_ends_at_its_deadline_or_after() -> None:
    deadline_ns = time.monotonic_ns() + 3_000_000

    realtime.sleep_until_ns(deadline_ns)

    assert time.monotonic_ns() >= deadline_ns


def test_a_deadline_in_the_past_does_not_sleep() -> None:
    realtime.sleep_until_ns(1)
