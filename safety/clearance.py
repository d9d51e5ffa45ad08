"""Clearance of the arm from zones and from itself, along the whole way to rest.

The way from the last vetted position over the request to where the ramp would end is a
straight line in joint space. It is walked in steps so short that no capsule can pass a
zone between two of them: a step is as long as the clearance allows, and where it has a
least length, each place needs as much clearance as half a step can use up.

A pair that begins too near may come no nearer on the way, and has to be farther apart
at its end: the arm may leave a zone, and stand in it, and nothing else. What does not
move against each other has nothing to leave, and keeps nobody else from moving.
"""

import math

import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Vector
from cell.contracts.servo import HoldReason
from cell.kinematics.compiled import compiled
from cell.kinematics.kernels import fill_frames
from safety.capsules import BOX, CYLINDER, Surroundings
from safety.distances import (
    bound_box,
    bound_cylinder,
    measure_box,
    measure_cylinder,
    measure_half_space,
    measure_segments,
)
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

_KEEP_OUT = int(HoldReason.KEEP_OUT_ZONE)
_SELF = int(HoldReason.SELF_COLLISION)

# The least step along the way, as a part of it.
_STEPS = 8
_LEAST_STEP = 1.0 / _STEPS


@compiled
def check_clearance(q: Vector, way: Vector, around: Surroundings) -> Check:
    """Check all capsules along `q` to `q + way`, shapes (6,) [rad]."""
    zones = around.against_zone.shape[0]
    count = zones + around.against_self.shape[0]
    travel = np.empty(count)
    fill_travel(way, around, travel)
    # Only distances to zones are estimated where they are large.
    horizon = travel.max() + around.slow_m[0]
    start = np.empty(count)
    now = np.empty(count)
    is_far = np.zeros(count, dtype=np.bool_)
    fill_watched(q, around, horizon, is_far, start)
    if _find_far(start, travel, zones, around, is_far):
        return NOTHING_NEAR
    for k in range(count):
        now[k] = start[k]
    done = 0.0
    while True:
        step = math.inf
        for k in range(count):
            room = now[k]
            needed = 0.5 * _LEAST_STEP * travel[k]
            if not room >= needed:
                # Written so that what is no number is no way out either.
                if not room >= start[k] - ROUNDING:
                    return _refuse(k, zones, room, around)
                step = _LEAST_STEP
            elif travel[k] > 0.0:
                step = min(step, room / travel[k])
        if done >= 1.0:
            break
        done = min(1.0, done + max(step, _LEAST_STEP))
        # What is far stays so, wherever the way leads: it keeps what it had.
        fill_watched(q + done * way, around, horizon, is_far, now)
    lingering = _find_lingering(start, now, travel)
    if lingering >= 0:
        return _refuse(lingering, zones, now[lingering], around)
    return _grant(start, now, zones, around)


@compiled
def _find_lingering(start: Vector, end: Vector, travel: Vector) -> int:
    """Return the first check that moves inside and does not leave; -1 for none."""
    for k in range(start.shape[0]):
        if not is_way_out(start[k], end[k], travel[k]):
            return k
    return -1


@compiled
def is_way_out(start: float, end: float, travel: float) -> bool:
    """Say whether a check that begins inside leaves; outside there is nothing to leave.

    Sideways at the same depth is no way out. What moves less than rounding can tell
    stands still.

    Args:
        start: clearance where the way begins [m].
        end: clearance where the ramp after it would end [m].
        travel: how far the two could move against each other at most [m].
    """
    if start >= 0.0 or travel <= ROUNDING:
        return True
    return end > start + ROUNDING


@compiled
def _find_far(
    start: Vector,
    travel: Vector,
    zones: int,
    around: Surroundings,
    is_far: NDArray[np.bool_],
) -> bool:
    """Mark what can never come near enough to matter; say whether that is all."""
    is_all = True
    for k in range(start.shape[0]):
        slow = around.slow_m[0] if k < zones else around.slow_m[1]
        is_far[k] = start[k] - travel[k] > slow
        is_all = is_all and is_far[k]
    return is_all


@compiled
def _refuse(k: int, zones: int, room: float, around: Surroundings) -> Check:
    limit = _KEEP_OUT if k < zones else _SELF
    slow = around.slow_m[0] if k < zones else around.slow_m[1]
    return refuse(limit, min(room, -ROUNDING) / slow, room, k)


@compiled
def _grant(start: Vector, end: Vector, zones: int, around: Surroundings) -> Check:
    """Return what is nearest at the end, and how much its approach is slowed down."""
    nearest = NOTHING_NEAR
    for k in range(start.shape[0]):
        slow = around.slow_m[0] if k < zones else around.slow_m[1]
        ratio = max(end[k] / slow, 0.0)
        limit = _KEEP_OUT if k < zones else _SELF
        nearest = take_nearer(nearest, grant(limit, ratio, end[k], k))
        if end[k] < start[k] - ROUNDING:
            nearest = slow_down(nearest, max(ratio, SLOWEST))
    return nearest


