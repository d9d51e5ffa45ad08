"""The resting place beside zones: what is found, and just where it begins."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cell.contracts.geometry import Pose
from safety import capsules, home, plain_frames
from safety.capsules import Surroundings, make_surroundings
from safety.home import find_home_conflict
from safety.zones import BoxZone, CylinderZone, HalfSpaceZone, ToolCapsule
from tests.fakes.motion_oracle import SAFETY, compute_frames

TOOL = Pose.from_rotvec([0.0, 0.0, 0.15], [0.0, 0.0, 0.0])
Q = np.array([0.4, -1.3, 1.1, -0.7, 0.9, 0.5])
START, END = (0.02, -0.01, 0.1), (0.05, 0.03, 0.2)
RADIUS_M, MARGIN_M = 0.03, 0.01
ROD = ToolCapsule(name="rod", group="tool", from_m=START, to_m=END, radius_m=RADIUS_M)


def place(point: Any) -> Any:
    """Where a point of the flange is, by the textbook."""
    flange = compute_frames(Q)[6]
    return flange[:3, :3] @ np.array(point) + flange[:3, 3]


ENDS = place(START), place(END)


def find(zone: Any, part: Any = None) -> str:
    config = SAFETY.model_copy(update={"tool": (ROD,), "zones": (zone,)})
    around, names = make_surroundings(config, TOOL)
    if part is not None:
        around.radius[-1] = part
    return find_home_conflict(Q, around, names)


def wall(offset_m: float, normal: Any, groups: Any = ("tool",)) -> HalfSpaceZone:
    """A wall whose distance from the nearer end of the rod is known."""
    n = np.array(normal, float) / np.linalg.norm(normal)
    lowest = min(ENDS, key=lambda end: float(end @ n))
    point = lowest - offset_m * n
    return HalfSpaceZone(
        name="wall",
        keeps_out=groups,
        margin_m=MARGIN_M,
        point_m=tuple(point.tolist()),
        normal=tuple(n.tolist()),
    )


@pytest.mark.parametrize("normal", [(0, 0, 1), (0, 0, -1), (1, 2, 0), (-2, 1, 1)])
def test_a_wall_is_measured_from_the_nearer_end(normal: Any) -> None:
    kept = RADIUS_M + MARGIN_M

    assert find(wall(kept + 1e-6, normal)) == ""
    found = find(wall(kept - 0.0123, normal))
    assert found == "rod and zone wall overlap by 0.012 m"


def beside(solid: Any, away: Any, gap_m: float, rotvec: Any) -> Any:
    """A small solid whose surface is so far from the rod's first end."""
    turn = Pose.from_rotvec([0.0, 0.0, 0.0], list(rotvec)).as_matrix()[:3, :3]
    # Along its own z axis, with the face towards the rod.
    centre = ENDS[0] + np.array(away) * (gap_m + 0.05)
    assert np.allclose(turn[:, 2], -np.array(away), atol=1e-9) or np.allclose(
        turn[:, 2], np.array(away), atol=1e-9
    )
    facts: dict[str, Any] = {
        "name": "block",
        "keeps_out": ("tool",),
        "margin_m": MARGIN_M,
        "centre_m": tuple(centre.tolist()),
        "rotvec_rad": tuple(rotvec),
    }
    if solid is BoxZone:
        return BoxZone(half_m=(0.4, 0.3, 0.05), **facts)
    return CylinderZone(radius_m=0.3, half_height_m=0.05, **facts)


@pytest.mark.parametrize("solid", [BoxZone, CylinderZone])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_solid_is_measured_from_its_face(solid: Any, sign: Any) -> None:
    along = (ENDS[1] - ENDS[0]) / np.linalg.norm(ENDS[1] - ENDS[0])
    away = -along
    # A turn that takes z to where the rod comes from, or the other way round.
    axis = np.cross([0.0, 0.0, 1.0], sign * away)
    angle = math.acos(sign * away[2])
    rotvec = (axis / np.linalg.norm(axis) * angle).tolist()
    kept = RADIUS_M + MARGIN_M

    assert find(beside(solid, away, kept + 1e-6, rotvec)) == ""
    found = find(beside(solid, away, kept - 0.0123, rotvec))
    assert found == "rod and zone block overlap by 0.012 m"


def lone(kind: int, size: Any, centre: Any = (0.0, 0.0, 0.0)) -> Surroundings:
    around, _ = make_surroundings(SAFETY, TOOL)
    return around._replace(
        zone_kind=np.array([kind]),
        zone_size=np.array([size], float),
        zone_from_base=np.column_stack([np.eye(3), -np.array(centre, float)])[None],
    )


BOX = lone(capsules.BOX, [1.0, 2.0, 3.0], [10.0, 20.0, 30.0])
POST = lone(capsules.CYLINDER, [3.0, 4.0, 0.0], [10.0, 20.0, 30.0])
FLOOR = lone(capsules.HALF_SPACE, [0.0, 0.0, 0.0], [10.0, 20.0, 30.0])


