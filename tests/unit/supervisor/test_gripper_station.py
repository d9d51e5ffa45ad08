"""What the gripper's station makes of samples in which the fingers still move."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from cell.contracts.robot import GripperCommand, GripperObject, GripperState
from cell.supervisor.gripper_station import GripperStation
from tests.fakes.clock import FakeClock

Sample = tuple[GripperObject, float]


@dataclass
class _Fingers:
    """A gripper that reports what the test says for each time since the start [s]."""

    clock: FakeClock
    report: Callable[[float], Sample]

    async def activate(self) -> None:
        """Do nothing."""

    async def move(self, command: GripperCommand) -> None:
        """Do nothing."""
        del command

    async def read_state(self) -> GripperState:
        """Return the sample of now."""
        status, aperture_m = self.report(self.clock.now_ns() / 1e9)
        return GripperState(self.clock.now_ns(), aperture_m, status, True, 0)


async def verify(report: Callable[[float], Sample]) -> tuple[bool, float]:
    """Return what is said of the part, and after how long [s]."""
    clock = FakeClock(0, auto_advance=True)

    @asynccontextmanager
    async def connect() -> AsyncIterator[_Fingers]:
        yield _Fingers(clock, report)

    station = GripperStation(connect, clock)
    serving = asyncio.ensure_future(station.run())
    try:
        for _ in range(5):
            await asyncio.sleep(0)
        begun_ns = clock.now_ns()
        is_held = await station.verify_part()
        return is_held, (clock.now_ns() - begun_ns) / 1e9
    finally:
        serving.cancel()
        await asyncio.wait([serving])


async def test_a_part_between_resting_fingers_is_held() -> None:
    is_held, took_s = await verify(lambda _: (GripperObject.STOPPED_CLOSING, 0.03))

    assert is_held
    assert took_s < 0.15


async def test_a_part_that_settles_between_the_fingers_is_not_lost() -> None:
    is_held, took_s = await verify(
        lambda now_s: (
            GripperObject.MOVING if now_s < 0.8 else GripperObject.STOPPED_CLOSING,
            0.03,
        )
    )

    assert is_held
    assert took_s >= 0.2


async def test_fingers_that_close_on_nothing_have_lost_it() -> None:
    is_held, _ = await verify(
        lambda now_s: (
            (GripperObject.MOVING, 0.03)
            if now_s < 0.8
            else (GripperObject.AT_POSITION, 0.0)
        )
    )

    assert not is_held


@pytest.mark.parametrize("aperture_m", [0.0, 0.03])
async def test_fingers_that_never_rest_hold_nothing(aperture_m: float) -> None:
    is_held, took_s = await verify(lambda _: (GripperObject.MOVING, aperture_m))

    assert not is_held
    assert 0.5 < took_s < 1.5
