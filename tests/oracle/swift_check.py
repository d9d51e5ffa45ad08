"""The same checks compiled, for millions of setpoints, with formulas of their own.

The tool point comes from the closed form of the UR geometry, distances from a search:
the signed distance to a convex solid is convex along a segment, so golden sections
find its minimum. Singular values are those of `swift_singular`.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cell.kinematics.compiled import compiled
from tests.oracle.plain import BOX, HALF_SPACE, Bodies, MotionLimits, Numbers, Vector
from tests.oracle.swift_singular import count_approaches

WHAT: Final = (
    "a position that is no number",
    "position above",
    "position below",
    "joint speed",
    "joint acceleration",
    "tool speed",
    "workspace above",
    "workspace below",
    "clearance",
    "faster while it holds",
    "joint jerk",
    "singular value",
    "moves inside and does not leave",
)
"""What each column of the counts is about."""

_NUMBER, _ABOVE, _BELOW, _SPEED, _ACCELERATION = 0, 1, 2, 3, 4
_TCP_SPEED, _OVER, _UNDER, _CLEARANCE, _HOLD, _JERK, _SINGULAR = 5, 6, 7, 8, 9, 10, 11
_LINGERS = 12
# Of the distances here; the search ends a little before the minimum.
_CLEARANCE_M = 1e-6
_FAR_M = 0.05
# Whoever turns less than this stands still [rad].
_STILL_RAD = 1e-6
# Of third differences of numbers near 6.
_JERK_ROUNDING = 1e-3
_SECTIONS = 40
_GOLDEN = 0.6180339887498949

_D1, _D4, _D5, _D6 = 0.1625, 0.1333, 0.0997, 0.0996
_A2, _A3 = -0.425, -0.3922


@compiled
def place_point(q: Vector, frame: int, point: Vector, out: Vector) -> None:
    """Write where a point of a Denavit-Hartenberg frame is, shape (3,) [m].

    By the closed form of the arm: all but the base and the wrist turn in one upright
    plane. Coordinates there are `x` outwards, `y` up and `z` across.
    """
    px, py, pz = point[0], point[1], point[2]
    if frame == 0:
        out[0], out[1], out[2] = px, py, pz
        return
    x, y, z = px, py, pz
    if frame == 2:
        c, s = math.cos(q[1]), math.sin(q[1])
        x, y = (_A2 + px) * c - py * s, (_A2 + px) * s + py * c
    elif frame == 3:
        c, s = math.cos(q[1] + q[2]), math.sin(q[1] + q[2])
        x = _A2 * math.cos(q[1]) + (_A3 + px) * c - py * s
        y = _A2 * math.sin(q[1]) + (_A3 + px) * s + py * c
    elif frame >= 4:
        bend = q[1] + q[2] + q[3]
        c, s = math.cos(bend), math.sin(bend)
        x = _A2 * math.cos(q[1]) + _A3 * math.cos(q[1] + q[2])
        y = _A2 * math.sin(q[1]) + _A3 * math.sin(q[1] + q[2])
        z = _D4
        if frame == 4:
            x, y, z = x + px * c + pz * s, y + px * s - pz * c, z + py
        else:
            if frame == 6:
                # The last joint turns about its own z and adds its length.
                c6, s6 = math.cos(q[5]), math.sin(q[5])
                px, py, pz = px * c6 - py * s6, px * s6 + py * c6, pz + _D6
            c5, s5 = math.cos(q[4]), math.sin(q[4])
            outwards = px * c5 - pz * s5
            x += _D5 * s + outwards * c - py * s
            y += -_D5 * c + outwards * s + py * c
            z += px * s5 + pz * c5
    c1, s1 = math.cos(q[0]), math.sin(q[0])
    out[0] = c1 * x + s1 * z
    out[1] = s1 * x - c1 * z
    out[2] = _D1 + y


@compiled
def fill_clearances(q: Vector, bodies: Bodies, clearance: Vector) -> None:
    """Write what is left of every clearance, zones first [m]; cut at a distance."""
    ends = np.empty((bodies.frame.shape[0], 2, 3))
    for c in range(ends.shape[0]):
        for side in range(2):
            place_point(q, bodies.frame[c], bodies.ends[c, side], ends[c, side])
    count = bodies.against_zone.shape[0]
    for k in range(count):
        capsule, zone = bodies.against_zone[k, 0], bodies.against_zone[k, 1]
        kept = bodies.radius[capsule] + bodies.zone_margin[zone]
        clearance[k] = _FAR_M
        if bodies.radius[capsule] > 0.0:
            distance = measure_to_zone(ends[capsule], bodies, zone, kept + _FAR_M)
            if bodies.zone_kind[zone] != HALF_SPACE:
                # Once the axis is inside, depth is a matter of definition.
                distance = max(distance, 0.0)
            clearance[k] = min(distance - kept, _FAR_M)
    for k in range(bodies.against_self.shape[0]):
        one, other = bodies.against_self[k, 0], bodies.against_self[k, 1]
        clearance[count + k] = _FAR_M
        if bodies.radius[one] > 0.0 and bodies.radius[other] > 0.0:
            distance = measure_between(ends[one], ends[other])
            kept = bodies.radius[one] + bodies.radius[other]
            clearance[count + k] = min(distance - kept, _FAR_M)


@compiled
def measure_to_zone(
    segment: Vector, bodies: Bodies, zone: int, enough_m: float
) -> float:
    """Return the signed distance of a segment, shape (2, 3), to a zone [m].

    What is certainly further than `enough_m` is given as that.
    """
    pose = bodies.base_from_zone[zone]
    local = np.empty((2, 3))
    for side in range(2):
        for column in range(3):
            total = 0.0
            for row in range(3):
                total += pose[row, column] * (segment[side, row] - pose[row, 3])
            local[side, column] = total
    kind, size = bodies.zone_kind[zone], bodies.zone_size[zone]
    if kind == HALF_SPACE:
        height: float = min(local[0, 2], local[1, 2])
        return height
    # Balls about both: quick to tell that they are far from each other.
    middle, half, span = 0.0, 0.0, 0.0
    for i in range(3):
        middle += (0.5 * (local[0, i] + local[1, i])) ** 2
        half += (0.5 * (local[1, i] - local[0, i])) ** 2
    if kind == BOX:
        span = math.sqrt(size[0] ** 2 + size[1] ** 2 + size[2] ** 2)
    else:
        span = math.sqrt(size[0] ** 2 + size[1] ** 2)
    if math.sqrt(middle) - math.sqrt(half) - span > enough_m:
        return enough_m
    low, high = 0.0, 1.0
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left = _measure_point(local, left, kind, size)
    at_right = _measure_point(local, right, kind, size)
    for _ in range(_SECTIONS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = _measure_point(local, left, kind, size)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = _measure_point(local, right, kind, size)
    at_ends = min(
        _measure_point(local, 0.0, kind, size), _measure_point(local, 1.0, kind, size)
    )
    return min(at_left, at_right, at_ends)


@compiled
def _measure_point(local: Vector, share: float, kind: int, size: Vector) -> float:
    """Return the signed distance of one point of a segment to a solid [m]."""
    x = local[0, 0] + share * (local[1, 0] - local[0, 0])
    y = local[0, 1] + share * (local[1, 1] - local[0, 1])
    z = local[0, 2] + share * (local[1, 2] - local[0, 2])
    if kind == BOX:
        dx, dy, dz = abs(x) - size[0], abs(y) - size[1], abs(z) - size[2]
        inside: float = min(max(dx, dy, dz), 0.0)
        dx, dy, dz = max(dx, 0.0), max(dy, 0.0), max(dz, 0.0)
        return math.sqrt(dx * dx + dy * dy + dz * dz) + inside
    beside, above = math.hypot(x, y) - size[0], abs(z) - size[1]
    inside = min(max(beside, above), 0.0)
    return math.hypot(max(beside, 0.0), max(above, 0.0)) + inside


@compiled
def measure_between(one: Vector, other: Vector) -> float:
    """Return the distance between two segments, shape (2, 3) each [m].

    The least one is either between a point inside of each, where the connection is
    at right angles to both, or begins at one of the four ends.
    """
    nearest = min(
        _measure_end(one[0], other),
        _measure_end(one[1], other),
        _measure_end(other[0], one),
        _measure_end(other[1], one),
    )
    ux, uy, uz = one[1, 0] - one[0, 0], one[1, 1] - one[0, 1], one[1, 2] - one[0, 2]
    vx, vy, vz = (
        other[1, 0] - other[0, 0],
        other[1, 1] - other[0, 1],
        other[1, 2] - other[0, 2],
    )
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    square = nx * nx + ny * ny + nz * nz
    if square < 1e-18:
        return nearest  # parallel: an end is as near as anything
    wx, wy, wz = (
        other[0, 0] - one[0, 0],
        other[0, 1] - one[0, 1],
        other[0, 2] - one[0, 2],
    )
    s = (
        wx * (vy * nz - vz * ny) + wy * (vz * nx - vx * nz) + wz * (vx * ny - vy * nx)
    ) / square
    t = (
        wx * (uy * nz - uz * ny) + wy * (uz * nx - ux * nz) + wz * (ux * ny - uy * nx)
    ) / square
    if 0.0 <= s <= 1.0 and 0.0 <= t <= 1.0:
        nearest = min(nearest, abs(wx * nx + wy * ny + wz * nz) / math.sqrt(square))
    return nearest


@compiled
def _measure_end(point: Vector, segment: Vector) -> float:
    """Return the distance of a point to a segment [m]."""
    along, square = 0.0, 0.0
    for i in range(3):
        way = segment[1, i] - segment[0, i]
        along += (point[i] - segment[0, i]) * way
        square += way * way
    share = min(max(along / square, 0.0), 1.0) if square > 0.0 else 0.0
    total = 0.0
    for i in range(3):
        way = segment[1, i] - segment[0, i]
        total += (point[i] - segment[0, i] - share * way) ** 2
    return math.sqrt(total)


def count_breaches(
    path: Vector,
    restarts: NDArray[np.bool_],
    holds: NDArray[np.bool_],
    limits: MotionLimits,
    bodies: Bodies,
    counts: Numbers,
) -> int:
    """Check setpoints that follow each other by one period, from rest.

    Args:
        path: shape (n + 1, 6) [rad].
        restarts: whether the arm had come to rest before a step, shape (n,).
        holds: whether the guard said that it holds, shape (n,).
        limits: of this stretch.
        bodies: what stands around.
        counts: raised by one for each breach, in the order of `WHAT`.

    Returns:
        The first step with a breach, -1 if there is none.
    """
    first = _count_steps(path, restarts, holds, limits, bodies, counts)
    near = count_approaches(path, holds, limits, counts, _SINGULAR)
    return max(first, near) if min(first, near) < 0 else min(first, near)


@compiled
def _count_steps(
    path: Vector,
    restarts: NDArray[np.bool_],
    holds: NDArray[np.bool_],
    limits: MotionLimits,
    bodies: Bodies,
    counts: Numbers,
) -> int:
    first = -1
    speed, change = np.zeros(6), np.zeros(6)
    tcp, tcp_before, tcp_granted = np.empty(3), np.empty(3), np.empty(3)
    pairs = bodies.against_zone.shape[0] + bodies.against_self.shape[0]
    room, room_before, room_granted = np.empty(pairs), np.empty(pairs), np.empty(pairs)
    place_point(path[0], 6, limits.flange_from_tcp[:, 3], tcp_before)
    fill_clearances(path[0], bodies, room_before)
    tcp_granted[:] = tcp_before
    room_granted[:] = room_before
    for k in range(1, path.shape[0]):
        if restarts[k - 1]:
            speed[:] = 0.0
        if not holds[k - 1]:
            # A ramp belongs to the step that was granted before it.
            tcp_granted[:] = tcp_before
            room_granted[:] = room_before
        total = counts.sum()
        _count_places(path[k], path[k - 1], limits, counts)
        _count_rates(path[k], path[k - 1], holds[k - 1], limits, speed, change, counts)
        place_point(path[k], 6, limits.flange_from_tcp[:, 3], tcp)
        _count_tool(tcp, tcp_before, tcp_granted, limits, counts)
        fill_clearances(path[k], bodies, room)
        for j in range(pairs):
            if not room[j] >= min(room_granted[j], 0.0) - _CLEARANCE_M:
                counts[_CLEARANCE] += 1
        if not holds[k - 1]:
            _count_lingering(path[k], path[k - 1], room_before, limits, bodies, counts)
        room_before[:] = room
        tcp_before[:] = tcp
        if first < 0 and counts.sum() > total:
            first = k
    return first


@compiled
def _count_lingering(
    q: Vector,
    before: Vector,
    room_before: Vector,
    limits: MotionLimits,
    bodies: Bodies,
    counts: Numbers,
) -> None:
    """Count what was granted inside of something and does not lead out of it.

    Where it leads is where the ramp after the step would end. Only distances that
    a formula gives to the last digits can tell: to planes, and of the arm to itself.
    """
    is_inside = False
    for room_now in room_before:
        is_inside = is_inside or room_now < 0.0
    if not is_inside:
        return
    stopping_s = 0.0
    for i in range(6):
        speed = abs(q[i] - before[i]) / limits.period_s
        stopping_s = max(stopping_s, speed / limits.joint_acceleration_radps2[i])
    end = before + (q - before) * (1.0 + 0.5 * stopping_s / limits.period_s)
    room = np.empty_like(room_before)
    fill_clearances(end, bodies, room)
    zones = bodies.against_zone.shape[0]
    for j in range(room.shape[0]):
        first = 0
        if j < zones:
            last = bodies.frame[bodies.against_zone[j, 0]]
            if bodies.zone_kind[bodies.against_zone[j, 1]] != HALF_SPACE:
                continue
        else:
            first = bodies.frame[bodies.against_self[j - zones, 0]]
            last = bodies.frame[bodies.against_self[j - zones, 1]]
        turn = np.abs(end[first:last] - before[first:last]).sum()
        if room_before[j] < 0.0 and turn > _STILL_RAD and not room[j] > room_before[j]:
            counts[_LINGERS] += 1


@compiled
def _count_places(
    q: Vector, before: Vector, limits: MotionLimits, counts: Numbers
) -> None:
    for i in range(6):
        if not math.isfinite(q[i]):
            counts[_NUMBER] += 1
        if not q[i] <= max(limits.joint_max_rad[i], before[i]) + 1e-9:
            counts[_ABOVE] += 1
        if not q[i] >= min(limits.joint_min_rad[i], before[i]) - 1e-9:
            counts[_BELOW] += 1


@compiled
def _count_rates(
    q: Vector,
    q_before: Vector,
    is_hold: bool,
    limits: MotionLimits,
    speed: Vector,
    change: Vector,
    counts: Numbers,
) -> None:
    """Check one step and bring `speed` and `change`, shapes (6,), up to date."""
    is_still = True
    for i in range(6):
        before, change_before = speed[i], change[i]
        speed[i] = (q[i] - q_before[i]) / limits.period_s
        change[i] = (speed[i] - before) / limits.period_s
        is_still = is_still and speed[i] == 0.0
        if not abs(speed[i]) <= limits.joint_speed_radps[i] + 1e-6:
            counts[_SPEED] += 1
        if not abs(change[i]) <= limits.joint_acceleration_radps2[i] + 1e-4:
            counts[_ACCELERATION] += 1
        if is_hold:
            if not abs(speed[i]) <= abs(before) + 1e-9:
                counts[_HOLD] += 1
        else:
            # The ramp to rest begins and ends harder than what is granted.
            jerk = abs(change[i] - change_before) / limits.period_s
            if not jerk <= limits.joint_jerk_radps3[i] * (1.0 + _JERK_ROUNDING):
                counts[_JERK] += 1
    if is_hold and is_still:
        change[:] = 0.0


@compiled
def _count_tool(
    tcp: Vector,
    before: Vector,
    granted: Vector,
    limits: MotionLimits,
    counts: Numbers,
) -> None:
    total = 0.0
    for i in range(3):
        total += (tcp[i] - before[i]) ** 2
        if not tcp[i] <= max(limits.workspace_max_m[i], granted[i]) + 1e-9:
            counts[_OVER] += 1
        if not tcp[i] >= min(limits.workspace_min_m[i], granted[i]) - 1e-9:
            counts[_UNDER] += 1
    if not math.sqrt(total) / limits.period_s <= limits.tcp_speed_mps + 1e-6:
        counts[_TCP_SPEED] += 1
