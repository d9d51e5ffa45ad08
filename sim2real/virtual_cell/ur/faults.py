"""Faults that can be injected into the running controller through shared memory.

The ports of the controller stay those of a real robot, so the requests come in by a
mailbox of their own.
"""

from enum import IntEnum
from pathlib import Path

import numpy as np

from cell.mailbox.seqlock import Mailbox

MAILBOX_NAME = "vc_ur_faults"

UR_FAULTS = np.dtype(
    [
        ("request_id", "<i8"),  # a new number is a new request
        ("kind", "<i8"),  # see UrFault
        ("value", "<f8"),  # seconds for FREEZE_RTDE, ratio for SPEED_SLIDER
    ]
)
"""Test or fault script -> UR controller, mailbox `vc_ur_faults`."""


class UrFault(IntEnum):
    """What may be asked of the controller."""

    PROTECTIVE_STOP = 1
    EMERGENCY_STOP = 2
    SAFEGUARD_STOP = 3
    RELEASE = 4  # of e-stop and safeguard; a protective stop is unlocked by a person
    FREEZE_RTDE = 5
    DROP_CONNECTIONS = 6
    SPEED_SLIDER = 7
    OTHER_ROBOT = 8  # with value 0 its own identity again


class FaultBox:
    """The newest request, seen once."""

    def __init__(self, directory: Path) -> None:
        self._mailbox = Mailbox.open(directory / MAILBOX_NAME, UR_FAULTS)
        # What was asked of a controller that has died is not asked of its successor.
        self._version = self._mailbox.version()

    def take(self) -> tuple[UrFault, float] | None:
        """Return a known request that is newer than the last one returned."""
        version = self._mailbox.version()
        if version == self._version:
            return None
        record = self._mailbox.read()
        if record is None:
            return None
        self._version = version
        kind = int(record["kind"])
        if kind not in UrFault.__members__.values():
            return None
        return UrFault(kind), float(record["value"])


def request_fault(directory: Path, fault: UrFault, value: float = 0.0) -> None:
    """Ask the controller that runs on a runtime directory for a fault."""
    mailbox = Mailbox.open(directory / MAILBOX_NAME, UR_FAULTS)
    last = mailbox.read()
    record = np.zeros((), dtype=UR_FAULTS)
    record["request_id"] = 1 if last is None else int(last["request_id"]) + 1
    record["kind"] = fault
    record["value"] = value
    mailbox.write(record)
    mailbox.close()
