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
    is_active: bool = True

    async def activate(self) -> None:
        """Do nothing."""

    async def move(self, command: GripperCommand) -> None:
        """Do nothing."""
        del command

    async def read_state(self) -> GripperState:
        """Return the sample of now."""
        status, aperture_m = self.report(self.clock.now_ns() / 1e9)
        now_ns = self.clock.now_ns()
        return GripperState(now_ns, aperture_m, status, self.is_active, 0)


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


# --- what the fingers show of a part that was gripped ------------------------------


@asynccontextmanager
async def serve(
    report: Callable[[float], Sample], *, is_active: bool = True
) -> AsyncIterator[tuple[GripperStation, _Fingers]]:
    """Run a station whose first sample is of a part 30 mm wide."""
    clock = FakeClock(0)
    fingers = _Fingers(clock, lambda _: (GripperObject.STOPPED_CLOSING, 0.03))

    @asynccontextmanager
    async def connect() -> AsyncIterator[_Fingers]:
        yield fingers

    station = GripperStation(connect, clock)
    serving = asyncio.ensure_future(station.run())
    try:
        await _pass_s(clock, 0.05)
        fingers.report, fingers.is_active = report, is_active
        yield station, fingers
    finally:
        serving.cancel()
        await asyncio.wait([serving])


async def _pass_s(clock: FakeClock, duration_s: float) -> None:
    end_ns = clock.now_ns() + round(duration_s * 1e9)
    while clock.now_ns() < end_ns:
        for _ in range(5):
            await asyncio.sleep(0)
        clock.advance_s(0.005)
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("status", "aperture_m", "shows_nothing"),
    [
        # A person took it out: shut, whatever the gripper calls that.
        (GripperObject.AT_POSITION, 0.0, True),
        (GripperObject.STOPPED_CLOSING, 0.0, True),
        (GripperObject.STOPPED_OPENING, 0.0, True),
        # Shut, as read with the straight line of a gripper that was not calibrated.
        (GripperObject.AT_POSITION, 0.009, True),
        # Let go.
        (GripperObject.AT_POSITION, 0.06, True),
        (GripperObject.AT_POSITION, 0.085, True),
        # Opened, but not beyond the part.
        (GripperObject.AT_POSITION, 0.0315, False),
        # A jam while they open, at once or on the way.
        (GripperObject.STOPPED_OPENING, 0.03, False),
        (GripperObject.STOPPED_OPENING, 0.045, False),
        # Under way.
        (GripperObject.MOVING, 0.02, False),
        (GripperObject.MOVING, 0.06, False),
        (GripperObject.STOPPED_CLOSING, 0.03, False),
        # It has slipped to a narrower place.
        (GripperObject.STOPPED_CLOSING, 0.02, False),
    ],
)
async def test_fingers_show_that_a_part_is_gone_only_where_nothing_else_is_possible(
    status: GripperObject, aperture_m: float, shows_nothing: bool
) -> None:
    async with serve(lambda _: (status, aperture_m)) as (station, fingers):
        assert not station.shows_nothing()
        await _pass_s(fingers.clock, 0.3)

        assert station.shows_nothing() is shows_nothing


async def test_a_gripper_that_is_not_active_shows_nothing_of_the_part() -> None:
    shut = (GripperObject.AT_POSITION, 0.0)
    async with serve(lambda _: shut, is_active=False) as (station, fingers):
        await _pass_s(fingers.clock, 0.3)

        assert station.state is not None
        assert station.state.aperture_m == 0.0
        assert not station.shows_nothing()


async def test_samples_that_are_too_old_show_nothing_of_the_part() -> None:
    async with serve(lambda _: (GripperObject.AT_POSITION, 0.0)) as (station, fingers):
        await _pass_s(fingers.clock, 0.3)
        assert station.shows_nothing()

        # Nobody reads meanwhile.
        fingers.clock.advance_s(2.0)

        assert not station.shows_nothing()


async def still_holds(
    report: Callable[[float], Sample], *, is_watched: bool
) -> tuple[bool, float]:
    """Ask about a part of which the fingers report something else from now on.

    Args:
        report: what they say from then on, for each time since then [s].
        is_watched: they were looked at closely up to then.

    Returns:
        What is said of the part, and after how long [s].
    """
    async with serve(lambda _: (GripperObject.STOPPED_CLOSING, 0.03)) as served:
        station, fingers = served
        clock = fingers.clock
        for _ in range(100):
            if is_watched:
                station.look_closely()
            await _pass_s(clock, 0.01)
        # Between two samples of a gripper that is not watched.
        await _pass_s(clock, 0.0 if is_watched else 0.1)
        begun_ns = clock.now_ns()
        fingers.report = lambda now_s: report(now_s - begun_ns / 1e9)
        asked = asyncio.ensure_future(station.still_holds_part())
        await asyncio.sleep(0)
        while not asked.done():
            await _pass_s(clock, 0.005)
        return await asked, (clock.now_ns() - begun_ns) / 1e9


async def test_a_part_that_was_watched_is_confirmed_without_waiting() -> None:
    is_held, took_s = await still_holds(
        lambda _: (GripperObject.STOPPED_CLOSING, 0.03), is_watched=True
    )

    assert is_held
    assert took_s == 0.0


async def test_an_old_sample_confirms_nothing() -> None:
    is_held, took_s = await still_holds(
        lambda _: (GripperObject.AT_POSITION, 0.0), is_watched=False
    )

    assert not is_held
    assert 0.0 < took_s <= 0.25


async def test_a_part_that_is_seen_to_settle_is_waited_for() -> None:
    async with serve(lambda _: (GripperObject.MOVING, 0.03)) as (station, fingers):
        clock = fingers.clock
        station.look_closely()
        await _pass_s(clock, 0.3)
        asked = asyncio.ensure_future(station.still_holds_part())
        await _pass_s(clock, 0.2)
        assert not asked.done()

        fingers.report = lambda _: (GripperObject.STOPPED_CLOSING, 0.03)
        await _pass_s(clock, 0.1)

        assert await asked
