"""Whole cycles of a supervised cell with scripted peers."""

import itertools
from collections.abc import Iterator

import pytest

from cell.contracts.errors import (
    DriverUnreachableError,
    PolicyError,
    PolicyTimeoutError,
)
from cell.contracts.observation import ActionChunk
from cell.contracts.servo import HoldReason, MotionMode
from cell.supervisor.states import Command, State
from tests.fakes.policy import (
    GRASP_XYZ_M,
    fail_with,
    make_chunk,
    see_empty_bin,
    see_nothing_good,
)
from tests.fakes.supervised_cell import SupervisedCell

OUTFEED_XY_M = (0.22, 0.46)


async def until_placed(cell: SupervisedCell, count: int) -> None:
    await cell.until(lambda: cell.supervisor.statistics.placed >= count, 60.0)


def propose_two(stamp_ns: int) -> ActionChunk:
    """Answer with a grasp and another one elsewhere."""
    other = make_chunk(stamp_ns, (-0.25, 0.50, 0.035))
    return make_chunk(stamp_ns, alternatives=(other,))


async def test_parts_go_from_the_bin_to_the_outfeed() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()

        await cell.until(lambda: cell.supervisor.statistics.placed == 3, 60.0)

        figures = cell.supervisor.statistics.compute_figures()
        assert figures["attempts"] == 3
        assert figures["first_try_success_ratio"] == 1.0
        assert cell.line.taken_count >= 2
        await cell.pass_s(0.12)
        assert cell.told().good_count == 3


async def test_a_cycle_takes_the_way_it_should() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        first = len(cell.servo.orders)
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)
        await cell.pass_s(1.0)

    moves = [o for o in cell.servo.orders[first:] if o.mode is not MotionMode.HOLD][:6]
    assert [order.mode for order in moves] == [
        MotionMode.MOVE_JOINT,  # above the bin
        MotionMode.MOVE_LINEAR,  # down to the grasp
        MotionMode.MOVE_LINEAR,  # up again
        MotionMode.MOVE_JOINT,  # above the outfeed
        MotionMode.MOVE_LINEAR,  # down to the place
        MotionMode.MOVE_LINEAR,  # up again
    ]
    grasp, retreat, place = (moves[i].base_from_tcp.position_m for i in (1, 2, 4))
    assert grasp == pytest.approx(GRASP_XYZ_M)
    assert retreat[2] > grasp[2] + 0.1
    assert abs(place[0] - OUTFEED_XY_M[0]) < 0.1
    assert abs(place[1] - OUTFEED_XY_M[1]) < 0.1


async def test_the_next_grasp_is_asked_for_while_the_part_is_still_being_placed() -> (
    None
):
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()

        await cell.until(lambda: len(cell.policy.asked) == 2)

        assert cell.supervisor.statistics.placed == 0
        assert not cell.supervisor.statistics.failed


async def test_a_proposal_only_sees_frames_from_after_the_arm_left_the_bin() -> None:
    cell = SupervisedCell()
    left_ns = []
    async with cell.running():
        await cell.start()
        was_over = False
        while len(cell.policy.stamps) < 3:
            is_over = cell.servo.base_from_tcp().position_m[0] < 0.1
            if was_over and not is_over:
                left_ns.append(cell.clock.now_ns())
            was_over = is_over
            await cell.step()

    assert cell.policy.stamps[1] >= left_ns[0]
    assert cell.policy.stamps[2] >= left_ns[1]


async def test_a_missed_grasp_is_tried_again_and_costs_the_first_try() -> None:
    cell = SupervisedCell()
    cell.fingers.finds_m = [None, 0.03]
    async with cell.running():
        await cell.start()

        await cell.until(lambda: cell.supervisor.statistics.placed == 1)

        figures = cell.supervisor.statistics.compute_figures()
        assert figures["attempts"] == 2
        assert figures["first_tries"] == 1
        assert figures["first_try_success_ratio"] == 0.0


async def test_after_a_miss_another_grasp_is_preferred() -> None:
    cell = SupervisedCell()
    cell.policy.script = [propose_two, propose_two]
    cell.fingers.finds_m = [None, 0.03]
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)

    lows = [
        order.base_from_tcp.position_m
        for order in cell.servo.orders
        if order.mode is MotionMode.MOVE_LINEAR
        and order.base_from_tcp.position_m[2] < 0.05
    ]
    assert lows[0] == pytest.approx(GRASP_XYZ_M)
    assert lows[1][0] == pytest.approx(-0.25)


