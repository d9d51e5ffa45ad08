"""The servo session from release to fault, cycle by cycle on a fake arm."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cell.contracts.errors import DriverUnreachableError
from cell.contracts.robot import RobotMode, SafetyBit
from cell.contracts.servo import (
    WITHHELD_NS,
    HoldReason,
    MotionMode,
    ServoPhase,
    ServoState,
)
from cell.kinematics import compute_base_from_tcp
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S, find_breaches
from tests.unit.servo.servo_rig import BLANK, MS, TOOL, ServoRig, armed_rig

SWING = [0.5, 0.0, 0.0, 0.0, 0.0, 0.3]


def test_without_a_release_the_arm_gets_no_setpoint() -> None:
    rig = ServoRig()
    rig.order(MotionMode.MOVE_JOINT, q_target=HOME_Q + 0.1, arm_id=0)

    state = rig.step(50)

    assert state.phase is ServoPhase.FAULT
    assert state.hold_reason is HoldReason.NOT_ARMED
    assert rig.arm.sent == []
    assert rig.arm.calls == []


def test_a_release_initialises_fully_and_holds_the_measured_position() -> None:
    rig = ServoRig()
    rig.arm.q = HOME_Q + 0.05
    rig.step()

    state = rig.release()
    state = rig.step(5)

    assert rig.arm.calls == ["arm 0.95"]
    assert state.phase is ServoPhase.READY
    assert state.arm_id == 1
    assert rig.arm.sent
    assert all((q == HOME_Q + 0.05).all() for q in rig.arm.sent)


def test_a_release_from_before_our_start_does_not_count() -> None:
    rig = ServoRig(known=replace(BLANK, arm_id=4))

    state = rig.step(10)

    assert state.phase is ServoPhase.FAULT
    assert state.arm_id == 4
    assert rig.release().phase is ServoPhase.READY


def test_a_release_that_is_not_fresh_does_not_count() -> None:
    rig = ServoRig()
    rig.vouches = False
    rig.port.command = replace(BLANK, stamp_ns=rig.now_ns - 101 * MS, arm_id=9)

    assert rig.step().phase is ServoPhase.FAULT
    assert rig.state.arm_id == 0


def test_the_order_that_came_with_a_release_is_void() -> None:
    rig = ServoRig()
    rig.step()
    rig.order(MotionMode.MOVE_JOINT, q_target=HOME_Q + 0.3, arm_id=1)

    state = rig.step(100)

    assert state.phase is ServoPhase.READY
    assert rig.arm.sent
    assert all((q == HOME_Q).all() for q in rig.arm.sent)


def test_a_joint_move_arrives_inside_every_limit_and_is_reported() -> None:
    rig = armed_rig()
    rig.move_home_by(SWING)
    wanted = rig.port.command
    assert wanted is not None

    moving = rig.step(20)
    state = rig.run_until(lambda s: s.reached_id == wanted.command_id)

    assert moving.phase is ServoPhase.MOVING
    assert np.allclose(rig.arm.q, HOME_Q + SWING, atol=1e-9)
    assert rig.step(3).phase is ServoPhase.READY
    assert state.unguarded_cycles == 0
    assert state.hold_count == 0
    assert find_breaches(np.array(rig.arm.sent)) == []


def test_a_line_keeps_the_tool_on_the_line() -> None:
    rig = armed_rig()
    start = compute_base_from_tcp(HOME_Q, TOOL)
    goal = replace(start, position_m=start.position_m + np.array([0.05, 0.02, -0.1]))
    wanted = rig.order(MotionMode.MOVE_LINEAR, base_from_tcp=goal)

    rig.run_until(lambda s: s.reached_id == wanted.command_id)

    along = (goal.position_m - start.position_m) / np.linalg.norm([0.05, 0.02, 0.1])
    for q in rig.arm.sent[::20]:
        offset = compute_base_from_tcp(q, TOOL).position_m - start.position_m
        assert np.linalg.norm(offset - along * (offset @ along)) < 1e-6
    assert find_breaches(np.array(rig.arm.sent)) == []


def test_an_order_in_mid_move_is_blended_without_a_stop() -> None:
    rig = armed_rig()
    rig.move_home_by(SWING)
    rig.step(120)
    rig.move_home_by([0.5, -0.2, 0.2, 0.0, 0.0, 0.0])
    wanted = rig.port.command
    assert wanted is not None

    rig.run_until(lambda s: s.reached_id == wanted.command_id)

    assert rig.speeds()[100:140].min() > 0.5
    assert find_breaches(np.array(rig.arm.sent)) == []


def test_arrival_within_a_distance_is_reported_before_the_stop() -> None:
    rig = armed_rig()
    rig.move_home_by(SWING, arrival_rad=0.1)
    wanted = rig.port.command
    assert wanted is not None

    state = rig.run_until(lambda s: s.reached_id == wanted.command_id)

    assert state.phase is ServoPhase.MOVING
    assert 0.01 < np.abs(rig.arm.q - HOME_Q - SWING).max() <= 0.1


def test_a_slower_order_takes_longer() -> None:
    cycles = []
    for ratio in (1.0, 0.2):
        rig = armed_rig()
        rig.move_home_by(SWING, speed_ratio=ratio)
        before = rig.state.cycle
        rig.step()
        done = rig.run_until(lambda s: s.reached_id == s.command_id)
        cycles.append(done.cycle - before)

    assert cycles[1] > 1.8 * cycles[0]


def test_the_speed_slider_of_the_robot_slows_the_motion_down() -> None:
    rig = armed_rig()
    rig.arm.speed_fraction = 0.2
    rig.move_home_by(SWING)
    wanted = rig.port.command
    assert wanted is not None

    rig.run_until(lambda s: s.reached_id == wanted.command_id)

    assert rig.speeds().max() <= 0.2 * 2.6 + 1e-6


@pytest.mark.parametrize("slider", [0.0, 0.004, float("nan")])
def test_a_slider_at_zero_stops_the_arm_until_it_rises(slider: float) -> None:
    rig = armed_rig()
    rig.move_home_by(SWING)
    wanted = rig.port.command
    assert wanted is not None
    rig.step(80)
    rig.arm.speed_fraction = slider

    assert rig.step().hold_reason is HoldReason.SPEED_ZERO
    rig.run_until(lambda _: rig_rests(rig))
    resting_q = rig.arm.sent[-1]
    rig.step(50)
    assert (rig.arm.sent[-1] == resting_q).all()
    rig.arm.speed_fraction = 1.0
    rig.run_until(lambda s: s.reached_id == wanted.command_id)


def test_a_brake_order_rests_within_the_ramp_and_is_reached() -> None:
    rig = armed_rig()
    rig.move_home_by([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    rig.step(150)
    assert rig.speeds()[-1] > 1.0
    wanted = rig.order(MotionMode.BRAKE)
    ordered_ns = rig.now_ns

    assert rig.step().hold_reason is HoldReason.BRAKE_ORDERED
    rested = rig.run_until(lambda _: rig_rests(rig))
    assert rested.stamp_ns - ordered_ns <= 130 * MS
    reached = rig.run_until(lambda s: s.reached_id == wanted.command_id)
    assert reached.hold_reason is HoldReason.NONE
    assert find_breaches(np.array(rig.arm.sent)) == []


def test_an_order_during_the_ramp_of_a_brake_begins_from_rest() -> None:
    rig = armed_rig()
    rig.move_home_by([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    rig.step(150)
    rig.order(MotionMode.BRAKE)
    rig.step(5)
    rig.move_home_by(SWING)
    wanted = rig.port.command
    assert wanted is not None

    rig.run_until(lambda s: s.reached_id == wanted.command_id)

    assert find_breaches(np.array(rig.arm.sent)) == []


@pytest.mark.parametrize("mode", [MotionMode.HOLD, MotionMode.BRAKE, MotionMode.STOP])
def test_an_order_to_rest_during_a_refusal_is_carried_out(mode: MotionMode) -> None:
    rig = armed_rig()
    # The elbow stretches until the tool leaves the workspace, in full motion.
    rig.move_home_by([0.0, 0.6, 0.3, 0.0, 0.0, 0.0])
    rig.run_until(lambda s: s.hold_reason is HoldReason.WORKSPACE)
    assert not rig_rests(rig)
    wanted = rig.order(mode)

    state = rig.run_until(lambda s: s.reached_id == wanted.command_id)

    assert state.hold_reason in (HoldReason.NONE, HoldReason.NOT_ARMED)


def test_a_silent_supervisor_stops_the_arm_within_the_bounds() -> None:
    rig = armed_rig()
    rig.move_home_by([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    rig.step(150)
    rig.vouches = False
    silent_since = rig.now_ns
    assert rig.speeds()[-1] > 1.0

    held = rig.run_until(lambda s: s.hold_reason is HoldReason.COMMAND_STALE)
    rested = rig.run_until(
        lambda s: bool((s.q == s.q_command).all()) and rig_rests(rig)
    )

    assert held.stamp_ns - silent_since <= 102 * MS
    assert rested.stamp_ns - silent_since <= 250 * MS
    assert find_breaches(np.array(rig.arm.sent)) == []
    assert rig.step(50).hold_count == 1


def test_an_order_nobody_vouches_for_ramps_at_once_and_goes_on_later() -> None:
    rig = armed_rig()
    rig.move_home_by(SWING)
    wanted = rig.port.command
    assert wanted is not None
    rig.step(80)
    rig.vouches = False
    rig.port.command = replace(wanted, stamp_ns=WITHHELD_NS)
    before = rig.now_ns

    assert rig.step().hold_reason is HoldReason.COMMAND_WITHHELD
    rested = rig.run_until(lambda _: rig_rests(rig))
    assert rested.stamp_ns - before <= 120 * MS
    rig.vouches = True
    rig.run_until(lambda s: s.reached_id == wanted.command_id)
    assert find_breaches(np.array(rig.arm.sent)) == []


def rig_rests(rig: ServoRig) -> bool:
    return rig.desk.follower.is_at_rest


def test_a_supervisor_that_comes_back_goes_on_with_the_same_order() -> None:
    rig = armed_rig()
    rig.move_home_by(SWING)
    wanted = rig.port.command
    assert wanted is not None
    rig.step(80)
    rig.vouches = False
    rig.step(150)
    rig.vouches = True

    rig.run_until(lambda s: s.reached_id == wanted.command_id)

    assert np.allclose(rig.arm.q, HOME_Q + SWING, atol=1e-9)
    assert find_breaches(np.array(rig.arm.sent)) == []


def test_without_any_command_after_a_release_the_arm_holds() -> None:
    rig = armed_rig()
    rig.port.command = None

    state = rig.step(20)

    assert state.hold_reason is HoldReason.NO_COMMAND
    assert state.hold_count == 0
    assert rig.arm.sent
    assert all((q == HOME_Q).all() for q in rig.arm.sent)


def test_an_order_that_breaks_a_limit_is_refused_until_the_next_one() -> None:
    rig = armed_rig()
    start = compute_base_from_tcp(HOME_Q, TOOL)
    below = replace(start, position_m=np.array([*start.position_m[:2], -0.2]))
    rig.order(MotionMode.MOVE_LINEAR, base_from_tcp=below)

    refused = rig.run_until(lambda s: s.hold_reason is HoldReason.WORKSPACE)
    still = rig.step(200)

    assert refused.hold_count == 1
    assert still.hold_reason is HoldReason.WORKSPACE
    assert still.hold_count == 1
    assert still.phase is ServoPhase.READY
    assert find_breaches(np.array(rig.arm.sent)) == []
    rig.order(MotionMode.HOLD)
    assert rig.step(2).hold_reason is HoldReason.NONE


def test_a_line_out_of_reach_is_refused_before_anything_moves() -> None:
    rig = armed_rig()
    start = compute_base_from_tcp(HOME_Q, TOOL)
    far = replace(start, position_m=np.array([1.5, 0.5, 0.3]))
    rig.order(MotionMode.MOVE_LINEAR, base_from_tcp=far)

    state = rig.step(5)

    assert state.hold_reason is HoldReason.UNREACHABLE
    assert rig.arm.sent
    assert all((q == HOME_Q).all() for q in rig.arm.sent)


@pytest.mark.parametrize(
    "fields",
    [
        {"mode": MotionMode.MOVE_JOINT, "q_target": np.full(6, np.nan)},
        {"mode": MotionMode.MOVE_JOINT, "q_target": HOME_Q, "speed_ratio": 0.0},
        {"mode": MotionMode.MOVE_JOINT, "q_target": HOME_Q, "arrival_rad": np.inf},
        {
            "mode": MotionMode.MOVE_LINEAR,
            "base_from_tcp": replace(TOOL, quat_wxyz=np.zeros(4)),
        },
        {"mode": MotionMode.HOLD, "payload_kg": np.nan},
    ],
    ids=["target", "speed", "arrival", "pose", "payload"],
)
def test_an_order_without_sense_is_refused(fields: dict[str, Any]) -> None:
    rig = armed_rig()
    rig.order(**fields)

    state = rig.step(5)

    assert state.hold_reason is HoldReason.COMMAND_NOT_FINITE
    assert rig.arm.sent
    assert all((q == HOME_Q).all() for q in rig.arm.sent)


def test_a_new_mass_is_told_at_rest_before_the_order_begins() -> None:
    rig = armed_rig()
    rig.move_home_by(SWING, payload_kg=0.3)

    sent_before = len(rig.arm.sent)
    rig.now_ns += 2 * MS
    rig.arm.now_ns = rig.now_ns
    assert rig.port.command is not None
    rig.port.command = replace(rig.port.command, stamp_ns=rig.now_ns)
    was_long = rig.session.cycle(rig.now_ns)

    assert was_long
    assert rig.arm.calls[-1] == "payload 1.25"
    assert len(rig.arm.sent) == sent_before
    # The call took three periods; that is no reason to hold.
    assert rig.step(gap_ns=8 * MS).hold_reason is HoldReason.NONE
    assert rig.step(20).phase is ServoPhase.MOVING


def test_a_new_mass_in_mid_move_is_not_told() -> None:
    rig = armed_rig()
    rig.move_home_by(SWING)
    rig.step(80)
    rig.move_home_by([0.0] * 6, payload_kg=0.3)

    rig.step(20)

    assert "payload 1.25" not in rig.arm.calls


@pytest.mark.parametrize(
    ("bit", "reason"),
    [
        (SafetyBit.PROTECTIVE_STOP, HoldReason.PROTECTIVE_STOP),
        (SafetyBit.EMERGENCY_STOP, HoldReason.EMERGENCY_STOP),
        (SafetyBit.SYSTEM_EMERGENCY_STOP, HoldReason.EMERGENCY_STOP),
        (SafetyBit.ROBOT_EMERGENCY_STOP, HoldReason.EMERGENCY_STOP),
        (SafetyBit.SAFEGUARD_STOP, HoldReason.ROBOT_NOT_READY),
        (SafetyBit.VIOLATION, HoldReason.ROBOT_NOT_READY),
        (SafetyBit.FAULT, HoldReason.ROBOT_NOT_READY),
    ],
)
def test_a_stop_at_the_robot_latches_until_it_is_gone_and_released(
    bit: SafetyBit, reason: HoldReason
) -> None:
    rig = armed_rig()
    rig.move_home_by(SWING)
    rig.step(80)
    rig.arm.safety_status_bits = 1 << bit
    sent = len(rig.arm.sent)

    latched = rig.step()
    assert latched.phase is ServoPhase.FAULT
    assert latched.hold_reason is reason
    # Released while the stop lasts: used up, to no effect.
    assert rig.release().phase is ServoPhase.FAULT
    # Gone by itself: nothing moves.
    rig.arm.safety_status_bits = 1 << SafetyBit.NORMAL
    assert rig.step(100).phase is ServoPhase.FAULT
    assert len(rig.arm.sent) == sent
    # Gone and released: holds where the arm is.
    assert rig.release().phase is ServoPhase.READY
    assert np.allclose(rig.step(20).q_command, rig.arm.q)
    assert (rig.arm.sent[-1] == rig.arm.sent[sent]).all()


def test_a_program_that_ends_latches() -> None:
    rig = armed_rig()
    rig.arm.is_playing = False

    assert rig.step().hold_reason is HoldReason.ROBOT_NOT_READY
    assert rig.step().phase is ServoPhase.FAULT


def test_a_robot_that_is_not_running_refuses_a_release() -> None:
    rig = ServoRig()
    rig.arm.robot_mode = int(RobotMode.IDLE)
    rig.step()

    state = rig.release()

    assert state.phase is ServoPhase.FAULT
    assert state.arm_id == 1
    assert ("release refused", {"reason": "ROBOT_NOT_READY"}) in rig.events
    assert "arm 0.95" not in rig.arm.calls


def test_a_stop_at_the_robot_outranks_an_earlier_reason() -> None:
    rig = armed_rig()
    rig.arm.is_playing = False
    rig.step()
    rig.arm.safety_status_bits = 1 << SafetyBit.PROTECTIVE_STOP

    assert rig.step().hold_reason is HoldReason.PROTECTIVE_STOP


def test_arming_that_fails_stays_latched_and_says_so() -> None:
    rig = ServoRig()
    rig.arm.refuses.add("arm")
    rig.step()

    state = rig.release()

    assert state.phase is ServoPhase.FAULT
    assert ("arming failed", {"detail": "arm refused"}) in rig.events


@pytest.mark.parametrize("call", ["send_joint_target", "set_payload"])
def test_a_refused_call_latches_with_what_the_robot_says(call: str) -> None:
    rig = armed_rig()
    rig.arm.refuses.add(call)
    rig.move_home_by(SWING, payload_kg=0.2)

    state = rig.step(3)

    assert state.phase is ServoPhase.FAULT
    assert state.hold_reason is HoldReason.ROBOT_NOT_READY


def test_a_connection_that_is_gone_ends_the_session() -> None:
    rig = armed_rig()
    rig.arm.is_gone = True

    with pytest.raises(DriverUnreachableError):
        rig.step()


def swinging_rig() -> ServoRig:
    rig = armed_rig()
    rig.move_home_by(SWING)
    rig.step(100)
    assert rig.speeds()[-1] > 1.0
    return rig


def finish(rig: ServoRig) -> None:
    """Let the swing end; check where and how."""
    rig.run_until(lambda s: s.reached_id == s.command_id)
    assert np.allclose(rig.arm.q, HOME_Q + SWING, atol=1e-9)
    assert find_breaches(np.array(rig.arm.sent)) == []


def test_a_link_that_stalls_briefly_goes_on_where_it_was() -> None:
    rig = swinging_rig()
    sent = len(rig.arm.sent)
    rig.robot_lives = False

    rig.step(16)

    assert len(rig.arm.sent) - sent <= 4
    rig.robot_lives = True
    finish(rig)
    assert rig.state.hold_count == 0


def test_a_link_that_stalls_for_longer_starts_anew_from_rest() -> None:
    rig = swinging_rig()
    rig.robot_lives = False
    sent = len(rig.arm.sent)

    stalled = rig.step(45)

    assert stalled.hold_reason is HoldReason.ARM_STATE_STALE
    assert len(rig.arm.sent) - sent <= 4
    rig.robot_lives = True
    assert rig.step().hold_reason is HoldReason.CYCLE_OVERRUN
    assert rig.speeds()[-1] == 0.0
    rested = len(rig.arm.sent) - 1
    rig.run_until(lambda s: s.reached_id == s.command_id)
    assert np.allclose(rig.arm.q, HOME_Q + SWING, atol=1e-9)
    assert find_breaches(np.array(rig.arm.sent[rested:])) == []


def test_a_robot_that_froze_itself_has_missed_nothing() -> None:
    rig = swinging_rig()
    rig.robot_lives = False
    rig.step(45)

    rig.robot_lives = True
    rig.arm.frozen_ns = 90 * MS

    assert rig.step().hold_reason is HoldReason.NONE
    assert rig.speeds()[-1] > 1.0
    finish(rig)


def test_cycles_missed_by_us_end_the_motion() -> None:
    rig = swinging_rig()

    state = rig.step(gap_ns=20 * MS)

    assert state.hold_reason is HoldReason.CYCLE_OVERRUN
    finish(rig)


def test_cycles_missed_by_us_and_the_robot_together_end_nothing() -> None:
    rig = swinging_rig()
    rig.arm.frozen_ns = 18 * MS

    state = rig.step(gap_ns=20 * MS)

    assert state.hold_reason is HoldReason.NONE
    finish(rig)
    assert rig.state.hold_count == 0


def test_a_robot_whose_clock_starts_over_has_missed_everything() -> None:
    rig = swinging_rig()
    rig.arm.frozen_ns = 1_100 * MS

    state = rig.step(gap_ns=20 * MS)

    assert state.hold_reason is HoldReason.CYCLE_OVERRUN


def test_a_link_that_is_dead_ends_the_session_and_latches() -> None:
    rig = armed_rig()
    rig.robot_lives = False

    with pytest.raises(DriverUnreachableError):
        rig.step(200)

    assert rig.desk.latch.reason is HoldReason.LINK_LOST
    assert rig.now_ns - rig.arm.now_ns <= 204 * MS


def test_joints_that_do_not_follow_end_the_motion_and_latch() -> None:
    rig = armed_rig()
    rig.arm.is_stuck = True
    rig.move_home_by([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])

    state = rig.run_until(lambda s: s.phase is ServoPhase.FAULT)

    assert state.hold_reason is HoldReason.TRACKING_ERROR
    # A ramp would lead still further from where the joints are.
    assert rig.arm.calls[-1] == "stop"
    sent = len(rig.arm.sent)
    rig.step(50)
    assert len(rig.arm.sent) == sent
    assert find_breaches(np.array(rig.arm.sent)) == []


def test_a_fault_is_published_before_the_robot_takes_its_time_to_stop() -> None:
    rig = armed_rig()
    rig.arm.is_stuck = True
    told: list[ServoState] = []
    stop = rig.arm.stop

    def stop_slowly() -> None:
        told.append(rig.port.states[-1])
        stop()

    rig.arm.stop = stop_slowly  # type: ignore[method-assign]
    rig.move_home_by([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])

    rig.run_until(lambda s: s.phase is ServoPhase.FAULT)

    assert told[0].phase is ServoPhase.FAULT
    assert told[0].hold_reason is HoldReason.TRACKING_ERROR


def test_a_stop_order_comes_to_rest_and_ends_the_program() -> None:
    rig = armed_rig()
    rig.move_home_by(SWING)
    rig.step(80)
    rig.order(MotionMode.STOP)

    state = rig.run_until(lambda s: s.phase is ServoPhase.STOPPED)

    assert rig.arm.calls[-1] == "stop"
    assert rig.speeds()[-1] == 0.0
    assert state.hold_reason is HoldReason.NOT_ARMED
    assert rig.release().phase is ServoPhase.READY


def test_an_orderly_end_brakes_before_it_stops() -> None:
    rig = armed_rig()
    rig.move_home_by(SWING)
    rig.step(100)

    cycles = 0
    while not rig.session.brake(rig.now_ns):
        rig.now_ns += 2 * MS
        rig.arm.now_ns = rig.now_ns
        cycles += 1
    rig.session.end(rig.now_ns)

    assert 10 < cycles < 80
    assert rig.state.phase is ServoPhase.STOPPED
    assert rig.arm.calls[-1] == "stop"
    assert find_breaches(np.array(rig.arm.sent)) == []


def test_an_orderly_end_without_a_release_sends_nothing() -> None:
    rig = ServoRig()

    assert rig.session.brake(rig.now_ns)
    assert rig.arm.sent == []


def test_an_older_order_neither_moves_the_arm_nor_keeps_a_newer_one_alive() -> None:
    rig = swinging_rig()
    newest = rig.port.command
    assert newest is not None
    rig.port.command = replace(
        newest, command_id=1, mode=MotionMode.MOVE_JOINT, q_target=HOME_Q - 1
    )

    assert rig.step().hold_reason is HoldReason.COMMAND_STALE
    rig.run_until(lambda _: rig_rests(rig))
    assert not np.allclose(rig.arm.q, HOME_Q + SWING, atol=0.05)
    rested = rig.arm.sent[-1]
    rig.step(200)
    assert (rig.arm.sent[-1] == rested).all()
    rig.port.command = newest
    finish(rig)


def test_a_joint_kept_from_its_place_has_not_arrived() -> None:
    rig = armed_rig()
    rig.arm.sag_rad = 0.03
    rig.move_home_by(SWING)

    assert rig.step(1500).reached_id < rig.state.command_id
    rig.arm.sag_rad = 0.01
    rig.run_until(lambda s: s.reached_id == s.command_id)


def test_guard_times_and_setpoints_are_counted() -> None:
    rig = armed_rig()

    state = rig.step(1100)

    assert state.guard_p50_us > 0.0
    assert state.guard_p999_us >= state.guard_p50_us
    assert rig.desk.tally.sent == rig.desk.tally.guard.verdicts == len(rig.arm.sent)
    assert state.unguarded_cycles == 0
    assert state.period_s == PERIOD_S
