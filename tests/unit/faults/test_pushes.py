"""A push under which nothing holds is a failure, unless it is shown to have been none.

Judged on traces made by hand.
"""

import random
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from cell.contracts.servo import HoldReason, MotionMode
from sim2real.faults.arm_trace import Sample
from sim2real.faults.stand import Stand, StandError
from tests.stress import injections
from tests.stress.force_tap import ForceTap
from tests.stress.injection_judging import Injection, Push, Void, judge_push
from tests.stress.injections import (
    BARS_MS,
    Storm,
    count_void,
    find_misses,
    run_injections,
    summarise,
)
from tests.stress.servo_trace import CycleSample, OrderSample

MS = 1_000_000
NONE, FORCE, STALE = HoldReason.NONE, HoldReason.TCP_FORCE, HoldReason.COMMAND_STALE
ONSET_NS = 40 * MS
CARRIED = tuple(ONSET_NS + number * 2 * MS for number in range(8))


def make_trace(*stretches: tuple[HoldReason, int, float], target: float = 0.5) -> Any:
    """Stretches of a reason, so many cycles of 2 ms, at a speed of one joint."""
    cycles: list[CycleSample] = []
    q = np.zeros(6)
    for reason, count, speed in stretches:
        for _ in range(count):
            q = q + speed * 0.002 * np.eye(6)[2]
            stamp_ns = (len(cycles) + 1) * 2 * MS
            cycles.append(CycleSample(stamp_ns, reason, 7, q, 0))
    orders = [OrderSample(0, 0, 7, MotionMode.MOVE_JOINT)]
    targets = [Sample(number * MS, np.zeros(6), target) for number in range(300)]
    return SimpleNamespace(
        servo=SimpleNamespace(cycles=cycles, orders=orders),
        arm=SimpleNamespace(targets=targets, states=targets),
    )


def judge(trace: Any, carried_ns: Sequence[int] = CARRIED, slow_ns: int = 0) -> Any:
    return judge_push(trace, Push(ONSET_NS, 300 * MS, tuple(carried_ns)), slow_ns)


FOLLOWED = make_trace((NONE, 150, 0.5))


def test_a_push_that_is_held_is_timed_from_its_hold() -> None:
    trace = make_trace((NONE, 24, 0.5), (FORCE, 20, 0.0), (NONE, 100, 0.5))

    found = judge(trace, slow_ns=90 * MS)

    assert isinstance(found, Injection)
    assert found.times_ms == {"slow_ms": 40.0, "lost_ms": 40.0}
    assert found.notes["held_after_ms"] == 10.0
    assert find_misses([found], BARS_MS) == []


def test_a_push_that_the_guard_ignores_is_a_failure() -> None:
    found = judge(FOLLOWED)

    assert found.wrong == ("the guard did not hold under a push",)
    assert find_misses([found], BARS_MS) == [found]
    assert found.times_ms == {"slow_ms": np.inf, "lost_ms": np.inf}
    storm = Storm("slow-down", 0, [found])
    assert not injections.is_met(storm, 1)
    assert summarise(storm)["wrong"] == ["the guard did not hold under a push"]


def test_a_push_that_hardly_went_out_was_not_felt() -> None:
    assert judge(FOLLOWED, []) is Void.UNFELT
    assert judge(FOLLOWED, CARRIED[:3]) is Void.UNFELT
    assert isinstance(judge(FOLLOWED, CARRIED[:4]), Injection)


def test_a_guard_that_had_no_turn_has_not_felt_it() -> None:
    starved = make_trace((NONE, 150, 0.5))
    late_ns = CARRIED[-1] + 10 * MS
    within = [c for c in starved.servo.cycles if ONSET_NS <= c.stamp_ns <= late_ns]
    for cycle in within[3:]:
        starved.servo.cycles.remove(cycle)

    assert judge(starved) is Void.UNFELT
    starved.servo.cycles.append(within[3])
    starved.servo.cycles.sort(key=lambda cycle: cycle.stamp_ns)
    assert isinstance(judge(starved), Injection)


@pytest.mark.parametrize(
    "stretches",
    [
        [(NONE, 25, 0.5), (STALE, 30, 0.2), (NONE, 80, 0.5)],
        [(NONE, 25, 0.5), (NONE, 30, 0.0), (NONE, 80, 0.5)],
        [(NONE, 150, 0.09)],
    ],
)
def test_an_arm_that_is_held_or_slow_already_need_not_be_held(stretches: Any) -> None:
    assert judge(make_trace(*stretches)) is Void.HELD


def test_an_arm_that_stands_says_nothing() -> None:
    assert judge(make_trace((NONE, 150, 0.0), target=0.0)) is Void.STOOD


# --- how often that may be -----------------------------------------------------------


@pytest.mark.parametrize(
    ("void", "most"), [(Void.UNFELT, 30), (Void.HELD, 60), (Void.STOOD, 210)]
)
def test_only_so_many_may_come_to_nothing(void: Any, most: Any) -> None:
    storm = Storm("slow-down", 0, [Injection("force", {})] * 200)

    for _ in range(most):
        count_void(storm, void)
    with pytest.raises(StandError, match="came to nothing"):
        count_void(storm, void)

    assert summarise(storm)["voids"] == {str(void): most + 1}


def test_a_run_in_which_nothing_counts_comes_to_an_end(monkeypatch: Any) -> None:
    monkeypatch.setattr(injections, "resume", lambda stand: None)
    monkeypatch.setattr(injections, "read_violations", lambda stand: Counter())
    storm, stand = Storm("slow-down", 0), cast("Stand", None)

    with pytest.raises(StandError, match=f"11 injections .* {Void.UNFELT}"):
        run_injections(storm, stand, lambda *_: Void.UNFELT, 1, random.Random(0))


def test_the_tap_notes_what_it_carried() -> None:
    tap = ForceTap()
    tap._spans[3] = slice(4, 52)
    data = bytes([0, 56, ord("U"), 1]) + bytes(52)

    tap.push((500.0, 0.0, 0.0), 10.0)
    tap.to_client(data, 2)
    tap.to_client(data, 3)
    tap.to_client(data, 3)

    assert len(tap.carried_ns) == 2
    assert tap.carried_ns == sorted(tap.carried_ns)
    tap.push((500.0, 0.0, 0.0), 0.0)
    tap.to_client(data, 3)
    assert tap.carried_ns == []