async def test_picks_that_keep_failing_end_in_held_with_the_reason() -> None:
    cell = SupervisedCell()
    cell.fingers.default_find_m = None
    spots = itertools.count()
    cell.policy.script = [
        lambda stamp: make_chunk(stamp, (-0.30 + 0.03 * next(spots), 0.48, 0.035))
        for _ in range(20)
    ]
    async with cell.running():
        await cell.start()

        await cell.until_state(State.HELD, limit_s=60.0)

        tree = cell.tree()
        assert tree["cause"] == "pick_failed_repeatedly"
        assert "6 x nothing gripped" in tree["state_reason"]
        assert tree["fault_code"] == 600
        assert tree["manual_assists"] == 1
        await cell.pass_s(5.0)
        assert cell.supervisor.state is State.HELD


async def test_the_same_failing_grasp_is_given_up_after_its_tries() -> None:
    cell = SupervisedCell()
    cell.fingers.default_find_m = None
    async with cell.running():
        await cell.start()

        await cell.until_state(State.HELD, limit_s=60.0)

        limit = cell.layout.timing.max_tries_per_part
        assert cell.supervisor.statistics.attempts == limit
        assert cell.tree()["cause"] == "chunk_refused"
        exhausted = cell.policy.excluded[-1]
        assert exhausted
        assert exhausted[0] == pytest.approx(GRASP_XYZ_M[:2])


async def test_a_grasp_chosen_before_a_refill_is_not_carried_out_after_it() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.cycle_phase == "placing")
        cell.set_line(bin_present=False, zone_permit=False)
        await cell.until_state(State.SUSPENDED)
        await cell.pass_s(2.0)
        cell.set_line(bin_present=True, zone_permit=True)
        back_ns = cell.clock.now_ns()

        await cell.until(lambda: cell.supervisor.statistics.attempts == 2)

        assert cell.policy.stamps[-1] >= back_ns


async def test_a_part_lost_on_the_way_counts_as_reject_and_work_goes_on() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.servo.base_from_tcp().position_m[0] > 0.15)
        await cell.until(lambda: cell.fingers.holding_m is not None)
        await cell.until(lambda: cell.supervisor.statistics.picked == 1)
        cell.fingers.drop()

        await cell.until(lambda: cell.supervisor.statistics.placed == 1)

        figures = cell.supervisor.statistics.compute_figures()
        assert figures["lost"] == 1
        assert figures["attempts"] == 2
        await cell.pass_s(0.12)
        assert cell.told().reject_count == 1


async def test_a_part_lost_on_the_way_stops_the_arm_there_and_then() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.statistics.picked == 1)
        await cell.pass_s(0.2)
        cell.fingers.drop()
        dropped_ns = cell.clock.now_ns()

        await cell.until(lambda: cell.servo.orders[-1].mode is MotionMode.BRAKE)

        assert cell.clock.now_ns() - dropped_ns <= 150_000_000
        assert cell.supervisor.statistics.placed == 0
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)
        assert cell.supervisor.statistics.compute_figures()["lost"] == 1


async def test_a_part_lost_while_it_is_lifted_is_not_counted_as_picked() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.tree()["phase"] == "lifting")
        cell.fingers.drop()

        await cell.until(lambda: cell.supervisor.statistics.placed == 1)

        figures = cell.supervisor.statistics.compute_figures()
        assert figures["lost"] == 0
        assert figures["attempts"] == 2
        assert cell.supervisor.statistics.picked == 1


async def test_fingers_that_do_not_open_end_in_held() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.fingers.holding_m is not None)
        cell.fingers.is_jammed = True

        await cell.until_state(State.HELD)

        assert cell.tree()["cause"] == "place_not_confirmed"
        assert cell.supervisor.statistics.placed == 0


async def test_an_empty_bin_suspends_asks_for_a_refill_and_comes_back() -> None:
    cell = SupervisedCell()
    cell.policy.script = [see_empty_bin, see_empty_bin]
    async with cell.running():
        await cell.start()

        await cell.until_state(State.SUSPENDED)
        await cell.pass_s(0.12)
        assert cell.told().starved
        assert cell.told().refill_request
        assert cell.tree()["cause"] == "starved"

        await cell.until_state(State.EXECUTE)
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)
        assert not cell.told().refill_request
        assert cell.supervisor.statistics.manual_assists == 0


async def test_the_fallback_is_asked_when_the_live_policy_sees_nothing_good() -> None:
    cell = SupervisedCell()
    cell.policy.script = [see_nothing_good]
    async with cell.running():
        await cell.start()

        await cell.until(lambda: cell.supervisor.statistics.placed == 1)

        assert cell.policy.asked[:2] == [False, True]
        assert cell.supervisor.statistics.fallback_proposals == 1


