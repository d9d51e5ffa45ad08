"""When motion is forbidden until somebody releases it again. Pure.

The latch starts closed. It opens for an `arm_id` newer than any it has seen, and
closes for every trouble with the robot or its link. Nothing here opens it again when
a trouble merely goes away.
"""

from dataclasses import dataclass, replace
from typing import Final

from cell.contracts.robot import ArmState, RobotMode, SafetyBit
from cell.contracts.servo import HoldReason, ServoCommand
from cell.contracts.units import ns_from_s

LINK_AGE_S: Final = 0.2
"""Age of the robot's sample after which its link counts as lost for good. The guard
holds long before; the robot's own watchdog ends its program at half of this."""

_EMERGENCY = (
    1 << SafetyBit.SYSTEM_EMERGENCY_STOP
    | 1 << SafetyBit.ROBOT_EMERGENCY_STOP
    | 1 << SafetyBit.EMERGENCY_STOP
)
_NORMAL = 1 << SafetyBit.NORMAL | 1 << SafetyBit.REDUCED


_INTERVENTIONS = frozenset({HoldReason.PROTECTIVE_STOP, HoldReason.EMERGENCY_STOP})
"""A person has to look at the robot, whatever else was wrong before."""


@dataclass(frozen=True)
class Latch:
    """Whether motion is released, and by which order.

    Attributes:
        arm_id: newest release that was seen, whether or not it took effect.
        reason: why motion is forbidden; NONE while it is released.
    """

    arm_id: int
    reason: HoldReason

    @classmethod
    def closed(cls, command: ServoCommand | None) -> "Latch":
        """Start closed: a release from before our start does not count."""
        return cls(0 if command is None else command.arm_id, HoldReason.NOT_ARMED)

    @property
    def is_armed(self) -> bool:
        """Whether motion is released."""
        return self.reason is HoldReason.NONE

    def close(self, reason: HoldReason) -> "Latch":
        """Forbid motion; the first reason stays, unless a stop at the robot follows."""
        if self.is_armed or reason in _INTERVENTIONS:
            return replace(self, reason=reason)
        return self

    def asks(self, command: ServoCommand | None, now_ns: int, limit_ns: int) -> bool:
        """Say whether a fresh command carries a release not seen before."""
        if command is None or self.is_armed or command.arm_id <= self.arm_id:
            return False
        return abs(now_ns - command.stamp_ns) <= limit_ns

    def use(self, command: ServoCommand, reason: HoldReason) -> "Latch":
        """Use a release up; it takes effect when `reason` is NONE."""
        return Latch(command.arm_id, reason)


def find_trouble(state: ArmState, now_ns: int, *, needs_program: bool) -> HoldReason:
    """Return what forbids motion on the robot's side, NONE when nothing does."""
    bits = state.safety_status_bits
    if now_ns - state.stamp_ns > ns_from_s(LINK_AGE_S):
        return HoldReason.LINK_LOST
    if bits & _EMERGENCY:
        return HoldReason.EMERGENCY_STOP
    if bits & 1 << SafetyBit.PROTECTIVE_STOP:
        return HoldReason.PROTECTIVE_STOP
    if bits & ~_NORMAL or not bits & _NORMAL or state.robot_mode != RobotMode.RUNNING:
        return HoldReason.ROBOT_NOT_READY
    if needs_program and not state.program_running:
        return HoldReason.ROBOT_NOT_READY
    return HoldReason.NONE
