"""The envelope of permitted motion: one pure step from vetted state to vetted state.

A request is accepted only when every check passes and when the arm could still ramp to
rest from it without leaving a limit. The ramp is therefore always available as a plan
that was checked before it is needed. Everything here is compiled; without numba the
same lines run as plain Python.

Comparisons are written so that a margin that is no number breaks its limit.

Where the arm already stands outside of a position limit or of the workspace, the limit
moves to where it stands: it may come back, and go no further out.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Vector
from cell.contracts.servo import HoldReason
from cell.kinematics.compiled import compiled
from cell.kinematics.kernels import (
    compose,
    fill_frames,
    fill_jacobian,
    smallest_singular_value,
)

STATE = np.dtype(
    [
        ("q", "<f8", (6,)),
        ("qd", "<f8", (6,)),
        ("vetted_ns", "<i8"),
        ("reason", "<i8"),
        ("margin", "<f8"),
        ("value", "<f8"),
    ]
)
"""Vetted motion after one cycle, and why it is what it is."""

Check = tuple[int, float, float]

_NONE = int(HoldReason.NONE)
_NOT_FINITE = int(HoldReason.COMMAND_NOT_FINITE)
_COMMAND_STALE = int(HoldReason.COMMAND_STALE)
_ARM_STALE = int(HoldReason.ARM_STATE_STALE)
_OVERRUN = int(HoldReason.CYCLE_OVERRUN)
_JOINT_POSITION = int(HoldReason.JOINT_POSITION)
_JOINT_SPEED = int(HoldReason.JOINT_SPEED)
_JOINT_ACCELERATION = int(HoldReason.JOINT_ACCELERATION)
_TCP_SPEED = int(HoldReason.TCP_SPEED)
_WORKSPACE = int(HoldReason.WORKSPACE)
_SINGULAR = int(HoldReason.SINGULAR)

# A reader may see a stamp made just after its own; more than this is nonsense.
_FUTURE_NS = 10_000_000
# The tool's path while braking is looked at in this many stretches; its bulge between
# two points is bounded and added.
_BRAKE_STRETCHES = 4
# The arm comes to rest a little more slowly in this model than in truth, and tool
# speed may rise by a trace while the joints slow down.
_TCP_HEADROOM = 0.97
# Differences of positions near 2 pi lose digits; a limit met exactly must pass.
_ROUNDING = 1e-9


@compiled
def vet_setpoint(
    before: NDArray[Any],
    q_request: Vector,
    command_stamp_ns: int,
    arm_stamp_ns: int,
    now_ns: int,
    limits: NDArray[Any],
    after: NDArray[Any],
) -> None:
    """Write the vetted state that follows `before` into `after`, both of shape (1,)."""
    was, lim, now = before[0], limits[0], after[0]
    reason, margin, value = judge(
        was, q_request, command_stamp_ns, arm_stamp_ns, now_ns, lim
    )
    now["reason"], now["margin"], now["value"] = reason, margin, value
    if reason != _NONE:
        ramp(was, now_ns, lim, now)
        return
    now["vetted_ns"] = now_ns
    for i in range(6):
        now["qd"][i] = (q_request[i] - was["q"][i]) / lim["period_s"]
        now["q"][i] = q_request[i]


@compiled
def judge(
    was: Any,
    q: Vector,
    command_stamp_ns: int,
    arm_stamp_ns: int,
    now_ns: int,
    lim: Any,
) -> Check:
    """Return the first limit that a request breaks, its margin and its value."""
    # A ramp once begun runs to its end: it is the plan that was checked.
    if was["reason"] != _NONE and not is_at_rest(was):
        return was["reason"], was["margin"], was["value"]
    for i in range(6):
        if not math.isfinite(q[i]):
            return _NOT_FINITE, -1.0, q[i]
    reason, time_margin, value = check_time(
        was, command_stamp_ns, arm_stamp_ns, now_ns, lim
    )
    if reason != _NONE:
        return reason, time_margin, value
    reason, joint_margin, value = check_joints(was, q, lim)
    if reason != _NONE:
        return reason, joint_margin, value
    reason, tool_margin, value = check_tool(was, q, lim)
    if reason != _NONE:
        return reason, tool_margin, value
    return _NONE, min(time_margin, joint_margin, tool_margin), 0.0


@compiled
def hold_setpoint(
    before: NDArray[Any],
    reason: int,
    now_ns: int,
    limits: NDArray[Any],
    after: NDArray[Any],
) -> None:
    """Write one cycle of the ramp to rest into `after`, for a cause found outside."""
    now = after[0]
    now["reason"], now["margin"], now["value"] = reason, -1.0, 0.0
    ramp(before[0], now_ns, limits[0], now)


@compiled
def is_at_rest(state: Any) -> bool:
    """Tell whether the vetted velocity is zero."""
    total = 0.0
    for i in range(6):
        total += abs(state["qd"][i])
    return total == 0.0


@compiled
def compute_stopping_time(qd: Vector, lim: Any) -> float:
    """Return the time [s] in which all joints come to rest together."""
    stopping_s = 0.0
    for i in range(6):
        stopping_s = max(stopping_s, abs(qd[i]) / lim["joint_acceleration_radps2"][i])
    return stopping_s


@compiled
def ramp(was: Any, now_ns: int, lim: Any, now: Any) -> None:
    """Slow all joints down together, along the way they were going."""
    stopping_s = compute_stopping_time(was["qd"], lim)
    scale = 0.0
    if stopping_s > lim["period_s"]:
        scale = 1.0 - lim["period_s"] / stopping_s
    # After a long silence the robot rests at the last setpoint; a ramp from the old
    # velocity would start it again.
    if was["vetted_ns"] > 0 and now_ns - was["vetted_ns"] > lim["standstill_ns"]:
        scale = 0.0
    now["vetted_ns"] = now_ns
    for i in range(6):
        now["qd"][i] = was["qd"][i] * scale
        now["q"][i] = was["q"][i] + now["qd"][i] * lim["period_s"]


@compiled
def check_time(
    was: Any, command_stamp_ns: int, arm_stamp_ns: int, now_ns: int, lim: Any
) -> Check:
    """Check that command and arm sample are fresh and that no setpoints were missed."""
    # A stamp of zero means never, and times are positive: no difference overflows.
    if now_ns <= 0:
        return _COMMAND_STALE, -1.0, now_ns * 1e-9
    command_age_ns = now_ns - command_stamp_ns if command_stamp_ns > 0 else now_ns
    arm_age_ns = now_ns - arm_stamp_ns if arm_stamp_ns > 0 else now_ns
    command_margin = 1.0 - command_age_ns / lim["command_age_ns"]
    arm_margin = 1.0 - arm_age_ns / lim["arm_age_ns"]
    if command_stamp_ns <= 0 or command_margin < 0.0 or command_age_ns < -_FUTURE_NS:
        return _COMMAND_STALE, min(command_margin, -1e-9), command_age_ns * 1e-9
    if arm_stamp_ns <= 0 or arm_margin < 0.0 or arm_age_ns < -_FUTURE_NS:
        return _ARM_STALE, min(arm_margin, -1e-9), arm_age_ns * 1e-9
    gap_ns = now_ns - was["vetted_ns"]
    if not is_at_rest(was) and (gap_ns > lim["overrun_ns"] or gap_ns < 0):
        return _OVERRUN, -1.0, gap_ns * 1e-9
    return _NONE, min(command_margin, arm_margin), 0.0


@compiled
def check_joints(was: Any, q: Vector, lim: Any) -> Check:
    """Check position, speed, acceleration, and position after braking."""
    period_s = lim["period_s"]
    qd = np.empty(6)
    worst = 1.0
    for i in range(6):
        margin = compute_joint_margin(q[i], was["q"][i], i, lim)
        if not margin >= 0.0:
            return _JOINT_POSITION, margin, q[i]
        worst = min(worst, margin)
        qd[i] = (q[i] - was["q"][i]) / period_s
    for i in range(6):
        margin = 1.0 - abs(qd[i]) / lim["joint_speed_radps"][i]
        if not margin >= -_ROUNDING:
            return _JOINT_SPEED, margin, qd[i]
        worst = min(worst, margin)
    for i in range(6):
        qdd = (qd[i] - was["qd"][i]) / period_s
        margin = 1.0 - abs(qdd) / lim["joint_acceleration_radps2"][i]
        # Two differences divided by the period: rounding grows with its square.
        if not margin >= -_ROUNDING / period_s:
            return _JOINT_ACCELERATION, margin, qdd
        worst = min(worst, margin)
    half_stop_s = 0.5 * compute_stopping_time(qd, lim)
    for i in range(6):
        q_stop = q[i] + qd[i] * half_stop_s
        margin = compute_joint_margin(q_stop, was["q"][i], i, lim)
        if not margin >= 0.0:
            return _JOINT_POSITION, margin, q_stop
        worst = min(worst, margin)
    return _NONE, max(worst, 0.0), 0.0


@compiled
def compute_joint_margin(q: float, q_before: float, joint: int, lim: Any) -> float:
    """Return the distance to the nearer position limit as a ratio of the range."""
    low = min(lim["joint_min_rad"][joint], q_before)
    high = max(lim["joint_max_rad"][joint], q_before)
    span = lim["joint_max_rad"][joint] - lim["joint_min_rad"][joint]
    margin: float = min(q - low, high - q) / span
    return margin


@compiled
def check_tool(was: Any, q: Vector, lim: Any) -> Check:
    """Check the tool's speed and place, now and while braking, and singularity."""
    frames = np.empty((7, 3, 4))
    tcp = np.empty((3, 4))
    tool = lim["flange_from_tcp"]
    fill_frames(was["q"], frames)
    compose(frames[6], tool, tcp)
    start = tcp[:, 3].copy()
    jacobian = np.empty((6, 6))
    fill_jacobian(frames, tcp, jacobian)
    sigma_before = smallest_singular_value(jacobian)
    fill_frames(q, frames)
    compose(frames[6], tool, tcp)
    fill_jacobian(frames, tcp, jacobian)
    sigma = smallest_singular_value(jacobian)
    sigma_margin = 1.0 - lim["singular_value"] / max(sigma, 1e-12)
    # In a singular place the arm may stand, and leave.
    if not sigma_margin >= 0.0 and not sigma >= sigma_before - _ROUNDING:
        return _SINGULAR, sigma_margin, sigma
    step = math.sqrt(
        (tcp[0, 3] - start[0]) ** 2
        + (tcp[1, 3] - start[1]) ** 2
        + (tcp[2, 3] - start[2]) ** 2
    )
    speed = step / lim["period_s"]
    speed_margin = 1.0 - speed / lim["tcp_speed_mps"]
    if not speed_margin >= 0.0:
        return _TCP_SPEED, speed_margin, speed
    place_margin, axis = compute_place_margin(tcp, start, 0.0, lim)
    if not place_margin >= 0.0:
        return _WORKSPACE, place_margin, tcp[axis, 3]
    reason, margin, value = check_braking(was, q, start, lim)
    if reason != _NONE:
        return reason, margin, value
    margin = min(margin, speed_margin, place_margin, max(sigma_margin, 0.0))
    return _NONE, margin, 0.0


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
        room = min(tcp[i, 3] - low, high - tcp[i, 3]) - bulge_m
        if not room / span >= worst:
            worst, axis = room / span, i
    return worst, axis


