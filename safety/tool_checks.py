"""Limits of the tool: singularity, speed and workspace, now and while braking.

Where the tool already stands outside of the workspace, the workspace reaches to where
it stands: it may come back, and go no further out.
"""

import math
from typing import Any

import numpy as np

from cell.contracts.geometry import Vector
from cell.contracts.servo import HoldReason
from cell.kinematics.compiled import compiled
from cell.kinematics.kernels import (
    are_singular_values_above,
    compose,
    fill_frames,
    fill_jacobian,
    smallest_singular_value,
)
from safety.joint_checks import compute_travel
from safety.ramp import compute_stopping_time
from safety.verdicts import (
    ROUNDING,
    SLOWEST,
    Check,
    grant,
    refuse,
    slow_down,
    take_nearer,
)

_NONE = int(HoldReason.NONE)
_TCP_SPEED = int(HoldReason.TCP_SPEED)
_WORKSPACE = int(HoldReason.WORKSPACE)
_SINGULAR = int(HoldReason.SINGULAR)

# The tool's path while braking is looked at in this many stretches; its bulge between
# two points is bounded and added.
_BRAKE_STRETCHES = 4
# The arm comes to rest a little more slowly in this model than in truth, and tool
# speed may rise by a trace while the joints slow down.
_TCP_HEADROOM = 0.97
# Slowing down begins at this multiple of the least singular value; MoveIt Servo's
# ratio of the condition numbers for halting and for slowing down is about the same.
_SINGULAR_SLOW = 1.5


@compiled
def check_tool(was: Any, q: Vector, lim: Any, now: Any) -> Check:
    """Check the tool at one request, shape (6,) [rad].

    The smallest singular value there is noted in `now`, for the next cycle to compare
    with: it takes as long as all the rest. So is the place.
    """
    frames = np.empty((7, 3, 4))
    tcp = np.empty((3, 4))
    tool = lim["flange_from_tcp"]
    jacobian = np.empty((6, 6))
    start = was["place_m"].copy()
    sigma_before = was["sigma"]
    if not sigma_before > 0.0:
        fill_frames(was["q"], frames)
        compose(frames[6], tool, tcp)
        start = tcp[:, 3].copy()
        fill_jacobian(frames, tcp, jacobian)
        sigma_before = smallest_singular_value(jacobian)
    fill_frames(q, frames)
    compose(frames[6], tool, tcp)
    fill_jacobian(frames, tcp, jacobian)
    sigma = smallest_singular_value(jacobian)
    now["sigma"] = sigma
    for i in range(3):
        now["place_m"][i] = tcp[i, 3]
    sigma_margin = 1.0 - lim["singular_value"] / max(sigma, 1e-12)
    is_approaching = not sigma >= sigma_before - ROUNDING
    # In a singular place the arm may stand, and leave.
    if not sigma_margin >= 0.0 and is_approaching:
        return refuse(_SINGULAR, sigma_margin, sigma, -1)
    speed = _measure_step(tcp, start) / lim["period_s"]
    speed_margin = 1.0 - speed / lim["tcp_speed_mps"]
    if not speed_margin >= 0.0:
        return refuse(_TCP_SPEED, speed_margin, speed, -1)
    # Who leaves a singular place may stop short of its edge, and not go back in.
    floor = min(sigma, lim["singular_value"]) - ROUNDING
    found = check_braking(was, q, start, floor, frames, tcp, lim)
    if found[0] != _NONE:
        return found
    nearest = take_nearer(
        grant(_SINGULAR, max(sigma_margin, 0.0), sigma, -1),
        grant(_TCP_SPEED, speed_margin, speed, -1),
    )
    nearest = take_nearer(nearest, found)
    if is_approaching:
        free = (sigma / lim["singular_value"] - 1.0) / (_SINGULAR_SLOW - 1.0)
        nearest = slow_down(nearest, max(free, SLOWEST))
    return nearest


