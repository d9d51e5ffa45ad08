"""Protocols of the devices. An object in hand is an open connection.

Instances come from `open_*` context managers only. A call either finishes before the
driver's own deadline or raises `DriverError`; none retries silently.
"""

from typing import Protocol

from cell.contracts.geometry import Pose, Vector
from cell.contracts.observation import RgbdFrame
from cell.contracts.plc import PlcInputs, PlcOutputs
from cell.contracts.robot import ArmState, GripperCommand, GripperState


class Clock(Protocol):
    """The only source of time for product code."""

    def now_ns(self) -> int:
        """Return the monotonic clock [ns]."""
        ...

    async def sleep_until_ns(self, deadline_ns: int) -> None:
        """Return at or after `deadline_ns` of the same clock."""
        ...


class ArmDriver(Protocol):
    """A connected arm, used by the servo process alone. Blocking by design.

    No call may take longer than half a control period, except `arm` and `close`.
    """

    def read_state(self) -> ArmState:
        """Return the newest sample, without waiting for one.

        Its stamp stands still while the robot's own clock does.

        Raises:
            DriverUnreachableError: the connection is gone.
        """
        ...

    def arm(self, flange_from_tcp: Pose, payload_kg: float) -> None:
        """Re-initialise fully: upload the program, set tool, payload and watchdog.

        Args:
            flange_from_tcp: tool centre point, in the flange frame of ISO 9787.
            payload_kg: mass of the tool with what it holds.

        Raises:
            DriverError: the robot refused, or is in a state that needs a person.
        """
        ...

    def set_payload(self, payload_kg: float) -> None:
        """Tell the robot the mass at the flange [kg]. May take several periods.

        Raises:
            DriverError: the connection is gone or the program ended.
        """
        ...

    def send_joint_target(self, q: Vector, period_s: float) -> None:
        """Send one vetted setpoint, shape (6,) [rad], and feed the robot's watchdog.

        Raises:
            DriverError: the connection is gone, the program ended, or the setpoint is
                not finite.
        """
        ...

    def stop(self) -> None:
        """Decelerate and end the program. Idempotent; never raises."""
        ...

    def close(self) -> None:
        """Stop and release the connection. Idempotent; never raises."""
        ...


class GripperDriver(Protocol):
    """A connected parallel gripper."""

    async def activate(self) -> None:
        """Activate and wait until the fingers may be moved.

        Raises:
            DriverError: the gripper reports a fault, is silent or does not activate.
        """
        ...

    async def read_state(self) -> GripperState:
        """Return a fresh sample.

        Raises:
            DriverStaleError: it answers, but without power or with old values.
            DriverError: the connection is gone or the answer makes no sense.
        """
        ...

    async def move(self, command: GripperCommand) -> None:
        """Start a move; does not wait for its end.

        Raises:
            DriverError: the command is not finite, nobody has activated the gripper on
                this connection, or the connection is gone.
        """
        ...


class CameraDriver(Protocol):
    """A streaming RGB-D camera, used by the camera process alone. Blocking."""

    def read_frame(self, timeout_s: float) -> RgbdFrame:
        """Return the next aligned pair.

        Raises:
            DriverTimeoutError: none arrived within `timeout_s`.
            DriverStaleError: pairs arrive, but their content no longer advances.
            DriverError: the link is gone, or a pair cannot be right; open it again.
        """
        ...


class PlcLink(Protocol):
    """A connected line PLC."""

    async def exchange(self, outputs: PlcOutputs) -> PlcInputs:
        """Write our block, then read the PLC's block, each in one request.

        Raises:
            DriverTimeoutError: no answer within the driver's deadline.
            DriverStaleError: the PLC answers, but does not vouch for what it says.
            DriverError: the connection is gone, or the register map is not ours.
        """
        ...
