"""Compiled kernels of the UR5e: frames, Jacobian, one pose step, singular value.

Plain loops over small arrays: numba turns them into microseconds, and without numba
the same lines give the same numbers. Rigid transforms are (3, 4) arrays here; callers
outside of compiled code use `cell.kinematics.arm`.
"""

import math

import numpy as np

from cell.contracts import arm_geometry
from cell.contracts.geometry import Vector
from cell.kinematics.compiled import compiled

DH_D = np.array(arm_geometry.DH_D_M)
DH_A = np.array(arm_geometry.DH_A_M)
DH_CA = np.array(arm_geometry.DH_COS_ALPHA)
DH_SA = np.array(arm_geometry.DH_SIN_ALPHA)


@compiled
def compose(left: Vector, right: Vector, out: Vector) -> None:
    """Write `left @ right` of two (3, 4) transforms into `out`, which is neither."""
    for row in range(3):
        for column in range(4):
            total = left[row, 3] if column == 3 else 0.0
            for k in range(3):
                total += left[row, k] * right[k, column]
            out[row, column] = total


@compiled
def fill_frames(q: Vector, frames: Vector) -> None:
    """Write base_from_frame_i for i = 0..6 into `frames`, shape (7, 3, 4)."""
    for row in range(3):
        for column in range(4):
            frames[0, row, column] = 1.0 if row == column else 0.0
    for i in range(6):
        c, s = math.cos(q[i]), math.sin(q[i])
        ca, sa = DH_CA[i], DH_SA[i]
        for row in range(3):
            x = frames[i, row, 0]
            y = frames[i, row, 1]
            z = frames[i, row, 2]
            x_new = c * x + s * y
            y_turned = c * y - s * x
            frames[i + 1, row, 0] = x_new
            frames[i + 1, row, 1] = ca * y_turned + sa * z
            frames[i + 1, row, 2] = ca * z - sa * y_turned
            frames[i + 1, row, 3] = frames[i, row, 3] + DH_A[i] * x_new + DH_D[i] * z


@compiled
def fill_jacobian(frames: Vector, tcp: Vector, jacobian: Vector) -> None:
    """Write the (6, 6) geometric Jacobian of the TCP, base axes, linear rows first."""
    for i in range(6):
        zx, zy, zz = frames[i, 0, 2], frames[i, 1, 2], frames[i, 2, 2]
        rx = tcp[0, 3] - frames[i, 0, 3]
        ry = tcp[1, 3] - frames[i, 1, 3]
        rz = tcp[2, 3] - frames[i, 2, 3]
        jacobian[0, i] = zy * rz - zz * ry
        jacobian[1, i] = zz * rx - zx * rz
        jacobian[2, i] = zx * ry - zy * rx
        jacobian[3, i] = zx
        jacobian[4, i] = zy
        jacobian[5, i] = zz


@compiled
def fill_pose_error(current: Vector, target: Vector, error: Vector) -> None:
    """Write the (6,) step from `current` to `target`: translation, rotation vector."""
    for row in range(3):
        error[row] = target[row, 3] - current[row, 3]
    # Columns of the two rotations: half the sum of their cross products is
    # sin(angle) times the axis, the sum of their dot products is 1 + 2 cos(angle).
    wx, wy, wz, trace = 0.0, 0.0, 0.0, 0.0
    for k in range(3):
        ax, ay, az = current[0, k], current[1, k], current[2, k]
        bx, by, bz = target[0, k], target[1, k], target[2, k]
        wx += 0.5 * (ay * bz - az * by)
        wy += 0.5 * (az * bx - ax * bz)
        wz += 0.5 * (ax * by - ay * bx)
        trace += ax * bx + ay * by + az * bz
    sine = math.sqrt(wx * wx + wy * wy + wz * wz)
    angle = math.atan2(sine, 0.5 * (trace - 1.0))
    if sine > 1e-12:
        scale = angle / sine
        error[3], error[4], error[5] = scale * wx, scale * wy, scale * wz
    else:
        # No turn, or half a turn: then any axis will do, as long as it is not "none".
        error[3], error[4], error[5] = angle, 0.0, 0.0


@compiled
def solve_damped(jacobian: Vector, error: Vector, damping: float, step: Vector) -> None:
    """Write J^T (J J^T + damping^2 I)^-1 error into `step`, by Cholesky."""
    factor = np.empty((6, 6))
    fill_damped_factor(jacobian, damping, factor)
    y = np.empty(6)
    for i in range(6):
        total = error[i]
        for k in range(i):
            total -= factor[i, k] * y[k]
        y[i] = total / factor[i, i]
    for i in range(5, -1, -1):
        total = y[i]
        for k in range(i + 1, 6):
            total -= factor[k, i] * y[k]
        y[i] = total / factor[i, i]
    for j in range(6):
        total = 0.0
        for i in range(6):
            total += jacobian[i, j] * y[i]
        step[j] = total


