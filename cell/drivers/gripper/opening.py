"""Opens the configured gripper."""

from contextlib import AbstractAsyncContextManager

from cell.config import GripperConfig, RobotiqUrcapConfig
from cell.contracts.drivers import Clock, GripperDriver
from cell.drivers.gripper.robotiq_urcap import open_robotiq_urcap
from cell.drivers.gripper.sim import open_sim_gripper


def open_gripper(
    config: GripperConfig, clock: Clock
) -> AbstractAsyncContextManager[GripperDriver]:
    """Connect to the configured gripper; `activate` comes next.

    After any error leave the context and open a new one; when to do so is the
    caller's policy.

    Raises:
        DriverUnreachableError: on entering, nothing listens there.
    """
    if isinstance(config, RobotiqUrcapConfig):
        return open_robotiq_urcap(config, clock)
    return open_sim_gripper(config, clock)
