"""Rigid transforms on plain floats, in UR's pose form.

At a 2 ms tick and six joints plain floats are faster than small numpy arrays, and they
pack into RTDE packages without conversion.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

Vec3: TypeAlias = tuple[float, float, float]
Rotation: TypeAlias = tuple[Vec3, Vec3, Vec3]
"""Columns of a rotation matrix: the x, y and z axis of b in a."""

Pose6: TypeAlias = tuple[float, ...]
"""Position [m] and rotation vector [rad], six numbers, as URScript writes `p[...]`."""


class Frame(NamedTuple):
    """A rigid transform `a_from_b`: axes and origin of b in a [m]."""

    axes: Rotation
    origin: Vec3


IDENTITY = Frame(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), (0.0, 0.0, 0.0))


def compute_cross(a: Vec3, b: Vec3) -> Vec3:
    """Return the cross product of two vectors."""
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


def compute_dot(a: Vec3, b: Vec3) -> float:
    """Return the inner product of two vectors."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def rotate(axes: Rotation, vector: Vec3) -> Vec3:
    """Turn a vector from frame b to the axes of frame a."""
    x, y, z = axes
    a, b, c = vector
    return (
        x[0] * a + y[0] * b + z[0] * c,
        x[1] * a + y[1] * b + z[1] * c,
        x[2] * a + y[2] * b + z[2] * c,
    )


def rotate_back(axes: Rotation, vector: Vec3) -> Vec3:
    """Turn a vector from frame a to the axes of frame b."""
    return (
        compute_dot(axes[0], vector),
        compute_dot(axes[1], vector),
        compute_dot(axes[2], vector),
    )


def compose(first: Frame, second: Frame) -> Frame:
    """Return `a_from_c` for `a_from_b` and `b_from_c`."""
    axes, origin = first
    x, y, z = second.axes
    dx, dy, dz = rotate(axes, second.origin)
    return Frame(
        (rotate(axes, x), rotate(axes, y), rotate(axes, z)),
        (origin[0] + dx, origin[1] + dy, origin[2] + dz),
    )


def invert(frame: Frame) -> Frame:
    """Return `b_from_a` for `a_from_b`."""
    x, y, z = frame.axes
    transposed = ((x[0], y[0], z[0]), (x[1], y[1], z[1]), (x[2], y[2], z[2]))
    dx, dy, dz = rotate_back(frame.axes, frame.origin)
    return Frame(transposed, (-dx, -dy, -dz))


def make_rotation(rotvec: Vec3) -> Rotation:
    """Build axes from a rotation vector [rad]."""
    angle = math.sqrt(compute_dot(rotvec, rotvec))
    if angle < 1e-12:
        return IDENTITY.axes
    x, y, z = rotvec[0] / angle, rotvec[1] / angle, rotvec[2] / angle
    c, s = math.cos(angle), math.sin(angle)
    k = 1.0 - c
    return (
        (c + x * x * k, y * x * k + z * s, z * x * k - y * s),
        (x * y * k - z * s, c + y * y * k, z * y * k + x * s),
        (x * z * k + y * s, y * z * k - x * s, c + z * z * k),
    )


def compute_rotvec(axes: Rotation) -> Vec3:
    """Return the rotation vector [rad] of a rotation, with angle in [0, pi]."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = axes
    # The largest of the four quaternion components keeps the division well away from 0.
    sums = (xx + yy + zz, xx - yy - zz, yy - xx - zz, zz - xx - yy)
    best = max(range(4), key=sums.__getitem__)
    big = math.sqrt(1.0 + sums[best])
    f = 0.5 / big
    if best == 0:
        quat = (0.5 * big, (yz - zy) * f, (zx - xz) * f, (xy - yx) * f)
    elif best == 1:
        quat = ((yz - zy) * f, 0.5 * big, (xy + yx) * f, (zx + xz) * f)
    elif best == 2:
        quat = ((zx - xz) * f, (xy + yx) * f, 0.5 * big, (yz + zy) * f)
    else:
        quat = ((xy - yx) * f, (zx + xz) * f, (yz + zy) * f, 0.5 * big)
    w, x, y, z = quat if quat[0] >= 0.0 else (-quat[0], -quat[1], -quat[2], -quat[3])
    sine = math.sqrt(x * x + y * y + z * z)
    if sine < 1e-12:
        return (2.0 * x, 2.0 * y, 2.0 * z)
    k = 2.0 * math.atan2(sine, w) / sine
    return (x * k, y * k, z * k)


def make_frame(pose: Sequence[float]) -> Frame:
    """Build a transform from position [m] and rotation vector [rad]."""
    return Frame(
        make_rotation((pose[3], pose[4], pose[5])), (pose[0], pose[1], pose[2])
    )


def compute_pose(frame: Frame) -> Pose6:
    """Return position [m] and rotation vector [rad] of a transform."""
    return frame.origin + compute_rotvec(frame.axes)
