"""The numbers of the projection, packed for its kernels.

Made from the limits that the guard holds, so they can be no looser. Two are worked out
here: how fast braking has to react, and how long it takes to build up.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cell.contracts.errors import ConfigError
from cell.contracts.geometry import Vector
from cell.kinematics.compiled import compiled

LARGEST_NUMBER: Final = 1e6
"""No angle, speed, acceleration or place of an arm is larger."""

LEAST_BRAKING: Final = 0.25
"""Share of the permitted acceleration with which braking is planned at least."""

PROJECTION_LIMITS = np.dtype(
    [
        ("period_s", "<f8"),
        ("increment_rad", "<f8", (6, 6)),
        ("joint_min_rad", "<f8", (6,)),
        ("joint_max_rad", "<f8", (6,)),
        ("joint_speed_radps", "<f8", (6,)),
        ("joint_acceleration_radps2", "<f8", (6,)),
        ("joint_jerk_radps3", "<f8", (6,)),
        ("braking_radps2", "<f8", (6,)),
        ("reaction_s", "<f8"),
        ("jerk_lead_s", "<f8", (6,)),
        ("workspace_min_m", "<f8", (3,)),
        ("workspace_max_m", "<f8", (3,)),
        ("singular_value", "<f8"),
        ("flange_from_tcp", "<f8", (3, 4)),
    ]
)
"""Layout of one set of limits; the kernels take an array of length 1.

`increment_rad` is the joint-limit matrix: joint increments [rad] of one cycle for each
of six normalised actions. `braking_radps2` is the rate that braking before a position
limit is planned with: what the limit of jerk lets one cycle turn full acceleration
into. Where that is too little, `jerk_lead_s` is the time in which acceleration turns
from one limit to the other, and braking begins so much earlier. `reaction_s` is a
period and half the longest braking time: the guard brakes all joints together, so a
slow joint may be kept moving by a fast one.
"""

_COPIED: Final = (
    "period_s",
    "joint_min_rad",
    "joint_max_rad",
    "joint_speed_radps",
    "joint_acceleration_radps2",
    "workspace_min_m",
    "workspace_max_m",
    "singular_value",
    "flange_from_tcp",
)


def make_projection_limits(
    limits: NDArray[Any], increment_rad: Vector | None = None
) -> NDArray[Any]:
    """Pack the limits of the projection, shape (1,) of `PROJECTION_LIMITS`.

    Args:
        limits: the guard's, of `safety.limits.make_limits`. Where they hold no jerk,
            none is limited.
        increment_rad: joint-limit matrix, shape (6, 6) [rad]; left out, each action
            moves its own joint, and 1 is the joint's full speed.

    Raises:
        ConfigError: the matrix is not one, or a number is none.
    """
    packed = np.zeros(1, PROJECTION_LIMITS)
    for name in _COPIED:
        packed[name] = limits[name]
    period_s = packed["period_s"][0]
    speed, rate = packed["joint_speed_radps"][0], packed["joint_acceleration_radps2"][0]
    # The largest change that the limit of acceleration leaves to one cycle.
    jerk = 2.0 * rate / period_s
    if "joint_jerk_radps3" in (limits.dtype.names or ()):
        jerk = np.minimum(jerk, limits["joint_jerk_radps3"][0])
    packed["joint_jerk_radps3"] = jerk
    braking = jerk * period_s - rate
    is_quick = braking >= LEAST_BRAKING * rate
    packed["braking_radps2"] = np.where(is_quick, braking, LEAST_BRAKING * rate)
    packed["jerk_lead_s"] = np.where(is_quick, 0.0, 2.0 * rate / jerk)
    packed["reaction_s"] = period_s + 0.5 * np.max(speed / rate)
    matrix = np.diag(speed * period_s) if increment_rad is None else increment_rad
    if np.shape(matrix) != (6, 6):
        raise ConfigError(
            f"the joint-limit matrix has the shape {np.shape(matrix)}: give it six"
            " rows, one per joint, of six numbers, one per action"
        )
    packed["increment_rad"] = matrix
    if not has_usable_limits(packed[0]):
        raise ConfigError(
            "the limits of the projection, or its joint-limit matrix, hold a number"
            " that is not finite or not in order: make them from checked limits"
        )
    return packed


@compiled
def is_usable(value: float) -> bool:
    """Tell whether a number can be one of an arm; NaN and infinity cannot."""
    return abs(value) < LARGEST_NUMBER


@compiled
def is_positive(value: float) -> bool:
    """Tell whether a number can be a divisor."""
    return 0.0 < value < LARGEST_NUMBER


@compiled
def has_usable_limits(lim: Any) -> bool:
    """Tell whether limits are numbers, for a limit that is none would limit nothing."""
    period_s = lim["period_s"]
    usable = is_positive(period_s) and period_s <= lim["reaction_s"] < LARGEST_NUMBER
    usable = usable and is_positive(lim["singular_value"])
    for i in range(6):
        usable = usable and is_positive(lim["joint_speed_radps"][i])
        usable = usable and is_positive(lim["joint_acceleration_radps2"][i])
        usable = usable and is_positive(lim["joint_jerk_radps3"][i])
        usable = usable and is_positive(lim["braking_radps2"][i])
        usable = usable and 0.0 <= lim["jerk_lead_s"][i] < LARGEST_NUMBER
        span = lim["joint_max_rad"][i] - lim["joint_min_rad"][i]
        usable = usable and is_usable(lim["joint_min_rad"][i]) and is_positive(span)
        for k in range(6):
            usable = usable and is_usable(lim["increment_rad"][i, k])
    for i in range(3):
        span = lim["workspace_max_m"][i] - lim["workspace_min_m"][i]
        usable = usable and is_usable(lim["workspace_min_m"][i]) and is_positive(span)
        for k in range(4):
            usable = usable and is_usable(lim["flange_from_tcp"][i, k])
    return usable
