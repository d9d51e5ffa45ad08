"""What every clock promises, tried on the one of the product and the one of tests."""

import asyncio
from collections.abc import Callable

import pytest

from cell.contracts.drivers import Clock
from cell.drivers.clock import MonotonicClock
from tests.fakes.clock import FakeClock


def make_fake() -> Clock:
    return FakeClock(auto_advance=True)


@pytest.fixture(params=[MonotonicClock, make_fake], ids=["monotonic", "fake"])
def clock(request: pytest.FixtureRequest) -> Clock:
    make: Callable[[], Clock] = request.param
    return make()


async def test_time_never_runs_backwards(clock: Clock) -> None:
    seen = [clock.now_ns() for _ in range(1000)]

    assert seen == sorted(seen)


@pytest.mark.parametrize("delay_ns", [-5, 0, 1, 300_000, 1_700_000, 20_000_000])
async def test_a_sleep_never_ends_before_its_deadline(
    clock: Clock, delay_ns: int
) -> None:
    deadline_ns = clock.now_ns() + delay_ns

    await clock.sleep_until_ns(deadline_ns)

    assert clock.now_ns() >= deadline_ns


async def test_a_deadline_in_the_past_still_lets_others_run(clock: Clock) -> None:
    ran = asyncio.Event()
    asyncio.get_running_loop().call_soon(ran.set)

    await clock.sleep_until_ns(0)

    assert ran.is_set()


async def test_a_sleep_can_be_cancelled() -> None:
    for clock in (MonotonicClock(), FakeClock()):
        sleeper = asyncio.create_task(clock.sleep_until_ns(clock.now_ns() + 10**12))
        await asyncio.sleep(0)

        sleeper.cancel()

        with pytest.raises(asyncio.CancelledError):
            await sleeper