@compiled
def compute_place_margin(
    tcp: Vector, start: Vector, bulge_m: float, lim: Any
) -> tuple[float, int]:
    """Return the smallest distance to a workspace face as a ratio, and its axis."""
    worst, axis = 1.0, 0
    for i in range(3):
        low = min(lim["workspace_min_m"][i], start[i])
        high = max(lim["workspace_max_m"][i], start[i])
        span = lim["workspace_max_m"][i] - lim["workspace_min_m"][i]
        margin = (min(tcp[i, 3] - low, high - tcp[i, 3]) - bulge_m) / span
        # The next axis must not hide one that is no number.
        if math.isnan(margin):
            return math.nan, i
        if margin < worst:
            worst, axis = margin, i
    return worst, axis


@compiled
def check_braking(
    was: Any,
    q: Vector,
    start: Vector,
    floor: float,
    frames: Vector,
    tcp: Vector,
    lim: Any,
) -> Check:
    """Check the tool along the ramp that would follow: place, speed, singularity.

    Args:
        was: vetted motion before the request.
        q: request, shape (6,) [rad].
        start: place of the tool before it, shape (3,) [m].
        floor: no singular value on the ramp may be less.
        frames: of the arm at the request; is overwritten.
        tcp: the tool there; is overwritten.
        lim: limits.
    """
    qd = np.empty(6)
    for i in range(6):
        qd[i] = (q[i] - was["q"][i]) / lim["period_s"]
    turning = compute_travel(q, was["q"]) / lim["period_s"]
    half_stop_s = 0.5 * compute_stopping_time(qd, lim)
    stretch_s = half_stop_s / _BRAKE_STRETCHES
    # Along q + qd s the tool's curvature is at most (sum of |qd|)^2 times its reach.
    bulge_m = 0.125 * stretch_s * stretch_s * turning * turning * lim["reach_m"]
    margin, axis = compute_place_margin(tcp, start, bulge_m, lim)
    if not margin >= 0.0:
        return refuse(_WORKSPACE, margin, tcp[axis, 3], axis)
    nearest = grant(_WORKSPACE, margin, tcp[axis, 3], axis)
    if stretch_s <= 0.0:
        return nearest
    q_stop = np.empty_like(qd)
    jacobian = np.empty((qd.size, qd.size))
    factor = np.empty_like(jacobian)
    last = np.empty(3)
    for k in range(1, _BRAKE_STRETCHES + 1):
        for i in range(6):
            q_stop[i] = q[i] + qd[i] * stretch_s * k
        for i in range(3):
            last[i] = tcp[i, 3]
        fill_frames(q_stop, frames)
        compose(frames[6], lim["flange_from_tcp"], tcp)
        margin, axis = compute_place_margin(tcp, start, bulge_m, lim)
        if not margin >= 0.0:
            return refuse(_WORKSPACE, margin, tcp[axis, 3], axis)
        place = grant(_WORKSPACE, margin, tcp[axis, 3], axis)
        nearest = take_nearer(nearest, place)
        # Speed falls linearly in time, so with the root of the way left.
        share = math.sqrt(1.0 - (k - 1.0) / _BRAKE_STRETCHES)
        speed = _measure_step(tcp, last) / stretch_s * share
        margin = 1.0 - speed / (_TCP_HEADROOM * lim["tcp_speed_mps"])
        if not margin >= 0.0:
            return refuse(_TCP_SPEED, margin, speed, -1)
        nearest = take_nearer(nearest, grant(_TCP_SPEED, margin, speed, -1))
        fill_jacobian(frames, tcp, jacobian)
        if not are_singular_values_above(jacobian, floor, factor):
            sigma = smallest_singular_value(jacobian)
            margin = 1.0 - lim["singular_value"] / max(sigma, 1e-12)
            return refuse(_SINGULAR, margin, sigma, -1)
    return nearest


@compiled
def _measure_step(tcp: Vector, last: Vector) -> float:
    return math.sqrt(
        (tcp[0, 3] - last[0]) ** 2
        + (tcp[1, 3] - last[1]) ** 2
        + (tcp[2, 3] - last[2]) ** 2
    )
