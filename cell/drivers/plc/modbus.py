"""The line PLC over Modbus TCP; the only pymodbus import on the client side.

One exchange is one FC3 (our block as it was left), one FC16 (our block) and one FC3
(both blocks). Our block comes back with it and must be what was written, and must still
be that before the next one, so a lost write or a second master shows at once, whenever
it writes. Any failure ends the connection: a request that timed out must not leave its
late answer to the next one, therefore the deadline may cancel it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from cell.config import ModbusPlcConfig
from cell.contracts.drivers import Clock
from cell.contracts.errors import (
    DriverError,
    DriverTimeoutError,
    DriverUnreachableError,
)
from cell.contracts.plc import PlcInputs, PlcOutputs
from cell.drivers.plc.codec import (
    TornBlockError,
    check_frame,
    check_read_back,
    decode_inputs,
    encode_outputs,
)
from cell.drivers.plc.registers import (
    BLOCK_START,
    BLOCK_WORDS,
    IMAGE_WORDS,
    Block,
)

_DEVICE = "plc"
_READS_PER_EXCHANGE = 3
_WRITE_START = BLOCK_START[Block.CELL_TO_PLC]

# Every failure becomes a DriverError; the library would log each one once more.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)


class ModbusPlc:
    """A connected PLC. After any error it is spent: open it again.

    Attributes:
        torn_reads: blocks read in the middle of an update, and read again.
    """

    def __init__(
        self, client: AsyncModbusTcpClient, config: ModbusPlcConfig, clock: Clock
    ) -> None:
        self.torn_reads = 0
        self._client = client
        self._config = config
        self._clock = clock
        self._sequence = 0
        self._last: PlcOutputs | None = None
        self._held: list[int] | None = None
        self._is_spent = False

    async def exchange(self, outputs: PlcOutputs) -> PlcInputs:
        """See that nobody changed our block, write it, then read both.

        Raises:
            DriverTimeoutError: all together took longer than `plc.timeout_s`.
            DriverError: anything else that is not as the register map says.
        """
        try:
            async with self._deadline():
                left = await self._read_own_block()
                words = await self._write(outputs, data_valid=True)
                inputs = await self._read(words)
                # Last, for a map that is not ours explains a changed block as well.
                self._check_untouched(left)
                self._held = words
                return inputs
        finally:
            _pass_cancellation_on()

    async def check_map(self) -> None:
        """Read once, without writing, and compare constants, version and word order.

        Raises:
            PlcMapMismatchError: naming the register and the likely cause.
        """
        async with self._deadline():
            image = await self._read_image()
            with self._spend_on_error():
                check_frame(
                    Block.PLC_TO_CELL, image[:BLOCK_WORDS], self._config.word_order
                )

    async def say_goodbye(self) -> None:
        """Tell the PLC that our block is no longer vouched for, if it can be told.

        A connection that never wrote says nothing: another controller may be at work.
        """
        if self._last is not None and not self._is_spent:
            async with self._deadline():
                await self._write(self._last, data_valid=False)

    async def _read_own_block(self) -> list[int]:
        """Return our block as the last exchange and others left it, [] before any."""
        if self._held is None:
            return []
        with self._spend_on_error():
            return await self._read_words(_WRITE_START, BLOCK_WORDS)

    def _check_untouched(self, left: Sequence[int]) -> None:
        # A PLC that restarted holds nothing of ours; its boot number tells.
        if self._held is not None and any(left):
            with self._spend_on_error():
                check_read_back(self._held, left, self._config.word_order)

    async def _write(self, outputs: PlcOutputs, *, data_valid: bool) -> list[int]:
        self._sequence += 1
        self._last = outputs
        words = encode_outputs(
            outputs, self._sequence, self._config.word_order, data_valid=data_valid
        )
        with self._spend_on_error():
            answer = await self._request(
                lambda: self._client.write_registers(
                    _WRITE_START, words, device_id=self._config.device_id
                )
            )
            if (answer.address, answer.count) != (_WRITE_START, len(words)):
                raise DriverError(_DEVICE, "answered a write that was not ours")
        return words

    async def _read(self, written: Sequence[int]) -> PlcInputs:
        with self._spend_on_error():
            for attempt in range(_READS_PER_EXCHANGE):
                stamp_ns = self._clock.now_ns()
                image = await self._read_image()
                try:
                    inputs = decode_inputs(
                        image[:BLOCK_WORDS], stamp_ns, self._config.word_order
                    )
                except TornBlockError:
                    self.torn_reads += 1
                    if attempt + 1 == _READS_PER_EXCHANGE:
                        raise
                    continue
                check_read_back(written, image[BLOCK_WORDS:], self._config.word_order)
                return inputs
        raise AssertionError("unreachable")

    async def _read_image(self) -> list[int]:
        with self._spend_on_error():
            return await self._read_words(0, IMAGE_WORDS)

    async def _read_words(self, start: int, count: int) -> list[int]:
        answer = await self._request(
            lambda: self._client.read_holding_registers(
                start, count=count, device_id=self._config.device_id
            )
        )
        if len(answer.registers) != count:
            raise DriverError(
                _DEVICE, f"answered {len(answer.registers)} registers, not {count}"
            )
        return list(answer.registers)

    async def _request(self, make: Callable[[], Awaitable[ModbusPDU]]) -> ModbusPDU:
        # The library raises while it makes a request as well as while it waits.
        try:
            answer = await make()
        except ModbusException as error:
            raise DriverUnreachableError(
                _DEVICE, f"the connection is gone ({error})"
            ) from error
        if answer.isError():
            raise DriverError(
                _DEVICE,
                f"refused a request with Modbus exception {answer.exception_code}:"
                f" it needs holding registers 40001 to {40000 + IMAGE_WORDS}"
                f" on device {self._config.device_id}",
            )
        # The library takes 0 as the answer to any request.
        if answer.transaction_id == 0:
            raise DriverError(_DEVICE, "answered with transaction id 0")
        return answer

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        if self._is_spent:
            raise DriverUnreachableError(_DEVICE, "the link failed; open it again")
        try:
            async with asyncio.timeout(self._config.timeout_s):
                yield
        except TimeoutError as error:
            self._is_spent = True
            raise DriverTimeoutError(_DEVICE, self._config.timeout_s) from error

    @contextmanager
    def _spend_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            # A cancelled request counts too: its answer may still be on the way.
            self._is_spent = True
            raise


@asynccontextmanager
async def open_modbus_plc(
    config: ModbusPlcConfig, clock: Clock
) -> AsyncIterator[ModbusPlc]:
    """Connect, check the register map, and on leaving tell the PLC that we are gone.

    Raises:
        DriverUnreachableError: nothing listens there.
        PlcMapMismatchError: the PLC's registers do not follow our map.
    """
    # Retries would make data old and reconnects would hide a restart: both belong to
    # the caller. The library's own timeout never fires before our deadline.
    client = AsyncModbusTcpClient(
        config.host,
        port=config.port,
        timeout=2 * config.timeout_s,
        retries=0,
        reconnect_delay=0,
    )
    try:
        await _connect(client, config)
        plc = ModbusPlc(client, config, clock)
        await plc.check_map()
        try:
            yield plc
        finally:
            with suppress(DriverError):
                await plc.say_goodbye()
    finally:
        client.close()


async def _connect(client: AsyncModbusTcpClient, config: ModbusPlcConfig) -> None:
    try:
        async with asyncio.timeout(config.timeout_s):
            is_connected = await client.connect()
    except TimeoutError:
        is_connected = False
    if not is_connected:
        raise DriverUnreachableError(
            _DEVICE,
            f"no Modbus server answers at {config.host}:{config.port}; check plc.host,"
            " plc.port and the network",
        )


def _pass_cancellation_on() -> None:
    """Raise the cancellation that the library may have swallowed.

    It waits with `asyncio.wait_for`, which in Python 3.11 returns an answer that comes
    at the same moment and forgets the cancellation: the exchange would go on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
