"""Values that flow between the arm, the gripper and the code that moves them."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from cell.contracts.geometry import Pose, Vector

PAYLOAD_MAX_KG: Final = 5.0
"""What a UR5e carries at its flange [Universal Robots, UR5e data sheet]."""


class RobotMode(IntEnum):
    """UR robot modes as RTDE reports them."""

    NO_CONTROLLER = -1
    DISCONNECTED = 0
    CONFIRM_SAFETY = 1
    BOOTING = 2
    POWER_OFF = 3
    POWER_ON = 4
    IDLE = 5
    BACKDRIVE = 6
    RUNNING = 7


class SafetyBit(IntEnum):
    """Bit numbers of UR's `safety_status_bits`."""

    NORMAL = 0
    REDUCED = 1
    PROTECTIVE_STOP = 2
    RECOVERY = 3
    SAFEGUARD_STOP = 4
    SYSTEM_EMERGENCY_STOP = 5
    ROBOT_EMERGENCY_STOP = 6
    EMERGENCY_STOP = 7
    VIOLATION = 8
    FAULT = 9
    STOPPED_DUE_TO_SAFETY = 10


@dataclass(frozen=True, eq=False)
class ArmState:
    """One sample of the arm.

    Attributes:
        stamp_ns: our monotonic clock at arrival.
        robot_time_s: the controller's own time; advances in every fresh sample.
        q: joint positions, shape (6,) [rad].
        qd: joint velocities, shape (6,) [rad/s].
        base_from_tcp: measured tool pose.
        force_tcp_n: force and torque at the tool in base axes, shape (6,) [N, N.m].
        robot_mode: see `RobotMode`.
        safety_status_bits: see `SafetyBit`.
        program_running: whether the control script runs on the robot.
        speed_fraction: speed slider, 0..1.
    """

    stamp_ns: int
    robot_time_s: float
    q: Vector
    qd: Vector
    base_from_tcp: Pose
    force_tcp_n: Vector
    robot_mode: int
    safety_status_bits: int
    program_running: bool
    speed_fraction: float


class GripperObject(IntEnum):
    """Object detection of the gripper, in the order of Robotiq's OBJ variable."""

    MOVING = 0
    STOPPED_OPENING = 1
    STOPPED_CLOSING = 2
    AT_POSITION = 3


@dataclass(frozen=True)
class GripperState:
    """One sample of the gripper.

    Attributes:
        stamp_ns: our monotonic clock at arrival.
        aperture_m: distance between the pads [m].
        object_status: whether it moves, touched something or arrived.
        is_active: activation finished and no fault present.
        fault: vendor fault number, 0 when none.
    """

    stamp_ns: int
    aperture_m: float
    object_status: GripperObject
    is_active: bool
    fault: int


@dataclass(frozen=True)
class GripperCommand:
    """A gripper move.

    Attributes:
        aperture_m: wanted distance between the pads [m].
        speed_ratio: 0..1 of the gripper's range.
        force_ratio: 0..1 of the gripper's range.
    """

    aperture_m: float
    speed_ratio: float = 1.0
    force_ratio: float = 0.5
