"""A camera that shows nothing is no empty bin."""

from collections.abc import Callable

import pytest

from cell.contracts.errors import FaultCode
from cell.contracts.observation import Abstain
from cell.supervisor.causes import Cause
from cell.supervisor.states import State
from tests.fakes.policy import Answer, make_chunk, see_nothing_good
from tests.fakes.supervised_cell import SupervisedCell


def see_nothing_at_all(stamp_ns: int) -> Abstain:
    return Abstain(stamp_ns, "no depth: only 0% of it has depth", "fake@1", False, True)


async def test_a_blind_live_policy_leaves_it_to_the_fallback() -> None:
    cell = SupervisedCell()
    cell.policy.script = [see_nothing_at_all, make_chunk]
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)

    assert cell.policy.asked[:2] == [False, True]
    assert cell.supervisor.statistics.fallback_proposals == 1


async def test_when_both_are_blind_the_cell_holds_and_asks_for_no_refill() -> None:
    cell = SupervisedCell()
    cell.policy.script = [see_nothing_at_all] * 6
    refills: list[bool] = []
    async with cell.running():
        await cell.start()
        while cell.supervisor.state is not State.HELD:
            await cell.step()
            refills.append(cell.told().refill_request)
        tree = cell.tree()

    assert tree["cause"] == Cause.CAMERA_BLIND.value
    assert tree["fault_code"] == FaultCode.CAMERA_BLIND
    assert "only 0% of it has depth" in tree["state_reason"]
    assert not any(refills)
    assert cell.policy.asked == [False, True] * 3


async def test_a_camera_that_sees_again_ends_the_hold_by_itself() -> None:
    cell = SupervisedCell()
    cell.policy.script = [see_nothing_at_all] * 6
    async with cell.running():
        await cell.start()
        await cell.until_state(State.HELD)

        await cell.until(lambda: cell.supervisor.statistics.placed == 1)


async def test_a_camera_that_stays_blind_needs_a_person_in_the_end() -> None:
    cell = SupervisedCell()
    cell.policy.script = [see_nothing_at_all] * 600
    async with cell.running():
        await cell.start()
        await cell.until(
            lambda: "returned_too_often" in cell.tree().get("since_then", []), 120.0
        )
        await cell.pass_s(10.0)

        assert cell.supervisor.state is State.HELD
        assert cell.supervisor.statistics.attempts == 0


@pytest.mark.parametrize("blind_first", [True, False])
async def test_one_policy_that_sees_nothing_good_decides_nothing_for_the_other(
    blind_first: bool,
) -> None:
    answers: list[Callable[[int], Answer]] = [see_nothing_at_all, see_nothing_good]
    cell = SupervisedCell()
    script: list[Callable[[int], Answer]] = (
        answers if blind_first else [*reversed(answers), make_chunk]
    )
    cell.policy.script = script
    async with cell.running():
        await cell.start()
        if blind_first:
            # The fallback saw the bin and nothing in it worth trying.
            await cell.until(lambda: cell.told().refill_request)
        else:
            await cell.until(lambda: cell.supervisor.statistics.placed == 1)
