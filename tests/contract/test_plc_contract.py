"""What every PLC link promises, tried on each kind of link.

The Modbus client talks to the real server of the virtual line PLC over loopback; the
simulated one to its line in memory. Both lines run the same script of one scan.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from cell.config import SimPlcConfig
from cell.contracts.drivers import Clock, PlcLink
from cell.contracts.errors import DriverError, DriverUnreachableError
from cell.contracts.plc import PlcInputs, PlcOutputs
from cell.drivers.clock import MonotonicClock
from cell.drivers.plc.freshness import HeartbeatTracker, PlcHeartbeatLostError
from cell.drivers.plc.modbus import open_modbus_plc
from cell.drivers.plc.opening import WatchedPlc, open_plc
from cell.drivers.plc.sim import SimLine, make_line, open_sim_plc
from sim2real.virtual_cell.plc.server import open_plc_server
from tests.fakes.clock import FakeClock
from tests.fakes.patient_plc import make_patient_config

HEARTBEAT_TIMEOUT_S = 0.3


@dataclass
class Rig:
    """A line under test.

    Attributes:
        line: what the PLC says and heard.
        connect: opens a link to it, heartbeat watch included.
        scan: lets the PLC program run once, where it does not run by itself.
        go_away: makes the PLC unreachable.
    """

    line: SimLine
    connect: Callable[[], AbstractAsyncContextManager[PlcLink]]
    scan: Callable[[], None]
    go_away: Callable[[], None]


def watched(link: PlcLink, clock: Clock) -> PlcLink:
    return WatchedPlc(link, HeartbeatTracker(HEARTBEAT_TIMEOUT_S, 0.05), clock)


@asynccontextmanager
async def sim_rig(clock: FakeClock) -> AsyncIterator[Rig]:
    line = make_line()

    @asynccontextmanager
    async def connect() -> AsyncIterator[PlcLink]:
        async with open_sim_plc(clock, line) as link:
            yield watched(link, clock)

    def go_away() -> None:
        line.is_reachable = False

    yield Rig(line, connect, lambda: None, go_away)


@asynccontextmanager
async def modbus_rig(clock: FakeClock) -> AsyncIterator[Rig]:
    line = make_line()
    async with open_plc_server("127.0.0.1", 0, 1, "big") as server:
        config = make_patient_config(server.port)

        @asynccontextmanager
        async def connect() -> AsyncIterator[PlcLink]:
            scan()
            async with open_modbus_plc(config, clock) as link:
                yield watched(link, clock)

        def scan() -> None:
            outputs = server.registers.read_outputs()
            line.scan(outputs if outputs is not None else line.outputs)
            server.registers.write_inputs(line.inputs)

        def go_away() -> None:
            server.registers.faults = replace(
                server.registers.faults, refuse_requests=True
            )

        yield Rig(line, connect, scan, go_away)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=[sim_rig, modbus_rig], ids=["sim", "modbus"])
async def rig(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[Rig]:
    async with request.param(clock) as made:
        yield made


async def exchange(rig: Rig, link: PlcLink, outputs: PlcOutputs) -> PlcInputs:
    """Tell the PLC, let it scan, and return what it says then."""
    await link.exchange(outputs)
    rig.scan()
    return await link.exchange(outputs)


async def test_a_link_carries_both_blocks(rig: Rig) -> None:
    async with rig.connect() as link:
        inputs = await exchange(rig, link, PlcOutputs(heartbeat=7, good_count=70_000))

    assert rig.line.outputs.good_count == 70_000
    assert inputs.heartbeat_echo == 7
    assert (inputs.bin_present, inputs.speed_limit_ratio) == (True, 1.0)


async def test_blocks_carry_the_stamp_of_our_own_clock(
    rig: Rig, clock: FakeClock
) -> None:
    async with rig.connect() as link:
        clock.advance_s(12.0)
        inputs = await link.exchange(PlcOutputs())

    assert inputs.stamp_ns == clock.now_ns()


async def test_a_command_stays_strobed_until_it_is_acknowledged(rig: Rig) -> None:
    rig.line.request_command(2)

    async with rig.connect() as link:
        asked = await exchange(rig, link, PlcOutputs(heartbeat=1))
        answered = await exchange(rig, link, PlcOutputs(heartbeat=2, command_ack=2))

    assert (asked.command, asked.command_request) == (2, True)
    assert not answered.command_request


async def test_the_handshake_of_a_part_has_four_phases(rig: Rig) -> None:
    seen = []
    async with rig.connect() as link:
        for heartbeat, part_done in enumerate([False, True, True, False]):
            outputs = PlcOutputs(heartbeat=heartbeat, part_done=part_done)
            seen.append((await exchange(rig, link, outputs)).part_taken)

    assert seen == [False, True, True, False]
    assert rig.line.taken_count == 1


async def test_a_frozen_heartbeat_ends_the_link(rig: Rig, clock: FakeClock) -> None:
    async with rig.connect() as link:
        await exchange(rig, link, PlcOutputs(heartbeat=1))
        rig.line.heartbeat_is_frozen = True
        clock.advance_s(HEARTBEAT_TIMEOUT_S + 0.01)

        with pytest.raises(PlcHeartbeatLostError):
            await link.exchange(PlcOutputs(heartbeat=2))
        with pytest.raises(DriverUnreachableError, match="open it again"):
            await link.exchange(PlcOutputs(heartbeat=3))


async def test_a_restart_of_the_plc_ends_the_link(rig: Rig) -> None:
    async with rig.connect() as link:
        await exchange(rig, link, PlcOutputs(heartbeat=1))
        rig.line.restart()
        rig.scan()

        with pytest.raises(PlcHeartbeatLostError, match="restarted"):
            await link.exchange(PlcOutputs(heartbeat=2))


async def test_a_new_link_starts_over_after_a_restart(rig: Rig) -> None:
    async with rig.connect() as link:
        before = await link.exchange(PlcOutputs(heartbeat=1))
    rig.line.restart()

    async with rig.connect() as link:
        after = await link.exchange(PlcOutputs(heartbeat=2))

    assert after.boot_id == before.boot_id + 1


async def test_a_plc_that_goes_away_raises_a_driver_error(rig: Rig) -> None:
    async with rig.connect() as link:
        await link.exchange(PlcOutputs(heartbeat=1))
        rig.go_away()

        with pytest.raises(DriverError):
            await link.exchange(PlcOutputs(heartbeat=2))
        with pytest.raises(DriverUnreachableError):
            await link.exchange(PlcOutputs(heartbeat=3))


async def test_opening_follows_the_configured_kind() -> None:
    async with open_plc_server("127.0.0.1", 0, 5, "little") as server:
        server.registers.write_inputs(make_line().inputs)
        modbus = make_patient_config(server.port, device_id=5, word_order="little")
        for config in (modbus, SimPlcConfig()):
            async with asyncio.timeout(10), open_plc(config, MonotonicClock()) as link:
                assert (await link.exchange(PlcOutputs())).zone_permit
