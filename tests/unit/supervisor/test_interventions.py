"""What an intervention of the guard costs, and that the line hears of it."""

from dataclasses import replace

import pytest

from cell.contracts.plc import PlcOutputs
from cell.contracts.servo import (
    INTERVENTIONS,
    HoldReason,
    ServoState,
)
from cell.supervisor.causes import CauseError
from cell.supervisor.interventions import ASKING_S, InterventionLog, SlowDown
from tests.fakes.servo import RESTING_SERVO
from tests.unit.servo.servo_rig import MS
from tests.unit.supervisor.lagging_arm import LaggingArm, open_client, run_beside

ASKED = PlcOutputs(slow_down_request=True)
OUT_OF_THE_WORKSPACE = [0.0, 0.6, 0.3, 0.0, 0.0, 0.0]


def state(
    at_ms: int, reason: HoldReason = HoldReason.NONE, *, order: int = 5, holds: int = 0
) -> ServoState:
    return replace(
        RESTING_SERVO,
        stamp_ns=at_ms * MS,
        hold_reason=reason,
        command_id=order,
        hold_count=holds,
    )


def test_every_reason_is_either_an_intervention_or_somebody_elses_doing() -> None:
    assert HoldReason.WORKSPACE in INTERVENTIONS
    assert HoldReason.GUARD_EXCEPTION in INTERVENTIONS
    assert HoldReason.NONE not in INTERVENTIONS
    assert HoldReason.COMMAND_STALE not in INTERVENTIONS
    assert HoldReason.BRAKE_ORDERED not in INTERVENTIONS
    assert HoldReason.PROTECTIVE_STOP not in INTERVENTIONS


def test_an_intervention_costs_the_time_until_an_order_is_followed_again() -> None:
    log = InterventionLog()
    log.begin_move()

    log.follow(state(100), 5)
    log.follow(state(110, HoldReason.WORKSPACE), 5)
    log.follow(state(190, HoldReason.WORKSPACE), 5)
    log.follow(state(200, HoldReason.NONE, order=5), 7)
    log.follow(state(260, HoldReason.NONE, order=7), 7)

    assert log.compute_figures() == {
        "guard_interventions": 1,
        "guard_intervention_lost_s_p50": pytest.approx(0.15),
        "guard_intervention_lost_s_max": pytest.approx(0.15),
    }


def test_a_motion_that_was_given_up_costs_no_cycle_time() -> None:
    log = InterventionLog()
    log.begin_move()
    log.follow(state(110, HoldReason.WORKSPACE), 5)

    log.begin_move()
    log.follow(state(90_000, order=9), 9)

    assert log.count == 1
    assert log.compute_figures()["guard_intervention_lost_s_p50"] is None


def test_holds_that_the_guard_did_not_cause_are_not_counted() -> None:
    log = InterventionLog()

    log.follow(state(100, HoldReason.COMMAND_STALE), 5)
    log.follow(state(120), 5)

    assert log.compute_figures()["guard_interventions"] == 0


def test_the_line_is_asked_for_as_long_as_the_arm_is_held_and_a_while_after() -> None:
    slow = SlowDown()
    held_ms = 100
    end_ms = held_ms + round(ASKING_S * 1e3)

    assert not slow.follow(state(80), is_refused=False, now_ns=80 * MS)
    assert slow.follow(state(held_ms), is_refused=True, now_ns=held_ms * MS)
    assert slow.follow(state(0), is_refused=False, now_ns=end_ms * MS - 1)
    assert not slow.follow(state(0), is_refused=False, now_ns=end_ms * MS)


def test_a_hold_that_was_over_before_anybody_looked_is_asked_for_too() -> None:
    slow = SlowDown()
    slow.follow(state(80, holds=3), is_refused=False, now_ns=80 * MS)

    assert slow.follow(state(100, holds=4), is_refused=False, now_ns=100 * MS)


def test_holds_from_before_our_start_or_of_a_new_servo_process_ask_for_nothing() -> (
    None
):
    slow = SlowDown()

    assert not slow.follow(None, is_refused=True, now_ns=0)
    assert not slow.follow(state(80, holds=3), is_refused=False, now_ns=80 * MS)
    assert not slow.follow(state(90, holds=0), is_refused=False, now_ns=90 * MS)


def test_the_request_is_timed_from_its_hold_to_the_read_back() -> None:
    slow = SlowDown()
    slow.follow(state(100), is_refused=True, now_ns=115 * MS)

    slow.note_confirmed(PlcOutputs(), 120 * MS)
    slow.note_confirmed(ASKED, 140 * MS)
    slow.note_confirmed(ASKED, 400 * MS)

    assert slow.compute_figures() == {
        "slow_down_requests": 1,
        "slow_down_confirmed_s_max": pytest.approx(0.04),
    }


async def test_an_intervention_in_full_motion_costs_less_than_its_bar() -> None:
    arm = LaggingArm()
    rig, client, clock = open_client(arm)
    far = arm.q + OUT_OF_THE_WORKSPACE

    async def move() -> None:
        with pytest.raises(CauseError, match="WORKSPACE"):
            await client.move_joint(far)

    await run_beside(client, clock, move())

    lost_s = client.interventions.compute_figures()["guard_intervention_lost_s_max"]
    assert client.interventions.count == 3
    assert lost_s is not None
    assert 0.02 < lost_s < 0.2
    assert rig.speeds().max() > 0.5
