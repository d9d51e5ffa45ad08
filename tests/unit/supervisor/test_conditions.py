"""Which causes are seen in one picture of the peers."""

from dataclasses import replace

import pytest

from cell.contracts.errors import Complaint, FaultCode
from cell.contracts.robot import RobotMode, SafetyBit
from cell.contracts.servo import HoldReason, ServoPhase
from cell.supervisor.causes import Cause
from cell.supervisor.conditions import Conditions, find_causes, find_missing
from cell.supervisor.decision import Finding
from cell.supervisor.permissives import Unmet, compute_unmet
from cell.supervisor.states import State
from tests.fakes.servo import RESTING_SERVO

WELL = Conditions(
    servo=RESTING_SERVO,
    is_servo_fresh=True,
    is_servo_ready=True,
    is_making_ready=False,
    is_plc_valid=True,
    has_plc_restarted=False,
    is_map_mismatched=False,
    plc_detail="",
    is_gripper_lost=False,
    is_gripper_faulty=False,
    gripper_detail="",
    frame_age_s=0.05,
    is_policy_ready=True,
)


def causes_in(conditions: Conditions) -> list[Cause]:
    return [finding.cause for finding in find_causes(conditions)]


def unmet_in(conditions: Conditions, state: State) -> tuple[Unmet, ...]:
    phase = None if conditions.servo is None else conditions.servo.phase
    return compute_unmet(
        find_missing(conditions),
        phase,
        state,
        is_making_ready=conditions.is_making_ready,
    )


def faulted(reason: HoldReason, mode: RobotMode = RobotMode.RUNNING) -> Conditions:
    servo = replace(
        RESTING_SERVO, phase=ServoPhase.FAULT, hold_reason=reason, robot_mode=int(mode)
    )
    return replace(WELL, servo=servo, is_servo_ready=False)


def test_a_well_cell_has_no_cause() -> None:
    assert causes_in(WELL) == []
    assert unmet_in(WELL, State.IDLE) == ()


@pytest.mark.parametrize(
    ("bit", "cause"),
    [
        (SafetyBit.PROTECTIVE_STOP, Cause.PROTECTIVE_STOP),
        (SafetyBit.SAFEGUARD_STOP, Cause.SAFEGUARD_STOP),
        (SafetyBit.SYSTEM_EMERGENCY_STOP, Cause.EMERGENCY_STOP),
        (SafetyBit.ROBOT_EMERGENCY_STOP, Cause.EMERGENCY_STOP),
        (SafetyBit.EMERGENCY_STOP, Cause.EMERGENCY_STOP),
        (SafetyBit.VIOLATION, Cause.ROBOT_FAULT),
        (SafetyBit.FAULT, Cause.ROBOT_FAULT),
    ],
)
def test_every_safety_bit_has_its_cause(bit: SafetyBit, cause: Cause) -> None:
    servo = replace(RESTING_SERVO, safety_status_bits=1 << bit)

    assert causes_in(replace(WELL, servo=servo)) == [cause]


def test_reduced_mode_is_no_cause() -> None:
    bits = 1 << SafetyBit.NORMAL | 1 << SafetyBit.REDUCED
    servo = replace(RESTING_SERVO, safety_status_bits=bits)

    assert causes_in(replace(WELL, servo=servo)) == []


def test_a_latch_left_by_an_unlocked_protective_stop_is_a_servo_fault() -> None:
    assert causes_in(faulted(HoldReason.PROTECTIVE_STOP)) == [Cause.SERVO_FAULT]


@pytest.mark.parametrize(
    "reason",
    [HoldReason.TRACKING_ERROR, HoldReason.PLAN_REFUSED, HoldReason.GUARD_EXCEPTION],
)
def test_a_latch_that_nobody_can_explain_is_seen_until_the_arm_is_released_anew(
    reason: HoldReason,
) -> None:
    latched = faulted(reason)
    off = faulted(reason, RobotMode.POWER_OFF)

    (found,) = find_causes(latched)
    assert found.latch_id == RESTING_SERVO.arm_id
    assert reason.name in found.detail
    assert find_causes(replace(latched, is_making_ready=True)) == (found,)
    assert causes_in(off) == [Cause.SERVO_FAULT, Cause.ROBOT_NOT_RUNNING]
    # A hold that passes is no latch.
    for phase in (ServoPhase.READY, ServoPhase.MOVING):
        servo = replace(RESTING_SERVO, phase=phase, hold_reason=reason)
        assert causes_in(replace(WELL, servo=servo)) == []
    (left,) = find_causes(faulted(HoldReason.PROTECTIVE_STOP))
    assert left.latch_id is None


