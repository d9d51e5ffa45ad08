"""What the projection grants is inside every limit; what it refuses moves nothing."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from cell.contracts.errors import ConfigError
from cell.contracts.geometry import Vector
from cell.contracts.servo import HoldReason
from cell.kinematics import compute_jacobian
from safety.guard import EnvelopeGuard
from safety.limits import make_limits
from safety.projection import (
    IK_DAMPING,
    PROJECTION,
    REACHED_M,
    REACHED_RAD,
    project_towards,
)
from safety.projection_limits import PROJECTION_LIMITS, make_projection_limits
from tests.fakes.motion_oracle import HOME_Q, OVER_BIN_Q, PERIOD_S, SAFETY
from tests.fakes.projection_cases import (
    JERK_RADPS3,
    QUICK_JERK_RADPS3,
    TOOL,
    Increments,
    Poses,
    answer_increment,
    answer_pose,
    compute_sigma,
    compute_tcp_transform,
    draw_increments,
    draw_poses,
    make_packed,
    with_jerk,
)

IS_INTERPRETED = not hasattr(project_towards, "py_func")
SCALE = 0.03 if IS_INTERPRETED else 1.0
REST = np.zeros(6)


def one_joint(index: int, value: float) -> Vector:
    vector = np.zeros(6)
    vector[index] = value
    return vector


def drive(
    packed: NDArray[Any], actions: NDArray[np.float64], q: Vector
) -> tuple[Vector, list[int]]:
    """Follow actions from rest; return the positions and the reasons of refusals."""
    period_s = packed["period_s"][0]
    qd, qdd = np.zeros(6), np.zeros(6)
    path, reasons = [q], []
    for action in actions:
        answer = answer_increment(packed, q, qd, qdd, action)
        reasons.append(int(answer["reason"]))
        qd_next = (answer["q"] - q) / period_s
        qdd, qd, q = (qd_next - qd) / period_s, qd_next, answer["q"].copy()
        path.append(q)
    return np.array(path), reasons


def draw_pushes(rng: np.random.Generator, cycles: int) -> NDArray[np.float64]:
    """Push full out, in directions that change now and then."""
    pushes = rng.choice([-1.0, -0.3, 0.0, 0.7, 1.0, 1.0], (cycles // 150 + 1, 6))
    return np.repeat(pushes, 150, axis=0)[:cycles]


# --- increments: what is granted -----------------------------------------------------


def test_an_action_inside_every_limit_is_the_share_of_full_speed_it_says() -> None:
    qd = np.full(6, 0.3)
    action = np.full(6, 0.11)

    answer = answer_increment(make_packed(), HOME_Q, qd, REST, action)

    assert answer["reason"] == answer["narrowed_by"] == HoldReason.NONE
    assert np.allclose(answer["q"], HOME_Q + 0.11 * 3.0 * PERIOD_S, atol=1e-15)
    assert 0.0 < answer["margin"] < 1.0


def test_no_action_leaves_an_arm_at_rest_exactly_where_it_is() -> None:
    answer = answer_increment(make_packed(), HOME_Q, REST, REST, REST)

    assert answer["reason"] == HoldReason.NONE
    assert (answer["q"] == HOME_Q).all()


def test_numbers_beyond_one_count_as_one() -> None:
    qd = np.full(6, 2.99)

    wild = answer_increment(make_packed(), HOME_Q, qd, REST, np.full(6, 1e5))
    full = answer_increment(make_packed(), HOME_Q, qd, REST, np.ones(6))

    assert (wild["q"] == full["q"]).all()
    assert np.allclose(full["q"] - HOME_Q, 3.0 * PERIOD_S)


def test_a_full_matrix_mixes_the_actions() -> None:
    matrix = np.diag(np.full(6, 1e-4))
    matrix[2, 5] = -5e-5
    packed = make_packed(increment_rad=matrix)

    answer = answer_increment(packed, HOME_Q, REST, REST, one_joint(5, 0.5))

    assert answer["q"] - HOME_Q == pytest.approx(
        one_joint(5, 5e-5) + one_joint(2, -2.5e-5)
    )


@pytest.mark.parametrize("jerk", [None, JERK_RADPS3])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_granted_is_inside_every_limit(seed: int, jerk: Any) -> None:
    packed = make_packed(jerk)
    lim = packed[0]
    cases = draw_increments(np.random.default_rng(seed), int(4000 * SCALE), packed)
    granted = 0
    for q, qd, qdd, action in zip(
        cases.q, cases.qd, cases.qdd, cases.action, strict=True
    ):
        answer = answer_increment(packed, q, qd, qdd, action)
        if answer["reason"] != HoldReason.NONE:
            assert np.array_equal(answer["q"], q, equal_nan=True)
            continue
        granted += 1
        speed = (answer["q"] - q) / PERIOD_S
        rate = (speed - qd) / PERIOD_S
        assert (answer["q"] >= np.minimum(lim["joint_min_rad"], q)).all()
        assert (answer["q"] <= np.maximum(lim["joint_max_rad"], q)).all()
        assert (np.abs(speed) <= lim["joint_speed_radps"] + 1e-9).all()
        assert (np.abs(rate) <= lim["joint_acceleration_radps2"] + 1e-6).all()
        change = np.abs(rate - qdd) / PERIOD_S
        assert (change <= lim["joint_jerk_radps3"] * (1 + 1e-6)).all()

    assert granted > 0.1 * len(cases.q)


@pytest.mark.parametrize("jerk", [None, QUICK_JERK_RADPS3])
@pytest.mark.parametrize("seed", range(3))
def test_whoever_follows_the_projection_is_never_refused(seed: int, jerk: Any) -> None:
    packed = make_packed(jerk)
    rng = np.random.default_rng(seed)

    path, reasons = drive(packed, draw_pushes(rng, int(30_000 * SCALE)), HOME_Q)

    assert set(reasons) == {int(HoldReason.NONE)}
    assert (path >= packed["joint_min_rad"][0]).all()
    assert (path <= packed["joint_max_rad"][0]).all()


def test_the_guard_grants_the_joint_motion_of_what_was_projected() -> None:
    # A workspace and a tool speed that joints this slow cannot leave.
    config = SAFETY.model_copy(
        update={
            "joint_speed_radps": (0.5, 0.4, 0.3, 0.4, 0.5, 0.5),
            "joint_min_rad": tuple(HOME_Q - 0.2),
            "joint_max_rad": tuple(HOME_Q + 0.2),
            "joint_acceleration_radps2": (25.0, 5.0, 1.0, 1.0, 10.0, 25.0),
            "workspace_min_m": (-0.9, -0.9, -0.9),
            "workspace_max_m": (0.9, 0.9, 0.9),
        }
    )
    limits = make_limits(config, TOOL, PERIOD_S)
    packed = make_projection_limits(limits)
    guard = EnvelopeGuard.from_config(config, TOOL, PERIOD_S)
    guard.reset(HOME_Q)
    pushes = draw_pushes(np.random.default_rng(1), int(20_000 * SCALE))

    path, _ = drive(packed, pushes, HOME_Q)
    reasons = {
        guard.vet(q, now_ns, now_ns, now_ns, np.zeros(6)).reason
        for now_ns, q in zip(range(10**9, 10**12, 2_000_000), path[1:], strict=False)
    }

    assert reasons == {HoldReason.NONE}
    if not IS_INTERPRETED:
        assert np.abs(path - HOME_Q).max() > 0.199


def test_with_a_limit_of_jerk_full_speed_is_reached_and_kept() -> None:
    packed = make_packed(JERK_RADPS3)

    path, reasons = drive(packed, np.tile(one_joint(0, 1.0), (200, 1)), HOME_Q)

    speed = np.diff(path[:, 0]) / PERIOD_S
    assert set(reasons) == {int(HoldReason.NONE)}
    assert speed[-1] == pytest.approx(3.0)
    assert np.abs(np.diff(speed, 2)).max() <= JERK_RADPS3 * PERIOD_S**2 * (1 + 1e-6)


def test_projecting_what_was_projected_changes_nothing() -> None:
    packed = make_packed(JERK_RADPS3)
    scale = packed["joint_speed_radps"][0] * PERIOD_S
    cases = draw_increments(np.random.default_rng(5), int(2000 * SCALE), packed)
    repeated = 0
    for q, qd, qdd, action in zip(
        cases.q, cases.qd, cases.qdd, cases.action, strict=True
    ):
        once = answer_increment(packed, q, qd, qdd, action)
        if once["reason"] == HoldReason.NONE:
            twice = answer_increment(packed, q, qd, qdd, (once["q"] - q) / scale)
            repeated += 1
            assert twice["narrowed_by"] == HoldReason.NONE
            assert np.allclose(twice["q"], once["q"], rtol=0.0, atol=1e-12)

    assert repeated


# --- increments: what narrows and what refuses ---------------------------------------


@pytest.mark.parametrize(
    ("qd", "action", "reason", "value"),
    [
        (0.0, 1.0, HoldReason.JOINT_ACCELERATION, 3.0 / PERIOD_S),
        (0.0, -1.0, HoldReason.JOINT_ACCELERATION, -3.0 / PERIOD_S),
        (2.98, 1.0, HoldReason.NONE, 0.0),
    ],
)
def test_what_cuts_a_wish_is_named(
    qd: float, action: float, reason: HoldReason, value: float
) -> None:
    answer = answer_increment(
        make_packed(), HOME_Q, one_joint(3, qd), REST, one_joint(3, action)
    )

    assert answer["reason"] == HoldReason.NONE
    assert answer["narrowed_by"] == reason
    assert answer["value"] == pytest.approx(value)
    if reason:
        assert answer["joint"] == 3
        assert answer["margin"] == pytest.approx((25.0 * PERIOD_S - 3.0) / 3.0)


def test_jerk_that_cuts_a_wish_is_named_with_its_value() -> None:
    packed = make_packed(1000.0)

    answer = answer_increment(packed, HOME_Q, REST, REST, one_joint(3, 0.5))

    assert answer["narrowed_by"] == HoldReason.JOINT_JERK
    assert answer["joint"] == 3
    assert answer["value"] == pytest.approx(1.5 / PERIOD_S**2)


def test_a_matrix_that_asks_for_more_than_the_speed_is_cut_by_speed() -> None:
    packed = make_packed(increment_rad=np.diag(np.full(6, 0.1)))

    answer = answer_increment(
        packed, HOME_Q, one_joint(0, 2.99), REST, one_joint(0, 1.0)
    )

    assert answer["narrowed_by"] == HoldReason.JOINT_SPEED
    assert answer["value"] == pytest.approx(0.1 / PERIOD_S)
    assert answer["q"][0] - HOME_Q[0] == pytest.approx(3.0 * PERIOD_S)


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_joint_slows_down_before_its_limit_and_stops_at_it(side: float) -> None:
    packed = make_packed()
    bound = packed["joint_max_rad" if side > 0 else "joint_min_rad"][0, 1]
    start = HOME_Q.copy()
    start[1] = bound - side * 0.4

    path, reasons = drive(packed, np.tile(one_joint(1, side), (600, 1)), start)
    last = answer_increment(packed, path[-1], REST, REST, one_joint(1, side))

    gaps = side * (bound - path[:, 1])
    assert set(reasons) == {int(HoldReason.NONE)}
    assert (gaps >= 0.0).all()
    assert gaps[-1] < 1e-4
    assert last["narrowed_by"] == HoldReason.JOINT_POSITION
    assert side * last["value"] > side * path[-1, 1]


def test_a_joint_found_beyond_its_limit_may_only_come_back() -> None:
    packed = make_packed()
    outside = HOME_Q.copy()
    outside[5] = 6.25

    away = answer_increment(packed, outside, REST, REST, one_joint(5, 1.0))
    back = answer_increment(packed, outside, REST, REST, one_joint(5, -1.0))

    assert away["narrowed_by"] == HoldReason.JOINT_POSITION
    assert away["q"][5] == outside[5]
    assert back["q"][5] < outside[5]


@pytest.mark.parametrize(
    ("q", "qd", "qdd", "reason", "value"),
    [
        (0.0, 3.2, 0.0, HoldReason.JOINT_SPEED, 3.2),
        (0.0, -3.2, 0.0, HoldReason.JOINT_SPEED, -3.2),
        (6.19, 2.0, 0.0, HoldReason.JOINT_POSITION, 6.19),
        (-6.19, -2.0, 0.0, HoldReason.JOINT_POSITION, -6.19),
        (0.0, 0.0, 40.0, HoldReason.JOINT_JERK, (25.0 - 40.0) / PERIOD_S),
        (0.0, 0.0, -40.0, HoldReason.JOINT_JERK, (40.0 - 25.0) / PERIOD_S),
    ],
)
def test_motion_that_no_cycle_could_save_is_refused_and_its_limit_named(
    q: float, qd: float, qdd: float, reason: HoldReason, value: float
) -> None:
    packed = make_packed(JERK_RADPS3)
    start = HOME_Q.copy()
    start[4] = q

    answer = answer_increment(
        packed, start, one_joint(4, qd), one_joint(4, qdd), one_joint(0, 0.01)
    )

    assert answer["reason"] == reason
    assert answer["value"] == value
    assert answer["joint"] == 4
    assert answer["margin"] < 0.0
    assert (answer["q"] == start).all()


@pytest.mark.parametrize("nonsense", [np.nan, np.inf, -np.inf, 1e6, -1e300])
@pytest.mark.parametrize("argument", range(4))
@pytest.mark.parametrize("joint", [0, 5])
def test_what_is_no_number_of_an_arm_is_refused(
    argument: int, joint: int, nonsense: float
) -> None:
    arguments = [HOME_Q.copy(), np.zeros(6), np.zeros(6), np.full(6, 0.01)]
    arguments[argument][joint] = nonsense

    answer = answer_increment(make_packed(), *arguments)

    assert answer["reason"] == HoldReason.COMMAND_NOT_FINITE
    assert answer["joint"] == joint
    assert answer["margin"] < 0.0
    assert np.array_equal(answer["q"], arguments[0], equal_nan=True)


def name_numbers() -> list[str]:
    return list(PROJECTION_LIMITS.names or ())


@pytest.mark.parametrize("nonsense", [np.nan, np.inf])
@pytest.mark.parametrize("name", name_numbers())
def test_a_limit_that_is_no_number_grants_nothing(name: str, nonsense: float) -> None:
    packed = make_packed()
    packed[name].reshape(-1)[-1] = nonsense
    out = np.zeros(1, PROJECTION)
    target = compute_tcp_transform(make_packed(), HOME_Q)

    answers = [
        answer_increment(packed, HOME_Q, REST, REST, REST),
        answer_pose(packed, HOME_Q, target),
    ]
    project_towards(HOME_Q, REST, REST, HOME_Q, packed, out)

    for answer in (*answers, out[0]):
        assert answer["reason"] == HoldReason.GUARD_EXCEPTION
        assert (answer["q"] == HOME_Q).all()


any_number = st.floats(allow_nan=True, allow_infinity=True, width=64)
six = arrays.arrays(np.float64, 6, elements=any_number)


@settings(max_examples=30 if IS_INTERPRETED else 300)
@given(six, six, six, six, arrays.arrays(np.float64, (3, 4), elements=any_number))
def test_arbitrary_numbers_never_raise(
    q: Vector, qd: Vector, qdd: Vector, action: Vector, target: Vector
) -> None:
    packed = make_packed(JERK_RADPS3)

    answers = [
        answer_increment(packed, q, qd, qdd, action),
        answer_pose(packed, q, target),
        answer_pose(packed, HOME_Q, target),
    ]

    for answer in answers:
        if answer["reason"] == HoldReason.NONE:
            assert np.isfinite(answer["q"]).all()


# --- on the way to a joint goal ------------------------------------------------------


def test_the_way_to_a_goal_ends_at_rest_there() -> None:
    packed = make_packed()
    goal = HOME_Q + np.array([0.5, -0.2, 0.1, 0.0, -0.3, 1.0])
    q, qd, qdd = HOME_Q, np.zeros(6), np.zeros(6)
    furthest = np.zeros(6)
    out = np.zeros(1, PROJECTION)
    for _ in range(450):
        project_towards(q, qd, qdd, goal, packed, out)
        assert out["reason"][0] == HoldReason.NONE
        qd_next = (out["q"][0] - q) / PERIOD_S
        qdd, qd, q = (qd_next - qd) / PERIOD_S, qd_next, out["q"][0].copy()
        furthest = np.maximum(furthest, (q - HOME_Q) * np.sign(goal - HOME_Q))

    assert np.allclose(q, goal, rtol=0.0, atol=1e-9)
    assert np.allclose(qd, 0.0, atol=1e-6)
    assert (furthest <= np.abs(goal - HOME_Q) + 1e-9).all()


@pytest.mark.parametrize("argument", range(4))
def test_a_goal_that_is_no_number_is_refused(argument: int) -> None:
    arguments = [HOME_Q.copy(), np.zeros(6), np.zeros(6), HOME_Q.copy()]
    arguments[argument][2] = np.nan
    out = np.zeros(1, PROJECTION)

    project_towards(
        arguments[0], arguments[1], arguments[2], arguments[3], make_packed(), out
    )

    assert out["reason"][0] == HoldReason.COMMAND_NOT_FINITE


# --- poses ---------------------------------------------------------------------------


@pytest.mark.parametrize("start", [HOME_Q, OVER_BIN_Q])
@pytest.mark.parametrize("seed", range(5))
def test_a_pose_nearby_is_reached_within_five_steps(start: Vector, seed: int) -> None:
    packed = make_packed()
    rng = np.random.default_rng(seed)
    goal = start + rng.uniform(-0.1, 0.1, 6)
    target = compute_tcp_transform(packed, goal)

    answer = answer_pose(packed, start, target)

    assert answer["reason"] == HoldReason.NONE
    assert answer["residual_m"] < 1e-5
    assert answer["singular_value"] == pytest.approx(
        compute_sigma(packed, answer["q"].copy())
    )
    assert np.allclose(answer["q"], goal, atol=1e-3)
    assert 0.0 < answer["margin"] <= 1.0


def test_the_pose_that_the_arm_has_is_answered_with_where_it_is() -> None:
    packed = make_packed()
    target = compute_tcp_transform(packed, HOME_Q)

    answer = answer_pose(packed, HOME_Q, target)

    assert np.allclose(answer["q"], HOME_Q, rtol=0.0, atol=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_pose_is_granted_stands_where_it_may(seed: int) -> None:
    packed = make_packed()
    lim = packed[0]
    cases = draw_poses(np.random.default_rng(seed), int(3000 * SCALE) + 8, packed)
    met: set[HoldReason] = set()
    for q, target in zip(cases.q, cases.base_from_tcp, strict=True):
        answer = answer_pose(packed, q, target)
        met.add(HoldReason(int(answer["reason"])))
        if answer["reason"] != HoldReason.NONE:
            assert np.array_equal(answer["q"], q, equal_nan=True)
            assert answer["margin"] <= 0.0 or np.isnan(answer["margin"])
            continue
        reached = compute_tcp_transform(packed, answer["q"].copy())
        assert np.linalg.norm(reached[:, 3] - target[:, 3]) <= REACHED_M
        # The angle of a small turn is that of the largest difference of a column.
        gap = np.linalg.norm(reached[:, :3] - target[:, :3], axis=0)
        assert (gap <= 1.01 * REACHED_RAD).all()
        assert (reached[:, 3] >= lim["workspace_min_m"] - 1e-12).all()
        assert (reached[:, 3] <= lim["workspace_max_m"] + 1e-12).all()
        assert (answer["q"] >= lim["joint_min_rad"]).all()
        assert (answer["q"] <= lim["joint_max_rad"]).all()
        jacobian_values = compute_sigma(packed, answer["q"].copy())
        assert jacobian_values > lim["singular_value"]

    if not IS_INTERPRETED:
        assert met == {
            HoldReason.NONE,
            HoldReason.COMMAND_NOT_FINITE,
            HoldReason.UNREACHABLE,
            HoldReason.JOINT_POSITION,
            HoldReason.WORKSPACE,
            HoldReason.SINGULAR,
        }


def test_projecting_a_projected_pose_changes_nothing() -> None:
    packed = make_packed()
    cases = draw_poses(np.random.default_rng(9), int(1000 * SCALE) + 8, packed)
    repeated = 0
    for q, target in zip(cases.q, cases.base_from_tcp, strict=True):
        once = answer_pose(packed, q, target)
        if once["reason"] == HoldReason.NONE:
            q_once = once["q"].copy()
            twice = answer_pose(packed, q_once, compute_tcp_transform(packed, q_once))
            repeated += 1
            assert twice["reason"] == HoldReason.NONE
            assert np.allclose(twice["q"], q_once, rtol=0.0, atol=1e-12)

    assert repeated


def test_a_pose_out_of_reach_is_refused_with_what_is_left() -> None:
    packed = make_packed()
    target = compute_tcp_transform(packed, HOME_Q)
    target[0, 3] += 2.0

    answer = answer_pose(packed, HOME_Q, target)

    assert answer["reason"] == HoldReason.UNREACHABLE
    assert answer["value"] == answer["residual_m"] > 1.0
    assert answer["margin"] == pytest.approx(1.0 - answer["residual_m"] / REACHED_M)
    assert (answer["q"] == HOME_Q).all()


def test_a_turn_out_of_reach_is_refused_with_the_angle_that_is_left() -> None:
    packed = make_packed()
    # Further than five steps of the last joint.
    target = compute_tcp_transform(packed, OVER_BIN_Q + one_joint(5, 2.9))

    answer = answer_pose(packed, OVER_BIN_Q, target)

    assert answer["reason"] == HoldReason.UNREACHABLE
    assert answer["value"] == answer["residual_rad"] == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize("side", [-1.0, 1.0])
@pytest.mark.parametrize("axis", range(3))
def test_the_workspace_ends_at_its_faces(axis: int, side: float) -> None:
    packed = make_packed()
    place = compute_tcp_transform(packed, HOME_Q)[axis, 3]
    name = "workspace_max_m" if side > 0 else "workspace_min_m"
    packed[name][0, axis] = place + side * 0.01
    inside = compute_tcp_transform(packed, HOME_Q)
    outside = inside.copy()
    inside[axis, 3] += side * 0.0099
    outside[axis, 3] += side * 0.0101

    assert answer_pose(packed, HOME_Q, inside)["reason"] == HoldReason.NONE
    answer = answer_pose(packed, HOME_Q, outside)
    assert answer["reason"] == HoldReason.WORKSPACE
    assert answer["value"] == pytest.approx(place + side * 0.0101, abs=1e-5)


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_joint_limits_end_what_a_pose_may_ask_for(side: float) -> None:
    packed = make_packed()
    name = "joint_max_rad" if side > 0 else "joint_min_rad"
    packed[name][0, 5] = HOME_Q[5] + side * 0.1
    inside = compute_tcp_transform(packed, HOME_Q + one_joint(5, side * 0.099))
    outside = compute_tcp_transform(packed, HOME_Q + one_joint(5, side * 0.101))

    assert answer_pose(packed, HOME_Q, inside)["reason"] == HoldReason.NONE
    answer = answer_pose(packed, HOME_Q, outside)
    assert answer["reason"] == HoldReason.JOINT_POSITION
    assert answer["joint"] == 5
    assert answer["value"] == pytest.approx(HOME_Q[5] + side * 0.101, abs=1e-3)


def test_a_pose_in_a_singular_place_is_refused_with_its_singular_value() -> None:
    packed = make_packed()
    straight = HOME_Q.copy()
    straight[4] = -0.2
    target = compute_tcp_transform(packed, straight)

    answer = answer_pose(packed, straight, target)

    assert answer["reason"] == HoldReason.SINGULAR
    assert answer["value"] == answer["singular_value"] < 0.08
    assert answer["margin"] == pytest.approx(1.0 - 0.08 / answer["value"])


def test_the_damping_keeps_the_condition_number_that_it_says() -> None:
    packed = make_packed()
    rng = np.random.default_rng(0)
    largest = max(
        float(np.linalg.svd(compute_jacobian(q, TOOL), compute_uv=False)[0])
        for q in rng.uniform(-3.1, 3.1, (2000, 6))
    )

    assert packed["flange_from_tcp"][0, 2, 3] == TOOL.position_m[2]
    assert (largest**2 + IK_DAMPING**2) / IK_DAMPING**2 < 1e4


@pytest.mark.parametrize("change", ["mirror", "stretch", "skew", "zero"])
def test_a_pose_that_is_no_rotation_is_refused(change: str) -> None:
    target = compute_tcp_transform(make_packed(), HOME_Q)
    if change == "mirror":
        target[:, 0] *= -1.0
    elif change == "stretch":
        target[:, 1] *= 1.0001
    elif change == "skew":
        target[:, 2] += 1e-4 * target[:, 0]
    else:
        target[:] = 0.0

    answer = answer_pose(make_packed(), HOME_Q, target)

    assert answer["reason"] == HoldReason.UNREACHABLE
    assert answer["value"] > 1e-5
    assert (answer["q"] == HOME_Q).all()


@pytest.mark.parametrize("nonsense", [np.nan, np.inf, 1e7])
def test_a_pose_that_is_no_number_is_refused(nonsense: float) -> None:
    target = compute_tcp_transform(make_packed(), HOME_Q)
    target[2, 3] = nonsense

    answer = answer_pose(make_packed(), HOME_Q, target)

    assert answer["reason"] == HoldReason.COMMAND_NOT_FINITE
    assert (answer["q"] == HOME_Q).all()


# --- limits --------------------------------------------------------------------------


def test_limits_of_a_guard_without_jerk_limit_none() -> None:
    limits = make_limits(SAFETY, TOOL, PERIOD_S)
    names = [name for name in limits.dtype.names or () if "jerk" not in name]

    packed = make_projection_limits(limits[names])

    assert (packed["joint_jerk_radps3"] == 2.0 * 25.0 / PERIOD_S).all()
    assert np.allclose(packed["braking_radps2"], 25.0)
    assert (packed["jerk_lead_s"] == 0.0).all()
    assert packed["reaction_s"][0] == pytest.approx(PERIOD_S + 0.5 * 3.0 / 25.0)


def test_a_jerk_that_the_guard_limits_is_taken_over() -> None:
    limits = with_jerk(make_limits(SAFETY, TOOL, PERIOD_S), 5000.0)

    packed = make_projection_limits(limits)

    assert (packed["joint_jerk_radps3"] == 5000.0).all()
    assert (packed["braking_radps2"] == 0.25 * 25.0).all()
    assert packed["jerk_lead_s"][0] == pytest.approx(np.full(6, 0.01))


def test_jerk_that_turns_quickly_only_makes_braking_gentler() -> None:
    packed = make_packed(QUICK_JERK_RADPS3)

    assert np.allclose(packed["braking_radps2"], 20_000.0 * PERIOD_S - 25.0)
    assert (packed["jerk_lead_s"] == 0.0).all()


@pytest.mark.parametrize("shape", [(6,), (5, 6), (1, 6, 6)])
def test_a_joint_limit_matrix_of_another_shape_is_refused(
    shape: tuple[int, ...],
) -> None:
    with pytest.raises(ConfigError, match="joint-limit matrix has the shape"):
        make_packed(increment_rad=np.zeros(shape))


def test_a_joint_limit_matrix_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="not finite"):
        make_packed(increment_rad=np.full((6, 6), np.nan))


# --- without numba -------------------------------------------------------------------


def trace(increments: Increments, poses: Poses) -> NDArray[np.float64]:
    packed = make_packed(JERK_RADPS3)
    answers = [
        answer_increment(packed, *each).copy()
        for each in zip(
            increments.q, increments.qd, increments.qdd, increments.action, strict=True
        )
    ]
    answers += [
        answer_pose(packed, q, target).copy()
        for q, target in zip(poses.q, poses.base_from_tcp, strict=True)
    ]
    return np.array([[*answer["q"], *answer.tolist()[1:]] for answer in answers])


# The coverage run interprets all of these tests; there both sides of the comparison
# would be the same lines. The ordinary run, where this one says something, never skips.
@pytest.mark.skipif(IS_INTERPRETED, reason="compares with the compiled projection")
def test_the_projection_is_the_same_without_its_compiler(
    tmp_path: Path, repository: Path
) -> None:
    packed, rng = make_packed(JERK_RADPS3), np.random.default_rng(23)
    increments = draw_increments(rng, 400, packed)
    poses = draw_poses(rng, 400, packed)
    cases, plain = tmp_path / "cases.npz", tmp_path / "plain.npy"
    np.savez(cases, *vars(increments).values(), *vars(poses).values())
    code = (
        "import numpy as np;"
        "from tests.fakes.projection_cases import Increments, Poses;"
        "from tests.unit.safety.test_projection import trace;"
        f"drawn = list(np.load({str(cases)!r}).values());"
        "answers = trace(Increments(*drawn[:4]), Poses(*drawn[4:]));"
        f"np.save({str(plain)!r}, answers)"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=repository,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        check=True,
    )

    interpreted, compiled = np.load(plain), trace(increments, poses)

    # Joint positions, then the reasons; what is left of a refused pose may be less
    # well determined.
    assert np.allclose(
        interpreted[:, :6], compiled[:, :6], rtol=0.0, atol=1e-12, equal_nan=True
    )
    assert (interpreted[:, 6:9] == compiled[:, 6:9]).all()
