"""The projection at its very edges, and every number that it answers."""

import math
from typing import Any

import numpy as np
import pytest

from cell.contracts.servo import HoldReason
from safety import projection, velocity_box
from safety.projection import (
    PROJECTION,
    compute_rotation_error,
    follow_pose,
    judge_goal,
    project_increment,
    project_pose,
    project_towards,
)
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S
from tests.fakes.projection_cases import (
    JERK_RADPS3,
    compute_sigma,
    compute_tcp_transform,
    make_packed,
)

NOT_FINITE = int(HoldReason.COMMAND_NOT_FINITE)
EXCEPTION = int(HoldReason.GUARD_EXCEPTION)
UNREACHABLE = int(HoldReason.UNREACHABLE)
POSITION = int(HoldReason.JOINT_POSITION)
WORKSPACE = int(HoldReason.WORKSPACE)
SINGULAR = int(HoldReason.SINGULAR)
STILL = np.zeros(6)
INF = math.inf


def limits(**changes: Any) -> Any:
    packed = make_packed(JERK_RADPS3)
    for key, value in changes.items():
        packed[key] = value
    return packed


def run(kernel: Any, *arguments: Any) -> Any:
    """Call a kernel over an answer that held other things before."""
    out = np.full(1, 7, PROJECTION)
    kernel(*arguments, out)
    return out[0]


def told(now: Any) -> tuple[Any, ...]:
    names = ("reason", "narrowed_by", "margin", "value", "joint")
    return tuple(now[name] for name in names)


def left(now: Any) -> tuple[Any, ...]:
    return now["residual_m"], now["residual_rad"], now["singular_value"]


def one(joint: int, value: float) -> Any:
    vector = np.zeros(6)
    vector[joint] = value
    return vector


def test_the_numbers_of_the_projection_are_those_that_were_signed_off() -> None:
    assert projection.IK_ITERATIONS == 5
    assert projection.IK_DAMPING == 0.03
    assert projection.LONGEST_STEP_RAD == 0.5
    assert (projection.REACHED_M, projection.REACHED_RAD) == (1e-4, 1e-3)
    assert projection.ROTATION_TOLERANCE == 1e-5
    assert velocity_box.ROUNDING == 1e-9
    assert velocity_box.BRAKING_SHARE == 0.999


# --- what is no wish ----------------------------------------------------------------


@pytest.mark.parametrize("kernel", [project_increment, project_towards])
@pytest.mark.parametrize("joint", [0, 3, 5])
@pytest.mark.parametrize("argument", range(3))
def test_what_is_no_number_is_told_in_full(
    kernel: Any, joint: Any, argument: Any
) -> None:
    wish = HOME_Q.copy() if kernel is project_towards else np.full(6, 0.25)
    spoiled = [np.zeros(6), np.zeros(6), wish]
    spoiled[argument][joint] = math.nan

    now = run(kernel, HOME_Q, *spoiled, limits())

    assert told(now)[:3] == (NOT_FINITE, 0, -1.0)
    assert now["joint"] == joint
    assert now["value"] == pytest.approx(wish[joint], nan_ok=True)
    assert (now["q"] == HOME_Q).all()
    assert left(now) == (INF, INF, 0.0)


@pytest.mark.parametrize("joint", [0, 5])
def test_a_place_that_is_none_is_told_in_full(joint: Any) -> None:
    q = HOME_Q.copy()
    q[joint] = INF
    target = compute_tcp_transform(limits(), HOME_Q)

    for now in (
        run(project_increment, q, STILL, STILL, STILL, limits()),
        run(project_towards, q, STILL, STILL, HOME_Q, limits()),
        run(project_pose, q, target, limits()),
    ):
        assert told(now) == (NOT_FINITE, 0, -1.0, INF, joint)
        assert np.array_equal(now["q"], q)
        assert left(now) == (INF, INF, 0.0)


def test_limits_that_are_none_are_told_in_full() -> None:
    spoiled = limits(singular_value=math.nan)
    target = compute_tcp_transform(limits(), HOME_Q)

    for now in (
        run(project_increment, HOME_Q, STILL, STILL, STILL, spoiled),
        run(project_towards, HOME_Q, STILL, STILL, HOME_Q, spoiled),
        run(project_pose, HOME_Q, target, spoiled),
    ):
        assert told(now) == (EXCEPTION, 0, -1.0, 0.0, -1)
        assert (now["q"] == HOME_Q).all()


