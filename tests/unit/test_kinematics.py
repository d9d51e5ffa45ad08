"""Kinematics against textbook matrices, finite differences and itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cell.contracts.geometry import Pose, Vector
from cell.kinematics import (
    compute_base_from_flange,
    compute_base_from_tcp,
    compute_jacobian,
    compute_smallest_singular_value,
    kernels,
    solve_ik,
    solve_ik_branches,
    track_ik,
)
from cell.kinematics.compiled import compute_source_digest
from tests.fakes.motion_oracle import HOME_Q, OVER_BIN_Q, TOOL_Z_M, compute_tcp

TOOL = Pose.from_rotvec([0.0, 0.0, TOOL_Z_M], [0.0, 0.0, 0.0])
CROOKED = Pose.from_rotvec([0.03, -0.02, 0.11], [0.2, -0.3, 0.4])

joints = arrays.arrays(np.float64, 6, elements=st.floats(-3.1, 3.1))


def distance(left: Pose, right: Pose) -> tuple[float, float]:
    """Return metres and radians between two poses."""
    gap = left.inverse() @ right
    return float(np.linalg.norm(gap.position_m)), float(np.linalg.norm(gap.as_rotvec()))


@given(joints)
def test_the_tool_lies_where_the_product_of_matrices_puts_it(q: Vector) -> None:
    place_m = compute_base_from_tcp(q, TOOL).position_m

    assert np.allclose(place_m, compute_tcp(q), atol=1e-12)


def test_at_zero_the_flange_lies_where_the_manufacturer_says() -> None:
    flange = compute_base_from_flange(np.zeros(6))

    assert np.allclose(
        flange.position_m, [-0.8172, -0.1333 - 0.0996, 0.1625 - 0.0997], atol=1e-12
    )


@given(joints)
def test_the_jacobian_is_the_derivative_of_the_pose(q: Vector) -> None:
    jacobian = compute_jacobian(q, CROOKED)
    step = 1e-6
    for joint in range(6):
        shift = np.zeros(6)
        shift[joint] = step
        after = compute_base_from_tcp(q + shift, CROOKED)
        before = compute_base_from_tcp(q - shift, CROOKED)
        linear = (after.position_m - before.position_m) / (2 * step)
        turn = after.as_matrix()[:3, :3] @ before.as_matrix()[:3, :3].T
        angular = np.array(
            [turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]
        ) / (4 * step)
        assert np.allclose(jacobian[:3, joint], linear, atol=1e-8)
        assert np.allclose(jacobian[3:, joint], angular, atol=1e-8)


@given(joints)
def test_the_smallest_singular_value_is_the_one_of_a_full_decomposition(
    q: Vector,
) -> None:
    values = np.linalg.svd(compute_jacobian(q, TOOL), compute_uv=False)

    assert compute_smallest_singular_value(q, TOOL) == pytest.approx(
        values[-1], abs=1e-12
    )


@given(joints)
def test_every_branch_reaches_the_pose_and_the_first_is_nearest(q: Vector) -> None:
    pose = compute_base_from_tcp(q, CROOKED)

    branches = solve_ik_branches(pose, CROOKED, q)

    gaps = [float(np.linalg.norm(branch - q)) for branch in branches]
    assert gaps == sorted(gaps)
    for branch in branches:
        metres, radians = distance(compute_base_from_tcp(branch, CROOKED), pose)
        assert metres < 2e-6
        assert radians < 2e-5


@pytest.mark.parametrize("q", [HOME_Q, OVER_BIN_Q])
def test_the_solution_near_a_regular_seed_is_the_seed_itself(q: Vector) -> None:
    found = solve_ik(compute_base_from_tcp(q, TOOL), TOOL, q + 0.02)

    assert found is not None
    assert np.allclose(found, q, atol=1e-7)
    assert len(solve_ik_branches(compute_base_from_tcp(q, TOOL), TOOL, q)) == 8


def test_solutions_stay_within_the_joint_range_that_is_asked_for() -> None:
    pose = compute_base_from_tcp(HOME_Q, TOOL)
    low = np.array([-6.2, -3.14, -2.9, -6.2, -6.2, -6.2])
    high = np.array([6.2, 0.0, 2.9, 6.2, 6.2, 6.2])
    high[5] = HOME_Q[5] - 0.1

    branches = solve_ik_branches(pose, TOOL, HOME_Q, low, high)

    assert branches
    assert all(((low <= q) & (q <= high)).all() for q in branches)


def test_whole_turns_are_chosen_towards_the_seed() -> None:
    pose = compute_base_from_tcp(HOME_Q, TOOL)
    seed = HOME_Q + np.array([0.0, 0.0, 0.0, 0.0, 0.0, 2 * np.pi])

    found = solve_ik(pose, TOOL, seed)

    assert found is not None
    assert found[5] == pytest.approx(seed[5])


@pytest.mark.parametrize(
    "place_m", [[1.2, 0.4, 0.3], [0.0, 0.0, 0.3], [np.nan, 0.4, 0.3]]
)
def test_a_pose_out_of_reach_has_no_solution(place_m: list[float]) -> None:
    pose = Pose(np.array(place_m), np.array([0.0, 1.0, 0.0, 0.0]))

    assert solve_ik(pose, TOOL, HOME_Q) is None


def test_with_a_straight_wrist_the_seed_chooses_the_roll() -> None:
    q = HOME_Q.copy()
    q[4] = 0.0

    found = solve_ik(compute_base_from_tcp(q, TOOL), TOOL, q)

    assert found is not None
    assert np.allclose(found, q, atol=1e-5)


def test_five_steps_follow_a_tool_that_moves_a_millimetre() -> None:
    pose = compute_base_from_tcp(OVER_BIN_Q, TOOL)
    shifted = Pose(pose.position_m + np.array([6e-4, -5e-4, 6e-4]), pose.quat_wxyz)

    q, left_m, left_rad = track_ik(shifted, TOOL, OVER_BIN_Q)

    assert left_m < 1e-9
    assert left_rad < 1e-9
    assert np.max(np.abs(q - OVER_BIN_Q)) < 0.02


def test_the_damped_step_stays_finite_in_a_singularity() -> None:
    pose = compute_base_from_tcp(np.zeros(6), TOOL)
    beyond = Pose(pose.position_m * 1.5, pose.quat_wxyz)

    q, left_m, _ = track_ik(beyond, TOOL, np.zeros(6))

    assert np.isfinite(q).all()
    assert left_m > 0.1


def test_half_a_turn_is_never_reported_as_reached() -> None:
    pose = compute_base_from_tcp(HOME_Q, TOOL)
    flipped = pose @ Pose.from_rotvec([0.0, 0.0, 0.0], [np.pi, 0.0, 0.0])

    _, _, left_rad = track_ik(flipped, TOOL, HOME_Q, iterations=0)

    assert left_rad > 3.0


def test_kernels_give_the_same_numbers_without_their_compiler(
    tmp_path: Path, repository: Path
) -> None:
    code = (
        "import numpy as np; from cell.kinematics import *;"
        "from tests.unit.test_kinematics import *;"
        f"np.save({str(tmp_path / 'j.npy')!r}, compute_jacobian(HOME_Q, CROOKED))"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=repository,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        check=True,
    )

    plain = np.load(tmp_path / "j.npy")

    assert np.max(np.abs(plain - compute_jacobian(HOME_Q, CROOKED))) < 1e-14


def test_machine_code_is_kept_apart_for_every_state_of_the_sources(
    tmp_path: Path, repository: Path
) -> None:
    for folder in ("cell/kinematics", "cell/servo", "safety"):
        shutil.copytree(repository / folder, tmp_path / folder)
    before = compute_source_digest(tmp_path)
    assert before == compute_source_digest(repository)

    with (tmp_path / "cell/kinematics/kernels.py").open("a") as source:
        source.write("\n")

    assert compute_source_digest(tmp_path) != before


@pytest.mark.parametrize("column", range(6))
def test_a_jacobian_that_is_no_number_has_no_singular_value(column: int) -> None:
    jacobian = np.eye(6)
    jacobian[2, column] = np.nan

    assert np.isnan(kernels.smallest_singular_value(jacobian))


@given(joints, st.floats(0.001, 0.4))
def test_singular_values_are_compared_with_a_floor_without_knowing_them(
    q: Vector, floor: float
) -> None:
    jacobian = compute_jacobian(q, CROOKED)
    smallest = float(np.linalg.svd(jacobian, compute_uv=False)[-1])
    assume(abs(smallest - floor) > 1e-6)

    are_above = kernels.are_singular_values_above(jacobian, floor, np.empty((6, 6)))

    assert are_above is (smallest > floor)


def test_below_zero_no_singular_value_is_looked_for() -> None:
    scratch = np.empty((6, 6))

    assert kernels.are_singular_values_above(np.zeros((6, 6)), -1e-9, scratch)
    assert not kernels.are_singular_values_above(np.zeros((6, 6)), 0.0, scratch)


def test_what_is_no_number_has_no_singular_value_above_anything() -> None:
    jacobian = compute_jacobian(HOME_Q, TOOL)
    jacobian[2, 3] = np.nan

    assert not kernels.are_singular_values_above(jacobian, 0.01, np.empty((6, 6)))
