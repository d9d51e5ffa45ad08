"""The Modbus TCP side of the virtual line PLC.

Two blocks of holding registers. Writes are taken in the cell's block only; anything
else is refused and counted, as a PLC program would do.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from cell.contracts.errors import DriverError
from cell.contracts.plc import PlcInputs, PlcOutputs
from cell.drivers.plc.codec import decode_outputs, encode_inputs
from cell.drivers.plc.registers import (
    BLOCK_START,
    BLOCK_WORDS,
    IMAGE_WORDS,
    Block,
    WordOrder,
)
from ops.exit_codes import PortTakenError

_WRITABLE = range(BLOCK_START[Block.CELL_TO_PLC], IMAGE_WORDS)
_WRITE_CODES = frozenset({6, 16})

logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True)
class ServerFaults:
    """Disturbances of the wire.

    Attributes:
        stop_answering: connections stay, nothing is answered.
        drop_connections: every connection is closed again.
        data_invalid: the PLC does not vouch for its block.
        swap_words: 32-bit values in the other word order.
        shift_map: everything one register too far.
        tear_block: the block is always read in the middle of an update.
        refuse_requests: every request gets exception 2.
        lose_writes: writes are acknowledged and forgotten.
        delay_s: of every answer.
    """

    stop_answering: bool = False
    drop_connections: bool = False
    data_invalid: bool = False
    swap_words: bool = False
    shift_map: bool = False
    tear_block: bool = False
    refuse_requests: bool = False
    lose_writes: bool = False
    delay_s: float = 0.0


class PlcRegisters:
    """The registers behind the server, and what is wrong with them.

    Attributes:
        faults: disturbances in force.
        closing: set when the server ends, so that delayed answers end too.
        rejected_requests: requests outside of what the cell may do.
        writes: accepted writes.
    """

    def __init__(self, order: WordOrder) -> None:
        self.faults = ServerFaults()
        self.closing = asyncio.Event()
        self.rejected_requests = 0
        self.writes = 0
        self._order: WordOrder = order
        self._sequence = 0
        self._image = [0] * IMAGE_WORDS

    def write_inputs(self, inputs: PlcInputs) -> None:
        """Update the PLC's block, all at once."""
        self._sequence += 1
        order = self._order
        if self.faults.swap_words:
            order = "little" if order == "big" else "big"
        words = encode_inputs(
            inputs, self._sequence, order, data_valid=not self.faults.data_invalid
        )
        if self.faults.tear_block:
            older = encode_inputs(inputs, self._sequence - 1, order)
            words = words[: BLOCK_WORDS // 2] + older[BLOCK_WORDS // 2 :]
        self._image[:BLOCK_WORDS] = words

    def read_outputs(self) -> PlcOutputs | None:
        """Return the cell's block, None when it is missing or not vouched for."""
        try:
            return decode_outputs(self._image[BLOCK_WORDS:], self._order)
        except DriverError:
            return None

    async def on_access(
        self,
        function_code: int,
        _start_address: int,
        address: int,
        count: int,
        current: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Serve one request; pymodbus answers with `current` afterwards."""
        await self._wait_out_delay()
        is_write = values is not None
        is_allowed = (
            function_code in _WRITE_CODES and _holds(_WRITABLE, address, count)
            if is_write
            else function_code == 3
        )
        if not is_allowed or self.faults.refuse_requests:
            self.rejected_requests += 1
            return ExcCodes.ILLEGAL_ADDRESS
        if values is None:
            current[: len(self._image)] = self._image_on_the_wire()
        elif not self.faults.lose_writes:
            self._image[address : address + count] = [int(value) for value in values]
            self.writes += 1
        return None

    def filter_packet(self, is_sending: bool, packet: bytes) -> bytes:  # noqa: FBT001
        """Swallow what arrives while the PLC is made deaf."""
        return b"" if self.faults.stop_answering and not is_sending else packet

    async def _wait_out_delay(self) -> None:
        if self.faults.delay_s:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.faults.delay_s):
                    await self.closing.wait()

    def _image_on_the_wire(self) -> Sequence[int]:
        return [0, *self._image[:-1]] if self.faults.shift_map else self._image


class PlcServer:
    """A listening server.

    Attributes:
        registers: what it serves.
        port: where it listens.
    """

    def __init__(self, server: ModbusTcpServer, registers: PlcRegisters) -> None:
        self.registers = registers
        self._server = server

    @property
    def port(self) -> int:
        """Return the port in use."""
        listening = self._server.transport
        assert isinstance(listening, asyncio.Server)  # noqa: S101 (pymodbus is untyped here)
        return int(listening.sockets[0].getsockname()[1])

    def drop_connections(self) -> None:
        """Close every open connection."""
        for connection in list(self._server.active_connections.values()):
            connection.close()


@asynccontextmanager
async def open_plc_server(
    host: str, port: int, device_id: int, order: WordOrder
) -> AsyncIterator[PlcServer]:
    """Listen; port 0 takes any free one.

    Raises:
        PortTakenError: another program listens there.
    """
    registers = PlcRegisters(order)
    device = SimDevice(
        id=device_id,
        simdata=[SimData(0, values=[0] * IMAGE_WORDS, datatype=DataType.REGISTERS)],
        action=registers.on_access,
    )
    server = ModbusTcpServer(
        device, address=(host, port), trace_packet=registers.filter_packet
    )
    try:
        await server.serve_forever(background=True)
    except RuntimeError as error:
        raise PortTakenError(
            f"the virtual line PLC cannot listen at {host}:{port}: end the program that"
            " does, or set another plc.port"
        ) from error
    try:
        yield PlcServer(server, registers)
    finally:
        registers.closing.set()
        await server.shutdown()


def _holds(outer: range, start: int, count: int) -> bool:
    return outer.start <= start and start + count <= outer.stop
