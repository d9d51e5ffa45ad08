"""Motion generators of the virtual controller, without sockets or a clock."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.virtual_cell.ur.cartesian_motion import LineMove, UnreachableError
from sim2real.virtual_cell.ur.frames import IDENTITY, Frame
from sim2real.virtual_cell.ur.joint_motion import (
    JointGenerator,
    JointMove,
    JointServo,
    JointSpeed,
    PathMove,
    StopRamp,
    Trapezoid,
)
from sim2real.virtual_cell.ur.kinematics import Joints, compute_flange
from sim2real.virtual_cell.ur.motion import (
    PERIOD_S,
    SPEED_LIMIT_RADPS,
    ArmMotion,
    MotionLimitError,
)

HOME: Joints = (0.3, -1.4, 1.6, -1.8, -1.57, 0.2)
ZERO: Joints = (0.0,) * 6


def shifted(q: Joints, by: float) -> Joints:
    return (q[0] + by, *q[1:])


def run(generator: JointGenerator, limit: int = 20000) -> np.ndarray:
    path: list[Joints] = []
    while not generator.is_done and len(path) < limit:
        path.append(generator.step(PERIOD_S))
    return np.array(path)


def run_motion(motion: ArmMotion, ticks: int) -> None:
    for _ in range(ticks):
        motion.step()


@given(st.floats(1e-4, 6.0), st.floats(0.05, 3.0), st.floats(0.1, 40.0))
def test_a_trapezoid_keeps_to_its_speed_and_acceleration(
    length: float, speed: float, acceleration: float
) -> None:
    profile = Trapezoid(length, speed, acceleration)
    times = np.linspace(0.0, profile.duration_s * 1.01, 2001)
    covered = np.array([profile.compute_ratio(t) for t in times]) * length
    dt_s = times[1] - times[0]

    rate = np.diff(covered) / dt_s
    change = np.diff(rate) / dt_s

    assert rate.min() >= -1e-9
    assert rate.max() <= speed * (1 + 1e-6) + 1e-9
    assert np.abs(change).max() <= acceleration * 1.01 + 1e-6
    assert covered[-1] == pytest.approx(length)


def test_a_joint_move_ends_exactly_at_its_goal() -> None:
    goal = (0.5, -1.0, 1.2, -1.5, -1.6, 0.4)

    path = run(JointMove(HOME, goal, 1.0, 5.0))

    assert tuple(path[-1]) == goal


def test_a_move_to_where_the_arm_is_ends_at_once() -> None:
    assert len(run(JointMove(HOME, HOME, 1.0, 5.0))) <= 1


def test_a_stop_ramp_covers_half_of_speed_times_duration() -> None:
    path = run(StopRamp(ZERO, (1.0, -0.5, 0.0, 0.0, 0.0, 0.0), 0.2))

    assert path[-1][:2] == pytest.approx([0.1, -0.05])


@settings(max_examples=30)
@given(st.floats(-0.14, 0.14), st.floats(0.03, 0.2), st.floats(100, 2000))
def test_a_servo_step_is_reached_without_overshoot(
    step: float, lookahead_s: float, gain: float
) -> None:
    servo = JointServo(ZERO, ZERO)
    servo.set_target(shifted(ZERO, step), lookahead_s, gain)

    path = np.array([servo.step(PERIOD_S)[0] for _ in range(3000)])

    assert np.all(np.abs(path) <= abs(step) + 1e-9)
    assert path[-1] == pytest.approx(step, abs=1e-5)


def test_a_servo_target_at_constant_speed_is_followed_with_the_look_ahead_time() -> (
    None
):
    servo = JointServo(ZERO, ZERO)
    speed, lookahead_s = 1.0, 0.03
    for cycle in range(1, 501):
        target = shifted(ZERO, speed * cycle * PERIOD_S)
        servo.set_target(target, lookahead_s, 1000.0)
        q = servo.step(PERIOD_S)

    assert target[0] - q[0] == pytest.approx(speed * lookahead_s, rel=0.05)


@settings(max_examples=50)
@given(st.lists(st.floats(-0.15, 0.15), min_size=1, max_size=30))
def test_servo_acceleration_stays_bounded_for_any_targets(steps: list[float]) -> None:
    servo = JointServo(ZERO, ZERO)
    goal, path = 0.0, [0.0, 0.0]
    for step in steps:
        goal += step
        servo.set_target(shifted(ZERO, goal), 0.03, 2000.0)
        path += [servo.step(PERIOD_S)[0] for _ in range(15)]

    acceleration = np.diff(path, 2) / PERIOD_S**2
    assert np.abs(acceleration).max() <= 101.0  # twice the bound, at a sign change


def test_a_speed_is_reached_with_its_acceleration_and_kept() -> None:
    generator = JointSpeed(ZERO, ZERO)
    generator.set_target((0.5, 0.0, 0.0, 0.0, 0.0, 0.0), 2.0)

    path = np.array([generator.step(PERIOD_S)[0] for _ in range(500)])

    rate = np.diff(path) / PERIOD_S
    assert np.diff(rate).max() / PERIOD_S <= 2.0 + 1e-6
    assert rate[-1] == pytest.approx(0.5)


def test_a_path_runs_leg_by_leg() -> None:
    middle, end = shifted(HOME, 0.2), shifted(HOME, -0.1)
    path = PathMove(
        HOME,
        [
            lambda q: JointMove(q, middle, 1.0, 5.0),
            lambda q: JointMove(q, end, 1.0, 5.0),
        ],
    )

    points = run(path)

    assert points[:, 0].max() == pytest.approx(middle[0])
    assert tuple(points[-1]) == end
    assert path.leg_index == 2


def test_a_line_that_leaves_the_reach_says_so() -> None:
    away = Frame(compute_flange(HOME).axes, (2.0, 0.0, 0.3))
    move = LineMove(HOME, away, IDENTITY, 1.0, 5.0)

    with pytest.raises(UnreachableError):
        run(move)


def test_a_new_motion_starts_from_rest_after_a_ramp() -> None:
    motion = ArmMotion(HOME)
    motion.start(JointMove(HOME, shifted(HOME, 2.0), 1.0, 5.0))
    for _ in range(200):
        motion.step()
    motion.start_from_rest(lambda q: JointMove(q, HOME, 1.0, 5.0))

    speeds = []
    while not motion.is_resting:
        motion.step()
        speeds.append(motion.qd[0])

    assert motion.q == HOME
    assert np.abs(np.diff(speeds)).max() / PERIOD_S < 26.0


def test_the_slider_slows_a_move_down_without_leaving_its_path() -> None:
    motion = ArmMotion(HOME)
    motion.speed_fraction = 0.5
    for _ in range(100):
        motion.step()
    motion.start(JointMove(HOME, shifted(HOME, 1.0), 1.0, 5.0))

    fastest = 0.0
    while not motion.is_resting:
        motion.step()
        fastest = max(fastest, motion.qd[0])

    assert fastest == pytest.approx(0.5, abs=1e-6)
    assert motion.q == shifted(HOME, 1.0)


def test_a_pause_slows_down_to_rest_and_going_on_completes_the_move() -> None:
    motion = ArmMotion(HOME)
    motion.start(JointMove(HOME, shifted(HOME, 1.0), 1.0, 5.0))
    for _ in range(300):
        motion.step()
    motion.is_paused = True
    for _ in range(60):
        motion.step()
    resting = motion.q

    motion.step()

    assert motion.q == resting
    motion.is_paused = False
    while not motion.is_resting:
        motion.step()
    assert motion.q == shifted(HOME, 1.0)


@pytest.mark.parametrize("bad", [0.2, -0.2, math.nan, math.inf])
def test_a_servo_target_that_jumps_or_is_no_number_is_refused(bad: float) -> None:
    motion = ArmMotion(HOME)

    with pytest.raises(MotionLimitError):
        motion.servo_to((*HOME[:5], HOME[5] + bad), 0.03, 1000.0, 0)


def servo(motion: ArmMotion, speed: float, cycles: int, burst: int = 1) -> None:
    for cycle in range(0, cycles, burst):
        now_ns = cycle * 2_000_000
        motion.servo_to(shifted(HOME, speed * cycle * PERIOD_S), 0.03, 1000.0, now_ns)
        motion.step()


def test_servo_targets_at_the_rated_speed_pass_even_in_bursts() -> None:
    servo(ArmMotion(HOME), 3.1, 200)
    servo(ArmMotion(HOME), 3.1, 200, burst=4)
    servo(ArmMotion(HOME), 3.1, 200, burst=100)  # the controller itself was held up


def test_servo_targets_above_the_limit_are_refused() -> None:
    with pytest.raises(MotionLimitError):
        servo(ArmMotion(HOME), 3.6, 200)


def test_a_far_servo_target_is_approached_at_the_rated_speed_at_most() -> None:
    follower = JointServo(ZERO, ZERO)
    follower.set_target(shifted(ZERO, 2.0), 0.03, 1000.0)

    path = [follower.step(PERIOD_S)[0] for _ in range(1000)]

    assert np.diff(path).max() / PERIOD_S <= math.pi + 1e-9
    assert path[-1] == pytest.approx(2.0, abs=1e-6)


def test_a_speed_above_the_rated_one_is_refused_before_it_is_commanded() -> None:
    motion = ArmMotion(HOME)
    speed = JointSpeed(HOME, ZERO)
    speed.set_target((4.0, 0.0, 0.0, 0.0, 0.0, 0.0), 40.0)
    motion.start(speed)

    with pytest.raises(MotionLimitError):
        run_motion(motion, ticks=200)

    assert motion.qd[0] <= SPEED_LIMIT_RADPS