@compiled
def fill_damped_factor(jacobian: Vector, damping: float, factor: Vector) -> None:
    """Write the lower Cholesky factor of J J^T + damping^2 I into `factor`."""
    for i in range(6):
        for j in range(i + 1):
            total = damping * damping if i == j else 0.0
            for k in range(6):
                total += jacobian[i, k] * jacobian[j, k]
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            # Positive by construction: the damping bounds it from below.
            factor[i, j] = math.sqrt(total) if i == j else total / factor[j, j]


@compiled
def refine_ik(
    q: Vector, target: Vector, flange_from_tcp: Vector, iterations: int, damping: float
) -> tuple[float, float]:
    """Improve `q` in place by damped least squares towards a (3, 4) TCP target.

    Returns:
        What is left: distance [m] and angle [rad].
    """
    frames = np.empty((7, 3, 4))
    tcp = np.empty((3, 4))
    jacobian = np.empty((6, 6))
    error = np.empty(6)
    step = np.empty(6)
    for _ in range(iterations):
        fill_frames(q, frames)
        compose(frames[6], flange_from_tcp, tcp)
        fill_pose_error(tcp, target, error)
        fill_jacobian(frames, tcp, jacobian)
        solve_damped(jacobian, error, damping, step)
        for j in range(6):
            q[j] += step[j]
    fill_frames(q, frames)
    compose(frames[6], flange_from_tcp, tcp)
    fill_pose_error(tcp, target, error)
    distance = math.sqrt(error[0] ** 2 + error[1] ** 2 + error[2] ** 2)
    angle = math.sqrt(error[3] ** 2 + error[4] ** 2 + error[5] ** 2)
    return distance, angle


@compiled
def smallest_singular_value(jacobian: Vector) -> float:
    """Return the smallest singular value of a (6, 6) matrix, one-sided Jacobi."""
    u = jacobian.copy()
    for _ in range(12):
        off = 0.0
        for p in range(5):
            for r in range(p + 1, 6):
                alpha, beta, gamma = 0.0, 0.0, 0.0
                for k in range(6):
                    alpha += u[k, p] * u[k, p]
                    beta += u[k, r] * u[k, r]
                    gamma += u[k, p] * u[k, r]
                if gamma * gamma <= 1e-24 * alpha * beta:
                    continue
                off = 1.0
                zeta = (beta - alpha) / (2.0 * gamma)
                root = math.sqrt(1.0 + zeta * zeta)
                t = 1.0 / (zeta + root) if zeta >= 0.0 else 1.0 / (zeta - root)
                c = 1.0 / math.sqrt(1.0 + t * t)
                s = c * t
                for k in range(6):
                    low, high = u[k, p], u[k, r]
                    u[k, p] = c * low - s * high
                    u[k, r] = s * low + c * high
        if off == 0.0:
            break
    return _smallest_column(u)


@compiled
def are_singular_values_above(jacobian: Vector, floor: float, factor: Vector) -> bool:
    """Tell whether every singular value of a (6, 6) matrix is above `floor`.

    J J^T - floor^2 I then has a Cholesky factor, which takes a tenth of the time that
    the values themselves take; (6, 6) `factor` is scratch for it. What is no number has
    none above anything; below zero none is looked for.
    """
    if floor < 0.0:
        return True
    for i in range(6):
        for j in range(i):
            total = 0.0
            for k in range(6):
                total += jacobian[i, k] * jacobian[j, k]
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            factor[i, j] = total / factor[j, j]
        total = -floor * floor
        for k in range(6):
            total += jacobian[i, k] * jacobian[i, k]
        for k in range(i):
            total -= factor[i, k] * factor[i, k]
        if not total > 0.0:
            return False
        factor[i, i] = math.sqrt(total)
    return True


@compiled
def _smallest_column(matrix: Vector) -> float:
    """Return the length of the shortest column of a (6, 6) matrix."""
    smallest = np.inf
    for p in range(6):
        total = 0.0
        for k in range(6):
            total += matrix[k, p] * matrix[k, p]
        # min() of a number and of no number may be either.
        if not total >= 0.0:
            return math.nan
        smallest = min(smallest, total)
    return math.sqrt(smallest)
