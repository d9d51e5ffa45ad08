"""The numbers that the guard holds, packed for its kernel.

Made once from the configuration and never looser than `safety.ceilings`, whoever built
the section. A shape that the kernel does not expect cannot be made.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cell.contracts.errors import ConfigError
from cell.contracts.geometry import Pose
from cell.contracts.units import ns_from_s
from safety import ceilings
from safety.config import SafetyConfig

ARM_FRESHNESS_S: Final = 0.05
"""Age of the arm's own sample. Setpoints sent into a stalled link would arrive in one
burst, so this is half of what a command may age."""

MINIMUM_SINGULAR_VALUE: Final = 0.08
"""Of the TCP Jacobian in metres and radians; below it small tool steps need large
joint steps."""

OVERRUN_CYCLES: Final = 3
"""Setpoints missed in a row before motion ends; single late cycles do occur."""

STANDSTILL_S: Final = 0.05
"""Without setpoints for this long the robot has come to rest at the last one."""

LIMITS = np.dtype(
    [
        ("period_s", "<f8"),
        ("command_age_ns", "<i8"),
        ("arm_age_ns", "<i8"),
        ("overrun_ns", "<i8"),
        ("standstill_ns", "<i8"),
        ("joint_min_rad", "<f8", (6,)),
        ("joint_max_rad", "<f8", (6,)),
        ("joint_speed_radps", "<f8", (6,)),
        ("joint_acceleration_radps2", "<f8", (6,)),
        ("joint_jerk_radps3", "<f8", (6,)),
        ("tcp_speed_mps", "<f8"),
        ("tcp_force_n", "<f8"),
        ("tcp_torque_nm", "<f8"),
        ("workspace_min_m", "<f8", (3,)),
        ("workspace_max_m", "<f8", (3,)),
        ("singular_value", "<f8"),
        ("flange_from_tcp", "<f8", (3, 4)),
        ("reach_m", "<f8"),
    ]
)
"""Layout of one set of limits; the kernel takes an array of length 1."""

_Ceiling = tuple[str, float, float]
# Key, lowest and highest value that any configuration may hold.
_CEILINGS: Final[tuple[_Ceiling, ...]] = (
    ("joint_min_rad", -ceilings.JOINT_POSITION_RAD, ceilings.JOINT_POSITION_RAD),
    ("joint_max_rad", -ceilings.JOINT_POSITION_RAD, ceilings.JOINT_POSITION_RAD),
    ("joint_speed_radps", 0.0, ceilings.JOINT_SPEED_RADPS),
    ("joint_acceleration_radps2", 0.0, ceilings.JOINT_ACCELERATION_RADPS2),
    ("joint_jerk_radps3", 0.0, ceilings.JOINT_JERK_RADPS3),
    ("tcp_speed_mps", 0.0, ceilings.TCP_SPEED_MPS),
    ("tcp_force_n", 0.0, ceilings.TCP_FORCE_N),
    ("tcp_torque_nm", 0.0, ceilings.TCP_TORQUE_NM),
    ("workspace_min_m", -ceilings.REACH_M, ceilings.REACH_M),
    ("workspace_max_m", -ceilings.REACH_M, ceilings.REACH_M),
)
_PERIOD_RANGE_S: Final = (0.001, 0.02)


def make_limits(
    config: SafetyConfig, flange_from_tcp: Pose, period_s: float
) -> NDArray[Any]:
    """Pack the limits of a cell, shape (1,) of `LIMITS`.

    Args:
        config: limits of the cell.
        flange_from_tcp: tool that the workspace and the tool speed refer to.
        period_s: control period.

    Raises:
        ConfigError: a value is not finite, above its ceiling or inverted.
    """
    limits = np.zeros(1, LIMITS)
    for key, lowest, highest in _CEILINGS:
        values = np.asarray(getattr(config, key), dtype=np.float64)
        _check_range(f"safety.{key}", values, lowest, highest)
        limits[key] = values
    _check_range("safety.freshness_s", config.freshness_s, 0.0, ceilings.FRESHNESS_S)
    _check_range("period_s", period_s, *_PERIOD_RANGE_S)
    _check_order(limits, "joint_min_rad", "joint_max_rad")
    _check_order(limits, "workspace_min_m", "workspace_max_m")
    tool = flange_from_tcp.as_matrix()[:3]
    _check_range("arm.flange_from_tcp", tool, -1.0, 1.0)
    limits["period_s"] = period_s
    limits["command_age_ns"] = ns_from_s(config.freshness_s)
    limits["arm_age_ns"] = ns_from_s(min(config.freshness_s, ARM_FRESHNESS_S))
    limits["overrun_ns"] = ns_from_s(OVERRUN_CYCLES * period_s)
    limits["standstill_ns"] = ns_from_s(max(STANDSTILL_S, OVERRUN_CYCLES * period_s))
    limits["singular_value"] = MINIMUM_SINGULAR_VALUE
    limits["flange_from_tcp"] = tool
    limits["reach_m"] = ceilings.REACH_M + float(np.linalg.norm(tool[:, 3]))
    return limits


def _check_range(key: str, value: Any, lowest: float, highest: float) -> None:
    values = np.atleast_1d(np.asarray(value, dtype=np.float64))
    # Written so that NaN fails.
    inside = (values >= lowest) & (values <= highest)
    if not bool(inside.all()):
        worst = float(values[~inside].flat[0])
        raise ConfigError(
            f"{key} is {worst:g}: the guard takes {lowest:g} to {highest:g}"
        )


def _check_order(limits: NDArray[Any], lower: str, upper: str) -> None:
    if not bool((limits[lower] < limits[upper]).all()):
        raise ConfigError(f"safety.{lower} must lie below safety.{upper} everywhere")
