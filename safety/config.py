"""Limits of this cell that the guard holds; only ever tighter than `safety.ceilings`.

There are no defaults on purpose: a limit that nobody wrote down is not a limit.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from cell.contracts.model import Section
from safety import ceilings
from safety.zones import ToolCapsule, Zone

_Angle = Annotated[
    float, Field(ge=-ceilings.JOINT_POSITION_RAD, le=ceilings.JOINT_POSITION_RAD)
]
_Speed = Annotated[float, Field(gt=0.0, le=ceilings.JOINT_SPEED_RADPS)]
_Acceleration = Annotated[float, Field(gt=0.0, le=ceilings.JOINT_ACCELERATION_RADPS2)]
_Jerk = Annotated[float, Field(gt=0.0, le=ceilings.JOINT_JERK_RADPS3)]
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
JointJerks = tuple[_Jerk, _Jerk, _Jerk, _Jerk, _Jerk, _Jerk]
Corner = tuple[_Coordinate, _Coordinate, _Coordinate]


class SafetyConfig(Section):
    """Limits of motion, joint by joint and for the tool, in the base frame.

    Attributes:
        freshness_s: age at which a command lapses [s].
        joint_min_rad: lowest joint positions [rad].
        joint_max_rad: highest joint positions [rad].
        joint_speed_radps: highest joint speeds [rad/s].
        joint_acceleration_radps2: highest joint accelerations [rad/s2]; the ramp to
            rest uses them.
        joint_jerk_radps3: highest joint jerks of a request [rad/s3]; the ramp to rest
            begins and ends harder.
        tcp_speed_mps: highest speed of the tool point [m/s].
        tcp_force_n: measured force at the tool at which motion ends [N].
        tcp_torque_nm: the same for the torque [N.m].
        workspace_min_m: lowest corner for the tool point [m].
        workspace_max_m: highest corner for the tool point [m].
        slow_distance_m: distance to a zone below which an approach slows down [m].
        tool: what the flange carries, as capsules.
        zones: what the arm and the tool keep out of.
    """

    freshness_s: Annotated[float, Field(gt=0.0, le=ceilings.FRESHNESS_S)]
    joint_min_rad: JointAngles
    joint_max_rad: JointAngles
    joint_speed_radps: JointSpeeds
    joint_acceleration_radps2: JointAccelerations
    joint_jerk_radps3: JointJerks
    tcp_speed_mps: Annotated[float, Field(gt=0.0, le=ceilings.TCP_SPEED_MPS)]
    tcp_force_n: Annotated[float, Field(gt=0.0, le=ceilings.TCP_FORCE_N)]
    tcp_torque_nm: Annotated[float, Field(gt=0.0, le=ceilings.TCP_TORQUE_NM)]
    workspace_min_m: Corner
    workspace_max_m: Corner
    slow_distance_m: Annotated[float, Field(gt=0.0, le=0.2)]
    tool: Annotated[
        tuple[ToolCapsule, ...], Field(max_length=ceilings.TOOL_CAPSULE_COUNT)
    ]
    zones: Annotated[tuple[Zone, ...], Field(max_length=ceilings.ZONE_COUNT)]

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

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for key in ("tool", "zones"):
            seen: set[str] = set()
            for item in getattr(self, key):
                if item.name in seen:
                    raise ValueError(f"{key} holds the name {item.name!r} twice")
                seen.add(item.name)
        return self
