"""The clock of the running product."""

import asyncio
import time

from cell.contracts.units import s_from_ns


class MonotonicClock:
    """The operating system's monotonic clock; the same in all processes."""

    def now_ns(self) -> int:
        """Return the monotonic clock [ns]."""
        return time.monotonic_ns()

    async def sleep_until_ns(self, deadline_ns: int) -> None:
        """Return at or after `deadline_ns`; always yields to the loop once."""
        await asyncio.sleep(s_from_ns(max(0, deadline_ns - self.now_ns())))
        # The event loop wakes us up to its clock's resolution too early.
        while self.now_ns() < deadline_ns:  # noqa: ASYNC110
            await asyncio.sleep(0)