@pytest.mark.parametrize("row", range(3))
@pytest.mark.parametrize("column", range(4))
def test_a_pose_of_no_numbers_is_told_in_full(row: Any, column: Any) -> None:
    target = compute_tcp_transform(limits(), HOME_Q)
    target[row, column] = 1e7

    now = run(project_pose, HOME_Q, target, limits())

    assert told(now) == (NOT_FINITE, 0, -1.0, 1e7, -1)
    assert (now["q"] == HOME_Q).all()
    assert left(now) == (INF, INF, 0.0)


# --- increments ---------------------------------------------------------------------


@pytest.mark.parametrize("joint", range(6))
@pytest.mark.parametrize(
    ("action", "counts_as"), [(1.05, 1.0), (-1.05, -1.0), (0.95, 0.95), (-0.95, -0.95)]
)
def test_an_action_is_clamped_to_one(joint: Any, action: Any, counts_as: Any) -> None:
    # A matrix that asks for so little that nothing else cuts it.
    packed = limits(increment_rad=np.eye(6) * 1e-6)

    now = run(project_increment, HOME_Q, STILL, STILL, one(joint, action), packed)

    assert now["reason"] == now["narrowed_by"] == 0
    assert now["q"] - HOME_Q == pytest.approx(one(joint, counts_as * 1e-6), abs=1e-15)


# --- rotations ----------------------------------------------------------------------


def turned() -> Any:
    return compute_tcp_transform(limits(), HOME_Q + 0.3)


def test_a_rotation_has_no_error() -> None:
    assert compute_rotation_error(turned()) < 1e-14
    assert compute_rotation_error(np.eye(3, 4)) == 0.0
    for axes in ([1, 2, 0], [2, 0, 1]):
        assert compute_rotation_error(np.eye(3, 4)[axes]) == 0.0


@pytest.mark.parametrize("a", range(3))
@pytest.mark.parametrize("b", range(3))
def test_every_pair_of_columns_is_looked_at(a: Any, b: Any) -> None:
    transform = np.eye(3, 4)
    transform[a, b] += 2.0**-10

    wanted = 2.0**-9 + 2.0**-20 if a == b else 2.0**-10

    assert compute_rotation_error(transform) == wanted
    transform[a, b] -= 2.0**-9
    wanted = 2.0**-9 - 2.0**-20 if a == b else 2.0**-10
    assert compute_rotation_error(transform) == wanted


@pytest.mark.parametrize("column", range(3))
def test_a_mirror_image_is_far_from_a_rotation(column: Any) -> None:
    mirrored = turned()
    mirrored[:, column] *= -1.0

    assert compute_rotation_error(mirrored) == 2.0


def test_columns_in_one_plane_are_no_rotation() -> None:
    flat = np.eye(3, 4)
    flat[:, 2] = 0.0
    stretched = -4.0 * np.eye(3, 4)

    assert compute_rotation_error(flat) == 2.0
    assert compute_rotation_error(stretched) == 15.0
    # Nearly flat, and the right way round.
    flat[2, 2] = 0.05
    assert compute_rotation_error(flat) == pytest.approx(1.0 - 0.0025)


@pytest.mark.parametrize(
    ("deviation", "reason"), [(2.0**-17, 0), (2.0**-16, UNREACHABLE)]
)
def test_a_pose_is_refused_by_how_far_it_is_from_a_rotation(
    deviation: Any, reason: Any
) -> None:
    target = compute_tcp_transform(limits(), HOME_Q)
    target[:, :3] *= math.sqrt(1.0 + deviation)

    now = run(project_pose, HOME_Q, target, limits())

    assert now["reason"] == reason
    if reason:
        assert told(now)[:3] == (UNREACHABLE, 0, -1.0)
        assert now["value"] == pytest.approx(deviation, rel=1e-6)
        assert now["joint"] == -1


# --- poses --------------------------------------------------------------------------

WIDE = {
    "joint_min_rad": np.full(6, -8.0),
    "joint_max_rad": np.full(6, 8.0),
    "workspace_min_m": np.full(3, -4.0),
    "workspace_max_m": np.full(3, 4.0),
    "singular_value": 1e-3,
}
TCP = compute_tcp_transform(limits(), HOME_Q)


