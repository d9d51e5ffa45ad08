"""Limits of motion, read from the configuration by a way of its own.

The guard packs its limits elsewhere; a slip there must not move the oracles with it.
What is not configured but decided once is written down once more.
"""

from typing import Any, Final

import numpy as np

from tests.oracle.plain import MotionLimits, Vector

_LEAST_SINGULAR_VALUE: Final = 0.08
_ARM_AGE_MS: Final = 50.0
_NS_OF_S, _NS_OF_MS = 1_000_000_000, 1_000_000


def read_limits(config: Any, flange_from_tcp: Vector, period_s: float) -> MotionLimits:
    """Return what a configuration limits.

    Args:
        config: limits of the cell, by the names of its keys.
        flange_from_tcp: shape (3, 4).
        period_s: time between two setpoints [s].
    """
    age_ns = float(round(config.freshness_s * _NS_OF_S))
    return MotionLimits(
        period_s=period_s,
        joint_min_rad=_read(config.joint_min_rad),
        joint_max_rad=_read(config.joint_max_rad),
        joint_speed_radps=_read(config.joint_speed_radps),
        joint_acceleration_radps2=_read(config.joint_acceleration_radps2),
        joint_jerk_radps3=_read(config.joint_jerk_radps3),
        tcp_speed_mps=float(config.tcp_speed_mps),
        workspace_min_m=_read(config.workspace_min_m),
        workspace_max_m=_read(config.workspace_max_m),
        flange_from_tcp=_read(flange_from_tcp),
        singular_value=_LEAST_SINGULAR_VALUE,
        tcp_force_n=float(config.tcp_force_n),
        tcp_torque_nm=float(config.tcp_torque_nm),
        command_age_ns=age_ns,
        arm_age_ns=min(age_ns, _ARM_AGE_MS * _NS_OF_MS),
    )


def _read(values: Any) -> Vector:
    return np.array(values, dtype=np.float64)
