"""How near the arm is to a singularity, for a whole path at once.

The tool point's Jacobian is written down from the picture of the arm, in the upright
plane in which shoulder, elbow and first wrist turn: `x` outwards, `y` up, `z` across.
Turning that plane about the base changes no singular value, so the first joint does
not occur. The singular values are LAPACK's.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tests.oracle.plain import MotionLimits, Numbers, Vector

# Of a singular value, two ways of computing it.
_SINGULAR: Final = 1e-7

_D4, _D5, _D6 = 0.1333, 0.0997, 0.0996
_A2, _A3 = -0.425, -0.3922


def compute_sigmas(path: Vector, tool_m: Vector) -> Vector:
    """Return the smallest singular value at each position, shape (n,).

    Args:
        path: shape (n, 6) [rad].
        tool_m: tool point in the flange, shape (3,) [m].
    """
    is_number = np.isfinite(path).all(axis=1)
    sigmas = np.full(len(path), np.nan)
    jacobians = compute_jacobians(path[is_number], tool_m)
    if len(jacobians):
        values = np.linalg.svd(jacobians, compute_uv=False)
        sigmas[is_number] = values[:, -1]
    return sigmas


def compute_jacobians(path: Vector, tool_m: Vector) -> Vector:
    """Return speed and turning rate of the tool in the plane's frame, (n, 6, 6)."""
    still = np.zeros(len(path))
    bend = np.cumsum(path[:, 1:4], axis=1)
    c, s = np.cos(bend[:, 2]), np.sin(bend[:, 2])
    c5, s5 = np.cos(path[:, 4]), np.sin(path[:, 4])
    c6, s6 = np.cos(path[:, 5]), np.sin(path[:, 5])
    shoulder = np.zeros((len(path), 3))
    elbow = _A2 * _stack(np.cos(bend[:, 0]), np.sin(bend[:, 0]), still)
    wrist = elbow + _A3 * _stack(np.cos(bend[:, 1]), np.sin(bend[:, 1]), still)
    hand = wrist + _stack(_D5 * s, -_D5 * c, still + _D4)
    # Where the flange's own axes point to.
    sideways = _stack(c5 * c, c5 * s, s5)
    upwards = _stack(-s, c, still)
    ahead = _stack(-s5 * c, -s5 * s, c5)
    x = c6 * tool_m[0] - s6 * tool_m[1]
    y = s6 * tool_m[0] + c6 * tool_m[1]
    tool = hand + x[:, None] * sideways + y[:, None] * upwards
    tool += (_D6 + tool_m[2]) * ahead
    up, across = _stack(still, still + 1.0, still), _stack(still, still, still + 1.0)
    hinges = (
        (up, shoulder),
        (across, shoulder),
        (across, elbow),
        (across, wrist),
        (-upwards, hand),
        (ahead, hand),
    )
    columns = [
        np.concatenate([np.cross(axis, tool - place), axis], axis=1)
        for axis, place in hinges
    ]
    return np.stack(columns, axis=2)


def count_approaches(
    path: Vector,
    holds: NDArray[np.bool_],
    limits: MotionLimits,
    counts: Numbers,
    column: int,
) -> int:
    """Check that what was granted comes no nearer to a singularity than is permitted.

    Where the arm is too near already it may stay, and leave. A ramp to rest may come as
    near as it comes.

    Args:
        path: shape (n + 1, 6) [rad].
        holds: whether the guard said that it holds, shape (n,).
        limits: of this stretch.
        counts: raised in one column by one for each breach.
        column: which.

    Returns:
        The first step with a breach, -1 if there is none.
    """
    sigmas = compute_sigmas(path, limits.flange_from_tcp[:, 3])
    floor = np.minimum(sigmas[:-1], limits.singular_value) - _SINGULAR
    # What is no number is noticed as that.
    is_breach = (sigmas[1:] < floor) & ~holds
    counts[column] += int(is_breach.sum())
    return int(np.argmax(is_breach)) + 1 if is_breach.any() else -1


def _stack(x: Vector, y: Vector, z: Vector) -> Vector:
    return np.stack([x, y, z], axis=1)
