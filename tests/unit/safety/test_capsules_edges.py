"""What is packed for the clearance kernel, number by number."""

import math
from typing import Any

import numpy as np
import pytest

from cell.contracts.errors import ConfigError
from cell.contracts.geometry import Pose
from safety import capsules
from safety.capsules import (
    PART_LENGTH_MAX_M,
    PART_RADIUS_MAX_M,
    attach_part,
    make_surroundings,
    name_check,
    place_part,
)
from safety.config import SafetyConfig
from safety.zones import BoxZone, CylinderZone, HalfSpaceZone, ToolCapsule
from tests.fakes.motion_oracle import SAFETY
from tests.oracle.config_bodies import Links, make_bodies

TOOL = Pose.from_rotvec([0.01, 0.02, 0.15], [0.4, -0.3, 0.2])
# Frame, ends [m], radius [m]: as measured on the meshes of the arm.
LINKS = {
    "base": (0, (0, 0, 0.02), (0, 0, 0.145), 0.080),
    "shoulder": (1, (0, 0, 0.0), (0, 0, 0.165), 0.082),
    "upper_arm": (2, (0.425, 0, 0.138), (0, 0, 0.138), 0.064),
    "elbow": (2, (0, 0, 0.02), (0, 0, 0.170), 0.067),
    "forearm": (3, (0.3922, 0, 0.007), (0, 0, 0.007), 0.058),
    "wrist_1": (3, (0, 0, -0.010), (0, 0, 0.145), 0.056),
    "wrist_2": (4, (0, 0, -0.020), (0, 0, 0.105), 0.054),
    "wrist_3": (5, (0, 0, -0.025), (0, 0, 0.085), 0.054),
}
# The way along each link, from one joint to the next [m].
LENGTHS = [0.1625, 0.425, 0.3922, 0.1333, 0.0997, 0.0996]


def tool_capsule(name: str, group: Any, radius_m: float = 0.05) -> ToolCapsule:
    return ToolCapsule(
        name=name,
        group=group,
        from_m=(0.0, 0.01, 0.02),
        to_m=(0.03, 0.0, 0.1),
        radius_m=radius_m,
    )


BOX = BoxZone(
    name="crate",
    keeps_out=("arm", "fingers"),
    margin_m=0.01,
    centre_m=(0.4, -0.2, 0.1),
    half_m=(0.1, 0.2, 0.3),
    rotvec_rad=(0.3, 0.2, -0.5),
)
CYLINDER = CylinderZone(
    name="post",
    keeps_out=("part",),
    centre_m=(-0.4, 0.3, 0.2),
    radius_m=0.07,
    half_height_m=0.4,
    rotvec_rad=(0.1, -0.6, 0.2),
)
WALL = HalfSpaceZone(
    name="wall",
    keeps_out=("tool", "tool", "part"),
    point_m=(0.1, 0.2, -0.3),
    normal=(0.6, 0.0, 0.8),
)


def make_config(**changes: object) -> SafetyConfig:
    parts = (tool_capsule("palm", "tool"), tool_capsule("finger", "fingers", 0.02))
    facts = {"tool": parts, "zones": (BOX, CYLINDER, WALL)} | changes
    return SAFETY.model_copy(update=facts)


AROUND, NAMES = make_surroundings(make_config(), TOOL)


def test_the_links_are_those_that_were_measured() -> None:
    found = {
        name: (frame, *map(tuple, ends.tolist()), radius)
        for name, frame, ends, radius in zip(
            NAMES.capsules[:8],
            AROUND.frame[:8].tolist(),
            AROUND.ends[:8],
            AROUND.radius[:8].tolist(),
            strict=True,
        )
    }

    assert found == LINKS
    assert (capsules.FLANGE, capsules.SELF_SLOW_M) == (6, 0.01)
    assert (PART_RADIUS_MAX_M, PART_LENGTH_MAX_M) == (0.1, 0.2)
    assert len({capsules.BOX, capsules.CYLINDER, capsules.HALF_SPACE}) == 3


