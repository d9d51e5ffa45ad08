"""A blow at the tool ends a motion, and no more than that one."""

import numpy as np
import pytest

from cell.contracts.servo import HoldReason, MotionMode
from tests.unit.servo.servo_rig import ServoRig, armed_rig

SWING = np.array([0.4, 0.0, 0.0, 0.0, 0.0, 0.0])
BLOW = np.array([0.0, 0.0, 900.0, 0.0, 0.0, 0.0])


def blow(rig: ServoRig, cycles: int) -> None:
    """Let the robot report a force for some cycles, in mid-move."""
    rig.move_home_by(SWING)
    rig.step(80)
    rig.arm.force_tcp_n = BLOW
    rig.step(cycles)
    rig.arm.force_tcp_n = np.zeros(6)
    assert rig.state.hold_reason is HoldReason.TCP_FORCE


@pytest.mark.parametrize("mode", [MotionMode.HOLD, MotionMode.BRAKE])
@pytest.mark.parametrize("lasts", [1, 100])
def test_an_order_to_rest_is_granted_soon_after_a_blow_is_over(
    mode: MotionMode, lasts: int
) -> None:
    rig = armed_rig()
    blow(rig, cycles=10)
    rig.arm.force_tcp_n = BLOW
    rig.order(mode)
    rig.step(lasts)
    rig.arm.force_tcp_n = np.zeros(6)

    rig.run_until(lambda s: s.hold_reason is HoldReason.NONE, limit=80)

    rig.move_home_by(SWING)
    rig.run_until(lambda s: s.reached_id == s.command_id)


def test_a_motion_that_met_a_blow_stays_refused_when_the_force_is_gone() -> None:
    rig = armed_rig()
    blow(rig, cycles=10)

    assert rig.step(200).hold_reason is HoldReason.TCP_FORCE


def test_while_the_force_lasts_no_motion_is_followed_for_long() -> None:
    rig = armed_rig()
    blow(rig, cycles=10)
    rig.arm.force_tcp_n = BLOW
    rig.order(MotionMode.HOLD)
    rig.step(100)
    rested = rig.arm.sent[-1]

    rig.move_home_by(SWING)

    assert rig.step(200).hold_reason is HoldReason.TCP_FORCE
    assert np.abs(rig.arm.sent[-1] - rested).max() < 0.01
