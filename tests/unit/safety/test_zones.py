"""Zones and capsules as they may be written down."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from safety.config import SafetyConfig
from safety.zones import HalfSpaceZone, ToolCapsule
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