def test_a_lost_link_and_a_powered_down_robot_are_told_apart() -> None:
    off = faulted(HoldReason.ROBOT_NOT_READY, RobotMode.POWER_OFF)

    assert causes_in(faulted(HoldReason.LINK_LOST)) == [Cause.ROBOT_LINK_LOST]
    assert causes_in(faulted(HoldReason.NOT_ARMED)) == [Cause.ARM_NOT_RELEASED]
    assert causes_in(off) == [Cause.ROBOT_NOT_RUNNING]
    assert "POWER_OFF" in unmet_in(off, State.IDLE)[0].what


def test_a_peer_that_never_spoke_is_lost() -> None:
    nobody = Conditions(
        servo=None,
        is_servo_fresh=False,
        is_servo_ready=False,
        is_making_ready=False,
        is_plc_valid=False,
        has_plc_restarted=False,
        is_map_mismatched=False,
        plc_detail="not connected yet",
        is_gripper_lost=True,
        is_gripper_faulty=False,
        gripper_detail="not connected yet",
        frame_age_s=float("inf"),
        is_policy_ready=False,
    )

    assert causes_in(nobody) == [
        Cause.SERVO_LOST,
        Cause.PLC_LOST,
        Cause.GRIPPER_LOST,
        Cause.CAMERA_STALE,
        Cause.POLICY_UNAVAILABLE,
    ]
    assert len(unmet_in(nobody, State.STOPPED)) == 5


def test_an_arm_that_is_being_made_ready_is_no_news() -> None:
    arming = replace(
        faulted(HoldReason.LINK_LOST),
        is_servo_fresh=False,
        is_gripper_lost=True,
        is_making_ready=True,
    )

    assert causes_in(arming) == []
    # A connection that is opened anew is away for a moment.
    assert [entry.what for entry in unmet_in(arming, State.RESETTING)] == [
        "the connection to the gripper is lost"
    ]


def test_who_waits_for_a_device_to_be_made_ready_reads_which_one_it_is() -> None:
    absent = Complaint(FaultCode.DRIVER_UNREACHABLE, "arm: no controller at 10.0.0.9")
    waiting = replace(
        WELL,
        servo=replace(RESTING_SERVO, phase=ServoPhase.CONNECTING),
        is_servo_ready=False,
        servo_complaint=absent,
        is_gripper_lost=True,
        gripper_detail="no URCap answers at 10.0.0.9:63352",
        is_making_ready=True,
    )

    said = [entry.what for entry in unmet_in(waiting, State.RESETTING)]

    assert causes_in(waiting) == []
    assert [text for text in said if "no controller at 10.0.0.9" in text]
    assert [text for text in said if "10.0.0.9:63352" in text]


def test_what_reset_is_doing_is_not_missing_while_it_does_it() -> None:
    arming = replace(
        faulted(HoldReason.NOT_ARMED), is_gripper_faulty=True, is_making_ready=True
    )

    assert unmet_in(arming, State.RESETTING) == ()
    assert unmet_in(replace(arming, is_making_ready=False), State.RESETTING) != ()


def test_an_intervention_is_seen_even_while_the_arm_is_being_made_ready() -> None:
    servo = replace(RESTING_SERVO, safety_status_bits=1 << SafetyBit.PROTECTIVE_STOP)
    conditions = replace(WELL, servo=servo, is_making_ready=True, is_servo_ready=False)

    assert causes_in(conditions) == [Cause.PROTECTIVE_STOP]


def test_what_reset_does_anyway_is_not_missing_before_reset() -> None:
    unarmed = replace(faulted(HoldReason.NOT_ARMED), is_gripper_faulty=True)

    assert unmet_in(unarmed, State.STOPPED) == ()
    assert len(unmet_in(unarmed, State.IDLE)) == 2


def test_an_absent_robot_is_missing_before_reset_and_a_returned_one_is_not() -> None:
    returned = faulted(HoldReason.LINK_LOST)
    servo = replace(RESTING_SERVO, phase=ServoPhase.CONNECTING)
    absent = replace(WELL, servo=servo, is_servo_ready=False)

    assert unmet_in(returned, State.STOPPED) == ()
    assert len(unmet_in(absent, State.STOPPED)) == 1


def test_a_wrong_register_map_is_named_instead_of_a_lost_line() -> None:
    conditions = replace(WELL, is_plc_valid=False, is_map_mismatched=True)

    assert causes_in(conditions) == [Cause.PLC_MAP_MISMATCH]


def test_a_process_that_is_given_up_has_a_cause_of_its_own() -> None:
    down = replace(WELL, given_up="camera")

    assert find_causes(down) == (Finding(Cause.PROCESS_GIVEN_UP, "camera"),)


def test_a_process_that_ended_holds_the_cell_until_it_is_back() -> None:
    lost = replace(WELL, lost_process="camera")

    assert find_causes(lost) == (Finding(Cause.PROCESS_LOST, "camera"),)
