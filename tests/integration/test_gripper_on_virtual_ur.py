"""The gripper driver with the virtual robot controller and its ideal fingers."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from cell.config import RobotiqUrcapConfig
from cell.contracts.drivers import GripperDriver
from cell.contracts.errors import DriverStaleError
from cell.contracts.robot import GripperCommand, GripperObject, GripperState
from cell.drivers.clock import MonotonicClock
from cell.drivers.gripper.opening import open_gripper
from tests.fakes.virtual_ur import VirtualUr, running_virtual_ur

pytestmark = pytest.mark.alone

MAX_M = 0.085
PART_AT_RATIO = 0.6
PART_M = MAX_M * (1 - PART_AT_RATIO)
# Within 4 % of a stop the virtual gripper says that it arrived.
TOLERANCE_M = 0.05 * MAX_M
PATIENCE_S = 10.0


@pytest.fixture
def robot(tmp_path: Path, loopback_address: str) -> Iterator[VirtualUr]:
    options = ("--plant", "ideal", "--ideal-part-at", str(PART_AT_RATIO))
    with running_virtual_ur(tmp_path, *options, host=loopback_address) as running:
        yield running


@pytest.fixture
def config(robot: VirtualUr) -> RobotiqUrcapConfig:
    return RobotiqUrcapConfig(host=robot.host, max_aperture_m=MAX_M)


async def move(gripper: GripperDriver, aperture_m: float) -> GripperState:
    await gripper.move(GripperCommand(aperture_m=aperture_m))
    async with asyncio.timeout(PATIENCE_S):
        while True:
            state = await gripper.read_state()
            if state.object_status is not GripperObject.MOVING:
                return state
            await asyncio.sleep(0.01)


async def tell_dashboard(robot: VirtualUr, command: str) -> None:
    reader, writer = await asyncio.open_connection(robot.host, 29999)
    await reader.readline()
    writer.write(command.encode() + b"\n")
    await reader.readline()
    writer.close()


async def keep_reading(gripper: GripperDriver) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await gripper.read_state()
            await asyncio.sleep(0.01)


async def read_once_powered(gripper: GripperDriver) -> GripperState:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await gripper.read_state()
            except DriverStaleError:
                await asyncio.sleep(0.01)


async def test_a_part_is_gripped_and_released(config: RobotiqUrcapConfig) -> None:
    async with open_gripper(config, MonotonicClock()) as gripper:
        await gripper.activate()
        await move(gripper, MAX_M)
        gripped = await move(gripper, 0.0)
        released = await move(gripper, MAX_M)

    assert gripped.object_status is GripperObject.STOPPED_CLOSING
    assert gripped.aperture_m == pytest.approx(PART_M, abs=TOLERANCE_M)
    assert released.object_status is GripperObject.AT_POSITION
    assert released.aperture_m == pytest.approx(MAX_M, abs=TOLERANCE_M)


async def test_a_gripper_without_power_is_stale_and_comes_back_on_the_same_link(
    robot: VirtualUr, config: RobotiqUrcapConfig
) -> None:
    async with open_gripper(config, MonotonicClock()) as gripper:
        await gripper.activate()
        await tell_dashboard(robot, "power off")
        with pytest.raises(DriverStaleError):
            await keep_reading(gripper)

        await tell_dashboard(robot, "power on")
        await read_once_powered(gripper)
        await gripper.activate()
        assert (await gripper.read_state()).is_active