@pytest.mark.parametrize(
    ("around", "point", "wanted"),
    [
        (BOX, [1.5, 0.0, 0.0], 0.5),
        (BOX, [-1.5, 0.0, 0.0], 0.5),
        (BOX, [0.0, -5.0, 7.0], 5.0),
        (BOX, [0.75, 0.0, 0.0], -0.25),
        (BOX, [0.0, -1.5, 0.0], -0.5),
        (BOX, [0.0, 1.9, 2.95], -0.05),
        (POST, [3.0, 4.0, 0.0], 2.0),
        (POST, [0.0, -3.0, 4.5], 0.5),
        (POST, [0.0, 1.0, -4.5], 0.5),
        (POST, [0.0, 6.0, 8.0], 5.0),
        (POST, [0.0, 2.5, 0.0], -0.5),
        (POST, [1.0, 0.0, 3.75], -0.25),
        (FLOOR, [5.0, -6.0, 0.5], 0.5),
        (FLOOR, [5.0, -6.0, -0.5], -0.5),
    ],
)
def test_a_point_has_a_signed_distance(around: Any, point: Any, wanted: Any) -> None:
    here = np.array([10.0, 20.0, 30.0]) + point

    found = home._measure_points(np.array([here + 100.0, here]), around, 0)

    assert found == pytest.approx(wanted, abs=1e-12)


def test_what_stands_just_at_its_distance_is_clear() -> None:
    around, names = make_surroundings(
        SAFETY.model_copy(update={"zones": (wall(0.0, (0, 0, 1), ("arm",)),)}), TOOL
    )
    # All capsules but one gone, and that one is a ball at the base.
    around.radius[:] = 0.0
    around.frame[1], around.ends[1] = 0, [[0.0, 0.0, 0.5], [0.0, 0.0, 0.5]]
    around.radius[1] = 0.25
    around.zone_margin[0] = 0.125
    around.zone_from_base[0] = np.eye(3, 4)
    for height_m, wanted in ((0.375, ""), (0.374, "shoulder and zone wall overlap")):
        around.ends[1] = [[0.0, 0.0, height_m], [0.0, 0.0, height_m]]
        assert find_home_conflict(Q, around, names).startswith(wanted)
        assert bool(find_home_conflict(Q, around, names)) is bool(wanted)
    around.ends[1] = np.nan
    assert find_home_conflict(Q, around, names) != ""


def test_a_part_that_is_not_there_is_in_nobodys_way() -> None:
    zone = wall(1.0, (0, 0, 1), ("part",)).model_copy(
        update={"point_m": (0.0, 0.0, 4.0)}
    )

    assert find(zone) == ""
    assert find(zone, 0.02) != ""


@pytest.mark.parametrize(
    ("length_m", "radius_m", "count"),
    [
        (0.0, 0.1, 41),
        (0.8, 0.1, 41),
        (2.0, 0.05, 41),
        (2.0, 0.049, 42),
        (1.0, 0.01, 101),
    ],
)
def test_capsules_are_looked_at_in_steps_of_their_radius(
    length_m: float, radius_m: float, count: int
) -> None:
    start, end = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0 + length_m, 3.0])

    points = home._sample_axis(start, end, radius_m)

    assert points.shape == (count, 3)
    assert np.array_equal(points[0], start)
    assert np.array_equal(points[-1], end)
    assert np.allclose(points[:, 1], np.linspace(2.0, 2.0 + length_m, count))


def test_a_plate_between_two_points_of_a_long_thin_capsule_is_found() -> None:
    lance = ToolCapsule(
        name="lance",
        group="tool",
        from_m=(0.02, -0.01, -0.4),
        to_m=(0.02, -0.01, 0.6),
        radius_m=0.005,
    )
    # Halfway between the 20th and the 21st of forty steps.
    middle = place((0.02, -0.01, -0.4 + 19.5 / 40.0))
    rotvec = Rotation.from_matrix(compute_frames(Q)[6][:3, :3]).as_rotvec()
    plate = BoxZone(
        name="plate",
        keeps_out=("tool",),
        margin_m=0.0,
        centre_m=tuple(middle.tolist()),
        rotvec_rad=tuple(rotvec.tolist()),
        half_m=(0.2, 0.2, 0.001),
    )
    config = SAFETY.model_copy(update={"tool": (lance,), "zones": (plate,)})

    assert find_home_conflict(Q, *make_surroundings(config, TOOL)) != ""


def test_frames_are_those_of_the_textbook() -> None:
    found = plain_frames.compute_frames(Q)

    assert len(found) == 7
    for mine, wanted in zip(found, compute_frames(Q), strict=True):
        assert np.allclose(mine, wanted, rtol=0.0, atol=1e-12)
