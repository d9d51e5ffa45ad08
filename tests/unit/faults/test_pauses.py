"""A pause is judged over all of its time, also when the thread stood late."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from cell.contracts.servo import HoldReason, MotionMode
from sim2real.faults.arm_trace import Sample
from sim2real.faults.stand import Stand
from tests.stress import injection_kinds
from tests.stress.injection_judging import Injection
from tests.stress.injection_kinds import PAUSE_S, pause_supervisor
from tests.stress.injections import BARS_MS, NOISY_STALE_MS, find_misses
from tests.stress.servo_trace import CycleSample, OrderSample

MS = 1_000_000
LATE_MS = 100
"""So long the thread runs on after it was told to stand."""


def make_trace(onset_ns: int, moving_ms: int) -> Any:
    """An arm that is ordered to move for so long after the thread stood at last."""
    stood_ns = onset_ns + LATE_MS * MS
    orders = [OrderSample(stood_ns, stood_ns, 7, MotionMode.MOVE_JOINT)]
    hold = HoldReason.COMMAND_STALE
    cycles = [CycleSample(stood_ns + 60 * MS, hold, 7, np.zeros(6), 0)]
    rest = LATE_MS + moving_ms
    samples = [
        Sample(
            onset_ns + number * MS,
            min(number, rest) * 1e-3 * np.eye(6)[0],
            float(number <= rest),
        )
        for number in range(-5, LATE_MS + int(PAUSE_S * 1e3) + 50)
    ]
    return SimpleNamespace(
        servo=SimpleNamespace(cycles=cycles, orders=orders),
        arm=SimpleNamespace(targets=samples, states=samples),
    )


def pause_once(monkeypatch: pytest.MonkeyPatch, moving_ms: int) -> Injection:
    onset_ns = 1_000 * MS

    @contextmanager
    def record(_stand: object) -> Iterator[Any]:
        yield make_trace(onset_ns, moving_ms)

    clock = SimpleNamespace(sleep=lambda _s: None, monotonic_ns=lambda: onset_ns)
    monkeypatch.setattr(injection_kinds, "time", clock)
    monkeypatch.setattr(injection_kinds, "wait_for_moment", lambda *_: None)
    monkeypatch.setattr(injection_kinds, "record", record)
    monkeypatch.setattr(
        injection_kinds, "freeze_main_thread", lambda *_: onset_ns + LATE_MS * MS
    )
    stand = cast("Stand", SimpleNamespace(pid_of=lambda _name: 1))
    found = pause_supervisor(stand, random.Random(0))
    assert isinstance(found, Injection)
    return found


@pytest.mark.parametrize("moving_ms", [150, 250, 310])
def test_a_rest_is_timed_to_the_end_of_a_pause_that_began_late(
    monkeypatch: pytest.MonkeyPatch, moving_ms: int
) -> None:
    found = pause_once(monkeypatch, moving_ms)

    assert found.times_ms["rest_ms"] == pytest.approx(moving_ms, abs=1.5)
    assert bool(find_misses([found], BARS_MS)) is (moving_ms > BARS_MS["rest_ms"])


def test_an_arm_that_nothing_stops_is_a_miss_on_a_noisy_machine_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped, unstopped = (pause_once(monkeypatch, ms) for ms in (250, 1_000))

    assert find_misses([stopped, unstopped], NOISY_STALE_MS) == [unstopped]
