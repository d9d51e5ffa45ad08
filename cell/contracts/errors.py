"""The error tree of the product and the fault numbers that the PLC sees.

A subclass fixes its fault code as a class fact, so that no `except` block has to decide
what a failure is called.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar


class StopCategory(IntEnum):
    """How motion ends, in the order of severity (IEC 60204-1 numbering)."""

    REMOVE_POWER = 0
    CONTROLLED_THEN_REMOVE_POWER = 1
    CONTROLLED_KEEP_POWER = 2


class FaultCode(IntEnum):
    """One number for each kind of failure; stable once released.

    The line reads those of causes in the PLC fault word, see the table in the handbook;
    a refused configuration and a host that cannot start say theirs on the console only.

    1xx configuration, 2xx device drivers, 3xx robot state, 4xx command checks,
    5xx policy and perception, 6xx process cycle, 7xx host and processes.
    """

    NONE = 0
    UNSPECIFIED = 1
    CONFIG_INVALID = 100
    CONFIG_PERMISSIONS = 101
    MODEL_MISSING = 110
    MODEL_INVALID = 111
    GUARDIAN_INVALID = 112
    DRIVER_UNREACHABLE = 200
    DRIVER_TIMEOUT = 201
    DRIVER_PROTOCOL = 202
    DRIVER_STALE = 203
    ARM_WRONG_VERSION = 210
    ARM_IN_USE = 211
    ARM_WRONG_ROBOT = 212
    PLC_HEARTBEAT_LOST = 220
    PLC_MAP_MISMATCH = 221
    PLC_HANDSHAKE_TIMEOUT = 222
    PLC_WRITE_LOST = 223
    LINE_SPEED_ZERO = 224
    CAMERA_STALE = 230
    CAMERA_BLIND = 231
    CAMERA_WRONG_DEVICE = 232
    GRIPPER_FAULT = 240
    PROTECTIVE_STOP = 300
    EMERGENCY_STOP = 301
    SAFEGUARD_STOP = 302
    ROBOT_NOT_RUNNING = 303
    COMMAND_VETOED = 400
    CHUNK_REFUSED = 402
    TARGET_UNREACHABLE = 403
    POLICY_TIMEOUT = 500
    POLICY_OUTPUT_INVALID = 501
    POLICY_WITHDRAWN = 510
    PICTURES_NOVEL = 511
    PICK_FAILED_REPEATEDLY = 600
    PART_LOST = 601
    PLACE_NOT_CONFIRMED = 602
    MOTION_TIMEOUT = 603
    SUPERVISOR_RESTARTED = 700
    SERVO_LOST = 701
    PROCESS_RESTART_LIMIT = 702
    ALREADY_RUNNING = 703
    STORAGE_FULL = 704
    PROCESS_LOST = 705
    PORT_TAKEN = 706


class CellError(Exception):
    """Root of every deliberate error."""

    code: ClassVar[FaultCode] = FaultCode.UNSPECIFIED


@dataclass(frozen=True)
class Complaint:
    """What a process tells about a trouble that lasts, for a person.

    Attributes:
        code: number for the PLC fault word.
        text: one sentence: which device, what is wrong, what to do.
    """

    code: FaultCode
    text: str

    @classmethod
    def of(cls, error: "CellError") -> "Complaint":
        """Tell what an error says."""
        return cls(error.code, str(error))


class ConfigError(CellError):
    """The configuration cannot be used; the message names the key and the remedy."""

    code = FaultCode.CONFIG_INVALID


class ConfigPermissionsError(ConfigError):
    """The configuration could have been changed by anybody, or cannot be read."""

    code = FaultCode.CONFIG_PERMISSIONS


class StorageError(CellError):
    """A file that must be written cannot be written, on disk or in shared memory."""

    code = FaultCode.STORAGE_FULL


class ModelError(CellError):
    """A model directory is missing, damaged or does not fit its manifest."""

    code = FaultCode.MODEL_INVALID


class ModelMissingError(ModelError):
    """A model directory or one of its files is not there."""

    code = FaultCode.MODEL_MISSING


class DriverError(CellError):
    """A device did not do what its protocol promises."""

    code = FaultCode.DRIVER_PROTOCOL

    def __init__(self, device: str, detail: str) -> None:
        super().__init__(f"{device}: {detail}")
        self.device = device
        self.detail = detail


class DriverUnreachableError(DriverError):
    """No connection to a device could be opened."""

    code = FaultCode.DRIVER_UNREACHABLE


class DriverTimeoutError(DriverError):
    """A device missed its deadline."""

    code = FaultCode.DRIVER_TIMEOUT

    def __init__(self, device: str, deadline_s: float, hint: str = "") -> None:
        answer = f"no answer within {deadline_s:.3f} s"
        super().__init__(device, f"{answer}: {hint}" if hint else answer)
        self.deadline_s = deadline_s


class DriverStaleError(DriverError):
    """A device answers, but its content no longer advances."""

    code = FaultCode.DRIVER_STALE


class TargetUnreachableError(CellError):
    """Inverse kinematics found no joint position for a pose."""

    code = FaultCode.TARGET_UNREACHABLE


class ChunkSeamError(TargetUnreachableError):
    """A chunk does not join the path that the arm is on."""


class PolicyError(CellError):
    """A policy answered with something that may not be used."""

    code = FaultCode.POLICY_OUTPUT_INVALID


class PolicyTimeoutError(PolicyError):
    """A policy worker missed its deadline."""

    code = FaultCode.POLICY_TIMEOUT
