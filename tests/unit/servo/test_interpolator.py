"""Requests of the interpolator: smooth, bounded, exact at their end."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cell.contracts.errors import TargetUnreachableError
from cell.contracts.geometry import Pose, Vector
from cell.contracts.servo import MotionMode
from cell.kinematics import compute_base_from_tcp
from cell.servo.interpolator import Interpolator
from cell.servo.line import compute_tcp_speed, fill_line_pose, follow_line
from cell.servo.motions import JointMotion, JointPoint, LineMotion, RestMotion
from tests.fakes.motion_oracle import HOME_Q, OVER_BIN_Q, PERIOD_S, compute_tcp
from tests.unit.servo.servo_rig import BLANK, LIMITS, TOOL

MOTION = LIMITS.motion


def run(interpolator: Interpolator, cycles: int, ratio: float = 1.0) -> Vector:
    return np.array([interpolator.step(ratio) for _ in range(cycles)])


def run_to_end(interpolator: Interpolator, start: Vector, limit: int = 5000) -> Vector:
    path = [start]
    for _ in range(limit):
        path.append(interpolator.step(1.0))
        if interpolator.is_done():
            return np.array(path)
    raise AssertionError("never arrived")


def differences(path: Vector) -> tuple[Vector, Vector, Vector]:
    qd = np.diff(path, axis=0) / PERIOD_S
    qdd = np.diff(np.vstack([np.zeros(6), qd]), axis=0) / PERIOD_S
    jerk = np.diff(np.vstack([np.zeros(6), qdd]), axis=0) / PERIOD_S
    return qd, qdd, jerk


def at(q: Vector) -> Interpolator:
    interpolator = Interpolator(LIMITS)
    interpolator.reset(q)
    return interpolator


@settings(max_examples=40)
@given(arrays.arrays(np.float64, 6, elements=st.floats(-0.6, 0.6)))
def test_a_joint_move_ends_exactly_and_keeps_every_bound(offset: Vector) -> None:
    target = HOME_Q + offset
    interpolator = at(HOME_Q)
    interpolator.order(replace(BLANK, mode=MotionMode.MOVE_JOINT, q_target=target))

    path = run_to_end(interpolator, HOME_Q)

    qd, qdd, jerk = differences(path)
    assert (path[-1] == target).all()
    assert interpolator.has_arrived()
    assert np.abs(qd).max() <= MOTION.joint_speed_radps + 1e-6
    assert np.abs(qdd).max() <= MOTION.joint_acceleration_radps2 + 1e-3
    # Differences average the jerk; the last cycle snaps to the target.
    assert np.abs(jerk[:-2]).max(initial=0.0) <= MOTION.joint_jerk_radps3 * 1.1
    tool = np.array([compute_tcp(q) for q in path])
    speeds = np.linalg.norm(np.diff(tool, axis=0), axis=1) / PERIOD_S
    assert speeds.max() <= LIMITS.tcp_speed_mps * 1.03


def test_a_hold_ramps_to_rest_with_bounded_jerk() -> None:
    interpolator = at(HOME_Q)
    target = HOME_Q + np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    interpolator.order(replace(BLANK, mode=MotionMode.MOVE_JOINT, q_target=target))
    moving = run(interpolator, 150)
    interpolator.order(replace(BLANK, command_id=2, mode=MotionMode.HOLD))

    ramp = run(interpolator, 200)

    path = np.vstack([HOME_Q, moving, ramp])
    _, qdd, jerk = differences(path)
    assert interpolator.has_arrived()
    assert (ramp[-1] == ramp[-2]).all()
    assert np.abs(qdd).max() <= MOTION.joint_acceleration_radps2 + 1e-3
    # Around the change of order the differences mix two profiles.
    assert np.abs(jerk).max() <= MOTION.joint_jerk_radps3 * 4.0


def test_a_cancelled_order_ramps_to_rest_and_never_arrives() -> None:
    interpolator = at(HOME_Q)
    interpolator.order(
        replace(BLANK, mode=MotionMode.MOVE_JOINT, q_target=HOME_Q + 0.3)
    )
    run(interpolator, 100)

    interpolator.cancel()
    path = run(interpolator, 200)

    assert interpolator.is_done()
    assert not interpolator.has_arrived()
    assert (path[-1] == path[-2]).all()


def test_a_line_ends_at_its_pose_with_even_speed() -> None:
    start = compute_base_from_tcp(OVER_BIN_Q, TOOL)
    turn = Pose.from_rotvec([0.0, 0.0, -0.1], [0.0, 0.0, 0.4])
    goal = Pose(start.position_m + turn.position_m, (start @ turn).quat_wxyz)
    interpolator = at(OVER_BIN_Q)
    interpolator.order(replace(BLANK, mode=MotionMode.MOVE_LINEAR, base_from_tcp=goal))

    path = run_to_end(interpolator, OVER_BIN_Q)

    gap = compute_base_from_tcp(path[-1], TOOL).inverse() @ goal
    assert np.linalg.norm(gap.position_m) < 1e-8
    assert np.linalg.norm(gap.as_rotvec()) < 1e-8
    tool = np.array([compute_tcp(q) for q in path])
    speeds = np.linalg.norm(np.diff(tool, axis=0), axis=1) / PERIOD_S
    assert speeds.max() <= MOTION.linear_speed_mps + 1e-6
    assert np.abs(tool[:, :2] - tool[0, :2]).max() < 1e-6


def test_a_pure_turn_takes_its_time() -> None:
    start = compute_base_from_tcp(OVER_BIN_Q, TOOL)
    goal = start @ Pose.from_rotvec([0.0, 0.0, 0.0], [0.0, 0.0, 0.5])
    interpolator = at(OVER_BIN_Q)
    interpolator.order(replace(BLANK, mode=MotionMode.MOVE_LINEAR, base_from_tcp=goal))

    path = run_to_end(interpolator, OVER_BIN_Q)

    qd, _, _ = differences(path)
    assert np.abs(qd).max() <= 2.05


def test_a_line_to_where_the_tool_is_arrives_at_once() -> None:
    interpolator = at(OVER_BIN_Q)
    here = compute_base_from_tcp(OVER_BIN_Q, TOOL)
    interpolator.order(replace(BLANK, mode=MotionMode.MOVE_LINEAR, base_from_tcp=here))

    assert np.allclose(interpolator.step(1.0), OVER_BIN_Q)
    assert interpolator.has_arrived()


def test_a_line_ordered_in_motion_starts_after_coming_to_rest() -> None:
    interpolator = at(HOME_Q)
    interpolator.order(
        replace(BLANK, mode=MotionMode.MOVE_JOINT, q_target=HOME_Q + 0.2)
    )
    run(interpolator, 100)
    goal = Pose.tool_down([0.1, 0.45, 0.3], 0.0)
    interpolator.order(
        replace(BLANK, command_id=2, mode=MotionMode.MOVE_LINEAR, base_from_tcp=goal)
    )
    assert not interpolator.has_arrived()

    path = run_to_end(interpolator, interpolator.step(1.0))

    reached = compute_base_from_tcp(path[-1], TOOL)
    assert np.allclose(reached.position_m, goal.position_m, atol=1e-8)
    _, qdd, _ = differences(path)
    assert np.abs(qdd[2:]).max() < 25.0


def test_a_line_out_of_reach_is_refused_before_its_first_step() -> None:
    goal = Pose.tool_down([0.9, 0.9, 0.3], 0.0)

    with pytest.raises(TargetUnreachableError):
        LineMotion(HOME_Q, goal, LIMITS)


def test_a_target_that_is_no_number_is_refused() -> None:
    motion = JointMotion(JointPoint.at_rest(HOME_Q), np.full(6, np.nan), LIMITS)

    with pytest.raises(TargetUnreachableError):
        motion.step(1.0)


def test_a_start_that_is_no_number_is_refused() -> None:
    point = JointPoint(HOME_Q, np.full(6, np.nan), np.zeros(6))

    with pytest.raises(TargetUnreachableError):
        RestMotion(point, LIMITS).step(1.0)


def test_after_a_resync_the_order_goes_on_from_what_was_granted() -> None:
    interpolator = at(HOME_Q)
    target = HOME_Q + 0.2
    interpolator.order(replace(BLANK, mode=MotionMode.MOVE_JOINT, q_target=target))
    run(interpolator, 80)

    interpolator.resync(HOME_Q + 0.05, np.zeros(6))
    path = run_to_end(interpolator, HOME_Q + 0.05)

    qd, _, _ = differences(path)
    assert np.abs(qd[0]).max() < 0.01
    assert (path[-1] == target).all()


def test_a_change_of_speed_in_mid_move_is_smooth() -> None:
    interpolator = at(HOME_Q)
    target = HOME_Q + np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    interpolator.order(replace(BLANK, mode=MotionMode.MOVE_JOINT, q_target=target))
    fast = run(interpolator, 150)
    slow = run(interpolator, 400, ratio=0.2)

    qd, qdd, _ = differences(np.vstack([HOME_Q, fast, slow]))

    assert np.abs(qd[300:]).max() <= 0.2 * MOTION.joint_speed_radps + 1e-6
    assert np.abs(qdd).max() <= MOTION.joint_acceleration_radps2 + 0.5


def test_rest_at_rest_stays() -> None:
    motion = RestMotion(JointPoint.at_rest(HOME_Q), LIMITS)

    assert motion.is_done
    assert (motion.step(1.0).q == HOME_Q).all()


def test_the_line_kernel_starts_at_its_start_and_keeps_rotations() -> None:
    start = np.ascontiguousarray(compute_base_from_tcp(HOME_Q, TOOL).as_matrix()[:3])
    out = np.empty((3, 4))
    turn = np.array([0.3, -0.2, 0.5])

    fill_line_pose(start, np.ones(3), turn, 0.0, out)
    assert np.allclose(out, start)
    fill_line_pose(start, np.ones(3), turn, 1.0, out)

    spun = start[:, :3] @ Pose.from_rotvec([0, 0, 0], turn.tolist()).as_matrix()[:3, :3]
    assert np.allclose(out[:, :3], spun)
    assert np.allclose(out[:, 3], start[:, 3] + 1.0)


def test_kernels_agree_with_differences_of_the_pose() -> None:
    tool = np.ascontiguousarray(TOOL.as_matrix()[:3])
    qd = np.array([0.3, -0.2, 0.4, 0.1, -0.5, 0.6])
    step = 1e-6

    speed = compute_tcp_speed(HOME_Q, qd, tool)

    after, before = compute_tcp(HOME_Q + qd * step), compute_tcp(HOME_Q - qd * step)
    assert speed == pytest.approx(np.linalg.norm(after - before) / (2 * step), rel=1e-6)
    q = HOME_Q.copy()
    start = np.ascontiguousarray(compute_base_from_tcp(HOME_Q, TOOL).as_matrix()[:3])
    left = follow_line(q, start, np.array([1e-3, 0, 0]), np.zeros(3), 1.0, tool)
    assert max(left) < 1e-9
