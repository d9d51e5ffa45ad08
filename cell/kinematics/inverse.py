"""Inverse kinematics for planning: all closed-form branches, and the nearest one.

For a whole move the branch matters more than the last nanometre, so this starts from
the geometry of the arm instead of iterating from the seed, then polishes.
"""

import itertools
import math
from collections.abc import Iterator

import numpy as np

from cell.contracts.geometry import Pose, Vector
from cell.kinematics.arm import IK_DAMPING, compute_frames, transform_of
from cell.kinematics.kernels import DH_A, DH_D, refine_ik

_TURN = 2.0 * math.pi
# Joint range of the UR5e; its elbow turns half as far.
JOINT_MIN_RAD = np.array([-_TURN, -_TURN, -math.pi, -_TURN, -_TURN, -_TURN])
JOINT_MAX_RAD = -JOINT_MIN_RAD
_POLISH_ITERATIONS = 6
_DISTANCE_LEFT_M = 1e-6
_ANGLE_LEFT_RAD = 1e-5
_BRANCHES = tuple(itertools.product((1.0, -1.0), repeat=3))


def solve_ik(
    base_from_tcp: Pose,
    flange_from_tcp: Pose,
    q_seed: Vector,
    joint_min_rad: Vector = JOINT_MIN_RAD,
    joint_max_rad: Vector = JOINT_MAX_RAD,
) -> Vector | None:
    """Return the solution nearest to `q_seed` within the joint range.

    Args:
        base_from_tcp: wanted tool pose.
        flange_from_tcp: tool.
        q_seed: joint positions to stay near, shape (6,) [rad].
        joint_min_rad: lower joint limits, shape (6,).
        joint_max_rad: upper joint limits, shape (6,).

    Returns:
        Joint positions, shape (6,) [rad]; None when the pose is out of reach.
    """
    solutions = solve_ik_branches(
        base_from_tcp, flange_from_tcp, q_seed, joint_min_rad, joint_max_rad
    )
    return solutions[0] if solutions else None


def solve_ik_branches(
    base_from_tcp: Pose,
    flange_from_tcp: Pose,
    q_seed: Vector,
    joint_min_rad: Vector = JOINT_MIN_RAD,
    joint_max_rad: Vector = JOINT_MAX_RAD,
) -> list[Vector]:
    """Return up to eight solutions, nearest to `q_seed` first; see `solve_ik`."""
    seed = np.asarray(q_seed, dtype=np.float64)
    target = transform_of(base_from_tcp)
    tool = transform_of(flange_from_tcp)
    if not (np.isfinite(target).all() and np.isfinite(seed).all()):
        return []
    flange = transform_of(base_from_tcp @ flange_from_tcp.inverse())
    found = []
    for branch in _closed_form(flange, float(seed[5])):
        q = branch.copy()
        distance_m, angle_rad = refine_ik(
            q, target, tool, _POLISH_ITERATIONS, IK_DAMPING
        )
        if distance_m > _DISTANCE_LEFT_M or angle_rad > _ANGLE_LEFT_RAD:
            continue
        near = _nearest_turn(q, seed, joint_min_rad, joint_max_rad)
        if near is not None:
            found.append(near)
    return sorted(found, key=lambda q: float(np.sum((q - seed) ** 2)))


def _closed_form(flange: Vector, q6_free: float) -> Iterator[Vector]:
    """Yield the branches shoulder left/right, wrist up/down, elbow up/down."""
    for shoulder, wrist, elbow in _BRANCHES:
        q1 = _shoulder_pan(flange, shoulder)
        if q1 is None:
            return
        q5 = _wrist_bend(flange, q1, wrist)
        q6 = _wrist_roll(flange, q1, q5, q6_free)
        lift = _planar_chain(flange, q1, q5, q6, elbow)
        if lift is not None:
            yield np.array([q1, *lift, q5, q6])


def _shoulder_pan(flange: Vector, side: float) -> float | None:
    wrist = flange[:, 3] - DH_D[5] * flange[:, 2]
    reach = math.hypot(wrist[0], wrist[1])
    if reach < DH_D[3]:
        return None
    heading = math.atan2(wrist[1], wrist[0])
    return heading + side * math.acos(DH_D[3] / reach) + math.pi / 2


def _wrist_bend(flange: Vector, q1: float, side: float) -> float:
    offset = flange[0, 3] * math.sin(q1) - flange[1, 3] * math.cos(q1) - DH_D[3]
    return side * math.acos(max(-1.0, min(1.0, offset / DH_D[5])))


def _wrist_roll(flange: Vector, q1: float, q5: float, q6_free: float) -> float:
    s1, c1, s5 = math.sin(q1), math.cos(q1), math.sin(q5)
    # The bend comes from an arc cosine, which near its end knows half of the digits.
    if abs(s5) < 1e-6:
        # The last axis lies parallel to the lift axes: any roll will do.
        return q6_free
    return math.atan2(
        (c1 * flange[1, 1] - s1 * flange[0, 1]) / s5,
        (s1 * flange[0, 0] - c1 * flange[1, 0]) / s5,
    )


def _planar_chain(
    flange: Vector, q1: float, q5: float, q6: float, elbow: float
) -> tuple[float, float, float] | None:
    """Solve the three parallel axes in the plane of frame 1."""
    outer = np.eye(4)
    outer[:3] = flange
    shoulder_from_wrist = (
        _inverse_link(0, q1) @ outer @ np.linalg.inv(_link(4, q5) @ _link(5, q6))
    )
    x, y = (shoulder_from_wrist[:2, 3] - DH_D[3] * shoulder_from_wrist[:2, 1]).tolist()
    upper, fore = float(DH_A[1]), float(DH_A[2])
    cosine = (x * x + y * y - upper**2 - fore**2) / (2 * upper * fore)
    if abs(cosine) > 1.0:
        return None
    q3 = elbow * math.acos(cosine)
    q2 = math.atan2(y, x) - math.atan2(fore * math.sin(q3), upper + fore * math.cos(q3))
    total = math.atan2(shoulder_from_wrist[1, 0], shoulder_from_wrist[0, 0])
    return q2, q3, total - q2 - q3


def _link(index: int, angle: float) -> Vector:
    """Return the DH transform of one joint, shape (4, 4)."""
    q = np.zeros(6)
    q[index] = angle
    frames = compute_frames(q)
    before, after = np.eye(4), np.eye(4)
    before[:3], after[:3] = frames[index], frames[index + 1]
    return np.asarray(np.linalg.inv(before) @ after)


def _inverse_link(index: int, angle: float) -> Vector:
    return np.asarray(np.linalg.inv(_link(index, angle)))


def _nearest_turn(
    q: Vector, seed: Vector, joint_min_rad: Vector, joint_max_rad: Vector
) -> Vector | None:
    """Shift each joint by whole turns: nearest to the seed, inside the range."""
    near = q + _TURN * np.round((seed - q) / _TURN)
    near = np.where(near > joint_max_rad, near - _TURN, near)
    near = np.where(near < joint_min_rad, near + _TURN, near)
    inside = (near >= joint_min_rad) & (near <= joint_max_rad)
    return near if bool(inside.all()) else None
