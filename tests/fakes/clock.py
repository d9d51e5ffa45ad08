"""A clock that moves only when a test says so."""

import asyncio


class FakeClock:
    """Implements `cell.contracts.drivers.Clock`.

    With `auto_advance` a sleep moves the clock to its own deadline at once, so that
    code which polls runs through without waiting.
    """

    def __init__(self, now_ns: int = 1_000_000_000, *, auto_advance: bool = False):
        self._now_ns = now_ns
        self._auto_advance = auto_advance
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def now_ns(self) -> int:
        """Return the present time [ns]."""
        return self._now_ns

    def advance_s(self, duration_s: float) -> None:
        """Move on and wake every sleeper whose deadline has come."""
        self._now_ns += round(duration_s * 1e9)
        for deadline_ns, waiting in self._sleepers:
            if deadline_ns <= self._now_ns and not waiting.done():
                waiting.set_result(None)
        self._sleepers = [entry for entry in self._sleepers if not entry[1].done()]

    def advance_to_next(self) -> None:
        """Move on to the earliest deadline that somebody sleeps for, if any."""
        pending = [due for due, waiting in self._sleepers if not waiting.done()]
        if pending:
            self.advance_s(max(0, min(pending) - self._now_ns) / 1e9)

    async def sleep_until_ns(self, deadline_ns: int) -> None:
        """Return once the clock has reached `deadline_ns`."""
        if self._auto_advance:
            self._now_ns = max(self._now_ns, deadline_ns)
        if deadline_ns <= self._now_ns:
            await asyncio.sleep(0)
            return
        waiting = asyncio.get_running_loop().create_future()
        self._sleepers.append((deadline_ns, waiting))
        await waiting
