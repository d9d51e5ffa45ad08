"""A clock of motion that stands still while the robot's own clock does.

When the robot or its link stalls for some milliseconds, setpoints sent on would arrive
in one burst, as a jump. So none are sent, and motion goes on where it was once samples
arrive again. A stall that lasts is not hidden: the guard then sees all of it.
"""

from dataclasses import replace
from typing import Final

from cell.contracts.robot import ArmState
from cell.contracts.servo import ServoCommand
from cell.contracts.units import ns_from_s

# Samples come every 2 ms, and sometimes four of them late.
_STALL_NS: Final = ns_from_s(0.008)
# Longer than the guard's bound for standstill, so that it starts anew from rest.
_LONGEST_WAIT_NS: Final = ns_from_s(0.055)


class RobotClock:
    """Our monotonic clock less the time during which the robot stood still."""

    def __init__(self) -> None:
        self._hidden_ns = 0
        self._last_sent_ns = 0
        self._is_waiting = False

    def stands(self, sample: ArmState, now_ns: int, *, may_wait: bool) -> bool:
        """Say whether no setpoint is to be sent in this cycle."""
        is_stalled = now_ns - sample.stamp_ns > _STALL_NS
        waited_ns = now_ns - self._last_sent_ns
        if may_wait and is_stalled and waited_ns < _LONGEST_WAIT_NS:
            self._is_waiting = True
            return True
        if self._is_waiting and waited_ns < _LONGEST_WAIT_NS:
            self._hidden_ns += waited_ns
        self._is_waiting = False
        self._last_sent_ns = now_ns
        return False

    def shift(self, stamp_ns: int) -> int:
        """Return a stamp of the monotonic clock on this clock."""
        return stamp_ns - self._hidden_ns

    def shift_sample(self, sample: ArmState) -> ArmState:
        """Return a sample stamped on this clock; its age stays the same."""
        if not self._hidden_ns:
            return sample
        return replace(sample, stamp_ns=self.shift(sample.stamp_ns))

    def shift_command(self, command: ServoCommand | None) -> ServoCommand | None:
        """Return a command stamped on this clock; its age stays the same."""
        if command is None or not self._hidden_ns:
            return command
        return replace(command, stamp_ns=self.shift(command.stamp_ns))
