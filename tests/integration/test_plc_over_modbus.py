"""The Modbus client against a real server that misbehaves."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient

from cell.config import ModbusPlcConfig
from cell.contracts.errors import (
    DriverError,
    DriverStaleError,
    DriverTimeoutError,
    DriverUnreachableError,
)
from cell.contracts.plc import PlcOutputs
from cell.drivers.clock import MonotonicClock
from cell.drivers.plc.codec import (
    PlcMapMismatchError,
    TornBlockError,
    WriteLostError,
)
from cell.drivers.plc.modbus import ModbusPlc, open_modbus_plc
from cell.drivers.plc.registers import BLOCK_WORDS, IMAGE_WORDS
from cell.drivers.plc.sim import make_line_inputs
from ops.exit_codes import PortTakenError
from sim2real.virtual_cell.plc.server import PlcServer, ServerFaults, open_plc_server
from tests.fakes.patient_plc import make_patient_config
from tests.fakes.wire_proxy import WireProxy, proxy_to

pytestmark = pytest.mark.alone

PATIENT_S = 0.9
IMPATIENT_S = 0.25
TOO_LATE_S = 2.5 * IMPATIENT_S


@dataclass
class Wire:
    """A server, a proxy in front of it, and a way to connect."""

    server: PlcServer
    proxy: WireProxy

    def connect(
        self, timeout_s: float = PATIENT_S, *, direct: bool = True
    ) -> AbstractAsyncContextManager[ModbusPlc]:
        port = self.server.port if direct else self.proxy.port
        config = make_patient_config(port, timeout_s)
        return open_modbus_plc(config, MonotonicClock())

    def break_with(self, faults: ServerFaults) -> None:
        self.server.registers.faults = faults
        self.server.registers.write_inputs(make_line_inputs())


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with open_plc_server("127.0.0.1", 0, 1, "big") as server:
        server.registers.write_inputs(make_line_inputs())
        async with proxy_to(server.port) as proxy:
            yield Wire(server, proxy)


@pytest.mark.parametrize(
    ("faults", "error", "phrase"),
    [
        (ServerFaults(refuse_requests=True), DriverError, "exception 2"),
        (ServerFaults(lose_writes=True), WriteLostError, "the write was lost"),
        (ServerFaults(tear_block=True), TornBlockError, "during its update"),
        (ServerFaults(data_invalid=True), DriverStaleError, "not valid"),
        (ServerFaults(swap_words=True), PlcMapMismatchError, "word_order to little"),
        (ServerFaults(shift_map=True), PlcMapMismatchError, "shifted by 1"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
async def test_a_fault_in_the_plc_is_named_at_the_next_exchange(
    wire: Wire, faults: ServerFaults, error: type[DriverError], phrase: str
) -> None:
    async with wire.connect() as plc:
        await plc.exchange(PlcOutputs(heartbeat=1))
        wire.break_with(faults)

        with pytest.raises(error, match=phrase):
            await plc.exchange(PlcOutputs(heartbeat=2))
        with pytest.raises(DriverUnreachableError, match="open it again"):
            await plc.exchange(PlcOutputs(heartbeat=3))


@pytest.mark.parametrize(
    "faults", [ServerFaults(swap_words=True), ServerFaults(shift_map=True)]
)
async def test_a_foreign_map_is_refused_before_anything_is_written(
    wire: Wire, faults: ServerFaults
) -> None:
    wire.break_with(faults)

    with pytest.raises(PlcMapMismatchError):
        async with wire.connect():
            pass
    assert wire.server.registers.writes == 0


@pytest.mark.parametrize(
    "faults", [ServerFaults(stop_answering=True), ServerFaults(delay_s=TOO_LATE_S)]
)
async def test_a_silent_or_late_plc_times_out(wire: Wire, faults: ServerFaults) -> None:
    async with wire.connect(IMPATIENT_S) as plc:
        wire.break_with(faults)

        with pytest.raises(DriverTimeoutError):
            await plc.exchange(PlcOutputs())


async def test_a_late_answer_never_reaches_the_next_connection(wire: Wire) -> None:
    async with wire.connect(IMPATIENT_S) as plc:
        wire.break_with(ServerFaults(delay_s=1.5 * IMPATIENT_S))
        with pytest.raises(DriverTimeoutError):
            await plc.exchange(PlcOutputs(heartbeat=1))
    wire.break_with(ServerFaults())

    async with wire.connect() as plc:
        await plc.exchange(PlcOutputs(heartbeat=2))

    outputs = wire.server.registers.read_outputs()
    assert outputs is None  # the goodbye of the second connection came last


async def test_a_dropped_connection_raises(wire: Wire) -> None:
    async with wire.connect(IMPATIENT_S) as plc:
        await plc.exchange(PlcOutputs())
        wire.server.drop_connections()

        with pytest.raises(DriverError):
            await plc.exchange(PlcOutputs())


async def test_a_connection_dropped_between_exchanges_raises(wire: Wire) -> None:
    async with wire.connect() as plc:
        await plc.exchange(PlcOutputs())
        wire.server.drop_connections()
        await asyncio.sleep(0.05)

        with pytest.raises(DriverUnreachableError, match="connection is gone"):
            await plc.exchange(PlcOutputs())


async def test_a_torn_block_is_read_again_and_counted(wire: Wire) -> None:
    torn = 2

    def heal(answer: bytes) -> bytes:
        nonlocal torn
        if answer[7] == 3:
            torn -= 1
            if torn == 0:
                wire.break_with(ServerFaults())
        return answer

    async with wire.connect(direct=False) as plc:
        wire.break_with(ServerFaults(tear_block=True))
        wire.proxy.mangle = heal

        assert (await plc.exchange(PlcOutputs())).zone_permit
        assert plc.torn_reads == 2


async def test_a_second_client_that_writes_our_block_is_noticed(wire: Wire) -> None:
    def intrude(answer: bytes) -> bytes:
        if answer[7] == 16:
            wire.server.registers._image[BLOCK_WORDS + 4] ^= 1
        return answer

    async with wire.connect(direct=False) as plc:
        await plc.exchange(PlcOutputs(heartbeat=1))
        wire.proxy.mangle = intrude

        with pytest.raises(DriverError, match=r"heartbeat \(40037\) reads back 3"):
            await plc.exchange(PlcOutputs(heartbeat=2))


async def test_a_second_client_is_noticed_whenever_it_writes(wire: Wire) -> None:
    async with wire.connect() as plc:
        await plc.exchange(PlcOutputs(heartbeat=1))
        wire.server.registers._image[BLOCK_WORDS + 4] ^= 2

        with pytest.raises(WriteLostError, match=r"heartbeat \(40037\) reads back 3"):
            await plc.exchange(PlcOutputs(heartbeat=2))


async def test_a_plc_that_forgot_our_block_has_restarted(wire: Wire) -> None:
    async with wire.connect() as plc:
        await plc.exchange(PlcOutputs(heartbeat=1))
        wire.server.registers._image[BLOCK_WORDS:] = [0] * BLOCK_WORDS

        inputs = await plc.exchange(PlcOutputs(heartbeat=2))

    assert inputs.boot_id == make_line_inputs().boot_id


def with_transaction_id(number: int) -> Callable[[bytes], bytes]:
    return lambda answer: number.to_bytes(2, "big") + answer[2:]


async def test_transaction_id_zero_is_no_answer(wire: Wire) -> None:
    async with wire.connect(direct=False) as plc:
        wire.proxy.mangle = with_transaction_id(0)

        with pytest.raises(DriverError, match="transaction id 0"):
            await plc.exchange(PlcOutputs())


async def test_the_answer_to_another_request_is_no_answer(wire: Wire) -> None:
    async with wire.connect(IMPATIENT_S, direct=False) as plc:
        wire.proxy.mangle = with_transaction_id(0x7777)

        with pytest.raises(DriverTimeoutError):
            await plc.exchange(PlcOutputs())


@pytest.mark.parametrize("seed", range(20))
async def test_garbage_ends_the_exchange_within_its_deadline(
    wire: Wire, seed: int
) -> None:
    chance = random.Random(seed)

    def garble(answer: bytes) -> bytes:
        spoilt = bytearray(answer)
        for _ in range(chance.randrange(1, 8)):
            spoilt[chance.randrange(min(len(spoilt), 24))] = chance.randrange(256)
        return bytes(spoilt[: chance.randrange(1, len(spoilt) + 1)])

    async with wire.connect(IMPATIENT_S, direct=False) as plc:
        wire.proxy.mangle = garble

        with pytest.raises(DriverError):
            await keep_exchanging(plc, 50)


async def keep_exchanging(plc: ModbusPlc, count: int) -> None:
    for _ in range(count):
        await plc.exchange(PlcOutputs())


def count_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_nothing_listening_is_unreachable_with_the_keys_to_check() -> None:
    async with open_plc_server("127.0.0.1", 0, 1, "big") as server:
        port = server.port
    config = ModbusPlcConfig(host="127.0.0.1", port=port)

    with pytest.raises(DriverUnreachableError, match=r"check plc\.host, plc\.port"):
        async with open_modbus_plc(config, MonotonicClock()):
            pass


async def test_leaving_tells_the_plc_that_the_cell_is_gone(wire: Wire) -> None:
    async with wire.connect() as plc:
        await plc.exchange(PlcOutputs(heartbeat=1))
        assert wire.server.registers.read_outputs() == PlcOutputs(heartbeat=1)

    assert wire.server.registers.read_outputs() is None


async def test_a_look_without_an_exchange_writes_nothing(wire: Wire) -> None:
    async with wire.connect():
        pass

    assert wire.server.registers.writes == 0


async def test_many_connections_leave_no_open_file_behind(wire: Wire) -> None:
    async with wire.connect() as plc:
        await plc.exchange(PlcOutputs())
    before = count_open_files()

    for _ in range(50):
        async with wire.connect() as plc:
            await plc.exchange(PlcOutputs())
    await asyncio.sleep(0)

    assert count_open_files() <= before + 2


@pytest.mark.parametrize(
    ("start", "count"), [(0, 1), (BLOCK_WORDS - 1, 2), (IMAGE_WORDS - 1, 2)]
)
async def test_the_virtual_plc_refuses_writes_outside_the_cells_block(
    wire: Wire, start: int, count: int
) -> None:
    client = AsyncModbusTcpClient("127.0.0.1", port=wire.server.port)
    await client.connect()

    answer = await client.write_registers(start, [1] * count, device_id=1)
    client.close()

    assert answer.isError()
    assert wire.server.registers.writes == 0


async def test_a_taken_port_is_one_sentence(wire: Wire) -> None:
    with pytest.raises(PortTakenError, match=r"set another plc\.port"):
        async with open_plc_server("127.0.0.1", wire.server.port, 1, "big"):
            pass


async def test_switching_a_fault_off_heals_the_line(wire: Wire) -> None:
    wire.break_with(ServerFaults(stop_answering=True))
    with pytest.raises(DriverError):
        async with wire.connect(IMPATIENT_S):
            pass
    wire.break_with(replace(ServerFaults()))

    async with wire.connect() as plc:
        assert (await plc.exchange(PlcOutputs())).bin_present
