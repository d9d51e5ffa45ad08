"""Reads one picture of all peers and says which causes are present in it. Pure.

Absence of knowledge is a cause: a peer that never spoke is lost, not fine.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from cell.contracts.errors import Complaint, FaultCode
from cell.contracts.robot import RobotMode, SafetyBit
from cell.contracts.servo import (
    UNEXPLAINED_HOLDS,
    UNLINKED_PHASES,
    HoldReason,
    ServoPhase,
    ServoState,
)
from cell.supervisor.causes import Cause
from cell.supervisor.decision import Finding

FRAME_AGE_LIMIT_S = 1.0
"""Frames come at 15 Hz; a camera process that respawns takes longer than this."""

_EMERGENCY_BITS = (
    SafetyBit.SYSTEM_EMERGENCY_STOP,
    SafetyBit.ROBOT_EMERGENCY_STOP,
    SafetyBit.EMERGENCY_STOP,
)
_FAULT_BITS = (SafetyBit.VIOLATION, SafetyBit.FAULT)
_CAUSE_OF_CODE: Final = {
    FaultCode.ARM_WRONG_VERSION: Cause.ARM_WRONG_VERSION,
    FaultCode.ARM_WRONG_ROBOT: Cause.ARM_WRONG_ROBOT,
    FaultCode.ARM_IN_USE: Cause.ARM_IN_USE,
    FaultCode.MODEL_MISSING: Cause.MODEL_MISSING,
    FaultCode.MODEL_INVALID: Cause.MODEL_INVALID,
    FaultCode.GUARDIAN_INVALID: Cause.GUARDIAN_INVALID,
}
"""Complaints with a cause of their own. No waiting helps against them."""

_CAMERA_CAUSES: Final = {
    FaultCode.DRIVER_UNREACHABLE: Cause.CAMERA_UNREACHABLE,
    FaultCode.CAMERA_WRONG_DEVICE: Cause.CAMERA_WRONG_DEVICE,
}
"""Why there is no fresh picture, where a complaint knows it."""

_WRONG_ARMS: Final = (Cause.ARM_WRONG_VERSION, Cause.ARM_WRONG_ROBOT)
"""Robots that no link is kept to."""

_RELEASED: Final = (ServoPhase.READY, ServoPhase.MOVING)

_NO_WORD: Final = "no word from it yet; its first start on a computer takes a minute"

_VAGUE: Final = {
    Cause.ARM_NOT_READY: (Cause.ARM_IN_USE, *_WRONG_ARMS),
    Cause.ROBOT_LINK_LOST: _WRONG_ARMS,
    Cause.SERVO_FAULT: (Cause.ARM_IN_USE,),
    Cause.CAMERA_STALE: (Cause.CAMERA_UNREACHABLE, Cause.CAMERA_WRONG_DEVICE),
}
"""What an activity may end with, and what a complaint may know better."""


@dataclass(frozen=True)
class Conditions:
    """One picture.

    Attributes:
        servo: newest state of the servo process, None before the first.
        is_servo_fresh: it is recent.
        is_servo_ready: the arm would follow an order.
        is_making_ready: arm and fingers are being released right now.
        is_plc_valid: the line is alive.
        has_plc_restarted: another boot was seen since the last picture.
        is_map_mismatched: the PLC's registers are not ours.
        lost_write: what the line did not hold since the last picture, empty if nothing.
        plc_detail: why it is not valid.
        is_gripper_lost: nothing is known about the fingers.
        is_gripper_faulty: it says that it cannot work.
        gripper_detail: why nothing is known.
        lost_process: a process that does not run and will be started again, empty when
            there is none.
        given_up: a process that is not started any more, empty when there is none.
        frame_age_s: age of the newest picture of the bin [s].
        is_policy_ready: a policy worker is there.
        has_stalled: our own decisions stood still for a while just now.
        is_speed_zero: the line allows no speed.
        servo_complaint: what the servo process has against the arm.
        camera_complaint: what the camera process has against the camera over the bin.
        policy_complaint: what the policy worker has against its live model.
        guardian_complaint: what the Guardian worker has against its model.
        withdrawn: why the Guardian has withdrawn the learned policy, empty when it has
            not.
        novel: how unlike training the pictures are that the fallback picks on, empty
            while the learned policy knows what it sees.
    """

    servo: ServoState | None
    is_servo_fresh: bool
    is_servo_ready: bool
    is_making_ready: bool
    is_plc_valid: bool
    has_plc_restarted: bool
    is_map_mismatched: bool
    plc_detail: str
    is_gripper_lost: bool
    is_gripper_faulty: bool
    gripper_detail: str
    frame_age_s: float
    is_policy_ready: bool
    lost_process: str = ""
    given_up: str = ""
    has_stalled: bool = False
    is_speed_zero: bool = False
    lost_write: str = ""
    servo_complaint: Complaint | None = None
    camera_complaint: Complaint | None = None
    policy_complaint: Complaint | None = None
    guardian_complaint: Complaint | None = None
    withdrawn: str = ""
    novel: str = ""


def find_causes(now: Conditions) -> tuple[Finding, ...]:
    """Return all causes that are present, interventions at the robot first."""
    return (
        *([Finding(Cause.SUPERVISOR_STALLED)] if now.has_stalled else []),
        *_find_at_robot(now),
        *_find_at_servo(now),
        *_find_at_line(now),
        *_find_at_tools(now),
    )


def find_missing(now: Conditions) -> tuple[Finding, ...]:
    """Return all causes that are present, also at what is being made ready right now.

    Those stop nothing, but a person who waits should know what the cell waits for.
    """
    return find_causes(replace(now, is_making_ready=False))


def find_alarms(now: Conditions) -> tuple[Finding, ...]:
    """Return what a person should know although it need not stop the cell now."""
    complaints = (now.servo_complaint, now.policy_complaint, now.guardian_complaint)
    alarms = [
        Finding(_CAUSE_OF_CODE[complaint.code], complaint.text)
        for complaint in complaints
        if complaint is not None and complaint.code in _CAUSE_OF_CODE
    ]
    if now.withdrawn:
        alarms.append(Finding(Cause.POLICY_WITHDRAWN, now.withdrawn))
    if now.novel:
        alarms.append(Finding(Cause.PICTURES_NOVEL, now.novel))
    return tuple(alarms)


def explain(failure: Finding | None, now: Conditions) -> Finding | None:
    """Return why an activity failed, in the words of whoever knows best."""
    if failure is None or failure.cause not in _VAGUE:
        return failure
    at_camera = failure.cause is Cause.CAMERA_STALE
    complaint = now.camera_complaint if at_camera else now.servo_complaint
    if complaint is None:
        return failure
    cause = _name_camera_cause(complaint) if at_camera else _name_arm_cause(complaint)
    if cause not in _VAGUE[failure.cause]:
        cause = failure.cause
    return Finding(cause, complaint.text)


def _name_arm_cause(complaint: Complaint | None) -> Cause | None:
    return None if complaint is None else _CAUSE_OF_CODE.get(complaint.code)


def _name_camera_cause(complaint: Complaint | None) -> Cause:
    code = FaultCode.NONE if complaint is None else complaint.code
    return _CAMERA_CAUSES.get(code, Cause.CAMERA_STALE)


def _say(complaint: Complaint | None) -> str:
    return "" if complaint is None else complaint.text


def _find_at_robot(now: Conditions) -> Iterator[Finding]:
    if now.servo is None or not now.is_servo_fresh:
        return
    bits = now.servo.safety_status_bits
    if _any_set(bits, _EMERGENCY_BITS):
        yield Finding(Cause.EMERGENCY_STOP)
    if _any_set(bits, (SafetyBit.PROTECTIVE_STOP,)):
        yield Finding(Cause.PROTECTIVE_STOP)
    if _any_set(bits, (SafetyBit.SAFEGUARD_STOP,)):
        yield Finding(Cause.SAFEGUARD_STOP)
    if _any_set(bits, _FAULT_BITS):
        yield Finding(Cause.ROBOT_FAULT)


def _find_at_servo(now: Conditions) -> Iterator[Finding]:
    state = now.servo
    if now.is_servo_ready:
        return
    latch = _find_unexplained(now)
    if latch is not None:
        # Whatever else is the matter meanwhile: only a new release ends it.
        yield latch
    if now.is_making_ready:
        return
    if state is None or not now.is_servo_fresh:
        yield Finding(Cause.SERVO_LOST, _NO_WORD if state is None else "")
        return
    said, named = _say(now.servo_complaint), _name_arm_cause(now.servo_complaint)
    if state.phase in UNLINKED_PHASES or state.hold_reason is HoldReason.LINK_LOST:
        yield Finding(named if named in _WRONG_ARMS else Cause.ROBOT_LINK_LOST, said)
    elif state.robot_mode != RobotMode.RUNNING:
        yield Finding(Cause.ROBOT_NOT_RUNNING, name_robot_mode(state.robot_mode))
    elif state.hold_reason is HoldReason.NOT_ARMED:
        yield Finding(Cause.ARM_NOT_RELEASED)
    elif named is Cause.ARM_IN_USE:
        yield Finding(Cause.ARM_IN_USE, said)
    elif latch is None:
        # Also a protective stop that has been unlocked since: the latch remains.
        yield _name_latch(state, said)


def _find_unexplained(now: Conditions) -> Finding | None:
    state = now.servo
    if state is None or not now.is_servo_fresh or state.phase in _RELEASED:
        return None
    if state.hold_reason not in UNEXPLAINED_HOLDS:
        return None
    latch = _name_latch(state, _say(now.servo_complaint))
    # A servo process latches once for each release.
    return replace(latch, latch_id=state.arm_id)


def _name_latch(state: ServoState, said: str) -> Finding:
    where = f"{state.phase.name}, {state.hold_reason.name}"
    return Finding(Cause.SERVO_FAULT, f"{where}: {said}" if said else where)


def _find_at_line(now: Conditions) -> Iterator[Finding]:
    if now.has_plc_restarted:
        yield Finding(Cause.PLC_RESTARTED)
    if now.lost_write:
        yield Finding(Cause.PLC_WRITE_LOST, now.lost_write)
    if now.is_map_mismatched:
        yield Finding(Cause.PLC_MAP_MISMATCH, now.plc_detail)
    elif not now.is_plc_valid:
        yield Finding(Cause.PLC_LOST, now.plc_detail)
    if now.is_speed_zero:
        yield Finding(Cause.LINE_SPEED_ZERO)


def _find_at_tools(now: Conditions) -> Iterator[Finding]:
    if now.is_gripper_lost and not now.is_making_ready:
        yield Finding(Cause.GRIPPER_LOST, now.gripper_detail)
    elif now.is_gripper_faulty and not now.is_making_ready:
        yield Finding(Cause.GRIPPER_FAULT)
    if now.given_up:
        yield Finding(Cause.PROCESS_GIVEN_UP, now.given_up)
    if now.lost_process:
        yield Finding(Cause.PROCESS_LOST, now.lost_process)
    if now.frame_age_s > FRAME_AGE_LIMIT_S:
        complaint = now.camera_complaint
        yield Finding(_name_camera_cause(complaint), _say(complaint))
    if not now.is_policy_ready:
        yield Finding(Cause.POLICY_UNAVAILABLE, _say(now.policy_complaint))


def name_robot_mode(mode: int) -> str:
    """Return the robot's mode in words, also for numbers of the future."""
    try:
        return f"robot mode {RobotMode(mode).name}"
    except ValueError:
        return f"robot mode {mode}"


def _any_set(bits: int, wanted: tuple[SafetyBit, ...]) -> bool:
    return any(bits & (1 << bit) for bit in wanted)
