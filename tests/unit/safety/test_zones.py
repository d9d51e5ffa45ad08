"""Zones and capsules as they may be written down."""

import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from safety.config import SafetyConfig
from safety.zones import (
    BoxZone,
    CapsuleGroup,
    CylinderZone,
    HalfSpaceZone,
    ToolCapsule,
)
from tests.fakes.motion_oracle import SAFETY


def plane(normal: Any, name: str = "wall") -> HalfSpaceZone:
    return HalfSpaceZone(
        name=name, keeps_out=("arm",), point_m=(0.1, 0.2, 0.3), normal=normal
    )


@pytest.mark.parametrize(
    "normal",
    [
        (0.0, 0.0, 1.0),
        (0.0, 0.0, -1.0),
        (1.0, 0.0, 0.0),
        (0.0, -1.0, 0.0),
        (0.6, 0.0, 0.8),
    ],
)
def test_the_frame_of_a_half_space_looks_along_its_normal(normal: Any) -> None:
    frame = plane(normal).base_from_zone().as_matrix()

    assert frame[:3, 2] == pytest.approx(np.array(normal), abs=1e-9)
    assert frame[:3, 3] == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize("normal", [(0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (1.0, 1.0, 0.0)])
def test_a_normal_that_is_no_direction_is_refused(normal: Any) -> None:
    with pytest.raises(ValidationError, match="unit vector"):
        plane(normal)


@pytest.mark.parametrize("key", ["tool", "zones"])
def test_the_same_name_twice_is_refused(key: str) -> None:
    twice: Any = {
        "zones": [plane((0.0, 0.0, 1.0))] * 2,
        "tool": [
            ToolCapsule(
                name="palm",
                group="tool",
                from_m=(0.0, 0.0, 0.0),
                to_m=(0.0, 0.0, 0.1),
                radius_m=0.05,
            )
        ]
        * 2,
    }
    tree = {**SAFETY.model_dump(), key: [item.model_dump() for item in twice[key]]}

    with pytest.raises(ValidationError, match=f"{key} holds the name"):
        SafetyConfig.model_validate(tree)


@pytest.mark.parametrize("radius_m", [0.0, -0.1, float("nan"), 1.0])
def test_a_capsule_without_a_volume_is_refused(radius_m: float) -> None:
    with pytest.raises(ValidationError, match="radius_m"):
        ToolCapsule(
            name="palm",
            group="tool",
            from_m=(0.0, 0.0, 0.0),
            to_m=(0.0, 0.0, 0.1),
            radius_m=radius_m,
        )


@pytest.mark.parametrize("groups", [(), ("base",), ("arm", "roof")])
def test_a_zone_for_nobody_or_for_unknown_groups_is_refused(groups: Any) -> None:
    with pytest.raises(ValidationError, match="keeps_out"):
        HalfSpaceZone(
            name="wall",
            keeps_out=groups,
            point_m=(0.0, 0.0, 0.0),
            normal=(0.0, 0.0, 1.0),
        )


def test_the_frame_of_an_upright_half_space_is_not_turned() -> None:
    frame = plane((0.0, 0.0, 1.0)).base_from_zone().as_matrix()

    assert np.array_equal(frame[:3, :3], np.eye(3))
    upside_down = plane((0.0, 0.0, -1.0)).base_from_zone().as_matrix()
    assert upside_down[:3, :3] == pytest.approx(np.diag([1.0, -1.0, -1.0]), abs=1e-9)


@pytest.mark.parametrize(
    ("length", "passes"),
    [
        (1.0 - 2.0**-10, False),
        (1.0 - 2.0**-10 + 2.0**-40, True),
        (1.0 - 1.5 * 2.0**-10, False),
        (0.95, False),
    ],
)
def test_a_normal_may_be_short_by_a_thousandth(length: Any, passes: Any) -> None:
    for normal in ((0.0, 0.0, length), (0.0, -length, 0.0)):
        if passes:
            assert plane(normal).normal == normal
        else:
            with pytest.raises(ValidationError, match=r"normal has the length 0\.9"):
                plane(normal)


def test_a_normal_may_be_long_by_a_thousandth() -> None:
    plane((0.6003, 0.0, 0.8004))
    with pytest.raises(ValidationError, match=r"normal has the length 1\.001"):
        plane((0.6007, 0.0, 0.8010))


@pytest.mark.parametrize("normal", [(0, 1, 0), (1, 0, 0), (0, 0, 1), (0.0, 0.6, -0.8)])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_every_unit_vector_is_a_normal(normal: Any, sign: Any) -> None:
    turned = tuple(sign * value for value in normal)

    frame = plane(turned).base_from_zone().as_matrix()

    assert frame[:3, 2] == pytest.approx(np.array(turned), abs=1e-9)


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_element_of_a_normal_is_beyond_one(index: Any, sign: Any) -> None:
    normal = [0.0, 0.0, 0.0]
    normal[index] = sign * (1.0 + 2.0**-20)

    with pytest.raises(ValidationError, match=f"normal.{index}"):
        plane(tuple(normal))


FACTS: dict[str, Any] = {
    "name": "z",
    "keeps_out": ("arm",),
    "centre_m": (0.0, 0.0, 0.0),
}
BOX: dict[str, Any] = {**FACTS, "half_m": (1.0, 1.0, 1.0)}
POST: dict[str, Any] = {**FACTS, "radius_m": 1.0, "half_height_m": 1.0}
ROD: dict[str, Any] = {
    "name": "rod",
    "group": "tool",
    "from_m": (0.0, 0.0, 0.0),
    "to_m": (0.0, 0.0, 0.1),
    "radius_m": 0.05,
}
TURN = 2 * math.pi


@pytest.mark.parametrize(
    ("make", "facts", "key", "low", "high"),
    [
        (BoxZone, BOX, "centre_m", -5.0, 5.0),
        (BoxZone, BOX, "half_m", math.nextafter(0.0, 1.0), 5.0),
        (BoxZone, BOX, "rotvec_rad", -TURN, TURN),
        (BoxZone, BOX, "margin_m", 0.0, 0.2),
        (CylinderZone, POST, "rotvec_rad", -TURN, TURN),
        (CylinderZone, POST, "radius_m", math.nextafter(0.0, 1.0), 5.0),
        (ToolCapsule, ROD, "from_m", -0.6, 0.6),
        (ToolCapsule, ROD, "radius_m", 0.005, 0.6),
    ],
)
def test_every_number_has_its_bounds(
    make: Any, facts: Any, key: Any, low: Any, high: Any
) -> None:
    def fill(value: float) -> dict[str, Any]:
        is_list = key in ("centre_m", "half_m", "rotvec_rad", "from_m")
        return {**facts, key: (value,) * 3 if is_list else value}

    make(**fill(low))
    make(**fill(high))
    for value in (math.nextafter(low, -9.0), math.nextafter(high, 9.0)):
        with pytest.raises(ValidationError, match=key):
            make(**fill(value))


def test_what_is_not_said_is_nothing() -> None:
    box, post = BoxZone(**BOX), CylinderZone(**POST)

    for zone in (box, post):
        assert zone.margin_m == 0.0
        assert zone.rotvec_rad == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("make", [(BoxZone, BOX), (CylinderZone, POST)])
def test_a_solid_stands_where_it_is_said_to_stand(make: Any) -> None:
    kind, facts = make
    turned = {**facts, "centre_m": (0.1, 0.2, 0.3), "rotvec_rad": (0.0, 0.0, 0.5)}

    frame = kind(**turned).base_from_zone().as_matrix()

    assert frame[:3, 3].tolist() == [0.1, 0.2, 0.3]
    assert frame[0, :2] == pytest.approx([math.cos(0.5), -math.sin(0.5)])


def test_groups_are_one_to_four() -> None:
    four = ("arm", "tool", "fingers", "part")

    assert BoxZone(**{**BOX, "keeps_out": four}).keeps_out == four
    assert BoxZone(**{**BOX, "keeps_out": ("part",)}).keeps_out == ("part",)
    with pytest.raises(ValidationError, match="keeps_out"):
        BoxZone(**{**BOX, "keeps_out": (*four, "arm")})


def test_groups_can_be_told_apart() -> None:
    assert [int(group) for group in CapsuleGroup] == [1, 2, 4, 8, 16]


@pytest.mark.parametrize("facts", [BOX, POST])
def test_a_zone_is_known_by_its_kind(facts: Any) -> None:
    kind = "box" if facts is BOX else "cylinder"
    tree = {**SAFETY.model_dump(), "zones": [{**facts, "kind": kind}]}

    assert SafetyConfig.model_validate(tree).zones[0].kind == kind
