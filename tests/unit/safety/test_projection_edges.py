"""The projection at its very edges, and every number that it answers."""

import math
from typing import Any

import numpy as np
import pytest

from cell.contracts.geometry import Pose
from cell.contracts.servo import HoldReason
from cell.kinematics import compute_jacobian
from cell.kinematics.kernels import fill_pose_error
from safety import projection, projection_limits, velocity_box
from safety.limits import make_limits
from safety.projection import (
    PROJECTION,
    compute_rotation_error,
    follow_pose,
    judge_goal,
    project_increment,
    project_pose,
    project_towards,
)
from tests.fakes.motion_oracle import HOME_Q, PERIOD_S, SAFETY
from tests.fakes.projection_cases import (
    JERK_RADPS3,
    TOOL,
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
    assert velocity_box.ROUNDING == 2.0**-30
    assert projection_limits.LARGEST_NUMBER == 1e6
    assert projection_limits.LEAST_BRAKING == 0.25
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

WIDE: dict[str, Any] = {
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


def test_a_rotation_of_any_kind_has_no_error_and_its_mirror_image_has() -> None:
    rng = np.random.default_rng(3)
    for _ in range(100):
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        turn *= np.sign(np.linalg.det(turn))
        transform = np.column_stack([turn, rng.normal(size=3)])

        assert compute_rotation_error(transform) < 1e-12
        assert compute_rotation_error(-transform) == 2.0


def test_a_rotation_may_be_off_by_its_tolerance() -> None:
    target = np.eye(3, 4)
    target[0, 1] = projection.ROTATION_TOLERANCE
    assert compute_rotation_error(target) == projection.ROTATION_TOLERANCE

    at = run(project_pose, HOME_Q, target, limits())
    target[0, 1] = np.nextafter(target[0, 1], 1.0)
    beyond = run(project_pose, HOME_Q, target, limits())

    # Judged by its place, and not by its form.
    assert at["residual_m"] < INF
    assert beyond["residual_m"] == INF


def test_what_is_just_reached_is_reached() -> None:
    for number in range(40_000):
        x = 6e-5 * (1.0 + number * 1e-6)
        target = shifted(x, 0.0, math.sqrt(1e-8 - x * x))
        error = target[:, 3] - TCP[:, 3]
        if math.sqrt(error[0] ** 2 + error[1] ** 2 + error[2] ** 2) == 1e-4:
            break
    now = judge(target)

    assert now["residual_m"] == 1e-4
    assert (now["reason"], now["margin"]) == (0, 0.0)


@pytest.mark.parametrize("joint", range(6))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_steps_are_damped_least_squares_and_bounded(joint: Any, sign: Any) -> None:
    packed = limits()
    tool = packed["flange_from_tcp"][0]
    target = compute_tcp_transform(packed, HOME_Q + one(joint, sign * 2.5))
    goal, wanted = HOME_Q.copy(), HOME_Q.copy()

    follow_pose(goal, target, tool)

    flange_from_tcp = Pose.from_matrix(np.vstack([tool, [0.0, 0.0, 0.0, 1.0]]))
    for _ in range(5):
        here = compute_tcp_transform(packed, wanted)
        error = np.empty(6)
        fill_pose_error(here, target, error)
        jacobian = compute_jacobian(wanted, flange_from_tcp)
        damped = jacobian @ jacobian.T + 0.03**2 * np.eye(6)
        step = jacobian.T @ np.linalg.solve(damped, error)
        wanted += step * min(1.0, 0.5 / np.abs(step).max())
    assert goal == pytest.approx(wanted, abs=1e-8)


# --- the box of velocities ----------------------------------------------------------


def brake(room: float, rate: float, period: float, reaction: float, lead: float) -> Any:
    """The speed from which `room` is enough, as a root of its polynomial."""
    rate *= 0.999
    tangent = rate * (reaction - 0.5 * period)
    if room <= (reaction + lead) * tangent:
        return room / (reaction + lead)
    roots = np.roots(
        [0.5 / rate, 0.5 * period + lead, tangent * tangent / (2.0 * rate) - room]
    )
    return float(roots.max())


def test_braking_speed_is_the_root_of_its_polynomial() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        room = float(rng.uniform(0.0, 1.0)) * 10.0 ** float(rng.uniform(-6, 1))
        rate, period = float(rng.uniform(1.0, 40.0)), 0.002
        reaction = period + float(rng.choice([0.0, 0.01, 0.06]))
        lead = float(rng.choice([0.0, 0.004, 0.02]))
        given = (room, rate, period, reaction, lead)

        found = velocity_box.compute_braking_speed(*given)

        assert found == pytest.approx(brake(*given), rel=1e-9)


def test_where_line_and_root_meet_the_line_counts() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        rate, reaction = float(rng.uniform(1.0, 40.0)), float(rng.uniform(0.002, 0.1))
        lead = float(rng.uniform(0.0, 0.02))
        tangent = rate * 0.999 * (reaction - 0.5 * 0.002)
        room = (reaction + lead) * tangent

        found = velocity_box.compute_braking_speed(room, rate, 0.002, reaction, lead)

        assert found == room / (reaction + lead)


def test_every_face_is_what_its_limit_says() -> None:
    rng = np.random.default_rng(4)
    for number in range(60):
        lim = limits()[0] if number % 2 else make_packed(20_000.0)[0]
        top, rate = 3.0, 25.0
        jerk = float(lim["joint_jerk_radps3"][0])
        low, high = lim["joint_min_rad"], lim["joint_max_rad"]
        q = rng.uniform(low, high)
        near = rng.choice([-1e-3, 1e-10, 1e-4, 0.05], 6)
        q = np.where(rng.random(6) < 0.3, high - near, q)
        q = np.where(rng.random(6) < 0.3, low + near, q)
        qd = rng.uniform(-top, top, 6) * rng.choice([0.2, 1.0, 1.2])
        qdd = rng.uniform(-rate, rate, 6)
        faces = np.empty((6, 4, 2))

        velocity_box.fill_faces(q, qd, qdd, lim, faces)

        p = PERIOD_S
        for i in range(6):
            assert faces[i, 0] == pytest.approx([qd[i] - rate * p, qd[i] + rate * p])
            middle = qd[i] + qdd[i] * p
            wanted = [middle - jerk * p * p, middle + jerk * p * p]
            assert faces[i, 1] == pytest.approx(wanted)
            down = brake(top + qd[i], jerk, p, p, 0.0)
            up = brake(top - qd[i], jerk, p, p, 0.0)
            wanted = [max(qd[i] - p * down, -top), min(qd[i] + p * up, top)]
            assert faces[i, 2] == pytest.approx(wanted, abs=1e-12)
            rest = (
                lim["braking_radps2"][i],
                p,
                lim["reaction_s"],
                lim["jerk_lead_s"][i],
            )
            below = brake(max(q[i] - low[i] - 2.0**-30, 0.0), *rest)
            above = brake(max(high[i] - q[i] - 2.0**-30, 0.0), *rest)
            assert faces[i, 3] == pytest.approx([-below, above], rel=1e-7, abs=1e-13)


def even(**changes: Any) -> Any:
    """Limits in powers of two, far from every position limit."""
    packed = limits(
        period_s=2.0**-8,
        joint_min_rad=np.full(6, -512.0),
        joint_max_rad=np.full(6, 512.0),
        joint_speed_radps=np.ones(6),
        joint_acceleration_radps2=np.full(6, 1024.0),
        joint_jerk_radps3=np.full(6, 2.0**19),
        braking_radps2=np.full(6, 512.0),
        reaction_s=2.0**-7,
        jerk_lead_s=np.zeros(6),
    )
    for key, value in changes.items():
        packed[key] = value
    return packed[0]


def clamp(lim: Any, wish: Any, qd: Any = STILL, qdd: Any = STILL) -> Any:
    granted = np.empty(6)
    found = velocity_box.clamp_velocity(
        STILL, np.array(qd), np.array(qdd), np.array(wish), lim, granted
    )
    return found, granted


SPEED = int(HoldReason.JOINT_SPEED)
ACCELERATION = int(HoldReason.JOINT_ACCELERATION)
JERK = int(HoldReason.JOINT_JERK)


def test_a_wish_in_the_middle_is_near_no_face() -> None:
    found, granted = clamp(even(), STILL)

    assert found == (0, 0, 1.0, 0.0, -1)
    assert not granted.any()


def test_a_wish_is_as_near_as_the_nearest_face() -> None:
    found, granted = clamp(even(), one(2, 0.75) + one(4, 0.75))

    assert found == (0, 0, 0.25, 0.0, -1)
    assert granted[2] == 0.75


def test_just_rounding_is_no_cut() -> None:
    at, _ = clamp(even(), one(2, 1.0 + 2.0**-30))
    beyond, granted = clamp(even(), one(2, -(1.0 + 2.0**-29)))

    assert at == (0, 0, -(2.0**-30), 0.0, -1)
    assert beyond == (0, SPEED, -(2.0**-29), -(1.0 + 2.0**-29), 2)
    assert granted[2] == -1.0


def test_of_joints_cut_alike_the_first_is_named() -> None:
    found, granted = clamp(even(), np.array([0.0, 1.5, 1.5, 0.0, 0.0, 0.0]))

    assert found == (0, SPEED, -0.5, 1.5, 1)
    assert granted.tolist() == [0.0, 1.0, 1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_of_faces_at_one_place_the_first_is_named(sign: Any) -> None:
    # Full speed in one cycle is just what acceleration permits.
    lim = even(joint_acceleration_radps2=np.full(6, 256.0))

    found, _ = clamp(lim, one(3, sign * 2.0))

    assert found[:2] == (0, ACCELERATION)
    assert found[3] == sign * 512.0


def test_an_acceleration_is_told_as_one() -> None:
    lim = even(joint_acceleration_radps2=np.full(6, 64.0))

    found, granted = clamp(lim, one(3, 0.75), qd=one(3, 0.25))

    assert found == (0, ACCELERATION, -0.25, 0.5 * 256.0, 3)
    assert granted[3] == 0.5


@pytest.mark.parametrize("qdd", [0.0, 32.0, -32.0])
def test_a_jerk_is_told_as_one(qdd: Any) -> None:
    lim = even(joint_jerk_radps3=np.full(6, 2.0**13))

    found, granted = clamp(lim, one(3, 0.75), qdd=one(3, qdd))

    # In one cycle acceleration may change by 32 rad/s2.
    assert granted[3] == (qdd + 32.0) * 2.0**-8
    wanted = (0.75 * 256.0 - qdd) * 256.0
    assert found == (0, JERK, (granted[3] - 0.75), wanted, 3)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_jerk_that_comes_too_late_is_told_as_one(sign: Any) -> None:
    lim = even(
        joint_acceleration_radps2=np.full(6, 64.0),
        joint_jerk_radps3=np.full(6, 2.0**13),
    )

    # More acceleration than one cycle can take back.
    found, _ = clamp(lim, STILL, qdd=one(2, sign * 128.0))

    assert found == (JERK, 0, -0.125, -sign * 64.0 * 256.0, 2)


def test_a_place_is_told_as_one() -> None:
    lim = even(joint_max_rad=np.full(6, 2.0**-30), joint_min_rad=np.full(6, -8.0))

    found, granted = clamp(lim, one(3, 0.5))

    assert found == (0, POSITION, -0.5, 0.5 * 2.0**-8, 3)
    assert granted[3] == 0.0


def test_a_box_of_one_point_is_no_empty_box() -> None:
    lim = even(joint_acceleration_radps2=np.zeros(6), joint_jerk_radps3=np.full(6, 1.0))

    found, granted = clamp(lim, STILL, qd=one(1, 0.5))

    assert found[0] == 0
    assert granted[1] == 0.5


def test_an_empty_box_is_told_in_full() -> None:
    lim = even(
        joint_speed_radps=np.full(6, 2.0),
        joint_acceleration_radps2=np.full(6, 64.0),
        joint_jerk_radps3=np.full(6, 2.0**16),
        joint_max_rad=np.full(6, 2.0**-30),
        joint_min_rad=np.full(6, -8.0),
    )

    # At its limit and on its way out, faster than one cycle can end.
    found, _ = clamp(lim, STILL, qd=one(1, 1.0))

    assert found == (POSITION, 0, -0.375, 0.0, 1)


# --- limits of the projection -------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, True),
        ({"period_s": 0.002, "reaction_s": 0.002}, True),
        ({"period_s": -1.0}, False),
        ({"period_s": 0.0}, False),
        ({"reaction_s": 1e6}, False),
        ({"reaction_s": 0.0019}, False),
        ({"jerk_lead_s": 0.0}, True),
        ({"jerk_lead_s": 1e6}, False),
        ({"jerk_lead_s": -1e-9}, False),
        ({"singular_value": 1e6}, False),
        ({"singular_value": 0.0}, False),
        ({"singular_value": 950_000.0}, True),
        ({"joint_min_rad": -1e6, "joint_max_rad": 1.0 - 1e6}, False),
        ({"joint_min_rad": 950_000.0, "joint_max_rad": 950_001.0}, True),
        ({"joint_min_rad": -2.0, "joint_max_rad": -2.0}, False),
        ({"workspace_min_m": -1e6, "workspace_max_m": 1.0 - 1e6}, False),
        ({"workspace_min_m": -2.0, "workspace_max_m": -2.0}, False),
    ],
)
def test_limits_are_numbers_of_an_arm_or_none(change: Any, wanted: Any) -> None:
    packed = limits(**change)

    assert bool(projection_limits.has_usable_limits(packed[0])) is wanted


def test_braking_is_planned_with_a_quarter_at_least() -> None:
    guard = make_limits(SAFETY, TOOL, 2.0**-8)
    guard["joint_acceleration_radps2"] = 16.0

    guard["joint_jerk_radps3"] = 20.0 * 2.0**8  # turns 16 into just a quarter of it
    at = projection_limits.make_projection_limits(guard)[0]
    guard["joint_jerk_radps3"] = 19.0 * 2.0**8
    below = projection_limits.make_projection_limits(guard)[0]

    assert (at["braking_radps2"] == 4.0).all()
    assert (at["jerk_lead_s"] == 0.0).all()
    assert (below["braking_radps2"] == 4.0).all()
    assert below["jerk_lead_s"] == pytest.approx(np.full(6, 32.0 / (19.0 * 2.0**8)))
