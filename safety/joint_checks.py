"""Limits of the joints: position, speed, acceleration, jerk, and place after braking.

Where the arm already stands outside of a position limit, the limit moves to where it
stands: it may come back, and go no further out.
"""

from typing import Any

import numpy as np

from cell.contracts.geometry import Vector
from cell.contracts.servo import HoldReason
from cell.kinematics.compiled import compiled
from safety.ramp import compute_stopping_time
from safety.verdicts import (
    NOTHING_NEAR,
    ROUNDING,
    SLOWEST,
    Check,
    grant,
    refuse,
    slow_down,
    take_nearer,
)

_NONE = int(HoldReason.NONE)
_POSITION = int(HoldReason.JOINT_POSITION)
_SPEED = int(HoldReason.JOINT_SPEED)
_ACCELERATION = int(HoldReason.JOINT_ACCELERATION)
_JERK = int(HoldReason.JOINT_JERK)

# Nearer than this to a position limit, a joint that goes towards it is slowed down.
_SLOW_RAD = 0.05


@compiled
def check_joints(was: Any, q: Vector, lim: Any) -> Check:
    """Check one request, shape (6,) [rad], against the vetted motion before it."""
    period_s = lim["period_s"]
    qd = np.empty(6)
    nearest = NOTHING_NEAR
    for i in range(6):
        margin = compute_joint_margin(q[i], was["q"][i], i, lim)
        if not margin >= 0.0:
            return refuse(_POSITION, margin, q[i], i)
        nearest = take_nearer(nearest, grant(_POSITION, margin, q[i], i))
        qd[i] = (q[i] - was["q"][i]) / period_s
    for i in range(6):
        margin = 1.0 - abs(qd[i]) / lim["joint_speed_radps"][i]
        if not margin >= -ROUNDING:
            return refuse(_SPEED, margin, qd[i], i)
        nearest = take_nearer(nearest, grant(_SPEED, margin, qd[i], i))
    found = _check_change(was, qd, lim)
    if found[0] != _NONE:
        return found
    nearest = take_nearer(nearest, found)
    return _check_braking(was, q, qd, nearest, lim)


@compiled
def _check_change(was: Any, qd: Vector, lim: Any) -> Check:
    """Check acceleration and jerk."""
    period_s = lim["period_s"]
    nearest = NOTHING_NEAR
    for i in range(6):
        qdd = (qd[i] - was["qd"][i]) / period_s
        margin = 1.0 - abs(qdd) / lim["joint_acceleration_radps2"][i]
        # Two differences divided by the period: rounding grows with its square.
        if not margin >= -ROUNDING / period_s:
            return refuse(_ACCELERATION, margin, qdd, i)
        nearest = take_nearer(nearest, grant(_ACCELERATION, margin, qdd, i))
        jerk = (qdd - was["qdd"][i]) / period_s
        margin = 1.0 - abs(jerk) / lim["joint_jerk_radps3"][i]
        if not margin >= -ROUNDING / (period_s * period_s):
            return refuse(_JERK, margin, jerk, i)
        nearest = take_nearer(nearest, grant(_JERK, margin, jerk, i))
    return nearest


@compiled
def _check_braking(was: Any, q: Vector, qd: Vector, nearest: Check, lim: Any) -> Check:
    """Check where the ramp that would follow ends, and slow down near a limit."""
    half_stop_s = 0.5 * compute_stopping_time(qd, lim)
    for i in range(6):
        q_stop = q[i] + qd[i] * half_stop_s
        margin = compute_joint_margin(q_stop, was["q"][i], i, lim)
        if not margin >= 0.0:
            return refuse(_POSITION, margin, q_stop, i)
        nearest = take_nearer(nearest, grant(_POSITION, margin, q_stop, i))
        if qd[i] > 0.0:
            room = lim["joint_max_rad"][i] - q_stop
            nearest = slow_down(nearest, max(room / _SLOW_RAD, SLOWEST))
        elif qd[i] < 0.0:
            room = q_stop - lim["joint_min_rad"][i]
            nearest = slow_down(nearest, max(room / _SLOW_RAD, SLOWEST))
    # Within rounding of a limit counts as at it.
    _, margin, value, item, scale, limit = nearest
    return slow_down(grant(limit, max(margin, 0.0), value, item), scale)


@compiled
def compute_travel(q: Vector, other: Vector) -> float:
    """Return the sum of all joints' ways between two positions [rad]."""
    total = 0.0
    for i in range(6):
        total += abs(q[i] - other[i])
    return total


@compiled
def compute_joint_margin(q: float, q_before: float, joint: int, lim: Any) -> float:
    """Return the distance to the nearer position limit as a ratio of the range."""
    low = min(lim["joint_min_rad"][joint], q_before)
    high = max(lim["joint_max_rad"][joint], q_before)
    span = lim["joint_max_rad"][joint] - lim["joint_min_rad"][joint]
    margin: float = min(q - low, high - q) / span
    return margin
