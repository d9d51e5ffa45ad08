"""A question to the controller before the vendor client is let loose on it.

The client's constructors hold the interpreter while they wait, for seconds when a
controller accepts connections but no longer answers. This asks for its version with
our own deadline first.
"""

import socket
import struct
from collections.abc import Sequence

from cell.contracts.errors import (
    DriverError,
    DriverTimeoutError,
    DriverUnreachableError,
    FaultCode,
)

RTDE_PORT = 30004
_DEVICE = "arm"
_HEADER = struct.Struct(">HB")
_VERSION = struct.Struct(">IIII")
_GET_CONTROLLER_VERSION = ord("v")
SUPPORTED_VERSIONS = ((5, 11), (5, 22))
"""First and last PolyScope version that the pinned client was tried with. From 5.23 on
its upper register range changes meaning; on PolyScope X (10) a lost link makes it use a
dashboard connection that it does not have."""

ControllerVersion = tuple[int, int, int, int]


class ArmVersionError(DriverError):
    """The controller's software is one that the client cannot drive."""

    code = FaultCode.ARM_WRONG_VERSION


def read_controller_version(host: str, timeout_s: float) -> ControllerVersion:
    """Return major, minor, bugfix and build number of a living controller.

    Raises:
        DriverUnreachableError: nothing listens there.
        DriverTimeoutError: it listens but does not answer.
        DriverError: what answers is no UR controller.
    """
    try:
        with socket.create_connection((host, RTDE_PORT), timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(_HEADER.pack(_HEADER.size, _GET_CONTROLLER_VERSION))
            answer = _receive(connection, _HEADER.size + _VERSION.size)
    except TimeoutError as error:
        raise DriverTimeoutError(
            _DEVICE,
            timeout_s,
            f"{host}:{RTDE_PORT} is out of reach or accepts connections and is silent; "
            "check cable, arm.host and that the controller is not busy starting",
        ) from error
    except OSError as error:
        raise DriverUnreachableError(
            _DEVICE,
            f"no controller at {host}:{RTDE_PORT} ({error.strerror or error}); check "
            "that the robot is on, its cable, and that arm.host is its address",
        ) from error
    size, kind = _HEADER.unpack_from(answer) if len(answer) >= _HEADER.size else (0, 0)
    if size != _HEADER.size + _VERSION.size or kind != _GET_CONTROLLER_VERSION:
        raise DriverError(
            _DEVICE,
            f"what listens at {host}:{RTDE_PORT} does not speak RTDE; check that "
            "arm.host is the robot's address",
        )
    major, minor, bugfix, build = _VERSION.unpack_from(answer, _HEADER.size)
    return major, minor, bugfix, build


def check_controller_version(version: Sequence[int], host: str) -> None:
    """Refuse controllers that the client was not tried with.

    Args:
        version: major and minor number, and whatever follows.
        host: the controller, for the message.

    Raises:
        ArmVersionError: too old, too new, or of another generation.
    """
    low, high = SUPPORTED_VERSIONS
    if not low <= tuple(version[:2]) <= high:
        first, last = (".".join(map(str, bound)) for bound in SUPPORTED_VERSIONS)
        raise ArmVersionError(
            _DEVICE,
            f"controller software {'.'.join(map(str, version))} at {host} is not "
            f"supported: install PolyScope {first} to {last} on the robot",
        )


def _receive(connection: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        piece = connection.recv(size - len(content))
        if not piece:
            break
        content += piece
    return content
