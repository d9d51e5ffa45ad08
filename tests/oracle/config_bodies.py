"""What stands around the arm, read from the configuration by a way of its own.

The guard packs its own arrays; here zones are turned by the formula of Rodrigues, and
which capsule is kept from which zone is written down once more. Of the guard's arrays
only the links are taken, which a test of their own holds against the meshes.
"""

import math
from typing import Any, Final, NamedTuple

import numpy as np

from tests.oracle.plain import BOX, CYLINDER, HALF_SPACE, Bodies, Numbers, Vector

_KINDS: Final = {"box": BOX, "cylinder": CYLINDER, "half_space": HALF_SPACE}
# Base, shoulder, upper arm, elbow, forearm and three wrists, in this order.
_LINK_GROUPS: Final = ("base", *["arm"] * 7)
_LINK_PAIRS: Final = (
    *((0, 4), (0, 5), (0, 6), (0, 7)),
    *((1, 4), (1, 5), (1, 6), (1, 7)),
    *((2, 5), (2, 6), (2, 7)),
    *((3, 6), (3, 7)),
    (4, 7),
)
_HELD_AGAINST: Final = (0, 1, 2, 3, 4, 5)
_WRIST_2: Final = 6
# Where the axis of the second wrist lies behind the flange, and where the capsule
# around it ends, from the point in which the flange's axis meets it: UR's data sheet.
_BEHIND_M: Final = 0.0996
_ENDS_M: Final = (-0.0997 - 0.020, 0.105 - 0.0997)
_WRIST_2_RADIUS_M: Final = 0.054


def _turns_into_wrist_2(ends: Any, radius: float) -> bool:
    """Tell whether the last joint decides if something on the flange meets wrist 2."""
    along = np.linspace(0.0, 1.0, 101)[:, None]
    held = np.array(ends[0]) + along * (np.array(ends[1]) - np.array(ends[0]))
    gaps = []
    for angle in np.linspace(0.0, 2.0 * math.pi, 90):
        axis = np.array([math.cos(angle), math.sin(angle), 0.0])
        behind = held + np.array([0.0, 0.0, _BEHIND_M])
        place = np.clip(behind @ axis, *_ENDS_M)
        apart = np.linalg.norm(behind - place[:, None] * axis, axis=1)
        gaps.append(apart.min() - radius - _WRIST_2_RADIUS_M)
    is_turning = max(gaps) - min(gaps) > 1e-6
    return bool(is_turning and max(gaps) > 0.0 and min(gaps) < 0.02)


class Links(NamedTuple):
    """Capsules of the links: frames, ends in them [m], radii [m]."""

    frame: Numbers
    ends: Vector
    radius: Vector


def make_bodies(
    config: Any, links: Links, flange_from_tcp: Vector, part: tuple[float, float]
) -> Bodies:
    """Build what the oracles measure.

    Args:
        config: `tool` and `zones` of the configuration are read.
        links: the eight of the arm.
        flange_from_tcp: shape (3, 4).
        part: radius of the part in the fingers, 0 for none, and its length [m].
    """
    tcp, along = flange_from_tcp[:, 3], flange_from_tcp[:, 2]
    groups = [*_LINK_GROUPS, *(item.group for item in config.tool), "part"]
    frame = [*links.frame, *[6] * (len(config.tool) + 1)]
    ends = [*links.ends, *((item.from_m, item.to_m) for item in config.tool)]
    ends.append((tcp, tcp + part[1] * along))
    radius = [*links.radius, *(item.radius_m for item in config.tool), part[0]]
    against_zone = [
        (capsule, number)
        for number, zone in enumerate(config.zones)
        for capsule, group in enumerate(groups)
        if group in zone.keeps_out
    ]
    held = range(len(_LINK_GROUPS), len(groups))
    against_self = [*_LINK_PAIRS, *((own, it) for it in held for own in _HELD_AGAINST)]
    # A part counts as large as any may be.
    room = [*radius[:-1], 0.1]
    against_self += [
        (_WRIST_2, it) for it in held if _turns_into_wrist_2(ends[it], room[it])
    ]
    return Bodies(
        frame=np.array(frame, np.int64),
        ends=np.array(ends, np.float64),
        radius=np.array(radius, np.float64),
        zone_kind=np.array([_KINDS[zone.kind] for zone in config.zones], np.int64),
        zone_size=_stack([_size_of(zone) for zone in config.zones], 3),
        base_from_zone=_stack([_frame_of(zone) for zone in config.zones], 3, 4),
        zone_margin=np.array([zone.margin_m for zone in config.zones], np.float64),
        against_zone=np.array(against_zone, np.int64).reshape(-1, 2),
        against_self=np.array(against_self, np.int64),
    )


def _size_of(zone: Any) -> tuple[float, float, float]:
    if zone.kind == "box":
        return tuple(zone.half_m)
    if zone.kind == "cylinder":
        return zone.radius_m, zone.half_height_m, 0.0
    return 0.0, 0.0, 0.0


def _frame_of(zone: Any) -> Vector:
    """Return base_from_zone, shape (3, 4)."""
    if zone.kind == "half_space":
        z = np.array(zone.normal) / np.linalg.norm(zone.normal)
        x = np.linalg.svd(z[None])[2][1]
        turn = np.column_stack([x, np.cross(z, x), z])
        return np.column_stack([turn, zone.point_m])
    return np.column_stack([_rotate(np.array(zone.rotvec_rad)), zone.centre_m])


def _rotate(rotvec: Vector) -> Vector:
    angle = float(np.linalg.norm(rotvec))
    if angle == 0.0:
        return np.eye(3)
    x, y, z = rotvec / angle
    across = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    sine, cosine = math.sin(angle), math.cos(angle)
    turn: Vector = np.eye(3) + sine * across + (1.0 - cosine) * across @ across
    return turn


def _stack(values: list[Any], *shape: int) -> Vector:
    return np.array(values, np.float64).reshape(len(values), *shape)
