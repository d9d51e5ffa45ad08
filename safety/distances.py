"""Distances of a straight segment to the solids a cell is made of. Compiled, exact.

A capsule is a segment with a radius, so its distance is the segment's less the radius.
Inside of a solid the distance is negative: how far the segment would have to be pushed
along one face to be out of it. That measure jumps where a segment only just enters, and
falls for certain as it goes deeper, which is all that its use needs.

What is no number gives no number, which breaks every limit it is compared with.

Functions take whole arrays and an index where a slice would read better: slices inside
of compiled loops cost more than the distance itself.
"""

import math
from typing import Final

import numpy as np

from cell.contracts.geometry import Vector
from cell.kinematics.compiled import compiled

# Halvings of the unit interval: what is left is below the digits of a double.
_HALVINGS = 52
# Nearer than this a segment counts as in the solid: the place at which it enters is
# found to the last digits, and may be a trace outside.
_TOUCHING_M = 1e-9
# In the place of a divisor that is nothing, where what is divided is nothing as well.
_TINY: Final = float(np.finfo(np.float64).tiny)


@compiled
def measure_half_space(ends: Vector) -> float:
    """Return the smaller height of a segment's ends, (2, 3), above z = 0 [m]."""
    one, other = ends[0, 2], ends[1, 2]
    # min() of a number and of no number may be either.
    height: float = 0.5 * (one + other - abs(one - other))
    return height


@compiled
def measure_box(ends: Vector, sizes: Vector, zone: int) -> float:
    """Return the distance of a segment to a box about the origin [m].

    Args:
        ends: of the segment in the frame of the box, shape (2, 3) [m].
        sizes: half sides, shape (m, 3) [m].
        zone: which of the sizes.
    """
    t = _find_nearest_to_box(ends, sizes, zone)
    total, depth = 0.0, math.inf
    for i in range(3):
        half, one, other = sizes[zone, i], ends[0, i], ends[1, i]
        outside = _excess(one + t * (other - one), half)
        total += outside * outside
        depth = min(depth, half + 0.5 * (abs(one - other) - abs(one + other)))
    if not total <= _TOUCHING_M * _TOUCHING_M:
        return math.sqrt(total)
    return -depth


@compiled
def bound_box(ends: Vector, sizes: Vector, zone: int) -> float:
    """Return a quick lower bound of `measure_box` for a segment outside of the box."""
    total = 0.0
    for i in range(3):
        total += _square_gap(ends[0, i], ends[1, i], sizes[zone, i])
    return math.sqrt(total)


@compiled
def bound_cylinder(ends: Vector, sizes: Vector, zone: int) -> float:
    """Return a quick lower bound of `measure_cylinder`: that of the box around it."""
    radius, half_height = sizes[zone, 0], sizes[zone, 1]
    total = _square_gap(ends[0, 0], ends[1, 0], radius)
    total += _square_gap(ends[0, 1], ends[1, 1], radius)
    total += _square_gap(ends[0, 2], ends[1, 2], half_height)
    return math.sqrt(total)


@compiled
def _square_gap(one: float, other: float, half: float) -> float:
    """Return the square of the gap between two coordinates and +-half, 0 for none."""
    gap = 0.5 * (abs(one + other) - abs(one - other)) - half
    # The larger of it and 0; max() might lose what is no number.
    gap = 0.5 * (gap + abs(gap))
    return gap * gap


@compiled
def _find_nearest_to_box(ends: Vector, sizes: Vector, zone: int) -> float:
    """Return the first place on the segment, 0..1, that is nearest to the box.

    The squared distance is convex along the segment, and its slope is straight between
    the places where the segment passes a face. The zero is bracketed by those.
    """
    low, high = 0.0, 1.0
    slope_low = _compute_box_slope(ends, sizes, zone, low)
    slope_high = _compute_box_slope(ends, sizes, zone, high)
    if slope_low >= 0.0:
        return low
    if slope_high < 0.0:
        return high
    for i in range(3):
        half, way = sizes[zone, i], ends[1, i] - ends[0, i]
        if way == 0.0:
            continue
        for face in (-half, half):
            t = min(max((face - ends[0, i]) / way, low), high)
            slope = _compute_box_slope(ends, sizes, zone, t)
            if slope < 0.0:
                low, slope_low = t, slope
            else:
                high, slope_high = t, slope
    return low - (high - low) * slope_low / (slope_high - slope_low)


@compiled
def _compute_box_slope(ends: Vector, sizes: Vector, zone: int, t: float) -> float:
    slope = 0.0
    for i in range(3):
        way = ends[1, i] - ends[0, i]
        slope += _excess(ends[0, i] + t * way, sizes[zone, i]) * way
    return slope


