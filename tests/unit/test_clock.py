"""The clock of the product, and the one of the tests; the rest is in the contract."""

import asyncio
import time

from cell.drivers.clock import MonotonicClock
from tests.fakes.clock import FakeClock


async def test_the_clock_is_the_one_all_processes_share() -> None:
    before_ns = time.monotonic_ns()

    assert before_ns <= MonotonicClock().now_ns() <= time.monotonic_ns()


async def test_a_fake_clock_wakes_sleepers_when_their_time_comes() -> None:
    clock = FakeClock(now_ns=0)
    woken = []

    async def sleep_until(deadline_ns: int) -> None:
        await clock.sleep_until_ns(deadline_ns)
        woken.append(deadline_ns)

    async with asyncio.TaskGroup() as sleepers:
        for deadline_ns in (3_000_000_000, 1_000_000_000):
            sleepers.create_task(sleep_until(deadline_ns))
        await asyncio.sleep(0)
        clock.advance_s(1.0)
        await asyncio.sleep(0)
        assert woken == [1_000_000_000]
        clock.advance_s(2.0)
    assert woken == [1_000_000_000, 3_000_000_000]
