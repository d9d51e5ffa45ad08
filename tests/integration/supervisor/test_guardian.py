"""A cell whose learned policy becomes bad falls back within one cycle, and picks on."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from cell.contracts.errors import Complaint, FaultCode, PolicyError
from cell.supervisor.states import Command, State
from tests.fakes.guardian import FakeNetwork, make_peers
from tests.fakes.policy import (
    MODEL,
    OTHER_MODEL,
    fail_with,
    make_chunk,
    see_nothing_good,
)
from tests.fakes.supervised_cell import MemoryStatus, SupervisedCell

ELSEWHERE_M = (-0.25, 0.52, 0.035)


def make_cell(
    status: MemoryStatus | None = None, *, runs: str = MODEL, **guardian: Any
) -> tuple[SupervisedCell, FakeNetwork]:
    """Return a watched cell whose worker runs a model, and the Guardian's network."""
    cell = SupervisedCell(status=status or MemoryStatus())
    cell.policy.sha256 = runs
    network = FakeNetwork(cell.clock)
    cell.guardian = make_peers(network, **guardian)
    cell.supervisor = cell.make_supervisor()
    return cell, network


async def until_placed(cell: SupervisedCell, count: int) -> None:
    """Go on until so many more attempts have ended with a part in the outfeed."""
    wanted = count_placed(cell) + count
    await cell.until(lambda: count_placed(cell) >= wanted, 20.0 * count)


def count_placed(cell: SupervisedCell) -> int:
    return sum(
        name == "attempt" and fields["outcome"] == "placed"
        for name, fields in cell.events
    )


async def until_trust(cell: SupervisedCell, trust: str) -> None:
    await cell.until(lambda: guardian(cell)["trust"] == trust, 400.0)


async def fall(cell: SupervisedCell, network: FakeNetwork) -> None:
    """Let the learned policy become bad until it is withdrawn."""
    network.risk = 0.9
    await cell.until(lambda: guardian(cell)["is_fallback"], 120.0)
    network.risk = 0.1


def guardian(cell: SupervisedCell) -> dict[str, Any]:
    return dict(cell.tree().get("guardian", {"trust": "", "is_fallback": False}))


def changes(cell: SupervisedCell) -> list[tuple[object, object]]:
    return [(f["from"], f["to"]) for name, f in cell.events if name == "guardian"]


def proposers(cell: SupervisedCell) -> list[str]:
    """Return who proposed each attempt."""
    return [
        "fallback" if fields["is_fallback"] else "learned"
        for name, fields in cell.events
        if name == "attempt"
    ]


# --- trust -------------------------------------------------------------------------


async def test_a_new_cell_picks_with_the_learned_policy_at_once() -> None:
    cell, network = make_cell()
    async with cell.running():
        await cell.start()
        await until_placed(cell, 2)

        assert guardian(cell)["trust"] == "trusted"
        assert guardian(cell)["in_charge"] == "fake@1"
        assert not cell.told().fallback_policy
        assert cell.tree()["alarms"] == []

    assert set(proposers(cell)) == {"learned"}
    assert [features.attempt for features in network.asked[:2]] == [1, 2]


async def test_where_so_configured_a_new_model_begins_in_shadow() -> None:
    cell, _ = make_cell(trusts_new=False)
    async with cell.running():
        await cell.start()
        await until_placed(cell, 1)
        assert set(proposers(cell)) == {"fallback"}

        await until_trust(cell, "trusted")
        await until_placed(cell, 2)

    assert proposers(cell)[-1] == "learned"
    assert proposers(cell).count("fallback") >= 8


async def test_before_the_network_is_there_the_fallback_picks() -> None:
    cell, network = make_cell()
    network.is_up = False
    async with cell.running():
        await cell.start()
        await until_placed(cell, 1)
        assert set(proposers(cell)) == {"fallback"}
        network.is_up = True
        await until_placed(cell, 2)

    assert proposers(cell)[-1] == "learned"


async def test_a_network_that_never_comes_is_an_alarm_and_no_stop() -> None:
    cell, network = make_cell()
    network.is_up = False
    async with cell.running():
        await cell.start()
        await cell.pass_s(25.0)

        assert cell.supervisor.state is State.EXECUTE
        assert any("does not run" in alarm for alarm in cell.tree()["alarms"])
        assert cell.told().fault_code == FaultCode.POLICY_WITHDRAWN


