"""A stop while the fingers open at the outfeed: where the part is, and who is told."""

import asyncio

import pytest

from cell.supervisor.grasp_names import Phase
from cell.supervisor.states import Command, State
from tests.fakes.guardian import FakeNetwork, make_peers
from tests.fakes.policy import MODEL
from tests.fakes.supervised_cell import SupervisedCell


def names(cell: SupervisedCell) -> list[str]:
    return [event for event, _ in cell.events]


async def until_opening(cell: SupervisedCell) -> None:
    """Go on until the fingers have been told to let go, and have not done so yet."""
    await cell.start()
    await cell.until(lambda: cell.supervisor.cycle_phase == Phase.PLACING)
    moves = len(cell.fingers.moves)
    await cell.until(lambda: len(cell.fingers.moves) > moves)
    assert cell.supervisor.statistics.placed == 0


@pytest.mark.parametrize("command", [Command.HOLD, Command.STOP])
async def test_a_part_let_go_as_a_stop_begins_is_counted_and_offered_once(
    command: Command,
) -> None:
    cell = SupervisedCell()
    async with cell.running():
        await until_opening(cell)

        cell.supervisor.submit(command, "anna")
        await cell.until_state(State.HELD, State.STOPPED)
        await cell.pass_s(0.5)

        assert cell.supervisor.statistics.placed == 1
        assert cell.told().good_count == 1
        assert cell.line.taken_count == 1
        assert not cell.told().holding_part
        assert names(cell).count("placed_in_a_stop") == 1
        # Every place above the outfeed has its own part: the next one goes elsewhere.
        assert cell.supervisor.statistics.compute_figures()["cycle_s_p50"] < 20.0


async def test_work_goes_on_with_the_next_part_at_the_next_place() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await until_opening(cell)
        cell.supervisor.submit(Command.HOLD, "anna")
        await cell.until_state(State.HELD)
        first_m = cell.servo.base_from_tcp().position_m

        await cell.command(Command.UNHOLD)
        await cell.until(lambda: cell.supervisor.statistics.attempts == 2)
        assert "part_given_back" not in names(cell)
        await cell.until(lambda: cell.supervisor.cycle_phase == Phase.PLACING)
        moves = len(cell.fingers.moves)
        await cell.until(lambda: len(cell.fingers.moves) > moves)
        second_m = cell.servo.base_from_tcp().position_m
        await cell.until(lambda: cell.line.taken_count == 2)

    assert max(abs(first_m - second_m)) > 0.02


async def test_a_part_that_the_fingers_keep_in_a_stop_goes_back_to_the_bin() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.cycle_phase == Phase.PLACING)
        cell.fingers.is_jammed = True
        moves = len(cell.fingers.moves)
        await cell.until(lambda: len(cell.fingers.moves) > moves)

        cell.supervisor.submit(Command.HOLD, "anna")
        await cell.until_state(State.HELD)
        await cell.pass_s(0.5)

        assert cell.supervisor.statistics.placed == 0
        assert not cell.told().part_done
        assert cell.told().holding_part
        assert "placed_in_a_stop" not in names(cell)

        await cell.command(Command.UNHOLD)
        moves = len(cell.fingers.moves)
        await cell.until(lambda: len(cell.fingers.moves) > moves)
        assert cell.told().in_bin_zone
        cell.fingers.is_jammed = False
        await cell.until(lambda: "part_given_back" in names(cell))
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)
        assert "release_unconfirmed" not in names(cell)


@pytest.mark.parametrize("is_held", [True, False])
async def test_of_fingers_stopped_beyond_the_part_the_record_says_where(
    *, is_held: bool
) -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.cycle_phase == Phase.PLACING)
        cell.fingers.opens_to_m = 0.045
        moves = len(cell.fingers.moves)
        await cell.until(lambda: len(cell.fingers.moves) > moves)

        if is_held:
            cell.supervisor.submit(Command.HOLD, "anna")
        await cell.until_state(State.HELD)
        await cell.pass_s(0.5)

        assert cell.supervisor.statistics.placed == 0
        assert not cell.told().part_done
        assert not cell.told().holding_part
        why: dict[str, object] = {
            "why": "the fingers stay at 45 mm; they held it at 30 mm"
        }
        assert cell.events.count(("release_unconfirmed", why)) == 1

        cell.fingers.opens_to_m = 1.0
        await cell.command(Command.UNHOLD)
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)
        assert "part_given_back" not in names(cell)


async def test_an_end_in_a_release_that_never_ends_is_an_orderly_one() -> None:
    cell = SupervisedCell()
    async with asyncio.TaskGroup() as tasks:
        run = cell._task = tasks.create_task(cell.supervisor.run())
        await cell.start()
        await cell.until(lambda: cell.supervisor.cycle_phase == Phase.PLACING)
        cell.fingers.move_s = 3600.0
        moves = len(cell.fingers.moves)
        await cell.until(lambda: len(cell.fingers.moves) > moves)
        cell.supervisor.request_end()
        while not run.done():
            await cell.step()

    assert cell.tree()["state"] == "STOPPED"
    assert names(cell).count("release_unconfirmed") == 1


async def test_a_stop_says_nothing_of_the_grasp_to_the_guardian() -> None:
    cell = SupervisedCell()
    cell.policy.sha256 = MODEL
    cell.guardian = make_peers(FakeNetwork(cell.clock))
    cell.supervisor = cell.make_supervisor()
    async with cell.running():
        await until_opening(cell)
        cell.supervisor.submit(Command.HOLD, "anna")
        await cell.until_state(State.HELD)
        await cell.pass_s(2.0)

        assert "placed_in_a_stop" in names(cell)
        assert "judged" not in names(cell)


async def test_after_an_abort_the_record_says_that_the_part_was_not_seen() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await until_opening(cell)

        cell.supervisor.submit(Command.ABORT, "anna")
        await cell.until_state(State.ABORTED)
        await cell.pass_s(1.0)
        await cell.command(Command.CLEAR)
        await cell.until_state(State.STOPPED)
        await cell.command(Command.RESET)
        await cell.until_state(State.IDLE)
        await cell.pass_s(0.12)
        await cell.command(Command.START)
        await cell.until_state(State.EXECUTE)

        assert cell.supervisor.statistics.placed == 0
        assert cell.line.taken_count == 0
    why = {"why": "the cell was aborted meanwhile"}
    assert ("release_unconfirmed", why) in cell.events


async def test_with_a_silent_gripper_the_record_says_so_and_the_stop_ends() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await until_opening(cell)

        cell.fingers.is_reachable = False
        await cell.until_state(State.HELD)
        await cell.pass_s(0.5)
        assert cell.supervisor.statistics.placed == 0

        cell.fingers.is_reachable = True
        await cell.pass_s(2.0)
        await cell.command(Command.UNHOLD)
        await cell.until_state(State.EXECUTE)

        assert cell.supervisor.statistics.placed == 0
        assert cell.line.taken_count == 0
    assert names(cell).count("release_unconfirmed") == 1
