"""Whose grasps the Guardian judges, and what counts as a failed one."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from cell.contracts.guardian import GuardianMemory
from cell.contracts.observation import ActionChunk
from cell.contracts.robot import SafetyBit
from cell.contracts.servo import HoldReason
from cell.supervisor.guardian_record import GuardianRecord
from cell.supervisor.states import Command, State
from tests.fakes.policy import MODEL, OTHER_MODEL, make_chunk
from tests.fakes.supervised_cell import MemoryStatus, SupervisedCell
from tests.integration.supervisor.test_guardian import (
    ELSEWHERE_M,
    fall,
    guardian,
    make_cell,
    proposers,
    run_until_fallen,
    until_placed,
)


def judged(cell: SupervisedCell) -> list[bool]:
    """Return how each attempt ended that the Guardian was told of."""
    return [bool(f["placed"]) for name, f in cell.events if name == "judged"]


# --- the model that runs -------------------------------------------------------------


async def test_a_locked_model_that_was_unreadable_at_the_start_stays_locked() -> None:
    tree = json.loads(await run_until_fallen())
    tree["guardian_record"]["models"][MODEL] |= {"is_locked": True, "falls": 3}
    cell, _ = make_cell(MemoryStatus(json.dumps(tree)), runs="")
    async with cell.running():
        await cell.start()
        await until_placed(cell, 1)
        assert "no learned model" in guardian(cell)["why"]
        # The file is there again, and the worker is started anew.
        cell.policy.is_up = False
        await cell.pass_s(0.2)
        cell.policy.sha256, cell.policy.is_up = MODEL, True
        await until_placed(cell, 12)

        assert guardian(cell)["awaits_release"]
        assert guardian(cell)["falls_since_release"] == 3
        assert any("release --by NAME" in alarm for alarm in cell.tree()["alarms"])

    assert set(proposers(cell)) == {"fallback"}


@pytest.mark.parametrize("trusts_new", [True, False])
async def test_a_model_that_was_exported_in_place_is_a_new_one(
    trusts_new: bool,
) -> None:
    known = GuardianRecord(None, "")
    known.keep(MODEL, GuardianMemory(was_trusted=True))
    left = {"state": "STOPPED", **known.describe()}
    cell, _ = make_cell(MemoryStatus(json.dumps(left)), trusts_new=trusts_new)
    async with cell.running():
        await cell.start()
        await until_placed(cell, 1)
        assert set(proposers(cell)) == {"learned"}
        cell.policy.sha256 = OTHER_MODEL
        # The grasp that is under way is the last of the old model.
        await until_placed(cell, 1)
        before = len(proposers(cell))
        await until_placed(cell, 2)

        assert guardian(cell)["is_fallback"] is not trusts_new

    wanted = "learned" if trusts_new else "fallback"
    assert set(proposers(cell)[before + 1 :]) == {wanted}
    subjects = [f["sha256"] for name, f in cell.events if name == "guardian_subject"]
    assert subjects == [MODEL, OTHER_MODEL]


async def test_a_worker_that_comes_back_with_the_same_model_changes_nothing() -> None:
    cell, network = make_cell()
    async with cell.running():
        await cell.start()
        await until_placed(cell, 1)
        await fall(cell, network)
        await until_placed(cell, 4)
        done = guardian(cell)["shadow_attempts"]
        assert done >= 2
        cell.policy.is_up = False
        await cell.pass_s(0.2)
        cell.policy.is_up = True
        await cell.pass_s(0.2)

        assert guardian(cell)["shadow_attempts"] >= done


async def test_a_proposal_of_the_model_before_is_not_carried_out() -> None:
    cell, _ = make_cell()
    async with cell.running():
        await cell.start()
        await until_placed(cell, 1)
        # The cycle stands at the gate with a grasp in its hands.
        cell.set_line(zone_permit=False)
        await cell.pass_s(8.0)
        begun = guardian(cell)["learned_attempts"]
        orders = len(cell.servo.orders)
        cell.policy.sha256 = OTHER_MODEL
        cell.policy.live = propose_elsewhere
        await cell.pass_s(0.2)
        cell.set_line(zone_permit=True)
        await until_placed(cell, 1)

        grasps = [
            order.base_from_tcp.position_m for order in cell.servo.orders[orders:]
        ]
        assert guardian(cell)["learned_attempts"] >= begun + 1

    assert any(abs(place[0] - ELSEWHERE_M[0]) < 0.01 for place in grasps)


def propose_elsewhere(stamp_ns: int) -> ActionChunk:
    return make_chunk(stamp_ns, ELSEWHERE_M)


async def test_a_verdict_on_the_model_before_is_none_on_the_next() -> None:
    cell, network = make_cell()
    network.think_s = 0.5
    async with cell.running():
        await cell.start()
        await cell.until(lambda: len(network.asked) == 1, 30.0)
        cell.policy.sha256 = OTHER_MODEL
        await cell.pass_s(0.7)

        assert judged(cell) == []
        assert guardian(cell)["trust"] == "trusted"


# --- what agrees ---------------------------------------------------------------------


async def test_what_it_would_have_done_next_is_no_agreement() -> None:
    cell, network = make_cell()

    def propose_as_second(stamp_ns: int) -> ActionChunk:
        return make_chunk(stamp_ns, ELSEWHERE_M, alternatives=(make_chunk(stamp_ns),))

    async with cell.running():
        await cell.start()
        await until_placed(cell, 1)
        await fall(cell, network)
        await until_placed(cell, 1)
        agreements = guardian(cell)["shadow_agreements"]
        cell.policy.live = propose_as_second
        await until_placed(cell, 4)

        assert guardian(cell)["shadow_agreements"] <= agreements + 1
        assert guardian(cell)["shadow_looks"] >= 3


# --- what it brought about itself ----------------------------------------------------


def veto(cell: SupervisedCell) -> None:
    cell.servo.refusals = [HoldReason.KEEP_OUT_ZONE] * 3


def push(cell: SupervisedCell) -> None:
    cell.servo.refusals = [HoldReason.TCP_FORCE] * 3


def collide(cell: SupervisedCell) -> None:
    cell.servo.safety_bits = 1 << SafetyBit.PROTECTIVE_STOP
    cell.servo.fault(HoldReason.PROTECTIVE_STOP)


def get_stuck(cell: SupervisedCell) -> None:
    cell.servo.fault(HoldReason.TRACKING_ERROR)


@pytest.mark.parametrize(
    ("trouble", "phase"),
    [
        (veto, "approaching"),
        (push, "transferring"),
        (collide, "approaching"),
        (collide, "placing"),
        (get_stuck, "lifting"),
    ],
)
async def test_a_grasp_that_the_guard_or_the_robot_ended_has_failed(
    trouble: Callable[[SupervisedCell], None], phase: str
) -> None:
    cell, network = make_cell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.cycle_phase == phase, 30.0)
        trouble(cell)
        await cell.until_state(State.HELD, State.ABORTED)
        await cell.pass_s(0.5)

        view = guardian(cell)
        assert judged(cell) == [False]
        assert (view["learned_attempts"], view["learned_interventions"]) == (1, 1)
        assert view["intervention_ratio"] == 1.0

    assert len(network.asked) == 1


@pytest.mark.parametrize("phase", ["reaching in", "lifting"])
async def test_a_grasp_that_met_too_much_force_has_failed_though_work_goes_on(
    phase: str,
) -> None:
    cell, _ = make_cell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.cycle_phase == phase, 30.0)
        push(cell)
        await until_placed(cell, 1)
        await cell.pass_s(0.5)

        view = guardian(cell)
        assert judged(cell)[:2] == [False, True]
        assert view["learned_interventions"] == 1


def press_emergency_stop(cell: SupervisedCell) -> None:
    cell.servo.safety_bits = 1 << SafetyBit.EMERGENCY_STOP
    cell.servo.fault(HoldReason.EMERGENCY_STOP)


def open_fence(cell: SupervisedCell) -> None:
    cell.servo.safety_bits = 1 << SafetyBit.SAFEGUARD_STOP
    cell.servo.fault(HoldReason.PROTECTIVE_STOP)


def lose_robot(cell: SupervisedCell) -> None:
    cell.servo.fault(HoldReason.LINK_LOST)


def lose_line(cell: SupervisedCell) -> None:
    cell.line.is_reachable = False


def lose_gripper(cell: SupervisedCell) -> None:
    cell.fingers.is_reachable = False


def come_late(cell: SupervisedCell) -> None:
    cell.servo.refusals = [HoldReason.CYCLE_OVERRUN] * 3


@pytest.mark.parametrize(
    "trouble",
    [press_emergency_stop, open_fence, lose_robot, lose_line, lose_gripper, come_late],
)
async def test_a_stop_from_outside_says_nothing_of_the_grasp(
    trouble: Callable[[SupervisedCell], None],
) -> None:
    cell, network = make_cell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.cycle_phase == "lifting", 30.0)
        trouble(cell)
        await cell.until_state(State.HELD, State.ABORTED)
        await cell.pass_s(0.5)

        assert guardian(cell)["learned_interventions"] == 0
        assert guardian(cell)["learned_attempts"] == 1

    assert network.asked == []


async def test_interventions_that_pass_are_shown_and_cost_nothing() -> None:
    cell, _ = make_cell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.cycle_phase == "approaching", 30.0)
        cell.servo.refusals = [HoldReason.JOINT_SPEED]
        await until_placed(cell, 2)
        await cell.pass_s(0.5)

        view = guardian(cell)
        assert view["learned_interventions"] == 1
        assert view["learned_attempts"] >= 2
        assert all(judged(cell))


async def test_in_shadow_a_veto_counts_where_it_would_have_done_the_same() -> None:
    cell, network = make_cell()
    async with cell.running():
        await cell.start()
        await until_placed(cell, 1)
        await fall(cell, network)
        await until_placed(cell, 1)
        learned = guardian(cell)["learned_attempts"]
        count, failed = len(network.asked), judged(cell).count(False)
        await cell.until(lambda: cell.supervisor.cycle_phase == "approaching", 30.0)
        # By then the learned policy has said that it would have gone there, too.
        await cell.pass_s(0.3)
        assert cell.supervisor.cycle_phase == "approaching"
        veto(cell)
        await cell.until_state(State.HELD)
        await cell.pass_s(0.5)

        assert len(network.asked) == count + 1
        assert judged(cell).count(False) == failed + 1
        assert guardian(cell)["learned_attempts"] == learned


async def test_fingers_that_do_not_let_go_have_placed_nothing() -> None:
    cell, _ = make_cell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.fingers.holding_m is not None)
        cell.fingers.is_jammed = True
        await cell.until_state(State.HELD)
        await cell.pass_s(0.5)

        assert cell.tree()["cause"] == "place_not_confirmed"
        assert judged(cell) == [False]
        assert guardian(cell)["learned_interventions"] == 0


async def test_a_hold_while_the_part_waits_for_the_outfeed_is_no_verdict() -> None:
    cell, network = make_cell()
    cell.set_line(outfeed_clear=False)
    async with cell.running():
        await cell.start()
        await cell.until(
            lambda: cell.supervisor.cycle_phase == "waiting for the outfeed", 30.0
        )
        await cell.command(Command.HOLD)
        await cell.until_state(State.HELD)
        await cell.pass_s(0.5)

    assert network.asked == []


async def test_sums_of_a_model_stand_when_it_comes_back() -> None:
    cell, network = make_cell()
    network.risk = 0.9
    async with cell.running():
        await cell.start()
        await until_placed(cell, 1)
        await cell.until(lambda: len(judged(cell)) == 1, 10.0)
        before: dict[str, Any] = dict(cell.tree()["guardian_sums"]["sums_nat"])
        assert before[MODEL][0] > 0.0
        cell.set_line(zone_permit=False)
        await cell.pass_s(8.0)
        before = dict(cell.tree()["guardian_sums"]["sums_nat"])
        cell.policy.sha256 = OTHER_MODEL
        await cell.pass_s(0.5)
        assert cell.tree()["guardian_sums"]["sums_nat"][OTHER_MODEL] == [0.0]
        cell.policy.sha256 = MODEL
        await cell.pass_s(0.5)

        assert cell.tree()["guardian_sums"]["sums_nat"][MODEL] == before[MODEL]