async def test_a_model_that_cannot_be_used_is_an_alarm_of_its_own() -> None:
    cell, _ = make_cell()
    assert cell.guardian is not None
    cell.guardian = replace(cell.guardian, guardian=None)
    cell.complaints.guardian = Complaint(
        FaultCode.GUARDIAN_INVALID, "guardian: calibration: Field required"
    )
    cell.supervisor = cell.make_supervisor()
    async with cell.running():
        await cell.start()
        await until_placed(cell, 1)
        await cell.pass_s(25.0)

        alarms = cell.tree()["alarms"]
        assert len(alarms) == 1
        assert "calibration: Field required" in alarms[0]
        assert cell.told().fault_code == FaultCode.GUARDIAN_INVALID
        assert guardian(cell)["why"] == "its model cannot be used"

    assert set(proposers(cell)) == {"fallback"}


# --- the fall ----------------------------------------------------------------------


async def test_a_policy_that_became_bad_falls_back_within_one_cycle() -> None:
    cell, network = make_cell()
    async with cell.running():
        await cell.start()
        await until_placed(cell, 2)
        await fall(cell, network)
        at_fall = len(proposers(cell))
        await until_placed(cell, 3)
        await cell.pass_s(0.5)

        assert cell.supervisor.state is State.EXECUTE
        assert cell.told().fallback_policy
        assert cell.told().fault_code == FaultCode.POLICY_WITHDRAWN
        assert any("succeed less often" in alarm for alarm in cell.tree()["alarms"])
        assert cell.tree()["ladder"]["rung"] == 1
        assert 5100 in cell.tree()["ladder"]["alarm_ids"]
        assert guardian(cell)["in_charge"] == "plain@1"
        assert guardian(cell)["falls"] == 1

    # The attempt that was under way when the verdict came is the last learned one.
    assert set(proposers(cell)[at_fall + 1 :]) == {"fallback"}
    assert changes(cell)[:2] == [("", "trusted"), ("trusted", "fallback")]
    assert cell.supervisor.statistics.manual_assists == 0


async def test_the_verdict_on_a_failed_grasp_comes_before_the_next_one() -> None:
    cell, network = make_cell()
    network.risk, network.think_s = 0.9, 0.8
    cell.fingers.default_find_m = None
    async with cell.running():
        await cell.start()
        await cell.until(lambda: guardian(cell)["is_fallback"], 60.0)
        cell.fingers.default_find_m = 0.03
        await until_placed(cell, 1)

    # Two failures at that risk are enough.
    assert proposers(cell)[:3] == ["learned", "learned", "fallback"]


async def test_the_fallback_is_not_stopped_for_what_the_learned_policy_failed_at() -> (
    None
):
    cell, network = make_cell()
    most = cell.layout.timing.max_failures_in_row
    network.risk = 0.1
    cell.fingers.finds_m = [None] * (most + 1)
    # Another part each time: one that failed thrice would not be tried again.
    cell.policy.script = [
        partial(make_chunk, xyz_m=(-0.28 + 0.02 * (n % 9), 0.48, 0.035))
        for n in range(60)
    ]
    async with cell.running():
        await cell.start()
        await cell.until(lambda: guardian(cell)["is_fallback"], 60.0)
        await cell.until(lambda: count_placed(cell) >= 1, 60.0)

        assert cell.supervisor.state is State.EXECUTE

    assert proposers(cell).count("fallback") >= 2
    assert len(proposers(cell)) == most + 2


