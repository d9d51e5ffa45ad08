"""What the servo process has recorded of holds, the slider, and a broken guard."""

from cell.contracts.servo import HoldReason, ServoPhase
from tests.unit.servo.servo_rig import MS, ServoRig, armed_rig

SWING = [0.8, 0.0, 0.0, 0.0, 0.0, 0.3]
NO_TIME_NS = 2**70


def swinging_rig() -> ServoRig:
    rig = armed_rig()
    rig.move_home_by(SWING)
    rig.step(100)
    return rig


def recorded(rig: ServoRig, event: str) -> list[dict[str, object]]:
    return [fields for name, fields in rig.events if name == event]


def test_a_hold_for_want_of_time_is_recorded_once() -> None:
    rig = swinging_rig()

    rig.step(gap_ns=60 * MS)
    rig.step(20)

    assert recorded(rig, "held") == [{"reason": "CYCLE_OVERRUN"}]


def test_a_wait_for_the_robot_is_recorded_once() -> None:
    rig = swinging_rig()
    rig.robot_lives = False

    rig.step(40)

    assert recorded(rig, "held") == [{"reason": "ARM_STATE_STALE"}]


def test_an_arm_at_rest_is_not_held_for_want_of_time() -> None:
    rig = armed_rig()
    rig.step(5)

    rig.step(gap_ns=60 * MS)
    rig.step(5)

    assert recorded(rig, "held") == []


def test_a_slider_that_moves_is_recorded_with_where_it_stands() -> None:
    rig = armed_rig()
    rig.step(5)
    assert recorded(rig, "speed slider") == []

    rig.arm.speed_fraction = 0.5
    rig.step(5)
    rig.arm.speed_fraction = 0.51
    rig.step(5)

    assert recorded(rig, "speed slider") == [{"fraction": 0.5}]


def test_a_guard_that_raises_ends_the_program_at_rest_and_stays_so() -> None:
    rig = swinging_rig()
    rig.robot_lives = False
    rig.arm.now_ns = NO_TIME_NS
    rig.step()
    rig.robot_lives = True

    state = rig.run_until(lambda s: s.phase is ServoPhase.FAULT)

    assert state.hold_reason is HoldReason.GUARD_EXCEPTION
    assert rig.arm.calls[-1] == "stop"
    assert rig.speeds()[-1] == 0.0
    rig.move_home_by(SWING)
    assert rig.step(20).phase is ServoPhase.FAULT
    detail = {"reason": "GUARD_EXCEPTION", "detail": "the guard itself failed"}
    assert detail in recorded(rig, "fault")
