"""Projection of what a policy wants onto what the arm may do: pure, total, compiled.

Two wishes are known. A normalised joint increment is multiplied by the joint-limit
matrix and clamped to the velocities that this cycle permits. A tool pose is followed by
five steps of damped least squares, and must be reached, inside the joint limits and the
workspace, away from singularities.

The answer is the projected joint position, or the present one with the constraint that
stands against the wish; never the wish itself. `policies.training.projection` computes
the same in torch. What is granted here still goes through the guard.

Comparisons are written so that what is no number breaks its limit.
"""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Vector
from cell.contracts.servo import HoldReason
from cell.kinematics.compiled import compiled
from cell.kinematics.kernels import (
    compose,
    fill_frames,
    fill_jacobian,
    fill_pose_error,
    smallest_singular_value,
    solve_damped,
)
from safety.projection_limits import has_usable_limits, is_usable
from safety.velocity_box import clamp_velocity, compute_braking_speed

IK_ITERATIONS: Final = 5
IK_DAMPING: Final = 0.03
"""The largest singular value of the TCP Jacobian is below 3, so the damped system keeps
a condition number below 1e4. Down to a smallest singular value of 0.08 five steps
still leave only 3e-5 of an error."""

LONGEST_STEP_RAD: Final = 0.5
"""A step that turns a joint further is shortened: the linear model ends before it."""

REACHED_M: Final = 1e-4
REACHED_RAD: Final = 1e-3
"""A pose counts as reached within these; a tenth of what grasping can notice."""

ROTATION_TOLERANCE: Final = 1e-5
"""Of the products of the columns of a rotation; single precision keeps within it."""

PROJECTION = np.dtype(
    [
        ("q", "<f8", (6,)),
        ("reason", "<i8"),
        ("narrowed_by", "<i8"),
        ("joint", "<i8"),
        ("margin", "<f8"),
        ("value", "<f8"),
        ("residual_m", "<f8"),
        ("residual_rad", "<f8"),
        ("singular_value", "<f8"),
    ]
)
"""Answer to one wish.

`reason` is NONE when the wish was granted, whole or narrowed; `narrowed_by` names what
cut a granted increment most. `margin` is the distance to the nearest limit as a ratio
of the range, or of the joint's speed limit for an increment; negative where a limit was
broken. `value` is the offending value in the unit of its limit, of joint `joint` (-1 if
of none). The rest is told of a pose: what is left after the last step, and the smallest
singular value there.
"""

_NONE = int(HoldReason.NONE)
_NOT_FINITE = int(HoldReason.COMMAND_NOT_FINITE)
_JOINT_POSITION = int(HoldReason.JOINT_POSITION)
_WORKSPACE = int(HoldReason.WORKSPACE)
_UNREACHABLE = int(HoldReason.UNREACHABLE)
_SINGULAR = int(HoldReason.SINGULAR)
_EXCEPTION = int(HoldReason.GUARD_EXCEPTION)


