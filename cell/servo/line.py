"""A straight tool line and its inverse kinematics, compiled."""

import math

import numpy as np

from cell.contracts.geometry import Vector
from cell.kinematics.compiled import compiled
from cell.kinematics.kernels import compose, fill_frames, fill_jacobian, refine_ik

_ITERATIONS = 5
_DAMPING = 0.01


@compiled
def fill_line_pose(
    start: Vector, shift_m: Vector, turn_rad: Vector, ratio: float, out: Vector
) -> None:
    """Write the (3, 4) pose at `ratio` of a line into `out`.

    The tool moves by `shift_m` in base axes and turns at an even rate about the fixed
    axis `turn_rad`, given in tool axes.
    """
    angle = ratio * math.sqrt(turn_rad[0] ** 2 + turn_rad[1] ** 2 + turn_rad[2] ** 2)
    spin = np.zeros((3, 4))
    if angle < 1e-12:
        for row in range(3):
            spin[row, row] = 1.0
    else:
        x = ratio * turn_rad[0] / angle
        y = ratio * turn_rad[1] / angle
        z = ratio * turn_rad[2] / angle
        c, s = math.cos(angle), math.sin(angle)
        rest = 1.0 - c
        spin[0, 0], spin[1, 1], spin[2, 2] = (
            c + x * x * rest,
            c + y * y * rest,
            c + z * z * rest,
        )
        spin[0, 1], spin[1, 0] = x * y * rest - z * s, x * y * rest + z * s
        spin[0, 2], spin[2, 0] = x * z * rest + y * s, x * z * rest - y * s
        spin[1, 2], spin[2, 1] = y * z * rest - x * s, y * z * rest + x * s
    compose(start, spin, out)
    for row in range(3):
        out[row, 3] = start[row, 3] + ratio * shift_m[row]


@compiled
def follow_line(
    q: Vector,
    start: Vector,
    shift_m: Vector,
    turn_rad: Vector,
    ratio: float,
    tool: Vector,
) -> tuple[float, float]:
    """Move `q` in place to a place on the line; return what is left [m], [rad]."""
    target = np.empty((3, 4))
    fill_line_pose(start, shift_m, turn_rad, ratio, target)
    return refine_ik(q, target, tool, _ITERATIONS, _DAMPING)


@compiled
def compute_tcp_speed(q: Vector, qd: Vector, tool: Vector) -> float:
    """Return the speed of the tool point [m/s]."""
    frames = np.empty((7, 3, 4))
    tcp = np.empty((3, 4))
    jacobian = np.empty((6, 6))
    fill_frames(q, frames)
    compose(frames[6], tool, tcp)
    fill_jacobian(frames, tcp, jacobian)
    total = 0.0
    for row in range(3):
        speed = 0.0
        for joint in range(6):
            speed += jacobian[row, joint] * qd[joint]
        total += speed * speed
    return math.sqrt(total)
