"""Forward and differential kinematics of the UR5e in terms of poses.

Frames: `base` is the robot's DH base, `flange` its DH frame 6, `tcp` the tool point
given by `flange_from_tcp`.
"""

import numpy as np

from cell.contracts.geometry import Pose, Vector
from cell.kinematics.kernels import (
    compose,
    fill_frames,
    fill_jacobian,
    refine_ik,
    smallest_singular_value,
)

# Small enough to converge to nanometres within five steps down to a singular value of
# 0.08, large enough to keep the step finite at a singularity.
IK_DAMPING = 0.01
IK_ITERATIONS = 5


def transform_of(a_from_b: Pose) -> Vector:
    """Return a pose as the (3, 4) array that the kernels take."""
    return np.ascontiguousarray(a_from_b.as_matrix()[:3])


def pose_of(transform: Vector) -> Pose:
    """Return a (3, 4) array of the kernels as a pose."""
    matrix = np.eye(4)
    matrix[:3] = transform
    return Pose.from_matrix(matrix)


def compute_frames(q: Vector) -> Vector:
    """Return base_from_frame_i of the base and all six joints, shape (7, 3, 4)."""
    frames = np.empty((7, 3, 4))
    fill_frames(_joints(q), frames)
    return frames


def compute_base_from_flange(q: Vector) -> Pose:
    """Return the flange pose at joint positions `q`, shape (6,) [rad]."""
    return pose_of(compute_frames(q)[6])


def compute_base_from_tcp(q: Vector, flange_from_tcp: Pose) -> Pose:
    """Return the tool pose at joint positions `q`, shape (6,) [rad]."""
    return pose_of(_tcp_transform(compute_frames(q), flange_from_tcp))


def compute_jacobian(q: Vector, flange_from_tcp: Pose) -> Vector:
    """Return the TCP Jacobian in base axes, shape (6, 6), linear rows first."""
    frames = compute_frames(q)
    jacobian = np.empty((6, 6))
    fill_jacobian(frames, _tcp_transform(frames, flange_from_tcp), jacobian)
    return jacobian


def compute_smallest_singular_value(q: Vector, flange_from_tcp: Pose) -> float:
    """Return how far the arm is from a singularity; 0 means inside one."""
    return smallest_singular_value(compute_jacobian(q, flange_from_tcp))


def track_ik(
    base_from_tcp: Pose,
    flange_from_tcp: Pose,
    q_near: Vector,
    iterations: int = IK_ITERATIONS,
) -> tuple[Vector, float, float]:
    """Follow a nearby pose by damped least squares.

    Returns:
        Joint positions, distance left [m], angle left [rad].
    """
    q = _joints(q_near).copy()
    distance_m, angle_rad = refine_ik(
        q,
        transform_of(base_from_tcp),
        transform_of(flange_from_tcp),
        iterations,
        IK_DAMPING,
    )
    return q, distance_m, angle_rad


def _tcp_transform(frames: Vector, flange_from_tcp: Pose) -> Vector:
    tcp = np.empty((3, 4))
    compose(frames[6], transform_of(flange_from_tcp), tcp)
    return tcp


def _joints(q: Vector) -> Vector:
    return np.ascontiguousarray(q, dtype=np.float64)