@compiled
def project_increment(
    q: Vector,
    qd: Vector,
    qdd: Vector,
    action: Vector,
    limits: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Project a normalised increment, each of -1..1, onto what one cycle permits.

    Args:
        q: vetted joint position, shape (6,) [rad].
        qd: vetted velocity of the last cycle, shape (6,) [rad/s].
        qdd: vetted acceleration of the last cycle, shape (6,) [rad/s2]; zeros where
            jerk has no limit.
        action: wish, shape (6,); numbers beyond 1 count as 1.
        limits: of `safety.projection_limits`, shape (1,).
        out: takes the answer, `PROJECTION` of shape (1,).
    """
    lim, now = limits[0], out[0]
    if not begin(q, lim, now):
        return
    wish = np.empty(6)
    for i in range(6):
        if not (is_usable(qd[i]) and is_usable(qdd[i]) and is_usable(action[i])):
            refuse(now, _NOT_FINITE, -1.0, action[i], i)
            return
        wish[i] = 0.0
        for k in range(6):
            part = min(max(action[k], -1.0), 1.0)
            wish[i] += lim["increment_rad"][i, k] * part / lim["period_s"]
    grant_velocity(q, qd, qdd, wish, lim, now)


@compiled
def project_towards(
    q: Vector,
    qd: Vector,
    qdd: Vector,
    goal: Vector,
    limits: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Project the way to a joint goal, shape (6,) [rad], to come to rest there.

    The other arguments are those of `project_increment`.
    """
    lim, now = limits[0], out[0]
    if not begin(q, lim, now):
        return
    period_s = lim["period_s"]
    wish = np.empty(6)
    for i in range(6):
        if not (is_usable(qd[i]) and is_usable(qdd[i]) and is_usable(goal[i])):
            refuse(now, _NOT_FINITE, -1.0, goal[i], i)
            return
        way = goal[i] - q[i]
        rate = lim["braking_radps2"][i]
        lead_s = lim["jerk_lead_s"][i]
        speed = compute_braking_speed(abs(way), rate, period_s, period_s, lead_s)
        wish[i] = math.copysign(speed, way)
    grant_velocity(q, qd, qdd, wish, lim, now)


@compiled
def project_pose(
    q: Vector, base_from_tcp: Vector, limits: NDArray[Any], out: NDArray[Any]
) -> None:
    """Project a tool pose onto joint positions near the present ones.

    Args:
        q: joint position to start from, shape (6,) [rad].
        base_from_tcp: wish, shape (3, 4).
        limits: of `safety.projection_limits`, shape (1,).
        out: takes the answer, `PROJECTION` of shape (1,).
    """
    lim, now = limits[0], out[0]
    if not begin(q, lim, now):
        return
    for row in range(3):
        for column in range(4):
            if not is_usable(base_from_tcp[row, column]):
                refuse(now, _NOT_FINITE, -1.0, base_from_tcp[row, column], -1)
                return
    deviation = compute_rotation_error(base_from_tcp)
    if not deviation <= ROTATION_TOLERANCE:
        refuse(now, _UNREACHABLE, -1.0, deviation, -1)
        return
    goal = np.empty(6)
    for i in range(6):
        goal[i] = q[i]
    follow_pose(goal, base_from_tcp, lim["flange_from_tcp"])
    judge_goal(goal, base_from_tcp, lim, now)


@compiled
def begin(q: Vector, lim: Any, now: Any) -> bool:
    """Put the present position down as the answer; tell whether one may go on."""
    now["narrowed_by"] = _NONE
    now["residual_m"], now["residual_rad"], now["singular_value"] = np.inf, np.inf, 0.0
    for i in range(6):
        now["q"][i] = q[i]
    if not has_usable_limits(lim):
        refuse(now, _EXCEPTION, -1.0, 0.0, -1)
        return False
    for i in range(6):
        if not is_usable(q[i]):
            refuse(now, _NOT_FINITE, -1.0, q[i], i)
            return False
    return True


@compiled
def refuse(now: Any, reason: int, margin: float, value: float, joint: int) -> None:
    """Write why the wish is not granted; the position stays."""
    now["reason"], now["margin"], now["value"] = reason, margin, value
    now["joint"] = joint


@compiled
def grant_velocity(
    q: Vector, qd: Vector, qdd: Vector, wish: Vector, lim: Any, now: Any
) -> None:
    """Step along the permitted velocity nearest to `wish`, or stay."""
    granted = np.empty(6)
    reason, narrowed_by, margin, value, joint = clamp_velocity(
        q, qd, qdd, wish, lim, granted
    )
    now["reason"], now["narrowed_by"], now["joint"] = reason, narrowed_by, joint
    now["margin"], now["value"] = margin, value
    if reason == _NONE:
        for i in range(6):
            now["q"][i] = q[i] + granted[i] * lim["period_s"]


@compiled
def compute_rotation_error(transform: Vector) -> float:
    """Return how far the columns of a (3, 4) transform are from a rotation."""
    worst = 0.0
    for a in range(3):
        for b in range(3):
            product = -1.0 if a == b else 0.0
            for row in range(3):
                product += transform[row, a] * transform[row, b]
            worst = max(worst, abs(product))
    volume = 0.0
    for row in range(3):
        after, last = (row + 1) % 3, (row + 2) % 3
        left = transform[after, 0] * transform[last, 1]
        right = transform[last, 0] * transform[after, 1]
        volume += (left - right) * transform[row, 2]
    # The columns of a mirror image are right in all but this.
    return worst if volume > 0.0 else max(worst, 2.0)


@compiled
def follow_pose(goal: Vector, target: Vector, flange_from_tcp: Vector) -> None:
    """Move `goal` towards a (3, 4) tool pose, by steps that are damped and bounded."""
    frames = np.empty((7, 3, 4))
    tcp = np.empty_like(target)
    step = np.empty(6)
    error = np.empty_like(step)
    jacobian = np.empty((step.size, step.size))
    for _ in range(IK_ITERATIONS):
        fill_frames(goal, frames)
        compose(frames[6], flange_from_tcp, tcp)
        fill_pose_error(tcp, target, error)
        fill_jacobian(frames, tcp, jacobian)
        solve_damped(jacobian, error, IK_DAMPING, step)
        longest = LONGEST_STEP_RAD
        for i in range(6):
            longest = max(longest, abs(step[i]))
        for i in range(6):
            goal[i] += step[i] * (LONGEST_STEP_RAD / longest)


@compiled
def judge_goal(goal: Vector, target: Vector, lim: Any, now: Any) -> None:
    """Grant a joint goal if it stands where it should, or write what it breaks."""
    frames = np.empty((7, 3, 4))
    tcp = np.empty((3, 4))
    jacobian = np.empty((6, 6))
    error = np.empty(6)
    fill_frames(goal, frames)
    compose(frames[6], lim["flange_from_tcp"], tcp)
    fill_pose_error(tcp, target, error)
    fill_jacobian(frames, tcp, jacobian)
    sigma = smallest_singular_value(jacobian)
    distance = math.sqrt(error[0] ** 2 + error[1] ** 2 + error[2] ** 2)
    angle = math.sqrt(error[3] ** 2 + error[4] ** 2 + error[5] ** 2)
    now["residual_m"], now["residual_rad"] = distance, angle
    now["singular_value"] = sigma
    by_way, by_turn = distance / REACHED_M, angle / REACHED_RAD
    ratio = max(by_way, by_turn)
    worst = 1.0 - ratio
    if not worst >= 0.0:
        left = distance if by_way == ratio else angle
        refuse(now, _UNREACHABLE, worst, left, -1)
        return
    for i in range(6):
        low, high = lim["joint_min_rad"][i], lim["joint_max_rad"][i]
        margin = min(goal[i] - low, high - goal[i]) / (high - low)
        if not margin >= 0.0:
            refuse(now, _JOINT_POSITION, margin, goal[i], i)
            return
        worst = min(worst, margin)
    for i in range(3):
        low, high = lim["workspace_min_m"][i], lim["workspace_max_m"][i]
        margin = min(tcp[i, 3] - low, high - tcp[i, 3]) / (high - low)
        if not margin >= 0.0:
            refuse(now, _WORKSPACE, margin, tcp[i, 3], -1)
            return
        worst = min(worst, margin)
    margin = 1.0 - lim["singular_value"] / max(sigma, 1e-12)
    if not margin > 0.0:
        refuse(now, _SINGULAR, margin, sigma, -1)
        return
    refuse(now, _NONE, min(worst, margin), 0.0, -1)
    for i in range(6):
        now["q"][i] = goal[i]
