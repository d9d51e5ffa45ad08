"""Distances of a straight segment to the solids a cell is made of. Compiled, exact.

A capsule is a segment with a radius, so its distance is the segment's less the radius.
Inside of a solid the distance is negative: how far the segment would have to be pushed
along one face to be out of it. That measure jumps where a segment only just enters, and
falls for certain as it goes deeper, which is all that its use needs.

What is no number gives no number, which breaks every limit it is compared with.
"""

import math

from cell.contracts.geometry import Vector
from cell.kinematics.compiled import compiled

# Halvings of the unit interval: what is left is below the digits of a double.
_HALVINGS = 52


@compiled
def measure_half_space(a: Vector, b: Vector) -> float:
    """Return the smaller height of a segment's ends above the plane z = 0 [m]."""
    # min() of a number and of no number may be either.
    height: float = min(a[2], b[2]) + 0.0 * (a[2] + b[2])
    return height


@compiled
def measure_box(a: Vector, b: Vector, half: Vector) -> float:
    """Return the distance of the segment from `a` to `b` to a box about the origin [m].

    Args:
        a: one end in the frame of the box, shape (3,) [m].
        b: the other end.
        half: half sides of the box, shape (3,) [m].
    """
    t = _find_nearest_to_box(a, b, half)
    total = 0.0
    for i in range(3):
        outside = _excess(a[i] + t * (b[i] - a[i]), half[i])
        total += outside * outside
    if not total <= 0.0:
        return math.sqrt(total)
    depth = half[0] - min(a[0], b[0])
    for i in range(3):
        depth = min(depth, half[i] - min(a[i], b[i]), half[i] + max(a[i], b[i]))
    # min() of a number and of no number may be either.
    signed: float = -depth + 0.0 * (half[0] + half[1] + half[2])
    return signed


@compiled
def bound_box(a: Vector, b: Vector, half: Vector) -> float:
    """Return a quick lower bound of `measure_box` for a segment outside of the box."""
    total = 0.0
    for i in range(3):
        outside = max(min(a[i], b[i]) - half[i], -half[i] - max(a[i], b[i]), 0.0)
        total += outside * outside
    return math.sqrt(total)


@compiled
def _find_nearest_to_box(a: Vector, b: Vector, half: Vector) -> float:
    """Return where on the segment, 0..1, it comes nearest to the box.

    The squared distance is convex along the segment, and its slope is straight between
    the places where the segment passes a face. The zero is bracketed by those.
    """
    low, high = 0.0, 1.0
    slope_low = _compute_box_slope(a, b, half, low)
    slope_high = _compute_box_slope(a, b, half, high)
    if slope_low >= 0.0:
        return low
    if slope_high <= 0.0:
        return high
    for i in range(3):
        way = b[i] - a[i]
        if way == 0.0:
            continue
        for side in range(2):
            face = half[i] if side else -half[i]
            t = (face - a[i]) / way
            if low < t < high:
                slope = _compute_box_slope(a, b, half, t)
                if slope < 0.0:
                    low, slope_low = t, slope
                else:
                    high, slope_high = t, slope
    return low - (high - low) * slope_low / (slope_high - slope_low)


@compiled
def _compute_box_slope(a: Vector, b: Vector, half: Vector, t: float) -> float:
    slope = 0.0
    for i in range(3):
        way = b[i] - a[i]
        slope += _excess(a[i] + t * way, half[i]) * way
    return slope


@compiled
def _excess(value: float, half: float) -> float:
    """Return how far a coordinate lies outside of +-half, with its sign."""
    if value > half:
        return value - half
    if value < -half:
        return value + half
    return 0.0 * value


@compiled
def measure_cylinder(a: Vector, b: Vector, radius: float, half_height: float) -> float:
    """Return the distance of a segment to a solid cylinder about the z axis [m].

    Args:
        a: one end in the frame of the cylinder, shape (3,) [m].
        b: the other end.
        radius: of the cylinder [m].
        half_height: it reaches from minus to plus this along z [m].
    """
    t = _find_nearest_to_cylinder(a, b, radius, half_height)
    x, y = a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])
    beside = math.sqrt(x * x + y * y) - radius
    above = _excess(a[2] + t * (b[2] - a[2]), half_height)
    if not beside <= 0.0:
        return math.sqrt(beside * beside + above * above)
    if not abs(above) <= 0.0:
        return abs(above)
    upward: float = half_height - min(a[2], b[2])
    downward: float = half_height + max(a[2], b[2])
    return -min(upward, downward, radius - _measure_from_axis(a, b))


@compiled
def _find_nearest_to_cylinder(
    a: Vector, b: Vector, radius: float, half_height: float
) -> float:
    """Return where on the segment, 0..1, it comes nearest: a zero of its slope."""
    if _compute_cylinder_slope(a, b, radius, half_height, 0.0) >= 0.0:
        return 0.0
    if _compute_cylinder_slope(a, b, radius, half_height, 1.0) <= 0.0:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if _compute_cylinder_slope(a, b, radius, half_height, middle) < 0.0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@compiled
def _compute_cylinder_slope(
    a: Vector, b: Vector, radius: float, half_height: float, t: float
) -> float:
    way_x, way_y, way_z = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    x, y, z = a[0] + t * way_x, a[1] + t * way_y, a[2] + t * way_z
    slope: float = _excess(z, half_height) * way_z
    from_axis = math.sqrt(x * x + y * y)
    if from_axis > radius:
        slope += (from_axis - radius) * (x * way_x + y * way_y) / from_axis
    return slope


@compiled
def _measure_from_axis(a: Vector, b: Vector) -> float:
    """Return the least distance of a segment from the z axis [m]."""
    way_x, way_y = b[0] - a[0], b[1] - a[1]
    square = way_x * way_x + way_y * way_y
    t = 0.0
    if square > 0.0:
        t = min(max(-(a[0] * way_x + a[1] * way_y) / square, 0.0), 1.0)
    x, y = a[0] + t * way_x, a[1] + t * way_y
    return math.sqrt(x * x + y * y)


@compiled
def measure_segments(a: Vector, b: Vector, c: Vector, d: Vector) -> float:
    """Return the least distance between the segments `a`-`b` and `c`-`d` [m].

    The squared distance over both parameters is convex; its minimum is sought on the
    lines first and then clamped, as in Ericson, Real-Time Collision Detection, 5.1.9.
    """
    uu, vv, uv, uw, vw = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(3):
        u, v, w = b[i] - a[i], d[i] - c[i], a[i] - c[i]
        uu += u * u
        vv += v * v
        uv += u * v
        uw += u * w
        vw += v * w
    s = 0.0
    area = uu * vv - uv * uv
    # Nearly parallel: any place will do to start from, the clamping finds the rest.
    if area > 1e-12 * uu * vv:
        s = min(max((uv * vw - uw * vv) / area, 0.0), 1.0)
    t = 0.0
    if vv > 0.0:
        t = (uv * s + vw) / vv
    if t < 0.0:
        t = 0.0
    elif t > 1.0:
        t = 1.0
    if uu > 0.0:
        s = min(max((uv * t - uw) / uu, 0.0), 1.0)
    total = 0.0
    for i in range(3):
        gap = a[i] - c[i] + s * (b[i] - a[i]) - t * (d[i] - c[i])
        total += gap * gap
    return math.sqrt(total)
