"""The conversation with the line."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from cell.contracts.errors import (
    DriverTimeoutError,
    DriverUnreachableError,
    FaultCode,
)
from cell.contracts.plc import PlcInputs, PlcOutputs
from cell.drivers.plc.codec import WriteLostError
from cell.drivers.plc.sim import make_line_inputs
from cell.supervisor.plc_exchange import EdgeReader, LineTiming, PlcExchange
from cell.supervisor.states import Command, Mode
from tests.fakes.clock import FakeClock


class DeadProgramError(DriverUnreachableError):
    """The PLC answers, its program does not run."""

    code = FaultCode.PLC_HEARTBEAT_LOST


@dataclass
class FakeLine:
    """Answers with `inputs` until told to fail."""

    clock: FakeClock
    inputs: PlcInputs = field(default_factory=make_line_inputs)
    error: Exception | None = None
    is_frozen: bool = False
    opened_ns: list[int] = field(default_factory=list)
    sent: list[PlcOutputs] = field(default_factory=list)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["FakeLine"]:
        self.opened_ns.append(self.clock.now_ns())
        if self.error is not None:
            raise self.error
        yield self

    async def exchange(self, outputs: PlcOutputs) -> PlcInputs:
        if self.error is not None:
            raise self.error
        self.sent.append(outputs)
        if not self.is_frozen:
            beat = self.inputs.heartbeat + 1
            self.inputs = replace(self.inputs, heartbeat=beat)
        return self.inputs


class Conversation:
    """An exchange under a fake clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.is_moving = False
        self.line = FakeLine(self.clock)
        self.confirmed: list[PlcOutputs] = []
        self.exchange = PlcExchange(
            self.line.open,
            LineTiming(0.05, 0.3, 0.025),
            self.clock,
            random.Random(1),
            PlcOutputs,
            lambda: self.is_moving,
        )
        self.exchange.note_confirmed = self.confirmed.append

    async def pass_s(self, duration_s: float) -> None:
        end_ns = self.clock.now_ns() + round(duration_s * 1e9)
        while self.clock.now_ns() < end_ns:
            for _ in range(4):
                await asyncio.sleep(0)
            self.clock.advance_to_next()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Conversation"]:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.exchange.run())
            yield self
            task.cancel()

    def set(self, **inputs: Any) -> None:
        self.line.inputs = replace(self.line.inputs, **inputs)


def test_an_edge_is_a_strobe_that_was_seen_low() -> None:
    edge = EdgeReader()

    assert edge.follow(strobe=True, code=1) is None, "up from the beginning"
    assert edge.follow(strobe=False, code=1) is None
    assert edge.follow(strobe=True, code=2) == 2
    assert edge.follow(strobe=True, code=3) is None, "one request for each edge"


async def test_blocks_are_exchanged_at_their_period() -> None:
    async with Conversation().running() as talk:
        await talk.pass_s(1.0)

        assert 19 <= len(talk.line.sent) <= 21
        assert talk.exchange.is_valid()


async def test_a_command_is_handed_out_once() -> None:
    async with Conversation().running() as talk:
        await talk.pass_s(0.2)
        talk.set(command=2, command_request=True)
        await talk.pass_s(0.2)

        assert talk.exchange.take_command() is Command.START
        assert talk.exchange.take_command() is None


async def test_numbers_that_are_no_command_and_no_mode_stay_harmless() -> None:
    async with Conversation().running() as talk:
        await talk.pass_s(0.2)
        talk.set(command=99, command_request=True, unit_mode=30, unit_mode_request=True)
        await talk.pass_s(0.2)

        assert talk.exchange.take_command() is Command.UNDEFINED
        assert talk.exchange.take_mode() is Mode.INVALID


async def test_one_lost_answer_is_bridged_by_a_quick_reconnect() -> None:
    async with Conversation().running() as talk:
        await talk.pass_s(0.2)
        talk.line.error = DriverTimeoutError("plc", 0.1)
        await talk.pass_s(0.06)
        talk.line.error = None
        await talk.pass_s(0.1)

        assert talk.exchange.is_valid()
        assert len(talk.line.opened_ns) >= 2


