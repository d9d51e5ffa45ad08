"""The empty loop that servo lateness is compared with."""

import os

import pytest

from ops.processes.priority import request_priority
from ops.timer_floor import measure_timer_floor


def test_the_empty_loop_counts_what_it_slept_and_keeps_our_own_priority() -> None:
    policy = os.sched_getscheduler(0)

    floor = measure_timer_floor(period_s=0.002, duration_s=0.1)

    assert 0.0 <= floor.late_ratio <= 1.0
    assert floor.longest_gap_s >= 0.001
    assert floor.scheduler in ("fifo", "nice", "normal")
    assert os.sched_getscheduler(0) == policy


def test_a_refused_priority_is_said_with_the_name_of_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("not allowed")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(os, "setpriority", refuse)

    assert request_priority("virtual world", 30, -10) == "normal"
    assert "virtual world: no permission" in capsys.readouterr().err