@compiled
def _excess(value: float, half: float) -> float:
    """Return how far a coordinate lies outside of +-half, with its sign."""
    # In this order a half that is no number is not lost.
    return value - min(max(-half, value), half)


@compiled
def measure_cylinder(ends: Vector, sizes: Vector, zone: int) -> float:
    """Return the distance of a segment to a solid cylinder about the z axis [m].

    Args:
        ends: of the segment in the frame of the cylinder, shape (2, 3) [m].
        sizes: radius and half height, shape (m, 3) [m].
        zone: which of the sizes.
    """
    radius, half_height = sizes[zone, 0], sizes[zone, 1]
    t = _find_nearest_to_cylinder(ends, radius, half_height)
    x = ends[0, 0] + t * (ends[1, 0] - ends[0, 0])
    y = ends[0, 1] + t * (ends[1, 1] - ends[0, 1])
    beside = max(math.sqrt(x * x + y * y) - radius, 0.0)
    above = _excess(ends[0, 2] + t * (ends[1, 2] - ends[0, 2]), half_height)
    total = beside * beside + above * above
    if not total <= _TOUCHING_M * _TOUCHING_M:
        return math.sqrt(total)
    upward = half_height - min(ends[0, 2], ends[1, 2])
    downward = half_height + max(ends[0, 2], ends[1, 2])
    depth: float = min(upward, downward, radius - _measure_from_axis(ends))
    return -depth


@compiled
def _find_nearest_to_cylinder(ends: Vector, radius: float, half_height: float) -> float:
    """Return the first place on the segment, 0..1, that is nearest: a zero slope."""
    low, high = 0.0, 1.0
    if _compute_cylinder_slope(ends, radius, half_height, low) >= 0.0:
        return low
    if _compute_cylinder_slope(ends, radius, half_height, high) < 0.0:
        return high
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if _compute_cylinder_slope(ends, radius, half_height, middle) < 0.0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@compiled
def _compute_cylinder_slope(
    ends: Vector, radius: float, half_height: float, t: float
) -> float:
    way_x, way_y = ends[1, 0] - ends[0, 0], ends[1, 1] - ends[0, 1]
    way_z = ends[1, 2] - ends[0, 2]
    x, y, z = ends[0, 0] + t * way_x, ends[0, 1] + t * way_y, ends[0, 2] + t * way_z
    slope: float = _excess(z, half_height) * way_z
    from_axis = math.sqrt(x * x + y * y)
    beside = max(from_axis - radius, 0.0)
    # Within the radius nothing is divided, on the axis by more than nothing.
    slope += beside * (x * way_x + y * way_y) / max(from_axis, radius)
    return slope


@compiled
def _measure_from_axis(ends: Vector) -> float:
    """Return the least distance of a segment from the z axis [m]."""
    way_x, way_y = ends[1, 0] - ends[0, 0], ends[1, 1] - ends[0, 1]
    x, y = ends[0, 0], ends[0, 1]
    square = way_x * way_x + way_y * way_y
    t = min(max(-(x * way_x + y * way_y) / max(square, _TINY), 0.0), 1.0)
    return math.hypot(x + t * way_x, y + t * way_y)


@compiled
def measure_segments(ends: Vector, one: int, other: int) -> float:
    """Return the least distance between two of the segments, shape (n, 2, 3) [m].

    The squared distance over both parameters is convex; its minimum is sought on the
    lines first and then clamped, as in Ericson, Real-Time Collision Detection, 5.1.9.
    """
    uu, vv, uv, uw, vw = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(3):
        u = ends[one, 1, i] - ends[one, 0, i]
        v = ends[other, 1, i] - ends[other, 0, i]
        w = ends[one, 0, i] - ends[other, 0, i]
        uu += u * u
        vv += v * v
        uv += u * v
        uw += u * w
        vw += v * w
    # Nearly parallel: any place will do to start from, the clamping finds the rest.
    s = min(max((uv * vw - uw * vv) / max(uu * vv - uv * uv, _TINY), 0.0), 1.0)
    t = min(max((uv * s + vw) / max(vv, _TINY), 0.0), 1.0)
    s = min(max((uv * t - uw) / max(uu, _TINY), 0.0), 1.0)
    total = 0.0
    for i in range(3):
        u = ends[one, 1, i] - ends[one, 0, i]
        v = ends[other, 1, i] - ends[other, 0, i]
        gap = ends[one, 0, i] - ends[other, 0, i] + s * u - t * v
        total += gap * gap
    return math.sqrt(total)
