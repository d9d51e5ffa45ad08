"""Rigid transforms. Only this module knows their matrix form.

Naming: `a_from_b` maps coordinates in frame b to frame a, so neighbours cancel when
read aloud: `base_from_camera @ camera_from_part == base_from_part`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pose:
    """A rigid transform `a_from_b`: rotation, then translation.

    Attributes:
        position_m: origin of b in a, shape (3,) [m].
        quat_wxyz: unit quaternion of b in a, shape (4,), scalar first.
    """

    position_m: Vector
    quat_wxyz: Vector

    @classmethod
    def identity(cls) -> Self:
        """Return the transform that changes nothing."""
        return cls(np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0]))

    @classmethod
    def from_matrix(cls, matrix: Vector) -> Self:
        """Build from a homogeneous matrix, shape (4, 4)."""
        return cls(
            np.array(matrix[:3, 3], dtype=np.float64), _quat_of_matrix(matrix[:3, :3])
        )

    @classmethod
    def from_rotvec(cls, position_m: Sequence[float], rotvec: Sequence[float]) -> Self:
        """Build from a position [m] and a rotation vector [rad] (UR's pose form)."""
        # Plain numbers: for three of them the calls of numpy take four times as long,
        # and the servo process does this in every cycle.
        x, y, z = map(float, rotvec)
        angle = math.hypot(x, y, z)
        if not math.isfinite(angle):
            # A robot that sends no number is for the guard to refuse, not a crash here.
            w = share = math.nan
        else:
            w = math.cos(angle / 2)
            share = 0.5 if angle < 1e-12 else math.sin(angle / 2) / angle
        quat = np.array([w, share * x, share * y, share * z])
        return cls(np.asarray(position_m, dtype=np.float64), quat)

    @classmethod
    def tool_down(cls, position_m: Sequence[float], yaw_rad: float) -> Self:
        """Build a tool pose that points along -z of the parent frame.

        At yaw 0 the tool's x axis is the parent's x axis; yaw turns it about the
        parent's +z.
        """
        half = yaw_rad / 2
        quat = np.array([0.0, np.cos(half), np.sin(half), 0.0])
        return cls(np.asarray(position_m, dtype=np.float64), quat)

    def as_matrix(self) -> Vector:
        """Return the homogeneous matrix, shape (4, 4)."""
        w, x, y, z = self.quat_wxyz / np.linalg.norm(self.quat_wxyz)
        matrix = np.eye(4)
        matrix[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
        matrix[:3, 3] = self.position_m
        return matrix

    def as_rotvec(self) -> Vector:
        """Return the rotation vector, shape (3,) [rad], with angle in [0, pi]."""
        quat = self.quat_wxyz if self.quat_wxyz[0] >= 0 else -self.quat_wxyz
        norm = float(np.linalg.norm(quat[1:]))
        if norm < 1e-12:
            return np.asarray(2.0 * quat[1:])
        return np.asarray(2.0 * np.arctan2(norm, quat[0]) / norm * quat[1:])

    def inverse(self) -> "Pose":
        """Return `b_from_a`."""
        inverse = np.eye(4)
        matrix = self.as_matrix()
        inverse[:3, :3] = matrix[:3, :3].T
        inverse[:3, 3] = -matrix[:3, :3].T @ matrix[:3, 3]
        return Pose.from_matrix(inverse)

    def __matmul__(self, other: "Pose") -> "Pose":
        """Compose: `a_from_b @ b_from_c == a_from_c`."""
        return Pose.from_matrix(self.as_matrix() @ other.as_matrix())

    def apply(self, points_m: Vector) -> Vector:
        """Map points from b to a, shape (..., 3) [m]."""
        matrix = self.as_matrix()
        return np.asarray(points_m @ matrix[:3, :3].T + matrix[:3, 3])


def _quat_of_matrix(rotation: Vector) -> Vector:
    # Bar-Itzhack's symmetric form avoids the branches of the trace method and stays
    # accurate for slightly non-orthogonal input.
    m = rotation
    k = (
        np.array(
            [
                [m[0, 0] - m[1, 1] - m[2, 2], 0, 0, 0],
                [m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], 0, 0],
                [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1], 0],
                [
                    m[2, 1] - m[1, 2],
                    m[0, 2] - m[2, 0],
                    m[1, 0] - m[0, 1],
                    m[0, 0] + m[1, 1] + m[2, 2],
                ],
            ]
        )
        / 3
    )
    _, vectors = np.linalg.eigh(k)
    x, y, z, w = vectors[:, -1]
    quat = np.array([w, x, y, z])
    return quat if w >= 0 else -quat
