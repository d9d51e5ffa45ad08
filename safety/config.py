"""Limits of this cell that the guard holds; only ever tighter than `safety.ceilings`.

There are no defaults on purpose: a limit that nobody wrote down is not a limit.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from cell.contracts.model import Section
from safety import ceilings

_Angle = Annotated[
    float, Field(ge=-ceilings.JOINT_POSITION_RAD, le=ceilings.JOINT_POSITION_RAD)
]
_Speed = Annotated[float, Field(gt=0.0, le=ceilings.JOINT_SPEED_RADPS)]
_Acceleration = Annotated[float, Field(gt=0.0, le=ceilings.JOINT_ACCELERATION_RADPS2)]
_Coordinate = Annotated[float, Field(ge=-ceilings.REACH_M, le=ceilings.REACH_M)]

JointAngles = tuple[_Angle, _Angle, _Angle, _Angle, _Angle, _Angle]
JointSpeeds = tuple[_Speed, _Speed, _Speed, _Speed, _Speed, _Speed]
JointAccelerations = tuple[
    _Acceleration,
    _Acceleration,
    _Acceleration,
    _Acceleration,
    _Acceleration,
    _Acceleration,
]
Corner = tuple[_Coordinate, _Coordinate, _Coordinate]


class SafetyConfig(Section):
    """Limits of motion, joint by joint and for the tool, in the base frame."""

    freshness_s: Annotated[float, Field(gt=0.0, le=ceilings.FRESHNESS_S)]
    joint_min_rad: JointAngles
    joint_max_rad: JointAngles
    joint_speed_radps: JointSpeeds
    joint_acceleration_radps2: JointAccelerations
    tcp_speed_mps: Annotated[float, Field(gt=0.0, le=ceilings.TCP_SPEED_MPS)]
    workspace_min_m: Corner
    workspace_max_m: Corner

    @model_validator(mode="after")
    def _lower_bounds_lie_below_upper_bounds(self) -> Self:
        pairs = (
            ("joint_min_rad", "joint_max_rad"),
            ("workspace_min_m", "workspace_max_m"),
        )
        for lower, upper in pairs:
            bounds = zip(getattr(self, lower), getattr(self, upper), strict=True)
            for index, (low, high) in enumerate(bounds):
                if low >= high:
                    raise ValueError(
                        f"{lower}[{index}] is {low}, which is not below"
                        f" {upper}[{index}], {high}"
                    )
        return self