async def test_two_abstentions_count_as_an_exhausted_bin() -> None:
    cell = SupervisedCell()
    cell.policy.script = [see_nothing_good, see_nothing_good]
    async with cell.running():
        await cell.start()

        await cell.until_state(State.SUSPENDED)

        assert cell.tree()["cause"] == "starved"


async def test_an_absent_bin_suspends_before_anything_moves() -> None:
    cell = SupervisedCell()
    cell.set_line(bin_present=False)
    async with cell.running():
        await cell.start()

        await cell.until_state(State.SUSPENDED)

        assert cell.servo.travelled_rad == 0.0
        cell.set_line(bin_present=True)
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)


async def test_a_full_outfeed_suspends_with_the_part_in_hand() -> None:
    cell = SupervisedCell()
    cell.set_line(outfeed_clear=False)
    async with cell.running():
        await cell.start()

        await cell.until_state(State.SUSPENDED)
        await cell.pass_s(1.0)
        assert cell.told().blocked
        assert cell.told().holding_part
        assert not cell.told().in_bin_zone

        cell.set_line(outfeed_clear=True)
        await cell.until(lambda: cell.supervisor.statistics.placed == 1)


async def test_without_a_zone_permit_the_arm_stays_away_from_the_bin() -> None:
    cell = SupervisedCell()
    cell.set_line(zone_permit=False)
    async with cell.running():
        await cell.start()

        await cell.until_state(State.SUSPENDED)
        await cell.pass_s(2.0)

        assert cell.tree()["cause"] == "zone_not_permitted"
        assert cell.servo.travelled_rad == 0.0


async def test_the_zone_is_claimed_from_before_the_arm_enters_until_it_has_left() -> (
    None
):
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        while cell.supervisor.statistics.placed < 1:
            await cell.step()
            x_m = cell.servo.base_from_tcp().position_m[0]
            if x_m < 0.05:
                assert cell.told().in_bin_zone


async def test_a_refused_chunk_gives_way_to_its_alternative() -> None:
    cell = SupervisedCell()
    cell.check.phrases = ["grasp leaves the workspace"]
    cell.policy.script = [propose_two]
    async with cell.running():
        await cell.start()

        await cell.until(lambda: cell.supervisor.statistics.placed == 1)

        assert cell.policy.asked[0] is False


async def test_chunks_that_are_always_refused_end_in_held_without_a_motion() -> None:
    cell = SupervisedCell()
    cell.check.default = "grasp leaves the workspace"
    async with cell.running():
        await cell.start()

        await cell.until_state(State.HELD)

        assert cell.tree()["cause"] == "chunk_refused"
        assert "workspace" in cell.tree()["state_reason"]
        assert cell.servo.travelled_rad == 0.0


async def test_a_grasp_out_of_reach_is_never_ordered() -> None:
    cell = SupervisedCell()
    cell.policy.script = [
        lambda stamp: make_chunk(stamp, (2.0, 2.0, 0.03)) for _ in range(6)
    ]
    async with cell.running():
        await cell.start()

        await cell.until_state(State.HELD)

        assert cell.tree()["cause"] == "chunk_refused"
        assert cell.servo.travelled_rad == 0.0


def policy_failures() -> Iterator[tuple[Exception, str]]:
    yield PolicyTimeoutError("no answer in 1 s"), "policy_timeout"
    yield DriverUnreachableError("policy", "no worker"), "policy_unavailable"


@pytest.mark.parametrize(("error", "cause"), list(policy_failures()))
async def test_a_failing_policy_worker_holds_and_comes_back_by_itself(
    error: Exception, cause: str
) -> None:
    cell = SupervisedCell()
    cell.policy.script = [fail_with(error) for _ in range(3)]
    async with cell.running():
        await cell.start()

        await cell.until_state(State.HELD)
        assert cell.tree()["cause"] == cause

        await cell.until(lambda: cell.supervisor.statistics.placed == 1)
        assert cell.supervisor.statistics.manual_assists == 0


async def test_one_late_answer_is_simply_asked_again() -> None:
    cell = SupervisedCell()
    cell.policy.script = [fail_with(PolicyTimeoutError("late"))]
    async with cell.running():
        await cell.start()

        await cell.until(lambda: cell.supervisor.statistics.placed == 1)

        assert State.HELD not in cell.visited


