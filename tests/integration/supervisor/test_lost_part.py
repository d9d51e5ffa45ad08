"""A part that is gone is not announced, neither as held nor as placed."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from cell.contracts.servo import MotionMode
from cell.supervisor.grasp_names import Phase
from cell.supervisor.states import Command, State
from tests.fakes.guardian import FakeNetwork, make_peers
from tests.fakes.policy import MODEL
from tests.fakes.supervised_cell import SupervisedCell, make_layout

TOLD_S = 0.5
"""A gripper that rests is read every 0.2 s, the line is told every 50 ms."""


def outcomes(cell: SupervisedCell) -> list[object]:
    return [fields["outcome"] for event, fields in cell.events if event == "attempt"]


async def until_phase(cell: SupervisedCell, phase: Phase) -> None:
    await cell.until(lambda: cell.supervisor.cycle_phase == phase)


async def until_waiting_with_part(cell: SupervisedCell) -> None:
    """Go on until the cell has waited for the outfeed for a while."""
    cell.set_line(outfeed_clear=False)
    await cell.start()
    await cell.until_state(State.SUSPENDED)
    await cell.pass_s(5.0)
    assert cell.told().holding_part


async def keeps(
    cell: SupervisedCell, condition: Callable[[], bool], duration_s: float
) -> bool:
    """Say whether a condition holds all the time."""
    end_ns = cell.clock.now_ns() + round(duration_s * 1e9)
    while cell.clock.now_ns() < end_ns:
        if not condition():
            return False
        await cell.step()
    return True


# --- what the line is told of the fingers -------------------------------------------


async def test_a_part_lost_at_the_end_of_the_transfer_is_not_carried_any_more() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await until_phase(cell, Phase.TRANSFERRING)
        cell.set_line(zone_permit=False)
        # Too late for two samples that show it on the way.
        await cell.until(lambda: 0.0 < cell.servo.left_s() < 0.01)
        cell.fingers.drop()
        orders = len(cell.servo.orders)
        await cell.until_state(State.SUSPENDED)
        await cell.pass_s(TOLD_S)

        assert outcomes(cell) == ["lost in transfer"]
        assert not cell.told().holding_part

        cell.set_line(zone_permit=True)
        await until_phase(cell, Phase.REACHING_IN)

    after = cell.servo.orders[orders:]
    assert all(order.mode is not MotionMode.BRAKE for order in after)
    approach = next(o for o in after if o.mode is MotionMode.MOVE_JOINT)
    assert approach.part_length_m == 0.0


async def hold_without_way_back(cell: SupervisedCell) -> None:
    """Bring the cell to Held with a part in hand that cannot go back."""
    await cell.start()
    await until_phase(cell, Phase.TRANSFERRING)
    await cell.command(Command.HOLD)
    await cell.until_state(State.HELD)
    cell.set_line(bin_present=False)
    await cell.command(Command.UNHOLD)
    await cell.until_state(State.HELD, limit_s=60.0)
    assert cell.tree()["cause"] == "no_way_back"
    await cell.pass_s(TOLD_S)
    assert cell.told().holding_part


async def test_a_person_who_takes_the_part_out_is_seen_before_anything_moves() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await hold_without_way_back(cell)
        orders, travelled_rad = len(cell.servo.orders), cell.servo.travelled_rad

        cell.fingers.drop()
        await cell.pass_s(TOLD_S)

        assert not cell.told().holding_part
        assert cell.supervisor.state is State.HELD
        assert cell.servo.travelled_rad == travelled_rad

        # A line that gives it only now. The fingers open at home: still nothing there.
        await cell.command(Command.UNHOLD)
        assert await keeps(cell, lambda: not cell.told().holding_part, duration_s=2.0)
        await cell.until_state(State.SUSPENDED)
        assert ("part_given_back", {}) not in cell.events

    moves = [o for o in cell.servo.orders[orders:] if o.mode is not MotionMode.HOLD]
    assert moves
    assert all(order.part_length_m == 0.0 for order in moves)


async def test_a_part_counts_as_held_while_the_gripper_cannot_be_read() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await hold_without_way_back(cell)

        cell.fingers.is_reachable = False

        assert await keeps(cell, lambda: cell.told().holding_part, duration_s=5.0)
        assert cell.supervisor.state is State.HELD


async def test_a_part_that_jams_the_opening_fingers_counts_as_held() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await until_phase(cell, Phase.PLACING)
        cell.fingers.is_jammed = True
        await cell.until_state(State.HELD)
        assert cell.tree()["cause"] == "place_not_confirmed"

        assert await keeps(cell, lambda: cell.told().holding_part, duration_s=5.0)


# --- what the line is told of the outfeed -------------------------------------------


async def test_a_part_lost_while_waiting_for_the_outfeed_is_never_announced() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await until_waiting_with_part(cell)

        cell.fingers.drop()
        await cell.pass_s(TOLD_S)

        assert outcomes(cell) == ["lost in transfer"]
        assert not cell.told().holding_part
        # The outfeed is still not clear: the next part is fetched meanwhile.
        await cell.until(lambda: cell.told().holding_part)
        await cell.until_state(State.SUSPENDED)
        assert cell.tree()["cause"] == "blocked"
        assert cell.line.taken_count == 0

        cell.set_line(outfeed_clear=True)
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)
        assert cell.supervisor.statistics.compute_figures()["lost"] == 1
        await cell.until(lambda: cell.line.taken_count == 1)


async def test_a_cell_suspended_by_command_does_not_move_for_a_lost_part() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await until_waiting_with_part(cell)
        await cell.command(Command.SUSPEND)
        travelled_rad = cell.servo.travelled_rad

        cell.fingers.drop()
        await cell.pass_s(10.0)

        assert not cell.told().holding_part
        assert cell.supervisor.state is State.SUSPENDED
        assert cell.servo.travelled_rad == travelled_rad


async def deceive(cell: SupervisedCell) -> None:
    """Let the fingers miss their part in as many samples as say that it is lost."""
    cell.fingers.false_samples = 2
    await cell.until(lambda: cell.fingers.false_samples == 0)


@pytest.mark.parametrize("is_commanded", [False, True])
async def test_a_part_that_only_seemed_lost_waits_on_for_the_outfeed(
    *, is_commanded: bool
) -> None:
    cell = SupervisedCell()
    async with cell.running():
        await until_waiting_with_part(cell)
        if is_commanded:
            await cell.command(Command.SUSPEND)
        orders, travelled_rad = len(cell.servo.orders), cell.servo.travelled_rad
        visited = len(cell.visited)

        for _ in range(3):
            await deceive(cell)
            await cell.pass_s(2.0)

        assert cell.servo.travelled_rad == travelled_rad
        assert len(cell.servo.orders) == orders
        assert cell.supervisor.state is State.SUSPENDED
        # Not for a moment did it look as if work went on.
        assert len(cell.visited) == visited
        assert cell.told().holding_part
        assert outcomes(cell) == []

        cell.set_line(outfeed_clear=True)
        if is_commanded:
            await cell.pass_s(2.0)
            assert cell.servo.travelled_rad == travelled_rad
            await cell.command(Command.UNSUSPEND)
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)
        assert cell.supervisor.statistics.compute_figures()["lost"] == 0


async def test_a_part_lost_as_the_outfeed_becomes_clear_is_not_placed() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await until_waiting_with_part(cell)

        cell.fingers.drop()
        cell.set_line(outfeed_clear=True)
        await cell.until(lambda: len(outcomes(cell)) == 1)

        assert outcomes(cell) == ["lost in transfer"]
        assert not cell.told().part_done


# Seen on the way; seen at its end, where the fingers are still closing.
@pytest.mark.parametrize(("left_s", "closes_s"), [(0.2, 0.0), (0.05, 0.25)])
async def test_a_part_lost_on_the_way_down_is_neither_placed_nor_a_success(
    left_s: float, closes_s: float
) -> None:
    cell = SupervisedCell()
    cell.policy.sha256 = MODEL
    network = FakeNetwork(cell.clock)
    cell.guardian = make_peers(network)
    cell.supervisor = cell.make_supervisor()
    async with cell.running():
        await cell.start()
        await until_phase(cell, Phase.PLACING)
        await cell.until(lambda: 0.0 < cell.servo.left_s() < left_s)
        moves = len(cell.fingers.moves)
        cell.fingers.drop(closes_s)

        await cell.until(lambda: len(outcomes(cell)) == 1)

        assert outcomes(cell) == ["lost in transfer"]
        assert ("part_lost", {"while": Phase.PLACING}) in cell.events
        assert cell.supervisor.statistics.placed == 0
        # The fingers open at home, not over the outfeed.
        assert cell.fingers.moves[moves:][0].aperture_m == cell.layout.max_aperture_m
        await cell.pass_s(0.2)
        assert not cell.told().part_done
        assert not cell.told().holding_part
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)
        await cell.until(lambda: cell.line.taken_count == 1)
        await cell.pass_s(1.0)

    judged = [fields["placed"] for event, fields in cell.events if event == "judged"]
    assert judged[:2] == [False, True]


@pytest.mark.parametrize("speed_ratio", [1.0, 0.95, 0.9, 0.85, 0.8, 0.75])
async def test_a_part_that_is_there_is_let_go_without_another_look(
    speed_ratio: float,
) -> None:
    # Of the time it takes, only what the release itself waits for is in question: the
    # way down before decides where between two looks the arm arrives.
    layout = make_layout()
    full = layout.motion.model_copy(update={"reach_speed_ratio": 1.0})
    cell = SupervisedCell(layout=replace(layout, motion=full))
    cell.set_line(speed_limit_ratio=speed_ratio)
    async with cell.running():
        await cell.start()
        await until_phase(cell, Phase.PLACING)
        await cell.until(lambda: cell.servo.left_s() > 0.0)
        await cell.until(lambda: cell.servo.left_s() == 0.0)
        arrived_ns, moves = cell.clock.now_ns(), len(cell.fingers.moves)

        await cell.until(lambda: len(cell.fingers.moves) > moves)

        # The gripper's task looks for wishes every 20 ms. A fresh sample would have to
        # be waited for as well.
        assert cell.clock.now_ns() - arrived_ns <= 20_000_000
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)
        assert cell.supervisor.statistics.compute_figures()["lost"] == 0
