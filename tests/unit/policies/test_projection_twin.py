"""The torch layers answer as the projection of the running cell does.

A sample that lies within 1e-10 of a range of the edge between granted and refused is a
tie, which rounding may decide either way: ties are left out, and counted.
"""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cell.contracts.servo import HoldReason
from cell.kinematics import compute_base_from_tcp, compute_jacobian
from policies.training import projection as twin
from policies.training.kinematics import compute_smallest_singular_value, compute_tool
from policies.training.projection import (
    IncrementProjection,
    PoseProjection,
    ProjectionLimits,
)
from safety import projection as runtime
from safety import projection_limits, velocity_box
from safety.limits import make_limits
from safety.projection import PROJECTION, project_increment, project_pose
from tests.fakes.motion_oracle import PERIOD_S, SAFETY, TOOL_Z_M
from tests.fakes.projection_cases import (
    JERK_RADPS3,
    QUICK_JERK_RADPS3,
    TOOL,
    draw_increments,
    draw_poses,
    make_packed,
    with_jerk,
)

AGREEMENT = 1e-6
TIE = 1e-10
# Together 10^5 states of each kind; in pieces that fit into a cache.
SEEDS, EACH, PIECE = 5, 20_000, 2_000


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def make_twin_limits(packed: NDArray[Any]) -> ProjectionLimits:
    return ProjectionLimits.from_packed(packed)


def make_full_matrix() -> NDArray[np.float64]:
    rng = np.random.default_rng(3)
    return np.asarray(rng.normal(size=(6, 6)) * 0.003)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("kind", ["plain", "quick jerk", "jerk and full matrix"])
def test_increments_are_projected_as_on_the_running_cell(seed: int, kind: str) -> None:
    packed = make_packed()
    if kind == "quick jerk":
        packed = make_packed(QUICK_JERK_RADPS3)
    elif kind != "plain":
        packed = make_packed(JERK_RADPS3, make_full_matrix())
    layer = IncrementProjection(make_twin_limits(packed))
    cases = draw_increments(np.random.default_rng(seed), EACH, packed)
    expected = np.zeros(EACH, PROJECTION)
    for i in range(EACH):
        project_increment(
            cases.q[i],
            cases.qd[i],
            cases.qdd[i],
            cases.action[i],
            packed,
            expected[i : i + 1],
        )

    with torch.no_grad():
        answer = layer(
            torch.from_numpy(cases.q),
            torch.from_numpy(cases.qd),
            torch.from_numpy(cases.qdd),
            torch.from_numpy(cases.action),
        )

    granted = expected["reason"] == HoldReason.NONE
    # A box of no width is a tie, too.
    is_tie = ~granted & (expected["margin"] > -TIE)
    assert is_tie.sum() <= EACH // 2000
    assert (answer.is_granted.numpy() == granted)[~is_tie].all()
    assert np.allclose(
        answer.q.numpy()[~is_tie],
        expected["q"][~is_tie],
        rtol=0.0,
        atol=AGREEMENT,
        equal_nan=True,
    )
    assert 0.1 < granted.mean() < 0.99
    narrowed = expected["narrowed_by"][granted] != HoldReason.NONE
    lost = answer.loss.numpy()[granted]
    assert (lost[narrowed] > 0.0).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_poses_are_projected_as_on_the_running_cell(seed: int) -> None:
    packed = make_packed()
    layer = PoseProjection(make_twin_limits(packed))
    cases = draw_poses(np.random.default_rng(100 + seed), EACH, packed)
    expected = np.zeros(EACH, PROJECTION)
    for i in range(EACH):
        project_pose(cases.q[i], cases.base_from_tcp[i], packed, expected[i : i + 1])

    pieces = []
    with torch.no_grad():
        for start in range(0, EACH, PIECE):
            some = slice(start, start + PIECE)
            pieces.append(
                layer(
                    torch.from_numpy(cases.q[some]),
                    torch.from_numpy(cases.base_from_tcp[some]),
                )
            )
    q, is_granted, residual_m, residual_rad, sigma, loss = (
        torch.cat(parts).numpy() for parts in zip(*pieces, strict=True)
    )

    granted = expected["reason"] == HoldReason.NONE
    is_tie = np.abs(expected["margin"]) < TIE
    assert is_tie.sum() <= EACH // 2000
    assert (is_granted == granted)[~is_tie].all()
    assert np.allclose(
        q[~is_tie], expected["q"][~is_tie], rtol=0.0, atol=AGREEMENT, equal_nan=True
    )
    # What the kernel did not work out it tells as infinitely far.
    known = np.isfinite(expected["residual_m"])
    assert np.abs(residual_m - expected["residual_m"])[known].max() <= AGREEMENT
    assert np.abs(residual_rad - expected["residual_rad"])[known].max() <= AGREEMENT
    assert np.abs(sigma - expected["singular_value"])[known].max() <= AGREEMENT
    assert (loss[is_granted] == 0.0).all()
    assert (loss[known & ~granted & ~is_tie] > 0.0).all()
    met = {HoldReason(int(reason)) for reason in expected["reason"]}
    assert met == {
        HoldReason.NONE,
        HoldReason.COMMAND_NOT_FINITE,
        HoldReason.UNREACHABLE,
        HoldReason.JOINT_POSITION,
        HoldReason.WORKSPACE,
        HoldReason.SINGULAR,
    }
    assert 0.1 < granted.mean() < 0.9