async def test_a_grasp_of_a_policy_that_was_withdrawn_meanwhile_is_not_begun() -> None:
    cell, network = make_cell()
    async with cell.running():
        await cell.start()
        await until_placed(cell, 1)
        # The cycle stands at the gate with a learned grasp in its hands.
        cell.set_line(zone_permit=False)
        await cell.pass_s(8.0)
        network.is_up = False
        await cell.pass_s(0.1)
        count = len(proposers(cell))
        network.is_up = True
        cell.set_line(zone_permit=True)
        await until_placed(cell, 1)

    assert set(proposers(cell)[count:]) == {"fallback"}


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        ({"risk": math.nan}, "no probability"),
        ({"risk": -0.2}, "no probability"),
        ({"is_silent": True}, "no answer in time"),
        ({"is_constant": True}, "answers the same"),
        ({"is_up": False}, "is gone"),
    ],
)
async def test_a_failing_guardian_means_fallback(
    trouble: dict[str, Any], why: str
) -> None:
    cell, network = make_cell()
    async with cell.running():
        await cell.start()
        await until_placed(cell, 1)
        for name, value in trouble.items():
            setattr(network, name, value)
        await cell.until(lambda: guardian(cell)["is_fallback"], 60.0)
        at_fall = len(proposers(cell))
        await until_placed(cell, 2)

        assert why in guardian(cell)["why"] or why in str(changes_why(cell))
        assert cell.supervisor.state is State.EXECUTE

    assert set(proposers(cell)[at_fall + 1 :]) == {"fallback"}


def changes_why(cell: SupervisedCell) -> list[object]:
    return [f.get("why") for name, f in cell.events if name == "guardian"]


async def test_a_dead_network_withdraws_at_once_even_between_attempts() -> None:
    cell, network = make_cell()
    async with cell.running():
        await cell.start()
        await until_placed(cell, 1)
        network.is_up = False
        await cell.pass_s(0.3)

        assert guardian(cell)["is_fallback"]
        network.is_up = True
        await cell.pass_s(0.3)
        assert guardian(cell)["is_fallback"]
        assert guardian(cell)["trust"] == "fallback"


# --- the way back ------------------------------------------------------------------


async def test_it_comes_back_on_evidence_in_shadow_alone() -> None:
    cell, network = make_cell()
    async with cell.running():
        await cell.start()
        await until_placed(cell, 1)
        await fall(cell, network)
        await until_trust(cell, "trusted")
        before = len(proposers(cell))
        await until_placed(cell, 2)
        await cell.pass_s(0.5)

        assert cell.tree()["alarms"] == []
        assert cell.told().fault_code == 0

    assert proposers(cell)[before + 1] == "learned"
    assert proposers(cell).count("fallback") >= 8
    looks = [f for name, f in cell.events if name == "shadow"]
    assert len(looks) >= 8
    assert all(look["agrees"] for look in looks)


async def test_what_the_learned_policy_says_in_shadow_is_never_carried_out() -> None:
    cell, network = make_cell()
    async with cell.running():
        await cell.start()
        await until_placed(cell, 1)
        await fall(cell, network)
        await until_placed(cell, 1)
        cell.policy.live = propose_elsewhere
        asked, ordered = len(cell.policy.asked), len(cell.servo.orders)
        await until_placed(cell, 10)
        grasps = [
            order.base_from_tcp.position_m for order in cell.servo.orders[ordered:]
        ]

        assert not all(cell.policy.asked[asked:])
        assert guardian(cell)["shadow_attempts"] <= 2
        assert guardian(cell)["is_fallback"]

    assert all(abs(place[0] - ELSEWHERE_M[0]) > 0.01 for place in grasps)
    answers = [fields for name, fields in cell.events if name == "shadow"]
    assert sum(not fields["agrees"] for fields in answers) >= 9


def propose_elsewhere(stamp_ns: int) -> Any:
    return make_chunk(stamp_ns, ELSEWHERE_M)


@pytest.mark.parametrize(
    "answer", [see_nothing_good, fail_with(PolicyError("nonsense"))]
)
async def test_a_policy_that_has_nothing_to_say_in_shadow_does_not_come_back(
    answer: Callable[[int], Any],
) -> None:
    cell, network = make_cell()
    async with cell.running():
        await cell.start()
        await until_placed(cell, 1)
        await fall(cell, network)
        cell.policy.live = answer
        await until_placed(cell, 12)

        assert guardian(cell)["is_fallback"]
        assert guardian(cell)["shadow_attempts"] <= 2
        assert cell.supervisor.state is State.EXECUTE


