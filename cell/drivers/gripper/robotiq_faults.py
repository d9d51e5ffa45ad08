"""Fault numbers of Robotiq adaptive grippers (FLT), from the 2F-85/2F-140 manual."""

from typing import Final

from cell.contracts.errors import DriverError, FaultCode

_TEXTS: Final = {
    0x00: "no fault",
    0x05: "action delayed, activation must complete first",
    0x07: "the activation bit must be set before an action",
    0x08: "temperature above 85 C, let it cool down",
    0x09: "no communication for at least one second",
    0x0A: "supply voltage below the minimum",
    0x0B: "automatic release in progress",
    0x0C: "internal fault, contact the maker",
    0x0D: "activation fault, check that nothing is in the way of the fingers",
    0x0E: "overcurrent",
    0x0F: "automatic release completed",
}
_FIRST_MAJOR = 0x0A


class GripperFaultError(DriverError):
    """The gripper reports a fault of its own."""

    code = FaultCode.GRIPPER_FAULT


def describe_fault(fault: int) -> str:
    """Return a phrase for a fault number."""
    return _TEXTS.get(fault & 0x0F, "unknown fault") + f" (FLT {fault})"


def is_blocking(fault: int) -> bool:
    """Return whether the gripper needs a new activation before it moves again."""
    return (fault & 0x0F) >= _FIRST_MAJOR
