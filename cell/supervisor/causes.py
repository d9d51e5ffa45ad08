"""Names of everything that stops the cell, makes it wait or keeps it from starting.

What each of them means stands in `cause_table`.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum

from cell.contracts.errors import CellError, FaultCode, StopCategory


class Reaction(IntEnum):
    """What a cause asks of the state machine, in rising severity."""

    NONE = 0
    SUSPEND = 1
    HOLD = 2
    ABORT = 3


class Clears(Enum):
    """Who may end the stop, once the cause itself is gone."""

    BY_ITSELF = "by itself"
    BY_UNHOLD = "Unhold by a person or the line"
    BY_START = "Reset and Start by a person or the line"
    BY_CLEAR = "acknowledge, then Clear, Reset and Start"
    BY_COMMAND = "the command that leads back"
    BY_EVIDENCE = "evidence of good grasps; stops nothing"
    BY_PICTURE = "a picture as in training; stops nothing"
    BY_RESTART = "a start with the cause removed; stops nothing"


class Cause(StrEnum):
    """Every reason for not being in Execute."""

    PROTECTIVE_STOP = "protective_stop"
    EMERGENCY_STOP = "emergency_stop"
    SAFEGUARD_STOP = "safeguard_stop"
    ROBOT_FAULT = "robot_fault"
    ROBOT_NOT_RUNNING = "robot_not_running"
    ROBOT_LINK_LOST = "robot_link_lost"
    SERVO_LOST = "servo_lost"
    SERVO_FAULT = "servo_fault"
    ARM_NOT_RELEASED = "arm_not_released"
    ARM_NOT_READY = "arm_not_ready"
    ARM_WRONG_VERSION = "arm_wrong_version"
    ARM_WRONG_ROBOT = "arm_wrong_robot"
    ARM_IN_USE = "arm_in_use"
    PLC_LOST = "plc_lost"
    PLC_RESTARTED = "plc_restarted"
    PLC_MAP_MISMATCH = "plc_map_mismatch"
    PLC_WRITE_LOST = "plc_write_lost"
    LINE_SPEED_ZERO = "line_speed_zero"
    NO_WAY_BACK = "no_way_back"
    GRIPPER_LOST = "gripper_lost"
    GRIPPER_FAULT = "gripper_fault"
    PROCESS_LOST = "process_lost"
    PROCESS_GIVEN_UP = "process_given_up"
    CAMERA_STALE = "camera_stale"
    CAMERA_UNREACHABLE = "camera_unreachable"
    CAMERA_WRONG_DEVICE = "camera_wrong_device"
    CAMERA_BLIND = "camera_blind"
    MODEL_MISSING = "model_missing"
    MODEL_INVALID = "model_invalid"
    GUARDIAN_INVALID = "guardian_invalid"
    POLICY_WITHDRAWN = "policy_withdrawn"
    PICTURES_NOVEL = "pictures_novel"
    POLICY_UNAVAILABLE = "policy_unavailable"
    POLICY_TIMEOUT = "policy_timeout"
    POLICY_OUTPUT_INVALID = "policy_output_invalid"
    CHUNK_REFUSED = "chunk_refused"
    COMMAND_VETOED = "command_vetoed"
    MOTION_TIMEOUT = "motion_timeout"
    TARGET_UNREACHABLE = "target_unreachable"
    PICK_FAILED_REPEATEDLY = "pick_failed_repeatedly"
    PLACE_NOT_CONFIRMED = "place_not_confirmed"
    RETURNED_TOO_OFTEN = "returned_too_often"
    RESET_FAILED = "reset_failed"
    SUPERVISOR_STALLED = "supervisor_stalled"
    SUPERVISOR_RESTARTED = "supervisor_restarted"
    STARVED = "starved"
    BLOCKED = "blocked"
    ZONE_NOT_PERMITTED = "zone_not_permitted"
    HANDSHAKE_TIMEOUT = "handshake_timeout"
    COMMANDED = "commanded"


@dataclass(frozen=True)
class CauseFacts:
    """One row of the table.

    Attributes:
        code: number in the PLC fault word.
        moving: reaction while the arm moves or may move.
        still: reaction while the arm waits at rest during production.
        stop: how motion ends.
        clears: who may end the stop.
        text: what happened, for a person.
        remedy: what a person does about it.
        is_live: the decision loop reacts to it at once, and it joins a stop that is
            under way; otherwise it is met by the grasp cycle, at a point where stopping
            costs nothing. Whatever the loop sees by itself and needs a person is live,
            or a stop for another cause could end as if it had never been there.
        disarms: arm or fingers have to be made ready anew, which Reset and Unhold do;
            so Idle is not kept, and Unhold is not refused for it.
        in_stopped: it aborts even a stopped cell, for it tells of an intervention.
    """

    code: FaultCode
    moving: Reaction
    still: Reaction
    clears: Clears
    text: str
    remedy: str
    stop: StopCategory = StopCategory.CONTROLLED_KEEP_POWER
    is_live: bool = False
    disarms: bool = False
    in_stopped: bool = False


class CauseError(CellError):
    """An activity of the supervisor ends because of a known cause."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(f"{cause.value}: {detail}" if detail else cause.value)
        self.cause = cause
        self.detail = detail
