"""The reaction ladder in the supervised cell: flapping, names, and the end."""

import pytest

from cell.contracts.robot import SafetyBit
from cell.contracts.servo import HoldReason, MotionMode
from cell.supervisor.reaction_desk import LadderBreachError
from cell.supervisor.states import Command, State
from tests.fakes.supervised_cell import SupervisedCell


async def protective_stop(cell: SupervisedCell) -> None:
    """Stop the working cell at the robot, and take the cause away again."""
    cell.servo.safety_bits = 1 << SafetyBit.PROTECTIVE_STOP
    cell.servo.fault(HoldReason.PROTECTIVE_STOP)
    await cell.until_state(State.ABORTED)
    cell.servo.safety_bits = 1 << SafetyBit.NORMAL
    await cell.pass_s(1.0)


@pytest.mark.parametrize("rate_hz", [1, 2, 5, 10, 20])
async def test_a_process_that_flaps_holds_until_somebody_releases_it(
    rate_hz: int,
) -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.servo.travelled_rad > 0.2)
        flaps = 0
        while "returned_too_often" not in cell.tree()["since_then"]:
            flaps += 1
            assert flaps < 10 * rate_hz, "it flaps for 10 s and nobody is called"
            cell.lost_process = "camera"
            await cell.pass_s(0.5 / rate_hz)
            cell.lost_process = ""
            await cell.pass_s(0.5 / rate_hz)
        travelled_rad = cell.servo.travelled_rad
        await cell.pass_s(30.0)

        assert cell.supervisor.state is State.HELD
        assert cell.servo.travelled_rad == travelled_rad
        assert cell.tree()["ladder"]["rung"] == 3
        assert cell.supervisor.statistics.manual_assists == 1
        await cell.command(Command.UNHOLD)
        placed = cell.supervisor.statistics.placed
        await cell.until(lambda: cell.supervisor.statistics.placed > placed)


async def test_a_process_that_is_lost_now_and_then_comes_back_by_itself() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        for _ in range(8):
            cell.lost_process = "camera"
            await cell.until_state(State.HELD)
            cell.lost_process = ""
            await cell.until_state(State.EXECUTE)
            await cell.pass_s(3.0)

        assert cell.supervisor.statistics.manual_assists == 0


async def test_the_status_says_which_rung_and_which_alarms() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        assert cell.tree()["ladder"]["rung"] <= 1
        await protective_stop(cell)
        ladder = cell.tree()["ladder"]

    assert ladder["rung_name"] == "LATCH"
    assert 3000 in ladder["alarm_ids"]
    assert ladder["acknowledged_by"] == ""


async def test_an_acknowledgement_at_the_line_is_one_of_who_is_logged_in() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await protective_stop(cell)

        await cell.acknowledge(person_id=4711)
        await cell.pass_s(0.3)

        assert ("acknowledged", {"by": "plc:4711"}) in cell.events
        assert cell.tree()["ladder"]["acknowledged_by"] == "plc:4711"


async def test_an_acknowledgement_while_nobody_is_logged_in_counts_for_nothing() -> (
    None
):
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await protective_stop(cell)

        await cell.acknowledge(person_id=0)
        await cell.command(Command.CLEAR)
        await cell.pass_s(0.3)

        assert cell.supervisor.state is State.ABORTED
        assert cell.tree()["ladder"]["acknowledged_by"] == ""
        why = "it names nobody: person_id is 0 at the line"
        assert ("acknowledge_refused", {"why": why}) in cell.events


async def test_a_person_acknowledges_by_name_and_nobody_does_not() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await protective_stop(cell)
        cell.supervisor.acknowledge("  ")
        await cell.command(Command.CLEAR)
        assert cell.supervisor.state is State.ABORTED

        cell.supervisor.acknowledge("anna")
        cell.supervisor.submit(Command.CLEAR, "anna")
        await cell.until_state(State.STOPPED)
        cell.supervisor.submit(Command.RESET, "anna")
        await cell.until_state(State.IDLE)
        await cell.pass_s(0.2)
        cell.supervisor.submit(Command.START, "anna")
        await cell.until_state(State.EXECUTE)

    assert ("acknowledged", {"by": "anna"}) in cell.events


async def test_a_command_without_a_name_starts_nothing() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        cell.fingers.is_reachable = False
        await cell.until_state(State.HELD)
        cell.fingers.is_reachable = True
        await cell.pass_s(3.0)
        cell.supervisor.submit(Command.UNHOLD, " ")
        await cell.pass_s(1.0)

        assert cell.supervisor.state is State.HELD
        assert any("the arm may not move" in line for line in cell.tree()["events"])


async def move_against_the_ladder(cell: SupervisedCell) -> None:
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.servo.travelled_rad > 0.2)
        cell.line.is_reachable = False
        await cell.until_state(State.ABORTED)
        cell.line.is_reachable = True
        await cell.pass_s(3.0)
        # Nothing in the product does this: it stands for a defect.
        cell.supervisor._machine.state = State.EXECUTE
        await cell.pass_s(1.0)


async def test_motion_against_the_ladder_ends_the_process_with_the_arm_on_hold() -> (
    None
):
    cell = SupervisedCell()

    with pytest.raises(ExceptionGroup) as caught:
        await move_against_the_ladder(cell)

    assert caught.group_contains(LadderBreachError)
    last = cell.servo.read_command()
    assert last is not None
    assert last.mode is MotionMode.HOLD
    assert cell.tree()["ladder"]["rung"] == 5