def test_all_of_the_cell_is_packed_as_another_way_reads_it() -> None:
    links = Links(AROUND.frame[:8], AROUND.ends[:8], AROUND.radius[:8])
    flange_from_tcp = TOOL.as_matrix()[:3]

    wanted = make_bodies(make_config(), links, flange_from_tcp, (0.0, 0.2))

    assert NAMES.capsules[8:] == ("palm", "finger", "part")
    assert NAMES.zones == ("crate", "post", "wall")
    assert AROUND.slow_m.tolist() == [0.02, 0.01]
    for key in ("frame", "ends", "radius", "zone_kind", "zone_size", "zone_margin"):
        assert np.allclose(getattr(AROUND, key), getattr(wanted, key)), key
        assert getattr(AROUND, key).shape == getattr(wanted, key).shape, key
    assert AROUND.against_zone.tolist() == wanted.against_zone.tolist()
    assert AROUND.against_self.tolist() == wanted.against_self.tolist()
    for found, frame, kind in zip(
        AROUND.zone_from_base, wanted.base_from_zone, wanted.zone_kind, strict=True
    ):
        if kind == capsules.HALF_SPACE:
            # Only what is up matters to a plane.
            assert np.allclose(found[2, :3], frame[:, 2])
            assert found[2, 3] == pytest.approx(-frame[:, 2] @ frame[:, 3])
        else:
            assert np.allclose(found[:, :3] @ frame[:, :3], np.eye(3))
            assert np.allclose(found[:, :3] @ frame[:, 3] + found[:, 3], 0.0)


def test_a_cell_without_zones_and_tool_has_its_links_and_a_part() -> None:
    around, names = make_surroundings(make_config(tool=(), zones=()), TOOL)

    assert names.capsules == (*LINKS, "part")
    assert names.zones == ()
    assert around.against_zone.shape == (0, 2)
    assert around.zone_size.shape == (0, 3)
    assert around.zone_from_base.shape == (0, 3, 4)
    assert around.radius[-1] == 0.0


def test_reach_is_the_way_over_all_links_between() -> None:
    assert AROUND.reach.shape == (11, 6)
    for capsule, frame in enumerate(AROUND.frame):
        own = max(np.linalg.norm(end) for end in AROUND.ends[capsule])
        # A part that is not there is as thick as the thickest can be.
        radius = AROUND.radius[capsule] or PART_RADIUS_MAX_M
        for joint in range(6):
            wanted = own + radius + sum(LENGTHS[joint:frame]) if joint < frame else 0.0
            assert AROUND.reach[capsule, joint] == pytest.approx(wanted, rel=1e-12)


def test_reach_counts_the_end_that_is_further_off() -> None:
    def reach_of(from_m: Any, to_m: Any) -> float:
        part = tool_capsule("palm", "tool").model_copy(
            update={"from_m": from_m, "to_m": to_m}
        )
        around, _ = make_surroundings(make_config(tool=(part,)), TOOL)
        return float(around.reach[8, 5])

    assert reach_of((0, 0, 0.3), (0, 0, 0.1)) == pytest.approx(0.0996 + 0.35)
    assert reach_of((0, 0, 0.1), (0, 0, 0.3)) == pytest.approx(0.0996 + 0.35)


@pytest.mark.parametrize("name", ["base", "wrist_3", "part"])
def test_a_tool_has_no_name_of_a_link(name: Any) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' is the name of a link; choose"):
        make_surroundings(make_config(tool=(tool_capsule(name, "tool"),)), TOOL)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_named(value: Any) -> None:
    crooked = BOX.model_copy(update={"half_m": (0.1, 0.2, value)})
    with pytest.raises(ConfigError, match="zone_size is not finite"):
        make_surroundings(make_config(zones=(crooked,)), TOOL)
    with pytest.raises(ConfigError, match="slow_m is not finite"):
        make_surroundings(make_config(slow_distance_m=value), TOOL)


def test_a_check_is_named_by_what_it_is_between() -> None:
    pairs = AROUND.against_zone.tolist()

    first = name_check(0, AROUND, NAMES)
    last = name_check(len(pairs) - 1, AROUND, NAMES)
    own = name_check(len(pairs), AROUND, NAMES)
    end = name_check(len(pairs) + len(AROUND.against_self) - 1, AROUND, NAMES)

    assert first == "shoulder and zone crate"
    assert last == "part and zone wall"
    assert own == "base and forearm"
    assert end == "wrist_2 and palm"


def test_a_part_hangs_from_the_tool_point_along_the_tool() -> None:
    matrix = TOOL.as_matrix()

    ends = place_part(matrix[:3], 0.07)

    assert np.allclose(ends[0], matrix[:3, 3])
    assert np.allclose(ends[1] - ends[0], 0.07 * matrix[:3, 2])


def test_a_copy_has_arrays_of_its_own() -> None:
    copied = AROUND.copy()

    for name, array in AROUND._asdict().items():
        mine = getattr(copied, name)
        assert np.array_equal(mine, array)
        assert not np.shares_memory(mine, array)


def pairs_of(*tool: ToolCapsule) -> set[str]:
    around, names = make_surroundings(make_config(tool=tool, zones=()), TOOL)
    return {name_check(item, around, names) for item in range(len(around.against_self))}


def bracket(start: Any, end: Any, radius_m: float) -> ToolCapsule:
    return ToolCapsule(
        name="bracket", group="tool", from_m=start, to_m=end, radius_m=radius_m
    )