def judge(target: Any, goal: Any = HOME_Q, **changes: Any) -> Any:
    packed = limits(**{**WIDE, **changes})
    out = np.full(1, 7, PROJECTION)
    judge_goal(np.array(goal), target, packed[0], out[0])
    return out[0]


def shifted(*offset: float) -> Any:
    target = TCP.copy()
    target[:, 3] += offset
    return target


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("share", [0.5, 0.95, 1.05, 20.0])
def test_what_is_left_of_a_way_is_its_length(axis: Any, sign: Any, share: Any) -> None:
    offset = np.zeros(3)
    offset[axis] = sign * share * 1e-4

    now = judge(shifted(*offset))

    assert now["residual_m"] == pytest.approx(share * 1e-4)
    assert now["residual_rad"] == pytest.approx(0.0, abs=1e-9)
    assert now["singular_value"] == compute_sigma(limits(), HOME_Q)
    assert now["margin"] == pytest.approx(1.0 - share if share > 0.9 else 0.4, abs=0.1)
    if share > 1.0:
        assert now["margin"] == pytest.approx(1.0 - share)
        assert (now["reason"], now["joint"]) == (UNREACHABLE, -1)
        assert now["value"] == now["residual_m"]
        assert (now["q"] == 7).all()
    else:
        assert (now["reason"], now["joint"], now["value"]) == (0, -1, 0.0)
        assert (now["q"] == HOME_Q).all()


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("share", [0.9, 0.99, 1.05, 3.0])
def test_what_is_left_of_a_turn_is_its_angle(axis: Any, share: Any) -> None:
    angle = share * 1e-3
    c, s = math.cos(angle), math.sin(angle)
    a, b = (axis + 1) % 3, (axis + 2) % 3
    turn = np.eye(3)
    turn[a, a] = turn[b, b] = c
    turn[a, b], turn[b, a] = -s, s
    target = TCP.copy()
    target[:, :3] = turn @ target[:, :3]
    target[:, 3] += [2e-6, -3e-6, 6e-6]

    now = judge(target)

    assert now["residual_rad"] == pytest.approx(angle, rel=1e-4)
    assert now["residual_m"] == pytest.approx(7e-6, rel=1e-6)
    assert now["margin"] == pytest.approx(1.0 - share, rel=1e-2)
    assert now["reason"] == (UNREACHABLE if share > 1.0 else 0)
    if share > 1.0:
        assert now["value"] == now["residual_rad"]


def test_a_length_is_the_root_of_its_squares() -> None:
    assert judge(shifted(3e-5, 4e-5, 0.0))["residual_m"] == pytest.approx(5e-5)
    assert judge(shifted(2e-5, -3e-5, 6e-5))["residual_m"] == pytest.approx(7e-5)


@pytest.mark.parametrize("joint", range(6))
@pytest.mark.parametrize("side", ["min", "max"])
def test_a_goal_may_be_just_at_a_joint_limit(joint: Any, side: Any) -> None:
    sign = 1.0 if side == "max" else -1.0
    key = f"joint_{side}_rad"
    bound = WIDE[key].copy()
    bound[joint] = HOME_Q[joint]
    at = judge(TCP, **{key: bound})
    bound[joint] -= sign * 0.125
    beyond = judge(TCP, **{key: bound})

    assert (at["reason"], at["margin"]) == (0, 0.0)
    assert (beyond["reason"], beyond["joint"]) == (POSITION, joint)
    assert beyond["value"] == HOME_Q[joint]
    other = WIDE["joint_min_rad" if side == "max" else "joint_max_rad"][joint]
    assert beyond["margin"] == pytest.approx(-0.125 / abs(bound[joint] - other))


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("side", ["min", "max"])
def test_a_goal_may_be_just_at_a_face(axis: Any, side: Any) -> None:
    sign = 1.0 if side == "max" else -1.0
    key = f"workspace_{side}_m"
    bound = WIDE[key].copy()
    bound[axis] = TCP[axis, 3]
    at = judge(TCP, **{key: bound})
    bound[axis] -= sign * 0.125
    beyond = judge(TCP, **{key: bound})

    assert (at["reason"], at["margin"]) == (0, 0.0)
    assert (beyond["reason"], beyond["joint"]) == (WORKSPACE, -1)
    assert beyond["value"] == TCP[axis, 3]
    other = WIDE["workspace_min_m" if side == "max" else "workspace_max_m"][axis]
    assert beyond["margin"] == pytest.approx(-0.125 / abs(bound[axis] - other))


