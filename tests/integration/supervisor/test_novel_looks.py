"""A learned policy that does not know what it sees: the fallback picks, and says so."""

from collections.abc import Callable

import pytest

from cell.contracts.errors import FaultCode
from cell.contracts.observation import Abstain
from cell.supervisor.novelty_watch import NOVEL_GRASPS
from cell.supervisor.states import State
from tests.fakes.policy import (
    OTHER_MODEL,
    Answer,
    make_chunk,
    see_empty_bin,
    see_nothing_good,
)
from tests.fakes.supervised_cell import SupervisedCell
from tests.integration.supervisor.test_guardian import (
    guardian,
    make_cell,
    proposers,
    until_placed,
)


def see_strange(stamp_ns: int) -> Abstain:
    return Abstain(
        stamp_ns,
        "unlike its training inputs: 31.4, at most 17.6",
        "fake@1",
        novelty=31.4159,
        novelty_limit=17.6,
    )


def see_nothing_at_all(stamp_ns: int) -> Abstain:
    return Abstain(stamp_ns, "no depth", "fake@1", is_blind=True)


def novel_pictures(cell: SupervisedCell) -> list[dict[str, object]]:
    return [fields for name, fields in cell.events if name == "novel_picture"]


def shows_alarm(cell: SupervisedCell) -> bool:
    return any("unlike those of training" in text for text in cell.tree()["alarms"])


async def until_alarm(cell: SupervisedCell) -> None:
    await cell.until(lambda: shows_alarm(cell), 120.0)


# --- what is recorded ----------------------------------------------------------------


async def test_each_novel_look_is_recorded_with_score_and_limit() -> None:
    cell, _ = make_cell()
    cell.policy.script = [see_strange, make_chunk, see_strange]
    async with cell.running():
        await cell.start()
        await until_placed(cell, 3)

    told = {"score": 31.42, "limit": 17.6, "model": "fake@1"}
    assert novel_pictures(cell) == [told, told]
    assert proposers(cell)[:3] == ["fallback", "fallback", "learned"]


async def test_the_shadow_of_a_withdrawn_policy_is_looked_at_too() -> None:
    cell, _ = make_cell(trusts_new=False)
    cell.policy.live = see_strange
    async with cell.running():
        await cell.start()
        await until_alarm(cell)
        assert guardian(cell)["trust"] != "trusted"
        cell.policy.live = None
        await cell.until(lambda: not shows_alarm(cell), 30.0)

        assert guardian(cell)["novel_grasps"] == 0


# --- the alarm -----------------------------------------------------------------------


async def test_pictures_novel_one_after_the_other_are_an_alarm_and_no_stop() -> None:
    cell, _ = make_cell()
    cell.policy.live = see_strange
    async with cell.running():
        await cell.start()
        await until_placed(cell, NOVEL_GRASPS - 1)
        assert not cell.told().fallback_policy
        assert guardian(cell)["in_charge"] == "fake@1"
        assert cell.tree()["alarms"] == []
        await until_alarm(cell)
        await cell.pass_s(0.3)

        assert cell.supervisor.state is State.EXECUTE
        assert cell.told().fallback_policy
        assert cell.told().fault_code == FaultCode.PICTURES_NOVEL
        assert cell.tree()["ladder"]["rung"] == 1
        assert 5110 in cell.tree()["ladder"]["alarm_ids"]
        (alarm,) = cell.tree()["alarms"]
        assert "novelty 31.4, at most 17.6; 5 grasps in a row" in alarm
        told = guardian(cell)
        assert told["is_fallback"]
        assert told["is_novel"]
        assert told["in_charge"] == "plain@1"
        assert told["trust"] == "trusted"
        assert "novelty 31.4" in told["why"]

    assert set(proposers(cell)) == {"fallback"}
    assert len(novel_pictures(cell)) >= NOVEL_GRASPS


async def test_without_a_guardian_it_is_told_all_the_same() -> None:
    cell = SupervisedCell()
    cell.policy.live = see_strange
    async with cell.running():
        await cell.start()
        await until_alarm(cell)
        await cell.pass_s(0.3)

        assert cell.told().fallback_policy
        assert guardian(cell)["in_charge"] == "plain@1"
        assert "novelty 31.4" in guardian(cell)["why"]


@pytest.mark.parametrize("see", [make_chunk, see_nothing_good])
async def test_the_alarm_goes_with_the_first_picture_that_is_known(
    see: Callable[[int], Abstain],
) -> None:
    cell, _ = make_cell()
    cell.policy.live = see_strange
    async with cell.running():
        await cell.start()
        await until_alarm(cell)
        cell.policy.live = see
        await cell.until(lambda: not shows_alarm(cell), 30.0)
        await cell.pass_s(0.3)

        assert not cell.told().fallback_policy
        assert cell.told().fault_code == FaultCode.NONE
        assert guardian(cell)["in_charge"] == "fake@1"
        assert guardian(cell)["novel_grasps"] == 0


async def test_one_picture_in_between_that_is_known_begins_the_count_anew() -> None:
    cell, _ = make_cell()
    pair: list[Callable[[int], Answer]] = [see_strange, make_chunk]
    strange = pair * (NOVEL_GRASPS - 1)
    cell.policy.script = [*strange, make_chunk, *strange]
    async with cell.running():
        await cell.start()
        for _ in range(2 * NOVEL_GRASPS - 1):
            await until_placed(cell, 1)
            assert not shows_alarm(cell)

    assert len(novel_pictures(cell)) == 2 * (NOVEL_GRASPS - 1)


@pytest.mark.parametrize("see", [see_nothing_at_all, see_empty_bin])
async def test_what_tells_nothing_of_novelty_neither_counts_nor_ends_it(
    see: Callable[[int], Abstain],
) -> None:
    cell, _ = make_cell()
    cell.policy.live = see_strange
    async with cell.running():
        await cell.start()
        await until_placed(cell, NOVEL_GRASPS - 1)
        cell.policy.live = see
        await cell.pass_s(20.0)
        assert guardian(cell)["novel_grasps"] in (NOVEL_GRASPS - 1, NOVEL_GRASPS)
        cell.policy.live = see_strange
        await until_alarm(cell)


async def test_a_bin_that_holds_nothing_for_either_is_no_alarm() -> None:
    cell, _ = make_cell()
    cell.policy.script = [see_strange, see_nothing_good] * (2 * NOVEL_GRASPS)
    async with cell.running():
        await cell.start()
        await cell.until(lambda: not cell.policy.script, 120.0)

        assert len(novel_pictures(cell)) > NOVEL_GRASPS
        assert not shows_alarm(cell)
        assert not cell.told().fallback_policy


@pytest.mark.parametrize("runs", ["", OTHER_MODEL])
async def test_what_one_model_did_not_know_says_nothing_of_the_next(runs: str) -> None:
    cell, _ = make_cell()
    cell.policy.live = see_strange
    async with cell.running():
        await cell.start()
        await until_alarm(cell)
        cell.policy.sha256 = runs
        cell.policy.live = None
        await cell.pass_s(0.3)

        assert not shows_alarm(cell)
        assert not guardian(cell)["is_novel"]