@compiled
def check_braking(was: Any, q: Vector, start: Vector, lim: Any) -> Check:
    """Check place and speed of the tool along the ramp that would follow."""
    qd = np.empty(6)
    turning = 0.0
    for i in range(6):
        qd[i] = (q[i] - was["q"][i]) / lim["period_s"]
        turning += abs(qd[i])
    half_stop_s = 0.5 * compute_stopping_time(qd, lim)
    stretch_s = half_stop_s / _BRAKE_STRETCHES
    # Along q + qd s the tool's curvature is at most (sum of |qd|)^2 times its reach.
    bulge_m = 0.125 * stretch_s * stretch_s * turning * turning * lim["reach_m"]
    frames = np.empty((7, 3, 4))
    tcp = np.empty((3, 4))
    q_stop = np.empty(6)
    last = np.empty(3)
    worst = 1.0
    for k in range(_BRAKE_STRETCHES + 1):
        for i in range(6):
            q_stop[i] = q[i] + qd[i] * stretch_s * k
        fill_frames(q_stop, frames)
        compose(frames[6], lim["flange_from_tcp"], tcp)
        margin, axis = compute_place_margin(tcp, start, bulge_m, lim)
        if not margin >= 0.0:
            return _WORKSPACE, margin, tcp[axis, 3]
        worst = min(worst, margin)
        if k > 0 and stretch_s > 0.0:
            step = math.sqrt(
                (tcp[0, 3] - last[0]) ** 2
                + (tcp[1, 3] - last[1]) ** 2
                + (tcp[2, 3] - last[2]) ** 2
            )
            # Speed falls linearly in time, so with the root of the way left.
            share = math.sqrt(1.0 - (k - 1.0) / _BRAKE_STRETCHES)
            speed = step / stretch_s * share
            margin = 1.0 - speed / (_TCP_HEADROOM * lim["tcp_speed_mps"])
            if not margin >= 0.0:
                return _TCP_SPEED, margin, speed
            worst = min(worst, margin)
        for i in range(3):
            last[i] = tcp[i, 3]
    return _NONE, worst, 0.0
