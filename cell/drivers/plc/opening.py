"""Opens the configured PLC and keeps watch over its heartbeat."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from cell.config import ModbusPlcConfig, PlcConfig
from cell.contracts.drivers import Clock, PlcLink
from cell.contracts.errors import DriverUnreachableError
from cell.contracts.plc import PlcInputs, PlcOutputs
from cell.drivers.plc.freshness import HeartbeatTracker


class WatchedPlc:
    """A link that refuses blocks of a PLC whose program does not run."""

    def __init__(self, link: PlcLink, tracker: HeartbeatTracker, clock: Clock) -> None:
        self._link = link
        self._tracker = tracker
        self._clock = clock
        self._is_spent = False

    async def exchange(self, outputs: PlcOutputs) -> PlcInputs:
        """Exchange once and judge the answer.

        Raises:
            PlcHeartbeatLostError: the PLC answers, but not as a living program would.
            DriverError: of the link itself.
        """
        if self._is_spent:
            raise DriverUnreachableError("plc", "the link failed; open it again")
        self._is_spent = True
        self._tracker.note_sent(outputs.heartbeat, self._clock.now_ns())
        inputs = await self._link.exchange(outputs)
        self._tracker.check(inputs, self._clock.now_ns())
        self._is_spent = False
        return inputs


@asynccontextmanager
async def open_plc(config: PlcConfig, clock: Clock) -> AsyncIterator[PlcLink]:
    """Connect to the configured PLC.

    Every connection starts over: register map checked, heartbeats unknown. After any
    error leave the context and open a new one; when to do so is the caller's policy.

    Raises:
        DriverUnreachableError: nothing listens there.
        PlcMapMismatchError: the PLC's registers do not follow our map.
    """
    async with _open_link(config, clock) as link:
        tracker = HeartbeatTracker(config.heartbeat_timeout_s, config.period_s)
        yield WatchedPlc(link, tracker, clock)


def _open_link(config: PlcConfig, clock: Clock) -> AbstractAsyncContextManager[PlcLink]:
    # The branch imports its vendor library, so that a cell without it still starts.
    if isinstance(config, ModbusPlcConfig):
        from cell.drivers.plc.modbus import open_modbus_plc

        return open_modbus_plc(config, clock)
    from cell.drivers.plc.sim import open_sim_plc

    return open_sim_plc(clock)
