"""Exact kinematics of the UR5e by its published DH numbers, closed form both ways."""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TypeAlias

from sim2real.virtual_cell.ur.frames import (
    Frame,
    Vec3,
    compute_cross,
    compute_dot,
)

Joints: TypeAlias = tuple[float, ...]
"""Six joint positions or velocities [rad] or [rad/s]."""

D1, D4, D5, D6 = 0.1625, 0.1333, 0.0997, 0.0996
A2, A3 = -0.425, -0.3922

JOINT_LIMIT_RAD = 2.0 * math.pi
"""Largest joint angle of every axis."""

_SINGULAR = 1e-9
_REACH_ROUNDING = 1e-7  # keeps the stretched arm itself within reach


def compute_flange(q: Sequence[float]) -> Frame:
    """Return `base_from_flange` for joint positions [rad]."""
    return _compute_chain(tuple(q))[0]


@lru_cache(maxsize=8)  # pose, speed and force of one tick ask for the same position
def _compute_chain(q: Joints) -> tuple[Frame, tuple[Vec3, ...], Vec3, Vec3]:
    """Return the flange frame, origins of axes 2-6, and the axes of joints 5 and 6."""
    s1, c1 = math.sin(q[0]), math.cos(q[0])
    s2, c2 = math.sin(q[1]), math.cos(q[1])
    s23, c23 = math.sin(q[1] + q[2]), math.cos(q[1] + q[2])
    s234, c234 = math.sin(q[1] + q[2] + q[3]), math.cos(q[1] + q[2] + q[3])
    s5, c5 = math.sin(q[4]), math.cos(q[4])
    s6, c6 = math.sin(q[5]), math.cos(q[5])
    # Axes of frame 4 and z of frame 5; the y axis of frame 4 is that of joints 2-4.
    x4 = (c1 * c234, s1 * c234, s234)
    z4 = (c1 * s234, s1 * s234, -c234)
    x5 = (c5 * x4[0] + s5 * s1, c5 * x4[1] - s5 * c1, c5 * s234)
    z5 = (c5 * s1 - s5 * x4[0], -c5 * c1 - s5 * x4[1], -s5 * s234)
    reach2 = A2 * c2
    reach3 = reach2 + A3 * c23
    p2 = (reach2 * c1, reach2 * s1, D1 + A2 * s2)
    p3 = (reach3 * c1, reach3 * s1, p2[2] + A3 * s23)
    p4 = (p3[0] + D4 * s1, p3[1] - D4 * c1, p3[2])
    p5 = (p4[0] + D5 * z4[0], p4[1] + D5 * z4[1], p4[2] + D5 * z4[2])
    p6 = (p5[0] + D6 * z5[0], p5[1] + D6 * z5[1], p5[2] + D6 * z5[2])
    x6 = (c6 * x5[0] - s6 * z4[0], c6 * x5[1] - s6 * z4[1], c6 * x5[2] - s6 * z4[2])
    y6 = (-s6 * x5[0] - c6 * z4[0], -s6 * x5[1] - c6 * z4[1], -s6 * x5[2] - c6 * z4[2])
    return Frame((x6, y6, z5), p6), ((0.0, 0.0, D1), p2, p3, p4, p5), z4, z5


def compute_jacobian(q: Sequence[float], point: Vec3) -> list[tuple[float, ...]]:
    """Return the six columns (linear, angular) of the Jacobian of a point.

    Args:
        q: joint positions [rad].
        point: the point fixed to the flange, in base coordinates [m].
    """
    columns: list[tuple[float, ...]] = []
    for axis, origin in zip(*_compute_axes(q), strict=True):
        arm = (point[0] - origin[0], point[1] - origin[1], point[2] - origin[2])
        columns.append(compute_cross(axis, arm) + axis)
    return columns


def _compute_axes(q: Sequence[float]) -> tuple[tuple[Vec3, ...], tuple[Vec3, ...]]:
    """Return direction and origin of the six joint axes in base coordinates."""
    _, origins, z4, z5 = _compute_chain(tuple(q))
    shoulder = (math.sin(q[0]), -math.cos(q[0]), 0.0)
    axes = ((0.0, 0.0, 1.0), shoulder, shoulder, shoulder, z4, z5)
    return axes, ((0.0, 0.0, 0.0), *origins)