def test_a_goal_keeps_more_than_the_least_singular_value() -> None:
    sigma = compute_sigma(limits(), HOME_Q)

    at = judge(TCP, singular_value=sigma)
    below = judge(TCP, singular_value=np.nextafter(sigma, 0.0))
    above = judge(TCP, singular_value=2.0 * sigma)

    assert told(at)[0::2] == (SINGULAR, 0.0, -1)
    assert at["value"] == sigma
    assert below["reason"] == 0
    assert below["margin"] == pytest.approx(0.0, abs=1e-12)
    assert above["margin"] == pytest.approx(-1.0)


def test_the_smallest_margin_of_a_goal_is_its_margin() -> None:
    sigma = compute_sigma(limits(), HOME_Q)
    bound = WIDE["joint_max_rad"].copy()
    bound[1] = HOME_Q[1] + 0.125
    face = WIDE["workspace_min_m"].copy()
    face[1] = TCP[1, 3] - 0.125

    by_joint = judge(TCP, joint_max_rad=bound)
    by_face = judge(TCP, workspace_min_m=face)
    by_sigma = judge(TCP, singular_value=0.9 * sigma)
    by_rest = judge(shifted(0.0, 0.0, 8e-5))

    assert by_joint["margin"] == pytest.approx(0.125 / (bound[1] + 8.0))
    assert by_face["margin"] == pytest.approx(0.125 / (4.0 - face[1]))
    assert by_sigma["margin"] == pytest.approx(0.1)
    assert by_rest["margin"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("joint_min_rad", POSITION),
        ("joint_max_rad", POSITION),
        ("workspace_min_m", WORKSPACE),
        ("workspace_max_m", WORKSPACE),
        ("singular_value", SINGULAR),
    ],
)
def test_a_bound_that_is_no_number_is_broken(key: Any, reason: Any) -> None:
    assert judge(TCP, **{key: math.nan})["reason"] == reason


def test_what_is_left_and_no_number_is_not_reached() -> None:
    target = TCP.copy()
    target[0, 3] = math.nan

    assert judge(target)["reason"] == UNREACHABLE


def test_a_place_without_a_singular_value_divides_by_nothing() -> None:
    straight = HOME_Q.copy()
    straight[4] = 0.0
    target = compute_tcp_transform(limits(), straight)

    now = judge(target, straight, singular_value=0.08)

    assert now["reason"] == SINGULAR
    assert now["value"] < 1e-12
    assert now["margin"] == 1.0 - 0.08 / 1e-12


# --- steps --------------------------------------------------------------------------


def test_no_step_turns_a_joint_further_than_the_longest() -> None:
    away = HOME_Q + one(0, 3.0)
    target = compute_tcp_transform(limits(), away)
    tool = limits()["flange_from_tcp"][0]
    goal = HOME_Q.copy()

    follow_pose(goal, target, tool)

    # Five steps of half a radian at most.
    assert np.abs(goal - HOME_Q).max() <= 2.5 + 1e-12
    assert np.abs(goal - HOME_Q).max() > 0.5


def test_a_short_way_is_gone_whole() -> None:
    away = HOME_Q + np.array([0.05, -0.04, 0.03, 0.05, -0.03, 0.04])
    target = compute_tcp_transform(limits(), away)
    goal = HOME_Q.copy()

    follow_pose(goal, target, limits()["flange_from_tcp"][0])

    assert np.abs(goal - away).max() < 1e-7


def test_a_wish_of_a_joint_goal_is_the_speed_it_can_brake_from() -> None:
    packed = limits()
    for joint in range(6):
        for sign in (1.0, -1.0):
            goal = HOME_Q + one(joint, sign * 1e-5)

            now = run(project_towards, HOME_Q, STILL, STILL, goal, packed)

            lead_s = packed["jerk_lead_s"][0, joint]
            speed = velocity_box.compute_braking_speed(
                1e-5, packed["braking_radps2"][0, joint], PERIOD_S, PERIOD_S, lead_s
            )
            assert now["reason"] == now["narrowed_by"] == 0
            step = one(joint, sign * speed * PERIOD_S)
            assert now["q"] - HOME_Q == pytest.approx(step, abs=1e-14)
