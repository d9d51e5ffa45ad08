"""One row of facts for each cause.

The rows decide everything that must not be decided in passing: which PackML family a
cause leads to, how motion ends, and who may end the stop. A cause that needs a person
never ends by itself, however long ago it went away.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cell.contracts.errors import FaultCode, StopCategory
from cell.supervisor.causes import Cause, CauseFacts, Clears, Reaction


def _robot_row(code: FaultCode, text: str, remedy: str) -> CauseFacts:
    return CauseFacts(
        code,
        Reaction.ABORT,
        Reaction.ABORT,
        Clears.BY_CLEAR,
        text,
        remedy,
        stop=StopCategory.CONTROLLED_THEN_REMOVE_POWER,
        is_live=True,
        disarms=True,
        in_stopped=True,
    )


def _link_row(
    code: FaultCode, text: str, remedy: str, *, disarms: bool = False
) -> CauseFacts:
    return CauseFacts(
        code,
        Reaction.ABORT,
        Reaction.HOLD,
        Clears.BY_UNHOLD,
        text,
        remedy,
        is_live=True,
        disarms=disarms,
    )


def _held_row(
    code: FaultCode,
    text: str,
    remedy: str,
    *,
    clears: Clears = Clears.BY_UNHOLD,
    is_live: bool = False,
    disarms: bool = False,
) -> CauseFacts:
    return CauseFacts(
        code,
        Reaction.HOLD,
        Reaction.HOLD,
        clears,
        text,
        remedy,
        is_live=is_live,
        disarms=disarms,
    )


def _alarm_row(
    code: FaultCode, text: str, remedy: str, clears: Clears = Clears.BY_RESTART
) -> CauseFacts:
    """Return a row of something that production goes on with."""
    return CauseFacts(code, Reaction.NONE, Reaction.NONE, clears, text, remedy)


def _line_row(text: str, remedy: str, code: FaultCode = FaultCode.NONE) -> CauseFacts:
    return CauseFacts(
        code, Reaction.SUSPEND, Reaction.SUSPEND, Clears.BY_ITSELF, text, remedy
    )


FACTS: Final[Mapping[Cause, CauseFacts]] = MappingProxyType(
    {
        Cause.PROTECTIVE_STOP: _robot_row(
            FaultCode.PROTECTIVE_STOP,
            "the robot is in protective stop",
            "find out what it touched, unlock it at the pendant, acknowledge, Clear",
        ),
        Cause.EMERGENCY_STOP: _robot_row(
            FaultCode.EMERGENCY_STOP,
            "an emergency stop is pressed",
            "release it, power the robot up at the pendant, acknowledge, Clear",
        ),
        Cause.SAFEGUARD_STOP: _robot_row(
            FaultCode.SAFEGUARD_STOP,
            "the safeguard input of the robot is open",
            "close the fence and reset the safeguard, acknowledge, Clear",
        ),
        Cause.ROBOT_FAULT: _robot_row(
            FaultCode.ROBOT_NOT_RUNNING,
            "the robot reports a safety violation or fault",
            "read the pendant, restart the robot's safety system, acknowledge, Clear",
        ),
        Cause.ROBOT_NOT_RUNNING: CauseFacts(
            FaultCode.ROBOT_NOT_RUNNING,
            Reaction.ABORT,
            Reaction.ABORT,
            Clears.BY_CLEAR,
            "the robot is not powered and running",
            "power it on and release the brakes at the pendant, acknowledge, Clear",
            stop=StopCategory.CONTROLLED_THEN_REMOVE_POWER,
            is_live=True,
            disarms=True,
        ),
        Cause.ROBOT_LINK_LOST: _link_row(
            FaultCode.DRIVER_UNREACHABLE,
            "the connection to the robot is lost",
            "check cable, power and arm.host; then Clear, or Unhold where Held",
            disarms=True,
        ),
        Cause.SERVO_LOST: _link_row(
            FaultCode.SERVO_LOST,
            "the servo process is silent",
            "its host starts it; then Clear, or Unhold where Held",
            disarms=True,
        ),
        Cause.SERVO_FAULT: CauseFacts(
            FaultCode.SERVO_LOST,
            Reaction.ABORT,
            Reaction.ABORT,
            Clears.BY_CLEAR,
            "the servo process has latched a fault",
            "read its hold reason, acknowledge, Clear; Reset arms it again",
            is_live=True,
            disarms=True,
        ),
        Cause.ARM_NOT_RELEASED: _link_row(
            FaultCode.SERVO_LOST,
            "the arm is not released for motion",
            "Reset, or Unhold where the cell is Held",
            disarms=True,
        ),
        Cause.ARM_NOT_READY: _held_row(
            FaultCode.ROBOT_NOT_RUNNING,
            "the robot could not be made ready",
            "look at the pendant: power, brakes, remote control; then Reset or Unhold",
        ),
        Cause.ARM_WRONG_VERSION: _link_row(
            FaultCode.ARM_WRONG_VERSION,
            "the robot's software is not one that can be driven",
            "install a supported PolyScope version; then clear or unhold",
            disarms=True,
        ),
        Cause.ARM_WRONG_ROBOT: _link_row(
            FaultCode.ARM_WRONG_ROBOT,
            "the robot at this address is not the configured one",
            "connect the configured robot, or set arm.serial_number; clear or unhold",
            disarms=True,
        ),
        Cause.ARM_IN_USE: _held_row(
            FaultCode.ARM_IN_USE,
            "another client controls the robot",
            "end the other client (programs, fieldbus); then Reset or Unhold",
            is_live=True,
            disarms=True,
        ),
        Cause.PLC_LOST: _link_row(
            FaultCode.PLC_HEARTBEAT_LOST,
            "the line PLC is silent or its heartbeat stands still",
            "check the PLC, its cable and plc.host; then clear or unhold",
        ),
        Cause.PLC_RESTARTED: _link_row(
            FaultCode.PLC_HEARTBEAT_LOST,
            "the line PLC has restarted",
            "check that the line is ready; then clear or unhold",
        ),
        Cause.PLC_MAP_MISMATCH: _link_row(
            FaultCode.PLC_MAP_MISMATCH,
            "the register map of the PLC is not ours",
            "compare with `cellward registers`: addresses, word order, version",
        ),
        Cause.PLC_WRITE_LOST: CauseFacts(
            FaultCode.PLC_WRITE_LOST,
            Reaction.ABORT,
            Reaction.ABORT,
            Clears.BY_CLEAR,
            "the line PLC does not hold what the cell wrote to it",
            "look for a second client that writes our block; acknowledge, Clear",
            is_live=True,
        ),
        Cause.LINE_SPEED_ZERO: _held_row(
            FaultCode.LINE_SPEED_ZERO,
            "the line limited the speed to zero while the arm moved",
            "raise the speed limit of the line, Unhold",
            is_live=True,
        ),
        Cause.NO_WAY_BACK: _held_row(
            FaultCode.PART_LOST,
            "the part in the fingers cannot go back to the bin",
            "give the zone permit or take the part out, Unhold",
        ),
        Cause.GRIPPER_LOST: _held_row(
            FaultCode.DRIVER_UNREACHABLE,
            "the connection to the gripper is lost",
            "check gripper.host and the gripper's power, Unhold",
            is_live=True,
            disarms=True,
        ),
        Cause.GRIPPER_FAULT: _held_row(
            FaultCode.GRIPPER_FAULT,
            "the gripper reports a fault or does not move as told",
            "clear the fault, Unhold",
            is_live=True,
            disarms=True,
        ),
        Cause.PROCESS_LOST: _held_row(
            FaultCode.PROCESS_LOST,
            "a process of the controller does not run",
            "wait, its host starts it; if that does not help, read its log",
            clears=Clears.BY_ITSELF,
            is_live=True,
        ),
        # Whoever died again and again may do so in the next motion: no waiting helps.
        Cause.PROCESS_GIVEN_UP: CauseFacts(
            FaultCode.PROCESS_RESTART_LIMIT,
            Reaction.ABORT,
            Reaction.ABORT,
            Clears.BY_CLEAR,
            "a process of the controller stays down",
            "read its log, mend it, start Cellward again; acknowledge, Clear",
            is_live=True,
        ),
        Cause.CAMERA_STALE: _held_row(
            FaultCode.CAMERA_STALE,
            "no fresh picture of the bin",
            "wait for the camera to come back; if it does not, check cable and power",
            clears=Clears.BY_ITSELF,
        ),
        Cause.CAMERA_UNREACHABLE: _held_row(
            FaultCode.DRIVER_UNREACHABLE,
            "the camera over the bin cannot be reached",
            "check its cable and power, and cameras.overhead in the configuration",
            clears=Clears.BY_ITSELF,
        ),
        Cause.CAMERA_WRONG_DEVICE: _held_row(
            FaultCode.CAMERA_WRONG_DEVICE,
            "the camera over the bin is not the configured one",
            "look whether cameras are swapped, or set cameras.overhead.serial; Unhold",
            # It may come and go while the cell is Held for a camera out of reach, which
            # ends by itself; only what is live joins that stop.
            is_live=True,
        ),
        Cause.CAMERA_BLIND: _held_row(
            FaultCode.CAMERA_BLIND,
            "the picture of the bin cannot be used",
            "look whether the camera is covered, dirty or in the dark",
            clears=Clears.BY_ITSELF,
        ),
        Cause.MODEL_MISSING: _alarm_row(
            FaultCode.MODEL_MISSING,
            "the live model is missing; the fallback policy picks",
            "restore the model, then start Cellward again",
        ),
        Cause.MODEL_INVALID: _alarm_row(
            FaultCode.MODEL_INVALID,
            "the live model cannot be used; the fallback policy picks",
            "restore the model or export it again, then start Cellward again",
        ),
        Cause.GUARDIAN_INVALID: _alarm_row(
            FaultCode.GUARDIAN_INVALID,
            "the Guardian's model cannot be used; the fallback policy picks",
            "restore it or train and export it again, then start Cellward again",
        ),
        Cause.POLICY_WITHDRAWN: _alarm_row(
            FaultCode.POLICY_WITHDRAWN,
            "the Guardian has withdrawn the learned policy; the fallback policy picks",
            "look at fingers, camera, parts and model; it is tried on in shadow",
            Clears.BY_EVIDENCE,
        ),
        Cause.PICTURES_NOVEL: _alarm_row(
            FaultCode.PICTURES_NOVEL,
            "pictures of the bin are unlike those of training; the fallback policy "
            "picks",
            "compare the camera's pose and light with the calibration, clean its lens; "
            "for new parts train the model again",
            Clears.BY_PICTURE,
        ),
        Cause.POLICY_UNAVAILABLE: _held_row(
            FaultCode.POLICY_TIMEOUT,
            "the policy worker does not answer",
            "wait, its host starts it; if that does not help, read its log",
            clears=Clears.BY_ITSELF,
        ),
        Cause.POLICY_TIMEOUT: _held_row(
            FaultCode.POLICY_TIMEOUT,
            "the policy missed its deadline repeatedly",
            "wait, its host restarts it; if that does not help, read its log",
            clears=Clears.BY_ITSELF,
        ),
        Cause.POLICY_OUTPUT_INVALID: _held_row(
            FaultCode.POLICY_OUTPUT_INVALID,
            "live and fallback policy both gave unusable answers",
            "look at the bin and at the policy log, Unhold",
        ),
        Cause.CHUNK_REFUSED: _held_row(
            FaultCode.CHUNK_REFUSED,
            "no proposed grasp passed the check",
            "look whether parts lie outside the reach of the gripper, Unhold",
        ),
        Cause.COMMAND_VETOED: _held_row(
            FaultCode.COMMAND_VETOED,
            "the guard refused a motion repeatedly",
            "read the hold reason, clear the way or move the arm out of the zone "
            "by hand (freedrive), Unhold",
        ),
        Cause.MOTION_TIMEOUT: _held_row(
            FaultCode.MOTION_TIMEOUT,
            "a motion did not arrive in time",
            "look at the speed slider and at the servo figures, Unhold",
        ),
        Cause.TARGET_UNREACHABLE: _held_row(
            FaultCode.TARGET_UNREACHABLE,
            "a place the arm has to reach has no joint solution",
            "check bin, outfeed and home in the configuration, Unhold",
        ),
        Cause.PICK_FAILED_REPEATEDLY: _held_row(
            FaultCode.PICK_FAILED_REPEATEDLY,
            "too many picks in a row failed",
            "look at the bin, the fingers and the camera's window, Unhold",
        ),
        Cause.PLACE_NOT_CONFIRMED: _held_row(
            FaultCode.PLACE_NOT_CONFIRMED,
            "the fingers did not let the part go",
            "free the part, Unhold",
        ),
        Cause.RETURNED_TOO_OFTEN: _held_row(
            FaultCode.PROCESS_RESTART_LIMIT,
            "a disturbance that goes away by itself came back too often",
            "find out why the camera or the policy worker keeps failing, Unhold",
        ),
        # No fault: nothing was in work, and the next Reset simply tries again.
        Cause.RESET_FAILED: CauseFacts(
            FaultCode.NONE,
            Reaction.NONE,
            Reaction.NONE,
            Clears.BY_START,
            "the reset could not be finished",
            "see the permissives that are not met, then Reset again",
        ),
        Cause.SUPERVISOR_STALLED: _link_row(
            FaultCode.SUPERVISOR_RESTARTED,
            "the supervisor stood still for a while",
            "look for what loads this computer; then clear or unhold",
        ),
        Cause.SUPERVISOR_RESTARTED: CauseFacts(
            FaultCode.SUPERVISOR_RESTARTED,
            Reaction.ABORT,
            Reaction.ABORT,
            Clears.BY_CLEAR,
            "the supervisor before this one did not end at rest",
            "look where the part in work is, acknowledge, Clear, Reset, Start",
        ),
        Cause.STARVED: _line_row("the bin holds nothing to pick", "refill the bin"),
        Cause.BLOCKED: _line_row("the outfeed is not clear", "clear the outfeed"),
        Cause.ZONE_NOT_PERMITTED: _line_row(
            "the line does not permit the arm over the bin", "give the zone permit"
        ),
        Cause.HANDSHAKE_TIMEOUT: _line_row(
            "the line did not answer the part handshake",
            "check part_done and part_taken in the PLC program",
            FaultCode.PLC_HANDSHAKE_TIMEOUT,
        ),
        Cause.COMMANDED: CauseFacts(
            FaultCode.NONE,
            Reaction.NONE,
            Reaction.NONE,
            Clears.BY_COMMAND,
            "commanded",
            "give the command that leads back",
        ),
    }
)
