"""A cancellation that comes with an answer ends the exchange all the same."""

import asyncio
from typing import Any, cast

import pytest

from cell.config import ModbusPlcConfig
from cell.contracts.plc import PlcOutputs
from cell.drivers.clock import MonotonicClock
from cell.drivers.plc.modbus import ModbusPlc


async def test_a_cancellation_that_the_library_swallows_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plc = ModbusPlc(
        cast("Any", None), ModbusPlcConfig(host="127.0.0.1", port=502), MonotonicClock()
    )
    waits = asyncio.Event()

    async def answer_as_if_never_cancelled(*_: object, **__: object) -> None:
        waits.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    async def read(_: object) -> None:
        return None

    monkeypatch.setattr(plc, "_write", answer_as_if_never_cancelled)
    monkeypatch.setattr(plc, "_read", read)
    exchange = asyncio.ensure_future(plc.exchange(cast("PlcOutputs", None)))
    await waits.wait()

    exchange.cancel()

    with pytest.raises(asyncio.CancelledError):
        await exchange
