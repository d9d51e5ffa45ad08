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
        await asyncio.sleep(0)
        # A loop: the event loop may wake us within its clock's resolution too early.
        while (left_ns := deadline_ns - self.now_ns()) > 0:
            await asyncio.sleep(s_from_ns(left_ns))
