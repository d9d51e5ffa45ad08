"""Says whether a resting place is clear of the zones, in plain numpy.

It runs once, when a configuration is read, where compiling a kernel would take longer
than all the rest; capsules are looked at in samples along them, so close that no axis
slips through anything between two of them.
"""

import numpy as np

from cell.contracts.geometry import Vector
from safety.capsules import BOX, CYLINDER, Names, Surroundings, name_check
from safety.plain_frames import compute_frames

_LEAST_STEPS = 40


def find_home_conflict(q: Vector, around: Surroundings, names: Names) -> str:
    """Return what the arm at `q`, shape (6,) [rad], is in; empty when it is clear."""
    frames = compute_frames(q)
    for item, (capsule, zone) in enumerate(around.against_zone.tolist()):
        if around.radius[capsule] <= 0.0:
            continue
        frame = frames[around.frame[capsule]]
        start, end = around.ends[capsule]
        axis = _sample_axis(start, end, around.radius[capsule])
        points = axis @ frame[:3, :3].T + frame[:3, 3]
        distance = _measure_points(points, around, zone)
        clearance = distance - around.radius[capsule] - around.zone_margin[zone]
        if not clearance >= 0.0:
            return f"{name_check(item, around, names)} overlap by {-clearance:.3f} m"
    return ""


def _sample_axis(start: Vector, end: Vector, radius_m: float) -> Vector:
    """Return points from end to end, no farther apart than the radius, shape (n, 3)."""
    # What is no number keeps the least, and is found to be in the way.
    steps = np.fmax(_LEAST_STEPS, np.ceil(np.linalg.norm(end - start) / radius_m))
    shares = np.linspace(0.0, 1.0, int(steps) + 1)[:, None]
    return np.asarray(start + shares * (end - start))


def _measure_points(points: Vector, around: Surroundings, zone: int) -> float:
    zone_from_base = around.zone_from_base[zone]
    local = points @ zone_from_base[:, :3].T + zone_from_base[:, 3]
    size = around.zone_size[zone]
    if around.zone_kind[zone] == BOX:
        excess = np.abs(local) - size
    elif around.zone_kind[zone] == CYLINDER:
        beside = np.hypot(local[:, 0], local[:, 1]) - size[0]
        excess = np.column_stack([beside, np.abs(local[:, 2]) - size[1]])
    else:
        return float(local[:, 2].min())
    outside = np.linalg.norm(np.maximum(excess, 0.0), axis=1)
    inside = np.minimum(excess.max(axis=1), 0.0)
    return float((outside + inside).min())