async def test_unusable_answers_of_both_policies_need_a_person() -> None:
    cell = SupervisedCell()
    cell.policy.script = [fail_with(PolicyError("NaN")) for _ in range(6)]
    async with cell.running():
        await cell.start()

        await cell.until_state(State.HELD)

        assert cell.tree()["cause"] == "policy_output_invalid"
        await cell.pass_s(5.0)
        assert cell.supervisor.state is State.HELD


async def test_a_worker_that_only_answers_on_old_pictures_needs_a_person() -> None:
    cell = SupervisedCell()
    cell.policy.script = [lambda _stamp: make_chunk(1) for _ in range(100)]
    async with cell.running():
        await cell.start()

        await cell.until_state(State.HELD, limit_s=60.0)

        assert cell.tree()["cause"] == "policy_output_invalid"
        assert "pictures older than asked for" in cell.tree()["state_reason"]
        assert cell.servo.travelled_rad == 0.0


async def test_a_stale_camera_holds_and_comes_back_with_the_camera() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        cell.camera_is_live = False

        await cell.until_state(State.HELD)
        assert cell.tree()["cause"] == "camera_stale"
        await cell.pass_s(3.0)
        assert cell.supervisor.state is State.HELD

        cell.camera_is_live = True
        await cell.until_state(State.EXECUTE)
        await cell.until(lambda: cell.supervisor.statistics.placed >= 1)


async def test_a_disturbance_that_keeps_coming_back_needs_a_person_in_the_end() -> None:
    cell = SupervisedCell()
    error = DriverUnreachableError("policy", "no worker")
    cell.policy.script = [fail_with(error) for _ in range(1000)]
    async with cell.running():
        await cell.start()

        await cell.until(
            lambda: any(event == "needs_person" for event, _ in cell.events), 200.0
        )

        assert cell.supervisor.state is State.HELD
        await cell.pass_s(10.0)
        assert cell.supervisor.state is State.HELD
        assert cell.supervisor.statistics.manual_assists == 1


async def test_a_passing_guard_hold_is_ordered_again() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        cell.servo.refusals = [HoldReason.JOINT_SPEED]

        await cell.until(lambda: cell.supervisor.statistics.placed == 1)

        assert State.HELD not in cell.visited


async def test_a_guard_that_keeps_refusing_ends_in_held_with_its_reason() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        cell.servo.refusals = [HoldReason.WORKSPACE] * 10

        await cell.until_state(State.HELD)

        assert cell.tree()["cause"] == "command_vetoed"
        assert "WORKSPACE" in cell.tree()["state_reason"]


@pytest.mark.parametrize("phase", ["reaching in", "lifting"])
async def test_too_much_force_in_the_bin_fails_the_grasp_and_work_goes_on(
    phase: str,
) -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.cycle_phase == phase)
        first = len(cell.servo.orders)
        cell.servo.refusals = [HoldReason.TCP_FORCE] * 3

        await cell.until(lambda: cell.supervisor.statistics.placed == 2, 60.0)

        assert State.HELD not in cell.visited
        assert ("let_go", {"while": phase}) in cell.events
        outcomes = [f["outcome"] for name, f in cell.events if name == "attempt"]
        assert outcomes[:2] == ["too much force", "placed"]
        counted = cell.supervisor.statistics
        assert counted.attempts >= counted.placed + counted.failed
    moves = [o for o in cell.servo.orders[first:] if o.mode is not MotionMode.HOLD]
    away = moves[3]
    assert away.mode is MotionMode.MOVE_LINEAR
    assert away.speed_ratio <= 0.3
    assert away.base_from_tcp.position_m[2] > GRASP_XYZ_M[2] + 0.1
    assert away.part_length_m == 0.0


async def test_what_the_fingers_press_on_in_the_bin_is_not_pressed_at_twice() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.cycle_phase == "reaching in")
        first = len(cell.servo.orders)
        kept_at = cell.servo.q + 0.004
        cell.servo.refusals, cell.servo.kept_at = [HoldReason.TCP_FORCE], kept_at

        await cell.until(lambda: cell.supervisor.statistics.placed == 1, 60.0)

        assert State.HELD not in cell.visited
        assert ("let_go", {"while": "reaching in"}) in cell.events
    moves = [o for o in cell.servo.orders[first:] if o.mode is not MotionMode.HOLD]
    down, *backs, away = moves[: 1 + 5 + 1]
    assert down.mode is away.mode is MotionMode.MOVE_LINEAR
    assert down.base_from_tcp.position_m[2] < GRASP_XYZ_M[2] + 0.01
    assert all(back.mode is MotionMode.MOVE_JOINT for back in backs)
    assert backs[-1].q_target == pytest.approx(kept_at, abs=1e-3)
    assert away.base_from_tcp.position_m[2] > GRASP_XYZ_M[2] + 0.1


