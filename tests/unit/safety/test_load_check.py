"""Force at the tool: hold, then only slow motion that relieves it."""

from typing import Any

import numpy as np
import pytest

from cell.contracts.geometry import Pose
from cell.contracts.servo import HoldReason
from safety import load_check
from safety.limits import make_limits
from safety.verdicts import make_state
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S, SAFETY
from tests.unit.safety.test_guard_reasons import Rig, one_joint

REST = np.zeros(6)


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


# --- in full, and at its edges --------------------------------------------------------

LIMITS = make_limits(
    SAFETY.model_copy(update={"tcp_force_n": 100.0, "tcp_torque_nm": 10.0}),
    Pose.identity(),
    PERIOD_S,
)[0]


def test_the_numbers_of_the_load_are_those_that_were_signed_off() -> None:
    assert load_check.RELIEF_RADPS == 0.1
    assert load_check.SMOOTHING_S == 0.01
    assert load_check._SLACK == 0.05


@pytest.mark.parametrize("first", [0, 3])
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_a_load_is_a_length_over_its_limit(first: Any, order: Any) -> None:
    wrench = np.zeros(6)
    scale = 10.0 if first == 0 else 1.0
    wrench[first : first + 3] = np.array([2.0, -3.0, 6.0])[list(order)] * scale

    # Seven tenths of either limit.
    assert load_check.compute_load(wrench, LIMITS) == pytest.approx(0.7)


def test_the_larger_of_force_and_torque_is_the_load() -> None:
    both = np.array([50.0, 0, 0, 3.0, 0, 0])
    other = np.array([50.0, 0, 0, 9.0, 0, 0])

    assert load_check.compute_load(both, LIMITS) == pytest.approx(0.5)
    assert load_check.compute_load(other, LIMITS) == pytest.approx(0.9)


@pytest.mark.parametrize("index", range(6))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_part_that_is_no_number_is_no_load(index: Any, value: Any) -> None:
    wrench = np.full(6, 1.0)
    wrench[index] = value

    assert np.isnan(load_check.compute_load(wrench, LIMITS))


@pytest.mark.parametrize(
    ("cap", "load", "travel", "wanted"),
    [
        (0.0, 1.0, 1.0, 0.0),
        (1.5, 1.0, 1.0, 0.0),
        (1.5, 0.5, 0.0, 0.0),
        (0.0, 1.0625, 1.0, 1.1125),
        (0.0, 1.5, 0.0, 0.0),
        (1.75, 1.5, 0.0, 1.75),
        (0.0, 1.5, 1e-9, 1.55),
        (1.75, 1.5, 1e-9, 1.55),
        (1.54, 1.5, 1e-9, 1.54),
        (1.2, 1.5, 1e-9, 1.2),
    ],
)
def test_a_cap_begins_with_creeping_and_only_falls(
    cap: Any, load: Any, travel: Any, wanted: Any
) -> None:
    found = load_check.compute_load_cap(cap, load, travel)

    assert found == pytest.approx(wanted, rel=1e-12)


def judge(load: float, step: Any, qd: Any = REST, cap: float = 0.0) -> Any:
    was = make_state(HOME_Q)
    was["qd"], was["load_cap"] = qd, cap
    return load_check.check_load(was[0], HOME_Q + step, load, LIMITS)


SLOWLY, TOO_FAST = one_joint(5, 1.9e-4), one_joint(5, 2.1e-4)
FORCE = int(HoldReason.TCP_FORCE)


def test_up_to_its_limit_a_load_changes_nothing() -> None:
    assert judge(0.75, TOO_FAST) == (0, 0.25, 0.75, -1, 1.0, FORCE)
    assert judge(1.0, TOO_FAST) == (0, 0.0, 1.0, -1, 1.0, FORCE)


def test_above_its_limit_only_slow_motion_is_granted() -> None:
    assert judge(1.5, SLOWLY) == (0, 0.0, 1.5, -1, 0.1, FORCE)
    assert judge(1.5, TOO_FAST) == (FORCE, -0.5, 1.5, -1, 0.1, FORCE)
    # Over all joints, before and now.
    assert judge(1.5, np.full(6, 3e-5))[0] == 0
    assert judge(1.5, np.full(6, 3.6e-5))[0] == FORCE
    for joint in range(6):
        for sign in (1.0, -1.0):
            assert judge(1.5, SLOWLY, one_joint(joint, sign * 0.09))[0] == 0
            assert judge(1.5, SLOWLY, one_joint(joint, sign * 0.11))[0] == FORCE
    assert judge(1.5, REST, one_joint(3, 0.1))[0] == 0


def test_a_load_may_be_as_much_as_its_cap() -> None:
    assert judge(1.5, SLOWLY, cap=1.5)[0] == 0
    assert judge(1.5, SLOWLY, cap=np.nextafter(1.5, 0.0))[0] == FORCE
    assert judge(1.05, SLOWLY, cap=0.05)[0] == FORCE
    assert judge(np.nan, SLOWLY)[0] == FORCE
