"""The envelope of permitted motion: one pure step from vetted state to vetted state.

A request is accepted only when every check passes and when the arm could still ramp to
rest from it without leaving a limit. The ramp is therefore always available as a plan
that was checked before it is needed. Everything here is compiled; without numba the
same lines run as plain Python.
"""

import math
from typing import Any

from numpy.typing import NDArray

from cell.contracts.geometry import Vector
from cell.contracts.servo import HoldReason
from cell.kinematics.compiled import compiled
from safety.capsules import Surroundings
from safety.clearance import check_clearance
from safety.joint_checks import check_joints, compute_travel
from safety.load_check import (
    check_load,
    compute_load,
    compute_load_cap,
    smooth_load,
)
from safety.ramp import compute_stopping_time, is_at_rest, ramp
from safety.tool_checks import check_tool
from safety.verdicts import Check, grant, refuse, take_nearer

_NONE = int(HoldReason.NONE)
_NOT_FINITE = int(HoldReason.COMMAND_NOT_FINITE)
_COMMAND_STALE = int(HoldReason.COMMAND_STALE)
_ARM_STALE = int(HoldReason.ARM_STATE_STALE)
_OVERRUN = int(HoldReason.CYCLE_OVERRUN)

Times = tuple[int, int, int]
"""Stamp of the command, stamp of the arm's sample, present time [ns]."""

# A reader may see a stamp made just after its own; more than this is nonsense.
_FUTURE_NS = 10_000_000


@compiled
def vet_setpoint(
    before: NDArray[Any],
    q_request: Vector,
    wrench: Vector,
    times_ns: Times,
    limits: NDArray[Any],
    around: Surroundings,
    after: NDArray[Any],
) -> Check:
    """Write the vetted state that follows `before` into `after`, both of shape (1,).

    Returns:
        The verdict: fields of a record cost Python a microsecond.
    """
    now_ns = times_ns[2]
    was, lim, now = before[0], limits[0], after[0]
    load = smooth_load(was["load"], compute_load(wrench, lim), lim)
    found = judge(was, q_request, load, times_ns, lim, around, now)
    reason, margin, value, item, scale, limit = found
    now["reason"], now["margin"], now["value"] = reason, margin, value
    now["item"] = item
    now["load"], now["load_cap"] = was["load"], was["load_cap"]
    # One reading that is no number is refused, and not remembered.
    if not math.isnan(load):
        travel = compute_travel(q_request, was["q"]) if reason == _NONE else 0.0
        now["load"] = load
        now["load_cap"] = compute_load_cap(was["load_cap"], load, travel)
    if reason != _NONE:
        ramp(was, now_ns, lim, now)
        return reason, margin, value, item, 1.0, limit
    now["vetted_ns"] = now_ns
    now["scale"] = scale
    for i in range(6):
        now["qd"][i] = (q_request[i] - was["q"][i]) / lim["period_s"]
        now["qdd"][i] = (now["qd"][i] - was["qd"][i]) / lim["period_s"]
        now["q"][i] = q_request[i]
    return found


@compiled
def judge(
    was: Any,
    q: Vector,
    load: float,
    times_ns: Times,
    lim: Any,
    around: Surroundings,
    now: Any,
) -> Check:
    """Return the first limit that a request breaks; else the nearest one."""
    # A ramp once begun runs to its end: it is the plan that was checked.
    if was["reason"] != _NONE and not is_at_rest(was):
        return refuse(was["reason"], was["margin"], was["value"], was["item"])
    for i in range(6):
        if not math.isfinite(q[i]):
            return refuse(_NOT_FINITE, -1.0, q[i], i)
    found = check_time(was, times_ns, lim)
    if found[0] != _NONE:
        return found
    nearest = found
    found = check_joints(was, q, lim)
    if found[0] != _NONE:
        return found
    nearest = take_nearer(nearest, found)
    found = check_tool(was, q, lim, now)
    if found[0] != _NONE:
        return found
    nearest = take_nearer(nearest, found)
    found = check_clearance(was["q"].copy(), _compute_way(was, q, lim), around)
    if found[0] != _NONE:
        return found
    nearest = take_nearer(nearest, found)
    found = check_load(was, q, load, lim)
    if found[0] != _NONE:
        return found
    return take_nearer(nearest, found)


@compiled
def hold_setpoint(
    before: NDArray[Any],
    reason: int,
    now_ns: int,
    limits: NDArray[Any],
    after: NDArray[Any],
) -> None:
    """Write one cycle of the ramp to rest into `after`, for a cause found outside."""
    was, now = before[0], after[0]
    now["reason"], now["margin"], now["value"] = reason, -1.0, 0.0
    now["item"] = -1
    now["load"], now["load_cap"] = was["load"], was["load_cap"]
    ramp(was, now_ns, limits[0], now)


@compiled
def _compute_way(was: Any, q: Vector, lim: Any) -> Vector:
    """Return the way from the last position over the request to rest, (6,) [rad]."""
    way: Vector = q - was["q"]
    half_stop_s = 0.5 * compute_stopping_time(way / lim["period_s"], lim)
    stretch: float = 1.0 + half_stop_s / lim["period_s"]
    return way * stretch


@compiled
def check_time(was: Any, times_ns: Times, lim: Any) -> Check:
    """Check that command and arm sample are fresh and that no setpoints were missed."""
    command_stamp_ns, arm_stamp_ns, now_ns = times_ns
    # A stamp of zero means never, and times are positive: no difference overflows.
    if now_ns <= 0:
        return refuse(_COMMAND_STALE, -1.0, now_ns * 1e-9, -1)
    command_age_ns = now_ns - max(command_stamp_ns, 0)
    arm_age_ns = now_ns - max(arm_stamp_ns, 0)
    command_margin = 1.0 - command_age_ns / lim["command_age_ns"]
    arm_margin = 1.0 - arm_age_ns / lim["arm_age_ns"]
    if command_stamp_ns <= 0 or command_margin < 0.0 or command_age_ns < -_FUTURE_NS:
        margin = min(command_margin, -1e-9)
        return refuse(_COMMAND_STALE, margin, command_age_ns * 1e-9, -1)
    if arm_stamp_ns <= 0 or arm_margin < 0.0 or arm_age_ns < -_FUTURE_NS:
        margin = min(arm_margin, -1e-9)
        return refuse(_ARM_STALE, margin, arm_age_ns * 1e-9, -1)
    gap_ns = now_ns - was["vetted_ns"]
    if not is_at_rest(was) and (gap_ns > lim["overrun_ns"] or gap_ns < 0):
        return refuse(_OVERRUN, -1.0, gap_ns * 1e-9, -1)
    nearest = take_nearer(
        grant(_COMMAND_STALE, command_margin, command_age_ns * 1e-9, -1),
        grant(_ARM_STALE, arm_margin, arm_age_ns * 1e-9, -1),
    )
    if is_at_rest(was):
        return nearest
    gap_margin = 1.0 - gap_ns / lim["overrun_ns"]
    return take_nearer(nearest, grant(_OVERRUN, gap_margin, gap_ns * 1e-9, -1))
