"""Orders of a policy that looks on: increments, a pose that moves, timed chunks."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cell.contracts.chunk import TimedChunk
from cell.contracts.geometry import Pose, Vector
from cell.contracts.servo import HoldReason, MotionMode, ServoPhase, ServoState
from cell.kinematics import compute_base_from_tcp
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S, find_breaches
from tests.unit.servo.servo_rig import MS, TOOL, ServoRig, armed_rig

STEP_S = 0.05
WRIST = np.eye(6)[5]


def act(rig: ServoRig, action: Vector, **fields: Any) -> None:
    rig.order(MotionMode.INCREMENT, action=action, **fields)


def rewrite(rig: ServoRig, **fields: Any) -> None:
    """Say something new with the same order."""
    assert rig.port.command is not None
    rig.port.command = replace(rig.port.command, **fields)


def path_of(rig: ServoRig) -> Vector:
    return np.array(rig.arm.sent)


def breaches_of(rig: ServoRig) -> list[Any]:
    return find_breaches(np.vstack([rig.arm.sent[:1], path_of(rig)]))


def test_increments_move_the_arm_inside_its_limits_for_as_long_as_they_come() -> None:
    rig = armed_rig()
    act(rig, 0.5 * WRIST)
    rig.step(100)
    rewrite(rig, action=-0.5 * WRIST)

    state = rig.step(100)

    speeds = np.diff(path_of(rig)[:, 5]) / PERIOD_S
    assert state.hold_reason is HoldReason.NONE
    assert speeds.max() == pytest.approx(1.5, rel=1e-6)
    assert speeds[-1] == pytest.approx(-1.5, rel=1e-6)
    assert breaches_of(rig) == []
    assert state.unguarded_cycles == 0


def test_increments_are_never_reached_and_end_with_the_next_order() -> None:
    rig = armed_rig()
    act(rig, 0.5 * WRIST)
    moving = rig.step(100)

    rig.order(MotionMode.HOLD)
    resting = rig.run_until(lambda s: s.reached_id == s.command_id)

    assert moving.reached_id < moving.command_id
    rig.step(3)
    assert (np.diff(path_of(rig)[-3:], axis=0) == 0.0).all()
    assert resting.hold_reason is HoldReason.NONE
    assert breaches_of(rig) == []


def test_increments_that_nobody_vouches_for_lapse_into_rest() -> None:
    rig = armed_rig()
    act(rig, 0.5 * WRIST)
    rig.step(100)
    rig.vouches = False

    state = rig.run_until(lambda s: s.hold_reason is HoldReason.COMMAND_STALE, 60)
    rig.step(200)

    assert state.hold_reason is HoldReason.COMMAND_STALE
    assert (np.diff(path_of(rig)[-50:], axis=0) == 0.0).all()
    rig.vouches = True
    rig.step(100)
    assert np.diff(path_of(rig)[-2:, 5])[0] > 0.0
    assert breaches_of(rig) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_increment_that_is_no_number_ends_the_order(bad: float) -> None:
    rig = armed_rig()
    act(rig, 0.5 * WRIST)
    rig.step(100)

    rewrite(rig, action=np.array([0.0, 0.0, bad, 0.0, 0.0, 0.0]))
    state = rig.step(300)
    rewrite(rig, action=0.5 * WRIST)
    later = rig.step(100)

    assert state.hold_reason is HoldReason.COMMAND_NOT_FINITE
    assert later.hold_reason is HoldReason.COMMAND_NOT_FINITE
    assert (np.diff(path_of(rig)[-50:], axis=0) == 0.0).all()
    assert breaches_of(rig) == []


def test_less_speed_for_the_line_slows_increments_down() -> None:
    rig = armed_rig()
    act(rig, 0.5 * WRIST)
    rig.step(100)

    rewrite(rig, speed_ratio=0.2)
    rig.step(600)

    assert np.diff(path_of(rig)[-2:, 5])[0] / PERIOD_S == pytest.approx(0.3, rel=1e-3)
    assert breaches_of(rig) == []


def test_a_joint_move_may_start_out_of_increments() -> None:
    rig = armed_rig()
    act(rig, 0.5 * WRIST)
    rig.step(100)

    rig.move_home_by(0.3 * WRIST)
    rig.run_until(lambda s: s.reached_id == s.command_id)

    assert rig.arm.sent[-1] == pytest.approx(HOME_Q + 0.3 * WRIST)
    assert breaches_of(rig) == []


def test_a_moving_pose_is_tracked() -> None:
    rig = armed_rig()
    far = compute_base_from_tcp(HOME_Q + np.array([0.2, 0.1, 0, 0, 0, 0.3]), TOOL)
    near = compute_base_from_tcp(HOME_Q + np.array([0.1, 0, 0, 0, 0, 0]), TOOL)
    rig.order(MotionMode.TRACK, base_from_tcp=far)
    rig.step(60)

    rewrite(rig, base_from_tcp=near)
    state = rig.step(400)

    reached = compute_base_from_tcp(rig.arm.sent[-1], TOOL)
    assert state.hold_reason is HoldReason.NONE
    assert np.linalg.norm(reached.position_m - near.position_m) < 1e-4
    assert breaches_of(rig) == []


def test_a_pose_out_of_reach_is_refused_for_good() -> None:
    rig = armed_rig()
    rig.order(
        MotionMode.TRACK, base_from_tcp=Pose.from_rotvec([2.0, 0.0, 0.0], [0.0] * 3)
    )

    state = rig.step(5)

    assert state.hold_reason is HoldReason.UNREACHABLE
    assert (path_of(rig) == rig.arm.sent[0]).all()


def swing(reach_rad: float, rows: int) -> Vector:
    """Return rows from home that come to rest `reach_rad` further at the wrist."""
    ratio = np.arange(1, rows + 1) / rows
    shape = ratio**3 * (10.0 - 15.0 * ratio + 6.0 * ratio**2)
    return np.asarray(HOME_Q + reach_rad * shape[:, None] * WRIST)


def follow(rig: ServoRig, rows: Vector, after_id: int = 0, after_s: float = 0.0) -> int:
    number = rig.state.command_id + 1
    chunk = TimedChunk(number, after_id, after_s, STEP_S, rows)
    rig.order(MotionMode.FOLLOW, chunk_id=number, chunk=chunk)
    return number


def first_chunk(rig: ServoRig, rows: int = 16) -> int:
    return follow(rig, np.vstack([HOME_Q, swing(0.6, rows)]))


def test_a_chunk_is_followed_to_its_end_at_its_own_pace() -> None:
    rig = armed_rig()
    started = len(rig.arm.sent)
    number = first_chunk(rig)

    rig.step(150)
    half_way = rig.state
    rig.run_until(lambda s: s.reached_id == number)

    assert half_way.chunk_id == number
    assert half_way.chunk_s == pytest.approx(0.3, abs=1e-9)
    passed = path_of(rig)[started - 1 + np.arange(25, 401, 25)]
    assert np.allclose(passed, swing(0.6, 16), atol=1e-9)
    assert rig.state.chunk_id == 0
    assert breaches_of(rig) == []


def test_the_next_chunk_takes_over_exactly_at_its_seam() -> None:
    rig = armed_rig()
    started = len(rig.arm.sent)
    first = first_chunk(rig)
    rig.step(130)
    rows = swing(0.6, 16)[5:]
    rows[2:] += np.linspace(0.0, -0.05, len(rows) - 2)[:, None] * WRIST

    second = follow(rig, rows, after_id=first, after_s=0.3)
    before = rig.step(19)
    after = rig.step(2)
    rig.run_until(lambda s: s.reached_id == second)

    assert before.chunk_id == first
    assert after.chunk_id == second
    assert after.chunk_s == pytest.approx(0.002, abs=1e-9)
    path = path_of(rig)[started - 1 :]
    assert np.allclose(path[[150, 175, 200]], rows[:3], atol=1e-9)
    assert rig.arm.sent[-1][5] == pytest.approx(HOME_Q[5] + 0.55, abs=0.005)
    assert breaches_of(rig) == []


@pytest.mark.parametrize("cycles", [151, 300])
def test_a_chunk_whose_seam_was_passed_is_refused(cycles: int) -> None:
    rig = armed_rig()
    first = first_chunk(rig)
    rig.step(cycles)

    follow(rig, swing(0.6, 16)[5:], after_id=first, after_s=0.3)
    state = rig.step(2)
    rig.step(200)

    assert state.hold_reason is HoldReason.CHUNK_SEAM
    assert (np.diff(path_of(rig)[-20:], axis=0) == 0.0).all()
    assert breaches_of(rig) == []


def test_a_chunk_behind_another_one_than_the_present_is_refused() -> None:
    rig = armed_rig()
    first = first_chunk(rig)
    rig.step(50)

    follow(rig, swing(0.6, 16)[5:], after_id=first - 1, after_s=0.3)

    assert rig.step(2).hold_reason is HoldReason.CHUNK_SEAM


def test_a_chunk_that_begins_elsewhere_is_refused() -> None:
    rig = armed_rig()

    follow(rig, np.vstack([HOME_Q + 0.02, swing(0.6, 8)]))

    assert rig.step(2).hold_reason is HoldReason.CHUNK_SEAM
    assert (path_of(rig) == rig.arm.sent[0]).all()


def test_a_first_chunk_in_motion_is_refused() -> None:
    rig = armed_rig()
    rig.move_home_by(WRIST)
    rig.step(100)

    follow(rig, np.vstack([HOME_Q, swing(0.6, 8)]))

    assert rig.step(2).hold_reason is HoldReason.CHUNK_SEAM
    rig.step(200)
    assert breaches_of(rig) == []


def test_an_order_whose_chunk_is_missing_is_refused() -> None:
    rig = armed_rig()

    rig.order(MotionMode.FOLLOW, chunk_id=7)

    assert rig.step(2).hold_reason is HoldReason.CHUNK_SEAM


def consumed(rig: ServoRig, state: ServoState) -> float:
    """Return what the measured consumption and the position agree on [s]."""
    assert state.chunk_id == rig.state.command_id
    return state.chunk_s


def test_less_speed_lets_the_chunk_take_longer_on_the_same_way() -> None:
    rig = armed_rig()
    number = first_chunk(rig)
    rig.step(100)
    at_full = consumed(rig, rig.state)

    rewrite(rig, speed_ratio=0.25)
    rig.step(500)
    slow = consumed(rig, rig.state)
    later = consumed(rig, rig.step(100))
    rewrite(rig, speed_ratio=1.0)
    rig.run_until(lambda s: s.reached_id == number)

    assert at_full == pytest.approx(0.2, abs=1e-9)
    assert slow < 0.6
    assert later - slow == pytest.approx(0.25 * 100 * PERIOD_S, rel=1e-3)
    assert rig.arm.sent[-1] == pytest.approx(HOME_Q + 0.6 * WRIST, abs=2e-3)
    assert breaches_of(rig) == []


def test_after_a_lapse_a_chunk_is_not_taken_up_again_half_way() -> None:
    rig = armed_rig()
    first_chunk(rig)
    rig.step(200)
    rig.vouches = False
    rig.step(200)
    rested = rig.arm.sent[-1]

    rig.vouches = True
    state = rig.step(50)

    assert state.hold_reason is HoldReason.CHUNK_SEAM
    assert (rig.arm.sent[-1] == rested).all()
    assert breaches_of(rig) == []


def test_a_lapse_before_anything_moved_lets_the_chunk_begin_again() -> None:
    rig = armed_rig()
    number = first_chunk(rig)
    rig.vouches = False
    rig.now_ns += 150 * MS
    rig.arm.now_ns = rig.now_ns
    rig.step(3)

    rig.vouches = True
    rig.run_until(lambda s: s.reached_id == number)

    assert rig.arm.sent[-1] == pytest.approx(HOME_Q + 0.6 * WRIST, abs=2e-3)


def out_and_back(rows: int = 16) -> Vector:
    """Return rows that end where they began."""
    there = swing(0.06, rows // 2)
    return np.vstack([HOME_Q, there, swing(0.06, rows // 2)[::-1][1:], HOME_Q])


@pytest.mark.parametrize("cause", ["silence", "slider"])
def test_a_chunk_that_was_followed_to_its_end_is_over(cause: str) -> None:
    rig = armed_rig()
    number = follow(rig, out_and_back())
    rig.run_until(lambda s: s.reached_id == number)
    rig.step(50)
    rested = len(rig.arm.sent)

    if cause == "silence":
        rig.vouches = False
        rig.step(75)
        rig.vouches = True
    else:
        rig.arm.speed_fraction = 0.0
        rig.step(20)
        rig.arm.speed_fraction = 1.0
    state = rig.step(300)

    assert state.hold_reason is HoldReason.NONE
    assert (path_of(rig)[rested:] == path_of(rig)[rested]).all()


def test_a_chunk_stopped_near_its_begin_is_not_begun_again() -> None:
    rig = armed_rig()
    follow(rig, out_and_back())
    rig.step(5)
    assert (rig.arm.sent[-1] != HOME_Q).any()
    rig.vouches = False
    rig.step(150)
    rested = rig.arm.sent[-1]
    assert np.abs(rested - HOME_Q).max() < 0.01

    rig.vouches = True
    state = rig.step(100)

    assert state.hold_reason is HoldReason.CHUNK_SEAM
    assert (rig.arm.sent[-1] == rested).all()


@pytest.mark.parametrize("mode", [MotionMode.INCREMENT, MotionMode.TRACK])
def test_a_streamed_order_that_came_with_a_release_is_void(mode: MotionMode) -> None:
    rig = ServoRig()
    rig.step()
    near = compute_base_from_tcp(HOME_Q + 0.1 * WRIST, TOOL)
    rig.order(mode, action=0.5 * WRIST, base_from_tcp=near, arm_id=1)

    state = rig.step(100)

    assert state.phase is ServoPhase.READY
    assert rig.arm.sent
    assert all((q == HOME_Q).all() for q in rig.arm.sent)
