"""Force at the tool: hold, then only slow motion that relieves it."""

from typing import Any

import numpy as np
import pytest

from cell.contracts.servo import HoldReason
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S
from tests.unit.safety.test_guard_reasons import Rig, one_joint


def push(force_n: float, torque_nm: float = 0.0) -> Any:
    return np.array([0.0, 0.0, force_n, torque_nm, 0.0, 0.0])


def press(rig: Rig, force: Any, cycles: int = 40) -> HoldReason:
    """Rest under a force until its smoothed reading has come up to it."""
    for _ in range(cycles):
        reason = rig.ask(rig.q, force=force).reason
    return reason


def creep(rig: Rig, force: Any, cycles: int = 5) -> HoldReason:
    """Move slowly under a force."""
    for _ in range(cycles):
        qd = np.clip(rig.qd + one_joint(5, 0.02), -0.05, 0.05)
        reason = rig.ask(rig.q + qd * PERIOD_S, force=force).reason
        if reason is not HoldReason.NONE:
            return reason
    return reason


@pytest.mark.parametrize("force", [push(149.9), push(0.0, 19.99)])
def test_a_force_up_to_the_limit_changes_nothing(force: Any) -> None:
    rig = Rig()
    press(rig, force)

    for _ in range(50):
        rig.qd = np.minimum(rig.qd + one_joint(0, 0.03), 0.6)
        assert rig.ask(rig.q + rig.qd * PERIOD_S, force=force).reason is HoldReason.NONE


def test_a_blow_of_one_reading_changes_nothing() -> None:
    rig = Rig()
    rig.accelerate(one_joint(0, 20.0), 20)

    blow = rig.ask(rig.q + rig.qd * PERIOD_S, force=push(600.0))

    assert blow.reason is HoldReason.NONE
    assert rig.cruise(20).reason is HoldReason.NONE


def test_a_force_of_twice_the_limit_ends_motion_within_ten_milliseconds() -> None:
    rig = Rig()
    rig.accelerate(one_joint(0, 20.0), 20)

    reasons = [
        rig.ask(rig.q + rig.qd * PERIOD_S, force=push(300.0)).reason for _ in range(5)
    ]

    assert reasons[0] is HoldReason.NONE
    assert reasons[-1] is HoldReason.TCP_FORCE


@pytest.mark.parametrize("force", [push(151.0), push(-151.0), push(0.0, 20.1)])
def test_a_force_above_the_limit_ends_motion(force: Any) -> None:
    rig = Rig()
    rig.accelerate(one_joint(0, 20.0), 20)

    for _ in range(60):
        verdict = rig.ask(rig.q + rig.qd * PERIOD_S, force=force)
        if verdict.reason is not HoldReason.NONE:
            break

    assert verdict.reason is HoldReason.TCP_FORCE
    assert verdict.margin < 0.0
    assert verdict.value > 1.0


@pytest.mark.parametrize("index", range(6))
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_reading_that_is_no_number_ends_motion(index: int, value: float) -> None:
    rig = Rig()
    reading = np.zeros(6)
    reading[index] = value

    assert rig.ask(HOME_Q + 1e-6, force=reading).reason is HoldReason.TCP_FORCE


def test_no_reading_at_all_ends_motion() -> None:
    assert Rig().ask(HOME_Q + 1e-6, force=None).reason is HoldReason.TCP_FORCE


def test_a_pressed_arm_may_creep_while_the_force_falls() -> None:
    rig = Rig()
    press(rig, push(300.0))

    assert creep(rig, push(300.0)) is HoldReason.NONE
    assert creep(rig, push(220.0)) is HoldReason.NONE
    assert creep(rig, push(160.0)) is HoldReason.NONE
    assert creep(rig, push(100.0)) is HoldReason.NONE


def test_a_pressed_arm_may_not_creep_on_while_the_force_rises() -> None:
    rig = Rig()
    press(rig, push(300.0))
    press(rig, push(200.0))

    assert creep(rig, push(230.0), cycles=40) is HoldReason.TCP_FORCE


def test_a_pressed_arm_may_not_move_fast() -> None:
    rig = Rig()
    press(rig, push(200.0))

    for _ in range(10):
        verdict = rig.ask(
            rig.q + (rig.qd + one_joint(5, 0.04)) * PERIOD_S, force=push(200.0)
        )
        if verdict.reason is not HoldReason.NONE:
            break

    assert verdict.reason is HoldReason.TCP_FORCE
    assert abs(rig.qd[5]) <= 0.1


def test_once_the_force_is_gone_everything_is_as_before() -> None:
    rig = Rig()
    press(rig, push(300.0))
    press(rig, push(20.0))

    assert rig.accelerate(one_joint(0, 20.0), 20).reason is HoldReason.NONE
    # The next contact is judged by itself.
    while rig.qd.any():
        rig.ask(None)
    press(rig, push(310.0))
    assert creep(rig, push(310.0)) is HoldReason.NONE


def test_one_lost_reading_is_not_remembered() -> None:
    rig = Rig()

    assert rig.ask(HOME_Q, force=np.full(6, np.nan)).reason is HoldReason.TCP_FORCE
    assert rig.ask(HOME_Q).reason is HoldReason.NONE


def test_a_pressed_arm_is_asked_to_go_slowly() -> None:
    rig = Rig()
    press(rig, push(200.0))

    assert rig.ask(HOME_Q, force=push(200.0)).scale < 0.2