def test_both_sides_hold_the_same_constants() -> None:
    for name in (
        "IK_ITERATIONS",
        "IK_DAMPING",
        "LONGEST_STEP_RAD",
        "REACHED_M",
        "REACHED_RAD",
        "ROTATION_TOLERANCE",
    ):
        assert getattr(twin, name) == getattr(runtime, name)
    assert twin.LEAST_BRAKING == projection_limits.LEAST_BRAKING
    assert twin.LARGEST_NUMBER == projection_limits.LARGEST_NUMBER
    assert twin.ROUNDING == velocity_box.ROUNDING
    assert twin.BRAKING_SHARE == velocity_box.BRAKING_SHARE


def test_the_limits_of_a_guard_are_read_as_they_are() -> None:
    guard = with_jerk(make_limits(SAFETY, TOOL, PERIOD_S), JERK_RADPS3)

    limits = ProjectionLimits.from_packed(guard)
    layer = IncrementProjection(limits)

    assert limits.period_s == PERIOD_S
    assert limits.flange_from_tcp[2, 3] == TOOL_Z_M
    assert limits.increment_rad is None
    packed = make_packed(JERK_RADPS3)[0]
    for name, field in (
        ("increment", "increment_rad"),
        ("jerk", "joint_jerk_radps3"),
        ("speed", "joint_speed_radps"),
    ):
        assert np.array_equal(getattr(layer, name).numpy(), packed[field])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_arm_is_the_same_in_torch(dtype: torch.dtype) -> None:
    tool = torch.from_numpy(TOOL.as_matrix()[:3]).to(dtype)
    joints = np.random.default_rng(0).uniform(-3.1, 3.1, (200, 6))
    tolerance = 1e-12 if dtype is torch.float64 else 1e-5

    pose, jacobian = compute_tool(torch.from_numpy(joints).to(dtype), tool)

    for i, q in enumerate(joints):
        expected = compute_base_from_tcp(q, TOOL).as_matrix()[:3]
        assert np.allclose(pose[i], expected, rtol=0.0, atol=tolerance)
        assert np.allclose(
            jacobian[i], compute_jacobian(q, TOOL), rtol=0.0, atol=tolerance
        )


def test_the_smallest_singular_value_is_that_of_a_full_decomposition() -> None:
    rng = np.random.default_rng(1)
    tool = torch.from_numpy(TOOL.as_matrix()[:3])
    joints = rng.uniform(-3.1, 3.1, (2000, 6))
    # Straight wrists and elbows, some of them exactly.
    joints[::4, 4] = 10.0 ** rng.uniform(-12.0, -1.0, 500)
    joints[1::4, 2] = 0.0
    _, jacobian = compute_tool(torch.from_numpy(joints), tool)
    # Values that coincide.
    jacobian[:6] = torch.eye(6, dtype=torch.float64)
    jacobian[6] = torch.zeros(6, 6, dtype=torch.float64)

    sigma = compute_smallest_singular_value(jacobian)

    expected = torch.linalg.svdvals(jacobian)[..., -1]
    assert float((sigma - expected).abs().max()) < 1e-7
