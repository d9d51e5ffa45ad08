"""Stands at the driver and sees every setpoint that goes to the robot.

Whoever sends, by whatever way, sends through here; so a setpoint without a verdict of
the guard is counted, and goes no further.
"""

from cell.contracts.drivers import ArmDriver
from cell.contracts.errors import DriverError
from cell.contracts.geometry import Pose, Vector
from cell.contracts.robot import ArmState
from cell.servo.reporting import Tally


class WitnessedArm:
    """Implements `ArmDriver` on another one, and notes what is sent."""

    def __init__(self, arm: ArmDriver, tally: Tally) -> None:
        self._arm = arm
        self._tally = tally

    def read_state(self) -> ArmState:
        """Return the newest sample."""
        return self._arm.read_state()

    def arm(self, flange_from_tcp: Pose, payload_kg: float) -> None:
        """Take control."""
        self._arm.arm(flange_from_tcp, payload_kg)

    def set_payload(self, payload_kg: float) -> None:
        """Tell the robot the mass at the flange [kg]."""
        self._arm.set_payload(payload_kg)

    def send_joint_target(self, q: Vector, period_s: float) -> None:
        """Send one setpoint that the newest verdict of the guard granted.

        Raises:
            DriverError: it did not; nothing was sent.
        """
        if not self._tally.note_setpoint(q):
            raise DriverError("arm", "a setpoint without a verdict of the guard")
        self._arm.send_joint_target(q, period_s)

    def stop(self) -> None:
        """Decelerate and end the program."""
        self._arm.stop()

    def close(self) -> None:
        """Stop and release the connection."""
        self._arm.close()
