"""What the line was told is read back: a request that is heard, a write that is not."""

import pytest

from cell.contracts.errors import FaultCode
from cell.contracts.servo import HoldReason
from cell.supervisor.causes import Cause
from cell.supervisor.states import Command, State
from tests.fakes.supervised_cell import SupervisedCell

MS = 1_000_000


async def executing_cell(cell: SupervisedCell) -> None:
    await cell.start()
    await cell.until(lambda: cell.servo.travelled_rad > 0.2)


@pytest.mark.parametrize("wait_ms", [0, 7, 13, 21, 34])
async def test_a_hold_by_the_guard_is_known_at_the_line_within_its_bound(
    wait_ms: int,
) -> None:
    cell = SupervisedCell()
    async with cell.running():
        await executing_cell(cell)
        await cell.pass_s(wait_ms / 1e3)
        cell.servo.refusals = [HoldReason.WORKSPACE]
        await cell.until(lambda: not cell.servo.refusals)
        held_ns = cell.clock.now_ns()

        await cell.until(lambda: cell.told().slow_down_request)

        assert cell.clock.now_ns() - held_ns <= 100 * MS
        await cell.until(lambda: not cell.told().slow_down_request)
        assert cell.clock.now_ns() - held_ns >= 500 * MS
        await cell.pass_s(0.3)
        figures = cell.tree()
        assert figures["guard_interventions"] == 1
        assert figures["guard_intervention_lost_s_max"] < 0.2
        assert figures["slow_down_requests"] == 1
        assert figures["slow_down_confirmed_s_max"] <= 0.1
        assert cell.supervisor.state is State.EXECUTE


async def test_a_write_that_the_line_loses_aborts_within_its_bound() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await executing_cell(cell)
        cell.line.loses_writes = True
        lost_ns = cell.clock.now_ns()

        await cell.until_state(State.ABORTING, State.ABORTED)

        assert cell.clock.now_ns() - lost_ns <= 200 * MS
        assert cell.tree()["cause"] == Cause.PLC_WRITE_LOST.value
        assert cell.tree()["fault_code"] == FaultCode.PLC_WRITE_LOST


async def test_a_lost_slow_down_request_is_a_lost_write() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await executing_cell(cell)
        cell.line.loses_writes = True
        cell.servo.refusals = [HoldReason.WORKSPACE]

        await cell.until_state(State.ABORTED)

        assert cell.tree()["cause"] == Cause.PLC_WRITE_LOST.value
        assert not cell.told().slow_down_request


async def test_after_a_lost_write_nothing_moves_before_a_person_acknowledged() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await executing_cell(cell)
        cell.line.loses_writes = True
        await cell.until_state(State.ABORTED)
        cell.line.loses_writes = False
        await cell.pass_s(5.0)
        travelled_rad = cell.servo.travelled_rad

        await cell.command(Command.CLEAR)
        await cell.pass_s(2.0)
        assert cell.supervisor.state is State.ABORTED
        assert cell.servo.travelled_rad == travelled_rad

        await cell.acknowledge()
        await cell.command(Command.CLEAR)
        await cell.until_state(State.STOPPED)


async def test_an_acknowledgement_does_not_outlast_another_lost_write() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await executing_cell(cell)
        cell.line.loses_writes = True
        await cell.until_state(State.ABORTED)
        cell.line.loses_writes = False
        await cell.pass_s(3.0)
        await cell.acknowledge()
        cell.line.loses_writes = True
        await cell.pass_s(0.3)
        cell.line.loses_writes = False
        await cell.pass_s(3.0)

        await cell.command(Command.CLEAR)

        assert cell.supervisor.state is State.ABORTED