async def test_a_late_line_is_quiet_before_it_is_lost() -> None:
    async with Conversation().running() as talk:
        talk.is_moving = True
        await talk.pass_s(0.2)
        assert not talk.exchange.is_quiet()
        talk.line.error = DriverUnreachableError("plc", "gone")
        await talk.pass_s(0.05)

        assert talk.exchange.is_quiet()
        assert talk.exchange.is_valid()


async def test_a_moving_arm_has_the_line_asked_twice_as_often() -> None:
    async with Conversation().running() as talk:
        await talk.pass_s(1.0)
        at_rest = len(talk.line.sent)
        talk.is_moving = True
        await talk.pass_s(1.0)

        assert len(talk.line.sent) - at_rest == pytest.approx(2 * at_rest, abs=2)


async def test_a_living_line_is_never_quiet() -> None:
    async with Conversation().running() as talk:
        await talk.pass_s(0.2)
        for turn in range(200):
            talk.is_moving = turn % 20 > 10
            await talk.pass_s(0.01)
            assert not talk.exchange.is_quiet()


async def test_silence_makes_the_line_invalid_within_its_limit() -> None:
    async with Conversation().running() as talk:
        await talk.pass_s(0.2)
        talk.line.error = DriverUnreachableError("plc", "gone")
        await talk.pass_s(0.36)

        assert not talk.exchange.is_valid()
        assert talk.exchange.read_inputs() is None
        assert talk.exchange.detail == "gone"


async def test_a_dead_program_makes_the_line_invalid_at_once() -> None:
    async with Conversation().running() as talk:
        await talk.pass_s(0.2)
        talk.line.error = DeadProgramError("plc", "heartbeat stands still")
        await talk.pass_s(0.06)

        assert not talk.exchange.is_valid()


async def test_a_frozen_counter_is_no_living_sign_on_a_new_connection_either() -> None:
    async with Conversation().running() as talk:
        await talk.pass_s(0.2)
        talk.line.is_frozen = True
        talk.line.error = DeadProgramError("plc", "heartbeat stands still")
        await talk.pass_s(0.06)
        talk.line.error = None
        await talk.pass_s(1.0)
        assert not talk.exchange.is_valid()

        talk.line.is_frozen = False
        await talk.pass_s(0.2)

        assert talk.exchange.is_valid()


async def test_reconnects_back_off_up_to_two_seconds() -> None:
    talk = Conversation()
    talk.line.error = DriverUnreachableError("plc", "gone")
    async with talk.running():
        await talk.pass_s(60.0)

    gaps = [
        (after - before) / 1e9
        for before, after in zip(
            talk.line.opened_ns, talk.line.opened_ns[1:], strict=False
        )
    ]
    assert gaps[0] < 0.1
    assert max(gaps) <= 2.0
    assert len(gaps) < 80


async def test_another_boot_number_is_counted_across_connections() -> None:
    async with Conversation().running() as talk:
        await talk.pass_s(0.2)
        talk.set(boot_id=2)
        await talk.pass_s(0.2)

        assert talk.exchange.boots == 1


async def test_the_moment_the_bin_came_into_place_is_remembered() -> None:
    async with Conversation().running() as talk:
        talk.set(bin_present=False)
        await talk.pass_s(0.2)
        talk.set(bin_present=True)
        before_ns = talk.clock.now_ns()
        await talk.pass_s(0.2)

        assert before_ns <= talk.exchange.bin_present_since_ns
        assert talk.exchange.bin_present_since_ns < talk.clock.now_ns()


async def test_a_write_that_the_line_does_not_hold_is_told_once() -> None:
    async with Conversation().running() as talk:
        await talk.pass_s(0.2)
        assert talk.exchange.take_lost_write() == ""
        talk.line.error = WriteLostError("plc", "state reads back 2 after 6")
        await talk.pass_s(0.06)
        talk.line.error = None
        await talk.pass_s(0.1)

        assert talk.exchange.take_lost_write() == "state reads back 2 after 6"
        assert talk.exchange.take_lost_write() == ""
        assert talk.exchange.is_valid()


async def test_only_a_block_that_was_read_back_is_confirmed() -> None:
    talk = Conversation()
    async with talk.running():
        await talk.pass_s(0.2)
        assert talk.confirmed == talk.line.sent
        count = len(talk.confirmed)
        talk.line.error = WriteLostError("plc", "state reads back 2 after 6")
        await talk.pass_s(0.2)

        assert len(talk.confirmed) == count