async def test_where_so_configured_nothing_leads_back_but_a_named_person() -> None:
    cell, network = make_cell(needs_release=True)
    names = [""]
    assert cell.guardian is not None
    cell.guardian = replace(cell.guardian, take_release=lambda: names.pop() or "")
    cell.supervisor = cell.make_supervisor()

    def give(name: str) -> None:
        names.append(name)

    async with cell.running():
        names.extend([""] * 100_000)
        await cell.start()
        await until_placed(cell, 1)
        await fall(cell, network)
        give("Too Soon")
        await cell.pass_s(0.1)
        await until_trust(cell, "may return")
        await until_placed(cell, 2)
        assert guardian(cell)["is_fallback"]
        assert guardian(cell)["awaits_release"]
        assert any("guardian release --by NAME" in a for a in cell.tree()["alarms"])

        give("Ada Lovelace")
        await cell.pass_s(0.3)

        assert guardian(cell)["trust"] == "trusted"
        assert guardian(cell)["released_by"] == "Ada Lovelace"

    given = [f for name, f in cell.events if name == "guardian_release"]
    assert given == [
        {"by": "Too Soon", "granted": False},
        {"by": "Ada Lovelace", "granted": True},
    ]


# --- restarts ----------------------------------------------------------------------


async def run_until_fallen() -> str:
    """Return the status that a cell left whose learned policy was withdrawn."""
    cell, network = make_cell()
    async with cell.running():
        await cell.start()
        await until_placed(cell, 1)
        await fall(cell, network)
        await cell.command(Command.STOP)
        await cell.until_state(State.STOPPED)
        await cell.pass_s(0.5)
    return cell.status.text or ""


async def trust_after(text: str | None, **guardian_rules: Any) -> dict[str, Any]:
    """Return where the Guardian stands at the start of the next life."""
    cell, _ = make_cell(MemoryStatus(text), **guardian_rules)
    async with cell.running():
        await cell.pass_s(1.0)
        return guardian(cell)


async def test_a_restart_is_no_way_back_and_no_loss_of_trust() -> None:
    fallen = await run_until_fallen()
    cell, _ = make_cell()
    async with cell.running():
        await cell.pass_s(1.0)
    trusted = cell.status.text

    after_fall = await trust_after(fallen)
    assert after_fall["is_fallback"]
    assert "succeed less often" in after_fall["why"]
    assert not (await trust_after(trusted))["is_fallback"]


async def test_another_model_and_back_is_no_way_back_either() -> None:
    fallen = await run_until_fallen()
    cell, _ = make_cell(MemoryStatus(fallen), runs=OTHER_MODEL)
    async with cell.running():
        await cell.pass_s(1.0)
        assert not guardian(cell)["is_fallback"]

    assert (await trust_after(cell.status.text))["is_fallback"]
    assert not (await trust_after(cell.status.text, runs=OTHER_MODEL))["is_fallback"]


async def test_a_run_without_a_learned_policy_keeps_the_record() -> None:
    cell = SupervisedCell(status=MemoryStatus(await run_until_fallen()))
    async with cell.running():
        await cell.pass_s(1.0)
        assert guardian(cell)["trust"] == "not needed"
        assert not cell.told().fallback_policy

    assert (await trust_after(cell.status.text))["is_fallback"]


@pytest.mark.parametrize("damage", ["lost", "no json", "another shape", "wrong kinds"])
async def test_without_an_intact_record_nothing_is_trusted(damage: str) -> None:
    tree = json.loads(await run_until_fallen())
    match damage:
        case "lost":
            del tree["guardian_record"]
        case "another shape":
            tree["guardian_record"] = {"models": [1]}
        case "wrong kinds":
            tree["guardian_record"]["models"][MODEL]["was_trusted"] = 1
        case _:
            pass
    text = "{" if damage == "no json" else json.dumps(tree)

    after = await trust_after(text)

    assert after["is_fallback"]
    assert "record" in after["why"]


async def test_refused_trials_outlive_a_restart() -> None:
    tree = json.loads(await run_until_fallen())
    tree["guardian_record"]["models"][MODEL] |= {"is_locked": True, "trials": 2}

    after = await trust_after(json.dumps(tree))

    assert after["awaits_release"]


async def test_an_attempt_that_a_stop_cut_short_is_not_judged() -> None:
    cell, network = make_cell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.tree()["phase"] == "lifting", 30.0)
        await cell.command(Command.HOLD)
        await cell.until_state(State.HELD)
        await cell.pass_s(2.0)

    assert network.asked == []
