"""Reads what the dashboard server of a UR controller says. It never commands anything.

The dashboard speaks one line a command on port 29999. Unlocking a protective stop is
possible there and deliberately absent here.
"""

import asyncio
import re
from dataclasses import dataclass

from cell.contracts.errors import (
    DriverError,
    DriverTimeoutError,
    DriverUnreachableError,
)

_PORT = 29999
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:\.\d+)?")


@dataclass(frozen=True)
class DashboardReport:
    """What the controller says of itself.

    Attributes:
        version: PolyScope version, (major, minor, patch).
        robot_mode: as text, "RUNNING" when brakes are released.
        safety_mode: as text, "NORMAL" when nothing is stopped.
        is_remote: whether it takes programs from the network.
    """

    version: tuple[int, int, int]
    robot_mode: str
    safety_mode: str
    is_remote: bool


async def read_dashboard(host: str, timeout_s: float = 2.0) -> DashboardReport:
    """Ask the dashboard server once.

    Raises:
        DriverUnreachableError: nothing listens there.
        DriverTimeoutError: it does not answer.
        DriverError: the answers are not those of a UR controller.
    """
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, _PORT)
            try:
                await reader.readline()
                return await _ask_all(reader, writer)
            finally:
                writer.close()
    except TimeoutError as error:
        raise DriverTimeoutError(
            "arm", timeout_s, f"the dashboard server at {host}:{_PORT} is silent"
        ) from error
    except OSError as error:
        raise DriverUnreachableError(
            "arm",
            f"no dashboard server at {host}:{_PORT} ({error.strerror or error}); check "
            "that the robot is switched on and arm.host is its address",
        ) from error


async def _ask_all(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> DashboardReport:
    answers = []
    for question in (
        "PolyscopeVersion",
        "robotmode",
        "safetymode",
        "is in remote control",
    ):
        writer.write(f"{question}\n".encode())
        await writer.drain()
        answers.append((await reader.readline()).decode("utf-8", "replace").strip())
    version = _VERSION.search(answers[0])
    if version is None:
        raise DriverError("arm", f"PolyScope version not understood: {answers[0]!r}")
    return DashboardReport(
        version=(int(version[1]), int(version[2]), int(version[3])),
        robot_mode=_value(answers[1]),
        safety_mode=_value(answers[2]),
        is_remote="true" in answers[3].lower(),
    )


def _value(answer: str) -> str:
    return answer.rpartition(":")[2].strip()
