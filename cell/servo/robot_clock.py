"""A clock of motion that stands still while the robot's own clock does.

When the robot or its link stalls for some milliseconds, setpoints sent on would arrive
in one burst, as a jump. So none are sent until samples arrive again. The robot's clock
then tells what really happened: a robot that stood still itself has missed nothing, and
motion goes on where it was; one that ran on without setpoints has slowed down, and the
guard is shown the whole gap.
"""

from dataclasses import replace
from typing import Final

from cell.contracts.robot import ArmState
from cell.contracts.servo import ServoCommand
from cell.contracts.units import ns_from_s

# Samples come every 2 ms, and sometimes four of them late.
_STALL_NS: Final = ns_from_s(0.008)
# Between setpoints; shorter gaps are the ordinary jitter of both clocks.
_GAP_NS: Final = ns_from_s(0.005)
# Within this time a robot without setpoints still follows its last ones.
_COASTING_NS: Final = ns_from_s(0.04)


class RobotClock:
    """Our monotonic clock less the time during which the robot stood still."""

    def __init__(self) -> None:
        self._hidden_ns = 0
        self._last_ns = 0
        self._last_robot_s = 0.0
        self._has_waited = False

    def stands(self, sample: ArmState, now_ns: int, *, may_wait: bool) -> bool:
        """Say whether no setpoint is to be sent in this cycle."""
        if may_wait and now_ns - sample.stamp_ns > _STALL_NS:
            self._has_waited = True
            return True
        gap_ns = now_ns - self._last_ns
        if self._last_ns and gap_ns > _GAP_NS:
            self._hidden_ns += gap_ns - self._missed_ns(sample, gap_ns)
        self._has_waited = False
        self._last_ns = now_ns
        self._last_robot_s = sample.robot_time_s
        return False

    def _missed_ns(self, sample: ArmState, gap_ns: int) -> int:
        """Return for how long the robot ran without setpoints."""
        robot_ns = ns_from_s(sample.robot_time_s - self._last_robot_s)
        if robot_ns < 0:
            return gap_ns
        if self._has_waited and robot_ns <= _COASTING_NS:
            return 0
        return min(robot_ns, gap_ns)

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