def compute_tcp_speed(
    q: Sequence[float], qd: Sequence[float], point: Vec3
) -> tuple[float, ...]:
    """Return linear and angular velocity of a point of the tool [m/s, rad/s]."""
    if not any(qd):
        return (0.0,) * 6
    vx = vy = vz = wx = wy = wz = 0.0
    for (ax, ay, az), (ox, oy, oz), rate in zip(*_compute_axes(q), qd, strict=True):
        x, y, z = point[0] - ox, point[1] - oy, point[2] - oz
        vx += rate * (ay * z - az * y)
        vy += rate * (az * x - ax * z)
        vz += rate * (ax * y - ay * x)
        wx += rate * ax
        wy += rate * ay
        wz += rate * az
    return (vx, vy, vz, wx, wy, wz)


def compute_joints(base_from_flange: Frame, q_near: Sequence[float]) -> Joints | None:
    """Return the inverse solution nearest to `q_near`, or None when out of reach."""
    best: Joints | None = None
    best_cost = math.inf
    for solution in _solve(base_from_flange, q_near):
        near = tuple(
            _wrap_near(angle, reference)
            for angle, reference in zip(solution, q_near, strict=True)
        )
        cost = sum((a - b) ** 2 for a, b in zip(near, q_near, strict=True))
        if cost < best_cost:
            best, best_cost = near, cost
    return best


def _wrap_near(angle: float, reference: float) -> float:
    wrapped = reference + math.remainder(angle - reference, 2.0 * math.pi)
    if wrapped > JOINT_LIMIT_RAD:
        return wrapped - 2.0 * math.pi
    if wrapped < -JOINT_LIMIT_RAD:
        return wrapped + 2.0 * math.pi
    return wrapped


def _solve(flange: Frame, q_near: Sequence[float]) -> Iterator[Joints]:
    """Yield up to eight solutions, shoulder by shoulder and wrist by wrist."""
    (x6, y6, z6), p = flange
    wrist_x, wrist_y = p[0] - D6 * z6[0], p[1] - D6 * z6[1]
    radius = math.hypot(wrist_x, wrist_y)
    if radius < D4 - _REACH_ROUNDING:
        return
    bearing, offset = math.atan2(wrist_y, wrist_x), math.asin(min(1.0, D4 / radius))
    for q1 in (bearing + offset, bearing + math.pi - offset):
        normal = (math.sin(q1), -math.cos(q1), 0.0)
        sine = math.hypot(compute_dot(x6, normal), compute_dot(y6, normal))
        bend = math.atan2(sine, compute_dot(z6, normal))
        for q5 in (bend, -bend):
            yield from _solve_elbow(flange, q1, q5, q_near[5])


def _solve_elbow(
    flange: Frame, q1: float, q5: float, q6_free: float
) -> Iterator[Joints]:
    (x6, y6, z6), p = flange
    s1, c1, s5 = math.sin(q1), math.cos(q1), math.sin(q5)
    normal = (s1, -c1, 0.0)
    if abs(s5) < _SINGULAR:
        # Joints 4 and 6 turn about parallel axes: keep joint 6 where it was.
        q6 = q6_free
    else:
        q6 = math.atan2(-compute_dot(y6, normal) / s5, compute_dot(x6, normal) / s5)
    s6, c6 = math.sin(q6), math.cos(q6)
    z4 = tuple(-s6 * a - c6 * b for a, b in zip(x6, y6, strict=True))
    q234 = math.atan2(z4[0] * c1 + z4[1] * s1, -z4[2])
    p3 = tuple(p[i] - D6 * z6[i] - D5 * z4[i] - D4 * normal[i] for i in range(3))
    reach, height = p3[0] * c1 + p3[1] * s1, p3[2] - D1
    c3 = (reach * reach + height * height - A2 * A2 - A3 * A3) / (2.0 * A2 * A3)
    if abs(c3) > 1.0 + _REACH_ROUNDING:
        return
    elbow = math.acos(max(-1.0, min(1.0, c3)))
    for q3 in (elbow, -elbow):
        q2 = math.atan2(height, reach) - math.atan2(
            A3 * math.sin(q3), A2 + A3 * math.cos(q3)
        )
        yield (q1, q2, q3, q234 - q2 - q3, q5, q6)
