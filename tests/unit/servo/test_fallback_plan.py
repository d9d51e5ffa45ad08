"""A hold is carried out only as the plan that was approved, from where it was."""

from typing import Any

import numpy as np
import pytest

from cell.contracts.geometry import Pose, Vector
from cell.contracts.runtime import PlanRefusal, Verdict
from cell.contracts.servo import HoldReason, MotionMode, ServoPhase
from safety.action_cache import PLAN_LIFE_S
from tests.fakes.motion_oracle import HOME_Q, find_breaches
from tests.unit.servo.servo_rig import MS, ServoRig, armed_rig

SWING = [0.8, 0.0, 0.0, 0.0, 0.0, 0.3]
PUSH = np.array([0.0, 0.3, 0.0, 0.0, 0.0, 0.0])
LIFE_MS = round(PLAN_LIFE_S * 1e3)


class StrayGuard:
    """Holds, but not where the plan leads: a guard with a defect."""

    def __init__(self, q_hold: Vector) -> None:
        self._q_hold = q_hold

    def reset(self, q_measured: Vector) -> None:
        """Forget nothing, for nothing is kept."""

    def hold(self, reason: HoldReason, now_ns: int) -> Verdict:
        """Return the same wrong place."""
        return Verdict(self._q_hold, reason, reason, -1.0, 0.0)

    def attach(self, radius_m: float, length_m: float) -> None:
        """Take note of nothing."""

    def vet(
        self,
        q_request: Vector,
        command_stamp_ns: int,
        arm_stamp_ns: int,
        now_ns: int,
        *_more: Any,
    ) -> Verdict:
        """Hold."""
        return self.hold(HoldReason.WORKSPACE, now_ns)

    def slow_down(self, ratio: float) -> None:
        """Take note of nothing."""

    def vet_action(self, action: Vector, *more: Any) -> Verdict:
        """Return the same wrong place."""
        return self.vet(action, *more)

    def vet_pose(self, base_from_tcp: Pose, *more: Any) -> Verdict:
        """Return the same wrong place."""
        return self.vet(base_from_tcp.position_m, *more)

    def describe(self, verdict: Verdict) -> str:
        """Say nothing."""
        return ""


def swinging_rig() -> ServoRig:
    rig = armed_rig()
    rig.move_home_by(SWING)
    rig.step(100)
    assert rig.speeds()[-1] > 1.0
    return rig


def test_a_hold_on_the_way_ramps_to_rest_and_stays_there_for_good() -> None:
    rig = swinging_rig()
    rig.vouches = False

    state = rig.step(1000)

    assert state.hold_reason is HoldReason.COMMAND_STALE
    assert state.phase is ServoPhase.READY or state.phase is ServoPhase.MOVING
    assert rig.desk.follower.plan_refusal is None
    assert rig.speeds()[-1] == 0.0
    assert find_breaches(np.array(rig.arm.sent)) == []


def test_an_arm_that_was_pushed_elsewhere_is_not_held_but_its_program_ended() -> None:
    rig = armed_rig()
    rig.step(5)
    rig.arm.is_stuck = True
    rig.arm.q = HOME_Q + PUSH
    sent = len(rig.arm.sent)

    rig.port.command = None
    state = rig.step()

    assert state.phase is ServoPhase.FAULT
    assert state.hold_reason is HoldReason.PLAN_REFUSED
    assert rig.arm.calls[-1] == "stop"
    rig.step(100)
    assert len(rig.arm.sent) == sent
    detail = f"no way to rest after NO_COMMAND: {PlanRefusal.OTHER_POSE.value}"
    assert ("fault", {"reason": "PLAN_REFUSED", "detail": detail}) in rig.events


def test_only_a_release_begins_anew_and_from_where_the_arm_is() -> None:
    rig = armed_rig()
    rig.arm.is_stuck = True
    rig.arm.q = HOME_Q + PUSH
    rig.port.command = None
    rig.step()
    rig.order(MotionMode.HOLD, arm_id=rig.state.arm_id)
    assert rig.step(50).phase is ServoPhase.FAULT

    rig.release()
    state = rig.step(5)

    assert state.phase is ServoPhase.READY
    assert (rig.arm.sent[-1] == HOME_Q + PUSH).all()


@pytest.mark.parametrize(("gap_ms", "is_good"), [(LIFE_MS, True), (LIFE_MS + 2, False)])
def test_a_plan_that_waited_too_long_is_not_begun(gap_ms: int, is_good: bool) -> None:
    rig = swinging_rig()

    state = rig.step(gap_ns=gap_ms * MS)

    if is_good:
        assert state.hold_reason is HoldReason.CYCLE_OVERRUN
    else:
        assert state.hold_reason is HoldReason.PLAN_REFUSED
        assert rig.arm.calls[-1] == "stop"


def test_a_hold_that_leads_elsewhere_is_not_sent() -> None:
    rig = armed_rig()
    rig.step(5)
    sent = len(rig.arm.sent)
    follower = rig.desk.follower
    follower._guard = StrayGuard(HOME_Q + 0.5)

    state = rig.step()

    assert follower.plan_refusal is PlanRefusal.OTHER_WAY
    assert state.hold_reason is HoldReason.PLAN_REFUSED
    assert len(rig.arm.sent) == sent
    assert rig.arm.calls[-1] == "stop"


def test_a_hold_that_is_no_number_is_not_sent() -> None:
    rig = armed_rig()
    rig.step(5)
    sent = len(rig.arm.sent)
    rig.desk.follower._guard = StrayGuard(np.full(6, np.nan))

    assert rig.step().hold_reason is HoldReason.PLAN_REFUSED
    assert len(rig.arm.sent) == sent


def test_an_orderly_end_without_a_plan_ends_the_program_at_once() -> None:
    rig = swinging_rig()
    rig.arm.is_stuck = True
    rig.arm.q = rig.arm.q + 1.0
    sent = len(rig.arm.sent)

    assert rig.session.brake(rig.now_ns + 2 * MS)
    assert len(rig.arm.sent) == sent


def test_an_orderly_end_after_the_robot_stood_still_ramps_as_ever() -> None:
    rig = swinging_rig()
    rig.robot_lives = False
    rig.step(45)
    rig.robot_lives = True
    rig.arm.frozen_ns = 90 * MS
    rig.step(20)
    before = rig.speeds()[-1]
    assert before > 1.0

    rig.now_ns += 2 * MS
    rig.arm.now_ns = rig.now_ns
    rig.session.brake(rig.now_ns)

    assert 0.9 * before < rig.speeds()[-1] < before
