"""Which robot answers at the configured address.

Calibration, payload and joint limits belong to one robot. Its controller tells the
serial number at the dashboard server; another one is refused before anything moves.
"""

import re
import socket
from time import monotonic

from cell.contracts.errors import (
    DriverError,
    DriverTimeoutError,
    DriverUnreachableError,
    FaultCode,
)

DASHBOARD_PORT = 29999
_DEVICE = "arm"
_QUESTION = b"get serial number\n"
_SERIAL = re.compile(r"[0-9A-Za-z]{1,32}")
# A greeting and an answer are shorter; what is longer is no dashboard server.
_LONGEST_BYTES = 1024


class ArmIdentityError(DriverUnreachableError):
    """The robot at the configured address is not the configured one.

    No link is kept to it, so that the right one is found as soon as it is back.
    """

    code = FaultCode.ARM_WRONG_ROBOT


def require_robot(host: str, serial_number: str, timeout_s: float) -> None:
    """Ask the robot for its serial number and refuse another than the configured one.

    Args:
        host: the controller.
        serial_number: that of the configuration; empty asks nothing and accepts all.
        timeout_s: for the whole conversation.

    Raises:
        ArmIdentityError: it is another robot.
        DriverUnreachableError: no dashboard server listens there.
        DriverTimeoutError: it does not answer.
        DriverError: its answer is no serial number.
    """
    if serial_number:
        check_serial_number(read_serial_number(host, timeout_s), serial_number, host)


def read_serial_number(host: str, timeout_s: float) -> str:
    """Return the serial number that the controller tells.

    Raises:
        DriverUnreachableError: no dashboard server listens there.
        DriverTimeoutError: it does not answer.
        DriverError: its answer is no serial number.
    """
    deadline_s = monotonic() + timeout_s
    try:
        with socket.create_connection((host, DASHBOARD_PORT), timeout_s) as connection:
            greeting, rest = _receive_line(connection, b"", deadline_s)
            connection.sendall(_QUESTION)
            answer, _ = _receive_line(connection, rest, deadline_s)
    except TimeoutError as error:
        raise DriverTimeoutError(
            _DEVICE,
            timeout_s,
            f"the dashboard server at {host}:{DASHBOARD_PORT} does not tell the "
            "robot's serial number; check cable and arm.host",
        ) from error
    except OSError as error:
        raise DriverUnreachableError(
            _DEVICE,
            f"no dashboard server at {host}:{DASHBOARD_PORT} "
            f"({error.strerror or error}), so the robot's serial number cannot be "
            "compared with arm.serial_number; permit the service on the pendant "
            "(Settings, Security, Services)",
        ) from error
    if "dashboard" not in greeting.lower() or not _SERIAL.fullmatch(answer):
        raise DriverError(
            _DEVICE,
            f"what listens at {host}:{DASHBOARD_PORT} tells no serial number "
            f"({answer[:60]!r}); check that arm.host is the robot's address",
        )
    return answer


def check_serial_number(found: str, serial_number: str, host: str) -> None:
    """Refuse a robot with another serial number than the configured one.

    Raises:
        ArmIdentityError: it is another robot.
    """
    if found != serial_number:
        raise ArmIdentityError(
            _DEVICE,
            f"the robot at {host} has serial number {found}, arm.serial_number is "
            f"{serial_number}: connect that robot, or calibrate the cell with this one "
            "and then enter its number",
        )


def _receive_line(
    connection: socket.socket, received: bytes, deadline_s: float
) -> tuple[str, bytes]:
    """Return the first line, and what was received beyond it."""
    while b"\n" not in received and len(received) < _LONGEST_BYTES:
        left_s = deadline_s - monotonic()
        if left_s <= 0.0:
            raise TimeoutError
        connection.settimeout(left_s)
        piece = connection.recv(_LONGEST_BYTES)
        if not piece:
            break
        received += piece
    line, _, rest = received.partition(b"\n")
    return line.decode("utf-8", "replace").strip(), rest
