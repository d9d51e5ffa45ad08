"""A parallel gripper in memory: fingers at constant speed, and perhaps a part."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cell.config import SimGripperConfig
from cell.contracts.drivers import Clock
from cell.contracts.errors import DriverError, DriverUnreachableError
from cell.contracts.robot import GripperCommand, GripperObject, GripperState
from cell.contracts.units import ns_from_s, s_from_ns
from cell.drivers.gripper.commands import check_command

_SLOWEST_RATIO = 0.1
_ACTIVATION_S = 0.1


@dataclass
class SimFingers:
    """The simulated hardware; tests set its fields. It outlives connections.

    Attributes:
        aperture_m: present opening [m].
        part_width_m: width of a part between the fingers, None without [m].
        is_active: activation finished.
        fault: fault number reported.
        is_reachable: whether requests succeed.
    """

    aperture_m: float
    part_width_m: float | None = None
    is_active: bool = False
    fault: int = 0
    is_reachable: bool = True


class SimGripper:
    """A connection to `SimFingers`."""

    def __init__(
        self, fingers: SimFingers, config: SimGripperConfig, clock: Clock
    ) -> None:
        self.fingers = fingers
        self._config = config
        self._clock = clock
        self._target_m = fingers.aperture_m
        self._speed_mps = config.closing_speed_mps
        self._moved_ns = clock.now_ns()
        self._is_closing = False
        self._is_activated = False

    async def activate(self) -> None:
        """Activate and wait until the fingers may be moved."""
        self._check_link()
        if not self.fingers.is_active:
            end_ns = self._clock.now_ns() + ns_from_s(_ACTIVATION_S)
            await self._clock.sleep_until_ns(end_ns)
            self.fingers.is_active = True
        self._is_activated = True

    async def read_state(self) -> GripperState:
        """Return a fresh sample."""
        self._check_link()
        status = self._advance()
        return GripperState(
            stamp_ns=self._clock.now_ns(),
            aperture_m=self.fingers.aperture_m,
            object_status=status,
            is_active=self.fingers.is_active and self.fingers.fault == 0,
            fault=self.fingers.fault,
        )

    async def move(self, command: GripperCommand) -> None:
        """Start a move; does not wait for its end.

        Raises:
            DriverError: the command is not finite, or `activate` was not called on
                this connection.
        """
        check_command(command)
        self._check_link()
        if not self._is_activated:
            raise DriverError("gripper", "not activated on this connection")
        self._advance()
        self._target_m = min(command.aperture_m, self._config.max_aperture_m)
        self._is_closing = self._target_m < self.fingers.aperture_m
        ratio = max(command.speed_ratio, _SLOWEST_RATIO)
        self._speed_mps = self._config.closing_speed_mps * ratio

    def _check_link(self) -> None:
        if not self.fingers.is_reachable:
            raise DriverUnreachableError(
                "gripper", "the simulated gripper is unreachable"
            )

    def _advance(self) -> GripperObject:
        """Move the fingers up to now and return where they are."""
        now_ns = self._clock.now_ns()
        step_m = self._speed_mps * s_from_ns(now_ns - self._moved_ns)
        self._moved_ns = now_ns
        stop_m = self._target_m
        part_m = self.fingers.part_width_m
        if self._is_closing and part_m is not None:
            stop_m = max(stop_m, min(part_m, self.fingers.aperture_m))
        error_m = stop_m - self.fingers.aperture_m
        if abs(error_m) > step_m:
            self.fingers.aperture_m += step_m if error_m > 0 else -step_m
            return GripperObject.MOVING
        self.fingers.aperture_m = stop_m
        if stop_m > self._target_m:
            return GripperObject.STOPPED_CLOSING
        return GripperObject.AT_POSITION


@asynccontextmanager
async def open_sim_gripper(
    config: SimGripperConfig, clock: Clock, fingers: SimFingers | None = None
) -> AsyncIterator[SimGripper]:
    """Connect to `fingers`, or to new ones that stand open.

    Raises:
        DriverUnreachableError: the gripper was made unreachable.
    """
    hardware = fingers or SimFingers(aperture_m=config.max_aperture_m)
    if not hardware.is_reachable:
        raise DriverUnreachableError("gripper", "the simulated gripper is unreachable")
    yield SimGripper(hardware, config, clock)