@compiled
def fill_travel(way: Vector, around: Surroundings, travel: Vector) -> None:
    """Write how far the capsules of each check can move against each other [m].

    Only joints between two capsules change their distance; for a zone that is every
    joint before the capsule.
    """
    zones = around.against_zone.shape[0]
    for k in range(travel.shape[0]):
        first = 0
        if k < zones:
            capsule = around.against_zone[k, 0]
        else:
            first = around.frame[around.against_self[k - zones, 0]]
            capsule = around.against_self[k - zones, 1]
        total = 0.0
        for joint in range(first, around.frame[capsule]):
            total += abs(way[joint]) * around.reach[capsule, joint]
        travel[k] = total


@compiled
def fill_clearances(
    q: Vector, around: Surroundings, horizon: float, clearance: Vector
) -> None:
    """Write the clearance of every check at `q`, zones first [m].

    What is further than `horizon` is given as a lower bound that is further too.
    """
    fill_watched(
        q, around, horizon, np.zeros(clearance.shape[0], dtype=np.bool_), clearance
    )


@compiled
def fill_watched(
    q: Vector,
    around: Surroundings,
    horizon: float,
    is_far: NDArray[np.bool_],
    clearance: Vector,
) -> None:
    """Write the clearances as `fill_clearances` does, but for checks that are far."""
    # Taken out of the tuple once: each look into it is counted, which takes longer
    # than a distance.
    radius, margin, kinds = around.radius, around.zone_margin, around.zone_kind
    sizes, zone_from_base = around.zone_size, around.zone_from_base
    against_zone, against_self = around.against_zone, around.against_self
    frames = np.empty((7, 3, 4))
    fill_frames(q, frames)
    ends = np.empty((radius.shape[0], 2, 3))
    _fill_ends(frames, around.frame, around.ends, ends)
    local = np.empty((2, 3))
    zones = against_zone.shape[0]
    for k in range(zones):
        if is_far[k]:
            continue
        capsule, zone = against_zone[k, 0], against_zone[k, 1]
        if radius[capsule] <= 0.0:
            clearance[k] = np.inf
            continue
        kept = radius[capsule] + margin[zone]
        _fill_local(ends, capsule, zone_from_base, zone, local)
        distance = _measure_zone(local, kinds[zone], sizes, zone, horizon + kept)
        clearance[k] = distance - kept
    for k in range(against_self.shape[0]):
        if is_far[zones + k]:
            continue
        one, other = against_self[k, 0], against_self[k, 1]
        if radius[one] <= 0.0 or radius[other] <= 0.0:
            clearance[zones + k] = np.inf
            continue
        distance = measure_segments(ends, one, other)
        clearance[zones + k] = distance - radius[one] - radius[other]


@compiled
def _measure_zone(
    local: Vector, kind: int, sizes: Vector, zone: int, horizon: float
) -> float:
    if kind == BOX:
        bound = bound_box(local, sizes, zone)
        if bound > horizon:
            return bound
        return measure_box(local, sizes, zone)
    if kind == CYLINDER:
        bound = bound_cylinder(local, sizes, zone)
        if bound > horizon:
            return bound
        return measure_cylinder(local, sizes, zone)
    return measure_half_space(local)


@compiled
def _fill_ends(
    frames: Vector, capsule_frame: NDArray[np.int64], own: Vector, ends: Vector
) -> None:
    """Write the ends of all capsules in base, shape (n, 2, 3) [m]."""
    for c in range(ends.shape[0]):
        frame = capsule_frame[c]
        for end in range(2):
            x, y, z = own[c, end, 0], own[c, end, 1], own[c, end, 2]
            for row in range(3):
                ends[c, end, row] = (
                    frames[frame, row, 0] * x
                    + frames[frame, row, 1] * y
                    + frames[frame, row, 2] * z
                    + frames[frame, row, 3]
                )


@compiled
def _fill_local(
    ends: Vector, capsule: int, zone_from_base: Vector, zone: int, local: Vector
) -> None:
    """Write the ends of one capsule in the frame of a zone, shape (2, 3) [m]."""
    for end in range(2):
        x, y, z = ends[capsule, end, 0], ends[capsule, end, 1], ends[capsule, end, 2]
        for row in range(3):
            local[end, row] = (
                zone_from_base[zone, row, 0] * x
                + zone_from_base[zone, row, 1] * y
                + zone_from_base[zone, row, 2] * z
                + zone_from_base[zone, row, 3]
            )