def test_the_arm_is_kept_from_every_part_of_itself_that_it_can_reach() -> None:
    links = pairs_of(bracket((0, 0, 0), (0, 0, 0.1), 0.05))

    assert {pair for pair in links if "bracket" not in pair and "part" not in pair} == {
        *("base and " + name for name in ("forearm", "wrist_1", "wrist_2", "wrist_3")),
        *("shoulder and " + n for n in ("forearm", "wrist_1", "wrist_2", "wrist_3")),
        *("upper_arm and " + name for name in ("wrist_1", "wrist_2", "wrist_3")),
        *("elbow and " + name for name in ("wrist_2", "wrist_3")),
        "forearm and wrist_3",
    }


# Edges in radius: the second wrist's capsule, of 0.054 m, lies 0.0996 m behind.
@pytest.mark.parametrize(
    ("start", "end", "radius_m", "is_held_against"),
    [
        # Around the axis no turn makes a difference.
        ((0, 0, 0), (0, 0, 0.1), 0.05, False),
        ((0, 0, 0), (0, 0, 0.1), 0.04, False),
        # Beside it, and reaching back.
        ((0, -0.1, 0.02), (0, -0.1, -0.08), 0.02, True),
        # It touches however it is turned.
        ((0, -0.1, 0.02), (0, -0.1, -0.08), 0.06, False),
        # It comes near, or it does not.
        ((0, -0.1, 0.02), (0, -0.1, 0.0), 0.04, True),
        ((0, -0.1, 0.02), (0, -0.1, 0.0), 0.02, False),
    ],
)
def test_a_tool_is_held_against_the_second_wrist_where_turning_decides(
    start: Any, end: Any, radius_m: float, is_held_against: bool
) -> None:
    found = "wrist_2 and bracket" in pairs_of(bracket(start, end, radius_m))

    assert found is is_held_against
    assert "wrist_1 and bracket" in pairs_of(bracket(start, end, radius_m))


SIZES = [
    (0.0, 0.0),
    (0.03, 0.06),
    (PART_RADIUS_MAX_M, 0.05),
    (0.03, PART_LENGTH_MAX_M),
]
NO_SIZES = [
    (-0.001, 0.05),
    (0.03, -0.001),
    (math.nextafter(PART_RADIUS_MAX_M, 1.0), 0.05),
    (0.03, math.nextafter(PART_LENGTH_MAX_M, 1.0)),
    (math.nan, 0.05),
    (0.03, math.nan),
    (math.inf, math.inf),
]


@pytest.mark.parametrize(
    ("given", "taken"),
    [(size, size) for size in SIZES]
    + [(size, (PART_RADIUS_MAX_M, PART_LENGTH_MAX_M)) for size in NO_SIZES],
)
def test_what_is_no_size_of_a_part_counts_as_the_largest(
    given: Any, taken: Any
) -> None:
    around, _ = make_surroundings(make_config(), TOOL)
    flange_from_tcp = TOOL.as_matrix()[:3]

    attach_part(around, flange_from_tcp, *given)

    radius_m, length_m = taken
    assert around.radius[-1] == radius_m
    assert (around.ends[-1] == place_part(flange_from_tcp, length_m)).all()


def test_the_second_wrist_is_looked_at_in_these_steps() -> None:
    turns, along = capsules._TURNS_RAD, capsules._ALONG
    assert turns == pytest.approx(np.arange(72) * math.pi / 36.0)
    assert along.shape == (41, 1)
    assert along[:, 0] == pytest.approx(np.arange(41) / 40.0)
    assert capsules._LAST_JOINT.tolist() == [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    assert (capsules._FAR_M, capsules._SAME_M) == (0.02, 1e-6)


@pytest.mark.parametrize(
    ("gaps_m", "wanted"),
    [
        ([0.01, -0.01], True),
        # It touches at every turn, or at none.
        ([0.0, -0.01], False),
        ([math.nextafter(0.0, 1.0), -0.01], True),
        ([0.05, 0.02], False),
        ([0.05, math.nextafter(0.02, 0.0)], True),
        # No turn changes it.
        ([1e-6, 0.0], False),
        ([math.nextafter(1e-6, 1.0), 0.0], True),
    ],
)
def test_edges_of_what_a_turn_decides(gaps_m: Any, wanted: Any) -> None:
    assert capsules.turning_decides(gaps_m) is wanted
    assert capsules.turning_decides(gaps_m[::-1]) is wanted


def test_no_link_is_held_against_the_second_wrist_for_its_turn() -> None:
    around, names = make_surroundings(make_config(tool=(), zones=()), TOOL)
    found = [name_check(n, around, names) for n in range(len(around.against_self))]

    assert [pair for pair in found if pair.startswith("wrist_2")] == []
