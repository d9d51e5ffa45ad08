"""Robot mode and safety status as the controller reports them.

This imitates what the robot's own safety controller tells its clients. Nothing here is
a protective function.
"""

from collections.abc import Callable

from cell.contracts.robot import RobotMode, SafetyBit
from cell.contracts.units import s_from_ns

UNLOCK_WAIT_S = 5.0
"""The robot refuses to unlock a protective stop before this time has passed."""


class SafetyMode:
    """Numbers of `safety_mode`."""

    NORMAL = 1
    PROTECTIVE_STOP = 3
    SAFEGUARD_STOP = 5
    ROBOT_EMERGENCY_STOP = 7


_NAMES = {
    SafetyMode.NORMAL: "NORMAL",
    SafetyMode.PROTECTIVE_STOP: "PROTECTIVE_STOP",
    SafetyMode.SAFEGUARD_STOP: "SAFEGUARD_STOP",
    SafetyMode.ROBOT_EMERGENCY_STOP: "ROBOT_EMERGENCY_STOP",
}


class SafetyState:
    """Latched stops and the power state of the arm.

    Args:
        report: called once with one sentence at every change.
        unlock_wait_s: time after a protective stop during which unlocking is refused.
    """

    def __init__(
        self, report: Callable[[str], None], unlock_wait_s: float = UNLOCK_WAIT_S
    ) -> None:
        self.robot_mode = RobotMode.BOOTING
        self._report = report
        self._unlock_wait_s = unlock_wait_s
        self._protective_since_ns: int | None = None
        self._is_safeguard_open = False
        self._is_emergency_stopped = False

    @property
    def may_move(self) -> bool:
        """Whether the drives follow a program."""
        return self.robot_mode is RobotMode.RUNNING and not self.is_stopped

    @property
    def is_stopped(self) -> bool:
        """Whether any stop is active."""
        return (
            self._protective_since_ns is not None
            or self._is_safeguard_open
            or self._is_emergency_stopped
        )

    @property
    def is_emergency_stopped(self) -> bool:
        """Whether the e-stop is pressed."""
        return self._is_emergency_stopped

    @property
    def safety_mode(self) -> int:
        """The most severe active stop, see `SafetyMode`."""
        if self._is_emergency_stopped:
            return SafetyMode.ROBOT_EMERGENCY_STOP
        if self._is_safeguard_open:
            return SafetyMode.SAFEGUARD_STOP
        if self._protective_since_ns is not None:
            return SafetyMode.PROTECTIVE_STOP
        return SafetyMode.NORMAL

    @property
    def safety_mode_name(self) -> str:
        """As the dashboard writes it."""
        return _NAMES[self.safety_mode]

    @property
    def status_bits(self) -> int:
        """Value of `safety_status_bits`."""
        if not self.is_stopped:
            return 1 << SafetyBit.NORMAL
        bits = 1 << SafetyBit.STOPPED_DUE_TO_SAFETY
        if self._protective_since_ns is not None:
            bits |= 1 << SafetyBit.PROTECTIVE_STOP
        if self._is_safeguard_open:
            bits |= 1 << SafetyBit.SAFEGUARD_STOP
        if self._is_emergency_stopped:
            bits |= 1 << SafetyBit.ROBOT_EMERGENCY_STOP
            bits |= 1 << SafetyBit.EMERGENCY_STOP
        return bits

    def finish_boot(self) -> None:
        """Enter RUNNING; the virtual robot boots with power on and brakes released."""
        if self.robot_mode is RobotMode.BOOTING:
            self.robot_mode = RobotMode.RUNNING
            self._report("robot mode RUNNING")

    def stop_protectively(self, reason: str, now_ns: int) -> None:
        """Latch a protective stop; repeated calls keep the first reason."""
        if self._protective_since_ns is None:
            self._protective_since_ns = now_ns
            self._report(f"protective stop: {reason}")

    def unlock(self, now_ns: int) -> bool:
        """Release a protective stop; False when it is too early."""
        since_ns = self._protective_since_ns
        if since_ns is None:
            return True
        if s_from_ns(now_ns - since_ns) < self._unlock_wait_s:
            return False
        self._protective_since_ns = None
        self._report("protective stop unlocked")
        return True

    def press_emergency_stop(self) -> None:
        """Stop and take the power off the arm."""
        if not self._is_emergency_stopped:
            self._is_emergency_stopped = True
            self._report("emergency stop pressed")

    def open_safeguard(self) -> None:
        """Open the safeguard input."""
        if not self._is_safeguard_open:
            self._is_safeguard_open = True
            self._report("safeguard opened")

    def release_inputs(self) -> None:
        """Release e-stop and safeguard; a protective stop stays latched."""
        if self._is_emergency_stopped or self._is_safeguard_open:
            self._is_emergency_stopped = self._is_safeguard_open = False
            self._report("emergency stop and safeguard released")

    def power_on(self) -> bool:
        """Power the arm; the brakes stay on. False while the e-stop is pressed."""
        if self._is_emergency_stopped or self.robot_mode is RobotMode.BOOTING:
            return False
        if self.robot_mode is RobotMode.POWER_OFF:
            self.robot_mode = RobotMode.IDLE
            self._report("robot mode IDLE")
        return True

    def release_brakes(self) -> bool:
        """Power the arm if need be and release the brakes."""
        if not self.power_on():
            return False
        if self.robot_mode is not RobotMode.RUNNING:
            self.robot_mode = RobotMode.RUNNING
            self._report("robot mode RUNNING")
        return True

    def power_off(self) -> None:
        """Take the power off the arm; the brakes engage."""
        if self.robot_mode not in {RobotMode.POWER_OFF, RobotMode.BOOTING}:
            self.robot_mode = RobotMode.POWER_OFF
            self._report("robot mode POWER_OFF")