async def test_a_stuck_part_is_let_go_before_the_arm_goes_on() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.cycle_phase == "lifting")
        assert cell.fingers.holding_m is not None
        cell.servo.refusals = [HoldReason.TCP_FORCE] * 3
        await cell.until(lambda: not cell.servo.refusals)
        stuck_at = cell.servo.q

        await cell.until(lambda: cell.fingers.holding_m is None)

        assert cell.servo.q == pytest.approx(stuck_at, abs=1e-9)


async def test_a_stuck_part_that_the_fingers_do_not_let_go_needs_a_person() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.cycle_phase == "lifting")
        cell.fingers.is_jammed = True
        cell.servo.refusals = [HoldReason.TCP_FORCE] * 3
        await cell.until(lambda: not cell.servo.refusals)
        travelled_rad = cell.servo.travelled_rad

        await cell.until_state(State.HELD)

        assert cell.tree()["cause"] == "place_not_confirmed"
        assert cell.servo.travelled_rad == travelled_rad
        await cell.pass_s(0.12)
        assert cell.told().holding_part

        # Somebody frees it.
        cell.fingers.is_jammed = False
        await cell.command(Command.UNHOLD)
        await cell.until(lambda: cell.supervisor.statistics.placed == 1, 60.0)


async def test_force_and_another_reason_in_turn_are_no_reason_to_let_go() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.cycle_phase == "lifting")
        cell.servo.refusals = [HoldReason.KEEP_OUT_ZONE, *[HoldReason.TCP_FORCE] * 2]

        await cell.until_state(State.HELD)

        assert cell.tree()["cause"] == "command_vetoed"
        assert not any(name == "let_go" for name, _ in cell.events)


async def test_force_that_comes_back_again_and_again_needs_a_person() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        for done in range(9):
            await cell.until(lambda: cell.supervisor.cycle_phase == "lifting", 60.0)
            cell.servo.refusals = [HoldReason.TCP_FORCE] * 3
            # A success in between changes nothing.
            await until_placed(cell, done + 1)
        assert State.HELD not in cell.visited
        await cell.until(lambda: cell.supervisor.cycle_phase == "lifting", 60.0)
        cell.servo.refusals = [HoldReason.TCP_FORCE] * 3

        await cell.until_state(State.HELD)

        assert cell.tree()["cause"] == "command_vetoed"
        assert cell.tree()["manual_assists"] == 1


async def test_where_the_guard_refuses_the_way_out_as_well_a_person_is_needed() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.cycle_phase == "lifting")
        cell.servo.refusals = [HoldReason.TCP_FORCE] * 6

        await cell.until_state(State.HELD)

        assert cell.tree()["cause"] == "command_vetoed"
        assert "TCP_FORCE" in cell.tree()["state_reason"]
        await cell.pass_s(5.0)
        assert cell.supervisor.state is State.HELD


async def test_complete_finishes_the_part_in_work_and_no_other() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.fingers.holding_m is not None)

        await cell.command(Command.COMPLETE)
        await cell.until_state(State.COMPLETED)

        assert cell.supervisor.statistics.placed == 1
        await cell.pass_s(3.0)
        assert cell.supervisor.statistics.attempts == 1


async def test_the_speed_never_exceeds_the_limit_of_the_line() -> None:
    cell = SupervisedCell()
    cell.set_line(speed_limit_ratio=0.25)
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.statistics.placed == 1, 60.0)

    moving = [o for o in cell.servo.orders if o.mode is not MotionMode.HOLD]
    assert max(order.speed_ratio for order in moving) <= 0.25 + 1e-9


async def test_the_way_down_among_the_parts_is_slower_than_the_way_up() -> None:
    cell = SupervisedCell()
    async with cell.running():
        await cell.start()
        await cell.until(lambda: cell.supervisor.statistics.picked > 0)

    lines = [o for o in cell.servo.orders if o.mode is MotionMode.MOVE_LINEAR]
    grasp, retreat = lines[0], lines[1]
    heights_m = [o.base_from_tcp.position_m[2] for o in (grasp, retreat)]
    assert heights_m[0] < heights_m[1]
    assert grasp.speed_ratio == cell.layout.motion.reach_speed_ratio < 1.0
    assert retreat.speed_ratio == 1.0
