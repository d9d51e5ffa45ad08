"""The joint velocities that one cycle permits: a box, and the nearest point of it.

Each joint has four pairs of faces: change of velocity, change of acceleration (jerk),
speed and position. Speed and position are limited early enough to come to them with
the acceleration and the jerk that are permitted. So the box of the next cycle is never
empty, whatever is chosen from this one, as long as jerk lets one cycle turn full
acceleration into a quarter of full braking. Below that it may be, near a position
limit. A joint that is faster than its limit, which may have been lowered, comes back to
it in one cycle.

Who calls has refused what is no number, in motion, wish and limits.
"""

import math
from typing import Any, Final

import numpy as np

from cell.contracts.geometry import Vector
from cell.contracts.servo import HoldReason
from cell.kinematics.compiled import compiled

ROUNDING: Final = 2.0**-30
"""Differences of positions near 2 pi lose digits; as in the guard."""

BRAKING_SHARE: Final = 0.999
"""Of the permitted rate is planned with; a step that needs all of it may not round to
more."""

BoxCheck = tuple[int, int, float, float, int]
"""Reason of refusal, what narrowed the wish, margin, value, joint."""

_NONE = int(HoldReason.NONE)
_JERK = 1
# In the order in which they may empty the box.
_FACES = np.array(
    [
        int(HoldReason.JOINT_ACCELERATION),
        int(HoldReason.JOINT_JERK),
        int(HoldReason.JOINT_SPEED),
        int(HoldReason.JOINT_POSITION),
    ]
)


@compiled
def clamp_velocity(
    q: Vector, qd: Vector, qdd: Vector, wish: Vector, lim: Any, granted: Vector
) -> BoxCheck:
    """Write the permitted velocity nearest to `wish` into `granted`.

    Returns:
        NONE and what cut the wish most, if anything did; or the limit that empties the
        box. The margin is in terms of the joint's speed limit: the distance to the
        nearest face, or less than zero what is cut off or what is missing.
    """
    period_s = lim["period_s"]
    faces = np.empty((6, 4, 2))
    fill_faces(q, qd, qdd, lim, faces)
    narrowed_by, worst, value, joint = _NONE, np.inf, 0.0, -1
    for i in range(6):
        top = lim["joint_speed_radps"][i]
        low, high = -np.inf, np.inf
        for k in range(4):
            if faces[i, k, 0] > low:
                low, low_by = faces[i, k, 0], k
            if faces[i, k, 1] < high:
                high, high_by = faces[i, k, 1], k
            if low > high:
                value = choose_value(k, q[i], qd[i], qdd[i])
                if k == _JERK:
                    # What it takes to come back to an acceleration that is permitted.
                    rate = math.copysign(lim["joint_acceleration_radps2"][i], qdd[i])
                    value = (rate - qdd[i]) / period_s
                return _FACES[k], _NONE, (high - low) / top, value, i
        granted[i] = min(max(wish[i], low), high)
        margin = min(wish[i] - low, high - wish[i]) / top
        if margin < worst:
            worst = margin
            if margin < -ROUNDING:
                by = low_by if granted[i] == low else high_by
                rate = (wish[i] - qd[i]) / period_s
                value = choose_value(by, q[i] + wish[i] * period_s, wish[i], rate)
                if by == _JERK:
                    value = (rate - qdd[i]) / period_s
                narrowed_by, joint = _FACES[by], i
    return _NONE, narrowed_by, worst, value, joint


@compiled
def fill_faces(q: Vector, qd: Vector, qdd: Vector, lim: Any, faces: Vector) -> None:
    """Write the velocities [rad/s] that each kind of limit permits, shape (6, 4, 2).

    A joint found beyond its position may come back, and go no further out.
    """
    period_s = lim["period_s"]
    for i in range(6):
        rate = lim["joint_acceleration_radps2"][i]
        jerk = lim["joint_jerk_radps3"][i]
        top = lim["joint_speed_radps"][i]
        braking = lim["braking_radps2"][i]
        reaction_s, lead_s = lim["reaction_s"], lim["jerk_lead_s"][i]
        faces[i, 0, 0] = qd[i] - rate * period_s
        faces[i, 0, 1] = qd[i] + rate * period_s
        faces[i, 1, 0] = qd[i] + (qdd[i] - jerk * period_s) * period_s
        faces[i, 1, 1] = qd[i] + (qdd[i] + jerk * period_s) * period_s
        down = compute_braking_speed(top + qd[i], jerk, period_s, period_s, 0.0)
        up = compute_braking_speed(top - qd[i], jerk, period_s, period_s, 0.0)
        faces[i, 2, 0] = qd[i] - period_s * down
        faces[i, 2, 1] = qd[i] + period_s * up
        below = max(q[i] - lim["joint_min_rad"][i] - ROUNDING, 0.0)
        above = max(lim["joint_max_rad"][i] - q[i] - ROUNDING, 0.0)
        down = compute_braking_speed(below, braking, period_s, reaction_s, lead_s)
        up = compute_braking_speed(above, braking, period_s, reaction_s, lead_s)
        faces[i, 3, 0], faces[i, 3, 1] = -down, up


@compiled
def compute_braking_speed(
    room: float, rate: float, period_s: float, reaction_s: float, lead_s: float
) -> float:
    """Return the speed from which `room` is enough to come to rest, by a given rate.

    In steps of one period, the first of which still goes at that speed. Near the end
    speed falls in proportion to the room, with `reaction_s` as the constant, which
    never asks for more than the rate; further away it rises with the root of the room.

    Args:
        room: what is left, negative when it is overdrawn.
        rate: change of speed per second.
        period_s: length of a step.
        reaction_s: at least one period.
        lead_s: time that passes before the rate is there.
    """
    rate *= BRAKING_SHARE
    tangent = rate * (reaction_s - 0.5 * period_s)
    if room <= (reaction_s + lead_s) * tangent:
        return room / (reaction_s + lead_s)
    # The positive root of v^2 / (2 rate) + v (period / 2 + lead) + tangent^2 / (2 rate)
    # = room, which has the slope of the line where it meets it, at the tangent speed.
    slope = rate * (0.5 * period_s + lead_s)
    root = math.sqrt(slope * slope + 2.0 * rate * room - tangent * tangent)
    return root - slope


@compiled
def choose_value(face: int, q: float, qd: float, qdd: float) -> float:
    """Return the number that a kind of face limits, in its unit."""
    if face == 3:
        return q
    return qd if face == 2 else qdd
