"""Keep-out zones and tool capsules as the configuration states them.

A zone is a solid that the named groups of capsules must stay out of. Nothing here is
about people: a zone keeps the arm from its own fixtures.
"""

import math
from enum import IntFlag
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cell.contracts.geometry import Pose
from cell.contracts.model import Section
from safety import ceilings


class CapsuleGroup(IntFlag):
    """What a capsule stands for; a zone names the groups that it is for."""

    BASE = 1
    ARM = 2
    TOOL = 4
    FINGERS = 8
    PART = 16


GroupName = Literal["arm", "tool", "fingers", "part"]

_Coordinate = Annotated[
    float, Field(ge=-ceilings.ZONE_RANGE_M, le=ceilings.ZONE_RANGE_M)
]
_Extent = Annotated[float, Field(gt=0.0, le=ceilings.ZONE_RANGE_M)]
_Angle = Annotated[float, Field(ge=-2 * math.pi, le=2 * math.pi)]
_Margin = Annotated[float, Field(ge=0.0, le=0.2)]
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
_Place = tuple[_Coordinate, _Coordinate, _Coordinate]
_Groups = Annotated[tuple[GroupName, ...], Field(min_length=1, max_length=4)]
_ToolCoordinate = Annotated[
    float, Field(ge=-ceilings.TOOL_RANGE_M, le=ceilings.TOOL_RANGE_M)
]
_ToolPlace = tuple[_ToolCoordinate, _ToolCoordinate, _ToolCoordinate]
_UNIT_SLACK = 2.0**-10
_Radius = Annotated[float, Field(ge=0.005, le=ceilings.TOOL_RANGE_M)]


class _Zone(Section):
    """What all zones have.

    Attributes:
        name: appears in records and messages.
        frame: that it is given in.
        keeps_out: groups of capsules that must stay out.
        margin_m: distance kept to the solid [m].
    """

    name: _Name
    frame: Literal["base"] = "base"
    keeps_out: _Groups
    margin_m: _Margin = 0.0


class BoxZone(_Zone):
    """A box, turned about its centre by a rotation vector in the base frame."""

    kind: Literal["box"] = "box"
    centre_m: _Place
    half_m: tuple[_Extent, _Extent, _Extent]
    rotvec_rad: tuple[_Angle, _Angle, _Angle] = (0.0, 0.0, 0.0)

    def base_from_zone(self) -> Pose:
        """Return the frame of the solid."""
        return Pose.from_rotvec(list(self.centre_m), list(self.rotvec_rad))


class CylinderZone(_Zone):
    """A cylinder along its own z axis."""

    kind: Literal["cylinder"] = "cylinder"
    centre_m: _Place
    radius_m: _Extent
    half_height_m: _Extent
    rotvec_rad: tuple[_Angle, _Angle, _Angle] = (0.0, 0.0, 0.0)

    def base_from_zone(self) -> Pose:
        """Return the frame of the solid."""
        return Pose.from_rotvec(list(self.centre_m), list(self.rotvec_rad))


class HalfSpaceZone(_Zone):
    """Everything behind a plane; the normal points to where the arm may be."""

    kind: Literal["half_space"] = "half_space"
    point_m: _Place
    normal: tuple[
        Annotated[float, Field(ge=-1.0, le=1.0)],
        Annotated[float, Field(ge=-1.0, le=1.0)],
        Annotated[float, Field(ge=-1.0, le=1.0)],
    ]

    @model_validator(mode="after")
    def _normal_has_unit_length(self) -> Self:
        length = math.sqrt(sum(value * value for value in self.normal))
        if abs(length - 1.0) >= _UNIT_SLACK:
            raise ValueError(f"normal has the length {length:.4g}; give a unit vector")
        return self

    def base_from_zone(self) -> Pose:
        """Return a frame on the plane, z along the normal."""
        x, y, z = self.normal
        angle = math.atan2(math.hypot(x, y), z)
        across = math.hypot(x, y)
        if across == 0.0:
            turn = [angle, 0.0, 0.0]
        else:
            turn = [-y / across * angle, x / across * angle, 0.0]
        return Pose.from_rotvec(list(self.point_m), turn)


Zone = Annotated[BoxZone | CylinderZone | HalfSpaceZone, Field(discriminator="kind")]


class ToolCapsule(Section):
    """A part of the tool: a segment with a radius, in the flange frame.

    Attributes:
        name: appears in records and messages.
        frame: that it is given in.
        group: `tool` for the body, `fingers` for what goes into the bin.
        from_m: one end of the segment in the flange frame [m].
        to_m: its other end.
        radius_m: radius about the segment [m].
    """

    name: _Name
    frame: Literal["flange"] = "flange"
    group: Literal["tool", "fingers"]
    from_m: _ToolPlace
    to_m: _ToolPlace
    radius_m: _Radius
